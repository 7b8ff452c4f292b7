/* SPDX-License-Identifier: Apache-2.0 */
/* What dynamic quantization leaves of a MatMul, as one op: with the same bytes. */
#include "support/onnx_build.h"
#include "support/test.h"

#include "graph/graph_nodes.h"
#include "graph/model.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 3, DEPTH = 20, COLUMNS = 7 };

static mls_context *context;
static mls_model *model;
static onnx_build *b;

static void setup(void)
{
    int8_t weights[DEPTH * COLUMNS];
    float scales[COLUMNS], bias[COLUMNS];
    uint64_t seed = 3;
    for (int i = 0; i < DEPTH * COLUMNS; i++)
        weights[i] = (int8_t) ((int) mls_test_random_below(&seed, 255) - 127);
    for (int i = 0; i < COLUMNS; i++) {
        scales[i] = (float) (i + 1) * 0.013f;
        bias[i] = (float) i * 0.77f - 2;
    }
    ck_assert_ok(mls_context_create(NULL, &context));
    b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "3,20");
    onnx_build_raw(b, "w", MLS_INT8, "20,7", weights, sizeof weights);
    onnx_build_raw(b, "wz", MLS_INT8, "", (int8_t[]){3}, 1);
    onnx_build_floats(b, "one", "", (float[]){0.013f});
    onnx_build_floats(b, "each", "7", scales);
    onnx_build_floats(b, "bias", "7", bias);
    onnx_build_node(b, "DynamicQuantizeLinear", "x", "q s z");
    onnx_build_node(b, "MatMulInteger", "q w z wz", "p");
    onnx_node_int(onnx_build_node(b, "Cast", "p", "f"), "to", MLS_FLOAT32);
}

static void teardown(void)
{
    onnx_build_free(b);
    mls_model_free(model);
    mls_context_free(context);
}

static size_t count_nodes(const char *type)
{
    size_t count = 0;
    for (size_t i = 0; i < model->optimized.nodes.count; i++)
        count += strcmp(mls__graph_node(&model->optimized, i)->type, type) == 0;
    return count;
}

static void run(uint64_t flags, float *ret_y)
{
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.flags = flags;
    mls_session *session;
    ck_assert_ok(mls_session_create(model, &options, &session));
    float *x = mls_session_input_data(session, 0);
    uint64_t seed = 8;
    for (int i = 0; i < ROWS * DEPTH; i++)
        x[i] = (float) mls_test_random_below(&seed, 4000) / 1000 - 1.7f;
    ck_assert_ok(mls_session_run(session));
    memcpy(ret_y, mls_session_output_data(session, 0), ROWS * COLUMNS * sizeof *ret_y);
    mls_session_free(session);
}

static void expect_fused(size_t fused, size_t nodes)
{
    float plain[ROWS * COLUMNS], fast[ROWS * COLUMNS];
    onnx_build_output(b, "y", MLS_FLOAT32, "3,7");
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert(model->has_optimized);
    ck_assert_uint_eq(count_nodes("MatMulIntegerToFloat"), fused);
    ck_assert_uint_eq(graph_nodes(&model->optimized, NULL), nodes);
    run(MLS_SESSION_NO_OPTIMIZE, plain);
    run(0, fast);
    ck_assert_mem_eq(plain, fast, sizeof plain);
    ck_assert(plain[0] != plain[1]);
}

START_TEST(one_scale)
{
    onnx_build_node(b, "Mul", "s one", "t");
    onnx_build_node(b, "Mul", "f t", "y");
    expect_fused(1, 2);
}
END_TEST

START_TEST(scales_and_bias)
{
    onnx_build_node(b, "Mul", "each s", "t");
    onnx_build_node(b, "Mul", "t f", "m");
    onnx_build_node(b, "Add", "bias m", "y");
    expect_fused(1, 2);
}
END_TEST

/* The sums are needed as they are. */
START_TEST(what_is_needed_stays)
{
    onnx_build_node(b, "Mul", "s one", "t");
    onnx_build_node(b, "Mul", "f t", "m");
    onnx_build_node(b, "Add", "f m", "y");
    expect_fused(0, 6);
}
END_TEST

