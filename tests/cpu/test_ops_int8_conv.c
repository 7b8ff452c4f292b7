/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ConvInteger and QLinearConv, with channels second and last, against sums in 64 bits, one output
 * at a time. The harness compares the bytes of all instruction sets.
 */
#include "cpu/elements.h"
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { MOST = 60000, FILTERS = 160 };

typedef struct conv_case {
    int rank;                                 /* spatial dimensions */
    int64_t batch, groups, channels, filters; /* of a group */
    int64_t input[3], kernel[3], strides[3], dilations[3];
    int64_t before[3], after[3];
    mls_dtype x_dtype, w_dtype;
    bool has_x_zero;
    int64_t w_zeros; /* 0: none, 1, or one for each filter (-1); 2, -2: the middle of the range */
    bool is_w_constant;
} conv_case;

#define ONES                                                                                       \
    {                                                                                              \
        1, 1, 1                                                                                    \
    }
#define NONE                                                                                       \
    {                                                                                              \
        0, 0, 0                                                                                    \
    }
#define U8 MLS_UINT8
#define I8 MLS_INT8

static const conv_case cases[] = {
    {2, 1, 1, 3, 5, {9, 11}, {3, 3}, ONES, ONES, {1, 1}, {1, 1}, U8, I8, true, 0, true},
    {2, 2, 1, 8, 20, {5, 7}, {1, 1}, ONES, ONES, NONE, NONE, U8, I8, true, 1, true},
    {2, 2, 1, 8, 20, {5, 7}, {1, 1}, ONES, ONES, NONE, NONE, I8, U8, true, -1, true},
    {2, 1, 1, 3, 7, {33, 45}, {3, 3}, {2, 2}, ONES, {1, 1}, {1, 1}, I8, I8, true, -1, false},
    {2, 1, 1, 2, 3, {12, 40}, {3, 2}, {3, 3}, {2, 3}, {2, 4}, {0, 3}, U8, U8, true, 1, true},
    {2, 2, 3, 4, 5, {8, 8}, {3, 3}, {1, 2}, ONES, {1, 0}, {0, 1}, U8, I8, true, -1, true},
    {2, 2, 6, 1, 1, {10, 23}, {3, 3}, ONES, ONES, {1, 1}, {1, 1}, U8, I8, true, -1, true},
    {2, 1, 5, 1, 2, {14, 35}, {5, 3}, {2, 2}, ONES, {2, 1}, {2, 1}, I8, U8, true, 1, true},
    {2, 1, 4, 1, 1, {9, 20}, {3, 3}, {2, 3}, {2, 2}, {3, 2}, {1, 5}, U8, U8, true, -1, false},
    {2, 1, 1, 1, 30, {13, 13}, {3, 3}, ONES, ONES, {1, 1}, {1, 1}, U8, I8, false, 0, true},
    {1, 2, 1, 6, 9, {50}, {5}, {2}, {2}, {3}, {4}, I8, I8, false, 1, true},
    {1, 1, 7, 1, 1, {37}, {4}, {3}, {1}, {1}, {2}, U8, I8, true, 0, true},
    {3,
     1,
     1,
     2,
     4,
     {4, 5, 6},
     {2, 3, 3},
     {1, 2, 1},
     ONES,
     {1, 1, 0},
     {0, 1, 2},
     U8,
     I8,
     true,
     0,
     true},
    {3,
     1,
     3,
     1,
     1,
     {5, 4, 18},
     {3, 2, 3},
     {2, 1, 2},
     ONES,
     {1, 1, 1},
     {1, 0, 1},
     I8,
     I8,
     true,
     -1,
     true},
    {2, 1, 1, 70, 3, {3, 4}, {3, 3}, ONES, ONES, {1, 1}, {1, 1}, U8, U8, true, 1, true},
    {2, 0, 1, 2, 3, {6, 6}, {3, 3}, ONES, ONES, NONE, NONE, U8, I8, true, 0, true},
};

