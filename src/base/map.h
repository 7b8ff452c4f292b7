/* SPDX-License-Identifier: Apache-2.0 */
/* A hash map from strings to numbers, safe against keys chosen to collide. */
#ifndef MLS_BASE_MAP_H
#define MLS_BASE_MAP_H

#include "base/alloc.h"

typedef struct mls__map_slot mls__map_slot;

/* Keys are borrowed, never NULL, and must live as long as the map. */
typedef struct mls__map {
    const mls__allocator *allocator;
    mls__map_slot *slots;
    size_t count, capacity;
    uint64_t seed[2];
} mls__map;

void mls__map_init(mls__map *map, const mls__allocator *allocator);
void mls__map_clear(mls__map *map);

/* Sets `key` to `value`, new or not. false: no memory. */
bool mls__map_set(mls__map *map, const char *key, size_t key_size, size_t value);

/* Whether `key` is there; its value in *ret_value (which may be NULL). */
bool mls__map_get(const mls__map *map, const char *key, size_t key_size, size_t *ret_value);

#endif
