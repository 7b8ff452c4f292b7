/* SPDX-License-Identifier: Apache-2.0 */
/* GatherND and ScatterND, against references that are worked out index by index. */
#include "cpu/indexing_test.h"
#include "cpu/op_values.h"
#include "cpu/topics.h"

#include <stdlib.h>
#include <string.h>

typedef struct tuples {
    int rank, index_rank, batch, size; /* size: of a tuple */
    int64_t dims[MLS_MAX_RANK], index_dims[MLS_MAX_RANK];
    int slice_rank; /* of all slices together */
    int64_t slice_dims[MLS_MAX_RANK];
    int64_t count, slice; /* tuples, and elements of a slice */
    int64_t *indices, *offsets;
} tuples;

/* The first element that tuple i, which belongs to the batch at `index`, names. */
static int64_t tuple_offset(random_state *random, const tuples *n, const int64_t *index, int64_t i)
{
    int64_t full[MLS_MAX_RANK] = {0};
    memcpy(full, index, (size_t) n->batch * sizeof *full);
    for (int j = 0; j < n->size; j++) {
        const int64_t bound = n->dims[n->batch + j];
        const int64_t asked = random_in(random, -bound, bound - 1);
        n->indices[i * n->size + j] = asked;
        full[n->batch + j] = (asked + bound) % bound;
    }
    return position_of(n->rank, n->dims, full);
}

static void fill_tuples(random_state *random, tuples *n)
{
    const int last = n->index_rank - 1;
    n->index_dims[last] = n->size;
    memcpy(n->index_dims, n->dims, (size_t) n->batch * sizeof *n->dims);
    memcpy(n->slice_dims, n->index_dims, (size_t) last * sizeof *n->dims);
    n->slice_rank = last;
    n->slice = 1;
    for (int i = n->batch + n->size; i < n->rank; i++) {
        n->slice_dims[n->slice_rank++] = n->dims[i];
        n->slice *= n->dims[i];
    }
    n->count = count_of(last, n->index_dims);
    n->indices = indexing_integers(n->count * n->size);
    n->offsets = indexing_integers(n->count);
    index_walk walk = {.rank = last, .dims = n->index_dims};
    while (next_index(&walk))
        n->offsets[walk.position] = tuple_offset(random, n, walk.index, walk.position);
}

static void random_tuples(random_state *random, bool has_batch, tuples *n)
{
    *n = (tuples){.rank = (int) random_in(random, 1, 4),
                  .index_rank = (int) random_in(random, 1, 4)};
    const int least = n->rank < n->index_rank ? n->rank : n->index_rank;
    n->batch = has_batch ? (int) random_in(random, 0, least - 1) : 0;
    n->size = (int) random_in(random, 1, n->rank - n->batch);
    random_dims(random, n->rank, 1, 5, 300, n->dims);
    random_dims(random, n->index_rank, random_in(random, 0, 8) ? 1 : 0, 5, 60, n->index_dims);
    fill_tuples(random, n);
}

static void free_tuples(tuples *n)
{
    free(n->indices);
    free(n->offsets);
}

static void check_gather_nd(const tuples *n, mls_dtype dtype)
{
    int64_t *from = indexing_integers(n->count * n->slice);
    for (int64_t i = 0; i < n->count * n->slice; i++)
        from[i] = n->offsets[i / n->slice] + i % n->slice;
    void *data = make_elements(dtype, count_of(n->rank, n->dims));
    void *expected = pick_elements(dtype, data, from, n->count * n->slice, NULL);
    op_test *t = op_test_create("", "GatherND");
    op_test_int(t, "batch_dims", n->batch);
    op_test_input(t, dtype, n->rank, n->dims, data);
    indexing_give(t, true, n->index_rank, n->index_dims, n->indices);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, dtype, n->slice_rank, n->slice_dims, expected);
    op_test_free(t);
    free(expected);
    free(data);
    free(from);
}

START_TEST(gathers_slices)
{
    random_state random = {(uint64_t) _i};
    tuples n;
    random_tuples(&random, true, &n);
    check_gather_nd(&n, random_dtype(&random));
    free_tuples(&n);
}
END_TEST

