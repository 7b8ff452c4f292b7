/* SPDX-License-Identifier: Apache-2.0 */
/* Objects and the pool that their memory comes from. */
#include "exec/flow/object.h"

#include "base/error.h"
#include "tensor/shape.h"

#include <string.h>

void mls__pool_init(mls__pool *pool, mls_context *context)
{
    pool->context = context;
    pool->spare_count = 0;
}

static void destroy(mls__pool *pool, mls__object *object)
{
    const mls__allocator *allocator = &pool->context->allocator;
    mls__free(allocator, object->items);
    mls__free(allocator, object->block);
    mls__free(allocator, object);
}

void mls__pool_clear(mls__pool *pool)
{
    for (size_t i = 0; i < pool->spare_count; i++)
        destroy(pool, pool->spares[i]);
    pool->spare_count = 0;
}

/* The spare object with the least memory that is enough; its place in the list. */
static size_t find_spare(const mls__pool *pool, size_t bytes)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < pool->spare_count; i++) {
        const size_t have = pool->spares[i]->block_bytes;
        if (have >= bytes && (best == SIZE_MAX || have < pool->spares[best]->block_bytes))
            best = i;
    }
    return best;
}

static mls__object *take_spare(mls__pool *pool, size_t index)
{
    mls__object *object = pool->spares[index];
    pool->spares[index] = pool->spares[--pool->spare_count];
    return object;
}

/* An object with `bytes` of memory; none of the rest is set. */
static mls_status obtain(mls__pool *pool, size_t bytes, mls__object **ret_object)
{
    const mls__allocator *allocator = &pool->context->allocator;
    const size_t spare = find_spare(pool, bytes);
    if (spare != SIZE_MAX) {
        *ret_object = take_spare(pool, spare);
        (*ret_object)->refs = 1;
        return MLS_OK;
    }
    mls__object *object = mls__alloc_array(allocator, 1, sizeof *object);
    void *block = object && bytes ? mls__alloc(allocator, bytes) : NULL;
    if (!object || (bytes && !block)) {
        mls__free(allocator, object);
        return mls__error_nomem(bytes);
    }
    object->refs = 1;
    object->block = block;
    object->block_bytes = bytes;
    *ret_object = object;
    return MLS_OK;
}

static void set_shape(mls__object *object, int32_t dtype, int32_t rank, const int64_t *dims)
{
    object->kind = MLS_VALUE_TENSOR;
    object->dtype = dtype;
    object->rank = rank;
    if (rank)
        memcpy(object->dims, dims, (size_t) rank * sizeof *dims);
}

mls_status mls__object_create(mls__pool *pool, int32_t dtype, int32_t rank, const int64_t *dims,
                              mls__object **ret_object)
{
    size_t bytes;
    mls_status status = mls__tensor_check("tensor", dtype, rank, dims, &bytes);
    if (!status)
        status = obtain(pool, bytes ? bytes : 1, ret_object);
    if (status)
        return status;
    set_shape(*ret_object, dtype, rank, dims);
    (*ret_object)->data = (*ret_object)->block;
    return MLS_OK;
}

mls_status mls__object_borrow(mls__pool *pool, int32_t dtype, int32_t rank, const int64_t *dims,
                              void *data, mls__object **ret_object)
{
    static char nothing;
    const mls_status status = obtain(pool, 0, ret_object);
    if (status)
        return status;
    set_shape(*ret_object, dtype, rank, dims);
    (*ret_object)->data = data ? data : &nothing;
    return MLS_OK;
}

mls_status mls__object_wrap(mls__pool *pool, const mls_tensor *tensor, mls__object **ret_object)
{
    mls_tensor *view;
    mls_status status = mls__tensor_view(tensor, &view);
    if (status)
        return status;
    status = mls__object_borrow(pool, tensor->dtype, tensor->rank, tensor->dims, tensor->data,
                                ret_object);
    if (status) {
        mls_tensor_free(view);
        return status;
    }
    (*ret_object)->view = view;
    return MLS_OK;
}

mls_status mls__object_slice(mls__pool *pool, mls__object *tensor, int64_t index,
                             mls__object **ret_object)
{
    const mls_status status = mls__object_borrow(pool, tensor->dtype, tensor->rank - 1,
                                                 tensor->dims + 1, NULL, ret_object);
    if (status)
        return status;
    mls__object *slice = *ret_object;
    slice->data = (char *) tensor->data + (size_t) index * mls__object_bytes(slice);
    slice->parent = mls__object_ref(tensor);
    return MLS_OK;
}

