/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scattering does where an update meets an element: puts the one in the other's place, or
 * reduces the two. Updates are taken in their order, and each result is rounded to the dtype.
 * Integers wrap around; min and max of a NaN are NaN; of bool, add and max are `or`, mul and min
 * are `and`.
 */
#ifndef MLS_BACKEND_CPU_OPS_COMBINE_H
#define MLS_BACKEND_CPU_OPS_COMBINE_H

#include "backend/cpu/ops/half.h"
#include "op/indexing.h"

typedef struct mls__combine mls__combine;
struct mls__combine {
    /* y[offsets[i]] with updates[i], for i < n. */
    void (*scatter)(const mls__combine *combine, void *y, const int64_t *offsets,
                    const void *updates, int64_t n);
    /* y[i] with updates[i], for i < n. */
    void (*row)(const mls__combine *combine, void *y, const void *updates, int64_t n);
    mls__scatter_reduction reduction;
    size_t size; /* bytes of an element */
    mls__half half;
};

/* Errors: MLS_EINVAL (reduction), MLS_EUNSUPPORTED (a dtype that it does not go with). */
mls_status mls__combine_read(const mls__cpu *cpu, const mls_op *op, mls__combine *ret_combine);

#endif
