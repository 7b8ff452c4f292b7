/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/rnn_case.h"

#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const types[] = {"LSTM", "GRU", "RNN"};
static const int gate_counts[] = {4, 3, 1};
const int rnn_activation_counts[] = {3, 2, 1};

rnn_operands rnn_operands_make(const rnn_case *k)
{
    const bool is_both = k->direction && strcmp(k->direction, "bidirectional") == 0;
    const int64_t d = is_both ? 2 : 1, columns = gate_counts[k->type] * k->units;
    const int64_t x[] = {k->is_row_first ? k->rows : k->steps, k->is_row_first ? k->steps : k->rows,
                         k->inputs};
    const int64_t state[] = {k->is_row_first ? k->rows : d, k->is_row_first ? d : k->rows,
                             k->units};
    /* Many large weights would make a small error grow with each step. */
    const double many_units = k->units > 32 ? 0.125 : 0.5;
    rnn_operands o = {
        .directions = d,
        .x = op_numbers_random(k->dtype, 3, x, -0.5, 1, 1),
        .w = op_numbers_random(k->dtype, 3, (int64_t[]){d, columns, k->inputs}, -0.5, 1, 2),
        .r = op_numbers_random(k->dtype, 3, (int64_t[]){d, columns, k->units}, -many_units,
                               2 * many_units, 3),
        .b = op_numbers_random(k->dtype, 2, (int64_t[]){d, 2 * columns}, -0.5, 1, 4),
        .h = op_numbers_random(k->dtype, 3, state, -0.5, 1, 5),
        .c = op_numbers_random(k->dtype, 3, state, -0.5, 1, 6),
        .p = op_numbers_random(k->dtype, 2, (int64_t[]){d, 3 * k->units}, -0.5, 1, 7),
        .lengths = calloc((size_t) k->rows + 1, sizeof(int32_t)),
    };
    for (int64_t i = 0; i < k->rows; i++)
        o.lengths[i] = (int32_t) ((i * 5 + 2) % (k->steps + 1));
    return o;
}

void rnn_operands_free(rnn_operands *o)
{
    op_numbers *const all[] = {&o->x, &o->w, &o->r, &o->b, &o->h, &o->c, &o->p};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        op_numbers_free(all[i]);
    free(o->lengths);
}

/* --- the reference --------------------------------------------------------------------------- */

/* Activation `index` of a case with its alpha and beta, which are taken in order. */
static double activate(const rnn_case *k, int index, double x)
{
    static const char *const usual[][3] = {
        {"Sigmoid", "Tanh", "Tanh"}, {"Sigmoid", "Tanh", NULL}, {"Tanh", NULL, NULL}};
    const char *name = k->activations[0] ? k->activations[index]
                                         : usual[k->type][index % rnn_activation_counts[k->type]];
    const double a = (double) k->alpha[index], b = (double) k->beta[index];
    if (strcmp(name, "Sigmoid") == 0)
        return 1 / (1 + exp(-x));
    if (strcmp(name, "Tanh") == 0)
        return tanh(x);
    if (strcmp(name, "Relu") == 0)
        return x > 0 ? x : 0;
    if (strcmp(name, "Affine") == 0)
        return a * x + b;
    if (strcmp(name, "LeakyRelu") == 0)
        return x >= 0 ? x : a * x;
    if (strcmp(name, "ThresholdedRelu") == 0)
        return x >= a ? x : 0;
    if (strcmp(name, "ScaledTanh") == 0)
        return a * tanh(b * x);
    if (strcmp(name, "HardSigmoid") == 0)
        return fmin(fmax(a * x + b, 0), 1);
    if (strcmp(name, "Elu") == 0)
        return x >= 0 ? x : a * (exp(x) - 1);
    if (strcmp(name, "Softsign") == 0)
        return x / (1 + fabs(x));
    ck_assert_str_eq(name, "Softplus");
    return log(1 + exp(x));
}

/* The direction and row that are worked on. */
typedef struct walk {
    const rnn_case *k;
    const rnn_operands *o;
    int64_t direction, row;
    double h[64], c[64];
} walk;

static double gate_of(const walk *w, int which, double sum)
{
    const double clip = (double) w->k->clip;
    if (clip > 0)
        sum = fmin(fmax(sum, -clip), clip);
    return activate(w->k, (int) w->direction * rnn_activation_counts[w->k->type] + which, sum);
}

static int64_t x_index(const walk *w, int64_t time)
{
    const rnn_case *k = w->k;
    const int64_t at = k->is_row_first ? w->row * k->steps + time : time * k->rows + w->row;
    return at * k->inputs;
}

