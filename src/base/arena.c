/* SPDX-License-Identifier: Apache-2.0 */
/* A list of chunks, each filled front to back. Large blocks get a chunk of their own. */
#include "base/arena.h"

#include <string.h>

#define CHUNK_BYTES 16384
#define LARGE_BYTES 4096
#define SMALL_ALIGN 16

struct mls__arena_chunk {
    mls__arena_chunk *next;
    size_t used, size;
    _Alignas(MLS__ALIGN) unsigned char data[];
};

void mls__arena_init(mls__arena *arena, const mls__allocator *allocator)
{
    arena->allocator = allocator;
    arena->chunks = NULL;
}

void mls__arena_clear(mls__arena *arena)
{
    while (arena->chunks) {
        mls__arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        mls__free(arena->allocator, chunk);
    }
}

void mls__arena_visit(const mls__arena *arena, void (*visit)(void *arg, void *data, size_t size),
                      void *arg)
{
    for (mls__arena_chunk *chunk = arena->chunks; chunk; chunk = chunk->next)
        visit(arg, chunk, sizeof *chunk + chunk->size);
}

static mls__arena_chunk *chunk_create(const mls__arena *arena, size_t size)
{
    size_t total;
    if (!mls__add_size(sizeof(mls__arena_chunk), size, &total))
        return NULL;
    mls__arena_chunk *chunk = mls__alloc(arena->allocator, total);
    if (!chunk)
        return NULL;
    chunk->next = NULL;
    chunk->used = 0;
    chunk->size = size;
    return chunk;
}

/* A chunk of its own goes behind the first, which may still have room for small blocks. */
static void *alloc_large(mls__arena *arena, size_t size)
{
    mls__arena_chunk *chunk = chunk_create(arena, size);
    if (!chunk)
        return NULL;
    chunk->used = size;
    if (arena->chunks) {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    } else {
        arena->chunks = chunk;
    }
    return memset(chunk->data, 0, size);
}

void *mls__arena_alloc(mls__arena *arena, size_t size)
{
    if (size >= LARGE_BYTES)
        return alloc_large(arena, size);
    size = (size + SMALL_ALIGN - 1) / SMALL_ALIGN * SMALL_ALIGN;
    mls__arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->size - chunk->used < size) {
        chunk = chunk_create(arena, CHUNK_BYTES);
        if (!chunk)
            return NULL;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    void *block = chunk->data + chunk->used;
    chunk->used += size;
    return memset(block, 0, size);
}

void *mls__arena_array(mls__arena *arena, size_t count, size_t size)
{
    size_t total;
    return mls__mul_size(count, size, &total) ? mls__arena_alloc(arena, total) : NULL;
}

char *mls__arena_bytes(mls__arena *arena, const void *data, size_t size)
{
    size_t total;
    if (!mls__add_size(size, 1, &total))
        return NULL;
    char *copy = mls__arena_alloc(arena, total);
    if (copy && size)
        memcpy(copy, data, size);
    return copy;
}

char *mls__arena_string(mls__arena *arena, const char *string)
{
    return mls__arena_bytes(arena, string, strlen(string));
}
