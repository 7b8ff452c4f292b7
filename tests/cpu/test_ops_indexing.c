/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that go by indices, against references that are worked out index by index. */
#include "cpu/elements.h"
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CASES 60

static const char *const reductions[] = {"none", "add", "mul", "min", "max"};

/* --- what the references share ---------------------------------------------------------------- */

static int64_t *make_int64(int64_t count)
{
    int64_t *values = malloc(((size_t) count + 1) * sizeof *values);
    ck_assert_ptr_nonnull(values);
    return values;
}

static void add_indices(op_test *t, bool is_wide, int rank, const int64_t *dims,
                        const int64_t *indices)
{
    const int64_t count = count_of(rank, dims);
    int32_t *narrow = malloc(((size_t) count + 1) * sizeof *narrow);
    for (int64_t i = 0; i < count; i++)
        narrow[i] = (int32_t) indices[i];
    op_test_input(t, is_wide ? MLS_INT64 : MLS_INT32, rank, dims,
                  is_wide ? (const void *) indices : narrow);
    free(narrow);
}

/* Element i of what is there, and update j. */
static void reduce(mls_dtype dtype, int reduction, void *data, int64_t i, const void *updates,
                   int64_t j)
{
    if (op_is_float(dtype)) {
        const double u = op_float(dtype, data, i), v = op_float(dtype, updates, j);
        const bool is_nan = isnan(u) || isnan(v);
        const double results[] = {v, u + v, u * v, is_nan ? NAN : fmin(u, v),
                                  is_nan ? NAN : fmax(u, v)};
        op_float_set(dtype, data, i, results[reduction]);
        return;
    }
    const int64_t u = op_integer(dtype, data, i), v = op_integer(dtype, updates, j);
    const bool is_less = dtype == MLS_UINT64 ? (uint64_t) u < (uint64_t) v : u < v;
    const bool is_bool = dtype == MLS_BOOL;
    const int64_t sum = (int64_t) ((uint64_t) u + (uint64_t) v);
    const int64_t product = (int64_t) ((uint64_t) u * (uint64_t) v);
    const int64_t results[] = {v, is_bool ? sum != 0 : sum, product, is_less ? u : v,
                               is_less ? v : u};
    op_integer_set(dtype, data, i, results[reduction]);
}

static const mls_dtype numbers[] = {
    MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16, MLS_INT8,   MLS_INT16, MLS_INT32,
    MLS_INT64,   MLS_UINT8,   MLS_UINT16,  MLS_UINT32,   MLS_UINT64, MLS_BOOL,
};
#define NUMBERS (int) (sizeof numbers / sizeof numbers[0])

/*
 * Small whole numbers and few specials: sums in double are exact then, so that the reference
 * rounds once, as the op does.
 */
static void *make_numbers(random_state *random, mls_dtype dtype, int64_t count)
{
    void *data = malloc(((size_t) count + 1) * 8);
    for (int64_t i = 0; i < count; i++) {
        const int64_t value = random_in(random, dtype == MLS_BOOL ? 0 : -100, 1);
        if (!op_is_float(dtype))
            op_integer_set(dtype, data, i, value);
        else
            op_float_set(dtype, data, i,
                         value == 1    ? NAN
                         : value == -1 ? (double) -INFINITY
                                       : (double) value / 8);
    }
    return data;
}

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
    e->indices = make_int64(e->count);
    e->offsets = make_int64(e->count);
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
    add_indices(t, e->is_wide, e->rank, e->index_dims, e->indices);
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
    add_indices(t, e->is_wide, e->rank, e->index_dims, e->indices);
    op_test_input(t, dtype, e->rank, e->index_dims, updates);
    return t;
}

