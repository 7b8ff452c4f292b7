/* SPDX-License-Identifier: Apache-2.0 */
/* Pad against an index-by-index reference that walks from element to element. */
#include "cpu/elements.h"
#include "cpu/op_harness.h"

#include <stdlib.h>
#include <string.h>

#define CASES 100

static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
enum { CONSTANT, REFLECT, EDGE, WRAP };

typedef struct padded {
    int mode;
    mls_dtype dtype;
    int rank;
    int64_t dims[MLS_MAX_RANK], begin[MLS_MAX_RANK], end[MLS_MAX_RANK];
    bool has_value;
    int axis_count; /* -1: no axes input */
    int axes[MLS_MAX_RANK];
} padded;

/* One step at a time from the kept elements [low, high) to `position`: -1 is the value. */
static int64_t walk_to(int mode, int64_t low, int64_t high, int64_t position)
{
    if (position >= low && position < high)
        return position;
    if (mode == CONSTANT || low >= high)
        return -1;
    const int direction = position < low ? -1 : 1;
    int64_t at = position < low ? low : high - 1, step = direction;
    for (int64_t i = at; i != position; i += direction) {
        if (mode == EDGE || high - low == 1)
            continue;
        if (at + step < low || at + step >= high) {
            if (mode == REFLECT)
                step = -step;
            else
                at = direction < 0 ? high : low - 1;
        }
        at += step;
    }
    return at;
}

static int64_t source_of(const padded *p, const int64_t *out_index)
{
    int64_t index[MLS_MAX_RANK];
    for (int i = 0; i < p->rank; i++) {
        const int64_t low = p->begin[i] < 0 ? -p->begin[i] : 0;
        const int64_t high = p->end[i] < 0 ? p->dims[i] + p->end[i] : p->dims[i];
        index[i] = walk_to(p->mode, low, high, out_index[i] - p->begin[i]);
        if (index[i] < 0)
            return -1;
    }
    return position_of(p->rank, p->dims, index);
}

static op_test *make_test(const padded *p, const void *data, const void *value)
{
    int64_t pads[2 * MLS_MAX_RANK], axes[MLS_MAX_RANK];
    const int count = p->axis_count < 0 ? p->rank : p->axis_count;
    for (int i = 0; i < count; i++) {
        const int axis = p->axis_count < 0 ? i : p->axes[i];
        pads[i] = p->begin[axis];
        pads[count + i] = p->end[axis];
        axes[i] = i % 2 ? axis - p->rank : axis;
    }
    op_test *t = op_test_create("", "Pad");
    if (p->mode != CONSTANT)
        op_test_string(t, "mode", modes[p->mode]);
    op_test_input(t, p->dtype, p->rank, p->dims, data);
    op_test_constant(t, MLS_INT64, OP_DIMS(2 * count), pads);
    if (p->has_value)
        op_test_input(t, p->dtype, OP_SCALAR, value);
    else if (p->axis_count >= 0)
        op_test_left_out(t);
    if (p->axis_count >= 0)
        op_test_constant(t, MLS_INT64, OP_DIMS(count), axes);
    return t;
}

static void check(const padded *p)
{
    int64_t out_dims[MLS_MAX_RANK];
    for (int i = 0; i < p->rank; i++)
        out_dims[i] = p->dims[i] + p->begin[i] + p->end[i];
    const int64_t count = count_of(p->rank, out_dims);
    int64_t *from = malloc(((size_t) count + 1) * sizeof *from);
    index_walk walk = {.rank = p->rank, .dims = out_dims};
    while (next_index(&walk))
        from[walk.position] = source_of(p, walk.index);

    void *data = make_elements(p->dtype, count_of(p->rank, p->dims));
    void *values = make_elements(p->dtype, 100);
    const mls_string zero = {NULL, 0};
    const char *value =
        p->has_value ? (char *) values + 99 * mls_dtype_size(p->dtype) : (const char *) &zero;
    void *expected = pick_elements(p->dtype, data, from, count, value);
    op_test *t = make_test(p, data, value);
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, p->dtype, p->rank, out_dims, expected);
    op_test_free(t);
    free(expected);
    free(values);
    free(data);
    free(from);
}

