/* SPDX-License-Identifier: Apache-2.0 */
/* Transpose, Slice, Expand and Tile against index-by-index references. */
#include "cpu/elements.h"
#include "cpu/op_harness.h"

#include <stdlib.h>
#include <string.h>

#define CASES 60

/* One op on an input of `dtype` and `dims`; the test is to be freed with its elements. */
typedef struct moved {
    op_test *test;
    mls_dtype dtype;
    void *data;
} moved;

static moved begin(const char *type, mls_dtype dtype, int rank, const int64_t *dims)
{
    moved m = {op_test_create("", type), dtype, make_elements(dtype, count_of(rank, dims))};
    op_test_input(m.test, dtype, rank, dims, m.data);
    return m;
}

/* Runs it: element i of the output must be element from[i] of the input. */
static void expect_moved(moved *m, int rank, const int64_t *dims, const int64_t *from)
{
    void *expected = pick_elements(m->dtype, m->data, from, count_of(rank, dims), NULL);
    ck_assert_ok(op_test_run(m->test));
    op_test_expect(m->test, 0, m->dtype, rank, dims, expected);
    free(expected);
}

static void end(moved *m)
{
    op_test_free(m->test);
    free(m->data);
}

static int64_t *positions(int rank, const int64_t *dims)
{
    int64_t *from = malloc(((size_t) count_of(rank, dims) + 1) * sizeof *from);
    ck_assert_ptr_nonnull(from);
    return from;
}

/* --- Transpose ------------------------------------------------------------------------------- */

/* perm NULL: the attribute is left out. */
static void check_transpose(mls_dtype dtype, int rank, const int64_t *dims, const int *perm)
{
    int64_t out_dims[MLS_MAX_RANK], index[MLS_MAX_RANK], attr[MLS_MAX_RANK];
    moved m = begin("Transpose", dtype, rank, dims);
    for (int i = 0; i < rank; i++) {
        attr[i] = perm ? perm[i] : rank - 1 - i;
        out_dims[i] = dims[attr[i]];
    }
    if (perm)
        op_test_ints(m.test, "perm", (size_t) rank, attr);
    int64_t *from = positions(rank, out_dims);
    index_walk walk = {.rank = rank, .dims = out_dims};
    while (next_index(&walk)) {
        for (int i = 0; i < rank; i++)
            index[attr[i]] = walk.index[i];
        from[walk.position] = position_of(rank, dims, index);
    }
    expect_moved(&m, rank, out_dims, from);
    free(from);
    end(&m);
}

START_TEST(transposes_random_shapes)
{
    random_state random = {(uint64_t) _i};
    int64_t dims[MLS_MAX_RANK];
    int perm[MLS_MAX_RANK];
    const int rank = (int) random_in(&random, 0, MLS_MAX_RANK);
    random_dims(&random, rank, random_in(&random, 0, 8) ? 1 : 0, 6, 3000, dims);
    random_axes(&random, rank, rank, perm);
    check_transpose(random_dtype(&random), rank, dims, random_in(&random, 0, 5) ? perm : NULL);
}
END_TEST

/* Around the edges of tiles, for each element size. */
START_TEST(transposes_matrices)
{
    static const int64_t sizes[] = {1, 3, 7, 16, 17, 33, 64, 65, 130};
    const size_t count = sizeof sizes / sizeof sizes[0];
    const mls_dtype dtype = sized_dtypes[(size_t) _i / count];
    for (size_t k = 0; k < count; k++)
        check_transpose(dtype, 2, (int64_t[]){sizes[(size_t) _i % count], sizes[k]}, NULL);
}
END_TEST