/* The elements of the data, then those of the updates: the last one that goes somewhere stays. */
static void check_scatter(const elements *e, mls_dtype dtype)
{
    const int64_t count = count_of(e->rank, e->dims);
    int64_t *from = make_int64(count);
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
        void *data = make_numbers(&random, dtype, count_of(e.rank, e.dims));
        void *updates = make_numbers(&random, dtype, e.count);
        op_test *t = scatter_test(&e, dtype, reductions[reduction], data, updates);
        ck_assert_ok(op_test_run(t));
        for (int64_t i = 0; i < e.count; i++)
            reduce(dtype, reduction, data, e.offsets[i], updates, i);
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

/* --- GatherND, ScatterND ---------------------------------------------------------------------- */

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
    n->indices = make_int64(n->count * n->size);
    n->offsets = make_int64(n->count);
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
    int64_t *from = make_int64(n->count * n->slice);
    for (int64_t i = 0; i < n->count * n->slice; i++)
        from[i] = n->offsets[i / n->slice] + i % n->slice;
    void *data = make_elements(dtype, count_of(n->rank, n->dims));
    void *expected = pick_elements(dtype, data, from, n->count * n->slice, NULL);
    op_test *t = op_test_create("", "GatherND");
    op_test_int(t, "batch_dims", n->batch);
    op_test_input(t, dtype, n->rank, n->dims, data);
    add_indices(t, true, n->index_rank, n->index_dims, n->indices);
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
    add_indices(t, true, n->index_rank, n->index_dims, n->indices);
    op_test_input(t, dtype, n->slice_rank, n->slice_dims, updates);
    return t;
}

static void check_scatter_nd(const tuples *n, mls_dtype dtype)
{
    const int64_t count = count_of(n->rank, n->dims), updates = n->count * n->slice;
    int64_t *from = make_int64(count);
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
        void *data = make_numbers(&random, dtype, count_of(n.rank, n.dims));
        void *updates = make_numbers(&random, dtype, n.count * n.slice);
        op_test *t = scatter_nd_test(&n, dtype, reductions[reduction], data, updates);
        ck_assert_ok(op_test_run(t));
        for (int64_t i = 0; i < n.count * n.slice; i++)
            reduce(dtype, reduction, data, n.offsets[i / n.slice] + i % n.slice, updates, i);
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

/* --- sequences -------------------------------------------------------------------------------- */

START_TEST(reverses_sequences)
{
    random_state random = {(uint64_t) _i};
    int64_t dims[MLS_MAX_RANK];
    const int rank = (int) random_in(&random, 2, 4), time = (int) random_in(&random, 0, 1);
    const mls_dtype dtype = random_dtype(&random);
    const int64_t count =
        random_dims(&random, rank, random_in(&random, 0, 8) ? 1 : 0, 6, 300, dims);
    const int64_t batch = dims[1 - time];
    int64_t *lengths = make_int64(batch), *from = make_int64(count);
    for (int64_t i = 0; i < batch; i++)
        lengths[i] = random_in(&random, 0, dims[time]);
    index_walk walk = {.rank = rank, .dims = dims};
    while (next_index(&walk)) {
        int64_t index[MLS_MAX_RANK];
        memcpy(index, walk.index, sizeof index);
        const int64_t length = lengths[index[1 - time]];
        if (index[time] < length)
            index[time] = length - 1 - index[time];
        from[walk.position] = position_of(rank, dims, index);
    }
    void *data = make_elements(dtype, count);
    void *expected = pick_elements(dtype, data, from, count, NULL);
    op_test *t = op_test_create("", "ReverseSequence");
    op_test_int(t, "time_axis", time);
    op_test_int(t, "batch_axis", 1 - time);
    op_test_input(t, dtype, rank, dims, data);
    op_test_input(t, MLS_INT64, 1, &batch, lengths);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, dtype, rank, dims, expected);
    op_test_free(t);
    free(expected);
    free(data);
    free(from);
    free(lengths);
}
END_TEST

