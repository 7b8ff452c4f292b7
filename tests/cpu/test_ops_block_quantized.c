/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights of few bits: products have the bytes of the same with the weights as float32, slices
 * those of their elements one by one; and what is wrong.
 */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum zero_form { NO_ZEROS, PACKED_ZEROS, FLOAT_ZEROS } zero_form;

typedef struct product_case {
    int64_t m, k, n;
    int64_t bits, block;
    zero_form zeros;
    bool has_bias;
    mls_dtype dtype;
} product_case;

/* What a case is given, and its weights as float32, a column after the other. */
typedef struct operands {
    int64_t blocks, block_bytes, zero_bytes;
    uint8_t *b, *packed_zeros;
    void *a, *scales, *zeros, *bias;
    float *weights;
} operands;

static void *zeroed(int64_t count, size_t size)
{
    void *memory = calloc((size_t) count + 1, size);
    ck_assert_ptr_nonnull(memory);
    return memory;
}

/* Whole sixteenths between -1 and 1, which every dtype has. */
static void *random_floats(mls_dtype dtype, int64_t count, uint64_t seed)
{
    void *data = zeroed(count, sizeof(double));
    for (int64_t i = 0; i < count; i++)
        op_float_set(dtype, data, i, (double) (op_random(&seed) % 33) / 16 - 1);
    return data;
}

static void put_bits(uint8_t *list, int64_t bits, int64_t index, unsigned value)
{
    const int64_t in_byte = 8 / bits;
    list[index / in_byte] |= (uint8_t) (value << (unsigned) (index % in_byte * bits));
}

static void make_column(const product_case *c, operands *o, int64_t column, uint64_t *seed)
{
    const unsigned most = 1u << c->bits;
    float scale = 0, zero = 0;
    for (int64_t i = 0; i < o->blocks * c->block; i++) {
        const unsigned q = (unsigned) (op_random(seed) % most);
        if (i % c->block == 0) {
            const int64_t at = column * o->blocks + i / c->block;
            const unsigned point = (unsigned) (op_random(seed) % most);
            put_bits(o->packed_zeros + column * o->zero_bytes, c->bits, i / c->block, point);
            scale = (float) op_float(c->dtype, o->scales, at);
            zero = c->zeros == FLOAT_ZEROS    ? (float) op_float(c->dtype, o->zeros, at)
                   : c->zeros == PACKED_ZEROS ? (float) point
                                              : (float) (most / 2);
        }
        put_bits(o->b + column * o->blocks * o->block_bytes, c->bits, i, q);
        if (i < c->k)
            o->weights[column * c->k + i] = ((float) q - zero) * scale;
    }
}

static operands make_operands(const product_case *c)
{
    uint64_t seed = 99;
    const int64_t blocks = (c->k + c->block - 1) / c->block, in_byte = 8 / c->bits;
    operands o = {.blocks = blocks,
                  .block_bytes = c->block / in_byte,
                  .zero_bytes = (blocks + in_byte - 1) / in_byte};
    o.b = zeroed(c->n * blocks * o.block_bytes, 1);
    o.packed_zeros = zeroed(c->n * o.zero_bytes, 1);
    o.a = random_floats(c->dtype, c->m * c->k, 1);
    o.scales = random_floats(c->dtype, c->n * blocks, 2);
    o.zeros = random_floats(c->dtype, c->n * blocks, 3);
    o.bias = random_floats(c->dtype, c->n, 4);
    o.weights = zeroed(c->n * c->k, sizeof(float));
    for (int64_t i = 0; i < c->n; i++)
        make_column(c, &o, i, &seed);
    return o;
}