/* Rows whose distance is a large power of two have a way of their own. */
START_TEST(transposes_matrices_of_crowded_rows)
{
    check_transpose(MLS_UINT8, 2, (int64_t[]){70, 1024}, NULL);
    check_transpose(MLS_FLOAT16, 2, (int64_t[]){35, 1024}, NULL);
    check_transpose(MLS_FLOAT32, 2, (int64_t[]){20, 1024}, NULL);
    check_transpose(MLS_FLOAT32, 3, (int64_t[]){20, 32, 32}, (int[]){1, 0, 2});
    check_transpose(MLS_FLOAT32, 3, (int64_t[]){20, 64, 16}, (int[]){2, 1, 0});
    check_transpose(MLS_FLOAT32, 3, (int64_t[]){20, 128, 8}, (int[]){2, 1, 0});
}
END_TEST

START_TEST(transposes_the_layouts_of_images)
{
    for (size_t i = 0; i < sized_dtype_count; i++) {
        check_transpose(sized_dtypes[i], 4, (int64_t[]){2, 3, 19, 21}, (int[]){0, 2, 3, 1});
        check_transpose(sized_dtypes[i], 4, (int64_t[]){2, 19, 21, 3}, (int[]){0, 3, 1, 2});
        check_transpose(sized_dtypes[i], 4, (int64_t[]){2, 5, 34, 6}, (int[]){0, 2, 1, 3});
    }
}
END_TEST

/* Large enough for threads: cut along an outer loop, a tile's loop, and a long block. */
START_TEST(transposes_with_threads)
{
    check_transpose(MLS_FLOAT32, 2, (int64_t[]){411, 333}, NULL);
    check_transpose(MLS_FLOAT32, 3, (int64_t[]){3, 200, 201}, (int[]){0, 2, 1});
    check_transpose(MLS_FLOAT32, 3, (int64_t[]){2, 2, 70001}, (int[]){1, 0, 2});
    check_transpose(MLS_UINT8, 2, (int64_t[]){2, 300001}, NULL);
    check_transpose(MLS_FLOAT64, 2, (int64_t[]){1, 70001}, NULL);
}
END_TEST

START_TEST(transpose_follows_smaller_dims)
{
    static const int64_t planned[] = {4, 50, 60};
    moved m = begin("Transpose", MLS_FLOAT32, 3, (int64_t[]){2, 17, 1});
    op_test_planned(m.test, 3, planned, NULL);
    op_test_ints(m.test, "perm", 3, (int64_t[]){2, 0, 1});
    int64_t from[34];
    for (int i = 0; i < 34; i++)
        from[i] = i;
    expect_moved(&m, 3, (int64_t[]){1, 2, 17}, from);
    end(&m);
}
END_TEST

START_TEST(transpose_refuses_what_is_no_permutation)
{
    static const struct {
        size_t count;
        int64_t perm[3];
        const char *words;
    } cases[] = {
        {2, {0, 1}, "perm has 2 entries for an input of rank 3"},
        {3, {0, 1, 1}, "entry 2 is 1"},
        {3, {0, 3, 1}, "entry 1 is 3"},
        {3, {-1, 0, 1}, "entry 0 is -1"},
        {3, {0, 1, INT64_MIN}, "entry 2 is -9223372036854775808"},
    };
    moved m = begin("Transpose", MLS_FLOAT32, 3, (int64_t[]){1, 2, 3});
    op_test_ints(m.test, "perm", cases[_i].count, cases[_i].perm);
    ck_assert_fails(op_test_infer(m.test), MLS_EINVAL, cases[_i].words);
    end(&m);
}
END_TEST

/* --- Slice ----------------------------------------------------------------------------------- */

/* As the standard words it, in 128 bits. */
static int64_t sliced_dim(int64_t dim, int64_t start, int64_t end, int64_t step, int64_t *ret_start)
{
    __extension__ typedef __int128 wide;
    wide s = start, e = end, count = 0;
    s += s < 0 ? dim : 0;
    e += e < 0 ? dim : 0;
    const wide highest = step > 0 ? dim : dim - 1, lowest_end = step > 0 ? 0 : -1;
    s = s < 0 ? 0 : s > highest ? highest : s;
    e = e < lowest_end ? lowest_end : e > highest ? highest : e;
    *ret_start = (int64_t) s;
    for (wide i = s; dim > 0 && (step > 0 ? i < e : i > e); i += step)
        count++;
    return (int64_t) count;
}

