/* SPDX-License-Identifier: Apache-2.0 */
/* What attention does with a row of scores, in float32 and in float64. */
#include "backend/cpu/ops/attend.h"

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/math/f64.h"
#include "backend/cpu/ops/softmax.h"

#include <math.h>

static const float excluded = -INFINITY;

/* --- float32 --------------------------------------------------------------------------------- */

static void divide_f32(const mls__cpu *cpu, void *x, int64_t n, double divisor)
{
    const float single = (float) divisor;
    cpu->kernels->elementwise->binary[MLS__BINARY_DIV](x, x, 1, &single, 0, n);
}

static void cap_f32(const mls__cpu *cpu, void *x, int64_t n, float cap)
{
    const mls__elementwise_kernels *kernels = cpu->kernels->elementwise;
    divide_f32(cpu, x, n, (double) cap);
    kernels->unary[MLS__UNARY_TANH](x, x, n, NULL);
    kernels->binary[MLS__BINARY_MUL](x, x, 1, &cap, 0, n);
}

static void add_f32(const mls__cpu *cpu, void *x, const void *mask, int64_t n)
{
    cpu->kernels->elementwise->binary[MLS__BINARY_ADD](x, x, 1, mask, 1, n);
}

static void keep_f32(const mls__cpu *cpu, void *x, const uint8_t *mask, int64_t n)
{
    cpu->kernels->elementwise->where(x, mask, 1, x, 1, &excluded, 0, n);
}

static void exclude_f32(void *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        ((float *) x)[i] = excluded;
}

static bool is_excluded_f32(const mls__cpu *cpu, const void *x, int64_t n)
{
    return cpu->kernels->reduce->row[MLS__REDUCE_MAX](x, n) == excluded;
}

static void softmax_f32(const mls__cpu *cpu, void *x, int64_t n)
{
    cpu->kernels->softmax->rows(x, x, 1, n);
}

const mls__attend_row_fns mls__attend_rows_f32 = {
    divide_f32, cap_f32, add_f32, keep_f32, exclude_f32, is_excluded_f32, softmax_f32,
};

/* --- float64 --------------------------------------------------------------------------------- */

static void divide_f64(const mls__cpu *cpu, void *x, int64_t n, double divisor)
{
    (void) cpu;
    for (int64_t i = 0; i < n; i++)
        ((double *) x)[i] /= divisor;
}

static void cap_f64(const mls__cpu *cpu, void *x, int64_t n, float cap)
{
    (void) cpu;
    double *values = x;
    for (int64_t i = 0; i < n; i++)
        values[i] = (double) cap * mls__f64_tanh(values[i] / (double) cap);
}

static void add_f64(const mls__cpu *cpu, void *x, const void *mask, int64_t n)
{
    (void) cpu;
    for (int64_t i = 0; i < n; i++)
        ((double *) x)[i] += ((const double *) mask)[i];
}

static void keep_f64(const mls__cpu *cpu, void *x, const uint8_t *mask, int64_t n)
{
    (void) cpu;
    for (int64_t i = 0; i < n; i++)
        if (!mask[i])
            ((double *) x)[i] = -INFINITY;
}

static void exclude_f64(void *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        ((double *) x)[i] = -INFINITY;
}

static bool is_excluded_f64(const mls__cpu *cpu, const void *x, int64_t n)
{
    (void) cpu;
    for (int64_t i = 0; i < n; i++)
        if (((const double *) x)[i] != -INFINITY)
            return false;
    return true;
}

static void softmax_f64(const mls__cpu *cpu, void *x, int64_t n)
{
    (void) cpu;
    mls__softmax_row_f64(x, x, n);
}

const mls__attend_row_fns mls__attend_rows_f64 = {
    divide_f64, cap_f64, add_f64, keep_f64, exclude_f64, is_excluded_f64, softmax_f64,
};
