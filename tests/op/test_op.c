/* SPDX-License-Identifier: Apache-2.0 */
/* Reading descriptors: defaults, wrong types, known inputs, and messages that name the node. */
#include "support/test.h"

#include "op/op.h"

#include <string.h>

static const mls_string words[] = {{"a", 1}, {"bc", 2}};
static const int64_t numbers[] = {3, -1, 7};
static const float reals[] = {0.5F, 2};
static const mls_string mode = {"reflect", 7};
static const mls_string empty = {"", 0};

static const mls_attr attrs[] = {
    {.name = "axis", .type = MLS_ATTR_INT, .i = -2, .count = 1},
    {.name = "alpha", .type = MLS_ATTR_FLOAT, .f = 0.25F, .count = 1},
    {.name = "mode", .type = MLS_ATTR_STRING, .strings = &mode, .count = 1},
    {.name = "empty", .type = MLS_ATTR_STRING, .strings = &empty, .count = 1},
    {.name = "perm", .type = MLS_ATTR_INTS, .ints = numbers, .count = 3},
    {.name = "none", .type = MLS_ATTR_INTS, .count = 0},
    {.name = "scales", .type = MLS_ATTR_FLOATS, .floats = reals, .count = 2},
    {.name = "keys", .type = MLS_ATTR_STRINGS, .strings = words, .count = 2},
};

static mls_op make_op(const mls_arg *inputs, size_t count)
{
    return (mls_op){
        .size = sizeof(mls_op),
        .domain = "",
        .type = "Pad",
        .node = "pad_1",
        .attr_count = sizeof attrs / sizeof attrs[0],
        .attrs = attrs,
        .inputs = inputs,
        .input_count = count,
    };
}

START_TEST(errors_name_the_node)
{
    char node[400];
    mls_op op = make_op(NULL, 0);
    ck_assert_int_eq(mls__op_error(&op, MLS_ESHAPE, "axis %d", 3), MLS_ESHAPE);
    ck_assert_str_eq(mls_error_message(), "node 'pad_1' (Pad): axis 3");
    memset(node, 'n', sizeof node - 1);
    node[sizeof node - 1] = '\0';
    op.node = node; /* a long name must not push out what is wrong */
    mls__op_error(&op, MLS_ESHAPE, "axis 3");
    ck_assert_ptr_nonnull(strstr(mls_error_message(), "axis 3"));
}
END_TEST

START_TEST(single_values)
{
    const mls_op op = make_op(NULL, 0);
    ck_assert_int_eq(mls__op_int(&op, "axis", 9), -2);
    ck_assert_int_eq(mls__op_int(&op, "absent", 9), 9);
    ck_assert_int_eq(mls__op_int(&op, "alpha", 9), 9); /* of another type */
    ck_assert_float_eq(mls__op_float(&op, "alpha", 9), 0.25F);
    ck_assert_float_eq(mls__op_float(&op, "axis", 9), 9);
    ck_assert_ptr_eq(mls__op_attr(&op, "axis"), &attrs[0]);
    ck_assert_ptr_null(mls__op_attr(&op, "axi"));
    ck_assert_ptr_null(mls__op_tensor(&op, "axis"));
}
END_TEST

START_TEST(strings)
{
    const mls_op op = make_op(NULL, 0);
    ck_assert_ptr_eq(mls__op_string(&op, "mode").data, mode.data);
    ck_assert_ptr_null(mls__op_string(&op, "axis").data);
    ck_assert(mls__op_string_is(&op, "mode", "reflect", "constant"));
    ck_assert(!mls__op_string_is(&op, "mode", "constant", "constant"));
    ck_assert(!mls__op_string_is(&op, "mode", "reflec", "constant"));
    ck_assert(mls__op_string_is(&op, "absent", "constant", "constant"));
    ck_assert(!mls__op_string_is(&op, "absent", "edge", "constant"));
    ck_assert(!mls__op_string_is(&op, "empty", "constant", "constant")); /* empty is not absent */
    ck_assert(mls__op_string_is(&op, "empty", "", "constant"));
}
END_TEST

START_TEST(arrays)
{
    const mls_op op = make_op(NULL, 0);
    size_t count = 99;
    ck_assert_ptr_eq(mls__op_ints(&op, "perm", &count), numbers);
    ck_assert_uint_eq(count, 3);
    ck_assert_ptr_null(mls__op_ints(&op, "absent", &count));
    ck_assert_uint_eq(count, 0);
    ck_assert_ptr_null(mls__op_ints(&op, "none", &count));
    ck_assert_uint_eq(count, 0);
    ck_assert_ptr_eq(mls__op_floats(&op, "scales", &count), reals);
    ck_assert_uint_eq(count, 2);
    ck_assert_ptr_null(mls__op_floats(&op, "perm", &count));
    ck_assert_uint_eq(count, 0);
    ck_assert_ptr_eq(mls__op_strings(&op, "keys", &count), words);
    ck_assert_uint_eq(count, 2);
    ck_assert_ptr_null(mls__op_strings(&op, "mode", &count)); /* one string is not a list */
}
END_TEST

START_TEST(tensor_attribute)
{
    mls_context *context;
    mls_tensor *tensor;
    ck_assert_ok(mls_context_create(NULL, &context));
    ck_assert_ok(mls_tensor_create(context, MLS_INT8, 0, NULL, &tensor));
    const mls_attr attr = {.name = "value", .type = MLS_ATTR_TENSOR, .tensor = tensor, .count = 1};
    mls_op op = make_op(NULL, 0);
    op.attrs = &attr;
    op.attr_count = 1;
    ck_assert_ptr_eq(mls__op_tensor(&op, "value"), tensor);
    mls_tensor_free(tensor);
    mls_context_free(context);
}
END_TEST