typedef struct slice_case {
    int64_t start[MLS_MAX_RANK], end[MLS_MAX_RANK], step[MLS_MAX_RANK], axes[MLS_MAX_RANK];
    size_t count;
    bool has_axes, has_steps;
} slice_case;

static void check_slice(mls_dtype dtype, int rank, const int64_t *dims, const slice_case *c)
{
    int64_t out_dims[MLS_MAX_RANK], first[MLS_MAX_RANK] = {0}, step[MLS_MAX_RANK];
    int64_t index[MLS_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        out_dims[i] = dims[i];
        step[i] = 1;
    }
    for (size_t i = 0; i < c->count; i++) {
        const int64_t named = c->has_axes ? c->axes[i] : (int64_t) i;
        const int64_t axis = named < 0 ? named + rank : named;
        step[axis] = c->has_steps ? c->step[i] : 1;
        out_dims[axis] = sliced_dim(dims[axis], c->start[i], c->end[i], step[axis], &first[axis]);
    }
    moved m = begin("Slice", dtype, rank, dims);
    const int64_t n = (int64_t) c->count;
    op_test_constant(m.test, MLS_INT64, 1, &n, c->start);
    op_test_known(m.test, MLS_INT64, 1, &n, c->end);
    if (c->has_axes)
        op_test_constant(m.test, MLS_INT64, 1, &n, c->axes);
    else
        op_test_left_out(m.test);
    if (c->has_steps)
        op_test_constant(m.test, MLS_INT64, 1, &n, c->step);
    int64_t *from = positions(rank, out_dims);
    index_walk walk = {.rank = rank, .dims = out_dims};
    while (next_index(&walk)) {
        for (int i = 0; i < rank; i++)
            index[i] = walk.index[i] ? first[i] + walk.index[i] * step[i] : first[i];
        from[walk.position] = position_of(rank, dims, index);
    }
    expect_moved(&m, rank, out_dims, from);
    free(from);
    end(&m);
}

static int64_t random_bound(random_state *random, int64_t dim)
{
    static const int64_t extremes[] = {INT64_MIN, INT64_MIN + 1, INT32_MIN,
                                       INT32_MAX, INT64_MAX - 1, INT64_MAX};
    if (random_in(random, 0, 4) == 0)
        return extremes[random_in(random, 0, 5)];
    return random_in(random, -dim - 2, dim + 2);
}

/* Any bounds, but mostly such that something is between them. */
static void random_bounds(random_state *random, int64_t dim, int64_t step, int64_t *ret_start,
                          int64_t *ret_end)
{
    if (dim == 0 || random_in(random, 0, 9) == 0) {
        *ret_start = random_bound(random, dim);
        *ret_end = random_bound(random, dim);
        return;
    }
    const int64_t low = random_in(random, 0, dim - 1), high = random_in(random, low, dim - 1);
    const int64_t start = step > 0 ? low : high, end = step > 0 ? high + 1 : low - 1;
    *ret_start = random_in(random, 0, 1) ? start : start - dim;
    *ret_end = end < 0 ? INT64_MIN + dim : end;
}

static int64_t random_step(random_state *random)
{
    const int64_t steps[] = {1, 1, 1, -1, -1, 2, 3, -2, -3, INT64_MAX, INT64_MIN, INT32_MIN};
    return steps[random_in(random, 0, (int64_t) (sizeof steps / sizeof steps[0]) - 1)];
}

