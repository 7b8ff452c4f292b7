/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of float32 against the limit of one core, which is measured in the same run: fused
 * multiply-adds on registers alone.
 *
 *     bench/gemm [ISA]
 *
 * The figures are the best of interleaved rounds. B is packed; operands are as warm as they get.
 */
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/pack.h"
#include "base/isa.h"
#include "limit.h"

#include <mlscale.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 9 };
#define ROUND_SECONDS 0.004

static const struct {
    int64_t m, n, k;
} shapes[] = {
    {1, 32, 32},      {1, 1, 32},      {1, 128, 64},      {1, 64, 128},       {1, 1, 64},
    {1, 256, 256},    {1, 1, 256},     {1, 10, 128},      {1, 1024, 1024},    {2, 256, 256},
    {4, 256, 256},    {7, 256, 256},   {16, 64, 64},      {32, 256, 256},     {64, 1, 256},
    {64, 4, 256},     {256, 1, 64},    {256, 32, 32},     {256, 64, 64},      {256, 128, 64},
    {256, 256, 256},  {512, 512, 512}, {512, 100, 512},   {768, 768, 768},    {1024, 1024, 1024},
    {196, 512, 4608}, {3136, 64, 576}, {4096, 4096, 256}, {2048, 2048, 2048},
};

#define SHAPES (sizeof shapes / sizeof shapes[0])

/* Seconds of one call, the mean of a round. */
static double run_product(const mls__gemm_kernels *kernels, const mls__gemm *g, int64_t m)
{
    const int64_t panels = mls__gemm_panels(g->n);
    const bool is_narrow = mls__gemm_is_narrow(g->n, g->k);
    const double guess = 2.0 * (double) (m * g->n * g->k) / 100e9 + 20e-9;
    const int calls = 1 + (int) (ROUND_SECONDS / guess);
    const double start = limit_now();
    for (int i = 0; i < calls; i++) {
        if (is_narrow)
            kernels->narrow(g, 0, m);
        else
            kernels->wide(g, 0, m, 0, panels);
    }
    return (limit_now() - start) / calls;
}

static void bench_shape(const mls__cpu_kernels *kernels, int64_t m, int64_t n, int64_t k)
{
    float *a = limit_random_floats(m * k), *b = limit_random_floats(n * k),
          *bias = limit_random_floats(n);
    float *y = limit_random_floats(m * n),
          *packed = limit_random_floats(mls__gemm_panels(n) * MLS__GEMM_PANEL * k);
    mls__pack(&(mls__pack_source){.data = b, .dtype = MLS_FLOAT32, .k = k, .n = n}, packed);
    const mls__gemm g = {.n = n,
                         .k = k,
                         .a = a,
                         .a_row = k,
                         .a_step = 1,
                         .b = packed,
                         .c = bias,
                         .c_step = 1,
                         .alpha = 1,
                         .beta = 1,
                         .y = y,
                         .y_row = n,
                         .activation = kernels->elementwise->unary[MLS__UNARY_RELU]};
    double peak = 0, best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        const double limit = limit_measure(kernels->isa, 1);
        const double seconds = run_product(kernels->gemm, &g, m);
        peak = limit > peak ? limit : peak;
        best = seconds < best ? seconds : best;
    }
    const double rate = 2e-9 * (double) (m * n * k) / best;
    printf("%5" PRId64 " %5" PRId64 " %5" PRId64 "%13.3f%11.1f%11.1f%8.1f\n", m, n, k, best * 1e6,
           rate, peak, 100 * rate / peak);
    free(a), free(b), free(bias), free(y), free(packed);
}

int main(int argc, char **argv)
{
    const char *isa;
    if (mls__isa_select(argc > 1 ? argv[1] : NULL, &isa) != MLS_OK) {
        fprintf(stderr, "%s\n", mls_error_message());
        return 2;
    }
    printf("%s: y = relu(A B + c), B packed, one core\n", isa);
    printf("    m     n     k      us/call    GFLOP/s  FMA limit   share\n");
    for (size_t i = 0; i < SHAPES; i++)
        bench_shape(mls__cpu_kernels_find(isa), shapes[i].m, shapes[i].n, shapes[i].k);
    return 0;
}
