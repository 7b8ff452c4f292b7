/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open addressing with linear probing, at most half full. Names come from model
 * files, so the hash is SipHash-1-3 under a random key (Aumasson and Bernstein,
 * "SipHash: a fast short-input PRF", 2012): nobody can choose names that collide.
 */
#include "base/map.h"

#include <string.h>
#include <sys/random.h>

struct mls__map_slot {
    const char *key; /* NULL: free */
    size_t key_size;
    uint64_t hash;
    size_t value;
};

typedef struct sip {
    uint64_t v0, v1, v2, v3;
} sip;

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32) + s->v3;
    s->v2 += s->v1;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static void sip_word(sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

static uint64_t hash_bytes(const uint64_t seed[2], const char *data, size_t size)
{
    sip s = {
        seed[0] ^ UINT64_C(0x736f6d6570736575),
        seed[1] ^ UINT64_C(0x646f72616e646f6d),
        seed[0] ^ UINT64_C(0x6c7967656e657261),
        seed[1] ^ UINT64_C(0x7465646279746573),
    };
    uint64_t word;
    size_t left = size;
    for (; left >= sizeof word; left -= sizeof word, data += sizeof word) {
        memcpy(&word, data, sizeof word);
        sip_word(&s, word);
    }
    word = 0;
    memcpy(&word, data, left);
    sip_word(&s, word | (uint64_t) size << 56);
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

void mls__map_init(mls__map *map, const mls__allocator *allocator)
{
    *map = (mls__map){.allocator = allocator};
    /* Without entropy the map still works; only the protection is weaker. */
    if (getrandom(map->seed, sizeof map->seed, GRND_NONBLOCK) != (ssize_t) sizeof map->seed)
        map->seed[0] = (uint64_t) (uintptr_t) map;
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
    const uint64_t hash = hash_bytes(map->seed, key, key_size);
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
    const mls__map_slot *slot =
        find(map, key, key_size, hash_bytes(map->seed, key, key_size));
    if (!slot->key)
        return false;
    if (ret_value)
        *ret_value = slot->value;
    return true;
}
