/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that make strings. */
#include "support/onnx_build.h"
#include "support/test.h"

#include <string.h>

#define MOST 8

static mls_context *context;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
}

static void teardown(void)
{
    mls_context_free(context);
}

/* A list of texts, ended by NULL, under dims. */
typedef struct texts {
    int rank;
    int64_t dims[4];
    const char *list[MOST];
} texts;

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

static void bind(mls_session *session, size_t input, const texts *t)
{
    mls_tensor *wrapped, *tensor;
    mls_string strings[MOST];
    for (int i = 0; i < MOST && t->list[i]; i++)
        strings[i] = (mls_string){t->list[i], strlen(t->list[i])};
    ck_assert_ok(mls_tensor_wrap(context, MLS_STRING, t->rank, t->dims, NULL, strings, NULL, NULL,
                                 &wrapped));
    ck_assert_ok(mls_tensor_copy(wrapped, &tensor));
    ck_assert_ok(mls_session_bind_input(session, input, tensor));
    mls_tensor_free(tensor);
    mls_tensor_free(wrapped);
}

static void check_dims(const mls_tensor *tensor, const texts *expected)
{
    ck_assert_int_eq(mls_tensor_rank(tensor), expected->rank);
    for (int i = 0; i < expected->rank; i++)
        ck_assert_int_eq(mls_tensor_dims(tensor)[i], expected->dims[i]);
}

static void check_texts(mls_session *session, size_t output, const texts *expected)
{
    mls_tensor *tensor;
    ck_assert_ok(mls_session_output_item(session, output, 0, &tensor));
    ck_assert_int_eq(mls_tensor_dtype(tensor), MLS_STRING);
    check_dims(tensor, expected);
    const mls_string *strings = mls_tensor_data(tensor);
    for (int64_t i = 0; i < mls_tensor_element_count(tensor); i++) {
        const char *text = expected->list[i];
        ck_assert_msg(strings[i].size == strlen(text) &&
                          memcmp(strings[i].data, text, strings[i].size) == 0,
                      "text %d is '%.*s', expected '%s'", (int) i, (int) strings[i].size,
                      strings[i].data, text);
    }
    mls_tensor_free(tensor);
}

/* --- StringConcat --- */

START_TEST(concatenates)
{
    static const struct {
        texts a, b, y;
    } cases[] = {
        {{1, {2}, {"a", "bc"}}, {1, {2}, {"d", ""}}, {1, {2}, {"ad", "bc"}}},
        {{0, {0}, {"x"}}, {0, {0}, {"y"}}, {0, {0}, {"xy"}}},
        {{2, {2, 1}, {"a", "b"}},
         {1, {3}, {"1", "", "3"}},
         {2, {2, 3}, {"a1", "a", "a3", "b1", "b", "b3"}}},
        {{2, {1, 2}, {"a", "b"}},
         {3, {2, 2, 1}, {"1", "2", "3", "4"}},
         {3, {2, 2, 2}, {"a1", "b1", "a2", "b2", "a3", "b3", "a4", "b4"}}},
        {{2, {0, 2}, {NULL}}, {1, {2}, {"a", "b"}}, {2, {0, 2}, {NULL}}},
    };
    onnx_build *b = onnx_build_create(20);
    static const char *const shapes[] = {"", "N", "M,N", "K,M,N"};
    onnx_build_input(b, "a", MLS_STRING, cases[_i].a.rank == 1 ? "A" : shapes[cases[_i].a.rank]);
    onnx_build_input(b, "b", MLS_STRING,
                     cases[_i].b.rank == 1   ? "B"
                     : cases[_i].b.rank == 3 ? "C,D,E"
                                             : shapes[cases[_i].b.rank]);
    onnx_build_node(b, "StringConcat", "a b", "y");
    onnx_build_output(b, "y", MLS_STRING, NULL);
    mls_session *session = open_session(b);
    for (int run = 0; run < 2; run++) {
        bind(session, 0, &cases[_i].a);
        bind(session, 1, &cases[_i].b);
        ck_assert_ok(mls_session_run(session));
        check_texts(session, 0, &cases[_i].y);
    }
    mls_session_free(session);
}
END_TEST

