/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: softmax as softmax.h declares it. */
#include "backend/cpu/kernels/softmax.h"

#include "backend/cpu/kernels/row_ops.h"

extern const mls__softmax_kernels MLS_ISA_NAME(softmax);

/* This maximum may miss a NaN, which then comes back through the sum. */
MLS_SIMD_FN mls_vf step_max(mls_vf max, mls_vf x, mls_vf shift)
{
    (void) shift;
    return vf_max(max, x);
}

MLS_SIMD_FN float row_max(const float *x, int64_t n)
{
    return reduce_row(step_max, vf_max, -INFINITY, x, n, 0.0f);
}

static void softmax_rows(float *y, const float *x, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++, x += n, y += n) {
        const mls_vf max = vf_set1(row_max(x, n));
        for (int64_t i = 0; i < n; i += MLS_LANES) {
            const int lanes = lanes_at(i, n);
            vf_store_n(y + i, vf_exp(vf_sub(vf_load_n(x + i, lanes), max)), lanes);
        }
        const float sum = reduce_row(step_sum, vf_add, 0.0f, y, n, 0.0f);
        const mls_vf scale = vf_set1(1.0f / sum);
        for (int64_t i = 0; i < n; i += MLS_LANES) {
            const int lanes = lanes_at(i, n);
            vf_store_n(y + i, vf_mul(vf_load_n(y + i, lanes), scale), lanes);
        }
    }
}

static void log_softmax_rows(float *y, const float *x, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++, x += n, y += n) {
        const float max = row_max(x, n);
        const float sum = reduce_row(step_sum_exp, vf_add, 0.0f, x, n, max);
        const mls_vf log_sum = vf_log(vf_set1(sum));
        for (int64_t i = 0; i < n; i += MLS_LANES) {
            const int lanes = lanes_at(i, n);
            const mls_vf shifted = vf_sub(vf_load_n(x + i, lanes), vf_set1(max));
            vf_store_n(y + i, vf_sub(shifted, log_sum), lanes);
        }
    }
}

static void softmax_columns(float *y, const float *x, int64_t n, int64_t stride, int64_t columns)
{
    for (int64_t j = 0; j < columns; j += MLS_LANES) {
        const int lanes = lanes_at(j, columns);
        const float *in = x + j;
        float *out = y + j;
        const mls_vf max = reduce_column(step_max, -INFINITY, in, n, stride, lanes, vf_zero());
        mls_vf sum = vf_zero();
        for (int64_t i = 0; i < n; i++) {
            const mls_vf e = vf_exp(vf_sub(vf_load_n(in + i * stride, lanes), max));
            vf_store_n(out + i * stride, e, lanes);
            sum = vf_add(sum, e);
        }
        const mls_vf scale = vf_div(vf_set1(1.0f), sum);
        for (int64_t i = 0; i < n; i++) {
            const mls_vf e = vf_load_n(out + i * stride, lanes);
            vf_store_n(out + i * stride, vf_mul(e, scale), lanes);
        }
    }
}

static void log_softmax_columns(float *y, const float *x, int64_t n, int64_t stride,
                                int64_t columns)
{
    for (int64_t j = 0; j < columns; j += MLS_LANES) {
        const int lanes = lanes_at(j, columns);
        const float *in = x + j;
        const mls_vf max = reduce_column(step_max, -INFINITY, in, n, stride, lanes, vf_zero());
        const mls_vf sum = reduce_column(step_sum_exp, 0.0f, in, n, stride, lanes, max);
        const mls_vf log_sum = vf_log(sum);
        for (int64_t i = 0; i < n; i++) {
            const mls_vf shifted = vf_sub(vf_load_n(in + i * stride, lanes), max);
            vf_store_n(y + i * stride + j, vf_sub(shifted, log_sum), lanes);
        }
    }
}

const mls__softmax_kernels MLS_ISA_NAME(softmax) = {
    .rows = softmax_rows,
    .log_rows = log_softmax_rows,
    .columns = softmax_columns,
    .log_columns = log_softmax_columns,
};
