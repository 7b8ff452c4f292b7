/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled as gemm_int8.c is: products of filters of one channel, along planes. */
#include "backend/cpu/kernels/gemm_int8.h"

#include "backend/cpu/simd/simd.h"

void MLS_ISA_INT8_NAME(int8_taps)(int32_t *sums, const uint8_t *x, const int64_t *offsets,
                                  const int32_t *weights, int64_t count, int64_t n);
void MLS_ISA_INT8_NAME(int8_close_up)(int32_t *sums, int64_t rows, int64_t width, int64_t length);

/* Vectors of sums at a time. */
enum { TAP_VECTORS = 4 };

/* `vectors` of sums from i on; constant in every caller. */
MLS_SIMD_FN void run_taps(int vectors, int32_t *sums, const uint8_t *x, const int64_t *offsets,
                          const int32_t *weights, int64_t count, int64_t i)
{
    mls_vi sum[TAP_VECTORS];
    MLS_UNROLL
    for (int v = 0; v < vectors; v++)
        sum[v] = vi_zero();
    for (int64_t t = 0; t < count; t++) {
        const mls_vi weight = vi_set1(weights[t]);
        const uint8_t *under = x + offsets[t] + i;
        MLS_UNROLL
        for (int v = 0; v < vectors; v++)
            sum[v] = vi_add(sum[v], vi_mul(vi_load_u8(under + v * MLS_LANES), weight));
    }
    MLS_UNROLL
    for (int v = 0; v < vectors; v++)
        vi_store(sums + i + v * MLS_LANES, sum[v]);
}

void MLS_ISA_INT8_NAME(int8_taps)(int32_t *sums, const uint8_t *x, const int64_t *offsets,
                                  const int32_t *weights, int64_t count, int64_t n)
{
    int64_t i = 0;
    for (; i + (TAP_VECTORS - 1) * MLS_LANES < n; i += TAP_VECTORS * MLS_LANES)
        run_taps(TAP_VECTORS, sums, x, offsets, weights, count, i);
    for (; i < n; i += MLS_LANES)
        run_taps(1, sums, x, offsets, weights, count, i);
}

void MLS_ISA_INT8_NAME(int8_close_up)(int32_t *sums, int64_t rows, int64_t width, int64_t length)
{
    for (int64_t row = 1; width < length && row < rows; row++) {
        const int32_t *from = sums + row * length;
        int32_t *to = sums + row * width;
        for (int64_t i = 0; i < width; i += MLS_LANES) {
            const int lanes = lanes_at(i, width);
            vi_store_n(to + i, vi_load_n(from + i, lanes), lanes);
        }
    }
}
