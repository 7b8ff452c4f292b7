/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LinearAttention and CausalConvWithState against their equations, worked out a number at a time
 * in double precision.
 */
#include "cpu/op_numbers.h"
#include "cpu/op_values.h"

#include "op/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What rounding may add to 1, by the dtype's precision. */
static double bound_of(mls_dtype dtype)
{
    return dtype == MLS_FLOAT32 ? 4e-6 : dtype == MLS_FLOAT16 ? 2e-3 : 1.5e-2;
}

static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT16, MLS_BFLOAT16};

/* --- LinearAttention ------------------------------------------------------------------------- */

typedef struct linear_case {
    mls_dtype dtype, state_dtype;
    const char *rule;
    bool is_gated, is_delta, has_past, has_shared_decay, has_shared_beta;
    int64_t batch, rows, heads, kv_heads, size, v_size;
    float scale;
} linear_case;

typedef struct operands {
    op_numbers q, k, v, past, decay, beta, y, state;
} operands;

static operands make_operands(const linear_case *c)
{
    const int64_t b = c->batch, t = c->rows, n = c->kv_heads;
    const int64_t state[] = {b, n, c->size, c->v_size};
    const mls_dtype state_dtype = c->has_past ? c->state_dtype : c->dtype;
    return (operands){
        .q = op_numbers_random(c->dtype, 3, (int64_t[]){b, t, c->heads * c->size}, -1, 2, 1),
        .k = op_numbers_random(c->dtype, 3, (int64_t[]){b, t, n * c->size}, -0.5, 1, 2),
        .v = op_numbers_random(c->dtype, 3, (int64_t[]){b, t, n * c->v_size}, -1, 2, 3),
        .past = op_numbers_random(state_dtype, 4, state, -1, 2, 4),
        .decay = op_numbers_random(
            c->dtype, 3, (int64_t[]){b, t, c->has_shared_decay ? n : n * c->size}, -1, 1, 5),
        .beta = op_numbers_random(c->dtype, 3, (int64_t[]){b, t, c->has_shared_beta ? 1 : n}, 0,
                                  0.5, 6),
        .y = op_numbers_make(c->dtype, 3, (int64_t[]){b, t, c->heads * c->v_size}),
        .state = op_numbers_make(state_dtype, 4, state),
    };
}

static void free_operands(operands *o)
{
    op_numbers *const all[] = {&o->q,     &o->k,    &o->v, &o->past,
                               &o->decay, &o->beta, &o->y, &o->state};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        op_numbers_free(all[i]);
}

/* One row of one head: its state, then what the query heads read of it. */
static void step(const linear_case *c, const operands *o, int64_t row, int64_t head, double *state)
{
    const double *k = &o->k.values[(row * c->kv_heads + head) * c->size];
    const double *v = &o->v.values[(row * c->kv_heads + head) * c->v_size];
    const int64_t group = c->heads / c->kv_heads;
    for (int64_t i = 0; i < c->size; i++) {
        const int64_t at = c->has_shared_decay ? row * c->kv_heads + head
                                               : (row * c->kv_heads + head) * c->size + i;
        for (int64_t j = 0; c->is_gated && j < c->v_size; j++)
            state[i * c->v_size + j] *= exp(o->decay.values[at]);
    }
    for (int64_t j = 0; j < c->v_size; j++) {
        double found = 0, fresh = v[j];
        for (int64_t i = 0; i < c->size; i++)
            found += state[i * c->v_size + j] * k[i];
        if (c->is_delta)
            fresh = o->beta.values[c->has_shared_beta ? row : row * c->kv_heads + head] *
                    (v[j] - found);
        for (int64_t i = 0; i < c->size; i++)
            state[i * c->v_size + j] += k[i] * fresh;
        for (int64_t h = head * group; h < (head + 1) * group; h++) {
            double sum = 0;
            for (int64_t i = 0; i < c->size; i++)
                sum += o->q.values[(row * c->heads + h) * c->size + i] * state[i * c->v_size + j];
            o->y.values[(row * c->heads + h) * c->v_size + j] =
                sum * (c->scale > 0 ? (double) c->scale : 1 / sqrt((double) c->size));
        }
    }
}

