/* SPDX-License-Identifier: Apache-2.0 */
/* Between a tensor that one rank has whole and one that is spread. */
#include "sharded/sharded.h"

#include "base/error.h"
#include "tensor/shape.h"

static mls_status check_root(const mls_mesh *mesh, uint32_t root)
{
    if (root >= mesh->size)
        return mls__error(MLS_EINVAL, "the root is %u; ranks are 0 to %u", root, mesh->size - 1);
    return MLS_OK;
}

/* --- scatter --------------------------------------------------------------------------------- */

static mls_status check_whole(const mls__spread *spread, const mls_tensor *whole)
{
    char has[MLS__SHAPE_TEXT], is[MLS__SHAPE_TEXT];
    if (!whole)
        return mls__error(MLS_EINVAL, "the root of a scatter needs the whole tensor");
    if (whole->dtype != spread->dtype)
        return mls__error(MLS_EDTYPE, "the whole tensor is %s; the call says %s",
                          mls_dtype_name((mls_dtype) whole->dtype),
                          mls_dtype_name((mls_dtype) spread->dtype));
    if (!mls__shape_equal(whole->rank, whole->dims, spread->rank, spread->dims))
        return mls__error(MLS_ESHAPE, "the whole tensor is %s; the call says %s",
                          mls__shape_text(whole->rank, whole->dims, is),
                          mls__shape_text(spread->rank, spread->dims, has));
    return MLS_OK;
}

/* Where terms are wanted, elements come to blocks or to all, and become terms there. */
mls__spread mls__without_terms(const mls_mesh *mesh, const mls__spread *spread)
{
    mls__spread plain = *spread;
    for (int i = 0; i < mesh->axis_count; i++)
        if (plain.layout[i] == MLS_LAYOUT_PARTIAL)
            plain.layout[i] = MLS_LAYOUT_REPLICATED;
    return plain;
}

static mls_status scatter(mls_mesh *mesh, const mls__spread *spread, uint32_t root,
                          const mls_tensor *whole, mls__steps *steps, mls_sharded **ret_sharded)
{
    const mls__spread plain = mls__without_terms(mesh, spread);
    mls__spread all = plain;
    mls_tensor *copy = NULL;
    mls_sharded *parts = NULL;
    for (int i = 0; i < mesh->axis_count; i++)
        all.layout[i] = MLS_LAYOUT_REPLICATED;
    mls_status status = mls__sharded_make(mesh, &plain, &parts);
    if (!status && mesh->rank == root && !mls_tensor_is_contiguous(whole)) {
        status = mls_tensor_copy(whole, &copy);
        whole = copy;
    }
    if (!status) {
        const mls__transfer transfer = {mesh,
                                        &all,
                                        &plain,
                                        root,
                                        MLS__NO_ROOT,
                                        mesh->rank == root ? mls_tensor_data(whole) : NULL,
                                        mls_tensor_data(parts->local)};
        status = mls__transfer_run(&transfer, steps);
    }
    if (!status)
        status = mls__redistribute(parts, spread->layout, steps, ret_sharded);
    mls_sharded_free(parts);
    mls_tensor_free(copy);
    return status;
}

mls_status mls_sharded_scatter(mls_mesh *mesh, mls_dtype dtype, int rank, const int64_t *dims,
                               const int32_t *layout, uint32_t root, const mls_tensor *whole,
                               const mls_group_call *call, mls_sharded **ret_sharded)
{
    mls__spread spread;
    mls__steps steps;
    if (!mesh || !layout || !ret_sharded || (!dims && rank > 0))
        return mls__error_null(__func__, "mesh, dims, layout and ret_sharded");
    mls_status status = mls__spread_make(mesh, dtype, rank, dims, layout, &spread);
    if (!status)
        status = check_root(mesh, root);
    if (!status)
        status = mls__check_terms(mesh, spread.dtype, layout);
    if (!status && mesh->rank == root)
        status = check_whole(&spread, whole);
    if (!status)
        status = mls__steps_begin(mesh, call, &steps);
    if (status)
        return status;
    return mls__steps_end(&steps, scatter(mesh, &spread, root, whole, &steps, ret_sharded));
}

/* --- gather ---------------------------------------------------------------------------------- */

/* Terms are added up to blocks of the longest dimension, and only these are gathered. */
mls_status mls__add_terms(const mls_sharded *sharded, mls__steps *steps, mls_sharded **ret_sharded)
{
    int32_t layout[MLS_MESH_MAX_AXES];
    int32_t longest = MLS_LAYOUT_REPLICATED;
    for (int i = 0; i < sharded->spread.rank; i++)
        if (longest < 0 || sharded->spread.dims[i] > sharded->spread.dims[longest])
            longest = i;
    for (int i = 0; i < MLS_MESH_MAX_AXES; i++)
        layout[i] =
            sharded->spread.layout[i] == MLS_LAYOUT_PARTIAL ? longest : sharded->spread.layout[i];
    return mls__redistribute(sharded, layout, steps, ret_sharded);
}

static mls_status gather(const mls_sharded *sharded, uint32_t root, mls__steps *steps,
                         mls_tensor **ret_whole)
{
    mls_mesh *mesh = sharded->mesh;
    mls_sharded *parts = NULL;
    mls_tensor *whole = NULL;
    mls_status status = mls__add_terms(sharded, steps, &parts);
    if (!status && mesh->rank == root)
        status = mls_tensor_create(mesh->context, mls_sharded_dtype(sharded), sharded->spread.rank,
                                   sharded->spread.dims, &whole);
    if (!status) {
        mls__spread all = parts->spread;
        for (int i = 0; i < mesh->axis_count; i++)
            all.layout[i] = MLS_LAYOUT_REPLICATED;
        const mls__transfer transfer = {mesh,
                                        &parts->spread,
                                        &all,
                                        MLS__NO_ROOT,
                                        root,
                                        mls_tensor_data(parts->local),
                                        whole ? mls_tensor_data(whole) : NULL};
        status = mls__transfer_run(&transfer, steps);
    }
    mls_sharded_free(parts);
    if (status) {
        mls_tensor_free(whole);
        return status;
    }
    if (ret_whole)
        *ret_whole = whole;
    return MLS_OK;
}

mls_status mls_sharded_gather(const mls_sharded *sharded, uint32_t root, const mls_group_call *call,
                              mls_tensor **ret_whole)
{
    mls__steps steps;
    if (!sharded)
        return mls__error_null(__func__, "sharded");
    if (!ret_whole && sharded->mesh->rank == root)
        return mls__error_null(__func__, "ret_whole on the root");
    mls_status status = check_root(sharded->mesh, root);
    if (!status)
        status = mls__check_terms(sharded->mesh, sharded->spread.dtype, sharded->spread.layout);
    if (!status)
        status = mls__steps_begin(sharded->mesh, call, &steps);
    if (status)
        return status;
    return mls__steps_end(&steps, gather(sharded, root, &steps, ret_whole));
}
