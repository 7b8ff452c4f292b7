/* SPDX-License-Identifier: Apache-2.0 */
/* Creating, wrapping and looking at tensors; views.c makes views, copy.c copies. */
#include "tensor/tensor.h"

#include "base/error.h"
#include "base/refcount.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

struct mls__storage {
    mls__refcount refs;
    mls_context *context; /* a reference */
    void *data;           /* owned when deleter is NULL and owned is set, else foreign */
    bool owned;
    mls_deleter_fn deleter;
    void *user;
};

static void storage_unref(mls__storage *storage)
{
    if (!mls__refcount_drop(&storage->refs))
        return;
    mls_context *context = storage->context;
    if (storage->owned)
        mls__free(&context->allocator, storage->data);
    else if (storage->deleter)
        storage->deleter(storage->user, storage->data);
    mls__free(&context->allocator, storage);
    mls__context_unref(context);
}

mls_context *mls__tensor_context(const mls_tensor *tensor)
{
    return tensor->storage->context;
}

mls_status mls__tensor_check(const char *what, int32_t dtype, int rank, const int64_t *dims,
                             size_t *ret_bytes)
{
    char text[MLS__SHAPE_TEXT];
    if (!mls__dtype_is_valid(dtype))
        return mls__error(MLS_EINVAL, "%s: %d is no dtype", what, dtype);
    if (rank < 0 || rank > MLS_MAX_RANK)
        return mls__error(MLS_EINVAL, "%s: rank %d is outside 0 to %d", what, rank, MLS_MAX_RANK);
    for (int i = 0; i < rank; i++)
        if (dims[i] < 0)
            return mls__error(MLS_EINVAL, "%s: dimension %d is negative (%" PRId64 ")", what, i,
                              dims[i]);
    if (!mls__shape_bytes(dtype, rank, dims, ret_bytes))
        return mls__error(MLS_EINVAL, "%s: %s %s is more than memory can hold", what,
                          mls_dtype_name((mls_dtype) dtype), mls__shape_text(rank, dims, text));
    return MLS_OK;
}

/* A tensor and its storage over `data`, which it owns from here on when `owned`. */
static mls_status tensor_build(mls_context *context, int32_t dtype, int rank, const int64_t *dims,
                               void *data, mls_tensor **ret_tensor)
{
    const mls__allocator *allocator = &context->allocator;
    mls_tensor *tensor = mls__alloc_array(allocator, 1, sizeof *tensor);
    mls__storage *storage = mls__alloc_array(allocator, 1, sizeof *storage);
    if (!tensor || !storage) {
        mls__free(allocator, tensor);
        mls__free(allocator, storage);
        return mls__error_nomem(sizeof *tensor + sizeof *storage);
    }
    mls__refcount_init(&storage->refs);
    mls__context_ref(context);
    storage->context = context;
    storage->data = data;
    tensor->storage = storage;
    tensor->data = data;
    tensor->dtype = dtype;
    tensor->rank = rank;
    if (rank)
        memcpy(tensor->dims, dims, (size_t) rank * sizeof *dims);
    mls__shape_strides(rank, dims, tensor->strides);
    mls__shape_count(rank, dims, &tensor->count);
    *ret_tensor = tensor;
    return MLS_OK;
}

mls_status mls_tensor_create(mls_context *context, mls_dtype dtype, int rank, const int64_t *dims,
                             mls_tensor **ret_tensor)
{
    if (!context || (rank > 0 && !dims) || !ret_tensor)
        return mls__error_null(__func__, "context, dims (unless rank is 0) and ret_tensor");
    size_t bytes;
    mls_status status = mls__tensor_check("tensor", dtype, rank, dims, &bytes);
    if (status)
        return status;
    void *data = mls__alloc_array(&context->allocator, bytes, 1);
    if (!data)
        return mls__error_nomem(bytes);
    mls_tensor *tensor;
    status = tensor_build(context, dtype, rank, dims, data, &tensor);
    if (status) {
        mls__free(&context->allocator, data);
        return status;
    }
    tensor->storage->owned = true;
    *ret_tensor = tensor;
    return MLS_OK;
}

/*
 * Whether all elements lie within the address space, `data` being the first one: any
 * sum of strides can then be added to it.
 */
static bool is_reachable(const void *data, size_t element, int rank, const int64_t *dims,
                         const int64_t *strides)
{
    const uintptr_t address = (uintptr_t) data;
    int64_t below = 0, above = (int64_t) element; /* bytes on either side of `address` */
    for (int i = 0; i < rank; i++) {
        int64_t reach, *side = strides[i] < 0 ? &below : &above;
        if (dims[i] <= 1)
            continue;
        if (strides[i] == INT64_MIN || !mls__mul_i64(dims[i] - 1, (int64_t) element, &reach) ||
            !mls__mul_i64(reach, strides[i] < 0 ? -strides[i] : strides[i], &reach) ||
            !mls__add_i64(*side, reach, side))
            return false;
    }
    int64_t extent;
    return mls__add_i64(below, above, &extent) && extent <= PTRDIFF_MAX &&
           address >= (uintptr_t) below && UINTPTR_MAX - address >= (uintptr_t) above;
}