static void free_operands(operands *o)
{
    void *all[] = {o->b, o->packed_zeros, o->a, o->scales, o->zeros, o->bias, o->weights};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

/* An attribute that is other than the case says. */
typedef struct other {
    const char *name;
    int64_t value;
} other;

static void set_int(op_test *test, const char *name, int64_t value, const other *instead)
{
    op_test_int(test, name, instead && strcmp(instead->name, name) == 0 ? instead->value : value);
}

static op_test *create_test(const product_case *c, const operands *o, const other *instead)
{
    op_test *test = op_test_create("com.microsoft", "MatMulNBits");
    set_int(test, "N", c->n, instead);
    set_int(test, "K", c->k, instead);
    set_int(test, "bits", c->bits, instead);
    set_int(test, "block_size", c->block, instead);
    set_int(test, "weight_prepacked", 0, instead);
    op_test_input(test, c->dtype, OP_DIMS(c->m, c->k), o->a);
    op_test_constant(test, MLS_UINT8, OP_DIMS(c->n, o->blocks, o->block_bytes), o->b);
    op_test_constant(test, c->dtype, OP_DIMS(c->n, o->blocks), o->scales);
    if (c->zeros == PACKED_ZEROS)
        op_test_constant(test, MLS_UINT8, OP_DIMS(c->n * o->zero_bytes), o->packed_zeros);
    else if (c->zeros == FLOAT_ZEROS)
        op_test_constant(test, c->dtype, OP_DIMS(c->n, o->blocks), o->zeros);
    else
        op_test_left_out(test);
    op_test_left_out(test);
    if (c->has_bias)
        op_test_input(test, c->dtype, OP_DIMS(c->n), o->bias);
    return test;
}

/* The chain that numerics promise, which is exact in nothing but its order. */
static void *define(const product_case *c, const operands *o)
{
    void *y = zeroed(c->m * c->n, sizeof(double));
    for (int64_t i = 0; i < c->m * c->n; i++) {
        const int64_t row = i / c->n, column = i % c->n;
        float sum = 0;
        for (int64_t k = 0; k < c->k; k++)
            sum = fmaf((float) op_float(c->dtype, o->a, row * c->k + k),
                       o->weights[column * c->k + k], sum);
        if (c->has_bias)
            sum += (float) op_float(c->dtype, o->bias, column);
        op_float_set(c->dtype, y, i, (double) sum);
    }
    return y;
}

static const product_case cases[] = {
    {1, 64, 32, 4, 32, NO_ZEROS, false, MLS_FLOAT32},
    {6, 100, 33, 4, 16, NO_ZEROS, false, MLS_FLOAT32},
    {5, 65, 70, 4, 32, PACKED_ZEROS, true, MLS_FLOAT32},
    {5, 64, 40, 8, 32, PACKED_ZEROS, false, MLS_FLOAT32},
    {5, 63, 40, 8, 16, NO_ZEROS, true, MLS_FLOAT32},
    {5, 96, 40, 2, 32, PACKED_ZEROS, false, MLS_FLOAT32},
    {3, 128, 40, 4, 64, FLOAT_ZEROS, false, MLS_FLOAT32},
    {3, 129, 40, 4, 64, PACKED_ZEROS, true, MLS_FLOAT16},
    {3, 128, 40, 8, 128, FLOAT_ZEROS, true, MLS_BFLOAT16},
    {70, 256, 300, 4, 32, PACKED_ZEROS, false, MLS_FLOAT32}, /* several groups of panels */
    {2, 5000, 18, 4, 128, PACKED_ZEROS, false, MLS_FLOAT32},
    /* Few rows: whole groups of panels, and what is left. */
    {1, 131, 134, 4, 64, PACKED_ZEROS, true, MLS_FLOAT32},
    {2, 65, 130, 8, 16, FLOAT_ZEROS, false, MLS_FLOAT32},
    {2, 65, 70, 4, 32, PACKED_ZEROS, true, MLS_FLOAT16},
    {4, 1, 1, 4, 16, NO_ZEROS, false, MLS_FLOAT32},
    {0, 64, 8, 8, 16, NO_ZEROS, false, MLS_FLOAT32},
};

START_TEST(has_the_bytes_of_its_pieces)
{
    const product_case *c = &cases[_i];
    operands o = make_operands(c);
    op_test *test = create_test(c, &o, NULL);
    void *y = define(c, &o);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, c->dtype, OP_DIMS(c->m, c->n), y);
    op_test_free(test);
    free_operands(&o);
    free(y);
}
END_TEST

static void check_error(const product_case *c, const char *name, int64_t value, mls_status code,
                        const char *words)
{
    operands o = make_operands(c);
    op_test *test = create_test(c, &o, &(other){name, value});
    ck_assert_fails(op_test_run(test), code, words);
    op_test_free(test);
    free_operands(&o);
}

START_TEST(wrong_forms_are_named)
{
    const product_case *c = &cases[0];
    check_error(c, "bits", 3, MLS_EINVAL, "bits is 3, expected 2, 4 or 8");
    check_error(c, "bits", 8, MLS_ESHAPE, "input 1 has");
    check_error(c, "block_size", 24, MLS_EINVAL, "block_size is 24, expected a power of two");
    check_error(c, "block_size", 16, MLS_ESHAPE, "input 2 has 64 elements, expected 4 for each");
    check_error(c, "K", 0, MLS_EINVAL, "K 0");
    check_error(&cases[4], "K", INT64_MAX, MLS_EINVAL, "K is more than memory can hold");
    check_error(c, "K", 63, MLS_ESHAPE, "rows of input 0 do not have K, 63, elements");
    check_error(c, "N", 31, MLS_ESHAPE, "for each of 31 columns");
    check_error(&cases[2], "N", 71, MLS_ESHAPE, "input 1 has");
    check_error(c, "weight_prepacked", 1, MLS_EUNSUPPORTED, "weight_prepacked are not supported");
    operands o = make_operands(c);
    op_test *test = op_test_create("com.microsoft", "MatMulNBits");
    op_test_int(test, "N", c->n);
    op_test_int(test, "K", c->k);
    op_test_int(test, "block_size", c->block);
    op_test_input(test, c->dtype, OP_DIMS(c->m, c->k), o.a);
    op_test_input(test, MLS_UINT8, OP_DIMS(c->n, o.blocks, o.block_bytes), o.b);
    op_test_constant(test, c->dtype, OP_DIMS(c->n, o.blocks), o.scales);
    ck_assert_fails(op_test_run(test), MLS_EUNSUPPORTED, "input 1 is no constant");
    op_test_free(test);
    free_operands(&o);
}
END_TEST

