/* SPDX-License-Identifier: Apache-2.0 */
/* Gather against an index-by-index reference. */
#include "cpu/elements.h"
#include "cpu/op_harness.h"

#include <stdlib.h>
#include <string.h>

#define CASES 60

typedef struct gathered {
    mls_dtype dtype;
    int rank, axis, index_rank;
    int64_t dims[MLS_MAX_RANK], index_dims[MLS_MAX_RANK];
    bool is_wide, from_the_end;
    int64_t *indices; /* in [-dim, dim) */
} gathered;

static op_test *make_test(const gathered *g, const void *data)
{
    const int64_t count = count_of(g->index_rank, g->index_dims);
    int32_t *narrow = malloc(((size_t) count + 1) * sizeof *narrow);
    for (int64_t i = 0; i < count; i++)
        narrow[i] = (int32_t) g->indices[i];
    op_test *t = op_test_create("", "Gather");
    op_test_int(t, "axis", g->from_the_end ? g->axis - g->rank : g->axis);
    op_test_input(t, g->dtype, g->rank, g->dims, data);
    op_test_input(t, g->is_wide ? MLS_INT64 : MLS_INT32, g->index_rank, g->index_dims,
                  g->is_wide ? (void *) g->indices : (void *) narrow);
    free(narrow);
    return t;
}

static void check(const gathered *g)
{
    int64_t out_dims[MLS_MAX_RANK], index[MLS_MAX_RANK];
    const int out_rank = g->rank - 1 + g->index_rank;
    for (int i = 0; i < g->axis; i++)
        out_dims[i] = g->dims[i];
    for (int i = 0; i < g->index_rank; i++)
        out_dims[g->axis + i] = g->index_dims[i];
    for (int i = g->axis + 1; i < g->rank; i++)
        out_dims[i - 1 + g->index_rank] = g->dims[i];

    const int64_t count = count_of(out_rank, out_dims);
    int64_t *from = malloc(((size_t) count + 1) * sizeof *from);
    index_walk walk = {.rank = out_rank, .dims = out_dims};
    while (next_index(&walk)) {
        const int64_t k = position_of(g->index_rank, g->index_dims, walk.index + g->axis);
        for (int i = 0; i < g->axis; i++)
            index[i] = walk.index[i];
        index[g->axis] = (g->indices[k] + g->dims[g->axis]) % g->dims[g->axis];
        for (int i = g->axis + 1; i < g->rank; i++)
            index[i] = walk.index[i - 1 + g->index_rank];
        from[walk.position] = position_of(g->rank, g->dims, index);
    }
    void *data = make_elements(g->dtype, count_of(g->rank, g->dims));
    void *expected = pick_elements(g->dtype, data, from, count, NULL);
    op_test *t = make_test(g, data);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, g->dtype, out_rank, out_dims, expected);
    op_test_free(t);
    free(expected);
    free(data);
    free(from);
}

static void check_random(random_state *random, gathered *g)
{
    const int64_t dim = g->dims[g->axis];
    const int64_t count = count_of(g->index_rank, g->index_dims);
    g->indices = malloc(((size_t) count + 1) * sizeof *g->indices);
    for (int64_t i = 0; i < count; i++)
        g->indices[i] = random_in(random, -dim, dim - 1);
    check(g);
    free(g->indices);
}

START_TEST(gathers_random_shapes)
{
    random_state random = {(uint64_t) _i};
    gathered g = {.dtype = random_dtype(&random),
                  .rank = (int) random_in(&random, 1, MLS_MAX_RANK),
                  .is_wide = random_in(&random, 0, 1),
                  .from_the_end = random_in(&random, 0, 1)};
    g.axis = (int) random_in(&random, 0, g.rank - 1);
    g.index_rank = (int) random_in(&random, 0, MLS_MAX_RANK - g.rank + 1);
    random_dims(&random, g.rank, random_in(&random, 0, 8) ? 1 : 0, 5, 300, g.dims);
    random_dims(&random, g.index_rank, random_in(&random, 0, 8) ? 1 : 0, 4, 40, g.index_dims);
    /* From nothing, nothing can be taken. */
    if (g.dims[g.axis] == 0 && count_of(g.index_rank, g.index_dims))
        g.dims[g.axis] = 1;
    check_random(&random, &g);
}
END_TEST

START_TEST(gathers_rows_of_each_size)
{
    random_state random = {7};
    for (size_t i = 0; i < sized_dtype_count; i++)
        for (int64_t row = 1; row < 5; row++) {
            gathered g = {sized_dtypes[i], 3, 1, 1, {3, 9, row}, {20}, row % 2, false, NULL};
            check_random(&random, &g);
        }
}
END_TEST

