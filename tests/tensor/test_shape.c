/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on shapes against 128-bit integers and brute force. */
#include "support/test.h"

#include "tensor/shape.h"

#include <string.h>

enum { ROUNDS = 5000 };

/* Mostly small, with zeros, ones, and dims that overflow when multiplied. */
static int64_t random_dim(uint64_t *random)
{
    static const int64_t special[] = {0, 1, 1, -1, INT64_MAX, INT64_C(1) << 31, INT64_C(1) << 40};
    if (mls_test_random_below(random, 3) == 0)
        return special[mls_test_random_below(random, sizeof special / sizeof special[0])];
    return (int64_t) mls_test_random_below(random, 9);
}

static int random_dims(uint64_t *random, int64_t *dims)
{
    const int rank = (int) mls_test_random_below(random, MLS_MAX_RANK + 1);
    for (int i = 0; i < rank; i++)
        dims[i] = random_dim(random);
    return rank;
}

/* The product of the dims but the zeros; -1 when one is negative or it is past `limit`. */
__extension__ typedef __int128 wide;
static wide reference_span(int rank, const int64_t *dims, wide limit)
{
    wide product = 1;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return -1;
        if (dims[i])
            product *= dims[i];
        if (product > limit)
            return -1;
    }
    return product;
}

static bool has_zero(int rank, const int64_t *dims)
{
    for (int i = 0; i < rank; i++)
        if (dims[i] == 0)
            return true;
    return false;
}

START_TEST(counts_and_bytes)
{
    uint64_t random = 1;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t dims[MLS_MAX_RANK], count;
        size_t bytes;
        const int rank = random_dims(&random, dims);
        const wide span = reference_span(rank, dims, INT64_MAX);
        const bool is_empty = has_zero(rank, dims);
        ck_assert_int_eq(mls__shape_count(rank, dims, &count), span >= 0);
        if (span >= 0)
            ck_assert_int_eq(count, is_empty ? 0 : (int64_t) span);
        const bool fits = span >= 0 && span * 8 <= PTRDIFF_MAX;
        ck_assert_int_eq(mls__shape_bytes(MLS_INT64, rank, dims, &bytes), fits);
        if (fits)
            ck_assert_uint_eq(bytes, is_empty ? 0 : (size_t) span * 8);
    }
}
END_TEST

START_TEST(bytes_of_no_dtype)
{
    size_t bytes = 7;
    ck_assert(!mls__shape_bytes(MLS_DTYPE_NONE, 0, NULL, &bytes));
    ck_assert(!mls__shape_bytes(99, 0, NULL, &bytes));
    ck_assert_uint_eq(bytes, 7);
    ck_assert(mls__shape_bytes(MLS_FLOAT64, 0, NULL, &bytes) && bytes == 8);
}
END_TEST

START_TEST(strides_count_the_elements_inside)
{
    uint64_t random = 2;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t dims[MLS_MAX_RANK], strides[MLS_MAX_RANK], count;
        const int rank = random_dims(&random, dims);
        if (!mls__shape_count(rank, dims, &count))
            continue;
        mls__shape_strides(rank, dims, strides);
        for (int i = 0; i < rank; i++) {
            int64_t inside;
            ck_assert(mls__shape_count(rank - i - 1, dims + i + 1, &inside));
            ck_assert_int_eq(strides[i], inside);
        }
    }
}
END_TEST

/* The dimension at `i` from the last, or 1 where the shape has none. */
static int64_t dim_from_last(int rank, const int64_t *dims, int i)
{
    return i < rank ? dims[rank - 1 - i] : 1;
}

START_TEST(broadcasts_like_numpy)
{
    uint64_t random = 3;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t a[MLS_MAX_RANK], b[MLS_MAX_RANK], dims[MLS_MAX_RANK];
        int rank = -1;
        const int rank_a = random_dims(&random, a), rank_b = random_dims(&random, b);
        /* Often the same, so that some pairs fit. */
        for (int i = 0; i < rank_a && i < rank_b; i++)
            if (mls_test_random_below(&random, 4))
                a[rank_a - 1 - i] = mls_test_random_below(&random, 3) ? b[rank_b - 1 - i] : 1;
        bool fits = true;
        for (int i = 0; i < MLS_MAX_RANK; i++) {
            const int64_t da = dim_from_last(rank_a, a, i), db = dim_from_last(rank_b, b, i);
            fits = fits && (da == db || da == 1 || db == 1);
        }
        ck_assert_int_eq(mls__shape_broadcast(rank_a, a, rank_b, b, &rank, dims), fits);
        if (!fits) {
            ck_assert_int_eq(rank, -1);
            continue;
        }
        ck_assert_int_eq(rank, rank_a > rank_b ? rank_a : rank_b);
        for (int i = 0; i < rank; i++) {
            const int64_t da = dim_from_last(rank_a, a, i), db = dim_from_last(rank_b, b, i);
            ck_assert_int_eq(dim_from_last(rank, dims, i), da == 1 ? db : da);
        }
    }
}
END_TEST

START_TEST(broadcast_may_write_over_an_input)
{
    int64_t a[MLS_MAX_RANK] = {3, 1};
    const int64_t b[] = {2, 1, 5};
    int rank = 2;
    ck_assert(mls__shape_broadcast(rank, a, 3, b, &rank, a));
    ck_assert(mls__shape_equal(rank, a, 3, (const int64_t[]){2, 3, 5}));
}
END_TEST

START_TEST(equality)
{
    const int64_t a[] = {2, 3}, b[] = {2, 4};
    ck_assert(mls__shape_equal(2, a, 2, a));
    ck_assert(!mls__shape_equal(2, a, 2, b));
    ck_assert(!mls__shape_equal(2, a, 1, a));
    ck_assert(mls__shape_equal(0, NULL, 0, a));
}
END_TEST

START_TEST(texts)
{
    char text[MLS__SHAPE_TEXT];
    const int64_t dims[] = {2, -1, 0};
    int64_t longest[MLS_MAX_RANK];
    ck_assert_str_eq(mls__shape_text(3, dims, text), "[2,?,0]");
    ck_assert_str_eq(mls__shape_text(0, NULL, text), "[]");
    for (int i = 0; i < MLS_MAX_RANK; i++)
        longest[i] = INT64_MAX;
    mls__shape_text(MLS_MAX_RANK, longest, text);
    ck_assert_uint_eq(strlen(text), MLS_MAX_RANK * 20 + 1);
}
END_TEST

START_TEST(axes)
{
    int axis = -9;
    for (int rank = 0; rank <= 3; rank++)
        for (int64_t a = -5; a <= 5; a++) {
            const bool is_axis = a >= -rank && a < rank;
            ck_assert_int_eq(mls__shape_axis(a, rank, &axis), is_axis);
            if (is_axis)
                ck_assert_int_eq(axis, (a + rank) % rank);
        }
    ck_assert(!mls__shape_axis(INT64_MIN, 3, &axis));
    ck_assert(!mls__shape_axis(INT64_MAX, 3, &axis));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensor/shape");
    TCase *tests = tcase_create("shape");
    tcase_add_test(tests, counts_and_bytes);
    tcase_add_test(tests, bytes_of_no_dtype);
    tcase_add_test(tests, strides_count_the_elements_inside);
    tcase_add_test(tests, broadcasts_like_numpy);
    tcase_add_test(tests, broadcast_may_write_over_an_input);
    tcase_add_test(tests, equality);
    tcase_add_test(tests, texts);
    tcase_add_test(tests, axes);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
