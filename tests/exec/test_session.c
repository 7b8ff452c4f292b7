/* SPDX-License-Identifier: Apache-2.0 */
/* What sessions promise: dims, binding, decisive inputs, errors, and failing memory. */
#include "support/onnx_build.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

static mls_context *context;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
}

static void teardown(void)
{
    mls_context_free(context);
}

/* y = x + x, over ["batch", 3]. */
static onnx_build *doubling(void)
{
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "batch,3");
    onnx_node_name(onnx_build_node(b, "Add", "x x", "y"), "twice");
    onnx_build_output(b, "y", MLS_FLOAT32, "batch,3");
    return b;
}

/* y = reshape(x, shape), and both are inputs. */
static onnx_build *reshaping(void)
{
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "n");
    onnx_build_input(b, "shape", MLS_INT64, "2");
    onnx_build_node(b, "Neg", "x", "m");
    onnx_build_node(b, "Reshape", "m shape", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "a,b");
    return b;
}

static mls_session *open_session(onnx_build *build, int64_t batch)
{
    mls_model *model;
    mls_session *session;
    const mls_dim_value dim = {"batch", batch};
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.dims = &dim;
    options.dim_count = batch >= 0;
    ck_assert_ok(onnx_build_load(build, context, 0, &model));
    ck_assert_ok(mls_session_create(model, &options, &session));
    mls_model_free(model); /* the session keeps it */
    onnx_build_free(build);
    return session;
}

static mls_tensor *tensor_of(mls_dtype dtype, int rank, const int64_t *dims, const void *data)
{
    mls_tensor *tensor;
    ck_assert_ok(mls_tensor_create(context, dtype, rank, dims, &tensor));
    if (mls_tensor_data(tensor))
        memcpy(mls_tensor_data(tensor), data, mls_tensor_size_bytes(tensor));
    return tensor;
}

static void check_output(mls_session *session, int rank, const int64_t *dims, const float *want)
{
    mls_dtype dtype;
    int have_rank;
    const int64_t *have;
    size_t count = 1;
    ck_assert_ok(mls_session_output_shape(session, 0, &dtype, &have_rank, &have));
    ck_assert_int_eq(dtype, MLS_FLOAT32);
    ck_assert_int_eq(have_rank, rank);
    for (int i = 0; i < rank; i++) {
        ck_assert_int_eq(have[i], dims[i]);
        count *= (size_t) dims[i];
    }
    for (size_t i = 0; i < count; i++)
        ck_assert(((const float *) mls_session_output_data(session, 0))[i] == want[i]);
}

START_TEST(runs_in_place)
{
    mls_session *session = open_session(doubling(), 2);
    float *x = mls_session_input_data(session, 0);
    for (int i = 0; i < 6; i++)
        x[i] = (float) i;
    ck_assert_ok(mls_session_run(session));
    check_output(session, 2, (int64_t[]){2, 3}, (float[]){0, 2, 4, 6, 8, 10});
    mls_session_free(session);
}
END_TEST

START_TEST(a_dim_that_nobody_sets_is_one)
{
    mls_session *session = open_session(doubling(), -1);
    float *x = mls_session_input_data(session, 0);
    ck_assert_ptr_nonnull(x);
    x[0] = 1, x[1] = 2, x[2] = 3;
    ck_assert_ok(mls_session_run(session));
    check_output(session, 2, (int64_t[]){1, 3}, (float[]){2, 4, 6});
    mls_session_free(session);
}
END_TEST

START_TEST(a_larger_dim_plans_again)
{
    mls_session *session = open_session(doubling(), 1);
    const size_t before = mls_session_plan_bytes(session);
    ck_assert_ok(mls_session_set_dim(session, "batch", 1000));
    ck_assert_ok(mls_session_plan(session));
    ck_assert_uint_gt(mls_session_plan_bytes(session), before);
    float *x = mls_session_input_data(session, 0);
    x[2999] = 4;
    ck_assert_ok(mls_session_run(session));
    ck_assert(((const float *) mls_session_output_data(session, 0))[2999] == 8);
    mls_session_free(session);
}
END_TEST

