/* SPDX-License-Identifier: Apache-2.0 */
/* Who may pass a large job that waits for room. */
#include "job/backfill.h"

#include "job/resources.h"

#include <stdlib.h>

#define ENOUGH_SAMPLES 32

uint64_t mls__backfill_expected_ns(uint64_t samples, uint64_t p95_ns)
{
    return samples < ENOUGH_SAMPLES ? 0 : p95_ns;
}

static int compare_ends(const void *a, const void *b)
{
    const mls_queue_run *x = a, *y = b;
    return (x->ends_ns > y->ends_ns) - (x->ends_ns < y->ends_ns);
}

static void add(mls_resources *sum, const mls_resources *more, int64_t sign)
{
    sum->cpu_milli += sign * more->cpu_milli;
    sum->memory_bytes += sign * more->memory_bytes;
    sum->gpus += sign * more->gpus;
}

uint64_t mls__backfill_start_ns(const mls_resources *capacity, const mls_resources *needs,
                                mls_queue_run *runs, size_t count, uint64_t now_ns)
{
    static const mls_resources nothing;
    mls_resources used = nothing;
    uint64_t start_ns = now_ns;
    for (size_t i = 0; i < count; i++)
        add(&used, &runs[i].takes, 1);
    if (count)
        qsort(runs, count, sizeof *runs, compare_ends);
    for (size_t i = 0; i < count; i++) {
        if (mls__resources_have_room(capacity, &used, &nothing, needs))
            break;
        add(&used, &runs[i].takes, -1);
        start_ns = runs[i].ends_ns > start_ns ? runs[i].ends_ns : start_ns;
    }
    return start_ns;
}
