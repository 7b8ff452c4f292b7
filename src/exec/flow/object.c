/* SPDX-License-Identifier: Apache-2.0 */
/* Making objects, and giving back what they consist of. */
#include "exec/flow/object.h"

#include "base/error.h"
#include "tensor/shape.h"

#include <string.h>

/* An object with `bytes` of memory, or none; none of the rest is set. */
static mls_status obtain(mls__pool *pool, size_t bytes, mls__object **ret_object)
{
    void *object = NULL, *block = NULL;
    mls_status status = mls__pool_take(pool, sizeof(mls__object), &object);
    if (!status && bytes)
        status = mls__pool_take(pool, bytes, &block);
    if (status) {
        mls__pool_give(pool, object, sizeof(mls__object));
        return status;
    }
    *ret_object = object;
    **ret_object = (mls__object){.refs = 1, .block = block, .block_bytes = bytes};
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

/* Room for more items; the old array goes back. */
static mls_status grow_to(mls__pool *pool, mls__object *sequence, size_t capacity)
{
    void *items;
    const mls_status status = mls__pool_take_array(pool, capacity, sizeof *sequence->items, &items);
    if (status)
        return status;
    if (sequence->count)
        memcpy(items, sequence->items, sequence->count * sizeof *sequence->items);
    mls__pool_give(pool, sequence->items, sequence->capacity * sizeof *sequence->items);
    sequence->items = items;
    sequence->capacity = capacity;
    return MLS_OK;
}

mls_status mls__object_sequence(mls__pool *pool, int32_t dtype, size_t capacity,
                                mls__object **ret_object)
{
    mls_status status = obtain(pool, 0, ret_object);
    if (status)
        return status;
    (*ret_object)->kind = MLS_VALUE_SEQUENCE;
    (*ret_object)->dtype = dtype;
    if (capacity)
        status = grow_to(pool, *ret_object, capacity);
    if (status) {
        mls__object_unref(pool, *ret_object);
        *ret_object = NULL;
    }
    return status;
}

mls_status mls__object_append(mls__pool *pool, mls__object *sequence, mls__object *item)
{
    if (sequence->count == sequence->capacity) {
        const mls_status status =
            grow_to(pool, sequence, sequence->capacity ? 2 * sequence->capacity : 8);
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

mls_status mls__object_make_text(mls__pool *pool, mls__object *tensor, size_t bytes)
{
    void *text;
    const mls_status status = mls__pool_take(pool, bytes, &text);
    if (status)
        return status;
    tensor->text = text;
    tensor->text_bytes = bytes;
    return MLS_OK;
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
    const mls_status status = mls__object_make_text(pool, tensor, bytes);
    if (status)
        return status;
    char *text = tensor->text;
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

void mls__object_unref(mls__pool *pool, mls__object *object)
{
    if (!object || --object->refs)
        return;
    for (size_t i = 0; i < object->count; i++)
        mls__object_unref(pool, object->items[i]);
    mls__object_unref(pool, object->parent);
    mls_tensor_free(object->view);
    mls__pool_give(pool, object->items, object->capacity * sizeof *object->items);
    mls__pool_give(pool, object->text, object->text_bytes);
    mls__pool_give(pool, object->block, object->block_bytes);
    mls__pool_give(pool, object, sizeof *object);
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
