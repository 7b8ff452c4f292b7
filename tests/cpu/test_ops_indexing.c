/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that go by indices, against references that are worked out index by index. */
#include "cpu/indexing_test.h"
#include "cpu/op_values.h"
#include "cpu/topics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- GatherElements, ScatterElements ---------------------------------------------------------- */

typedef struct elements {
    int rank, axis;
    int64_t dims[MLS_MAX_RANK], index_dims[MLS_MAX_RANK];
    bool is_wide;
    int64_t count, *indices, *offsets; /* offsets: of the data's elements */
} elements;

static void random_elements(random_state *random, elements *e)
{
    *e = (elements){.rank = (int) random_in(random, 1, 5), .is_wide = random_in(random, 0, 1)};
    e->axis = (int) random_in(random, 0, e->rank - 1);
    random_dims(random, e->rank, 1, 6, 400, e->dims);
    for (int i = 0; i < e->rank; i++) {
        const bool is_same = random_in(random, 0, 2);
        e->index_dims[i] = i == e->axis ? random_in(random, 0, 8)
                           : is_same    ? e->dims[i]
                                        : random_in(random, 1, e->dims[i]);
    }
}

static void fill_elements(random_state *random, elements *e)
{
    const int64_t bound = e->dims[e->axis];
    e->count = count_of(e->rank, e->index_dims);
    e->indices = indexing_integers(e->count);
    e->offsets = indexing_integers(e->count);
    index_walk walk = {.rank = e->rank, .dims = e->index_dims};
    while (next_index(&walk)) {
        int64_t index[MLS_MAX_RANK];
        const int64_t asked = random_in(random, -bound, bound - 1);
        memcpy(index, walk.index, sizeof index);
        index[e->axis] = (asked + bound) % bound;
        e->indices[walk.position] = asked;
        e->offsets[walk.position] = position_of(e->rank, e->dims, index);
    }
}

static void free_elements(elements *e)
{
    free(e->indices);
    free(e->offsets);
}

static void check_gather(const elements *e, mls_dtype dtype)
{
    void *data = make_elements(dtype, count_of(e->rank, e->dims));
    void *expected = pick_elements(dtype, data, e->offsets, e->count, NULL);
    op_test *t = op_test_create("", "GatherElements");
    op_test_int(t, "axis", e->axis - e->rank);
    op_test_input(t, dtype, e->rank, e->dims, data);
    indexing_give(t, e->is_wide, e->rank, e->index_dims, e->indices);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, dtype, e->rank, e->index_dims, expected);
    op_test_free(t);
    free(expected);
    free(data);
}

START_TEST(gathers_elements)
{
    random_state random = {(uint64_t) _i};
    elements e;
    random_elements(&random, &e);
    fill_elements(&random, &e);
    check_gather(&e, random_dtype(&random));
    free_elements(&e);
}
END_TEST

START_TEST(gathers_elements_with_threads)
{
    random_state random = {9};
    elements cases[] = {
        {.rank = 1, .axis = 0, .dims = {1000}, .index_dims = {70000}},
        {.rank = 2, .axis = 0, .dims = {20, 501}, .index_dims = {200, 500}, .is_wide = true},
        {.rank = 3, .axis = 1, .dims = {300, 7, 40}, .index_dims = {300, 9, 31}},
    };
    for (size_t i = 0; i < 3; i++) {
        fill_elements(&random, &cases[i]);
        check_gather(&cases[i], MLS_FLOAT32);
        free_elements(&cases[i]);
    }
}
END_TEST

static op_test *scatter_test(const elements *e, mls_dtype dtype, const char *reduction,
                             const void *data, const void *updates)
{
    op_test *t = op_test_create("", "ScatterElements");
    op_test_int(t, "axis", e->axis);
    if (reduction)
        op_test_string(t, "reduction", reduction);
    op_test_input(t, dtype, e->rank, e->dims, data);
    indexing_give(t, e->is_wide, e->rank, e->index_dims, e->indices);
    op_test_input(t, dtype, e->rank, e->index_dims, updates);
    return t;
}

