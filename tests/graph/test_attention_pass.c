/* SPDX-License-Identifier: Apache-2.0 */
/* Attention put together from its pieces: the same bytes, and nothing that is not attention. */
#include "support/onnx_build.h"
#include "support/test.h"

#include "graph/model.h"

#include <math.h>
#include <string.h>

#define BATCH 2
#define HEADS 3
#define ROWS  21
#define KEYS  37
#define SIZE  24

static mls_context *context;
static mls_model *model;
static onnx_build *b;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
    b = onnx_build_create(17);
    onnx_build_input(b, "q", MLS_FLOAT32, "2,3,21,24");
    onnx_build_input(b, "v", MLS_FLOAT32, "2,3,37,24");
    onnx_build_input(b, "mask", MLS_FLOAT32, "2,1,1,37");
    onnx_build_floats(b, "scale", "", (float[]){0.3f});
    onnx_build_floats(b, "root", "", (float[]){4.8989795f});
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
}

static void teardown(void)
{
    mls_model_free(model);
    model = NULL;
    onnx_build_free(b);
    mls_context_free(context);
}

static void add_transpose(const char *shape, size_t rank, const int64_t *perm)
{
    onnx_build_input(b, "k", MLS_FLOAT32, shape);
    onnx_node_ints(onnx_build_node(b, "Transpose", "k", "kt"), "perm", rank, perm);
}

static void add_softmax(const char *scores, int64_t axis)
{
    onnx_node_int(onnx_build_node(b, "Softmax", scores, "p"), "axis", axis);
    onnx_build_node(b, "MatMul", "p v", "y");
}

/* Elements of which none is like its neighbours; of a mask some are excluded. */
static void fill(mls_session *session)
{
    for (size_t i = 0; i < mls_model_input_count(model); i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        ck_assert_ok(mls_model_input(model, i, &value));
        const bool is_mask = strcmp(value.name, "mask") == 0;
        int64_t count = 1;
        for (int axis = 0; axis < value.rank; axis++)
            count *= value.dims[axis];
        float *x = mls_session_input_data(session, i);
        for (int64_t j = 0; j < count; j++)
            x[j] = is_mask ? (j % 5 == 1 ? -10000.0f : 0) : (float) ((j * 37 + 11) % 101) / 50 - 1;
    }
}

static void run(uint64_t flags, float *y, size_t size)
{
    mls_session *session;
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.flags = flags;
    ck_assert_ok(mls_session_create(model, &options, &session));
    fill(session);
    ck_assert_ok(mls_session_run(session));
    memcpy(y, mls_session_output_data(session, 0), size);
    mls_session_free(session);
}

static size_t fused_count(void)
{
    size_t count = 0;
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    const mls__graph *graph = model->has_optimized ? &model->optimized : &model->graph;
    for (size_t i = 0; i < graph->nodes.count; i++)
        count += strcmp(mls__graph_node(graph, i)->type, "FusedAttention") == 0;
    return count;
}

/* One node, and the bytes of many. */
static void expect_fused(void)
{
    static float fused[BATCH * HEADS * ROWS * SIZE], pieces[BATCH * HEADS * ROWS * SIZE];
    ck_assert_uint_eq(fused_count(), 1);
    ck_assert_uint_eq(model->optimized.nodes.count, 1);
    run(0, fused, sizeof fused);
    run(MLS_SESSION_NO_OPTIMIZE, pieces, sizeof pieces);
    ck_assert_mem_eq(fused, pieces, sizeof fused);
    ck_assert(fused[0] != 0 && isfinite(fused[0]));
}

START_TEST(scaled_and_masked)
{
    add_transpose("2,3,37,24", 4, (int64_t[]){0, 1, 3, 2});
    onnx_build_node(b, "MatMul", "q kt", "s");
    onnx_build_node(b, "Mul", "scale s", "t");
    onnx_build_node(b, "Add", "mask t", "u");
    add_softmax("u", -1);
    expect_fused();
}
END_TEST

