/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sharing memory never changes a result: over random graphs, a plan that reuses
 * everything it can gives the bytes of one that reuses nothing.
 */
#include "exec/random_graph.h"
#include "support/test.h"

#include "exec/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUTS     3
#define WIDTH      8
#define BATCH_MOST 10
#define GRAPHS     150

static mls_context *context;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
}

static void teardown(void)
{
    mls_context_free(context);
}

static mls_session *make_session(mls_model *model, uint64_t flags, uint32_t threads)
{
    const mls_dim_value batch = {"batch", BATCH_MOST};
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    mls_session *session;
    options.flags = flags;
    options.threads = threads;
    options.dims = &batch;
    options.dim_count = 1;
    ck_assert_ok(mls_session_create(model, &options, &session));
    return session;
}

static void fill_inputs(mls_session *session, int64_t batch, uint64_t seed)
{
    uint64_t state = seed + 1;
    ck_assert_ok(mls_session_set_dim(session, "batch", batch));
    for (size_t i = 0; i < INPUTS; i++) {
        float *x = mls_session_input_data(session, i);
        for (int64_t k = 0; k < batch * WIDTH; k++)
            x[k] = (float) mls_test_random_below(&state, 20001) / 10000.0f - 1.0f;
    }
}

static void compare_runs(mls_session *a, mls_session *b, size_t outputs, int64_t batch,
                         uint64_t seed)
{
    fill_inputs(a, batch, seed);
    fill_inputs(b, batch, seed);
    ck_assert_ok(mls_session_run(a));
    ck_assert_ok(mls_session_run(b));
    for (size_t i = 0; i < outputs; i++) {
        mls_dtype dtype;
        int rank;
        const int64_t *dims;
        ck_assert_ok(mls_session_output_shape(a, i, &dtype, &rank, &dims));
        ck_assert_int_eq(rank, 2);
        ck_assert_int_eq(dims[0], batch);
        ck_assert_int_eq(dims[1], WIDTH);
        ck_assert_mem_eq(mls_session_output_data(a, i), mls_session_output_data(b, i),
                         (size_t) (batch * WIDTH) * sizeof(float));
    }
}

static mls_model *load(uint64_t seed, int nodes)
{
    mls_model *model;
    onnx_build *build = random_graph(seed, INPUTS, nodes);
    ck_assert_ok(onnx_build_load(build, context, 0, &model));
    onnx_build_free(build);
    return model;
}

START_TEST(reuse_never_corrupts)
{
    size_t saved = 0;
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        mls_model *model = load(seed, 4 + (int) (seed % 60));
        mls_session *shared = make_session(model, 0, 1);
        mls_session *apart = make_session(model, MLS_SESSION_NO_REUSE | MLS_SESSION_NO_OPTIMIZE, 1);
        const size_t outputs = mls_model_output_count(model);
        compare_runs(shared, apart, outputs, BATCH_MOST, seed);
        compare_runs(shared, apart, outputs, 1, seed);
        compare_runs(shared, apart, outputs, 5, seed);
        compare_runs(shared, apart, outputs, BATCH_MOST, seed + 1);
        ck_assert_uint_le(mls_session_plan_bytes(shared), mls_session_plan_bytes(apart));
        saved += mls_session_plan_bytes(apart) - mls_session_plan_bytes(shared);
        mls_session_free(shared);
        mls_session_free(apart);
        mls_model_free(model);
    }
    ck_assert_uint_gt(saved, 0); /* or the planner shares nothing at all */
}
END_TEST

/* Two buffers of one run overlap only if their lifetimes do not meet. */
START_TEST(living_buffers_do_not_overlap)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        mls_model *model = load(seed, 60);
        mls_session *session = make_session(model, 0, 1);
        const mls__plan *plan = &session->plan;
        for (size_t a = 0; a < plan->slot_count; a++)
            for (size_t b = 0; b < a; b++) {
                const mls__slot *x = &plan->slots[a], *y = &plan->slots[b];
                const bool are_roots = x->root == a && y->root == b &&
                                       x->kind == MLS__SLOT_COMPUTED &&
                                       y->kind == MLS__SLOT_COMPUTED;
                const bool meet =
                    x->is_pinned || y->is_pinned || (x->first <= y->last && y->first <= x->last);
                if (are_roots && meet && x->capacity && y->capacity)
                    ck_assert(x->offset + x->capacity <= y->offset ||
                              y->offset + y->capacity <= x->offset);
            }
        mls_session_free(session);
        mls_model_free(model);
    }
}
END_TEST

