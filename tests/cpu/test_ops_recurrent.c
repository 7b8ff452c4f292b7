/* SPDX-License-Identifier: Apache-2.0 */
/* LSTM, GRU and RNN against the equations of their specification. */
#include "cpu/rnn_case.h"

#include <string.h>

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
        rnn_check(&k);
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
    rnn_check(&k);
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
    rnn_check(&k);
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
    for (int i = 0; i < 2 * rnn_activation_counts[k.type]; i++) {
        k.activations[i] = names[(_i / 6 + i) % COUNT];
        k.alpha[i] = 0.3f + 0.1f * (float) i;
        k.beta[i] = 0.7f - 0.1f * (float) i;
    }
    rnn_check(&k);
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
    rnn_check(&k);
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
    rnn_check(&k);
}
END_TEST

static op_test *rows_test(const rnn_operands *o, const void *x, int64_t rows,
                          const int64_t *planned)
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
    rnn_operands o = rnn_operands_make(&k);
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
    rnn_operands_free(&o);
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
    rnn_check(&k);
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