/* The elements of the data, then those of the updates: the last one that goes somewhere stays. */
static void check_scatter(const elements *e, mls_dtype dtype)
{
    const int64_t count = count_of(e->rank, e->dims);
    int64_t *from = indexing_integers(count);
    for (int64_t i = 0; i < count; i++)
        from[i] = i;
    for (int64_t i = 0; i < e->count; i++)
        from[e->offsets[i]] = count + i;
    char *all = make_elements(dtype, count + e->count);
    void *expected = pick_elements(dtype, all, from, count, NULL);
    op_test *t = scatter_test(e, dtype, NULL, all, all + (size_t) count * mls_dtype_size(dtype));
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, dtype, e->rank, e->dims, expected);
    op_test_free(t);
    free(expected);
    free(all);
    free(from);
}

START_TEST(scatters_elements)
{
    random_state random = {(uint64_t) _i};
    elements e;
    random_elements(&random, &e);
    fill_elements(&random, &e);
    check_scatter(&e, random_dtype(&random));
    free_elements(&e);
}
END_TEST

START_TEST(reduces_elements)
{
    const mls_dtype dtype = numbers[_i];
    random_state random = {(uint64_t) _i};
    for (int reduction = 0; reduction < 5; reduction++) {
        elements e;
        random_elements(&random, &e);
        fill_elements(&random, &e);
        void *data = indexing_numbers(&random, dtype, count_of(e.rank, e.dims));
        void *updates = indexing_numbers(&random, dtype, e.count);
        op_test *t = scatter_test(&e, dtype, reductions[reduction], data, updates);
        ck_assert_ok(op_test_run(t));
        for (int64_t i = 0; i < e.count; i++)
            indexing_reduce(dtype, reduction, data, e.offsets[i], updates, i);
        op_test_expect(t, 0, dtype, e.rank, e.dims, data);
        op_test_free(t);
        free(data);
        free(updates);
        free_elements(&e);
    }
}
END_TEST

START_TEST(scatters_elements_with_threads)
{
    random_state random = {11};
    elements e = {.rank = 3, .axis = 1, .dims = {700, 9, 11}, .index_dims = {650, 20, 10}};
    fill_elements(&random, &e);
    check_scatter(&e, MLS_FLOAT32);
    free_elements(&e);
}
END_TEST

START_TEST(scatters_smaller_dims)
{
    op_test *t = op_test_create("", "ScatterElements");
    op_test_int(t, "axis", 1);
    op_test_input(t, MLS_INT32, OP_DIMS(2, 3), (int32_t[]){1, 2, 3, 4, 5, 6});
    op_test_planned(t, OP_DIMS(4, 5), NULL);
    op_test_input(t, MLS_INT64, OP_DIMS(2, 1), (int64_t[]){2, 0});
    op_test_planned(t, OP_DIMS(4, 3), NULL);
    op_test_input(t, MLS_INT32, OP_DIMS(2, 1), (int32_t[]){7, 8});
    op_test_planned(t, OP_DIMS(4, 3), NULL);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_INT32, OP_DIMS(2, 3), (int32_t[]){1, 2, 7, 8, 5, 6});
    op_test_free(t);
}
END_TEST

/* --- errors ----------------------------------------------------------------------------------- */

START_TEST(names_an_index_that_is_outside)
{
    static const struct {
        const char *type;
        int64_t indices[4]; /* [2, 2]; the data is [3, 2] */
        const char *words;
    } cases[] = {
        {"GatherElements", {0, 2, 3, 0}, "index 3 at position 2 of input 1 is outside [-3, 2]"},
        {"GatherElements", {0, -4, 3, 0}, "index -4 at position 1"},
        {"GatherElements", {0, 0, 0, INT64_MIN}, "index -9223372036854775808 at position 3"},
        {"ScatterElements", {0, 2, 1, INT64_MAX}, "index 9223372036854775807 at position 3"},
        {"ScatterElements", {-3, 2, 1, 3}, "is outside [-3, 2]"},
        {"GatherND", {2, 1, 2, 2}, "index 2 at position 3 of input 1 is outside [-2, 1]"},
        {"GatherND", {-4, 1, 2, 1}, "index -4 at position 0 of input 1 is outside [-3, 2]"},
        {"ScatterND", {2, 1, 2, -3}, "index -3 at position 3 of input 1 is outside [-2, 1]"},
        {"ScatterND", {2, 1, INT64_MIN, 0}, "at position 2 of input 1 is outside [-3, 2]"},
    };
    const char *type = cases[_i].type;
    op_test *t = op_test_create("", type);
    op_test_input(t, MLS_FLOAT32, OP_DIMS(3, 2), (const float[6]){0});
    op_test_input(t, MLS_INT64, OP_DIMS(2, 2), cases[_i].indices);
    if (strcmp(type, "ScatterElements") == 0)
        op_test_input(t, MLS_FLOAT32, OP_DIMS(2, 2), (const float[4]){0});
    if (strcmp(type, "ScatterND") == 0)
        op_test_input(t, MLS_FLOAT32, OP_DIMS(2), (const float[2]){0});
    ck_assert_fails(op_test_run(t), MLS_ERANGE, cases[_i].words);
    op_test_free(t);
}
END_TEST