/*
 * Takes over the strides of dimensions that have more than one element. The others
 * keep those of a contiguous tensor: nobody uses them, and other libraries put
 * anything there.
 */
static mls_status set_strides(mls_tensor *tensor, const int64_t *strides)
{
    const mls_dtype dtype = (mls_dtype) tensor->dtype;
    if (tensor->count == 0)
        return MLS_OK;
    if (!is_reachable(tensor->data, mls_dtype_size(dtype), tensor->rank, tensor->dims, strides))
        return mls__error(MLS_EINVAL, "tensor: the strides lead out of the address space; they "
                                      "count elements, not bytes");
    for (int i = 0; i < tensor->rank; i++)
        if (tensor->dims[i] > 1)
            tensor->strides[i] = strides[i];
    return MLS_OK;
}

static mls_status check_data(mls_dtype dtype, size_t bytes, const void *data)
{
    const size_t alignment = mls__dtype_alignment(dtype);
    if (!data && bytes)
        return mls__error(MLS_EINVAL, "tensor: data is NULL, but there are %zu bytes of elements",
                          bytes);
    if (bytes && (uintptr_t) data % alignment)
        return mls__error(MLS_EINVAL, "tensor: data is at %p, but %s needs a multiple of %zu",
                          (void *) (uintptr_t) data, mls_dtype_name(dtype), alignment);
    return MLS_OK;
}

mls_status mls_tensor_wrap(mls_context *context, mls_dtype dtype, int rank, const int64_t *dims,
                           const int64_t *strides, void *data, mls_deleter_fn deleter, void *user,
                           mls_tensor **ret_tensor)
{
    if (!context || (rank > 0 && !dims) || !ret_tensor)
        return mls__error_null(__func__, "context, dims (unless rank is 0) and ret_tensor");
    size_t bytes;
    mls_status status = mls__tensor_check("tensor", dtype, rank, dims, &bytes);
    if (!status)
        status = check_data(dtype, bytes, data);
    if (status)
        return status;
    mls_tensor *tensor;
    status = tensor_build(context, dtype, rank, dims, data, &tensor);
    if (status)
        return status;
    if (strides)
        status = set_strides(tensor, strides);
    if (status) {
        mls_tensor_free(tensor);
        return status;
    }
    tensor->storage->deleter = deleter;
    tensor->storage->user = user;
    *ret_tensor = tensor;
    return MLS_OK;
}

mls_status mls__tensor_view(const mls_tensor *tensor, mls_tensor **ret_view)
{
    mls_context *context = tensor->storage->context;
    mls_tensor *view = mls__alloc_array(&context->allocator, 1, sizeof *view);
    if (!view)
        return mls__error_nomem(sizeof *view);
    *view = *tensor;
    mls__refcount_take(&view->storage->refs);
    *ret_view = view;
    return MLS_OK;
}

void mls_tensor_free(mls_tensor *tensor)
{
    if (!tensor)
        return;
    mls__storage *storage = tensor->storage;
    mls__free(&storage->context->allocator, tensor);
    storage_unref(storage);
}

mls_dtype mls_tensor_dtype(const mls_tensor *tensor)
{
    return tensor ? (mls_dtype) tensor->dtype : MLS_DTYPE_NONE;
}

int mls_tensor_rank(const mls_tensor *tensor)
{
    return tensor ? tensor->rank : 0;
}

const int64_t *mls_tensor_dims(const mls_tensor *tensor)
{
    return tensor ? tensor->dims : NULL;
}

const int64_t *mls_tensor_strides(const mls_tensor *tensor)
{
    return tensor ? tensor->strides : NULL;
}

int64_t mls_tensor_element_count(const mls_tensor *tensor)
{
    return tensor ? tensor->count : 0;
}

size_t mls_tensor_size_bytes(const mls_tensor *tensor)
{
    return tensor ? (size_t) tensor->count * mls_dtype_size((mls_dtype) tensor->dtype) : 0;
}

void *mls_tensor_data(const mls_tensor *tensor)
{
    return tensor && tensor->count ? tensor->data : NULL;
}

int mls_tensor_is_contiguous(const mls_tensor *tensor)
{
    if (!tensor || tensor->count == 0)
        return tensor != NULL;
    int64_t expected = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        /* The stride of a dimension of length 1 is never used. */
        if (tensor->dims[i] != 1 && tensor->strides[i] != expected)
            return 0;
        expected *= tensor->dims[i];
    }
    return 1;
}
