/* SPDX-License-Identifier: Apache-2.0 */
/* Splits the elements of an output among threads. */
#ifndef MLS_BACKEND_CPU_OPS_RANGES_H
#define MLS_BACKEND_CPU_OPS_RANGES_H

#include <mlscale/ext/backend.h>

/*
 * Works on elements [begin, end). No message is set here: it would be some helper
 * thread's. The caller of mls__cpu_ranges() sets it.
 */
typedef mls_status (*mls__cpu_range_fn)(void *arg, int64_t begin, int64_t end);

/*
 * fn over [0, count): in one call, or in several at once with at least `grain` elements
 * each, where a thread may do more than one. Gives the status of a range that failed,
 * the lowest one that did.
 */
mls_status mls__cpu_ranges(const mls_kernel_call *call, uint32_t threads, int64_t count,
                           int64_t grain, mls__cpu_range_fn fn, void *arg);

/*
 * The same for rows, planes or slices that lie apart in memory: few of them may be many elements,
 * so that any number of them makes a range.
 */
mls_status mls__cpu_row_ranges(const mls_kernel_call *call, uint32_t threads, int64_t count,
                               int64_t grain, mls__cpu_range_fn fn, void *arg);

/* Tasks begin .. end-1 of a region first .. last-1, and a slot that is nobody else's meanwhile. */
typedef struct mls__cpu_take {
    int64_t begin, end, first, last;
    size_t slot;
} mls__cpu_take;

typedef void (*mls__cpu_tasks_fn)(void *arg, const mls__cpu_take *take);

/*
 * fn over tasks 0 .. count-1, with slots below `threads`. Each thread begins in a region of its
 * own, which is the same from node to node, so that it finds in its cache what it wrote there; then
 * it helps the others. It takes several tasks that follow each other, and ever fewer: one that is
 * late, or held up, leaves the rest to the others. What a task gives must not depend on who took
 * which. Regions are as many steps of `step` tasks, of which there are `count` / `step`.
 */
void mls__cpu_tasks(const mls_kernel_call *call, uint32_t threads, int64_t count, int64_t step,
                    mls__cpu_tasks_fn fn, void *arg);

/* Where part `index` of `parts` nearly equal parts of n begins. */
static inline int64_t mls__cpu_part_begin(int64_t n, int64_t parts, int64_t index)
{
    return n / parts * index + n % parts * index / parts;
}

/* task(arg, 0 .. shares-1) at once; one share runs in the calling thread. */
static inline void mls__cpu_shares(const mls_kernel_call *call, int64_t shares, mls_task_fn task,
                                   void *arg)
{
    if (shares < 2)
        task(arg, 0);
    else
        call->parallel_for(call->executor, (size_t) shares, task, arg);
}

#endif