/* X W + Wb of a gate's unit, and R h + Rb with the state given. */
static double input_sum(const walk *w, int64_t time, int gate, int64_t unit)
{
    const rnn_case *k = w->k;
    const int64_t columns = gate_counts[k->type] * k->units, j = gate * k->units + unit;
    double sum = k->has_bias ? w->o->b.values[w->direction * 2 * columns + j] : 0;
    for (int64_t i = 0; i < k->inputs; i++)
        sum += w->o->x.values[x_index(w, time) + i] *
               w->o->w.values[(w->direction * columns + j) * k->inputs + i];
    return sum;
}

static double state_sum(const walk *w, const double *h, int gate, int64_t unit)
{
    const rnn_case *k = w->k;
    const int64_t columns = gate_counts[k->type] * k->units, j = gate * k->units + unit;
    double sum = k->has_bias ? w->o->b.values[w->direction * 2 * columns + columns + j] : 0;
    for (int64_t i = 0; i < k->units; i++)
        sum += h[i] * w->o->r.values[(w->direction * columns + j) * k->units + i];
    return sum;
}

static double sum_of(const walk *w, int64_t time, int gate, int64_t unit)
{
    return input_sum(w, time, gate, unit) + state_sum(w, w->h, gate, unit);
}

static double peephole(const walk *w, int which, int64_t unit, double cell)
{
    const int64_t at = (w->direction * 3 + which) * w->k->units + unit;
    return w->k->has_peepholes ? w->o->p.values[at] * cell : 0;
}

static void step_lstm(walk *w, int64_t time)
{
    double h[64];
    for (int64_t j = 0; j < w->k->units; j++) {
        const double c = w->c[j];
        const double i = gate_of(w, 0, sum_of(w, time, 0, j) + peephole(w, 0, j, c));
        const double f =
            w->k->is_coupled ? 1 - i : gate_of(w, 0, sum_of(w, time, 2, j) + peephole(w, 2, j, c));
        w->c[j] = f * c + i * gate_of(w, 1, sum_of(w, time, 3, j));
        const double o = gate_of(w, 0, sum_of(w, time, 1, j) + peephole(w, 1, j, w->c[j]));
        h[j] = o * activate(w->k, (int) w->direction * 3 + 2, w->c[j]);
    }
    memcpy(w->h, h, sizeof h);
}

static void step_gru(walk *w, int64_t time)
{
    double h[64], z[64], r[64], rh[64];
    for (int64_t j = 0; j < w->k->units; j++) {
        z[j] = gate_of(w, 0, sum_of(w, time, 0, j));
        r[j] = gate_of(w, 0, sum_of(w, time, 1, j));
        rh[j] = r[j] * w->h[j];
    }
    for (int64_t j = 0; j < w->k->units; j++) {
        const double linear =
            w->k->resets_after ? r[j] * state_sum(w, w->h, 2, j) : state_sum(w, rh, 2, j);
        h[j] = (1 - z[j]) * gate_of(w, 1, input_sum(w, time, 2, j) + linear) + z[j] * w->h[j];
    }
    memcpy(w->h, h, sizeof h);
}

static void step_rnn(walk *w, int64_t time)
{
    double h[64];
    for (int64_t j = 0; j < w->k->units; j++)
        h[j] = gate_of(w, 0, sum_of(w, time, 0, j));
    memcpy(w->h, h, sizeof h);
}

static int64_t state_index(const walk *w)
{
    const int64_t at = w->k->is_row_first ? w->row * w->o->directions + w->direction
                                          : w->direction * w->k->rows + w->row;
    return at * w->k->units;
}

static int64_t y_index(const walk *w, int64_t time)
{
    const rnn_case *k = w->k;
    const int64_t d = w->o->directions;
    const int64_t at = k->is_row_first ? (w->row * k->steps + time) * d + w->direction
                                       : (time * d + w->direction) * k->rows + w->row;
    return at * k->units;
}

/* One row in one direction; y, h and c are zeros before. */
static void walk_row(walk *w, double *y, double *last_h, double *last_c)
{
    static void (*const steps[])(walk *, int64_t) = {step_lstm, step_gru, step_rnn};
    const rnn_case *k = w->k;
    const int64_t length = k->has_lengths ? w->o->lengths[w->row] : k->steps;
    const bool is_back =
        w->direction == 1 || (k->direction && strcmp(k->direction, "reverse") == 0);
    const size_t bytes = (size_t) k->units * sizeof *y;
    for (int64_t j = 0; j < k->units; j++) {
        w->h[j] = k->has_h ? w->o->h.values[state_index(w) + j] : 0;
        w->c[j] = k->has_c ? w->o->c.values[state_index(w) + j] : 0;
    }
    for (int64_t i = 0; i < length; i++) {
        const int64_t time = is_back ? length - 1 - i : i;
        steps[k->type](w, time);
        memcpy(y + y_index(w, time), w->h, bytes);
    }
    if (length || !k->has_lengths) {
        memcpy(last_h + state_index(w), w->h, bytes);
        memcpy(last_c + state_index(w), w->c, bytes);
    }
}

