/* SPDX-License-Identifier: Apache-2.0 */
/* Maps as inputs, and the ops that take them. Expected values are ONNX Runtime's. */
#include "support/onnx_build.h"
#include "support/onnx_samples.h"
#include "support/test.h"

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

static mls_tensor *list(mls_dtype dtype, int64_t count, const void *data)
{
    mls_tensor *tensor;
    ck_assert_ok(mls_tensor_create(context, dtype, 1, &count, &tensor));
    if (count)
        memcpy(mls_tensor_data(tensor), data, mls_tensor_size_bytes(tensor));
    return tensor;
}

static mls_string text(const char *words)
{
    return (mls_string){words, strlen(words)};
}

/* Binds `count` entries and runs. */
static mls_status run_map(mls_session *session, mls_dtype key_dtype, const void *keys,
                          mls_dtype dtype, const void *values, int64_t count)
{
    mls_tensor *k = list(key_dtype, count, keys), *v = list(dtype, count, values);
    mls_status status = mls_session_bind_input_map(session, 0, k, v);
    mls_tensor_free(k);
    mls_tensor_free(v);
    return status ? status : mls_session_run(session);
}

static void check_output(mls_session *session, mls_dtype dtype, int64_t width, const void *values)
{
    mls_tensor *y;
    ck_assert_ok(mls_session_output_item(session, 0, 0, &y));
    ck_assert_int_eq(mls_tensor_dtype(y), dtype);
    ck_assert_int_eq(mls_tensor_rank(y), 2);
    ck_assert_int_eq(mls_tensor_dims(y)[0], 1);
    ck_assert_int_eq(mls_tensor_dims(y)[1], width);
    const mls_string *got = mls_tensor_data(y), *want = values;
    for (int64_t i = 0; dtype == MLS_STRING && i < width; i++) {
        ck_assert_uint_eq(got[i].size, want[i].size);
        ck_assert_int_eq(got[i].size ? memcmp(got[i].data, want[i].data, got[i].size) : 0, 0);
    }
    if (dtype != MLS_STRING)
        ck_assert(width == 0 || memcmp(got, values, mls_tensor_size_bytes(y)) == 0);
    mls_tensor_free(y);
}

/* One op on the map x. */
static onnx_build *map_model(const char *op, mls_dtype key_dtype, mls_dtype dtype,
                             onnx_node **ret_node)
{
    onnx_build *b = onnx_build_create(18);
    onnx_build_opset(b, "ai.onnx.ml", 1);
    onnx_build_input(b, "x", (int32_t) dtype, "1");
    onnx_build_map_type(b, onnx_build_model(b)->graph->input[0], (int32_t) key_dtype);
    *ret_node = onnx_build_node(b, op, "x", "y");
    onnx_node_name(*ret_node, "vec");
    onnx_build_output(b, "y", MLS_DTYPE_NONE, NULL);
    return b;
}

/* --- DictVectorizer --- */

static onnx_build *text_vectorizer(mls_dtype dtype)
{
    static const char *const words[] = {"c", "a", "", "q"};
    onnx_node *node;
    onnx_build *b = map_model("ai.onnx.ml:DictVectorizer", MLS_STRING, dtype, &node);
    onnx_node_strings(node, "string_vocabulary", 4, words);
    return b;
}

START_TEST(texts_are_looked_up)
{
    mls_session *session = open_session(text_vectorizer(MLS_FLOAT32));
    const mls_string keys[] = {text("a"), text("z"), text("c"), text("")};
    const float values[] = {1.5f, 9, 2, -1};
    ck_assert_ok(run_map(session, MLS_STRING, keys, MLS_FLOAT32, values, 3));
    check_output(session, MLS_FLOAT32, 4, (float[]){2, 1.5f, 0, 0});
    ck_assert_ok(run_map(session, MLS_STRING, keys, MLS_FLOAT32, values, 4));
    check_output(session, MLS_FLOAT32, 4, (float[]){2, 1.5f, -1, 0});
    ck_assert_ok(run_map(session, MLS_STRING, keys, MLS_FLOAT32, values, 0));
    check_output(session, MLS_FLOAT32, 4, (float[]){0, 0, 0, 0});
    ck_assert_ok(run_map(session, MLS_STRING, keys + 1, MLS_FLOAT32, values + 1, 1));
    check_output(session, MLS_FLOAT32, 4, (float[]){0, 0, 0, 0});
    mls_session_free(session);
}
END_TEST

