/* SPDX-License-Identifier: Apache-2.0 */
/* Concat and Split: each is the other's reference, and both have one index by index. */
#include "cpu/elements.h"
#include "cpu/op_harness.h"

#include <stdlib.h>
#include <string.h>

#define CASES     60
#define MAX_PARTS 12

/* A tensor and its parts along `axis`, of `sizes`. */
typedef struct joined {
    mls_dtype dtype;
    int rank, axis;
    int64_t dims[MLS_MAX_RANK];
    size_t count;
    int64_t sizes[MAX_PARTS];
    void *whole;
    void *parts[MAX_PARTS];
} joined;

static const int64_t *part_dims(const joined *j, size_t part, int64_t *dims)
{
    memcpy(dims, j->dims, sizeof j->dims);
    dims[j->axis] = j->sizes[part];
    return dims;
}

static void *make_part(const joined *j, size_t part, int64_t offset)
{
    int64_t dims[MLS_MAX_RANK], index[MLS_MAX_RANK];
    part_dims(j, part, dims);
    const int64_t count = count_of(j->rank, dims);
    int64_t *from = malloc(((size_t) count + 1) * sizeof *from);
    index_walk walk = {.rank = j->rank, .dims = dims};
    while (next_index(&walk)) {
        memcpy(index, walk.index, sizeof index);
        index[j->axis] += offset;
        from[walk.position] = position_of(j->rank, j->dims, index);
    }
    void *elements = pick_elements(j->dtype, j->whole, from, count, NULL);
    free(from);
    return elements;
}

/* Fills in the whole and the parts. */
static void make(joined *j)
{
    int64_t offset = 0;
    j->dims[j->axis] = 0;
    for (size_t i = 0; i < j->count; i++)
        j->dims[j->axis] += j->sizes[i];
    j->whole = make_elements(j->dtype, count_of(j->rank, j->dims));
    for (size_t i = 0; i < j->count; i++) {
        j->parts[i] = make_part(j, i, offset);
        offset += j->sizes[i];
    }
}

static void unmake(joined *j)
{
    free(j->whole);
    for (size_t i = 0; i < j->count; i++)
        free(j->parts[i]);
}

static void check_concat(const joined *j, bool from_the_end)
{
    int64_t dims[MLS_MAX_RANK];
    op_test *t = op_test_create("", "Concat");
    op_test_int(t, "axis", from_the_end ? j->axis - j->rank : j->axis);
    for (size_t i = 0; i < j->count; i++)
        op_test_input(t, j->dtype, j->rank, part_dims(j, i, dims), j->parts[i]);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, j->dtype, j->rank, j->dims, j->whole);
    op_test_free(t);
}

static void expect_parts(op_test *t, const joined *j)
{
    int64_t dims[MLS_MAX_RANK];
    ck_assert_ok(op_test_run(t));
    for (size_t i = 0; i < j->count; i++)
        op_test_expect(t, i, j->dtype, j->rank, part_dims(j, i, dims), j->parts[i]);
}

static void check_split(const joined *j, bool from_the_end)
{
    const int64_t count = (int64_t) j->count;
    op_test *t = op_test_create("", "Split");
    op_test_outputs(t, j->count);
    op_test_int(t, "axis", from_the_end ? j->axis - j->rank : j->axis);
    op_test_input(t, j->dtype, j->rank, j->dims, j->whole);
    op_test_constant(t, MLS_INT64, 1, &count, j->sizes);
    expect_parts(t, j);
    op_test_free(t);
}

static void check_both(joined *j, bool from_the_end)
{
    make(j);
    check_concat(j, from_the_end);
    check_split(j, from_the_end);
    unmake(j);
}

START_TEST(joins_and_splits_random_shapes)
{
    random_state random = {(uint64_t) _i};
    joined j = {.dtype = random_dtype(&random)};
    j.rank = (int) random_in(&random, 1, MLS_MAX_RANK);
    j.axis = (int) random_in(&random, 0, j.rank - 1);
    random_dims(&random, j.rank, random_in(&random, 0, 8) ? 1 : 0, 5, 300, j.dims);
    j.count = (size_t) random_in(&random, 1, MAX_PARTS);
    for (size_t i = 0; i < j.count; i++)
        j.sizes[i] = random_in(&random, 0, 4);
    check_both(&j, random_in(&random, 0, 1));
}
END_TEST

