/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LSTM, GRU and RNN against the equations of their specification, worked out a number at a time in
 * double precision with the functions of libm.
 */
#include "cpu/op_numbers.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LSTM, GRU, RNN };

static const char *const types[] = {"LSTM", "GRU", "RNN"};
static const int gate_counts[] = {4, 3, 1};
static const int activation_counts[] = {3, 2, 1};

/* What a case asks for; everything else is as it is by default. */
typedef struct rnn_case {
    int type;
    mls_dtype dtype;
    int64_t steps, rows, inputs, units;
    const char *direction; /* NULL: not given */
    bool is_row_first, is_constant, resets_after, is_coupled;
    bool has_bias, has_lengths, has_h, has_c, has_peepholes;
    float clip;
    const char *activations[6]; /* [0] NULL: not given */
    float alpha[6], beta[6];
} rnn_case;

typedef struct operands {
    int64_t directions;
    op_numbers x, w, r, b, h, c, p;
    int32_t *lengths;
} operands;

static operands make_operands(const rnn_case *k)
{
    const bool is_both = k->direction && strcmp(k->direction, "bidirectional") == 0;
    const int64_t d = is_both ? 2 : 1, columns = gate_counts[k->type] * k->units;
    const int64_t x[] = {k->is_row_first ? k->rows : k->steps, k->is_row_first ? k->steps : k->rows,
                         k->inputs};
    const int64_t state[] = {k->is_row_first ? k->rows : d, k->is_row_first ? d : k->rows,
                             k->units};
    /* Many large weights would make a small error grow with each step. */
    const double many_units = k->units > 32 ? 0.125 : 0.5;
    operands o = {
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

static void free_operands(operands *o)
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
                                         : usual[k->type][index % activation_counts[k->type]];
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
    const operands *o;
    int64_t direction, row;
    double h[64], c[64];
} walk;

static double gate_of(const walk *w, int which, double sum)
{
    const double clip = (double) w->k->clip;
    if (clip > 0)
        sum = fmin(fmax(sum, -clip), clip);
    return activate(w->k, (int) w->direction * activation_counts[w->k->type] + which, sum);
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
    const size_t activations = (size_t) (directions * activation_counts[k->type]);
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

static op_test *make_test(const rnn_case *k, const operands *o)
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

static void check(const rnn_case *k)
{
    operands o = make_operands(k);
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
    free_operands(&o);
}

/* --- tests ----------------------------------------------------------------------------------- */

static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16};

START_TEST(plain_layers)
{
    static const int64_t units[] = {1, 5, 16, 35};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        const rnn_case k = {.type = _i / 4,
                            .dtype = dtypes[_i % 4],
                            .steps = 4,
                            .rows = 3,
                            .inputs = 7,
                            .units = units[i],
                            .is_constant = i % 2 == 0};
        check(&k);
    }
}
END_TEST

START_TEST(everything_at_once)
{
    static const char *const directions[] = {"forward", "reverse", "bidirectional"};
    const rnn_case k = {.type = _i / 24,
                        .dtype = dtypes[_i % 4],
                        .steps = 5,
                        .rows = 4,
                        .inputs = 3,
                        .units = 18,
                        .direction = directions[_i / 4 % 3],
                        .is_row_first = _i / 4 % 2,
                        .is_constant = _i / 12 % 2,
                        .resets_after = _i / 24 == GRU && _i / 12 % 2,
                        .is_coupled = _i / 24 == LSTM && _i / 12 % 2,
                        .has_bias = true,
                        .has_lengths = true,
                        .has_h = true,
                        .has_c = true,
                        .has_peepholes = _i / 24 == LSTM,
                        .clip = 0.4f};
    check(&k);
}
END_TEST

START_TEST(resets_before_and_after)
{
    const rnn_case k = {.type = GRU,
                        .dtype = dtypes[_i % 4],
                        .steps = 3,
                        .rows = 2,
                        .inputs = 4,
                        .units = 9,
                        .resets_after = _i / 4 % 2,
                        .has_bias = _i / 8 % 2};
    check(&k);
}
END_TEST

START_TEST(activations)
{
    static const char *const names[] = {"Relu",       "Affine",      "LeakyRelu", "ThresholdedRelu",
                                        "ScaledTanh", "HardSigmoid", "Elu",       "Softsign",
                                        "Softplus",   "Sigmoid",     "Tanh"};
    enum { COUNT = sizeof names / sizeof names[0] };
    rnn_case k = {.type = _i % 3,
                  .dtype = _i / 3 % 2 ? MLS_FLOAT64 : MLS_FLOAT32,
                  .steps = 2,
                  .rows = 2,
                  .inputs = 3,
                  .units = 17,
                  .direction = "bidirectional",
                  .has_h = true};
    for (int i = 0; i < 2 * activation_counts[k.type]; i++) {
        k.activations[i] = names[(_i / 6 + i) % COUNT];
        k.alpha[i] = 0.3f + 0.1f * (float) i;
        k.beta[i] = 0.7f - 0.1f * (float) i;
    }
    check(&k);
}
END_TEST

/* Many steps go in chunks, whose rows are those of a step, of a row, or all. */
START_TEST(long_sequences)
{
    const rnn_case k = {.type = _i % 3,
                        .dtype = dtypes[_i / 3 % 4],
                        .steps = 70,
                        .rows = 1 + _i / 24 * 4,
                        .inputs = 2,
                        .units = 6,
                        .direction = _i / 12 % 2 ? "bidirectional" : "reverse",
                        .is_row_first = true,
                        .is_constant = true,
                        .has_bias = true};
    check(&k);
}
END_TEST

