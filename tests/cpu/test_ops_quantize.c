/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear, against the formulas of ONNX
 * worked out one element at a time, with the scale's place found index by index.
 */
#include "cpu/elements.h"
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct range {
    mls_dtype dtype;
    int low, high;
} integers[] = {
    {MLS_INT8, -128, 127}, {MLS_UINT8, 0, 255}, {MLS_INT16, -32768, 32767}, {MLS_UINT16, 0, 65535},
    {MLS_INT4, -8, 7},     {MLS_UINT4, 0, 15},  {MLS_INT2, -2, 1},          {MLS_UINT2, 0, 3},
};

enum { MOST = 700 };

typedef struct layout {
    int rank;
    int64_t dims[4];
    int axis;
    int64_t block; /* 0: one for each index of the axis; -1: one for all */
} layout;

static const layout layouts[] = {
    {0, {0}, 0, -1},          {1, {37}, 0, -1},      {3, {3, 5, 11}, 0, -1},    {1, {40}, 0, 0},
    {2, {6, 33}, 1, 0},       {3, {2, 5, 19}, 1, 0}, {4, {3, 2, 3, 17}, -2, 0}, {2, {4, 35}, 1, 16},
    {2, {4, 35}, 1, 1},       {3, {2, 7, 18}, 1, 3}, {3, {0, 7, 18}, 1, 0},     {2, {9, 4}, 0, 4},
    {3, {1, 3, 200}, -1, 64},
};

static void scale_dims(const layout *l, int *ret_rank, int64_t *ret_dims)
{
    const int axis = l->axis < 0 ? l->axis + l->rank : l->axis;
    *ret_rank = l->block < 0 ? 0 : l->block ? l->rank : 1;
    for (int i = 0; i < *ret_rank; i++)
        ret_dims[i] = l->block ? l->dims[i] : l->dims[axis];
    if (l->block > 0)
        ret_dims[axis] = (l->dims[axis] + l->block - 1) / l->block;
}

/* The scale of the element at an index. */
static int64_t scale_at(const layout *l, const int64_t *index)
{
    const int axis = l->axis < 0 ? l->axis + l->rank : l->axis;
    int64_t dims[4], at[4];
    int rank;
    scale_dims(l, &rank, dims);
    if (l->block < 0)
        return 0;
    if (l->block == 0)
        return index[axis];
    for (int i = 0; i < rank; i++)
        at[i] = i == axis ? index[i] / l->block : index[i];
    return position_of(rank, dims, at);
}

typedef struct elements {
    float x[MOST], scale[MOST];
    char wide[8 * MOST], scales[8 * MOST]; /* x and scale in their dtypes */
    int8_t zero[4 * MOST];
    int zeros[MOST];
    char y[8 * MOST];
} elements;

static const float odd_values[] = {0.5f, 1.5f,  -2.5f,  INFINITY, -INFINITY,
                                   NAN,  1e30f, -1e30f, -0.0f};

static void fill(elements *e, int64_t count, const struct range *range, mls_dtype x_dtype,
                 mls_dtype scale_dtype, uint64_t seed)
{
    for (int64_t i = 0; i < MOST; i++) {
        e->x[i] = (float) ((int64_t) (op_random(&seed) % 4000) - 2000) / 8;
        if (i < count && i % 7 == 3)
            e->x[i] = odd_values[(size_t) i / 7 % COUNT(odd_values)];
        e->scale[i] = (float) (op_random(&seed) % 31 + 1) / 16;
        e->zeros[i] =
            range->low + (int) (op_random(&seed) % (uint64_t) (range->high - range->low + 1));
        op_float_set(x_dtype, e->wide, i, (double) e->x[i]);
        op_float_set(scale_dtype, e->scales, i, (double) e->scale[i]);
        op_integer_set(range->dtype, e->zero, i, e->zeros[i]);
    }
}

/* `value` as the nearest number of the dtype. */
static double rounded(mls_dtype dtype, double value)
{
    char element[8];
    op_float_set(dtype, element, 0, value);
    return op_float(dtype, element, 0);
}

