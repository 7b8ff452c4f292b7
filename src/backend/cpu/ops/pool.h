/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel of MaxPool, AveragePool and LpPool: plane by plane, row of the output by row. A task
 * takes some of the planes and has memory of its own in the workspace.
 */
#ifndef MLS_BACKEND_CPU_OPS_POOL_H
#define MLS_BACKEND_CPU_OPS_POOL_H

#include "backend/cpu/kernels/pool.h"
#include "backend/cpu/ops/float_work.h"
#include "op/pooling.h"

/* What is done on sums. */
typedef enum mls__pool_finish {
    MLS__POOL_FINISH_NONE,
    MLS__POOL_FINISH_MEAN,
    MLS__POOL_FINISH_SQRT,
    MLS__POOL_FINISH_POWER
} mls__pool_finish;

typedef struct mls__pool {
    mls__cpu_kernel base;
    const mls__pool_kernels *fns;
    mls__pool_op op;
    mls__pool_finish finish;
    int32_t dtype, work_dtype;
    size_t x_size, size;      /* of an element; `size` of the computation */
    bool is_staged;           /* planes are converted, or raised to p, first */
    mls__number p, inverse_p; /* for FINISH_POWER */
    bool counts_padding;      /* in means */
    bool has_indices;
    bool is_column_major; /* the indices are */
    uint32_t threads;
    int64_t tasks; /* at most */
    mls__pooling g;
    int64_t x_plane, y_plane, y_rows; /* elements of a plane; rows of the output's */
    int64_t row_length;               /* of a padded row, with slack */
    int64_t block_rows;               /* of the output, that are worked on together */
    /* In a task's memory: the staged plane, padded rows, rows to reduce, windows, counts, y. */
    uint64_t plane_offset, row_offset, rows_offset, windows_offset[MLS_MAX_RANK];
    uint64_t counts_offset, divisors_offset, full_offset, outer_offset, y_offset;
    uint64_t task_bytes;
} mls__pool;

/* Plane `plane` of the indices and of the maxima. */
void mls__pool_indexed_plane(const mls__pool *k, const mls_kernel_call *call, int64_t plane);

#endif