/* --- the op ---------------------------------------------------------------------------------- */

static void add_input(op_test *test, const op_numbers *t, bool is_given, bool is_constant)
{
    if (!is_given)
        op_test_left_out(test);
    else
        (is_constant ? op_test_constant : op_test_input)(test, t->dtype, t->rank, t->dims, t->data);
}

static void add_attributes(op_test *test, const rnn_case *k, int64_t directions)
{
    const size_t activations = (size_t) (directions * rnn_activation_counts[k->type]);
    if (k->direction)
        op_test_string(test, "direction", k->direction);
    if (k->is_row_first)
        op_test_int(test, "layout", 1);
    if (k->resets_after)
        op_test_int(test, "linear_before_reset", 1);
    if (k->is_coupled)
        op_test_int(test, "input_forget", 1);
    if (k->clip > 0)
        op_test_float(test, "clip", k->clip);
    if (k->activations[0])
        op_test_strings(test, "activations", activations, k->activations);
    op_test_int(test, "hidden_size", k->units);
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

/* Alphas and betas of only those activations that have one. */
static void add_parameters(op_test *test, const rnn_case *k)
{
    static const char *const with_alpha[] = {
        "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu", NULL};
    static const char *const with_beta[] = {"Affine", "ScaledTanh", "HardSigmoid", NULL};
    float alphas[6], betas[6];
    size_t alpha_count = 0, beta_count = 0;
    for (size_t i = 0; i < 6 && k->activations[i]; i++) {
        if (is_one_of(k->activations[i], with_alpha))
            alphas[alpha_count++] = k->alpha[i];
        if (is_one_of(k->activations[i], with_beta))
            betas[beta_count++] = k->beta[i];
    }
    if (alpha_count)
        op_test_floats(test, "activation_alpha", alpha_count, alphas);
    if (beta_count)
        op_test_floats(test, "activation_beta", beta_count, betas);
}

static op_test *make_test(const rnn_case *k, const rnn_operands *o)
{
    op_test *test = op_test_create("", types[k->type]);
    op_test_outputs(test, k->type == LSTM ? 3 : 2);
    add_attributes(test, k, o->directions);
    add_parameters(test, k);
    add_input(test, &o->x, true, false);
    add_input(test, &o->w, true, k->is_constant);
    add_input(test, &o->r, true, k->is_constant);
    add_input(test, &o->b, k->has_bias, k->is_constant);
    if (k->has_lengths)
        op_test_input(test, MLS_INT32, OP_DIMS(k->rows), o->lengths);
    else
        op_test_left_out(test);
    add_input(test, &o->h, k->has_h, false);
    if (k->type == LSTM) {
        add_input(test, &o->c, k->has_c, false);
        add_input(test, &o->p, k->has_peepholes, k->is_constant);
    }
    return test;
}

/* What rounding may add to 1, by the dtype's precision. */
static double bound_of(mls_dtype dtype)
{
    return dtype == MLS_FLOAT64   ? 1e-13
           : dtype == MLS_FLOAT32 ? 3e-6
           : dtype == MLS_FLOAT16 ? 2e-3
                                  : 1.5e-2;
}

void rnn_check(const rnn_case *k)
{
    rnn_operands o = rnn_operands_make(k);
    const double bound = bound_of(k->dtype);
    const int64_t d = o.directions;
    const int64_t y_dims[] = {k->is_row_first ? k->rows : k->steps, k->is_row_first ? k->steps : d,
                              k->is_row_first ? d : k->rows, k->units};
    op_numbers y = op_numbers_make(k->dtype, 4, y_dims);
    op_numbers h = op_numbers_make(k->dtype, 3, o.h.dims),
               c = op_numbers_make(k->dtype, 3, o.h.dims);
    for (int64_t i = 0; i < d * k->rows; i++) {
        walk w = {.k = k, .o = &o, .direction = i / k->rows, .row = i % k->rows};
        walk_row(&w, y.values, h.values, c.values);
    }
    op_test *test = make_test(k, &o);
    ck_assert_ok(op_test_run(test));
    op_numbers_expect(test, 0, &y, bound);
    op_numbers_expect(test, 1, &h, bound);
    if (k->type == LSTM)
        op_numbers_expect(test, 2, &c, bound);
    op_test_free(test);
    op_numbers_free(&y);
    op_numbers_free(&h);
    op_numbers_free(&c);
    rnn_operands_free(&o);
}