START_TEST(bound_tensors_set_the_dims)
{
    mls_session *session = open_session(doubling(), -1);
    mls_tensor *x = tensor_of(MLS_FLOAT32, 2, (int64_t[]){2, 3}, (float[]){1, 2, 3, 4, 5, 6});
    mls_tensor *y = tensor_of(MLS_FLOAT32, 2, (int64_t[]){2, 3}, (float[]){0, 0, 0, 0, 0, 0});
    ck_assert_ok(mls_session_bind_input(session, 0, x));
    ck_assert_ok(mls_session_bind_output(session, 0, y));
    mls_tensor_free(x); /* the session holds a view */
    ck_assert_ok(mls_session_run(session));
    for (int i = 0; i < 6; i++)
        ck_assert(((float *) mls_tensor_data(y))[i] == (float) (2 * (i + 1)));

    /* A smaller input no longer fits the output that is bound. */
    x = tensor_of(MLS_FLOAT32, 2, (int64_t[]){1, 3}, (float[]){7, 8, 9});
    ck_assert_ok(mls_session_bind_input(session, 0, x));
    ck_assert_fails(mls_session_run(session), MLS_ESHAPE, "[2,3]");
    ck_assert_ok(mls_session_bind_output(session, 0, NULL));
    ck_assert_ok(mls_session_run(session));
    check_output(session, 2, (int64_t[]){1, 3}, (float[]){14, 16, 18});
    mls_tensor_free(x);
    mls_tensor_free(y);
    mls_session_free(session);
}
END_TEST

START_TEST(raw_memory_is_bound)
{
    mls_session *session = open_session(doubling(), 4);
    const float x[6] = {1, 2, 3, 4, 5, 6};
    float y[6] = {0};
    ck_assert_ok(mls_session_set_dim(session, "batch", 2));
    ck_assert_fails(mls_session_bind_input_data(session, 0, x, 5), MLS_ESHAPE, "24 bytes");
    ck_assert_ok(mls_session_bind_input_data(session, 0, x, sizeof x));
    ck_assert_ok(mls_session_bind_output_data(session, 0, y, sizeof y));
    ck_assert_ok(mls_session_run(session));
    ck_assert(y[5] == 12);
    /* What is bound must follow the dims. */
    ck_assert_ok(mls_session_set_dim(session, "batch", 3));
    ck_assert_fails(mls_session_run(session), MLS_ESHAPE, "bound");
    mls_session_free(session);
}
END_TEST

START_TEST(empty_batches_run)
{
    mls_session *session = open_session(doubling(), 4);
    ck_assert_ok(mls_session_set_dim(session, "batch", 0));
    ck_assert_ok(mls_session_run(session));
    check_output(session, 2, (int64_t[]){0, 3}, NULL);
    mls_session_free(session);
    /* Kernels compute with addresses; what is empty from the start has one too. */
    session = open_session(doubling(), 0);
    ck_assert_ok(mls_session_set_dim(session, "batch", 0));
    ck_assert_ptr_nonnull(mls_session_input_data(session, 0));
    ck_assert_ptr_nonnull(mls_session_output_data(session, 0));
    ck_assert_ok(mls_session_run(session));
    mls_session_free(session);
}
END_TEST

START_TEST(wrong_tensors_are_refused)
{
    mls_session *session = open_session(doubling(), 2);
    mls_tensor *x = tensor_of(MLS_FLOAT64, 2, (int64_t[]){2, 3}, (double[6]){0});
    ck_assert_fails(mls_session_bind_input(session, 0, x), MLS_EDTYPE, "float32");
    mls_tensor_free(x);
    x = tensor_of(MLS_FLOAT32, 2, (int64_t[]){2, 4}, (float[8]){0});
    ck_assert_fails(mls_session_bind_input(session, 0, x), MLS_ESHAPE, "dimension 1 is 4");
    mls_tensor_free(x);
    x = tensor_of(MLS_FLOAT32, 1, (int64_t[]){3}, (float[3]){0});
    ck_assert_fails(mls_session_bind_input(session, 0, x), MLS_ESHAPE, "2");
    ck_assert_fails(mls_session_bind_input(session, 1, x), MLS_EINVAL, "1 inputs");
    mls_tensor_free(x);
    /* A view that is not contiguous. */
    mls_tensor *view;
    x = tensor_of(MLS_FLOAT32, 2, (int64_t[]){3, 2}, (float[6]){0});
    ck_assert_ok(mls_tensor_permute(x, (int[]){1, 0}, &view));
    ck_assert_fails(mls_session_bind_input(session, 0, view), MLS_EINVAL, "contiguous");
    mls_tensor_free(view);
    mls_tensor_free(x);
    mls_session_free(session);
}
END_TEST

START_TEST(names_are_found)
{
    mls_session *session = open_session(doubling(), 2);
    size_t index = 9;
    ck_assert_ok(mls_session_input_index(session, "x", &index));
    ck_assert_uint_eq(index, 0);
    ck_assert_fails(mls_session_input_index(session, "z", &index), MLS_ENOTFOUND, "'x'");
    ck_assert_fails(mls_session_output_index(session, "z", &index), MLS_ENOTFOUND, "'y'");
    ck_assert_fails(mls_session_set_dim(session, "time", 2), MLS_ENOTFOUND, "'batch'");
    ck_assert_fails(mls_session_set_dim(session, "batch", -2), MLS_EINVAL, "-2");
    mls_session_free(session);
}
END_TEST