START_TEST(values_may_be_of_other_types)
{
    const mls_string keys[] = {text("q"), text("c")};
    mls_session *session = open_session(text_vectorizer(MLS_INT64));
    ck_assert_ok(run_map(session, MLS_STRING, keys, MLS_INT64, (int64_t[]){INT64_MIN, 3}, 2));
    check_output(session, MLS_INT64, 4, (int64_t[]){3, 0, 0, INT64_MIN});
    mls_session_free(session);
    session = open_session(text_vectorizer(MLS_FLOAT64));
    ck_assert_ok(run_map(session, MLS_STRING, keys, MLS_FLOAT64, (double[]){0.1, 3}, 2));
    check_output(session, MLS_FLOAT64, 4, (double[]){3, 0, 0, 0.1});
    mls_session_free(session);
}
END_TEST

/* A word that is in the vocabulary twice has its value in both places. */
START_TEST(numbers_are_looked_up)
{
    onnx_node *node;
    onnx_build *b = map_model("ai.onnx.ml:DictVectorizer", MLS_INT64, MLS_FLOAT32, &node);
    onnx_node_ints(node, "int64_vocabulary", 4, (int64_t[]){7, 8, 7, -3});
    mls_session *session = open_session(b);
    ck_assert_ok(
        run_map(session, MLS_INT64, (int64_t[]){-3, 7}, MLS_FLOAT32, (float[]){1.5f, 2}, 2));
    check_output(session, MLS_FLOAT32, 4, (float[]){2, 0, 2, 1.5f});
    mls_session_free(session);
    b = map_model("ai.onnx.ml:DictVectorizer", MLS_INT64, MLS_STRING, &node);
    onnx_node_ints(node, "int64_vocabulary", 3, (int64_t[]){7, 8, -3});
    session = open_session(b);
    const mls_string values[] = {text("u"), text("v")}, want[] = {text("v"), text(""), text("u")};
    ck_assert_ok(run_map(session, MLS_INT64, (int64_t[]){-3, 7}, MLS_STRING, values, 2));
    check_output(session, MLS_STRING, 3, want);
    mls_session_free(session);
}
END_TEST

START_TEST(keys_that_are_there_twice_are_named)
{
    mls_session *session = open_session(text_vectorizer(MLS_FLOAT32));
    mls_string keys[] = {text("a"), text("zz"), text("b"), text("zz")};
    const float values[] = {1, 2, 3, 4};
    ck_assert_fails(run_map(session, MLS_STRING, keys, MLS_FLOAT32, values, 4), MLS_EINVAL,
                    "node 'vec' (MapItems): key 'zz' is in the map twice");
    mls_tensor *k = list(MLS_STRING, 3, keys), *v = list(MLS_FLOAT32, 3, values);
    ck_assert_ok(mls_session_bind_input_map(session, 0, k, v));
    ck_assert_ok(mls_session_run(session));
    ((mls_string *) mls_tensor_data(k))[0] = text("b"); /* between runs */
    ck_assert_fails(mls_session_run(session), MLS_EINVAL, "key 'b' is in the map twice");
    mls_tensor_free(k);
    mls_tensor_free(v);
    mls_session_free(session);
    onnx_node *node;
    session = open_session(map_model("ai.onnx.ml:CastMap", MLS_INT64, MLS_FLOAT32, &node));
    ck_assert_fails(run_map(session, MLS_INT64, (int64_t[]){-5, 4, -5}, MLS_FLOAT32, values, 3),
                    MLS_EINVAL, "key -5 is in the map twice");
    mls_session_free(session);
}
END_TEST