START_TEST(slices_random_shapes)
{
    random_state random = {(uint64_t) _i};
    int64_t dims[MLS_MAX_RANK];
    int axes[MLS_MAX_RANK];
    slice_case c = {.has_axes = random_in(&random, 0, 2) > 0,
                    .has_steps = random_in(&random, 0, 2) > 0};
    const int rank = (int) random_in(&random, 0, MLS_MAX_RANK);
    random_dims(&random, rank, random_in(&random, 0, 8) ? 1 : 0, 7, 3000, dims);
    c.count = (size_t) random_in(&random, 0, rank);
    random_axes(&random, rank, (int) c.count, axes);
    for (size_t i = 0; i < c.count; i++) {
        const int axis = c.has_axes ? axes[i] : (int) i;
        c.axes[i] = random_in(&random, 0, 1) ? axis : axis - rank;
        c.step[i] = c.has_steps ? random_step(&random) : 1;
        random_bounds(&random, dims[axis], c.step[i], &c.start[i], &c.end[i]);
    }
    check_slice(random_dtype(&random), rank, dims, &c);
}
END_TEST

START_TEST(slices_every_way_of_a_line)
{
    for (int64_t start = -5; start <= 5; start++)
        for (int64_t end = -5; end <= 5; end += 2) {
            const slice_case c = {{start}, {end}, {_i}, {0}, 1, true, true};
            if (_i)
                check_slice(MLS_INT16, 1, (int64_t[]){3}, &c);
        }
}
END_TEST

START_TEST(slices_nothing_from_nothing)
{
    for (int64_t bound = -2; bound <= 2; bound++) {
        const slice_case c = {{bound}, {-bound}, {_i ? 1 : -1}, {0}, 1, true, true};
        check_slice(MLS_INT16, 2, (int64_t[]){0, 3}, &c);
    }
}
END_TEST

START_TEST(slices_with_threads)
{
    const slice_case rows = {{1, 0}, {INT64_MAX, 99}, {1, 2}, {0, 2}, 2, true, true};
    const slice_case back = {{-1}, {INT64_MIN}, {-1}, {0}, 1, true, true};
    check_slice(MLS_FLOAT32, 3, (int64_t[]){5, 400, 100}, &rows);
    check_slice(MLS_FLOAT32, 1, (int64_t[]){100001}, &back);
}
END_TEST

START_TEST(slice_follows_new_contents)
{
    moved m = begin("Slice", MLS_INT32, 2, (int64_t[]){4, 5});
    op_test_planned(m.test, OP_DIMS(10, 5), NULL);
    op_test_known(m.test, MLS_INT64, OP_DIMS(2), (int64_t[]){2, 1});
    op_test_planned(m.test, OP_DIMS(2), (int64_t[]){0, 0});
    op_test_known(m.test, MLS_INT64, OP_DIMS(2), (int64_t[]){4, 3});
    op_test_planned(m.test, OP_DIMS(2), (int64_t[]){10, 5});
    expect_moved(&m, OP_DIMS(2, 2), (int64_t[]){11, 12, 16, 17});
    end(&m);
}
END_TEST

START_TEST(slice_takes_int32)
{
    moved m = begin("Slice", MLS_STRING, 1, (int64_t[]){4});
    op_test_constant(m.test, MLS_INT32, OP_DIMS(1), (int32_t[]){-1});
    op_test_constant(m.test, MLS_INT32, OP_DIMS(1), (int32_t[]){INT32_MIN});
    op_test_constant(m.test, MLS_INT32, OP_DIMS(1), (int32_t[]){-1});
    op_test_constant(m.test, MLS_INT32, OP_DIMS(1), (int32_t[]){-2});
    expect_moved(&m, OP_DIMS(2), (int64_t[]){3, 1});
    end(&m);
}
END_TEST

