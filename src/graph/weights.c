/* SPDX-License-Identifier: Apache-2.0 */
/* A map from key bytes to blocks that live as long as the model. */
#include "graph/weights.h"

#include "base/thread.h"

#include <string.h>

typedef struct mls__weight_block {
    char *key;
    void *data;
    size_t size;
} mls__weight_block;

mls_status mls__weights_init(mls_weight_cache *cache, const mls__allocator *allocator)
{
    *cache = (mls_weight_cache){.allocator = allocator};
    mls__map_init(&cache->index, allocator);
    return mls__mutex_init(&cache->mutex);
}

void mls__weights_clear(mls_weight_cache *cache)
{
    for (size_t i = 0; i < cache->count; i++) {
        mls__free(cache->allocator, cache->blocks[i].key);
        mls__free(cache->allocator, cache->blocks[i].data);
    }
    mls__free(cache->allocator, cache->blocks);
    mls__map_clear(&cache->index);
    pthread_mutex_destroy(&cache->mutex);
}

void mls__weights_visit(mls_weight_cache *cache, void (*visit)(void *arg, void *data, size_t size),
                        void *arg)
{
    pthread_mutex_lock(&cache->mutex);
    for (size_t i = 0; i < cache->count; i++)
        visit(arg, cache->blocks[i].data, cache->blocks[i].size);
    pthread_mutex_unlock(&cache->mutex);
}

size_t mls__weights_bytes(mls_weight_cache *cache)
{
    size_t total = 0;
    pthread_mutex_lock(&cache->mutex);
    for (size_t i = 0; i < cache->count; i++)
        total += cache->blocks[i].size;
    pthread_mutex_unlock(&cache->mutex);
    return total;
}

static bool reserve(mls_weight_cache *cache)
{
    if (cache->count < cache->capacity)
        return true;
    const size_t capacity = cache->capacity ? 2 * cache->capacity : 16;
    mls__weight_block *blocks = mls__alloc_array(cache->allocator, capacity, sizeof *blocks);
    if (!blocks)
        return false;
    if (cache->count)
        memcpy(blocks, cache->blocks, cache->count * sizeof *blocks);
    mls__free(cache->allocator, cache->blocks);
    cache->blocks = blocks;
    cache->capacity = capacity;
    return true;
}

/* A new block under its key; NULL, and nothing changed, when there is no memory. */
static void *add_block(mls_weight_cache *cache, const void *key, size_t key_bytes, size_t size)
{
    if (!reserve(cache))
        return NULL;
    char *key_copy = mls__alloc_bytes(cache->allocator, key, key_bytes);
    void *data = mls__alloc(cache->allocator, size);
    if (!key_copy || !data || !mls__map_set(&cache->index, key_copy, key_bytes, cache->count)) {
        mls__free(cache->allocator, key_copy);
        mls__free(cache->allocator, data);
        return NULL;
    }
    cache->blocks[cache->count++] = (mls__weight_block){key_copy, data, size};
    return data;
}

static const void *weights_get(mls_weight_cache *cache, const void *key, size_t key_bytes,
                               size_t size_bytes, void (*fill)(void *block, void *arg), void *arg)
{
    size_t at;
    void *data;
    pthread_mutex_lock(&cache->mutex);
    if (mls__map_get(&cache->index, key, key_bytes, &at)) {
        data = cache->blocks[at].data;
    } else {
        data = add_block(cache, key, key_bytes, size_bytes);
        if (data)
            fill(data, arg);
    }
    pthread_mutex_unlock(&cache->mutex);
    return data;
}

const mls_weight_cache_ops mls__weights_ops = {sizeof(mls_weight_cache_ops), weights_get};