START_TEST(bad_vocabularies_are_named)
{
    onnx_node *node;
    onnx_build *b = map_model("ai.onnx.ml:DictVectorizer", MLS_INT64, MLS_FLOAT32, &node);
    const int64_t key = 1;
    const float value = 1;
    mls_session *session = open_session(b);
    ck_assert_fails(run_map(session, MLS_INT64, &key, MLS_FLOAT32, &value, 1), MLS_EINVAL,
                    "none of string_vocabulary and int64_vocabulary");
    mls_session_free(session);
    b = map_model("ai.onnx.ml:DictVectorizer", MLS_INT64, MLS_FLOAT32, &node);
    onnx_node_strings(node, "string_vocabulary", 1, (const char *const[]){"a"});
    session = open_session(b);
    ck_assert_fails(run_map(session, MLS_INT64, &key, MLS_FLOAT32, &value, 1), MLS_EDTYPE,
                    "input 0 is int64, expected string, as the vocabulary is");
    mls_session_free(session);
    b = map_model("ai.onnx.ml:DictVectorizer", MLS_INT64, MLS_FLOAT32, &node);
    onnx_build_node(b, "ai.onnx.ml:DictVectorizer", "x x", "z");
    mls_model *model;
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "takes one, a map");
    onnx_build_free(b);
}
END_TEST

/* --- CastMap --- */

static mls_session *cast_map(mls_dtype dtype, const char *cast_to, int64_t max_map)
{
    onnx_node *node;
    onnx_build *b = map_model("ai.onnx.ml:CastMap", MLS_INT64, dtype, &node);
    if (cast_to)
        onnx_node_string(node, "cast_to", cast_to);
    if (max_map)
        onnx_node_string(node, "map_form", "SPARSE");
    if (max_map)
        onnx_node_int(node, "max_map", max_map);
    return open_session(b);
}

START_TEST(dense_maps_go_by_their_keys)
{
    const int64_t keys[] = {5, 1, -5, 900, 3, 2};
    const float values[] = {1.9f, 3, -3.5f, 8, 7, 6};
    const mls_string words[] = {text("1.5"), text("-3e2"), text("x")};
    mls_session *session = cast_map(MLS_FLOAT32, NULL, 0);
    ck_assert_ok(run_map(session, MLS_INT64, keys, MLS_FLOAT32, values, 6));
    check_output(session, MLS_FLOAT32, 6, (float[]){-3.5f, 3, 6, 7, 1.9f, 8});
    ck_assert_ok(run_map(session, MLS_INT64, keys, MLS_FLOAT32, values, 2));
    check_output(session, MLS_FLOAT32, 2, (float[]){3, 1.9f});
    ck_assert_ok(run_map(session, MLS_INT64, keys, MLS_FLOAT32, values, 0));
    check_output(session, MLS_FLOAT32, 0, NULL);
    mls_session_free(session);
    session = cast_map(MLS_FLOAT32, "TO_INT64", 0);
    ck_assert_ok(run_map(session, MLS_INT64, keys, MLS_FLOAT32, values, 3));
    check_output(session, MLS_INT64, 3, (int64_t[]){-3, 3, 1});
    mls_session_free(session);
    session = cast_map(MLS_STRING, "TO_FLOAT", 0);
    ck_assert_ok(run_map(session, MLS_INT64, keys, MLS_STRING, words, 2));
    check_output(session, MLS_FLOAT32, 2, (float[]){-300, 1.5f});
    ck_assert_fails(run_map(session, MLS_INT64, keys, MLS_STRING, words, 3), MLS_EFORMAT,
                    "'x', is no number");
    mls_session_free(session);
}
END_TEST

