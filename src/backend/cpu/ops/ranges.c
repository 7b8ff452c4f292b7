/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of elements are cut where no cache line is shared, whatever the element's size. */
#include "backend/cpu/ops/ranges.h"

#include "base/alloc.h"

#include <stdatomic.h>

/* --- tasks ----------------------------------------------------------------------------------- */

/* What is left of a region goes in so many takes: a few long ones, and short ones to the end. */
#define TAKES 4
/* More threads than these begin in the same regions. */
#define MOST_REGIONS 16

typedef struct region {
    _Alignas(64) _Atomic int64_t next;
    int64_t begin, end;
} region;

typedef struct queue {
    mls__cpu_tasks_fn fn;
    void *arg;
    int64_t count; /* of regions */
    region regions[MOST_REGIONS];
} queue;

/* false: none was left. */
static bool take_some(region *r, mls__cpu_take *ret_take)
{
    int64_t begin = atomic_load_explicit(&r->next, memory_order_relaxed), end;
    do {
        if (begin >= r->end)
            return false;
        end = begin + (r->end - begin + TAKES - 1) / TAKES;
    } while (!atomic_compare_exchange_weak_explicit(&r->next, &begin, end, memory_order_relaxed,
                                                    memory_order_relaxed));
    ret_take->begin = begin;
    ret_take->end = end;
    return true;
}

/* One's own region, then what others have left. */
static void run_queue(void *arg, size_t index)
{
    queue *q = arg;
    for (int64_t i = 0; i < q->count; i++) {
        region *r = &q->regions[((int64_t) index + i) % q->count];
        mls__cpu_take take = {.first = r->begin, .last = r->end, .slot = index};
        while (take_some(r, &take))
            q->fn(q->arg, &take);
    }
}

static void cut_regions(queue *q, uint32_t threads, int64_t count, int64_t step)
{
    const int64_t steps = count / step, most = threads < MOST_REGIONS ? threads : MOST_REGIONS;
    q->count = steps < most ? steps : most;
    for (int64_t i = 0; i < q->count; i++) {
        region *r = &q->regions[i];
        r->begin = mls__cpu_part_begin(steps, q->count, i) * step;
        r->end = mls__cpu_part_begin(steps, q->count, i + 1) * step;
        atomic_init(&r->next, r->begin);
    }
}

void mls__cpu_tasks(const mls_kernel_call *call, uint32_t threads, int64_t count, int64_t step,
                    mls__cpu_tasks_fn fn, void *arg)
{
    if (threads < 2 || count < 2) {
        const mls__cpu_take all = {.end = count, .last = count};
        fn(arg, &all);
        return;
    }
    queue q = {.fn = fn, .arg = arg};
    cut_regions(&q, threads, count, step);
    call->parallel_for(call->executor, (size_t) (count < threads ? count : threads), run_queue, &q);
}

/* --- ranges ---------------------------------------------------------------------------------- */

/* More ranges than threads, so that one that is late, or held up, leaves some to the others. */
#define RANGES_A_THREAD 8

typedef struct split {
    mls__cpu_range_fn fn;
    void *arg;
    int64_t count, size;    /* elements in all, and in a range */
    _Atomic int64_t failed; /* the lowest range that failed */
    _Atomic int status;
} split;

static void note_failure(split *work, int64_t range, mls_status status)
{
    int64_t lowest = atomic_load(&work->failed);
    while (range < lowest)
        if (atomic_compare_exchange_weak(&work->failed, &lowest, range)) {
            atomic_store(&work->status, status);
            return;
        }
}

static void run_split(void *arg, const mls__cpu_take *take)
{
    split *work = arg;
    const int64_t begin = take->begin * work->size, end = take->end * work->size;
    const mls_status status = work->fn(work->arg, begin, end < work->count ? end : work->count);
    if (status)
        note_failure(work, take->begin, status);
}

static int64_t range_size(int64_t count, uint32_t threads, int64_t grain, int64_t align)
{
    const int64_t ranges = (int64_t) threads * RANGES_A_THREAD;
    const int64_t size = count / ranges + 1 > grain ? count / ranges + 1 : grain;
    return (size + align - 1) / align * align;
}

static mls_status run_ranges(split *work, const mls_kernel_call *call, uint32_t threads)
{
    const int64_t ranges = (work->count + work->size - 1) / work->size;
    atomic_init(&work->failed, INT64_MAX);
    atomic_init(&work->status, MLS_OK);
    mls__cpu_tasks(call, threads, ranges, 1, run_split, work);
    return (mls_status) atomic_load(&work->status);
}

mls_status mls__cpu_ranges(const mls_kernel_call *call, uint32_t threads, int64_t count,
                           int64_t grain, mls__cpu_range_fn fn, void *arg)
{
    if (threads < 2 || count < 2 * grain)
        return fn(arg, 0, count);
    split work = {.fn = fn,
                  .arg = arg,
                  .count = count,
                  .size = range_size(count, threads, grain, MLS__ALIGN)};
    return run_ranges(&work, call, threads);
}

mls_status mls__cpu_row_ranges(const mls_kernel_call *call, uint32_t threads, int64_t count,
                               int64_t grain, mls__cpu_range_fn fn, void *arg)
{
    if (threads < 2 || count < 2 * grain)
        return fn(arg, 0, count);
    split work = {
        .fn = fn, .arg = arg, .count = count, .size = range_size(count, threads, grain, 1)};
    return run_ranges(&work, call, threads);
}
