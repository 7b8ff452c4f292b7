/* SPDX-License-Identifier: Apache-2.0 */
/* Control flow, sequences and optionals; deadlines and cancellation. */
#include "support/onnx_build.h"
#include "support/onnx_samples.h"
#include "support/test.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

static mls_context *context;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
}

static void teardown(void)
{
    mls_context_free(context);
}

static mls_session *open_session(onnx_build *build)
{
    mls_model *model;
    mls_session *session;
    ck_assert_ok(onnx_build_load(build, context, 0, &model));
    ck_assert_ok(mls_session_create(model, NULL, &session));
    mls_model_free(model);
    onnx_build_free(build);
    return session;
}

static void set_float(mls_session *session, size_t input, float value)
{
    float *data = mls_session_input_data(session, input);
    ck_assert_msg(data != NULL, "%s", mls_error_message());
    *data = value;
}

static void check_floats(const mls_tensor *tensor, int rank, const int64_t *dims,
                         const float *values)
{
    ck_assert_int_eq(mls_tensor_dtype(tensor), MLS_FLOAT32);
    ck_assert_int_eq(mls_tensor_rank(tensor), rank);
    for (int i = 0; i < rank; i++)
        ck_assert_int_eq(mls_tensor_dims(tensor)[i], dims[i]);
    for (int64_t i = 0; i < mls_tensor_element_count(tensor); i++)
        ck_assert_float_eq(((const float *) mls_tensor_data(tensor))[i], values[i]);
}

static void check_item(mls_session *session, size_t output, size_t item, int rank,
                       const int64_t *dims, const float *values)
{
    mls_tensor *tensor;
    ck_assert_ok(mls_session_output_item(session, output, item, &tensor));
    check_floats(tensor, rank, dims, values);
    mls_tensor_free(tensor);
}

static void check_scalar(mls_session *session, size_t output, float value)
{
    check_item(session, output, 0, 0, NULL, &value);
}

/* --- If --- */

/* y = cond ? x + 1 : x * c, where c = x + x is computed outside. */
static onnx_build *choosing(void)
{
    onnx_build *b = onnx_build_create(17), *yes = onnx_build_create(17);
    onnx_build *no = onnx_build_create(17);
    onnx_build_input(b, "cond", MLS_BOOL, "");
    onnx_build_input(b, "x", MLS_FLOAT32, "");
    onnx_build_floats(b, "one", "", (float[]){1});
    onnx_build_node(b, "Add", "x x", "c");
    onnx_build_node(yes, "Add", "x one", "sum");
    onnx_build_output(yes, "sum", MLS_FLOAT32, "");
    onnx_build_node(no, "Mul", "x c", "product");
    onnx_build_output(no, "product", MLS_FLOAT32, "");
    onnx_node *node = onnx_build_node(b, "If", "cond", "y");
    onnx_node_body(node, "then_branch", yes);
    onnx_node_body(node, "else_branch", no);
    onnx_build_output(b, "y", MLS_FLOAT32, "");
    return b;
}

START_TEST(if_takes_one_branch)
{
    mls_session *session = open_session(choosing());
    mls_dtype dtype;
    int rank;
    const int64_t *dims;
    ck_assert_fails(mls_session_output_shape(session, 0, &dtype, &rank, &dims), MLS_ESTATE,
                    "once a run is done");
    for (int cond = 0; cond < 4; cond++) {
        *(uint8_t *) mls_session_input_data(session, 0) = (uint8_t) (cond % 2);
        set_float(session, 1, 3);
        ck_assert_ok(mls_session_run(session));
        check_scalar(session, 0, cond % 2 ? 4 : 18);
    }
    ck_assert_ok(mls_session_output_shape(session, 0, &dtype, &rank, &dims));
    ck_assert_int_eq(rank, 0);
    mls_session_free(session);
}
END_TEST

