/* SPDX-License-Identifier: Apache-2.0 */
/* A table from keys that attributes hold to their positions, shared by all sessions of a model. */
#ifndef MLS_BACKEND_CPU_OPS_ML_LOOKUP_H
#define MLS_BACKEND_CPU_OPS_ML_LOOKUP_H

#include "backend/cpu/cpu.h"

#define MLS__LOOKUP_NONE SIZE_MAX

struct mls__lookup_table;

typedef struct mls__lookup {
    int32_t dtype; /* of the keys: string, int64, int32, int16, float32 or float64 */
    size_t count;
    const void *keys;
    const struct mls__lookup_table *table;
} mls__lookup;

/*
 * `keys` live as long as the model. Of equal keys the last one counts; all NaN are equal, as
 * are zeros of both signs. Errors: MLS_ENOMEM, MLS_ELIMIT.
 */
mls_status mls__lookup_init(mls__lookup *lookup, const mls_op *op, int32_t dtype, const void *keys,
                            size_t count);

/* The position of an element of the keys' dtype, or MLS__LOOKUP_NONE. */
size_t mls__lookup_find(const mls__lookup *lookup, const void *element);

#endif
