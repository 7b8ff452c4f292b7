/* SPDX-License-Identifier: Apache-2.0 */
/* The same steps in the same order as kernels/norm.c. */
#include "backend/cpu/ops/norm_plain.h"

#include "backend/cpu/ops/reduce_plain.h"

#include <math.h>

/* To 64 lanes, then a tree, as kernels/reduce.h has it. */
static double square_deviations(const double *x, int64_t n, double mean)
{
    enum { LANES = 64 };
    double lanes[LANES] = {0};
    for (int64_t i = 0; i < n; i++) {
        const double deviation = x[i] - mean;
        lanes[i % LANES] += deviation * deviation;
    }
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
}

static void moments(const void *x, int64_t n, bool is_centred, float epsilon, void *ret_mean,
                    void *ret_factor)
{
    const double count = (double) n;
    double sum = 0;
    if (is_centred)
        mls__reduce_f64.row[MLS__REDUCE_SUM](&sum, x, n);
    const double mean = is_centred ? sum / count : 0;
    const double variance = square_deviations(x, n, mean) / count;
    *(double *) ret_mean = mean;
    *(double *) ret_factor = 1 / sqrt(variance + (double) epsilon);
}

static void row(void *y_elements, const void *x_elements, int64_t n, const void *mean,
                const void *factor, const void *scales, const void *biases)
{
    double *y = y_elements;
    const double *x = x_elements, *scale = scales, *bias = biases;
    const double m = *(const double *) mean, f = *(const double *) factor;
    for (int64_t i = 0; i < n; i++) {
        const double scaled = (x[i] - m) * f * scale[i];
        y[i] = bias ? scaled + bias[i] : scaled;
    }
}

static void plane(void *y_elements, const void *x_elements, int64_t n, const void *mean,
                  const void *factor, const void *bias)
{
    double *y = y_elements;
    const double *x = x_elements;
    const double m = *(const double *) mean, f = *(const double *) factor;
    const double b = *(const double *) bias;
    for (int64_t i = 0; i < n; i++)
        y[i] = fma(x[i] - m, f, b);
}

static void columns(void *y_elements, const void *x_elements, int64_t n, const void *means,
                    const void *factors, const void *biases)
{
    double *y = y_elements;
    const double *x = x_elements, *mean = means, *factor = factors, *bias = biases;
    for (int64_t i = 0; i < n; i++)
        y[i] = fma(x[i] - mean[i], factor[i], bias[i]);
}

static void factors_of(void *factors, const void *scales, const void *variances, int64_t n,
                       float epsilon)
{
    double *factor = factors;
    const double *scale = scales, *variance = variances;
    for (int64_t i = 0; i < n; i++)
        factor[i] = scale[i] / sqrt(variance[i] + (double) epsilon);
}

const mls__norm_kernels mls__norm_f64 = {
    .moments = moments,
    .row = row,
    .plane = plane,
    .columns = columns,
    .factors = factors_of,
};
