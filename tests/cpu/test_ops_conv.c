/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conv, ConvTranspose and FusedConv with attributes at random, against every output worked out on
 * its own: to the bit in the order that numerics promise, and near its sum in double precision.
 */
#include "cpu/conv_case.h"
#include "cpu/op_values.h"

#include <math.h>
#include <string.h>

/* --- cases at random ------------------------------------------------------------------------- */

static int64_t pick(uint64_t *seed, int64_t low, int64_t high)
{
    return low + (int64_t) (op_random(seed) % (uint64_t) (high - low + 1));
}

/* Sets the outputs; false when there are none, or too much work for a test. */
static bool is_fine(conv_case *c)
{
    for (int i = 0; i < c->rank; i++) {
        const int64_t extent = (c->kernel[i] - 1) * c->dilation[i] + 1;
        const int64_t pads = c->pads[i] + c->pads[c->rank + i];
        const int64_t room = c->input[i] + pads - extent;
        if (!c->is_transposed && room < 0)
            return false;
        c->output[i] = c->is_transposed
                           ? c->stride[i] * (c->input[i] - 1) + c->extra[i] + extent - pads
                           : room / c->stride[i] + 1;
        if (c->output[i] < 1)
            return false;
    }
    return c->batch * c->groups * c->filters * c->channels * conv_product(c->rank, c->kernel) *
               conv_product(c->rank, c->output) <
           120000;
}

static void pick_axes(conv_case *c, uint64_t *seed)
{
    static const int64_t widths[] = {0, 70, 14, 7, 4};
    for (int i = 0; i < c->rank; i++) {
        c->input[i] = pick(seed, 1, widths[c->rank]);
        c->kernel[i] = pick(seed, 1, pick(seed, 1, 4));
        c->stride[i] = pick(seed, 1, 2) == 1 ? 1 : pick(seed, 1, 3);
        c->dilation[i] = pick(seed, 1, 3) < 3 ? 1 : pick(seed, 1, 3);
        c->pads[i] = pick(seed, 0, 2);
        c->pads[c->rank + i] = pick(seed, 0, 2);
        c->extra[i] = c->stride[i] > 1 ? pick(seed, 0, c->stride[i] - 1) : 0;
    }
}

static void pick_channels(conv_case *c, uint64_t *seed)
{
    c->batch = pick(seed, 1, 2);
    c->groups = pick(seed, 0, 2) ? 1 : pick(seed, 1, 5);
    c->channels = pick(seed, 1, 2) == 1 ? pick(seed, 1, 4) : pick(seed, 5, 40);
    c->filters = pick(seed, 1, 3) == 1 ? pick(seed, 1, 7) : pick(seed, 8, 90);
    if (pick(seed, 1, 6) == 1) { /* depthwise */
        c->groups = pick(seed, 1, 40);
        c->channels = 1;
        c->filters = pick(seed, 1, 4) == 1 ? 2 : 1;
    }
}

static conv_case random_case(uint64_t seed, bool is_transposed, mls_dtype dtype)
{
    conv_case c;
    do {
        c = (conv_case){.domain = "",
                        .type = is_transposed ? "ConvTranspose" : "Conv",
                        .dtype = dtype,
                        .is_transposed = is_transposed,
                        .seed = seed};
        c.rank = (int) pick(&seed, 1, pick(&seed, 1, MOST_RANK));
        c.is_constant = pick(&seed, 0, 1);
        c.has_bias = pick(&seed, 0, 1);
        pick_axes(&c, &seed);
        pick_channels(&c, &seed);
    } while (!is_fine(&c));
    return c;
}

static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT32, MLS_FLOAT16, MLS_BFLOAT16,
                                   MLS_FLOAT64};

START_TEST(test_conv)
{
    for (int d = 0; d < 5; d++) {
        const conv_case c = random_case((uint64_t) (_i * 5 + d), false, dtypes[d]);
        conv_check(&c);
    }
}
END_TEST

START_TEST(test_conv_transpose)
{
    for (int d = 0; d < 5; d++) {
        const conv_case c = random_case((uint64_t) (1000 + _i * 5 + d), true, dtypes[d]);
        conv_check(&c);
    }
}
END_TEST

/* Whether the passes may ask for blocks with these groups. */
static bool may_be_blocked(const conv_case *c)
{
    return c->groups == 1 ||
           (c->channels == 1 && c->filters == 1 && c->is_x_blocked && c->is_y_blocked);
}