START_TEST(options_are_checked)
{
    mls_model *model;
    mls_session *session;
    onnx_build *build = doubling();
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    const mls_dim_value dim = {"time", 1};
    ck_assert_ok(onnx_build_load(build, context, 0, &model));
    options.flags = UINT64_C(1) << 40;
    ck_assert_fails(mls_session_create(model, &options, &session), MLS_EINVAL, "flags");
    options.flags = 0;
    options.backend = "abacus";
    ck_assert_fails(mls_session_create(model, &options, &session), MLS_ENOTFOUND, "cpu");
    options.backend = NULL;
    options.numerics = 7;
    ck_assert_fails(mls_session_create(model, &options, &session), MLS_EUNSUPPORTED, "7");
    options.numerics = MLS_NUMERICS_EXACT;
    options.dims = &dim;
    options.dim_count = 1;
    ck_assert_fails(mls_session_create(model, &options, &session), MLS_ENOTFOUND, "batch");
    ck_assert_fails(mls_session_create(NULL, NULL, &session), MLS_EINVAL, "model");
    mls_model_free(model);
    onnx_build_free(build);
}
END_TEST

/* The contents of `shape` decide the dims: they are part of the plan until they change. */
START_TEST(decisive_inputs_are_followed)
{
    mls_session *session = open_session(reshaping(), -1);
    ck_assert_fails(mls_session_run(session), MLS_ESTATE, "'shape'");
    mls_tensor *x = tensor_of(MLS_FLOAT32, 1, (int64_t[]){6}, (float[]){1, 2, 3, 4, 5, 6});
    mls_tensor *shape = tensor_of(MLS_INT64, 1, (int64_t[]){2}, (int64_t[]){2, 3});
    ck_assert_ok(mls_session_bind_input(session, 0, x));
    ck_assert_ok(mls_session_bind_input(session, 1, shape));
    ck_assert_ok(mls_session_run(session));
    const float want[] = {-1, -2, -3, -4, -5, -6};
    check_output(session, 2, (int64_t[]){2, 3}, want);

    ((int64_t *) mls_tensor_data(shape))[0] = 3;
    ((int64_t *) mls_tensor_data(shape))[1] = 2;
    ck_assert_ok(mls_session_run(session));
    check_output(session, 2, (int64_t[]){3, 2}, want);

    ((int64_t *) mls_tensor_data(shape))[1] = 5;
    ck_assert_fails(mls_session_run(session), MLS_ESHAPE, "Reshape");
    ((int64_t *) mls_tensor_data(shape))[1] = 2;
    ck_assert_ok(mls_session_run(session));
    check_output(session, 2, (int64_t[]){3, 2}, want);
    mls_tensor_free(x);
    mls_tensor_free(shape);
    mls_session_free(session);
}
END_TEST

/* Graphs whose outputs are an input, a constant, or one value twice. */
START_TEST(outputs_may_be_anything)
{
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "2");
    onnx_build_floats(b, "c", "2", (float[]){5, 6});
    onnx_build_node(b, "Neg", "x", "y");
    onnx_build_output(b, "x", MLS_FLOAT32, "2");
    onnx_build_output(b, "c", MLS_FLOAT32, "2");
    onnx_build_output(b, "y", MLS_FLOAT32, "2");
    onnx_build_output(b, "y", MLS_FLOAT32, "2");
    mls_session *session = open_session(b, -1);
    const float want[4][2] = {{1, 2}, {5, 6}, {-1, -2}, {-1, -2}};
    float *x = mls_session_input_data(session, 0);
    x[0] = 1, x[1] = 2;
    ck_assert_ok(mls_session_run(session));
    for (size_t i = 0; i < 4; i++)
        ck_assert_mem_eq(mls_session_output_data(session, i), want[i], sizeof want[i]);
    mls_session_free(session);
}
END_TEST

START_TEST(steps_are_told)
{
    mls_model *model;
    mls_session *session;
    onnx_build *build = doubling();
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    mls_step_info info = MLS_STEP_INFO_INIT;
    options.flags = MLS_SESSION_PROFILE;
    ck_assert_ok(onnx_build_load(build, context, 0, &model));
    ck_assert_ok(mls_session_create(model, &options, &session));
    for (int i = 0; i < 5; i++)
        ck_assert_ok(mls_session_run(session));
    ck_assert_uint_eq(mls_session_step_count(session), 1);
    ck_assert_ok(mls_session_step_info(session, 0, &info));
    ck_assert_str_eq(info.op, "Add");
    ck_assert_str_eq(info.node, "twice");
    ck_assert_uint_eq(info.runs, 5);
    ck_assert_fails(mls_session_step_info(session, 1, &info), MLS_EINVAL, "1");
    mls_session_free(session);
    mls_model_free(model);
    onnx_build_free(build);
}
END_TEST