/* Groups of one channel, which are a block of channels, more or less; and products. */
static const conv_case last_cases[] = {
    {2, 1, 32, 1, 1, {9, 37}, {3, 3}, ONES, ONES, {1, 1}, {1, 1}, U8, I8, true, 0, true},
    {2, 2, 32, 1, 1, {9, 10}, {3, 3}, {2, 2}, ONES, {1, 1}, {1, 1}, U8, I8, true, 2, true},
    {2, 1, 16, 1, 1, {7, 35}, {3, 3}, ONES, {2, 2}, {2, 2}, {2, 2}, I8, U8, true, -2, true},
    {2, 1, 96, 1, 1, {8, 9}, {3, 3}, {2, 1}, ONES, {1, 1}, {0, 1}, I8, I8, true, -2, true},
    {2, 2, 64, 1, 1, {5, 6}, {5, 5}, ONES, ONES, {2, 2}, {2, 2}, U8, I8, true, 0, true},
    {2, 1, 144, 1, 1, {4, 5}, {3, 3}, ONES, ONES, {1, 1}, {1, 1}, U8, U8, true, 2, true},
    {2, 1, 70, 1, 1, {6, 40}, {2, 4}, {3, 1}, {1, 2}, {0, 3}, {2, 1}, U8, I8, true, 0, false},
    {2, 1, 1, 1, 1, {6, 90}, {3, 3}, ONES, ONES, {1, 1}, {1, 1}, U8, I8, true, 0, true},
    {2, 1, 3, 1, 1, {11, 12}, {7, 1}, ONES, ONES, {6, 0}, {3, 0}, I8, I8, true, 0, true},
    {1, 2, 8, 1, 1, {75}, {3}, ONES, ONES, {1}, {1}, U8, I8, true, 0, true},
    {2, 1, 24, 1, 1, {5, 5}, {3, 3}, ONES, ONES, {9, 9}, {1, 9}, U8, I8, true, 0, true},
    {2, 1, 6, 1, 1, {10, 23}, {3, 3}, ONES, ONES, {1, 1}, {1, 1}, U8, I8, true, -1, true},
    {2, 1, 1, 16, 150, {5, 6}, {1, 1}, ONES, ONES, NONE, NONE, U8, I8, true, 0, true},
    {2, 2, 1, 9, 96, {4, 7}, {1, 1}, ONES, ONES, NONE, NONE, U8, I8, true, -1, true},
    {2, 1, 2, 8, 24, {4, 7}, {1, 1}, ONES, ONES, NONE, NONE, U8, I8, true, 0, true},
    {2, 1, 1, 3, 32, {37, 39}, {3, 3}, {2, 2}, ONES, {0, 0}, {1, 1}, U8, I8, true, 2, true},
    /* Enough for several threads: of few rows and many filters, and of rows of two images. */
    {2, 1, 1, 96, 150, {5, 6}, {1, 1}, ONES, ONES, NONE, NONE, U8, I8, true, -1, true},
    {2, 1, 96, 1, 1, {17, 19}, {3, 3}, ONES, ONES, {1, 1}, {1, 1}, U8, I8, true, 0, true},
    {2, 2, 64, 1, 1, {15, 16}, {3, 3}, ONES, ONES, {1, 1}, {1, 1}, I8, I8, true, 0, true},
};

static struct {
    int8_t x[MOST], w[MOST], x_zero, w_zero[FILTERS];
    float w_scale[FILTERS];
    int32_t bias[FILTERS], sums[MOST];
    int8_t y[MOST];
    float factor; /* of the scales of filters */
} o = {.factor = 1};

/* --- the reference --------------------------------------------------------------------------- */

static void fill_bytes(int8_t *bytes, int64_t count, uint64_t seed)
{
    static const int8_t extremes[] = {-128, 127, -1, 0};
    for (int64_t i = 0; i < count; i++) {
        const uint64_t r = op_random(&seed);
        bytes[i] = r % 3 ? (int8_t) (uint8_t) (r >> 40) : extremes[r / 3 % 4];
    }
}

static int64_t output_of(const conv_case *c, int axis)
{
    const int64_t reach = (c->kernel[axis] - 1) * c->dilations[axis] + 1;
    return (c->input[axis] + c->before[axis] + c->after[axis] - reach) / c->strides[axis] + 1;
}