/* Columns of features, and channels of images. */
START_TEST(joins_and_splits_each_size)
{
    for (size_t i = 0; i < sized_dtype_count; i++) {
        joined columns = {sized_dtypes[i], 2, 1, {67, 0}, 5, {1, 2, 1, 3, 4}, NULL, {NULL}};
        joined one_row = {
            sized_dtypes[i], 2, 1, {1, 0}, 12, {1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 9}, NULL, {NULL}};
        joined channels = {sized_dtypes[i], 4, 1, {2, 0, 5, 7}, 3, {3, 1, 8}, NULL, {NULL}};
        check_both(&columns, false);
        check_both(&one_row, false);
        check_both(&channels, true);
    }
}
END_TEST

START_TEST(joins_and_splits_with_threads)
{
    joined rows = {MLS_FLOAT32, 2, 0, {0, 1000}, 3, {100, 1, 70}, NULL, {NULL}};
    joined columns = {MLS_FLOAT32, 2, 1, {300, 0}, 3, {301, 1, 250}, NULL, {NULL}};
    check_both(&rows, false);
    check_both(&columns, false);
}
END_TEST

START_TEST(concat_follows_smaller_dims)
{
    op_test *t = op_test_create("", "Concat");
    op_test_int(t, "axis", 1);
    op_test_input(t, MLS_INT16, OP_DIMS(2, 1), (int16_t[]){1, 2});
    op_test_planned(t, OP_DIMS(9, 1), NULL);
    op_test_input(t, MLS_INT16, OP_DIMS(2, 2), (int16_t[]){3, 4, 5, 6});
    op_test_planned(t, OP_DIMS(9, 2), NULL);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_INT16, OP_DIMS(2, 3), (int16_t[]){1, 3, 4, 2, 5, 6});
    op_test_free(t);
}
END_TEST

START_TEST(concat_refuses_what_does_not_fit)
{
    static const struct {
        int64_t axis;
        mls_dtype dtype;
        int rank;
        int64_t dims[3];
        mls_status status;
        const char *words;
    } cases[] = {
        {0,
         MLS_FLOAT32,
         2,
         {2, 4},
         MLS_ESHAPE,
         "input 1 is [2,4], input 0 is [2,3]: they may "
         "differ along axis 0 only"},
        {0, MLS_FLOAT32, 3, {2, 3, 1}, MLS_ESHAPE, "input 1 is [2,3,1]"},
        {0, MLS_INT32, 2, {2, 3}, MLS_EDTYPE, "input 1 is int32, input 0 is float32"},
        {2, MLS_FLOAT32, 2, {2, 3}, MLS_EINVAL, "axis 2 is outside [-2, 1]"},
        {INT64_MIN, MLS_FLOAT32, 2, {2, 3}, MLS_EINVAL, "is outside [-2, 1]"},
    };
    op_test *t = op_test_create("", "Concat");
    op_test_int(t, "axis", cases[_i].axis);
    op_test_input(t, MLS_FLOAT32, OP_DIMS(2, 3), (const float[6]){0});
    op_test_input(t, cases[_i].dtype, cases[_i].rank, cases[_i].dims, (const float[8]){0});
    ck_assert_fails(op_test_infer(t), cases[_i].status, cases[_i].words);
    op_test_free(t);
}
END_TEST

START_TEST(concat_needs_an_axis)
{
    op_test *t = op_test_create("", "Concat");
    op_test_input(t, MLS_FLOAT32, OP_DIMS(1), (float[]){1});
    ck_assert_fails(op_test_infer(t), MLS_EFORMAT, "'axis' (int) is missing");
    op_test_free(t);
}
END_TEST

START_TEST(concat_of_absurd_dims)
{
    op_test *t = op_test_create("", "Concat");
    const int64_t dims[] = {0, INT64_MAX / 2 + 1, 1};
    op_test_int(t, "axis", 1);
    op_test_input(t, MLS_UINT8, 3, dims, NULL);
    op_test_input(t, MLS_UINT8, 3, dims, NULL);
    ck_assert_fails(op_test_infer(t), MLS_ESHAPE, "does not fit 64 bits");
    op_test_free(t);

    t = op_test_create("", "Concat");
    op_test_int(t, "axis", 0);
    op_test_input(t, MLS_UINT8, 3, dims, NULL);
    op_test_input(t, MLS_UINT8, 3, dims, NULL);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_UINT8, 3, dims, NULL);
    op_test_free(t);
}
END_TEST