static void check_linear(const linear_case *c)
{
    operands o = make_operands(c);
    const int64_t count = c->size * c->v_size;
    for (int64_t unit = 0; unit < c->batch * c->kv_heads; unit++) {
        double *state = o.state.values + unit * count;
        if (c->has_past)
            memcpy(state, o.past.values + unit * count, (size_t) count * sizeof *state);
        for (int64_t t = 0; t < c->rows; t++)
            step(c, &o, unit / c->kv_heads * c->rows + t, unit % c->kv_heads, state);
    }
    op_test *test = op_test_create("", "LinearAttention");
    op_test_outputs(test, 2);
    op_test_int(test, "q_num_heads", c->heads);
    op_test_int(test, "kv_num_heads", c->kv_heads);
    op_test_string(test, "update_rule", c->rule);
    if (c->scale > 0)
        op_test_float(test, "scale", c->scale);
    op_numbers_give(test, &o.q);
    op_numbers_give(test, &o.k);
    op_numbers_give(test, &o.v);
    op_numbers_give(test, c->has_past ? &o.past : NULL);
    op_numbers_give(test, c->is_gated ? &o.decay : NULL);
    op_numbers_give(test, c->is_delta ? &o.beta : NULL);
    ck_assert_ok(op_test_run(test));
    op_numbers_expect(test, 0, &o.y, bound_of(o.y.dtype));
    op_numbers_expect(test, 1, &o.state, bound_of(o.state.dtype));
    op_test_free(test);
    free_operands(&o);
}

static const struct rule {
    const char *name;
    bool is_gated, is_delta;
} rules[] = {{"linear", false, false},
             {"gated", true, false},
             {"delta", false, true},
             {"gated_delta", true, true}};

START_TEST(linear_attention)
{
    const struct rule *rule = &rules[_i / 3 % 4];
    const linear_case c = {.dtype = dtypes[_i % 3],
                           .state_dtype = _i / 12 % 2 ? MLS_FLOAT32 : dtypes[_i % 3],
                           .rule = rule->name,
                           .is_gated = rule->is_gated,
                           .is_delta = rule->is_delta,
                           .has_past = _i / 24 % 2,
                           .has_shared_decay = _i / 12 % 2,
                           .has_shared_beta = _i / 24 % 2,
                           .batch = 2,
                           .rows = 4,
                           .heads = _i / 12 % 2 ? 6 : 3,
                           .kv_heads = 3,
                           .size = 5,
                           .v_size = _i % 2 ? 18 : 3,
                           .scale = _i % 2 ? 0.25f : 0};
    check_linear(&c);
}
END_TEST

/* Large enough for threads. */
START_TEST(large_linear_attention)
{
    const linear_case c = {.dtype = MLS_FLOAT32,
                           .rule = rules[_i].name,
                           .is_gated = rules[_i].is_gated,
                           .is_delta = rules[_i].is_delta,
                           .batch = 1,
                           .rows = 30,
                           .heads = 5,
                           .kv_heads = 5,
                           .size = 64,
                           .v_size = 64,
                           .scale = 0.1f};
    check_linear(&c);
}
END_TEST

START_TEST(wrong_linear_attention)
{
    static const float zeros[64] = {0};
    static const struct {
        const char *rule;
        int64_t heads, columns;
        mls_status status;
    } cases[] = {
        {"gated", 1, 4, MLS_EINVAL},  /* no decay */
        {"square", 1, 4, MLS_EINVAL}, /* no such rule */
        {"linear", 3, 4, MLS_ESHAPE}, /* heads do not divide the rows */
        {"linear", 0, 4, MLS_EINVAL}, {"linear", 1, 3, MLS_ESHAPE}, /* K is not like Q */
    };
    op_test *test = op_test_create("", "LinearAttention");
    op_test_outputs(test, 2);
    op_test_int(test, "q_num_heads", cases[_i].heads);
    op_test_int(test, "kv_num_heads", 1);
    op_test_string(test, "update_rule", cases[_i].rule);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 2, 4), zeros);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 2, cases[_i].columns), zeros);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 2, 4), zeros);
    ck_assert_int_eq(op_test_infer(test), cases[_i].status);
    op_test_free(test);
}
END_TEST

/* --- CausalConvWithState --------------------------------------------------------------------- */

typedef struct causal_case {
    mls_dtype dtype;
    int64_t batch, channels, length, taps;
    bool has_bias, has_past;
    const char *activation;
} causal_case;

static double carried(const causal_case *c, const op_numbers *x, const op_numbers *past,
                      int64_t unit, int64_t place)
{
    const int64_t before = c->taps - 1;
    if (place >= before)
        return x->values[unit * c->length + place - before];
    return c->has_past ? past->values[unit * before + place] : 0;
}