static int64_t expected_quantized(const struct range *range, mls_dtype precision, double x,
                                  double scale, int zero)
{
    const double quotient = rounded(precision, rounded(precision, x) / rounded(precision, scale));
    const double value = nearbyint(quotient) + zero;
    if (isnan(value) || value < range->low)
        return range->low;
    return value > range->high ? range->high : (int64_t) value;
}

static op_test *start(const char *type, const layout *l)
{
    op_test *test = op_test_create("", type);
    if (l->block >= 0 && l->axis != 1)
        op_test_int(test, "axis", l->axis);
    if (l->block > 0)
        op_test_int(test, "block_size", l->block);
    return test;
}

static void check_quantize(const layout *l, const struct range *range, mls_dtype x_dtype,
                           mls_dtype scale_dtype, mls_dtype precision, bool has_zero)
{
    static elements e;
    int64_t dims[4];
    int rank;
    fill(&e, count_of(l->rank, l->dims), range, x_dtype, scale_dtype, 5);
    scale_dims(l, &rank, dims);
    op_test *test = start("QuantizeLinear", l);
    op_test_input(test, x_dtype, l->rank, l->dims, e.wide);
    op_test_constant(test, scale_dtype, rank, dims, e.scales);
    if (has_zero)
        op_test_input(test, range->dtype, rank, dims, e.zero);
    else if (range->dtype != MLS_UINT8)
        op_test_int(test, "output_dtype", range->dtype);
    if (precision != scale_dtype)
        op_test_int(test, "precision", precision);
    index_walk walk = {.rank = l->rank, .dims = l->dims};
    while (next_index(&walk)) {
        const int64_t s = scale_at(l, walk.index);
        op_integer_set(
            range->dtype, e.y, walk.position,
            expected_quantized(range, precision, op_float(x_dtype, e.wide, walk.position),
                               op_float(scale_dtype, e.scales, s), has_zero ? e.zeros[s] : 0));
    }
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, range->dtype, l->rank, l->dims, e.y);
    op_test_free(test);
}

START_TEST(quantize_layouts)
{
    for (size_t r = 0; r < COUNT(integers); r++) {
        check_quantize(&layouts[_i], &integers[r], MLS_FLOAT32, MLS_FLOAT32, MLS_FLOAT32, true);
        check_quantize(&layouts[_i], &integers[r], MLS_FLOAT32, MLS_FLOAT32, MLS_FLOAT32, false);
    }
}
END_TEST

START_TEST(quantize_precisions)
{
    static const mls_dtype floats[] = {MLS_FLOAT32, MLS_FLOAT16, MLS_BFLOAT16};
    for (size_t x = 0; x < 3; x++)
        for (size_t s = 0; s < 3; s++)
            for (size_t p = 0; p < 3; p++)
                check_quantize(&layouts[6], &integers[_i], floats[x], floats[s], floats[p], true);
}
END_TEST

static void check_dequantize(const layout *l, const struct range *range, mls_dtype scale_dtype,
                             mls_dtype y_dtype, bool has_zero)
{
    static elements e;
    static int8_t x[4 * MOST];
    int64_t dims[4];
    int rank;
    uint64_t seed = 9;
    fill(&e, 0, range, MLS_FLOAT32, scale_dtype, 6);
    scale_dims(l, &rank, dims);
    for (int64_t i = 0; i < MOST; i++)
        op_integer_set(
            range->dtype, x, i,
            range->low + (int64_t) (op_random(&seed) % (uint64_t) (range->high - range->low + 1)));
    op_test *test = start("DequantizeLinear", l);
    op_test_input(test, range->dtype, l->rank, l->dims, x);
    op_test_input(test, scale_dtype, rank, dims, e.scales);
    if (has_zero)
        op_test_constant(test, range->dtype, rank, dims, e.zero);
    if (y_dtype != scale_dtype)
        op_test_int(test, "output_dtype", y_dtype);
    index_walk walk = {.rank = l->rank, .dims = l->dims};
    while (next_index(&walk)) {
        const int64_t s = scale_at(l, walk.index);
        const int64_t difference =
            op_integer(range->dtype, x, walk.position) - (has_zero ? e.zeros[s] : 0);
        const float product = (float) difference * (float) op_float(scale_dtype, e.scales, s);
        op_float_set(y_dtype, e.y, walk.position, (double) product);
    }
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, y_dtype, l->rank, l->dims, e.y);
    op_test_free(test);
}

