/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel of the Reduce ops.
 *
 * Elements are reduced in float32, float64, int64 or uint64: others are widened to one of these
 * first, and results narrowed again. Axes are taken from the innermost outwards, neighbours as
 * one, a pass each.
 */
#ifndef MLS_BACKEND_CPU_OPS_REDUCE_H
#define MLS_BACKEND_CPU_OPS_REDUCE_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/reduce_plain.h"

typedef enum mls__reduce_type {
    MLS__REDUCE_F32,
    MLS__REDUCE_F64,
    MLS__REDUCE_I64,
    MLS__REDUCE_U64
} mls__reduce_type;

/* What is done on results. */
typedef enum mls__reduce_finish {
    MLS__FINISH_NONE,
    MLS__FINISH_MEAN,
    MLS__FINISH_SQRT,
    MLS__FINISH_LOG
} mls__reduce_finish;

/* From [outer, n, inner] to [outer, inner]. */
typedef struct mls__reduce_pass {
    int64_t outer, n, inner;
    bool is_rows; /* along the innermost axis: inner is 1 */
} mls__reduce_pass;

typedef struct mls__reduce {
    mls__cpu_kernel base;
    mls__reduce_op op;
    mls__reduce_finish finish;
    mls__reduce_type type; /* of the computation */
    int32_t dtype;         /* of the elements */
    size_t y_index;        /* of the call's buffers */
    uint32_t threads;
    bool widens, narrows;
    mls__half half;
    const mls__reduce_plain *plain; /* of types other than float32 */
    int64_t x_count, y_count;
    int64_t reduced_count; /* elements that make one result */
    int pass_count;
    mls__reduce_pass passes[MLS_MAX_RANK];
    uint64_t partial_offset[2]; /* in the workspace, whose start is for what is widened */
} mls__reduce;

/* Bytes of an element of the computation. */
static inline int64_t mls__reduce_size(const mls__reduce *r)
{
    return r->type == MLS__REDUCE_F32 ? 4 : 8;
}

/* Elements [begin, end) of x, widened to those of `wide`. */
void mls__reduce_widen(const mls__reduce *r, const void *x, void *wide, int64_t begin, int64_t end);

/* Results [begin, end), finished, as elements of y; `results` may be y. */
void mls__reduce_results(const mls__reduce *r, void *results, void *y, int64_t begin, int64_t end);

#endif