START_TEST(outputs_may_be_bound)
{
    mls_session *session = open_session(choosing());
    float y = 0, wide[2];
    ck_assert_ok(mls_session_bind_output_data(session, 0, &y, sizeof y));
    set_float(session, 1, 5);
    ck_assert_ok(mls_session_run(session));
    ck_assert_float_eq(y, 50);
    ck_assert_ok(mls_session_bind_output_data(session, 0, wide, sizeof wide));
    ck_assert_fails(mls_session_run(session), MLS_ESHAPE, "8 bytes are bound; the model gave 4");
    mls_session_free(session);
}
END_TEST

/* Bound memory has the present dims, as in a session without control flow. */
START_TEST(bound_memory_follows_dims)
{
    onnx_build *b = onnx_build_create(17), *yes = onnx_build_create(17);
    onnx_build *no = onnx_build_create(17);
    onnx_build_input(b, "cond", MLS_BOOL, "");
    onnx_build_input(b, "x", MLS_FLOAT32, "N");
    onnx_build_node(yes, "Add", "x x", "sum");
    onnx_build_output(yes, "sum", MLS_FLOAT32, "N");
    onnx_build_node(no, "Neg", "x", "less");
    onnx_build_output(no, "less", MLS_FLOAT32, "N");
    onnx_node *choice = onnx_build_node(b, "If", "cond", "y");
    onnx_node_body(choice, "then_branch", yes);
    onnx_node_body(choice, "else_branch", no);
    onnx_build_output(b, "y", MLS_FLOAT32, "N");
    mls_session *session = open_session(b);
    static const float x[3] = {1, 2, 3};
    for (int64_t n = 2; n <= 3; n++) {
        ck_assert_ok(mls_session_set_dim(session, "N", n));
        ck_assert_ok(mls_session_bind_input_data(session, 1, x, (size_t) n * sizeof *x));
        ck_assert_ok(mls_session_run(session));
        check_item(session, 0, 0, 1, &n, (float[]){-1, -2, -3});
    }
    ck_assert_ok(mls_session_set_dim(session, "N", 4));
    ck_assert_fails(mls_session_run(session), MLS_ESHAPE, "12 bytes are bound");
    mls_session_free(session);
}
END_TEST

START_TEST(branches_that_are_missing_are_named)
{
    onnx_build *b = choosing();
    mls__graph_proto *graph = onnx_build_model(b)->graph;
    mls_model *model;
    graph->node[1]->n_attribute = 1;
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT,
                    "'else_branch' (graph) is missing");
    graph->node[1]->n_attribute = 2;
    graph->node[1]->attribute[0]->g->node[0]->op_type = onnx_build_text(b, "NoSuchOp");
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EUNSUPPORTED, "NoSuchOp");
    onnx_build_free(b);
}
END_TEST

/* --- Loop --- */

/* Fibonacci: (a, b) becomes (b, a + b), and each a is shown; the body gives its own input. */
static onnx_build *fibonacci(const char *trips)
{
    onnx_build *b = onnx_build_create(17), *body = onnx_build_create(17);
    onnx_build_input(b, "n", MLS_INT64, "");
    onnx_build_floats(b, "first", "", (float[]){0});
    onnx_build_floats(b, "second", "", (float[]){1});
    onnx_build_input(body, "i", MLS_INT64, "");
    onnx_build_input(body, "go", MLS_BOOL, "");
    onnx_build_input(body, "a", MLS_FLOAT32, "");
    onnx_build_input(body, "b", MLS_FLOAT32, "");
    onnx_build_node(body, "Add", "a b", "sum");
    onnx_build_node(body, "Identity", "go", "goes");
    onnx_build_node(body, "Neg", "a", "shown");
    onnx_build_output(body, "goes", MLS_BOOL, "");
    onnx_build_output(body, "b", MLS_FLOAT32, "");
    onnx_build_output(body, "sum", MLS_FLOAT32, "");
    onnx_build_output(body, "shown", MLS_FLOAT32, "");
    onnx_node *loop = onnx_build_node(b, "Loop", trips, "x y all");
    onnx_node_name(loop, "fib");
    onnx_node_body(loop, "body", body);
    onnx_build_output(b, "x", MLS_FLOAT32, "");
    onnx_build_output(b, "y", MLS_FLOAT32, "");
    onnx_build_output(b, "all", MLS_FLOAT32, "?");
    return b;
}

