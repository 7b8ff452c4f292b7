/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks by size class, and a list of those that nobody has. */
#include "exec/flow/pool.h"

#include "base/error.h"

#include <string.h>

/* The smallest block, and what the class after the last but one begins with. */
#define LEAST ((size_t) 64)
#define MOST  ((size_t) 1 << 62)

void mls__pool_init(mls__pool *pool, mls_context *context)
{
    pool->context = context;
    mls__vec_init(&pool->blocks, &context->allocator, sizeof(mls__pool_block));
    memset(pool->spares, 0, sizeof pool->spares);
    pool->is_sealed = false;
}

void mls__pool_clear(mls__pool *pool)
{
    for (size_t i = 0; i < pool->blocks.count; i++)
        mls__free(&pool->context->allocator,
                  ((mls__pool_block *) mls__vec_at(&pool->blocks, i))->data);
    mls__vec_clear(&pool->blocks);
    memset(pool->spares, 0, sizeof pool->spares);
}

/* 64 bytes are class 0; then 80, 96, 112, 128, 160 ... */
static size_t class_of(size_t bytes, size_t *ret_rounded)
{
    if (bytes <= LEAST) {
        *ret_rounded = LEAST;
        return 0;
    }
    const unsigned power = 63 - (unsigned) __builtin_clzll(bytes - 1);
    const size_t quarter = (bytes - 1) >> (power - 2) & 3;
    *ret_rounded = (5 + quarter) << (power - 2);
    return 4 * (power - 6) + quarter + 1;
}

static mls_status add_block(mls__pool *pool, size_t bytes, void **ret_block)
{
    if (pool->is_sealed)
        return mls__error(MLS_ESTATE,
                          "the session is sealed, and this run needs %zu bytes more than those "
                          "before the seal: let it run on inputs like these before it is sealed",
                          bytes);
    mls__pool_block *block = mls__vec_push(&pool->blocks);
    if (!block)
        return mls__error_nomem(sizeof *block);
    block->bytes = bytes;
    block->data = mls__alloc(&pool->context->allocator, bytes);
    *ret_block = block->data;
    if (*ret_block)
        return MLS_OK;
    pool->blocks.count--;
    return mls__error_nomem(bytes);
}

mls_status mls__pool_take(mls__pool *pool, size_t bytes, void **ret_block)
{
    size_t rounded;
    if (bytes > MOST)
        return mls__error_nomem(bytes);
    void **spare = &pool->spares[class_of(bytes, &rounded)];
    if (!*spare)
        return add_block(pool, rounded, ret_block);
    *ret_block = *spare;
    memcpy(spare, *ret_block, sizeof *spare);
    return MLS_OK;
}

mls_status mls__pool_take_array(mls__pool *pool, size_t count, size_t size, void **ret_block)
{
    size_t bytes;
    if (!mls__mul_size(count, size, &bytes))
        return mls__error_nomem(SIZE_MAX);
    const mls_status status = mls__pool_take(pool, bytes, ret_block);
    if (!status)
        memset(*ret_block, 0, bytes);
    return status;
}

void mls__pool_give(mls__pool *pool, void *block, size_t bytes)
{
    size_t rounded;
    if (!block)
        return;
    void **spare = &pool->spares[class_of(bytes, &rounded)];
    memcpy(block, spare, sizeof *spare);
    *spare = block;
}

/* A list through the blocks themselves: there is no memory for another. */
mls_status mls__pool_reserve(mls__pool *pool, size_t count, size_t bytes)
{
    void *taken = NULL, *block;
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < count; i++) {
        status = mls__pool_take(pool, bytes, &block);
        if (status)
            break;
        memcpy(block, &taken, sizeof taken);
        taken = block;
    }
    while (taken) {
        block = taken;
        memcpy(&taken, block, sizeof taken);
        mls__pool_give(pool, block, bytes);
    }
    return status;
}

void mls__pool_visit(const mls__pool *pool, void (*visit)(void *arg, void *data, size_t size),
                     void *arg)
{
    visit(arg, pool->blocks.data, pool->blocks.capacity * sizeof(mls__pool_block));
    for (size_t i = 0; i < pool->blocks.count; i++) {
        const mls__pool_block *block = mls__vec_at(&pool->blocks, i);
        visit(arg, block->data, block->bytes);
    }
}