/* --- GatherBlockQuantized -------------------------------------------------------------------- */

#define DATA_DIMS 3

typedef struct gather_case {
    int64_t dims[DATA_DIMS]; /* of the data, unpacked */
    int gather_axis, block_axis;
    int64_t bits, block;
    mls_dtype dtype, scale_dtype;
    bool has_zeros;
} gather_case;

enum { INDICES = 4 };
static const int64_t indices[INDICES] = {1, -1, 5, 0}; /* 5: there is none */

/* Elements and zero points as they lie, and as numbers. */
typedef struct quantized {
    int64_t rows, columns, packed_columns;
    int64_t *values;
    uint8_t *memory;
} quantized;

static quantized make_quantized(const gather_case *c, int64_t rows, int64_t columns, uint64_t seed)
{
    const int64_t bits = c->dtype == MLS_UINT8 ? c->bits : 8, in_byte = 8 / bits;
    quantized q = {rows, columns, (columns + in_byte - 1) / in_byte, NULL, NULL};
    q.values = zeroed(rows * columns, sizeof *q.values);
    q.memory = zeroed(rows * q.packed_columns, 1);
    for (int64_t i = 0; i < rows * columns; i++) {
        const unsigned value = (unsigned) (op_random(&seed) % (1u << c->bits));
        q.values[i] = c->dtype == MLS_INT4 && value > 7 ? (int64_t) value - 16 : (int64_t) value;
        put_bits(q.memory + i / columns * q.packed_columns, bits, i % columns, value);
    }
    return q;
}

static int64_t scale_dim(const gather_case *c, int axis)
{
    return axis == c->block_axis ? (c->dims[axis] + c->block - 1) / c->block : c->dims[axis];
}

static double gathered(const gather_case *c, const quantized *data, const quantized *zeros,
                       const void *scales, const int64_t *at)
{
    int64_t element = 0, scale = 0;
    for (int i = 0; i < DATA_DIMS; i++) {
        element = element * c->dims[i] + at[i];
        scale = scale * scale_dim(c, i) + (i == c->block_axis ? at[i] / c->block : at[i]);
    }
    const int64_t middle = c->dtype == MLS_UINT8 ? INT64_C(1) << (c->bits - 1) : 0;
    const int64_t zero = c->has_zeros ? zeros->values[scale] : middle;
    return (double) (data->values[element] - zero) * op_float(c->scale_dtype, scales, scale);
}

/* What is asked for at an axis, and whether there is such a place. */
static bool resolve(const gather_case *c, int64_t *at)
{
    const int64_t bound = c->dims[c->gather_axis], asked = indices[at[c->gather_axis]];
    at[c->gather_axis] = asked < 0 ? asked + bound : asked;
    return asked < bound;
}

static void *define_gather(const gather_case *c, const quantized *data, const quantized *zeros,
                           const void *scales, int64_t *ret_dims)
{
    int64_t count = 1;
    for (int i = 0; i < DATA_DIMS; i++) {
        ret_dims[i] = i == c->gather_axis ? INDICES : c->dims[i];
        count *= ret_dims[i];
    }
    void *y = zeroed(count, sizeof(double));
    for (int64_t i = 0; i < count; i++) {
        int64_t at[DATA_DIMS], left = i;
        for (int k = DATA_DIMS - 1; k >= 0; k--) {
            at[k] = left % ret_dims[k];
            left /= ret_dims[k];
        }
        op_float_set(c->scale_dtype, y, i,
                     resolve(c, at) ? gathered(c, data, zeros, scales, at) : 0);
    }
    return y;
}