START_TEST(loop_carries_and_gathers)
{
    mls_session *session = open_session(fibonacci("n - first second"));
    for (int64_t n = 8; n >= 0; n -= 4) { /* shorter ones as well, and none */
        *(int64_t *) mls_session_input_data(session, 0) = n;
        ck_assert_ok(mls_session_run(session));
        check_scalar(session, 0, n == 8 ? 21 : n == 4 ? 3 : 0);
        check_scalar(session, 1, n == 8 ? 34 : n == 4 ? 5 : 1);
        check_item(session, 2, 0, 1, &n, (float[]){0, -1, -1, -2, -3, -5, -8, -13});
    }
    mls_session_free(session);
}
END_TEST

/* Doubles x until the sum of doubled values, which are joined to a growing tensor, reaches 100. */
static onnx_build *growing(void)
{
    onnx_build *b = onnx_build_create(17), *body = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "1");
    onnx_build_floats(b, "limit", "", (float[]){100});
    onnx_build_input(body, "i", MLS_INT64, "");
    onnx_build_input(body, "go", MLS_BOOL, "");
    onnx_build_input(body, "list", MLS_FLOAT32, "?");
    onnx_node *sum = onnx_build_node(body, "ReduceSum", "list", "sum");
    onnx_node_int(sum, "keepdims", 0);
    onnx_build_node(body, "Add", "sum x", "more"); /* x comes from outside */
    onnx_node_int(onnx_build_node(body, "Concat", "list more", "longer"), "axis", 0);
    onnx_build_node(body, "Less", "more limit", "goes_on");
    onnx_build_node(body, "Squeeze", "goes_on", "goes");
    onnx_build_output(body, "goes", MLS_BOOL, "");
    onnx_build_output(body, "longer", MLS_FLOAT32, "?");
    onnx_node_body(onnx_build_node(b, "Loop", "- - x", "y"), "body", body);
    onnx_build_output(b, "y", MLS_FLOAT32, "?");
    return b;
}

START_TEST(shapes_may_grow)
{
    mls_session *session = open_session(growing());
    for (int round = 0; round < 2; round++) {
        set_float(session, 0, 1);
        ck_assert_ok(mls_session_run(session));
        check_item(session, 0, 0, 1, (int64_t[]){8}, (float[]){1, 2, 4, 8, 16, 32, 64, 128});
        set_float(session, 0, 60);
        ck_assert_ok(mls_session_run(session));
        check_item(session, 0, 0, 1, (int64_t[]){2}, (float[]){60, 120});
    }
    mls_session_free(session);
}
END_TEST

/* An If in the body of a Loop takes values from both graphs around it. */
START_TEST(bodies_nest)
{
    onnx_build *b = onnx_build_create(17), *body = onnx_build_create(17);
    onnx_build *yes = onnx_build_create(17), *no = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "");
    onnx_build_ints(b, "n", "", (int64_t[]){4});
    onnx_build_ints(b, "two", "", (int64_t[]){2});
    onnx_build_floats(b, "zero", "", (float[]){0});
    onnx_build_node(b, "Neg", "x", "minus");
    onnx_build_input(body, "i", MLS_INT64, "");
    onnx_build_input(body, "go", MLS_BOOL, "");
    onnx_build_input(body, "sum", MLS_FLOAT32, "");
    onnx_build_node(body, "Less", "i two", "early");
    onnx_build_node(yes, "Add", "sum x", "more");
    onnx_build_output(yes, "more", MLS_FLOAT32, "");
    onnx_build_node(no, "Mul", "sum minus", "times");
    onnx_build_output(no, "times", MLS_FLOAT32, "");
    onnx_node *choice = onnx_build_node(body, "If", "early", "next");
    onnx_node_body(choice, "then_branch", yes);
    onnx_node_body(choice, "else_branch", no);
    onnx_build_output(body, "go", MLS_BOOL, "");
    onnx_build_output(body, "next", MLS_FLOAT32, "");
    onnx_node_body(onnx_build_node(b, "Loop", "n - zero", "y"), "body", body);
    onnx_build_output(b, "y", MLS_FLOAT32, "");
    mls_session *session = open_session(b);
    set_float(session, 0, 3);
    ck_assert_ok(mls_session_run(session));
    check_scalar(session, 0, 54); /* ((0 + 3) + 3) * -3 * -3 */
    mls_session_free(session);
}
END_TEST

