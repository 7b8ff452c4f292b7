/* SPDX-License-Identifier: Apache-2.0 */
/* What GatherND and ScatterND share: the slice of the data that a tuple of indices names. */
#ifndef MLS_BACKEND_CPU_OPS_TUPLES_H
#define MLS_BACKEND_CPU_OPS_TUPLES_H

#include "backend/cpu/ops/indices.h"

typedef struct mls__tuples {
    int64_t count; /* of tuples */
    int64_t size;  /* indices in each */
    int64_t slice; /* elements that one names */
    /* Each `group` tuples have a part of the data of their own, `part` elements large. */
    int64_t group, part;
    int64_t bounds[MLS_MAX_RANK], steps[MLS_MAX_RANK]; /* of each index; steps in elements */
} mls__tuples;

/* Of the axes after the first `batch`. */
void mls__tuples_plan(mls__tuples *tuples, const mls_arg *data, const mls_arg *indices, int batch);

/* The first element of the slice that tuple i names; its indices (int64) were checked. */
static inline int64_t mls__tuple_offset(const mls__tuples *tuples, const int64_t *indices,
                                        int64_t i)
{
    const int64_t *tuple = indices + i * tuples->size;
    int64_t offset = i / tuples->group * tuples->part;
    for (int64_t j = 0; j < tuples->size; j++)
        offset += mls__index_from_start(tuple[j], tuples->bounds[j]) * tuples->steps[j];
    return offset;
}

#endif
