/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of a rank that the others read, wherever it lies in their own mapping of it.
 *
 * The list of blocks is this process's own. Nobody else writes to the arena, so that what is
 * read there can be wrong and never out of bounds. Pages stay until the group is gone.
 */
#include "transport/shm/shm.h"

#define BLOCK_ALIGN  ((size_t) 4096)
#define RESERVE_STEP ((size_t) 2 << 20)

struct shm_block {
    shm_block *next;
    size_t offset, size; /* in the arena */
    bool is_used;
};

static unsigned char *arena_of(const shm_link *link, uint32_t rank)
{
    return link->memory.base + link->memory.arenas + rank * link->memory.arena_span;
}

/* --- blocks ---------------------------------------------------------------------------------- */

static shm_block *new_block(const shm_link *link, size_t offset, size_t size, shm_block *next)
{
    const mls_plugin_host *host = link->hub->host;
    shm_block *block = host->alloc(host->context, sizeof *block);
    if (block)
        *block = (shm_block){next, offset, size, false};
    else
        host->error(MLS_ENOMEM, "out of memory: the allocator refused %zu bytes", sizeof *block);
    return block;
}

/* Cuts the block, so that it has `size` bytes. */
static mls_status cut(const shm_link *link, shm_block *block, size_t size)
{
    if (block->size == size)
        return MLS_OK;
    shm_block *rest = new_block(link, block->offset + size, block->size - size, block->next);
    if (!rest)
        return MLS_ENOMEM;
    block->next = rest;
    block->size = size;
    return MLS_OK;
}

static void merge_with_next(const shm_link *link, shm_block *block)
{
    shm_block *next = block->next;
    if (!next || next->is_used || block->is_used)
        return;
    block->size += next->size;
    block->next = next->next;
    link->hub->host->free(link->hub->host->context, next);
}

static void give_back(const shm_link *link, size_t offset)
{
    shm_block *before = NULL, *block = link->arena.blocks;
    while (block && block->offset != offset) {
        before = block;
        block = block->next;
    }
    if (!block)
        return;
    block->is_used = false;
    merge_with_next(link, block);
    if (before)
        merge_with_next(link, before);
}

/* Pages up to there, in steps. */
static mls_status reserve(shm_link *link, size_t end)
{
    const size_t span = link->memory.arena_span;
    const size_t reserved = link->arena.reserved;
    const size_t rounded = mls__round_up(end, RESERVE_STEP);
    const size_t wanted = rounded < span ? rounded : span;
    if (wanted <= reserved)
        return MLS_OK;
    const mls_status status =
        shm_memory_reserve(link, arena_of(link, link->rank) + reserved, wanted - reserved);
    if (status)
        return status;
    link->arena.reserved = wanted;
    atomic_store(&shm_seat_of(link, link->rank)->arena_end, wanted);
    return MLS_OK;
}

static mls_status take(shm_link *link, size_t size, size_t *ret_offset)
{
    shm_arena *arena = &link->arena;
    const size_t span = link->memory.arena_span;
    if (!arena->blocks)
        arena->blocks = new_block(link, 0, span, NULL);
    if (!arena->blocks)
        return MLS_ENOMEM;
    shm_block *block = arena->blocks;
    while (block && (block->is_used || block->size < size))
        block = block->next;
    if (!block)
        return link->hub->host->error(MLS_ENOMEM,
                                      "the arena of %zu bytes has no room for %zu; \"?arena=\" in "
                                      "the URL asks for more",
                                      span, size);
    mls_status status = cut(link, block, size);
    if (!status)
        status = reserve(link, block->offset + size);
    if (status)
        return status;
    block->is_used = true;
    *ret_offset = block->offset;
    return MLS_OK;
}

mls_status shm_allocate(void *self, size_t size_bytes, void **ret_data)
{
    shm_link *link = self;
    size_t offset;
    if (!link->room)
        return link->hub->host->error(MLS_ESTATE, "the group has not been joined");
    if (size_bytes > SIZE_MAX - BLOCK_ALIGN)
        return link->hub->host->error(MLS_ENOMEM, "%zu bytes are too many", size_bytes);
    const size_t size = size_bytes ? mls__round_up(size_bytes, BLOCK_ALIGN) : BLOCK_ALIGN;
    pthread_mutex_lock(&link->arena.mutex);
    const mls_status status = take(link, size, &offset);
    pthread_mutex_unlock(&link->arena.mutex);
    if (!status)
        *ret_data = arena_of(link, link->rank) + offset;
    return status;
}

void shm_release(void *self, void *data)
{
    shm_link *link = self;
    pthread_mutex_lock(&link->arena.mutex);
    give_back(link, (size_t) ((unsigned char *) data - arena_of(link, link->rank)));
    pthread_mutex_unlock(&link->arena.mutex);
}

void shm_arena_clear(shm_link *link)
{
    const mls_plugin_host *host = link->hub->host;
    for (shm_block *block = link->arena.blocks, *next; block; block = next) {
        next = block->next;
        host->free(host->context, block);
    }
    link->arena.blocks = NULL;
    pthread_mutex_destroy(&link->arena.mutex);
}

/* --- reading --------------------------------------------------------------------------------- */

mls_status shm_read_begin(void *self)
{
    return shm_is_aborted(self) ? MLS_ECANCELLED : MLS_OK;
}

void shm_read_end(void *self)
{
    (void) self;
}

const void *shm_read(void *self, uint32_t rank, uint64_t address, size_t size_bytes)
{
    const shm_link *link = self;
    const size_t span = link->memory.arena_span;
    const uint64_t begin = link->lanes[rank].mapping + link->memory.arenas + rank * (uint64_t) span;
    const uint64_t end = atomic_load(&shm_seat_of(link, rank)->arena_end);
    const uint64_t offset = address - begin; /* below it: past the span */
    if (end > span || offset > end || size_bytes > end - offset)
        return NULL;
    return arena_of(link, rank) + offset;
}