/* Pads that leave something to pad from, unless the value is what pads. */
static void random_pads(random_state *random, padded *p, int axis)
{
    const int64_t dim = p->dims[axis];
    int64_t *begin = &p->begin[axis], *end = &p->end[axis];
    do {
        *begin = random_in(random, -dim - 1, dim + 4);
        *end = random_in(random, -dim - 1, dim + 4);
    } while (dim + *begin + *end < 0 ||
             (p->mode != CONSTANT && dim + *begin + *end > 0 &&
              dim + (*begin < 0 ? *begin : 0) + (*end < 0 ? *end : 0) <= 0));
}

START_TEST(pads_random_shapes)
{
    random_state random = {(uint64_t) _i};
    padded p = {.mode = _i % 4,
                .dtype = random_dtype(&random),
                .has_value = random_in(&random, 0, 1),
                .axis_count = -1};
    p.rank = (int) random_in(&random, 0, MLS_MAX_RANK);
    random_dims(&random, p.rank, random_in(&random, 0, 8) ? 1 : 0, 4, 200, p.dims);
    const int count = (int) random_in(&random, 0, p.rank > 4 ? 4 : p.rank);
    random_axes(&random, p.rank, count, p.axes);
    for (int i = 0; i < count; i++)
        random_pads(&random, &p, p.axes[i]);
    if (random_in(&random, 0, 1))
        p.axis_count = count;
    check(&p);
}
END_TEST

START_TEST(pads_images_of_each_size)
{
    for (size_t i = 0; i < sized_dtype_count; i++) {
        padded p = {.mode = _i,
                    .dtype = sized_dtypes[i],
                    .rank = 4,
                    .dims = {2, 3, 5, 6},
                    .begin = {0, 0, 1, 2},
                    .end = {0, 0, 3, 40},
                    .axis_count = -1,
                    .has_value = i % 2};
        check(&p);
        p = (padded){.mode = _i,
                     .dtype = sized_dtypes[i],
                     .rank = 3,
                     .dims = {4, 5, 3},
                     .begin = {1, 2, 0},
                     .end = {0, 1, 0},
                     .axis_count = -1,
                     .has_value = i % 2};
        check(&p);
    }
}
END_TEST

START_TEST(pads_with_threads)
{
    const padded images = {.mode = _i,
                           .dtype = MLS_FLOAT32,
                           .rank = 3,
                           .dims = {7, 100, 120},
                           .begin = {0, 1, 1},
                           .end = {0, 1, 2},
                           .axis_count = -1};
    const padded rows = {.mode = _i,
                         .dtype = MLS_FLOAT32,
                         .rank = 2,
                         .dims = {300, 301},
                         .begin = {1, 0},
                         .end = {2, 0},
                         .axis_count = -1};
    check(&images);
    check(&rows);
}
END_TEST

START_TEST(pad_follows_smaller_dims_and_new_pads)
{
    op_test *t = op_test_create("", "Pad");
    op_test_input(t, MLS_INT32, OP_DIMS(1, 2), (int32_t[]){1, 2});
    op_test_planned(t, OP_DIMS(3, 4), NULL);
    op_test_known(t, MLS_INT64, OP_DIMS(4), (int64_t[]){0, 1, 0, 0});
    op_test_planned(t, OP_DIMS(4), (int64_t[]){1, 0, 1, 2});
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_INT32, OP_DIMS(1, 3), (int32_t[]){0, 1, 2});
    op_test_free(t);
}
END_TEST