/* --- parts ----------------------------------------------------------------------------------- */

/* Whether a slot shares the memory of `whole`, or of what does. */
static bool is_in(const mls__plan *plan, uint32_t slot, uint32_t whole)
{
    while (slot != whole && plan->slots[slot].root != slot)
        slot = plan->slots[slot].root;
    return slot == whole;
}

/* How many inputs of Concats lie in the output, where the present dims have them. */
static size_t count_parts(const mls__plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->step_count; i++) {
        const mls__step *step = &plan->steps[i];
        const bool is_join = strcmp(step->op.type, "Concat") == 0;
        size_t begin = 0;
        for (size_t k = 0; is_join && k < step->op.input_count; k++) {
            const uint32_t v = step->input_values[k], whole = step->output_values[0];
            const char *place = (const char *) plan->slots[whole].data + begin;
            count += is_in(plan, v, whole) && plan->slots[v].data == place;
            begin += mls__arg_bytes(&step->inputs[k]);
        }
    }
    return count;
}

/* With fewer rows they follow each other sooner, and are found there. */
START_TEST(parts_follow_dims)
{
    size_t most = 0, fewer = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        mls_model *model = load(seed, 40);
        mls_session *session = make_session(model, 0, 1);
        ck_assert_ok(mls_session_plan(session));
        fill_inputs(session, BATCH_MOST, seed);
        ck_assert_ok(mls_session_run(session));
        most += count_parts(&session->plan);
        fill_inputs(session, 3, seed);
        ck_assert_ok(mls_session_run(session));
        fewer += count_parts(&session->plan);
        mls_session_free(session);
        mls_model_free(model);
    }
    ck_assert_uint_gt(most, 20);
    ck_assert_uint_eq(fewer, most);
}
END_TEST

/* A model of one input and one output; its parts, and that it gives what it does without. */
static size_t parts_of(onnx_build *build, size_t dim_count, const int64_t *dims)
{
    mls_model *model;
    size_t parts = 0;
    ck_assert_ok(onnx_build_load(build, context, 0, &model));
    onnx_build_free(build);
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    mls_session *sessions[2];
    for (int s = 0; s < 2; s++) {
        options.flags = MLS_SESSION_NO_OPTIMIZE | (s ? MLS_SESSION_NO_REUSE : 0);
        ck_assert_ok(mls_session_create(model, &options, &sessions[s]));
    }
    for (size_t d = 0; d < dim_count; d++) {
        const float *y[2];
        size_t bytes = 0;
        for (int s = 0; s < 2; s++) {
            ck_assert_ok(mls_session_set_dim(sessions[s], "m", dims[d]));
            float *x = mls_session_input_data(sessions[s], 0);
            for (int64_t i = 0; i < dims[d] * 16; i++)
                x[i] = (float) (i % 7) - 2.5f;
            ck_assert_ok(mls_session_run(sessions[s]));
            y[s] = mls_session_output_data(sessions[s], 0);
            bytes = mls__arg_bytes(&sessions[s]->plan.slots[sessions[s]->plan.outputs[0].slot].arg);
        }
        ck_assert_mem_eq(y[0], y[1], bytes);
        parts = count_parts(&sessions[0]->plan);
        ck_assert_uint_eq(count_parts(&sessions[1]->plan), 0);
    }
    mls_session_free(sessions[0]);
    mls_session_free(sessions[1]);
    mls_model_free(model);
    return parts;
}

