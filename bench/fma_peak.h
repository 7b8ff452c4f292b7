/* SPDX-License-Identifier: Apache-2.0 */
/* The most that fused multiply-adds can give on one core. */
#ifndef MLS_BENCH_FMA_PEAK_H
#define MLS_BENCH_FMA_PEAK_H

#include <stdint.h>

/* Runs `count` steps of registers alone; gives the floating-point operations done. */
typedef double (*fma_peak_fn)(int64_t count);

double mls__fma_peak_portable(int64_t count);
double mls__fma_peak_avx2(int64_t count);
double mls__fma_peak_avx512(int64_t count);
double mls__fma_peak_neon(int64_t count);

#endif