START_TEST(pad_refuses_what_does_not_fit)
{
    static const struct {
        const char *mode;
        int64_t pad_count, pads[4];
        int64_t axis_count, axes[2]; /* 0: none */
        mls_status status;
        const char *words;
    } cases[] = {
        {"mirror", 4, {0}, 0, {0}, MLS_EINVAL, "mode 'mirror' is none of"},
        {"edge", 3, {0}, 0, {0}, MLS_ESHAPE, "3 pads for a rank of 2"},
        {"edge", 2, {0}, 0, {0}, MLS_ESHAPE, "2 pads for a rank of 2"},
        {"edge", 4, {0}, 1, {0}, MLS_ESHAPE, "pads for 2 axes; there are 1"},
        {"edge", 4, {0}, 2, {1, -1}, MLS_EINVAL, "axis 1 appears twice in input 3"},
        {"edge", 2, {0}, 1, {2}, MLS_EINVAL, "axis 2 is outside [-2, 1]"},
        {"constant",
         4,
         {0, -2, 0, -2},
         0,
         {0},
         MLS_ESHAPE,
         "pads -2 and -2 of axis 1 do not go with its 3 elements"},
        {"constant", 4, {INT64_MAX, 0, 0, 0}, 0, {0}, MLS_ESHAPE, "of axis 0 do not go with"},
        {"constant", 4, {INT64_MIN, 0, INT64_MIN, 0}, 0, {0}, MLS_ESHAPE, "do not go with"},
        {"constant", 4, {0, INT64_MAX - 3, 0, 0}, 0, {0}, MLS_ESHAPE, "memory can hold"},
        {"reflect", 4, {-3, 0, 4, 0}, 0, {0}, MLS_ESHAPE, "nothing of the 2 elements of axis 0"},
        {"wrap", 4, {5, 0, -2, 0}, 0, {0}, MLS_ESHAPE, "nothing of the 2 elements of axis 0"},
    };
    op_test *t = op_test_create("", "Pad");
    op_test_string(t, "mode", cases[_i].mode);
    op_test_input(t, MLS_FLOAT32, OP_DIMS(2, 3), (const float[6]){0});
    op_test_constant(t, MLS_INT64, 1, &cases[_i].pad_count, cases[_i].pads);
    op_test_left_out(t);
    if (cases[_i].axis_count)
        op_test_constant(t, MLS_INT64, 1, &cases[_i].axis_count, cases[_i].axes);
    ck_assert_fails(op_test_infer(t), cases[_i].status, cases[_i].words);
    op_test_free(t);
}
END_TEST

START_TEST(pads_may_cross_all_bounds_and_come_back)
{
    op_test *t = op_test_create("", "Pad");
    op_test_input(t, MLS_FLOAT32, OP_DIMS(2), (float[]){1, 2});
    op_test_constant(t, MLS_INT64, OP_DIMS(2), (int64_t[]){INT64_MIN, INT64_MAX});
    op_test_input(t, MLS_FLOAT32, OP_DIMS(1), (float[]){3});
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_FLOAT32, OP_DIMS(1), (float[]){3});
    op_test_free(t);
}
END_TEST

START_TEST(pad_checks_the_value)
{
    op_test *t = op_test_create("", "Pad");
    op_test_input(t, MLS_FLOAT32, OP_DIMS(1), (float[]){1});
    op_test_constant(t, MLS_INT64, OP_DIMS(2), (int64_t[]){0, 0});
    if (_i)
        op_test_input(t, MLS_FLOAT32, OP_DIMS(2), (float[]){1, 2});
    else
        op_test_input(t, MLS_INT32, OP_SCALAR, (int32_t[]){1});
    ck_assert_fails(op_test_infer(t), _i ? MLS_ESHAPE : MLS_EDTYPE,
                    _i ? "is not a scalar" : "the value, is int32, input 0 is float32");
    op_test_free(t);
}
END_TEST

START_TEST(pad_says_what_is_not_known)
{
    op_test *t = op_test_create("", "Pad");
    op_test_input(t, MLS_FLOAT32, OP_DIMS(1), (float[]){1});
    op_test_input(t, MLS_INT64, OP_DIMS(2), (int64_t[]){0, 0});
    ck_assert_fails(op_test_infer(t), MLS_ESTATE, "input 1 decides a shape");
    op_test_free(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_pad");
    TCase *tests = tcase_create("pad");
    tcase_add_loop_test(tests, pads_random_shapes, 0, CASES);
    tcase_add_loop_test(tests, pads_images_of_each_size, 0, 4);
    tcase_add_loop_test(tests, pads_with_threads, 0, 4);
    tcase_add_test(tests, pad_follows_smaller_dims_and_new_pads);
    tcase_add_loop_test(tests, pad_refuses_what_does_not_fit, 0, 12);
    tcase_add_test(tests, pads_may_cross_all_bounds_and_come_back);
    tcase_add_loop_test(tests, pad_checks_the_value, 0, 2);
    tcase_add_test(tests, pad_says_what_is_not_known);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