START_TEST(concatenates_only_what_broadcasts)
{
    const texts a = {1, {2}, {"a", "b"}}, c = {1, {3}, {"a", "b", "c"}};
    onnx_build *b = onnx_build_create(20);
    onnx_build_input(b, "a", MLS_STRING, "A");
    onnx_build_input(b, "b", MLS_STRING, "B");
    onnx_build_node(b, "StringConcat", "a b", "y");
    onnx_build_output(b, "y", MLS_STRING, NULL);
    mls_session *session = open_session(b);
    bind(session, 0, &a);
    bind(session, 1, &c);
    ck_assert_fails(mls_session_run(session), MLS_ESHAPE, "[2] does not broadcast with [3]");
    mls_session_free(session);
}
END_TEST

/* --- StringSplit --- */

/* What Python's str.split() gives. */
START_TEST(splits)
{
    static const struct {
        const char *delimiter;
        int64_t most;
        texts x, y;
        int64_t counts[2];
    } cases[] = {
        {NULL, -1, {1, {2}, {" a  b\t", "\n"}}, {2, {2, 2}, {"a", "b", "", ""}}, {2, 0}},
        {"", 1, {1, {2}, {" a  b c ", "d"}}, {2, {2, 2}, {"a", "b c ", "d", ""}}, {2, 1}},
        {",", -1, {1, {2}, {"a,,b", ""}}, {2, {2, 3}, {"a", "", "b", "", "", ""}}, {3, 1}},
        {",", 1, {1, {2}, {"a,,b", ","}}, {2, {2, 2}, {"a", ",b", "", ""}}, {2, 2}},
        {"ab", -1, {1, {2}, {"abab", "aab"}}, {2, {2, 3}, {"", "", "", "a", "", ""}}, {3, 2}},
        {",", 0, {1, {2}, {"a,b", ""}}, {2, {2, 1}, {"a,b", ""}}, {1, 1}},
        {"", 0, {1, {2}, {" a b ", " "}}, {2, {2, 1}, {"a b ", ""}}, {1, 0}},
        {"", -1, {1, {0}, {NULL}}, {2, {0, 0}, {NULL}}, {0, 0}},
        {"", -1, {0, {0}, {"a b"}}, {1, {2}, {"a", "b"}}, {2, 0}},
    };
    onnx_build *b = onnx_build_create(20);
    mls_tensor *counts;
    onnx_build_input(b, "x", MLS_STRING, cases[_i].x.rank ? "N" : "");
    onnx_node *node = onnx_build_node(b, "StringSplit", "x", "y n");
    if (cases[_i].delimiter)
        onnx_node_string(node, "delimiter", cases[_i].delimiter);
    if (cases[_i].most >= 0)
        onnx_node_int(node, "maxsplit", cases[_i].most);
    onnx_build_output(b, "y", MLS_STRING, NULL);
    onnx_build_output(b, "n", MLS_INT64, NULL);
    mls_session *session = open_session(b);
    bind(session, 0, &cases[_i].x);
    ck_assert_ok(mls_session_run(session));
    check_texts(session, 0, &cases[_i].y);
    ck_assert_ok(mls_session_output_item(session, 1, 0, &counts));
    check_dims(counts, &cases[_i].x);
    for (int64_t i = 0; i < mls_tensor_element_count(counts); i++)
        ck_assert_int_eq(((const int64_t *) mls_tensor_data(counts))[i], cases[_i].counts[i]);
    mls_tensor_free(counts);
    mls_session_free(session);
}
END_TEST

/* Its second output may be left out. */
START_TEST(splits_without_counts)
{
    const texts x = {1, {1}, {"a b"}}, y = {2, {1, 2}, {"a", "b"}};
    for (int i = 0; i < 2; i++) {
        onnx_build *b = onnx_build_create(20);
        onnx_build_input(b, "x", MLS_STRING, "N");
        onnx_build_node(b, "StringSplit", "x", i ? "y" : "y n");
        onnx_build_output(b, "y", MLS_STRING, NULL);
        mls_session *session = open_session(b);
        bind(session, 0, &x);
        ck_assert_ok(mls_session_run(session));
        check_texts(session, 0, &y);
        mls_session_free(session);
    }
}
END_TEST

/* --- StringNormalizer --- */

typedef struct normal_case {
    const char *action;
    bool is_sensitive;
    const char *stops[3];
    texts x, y;
} normal_case;

