/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of 8-bit integers on one core: uint8 by int8 into int32, B packed.
 *
 *     bench/gemm_int8 [ISA]
 *
 * A multiplication with its addition counts as two operations. The figures are the best of some
 * rounds; operands are as warm as they get.
 */
#include "backend/cpu/kernels/kernels.h"
#include "base/isa.h"

#include <mlscale.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 9 };
#define ROUND_SECONDS 0.004

static const struct {
    int64_t m, n, k;
} shapes[] = {
    {1, 256, 256},    {1, 1024, 1024},  {4, 1024, 1024},    {16, 64, 64},
    {32, 256, 256},   {128, 768, 768},  {256, 256, 256},    {512, 512, 512},
    {128, 3072, 768}, {128, 768, 3072}, {1024, 1024, 1024}, {2048, 2048, 2048},
};

#define SHAPES (sizeof shapes / sizeof shapes[0])

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static void *random_bytes(int64_t count)
{
    uint8_t *p = aligned_alloc(64, ((size_t) count + 63) / 64 * 64);
    uint32_t state = 1;
    if (!p) {
        fputs("no memory\n", stderr);
        exit(1);
    }
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        p[i] = (uint8_t) (state >> 24);
    }
    return p;
}

/* Seconds of one product. */
static double run_product(const mls__gemm_int8_kernels *kernels, const mls__gemm_int8 *g, int64_t m)
{
    const double guess = 2.0 * (double) (m * g->n * g->k) / 500e9 + 20e-9;
    const int calls = 1 + (int) (ROUND_SECONDS / guess);
    const double start = now();
    for (int i = 0; i < calls; i++)
        kernels->run(g, 0, m, 0, mls__int8_panels(g->n));
    return (now() - start) / calls;
}

static void bench_shape(const mls__gemm_int8_kernels *kernels, int64_t m, int64_t n, int64_t k)
{
    uint8_t *a = random_bytes(m * k);
    uint8_t *b = random_bytes(mls__int8_panels(n) * mls__int8_panel_bytes(k));
    int32_t *y = random_bytes(m * n * (int64_t) sizeof *y);
    const mls__gemm_int8 g = {.n = n, .k = k, .a = a, .a_row = k, .b = b, .y = y, .y_row = n};
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        const double seconds = run_product(kernels, &g, m);
        best = seconds < best ? seconds : best;
    }
    printf("%5" PRId64 " %5" PRId64 " %5" PRId64 "%13.3f%11.1f\n", m, n, k, best * 1e6,
           2e-9 * (double) (m * n * k) / best);
    free(a), free(b), free(y);
}

int main(int argc, char **argv)
{
    const char *isa;
    if (mls__isa_select(argc > 1 ? argv[1] : NULL, &isa) != MLS_OK) {
        fprintf(stderr, "%s\n", mls_error_message());
        return 2;
    }
    printf("%s: y = A B in 8 bits, B packed, one core\n", isa);
    printf("    m     n     k      us/call      GOP/s\n");
    for (size_t i = 0; i < SHAPES; i++)
        bench_shape(mls__cpu_kernels_find(isa)->gemm_int8, shapes[i].m, shapes[i].n, shapes[i].k);
    return 0;
}
