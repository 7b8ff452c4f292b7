/* SPDX-License-Identifier: Apache-2.0 */
/* Splits rows among threads, each with a slice of the workspace for its own. */
#ifndef MLS_BACKEND_CPU_OPS_ML_ROWS_H
#define MLS_BACKEND_CPU_OPS_ML_ROWS_H

#include "backend/cpu/cpu.h"

#include <stdbool.h>

/* A task begins at a multiple of this, so that blocks of rows are whole. */
#define MLS__ROW_BLOCK 32

/* Rows [first, end); `slice` is the task's own. */
typedef void (*mls__row_task_fn)(void *arg, int64_t first, int64_t end, char *slice);

typedef struct mls__row_tasks {
    uint32_t slices;
    size_t slice_bytes; /* a multiple of MLS__ALIGN */
    int64_t grain;      /* rows that are worth a thread */
} mls__row_tasks;

/*
 * For at most `rows` rows and op->threads threads; sets the kernel's workspace too.
 * `row_cost` is about the nanoseconds of a row. MLS_ELIMIT when the workspace overflows.
 */
mls_status mls__row_tasks_init(mls__row_tasks *tasks, mls__cpu_kernel *kernel, const mls_op *op,
                               int64_t rows, double row_cost, size_t slice_bytes);

void mls__row_tasks_run(const mls__row_tasks *tasks, const mls_kernel_call *call, int64_t rows,
                        mls__row_task_fn fn, void *arg);

/* Adds `count` elements of `size` bytes to a slice of *slice_bytes; false when that overflows. */
bool mls__slice_add(size_t *slice_bytes, size_t count, size_t size, size_t *ret_offset);

#endif