START_TEST(splits_evenly)
{
    static const struct {
        int64_t dim;
        size_t count;
        int64_t sizes[6];
    } cases[] = {
        {6, 3, {2, 2, 2}}, {7, 3, {3, 3, 1}}, {7, 2, {4, 3}},
        {2, 2, {1, 1}},    {0, 3, {0, 0, 0}}, {4, 5, {1, 1, 1, 1, 0}},
    };
    joined j = {.dtype = MLS_FLOAT32, .rank = 2, .axis = 1, .dims = {3}, .count = cases[_i].count};
    memcpy(j.sizes, cases[_i].sizes, sizeof cases[_i].sizes);
    make(&j);
    ck_assert_int_eq(j.dims[1], cases[_i].dim);
    op_test *t = op_test_create("", "Split");
    op_test_outputs(t, j.count);
    op_test_int(t, "axis", -1);
    op_test_int(t, "num_outputs", (int64_t) j.count);
    op_test_input(t, j.dtype, j.rank, j.dims, j.whole);
    expect_parts(t, &j);
    op_test_free(t);
    unmake(&j);
}
END_TEST

START_TEST(split_refuses_what_does_not_fit)
{
    static const struct {
        int64_t num_outputs; /* 0: none */
        int64_t count;       /* of split sizes; -1: none */
        int64_t sizes[3];
        mls_status status;
        const char *words;
    } cases[] = {
        {0, 2, {2, 2}, MLS_ESHAPE, "the split sizes leave 1 of the 5 elements of axis 0"},
        {0, 2, {2, 4}, MLS_ESHAPE, "split size 4 of output 1; 3 of the 5 elements"},
        {0, 2, {6, -1}, MLS_ESHAPE, "split size 6 of output 0"},
        {0, 2, {INT64_MAX, INT64_MAX}, MLS_ESHAPE, "of output 0"},
        {0, 2, {5, INT64_MIN}, MLS_ESHAPE, "of output 1"},
        {0, 1, {5}, MLS_ESHAPE, "1 split sizes for 2 outputs"},
        {0, 3, {1, 1, 3}, MLS_ESHAPE, "input 1 has 3 elements"},
        {2, 2, {2, 3}, MLS_EINVAL, "both split sizes and num_outputs"},
        {1, -1, {0}, MLS_EINVAL, "num_outputs is 1 for 2 outputs"},
        {-3, -1, {0}, MLS_EINVAL, "num_outputs is -3 for 2 outputs"},
        {INT64_MAX, -1, {0}, MLS_ESHAPE, "5 elements do not make"},
        {4, -1, {0}, MLS_ESHAPE, "5 elements do not make 3 parts of 2"},
    };
    op_test *t = op_test_create("", "Split");
    op_test_outputs(t, 2);
    if (cases[_i].num_outputs)
        op_test_int(t, "num_outputs", cases[_i].num_outputs);
    op_test_input(t, MLS_FLOAT32, OP_DIMS(5), (const float[5]){0});
    if (cases[_i].count >= 0)
        op_test_constant(t, MLS_INT64, 1, &cases[_i].count, cases[_i].sizes);
    ck_assert_fails(op_test_infer(t), cases[_i].status, cases[_i].words);
    op_test_free(t);
}
END_TEST

START_TEST(split_says_what_is_not_known)
{
    op_test *t = op_test_create("", "Split");
    op_test_input(t, MLS_FLOAT32, OP_DIMS(1), (float[]){1});
    op_test_input(t, MLS_INT64, OP_DIMS(1), (int64_t[]){1});
    ck_assert_fails(op_test_infer(t), MLS_ESTATE, "input 1 decides a shape");
    op_test_free(t);
}
END_TEST

START_TEST(split_follows_smaller_dims)
{
    op_test *t = op_test_create("", "Split");
    op_test_outputs(t, 2);
    op_test_int(t, "axis", 1);
    op_test_int(t, "num_outputs", 2);
    op_test_input(t, MLS_UINT8, OP_DIMS(2, 3), (uint8_t[]){1, 2, 3, 4, 5, 6});
    op_test_planned(t, OP_DIMS(7, 8), NULL);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_UINT8, OP_DIMS(2, 2), (uint8_t[]){1, 2, 4, 5});
    op_test_expect(t, 1, MLS_UINT8, OP_DIMS(2, 1), (uint8_t[]){3, 6});
    op_test_free(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_join");
    TCase *tests = tcase_create("join");
    tcase_add_loop_test(tests, joins_and_splits_random_shapes, 0, CASES);
    tcase_add_test(tests, joins_and_splits_each_size);
    tcase_add_test(tests, joins_and_splits_with_threads);
    tcase_add_test(tests, concat_follows_smaller_dims);
    tcase_add_loop_test(tests, concat_refuses_what_does_not_fit, 0, 5);
    tcase_add_test(tests, concat_needs_an_axis);
    tcase_add_test(tests, concat_of_absurd_dims);
    tcase_add_loop_test(tests, splits_evenly, 0, 6);
    tcase_add_loop_test(tests, split_refuses_what_does_not_fit, 0, 12);
    tcase_add_test(tests, split_says_what_is_not_known);
    tcase_add_test(tests, split_follows_smaller_dims);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