START_TEST(slice_refuses_what_does_not_fit)
{
    static const struct {
        int64_t starts, ends, axes, steps; /* how many; axes and steps: 0 for none */
        int64_t axis[2], step[2];
        mls_status status;
        const char *words;
    } cases[] = {
        {2, 1, 0, 0, {0}, {0}, MLS_ESHAPE, "1 ends for 2 starts"},
        {1, 1, 2, 0, {0, 1}, {0}, MLS_ESHAPE, "starts for 1 axes; there are 2"},
        {3, 3, 0, 0, {0}, {0}, MLS_ESHAPE, "starts for 3 axes; there are 2"},
        {1, 1, 1, 2, {0}, {1, 1}, MLS_ESHAPE, "2 steps for 1 starts"},
        {2, 2, 2, 0, {1, -1}, {0}, MLS_EINVAL, "axis 1 appears twice"},
        {1, 1, 1, 0, {2}, {0}, MLS_EINVAL, "axis 2 is outside [-2, 1]"},
        {1, 1, 1, 0, {INT64_MIN}, {0}, MLS_EINVAL, "is outside [-2, 1]"},
        {2, 2, 2, 2, {0, 1}, {1, 0}, MLS_EINVAL, "the step of axis 1 is 0"},
        {9, 9, 0, 0, {0}, {0}, MLS_ESHAPE, "input 1 has 9 elements"},
    };
    static const int64_t zeros[9];
    moved m = begin("Slice", MLS_FLOAT32, 2, (int64_t[]){2, 2});
    op_test_constant(m.test, MLS_INT64, 1, &cases[_i].starts, zeros);
    op_test_constant(m.test, MLS_INT64, 1, &cases[_i].ends, zeros);
    if (cases[_i].axes)
        op_test_constant(m.test, MLS_INT64, 1, &cases[_i].axes, cases[_i].axis);
    else
        op_test_left_out(m.test);
    if (cases[_i].steps)
        op_test_constant(m.test, MLS_INT64, 1, &cases[_i].steps, cases[_i].step);
    ck_assert_fails(op_test_infer(m.test), cases[_i].status, cases[_i].words);
    end(&m);
}
END_TEST

START_TEST(slice_says_what_is_not_known)
{
    moved m = begin("Slice", MLS_FLOAT32, 1, (int64_t[]){3});
    op_test_constant(m.test, MLS_INT64, OP_DIMS(1), (int64_t[]){0});
    op_test_input(m.test, MLS_INT64, OP_DIMS(1), (int64_t[]){1});
    ck_assert_fails(op_test_infer(m.test), MLS_ESTATE, "input 2 decides a shape");
    end(&m);
}
END_TEST

/* --- Expand ---------------------------------------------------------------------------------- */

static void check_expand(mls_dtype dtype, int rank, const int64_t *dims, int shape_rank,
                         const int64_t *shape, int out_rank, const int64_t *out_dims)
{
    const int64_t n = shape_rank;
    int64_t index[MLS_MAX_RANK];
    moved m = begin("Expand", dtype, rank, dims);
    op_test_constant(m.test, MLS_INT64, 1, &n, shape);
    int64_t *from = positions(out_rank, out_dims);
    index_walk walk = {.rank = out_rank, .dims = out_dims};
    while (next_index(&walk)) {
        for (int i = 0; i < rank; i++)
            index[i] = dims[i] == 1 ? 0 : walk.index[out_rank - rank + i];
        from[walk.position] = position_of(rank, dims, index);
    }
    expect_moved(&m, out_rank, out_dims, from);
    free(from);
    end(&m);
}

START_TEST(expands_random_shapes)
{
    random_state random = {(uint64_t) _i};
    int64_t out_dims[MLS_MAX_RANK], dims[MLS_MAX_RANK], shape[MLS_MAX_RANK];
    const int out_rank = (int) random_in(&random, 0, MLS_MAX_RANK);
    random_dims(&random, out_rank, random_in(&random, 0, 8) ? 1 : 0, 6, 3000, out_dims);
    /* One of the two has the full rank, and one of the two has each dim. */
    const int fewer = (int) random_in(&random, 0, out_rank);
    const bool data_is_fewer = random_in(&random, 0, 2) > 0;
    const int rank = data_is_fewer ? fewer : out_rank;
    const int shape_rank = data_is_fewer ? out_rank : fewer;
    for (int i = 0; i < out_rank; i++) {
        const int d = i - (out_rank - rank), s = i - (out_rank - shape_rank);
        const int64_t choice = s < 0 ? 1 : d < 0 ? 0 : random_in(&random, 0, 2);
        if (d >= 0)
            dims[d] = choice == 0 ? 1 : out_dims[i];
        if (s >= 0)
            shape[s] = choice == 1 ? 1 : out_dims[i];
    }
    check_expand(random_dtype(&random), rank, dims, shape_rank, shape, out_rank, out_dims);
}
END_TEST