START_TEST(sparse_maps_have_each_value_at_its_key)
{
    const int64_t keys[] = {5, 1, 7, -1};
    const float values[] = {1.5f, 3, 4, 5};
    const mls_string blank = text("0.f"), one = text("1.5");
    const mls_string texts[] = {blank, text("3.0"), blank, blank, blank, one, blank};
    mls_session *session = cast_map(MLS_FLOAT32, "TO_FLOAT", 4);
    ck_assert_ok(run_map(session, MLS_INT64, keys, MLS_FLOAT32, values, 3));
    check_output(session, MLS_FLOAT32, 4, (float[]){0, 3, 0, 0});
    ck_assert_fails(run_map(session, MLS_INT64, keys, MLS_FLOAT32, values, 4), MLS_ERANGE,
                    "key -1 is negative");
    mls_session_free(session);
    session = cast_map(MLS_FLOAT32, "TO_STRING", 7);
    ck_assert_ok(run_map(session, MLS_INT64, keys, MLS_FLOAT32, values, 2));
    check_output(session, MLS_STRING, 7, texts);
    mls_session_free(session);
}
END_TEST

START_TEST(bad_forms_are_named)
{
    onnx_node *node;
    mls_model *model;
    mls_session *session = cast_map(MLS_FLOAT32, NULL, -1);
    const int64_t key = 1;
    const float value = 1;
    ck_assert_fails(run_map(session, MLS_INT64, &key, MLS_FLOAT32, &value, 1), MLS_EINVAL,
                    "max_map is -1");
    mls_session_free(session);
    onnx_build *b = map_model("ai.onnx.ml:CastMap", MLS_INT64, MLS_FLOAT32, &node);
    onnx_node_string(node, "map_form", "THIN");
    session = open_session(b);
    ck_assert_fails(run_map(session, MLS_INT64, &key, MLS_FLOAT32, &value, 1), MLS_EINVAL,
                    "none of DENSE and SPARSE");
    mls_session_free(session);
    b = map_model("ai.onnx.ml:CastMap", MLS_INT64, MLS_FLOAT32, &node);
    onnx_node_string(node, "cast_to", "TO_BOOL");
    ck_assert_fails(onnx_build_load(b, context, 0, &model), MLS_EFORMAT, "cast_to is none of");
    onnx_build_free(b);
}
END_TEST

/* --- binding --- */

START_TEST(what_is_no_such_map_is_refused)
{
    mls_session *session = open_session(text_vectorizer(MLS_FLOAT32));
    const mls_string words[] = {text("a"), text("b")};
    mls_tensor *keys = list(MLS_STRING, 2, words), *one = list(MLS_FLOAT32, 1, (float[]){1});
    mls_tensor *numbers = list(MLS_INT64, 2, (int64_t[]){1, 2}), *square;
    ck_assert_ok(mls_tensor_create(context, MLS_FLOAT32, 2, (int64_t[]){1, 2}, &square));
    ck_assert_fails(mls_session_run(session), MLS_ESTATE, "'x' is a map, and none is bound");
    ck_assert_fails(mls_session_bind_input_map(session, 1, keys, one), MLS_EINVAL,
                    "the model has 1 inputs");
    ck_assert_fails(mls_session_bind_input_map(session, 0, keys, one), MLS_ESHAPE,
                    "2 keys and 1 values");
    ck_assert_fails(mls_session_bind_input_map(session, 0, keys, square), MLS_ESHAPE,
                    "the values have 2 dimensions; one is wanted");
    ck_assert_fails(mls_session_bind_input_map(session, 0, numbers, one), MLS_EDTYPE,
                    "the keys are int64; the model wants string");
    ck_assert_fails(mls_session_bind_input_map(session, 0, keys, numbers), MLS_EDTYPE,
                    "the values are int64; the model wants float32");
    ck_assert_fails(mls_session_bind_input(session, 0, one), MLS_EDTYPE, "is a map, not a tensor");
    ck_assert_fails(mls_session_bind_input_sequence(session, 0, NULL, 0), MLS_EDTYPE,
                    "is a map, not a sequence");
    mls_session_free(session);
    onnx_build *b = onnx_build_create(18);
    onnx_build_input(b, "x", MLS_FLOAT32, "2");
    onnx_build_node(b, "NonZero", "x", "y");
    onnx_build_output(b, "y", MLS_INT64, NULL);
    session = open_session(b);
    ck_assert_fails(mls_session_bind_input_map(session, 0, keys, square), MLS_EDTYPE, "is no map");
    mls_session_free(session);
    mls_tensor_free(keys);
    mls_tensor_free(one);
    mls_tensor_free(numbers);
    mls_tensor_free(square);
}
END_TEST