/* Each of these inputs of two Concats, in memory that is shared or not. */
static const struct {
    const char *first, *second, *output;
    size_t parts;
} joined[] = {
    {"a b", "a b c", "j", 5}, /* the first one lies in the second */
    {"a b", "b a c", "j", 3}, /* their order is another */
    {"a b", "c a b", "j", 5}, /* it lies behind something */
    {"a b", "a c b", "j", 3}, /* it would be torn apart */
    {"a a", "a b c", "j", 3}, /* twice the same: one is copied */
    {"a b", "a a b", "j", 4}, /* it lies behind a copy of what it begins with */
    {"x a", "i x c", "j", 3}, /* what the caller gives stays there */
    {"a b", "i c", "i", 3},   /* the first one is an output, and in no other */
    {"a b", "d c", "j", 4},   /* what is in place of another */
};

START_TEST(inputs_lie_in_their_concat)
{
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "m,16");
    onnx_build_node(b, "Neg", "x", "a");
    onnx_build_node(b, "Abs", "x", "b");
    onnx_node_int(onnx_build_node(b, "Concat", joined[_i].first, "i"), "axis", 0);
    onnx_build_node(b, "Sin", "i", "c");
    onnx_build_node(b, "Exp", "x", "e");
    onnx_build_node(b, "Tanh", "e", "d");
    onnx_node_int(onnx_build_node(b, "Concat", joined[_i].second, "j"), "axis", 0);
    onnx_build_output(b, joined[_i].output, MLS_FLOAT32, NULL);
    ck_assert_uint_eq(parts_of(b, 4, (int64_t[]){4, 1, 0, 3}), joined[_i].parts);
}
END_TEST

/* Parts of parts: the way to the memory of the innermost one has an end. */
START_TEST(parts_go_so_deep)
{
    enum { CONCATS = 200 };
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "m,16");
    onnx_build_node(b, "Neg", "x", "whole0");
    for (int i = 0; i < CONCATS; i++) {
        char inputs[32], part[16], whole[16];
        snprintf(part, sizeof part, "part%d", i);
        snprintf(inputs, sizeof inputs, "whole%d part%d", i, i);
        snprintf(whole, sizeof whole, "whole%d", i + 1);
        onnx_build_node(b, "Abs", "x", part);
        onnx_node_int(onnx_build_node(b, "Concat", inputs, whole), "axis", 0);
    }
    onnx_build_output(b, "whole200", MLS_FLOAT32, NULL);
    /* All but the one that would make it deeper; that is copied. */
    ck_assert_uint_eq(parts_of(b, 2, (int64_t[]){2, 1}), 2 * CONCATS - 1);
}
END_TEST

/* Rows that come to be at other dims are not next to each other. */
START_TEST(rows_are_no_parts)
{
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "m,16");
    onnx_build_ints(b, "zero", "1", (int64_t[]){0});
    onnx_build_ints(b, "three", "1", (int64_t[]){3});
    onnx_build_ints(b, "rest", "1", (int64_t[]){-1});
    onnx_build_node(b, "Shape", "x", "dims");
    onnx_build_node(b, "Gather", "dims zero", "rows");
    onnx_build_node(b, "Sub", "three rows", "others");
    onnx_node_int(onnx_build_node(b, "Concat", "others rest", "shape"), "axis", 0);
    onnx_build_node(b, "Neg", "x", "a");
    onnx_build_node(b, "Abs", "x", "b");
    onnx_build_node(b, "Reshape", "a shape", "c");
    onnx_build_node(b, "Reshape", "b shape", "d");
    onnx_node_int(onnx_build_node(b, "Concat", "c d", "y"), "axis", 1);
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    ck_assert_uint_eq(parts_of(b, _i ? 2 : 1, (int64_t[]){2, 1}), _i ? 0 : 2);
}
END_TEST