static void dims_of(const conv_case *c, int64_t first, int64_t second, const int64_t *spatial,
                    int64_t *ret_dims)
{
    ret_dims[0] = first;
    ret_dims[1] = second;
    for (int i = 0; i < c->rank; i++)
        ret_dims[2 + i] = spatial[i];
}

static int64_t w_zero_of(const conv_case *c, int64_t filter)
{
    return c->w_zeros ? op_integer(c->w_dtype, o.w_zero, c->w_zeros < 0 ? filter : 0) : 0;
}

/* The input's element less its zero point; what is outside is 0. */
static int64_t x_at(const conv_case *c, int64_t image, int64_t channel, const int64_t *y_index,
                    const int64_t *tap)
{
    int64_t at = image * c->groups * c->channels + channel;
    for (int i = 0; i < c->rank; i++) {
        const int64_t index =
            y_index[2 + i] * c->strides[i] - c->before[i] + tap[2 + i] * c->dilations[i];
        if (index < 0 || index >= c->input[i])
            return 0;
        at = at * c->input[i] + index;
    }
    return op_integer(c->x_dtype, o.x, at) -
           (c->has_x_zero ? op_integer(c->x_dtype, &o.x_zero, 0) : 0);
}

static int32_t sum_at(const conv_case *c, const int64_t *y_index)
{
    const int64_t filter = y_index[1], group = filter / c->filters;
    int64_t dims[5], sum = 0;
    dims_of(c, 1, c->channels, c->kernel, dims);
    index_walk taps = {.rank = 2 + c->rank, .dims = dims};
    while (next_index(&taps)) {
        const int64_t w =
            op_integer(c->w_dtype, o.w, filter * count_of(taps.rank, dims) + taps.position) -
            w_zero_of(c, filter);
        sum += w * x_at(c, y_index[0], group * c->channels + taps.index[1], y_index, taps.index);
    }
    return (int32_t) sum;
}

static int64_t fill(const conv_case *c, int64_t *x_dims, int64_t *w_dims, int64_t *y_dims)
{
    int64_t outputs[3];
    uint64_t seed = 77;
    for (int i = 0; i < c->rank; i++)
        outputs[i] = output_of(c, i);
    dims_of(c, c->batch, c->groups * c->channels, c->input, x_dims);
    dims_of(c, c->groups * c->filters, c->channels, c->kernel, w_dims);
    dims_of(c, c->batch, c->groups * c->filters, outputs, y_dims);
    ck_assert_int_le(count_of(2 + c->rank, x_dims), MOST);
    ck_assert_int_le(count_of(2 + c->rank, w_dims), MOST);
    ck_assert_int_le(count_of(2 + c->rank, y_dims), MOST);
    fill_bytes(o.x, MOST, 1);
    fill_bytes(o.w, MOST, 2);
    fill_bytes(&o.x_zero, 1, 3);
    fill_bytes(o.w_zero, FILTERS, 4);
    if (c->w_zeros < -1 || c->w_zeros > 1)
        memset(o.w_zero, c->w_dtype == MLS_INT8 ? 0 : 128, FILTERS);
    for (int i = 0; i < FILTERS; i++) {
        o.w_scale[i] = (float) (op_random(&seed) % 50 + 1) / 8192 * o.factor;
        o.bias[i] = (int32_t) (op_random(&seed) % 20000) - 10000;
    }
    index_walk walk = {.rank = 2 + c->rank, .dims = y_dims};
    while (next_index(&walk))
        o.sums[walk.position] = sum_at(c, walk.index);
    return count_of(2 + c->rank, y_dims);
}

/* --- tests ----------------------------------------------------------------------------------- */

static void set_attributes(op_test *test, const conv_case *c)
{
    int64_t pads[6];
    for (int i = 0; i < c->rank; i++) {
        pads[i] = c->before[i];
        pads[c->rank + i] = c->after[i];
    }
    op_test_int(test, "group", c->groups);
    op_test_ints(test, "pads", (size_t) c->rank * 2, pads);
    op_test_ints(test, "strides", (size_t) c->rank, c->strides);
    op_test_ints(test, "dilations", (size_t) c->rank, c->dilations);
}

static void add_w(op_test *test, const conv_case *c, const int64_t *dims)
{
    (c->is_w_constant ? op_test_constant : op_test_input)(test, c->w_dtype, 2 + c->rank, dims, o.w);
}