START_TEST(scales_of_another_kind)
{
    onnx_build_node(b, "Mul", "one each", "t");
    onnx_build_node(b, "Mul", "f t", "y");
    expect_fused(0, 4); /* the scales' product is a constant */
}
END_TEST

/* --- operands that are inputs ---------------------------------------------------------------- */

/* A model whose product takes everything from outside. */
static void setup_inputs(const char *weights, const char *scales, const char *zero)
{
    onnx_build_free(b);
    b = onnx_build_create(17);
    onnx_build_input(b, "q", MLS_UINT8, "3,20");
    onnx_build_input(b, "w", MLS_INT8, weights);
    onnx_build_input(b, "s", MLS_FLOAT32, "1");
    onnx_build_input(b, "ws", MLS_FLOAT32, scales);
    onnx_build_input(b, "z", MLS_UINT8, zero);
    onnx_build_input(b, "wz", MLS_INT8, "C");
    onnx_build_input(b, "bias", MLS_FLOAT32, "7");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    onnx_build_node(b, "MatMulInteger", "q w z wz", "p");
    onnx_node_int(onnx_build_node(b, "Cast", "p", "f"), "to", MLS_FLOAT32);
    onnx_build_node(b, "Mul", "s ws", "t");
    onnx_build_node(b, "Mul", "f t", "m");
    onnx_build_node(b, "Add", "m bias", "y");
}

static void fill_input(mls_session *session, size_t index)
{
    mls_dtype dtype;
    int rank;
    const int64_t *dims;
    int64_t count = 1;
    uint64_t seed = index + 5;
    ck_assert_ok(mls_session_input_shape(session, index, &dtype, &rank, &dims));
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    char *data = mls_session_input_data(session, index);
    for (int64_t i = 0; i < count; i++) {
        const float number = (float) mls_test_random_below(&seed, 4000) / 1000 - 1.7f;
        if (dtype == MLS_FLOAT32)
            memcpy(data + i * (int64_t) sizeof number, &number, sizeof number);
        else
            data[i] = (char) (mls_test_random_below(&seed, 256) - 128);
    }
}

/* With dimension C at `scales`. */
static void run_inputs(uint64_t flags, int64_t scales, float *ret_y)
{
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    mls_session *session;
    options.flags = flags;
    ck_assert_ok(mls_session_create(model, &options, &session));
    ck_assert_ok(mls_session_set_dim(session, "C", scales));
    for (size_t i = 0; i < 7; i++)
        fill_input(session, i);
    ck_assert_ok(mls_session_run(session));
    memcpy(ret_y, mls_session_output_data(session, 0), ROWS * COLUMNS * sizeof *ret_y);
    mls_session_free(session);
}

/* One scale and zero point for all, and one for each column, which the model leaves open. */
START_TEST(operands_from_outside)
{
    float plain[ROWS * COLUMNS], fast[ROWS * COLUMNS];
    setup_inputs("20,7", "C", "1");
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_uint_eq(count_nodes("MatMulIntegerToFloat"), 1);
    run_inputs(MLS_SESSION_NO_OPTIMIZE, _i ? COLUMNS : 1, plain);
    run_inputs(0, _i ? COLUMNS : 1, fast);
    ck_assert_mem_eq(plain, fast, sizeof plain);
    ck_assert(plain[0] != plain[1]);
}
END_TEST

/* Where the columns, or how many scales and zero points there are, could be anything. */
START_TEST(operands_of_open_shapes)
{
    static const char *const shapes[][3] = {
        {"20,M", "C", "1"}, {"20,7", "C,7", "1"}, {"20,7", "C", "Z"}, {"20,1", "C", "1"}};
    setup_inputs(shapes[_i][0], shapes[_i][1], shapes[_i][2]);
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_uint_eq(count_nodes("MatMulIntegerToFloat"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph/fuse_integer");
    TCase *tests = tcase_create("fuse_integer");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, one_scale);
    tcase_add_test(tests, scales_and_bias);
    tcase_add_test(tests, what_is_needed_stays);
    tcase_add_test(tests, scales_of_another_kind);
    tcase_add_loop_test(tests, operands_from_outside, 0, 2);
    tcase_add_loop_test(tests, operands_of_open_shapes, 0, 4);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
