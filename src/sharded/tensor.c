/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a sharded tensor, and what can be asked of it. */
#include "sharded/sharded.h"

#include "base/error.h"
#include "tensor/shape.h"

#include <string.h>

mls_status mls__sharded_take(mls_mesh *mesh, const mls__spread *spread, mls_tensor *local,
                             mls_sharded **ret_sharded)
{
    mls_sharded *sharded = mls__alloc_array(&mesh->context->allocator, 1, sizeof *sharded);
    if (!sharded) {
        mls_tensor_free(local);
        return mls__error_nomem(sizeof *sharded);
    }
    mls__mesh_ref(mesh);
    *sharded = (mls_sharded){mesh, *spread, local};
    *ret_sharded = sharded;
    return MLS_OK;
}

/* What is small nobody reads where it lies; the same on all ranks. */
static bool goes_with_records(const mls_mesh *mesh, const mls__spread *spread)
{
    const mls__box whole = mls__box_whole(spread);
    return (size_t) mls__box_count(spread->rank, &whole) * mls__spread_size(spread) <=
           mls__payload_room(mesh->group);
}

mls_status mls__sharded_make(mls_mesh *mesh, const mls__spread *spread, mls_sharded **ret_sharded)
{
    int rank;
    int64_t dims[MLS_MAX_RANK];
    mls_tensor *local;
    const mls_dtype dtype = (mls_dtype) spread->dtype;
    mls_status status = mls__local_dims(mesh, spread, &rank, dims);
    if (!status)
        status = goes_with_records(mesh, spread)
                     ? mls_tensor_create(mesh->context, dtype, rank, dims, &local)
                     : mls__group_create_readable(mesh->group, dtype, rank, dims, &local);
    return status ? status : mls__sharded_take(mesh, spread, local, ret_sharded);
}

mls_status mls__sharded_view(const mls_sharded *sharded, mls_sharded **ret_sharded)
{
    mls_tensor *local;
    const mls_status status = mls__tensor_view(sharded->local, &local);
    return status ? status : mls__sharded_take(sharded->mesh, &sharded->spread, local, ret_sharded);
}

size_t mls__spread_size(const mls__spread *spread)
{
    return mls_dtype_size((mls_dtype) spread->dtype);
}

/* The bit that makes a zero negative; none for integers. */
static uint64_t sign_of(int32_t dtype)
{
    switch (dtype) {
    case MLS_FLOAT64:
        return UINT64_C(1) << 63;
    case MLS_FLOAT32:
        return UINT64_C(1) << 31;
    case MLS_FLOAT16:
    case MLS_BFLOAT16:
        return UINT64_C(1) << 15;
    default:
        return 0;
    }
}

void mls__fill_neutral(int32_t dtype, void *data, int64_t count)
{
    const size_t size = mls_dtype_size((mls_dtype) dtype);
    const uint64_t sign = sign_of(dtype);
    unsigned char *at = data;
    for (int64_t i = 0; i < count; i++)
        memcpy(at + (size_t) i * size, &sign, size); /* little-endian */
}

/* --- the public interface -------------------------------------------------------------------- */

mls_status mls_sharded_create(mls_mesh *mesh, mls_dtype dtype, int rank, const int64_t *dims,
                              const int32_t *layout, mls_sharded **ret_sharded)
{
    mls__spread spread;
    if (!mesh || !layout || !ret_sharded || (!dims && rank > 0))
        return mls__error_null(__func__, "mesh, dims, layout and ret_sharded");
    const mls_status status = mls__spread_make(mesh, dtype, rank, dims, layout, &spread);
    return status ? status : mls__sharded_make(mesh, &spread, ret_sharded);
}

static mls_status check_local(const mls_mesh *mesh, const mls__spread *spread,
                              const mls_tensor *local)
{
    char has[MLS__SHAPE_TEXT], is[MLS__SHAPE_TEXT];
    int rank;
    int64_t dims[MLS_MAX_RANK];
    const mls_status status = mls__local_dims(mesh, spread, &rank, dims);
    if (status)
        return status;
    if (!mls__shape_equal(rank, dims, local->rank, local->dims))
        return mls__error(MLS_ESHAPE, "the part of rank %u is %s; in this layout it is %s",
                          mesh->rank, mls__shape_text(local->rank, local->dims, is),
                          mls__shape_text(rank, dims, has));
    if (!mls_tensor_is_contiguous(local))
        return mls__error(MLS_EINVAL, "the part of rank %u is not contiguous: mls_tensor_copy()",
                          mesh->rank);
    return MLS_OK;
}

mls_status mls_sharded_wrap(mls_mesh *mesh, int rank, const int64_t *dims, const int32_t *layout,
                            const mls_tensor *local, mls_sharded **ret_sharded)
{
    mls__spread spread;
    mls_tensor *view;
    if (!mesh || !layout || !local || !ret_sharded || (!dims && rank > 0))
        return mls__error_null(__func__, "mesh, dims, layout, local and ret_sharded");
    mls_status status = mls__spread_make(mesh, local->dtype, rank, dims, layout, &spread);
    if (!status)
        status = check_local(mesh, &spread, local);
    if (!status)
        status = mls__tensor_view(local, &view);
    return status ? status : mls__sharded_take(mesh, &spread, view, ret_sharded);
}

void mls_sharded_free(mls_sharded *sharded)
{
    if (!sharded)
        return;
    mls_mesh *mesh = sharded->mesh;
    mls_tensor_free(sharded->local);
    mls__free(&mesh->context->allocator, sharded);
    mls__mesh_unref(mesh);
}

mls_dtype mls_sharded_dtype(const mls_sharded *sharded)
{
    return sharded ? (mls_dtype) sharded->spread.dtype : MLS_DTYPE_NONE;
}

int mls_sharded_rank(const mls_sharded *sharded)
{
    return sharded ? sharded->spread.rank : 0;
}

const int64_t *mls_sharded_dims(const mls_sharded *sharded)
{
    return sharded ? sharded->spread.dims : NULL;
}

const int32_t *mls_sharded_layout(const mls_sharded *sharded)
{
    return sharded ? sharded->spread.layout : NULL;
}

mls_tensor *mls_sharded_local(const mls_sharded *sharded)
{
    return sharded ? sharded->local : NULL;
}

mls_status mls_sharded_block(const mls_sharded *sharded, int64_t *ret_first, int64_t *ret_dims)
{
    if (!sharded)
        return mls__error_null(__func__, "sharded");
    const mls__box box = mls__box_of(sharded->mesh, &sharded->spread, sharded->mesh->rank);
    const size_t bytes = (size_t) sharded->spread.rank * sizeof *box.first;
    if (ret_first && bytes)
        memcpy(ret_first, box.first, bytes);
    if (ret_dims && bytes)
        memcpy(ret_dims, box.count, bytes);
    return MLS_OK;
}
