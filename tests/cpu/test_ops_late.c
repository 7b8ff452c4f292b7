/* SPDX-License-Identifier: Apache-2.0 */
/* NonZero, Compress, Unique and NonMaxSuppression, against plain loops. */
#include "cpu/elements.h"
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- NonZero ---------------------------------------------------------------------------------- */

static const struct {
    mls_dtype dtype;
    uint64_t zeros[2], ones[2]; /* bits that are 0, and that are not */
} kinds[] = {
    {MLS_BOOL, {0, 0}, {1, 1}},
    {MLS_INT8, {0, 0}, {1, 0x80}},
    {MLS_UINT16, {0, 0}, {1, 0x8000}},
    {MLS_INT32, {0, 0}, {1, 0x80000000}},
    {MLS_INT64, {0, 0}, {1, UINT64_C(1) << 63}},
    {MLS_FLOAT16, {0, 0x8000}, {1, 0x7e00}},
    {MLS_BFLOAT16, {0, 0x8000}, {1, 0xff80}},
    {MLS_FLOAT32, {0, 0x80000000}, {1, 0x7fc00000}},
    {MLS_FLOAT64, {0, UINT64_C(1) << 63}, {1, UINT64_C(0x7ff8) << 48}},
};

static void check_non_zero(int kind, int rank, const int64_t *dims, int every)
{
    const mls_dtype dtype = kinds[kind].dtype;
    const size_t size = mls_dtype_size(dtype);
    const int64_t total = count_of(rank, dims);
    char *x = calloc((size_t) total + 1, size);
    int64_t *y = calloc((size_t) (total * rank) + 1, sizeof *y), count = 0;
    for (int64_t i = 0; i < total; i++) {
        const bool is_set = every && i % every == 0;
        memcpy(x + (size_t) i * size,
               is_set ? &kinds[kind].ones[i / every % 2] : &kinds[kind].zeros[i % 2], size);
        count += is_set;
    }
    index_walk walk = {.rank = rank, .dims = dims};
    for (int64_t found = 0; next_index(&walk);)
        if (every && walk.position % every == 0) {
            for (int d = 0; d < rank; d++)
                y[d * count + found] = walk.index[d];
            found++;
        }
    op_test *test = op_test_create("", "NonZero");
    op_test_input(test, dtype, rank, dims, x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT64, OP_DIMS(rank, count), y);
    op_test_free(test);
    free(x);
    free(y);
}

START_TEST(non_zero)
{
    for (int every = 0; every < 4; every++) {
        check_non_zero(_i, 1, (int64_t[]){7}, every);
        check_non_zero(_i, 3, (int64_t[]){2, 3, 5}, every);
        check_non_zero(_i, 2, (int64_t[]){0, 5}, every);
        check_non_zero(_i, 0, NULL, every);
    }
}
END_TEST

/* --- Compress --------------------------------------------------------------------------------- */

static void check_compress(mls_dtype dtype, bool has_axis, int64_t axis, int64_t asked)
{
    const int64_t x_dims[] = {3, 4, 2};
    const int position = (int) (axis < 0 ? axis + 3 : axis);
    uint8_t condition[32];
    int64_t from[24], y_dims[3] = {3, 4, 2}, kept = 0, count = 0;
    for (int64_t i = 0; i < 32; i++)
        condition[i] = i % 3 != 1;
    index_walk walk = {.rank = 3, .dims = x_dims};
    while (next_index(&walk)) {
        const int64_t at = has_axis ? walk.index[position] : walk.position;
        if (at < asked && condition[at])
            from[count++] = walk.position;
    }
    for (int64_t i = 0; i < asked && i < (has_axis ? x_dims[position] : 24); i++)
        kept += condition[i];
    y_dims[has_axis ? position : 0] = kept;
    void *x = make_elements(dtype, 24), *y = pick_elements(dtype, x, from, count, NULL);
    op_test *test = op_test_create("", "Compress");
    if (has_axis)
        op_test_int(test, "axis", axis);
    op_test_input(test, dtype, 3, x_dims, x);
    op_test_input(test, MLS_BOOL, OP_DIMS(asked), condition);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, has_axis ? 3 : 1, y_dims, y);
    op_test_free(test);
    free(x);
    free(y);
}

