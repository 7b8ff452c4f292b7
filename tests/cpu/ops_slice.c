/* SPDX-License-Identifier: Apache-2.0 */
/* Slice against an index-by-index reference. */
#include "cpu/moved_test.h"
#include "cpu/topics.h"

#include <stdlib.h>
#include <string.h>

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
    moved m = moved_begin("Slice", dtype, rank, dims);
    const int64_t n = (int64_t) c->count;
    op_test_constant(m.test, MLS_INT64, 1, &n, c->start);
    op_test_known(m.test, MLS_INT64, 1, &n, c->end);
    if (c->has_axes)
        op_test_constant(m.test, MLS_INT64, 1, &n, c->axes);
    else
        op_test_left_out(m.test);
    if (c->has_steps)
        op_test_constant(m.test, MLS_INT64, 1, &n, c->step);
    int64_t *from = moved_positions(rank, out_dims);
    index_walk walk = {.rank = rank, .dims = out_dims};
    while (next_index(&walk)) {
        for (int i = 0; i < rank; i++)
            index[i] = walk.index[i] ? first[i] + walk.index[i] * step[i] : first[i];
        from[walk.position] = position_of(rank, dims, index);
    }
    moved_expect(&m, rank, out_dims, from);
    free(from);
    moved_end(&m);
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
    moved m = moved_begin("Slice", MLS_INT32, 2, (int64_t[]){4, 5});
    op_test_planned(m.test, OP_DIMS(10, 5), NULL);
    op_test_known(m.test, MLS_INT64, OP_DIMS(2), (int64_t[]){2, 1});
    op_test_planned(m.test, OP_DIMS(2), (int64_t[]){0, 0});
    op_test_known(m.test, MLS_INT64, OP_DIMS(2), (int64_t[]){4, 3});
    op_test_planned(m.test, OP_DIMS(2), (int64_t[]){10, 5});
    moved_expect(&m, OP_DIMS(2, 2), (int64_t[]){11, 12, 16, 17});
    moved_end(&m);
}
END_TEST

START_TEST(slice_takes_int32)
{
    moved m = moved_begin("Slice", MLS_STRING, 1, (int64_t[]){4});
    op_test_constant(m.test, MLS_INT32, OP_DIMS(1), (int32_t[]){-1});
    op_test_constant(m.test, MLS_INT32, OP_DIMS(1), (int32_t[]){INT32_MIN});
    op_test_constant(m.test, MLS_INT32, OP_DIMS(1), (int32_t[]){-1});
    op_test_constant(m.test, MLS_INT32, OP_DIMS(1), (int32_t[]){-2});
    moved_expect(&m, OP_DIMS(2), (int64_t[]){3, 1});
    moved_end(&m);
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
    moved m = moved_begin("Slice", MLS_FLOAT32, 2, (int64_t[]){2, 2});
    op_test_constant(m.test, MLS_INT64, 1, &cases[_i].starts, zeros);
    op_test_constant(m.test, MLS_INT64, 1, &cases[_i].ends, zeros);
    if (cases[_i].axes)
        op_test_constant(m.test, MLS_INT64, 1, &cases[_i].axes, cases[_i].axis);
    else
        op_test_left_out(m.test);
    if (cases[_i].steps)
        op_test_constant(m.test, MLS_INT64, 1, &cases[_i].steps, cases[_i].step);
    ck_assert_fails(op_test_infer(m.test), cases[_i].status, cases[_i].words);
    moved_end(&m);
}
END_TEST

START_TEST(slice_says_what_is_not_known)
{
    moved m = moved_begin("Slice", MLS_FLOAT32, 1, (int64_t[]){3});
    op_test_constant(m.test, MLS_INT64, OP_DIMS(1), (int64_t[]){0});
    op_test_input(m.test, MLS_INT64, OP_DIMS(1), (int64_t[]){1});
    ck_assert_fails(op_test_infer(m.test), MLS_ESTATE, "input 2 decides a shape");
    moved_end(&m);
}
END_TEST

/* Dims beside a 0 may be past all memory. */
START_TEST(slices_nothing_of_absurd_dims)
{
    const int64_t huge = INT64_C(1) << 55;
    const slice_case c = {{1, 1}, {2, huge}, {1, 3}, {0, 1}, 2, true, true};
    check_slice(MLS_STRING, 3, (int64_t[]){huge, 3, 0}, &c);
}
END_TEST

void add_slice(TCase *tests)
{
    tcase_add_loop_test(tests, slices_random_shapes, 0, 2 * CASES);
    tcase_add_loop_test(tests, slices_every_way_of_a_line, -3, 4);
    tcase_add_loop_test(tests, slices_nothing_from_nothing, 0, 2);
    tcase_add_test(tests, slices_with_threads);
    tcase_add_test(tests, slice_follows_new_contents);
    tcase_add_test(tests, slice_takes_int32);
    tcase_add_loop_test(tests, slice_refuses_what_does_not_fit, 0, 9);
    tcase_add_test(tests, slice_says_what_is_not_known);
    tcase_add_test(tests, slices_nothing_of_absurd_dims);
}