static void add_zeros(op_test *test, mls_dtype dtype, int64_t count, const void *data)
{
    if (count)
        op_test_input(test, dtype, count > 1, &count, data);
    else
        op_test_left_out(test);
}

START_TEST(conv_integer)
{
    const conv_case *c = &cases[_i];
    int64_t x_dims[5], w_dims[5], y_dims[5];
    fill(c, x_dims, w_dims, y_dims);
    op_test *test = op_test_create("", "ConvInteger");
    set_attributes(test, c);
    op_test_input(test, c->x_dtype, 2 + c->rank, x_dims, o.x);
    add_w(test, c, w_dims);
    add_zeros(test, c->x_dtype, c->has_x_zero, &o.x_zero);
    add_zeros(test, c->w_dtype, c->w_zeros < 0 ? y_dims[1] : c->w_zeros, o.w_zero);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT32, 2 + c->rank, y_dims, o.sums);
    op_test_free(test);
}
END_TEST

static int8_t quantized(mls_dtype dtype, float value, int zero)
{
    const int low = dtype == MLS_INT8 ? -128 : 0;
    const float rounded = nearbyintf(value) + (float) zero;
    return (int8_t) (uint8_t) (int) fminf(fmaxf(rounded, (float) low), (float) (low + 255));
}

/* Moves the second dim of bytes, and of `dims`, behind the others. */
static void put_last(int rank, int64_t *dims, int8_t *bytes)
{
    static int8_t moved[MOST];
    const int64_t second = dims[1], inner = count_of(rank - 2, dims + 2);
    for (int64_t i = 0; i < dims[0]; i++)
        for (int64_t c = 0; c < second; c++)
            for (int64_t k = 0; k < inner; k++)
                moved[(i * inner + k) * second + c] = bytes[(i * second + c) * inner + k];
    memcpy(bytes, moved, (size_t) (dims[0] * second * inner));
    memmove(dims + 1, dims + 2, (size_t) (rank - 2) * sizeof *dims);
    dims[rank - 1] = second;
}

static void check_qlinear(const conv_case *c, mls_dtype y_dtype, bool has_scales, bool has_bias,
                          bool is_last)
{
    const float x_scale = 0.4f, y_scale = 0.9f;
    const int8_t y_zero = 7, none = 0;
    int64_t x_dims[5], w_dims[5], y_dims[5], planned[5];
    const int64_t count = fill(c, x_dims, w_dims, y_dims);
    const int64_t filters = y_dims[1];
    for (int64_t i = 0; i < count; i++) {
        const int64_t f = i / (count / (c->batch * filters)) % filters;
        const float multiplier = x_scale * o.w_scale[has_scales ? f : 0] / y_scale;
        const int32_t sum = o.sums[i] + (has_bias ? o.bias[f] : 0);
        o.y[i] = quantized(y_dtype, (float) sum * multiplier, y_zero);
    }
    if (!c->has_x_zero)
        o.x_zero = 0;
    if (is_last) {
        put_last(2 + c->rank, x_dims, o.x);
        put_last(2 + c->rank, y_dims, o.y);
    }
    op_test *test = op_test_create(is_last ? "com.microsoft" : "", "QLinearConv");
    set_attributes(test, c);
    if (is_last)
        op_test_int(test, "channels_last", 1);
    op_test_input(test, c->x_dtype, 2 + c->rank, x_dims, o.x);
    if (is_last && c->rank > 1) { /* planned for a higher image */
        memcpy(planned, x_dims, sizeof planned);
        planned[1] += 3;
        op_test_planned(test, 2 + c->rank, planned, NULL);
    }
    op_test_input(test, MLS_FLOAT32, OP_SCALAR, &x_scale);
    op_test_input(test, c->x_dtype, OP_SCALAR, &o.x_zero);
    add_w(test, c, w_dims);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(has_scales ? filters : 1), o.w_scale);
    void (*const add_zero)(op_test *, mls_dtype, int, const int64_t *, const void *) =
        c->is_w_constant ? op_test_constant : op_test_input;
    if (c->w_zeros)
        add_zero(test, c->w_dtype, OP_DIMS(c->w_zeros < 0 ? filters : 1), o.w_zero);
    else
        add_zero(test, c->w_dtype, OP_SCALAR, &none);
    op_test_input(test, MLS_FLOAT32, OP_SCALAR, &y_scale);
    op_test_input(test, y_dtype, OP_SCALAR, &y_zero);
    if (has_bias)
        op_test_constant(test, MLS_INT32, OP_DIMS(filters), o.bias);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, y_dtype, 2 + c->rank, y_dims, o.y);
    op_test_free(test);
}