START_TEST(normalizes)
{
    static const normal_case cases[] = {
        {"NONE", true, {NULL}, {1, {3}, {"a", "B", ""}}, {1, {3}, {"a", "B", ""}}},
        {"LOWER", true, {"B", NULL}, {1, {3}, {"a", "B", "b"}}, {1, {2}, {"a", "b"}}},
        {"UPPER",
         false,
         {"B", NULL},
         {1, {4}, {"a", "B", "b", "\xc3\xa4"}},
         {1, {2}, {"A", "\xc3\x84"}}},
        {"NONE",
         false,
         {"\xc3\x84", "X", NULL},
         {2, {1, 3}, {"\xc3\xa4", "Y", "x"}},
         {2, {1, 1}, {"Y"}}},
        {"UPPER", true, {"a", NULL}, {2, {1, 2}, {"a", "a"}}, {2, {1, 1}, {""}}},
        {"LOWER", true, {"a", NULL}, {1, {1}, {"a"}}, {1, {1}, {""}}},
        {"LOWER", true, {NULL}, {1, {0}, {NULL}}, {1, {1}, {""}}},
    };
    const normal_case *c = &cases[_i];
    onnx_build *b = onnx_build_create(20);
    size_t stops = 0;
    while (c->stops[stops])
        stops++;
    onnx_build_input(b, "x", MLS_STRING, c->x.rank == 1 ? "N" : "1,N");
    onnx_node *node = onnx_build_node(b, "StringNormalizer", "x", "y");
    onnx_node_string(node, "case_change_action", c->action);
    onnx_node_int(node, "is_case_sensitive", c->is_sensitive);
    if (stops)
        onnx_node_strings(node, "stopwords", stops, c->stops);
    onnx_build_output(b, "y", MLS_STRING, NULL);
    mls_session *session = open_session(b);
    for (int run = 0; run < 2; run++) {
        bind(session, 0, &c->x);
        ck_assert_ok(mls_session_run(session));
        check_texts(session, 0, &c->y);
    }
    mls_session_free(session);
}
END_TEST

START_TEST(normalizes_one_row_only)
{
    const texts x = {2, {2, 1}, {"a", "b"}};
    onnx_build *b = onnx_build_create(20);
    onnx_build_input(b, "x", MLS_STRING, "M,N");
    onnx_build_node(b, "StringNormalizer", "x", "y");
    onnx_build_output(b, "y", MLS_STRING, NULL);
    mls_session *session = open_session(b);
    bind(session, 0, &x);
    ck_assert_fails(mls_session_run(session), MLS_ESHAPE, "neither [C] nor [1, C]");
    mls_session_free(session);
}
END_TEST

/* As tabular models use them: texts to counts. */
START_TEST(texts_go_on_to_other_ops)
{
    const texts inputs[] = {{1, {4}, {"The", "cat", "a", "CAT"}}, {1, {2}, {"dog", "THE"}}};
    const float expected[][2] = {{2, 0}, {0, 1}};
    onnx_build *b = onnx_build_create(20);
    onnx_build_input(b, "x", MLS_STRING, "N");
    onnx_node *normal = onnx_build_node(b, "StringNormalizer", "x", "words");
    onnx_node_string(normal, "case_change_action", "LOWER");
    onnx_node_strings(normal, "stopwords", 2, (const char *const[]){"the", "a"});
    onnx_node *counts = onnx_build_node(b, "TfIdfVectorizer", "words", "y");
    onnx_node_string(counts, "mode", "TF");
    onnx_node_int(counts, "min_gram_length", 1);
    onnx_node_int(counts, "max_gram_length", 1);
    onnx_node_int(counts, "max_skip_count", 0);
    onnx_node_ints(counts, "ngram_counts", 1, (int64_t[]){0});
    onnx_node_ints(counts, "ngram_indexes", 2, (int64_t[]){0, 1});
    onnx_node_strings(counts, "pool_strings", 2, (const char *const[]){"cat", "dog"});
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
    mls_session *session = open_session(b);
    for (int i = 0; i < 4; i++) {
        mls_tensor *y;
        bind(session, 0, &inputs[i % 2]);
        ck_assert_ok(mls_session_run(session));
        ck_assert_ok(mls_session_output_item(session, 0, 0, &y));
        ck_assert_int_eq(mls_tensor_element_count(y), 2);
        ck_assert_mem_eq(mls_tensor_data(y), expected[i % 2], sizeof expected[0]);
        mls_tensor_free(y);
    }
    mls_session_free(session);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exec/text");
    TCase *tests = tcase_create("text");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, concatenates, 0, 5);
    tcase_add_test(tests, concatenates_only_what_broadcasts);
    tcase_add_loop_test(tests, splits, 0, 9);
    tcase_add_test(tests, splits_without_counts);
    tcase_add_loop_test(tests, normalizes, 0, 7);
    tcase_add_test(tests, normalizes_one_row_only);
    tcase_add_test(tests, texts_go_on_to_other_ops);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
