/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Indices that come with the data: whoever sends the data may have chosen them, so every one is
 * checked in every run, before anything is read or written through it.
 */
#ifndef MLS_BACKEND_CPU_OPS_INDICES_H
#define MLS_BACKEND_CPU_OPS_INDICES_H

#include <mlscale/ext/backend.h>

#include <stdbool.h>

typedef struct mls__indices {
    const void *data; /* int64 or int32 */
    bool is_wide;     /* int64 */
    int64_t count;
} mls__indices;

static inline int64_t mls__index_at(const mls__indices *indices, int64_t i)
{
    return indices->is_wide ? ((const int64_t *) indices->data)[i]
                            : ((const int32_t *) indices->data)[i];
}

/* An index that was checked, counted from the start of its axis. */
static inline int64_t mls__index_from_start(int64_t index, int64_t bound)
{
    return index < 0 ? index + bound : index;
}

/* Whether an index is outside of [-bound, bound): one comparison, that no index can overflow. */
static inline bool mls__index_is_outside(int64_t index, int64_t bound)
{
    return (uint64_t) index + (uint64_t) bound >= 2 * (uint64_t) bound;
}

/*
 * Index i must be in [-b, b), where b is bounds[i % bound_count]. Errors: MLS_ERANGE, naming the
 * first index that is not, its position in input `input`, and what would be right.
 */
mls_status mls__indices_check(const mls_kernel *kernel, size_t input, const mls__indices *indices,
                              const int64_t *bounds, int64_t bound_count);

#endif