/* A bound output may serve as scratch before it is written; it must end right. */
START_TEST(bound_memory_gets_the_same)
{
    for (uint64_t seed = 1; seed <= GRAPHS; seed += 2) {
        mls_model *model = load(seed, 4 + (int) (seed % 60));
        mls_session *bound = make_session(model, 0, 1), *own = make_session(model, 0, 1);
        const size_t outputs = mls_model_output_count(model);
        const size_t bytes = BATCH_MOST * WIDTH * sizeof(float);
        float *memory = malloc(outputs * bytes);
        for (size_t i = 0; i < outputs; i++)
            ck_assert_ok(
                mls_session_bind_output_data(bound, i, memory + i * BATCH_MOST * WIDTH, bytes));
        fill_inputs(bound, BATCH_MOST, seed);
        fill_inputs(own, BATCH_MOST, seed);
        ck_assert_ok(mls_session_run(bound));
        ck_assert_ok(mls_session_run(own));
        for (size_t i = 0; i < outputs; i++)
            ck_assert_mem_eq(memory + i * BATCH_MOST * WIDTH, mls_session_output_data(own, i),
                             bytes);
        free(memory);
        mls_session_free(bound);
        mls_session_free(own);
        mls_model_free(model);
    }
}
END_TEST

START_TEST(runs_repeat)
{
    mls_model *model = load(7, 50);
    mls_session *session = make_session(model, 0, 1);
    const size_t bytes = BATCH_MOST * WIDTH * sizeof(float);
    float first[BATCH_MOST * WIDTH];
    fill_inputs(session, BATCH_MOST, 7);
    ck_assert_ok(mls_session_run(session));
    memcpy(first, mls_session_output_data(session, 0), bytes);
    /* Inputs keep their contents: the run may not use their memory for anything else. */
    for (int i = 0; i < 3; i++) {
        ck_assert_ok(mls_session_run(session));
        ck_assert_mem_eq(first, mls_session_output_data(session, 0), bytes);
    }
    mls_session_free(session);
    mls_model_free(model);
}
END_TEST

/* Results of a model over x, which is [3]: 2, 0, 1. */
static void expect_three(onnx_build *b, uint64_t flags, const void *expected, size_t size)
{
    mls_model *model;
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    mls_session *session;
    options.flags = flags;
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert_ok(mls_session_create(model, &options, &session));
    memcpy(mls_session_input_data(session, 0), (const float[]){2, 0, 1}, 3 * sizeof(float));
    ck_assert_ok(mls_session_run(session));
    ck_assert_mem_eq(mls_session_output_data(session, 0), expected, size);
    mls_session_free(session);
    mls_model_free(model);
    onnx_build_free(b);
}

/* Updates that are the data, too: to write where they lie would change those not yet read. */
START_TEST(what_is_still_read_is_not_written)
{
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "3");
    onnx_build_ints(b, "places", "3", (const int64_t[]){2, 0, 1});
    onnx_build_node(b, "Neg", "x", "n");
    onnx_node_int(onnx_build_node(b, "ScatterElements", "n places n", "y"), "axis", 0);
    onnx_build_output(b, "y", MLS_FLOAT32, "3");
    expect_three(b, 0, (const float[]){-0.0f, -1, -2}, 3 * sizeof(float));
}
END_TEST

/* Of what has no memory of its own to share, such as the input of a model, views are copies. */
START_TEST(every_view_can_be_a_copy)
{
    onnx_build *b = onnx_build_create(26);
    onnx_build_input(b, "x", MLS_FLOAT32, "3");
    onnx_build_node(b, "Size", "x", "count");
    onnx_node_int(onnx_build_node(b, "BitCast", "count", "y"), "to", MLS_UINT64);
    onnx_build_output(b, "y", MLS_UINT64, "");
    expect_three(b, _i ? MLS_SESSION_NO_OPTIMIZE : 0, (const uint64_t[]){3}, sizeof(uint64_t));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exec/plan");
    TCase *tests = tcase_create("plan");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, reuse_never_corrupts);
    tcase_add_test(tests, living_buffers_do_not_overlap);
    tcase_add_test(tests, parts_follow_dims);
    tcase_add_loop_test(tests, inputs_lie_in_their_concat, 0, sizeof joined / sizeof joined[0]);
    tcase_add_test(tests, parts_go_so_deep);
    tcase_add_loop_test(tests, rows_are_no_parts, 0, 2);
    tcase_add_test(tests, bound_memory_gets_the_same);
    tcase_add_test(tests, runs_repeat);
    tcase_add_test(tests, what_is_still_read_is_not_written);
    tcase_add_loop_test(tests, every_view_can_be_a_copy, 0, 2);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
