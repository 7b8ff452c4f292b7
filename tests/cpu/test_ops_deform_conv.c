/* SPDX-License-Identifier: Apache-2.0 */
/* DeformConv against its definition: every output worked out on its own, in double. */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { MOST_RANK = 3 };

static const mls_dtype floats[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16};

/* --- a case ---------------------------------------------------------------------------------- */

typedef struct deform_case {
    int rank;
    int64_t batch, groups, channels, filters, offset_groups; /* channels and filters of a group */
    int64_t input[MOST_RANK], kernel[MOST_RANK], stride[MOST_RANK], dilation[MOST_RANK];
    int64_t pads[2 * MOST_RANK];
    int64_t output[MOST_RANK]; /* what follows from these */
} deform_case;

static const deform_case cases[] = {
    {1, 2, 1, 3, 2, 1, {9}, {3}, {1}, {1}, {0}, {7}},
    {2, 1, 1, 1, 1, 1, {4, 5}, {2, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, {5, 5}},
    {2, 2, 1, 4, 7, 2, {6, 7}, {3, 3}, {1, 2}, {1, 1}, {1, 0, 2, 1}, {7, 3}},
    {2, 1, 3, 2, 3, 2, {9, 8}, {2, 2}, {2, 1}, {3, 2}, {0, 1, 0, 0}, {3, 7}},
    {2, 3, 2, 3, 20, 6, {11, 13}, {1, 3}, {1, 1}, {1, 1}, {0, 1, 0, 1}, {11, 13}},
    {3, 2, 1, 2, 3, 1, {4, 5, 3}, {2, 1, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 0, 1, 0, 2}, {4, 6, 3}},
    {2, 2, 1, 2, 3, 1, {0, 3}, {1, 2}, {1, 1}, {1, 1}, {1, 0, 1, 0}, {2, 2}}, /* nothing but pads */
};

static int64_t product(int rank, const int64_t *dims)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    return count;
}

/* An input: its dims, elements, and the numbers that those are. */
typedef struct input {
    int rank;
    int64_t dims[2 + MOST_RANK], count;
    void *data;
    double *numbers;
} input;

enum { X, W, OFFSETS, BIAS, MASK, INPUTS };

/* Numbers of [-size, size]. */
static void fill(input *in, mls_dtype dtype, double size, uint64_t seed)
{
    in->count = product(in->rank, in->dims);
    in->data = calloc((size_t) in->count + 1, sizeof(double));
    in->numbers = calloc((size_t) in->count + 1, sizeof(double));
    ck_assert(in->data && in->numbers);
    for (int64_t i = 0; i < in->count; i++) {
        const double number = (double) (op_random(&seed) % 4097) / 2048 - 1;
        op_float_set(dtype, in->data, i, number * size);
        in->numbers[i] = op_float(dtype, in->data, i);
    }
}

static void make_inputs(const deform_case *c, mls_dtype dtype, input ret_inputs[INPUTS])
{
    const int64_t positions = product(c->rank, c->kernel) * c->offset_groups;
    const int64_t filters = c->filters * c->groups;
    const input inputs[INPUTS] = {
        [X] = {.dims = {c->batch, c->channels * c->groups}},
        [W] = {.dims = {filters, c->channels}},
        [OFFSETS] = {.dims = {c->batch, positions * c->rank}},
        [BIAS] = {.rank = 1, .dims = {filters}},
        [MASK] = {.dims = {c->batch, positions}},
    };
    memcpy(ret_inputs, inputs, sizeof inputs);
    for (int i = 0; i < INPUTS; i++) {
        const int64_t *dims = i == X ? c->input : i == W ? c->kernel : c->output;
        if (i != BIAS) {
            ret_inputs[i].rank = 2 + c->rank;
            memcpy(ret_inputs[i].dims + 2, dims, (size_t) c->rank * sizeof *dims);
        }
        fill(&ret_inputs[i], dtype, i == OFFSETS ? 3 : 1, 3 + (uint64_t) i);
    }
}

static void free_inputs(input inputs[INPUTS])
{
    for (int i = 0; i < INPUTS; i++) {
        free(inputs[i].data);
        free(inputs[i].numbers);
    }
}

