/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of the reader where there is no libyaml. */
#include "job_types/types.h"

#include "base/error.h"

mls_status mls_job_types_parse(mls_context *context, const char *path, const char *text,
                               size_t size_bytes, mls_job_types **ret_types)
{
    (void) text;
    (void) size_bytes;
    return mls_job_types_load(context, path, ret_types);
}

mls_status mls_job_types_load(mls_context *context, const char *path, mls_job_types **ret_types)
{
    if (!context || !path || !ret_types)
        return mls__error_null(__func__, "context, path and ret_types");
    return mls__error(MLS_EUNSUPPORTED,
                      "%s: this library was built without libyaml, which reads job types", path);
}

mls_status mls__type_error_at(const mls_job_types *types, const mls__type *type,
                              const mls__type_keys *keys, mls_status status)
{
    (void) types;
    (void) type;
    (void) keys;
    return status;
}

void mls__types_drop_document(mls_job_types *types)
{
    (void) types;
}