START_TEST(gathers_with_threads)
{
    random_state random = {8};
    gathered embedding = {MLS_FLOAT32, 2, 0, 2, {50, 129}, {7, 90}, true, false, NULL};
    gathered columns = {MLS_FLOAT32, 2, 1, 1, {401, 100}, {200}, false, false, NULL};
    gathered few = {MLS_FLOAT32, 2, 0, 1, {3, 50000}, {2}, true, false, NULL};
    check_random(&random, &embedding);
    check_random(&random, &columns);
    check_random(&random, &few);
}
END_TEST

START_TEST(gather_follows_smaller_dims)
{
    op_test *t = op_test_create("", "Gather");
    op_test_int(t, "axis", 1);
    op_test_input(t, MLS_INT16, OP_DIMS(2, 3), (int16_t[]){1, 2, 3, 4, 5, 6});
    op_test_planned(t, OP_DIMS(5, 9), NULL);
    op_test_input(t, MLS_INT64, OP_DIMS(2), (int64_t[]){-1, 0});
    op_test_planned(t, OP_DIMS(6), NULL);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_INT16, OP_DIMS(2, 2), (int16_t[]){3, 1, 6, 4});
    op_test_free(t);
}
END_TEST

START_TEST(gather_names_an_index_that_is_outside)
{
    static const struct {
        int64_t dim;
        bool is_wide;
        int64_t indices[3];
        const char *words;
    } cases[] = {
        {4,
         true,
         {0, 4, 9},
         "node 'tested' (Gather): index 4 at position 1 of input 1 is outside "
         "[-4, 3]"},
        {4, true, {0, -4, -5}, "index -5 at position 2 of input 1 is outside [-4, 3]"},
        {4, true, {INT64_MIN, 0, 0}, "index -9223372036854775808 at position 0"},
        {4, true, {3, INT64_MAX, 0}, "index 9223372036854775807 at position 1"},
        {4, false, {0, 0, INT32_MIN}, "index -2147483648 at position 2"},
        {4, false, {INT32_MAX, 0, 0}, "index 2147483647 at position 0"},
        {0, true, {0, 0, 0}, "index 0 at position 0 of input 1 is of an axis without elements"},
    };
    gathered g = {.dtype = MLS_FLOAT32,
                  .rank = 2,
                  .axis = 1,
                  .index_rank = 1,
                  .dims = {3, cases[_i].dim},
                  .index_dims = {3},
                  .is_wide = cases[_i].is_wide};
    int64_t indices[3];
    memcpy(indices, cases[_i].indices, sizeof indices);
    g.indices = indices;
    op_test *t = make_test(&g, (const float[12]){0});
    ck_assert_fails(op_test_run(t), MLS_ERANGE, cases[_i].words);
    op_test_free(t);
}
END_TEST

START_TEST(gather_refuses_what_does_not_fit)
{
    static const struct {
        int64_t axis;
        int rank, index_rank;
        mls_dtype dtype;
        mls_status status;
        const char *words;
    } cases[] = {
        {0, 0, 1, MLS_INT64, MLS_EINVAL, "axis 0 is outside"},
        {1, 1, 1, MLS_INT64, MLS_EINVAL, "axis 1 is outside [-1, 0]"},
        {INT64_MIN, 1, 1, MLS_INT64, MLS_EINVAL, "is outside [-1, 0]"},
        {0, 1, 1, MLS_FLOAT32, MLS_EDTYPE, "input 1, the indices, is float32"},
        {0, 5, 5, MLS_INT64, MLS_ESHAPE, "an output of rank 9"},
        {0, 8, 8, MLS_INT64, MLS_ESHAPE, "an output of rank 15"},
    };
    static const int64_t dims[MLS_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    op_test *t = op_test_create("", "Gather");
    op_test_int(t, "axis", cases[_i].axis);
    op_test_input(t, MLS_INT64, cases[_i].rank, dims, (int64_t[]){0});
    op_test_input(t, cases[_i].dtype, cases[_i].index_rank, dims, (int64_t[]){0});
    ck_assert_fails(op_test_infer(t), cases[_i].status, cases[_i].words);
    op_test_free(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_gather");
    TCase *tests = tcase_create("gather");
    tcase_add_loop_test(tests, gathers_random_shapes, 0, CASES);
    tcase_add_test(tests, gathers_rows_of_each_size);
    tcase_add_test(tests, gathers_with_threads);
    tcase_add_test(tests, gather_follows_smaller_dims);
    tcase_add_loop_test(tests, gather_names_an_index_that_is_outside, 0, 7);
    tcase_add_loop_test(tests, gather_refuses_what_does_not_fit, 0, 6);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