static op_test *make_test(const deform_case *c, mls_dtype dtype, const input *inputs, bool has_bias,
                          bool has_mask)
{
    op_test *test = op_test_create("", "DeformConv");
    op_test_ints(test, "strides", (size_t) c->rank, c->stride);
    op_test_ints(test, "dilations", (size_t) c->rank, c->dilation);
    op_test_int(test, "group", c->groups);
    op_test_int(test, "offset_group", c->offset_groups);
    int64_t pads[2 * MOST_RANK];
    for (int i = 0; i < 2 * c->rank; i++)
        pads[i] = c->pads[i];
    op_test_ints(test, "pads", 2 * (size_t) c->rank, pads);
    for (int i = 0; i < INPUTS; i++)
        if ((i == BIAS && !has_bias) || (i == MASK && !has_mask))
            op_test_left_out(test);
        else
            op_test_input(test, dtype, inputs[i].rank, inputs[i].dims, inputs[i].data);
    return test;
}

/* --- the definition -------------------------------------------------------------------------- */

static void to_coordinates(int64_t index, int rank, const int64_t *dims, int64_t *ret_at)
{
    for (int i = rank - 1; i >= 0; i--) {
        ret_at[i] = index % dims[i];
        index /= dims[i];
    }
}

/* A channel at a place: every element, weighed by how near it is on each axis. */
static double look(const deform_case *c, const double *channel, const double *places, int axis)
{
    if (axis == c->rank)
        return channel[0];
    const int64_t stride = product(c->rank - axis - 1, c->input + axis + 1);
    double sum = 0;
    for (int64_t i = 0; i < c->input[axis]; i++) {
        const double weight = fmax(0, 1 - fabs(places[axis] - (double) i));
        if (weight > 0)
            sum += weight * look(c, channel + i * stride, places, axis + 1);
    }
    return sum;
}

/* What position p of the kernel sees for output o in a channel. */
static double seen(const deform_case *c, const input *inputs, bool has_mask, int64_t image,
                   int64_t channel, int64_t p, int64_t o)
{
    const int64_t all = c->channels * c->groups, outputs = product(c->rank, c->output);
    const int64_t offset_group = channel / (all / c->offset_groups);
    const int64_t row = (image * c->offset_groups + offset_group) * product(c->rank, c->kernel) + p;
    int64_t at[MOST_RANK], position[MOST_RANK];
    double places[MOST_RANK];
    to_coordinates(o, c->rank, c->output, at);
    to_coordinates(p, c->rank, c->kernel, position);
    for (int i = 0; i < c->rank; i++)
        places[i] = (double) (at[i] * c->stride[i] - c->pads[i] + position[i] * c->dilation[i]) +
                    inputs[OFFSETS].numbers[(row * c->rank + i) * outputs + o];
    const int64_t x = (image * all + channel) * product(c->rank, c->input);
    return look(c, inputs[X].numbers + x, places, 0) *
           (has_mask ? inputs[MASK].numbers[row * outputs + o] : 1);
}

static double define(const deform_case *c, const input *inputs, bool has_bias, bool has_mask,
                     int64_t index)
{
    const int64_t outputs = product(c->rank, c->output), positions = product(c->rank, c->kernel);
    const int64_t filters = c->filters * c->groups;
    const int64_t o = index % outputs, filter = index / outputs % filters;
    double sum = has_bias ? inputs[BIAS].numbers[filter] : 0;
    for (int64_t i = 0; i < c->channels; i++)
        for (int64_t p = 0; p < positions; p++)
            sum += inputs[W].numbers[(filter * c->channels + i) * positions + p] *
                   seen(c, inputs, has_mask, index / outputs / filters,
                        filter / c->filters * c->channels + i, p, o);
    return sum;
}

/* --- tests ----------------------------------------------------------------------------------- */

static void check_case(const deform_case *c, mls_dtype dtype, bool has_bias, bool has_mask)
{
    const double slack = dtype == MLS_FLOAT64   ? 1e-13
                         : dtype == MLS_FLOAT32 ? 1e-5
                         : dtype == MLS_FLOAT16 ? 0x1p-10
                                                : 0x1p-7;
    input inputs[INPUTS];
    make_inputs(c, dtype, inputs);
    op_test *test = make_test(c, dtype, inputs, has_bias, has_mask);
    ck_assert_ok(op_test_run(test));
    const mls_arg *y = op_test_output(test, 0);
    ck_assert_int_eq(y->rank, 2 + c->rank);
    ck_assert_int_eq(y->dims[0], c->batch);
    ck_assert_int_eq(y->dims[1], c->filters * c->groups);
    for (int i = 0; i < c->rank; i++)
        ck_assert_int_eq(y->dims[2 + i], c->output[i]);
    for (int64_t i = 0; i < product(y->rank, y->dims); i++) {
        const double expected = define(c, inputs, has_bias, has_mask, i);
        const double got = op_float(dtype, op_test_data(test, 0), i);
        if (!(fabs(got - expected) <= slack * (1 + fabs(expected))))
            ck_abort_msg("element %d of dtype %d is %g, expected %g", (int) i, (int) dtype, got,
                         expected);
    }
    op_test_free(test);
    free_inputs(inputs);
}

