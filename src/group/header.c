/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing headers, and putting them into words. */
#include "group/header.h"

#include "group/group.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool mls__header_same(const mls__header *a, const mls__header *b)
{
    mls__header other = *b;
    other.address = a->address;
    return memcmp(a, &other, sizeof other) == 0;
}

static size_t put_what(const mls__header *h, const char *name, char *text, size_t size)
{
    const mls__family *family = mls__family_get(h->op);
    if (!family)
        return (size_t) snprintf(text, size, "an unknown call (%u)", h->op);
    if (h->op == MLS__CALL_OPEN)
        return (size_t) snprintf(text, size, "open with %u shards", h->shards);
    if (!family->moves)
        return (size_t) snprintf(text, size, "%s%s", family->name, name);
    return (size_t) snprintf(text, size, "%s%s%s of %" PRIu64 " %s%s", family->name,
                             family->reduces ? " " : "",
                             family->reduces ? mls__reduction_name(h->reduction) : "", h->count,
                             mls_dtype_name((mls_dtype) h->dtype), name);
}

const char *mls__header_text(const mls__header *header, char text[MLS__HEADER_TEXT])
{
    char name[MLS_GROUP_NAME_MAX + 8] = "";
    if (header->name[0])
        snprintf(name, sizeof name, " '%.*s'", MLS_GROUP_NAME_MAX, header->name);
    const size_t used = put_what(header, name, text, MLS__HEADER_TEXT);
    const mls__family *family = mls__family_get(header->op);
    if (family && family->from_root && used < MLS__HEADER_TEXT)
        snprintf(text + used, MLS__HEADER_TEXT - used, " from rank %u", header->root);
    if (family && family->to_root && used < MLS__HEADER_TEXT)
        snprintf(text + used, MLS__HEADER_TEXT - used, " to rank %u", header->root);
    return text;
}