START_TEST(bad_loops_are_named)
{
    onnx_build *b = fibonacci("n - first");
    mls_model *model;
    mls_session *session;
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_ok(mls_session_create(model, NULL, &session));
    ck_assert_fails(mls_session_run(session), MLS_EFORMAT, "'fib' (Loop): the body takes 4");
    mls_session_free(session);
    mls_model_free(model);
    onnx_build_free(b);
}
END_TEST

/* --- Scan --- */

/* Running sums over the columns of x, from the last: axis 1, both ways. */
START_TEST(scan_goes_along_an_axis)
{
    onnx_build *b = onnx_build_create(17), *body = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "2,3");
    onnx_build_floats(b, "zero", "2", (float[]){0, 0});
    onnx_build_input(body, "sum", MLS_FLOAT32, "2");
    onnx_build_input(body, "column", MLS_FLOAT32, "2");
    onnx_build_node(body, "Add", "sum column", "next");
    onnx_build_node(body, "Identity", "next", "shown");
    onnx_build_output(body, "next", MLS_FLOAT32, "2");
    onnx_build_output(body, "shown", MLS_FLOAT32, "2");
    onnx_node *scan = onnx_build_node(b, "Scan", "zero x", "total sums");
    onnx_node_int(scan, "num_scan_inputs", 1);
    onnx_node_ints(scan, "scan_input_axes", 1, (int64_t[]){1});
    onnx_node_ints(scan, "scan_input_directions", 1, (int64_t[]){1});
    onnx_node_ints(scan, "scan_output_axes", 1, (int64_t[]){-1});
    onnx_node_ints(scan, "scan_output_directions", 1, (int64_t[]){1});
    onnx_node_body(scan, "body", body);
    onnx_build_output(b, "total", MLS_FLOAT32, "2");
    onnx_build_output(b, "sums", MLS_FLOAT32, "2,3");
    mls_session *session = open_session(b);
    memcpy(mls_session_input_data(session, 0), (float[]){1, 2, 3, 10, 20, 30}, 24);
    ck_assert_ok(mls_session_run(session));
    check_item(session, 0, 0, 1, (int64_t[]){2}, (float[]){6, 60});
    check_item(session, 1, 0, 2, (int64_t[]){2, 3}, (float[]){6, 5, 3, 60, 50, 30});
    mls_session_free(session);
}
END_TEST

/* --- sequences and optionals --- */

static mls_tensor *tensor_of(int64_t count, const float *values)
{
    mls_tensor *tensor;
    ck_assert_ok(mls_tensor_create(context, MLS_FLOAT32, 1, &count, &tensor));
    memcpy(mls_tensor_data(tensor), values, (size_t) count * sizeof *values);
    return tensor;
}

/* Puts x into the list at p, takes away the one at q, and joins the rest. */
static onnx_build *editing(void)
{
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "list", MLS_FLOAT32, NULL);
    onnx_build_sequence_type(b, onnx_build_model(b)->graph->input[0]);
    onnx_build_input(b, "x", MLS_FLOAT32, "?");
    onnx_build_input(b, "p", MLS_INT64, "");
    onnx_build_input(b, "q", MLS_INT64, "");
    onnx_build_node(b, "SequenceInsert", "list x p", "longer");
    onnx_build_node(b, "SequenceErase", "longer q", "shorter");
    onnx_node_int(onnx_build_node(b, "ConcatFromSequence", "shorter", "joined"), "axis", 0);
    onnx_build_output(b, "shorter", MLS_FLOAT32, NULL);
    onnx_build_sequence_type(b, onnx_build_model(b)->graph->output[0]);
    onnx_build_output(b, "joined", MLS_FLOAT32, "?");
    return b;
}