START_TEST(inputs_and_their_sizes)
{
    const mls_arg inputs[] = {
        {.dtype = MLS_FLOAT64, .rank = 3, .dims = {2, 3, 4}},
        {.dtype = MLS_DTYPE_NONE},
        {.dtype = MLS_INT16, .rank = 0},
        {.dtype = MLS_INT8, .rank = 3, .dims = {INT64_MAX / 8, 0, 4}},
    };
    const mls_op op = make_op(inputs, 4);
    ck_assert_ptr_eq(mls__op_input(&op, 0), &inputs[0]);
    ck_assert_ptr_null(mls__op_input(&op, 1)); /* left out */
    ck_assert_ptr_null(mls__op_input(&op, 4)); /* past the last */
    ck_assert_int_eq(mls__arg_count(&inputs[0]), 24);
    ck_assert_uint_eq(mls__arg_bytes(&inputs[0]), 24 * 8);
    ck_assert_int_eq(mls__arg_span(&inputs[0], 1, 3), 12);
    ck_assert_int_eq(mls__arg_span(&inputs[0], 2, 2), 1);
    ck_assert_int_eq(mls__arg_count(&inputs[2]), 1);
    ck_assert_int_eq(mls__arg_count(&inputs[3]), 0);
}
END_TEST

typedef struct known {
    int64_t values[4];
    size_t count;
    bool is_given;
} known;

static mls_status read_known(const mls_arg *input, known *ret_known)
{
    const mls_op op = make_op(input, 1);
    memset(ret_known, 0x55, sizeof *ret_known);
    return mls__op_known_ints(&op, 0, ret_known->values, 4, &ret_known->count,
                              &ret_known->is_given);
}

START_TEST(known_integers)
{
    const int32_t narrow[] = {INT32_MIN, 5};
    known k;
    ck_assert_ok(
        read_known(&(mls_arg){.dtype = MLS_INT64, .rank = 1, .dims = {3}, .data = numbers}, &k));
    ck_assert(k.is_given);
    ck_assert_uint_eq(k.count, 3);
    ck_assert_int_eq(k.values[1], -1);
    ck_assert_ok(
        read_known(&(mls_arg){.dtype = MLS_INT32, .rank = 1, .dims = {2}, .data = narrow}, &k));
    ck_assert_uint_eq(k.count, 2);
    ck_assert_int_eq(k.values[0], INT32_MIN);
    ck_assert_ok(read_known(&(mls_arg){.dtype = MLS_INT64, .rank = 0, .data = numbers}, &k));
    ck_assert_uint_eq(k.count, 1);
    ck_assert_ok(read_known(&(mls_arg){.dtype = MLS_INT64, .rank = 1, .dims = {0}}, &k));
    ck_assert(k.is_given);
    ck_assert_uint_eq(k.count, 0);
    ck_assert_ok(read_known(&(mls_arg){.dtype = MLS_DTYPE_NONE}, &k));
    ck_assert(!k.is_given);
    ck_assert_uint_eq(k.count, 0);
}
END_TEST

START_TEST(integers_that_are_not_known)
{
    known k;
    ck_assert_fails(read_known(&(mls_arg){.dtype = MLS_FLOAT32, .rank = 1, .dims = {1}}, &k),
                    MLS_EDTYPE, "input 0 is float32, expected int64");
    ck_assert_fails(read_known(&(mls_arg){.dtype = MLS_INT64, .rank = 2, .dims = {1, 1}}, &k),
                    MLS_ESHAPE, "1 elements in 2 dimensions");
    ck_assert_fails(
        read_known(&(mls_arg){.dtype = MLS_INT64, .rank = 1, .dims = {5}, .data = numbers}, &k),
        MLS_ESHAPE, "at most 4 in one");
    ck_assert_fails(read_known(&(mls_arg){.dtype = MLS_INT64, .rank = 1, .dims = {2}}, &k),
                    MLS_ESTATE, "node 'pad_1' (Pad): input 0 decides a shape");
}
END_TEST

START_TEST(axes)
{
    const mls_op op = make_op(NULL, 0);
    int axis = 99;
    ck_assert_ok(mls__op_axis(&op, -1, 3, &axis));
    ck_assert_int_eq(axis, 2);
    ck_assert_ok(mls__op_axis(&op, 0, 1, &axis));
    ck_assert_int_eq(axis, 0);
    ck_assert_fails(mls__op_axis(&op, 3, 3, &axis), MLS_EINVAL, "axis 3 is outside [-3, 2]");
    ck_assert_fails(mls__op_axis(&op, INT64_MIN, 3, &axis), MLS_EINVAL, "outside");
    ck_assert_int_eq(axis, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("op/op");
    TCase *tests = tcase_create("op");
    tcase_add_test(tests, errors_name_the_node);
    tcase_add_test(tests, single_values);
    tcase_add_test(tests, strings);
    tcase_add_test(tests, arrays);
    tcase_add_test(tests, tensor_attribute);
    tcase_add_test(tests, inputs_and_their_sizes);
    tcase_add_test(tests, known_integers);
    tcase_add_test(tests, integers_that_are_not_known);
    tcase_add_test(tests, axes);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