START_TEST(qlinear_conv)
{
    check_qlinear(&cases[_i], MLS_UINT8, _i % 2, true, false);
    check_qlinear(&cases[_i], MLS_INT8, _i % 2 == 0, false, false);
}
END_TEST

START_TEST(channels_last)
{
    const conv_case *c =
        _i < (int) COUNT(cases) ? &cases[_i] : &last_cases[_i - (int) COUNT(cases)];
    check_qlinear(c, MLS_UINT8, _i % 2, true, true);
    check_qlinear(c, MLS_INT8, _i % 2 == 0, false, true);
}
END_TEST

/* Small and odd shapes, many of them with groups of one channel. */
static conv_case random_case(int seed)
{
    random_state random = {(uint64_t) seed + 1};
    conv_case c = {.rank = 1 + seed % 3,
                   .batch = 1,
                   .groups = random_in(&random, 1, 3),
                   .channels = random_in(&random, 0, 2) ? 1 : random_in(&random, 2, 5),
                   .filters = random_in(&random, 1, 2),
                   .x_dtype = random_in(&random, 0, 1) ? MLS_INT8 : MLS_UINT8,
                   .w_dtype = random_in(&random, 0, 1) ? MLS_INT8 : MLS_UINT8,
                   .has_x_zero = true,
                   .w_zeros = random_in(&random, -1, 1),
                   .is_w_constant = true};
    for (int i = 0; i < c.rank; i++) {
        c.kernel[i] = random_in(&random, 1, 4);
        c.dilations[i] = random_in(&random, 1, 2);
        c.strides[i] = random_in(&random, 0, 1) ? 1 : random_in(&random, 1, 4);
        c.before[i] = random_in(&random, 0, 3);
        c.after[i] = random_in(&random, 0, 3);
        c.input[i] =
            (c.kernel[i] - 1) * c.dilations[i] + random_in(&random, 1, c.rank < 3 ? 20 : 7);
    }
    return c;
}

START_TEST(random_shapes)
{
    const conv_case c = random_case(_i);
    int64_t x_dims[5], w_dims[5], y_dims[5];
    fill(&c, x_dims, w_dims, y_dims);
    op_test *test = op_test_create("", "ConvInteger");
    set_attributes(test, &c);
    op_test_input(test, c.x_dtype, 2 + c.rank, x_dims, o.x);
    add_w(test, &c, w_dims);
    add_zeros(test, c.x_dtype, 1, &o.x_zero);
    add_zeros(test, c.w_dtype, c.w_zeros < 0 ? y_dims[1] : c.w_zeros, o.w_zero);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT32, 2 + c.rank, y_dims, o.sums);
    op_test_free(test);
}
END_TEST

/* Values that int32 does not hold, infinite ones and NaN. */
START_TEST(scales_of_all_sizes)
{
    static const float factors[] = {1e9f, -1e9f, 1e30f, INFINITY, NAN};
    o.factor = factors[_i];
    for (size_t i = 0; i < COUNT(last_cases); i += 3)
        for (int layout = 0; layout < 2; layout++) {
            check_qlinear(&last_cases[i], MLS_UINT8, true, true, layout);
            check_qlinear(&last_cases[i], MLS_INT8, true, false, layout);
        }
    o.factor = 1;
}
END_TEST

START_TEST(random_channels_last)
{
    conv_case c = random_case(_i);
    if (_i % 2) {
        c.groups += _i % 40;
        c.channels = c.filters = 1;
        c.w_zeros *= 2;
    }
    if (c.rank < 3 || _i % 2 == 0)
        check_qlinear(&c, _i % 3 ? MLS_UINT8 : MLS_INT8, _i % 5 < 3, _i % 7 < 4, true);
}
END_TEST

