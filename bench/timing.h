/* SPDX-License-Identifier: Apache-2.0 */
/* How long an engine takes: groups of runs long enough for the clock, or run by run. */
#ifndef MLS_BENCH_TIMING_H
#define MLS_BENCH_TIMING_H

#include "engine.h"

/* The value below which `share` of them lie; sorts them. 0 of none. */
double timing_quantile(double *values, size_t count, double share);

/*
 * Nanoseconds a run: the median over the groups of one round of `seconds`, after a time for
 * caches, and for the threads that another engine left spinning.
 */
double timing_round(const engine *e, void *session, double seconds);

/* Nanoseconds of each of `count` runs, without what reading the clock costs. */
void timing_singles(const engine *e, void *session, double *ret_ns, size_t count);

#endif
