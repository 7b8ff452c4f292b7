/* SPDX-License-Identifier: Apache-2.0 */
/* Many small allocations that live and die together: a graph, a plan. */
#ifndef MLS_BASE_ARENA_H
#define MLS_BASE_ARENA_H

#include "base/alloc.h"

typedef struct mls__arena_chunk mls__arena_chunk;

/* Owned by one thread at a time. */
typedef struct mls__arena {
    const mls__allocator *allocator;
    mls__arena_chunk *chunks;
} mls__arena;

void mls__arena_init(mls__arena *arena, const mls__allocator *allocator);

/* Frees everything taken from the arena; it may be used again. */
void mls__arena_clear(mls__arena *arena);

/* Zero-filled, aligned to 16; blocks of 4 KiB and more are aligned to 64. NULL: no memory. */
void *mls__arena_alloc(mls__arena *arena, size_t size);
void *mls__arena_array(mls__arena *arena, size_t count, size_t size);

/* Calls visit(arg, data, size) for each piece of memory that the arena holds. */
void mls__arena_visit(const mls__arena *arena, void (*visit)(void *arg, void *data, size_t size),
                      void *arg);

/* A copy with a NUL behind it. */
char *mls__arena_bytes(mls__arena *arena, const void *data, size_t size);
char *mls__arena_string(mls__arena *arena, const char *string);

#endif
