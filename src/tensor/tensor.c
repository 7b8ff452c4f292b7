/* SPDX-License-Identifier: Apache-2.0 */
/* Creating, wrapping, copying and looking at tensors; views.c makes views. */
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
    size_t bytes;
    mls_status status = mls__tensor_check("tensor", dtype, rank, dims, &bytes);
    if (status)
        return status;
    void *data = mls__alloc_array(&context->allocator, bytes, 1);
    if (!data)
        return mls__error_nomem(bytes);
    status = tensor_build(context, dtype, rank, dims, data, ret_tensor);
    if (status)
        mls__free(&context->allocator, data);
    else
        (*ret_tensor)->storage->owned = true;
    return status;
}

mls_status mls_tensor_wrap(mls_context *context, mls_dtype dtype, int rank, const int64_t *dims,
                           const int64_t *strides, void *data, mls_deleter_fn deleter, void *user,
                           mls_tensor **ret_tensor)
{
    size_t bytes;
    mls_status status = mls__tensor_check("tensor", dtype, rank, dims, &bytes);
    if (status)
        return status;
    if (!data && bytes)
        return mls__error(MLS_EINVAL, "tensor: data is NULL, but there are %zu bytes of elements",
                          bytes);
    mls_tensor *tensor;
    status = tensor_build(context, dtype, rank, dims, data, &tensor);
    if (status)
        return status;
    if (strides && rank)
        memcpy(tensor->strides, strides, (size_t) rank * sizeof *strides);
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
    return (mls_dtype) tensor->dtype;
}

int mls_tensor_rank(const mls_tensor *tensor)
{
    return tensor->rank;
}

const int64_t *mls_tensor_dims(const mls_tensor *tensor)
{
    return tensor->dims;
}

const int64_t *mls_tensor_strides(const mls_tensor *tensor)
{
    return tensor->strides;
}

int64_t mls_tensor_element_count(const mls_tensor *tensor)
{
    return tensor->count;
}

size_t mls_tensor_size_bytes(const mls_tensor *tensor)
{
    return (size_t) tensor->count * mls_dtype_size((mls_dtype) tensor->dtype);
}

void *mls_tensor_data(const mls_tensor *tensor)
{
    return tensor->count ? tensor->data : NULL;
}

int mls_tensor_is_contiguous(const mls_tensor *tensor)
{
    if (tensor->count == 0)
        return 1;
    int64_t expected = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) {
        /* The stride of a dimension of length 1 is never used. */
        if (tensor->dims[i] != 1 && tensor->strides[i] != expected)
            return 0;
        expected *= tensor->dims[i];
    }
    return 1;
}

/* Copies along dimension `axis` and inwards. */
static void copy_elements(const mls_tensor *source, const unsigned char *from, mls_tensor *target,
                          unsigned char *to, int axis, size_t element)
{
    if (axis == source->rank) {
        memcpy(to, from, element);
        return;
    }
    const int64_t from_step = source->strides[axis] * (int64_t) element;
    const int64_t to_step = target->strides[axis] * (int64_t) element;
    for (int64_t i = 0; i < source->dims[axis]; i++)
        copy_elements(source, from + i * from_step, target, to + i * to_step, axis + 1, element);
}

mls_status mls_tensor_copy_into(const mls_tensor *source, mls_tensor *target)
{
    char from[MLS__SHAPE_TEXT], to[MLS__SHAPE_TEXT];
    if (source->dtype != target->dtype)
        return mls__error(MLS_EDTYPE, "cannot copy %s into %s: the dtypes must be the same",
                          mls_dtype_name((mls_dtype) source->dtype),
                          mls_dtype_name((mls_dtype) target->dtype));
    if (!mls__shape_equal(source->rank, source->dims, target->rank, target->dims))
        return mls__error(MLS_ESHAPE, "cannot copy %s into %s: the dims must be the same",
                          mls__shape_text(source->rank, source->dims, from),
                          mls__shape_text(target->rank, target->dims, to));
    if (source->count == 0)
        return MLS_OK;
    if (mls_tensor_is_contiguous(source) && mls_tensor_is_contiguous(target))
        memcpy(target->data, source->data, mls_tensor_size_bytes(source));
    else
        copy_elements(source, source->data, target, target->data, 0,
                      mls_dtype_size((mls_dtype) source->dtype));
    return MLS_OK;
}

static void free_block(void *user, void *data)
{
    mls_context *context = user;
    mls__free(&context->allocator, data);
}

/* The total of all strings' bytes; false when it overflows. */
static bool string_bytes(const mls_string *strings, int64_t count, size_t *ret_total)
{
    size_t total = (size_t) count * sizeof *strings;
    for (int64_t i = 0; i < count; i++)
        if (!mls__add_size(total, strings[i].size, &total))
            return false;
    *ret_total = total;
    return true;
}

/* Moves the strings' bytes into one block behind the elements, so that nothing is borrowed. */
static mls_status own_strings(mls_tensor *borrowed, mls_tensor **ret_tensor)
{
    mls_context *context = mls__tensor_context(borrowed);
    const mls_string *strings = borrowed->data;
    size_t total;
    mls_string *block = NULL;
    if (string_bytes(strings, borrowed->count, &total))
        block = mls__alloc(&context->allocator, total);
    if (!block)
        return mls__error_nomem(total);
    char *bytes = (char *) (block + borrowed->count);
    for (int64_t i = 0; i < borrowed->count; i++) {
        block[i] = (mls_string){bytes, strings[i].size};
        if (strings[i].size)
            memcpy(bytes, strings[i].data, strings[i].size);
        bytes += strings[i].size;
    }
    const mls_status status =
        mls_tensor_wrap(context, MLS_STRING, borrowed->rank, borrowed->dims, NULL, block,
                        free_block, context, ret_tensor);
    if (status)
        mls__free(&context->allocator, block);
    return status;
}

mls_status mls_tensor_copy(const mls_tensor *tensor, mls_tensor **ret_tensor)
{
    mls_tensor *copy;
    mls_status status = mls_tensor_create(mls__tensor_context(tensor), (mls_dtype) tensor->dtype,
                                          tensor->rank, tensor->dims, &copy);
    if (status)
        return status;
    status = mls_tensor_copy_into(tensor, copy);
    if (!status && tensor->dtype == MLS_STRING && tensor->count) {
        mls_tensor *owner;
        status = own_strings(copy, &owner);
        if (!status) {
            mls_tensor_free(copy);
            copy = owner;
        }
    }
    if (status) {
        mls_tensor_free(copy);
        return status;
    }
    *ret_tensor = copy;
    return MLS_OK;
}