START_TEST(dequantize_layouts)
{
    static const mls_dtype floats[] = {MLS_FLOAT32, MLS_FLOAT16, MLS_BFLOAT16};
    for (size_t r = 0; r < COUNT(integers); r++) {
        check_dequantize(&layouts[_i], &integers[r], MLS_FLOAT32, MLS_FLOAT32, true);
        check_dequantize(&layouts[_i], &integers[r], MLS_FLOAT32, MLS_FLOAT32, false);
        check_dequantize(&layouts[_i], &integers[r], floats[r % 3], floats[r / 3 % 3], true);
    }
}
END_TEST

START_TEST(int32_is_dequantized)
{
    op_test *test = op_test_create("", "DequantizeLinear");
    op_test_input(test, MLS_INT32, OP_DIMS(4), (int32_t[]){1, -3, 16777217, INT32_MIN});
    op_test_input(test, MLS_FLOAT32, OP_SCALAR, (float[]){0.5f});
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(4), (float[]){0.5f, -1.5f, 8388608.0f, -0x1p30f});
    op_test_free(test);
}
END_TEST

START_TEST(int32_is_quantized)
{
    op_test *test = op_test_create("", "QuantizeLinear");
    op_test_input(test, MLS_INT32, OP_DIMS(5), (int32_t[]){3, 5, -9, 100000, 16777217});
    op_test_input(test, MLS_INT32, OP_SCALAR, (int32_t[]){2});
    op_test_input(test, MLS_INT16, OP_SCALAR, (int16_t[]){10});
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT16, OP_DIMS(5), (int16_t[]){12, 12, 6, 32767, 32767});
    op_test_free(test);
}
END_TEST

/* E4M3FN codes: 0x38 is 1, 0x40 is 2, 0x7e is 448, the largest, 0x7f NaN. */
START_TEST(small_floats)
{
    const float x[] = {0, 2, 4, 1000, -1e5f, 896};
    for (int saturate = 0; saturate < 2; saturate++) {
        const uint8_t end = saturate ? 0x7e : 0x7f;
        op_test *test = op_test_create("", "QuantizeLinear");
        op_test_int(test, "output_dtype", MLS_FLOAT8E4M3FN);
        op_test_int(test, "saturate", saturate);
        op_test_input(test, MLS_FLOAT32, OP_DIMS(6), x);
        op_test_input(test, MLS_FLOAT32, OP_SCALAR, (float[]){2});
        ck_assert_ok(op_test_run(test));
        const uint8_t expected[] = {0, 0x38, 0x40, end, (uint8_t) (0x80 | end), 0x7e};
        op_test_expect(test, 0, MLS_FLOAT8E4M3FN, OP_DIMS(6), expected);
        op_test_free(test);
    }
}
END_TEST

/* E2M1 codes: 0x2 is 1, 0x4 is 2, 0x7 is 6. Scales are powers of two, 0x80 is 2. */
START_TEST(powers_as_scales)
{
    op_test *test = op_test_create("", "DequantizeLinear");
    op_test_int(test, "output_dtype", MLS_FLOAT16);
    op_test_input(test, MLS_FLOAT4E2M1, OP_DIMS(4), (uint8_t[]){0, 2, 4, 0xf});
    op_test_input(test, MLS_FLOAT8E8M0, OP_DIMS(1), (uint8_t[]){0x80});
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT16, OP_DIMS(4), (uint16_t[]){0, 0x4000, 0x4400, 0xca00});
    op_test_free(test);
}
END_TEST

static mls_status infer_status(const char *type, mls_dtype dtype, int64_t scales, int64_t axis,
                               mls_dtype zero)
{
    static const char zeros[64];
    op_test *test = op_test_create("", type);
    op_test_int(test, "axis", axis);
    op_test_input(test, dtype, OP_DIMS(2, 3), zeros);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(scales), zeros);
    op_test_input(test, zero, OP_DIMS(scales), zeros);
    const mls_status status = op_test_infer(test);
    op_test_free(test);
    return status;
}

