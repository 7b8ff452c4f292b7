/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views against an array that is copied, element by element, at every step: chains of
 * random views must show the same elements, and be refused in the same cases.
 */
#include "support/test.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { CHAINS = 1500, STEPS = 8, MOST = 4096 };

static mls_context *context;

static void set_up(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
}

static void tear_down(void)
{
    mls_context_free(context);
}

/* A view as it should be: for each element, in row-major order, where it lies in memory. */
typedef struct array {
    int rank;
    int64_t dims[MLS_MAX_RANK];
    int64_t count;
    int32_t places[MOST];
} array;

/* The index along each dimension of the element at `flat`. */
static void unravel(const array *a, int64_t flat, int64_t *index)
{
    for (int i = a->rank - 1; i >= 0; i--) {
        index[i] = flat % a->dims[i];
        flat /= a->dims[i];
    }
}

static int64_t ravel(const array *a, const int64_t *index)
{
    int64_t flat = 0;
    for (int i = 0; i < a->rank; i++)
        flat = flat * a->dims[i] + index[i];
    return flat;
}

static void set_count(array *a)
{
    a->count = 1;
    for (int i = 0; i < a->rank; i++)
        a->count *= a->dims[i];
}

static bool shows_places(const mls_tensor *tensor, const array *a, const int32_t *memory)
{
    for (int64_t flat = 0; flat < a->count; flat++) {
        int64_t index[MLS_MAX_RANK];
        const int32_t *element = mls_tensor_data(tensor);
        unravel(a, flat, index);
        for (int i = 0; i < a->rank; i++)
            element += index[i] * mls_tensor_strides(tensor)[i];
        if (element - memory != a->places[flat])
            return false;
    }
    return true;
}

static void expect_equal(const mls_tensor *tensor, const array *a, const int32_t *memory)
{
    ck_assert_int_eq(mls_tensor_rank(tensor), a->rank);
    ck_assert_int_eq(mls_tensor_element_count(tensor), a->count);
    for (int i = 0; i < a->rank; i++)
        ck_assert_int_eq(mls_tensor_dims(tensor)[i], a->dims[i]);
    ck_assert(shows_places(tensor, a, memory));
}

static int64_t between(uint64_t *random, int64_t low, int64_t high)
{
    return low + (int64_t) mls_test_random_below(random, (size_t) (high - low + 1));
}

static mls_status random_slice(uint64_t *random, const mls_tensor *tensor, const array *a,
                               array *expected, mls_tensor **ret_view)
{
    if (a->rank == 0)
        return mls_tensor_slice(tensor, 0, 0, 1, 1, ret_view);
    const int axis = (int) between(random, 0, a->rank - 1);
    const int64_t dim = a->dims[axis], step = between(random, -3, 3);
    const int64_t start = between(random, -2, dim + 1), stop = between(random, -2, dim + 1);
    static int64_t taken[MOST + 4];
    int64_t count = 0;
    bool is_inside = true;
    for (int64_t i = start; step && (step > 0 ? i < stop : i > stop); i += step) {
        is_inside = is_inside && i >= 0 && i < dim;
        taken[count++] = i;
    }
    const mls_status status = mls_tensor_slice(tensor, axis - (between(random, 0, 1) ? a->rank : 0),
                                               start, stop, step, ret_view);
    ck_assert_int_eq(status, !step ? MLS_EINVAL : is_inside ? MLS_OK : MLS_ERANGE);
    if (status)
        return status;
    expected->rank = a->rank;
    memcpy(expected->dims, a->dims, sizeof a->dims);
    expected->dims[axis] = count;
    set_count(expected);
    for (int64_t flat = 0; flat < expected->count; flat++) {
        int64_t index[MLS_MAX_RANK];
        unravel(expected, flat, index);
        index[axis] = taken[index[axis]];
        expected->places[flat] = a->places[ravel(a, index)];
    }
    return MLS_OK;
}

static mls_status random_permute(uint64_t *random, const mls_tensor *tensor, const array *a,
                                 array *expected, mls_tensor **ret_view)
{
    int axes[MLS_MAX_RANK];
    for (int i = 0; i < a->rank; i++) {
        const int at = (int) between(random, 0, i);
        axes[i] = axes[at];
        axes[at] = i;
    }
    ck_assert_ok(mls_tensor_permute(tensor, axes, ret_view));
    expected->rank = a->rank;
    for (int i = 0; i < a->rank; i++)
        expected->dims[i] = a->dims[axes[i]];
    set_count(expected);
    for (int64_t flat = 0; flat < expected->count; flat++) {
        int64_t to[MLS_MAX_RANK], from[MLS_MAX_RANK];
        unravel(expected, flat, to);
        for (int i = 0; i < a->rank; i++)
            from[axes[i]] = to[i];
        expected->places[flat] = a->places[ravel(a, from)];
    }
    return MLS_OK;
}

