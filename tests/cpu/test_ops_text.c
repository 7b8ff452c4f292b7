/* SPDX-License-Identifier: Apache-2.0 */
/* TfIdfVectorizer against n-grams that are looked for one by one; CategoryMapper. */
#include "cpu/elements.h"
#include "cpu/op_harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CASES 120
#define WORDS 5
#define MOST  3 /* items of an n-gram */

static const char *const words[WORDS] = {"", "a", "ab", "b", "\xc3\xa4"};

typedef struct pool {
    int64_t items[64], counts[MOST], columns[32];
    float weights[32];
    size_t item_count, gram_count;
    int64_t least, most, skips;
    const char *mode;
    bool has_weights;
} pool;

typedef struct rows {
    int rank;
    int64_t dims[2];
    int64_t items[64]; /* numbers of words; WORDS is one that is not in the pool */
} rows;

/* No column twice, but columns that no n-gram has. */
static void random_pool(random_state *random, pool *p)
{
    static const char *const modes[] = {"TF", "IDF", "TFIDF"};
    *p = (pool){.mode = modes[random_in(random, 0, 2)],
                .least = random_in(random, 1, MOST),
                .skips = random_in(random, 0, 3),
                .has_weights = random_in(random, 0, 1)};
    p->most = random_in(random, p->least, MOST);
    for (int length = 1; length <= MOST; length++) {
        const int64_t grams = random_in(random, length == 1 ? 1 : 0, 6);
        p->counts[length - 1] = (int64_t) p->item_count;
        for (int64_t i = 0; i < grams; i++) {
            p->columns[p->gram_count] = (int64_t) p->gram_count * 11 % 37; /* 37 is prime */
            p->weights[p->gram_count++] = (float) random_in(random, -8, 8) / 4;
            for (int j = 0; j < length; j++)
                p->items[p->item_count++] = random_in(random, 0, WORDS - 1);
        }
    }
}

static void random_rows(random_state *random, rows *r)
{
    r->rank = (int) random_in(random, 1, 2);
    r->dims[0] = random_in(random, 0, r->rank == 1 ? 20 : 4);
    r->dims[1] = random_in(random, 0, 12);
    for (int i = 0; i < 64; i++)
        r->items[i] = random_in(random, 0, WORDS);
}

/* Whether a later n-gram of the pool is the same one. */
static bool is_repeated(const pool *p, size_t first, int length)
{
    const size_t end = length < MOST ? (size_t) p->counts[length] : p->item_count;
    for (size_t i = first + (size_t) length; i < end; i += (size_t) length)
        if (memcmp(p->items + first, p->items + i, (size_t) length * sizeof *p->items) == 0)
            return true;
    return false;
}

static int count_gram(const pool *p, size_t first, int length, const int64_t *row, int64_t n)
{
    int count = 0;
    for (int64_t step = 1; step <= (length == 1 ? 1 : p->skips + 1); step++)
        for (int64_t i = 0; i + (length - 1) * step < n; i++) {
            bool is_equal = true;
            for (int j = 0; j < length; j++)
                is_equal = is_equal && row[i + j * step] == p->items[first + (size_t) j];
            count += is_equal;
        }
    return count;
}

static void count_row(const pool *p, const int64_t *row, int64_t n, float *ret_counts)
{
    size_t gram = 0;
    for (int length = 1; length <= MOST; length++) {
        const size_t end = length < MOST ? (size_t) p->counts[length] : p->item_count;
        for (size_t i = (size_t) p->counts[length - 1]; i < end; i += (size_t) length, gram++) {
            const bool counts = length >= p->least && length <= p->most;
            float count =
                counts && !is_repeated(p, i, length) ? (float) count_gram(p, i, length, row, n) : 0;
            if (strcmp(p->mode, "IDF") == 0)
                count = fminf(count, 1);
            if (p->has_weights && strcmp(p->mode, "TF") != 0)
                count *= p->weights[gram];
            ret_counts[p->columns[gram]] = count;
        }
    }
}

/* Items as the words of their numbers, or as the numbers, in int64 or int32. */
static void add_pool(op_test *t, const pool *p, bool is_text)
{
    const char *texts[64];
    for (size_t i = 0; i < p->item_count; i++)
        texts[i] = words[p->items[i]];
    if (is_text)
        op_test_strings(t, "pool_strings", p->item_count, texts);
    else
        op_test_ints(t, "pool_int64s", p->item_count, p->items);
    op_test_ints(t, "ngram_counts", MOST, p->counts);
    op_test_ints(t, "ngram_indexes", p->gram_count, p->columns);
    op_test_int(t, "min_gram_length", p->least);
    op_test_int(t, "max_gram_length", p->most);
    op_test_int(t, "max_skip_count", p->skips);
    op_test_string(t, "mode", p->mode);
    if (p->has_weights)
        op_test_floats(t, "weights", p->gram_count, p->weights);
}

static void add_rows(op_test *t, const rows *r, mls_dtype dtype)
{
    mls_string texts[64];
    int32_t narrow[64];
    for (int i = 0; i < 64; i++) {
        const char *word = r->items[i] < WORDS ? words[r->items[i]] : "other";
        texts[i] = (mls_string){word, strlen(word)};
        narrow[i] = (int32_t) r->items[i];
    }
    op_test_input(t, dtype, r->rank, r->dims,
                  dtype == MLS_STRING  ? (const void *) texts
                  : dtype == MLS_INT32 ? (const void *) narrow
                                       : r->items);
}

