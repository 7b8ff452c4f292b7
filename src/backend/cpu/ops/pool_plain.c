/* SPDX-License-Identifier: Apache-2.0 */
/* The same steps in the same order as kernels/pool.c. */
#include "backend/cpu/ops/pool_plain.h"

#include <math.h>

typedef double (*step_op)(double sum, double x);

static inline double step_max(double max, double x)
{
    return isnan(max) || max > x ? max : x;
}

static inline double step_sum(double sum, double x)
{
    return sum + x;
}

static inline double step_sum_abs(double sum, double x)
{
    return sum + fabs(x);
}

static inline double step_sum_square(double sum, double x)
{
    return fma(x, x, sum);
}

static inline void reduce_rows(step_op step, double neutral, double *y, const void *const *rows,
                               int64_t count, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double v = neutral;
        for (int64_t r = 0; r < count; r++)
            v = step(v, ((const double *) rows[r])[i]);
        y[i] = v;
    }
}

static inline void reduce_along(step_op step, double neutral, double *y, const double *x,
                                const mls__pool_along *along)
{
    for (int64_t o = 0; o < along->n; o++) {
        double v = neutral;
        for (int64_t k = 0; k < along->kernel; k++)
            v = step(v, x[o * along->stride + k * along->dilation]);
        y[o] = v;
    }
}

/* There is no faster maximum for those that have none. */
static bool may_have_nan(const void *x, int64_t n)
{
    (void) x, (void) n;
    return true;
}

/* The two steps of one op, as functions for the table. */
#define POOL_ROWS(name, neutral)                                                                   \
    static void rows_##name(void *y, const void *const *rows, int64_t count, int64_t n)            \
    {                                                                                              \
        reduce_rows(step_##name, neutral, y, rows, count, n);                                      \
    }
#define POOL_ALONG(name, neutral)                                                                  \
    static void along_##name(void *y, const void *x, int64_t rows, int64_t x_stride,               \
                             const mls__pool_along *along)                                         \
    {                                                                                              \
        for (int64_t r = 0; r < rows; r++)                                                         \
            reduce_along(step_##name, neutral, (double *) y + r * along->n,                        \
                         (const double *) x + r * x_stride, along);                                \
    }

POOL_ROWS(max, -(double) INFINITY)
POOL_ROWS(sum, 0)
POOL_ROWS(sum_abs, 0)
POOL_ROWS(sum_square, 0)
POOL_ALONG(max, -(double) INFINITY)
POOL_ALONG(sum, 0)

const mls__pool_kernels mls__pool_f64 = {
    .rows =
        {
            [MLS__POOL_MAX] = rows_max,
            [MLS__POOL_MAX_NUMBERS] = rows_max,
            [MLS__POOL_SUM] = rows_sum,
            [MLS__POOL_SUM_ABS] = rows_sum_abs,
            [MLS__POOL_SUM_SQUARE] = rows_sum_square,
        },
    .along =
        {
            [MLS__POOL_MAX] = along_max,
            [MLS__POOL_MAX_NUMBERS] = along_max,
            [MLS__POOL_SUM] = along_sum,
            [MLS__POOL_SUM_ABS] = along_sum,
            [MLS__POOL_SUM_SQUARE] = along_sum,
        },
    .may_have_nan = may_have_nan,
};
