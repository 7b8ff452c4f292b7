/* SPDX-License-Identifier: Apache-2.0 */
/* What saving and loading share: names, the manifest's file, and failing together. */
#include "sharded/files.h"

#include "base/error.h"
#include "base/file.h"

#include <stdio.h>
#include <string.h>

mls_status mls__files_path(const char *folder, const char *name, char path[MLS__PATH_SIZE])
{
    const int size = snprintf(path, MLS__PATH_SIZE, "%s/%s", folder, name);
    if (size < 0 || size >= MLS__PATH_SIZE)
        return mls__error(MLS_EINVAL,
                          "the path of the folder has %zu bytes; at most %d are "
                          "possible",
                          strlen(folder), MLS__PATH_SIZE - 64);
    return MLS_OK;
}

mls_status mls__files_read_manifest(const mls__allocator *allocator, const char *folder,
                                    mls__manifest *ret_manifest)
{
    mls__file_map map;
    mls_status status = mls__file_map_open_inside(folder, MLS__MANIFEST_NAME, &map);
    if (status)
        return status;
    status = mls__manifest_parse(allocator, map.data, map.size, ret_manifest);
    mls__file_map_close(&map);
    return status ? mls__error_at(status, "'%.300s/" MLS__MANIFEST_NAME "'", folder) : MLS_OK;
}

int32_t mls__files_dtype(int32_t dtype)
{
    switch (dtype) {
    case MLS_BFLOAT16:
        return MLS_UINT16;
    case MLS_FLOAT8E4M3FN:
    case MLS_FLOAT8E4M3FNUZ:
    case MLS_FLOAT8E5M2:
    case MLS_FLOAT8E5M2FNUZ:
    case MLS_FLOAT8E8M0:
    case MLS_FLOAT4E2M1:
    case MLS_UINT4:
    case MLS_INT4:
    case MLS_UINT2:
    case MLS_INT2:
        return MLS_UINT8;
    default:
        return dtype;
    }
}

/* --- failing together ------------------------------------------------------------------------ */

enum { SAID = 3 }; /* a status, and two numbers */

static mls_status wrap(mls_mesh *mesh, int64_t count, int64_t *data, mls_tensor **ret_tensor)
{
    return mls_tensor_wrap(mesh->context, MLS_INT64, 1, &count, NULL, data, NULL, NULL, ret_tensor);
}

static mls_status tell(mls__steps *steps, int64_t *own, int64_t *all)
{
    mls_mesh *mesh = steps->mesh;
    mls_tensor *source = NULL, *target = NULL;
    mls_status status = wrap(mesh, SAID, own, &source);
    if (!status)
        status = wrap(mesh, SAID * (int64_t) mesh->size, all, &target);
    if (!status) {
        status = mls_group_allgather(mesh->group, source, target, mls__steps_next(steps), NULL);
        steps->is_known = status == MLS_EMISMATCH;
    }
    mls_tensor_free(target);
    mls_tensor_free(source);
    return status;
}

mls_status mls__files_agree(mls__steps *steps, mls_status status, const int64_t *said,
                            int64_t *ret_all)
{
    const mls__allocator *allocator = &steps->mesh->context->allocator;
    const uint32_t size = steps->mesh->size;
    char words[512];
    int64_t own[SAID] = {status, said ? said[0] : 0, said ? said[1] : 0};
    snprintf(words, sizeof words, "%s", status ? mls_error_message() : "");
    int64_t *all = mls__alloc_array(allocator, size, SAID * sizeof *all);
    if (!all)
        return mls__error_nomem(size * SAID * sizeof *all);
    const mls_status told = tell(steps, own, all);
    uint32_t failed = size;
    for (uint32_t i = size; !told && i-- > 0;) {
        if (all[(size_t) i * SAID])
            failed = i;
        if (ret_all)
            memcpy(ret_all + (size_t) i * 2, all + (size_t) i * SAID + 1, 2 * sizeof *all);
    }
    const mls_status other = failed < size ? (mls_status) all[(size_t) failed * SAID] : MLS_OK;
    mls__free(allocator, all);
    if (told)
        return told;
    steps->is_known = status || other;
    if (status)
        return mls__error(status, "%s", words);
    return other ? mls__error(other, "rank %u failed: %s", failed, mls_status_name(other)) : MLS_OK;
}