START_TEST(sequences_are_edited)
{
    mls_session *session = open_session(editing());
    mls_tensor *items[] = {tensor_of(1, (float[]){1}), tensor_of(2, (float[]){2, 3})};
    mls_tensor *x = tensor_of(3, (float[]){7, 8, 9});
    size_t count;
    ck_assert_fails(mls_session_run(session), MLS_ESTATE,
                    "'list' is a sequence, and none is bound");
    ck_assert_fails(mls_session_bind_input(session, 0, x), MLS_EDTYPE, "is a sequence");
    ck_assert_fails(
        mls_session_bind_input_sequence(session, 1, (const mls_tensor *const *) items, 2),
        MLS_EDTYPE, "'x' is a tensor");
    ck_assert_ok(mls_session_bind_input_sequence(session, 0, (const mls_tensor *const *) items, 2));
    ck_assert_ok(mls_session_bind_input(session, 1, x));
    *(int64_t *) mls_session_input_data(session, 2) = 1;
    *(int64_t *) mls_session_input_data(session, 3) = -1;
    for (int round = 0; round < 2; round++) {
        ck_assert_ok(mls_session_run(session));
        ck_assert_ok(mls_session_output_count(session, 0, &count));
        ck_assert_uint_eq(count, 2);
        check_item(session, 0, 0, 1, (int64_t[]){1}, (float[]){1});
        check_item(session, 0, 1, 1, (int64_t[]){3}, (float[]){7, 8, 9});
        check_item(session, 1, 0, 1, (int64_t[]){4}, (float[]){1, 7, 8, 9});
    }
    mls_tensor *none;
    ck_assert_fails(mls_session_output_item(session, 0, 2, &none), MLS_EINVAL, "it has 2");
    *(int64_t *) mls_session_input_data(session, 2) = 3;
    ck_assert_fails(mls_session_run(session), MLS_ERANGE, "position 3");
    *(int64_t *) mls_session_input_data(session, 2) = -2;
    *(int64_t *) mls_session_input_data(session, 3) = 3;
    ck_assert_fails(mls_session_run(session), MLS_ERANGE, "position 3");
    mls_tensor_free(items[0]);
    mls_tensor_free(items[1]);
    mls_tensor_free(x);
    mls_session_free(session);
}
END_TEST

START_TEST(optionals_may_be_empty)
{
    onnx_build *b = onnx_build_create(18);
    onnx_build_input(b, "maybe", MLS_FLOAT32, NULL);
    onnx_build_optional_type(b, onnx_build_model(b)->graph->input[0]);
    onnx_build_node(b, "OptionalHasElement", "maybe", "has");
    onnx_build_node(b, "Identity", "maybe", "same");
    onnx_build_output(b, "has", MLS_BOOL, "");
    onnx_build_output(b, "same", MLS_FLOAT32, NULL);
    onnx_build_optional_type(b, onnx_build_model(b)->graph->output[1]);
    mls_session *session = open_session(b);
    mls_tensor *x = tensor_of(2, (float[]){5, 6});
    size_t count;
    for (size_t expected = 0; expected < 2; expected++) {
        if (expected)
            ck_assert_ok(mls_session_bind_input(session, 0, x));
        ck_assert_ok(mls_session_run(session));
        ck_assert_uint_eq(*(const uint8_t *) mls_session_output_data(session, 0), expected);
        ck_assert_ok(mls_session_output_count(session, 1, &count));
        ck_assert_uint_eq(count, expected);
    }
    check_item(session, 1, 0, 1, (int64_t[]){2}, (float[]){5, 6});
    mls_tensor_free(x);
    mls_session_free(session);
}
END_TEST

/* --- an end before its time --- */