/* Splits a number of elements into dims, with ones here and there. */
static int random_split(uint64_t *random, int64_t count, int64_t *dims)
{
    int rank = 0;
    while (rank < MLS_MAX_RANK - 1 && between(random, 0, 4)) {
        int64_t dim = between(random, 1, 6);
        while (count % dim)
            dim--;
        dims[rank++] = dim;
        count /= dim;
    }
    if (count != 1 || between(random, 0, 1))
        dims[rank++] = count;
    return rank;
}

/* Whether some strides reach the places of `a`: those that its first elements ask for. */
static bool has_strides(const array *a)
{
    int64_t strides[MLS_MAX_RANK] = {0}, index[MLS_MAX_RANK] = {0};
    for (int i = 0; i < a->rank; i++) {
        index[i] = 1;
        if (a->dims[i] > 1)
            strides[i] = a->places[ravel(a, index)] - a->places[0];
        index[i] = 0;
    }
    for (int64_t flat = 0; flat < a->count; flat++) {
        int64_t place = a->places[0];
        unravel(a, flat, index);
        for (int i = 0; i < a->rank; i++)
            place += index[i] * strides[i];
        if (place != a->places[flat])
            return false;
    }
    return true;
}

static mls_status random_reshape(uint64_t *random, const mls_tensor *tensor, const array *a,
                                 array *expected, mls_tensor **ret_view)
{
    int64_t dims[MLS_MAX_RANK];
    *expected = *a;
    expected->rank = random_split(random, a->count ? a->count : 60, expected->dims);
    if (!a->count && expected->rank)
        expected->dims[between(random, 0, expected->rank - 1)] = 0;
    set_count(expected);
    memcpy(dims, expected->dims, sizeof dims);
    if (a->count && expected->rank && between(random, 0, 1))
        dims[between(random, 0, expected->rank - 1)] = -1;
    const mls_status status = mls_tensor_reshape(tensor, expected->rank, dims, ret_view);
    ck_assert_int_eq(status, expected->count != a->count ? MLS_ESHAPE
                             : has_strides(expected)     ? MLS_OK
                                                         : MLS_EUNSUPPORTED);
    return status;
}

static mls_status random_broadcast(uint64_t *random, const mls_tensor *tensor, const array *a,
                                   array *expected, mls_tensor **ret_view)
{
    const int added = (int) between(random, 0, MLS_MAX_RANK - a->rank > 1 ? 1 : 0);
    bool fits = true;
    expected->rank = a->rank + added;
    for (int i = 0; i < expected->rank; i++) {
        const int64_t dim = i < added ? 1 : a->dims[i - added];
        expected->dims[i] = dim == 1 ? between(random, 0, 9) ? between(random, 1, 3) : 0 : dim;
        if (dim != 1 && between(random, 0, 30) == 0) {
            expected->dims[i] = dim + 1;
            fits = false;
        }
    }
    set_count(expected);
    const mls_status status =
        mls_tensor_broadcast(tensor, expected->rank, expected->dims, ret_view);
    ck_assert_int_eq(status, fits ? MLS_OK : MLS_ESHAPE);
    for (int64_t flat = 0; !status && flat < expected->count && expected->count <= MOST; flat++) {
        int64_t index[MLS_MAX_RANK];
        unravel(expected, flat, index);
        for (int i = 0; i < a->rank; i++)
            index[i] = a->dims[i] == 1 ? 0 : index[i + added];
        expected->places[flat] = a->places[ravel(a, index)];
    }
    return status;
}

typedef mls_status (*random_view)(uint64_t *random, const mls_tensor *tensor, const array *a,
                                  array *expected, mls_tensor **ret_view);

static const random_view views[] = {random_slice, random_permute, random_reshape, random_broadcast};

static mls_tensor *random_tensor(uint64_t *random, array *a, int32_t *memory)
{
    mls_tensor *tensor;
    a->rank = (int) between(random, 0, 4);
    for (int i = 0; i < a->rank; i++)
        a->dims[i] = between(random, 1, 6);
    set_count(a);
    for (int32_t i = 0; i < a->count; i++)
        a->places[i] = i;
    ck_assert_ok(
        mls_tensor_wrap(context, MLS_INT32, a->rank, a->dims, NULL, memory, NULL, NULL, &tensor));
    return tensor;
}