START_TEST(names_a_sequence_that_is_outside)
{
    static const struct {
        const char *type;
        int64_t number;
        const char *words;
    } cases[] = {
        {"ReverseSequence", 4, "length 4 at position 1 of input 1 is outside [0, 3]"},
        {"ReverseSequence", -1, "length -1 at position 1"},
        {"TensorScatter", 3, "index 3 at position 1 of input 2 is outside [0, 2]"},
        {"TensorScatter", INT64_MIN, "index -9223372036854775808 at position 1"},
    };
    const bool is_reverse = _i < 2;
    op_test *t = op_test_create("", cases[_i].type);
    if (is_reverse) {
        op_test_int(t, "time_axis", 1);
        op_test_int(t, "batch_axis", 0);
    }
    op_test_input(t, MLS_FLOAT32, OP_DIMS(2, 3, 1), (const float[6]){0});
    if (!is_reverse)
        op_test_input(t, MLS_FLOAT32, OP_DIMS(2, 1, 1), (const float[2]){0});
    op_test_input(t, MLS_INT64, OP_DIMS(2), (int64_t[]){2, cases[_i].number});
    ck_assert_fails(op_test_run(t), MLS_ERANGE, cases[_i].words);
    op_test_free(t);
}
END_TEST

/* An op, with an int or string attribute or none, its inputs, and what is wrong with them. */
/* clang-format off */
static const struct {
    const char *type, *name;
    int64_t value;
    const char *text;
    struct {
        mls_dtype dtype;
        int rank;
        int64_t dims[4];
    } inputs[3];
    mls_status status;
    const char *words;
} misfits[] = {
    {"GatherElements", "axis", 2, NULL,
     {{MLS_FLOAT32, 2, {2, 2}}, {MLS_INT64, 2, {2, 2}}},
     MLS_EINVAL, "axis 2 is outside [-2, 1]"},
    {"GatherElements", "axis", 0, NULL,
     {{MLS_FLOAT32, 2, {2, 2}}, {MLS_INT64, 1, {2}}},
     MLS_ESHAPE, "the indices have 1 dimensions and the data 2"},
    {"GatherElements", "axis", 0, NULL,
     {{MLS_FLOAT32, 2, {2, 2}}, {MLS_INT64, 2, {5, 3}}},
     MLS_ESHAPE, "reaches past input 0"},
    {"GatherElements", "axis", 0, NULL,
     {{MLS_FLOAT32, 2, {2, 2}}, {MLS_FLOAT32, 2, {2, 2}}},
     MLS_EDTYPE, "expected int64 or int32"},
    {"ScatterElements", "reduction", 0, "mean",
     {{MLS_FLOAT32, 1, {2}}, {MLS_INT64, 1, {2}}, {MLS_FLOAT32, 1, {2}}},
     MLS_EINVAL, "reduction 'mean' is none of"},
    {"ScatterElements", "reduction", 0, "add",
     {{MLS_STRING, 1, {0}}, {MLS_INT64, 1, {0}}, {MLS_STRING, 1, {0}}},
     MLS_EDTYPE, "a number to reduce with"},
    {"ScatterElements", "axis", 0, NULL,
     {{MLS_FLOAT32, 1, {2}}, {MLS_INT64, 1, {2}}, {MLS_FLOAT32, 1, {1}}},
     MLS_ESHAPE, "input 2 is"},
    {"GatherND", "batch_dims", 2, NULL,
     {{MLS_FLOAT32, 2, {2, 2}}, {MLS_INT64, 2, {2, 1}}},
     MLS_EINVAL, "batch_dims is 2"},
    {"GatherND", "batch_dims", 1, NULL,
     {{MLS_FLOAT32, 2, {2, 2}}, {MLS_INT64, 2, {3, 1}}},
     MLS_ESHAPE, "expected it to begin with"},
    {"GatherND", "batch_dims", 1, NULL,
     {{MLS_FLOAT32, 2, {2, 2}}, {MLS_INT64, 2, {2, 2}}},
     MLS_ESHAPE, "must be in [1, 1]"},
    {"GatherND", "batch_dims", 0, NULL,
     {{MLS_FLOAT32, 0, {0}}, {MLS_INT64, 2, {2, 2}}},
     MLS_EINVAL, "batch_dims is 0"},
    {"ScatterND", NULL, 0, NULL,
     {{MLS_FLOAT32, 1, {2}}, {MLS_INT64, 1, {2}}, {MLS_FLOAT32, 1, {1}}},
     MLS_ESHAPE, "must be in [0, 1]"},
    {"ScatterND", NULL, 0, NULL,
     {{MLS_FLOAT32, 1, {2}}, {MLS_INT32, 1, {1}}, {MLS_FLOAT32, 0, {0}}},
     MLS_EDTYPE, "expected int64"},
    {"ScatterND", NULL, 0, NULL,
     {{MLS_FLOAT32, 2, {2, 2}}, {MLS_INT64, 2, {2, 1}}, {MLS_FLOAT32, 2, {2, 1}}},
     MLS_ESHAPE, "input 2 is"},
    {"ReverseSequence", "time_axis", 1, NULL,
     {{MLS_FLOAT32, 2, {2, 2}}, {MLS_INT64, 1, {2}}},
     MLS_EINVAL, "time_axis is 1 and batch_axis 1"},
    {"ReverseSequence", "batch_axis", 1, NULL,
     {{MLS_FLOAT32, 1, {2}}, {MLS_INT64, 1, {2}}},
     MLS_ESHAPE, "expected at least 2"},
    {"ReverseSequence", "batch_axis", 1, NULL,
     {{MLS_FLOAT32, 2, {2, 3}}, {MLS_INT64, 1, {2}}},
     MLS_ESHAPE, "input 1 is"},
    {"TensorScatter", "axis", 0, NULL,
     {{MLS_FLOAT32, 2, {2, 3}}, {MLS_FLOAT32, 2, {2, 1}}},
     MLS_EINVAL, "axis is 0"},
    {"TensorScatter", "axis", 1, NULL,
     {{MLS_FLOAT32, 2, {2, 3}}, {MLS_FLOAT32, 2, {2, 4}}},
     MLS_ESHAPE, "input 1 is"},
    {"TensorScatter", "mode", 0, "loop",
     {{MLS_FLOAT32, 2, {2, 3}}, {MLS_FLOAT32, 2, {2, 1}}},
     MLS_EINVAL, "mode 'loop' is"},
};
/* clang-format on */