/* Ops on tensors do not take a map; what hands on anything hands on maps too. */
START_TEST(maps_are_handed_on)
{
    onnx_build *b = onnx_build_create(18);
    onnx_build_input(b, "x", MLS_FLOAT32, "1");
    onnx_build_map_type(b, onnx_build_model(b)->graph->input[0], MLS_INT64);
    onnx_build_node(b, "Identity", "x", "y");
    onnx_build_output(b, "y", MLS_DTYPE_NONE, NULL);
    mls_session *session = open_session(b);
    size_t count;
    mls_tensor *keys;
    ck_assert_ok(run_map(session, MLS_INT64, (int64_t[]){4, 2}, MLS_FLOAT32, (float[]){1, 2}, 2));
    ck_assert_ok(mls_session_output_count(session, 0, &count));
    ck_assert_uint_eq(count, 2);
    ck_assert_ok(mls_session_output_item(session, 0, 0, &keys));
    ck_assert_int_eq(((const int64_t *) mls_tensor_data(keys))[1], 2);
    mls_tensor_free(keys);
    mls_session_free(session);
    b = onnx_build_create(18);
    onnx_build_input(b, "x", MLS_FLOAT32, "1");
    onnx_build_map_type(b, onnx_build_model(b)->graph->input[0], MLS_INT64);
    onnx_build_node(b, "Neg", "x", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    session = open_session(b);
    ck_assert_fails(run_map(session, MLS_INT64, (int64_t[]){4}, MLS_FLOAT32, (float[]){1}, 1),
                    MLS_EDTYPE, "'x' is a map; a tensor is wanted");
    mls_session_free(session);
}
END_TEST

static mls_status bind_pair(mls_context *own, mls_session *session, size_t input, mls_dtype dtype)
{
    const int64_t count = 2;
    mls_tensor *keys = NULL, *values = NULL;
    mls_status status = mls_tensor_create(own, dtype, 1, &count, &keys);
    if (!status)
        status = mls_tensor_create(own, MLS_FLOAT32, 1, &count, &values);
    if (!status && dtype == MLS_INT64)
        ((int64_t *) mls_tensor_data(keys))[1] = 3;
    else if (!status)
        ((mls_string *) mls_tensor_data(keys))[1] = text("age");
    if (!status)
        status = mls_session_bind_input_map(session, input, keys, values);
    mls_tensor_free(keys);
    mls_tensor_free(values);
    return status;
}

static mls_status run_sample(mls_context *own, void *arg)
{
    mls_model *model;
    mls_session *session = NULL;
    mls_status status = onnx_build_load(arg, own, 0, &model);
    if (status)
        return status;
    status = mls_session_create(model, NULL, &session);
    mls_model_free(model);
    if (!status)
        status = bind_pair(own, session, 0, MLS_STRING);
    if (!status)
        status = bind_pair(own, session, 1, MLS_INT64);
    if (!status)
        status = mls_session_run(session);
    if (!status)
        status = mls_session_run(session);
    mls_session_free(session);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    onnx_build *build = onnx_sample_named("maps");
    mls_test_each_allocation(run_sample, build);
    onnx_build_free(build);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("maps");
    TCase *tests = tcase_create("maps");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, texts_are_looked_up);
    tcase_add_test(tests, values_may_be_of_other_types);
    tcase_add_test(tests, numbers_are_looked_up);
    tcase_add_test(tests, keys_that_are_there_twice_are_named);
    tcase_add_test(tests, bad_vocabularies_are_named);
    tcase_add_test(tests, dense_maps_go_by_their_keys);
    tcase_add_test(tests, sparse_maps_have_each_value_at_its_key);
    tcase_add_test(tests, bad_forms_are_named);
    tcase_add_test(tests, what_is_no_such_map_is_refused);
    tcase_add_test(tests, maps_are_handed_on);
    tcase_add_test(tests, each_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
