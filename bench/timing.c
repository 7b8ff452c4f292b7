/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring, apart from what is measured. A run that fails ends the program: nothing was learned.
 */
#include "timing.h"

#include "limit.h"

#include <stdlib.h>

enum { GROUPS_MOST = 4096, GROUP_RUNS_MOST = 100000, CLOCK_READS = 1001 };
#define GROUP_SECONDS 20e-6
#define WARM_SECONDS  3e-3

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

double timing_quantile(double *values, size_t count, double share)
{
    if (!count)
        return 0;
    qsort(values, count, sizeof *values, compare_doubles);
    return values[(size_t) (share * (double) (count - 1) + 0.5)];
}

/* Seconds of `count` runs. */
static double time_group(const engine *e, void *session, size_t count)
{
    const double start = limit_now();
    for (size_t i = 0; i < count; i++)
        if (!e->run(session))
            exit(EXIT_FAILURE);
    return limit_now() - start;
}

static void warm(const engine *e, void *session)
{
    const double end = limit_now() + WARM_SECONDS;
    do
        time_group(e, session, 1);
    while (limit_now() < end);
}

double timing_round(const engine *e, void *session, double seconds)
{
    static double groups[GROUPS_MOST];
    size_t in_group = 1, count = 0;
    warm(e, session);
    while (in_group < GROUP_RUNS_MOST && time_group(e, session, in_group) < GROUP_SECONDS)
        in_group *= 2;
    const double end = limit_now() + seconds;
    while (count < GROUPS_MOST && (limit_now() < end || count < 3))
        groups[count++] = time_group(e, session, in_group) * 1e9 / (double) in_group;
    return timing_quantile(groups, count, 0.5);
}

static double clock_ns(void)
{
    double reads[CLOCK_READS];
    for (size_t i = 0; i < CLOCK_READS; i++) {
        const double start = limit_now();
        reads[i] = (limit_now() - start) * 1e9;
    }
    return timing_quantile(reads, CLOCK_READS, 0.5);
}

void timing_singles(const engine *e, void *session, double *ret_ns, size_t count)
{
    warm(e, session);
    const double clock = clock_ns();
    for (size_t i = 0; i < count; i++) {
        const double ns = time_group(e, session, 1) * 1e9 - clock;
        ret_ns[i] = ns > 0 ? ns : 0;
    }
}