START_TEST(refuses_what_does_not_fit)
{
    static const char zeros[256];
    op_test *t = op_test_create("", misfits[_i].type);
    if (misfits[_i].text)
        op_test_string(t, misfits[_i].name, misfits[_i].text);
    else if (misfits[_i].name)
        op_test_int(t, misfits[_i].name, misfits[_i].value);
    for (size_t i = 0; i < 3 && misfits[_i].inputs[i].dtype; i++)
        op_test_input(t, misfits[_i].inputs[i].dtype, misfits[_i].inputs[i].rank,
                      misfits[_i].inputs[i].dims, zeros);
    ck_assert_fails(op_test_infer(t), misfits[_i].status, misfits[_i].words);
    op_test_free(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_indexing");
    TCase *tests = tcase_create("indexing");
    tcase_add_loop_test(tests, gathers_elements, 0, CASES);
    tcase_add_test(tests, gathers_elements_with_threads);
    tcase_add_loop_test(tests, scatters_elements, 0, CASES);
    tcase_add_test(tests, scatters_elements_with_threads);
    tcase_add_loop_test(tests, reduces_elements, 0, NUMBERS);
    tcase_add_test(tests, scatters_smaller_dims);
    add_tuples(tests);
    add_sequences(tests);
    tcase_add_loop_test(tests, names_an_index_that_is_outside, 0, 9);
    tcase_add_loop_test(tests, names_a_sequence_that_is_outside, 0, 4);
    tcase_add_loop_test(tests, refuses_what_does_not_fit, 0,
                        (int) (sizeof misfits / sizeof misfits[0]));
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