static op_test *create_gather(const gather_case *c, const quantized *data, const quantized *zeros,
                              const void *scales)
{
    op_test *test = op_test_create("com.microsoft", "GatherBlockQuantized");
    op_test_int(test, "gather_axis", c->gather_axis);
    op_test_int(test, "quantize_axis", c->block_axis);
    op_test_int(test, "bits", c->bits);
    op_test_int(test, "block_size", c->block);
    op_test_input(test, c->dtype, OP_DIMS(c->dims[0], c->dims[1], data->packed_columns),
                  data->memory);
    op_test_input(test, MLS_INT64, OP_DIMS(INDICES), indices);
    op_test_input(test, c->scale_dtype, OP_DIMS(scale_dim(c, 0), scale_dim(c, 1), scale_dim(c, 2)),
                  scales);
    if (c->has_zeros)
        op_test_input(test, c->dtype,
                      OP_DIMS(scale_dim(c, 0), scale_dim(c, 1), zeros->packed_columns),
                      zeros->memory);
    return test;
}

static const gather_case gathers[] = {
    {{3, 2, 40}, 0, 2, 4, 16, MLS_UINT8, MLS_FLOAT32, true},
    {{3, 2, 48}, 0, 2, 4, 16, MLS_UINT8, MLS_FLOAT16, false},
    {{4, 2, 600}, 0, 2, 8, 128, MLS_UINT8, MLS_FLOAT32, true},
    {{2, 3, 40}, 1, 2, 2, 16, MLS_UINT8, MLS_BFLOAT16, true},
    {{2, 40, 6}, 0, 1, 4, 16, MLS_UINT8, MLS_FLOAT32, true},
    {{3, 2, 20}, 0, 2, 4, 16, MLS_INT4, MLS_FLOAT32, true},
    {{33, 2, 5}, 2, 0, 4, 16, MLS_INT4, MLS_FLOAT32, false},
    {{2, 3, 20}, 2, 2, 4, 16, MLS_UINT4, MLS_FLOAT32, true},
    {{2, 0, 20}, 0, 2, 4, 16, MLS_UINT4, MLS_FLOAT32, true},
};

static void check_gather(const gather_case *c, mls_status code, const char *words)
{
    const int64_t rows = c->dims[0] * c->dims[1];
    const int64_t scale_rows = scale_dim(c, 0) * scale_dim(c, 1);
    quantized data = make_quantized(c, rows, c->dims[2], 1);
    quantized zeros = make_quantized(c, scale_rows, scale_dim(c, 2), 2);
    void *scales = random_floats(c->scale_dtype, scale_rows * scale_dim(c, 2), 3);
    int64_t dims[DATA_DIMS];
    void *y = define_gather(c, &data, &zeros, scales, dims);
    op_test *test = create_gather(c, &data, &zeros, scales);
    if (code)
        ck_assert_fails(op_test_run(test), code, words);
    else
        ck_assert_ok(op_test_run(test));
    if (!code)
        op_test_expect(test, 0, c->scale_dtype, DATA_DIMS, dims, y);
    op_test_free(test);
    free(y);
    free(scales);
    free(data.values);
    free(data.memory);
    free(zeros.values);
    free(zeros.memory);
}

START_TEST(gathers_as_floats)
{
    check_gather(&gathers[_i], MLS_OK, NULL);
}
END_TEST

START_TEST(wrong_gathers_are_named)
{
    gather_case c = gathers[0];
    c.block = 8;
    check_gather(&c, MLS_EINVAL, "block_size is 8, expected a power of two");
    c = gathers[0];
    c.gather_axis = 2;
    check_gather(&c, MLS_EINVAL, "gather_axis is the one along which data are packed");
    op_test *test = op_test_create("com.microsoft", "GatherBlockQuantized");
    op_test_input(test, MLS_UINT8, OP_DIMS(2, 32), (uint8_t[64]){0});
    op_test_input(test, MLS_INT64, OP_DIMS(INDICES), indices);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 2), (float[4]){0});
    ck_assert_fails(op_test_run(test), MLS_ESHAPE, "input 2 is [2,2], expected [2,1]");
    op_test_free(test);
    test = op_test_create("com.microsoft", "GatherBlockQuantized");
    op_test_int(test, "bits", 5);
    op_test_input(test, MLS_UINT8, OP_DIMS(2, 32), (uint8_t[64]){0});
    op_test_input(test, MLS_INT64, OP_DIMS(INDICES), indices);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(2, 1), (float[2]){0});
    ck_assert_fails(op_test_run(test), MLS_EINVAL, "bits is 5, expected 2, 4 or 8");
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("weights in blocks");
    TCase *tests = tcase_create("weights in blocks");
    tcase_add_loop_test(tests, has_the_bytes_of_its_pieces, 0,
                        (int) (sizeof cases / sizeof cases[0]));
    tcase_add_test(tests, wrong_forms_are_named);
    tcase_add_loop_test(tests, gathers_as_floats, 0, (int) (sizeof gathers / sizeof gathers[0]));
    tcase_add_test(tests, wrong_gathers_are_named);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