mls_status mls__object_sequence(mls__pool *pool, int32_t dtype, size_t capacity,
                                mls__object **ret_object)
{
    const mls__allocator *allocator = &pool->context->allocator;
    const mls_status status = obtain(pool, 0, ret_object);
    if (status)
        return status;
    mls__object *sequence = *ret_object;
    sequence->kind = MLS_VALUE_SEQUENCE;
    sequence->dtype = dtype;
    sequence->data = NULL;
    sequence->count = 0;
    if (capacity <= sequence->capacity)
        return MLS_OK;
    mls__free(allocator, sequence->items);
    sequence->items = mls__alloc_array(allocator, capacity, sizeof(mls__object *));
    sequence->capacity = sequence->items ? capacity : 0;
    if (sequence->items)
        return MLS_OK;
    mls__object_unref(pool, sequence);
    return mls__error_nomem(capacity * sizeof(mls__object *));
}

static mls_status grow(mls__pool *pool, mls__object *sequence)
{
    const mls__allocator *allocator = &pool->context->allocator;
    const size_t capacity = sequence->capacity ? 2 * sequence->capacity : 8;
    mls__object **items = mls__alloc_array(allocator, capacity, sizeof *items);
    if (!items)
        return mls__error_nomem(capacity * sizeof *items);
    if (sequence->count)
        memcpy(items, sequence->items, sequence->count * sizeof *items);
    mls__free(allocator, sequence->items);
    sequence->items = items;
    sequence->capacity = capacity;
    return MLS_OK;
}

mls_status mls__object_append(mls__pool *pool, mls__object *sequence, mls__object *item)
{
    if (sequence->count == sequence->capacity) {
        const mls_status status = grow(pool, sequence);
        if (status)
            return status;
    }
    sequence->items[sequence->count++] = mls__object_ref(item);
    return MLS_OK;
}

mls_status mls__object_map(mls__pool *pool, mls__object *keys, mls__object *values,
                           mls__object **ret_object)
{
    mls__object *map;
    mls_status status = mls__object_sequence(pool, values->dtype, 2, &map);
    if (status)
        return status;
    map->kind = MLS_VALUE_MAP;
    status = mls__object_append(pool, map, keys);
    if (!status)
        status = mls__object_append(pool, map, values);
    if (status)
        mls__object_unref(pool, map);
    else
        *ret_object = map;
    return status;
}

const char *mls__object_kind(const mls__object *object)
{
    static const char *const texts[] = {
        [MLS_VALUE_TENSOR] = "a tensor",
        [MLS_VALUE_SEQUENCE] = "a sequence",
        [MLS_VALUE_MAP] = "a map",
    };
    return object ? texts[object->kind] : "empty";
}

mls_status mls__object_keep_text(mls__pool *pool, mls__object *tensor)
{
    mls_string *strings = tensor->data;
    const int64_t count = mls__object_count(tensor);
    size_t bytes = 0;
    if (tensor->dtype != MLS_STRING || tensor->text)
        return MLS_OK;
    for (int64_t i = 0; i < count; i++)
        if (!mls__add_size(bytes, strings[i].size, &bytes))
            return mls__error(MLS_ELIMIT, "more bytes of strings than can be addressed");
    char *text = mls__alloc(&pool->context->allocator, bytes ? bytes : 1);
    if (!text)
        return mls__error_nomem(bytes);
    tensor->text = text;
    for (int64_t i = 0; i < count; i++) {
        if (strings[i].size)
            memcpy(text, strings[i].data, strings[i].size);
        strings[i].data = text;
        text += strings[i].size;
    }
    return MLS_OK;
}

mls__object *mls__object_ref(mls__object *object)
{
    object->refs++;
    return object;
}

static void release(mls__pool *pool, mls__object *object)
{
    for (size_t i = 0; object->kind != MLS_VALUE_TENSOR && i < object->count; i++)
        mls__object_unref(pool, object->items[i]);
    mls__object_unref(pool, object->parent);
    mls_tensor_free(object->view);
    mls__free(&pool->context->allocator, object->text);
    object->parent = NULL;
    object->view = NULL;
    object->text = NULL;
    object->count = 0;
}

void mls__object_unref(mls__pool *pool, mls__object *object)
{
    if (!object || --object->refs)
        return;
    release(pool, object);
    if (pool->spare_count < MLS__POOL_SPARES)
        pool->spares[pool->spare_count++] = object;
    else
        destroy(pool, object);
}

int64_t mls__object_count(const mls__object *tensor)
{
    int64_t count = 1;
    for (int32_t i = 0; i < tensor->rank; i++)
        count *= tensor->dims[i];
    return count;
}

size_t mls__object_bytes(const mls__object *tensor)
{
    return (size_t) mls__object_count(tensor) * mls_dtype_size((mls_dtype) tensor->dtype);
}
