/* SPDX-License-Identifier: Apache-2.0 */
/* One reader and one writer for all option structs, so that none forgets the size. */
#include "base/options.h"

#include "base/error.h"

#include <string.h>

static size_t struct_size(const void *options)
{
    size_t size;
    memcpy(&size, options, sizeof size); /* every such struct starts with it */
    return size;
}

mls_status mls__options_read(const char *what, const void *options, size_t first, size_t known,
                             void *ret_options)
{
    if (!options)
        return MLS_OK;
    const size_t size = struct_size(options);
    if (size < first || size > 65536)
        return mls__error(MLS_EINVAL, "%s.size is %zu; initialize the struct with its _INIT macro",
                          what, size);
    const unsigned char *bytes = options;
    for (size_t i = known; i < size; i++)
        if (bytes[i])
            return mls__error(
                MLS_EINVAL, "%s has a field at byte %zu that this version does not know", what, i);
    memcpy(ret_options, options, size < known ? size : known);
    memcpy(ret_options, &known, sizeof known);
    return MLS_OK;
}

mls_status mls__options_write(const char *what, const void *filled, size_t first, size_t known,
                              void *ret_options)
{
    const size_t size = struct_size(ret_options);
    if (size < first)
        return mls__error(MLS_EINVAL, "%s.size is %zu; initialize the struct with its _INIT macro",
                          what, size);
    const size_t copied = size < known ? size : known;
    memcpy((unsigned char *) ret_options + sizeof size,
           (const unsigned char *) filled + sizeof size, copied - sizeof size);
    return MLS_OK;
}