static void check_causal(const causal_case *c)
{
    const int64_t b = c->batch, n = c->channels, before = c->taps - 1;
    op_numbers x = op_numbers_random(c->dtype, 3, (int64_t[]){b, n, c->length}, -1, 2, 1);
    op_numbers w = op_numbers_random(c->dtype, 3, (int64_t[]){n, 1, c->taps}, -1, 2, 2);
    op_numbers bias = op_numbers_random(c->dtype, 1, &n, -1, 2, 3);
    op_numbers past = op_numbers_random(c->dtype, 3, (int64_t[]){b, n, before}, -1, 2, 4);
    op_numbers y = op_numbers_make(c->dtype, 3, x.dims);
    op_numbers state = op_numbers_make(c->dtype, 3, past.dims);
    for (int64_t i = 0; i < y.count; i++) {
        const int64_t unit = i / c->length, channel = unit % n;
        double sum = c->has_bias ? bias.values[channel] : 0;
        for (int64_t j = 0; j < c->taps; j++)
            sum += w.values[channel * c->taps + j] * carried(c, &x, &past, unit, i % c->length + j);
        y.values[i] = strcmp(c->activation, "none") == 0 ? sum : sum / (1 + exp(-sum));
    }
    for (int64_t i = 0; i < state.count; i++)
        state.values[i] = carried(c, &x, &past, i / before, c->length + i % before);
    op_test *test = op_test_create("", "CausalConvWithState");
    op_test_outputs(test, 2);
    op_test_string(test, "activation", c->activation);
    op_numbers_give(test, &x);
    op_numbers_give(test, &w);
    op_numbers_give(test, c->has_bias ? &bias : NULL);
    op_numbers_give(test, c->has_past ? &past : NULL);
    ck_assert_ok(op_test_run(test));
    op_numbers_expect(test, 0, &y, bound_of(c->dtype));
    op_numbers_expect(test, 1, &state, bound_of(c->dtype));
    op_test_free(test);
    op_numbers *const all[] = {&x, &w, &bias, &past, &y, &state};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        op_numbers_free(all[i]);
}

START_TEST(causal_conv)
{
    static const int64_t lengths[] = {1, 2, 16, 37}, taps[] = {1, 4};
    static const char *const activations[] = {"none", "silu", "swish"};
    const causal_case c = {.dtype = dtypes[_i % 3],
                           .batch = 2,
                           .channels = 3,
                           .length = lengths[_i / 3 % 4],
                           .taps = taps[_i / 12 % 2],
                           .has_bias = _i / 24 % 2,
                           .has_past = _i / 48,
                           .activation = activations[_i % 5 % 3]};
    check_causal(&c);
}
END_TEST

START_TEST(large_causal_conv)
{
    const causal_case c = {.dtype = MLS_FLOAT32,
                           .batch = 3,
                           .channels = 65,
                           .length = 1500,
                           .taps = 4,
                           .has_bias = true,
                           .has_past = true,
                           .activation = "silu"};
    check_causal(&c);
}
END_TEST

START_TEST(wrong_causal_conv)
{
    static const float zeros[64] = {0};
    static const struct {
        const char *activation;
        int64_t weights[3];
        mls_status status;
    } cases[] = {{"relu", {2, 1, 3}, MLS_EINVAL},
                 {"none", {3, 1, 3}, MLS_ESHAPE},
                 {"none", {2, 1, 0}, MLS_ESHAPE},
                 {"none", {2, 2, 3}, MLS_ESHAPE}};
    op_test *test = op_test_create("", "CausalConvWithState");
    op_test_outputs(test, 2);
    op_test_string(test, "activation", cases[_i].activation);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 2, 4), zeros);
    op_test_input(test, MLS_FLOAT32, 3, cases[_i].weights, zeros);
    ck_assert_int_eq(op_test_infer(test), cases[_i].status);
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_linear_attention");
    TCase *tests = tcase_create("linear_attention");
    tcase_add_loop_test(tests, linear_attention, 0, 48);
    tcase_add_loop_test(tests, large_linear_attention, 0, 4);
    tcase_add_loop_test(tests, wrong_linear_attention, 0, 5);
    tcase_add_loop_test(tests, causal_conv, 0, 96);
    tcase_add_test(tests, large_causal_conv);
    tcase_add_loop_test(tests, wrong_causal_conv, 0, 4);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
