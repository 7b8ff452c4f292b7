/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products with weights of few bits: the bytes of the same product with the weights as float32,
 * worked out element by element, and what is wrong.
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

int main(void)
{
    Suite *suite = suite_create("weights in blocks");
    TCase *tests = tcase_create("weights in blocks");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, has_the_bytes_of_its_pieces, 0,
                        (int) (sizeof cases / sizeof cases[0]));
    tcase_add_test(tests, wrong_forms_are_named);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