START_TEST(test_fused)
{
    static const char *const activations[] = {NULL, "Relu", "LeakyRelu"};
    uint64_t seed = (uint64_t) (2000 + _i);
    for (int layout = 0; layout < 4; layout++) {
        conv_case c = random_case(seed * 4 + (uint64_t) layout, _i % 3 == 2, dtypes[_i % 4]);
        c.domain = "mlscale";
        c.type = c.is_transposed ? "FusedConvTranspose" : "FusedConv";
        c.is_x_blocked = layout & 1;
        c.is_y_blocked = layout >> 1;
        c.has_residual = pick(&seed, 0, 1);
        c.activation = activations[pick(&seed, 0, 2)];
        if (layout && !may_be_blocked(&c))
            c.groups = 1;
        conv_check(&c);
    }
}
END_TEST

/* Images that are float32 between 16-bit weights: in, out, and both. */
START_TEST(test_wide)
{
    static const char *const activations[] = {NULL, "Relu", "LeakyRelu"};
    uint64_t seed = (uint64_t) (7000 + _i);
    for (int wide = 1; wide < 4; wide++) {
        conv_case c = random_case(seed * 4 + (uint64_t) wide, _i % 4 == 3, dtypes[2 + _i % 2]);
        c.domain = "mlscale";
        c.type = c.is_transposed ? "FusedConvTranspose" : "FusedConv";
        c.is_x_wide = wide & 1;
        c.is_y_wide = wide >> 1;
        c.is_x_blocked = c.is_y_wide || pick(&seed, 0, 1);
        c.is_y_blocked = c.is_y_wide || pick(&seed, 0, 1);
        c.has_residual = pick(&seed, 0, 1);
        c.activation = activations[pick(&seed, 0, 2)];
        if (!may_be_blocked(&c))
            c.groups = 1;
        conv_check(&c);
    }
}
END_TEST

/* What is wide is said to be, and in blocks. */
START_TEST(test_wide_refused)
{
    for (int i = 0; i < 3; i++) {
        conv_case c = random_case(1, false, MLS_FLOAT16);
        c.domain = "mlscale";
        c.type = "FusedConv";
        c.groups = 1;
        c.has_residual = i == 1;
        c.is_y_wide = i == 2;
        conv_operands o = conv_operands_make(&c);
        op_test *test = op_test_create(c.domain, c.type);
        conv_add_attributes(test, &c);
        o.x.dtype = i == 0 ? MLS_FLOAT32 : MLS_FLOAT16;
        o.z.dtype = MLS_FLOAT32;
        conv_add_operand(test, &c, &o.x, false, c.channels, c.input);
        conv_add_weights(test, &c, &o);
        if (c.has_residual)
            conv_add_operand(test, &c, &o.z, false, c.filters, c.output);
        ck_assert_int_eq(op_test_run(test), i == 2 ? MLS_EINVAL : MLS_EDTYPE);
        op_test_free(test);
        conv_operands_free(o);
    }
}
END_TEST

START_TEST(test_fused_of_microsoft)
{
    conv_case c = random_case((uint64_t) (4000 + _i), false, MLS_FLOAT32);
    c.domain = "com.microsoft";
    c.type = "FusedConv";
    c.activation = _i % 2 ? "LeakyRelu" : "Relu";
    c.has_residual = _i % 3 == 0;
    conv_check(&c);
}
END_TEST

/* Groups that fill blocks of channels may be blocked. */
START_TEST(test_blocked_groups)
{
    conv_case c = {.domain = "mlscale",
                   .type = "FusedConv",
                   .dtype = MLS_FLOAT32,
                   .is_x_blocked = true,
                   .is_y_blocked = true,
                   .is_constant = true,
                   .rank = 2,
                   .batch = 1,
                   .groups = 3,
                   .channels = 16,
                   .filters = 32,
                   .input = {4, 5},
                   .kernel = {3, 2},
                   .stride = {1, 1},
                   .dilation = {1, 1},
                   .pads = {1, 1, 1, 0}};
    is_fine(&c);
    conv_check(&c);
}
END_TEST

