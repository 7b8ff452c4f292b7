/* SPDX-License-Identifier: Apache-2.0 */
/* The default allocator, and what every other module uses in place of malloc. */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

static void *default_alloc(void *user, size_t size, size_t alignment)
{
    (void) user;
    if (size > SIZE_MAX - alignment)
        return NULL;
    /* aligned_alloc wants a multiple of the alignment. */
    return aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

static void default_free(void *user, void *ptr)
{
    (void) user;
    free(ptr);
}

const mls__allocator mls__allocator_default = {default_alloc, default_free, NULL};

static _Thread_local uint64_t calls;

uint64_t mls__alloc_calls(void)
{
    return calls;
}

void *mls__alloc(const mls__allocator *allocator, size_t size)
{
    calls++;
    return allocator->alloc(allocator->user, size ? size : 1, MLS__ALIGN);
}

void *mls__alloc_array(const mls__allocator *allocator, size_t count, size_t size)
{
    size_t total;
    if (!mls__mul_size(count, size, &total))
        return NULL;
    void *block = mls__alloc(allocator, total);
    if (block)
        memset(block, 0, total);
    return block;
}

char *mls__alloc_bytes(const mls__allocator *allocator, const void *data, size_t size)
{
    size_t total;
    if (!mls__add_size(size, 1, &total))
        return NULL;
    char *copy = mls__alloc(allocator, total);
    if (!copy)
        return NULL;
    if (size)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

char *mls__alloc_string(const mls__allocator *allocator, const char *string)
{
    return mls__alloc_bytes(allocator, string, strlen(string));
}

void mls__free(const mls__allocator *allocator, void *ptr)
{
    calls++;
    if (ptr)
        allocator->free(allocator->user, ptr);
}

bool mls__mul_size(size_t a, size_t b, size_t *ret_product)
{
    return !__builtin_mul_overflow(a, b, ret_product);
}

bool mls__add_size(size_t a, size_t b, size_t *ret_sum)
{
    return !__builtin_add_overflow(a, b, ret_sum);
}

bool mls__mul_i64(int64_t a, int64_t b, int64_t *ret_product)
{
    return !__builtin_mul_overflow(a, b, ret_product);
}

bool mls__add_i64(int64_t a, int64_t b, int64_t *ret_sum)
{
    return !__builtin_add_overflow(a, b, ret_sum);
}

bool mls__align_size(size_t size, size_t *ret_size)
{
    size_t padded;
    if (!mls__add_size(size, MLS__ALIGN - 1, &padded))
        return false;
    *ret_size = padded / MLS__ALIGN * MLS__ALIGN;
    return true;
}