/* A loop that never ends. */
static onnx_build *endless(void)
{
    onnx_build *b = onnx_build_create(17), *body = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "");
    onnx_build_input(body, "i", MLS_INT64, "");
    onnx_build_input(body, "go", MLS_BOOL, "");
    onnx_build_input(body, "a", MLS_FLOAT32, "");
    onnx_build_node(body, "Neg", "a", "b");
    onnx_build_output(body, "go", MLS_BOOL, "");
    onnx_build_output(body, "b", MLS_FLOAT32, "");
    onnx_node_body(onnx_build_node(b, "Loop", "- - x", "y"), "body", body);
    onnx_build_output(b, "y", MLS_FLOAT32, "");
    return b;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

START_TEST(deadlines_end_runs)
{
    mls_session *session = open_session(endless());
    const uint64_t deadline = now_ns() + 2000000;
    ck_assert_fails(mls_session_run_until(session, deadline), MLS_EDEADLINE, "deadline");
    ck_assert(now_ns() >= deadline);
    mls_session_free(session);
    /* A plan gives up between two steps, and runs the next time. */
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "");
    onnx_build_node(b, "Neg", "x", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "");
    session = open_session(b);
    set_float(session, 0, 2);
    ck_assert_fails(mls_session_run_until(session, 1), MLS_EDEADLINE, "deadline");
    ck_assert_ok(mls_session_run_until(session, UINT64_MAX));
    check_scalar(session, 0, -2);
    mls_session_cancel(session);
    ck_assert_fails(mls_session_run(session), MLS_ECANCELLED, "cancelled");
    ck_assert_ok(mls_session_run(session)); /* it counts once */
    mls_session_free(session);
}
END_TEST

static void *cancel(void *session)
{
    mls_session_cancel(session);
    return NULL;
}

START_TEST(another_thread_cancels)
{
    mls_session *session = open_session(endless());
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, cancel, session), 0);
    ck_assert_fails(mls_session_run(session), MLS_ECANCELLED, "cancelled");
    pthread_join(thread, NULL);
    mls_session_free(session);
}
END_TEST

/* --- failing memory --- */

static mls_status run_sample(mls_context *failing, void *arg)
{
    size_t size;
    const uint8_t *bytes = onnx_build_bytes(arg, &size);
    mls_model *model;
    mls_session *session;
    mls_tensor *item;
    mls_status status = mls_model_load_memory(failing, bytes, size, NULL, &model);
    if (status)
        return status;
    status = mls_session_create(model, NULL, &session);
    mls_model_free(model);
    if (status)
        return status;
    status = mls_tensor_create(failing, MLS_FLOAT32, 1, (int64_t[]){2}, &item);
    if (!status) {
        const mls_tensor *items[] = {item, item};
        status = mls_session_bind_input_sequence(session, 2, items, 2);
        uint8_t *cond = status ? NULL : mls_session_input_data(session, 0);
        if (!status && !cond)
            status = MLS_ENOMEM;
        if (cond)
            *cond = 1;
        for (int round = 0; !status && round < 2; round++)
            status = mls_session_run(session);
        mls_tensor_free(item);
    }
    mls_session_free(session);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    onnx_build *build = onnx_sample_named("flow");
    mls_test_each_allocation(run_sample, build);
    onnx_build_free(build);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flow");
    TCase *tests = tcase_create("flow");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, if_takes_one_branch);
    tcase_add_test(tests, outputs_may_be_bound);
    tcase_add_test(tests, bound_memory_follows_dims);
    tcase_add_test(tests, branches_that_are_missing_are_named);
    tcase_add_test(tests, loop_carries_and_gathers);
    tcase_add_test(tests, shapes_may_grow);
    tcase_add_test(tests, bodies_nest);
    tcase_add_test(tests, bad_loops_are_named);
    tcase_add_test(tests, scan_goes_along_an_axis);
    tcase_add_test(tests, sequences_are_edited);
    tcase_add_test(tests, optionals_may_be_empty);
    tcase_add_test(tests, deadlines_end_runs);
    tcase_add_test(tests, another_thread_cancels);
    tcase_add_test(tests, each_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
