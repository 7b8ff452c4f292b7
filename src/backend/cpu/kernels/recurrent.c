/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled once an instruction set: the gates that recurrent.h declares, float32. */
#include "backend/cpu/kernels/recurrent.h"

#include "backend/cpu/kernels/unary_ops.h"

extern const mls__recurrent_kernels MLS_ISA_NAME(recurrent);

/* --- activations ----------------------------------------------------------------------------- */

MLS_SIMD_FN mls_vf thresholded(mls_vf x, mls_vf threshold)
{
    return vf_select(vf_lt(x, threshold), vf_zero(), x);
}

/* The rare ones: behind a call, so that the others are not moved apart by them. */
static __attribute__((noinline)) void activate_rare(mls__gate gate, float *values)
{
    const mls_vf a = vf_set1(gate.alpha), b = vf_set1(gate.beta);
    mls_vf x = vf_load(values);
    switch (gate.fn) {
    case MLS__GATE_RELU:
        x = op_relu(x, a, b);
        break;
    case MLS__GATE_AFFINE:
        x = vf_fma(a, x, b);
        break;
    case MLS__GATE_LEAKY_RELU:
        x = op_leaky_relu(x, a, b);
        break;
    case MLS__GATE_THRESHOLDED_RELU:
        x = thresholded(x, a);
        break;
    case MLS__GATE_SCALED_TANH:
        x = vf_mul(a, vf_tanh(vf_mul(b, x)));
        break;
    case MLS__GATE_HARD_SIGMOID:
        x = op_hard_sigmoid(x, a, b);
        break;
    case MLS__GATE_ELU:
        x = op_elu(x, a, b);
        break;
    case MLS__GATE_SOFTSIGN:
        x = op_softsign(x, a, b);
        break;
    case MLS__GATE_SOFTPLUS:
        x = op_softplus(x, a, b);
        break;
    case MLS__GATE_SIGMOID:
    case MLS__GATE_TANH:
        break;
    }
    vf_store(values, x);
}

MLS_SIMD_FN mls_vf activate(mls__gate gate, mls_vf x)
{
    if (gate.fn == MLS__GATE_SIGMOID)
        return vf_sigmoid(x);
    if (gate.fn == MLS__GATE_TANH)
        return vf_tanh(x);
    float values[MLS_LANES];
    vf_store(values, x);
    activate_rare(gate, values);
    return vf_load(values);
}

/* The bounds are the left operands, so that a NaN comes through. */
MLS_SIMD_FN mls_vf bounded(mls_vf x, mls_vf clip)
{
    return vf_min(clip, vf_max(vf_neg(clip), x));
}

/* --- LSTM ------------------------------------------------------------------------------------ */

/* Where a row's vector is: of each kind of array. */
typedef struct place {
    const mls__gates *g;
    int64_t row, unit;
    int lanes;
} place;

MLS_SIMD_FN mls_vf load_sum(place at, int gate)
{
    const mls__gates *g = at.g;
    return vf_load_n((const float *) g->sums + at.row * g->sums_row + gate * g->units + at.unit,
                     at.lanes);
}

MLS_SIMD_FN void store_sum(place at, int gate, mls_vf v)
{
    const mls__gates *g = at.g;
    vf_store_n((float *) g->sums + at.row * g->sums_row + gate * g->units + at.unit, v, at.lanes);
}

MLS_SIMD_FN mls_vf load_state(place at, const void *state)
{
    return vf_load_n((const float *) state + at.row * at.g->units + at.unit, at.lanes);
}

MLS_SIMD_FN void store_state(place at, void *state, mls_vf v)
{
    vf_store_n((float *) state + at.row * at.g->units + at.unit, v, at.lanes);
}

/* A gate's sum with what the cell adds to it. */
MLS_SIMD_FN mls_vf peep(place at, int gate, mls_vf sum, mls_vf cell)
{
    const float *p = at.g->peepholes;
    if (!p)
        return sum;
    return vf_fma(vf_load_n(p + gate * at.g->units + at.unit, at.lanes), cell, sum);
}