START_TEST(chains_of_views_show_the_right_elements)
{
    static array a, expected;
    static int32_t memory[MOST];
    uint64_t random = 6;
    size_t made[4] = {0}, refused = 0;
    for (int chain = 0; chain < CHAINS; chain++) {
        mls_tensor *tensor = random_tensor(&random, &a, memory);
        for (int step = 0; step < STEPS; step++) {
            const size_t kind = mls_test_random_below(&random, 4);
            mls_tensor *view = NULL;
            if (views[kind](&random, tensor, &a, &expected, &view)) {
                ck_assert_ptr_null(view);
                refused++;
                continue;
            }
            mls_tensor_free(tensor);
            tensor = view;
            if (expected.count > MOST)
                break;
            expect_equal(tensor, &expected, memory);
            a = expected;
            made[kind]++;
        }
        mls_tensor_free(tensor);
    }
    for (size_t kind = 0; kind < 4; kind++)
        ck_assert_uint_gt(made[kind], CHAINS / 3);
    ck_assert_uint_gt(refused, CHAINS / 3);
}
END_TEST

static mls_tensor *matrix(int64_t rows, int64_t columns)
{
    const int64_t dims[] = {rows, columns};
    mls_tensor *tensor;
    ck_assert_ok(mls_tensor_create(context, MLS_FLOAT32, 2, dims, &tensor));
    return tensor;
}

START_TEST(slice_takes_extreme_numbers)
{
    static const struct {
        int64_t start, stop, step;
        mls_status status;
        int64_t taken;
    } rows[] = {
        {0, INT64_MAX, INT64_MAX, MLS_OK, 1},
        {4, INT64_MIN + 4, INT64_MIN, MLS_OK, 1},
        {4, INT64_MIN, INT64_MIN, MLS_ERANGE, 0},
        {0, 6, 4, MLS_OK, 2}, /* the last one taken is 4, before the end */
        {4, -1, -1, MLS_OK, 5},
        {INT64_MAX, INT64_MIN, 1, MLS_OK, 0},
        {INT64_MIN, INT64_MAX, -1, MLS_OK, 0},
        {0, INT64_MAX, 1, MLS_ERANGE, 0},
        {INT64_MIN, INT64_MAX, 1, MLS_ERANGE, 0},
        {INT64_MAX, INT64_MIN, -1, MLS_ERANGE, 0},
        {INT64_MIN, INT64_MAX, INT64_MAX, MLS_ERANGE, 0},
        {5, 6, 1, MLS_ERANGE, 0},
        {-1, 2, 1, MLS_ERANGE, 0},
    };
    mls_tensor *tensor = matrix(5, 1000);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        mls_tensor *view;
        const mls_status status =
            mls_tensor_slice(tensor, 0, rows[i].start, rows[i].stop, rows[i].step, &view);
        ck_assert_msg(status == rows[i].status, "row %zu: %s", i, mls_status_name(status));
        if (status)
            continue;
        ck_assert_int_eq(mls_tensor_dims(view)[0], rows[i].taken);
        mls_tensor_free(view);
    }
    mls_tensor_free(tensor);
}
END_TEST

