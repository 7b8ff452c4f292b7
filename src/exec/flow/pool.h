/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a session's flows. What is given back is kept for the next that needs as much, so
 * that runs of the same shapes stop asking the allocator. Sizes are rounded up to classes, four to
 * each power of two, and a block serves its own class alone: there are never more of a class than
 * were once in use together, whatever the order. One session's, hence one thread's.
 */
#ifndef MLS_EXEC_FLOW_POOL_H
#define MLS_EXEC_FLOW_POOL_H

#include "base/context.h"
#include "base/vec.h"

#define MLS__POOL_CLASSES 232

typedef struct mls__pool {
    mls_context *context;
    void *spares[MLS__POOL_CLASSES]; /* of each class; each begins with the address of the next */
    mls__vec blocks;                 /* mls__pool_block: all that there are */
    bool is_sealed;                  /* there will be no more */
} mls__pool;

typedef struct mls__pool_block {
    void *data;
    size_t bytes;
} mls__pool_block;

void mls__pool_init(mls__pool *pool, mls_context *context);

/* Frees all blocks, also those that were not given back. */
void mls__pool_clear(mls__pool *pool);

/* At least `bytes`, not cleared. Errors: MLS_ENOMEM, MLS_ESTATE (sealed, and none is there). */
mls_status mls__pool_take(mls__pool *pool, size_t bytes, void **ret_block);

/* The same for `count` elements, cleared. */
mls_status mls__pool_take_array(mls__pool *pool, size_t count, size_t size, void **ret_block);

/* So that later so many of `bytes` may be in use beside all that are now. */
mls_status mls__pool_reserve(mls__pool *pool, size_t count, size_t bytes);

/* Visits all blocks. */
void mls__pool_visit(const mls__pool *pool, void (*visit)(void *arg, void *data, size_t size),
                     void *arg);

/* `bytes` as they were taken, of an array count * size. NULL is fine. */
void mls__pool_give(mls__pool *pool, void *block, size_t bytes);

#endif
