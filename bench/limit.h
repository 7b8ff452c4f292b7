/* SPDX-License-Identifier: Apache-2.0 */
/* What the bench programs share: the clock, numbers, and the limit they hold kernels against. */
#ifndef MLS_BENCH_LIMIT_H
#define MLS_BENCH_LIMIT_H

#include <stddef.h>
#include <stdint.h>

/* Seconds of a clock that never goes back. */
double limit_now(void);

/* The pointer, which must not be NULL: a bench without memory ends. */
void *limit_need(void *pointer);

/* The same numbers each time, in [-0.5, 0.5); aligned, with a cache line to spare, to be freed. */
float *limit_random_floats(int64_t count);

/*
 * GFLOP/s of fused multiply-adds on registers alone, by `threads` at once, in one short round.
 * `isa` is as base/isa.h names it.
 */
double limit_measure(const char *isa, int threads);

#endif
