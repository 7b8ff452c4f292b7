/* SPDX-License-Identifier: Apache-2.0 */
/* What kernels prepare once for a model and share between its sessions. */
#ifndef MLS_GRAPH_WEIGHTS_H
#define MLS_GRAPH_WEIGHTS_H

#include "base/alloc.h"
#include "base/map.h"

#include <mlscale/ext/backend.h>

#include <pthread.h>

struct mls_weight_cache {
    const mls__allocator *allocator;
    pthread_mutex_t mutex; /* guards all below; a leaf, held while a block is filled */
    mls__map index;        /* key -> position in blocks */
    struct mls__weight_block *blocks;
    size_t count, capacity;
};

mls_status mls__weights_init(mls_weight_cache *cache, const mls__allocator *allocator);
void mls__weights_clear(mls_weight_cache *cache);

/* Calls visit(arg, data, size) for each block. Its lock is held: no run, no session creation. */
void mls__weights_visit(mls_weight_cache *cache, void (*visit)(void *arg, void *data, size_t size),
                        void *arg);

/* Bytes held, for reports. */
size_t mls__weights_bytes(mls_weight_cache *cache);

extern const mls_weight_cache_ops mls__weights_ops;

#endif