START_TEST(definition)
{
    for (size_t d = 0; d < COUNT(floats); d++)
        for (int way = 0; way < 4; way++)
            check_case(&cases[_i], floats[d], way & 1, way & 2);
}
END_TEST

/* Enough outputs for threads to share, and more than a tile of them. */
START_TEST(many_outputs)
{
    static const deform_case large = {
        2, 2, 3, 4, 3, 2, {10, 10}, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, {10, 10}};
    check_case(&large, MLS_FLOAT32, true, true);
    check_case(&large, MLS_FLOAT64, true, true);
}
END_TEST

/* Places that are no numbers, or far away, are outside; nothing there is looked at. */
START_TEST(far_away)
{
    static const float x[] = {NAN, 2, 3, 4}, w = 1;
    static const float offsets[] = {NAN, 1, 1e30f, 0, 0, INFINITY, -INFINITY, -2e9f};
    static const float expected[] = {0, 0, 0, 0};
    static const float near[] = {0, 0, -1, -0.5f, 1, 0, 0, -1}, seen[] = {2, 2, 1, 2};
    op_test *test = op_test_create("", "DeformConv");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 2, 2), x);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 1, 1), &w);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 2, 2, 2), offsets);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(1, 1, 2, 2), expected);
    op_test_free(test);
    test = op_test_create("", "DeformConv");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 2, 2), (const float[]){1, 2, 3, 4});
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 1, 1), &w);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 2, 2, 2), near);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(1, 1, 2, 2), seen);
    op_test_free(test);
}
END_TEST

/* A kernel made for more images follows to fewer, that may not be larger ones. */
START_TEST(smaller_dims)
{
    const deform_case *c = &cases[2];
    input inputs[INPUTS];
    make_inputs(c, MLS_FLOAT16, inputs);
    op_test *test = op_test_create("", "DeformConv");
    op_test_ints(test, "strides", 2, c->stride);
    op_test_ints(test, "pads", 4, c->pads);
    op_test_int(test, "offset_group", 2);
    for (int i = 0; i <= OFFSETS; i++) {
        op_test_input(test, MLS_FLOAT16, 4, inputs[i].dims, inputs[i].data);
        int64_t planned[4];
        memcpy(planned, inputs[i].dims, sizeof planned);
        planned[0] = 5;
        if (i != W)
            op_test_planned(test, 4, planned, NULL);
    }
    ck_assert_ok(op_test_run(test));
    for (int64_t i = 0; i < 2 * 7 * 21; i++)
        ck_assert(fabs(op_float(MLS_FLOAT16, op_test_data(test, 0), i) -
                       define(c, inputs, false, false, i)) < 0.01);
    op_test_free(test);
    free_inputs(inputs);
}
END_TEST

static void check_refused(mls_status status, const char *words, const deform_case *c, int broken,
                          int axis)
{
    input inputs[INPUTS];
    make_inputs(&cases[3], MLS_FLOAT32, inputs);
    if (broken < INPUTS)
        inputs[broken].dims[axis]--;
    op_test *test = make_test(c, MLS_FLOAT32, inputs, true, true);
    ck_assert_fails(op_test_infer(test), status, words);
    op_test_free(test);
    free_inputs(inputs);
}

START_TEST(refused)
{
    deform_case c = cases[3];
    check_refused(MLS_ESHAPE, "input 2 must have the output's dimensions, but for 16 channels", &c,
                  OFFSETS, 1);
    check_refused(MLS_ESHAPE, "input 2 must have the output's dimensions", &c, OFFSETS, 3);
    check_refused(MLS_ESHAPE, "input 4 must have the output's dimensions, but for 8 channels", &c,
                  MASK, 1);
    check_refused(MLS_ESHAPE, "input 3 must have one dimension of 9", &c, BIAS, 0);
    check_refused(MLS_ESHAPE, "there must be 6 channels", &c, X, 1);
    c.offset_groups = 4;
    check_refused(MLS_EINVAL, "offset_group is 4", &c, INPUTS, 0);
    c.offset_groups = 0;
    check_refused(MLS_EINVAL, "offset_group is 0", &c, INPUTS, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_deform_conv");
    TCase *tests = tcase_create("deform_conv");
    tcase_add_loop_test(tests, definition, 0, COUNT(cases));
    tcase_add_test(tests, many_outputs);
    tcase_add_test(tests, far_away);
    tcase_add_test(tests, smaller_dims);
    tcase_add_test(tests, refused);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