/* Rows of every length with taps that are near and far, whose edges are anywhere. */
START_TEST(test_depthwise)
{
    const int64_t kernel = _i & 1 ? 5 : 3;
    for (int64_t width = 1; width < 40; width++) {
        uint64_t seed = (uint64_t) (6000 + _i * 40 + width);
        conv_case c = {.domain = "mlscale",
                       .type = "FusedConv",
                       .dtype = MLS_FLOAT32,
                       .is_x_blocked = true,
                       .is_y_blocked = true,
                       .is_constant = true,
                       .has_bias = width & 1,
                       .rank = 2,
                       .batch = 1,
                       .groups = 17,
                       .channels = 1,
                       .filters = 1,
                       .input = {3, width},
                       .kernel = {2, kernel},
                       .stride = {1, 1 + (_i >> 1) % 2},
                       .dilation = {1, 1 + (_i >> 2)},
                       .pads = {1, pick(&seed, 0, kernel), 0, pick(&seed, 0, kernel)},
                       .seed = seed};
        if (is_fine(&c))
            conv_check(&c);
    }
}
END_TEST

/*
 * Shapes that cut work in every way there is: pieces of rows, several chunks, groups of panels, and
 * regions for threads of rows and of filters.
 */
static const conv_case large_cases[] = {
    {.rank = 1, .channels = 3, .filters = 16, .input = {1100}, .kernel = {3}, .pads = {1, 1}},
    {.rank = 2, .channels = 40, .filters = 20, .input = {33, 33}, .kernel = {1, 1}},
    {.rank = 2, .channels = 33, .filters = 140, .input = {5, 9}, .kernel = {3, 3}},
    {.rank = 2, .channels = 40, .filters = 70, .input = {20, 20}, .kernel = {1, 1}},
    {.rank = 2, .channels = 40, .filters = 70, .input = {20, 20}, .kernel = {3, 3}},
    {.rank = 2, .channels = 40, .filters = 33, .input = {33, 33}, .kernel = {1, 1}},
    {.rank = 1, .channels = 600, .filters = 70, .input = {9}, .kernel = {1}},
    {.rank = 2,
     .channels = 70,
     .filters = 40,
     .input = {4, 20},
     .kernel = {3, 3},
     .pads = {1, 1, 1, 1}},
    {.rank = 2,
     .channels = 2,
     .filters = 17,
     .input = {40, 30},
     .kernel = {3, 3},
     .pads = {1, 1, 1, 1}},
    {.rank = 2, .channels = 1, .filters = 1, .groups = 20, .input = {40, 40}, .kernel = {3, 3}},
    {.rank = 2, .channels = 33, .filters = 40, .input = {90, 1}, .kernel = {5, 1}},
    {.rank = 3, .channels = 5, .filters = 3, .input = {1, 40, 1}, .kernel = {1, 3, 1}},
    {.rank = 1,
     .channels = 3,
     .filters = 1,
     .input = {300},
     .kernel = {2},
     .activation = "LeakyRelu"},
};

/* Layouts that differ only where it does not take long. */
static bool is_worth_it(int flags)
{
    const bool is_one_layout = (flags & 1) == (flags >> 1 & 1);
    const bool is_slow = MLS_TEST_SANITIZED || mls_test_is_quick() || (flags & 12) == 12;
    return is_one_layout || !is_slow;
}

START_TEST(test_large)
{
    for (int flags = 0; flags < 16; flags++) {
        if (!is_worth_it(flags))
            continue;
        conv_case c = large_cases[_i];
        c.domain = "mlscale";
        c.is_transposed = (flags & 4) != 0;
        c.type = c.is_transposed ? "FusedConvTranspose" : "FusedConv";
        c.dtype = flags & 8 ? MLS_FLOAT16 : MLS_FLOAT32;
        c.batch = 1;
        c.groups = c.groups ? c.groups : 1;
        c.is_x_blocked = flags & 1;
        c.is_y_blocked = (flags & 2) != 0;
        c.is_constant = true;
        c.has_bias = c.has_residual = true;
        for (int i = 0; i < c.rank; i++) {
            c.stride[i] = c.is_transposed ? 2 : 1;
            c.dilation[i] = 1;
        }
        is_fine(&c);
        if (c.groups == 1 || may_be_blocked(&c))
            conv_check(&c);
    }
}
END_TEST

/* --- padding by name ------------------------------------------------------------------------- */

static const struct {
    const char *type, *auto_pad;
    int64_t input, kernel, stride, dilation;
    int64_t output, before; /* expected */
} pad_cases[] = {
    {"Conv", "SAME_UPPER", 5, 2, 1, 1, 5, 0},
    {"Conv", "SAME_LOWER", 5, 2, 1, 1, 5, 1},
    {"Conv", "SAME_UPPER", 6, 3, 2, 1, 3, 0},
    {"Conv", "SAME_LOWER", 6, 3, 2, 1, 3, 1},
    {"Conv", "SAME_UPPER", 7, 3, 1, 2, 7, 2},
    {"Conv", "SAME_UPPER", 6, 1, 3, 1, 2, 0},
    {"Conv", "VALID", 5, 3, 2, 1, 2, 0},
    {"ConvTranspose", "SAME_UPPER", 3, 3, 2, 1, 6, 0},
    {"ConvTranspose", "SAME_LOWER", 3, 3, 2, 1, 6, 1},
    {"ConvTranspose", "VALID", 3, 3, 2, 1, 7, 0},
};

