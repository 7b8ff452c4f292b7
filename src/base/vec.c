/* SPDX-License-Identifier: Apache-2.0 */
/* Doubles when full, so that pushing costs constant time on average. */
#include "base/vec.h"

#include <string.h>

void mls__vec_init(mls__vec *vec, const mls__allocator *allocator, size_t element_size)
{
    *vec = (mls__vec){.allocator = allocator, .element_size = element_size};
}

void mls__vec_clear(mls__vec *vec)
{
    mls__free(vec->allocator, vec->data);
    mls__vec_init(vec, vec->allocator, vec->element_size);
}

static bool grow(mls__vec *vec)
{
    size_t capacity = 8;
    if (vec->capacity && !mls__mul_size(vec->capacity, 2, &capacity))
        return false;
    size_t bytes;
    if (!mls__mul_size(capacity, vec->element_size, &bytes))
        return false;
    void *data = mls__alloc(vec->allocator, bytes);
    if (!data)
        return false;
    if (vec->count)
        memcpy(data, vec->data, vec->count * vec->element_size);
    mls__free(vec->allocator, vec->data);
    vec->data = data;
    vec->capacity = capacity;
    return true;
}

void *mls__vec_push(mls__vec *vec)
{
    if (vec->count == vec->capacity && !grow(vec))
        return NULL;
    return memset(mls__vec_at(vec, vec->count++), 0, vec->element_size);
}

void *mls__vec_at(const mls__vec *vec, size_t index)
{
    return (unsigned char *) vec->data + index * vec->element_size;
}
