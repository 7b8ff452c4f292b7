/* SPDX-License-Identifier: Apache-2.0 */
/* See ml_rows.h. */
#include "backend/cpu/ops/ml_rows.h"

#include <inttypes.h>

/* A thread is worth this many nanoseconds of work. */
#define TASK_NS 20000.0

mls_status mls__row_tasks_init(mls__row_tasks *tasks, mls__cpu_kernel *kernel, const mls_op *op,
                               int64_t rows, double row_cost, size_t slice_bytes)
{
    const int64_t blocks = rows / MLS__ROW_BLOCK + 1;
    const double grain = TASK_NS / (row_cost > 1.0 ? row_cost : 1.0);
    *tasks = (mls__row_tasks){
        .slices = op->threads < blocks ? op->threads : (uint32_t) blocks,
        .slice_bytes = slice_bytes,
        .grain = (int64_t) grain + 1,
    };
    size_t bytes;
    if (!mls__mul_size(slice_bytes, tasks->slices, &bytes))
        return mls__op_error(op, MLS_ELIMIT,
                             "%" PRIu32 " times %zu bytes of scratch memory are more than can be",
                             tasks->slices, slice_bytes);
    kernel->base.workspace_bytes = bytes;
    return MLS_OK;
}

typedef struct row_split {
    const mls__row_tasks *tasks;
    mls__row_task_fn fn;
    void *arg;
    char *workspace;
    int64_t rows, task_rows;
} row_split;

static void run_task(void *arg, size_t index)
{
    const row_split *split = arg;
    const int64_t first = (int64_t) index * split->task_rows;
    const int64_t left = split->rows - first;
    split->fn(split->arg, first, left < split->task_rows ? split->rows : first + split->task_rows,
              split->workspace + index * split->tasks->slice_bytes);
}

void mls__row_tasks_run(const mls__row_tasks *tasks, const mls_kernel_call *call, int64_t rows,
                        mls__row_task_fn fn, void *arg)
{
    int64_t count = rows / tasks->grain < tasks->slices ? rows / tasks->grain : tasks->slices;
    if (count <= 1) {
        if (rows > 0)
            fn(arg, 0, rows, call->workspace);
        return;
    }
    const int64_t blocks = (rows + MLS__ROW_BLOCK - 1) / MLS__ROW_BLOCK;
    const int64_t task_rows = (blocks + count - 1) / count * MLS__ROW_BLOCK;
    row_split split = {tasks, fn, arg, call->workspace, rows, task_rows};
    count = (rows + task_rows - 1) / task_rows;
    call->parallel_for(call->executor, (size_t) count, run_task, &split);
}

bool mls__slice_add(size_t *slice_bytes, size_t count, size_t size, size_t *ret_offset)
{
    size_t bytes, end;
    *ret_offset = *slice_bytes;
    return mls__mul_size(count, size, &bytes) && mls__add_size(*slice_bytes, bytes, &end) &&
           mls__align_size(end, slice_bytes);
}