/* The test has its attributes, and ends here. */
static void check_row(const conv_case *c, op_test *test)
{
    conv_operands o = conv_operands_make(c);
    conv_fill_reference(c, &o);
    conv_add_operand(test, c, &o.x, false, 2, c->input);
    conv_add_weights(test, c, &o);
    ck_assert_ok(op_test_run(test));
    conv_expect(test, c, &o.y);
    op_test_free(test);
    conv_operands_free(o);
}

START_TEST(test_auto_pad)
{
    const int64_t n = pad_cases[_i].output;
    conv_case c = {.domain = "",
                   .type = pad_cases[_i].type,
                   .dtype = MLS_FLOAT32,
                   .is_transposed = pad_cases[_i].type[4] != '\0',
                   .rank = 1,
                   .batch = 1,
                   .groups = 1,
                   .channels = 2,
                   .filters = 9,
                   .input = {pad_cases[_i].input},
                   .kernel = {pad_cases[_i].kernel},
                   .stride = {pad_cases[_i].stride},
                   .dilation = {pad_cases[_i].dilation},
                   .pads = {pad_cases[_i].before},
                   .output = {n}};
    op_test *test = op_test_create("", c.type);
    op_test_string(test, "auto_pad", pad_cases[_i].auto_pad);
    op_test_ints(test, "strides", 1, c.stride);
    op_test_ints(test, "dilations", 1, c.dilation);
    check_row(&c, test);
}
END_TEST

/* Pads follow from the output; one larger than all that is reached is the bias alone there. */
START_TEST(test_output_shape)
{
    const int64_t outputs[] = {7, 6, 5, 9};
    const int64_t before[] = {0, 1, 1, 0};
    conv_case c = {.domain = "",
                   .type = "ConvTranspose",
                   .dtype = MLS_FLOAT32,
                   .is_transposed = true,
                   .has_bias = true,
                   .rank = 1,
                   .batch = 1,
                   .groups = 1,
                   .channels = 2,
                   .filters = 9,
                   .input = {3},
                   .kernel = {3},
                   .stride = {2},
                   .dilation = {1},
                   .pads = {before[_i]},
                   .output = {outputs[_i]}};
    op_test *test = op_test_create("", c.type);
    op_test_ints(test, "strides", 1, c.stride);
    op_test_ints(test, "output_shape", 1, c.output);
    check_row(&c, test);
}
END_TEST

/* --- dims that change, dims that are 0 -------------------------------------------------------- */

START_TEST(test_reshape)
{
    conv_case c = random_case((uint64_t) (5000 + _i), _i % 4 == 3, dtypes[_i % 5]);
    conv_operands o = conv_operands_make(&c);
    conv_fill_reference(&c, &o);
    op_test *test = op_test_create(c.domain, c.type);
    conv_add_attributes(test, &c);
    conv_add_operand(test, &c, &o.x, false, c.groups * c.channels, c.input);
    int64_t dims[MOST_RANK + 3];
    int rank;
    conv_set_dims(false, c.batch + 1, c.groups * c.channels, c.rank, c.input, &rank, dims);
    for (int i = 2; i < rank; i++)
        dims[i] += i;
    op_test_planned(test, rank, dims, NULL);
    conv_add_weights(test, &c, &o);
    ck_assert_ok(op_test_run(test));
    conv_expect(test, &c, &o.y);
    op_test_free(test);
    conv_operands_free(o);
}
END_TEST

/* An axis of one element is left out by the plan, and comes back only with another one. */
START_TEST(test_point_grows)
{
    const float numbers[2 * 8] = {0};
    op_test *test = op_test_create("", "Conv");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 2, 4, 2), numbers);
    op_test_planned(test, OP_DIMS(1, 2, 9, _i ? 2 : 1), NULL);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 2, 3, 1), numbers);
    ck_assert_int_eq(op_test_run(test), _i ? MLS_OK : MLS_ELIMIT);
    op_test_free(test);
}
END_TEST