START_TEST(shapes_that_do_not_fit_name_the_node)
{
    mls_model *model;
    mls_session *session;
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "2,3");
    onnx_build_floats(b, "c", "4", (float[4]){0});
    onnx_node_name(onnx_build_node(b, "Add", "x c", "y"), "sum");
    onnx_build_output(b, "y", MLS_FLOAT32, "2,3");
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_fails(mls_session_create(model, NULL, &session), MLS_ESHAPE, "'sum'");
    mls_model_free(model);
    onnx_build_free(b);
}
END_TEST

/* A model with constants to fold, views, in-place ops and a smaller batch afterwards. */
static mls_status load_and_run(mls_context *failing, onnx_build *build)
{
    size_t size;
    const uint8_t *bytes = onnx_build_bytes(build, &size);
    mls_model *model;
    mls_session *session;
    const mls_dim_value dim = {"batch", 4};
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.dims = &dim;
    options.dim_count = 1;
    options.threads = 2;
    mls_status status = mls_model_load_memory(failing, bytes, size, NULL, &model);
    if (status)
        return status;
    status = mls_session_create(model, &options, &session);
    if (!status) {
        status = mls_session_run(session);
        if (!status)
            status = mls_session_set_dim(session, "batch", 3);
        if (!status)
            status = mls_session_run(session);
        mls_session_free(session);
    }
    mls_model_free(model);
    return status;
}

/* A context of its own each time: it keeps the backend that the first session opens. */
static mls_status run_refusing(mls_test_heap *heap, size_t refused, onnx_build *build)
{
    mls_context *failing;
    const mls_context_options options = mls_test_heap_options(heap);
    mls_test_heap_fail_at(heap, refused);
    mls_status status = mls_context_create(&options, &failing);
    if (status)
        return status;
    status = load_and_run(failing, build);
    mls_context_free(failing);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "batch,4");
    onnx_build_floats(b, "w", "4,2", (float[]){1, 2, 3, 4, 5, 6, 7, 8});
    onnx_build_floats(b, "c", "2", (float[]){1, 2});
    onnx_build_ints(b, "flat", "1", (int64_t[]){-1});
    onnx_build_node(b, "Neg", "w", "n"); /* folded */
    onnx_build_node(b, "MatMul", "x n", "m");
    onnx_build_node(b, "Add", "m c", "a");
    onnx_build_node(b, "Relu", "a", "r");
    onnx_build_node(b, "Shape", "r", "s"); /* known before the run */
    onnx_build_node(b, "Reshape", "r flat", "v");
    onnx_build_node(b, "Reshape", "v s", "y");
    onnx_build_node(b, "Softmax", "y", "z");
    onnx_build_output(b, "z", MLS_FLOAT32, "batch,2");
    mls_test_heap *heap = mls_test_heap_create();
    mls_status status = MLS_ENOMEM;
    for (size_t refused = 1; status; refused++) {
        status = run_refusing(heap, refused, b);
        ck_assert_msg(mls_test_heap_live(heap) == 0, "allocation %zu refused: leaks", refused);
        if (mls_test_heap_calls(heap) >= refused)
            ck_assert_msg(status == MLS_ENOMEM, "allocation %zu refused: %s (%s)", refused,
                          mls_status_name(status), mls_error_message());
        else
            ck_assert_ok(status);
    }
    mls_test_heap_free(heap);
    onnx_build_free(b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exec/session");
    TCase *tests = tcase_create("session");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, runs_in_place);
    tcase_add_test(tests, a_dim_that_nobody_sets_is_one);
    tcase_add_test(tests, a_larger_dim_plans_again);
    tcase_add_test(tests, bound_tensors_set_the_dims);
    tcase_add_test(tests, raw_memory_is_bound);
    tcase_add_test(tests, empty_batches_run);
    tcase_add_test(tests, wrong_tensors_are_refused);
    tcase_add_test(tests, names_are_found);
    tcase_add_test(tests, options_are_checked);
    tcase_add_test(tests, decisive_inputs_are_followed);
    tcase_add_test(tests, outputs_may_be_anything);
    tcase_add_test(tests, steps_are_told);
    tcase_add_test(tests, shapes_that_do_not_fit_name_the_node);
    tcase_add_test(tests, each_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