/* As explicit pads would be: of one too many, the end gets the one for UPPER. */
START_TEST(auto_pad)
{
    static const char *const names[] = {"SAME_UPPER", "SAME_LOWER", "VALID"};
    conv_case c = {2, 1, 1, 3, 5, {7, 8}, {3, 4}, {2, 1}, ONES, NONE, NONE, U8, I8, true, 0, true};
    int64_t x_dims[5], w_dims[5], y_dims[5];
    if (_i < 2) {
        c.before[0] = c.after[0] = 1;
        c.before[1] = _i == 0 ? 1 : 2;
        c.after[1] = _i == 0 ? 2 : 1;
    }
    fill(&c, x_dims, w_dims, y_dims);
    op_test *test = op_test_create("", "ConvInteger");
    op_test_string(test, "auto_pad", names[_i]);
    op_test_ints(test, "strides", 2, c.strides);
    op_test_input(test, c.x_dtype, 4, x_dims, o.x);
    add_w(test, &c, w_dims);
    op_test_input(test, c.x_dtype, OP_SCALAR, &o.x_zero);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT32, 4, y_dims, o.sums);
    op_test_free(test);
}
END_TEST

/* A kernel made for a larger batch and image follows to a smaller one. */
START_TEST(smaller_images)
{
    const conv_case *c = &cases[_i];
    int64_t x_dims[5], w_dims[5], y_dims[5], planned[5];
    fill(c, x_dims, w_dims, y_dims);
    memcpy(planned, x_dims, sizeof planned);
    planned[0] += 2;
    planned[2] += 5;
    op_test *test = op_test_create("", "ConvInteger");
    set_attributes(test, c);
    op_test_input(test, c->x_dtype, 2 + c->rank, x_dims, o.x);
    op_test_planned(test, 2 + c->rank, planned, NULL);
    add_w(test, c, w_dims);
    add_zeros(test, c->x_dtype, c->has_x_zero, &o.x_zero);
    add_zeros(test, c->w_dtype, c->w_zeros < 0 ? y_dims[1] : c->w_zeros, o.w_zero);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT32, 2 + c->rank, y_dims, o.sums);
    op_test_free(test);
}
END_TEST

static mls_status infer_status(int64_t channels, mls_dtype zero, int64_t zeros)
{
    op_test *test = op_test_create("", "ConvInteger");
    op_test_input(test, MLS_UINT8, OP_DIMS(1, 3, 5, 5), o.x);
    op_test_input(test, MLS_INT8, OP_DIMS(4, channels, 3, 3), o.w);
    op_test_input(test, MLS_UINT8, OP_SCALAR, &o.x_zero);
    op_test_input(test, zero, OP_DIMS(zeros), o.w_zero);
    const mls_status status = op_test_infer(test);
    op_test_free(test);
    return status;
}

START_TEST(what_does_not_fit)
{
    ck_assert_int_eq(infer_status(3, MLS_INT8, 4), MLS_OK);
    ck_assert_int_eq(infer_status(2, MLS_INT8, 4), MLS_ESHAPE);
    ck_assert_int_eq(infer_status(3, MLS_INT8, 3), MLS_ESHAPE);
    ck_assert_int_eq(infer_status(3, MLS_UINT8, 4), MLS_EDTYPE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops/int8_conv");
    TCase *tests = tcase_create("int8_conv");
    tcase_add_loop_test(tests, conv_integer, 0, COUNT(cases));
    tcase_add_loop_test(tests, qlinear_conv, 0, COUNT(cases));
    tcase_add_loop_test(tests, channels_last, 0, COUNT(cases) + COUNT(last_cases));
    tcase_add_loop_test(tests, random_shapes, 0, 120);
    tcase_add_loop_test(tests, scales_of_all_sizes, 0, 5);
    tcase_add_loop_test(tests, random_channels_last, 0, 240);
    tcase_add_loop_test(tests, auto_pad, 0, 3);
    tcase_add_loop_test(tests, smaller_images, 0, COUNT(cases));
    tcase_add_test(tests, what_does_not_fit);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
