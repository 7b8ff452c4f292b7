/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open addressing with linear probing, at most half full. Names come from model
 * files, so the hash has a random seed: nobody can choose names that collide.
 */
#include "base/map.h"

#include "base/hash.h"

#include <string.h>

struct mls__map_slot {
    const char *key; /* NULL: free */
    size_t key_size;
    uint64_t hash;
    size_t value;
};

void mls__map_init(mls__map *map, const mls__allocator *allocator)
{
    *map = (mls__map){.allocator = allocator};
    mls__hash_seed(map->seed, map);
}

void mls__map_clear(mls__map *map)
{
    mls__free(map->allocator, map->slots);
    map->slots = NULL;
    map->count = map->capacity = 0;
}

/* The slot that holds the key, or the free one where it belongs. */
static mls__map_slot *find(const mls__map *map, const char *key, size_t key_size, uint64_t hash)
{
    const size_t mask = map->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        mls__map_slot *slot = &map->slots[i];
        if (!slot->key)
            return slot;
        if (slot->hash == hash && slot->key_size == key_size &&
            memcmp(slot->key, key, key_size) == 0)
            return slot;
    }
}

static bool grow(mls__map *map)
{
    mls__map old = *map;
    size_t capacity = 16;
    if (old.capacity && !mls__mul_size(old.capacity, 2, &capacity))
        return false;
    mls__map_slot *slots = mls__alloc_array(map->allocator, capacity, sizeof *slots);
    if (!slots)
        return false;
    map->slots = slots;
    map->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        const mls__map_slot *slot = &old.slots[i];
        if (slot->key)
            *find(map, slot->key, slot->key_size, slot->hash) = *slot;
    }
    mls__free(map->allocator, old.slots);
    return true;
}

bool mls__map_set(mls__map *map, const char *key, size_t key_size, size_t value)
{
    if (map->count * 2 >= map->capacity && !grow(map))
        return false;
    const uint64_t hash = mls__hash_bytes(map->seed, key, key_size);
    mls__map_slot *slot = find(map, key, key_size, hash);
    if (!slot->key)
        map->count++;
    *slot = (mls__map_slot){key, key_size, hash, value};
    return true;
}

bool mls__map_get(const mls__map *map, const char *key, size_t key_size, size_t *ret_value)
{
    if (!map->count)
        return false;
    const mls__map_slot *slot = find(map, key, key_size, mls__hash_bytes(map->seed, key, key_size));
    if (!slot->key)
        return false;
    if (ret_value)
        *ret_value = slot->value;
    return true;
}