/* As the specification's own loop has it. */
static void check_cache(random_state *random, bool has_starts, bool is_circular)
{
    int64_t dims[MLS_MAX_RANK], update_dims[MLS_MAX_RANK];
    const int rank = (int) random_in(random, 2, 4), axis = (int) random_in(random, 1, rank - 1);
    const mls_dtype dtype = random_dtype(random);
    const int64_t count = random_dims(random, rank, 1, 6, 300, dims);
    memcpy(update_dims, dims, sizeof dims);
    update_dims[axis] = random_in(random, 0, dims[axis]);
    const int64_t updates = count_of(rank, update_dims), length = update_dims[axis];
    int64_t *starts = make_int64(dims[0]), *from = make_int64(count);
    for (int64_t i = 0; i < dims[0]; i++)
        starts[i] =
            is_circular ? random_in(random, -20, 20) : random_in(random, 0, dims[axis] - length);
    for (int64_t i = 0; i < count; i++)
        from[i] = i;
    index_walk walk = {.rank = rank, .dims = update_dims};
    while (next_index(&walk)) {
        int64_t index[MLS_MAX_RANK];
        memcpy(index, walk.index, sizeof index);
        index[axis] += has_starts ? starts[index[0]] : 0;
        index[axis] = (index[axis] + 60 * dims[axis]) % dims[axis];
        from[position_of(rank, dims, index)] = count + walk.position;
    }
    char *all = make_elements(dtype, count + updates);
    void *expected = pick_elements(dtype, all, from, count, NULL);
    op_test *t = op_test_create("", "TensorScatter");
    op_test_int(t, "axis", axis - rank);
    if (is_circular)
        op_test_string(t, "mode", "circular");
    op_test_input(t, dtype, rank, dims, all);
    op_test_input(t, dtype, rank, update_dims, all + (size_t) count * mls_dtype_size(dtype));
    if (has_starts)
        op_test_input(t, MLS_INT64, 1, dims, starts);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, dtype, rank, dims, expected);
    op_test_free(t);
    free(expected);
    free(all);
    free(from);
    free(starts);
}

START_TEST(goes_on_in_a_cache)
{
    random_state random = {(uint64_t) _i};
    check_cache(&random, _i % 3 != 0, _i % 2 != 0);
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
    op_test_int(t, "time_axis", 1);
    op_test_int(t, "batch_axis", 0);
    op_test_input(t, MLS_FLOAT32, OP_DIMS(2, 3, 1), (const float[6]){0});
    if (!is_reverse)
        op_test_input(t, MLS_FLOAT32, OP_DIMS(2, 1, 1), (const float[2]){0});
    op_test_input(t, MLS_INT64, OP_DIMS(2), (int64_t[]){2, cases[_i].number});
    ck_assert_fails(op_test_run(t), MLS_ERANGE, cases[_i].words);
    op_test_free(t);
}
END_TEST

/* An op with an int or string attribute, its inputs, and what is wrong with them. */
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
    {"ScatterND", "axis", 0, NULL,
     {{MLS_FLOAT32, 1, {2}}, {MLS_INT64, 1, {2}}, {MLS_FLOAT32, 1, {1}}},
     MLS_ESHAPE, "must be in [0, 1]"},
    {"ScatterND", "axis", 0, NULL,
     {{MLS_FLOAT32, 1, {2}}, {MLS_INT32, 1, {1}}, {MLS_FLOAT32, 0, {0}}},
     MLS_EDTYPE, "expected int64"},
    {"ScatterND", "axis", 0, NULL,
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
    else
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
    tcase_add_loop_test(tests, gathers_slices, 0, CASES);
    tcase_add_test(tests, gathers_slices_with_threads);
    tcase_add_loop_test(tests, scatters_slices, 0, CASES);
    tcase_add_test(tests, scatters_slices_with_threads);
    tcase_add_loop_test(tests, reduces_slices, 0, NUMBERS);
    tcase_add_test(tests, scatters_by_empty_tuples);
    tcase_add_loop_test(tests, reverses_sequences, 0, CASES);
    tcase_add_loop_test(tests, goes_on_in_a_cache, 0, CASES);
    tcase_add_loop_test(tests, names_an_index_that_is_outside, 0, 9);
    tcase_add_loop_test(tests, names_a_sequence_that_is_outside, 0, 4);
    tcase_add_loop_test(tests, refuses_what_does_not_fit, 0,
                        (int) (sizeof misfits / sizeof misfits[0]));
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
