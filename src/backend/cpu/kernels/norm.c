/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: normalisations as norm.h declares them. */
#include "backend/cpu/kernels/norm.h"

#include "backend/cpu/kernels/row_ops.h"

extern const mls__norm_kernels MLS_ISA_NAME(norm);

/* The square is rounded before it is added, as in a product apart. */
MLS_SIMD_FN mls_vf step_square_deviation(mls_vf sum, mls_vf x, mls_vf mean)
{
    const mls_vf deviation = vf_sub(x, mean);
    return vf_add(sum, vf_mul(deviation, deviation));
}

static void moments(const void *elements, int64_t n, bool is_centred, float epsilon, void *ret_mean,
                    void *ret_factor)
{
    const float *x = elements;
    const float count = (float) n;
    const float mean = is_centred ? reduce_row(step_sum, vf_add, 0.0f, x, n, 0.0f) / count : 0.0f;
    const float squares = reduce_row(step_square_deviation, vf_add, 0.0f, x, n, mean);
    const mls_vf root = vf_sqrt(vf_set1(squares / count + epsilon));
    *(float *) ret_mean = mean;
    *(float *) ret_factor = vf_lane0(vf_div(vf_set1(1.0f), root));
}

static void row(void *y_elements, const void *x_elements, int64_t n, const void *mean,
                const void *factor, const void *scales, const void *biases)
{
    float *y = y_elements;
    const float *x = x_elements, *scale = scales, *bias = biases;
    const mls_vf m = vf_set1(*(const float *) mean), f = vf_set1(*(const float *) factor);
    for (int64_t i = 0; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        mls_vf v = vf_mul(vf_sub(vf_load_n(x + i, lanes), m), f);
        v = vf_mul(v, vf_load_n(scale + i, lanes));
        if (bias)
            v = vf_add(v, vf_load_n(bias + i, lanes));
        vf_store_n(y + i, v, lanes);
    }
}

static void plane(void *y_elements, const void *x_elements, int64_t n, const void *mean,
                  const void *factor, const void *bias)
{
    float *y = y_elements;
    const float *x = x_elements;
    const mls_vf m = vf_set1(*(const float *) mean), f = vf_set1(*(const float *) factor);
    const mls_vf b = vf_set1(*(const float *) bias);
    for (int64_t i = 0; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        vf_store_n(y + i, vf_fma(vf_sub(vf_load_n(x + i, lanes), m), f, b), lanes);
    }
}

static void columns(void *y_elements, const void *x_elements, int64_t n, const void *means,
                    const void *factors, const void *biases)
{
    float *y = y_elements;
    const float *x = x_elements, *mean = means, *factor = factors, *bias = biases;
    for (int64_t i = 0; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        const mls_vf deviation = vf_sub(vf_load_n(x + i, lanes), vf_load_n(mean + i, lanes));
        const mls_vf b = vf_load_n(bias + i, lanes);
        vf_store_n(y + i, vf_fma(deviation, vf_load_n(factor + i, lanes), b), lanes);
    }
}

static void factors_of(void *factors, const void *scales, const void *variances, int64_t n,
                       float epsilon)
{
    float *factor = factors;
    const float *scale = scales, *variance = variances;
    for (int64_t i = 0; i < n; i += MLS_LANES) {
        const int lanes = lanes_at(i, n);
        const mls_vf shifted = vf_add(vf_load_n(variance + i, lanes), vf_set1(epsilon));
        vf_store_n(factor + i, vf_div(vf_load_n(scale + i, lanes), vf_sqrt(shifted)), lanes);
    }
}

const mls__norm_kernels MLS_ISA_NAME(norm) = {
    .moments = moments,
    .row = row,
    .plane = plane,
    .columns = columns,
    .factors = factors_of,
};
