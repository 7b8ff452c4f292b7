/* SPDX-License-Identifier: Apache-2.0 */
/* The gates of float64: kernels/recurrent.h, a unit at a time. */
#include "backend/cpu/ops/recurrent.h"

#include "backend/cpu/math/f64.h"

#include <math.h>

static double limited(double x, double least, double most)
{
    return x < least ? least : x > most ? most : x;
}

static double activate(mls__gate gate, double x, float clip)
{
    const double a = (double) gate.alpha, b = (double) gate.beta;
    x = limited(x, -(double) clip, (double) clip);
    switch (gate.fn) {
    case MLS__GATE_SIGMOID:
        return mls__f64_sigmoid(x);
    case MLS__GATE_TANH:
        return mls__f64_tanh(x);
    case MLS__GATE_RELU:
        return x < 0 ? 0 : x;
    case MLS__GATE_AFFINE:
        return fma(a, x, b);
    case MLS__GATE_LEAKY_RELU:
        return x < 0 ? a * x : x;
    case MLS__GATE_THRESHOLDED_RELU:
        return x < a ? 0 : x;
    case MLS__GATE_SCALED_TANH:
        return a * mls__f64_tanh(b * x);
    case MLS__GATE_HARD_SIGMOID:
        return limited(fma(a, x, b), 0, 1);
    case MLS__GATE_ELU:
        return x < 0 ? a * mls__f64_expm1(x) : x;
    case MLS__GATE_SOFTSIGN:
        return isinf(x) ? copysign(1, x) : x / (1 + fabs(x));
    case MLS__GATE_SOFTPLUS:
        return (x < 0 ? 0 : x) + mls__f64_log1p(mls__f64_exp(-fabs(x)));
    }
    return x;
}

/* What peephole `gate` of unit j adds. */
static double peep(const mls__gates *g, int gate, int64_t j, double sum, double cell)
{
    const double *p = g->peepholes;
    return p ? fma(p[gate * g->units + j], cell, sum) : sum;
}

static void lstm_unit(const mls__gates *g, const double *sums, int64_t j, double *h, double *c)
{
    const int64_t n = g->units;
    const double before = *c;
    const double i = activate(g->f, peep(g, 0, j, sums[j], before), g->clip);
    const double forget =
        g->is_coupled ? 1 - i : activate(g->f, peep(g, 2, j, sums[2 * n + j], before), g->clip);
    const double cell = fma(forget, before, i * activate(g->g, sums[3 * n + j], g->clip));
    const double o = activate(g->f, peep(g, 1, j, sums[n + j], cell), g->clip);
    *c = cell;
    *h = o * activate(g->h_gate, cell, INFINITY);
}

static void lstm(const mls__gates *g, int64_t row, int64_t rows)
{
    for (int64_t r = row; r < row + rows; r++)
        for (int64_t j = 0; j < g->units; j++)
            lstm_unit(g, (const double *) g->sums + r * g->sums_row, j,
                      (double *) g->h + r * g->units + j, (double *) g->c + r * g->units + j);
}

static void gru_reset(const mls__gates *g, int64_t row, int64_t rows)
{
    for (int64_t r = row; r < row + rows; r++)
        for (int64_t j = 0; j < g->units; j++) {
            double *sums = (double *) g->sums + r * g->sums_row + j;
            const int64_t at = r * g->units + j;
            const double reset = activate(g->f, sums[g->units], g->clip);
            sums[0] = activate(g->f, sums[0], g->clip);
            if (g->reset)
                ((double *) g->reset)[at] = reset * ((const double *) g->h)[at];
            else
                sums[g->units] = reset;
        }
}

static void gru_update(const mls__gates *g, int64_t row, int64_t rows)
{
    for (int64_t r = row; r < row + rows; r++)
        for (int64_t j = 0; j < g->units; j++) {
            const double *sums = (const double *) g->sums + r * g->sums_row + j;
            double *h = (double *) g->h + r * g->units + j;
            double sum = sums[2 * g->units];
            if (!g->reset)
                sum = fma(sums[g->units], sum, ((const double *) g->input)[r * g->sums_row + j]);
            *h = fma(sums[0], *h, (1 - sums[0]) * activate(g->g, sum, g->clip));
        }
}

static void rnn(const mls__gates *g, int64_t row, int64_t rows)
{
    for (int64_t r = row; r < row + rows; r++)
        for (int64_t j = 0; j < g->units; j++)
            ((double *) g->h)[r * g->units + j] =
                activate(g->f, ((const double *) g->sums)[r * g->sums_row + j], g->clip);
}

const mls__recurrent_kernels mls__recurrent_f64 = {
    .lstm = lstm,
    .gru_reset = gru_reset,
    .gru_update = gru_update,
    .rnn = rnn,
};
