/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors of any strides as the contiguous memory that algorithms move, and back. */
#include "group/group.h"

#include "base/error.h"
#include "tensor/shape.h"

mls_status mls__scratch_get(mls_group *group, int which, size_t size_bytes, void **ret_data)
{
    const mls__allocator *allocator = &group->context->allocator;
    mls__scratch *scratch = &group->scratch[which];
    if (scratch->size_bytes < size_bytes || !scratch->data) {
        mls__free(allocator, scratch->data);
        scratch->size_bytes = 0;
        scratch->data = mls__alloc(allocator, size_bytes);
        if (!scratch->data)
            return mls__error_nomem(size_bytes);
        scratch->size_bytes = size_bytes;
    }
    *ret_data = scratch->data;
    return MLS_OK;
}

/* The same elements, contiguous at `data`: for a copy, while `tensor` lives. */
static mls_tensor flat_view(const mls_tensor *tensor, void *data)
{
    mls_tensor flat = *tensor;
    flat.data = data;
    mls__shape_strides(flat.rank, flat.dims, flat.strides);
    return flat;
}

mls_status mls__flat_load(const mls_tensor *source, void *data)
{
    mls_tensor flat = flat_view(source, data);
    return source->count ? mls_tensor_copy_into(source, &flat) : MLS_OK;
}

mls_status mls__flat_source(mls_group *group, const mls_tensor *tensor, bool copy,
                            const void **ret_data)
{
    void *data;
    if (!copy && mls_tensor_is_contiguous(tensor)) {
        *ret_data = mls_tensor_data(tensor);
        return MLS_OK;
    }
    mls_status status =
        mls__scratch_get(group, MLS__SCRATCH_SOURCE, mls_tensor_size_bytes(tensor), &data);
    if (!status)
        status = mls__flat_load(tensor, data);
    if (!status)
        *ret_data = data;
    return status;
}

mls_status mls__flat_target(mls_group *group, const mls_tensor *tensor, void **ret_data)
{
    if (!mls_tensor_is_contiguous(tensor))
        return mls__scratch_get(group, MLS__SCRATCH_TARGET, mls_tensor_size_bytes(tensor),
                                ret_data);
    *ret_data = mls_tensor_data(tensor);
    return MLS_OK;
}

mls_status mls__flat_store(const void *data, mls_tensor *target)
{
    if (!target->count || data == target->data)
        return MLS_OK;
    /* A copy only reads. */
    const mls_tensor flat = flat_view(target, (void *) (uintptr_t) data);
    return mls_tensor_copy_into(&flat, target);
}

/* The addresses from the first byte to behind the last one. */
static void extent_of(const mls_tensor *tensor, uintptr_t *ret_first, uintptr_t *ret_end)
{
    const int64_t size = (int64_t) mls_dtype_size((mls_dtype) tensor->dtype);
    int64_t below = 0, above = size;
    for (int i = 0; i < tensor->rank; i++) {
        const int64_t reach = (tensor->dims[i] - 1) * tensor->strides[i] * size;
        if (reach < 0)
            below -= reach;
        else
            above += reach;
    }
    *ret_first = (uintptr_t) tensor->data - (uintptr_t) below;
    *ret_end = (uintptr_t) tensor->data + (uintptr_t) above;
}

bool mls__tensors_overlap(const mls_tensor *a, const mls_tensor *b)
{
    uintptr_t first_a, end_a, first_b, end_b;
    if (!a->count || !b->count)
        return false;
    extent_of(a, &first_a, &end_a);
    extent_of(b, &first_b, &end_b);
    return first_a < end_b && first_b < end_a;
}

bool mls__tensors_same(const mls_tensor *a, const mls_tensor *b)
{
    if (a->data != b->data || !mls__shape_equal(a->rank, a->dims, b->rank, b->dims))
        return a->data == b->data && a->count == b->count && mls_tensor_is_contiguous(a) &&
               mls_tensor_is_contiguous(b);
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] > 1 && a->strides[i] != b->strides[i])
            return false;
    return true;
}

bool mls__tensor_repeats(const mls_tensor *tensor)
{
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->count && tensor->dims[i] > 1 && tensor->strides[i] == 0)
            return true;
    return false;
}