START_TEST(compress)
{
    for (size_t d = 0; d < sized_dtype_count; d++)
        for (int64_t asked = 0; asked < 8; asked++) {
            for (int64_t axis = -3; axis < 3; axis++)
                check_compress(sized_dtypes[d], true, axis, asked);
            check_compress(sized_dtypes[d], false, 0, 4 * asked);
        }
}
END_TEST

/* --- Unique ----------------------------------------------------------------------------------- */

static const mls_dtype unique_dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_INT8,
                                          MLS_INT64,   MLS_UINT64,  MLS_BOOL,    MLS_STRING};

/* Words whose order is that of their numbers. */
static const mls_string words[] = {OP_STRING(""), OP_STRING("a"), OP_STRING("aa"), OP_STRING("b"),
                                   OP_STRING("ba")};

static void set_number(mls_dtype dtype, void *x, int64_t i, int64_t number)
{
    if (dtype == MLS_STRING)
        ((mls_string *) x)[i] = words[number];
    else if (dtype == MLS_BOOL)
        ((uint8_t *) x)[i] = number > 1;
    else if (op_is_float(dtype))
        op_float_set(dtype, x, i, number == 4 ? (double) NAN : (double) number - 2);
    else
        op_integer_set(dtype, x, i, op_is_signed(dtype) ? number - 2 : number);
}

/* Items [3, 2] of a tensor [3, n, 2], by their numbers. */
static int compare_items(const int64_t *numbers, int64_t n, int64_t a, int64_t b)
{
    for (int64_t o = 0; o < 3; o++)
        for (int64_t j = 0; j < 2; j++) {
            const int64_t p = numbers[(o * n + a) * 2 + j], q = numbers[(o * n + b) * 2 + j];
            if (p != q)
                return p < q ? -1 : 1;
        }
    return 0;
}

typedef struct uniques {
    int64_t count, items[64], inverse[64], counts[64];
} uniques;

/* One item after another takes its place in the list. */
static void list_uniques(const int64_t *numbers, int64_t n, bool is_sorted, uniques *ret)
{
    memset(ret, 0, sizeof *ret);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0;
        while (at < ret->count && compare_items(numbers, n, ret->items[at], i) != 0)
            at++;
        if (at == ret->count) {
            while (is_sorted && at && compare_items(numbers, n, i, ret->items[at - 1]) < 0) {
                ret->items[at] = ret->items[at - 1];
                at--;
            }
            ret->items[at] = i;
            ret->count++;
        }
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t at = 0; at < ret->count; at++)
            if (compare_items(numbers, n, ret->items[at], i) == 0) {
                ret->inverse[i] = at;
                ret->counts[at]++;
            }
}

static void check_unique(mls_dtype dtype, int64_t n, bool is_sorted, uint64_t seed)
{
    int64_t numbers[3 * 64 * 2];
    mls_string x[3 * 64 * 2], y[3 * 64 * 2]; /* of any dtype */
    static uniques list;
    for (int64_t i = 0; i < 6 * n; i++) /* few items that differ, late or soon */
        numbers[i] = i / 2 % n % 3 ? 1 : (int64_t) (op_random(&seed) % (i % 2 ? 5 : 2));
    for (int64_t i = 0; i < 6 * n; i++) {
        numbers[i] = dtype == MLS_BOOL ? 2 * (numbers[i] > 1) : numbers[i];
        set_number(dtype, x, i, numbers[i]);
    }
    list_uniques(numbers, n, is_sorted, &list);
    for (int64_t i = 0; i < 6 * list.count; i++)
        set_number(
            dtype, y, i,
            numbers[(i / (2 * list.count) * n + list.items[i / 2 % list.count]) * 2 + i % 2]);
    op_test *test = op_test_create("", "Unique");
    op_test_outputs(test, 4);
    op_test_int(test, "axis", -2);
    op_test_int(test, "sorted", is_sorted);
    op_test_input(test, dtype, OP_DIMS(3, n, 2), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, dtype, OP_DIMS(3, list.count, 2), y);
    op_test_expect(test, 1, MLS_INT64, OP_DIMS(list.count), list.items);
    op_test_expect(test, 2, MLS_INT64, OP_DIMS(n), list.inverse);
    op_test_expect(test, 3, MLS_INT64, OP_DIMS(list.count), list.counts);
    op_test_free(test);
}