START_TEST(arguments_are_checked)
{
    mls_tensor *tensor = matrix(2, 3), *view = NULL;
    const char *null_words = "must not be NULL";
    ck_assert_fails(mls_tensor_slice(tensor, 2, 0, 1, 1, &view), MLS_EINVAL, "no axis 2 in 2");
    ck_assert_fails(mls_tensor_slice(tensor, -3, 0, 1, 1, &view), MLS_EINVAL, "no axis -3");
    ck_assert_fails(mls_tensor_slice(tensor, 1, 0, 1, 0, &view), MLS_EINVAL, "step");
    ck_assert_fails(mls_tensor_slice(tensor, 1, 0, 4, 1, &view), MLS_ERANGE, "axis 1 of length 3");
    ck_assert_fails(mls_tensor_slice(NULL, 0, 0, 1, 1, &view), MLS_EINVAL, null_words);
    ck_assert_fails(mls_tensor_slice(tensor, 0, 0, 1, 1, NULL), MLS_EINVAL, null_words);

    ck_assert_fails(mls_tensor_permute(tensor, (const int[]){0, 0}, &view), MLS_EINVAL,
                    "axes[1] is 0");
    ck_assert_fails(mls_tensor_permute(tensor, (const int[]){2, 0}, &view), MLS_EINVAL,
                    "axes[0] is 2; each of 0 to 1");
    ck_assert_fails(mls_tensor_permute(tensor, (const int[]){-1, 0}, &view), MLS_EINVAL, "axes[0]");
    ck_assert_fails(mls_tensor_permute(tensor, NULL, &view), MLS_EINVAL, null_words);

    ck_assert_fails(mls_tensor_reshape(tensor, 2, (const int64_t[]){-1, -1}, &view), MLS_EINVAL,
                    "dims[1] is -1");
    ck_assert_fails(mls_tensor_reshape(tensor, 2, (const int64_t[]){-2, 3}, &view), MLS_EINVAL,
                    "dims[0] is -2");
    ck_assert_fails(mls_tensor_reshape(tensor, 9, (const int64_t[9]){0}, &view), MLS_EINVAL,
                    "rank 9");
    ck_assert_fails(mls_tensor_reshape(tensor, 2, (const int64_t[]){4, -1}, &view), MLS_ESHAPE,
                    "6 elements of [2,3] do not fit [4,?]");
    ck_assert_fails(mls_tensor_reshape(tensor, 2, (const int64_t[]){0, -1}, &view), MLS_ESHAPE,
                    "-1 can be anything");
    ck_assert_fails(mls_tensor_reshape(tensor, 2, (const int64_t[]){INT64_MAX, 4}, &view),
                    MLS_ESHAPE, "do not fit");
    ck_assert_fails(mls_tensor_reshape(tensor, 1, NULL, &view), MLS_EINVAL, null_words);

    ck_assert_fails(mls_tensor_broadcast(tensor, 1, (const int64_t[]){3}, &view), MLS_ESHAPE,
                    "[2,3] cannot become [3]");
    ck_assert_fails(mls_tensor_broadcast(tensor, 2, (const int64_t[]){2, -1}, &view), MLS_EINVAL,
                    "negative");
    ck_assert_fails(mls_tensor_broadcast(tensor, 3, (const int64_t[]){INT64_MAX / 4, 2, 3}, &view),
                    MLS_EINVAL, "more than memory can hold");
    ck_assert_fails(mls_tensor_broadcast(tensor, 2, NULL, &view), MLS_EINVAL, null_words);
    ck_assert_ptr_null(view);
    mls_tensor_free(tensor);
}
END_TEST

START_TEST(scalar_has_views)
{
    mls_tensor *tensor, *view, *one;
    ck_assert_ok(mls_tensor_create(context, MLS_INT8, 0, NULL, &tensor));
    ck_assert_fails(mls_tensor_slice(tensor, 0, 0, 1, 1, &view), MLS_EINVAL, "in 0 dimensions");
    ck_assert_ok(mls_tensor_permute(tensor, NULL, &view));
    mls_tensor_free(view);
    ck_assert_ok(mls_tensor_broadcast(tensor, 0, NULL, &view));
    mls_tensor_free(view);
    ck_assert_ok(mls_tensor_reshape(tensor, 2, (const int64_t[]){1, -1}, &one));
    ck_assert_ok(mls_tensor_reshape(one, 0, NULL, &view));
    ck_assert_ptr_eq(mls_tensor_data(view), mls_tensor_data(tensor));
    mls_tensor_free(view);
    mls_tensor_free(one);
    mls_tensor_free(tensor);
}
END_TEST

static mls_status make_view(mls_context *tested, void *arg)
{
    const int64_t dims[] = {2, 3}, column[] = {6};
    const int axes[] = {1, 0};
    mls_tensor *tensor, *view = NULL;
    mls_status status = mls_tensor_create(tested, MLS_FLOAT32, 2, dims, &tensor);
    if (status)
        return status;
    switch (*(const int *) arg) {
    case 0:
        status = mls_tensor_slice(tensor, 1, 0, 3, 2, &view);
        break;
    case 1:
        status = mls_tensor_permute(tensor, axes, &view);
        break;
    case 2:
        status = mls_tensor_reshape(tensor, 1, column, &view);
        break;
    default:
        status = mls_tensor_broadcast(tensor, 2, dims, &view);
    }
    ck_assert_int_eq(view == NULL, status != MLS_OK);
    mls_tensor_free(view);
    mls_tensor_free(tensor);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    for (int kind = 0; kind < 4; kind++)
        mls_test_each_allocation(make_view, &kind);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensor/views");
    TCase *tests = tcase_create("views");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, chains_of_views_show_the_right_elements);
    tcase_add_test(tests, slice_takes_extreme_numbers);
    tcase_add_test(tests, arguments_are_checked);
    tcase_add_test(tests, scalar_has_views);
    tcase_add_test(tests, each_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