START_TEST(counts_n_grams)
{
    static const mls_dtype dtypes[] = {MLS_STRING, MLS_INT64, MLS_INT32};
    random_state random = {(uint64_t) _i};
    pool p;
    rows r;
    float expected[4 * 40] = {0};
    int64_t width = 0;
    random_pool(&random, &p);
    random_rows(&random, &r);
    for (size_t i = 0; i < p.gram_count; i++)
        width = p.columns[i] >= width ? p.columns[i] + 1 : width;
    const int64_t count = r.rank == 2 ? r.dims[0] : 1, n = r.dims[r.rank - 1];
    for (int64_t i = 0; i < count; i++)
        count_row(&p, r.items + i * n, n, expected + i * width);
    op_test *t = op_test_create("", "TfIdfVectorizer");
    const mls_dtype dtype = dtypes[random_in(&random, 0, 2)];
    add_pool(t, &p, dtype == MLS_STRING);
    add_rows(t, &r, dtype);
    ck_assert_ok(op_test_run(t));
    if (r.rank == 2)
        op_test_expect(t, 0, MLS_FLOAT32, OP_DIMS(count, width), expected);
    else
        op_test_expect(t, 0, MLS_FLOAT32, OP_DIMS(width), expected);
    op_test_free(t);
}
END_TEST

/* An attribute of a good vectorizer, and what is wrong with it. */
START_TEST(vectorizer_names_what_is_wrong)
{
    static const struct {
        const char *name;
        size_t count; /* of ints; 0: an int */
        int64_t values[3];
        const char *words;
    } cases[] = {
        {"min_gram_length", 0, {0}, "n-grams of 0 to 2 items"},
        {"max_gram_length", 0, {0}, "n-grams of 1 to 0 items"},
        {"max_skip_count", 0, {-1}, "with up to -1 skipped"},
        {"ngram_counts", 2, {0, 9}, "n-grams of length 1 take items 0 to 9 of a pool of 4"},
        {"ngram_counts", 2, {-1, 2}, "n-grams of length 1 take items -1 to 2"},
        {"ngram_counts", 2, {0, 1}, "n-grams of length 2 take items 1 to 4"},
        {"ngram_counts", 1, {0}, "3 ngram_indexes for 4 n-grams"},
        {"ngram_indexes", 3, {0, -1, 2}, "ngram_indexes: entry 1 is -1"},
        {"ngram_indexes", 3, {0, INT64_MAX, 2}, "ngram_indexes: entry 1 is 9223372036854775807"},
        {"mode", 0, {0}, "mode 'FT' is none of"},
        {"pool_int64s", 0, {0}, "one of pool_strings and pool_int64s must be given"},
    };
    const char *name = cases[_i].name;
    op_test *t = op_test_create("", "TfIdfVectorizer");
    if (cases[_i].count)
        op_test_ints(t, name, cases[_i].count, cases[_i].values);
    else if (strcmp(name, "mode") == 0)
        op_test_string(t, name, "FT");
    else if (strcmp(name, "pool_int64s") != 0)
        op_test_int(t, name, cases[_i].values[0]);
    /* The first of a name is what is read. */
    op_test_int(t, "max_skip_count", 0);
    op_test_int(t, "min_gram_length", 1);
    op_test_int(t, "max_gram_length", 2);
    op_test_ints(t, "ngram_counts", 2, (int64_t[]){0, 2});
    op_test_ints(t, "ngram_indexes", 3, (int64_t[]){0, 1, 2});
    if (strcmp(name, "pool_int64s") != 0)
        op_test_ints(t, "pool_int64s", 4, (int64_t[]){1, 2, 3, 4});
    op_test_string(t, "mode", "TF");
    op_test_input(t, MLS_INT64, OP_DIMS(2), (int64_t[]){1, 2});
    ck_assert_fails(op_test_infer(t), MLS_EINVAL, cases[_i].words);
    op_test_free(t);
}
END_TEST

/* --- CategoryMapper --------------------------------------------------------------------------- */

static op_test *mapper(void)
{
    op_test *t = op_test_create("ai.onnx.ml", "CategoryMapper");
    op_test_strings(t, "cats_strings", 3, (const char *const[]){"cat", "", "dog"});
    op_test_ints(t, "cats_int64s", 3, (int64_t[]){7, -2, 0});
    op_test_int(t, "default_int64", 99);
    op_test_string(t, "default_string", "none");
    return t;
}

START_TEST(maps_categories)
{
    const mls_string texts[] = {OP_STRING("dog"), OP_STRING("cow"), OP_STRING(""),
                                OP_STRING("cat")};
    const mls_string answers[] = {OP_STRING("dog"), OP_STRING("none"), OP_STRING(""),
                                  OP_STRING("cat")};
    op_test *t = mapper();
    op_test_input(t, MLS_STRING, OP_DIMS(2, 2), texts);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_INT64, OP_DIMS(2, 2), (int64_t[]){0, 99, -2, 7});
    op_test_free(t);
    t = mapper();
    op_test_input(t, MLS_INT64, OP_DIMS(4), (int64_t[]){0, 1, -2, 7});
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_STRING, OP_DIMS(4), answers);
    op_test_free(t);
}
END_TEST

START_TEST(mapper_needs_as_many_of_both)
{
    op_test *t = op_test_create("ai.onnx.ml", "CategoryMapper");
    op_test_strings(t, "cats_strings", 1, (const char *const[]){"cat"});
    op_test_input(t, MLS_INT64, OP_DIMS(1), (int64_t[]){0});
    ck_assert_fails(op_test_infer(t), MLS_EINVAL, "1 cats_strings and 0 cats_int64s");
    op_test_free(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_text");
    TCase *tests = tcase_create("text");
    tcase_add_loop_test(tests, counts_n_grams, 0, CASES);
    tcase_add_loop_test(tests, vectorizer_names_what_is_wrong, 0, 11);
    tcase_add_test(tests, maps_categories);
    tcase_add_test(tests, mapper_needs_as_many_of_both);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