START_TEST(expands_long_lines)
{
    for (size_t i = 0; i < sized_dtype_count; i++) {
        const mls_dtype dtype = sized_dtypes[i];
        for (int64_t n = 15; n < 20; n++)
            check_expand(dtype, OP_DIMS(3, 1), OP_DIMS(3, n), OP_DIMS(3, n));
        check_expand(dtype, OP_SCALAR, OP_DIMS(9001), OP_DIMS(9001));
        check_expand(dtype, OP_DIMS(3), OP_DIMS(5001, 3), OP_DIMS(5001, 3));
        check_expand(dtype, OP_DIMS(5000), OP_DIMS(3, 5000), OP_DIMS(3, 5000));
        check_expand(dtype, OP_DIMS(2, 1, 5), OP_DIMS(2, 700, 5), OP_DIMS(2, 700, 5));
    }
    check_expand(MLS_FLOAT32, OP_SCALAR, OP_DIMS(100003), OP_DIMS(100003));
    check_expand(MLS_FLOAT32, OP_DIMS(500, 1), OP_DIMS(500, 301), OP_DIMS(500, 301));
}
END_TEST

START_TEST(expand_refuses_what_does_not_fit)
{
    static const struct {
        int64_t count, shape[9];
        mls_status status;
        const char *words;
    } cases[] = {
        {2, {2, 4}, MLS_ESHAPE, "[2,3] does not broadcast with [2,4]"},
        {2, {-1, 3}, MLS_EINVAL, "entry 0 of the shape is -1"},
        {1, {INT64_MIN}, MLS_EINVAL, "entry 0 of the shape is -9223372036854775808"},
        {3, {INT64_MAX, 1, 1}, MLS_ESHAPE, "more than memory can hold"},
        {4, {INT32_MAX, INT32_MAX, 1, 1}, MLS_ESHAPE, "more than memory can hold"},
        {9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, MLS_ESHAPE, "input 1 has 9 elements"},
    };
    moved m = begin("Expand", MLS_FLOAT32, 2, (int64_t[]){2, 3});
    op_test_constant(m.test, MLS_INT64, 1, &cases[_i].count, cases[_i].shape);
    ck_assert_fails(op_test_infer(m.test), cases[_i].status, cases[_i].words);
    end(&m);
}
END_TEST

/* --- Tile ------------------------------------------------------------------------------------ */

static void check_tile(mls_dtype dtype, int rank, const int64_t *dims, const int64_t *repeats)
{
    const int64_t n = rank;
    int64_t out_dims[MLS_MAX_RANK], index[MLS_MAX_RANK];
    moved m = begin("Tile", dtype, rank, dims);
    op_test_constant(m.test, MLS_INT64, 1, &n, repeats);
    for (int i = 0; i < rank; i++)
        out_dims[i] = dims[i] * repeats[i];
    int64_t *from = positions(rank, out_dims);
    index_walk walk = {.rank = rank, .dims = out_dims};
    while (next_index(&walk)) {
        for (int i = 0; i < rank; i++)
            index[i] = walk.index[i] % dims[i];
        from[walk.position] = position_of(rank, dims, index);
    }
    expect_moved(&m, rank, out_dims, from);
    free(from);
    end(&m);
}

START_TEST(tiles_random_shapes)
{
    random_state random = {(uint64_t) _i};
    int64_t dims[MLS_MAX_RANK], repeats[MLS_MAX_RANK];
    const int rank = (int) random_in(&random, 0, MLS_MAX_RANK);
    random_dims(&random, rank, random_in(&random, 0, 8) ? 1 : 0, 5, 100, dims);
    random_dims(&random, rank, random_in(&random, 0, 8) ? 1 : 0, 4, 50, repeats);
    check_tile(random_dtype(&random), rank, dims, repeats);
}
END_TEST

