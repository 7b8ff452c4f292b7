/* SPDX-License-Identifier: Apache-2.0 */
/* Shared ownership: who drops the last reference frees the object. */
#ifndef MLS_BASE_REFCOUNT_H
#define MLS_BASE_REFCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>

typedef struct mls__refcount {
    atomic_uint count;
} mls__refcount;

static inline void mls__refcount_init(mls__refcount *refs)
{
    atomic_init(&refs->count, 1);
}

static inline void mls__refcount_take(mls__refcount *refs)
{
    atomic_fetch_add_explicit(&refs->count, 1, memory_order_relaxed);
}

/* Whether that was the last one. All writes made under other references are then visible. */
static inline bool mls__refcount_drop(mls__refcount *refs)
{
    return atomic_fetch_sub_explicit(&refs->count, 1, memory_order_acq_rel) == 1;
}

#endif