START_TEST(unique_items)
{
    for (int64_t n = 1; n <= 64; n += n < 9 ? 1 : 11)
        for (int sorted = 0; sorted < 2; sorted++)
            check_unique(unique_dtypes[_i], n, sorted, (uint64_t) n);
}
END_TEST

START_TEST(unique_elements)
{
    const float x[] = {2, -0.0f, NAN, 0, 2, -INFINITY, NAN};
    const float sorted[] = {-INFINITY, -0.0f, 2, NAN}, found[] = {2, -0.0f, NAN, -INFINITY};
    for (int is_sorted = 0; is_sorted < 2; is_sorted++) {
        op_test *test = op_test_create("", "Unique");
        op_test_int(test, "sorted", is_sorted);
        op_test_input(test, MLS_FLOAT32, OP_DIMS(7, 1), x);
        ck_assert_ok(op_test_run(test));
        op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(4), is_sorted ? sorted : found);
        op_test_free(test);
    }
    op_test *test = op_test_create("", "Unique");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(0), x);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_FLOAT32, OP_DIMS(0), x);
    op_test_free(test);
}
END_TEST

/* --- NonMaxSuppression ------------------------------------------------------------------------ */

enum { BATCHES = 2, CLASSES = 3, MAX_BOXES = 60 };

typedef struct suppression {
    int64_t boxes, limit;
    float threshold, score; /* score: NAN is none */
    bool is_centered;
} suppression;

static const suppression suppressions[] = {
    {60, 100, 0.5f, NAN, false}, {60, 5, 0.3f, 0.4f, false}, {60, 60, 0.0f, 0.2f, true},
    {60, 7, 0.6f, NAN, true},    {1, 3, 0.5f, 0.0f, false},  {60, 0, 0.5f, NAN, false},
    {60, -4, 0.5f, NAN, false},  {0, 5, 0.5f, NAN, false},   {60, 100, 0.5f, 2.0f, false},
};

/* Left, top, right, bottom. */
static void edges(const suppression *s, const float *b, double *ret)
{
    for (int i = 0; i < 2; i++) {
        const double p = (double) b[s->is_centered ? i : 1 - i];
        const double q = (double) b[s->is_centered ? 2 + i : 3 - i];
        ret[i] = s->is_centered ? p - q / 2 : fmin(p, q);
        ret[2 + i] = s->is_centered ? p + q / 2 : fmax(p, q);
    }
}

static bool overlaps(const suppression *s, const float *a, const float *b)
{
    double p[4], q[4];
    edges(s, a, p);
    edges(s, b, q);
    const double width = fmin(p[2], q[2]) - fmax(p[0], q[0]);
    const double height = fmin(p[3], q[3]) - fmax(p[1], q[1]);
    const double shared = width > 0 && height > 0 ? width * height : 0;
    const double all = (p[2] - p[0]) * (p[3] - p[1]) + (q[2] - q[0]) * (q[3] - q[1]) - shared;
    return shared > 0 && shared / all > (double) s->threshold;
}