START_TEST(gathers_slices_with_threads)
{
    random_state random = {5};
    tuples cases[] = {
        {.rank = 3,
         .index_rank = 3,
         .batch = 1,
         .size = 1,
         .dims = {40, 7, 30},
         .index_dims = {40, 60}},
        {.rank = 2, .index_rank = 2, .size = 2, .dims = {40, 7}, .index_dims = {50000}},
    };
    for (size_t i = 0; i < 2; i++) {
        fill_tuples(&random, &cases[i]);
        check_gather_nd(&cases[i], MLS_FLOAT32);
        free_tuples(&cases[i]);
    }
}
END_TEST

static op_test *scatter_nd_test(const tuples *n, mls_dtype dtype, const char *reduction,
                                const void *data, const void *updates)
{
    op_test *t = op_test_create("", "ScatterND");
    op_test_string(t, "reduction", reduction);
    op_test_input(t, dtype, n->rank, n->dims, data);
    indexing_give(t, true, n->index_rank, n->index_dims, n->indices);
    op_test_input(t, dtype, n->slice_rank, n->slice_dims, updates);
    return t;
}

static void check_scatter_nd(const tuples *n, mls_dtype dtype)
{
    const int64_t count = count_of(n->rank, n->dims), updates = n->count * n->slice;
    int64_t *from = indexing_integers(count);
    for (int64_t i = 0; i < count; i++)
        from[i] = i;
    for (int64_t i = 0; i < updates; i++)
        from[n->offsets[i / n->slice] + i % n->slice] = count + i;
    char *all = make_elements(dtype, count + updates);
    void *expected = pick_elements(dtype, all, from, count, NULL);
    op_test *t =
        scatter_nd_test(n, dtype, "none", all, all + (size_t) count * mls_dtype_size(dtype));
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, dtype, n->rank, n->dims, expected);
    op_test_free(t);
    free(expected);
    free(all);
    free(from);
}

START_TEST(scatters_slices)
{
    random_state random = {(uint64_t) _i};
    tuples n;
    random_tuples(&random, false, &n);
    check_scatter_nd(&n, random_dtype(&random));
    free_tuples(&n);
}
END_TEST

START_TEST(scatters_slices_with_threads)
{
    random_state random = {6};
    tuples n = {.rank = 2, .index_rank = 2, .size = 1, .dims = {5, 9000}, .index_dims = {12}};
    fill_tuples(&random, &n);
    check_scatter_nd(&n, MLS_FLOAT16);
    free_tuples(&n);
}
END_TEST

START_TEST(reduces_slices)
{
    const mls_dtype dtype = numbers[_i];
    random_state random = {(uint64_t) _i};
    for (int reduction = 0; reduction < 5; reduction++) {
        tuples n;
        random_tuples(&random, false, &n);
        void *data = indexing_numbers(&random, dtype, count_of(n.rank, n.dims));
        void *updates = indexing_numbers(&random, dtype, n.count * n.slice);
        op_test *t = scatter_nd_test(&n, dtype, reductions[reduction], data, updates);
        ck_assert_ok(op_test_run(t));
        for (int64_t i = 0; i < n.count * n.slice; i++)
            indexing_reduce(dtype, reduction, data, n.offsets[i / n.slice] + i % n.slice, updates,
                            i);
        op_test_expect(t, 0, dtype, n.rank, n.dims, data);
        op_test_free(t);
        free(data);
        free(updates);
        free_tuples(&n);
    }
}
END_TEST

/* A tuple of no index names all of the data. */
START_TEST(scatters_by_empty_tuples)
{
    op_test *t = op_test_create("", "ScatterND");
    op_test_string(t, "reduction", "add");
    op_test_input(t, MLS_INT32, OP_DIMS(2), (int32_t[]){1, 2});
    op_test_input(t, MLS_INT64, OP_DIMS(3, 0), NULL);
    op_test_input(t, MLS_INT32, OP_DIMS(3, 2), (int32_t[]){1, 1, 2, 2, 3, 3});
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_INT32, OP_DIMS(2), (int32_t[]){7, 8});
    op_test_free(t);
}
END_TEST

void add_tuples(TCase *tests)
{
    tcase_add_loop_test(tests, gathers_slices, 0, CASES);
    tcase_add_test(tests, gathers_slices_with_threads);
    tcase_add_loop_test(tests, scatters_slices, 0, CASES);
    tcase_add_test(tests, scatters_slices_with_threads);
    tcase_add_loop_test(tests, reduces_slices, 0, NUMBERS);
    tcase_add_test(tests, scatters_by_empty_tuples);
}