START_TEST(what_does_not_fit)
{
    ck_assert_int_eq(infer_status("QuantizeLinear", MLS_FLOAT32, 3, 1, MLS_INT8), MLS_OK);
    ck_assert_int_eq(infer_status("QuantizeLinear", MLS_FLOAT32, 2, 1, MLS_INT8), MLS_ESHAPE);
    ck_assert_int_eq(infer_status("QuantizeLinear", MLS_FLOAT32, 3, 2, MLS_INT8), MLS_EINVAL);
    ck_assert_int_eq(infer_status("QuantizeLinear", MLS_FLOAT32, 3, 1, MLS_INT32), MLS_EDTYPE);
    ck_assert_int_eq(infer_status("QuantizeLinear", MLS_FLOAT64, 3, 1, MLS_INT8), MLS_EDTYPE);
    ck_assert_int_eq(infer_status("DequantizeLinear", MLS_INT8, 3, 1, MLS_INT8), MLS_OK);
    ck_assert_int_eq(infer_status("DequantizeLinear", MLS_INT8, 3, 1, MLS_UINT8), MLS_EDTYPE);
    ck_assert_int_eq(infer_status("DequantizeLinear", MLS_INT64, 3, 1, MLS_INT64), MLS_EDTYPE);
}
END_TEST

/* --- DynamicQuantizeLinear ------------------------------------------------------------------- */

static void check_dynamic(int64_t count, float low, float high)
{
    static float x[MOST];
    static uint8_t y[MOST];
    uint64_t seed = 3;
    float least = 0, most = 0;
    for (int64_t i = 0; i < count; i++) {
        x[i] = low + (high - low) * (float) (op_random(&seed) % 1001) / 1000;
        least = fminf(least, x[i]);
        most = fmaxf(most, x[i]);
    }
    const float scale = most == least ? 1 : (most - least) / 255;
    const uint8_t zero = (uint8_t) nearbyintf(-least / scale);
    for (int64_t i = 0; i < count; i++)
        y[i] = (uint8_t) fminf(fmaxf(nearbyintf(x[i] / scale) + zero, 0), 255);
    op_test *test = op_test_create("", "DynamicQuantizeLinear");
    op_test_outputs(test, 3);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(count), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_UINT8, OP_DIMS(count), y);
    op_test_expect(test, 1, MLS_FLOAT32, OP_SCALAR, &scale);
    op_test_expect(test, 2, MLS_UINT8, OP_SCALAR, &zero);
    op_test_free(test);
}

START_TEST(dynamic_ranges)
{
    check_dynamic(0, 0, 0);
    check_dynamic(5, 0, 0);
    check_dynamic(1, 3, 3);
    check_dynamic(333, -1.5f, 2.5f);
    check_dynamic(100, 1, 7);
    check_dynamic(MOST, -9, -2);
}
END_TEST

/* Enough elements for threads. */
START_TEST(many_elements)
{
    enum { N = 200000 };
    float *x = calloc(N, sizeof *x);
    int8_t *y = calloc(N, 1);
    ck_assert(x && y);
    for (int i = 0; i < N; i++) {
        x[i] = (float) (i % 701 - 350) * 0.5f;
        const float value = nearbyintf(x[i] / 1.5f) + 3;
        y[i] = (int8_t) (value < -128 ? -128 : value > 127 ? 127 : value);
    }
    op_test *test = op_test_create("", "QuantizeLinear");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(N), x);
    op_test_input(test, MLS_FLOAT32, OP_SCALAR, (float[]){1.5f});
    op_test_input(test, MLS_INT8, OP_SCALAR, (int8_t[]){3});
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT8, OP_DIMS(N), y);
    op_test_free(test);
    free(x);
    free(y);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops/quantize");
    TCase *tests = tcase_create("quantize");
    tcase_add_loop_test(tests, quantize_layouts, 0, COUNT(layouts));
    tcase_add_loop_test(tests, quantize_precisions, 0, COUNT(integers));
    tcase_add_loop_test(tests, dequantize_layouts, 0, COUNT(layouts));
    tcase_add_test(tests, int32_is_dequantized);
    tcase_add_test(tests, int32_is_quantized);
    tcase_add_test(tests, small_floats);
    tcase_add_test(tests, powers_as_scales);
    tcase_add_test(tests, what_does_not_fit);
    tcase_add_test(tests, dynamic_ranges);
    tcase_add_test(tests, many_elements);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