/* Large enough for threads to split the rows. */
START_TEST(many_rows)
{
    const rnn_case k = {.type = _i,
                        .dtype = MLS_FLOAT32,
                        .steps = 30,
                        .rows = 21,
                        .inputs = 40,
                        .units = 40,
                        .direction = _i == RNN ? NULL : "bidirectional",
                        .is_constant = true,
                        .has_bias = true,
                        .has_lengths = true};
    check(&k);
}
END_TEST

static op_test *rows_test(const operands *o, const void *x, int64_t rows, const int64_t *planned)
{
    op_test *test = op_test_create("", "LSTM");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(3, rows, o->x.dims[2]), x);
    if (planned)
        op_test_planned(test, 3, planned, NULL);
    op_test_constant(test, MLS_FLOAT32, 3, o->w.dims, o->w.data);
    op_test_constant(test, MLS_FLOAT32, 3, o->r.dims, o->r.data);
    return test;
}

START_TEST(rows_do_not_depend_on_the_batch)
{
    enum { ROWS = 13, INPUTS = 20, UNITS = 24 };
    const rnn_case k = {.type = LSTM,
                        .dtype = MLS_FLOAT32,
                        .steps = 3,
                        .rows = ROWS,
                        .inputs = INPUTS,
                        .units = UNITS};
    operands o = make_operands(&k);
    op_test *all = rows_test(&o, o.x.data, ROWS, NULL);
    ck_assert_ok(op_test_run(all));
    for (int64_t row = 0; row < ROWS; row++) {
        float x[3][INPUTS];
        for (int64_t t = 0; t < 3; t++)
            memcpy(x[t], (const float *) o.x.data + (t * ROWS + row) * INPUTS, sizeof x[t]);
        op_test *one = rows_test(&o, x, 1, (int64_t[]){5, ROWS, INPUTS});
        ck_assert_ok(op_test_run(one));
        for (int64_t t = 0; t < 3; t++)
            ck_assert_mem_eq((const float *) op_test_data(one, 0) + t * UNITS,
                             (const float *) op_test_data(all, 0) + (t * ROWS + row) * UNITS,
                             UNITS * sizeof(float));
        op_test_free(one);
    }
    op_test_free(all);
    free_operands(&o);
}
END_TEST

START_TEST(empty_layers)
{
    const rnn_case cases[] = {
        {.type = _i % 3, .steps = 0, .rows = 2, .inputs = 3, .units = 4, .has_h = true},
        {.type = _i % 3, .steps = 2, .rows = 0, .inputs = 3, .units = 4},
        {.type = _i % 3, .steps = 2, .rows = 2, .inputs = 0, .units = 4, .has_bias = true},
        {.type = _i % 3, .steps = 2, .rows = 2, .inputs = 3, .units = 0},
    };
    rnn_case k = cases[_i / 3];
    k.dtype = MLS_FLOAT32;
    check(&k);
}
END_TEST

/* --- what is refused ------------------------------------------------------------------------- */

static op_test *small_gru(int64_t units, int64_t directions)
{
    static const float zeros[64] = {0};
    op_test *test = op_test_create("", "GRU");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 1, 3), zeros);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(directions, 3 * units, 3), zeros);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(directions, 6, 2), zeros);
    return test;
}

START_TEST(wrong_shapes)
{
    op_test *test = small_gru(3, 1);
    ck_assert_int_eq(op_test_infer(test), MLS_ESHAPE);
    op_test_free(test);
    test = small_gru(2, 2);
    ck_assert_int_eq(op_test_infer(test), MLS_ESHAPE);
    op_test_free(test);
    test = small_gru(2, 1);
    op_test_int(test, "hidden_size", 3);
    ck_assert_int_eq(op_test_infer(test), MLS_ESHAPE);
    op_test_free(test);
    test = small_gru(2, 1);
    op_test_string(test, "direction", "sideways");
    ck_assert_int_eq(op_test_infer(test), MLS_EINVAL);
    op_test_free(test);
}
END_TEST

START_TEST(wrong_activations)
{
    op_test *test = small_gru(2, 1);
    op_test_strings(test, "activations", 2, (const char *const[]){"Sigmoid", "Sine"});
    ck_assert_int_eq(op_test_run(test), MLS_EINVAL);
    ck_assert_ptr_nonnull(strstr(mls_error_message(), "'Sine'"));
    op_test_free(test);
    test = small_gru(2, 1);
    op_test_strings(test, "activations", 1, (const char *const[]){"Sigmoid"});
    ck_assert_int_eq(op_test_run(test), MLS_EINVAL);
    op_test_free(test);
}
END_TEST

START_TEST(lengths_out_of_range)
{
    static const int32_t lengths[][1] = {{3}, {-1}};
    op_test *test = small_gru(2, 1);
    op_test_left_out(test);
    op_test_input(test, MLS_INT32, OP_DIMS(1), lengths[_i]);
    ck_assert_int_eq(op_test_run(test), MLS_EINVAL);
    ck_assert_ptr_nonnull(strstr(mls_error_message(), "sequence_lens[0]"));
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_recurrent");
    TCase *tests = tcase_create("recurrent");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, plain_layers, 0, 12);
    tcase_add_loop_test(tests, everything_at_once, 0, 72);
    tcase_add_loop_test(tests, resets_before_and_after, 0, 16);
    tcase_add_loop_test(tests, activations, 0, 66);
    tcase_add_loop_test(tests, long_sequences, 0, 48);
    tcase_add_loop_test(tests, many_rows, 0, 3);
    tcase_add_test(tests, rows_do_not_depend_on_the_batch);
    tcase_add_loop_test(tests, empty_layers, 0, 12);
    tcase_add_test(tests, wrong_shapes);
    tcase_add_test(tests, wrong_activations);
    tcase_add_loop_test(tests, lengths_out_of_range, 0, 2);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