START_TEST(test_empty)
{
    const float w[2 * 3 * 2] = {0};
    static const int64_t dims[][3] = {{0, 3, 5}, {2, 3, 0}};
    for (int i = 0; i < 2; i++) {
        op_test *test = op_test_create("", "Conv");
        op_test_ints(test, "pads", 2, (int64_t[]){1, 1});
        op_test_input(test, MLS_FLOAT32, 3, dims[i], w);
        op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 3, 2), w);
        ck_assert_ok(op_test_run(test));
        const int64_t expected[] = {dims[i][0], 2, dims[i][2] + 1};
        op_test_expect(test, 0, MLS_FLOAT32, 3, expected, w);
        op_test_free(test);
    }
}
END_TEST

/* No channels: nothing is summed. */
START_TEST(test_no_channels)
{
    const float b[20] = {1, 2, 3};
    float expected[20 * 4];
    for (int i = 0; i < 80; i++)
        expected[i] = b[i / 4];
    op_test *test = op_test_create("", "Conv");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 0, 4), b);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(20, 0, 1), b);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(20), b);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(1, 20, 4), expected);
    op_test_free(test);
}
END_TEST

/* --- errors ---------------------------------------------------------------------------------- */

static void expect_error(const char *name, size_t count, const int64_t *values, const int64_t *w,
                         int64_t bias, const char *words)
{
    const float zeros[1024] = {0};
    op_test *test = op_test_create("", "Conv");
    if (name && count)
        op_test_ints(test, name, count, values);
    else if (name)
        op_test_int(test, name, *values);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 4, 5, 5), zeros);
    op_test_input(test, MLS_FLOAT32, 4, w, zeros);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(bias), zeros);
    const mls_status status = op_test_infer(test);
    ck_assert(status == MLS_EINVAL || status == MLS_ESHAPE);
    ck_assert_msg(strstr(mls_error_message(), words), "'%s' lacks '%s'", mls_error_message(),
                  words);
    op_test_free(test);
}

START_TEST(test_errors)
{
    const int64_t w[] = {6, 4, 3, 3}, deep[] = {6, 3, 3, 3}, large[] = {6, 4, 3, 6};
    const int64_t none[] = {6, 4, 0, 3};
    expect_error(NULL, 0, NULL, deep, 6, "there must be 3 channels");
    expect_error(NULL, 0, NULL, large, 6, "covers 6 elements");
    expect_error(NULL, 0, NULL, none, 6, "at least 1");
    expect_error(NULL, 0, NULL, w, 5, "one dimension of 6");
    expect_error("group", 0, (int64_t[]){0}, w, 6, "group is 0");
    expect_error("group", 0, (int64_t[]){4}, w, 6, "not a multiple");
    expect_error("strides", 2, (int64_t[]){1, 0}, w, 6, "strides has an element 0");
    expect_error("strides", 1, (int64_t[]){1}, w, 6, "strides has 1 elements");
    expect_error("dilations", 2, (int64_t[]){1, INT64_MAX}, w, 6, "dilations has an element");
    expect_error("dilations", 2, (int64_t[]){1, 3}, w, 6, "covers 7 elements");
    expect_error("pads", 4, (int64_t[]){0, 0, -1, 0}, w, 6, "pads has an element -1");
    expect_error("kernel_shape", 2, (int64_t[]){3, 2}, w, 6, "as kernel_shape says");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops_conv");
    TCase *random = tcase_create("random");
    tcase_add_loop_test(random, test_conv, 0, 40);
    tcase_add_loop_test(random, test_conv_transpose, 0, 30);
    tcase_add_loop_test(random, test_fused, 0, 40);
    tcase_add_loop_test(random, test_wide, 0, 24);
    tcase_add_test(random, test_wide_refused);
    tcase_add_loop_test(random, test_fused_of_microsoft, 0, 6);
    tcase_add_test(random, test_blocked_groups);
    tcase_add_loop_test(random, test_depthwise, 0, 8);
    tcase_add_loop_test(random, test_large, 0, sizeof large_cases / sizeof large_cases[0]);
    tcase_add_loop_test(random, test_reshape, 0, 20);
    tcase_add_loop_test(random, test_point_grows, 0, 2);
    suite_add_tcase(suite, random);
    TCase *given = tcase_create("given");
    tcase_add_loop_test(given, test_auto_pad, 0, sizeof pad_cases / sizeof pad_cases[0]);
    tcase_add_loop_test(given, test_output_shape, 0, 4);
    tcase_add_test(given, test_empty);
    tcase_add_test(given, test_no_channels);
    tcase_add_test(given, test_errors);
    suite_add_tcase(suite, given);
    return mls_test_run(suite);
}