START_TEST(divided_with_keys_inside)
{
    add_transpose("2,37,3,24", 4, (int64_t[]){0, 2, 3, 1});
    onnx_build_node(b, "MatMul", "q kt", "s");
    onnx_build_node(b, "Div", "s root", "t");
    onnx_build_node(b, "Add", "t mask", "u");
    add_softmax("u", 3);
    expect_fused();
}
END_TEST

START_TEST(bare)
{
    add_transpose("2,3,37,24", 4, (int64_t[]){0, 1, 3, 2});
    onnx_build_node(b, "MatMul", "q kt", "s");
    add_softmax("s", -1);
    expect_fused();
}
END_TEST

/* K has one matrix for all: it broadcasts. */
START_TEST(three_dimensions)
{
    add_transpose("37,1,24", 3, (int64_t[]){1, 2, 0});
    onnx_build_node(b, "MatMul", "q kt", "s");
    add_softmax("s", -1);
    expect_fused();
}
END_TEST

/* A query without any key is NaN, as in pieces. */
START_TEST(nothing_to_attend)
{
    static float excluded[KEYS], fused[BATCH * HEADS * ROWS * SIZE];
    for (int i = 0; i < KEYS; i++)
        excluded[i] = -INFINITY;
    onnx_build_floats(b, "none", "37", excluded);
    add_transpose("2,3,37,24", 4, (int64_t[]){0, 1, 3, 2});
    onnx_build_node(b, "MatMul", "q kt", "s");
    onnx_build_node(b, "Add", "s none", "u");
    add_softmax("u", -1);
    ck_assert_uint_eq(fused_count(), 1);
    run(0, fused, sizeof fused);
    ck_assert(isnan(fused[0]));
}
END_TEST

START_TEST(scores_that_are_needed)
{
    add_transpose("2,3,37,24", 4, (int64_t[]){0, 1, 3, 2});
    onnx_build_node(b, "MatMul", "q kt", "s");
    add_softmax("s", -1);
    onnx_build_output(b, "s", MLS_FLOAT32, NULL);
    ck_assert_uint_eq(fused_count(), 0);
}
END_TEST

START_TEST(another_axis)
{
    add_transpose("2,3,37,24", 4, (int64_t[]){0, 1, 3, 2});
    onnx_build_node(b, "MatMul", "q kt", "s");
    add_softmax("s", 2);
    ck_assert_uint_eq(fused_count(), 0);
}
END_TEST

START_TEST(another_order)
{
    add_transpose("3,2,37,24", 4, (int64_t[]){1, 0, 3, 2});
    onnx_build_node(b, "MatMul", "q kt", "s");
    add_softmax("s", -1);
    ck_assert_uint_eq(fused_count(), 0);
}
END_TEST

/* The axis is the last of K's dimensions, but Q has one more. */
START_TEST(more_dimensions_than_keys)
{
    add_transpose("3,37,24", 3, (int64_t[]){0, 2, 1});
    onnx_build_node(b, "MatMul", "q kt", "s");
    add_softmax("s", 2);
    ck_assert_uint_eq(fused_count(), 0);
}
END_TEST

/* As above for a mask, which is known only when a session is planned: no wrong result. */
START_TEST(more_dimensions_of_a_mask)
{
    mls_session *session;
    onnx_build_input(b, "large", MLS_FLOAT32, "1,2,1,1,37");
    add_transpose("2,3,37,24", 4, (int64_t[]){0, 1, 3, 2});
    onnx_build_node(b, "MatMul", "q kt", "s");
    onnx_build_node(b, "Add", "s large", "u");
    add_softmax("u", 3);
    ck_assert_uint_eq(fused_count(), 1);
    ck_assert_int_eq(mls_session_create(model, NULL, &session), MLS_EUNSUPPORTED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph/attention_pass");
    TCase *tests = tcase_create("attention_pass");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, scaled_and_masked);
    tcase_add_test(tests, divided_with_keys_inside);
    tcase_add_test(tests, bare);
    tcase_add_test(tests, three_dimensions);
    tcase_add_test(tests, nothing_to_attend);
    tcase_add_test(tests, scores_that_are_needed);
    tcase_add_test(tests, another_axis);
    tcase_add_test(tests, another_order);
    tcase_add_test(tests, more_dimensions_than_keys);
    tcase_add_test(tests, more_dimensions_of_a_mask);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