/* f, g and h_gate are constants in one of two callers. */
MLS_SIMD_FN void lstm_vector(place at, mls__gate f, mls__gate g, mls__gate h_gate)
{
    const mls_vf clip = vf_set1(at.g->clip);
    const mls_vf before = load_state(at, at.g->c);
    const mls_vf i = activate(f, bounded(peep(at, 0, load_sum(at, 0), before), clip));
    const mls_vf forget = at.g->is_coupled
                              ? vf_sub(vf_set1(1.0f), i)
                              : activate(f, bounded(peep(at, 2, load_sum(at, 2), before), clip));
    const mls_vf fresh = activate(g, bounded(load_sum(at, 3), clip));
    const mls_vf cell = vf_fma(forget, before, vf_mul(i, fresh));
    const mls_vf o = activate(f, bounded(peep(at, 1, load_sum(at, 1), cell), clip));
    store_state(at, at.g->c, cell);
    store_state(at, at.g->h, vf_mul(o, activate(h_gate, cell)));
}

static const mls__gate sigmoid = {MLS__GATE_SIGMOID, 0, 0};
static const mls__gate tangent = {MLS__GATE_TANH, 0, 0};

static void lstm(const mls__gates *g, int64_t row, int64_t rows)
{
    const bool is_usual =
        g->f.fn == MLS__GATE_SIGMOID && g->g.fn == MLS__GATE_TANH && g->h_gate.fn == MLS__GATE_TANH;
    for (int64_t r = row; r < row + rows; r++)
        for (int64_t j = 0; j < g->units; j += MLS_LANES) {
            const place at = {g, r, j, lanes_at(j, g->units)};
            if (is_usual)
                lstm_vector(at, sigmoid, tangent, tangent);
            else
                lstm_vector(at, g->f, g->g, g->h_gate);
        }
}

/* --- GRU and RNN ----------------------------------------------------------------------------- */

static void gru_reset(const mls__gates *g, int64_t row, int64_t rows)
{
    const mls_vf clip = vf_set1(g->clip);
    for (int64_t r = row; r < row + rows; r++)
        for (int64_t j = 0; j < g->units; j += MLS_LANES) {
            const place at = {g, r, j, lanes_at(j, g->units)};
            const mls_vf reset = activate(g->f, bounded(load_sum(at, 1), clip));
            store_sum(at, 0, activate(g->f, bounded(load_sum(at, 0), clip)));
            if (g->reset)
                store_state(at, g->reset, vf_mul(reset, load_state(at, g->h)));
            else
                store_sum(at, 1, reset);
        }
}

/* The sum of gate h, with the reset gate where that comes after the product. */
MLS_SIMD_FN mls_vf hidden_sum(place at)
{
    const mls__gates *g = at.g;
    const mls_vf sum = load_sum(at, 2);
    if (g->reset)
        return sum;
    const float *input = (const float *) g->input + at.row * g->sums_row + at.unit;
    return vf_fma(load_sum(at, 1), sum, vf_load_n(input, at.lanes));
}

static void gru_update(const mls__gates *g, int64_t row, int64_t rows)
{
    const mls_vf clip = vf_set1(g->clip), one = vf_set1(1.0f);
    for (int64_t r = row; r < row + rows; r++)
        for (int64_t j = 0; j < g->units; j += MLS_LANES) {
            const place at = {g, r, j, lanes_at(j, g->units)};
            const mls_vf fresh = activate(g->g, bounded(hidden_sum(at), clip));
            const mls_vf z = load_sum(at, 0);
            const mls_vf part = vf_mul(vf_sub(one, z), fresh);
            store_state(at, g->h, vf_fma(z, load_state(at, g->h), part));
        }
}

static void rnn(const mls__gates *g, int64_t row, int64_t rows)
{
    const mls_vf clip = vf_set1(g->clip);
    for (int64_t r = row; r < row + rows; r++)
        for (int64_t j = 0; j < g->units; j += MLS_LANES) {
            const place at = {g, r, j, lanes_at(j, g->units)};
            store_state(at, g->h, activate(g->f, bounded(load_sum(at, 0), clip)));
        }
}

const mls__recurrent_kernels MLS_ISA_NAME(recurrent) = {
    .lstm = lstm,
    .gru_reset = gru_reset,
    .gru_update = gru_update,
    .rnn = rnn,
};
