/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of a machine: as many threads as asked for, each at the registers of its own core. */
#include "limit.h"

#include "fma_peak.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS_MOST = 64 };

/* The first whose name begins that of the instruction set: avx2vnni is avx2 here. */
static const struct {
    const char *isa;
    fma_peak_fn run;
    int64_t count;
} peaks[] = {
    {"portable", mls__fma_peak_portable, 100000},
#if defined(__x86_64__)
    {"avx2", mls__fma_peak_avx2, 1000000},
    {"avx512", mls__fma_peak_avx512, 1000000},
#elif defined(__aarch64__)
    {"neon", mls__fma_peak_neon, 1000000},
#endif
};

double limit_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

void *limit_need(void *pointer)
{
    if (!pointer) {
        fputs("no memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return pointer;
}

float *limit_random_floats(int64_t count)
{
    float *p = limit_need(aligned_alloc(64, ((size_t) count * sizeof *p + 63) / 64 * 64 + 64));
    uint32_t state = 1;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        p[i] = (float) (state >> 8) * 0x1p-24f - 0.5f;
    }
    return p;
}

/* What a thread measured; each its own share. */
typedef struct share {
    const char *isa;
    double gflops;
} share;

static void *run_share(void *arg)
{
    share *s = arg;
    for (size_t i = 0; i < sizeof peaks / sizeof peaks[0]; i++) {
        if (strncmp(peaks[i].isa, s->isa, strlen(peaks[i].isa)) != 0)
            continue;
        const double start = limit_now();
        const double flops = peaks[i].run(peaks[i].count);
        s->gflops = flops / (limit_now() - start) * 1e-9;
        break;
    }
    return NULL;
}

double limit_measure(const char *isa, int threads)
{
    share shares[THREADS_MOST] = {{isa, 0}};
    pthread_t helpers[THREADS_MOST];
    int started = 1;
    for (; started < threads && started < THREADS_MOST; started++) {
        shares[started].isa = isa;
        if (pthread_create(&helpers[started], NULL, run_share, &shares[started]))
            break;
    }
    run_share(&shares[0]);
    double gflops = shares[0].gflops;
    for (int i = 1; i < started; i++) {
        pthread_join(helpers[i], NULL);
        gflops += shares[i].gflops;
    }
    return gflops;
}
