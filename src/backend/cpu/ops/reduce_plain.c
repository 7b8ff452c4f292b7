/* SPDX-License-Identifier: Apache-2.0 */
/* Steps are constants in every caller, so that they are inlined. */
#include "backend/cpu/ops/reduce_plain.h"

#include "backend/cpu/math/f64.h"

#include <math.h>

/* --- float64 --------------------------------------------------------------------------------- */

#define LANES 64

typedef double (*f64_step)(double sum, double x, double shift);

static inline double f64_sum(double sum, double x, double shift)
{
    (void) shift;
    return sum + x;
}

static inline double f64_sum_abs(double sum, double x, double shift)
{
    (void) shift;
    return sum + fabs(x);
}

static inline double f64_sum_square(double sum, double x, double shift)
{
    (void) shift;
    return fma(x, x, sum);
}

static inline double f64_prod(double product, double x, double shift)
{
    (void) shift;
    return product * x;
}

static inline double f64_max(double a, double b, double shift)
{
    (void) shift;
    return isnan(a) || a > b ? a : b;
}

static inline double f64_min(double a, double b, double shift)
{
    (void) shift;
    return isnan(a) || a < b ? a : b;
}

static inline double f64_sum_exp(double sum, double x, double shift)
{
    return sum + mls__f64_exp(x - shift);
}

static inline double f64_row(f64_step step, f64_step join, double neutral, const double *x,
                             int64_t n, double shift)
{
    double lanes[LANES];
    for (int i = 0; i < LANES; i++)
        lanes[i] = neutral;
    for (; n >= LANES; n -= LANES, x += LANES)
        for (int i = 0; i < LANES; i++)
            lanes[i] = step(lanes[i], x[i], shift);
    for (int64_t i = 0; i < n; i++)
        lanes[i] = step(lanes[i], x[i], shift);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] = join(lanes[i], lanes[i + half], 0);
    return lanes[0];
}

static inline void f64_columns(f64_step step, double neutral, double *y, const double *x,
                               int64_t rows, int64_t stride, int64_t columns)
{
    for (int64_t j = 0; j < columns; j++)
        y[j] = neutral;
    for (int64_t i = 0; i < rows; i++, x += stride)
        for (int64_t j = 0; j < columns; j++)
            y[j] = step(y[j], x[j], 0);
}

/* The reductions of one op, as functions for the table. */
#define F64_RUNS(name, step, join, neutral)                                                        \
    static void f64_row_##name(void *y, const void *x, int64_t n)                                  \
    {                                                                                              \
        *(double *) y = f64_row(step, join, neutral, x, n, 0);                                     \
    }                                                                                              \
    static void f64_columns_##name(void *y, const void *x, int64_t rows, int64_t stride,           \
                                   int64_t columns)                                                \
    {                                                                                              \
        f64_columns(step, neutral, y, x, rows, stride, columns);                                   \
    }

F64_RUNS(sum, f64_sum, f64_sum, 0)
F64_RUNS(sum_abs, f64_sum_abs, f64_sum, 0)
F64_RUNS(sum_square, f64_sum_square, f64_sum, 0)
F64_RUNS(prod, f64_prod, f64_prod, 1)
F64_RUNS(max, f64_max, f64_max, -INFINITY)
F64_RUNS(min, f64_min, f64_min, INFINITY)

/* What exponents are taken from: the maximum, unless it is no number to subtract. */
static double shift_of(double maximum)
{
    return isinf(maximum) ? 0 : maximum;
}

static void f64_row_log_sum_exp(void *y, const void *x, int64_t n)
{
    const double shift = shift_of(f64_row(f64_max, f64_max, -INFINITY, x, n, 0));
    *(double *) y = mls__f64_log(f64_row(f64_sum_exp, f64_sum, 0, x, n, shift)) + shift;
}

static void f64_columns_log_sum_exp(void *ret_y, const void *x, int64_t rows, int64_t stride,
                                    int64_t columns)
{
    double *y = ret_y;
    f64_columns(f64_max, -INFINITY, y, x, rows, stride, columns);
    for (int64_t j = 0; j < columns; j++) {
        const double shift = shift_of(y[j]);
        const double *column = (const double *) x + j;
        double sum = 0;
        for (int64_t i = 0; i < rows; i++)
            sum = f64_sum_exp(sum, column[i * stride], shift);
        y[j] = mls__f64_log(sum) + shift;
    }
}