/* The best box that is left, until there is none. */
static int64_t suppress(const suppression *s, const float *boxes, const float *scores,
                        int64_t *ret_taken)
{
    bool gone[MAX_BOXES] = {false};
    int64_t taken = 0;
    while (taken < s->limit) {
        int64_t best = -1;
        for (int64_t i = 0; i < s->boxes; i++)
            if (!gone[i] && !(scores[i] <= s->score) && (best < 0 || scores[i] > scores[best]))
                best = i;
        if (best < 0)
            break;
        for (int64_t i = 0; i < s->boxes; i++)
            gone[i] = gone[i] || overlaps(s, boxes + 4 * i, boxes + 4 * best);
        gone[best] = true;
        ret_taken[taken++] = best;
    }
    return taken;
}

/* Quarters: areas are exact in float32, and scores often equal. */
static void make_boxes(float *boxes, float *scores)
{
    uint64_t seed = 77;
    for (int64_t i = 0; i < BATCHES * MAX_BOXES * 4; i++)
        boxes[i] = (float) (op_random(&seed) % 32 + 1) / 4;
    for (int64_t i = 0; i < BATCHES * CLASSES * MAX_BOXES; i++)
        scores[i] = (float) (op_random(&seed) % 33) / 32;
}

START_TEST(non_max)
{
    const suppression *s = &suppressions[_i];
    static float boxes[BATCHES * MAX_BOXES * 4], scores[BATCHES * CLASSES * MAX_BOXES];
    static int64_t expected[BATCHES * CLASSES * MAX_BOXES][3];
    int64_t count = 0, taken[MAX_BOXES];
    make_boxes(boxes, scores);
    for (int64_t i = 0; i < BATCHES * CLASSES; i++) {
        const int64_t found =
            suppress(s, boxes + i / CLASSES * s->boxes * 4, scores + i * s->boxes, taken);
        for (int64_t j = 0; j < found; j++, count++)
            memcpy(expected[count], (int64_t[]){i / CLASSES, i % CLASSES, taken[j]},
                   sizeof expected[count]);
    }
    op_test *test = op_test_create("", "NonMaxSuppression");
    op_test_int(test, "center_point_box", s->is_centered);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(BATCHES, s->boxes, 4), boxes);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(BATCHES, CLASSES, s->boxes), scores);
    op_test_known(test, MLS_INT64, OP_DIMS(1), &s->limit);
    op_test_input(test, MLS_FLOAT32, OP_SCALAR, &s->threshold);
    if (!isnan(s->score))
        op_test_input(test, MLS_FLOAT32, OP_DIMS(1), &s->score);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT64, OP_DIMS(count, 3), expected);
    op_test_free(test);
}
END_TEST

START_TEST(non_max_of_odd_scores)
{
    const float boxes[5][4] = {
        {0, 0, 1, 1}, {2, 2, 3, 3}, {4, 4, 5, 5}, {6, 6, 7, 7}, {8, 8, 9, 9}};
    const float scores[] = {-0.0f, NAN, 0.0f, INFINITY, -3};
    const int64_t limit = 9, expected[4][3] = {{0, 0, 3}, {0, 0, 0}, {0, 0, 2}, {0, 0, 4}};
    op_test *test = op_test_create("", "NonMaxSuppression");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 5, 4), boxes);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 5), scores);
    op_test_constant(test, MLS_INT64, OP_SCALAR, &limit);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, MLS_INT64, OP_DIMS(4, 3), expected);
    op_test_free(test);
    test = op_test_create("", "NonMaxSuppression");
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 4, 5), boxes);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 1, 4), scores);
    ck_assert_fails(op_test_infer(test), MLS_ESHAPE, "boxes and scores do not go together");
    op_test_free(test);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_late");
    TCase *tests = tcase_create("late");
    tcase_add_loop_test(tests, non_zero, 0, COUNT(kinds));
    tcase_add_test(tests, compress);
    tcase_add_loop_test(tests, unique_items, 0, COUNT(unique_dtypes));
    tcase_add_test(tests, unique_elements);
    tcase_add_loop_test(tests, non_max, 0, COUNT(suppressions));
    tcase_add_test(tests, non_max_of_odd_scores);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