START_TEST(tiles_with_threads)
{
    check_tile(MLS_FLOAT32, 2, (int64_t[]){30, 70}, (int64_t[]){5, 11});
    check_tile(MLS_FLOAT32, 1, (int64_t[]){3}, (int64_t[]){50000});
    check_tile(MLS_UINT8, 2, (int64_t[]){3, 1}, (int64_t[]){1, 200000});
}
END_TEST

START_TEST(tile_refuses_what_does_not_fit)
{
    static const struct {
        int64_t count, repeats[3];
        mls_status status;
        const char *words;
    } cases[] = {
        {1, {1}, MLS_ESHAPE, "1 repeats for an input of rank 2"},
        {3, {1, 1, 1}, MLS_ESHAPE, "3 repeats for an input of rank 2"},
        {2, {1, -1}, MLS_EINVAL, "repeat 1 is -1"},
        {2, {INT64_MIN, 1}, MLS_EINVAL, "repeat 0 is -9223372036854775808"},
        {2, {INT64_MAX, 1}, MLS_ESHAPE, "do not fit 64 bits"},
        {2, {INT32_MAX, INT32_MAX}, MLS_ESHAPE, "more than memory can hold"},
    };
    moved m = begin("Tile", MLS_FLOAT32, 2, (int64_t[]){2, 3});
    op_test_constant(m.test, MLS_INT64, 1, &cases[_i].count, cases[_i].repeats);
    ck_assert_fails(op_test_infer(m.test), cases[_i].status, cases[_i].words);
    end(&m);
}
END_TEST

/* Dims beside a 0 may be past all memory. */
START_TEST(empty_tensors_of_absurd_dims)
{
    const int64_t huge = INT64_C(1) << 55;
    check_transpose(MLS_INT64, 3, (int64_t[]){0, 2, huge}, (int[]){1, 2, 0});
    check_transpose(MLS_STRING, 3, (int64_t[]){huge, 3, 0}, NULL);
    const slice_case c = {{1, 1}, {2, huge}, {1, 3}, {0, 1}, 2, true, true};
    check_slice(MLS_STRING, 3, (int64_t[]){huge, 3, 0}, &c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_rearrange");
    TCase *tests = tcase_create("rearrange");
    tcase_add_loop_test(tests, transposes_random_shapes, 0, CASES);
    tcase_add_loop_test(tests, transposes_matrices, 0, 45);
    tcase_add_test(tests, transposes_matrices_of_crowded_rows);
    tcase_add_test(tests, transposes_the_layouts_of_images);
    tcase_add_test(tests, transposes_with_threads);
    tcase_add_test(tests, transpose_follows_smaller_dims);
    tcase_add_loop_test(tests, transpose_refuses_what_is_no_permutation, 0, 5);
    tcase_add_loop_test(tests, slices_random_shapes, 0, 2 * CASES);
    tcase_add_loop_test(tests, slices_every_way_of_a_line, -3, 4);
    tcase_add_loop_test(tests, slices_nothing_from_nothing, 0, 2);
    tcase_add_test(tests, slices_with_threads);
    tcase_add_test(tests, slice_follows_new_contents);
    tcase_add_test(tests, slice_takes_int32);
    tcase_add_loop_test(tests, slice_refuses_what_does_not_fit, 0, 9);
    tcase_add_test(tests, slice_says_what_is_not_known);
    tcase_add_loop_test(tests, expands_random_shapes, 0, CASES);
    tcase_add_test(tests, expands_long_lines);
    tcase_add_loop_test(tests, expand_refuses_what_does_not_fit, 0, 6);
    tcase_add_loop_test(tests, tiles_random_shapes, 0, CASES);
    tcase_add_test(tests, tiles_with_threads);
    tcase_add_loop_test(tests, tile_refuses_what_does_not_fit, 0, 6);
    tcase_add_test(tests, empty_tensors_of_absurd_dims);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