const mls__reduce_plain mls__reduce_f64 = {
    .row =
        {
            [MLS__REDUCE_SUM] = f64_row_sum,
            [MLS__REDUCE_SUM_ABS] = f64_row_sum_abs,
            [MLS__REDUCE_SUM_SQUARE] = f64_row_sum_square,
            [MLS__REDUCE_PROD] = f64_row_prod,
            [MLS__REDUCE_MAX] = f64_row_max,
            [MLS__REDUCE_MIN] = f64_row_min,
            [MLS__REDUCE_LOG_SUM_EXP] = f64_row_log_sum_exp,
        },
    .columns =
        {
            [MLS__REDUCE_SUM] = f64_columns_sum,
            [MLS__REDUCE_SUM_ABS] = f64_columns_sum_abs,
            [MLS__REDUCE_SUM_SQUARE] = f64_columns_sum_square,
            [MLS__REDUCE_PROD] = f64_columns_prod,
            [MLS__REDUCE_MAX] = f64_columns_max,
            [MLS__REDUCE_MIN] = f64_columns_min,
            [MLS__REDUCE_LOG_SUM_EXP] = f64_columns_log_sum_exp,
        },
};

/* --- integers: the order of their steps does not matter -------------------------------------- */

typedef uint64_t (*u64_step)(uint64_t sum, uint64_t x);

static inline uint64_t u64_sum(uint64_t sum, uint64_t x)
{
    return sum + x;
}

static inline uint64_t u64_sum_square(uint64_t sum, uint64_t x)
{
    return sum + x * x;
}

static inline uint64_t u64_prod(uint64_t product, uint64_t x)
{
    return product * x;
}

static inline uint64_t u64_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint64_t u64_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t i64_sum_abs(uint64_t sum, uint64_t x)
{
    return sum + ((int64_t) x < 0 ? 0 - x : x);
}

static inline uint64_t i64_max(uint64_t a, uint64_t b)
{
    return (int64_t) a > (int64_t) b ? a : b;
}

static inline uint64_t i64_min(uint64_t a, uint64_t b)
{
    return (int64_t) a < (int64_t) b ? a : b;
}

static inline void u64_columns(u64_step step, uint64_t neutral, uint64_t *y, const uint64_t *x,
                               int64_t rows, int64_t stride, int64_t columns)
{
    for (int64_t j = 0; j < columns; j++)
        y[j] = neutral;
    for (int64_t i = 0; i < rows; i++, x += stride)
        for (int64_t j = 0; j < columns; j++)
            y[j] = step(y[j], x[j]);
}

#define INTEGER_RUNS(name, step, neutral)                                                          \
    static void row_##name(void *y, const void *x, int64_t n)                                      \
    {                                                                                              \
        const uint64_t *elements = x;                                                              \
        uint64_t sum = neutral;                                                                    \
        for (int64_t i = 0; i < n; i++)                                                            \
            sum = step(sum, elements[i]);                                                          \
        *(uint64_t *) y = sum;                                                                     \
    }                                                                                              \
    static void columns_##name(void *y, const void *x, int64_t rows, int64_t stride,               \
                               int64_t columns)                                                    \
    {                                                                                              \
        u64_columns(step, neutral, y, x, rows, stride, columns);                                   \
    }

INTEGER_RUNS(sum, u64_sum, 0)
INTEGER_RUNS(sum_square, u64_sum_square, 0)
INTEGER_RUNS(prod, u64_prod, 1)
INTEGER_RUNS(u64_max, u64_max, 0)
INTEGER_RUNS(u64_min, u64_min, UINT64_MAX)
INTEGER_RUNS(i64_sum_abs, i64_sum_abs, 0)
INTEGER_RUNS(i64_max, i64_max, (uint64_t) INT64_MIN)
INTEGER_RUNS(i64_min, i64_min, INT64_MAX)

#define INTEGER_TABLE(part, sum_abs, max, min)                                                     \
    {                                                                                              \
        [MLS__REDUCE_SUM] = part##_sum, [MLS__REDUCE_SUM_ABS] = part##_##sum_abs,                  \
        [MLS__REDUCE_SUM_SQUARE] = part##_sum_square, [MLS__REDUCE_PROD] = part##_prod,            \
        [MLS__REDUCE_MAX] = part##_##max, [MLS__REDUCE_MIN] = part##_##min,                        \
    }

const mls__reduce_plain mls__reduce_i64 = {
    INTEGER_TABLE(row, i64_sum_abs, i64_max, i64_min),
    INTEGER_TABLE(columns, i64_sum_abs, i64_max, i64_min),
};

const mls__reduce_plain mls__reduce_u64 = {
    INTEGER_TABLE(row, sum, u64_max, u64_min),
    INTEGER_TABLE(columns, sum, u64_max, u64_min),
};
