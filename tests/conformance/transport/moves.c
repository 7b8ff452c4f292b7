/* SPDX-License-Identifier: Apache-2.0 */
/* Collectives that move elements: each comes from where it should, and no other changes. */
#include "conformance/transport/suite.h"

#include <string.h>

static const int64_t counts[] = {0, 1, 5, 3001};
enum { COUNTS = sizeof counts / sizeof counts[0] };

static int32_t value(uint32_t rank, int64_t i)
{
    return (int32_t) (rank * 1000000 + i);
}

static mls_tensor *filled(uint32_t rank, int64_t count)
{
    mls_tensor *tensor = conformance_tensor(MLS_INT32, count);
    int32_t *data = mls_tensor_data(tensor);
    for (int64_t i = 0; i < count; i++)
        data[i] = value(rank, i);
    return tensor;
}

/* `count` elements at `at` are those of `rank` from `from`. */
static void expect(const mls_tensor *tensor, int64_t at, int64_t count, uint32_t rank, int64_t from)
{
    const int32_t *data = mls_tensor_data(tensor);
    for (int64_t i = 0; i < count; i++)
        mls_test_expect(data[at + i] == value(rank, from + i), "element %lld is %d, not %d",
                        (long long) (at + i), data[at + i], value(rank, from + i));
}

static void check_broadcast(ranked *r, int64_t count)
{
    for (uint32_t root = 0; root < r->size; root++) {
        mls_tensor *tensor = filled(r->rank, count);
        ck_assert_ok(mls_group_broadcast(r->group, tensor, root, NULL, NULL));
        expect(tensor, 0, count, root, 0);
        mls_tensor_free(tensor);
    }
}

static void check_gather(ranked *r, int64_t count)
{
    const uint32_t root = r->size / 2;
    mls_tensor *source = filled(r->rank, count);
    mls_tensor *target = conformance_tensor(MLS_INT32, count * r->size);
    ck_assert_ok(
        mls_group_gather(r->group, source, r->rank == root ? target : NULL, root, NULL, NULL));
    for (uint32_t i = 0; r->rank == root && i < r->size; i++)
        expect(target, i * count, count, i, 0);
    ck_assert_ok(mls_group_allgather(r->group, source, target, NULL, NULL));
    for (uint32_t i = 0; i < r->size; i++)
        expect(target, i * count, count, i, 0);
    mls_tensor_free(source);
    mls_tensor_free(target);
}

static void check_scatter(ranked *r, int64_t count)
{
    const uint32_t root = r->size / 2;
    mls_tensor *source = filled(root, count * r->size);
    mls_tensor *target = conformance_tensor(MLS_INT32, count);
    ck_assert_ok(
        mls_group_scatter(r->group, r->rank == root ? source : NULL, target, root, NULL, NULL));
    expect(target, 0, count, root, r->rank * count);
    mls_tensor_free(source);
    mls_tensor_free(target);
}

static void check_all_to_all(ranked *r, int64_t count)
{
    mls_tensor *source = filled(r->rank, count * r->size);
    mls_tensor *target = conformance_tensor(MLS_INT32, count * r->size);
    ck_assert_ok(mls_group_all_to_all(r->group, source, target, NULL, NULL));
    ck_assert_ok(mls_group_all_to_all(r->group, source, source, NULL, NULL));
    for (uint32_t i = 0; i < r->size; i++) {
        expect(target, i * count, count, i, r->rank * count);
        expect(source, i * count, count, i, r->rank * count);
    }
    mls_tensor_free(source);
    mls_tensor_free(target);
}

/* Where the part of a rank is a view of what it gathers, or scatters. */
static void check_in_place(ranked *r, int64_t count)
{
    mls_tensor *whole = conformance_tensor(MLS_INT32, count * r->size);
    mls_tensor *part;
    int32_t *data = mls_tensor_data(whole);
    for (int64_t i = 0; i < count; i++)
        data[r->rank * count + i] = value(r->rank, i);
    ck_assert_ok(mls_tensor_slice(whole, 0, r->rank * count, (r->rank + 1) * count, 1, &part));
    ck_assert_ok(mls_group_allgather(r->group, part, whole, NULL, NULL));
    for (uint32_t i = 0; i < r->size; i++)
        expect(whole, i * count, count, i, 0);
    if (r->rank > 0)
        memset(mls_tensor_data(part), 0, mls_tensor_size_bytes(part));
    ck_assert_ok(mls_group_scatter(r->group, r->rank ? NULL : whole, part, 0, NULL, NULL));
    expect(part, 0, count, r->rank, 0);
    mls_tensor_free(part);
    mls_tensor_free(whole);
}

static void check_moves(ranked *r)
{
    for (size_t c = 0; c < COUNTS; c++) {
        check_broadcast(r, counts[c]);
        check_gather(r, counts[c]);
        check_scatter(r, counts[c]);
        check_all_to_all(r, counts[c]);
        if (counts[c])
            check_in_place(r, counts[c]);
    }
    ck_assert_ok(mls_group_barrier(r->group, NULL, NULL));
}

START_TEST(elements_arrive)
{
    for (uint32_t ranks = 1; ranks <= 8; ranks++)
        conformance_ranks(ranks, NULL, check_moves, NULL);
}
END_TEST

/* A transposed source into rows, reversed; other dtypes. */
static void check_views(ranked *r)
{
    enum { SIDE = 40 };
    const int64_t dims[] = {SIDE, SIDE};
    const int axes[] = {1, 0};
    mls_tensor *square, *turned, *all = conformance_tensor(MLS_FLOAT64, 3 * SIDE * SIDE), *back;
    ck_assert_ok(mls_tensor_create(the_context, MLS_FLOAT64, 2, dims, &square));
    double *from = mls_tensor_data(square), *to = mls_tensor_data(all);
    for (int i = 0; i < SIDE * SIDE; i++)
        from[i] = r->rank * 10000 + i;
    ck_assert_ok(mls_tensor_permute(square, axes, &turned));
    ck_assert_ok(mls_tensor_slice(all, 0, 3 * SIDE * SIDE - 1, -1, -1, &back));
    ck_assert_ok(mls_group_allgather(r->group, turned, back, NULL, NULL));
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < SIDE * SIDE; i++)
            mls_test_expect(to[(3 - k) * SIDE * SIDE - 1 - i] ==
                                k * 10000 + i % SIDE * SIDE + i / SIDE,
                            "element %d of rank %d", i, k);
    mls_tensor_free(back);
    mls_tensor_free(turned);
    mls_tensor_free(all);
    mls_tensor_free(square);
}

START_TEST(views_are_moved)
{
    conformance_ranks(3, NULL, check_views, NULL);
}
END_TEST

static void check_arguments(ranked *r)
{
    mls_tensor *four = conformance_tensor(MLS_FLOAT32, 4),
               *five = conformance_tensor(MLS_FLOAT32, 5);
    mls_tensor *whole = conformance_tensor(MLS_INT32, 4), *part;
    const mls_group_call never = conformance_call(NULL, -1);
    ck_assert_ok(mls_tensor_slice(five, 0, 1, 5, 1, &part));
    mls_group *g = r->group;
    ck_assert_fails(mls_group_allreduce(g, four, five, MLS_REDUCE_SUM, NULL, NULL), MLS_ESHAPE,
                    "pieces of 4");
    ck_assert_fails(mls_group_allreduce(g, four, whole, MLS_REDUCE_SUM, NULL, NULL), MLS_EDTYPE,
                    "float32");
    ck_assert_fails(
        mls_group_allreduce(g, four, four, 9, NULL, NULL), MLS_EINVAL,
        "9 is no reduction; write MLS_REDUCE_SUM, _PRODUCT, _MIN, _MAX, _MEAN or _USER");
    ck_assert_fails(mls_group_allreduce(g, four, four, MLS_REDUCE_USER, NULL, NULL), MLS_EINVAL,
                    "combine");
    ck_assert_fails(mls_group_allreduce(g, whole, whole, MLS_REDUCE_MEAN, NULL, NULL), MLS_EDTYPE,
                    "mean of int32");
    ck_assert_fails(mls_group_all_to_all(g, five, five, NULL, NULL), MLS_ESHAPE, "multiple");
    ck_assert_fails(mls_group_broadcast(g, four, 2, NULL, NULL), MLS_EINVAL, "root is 2");
    ck_assert_fails(mls_group_barrier(g, &never, NULL), MLS_EINVAL, "deadline");
    ck_assert_fails(mls_group_send(g, four, 7, NULL, NULL), MLS_EINVAL, "rank 7");
    if (mls_tensor_data(part))
        ck_assert_fails(mls_group_allreduce(g, part, part, 0, NULL, NULL), MLS_EINVAL, "0");
    ck_assert_fails(mls_group_barrier(NULL, NULL, NULL), MLS_EINVAL, "NULL");
    ck_assert_ok(mls_group_allreduce(g, four, part, MLS_REDUCE_SUM, NULL, NULL));
    mls_tensor_free(part);
    ck_assert_ok(mls_tensor_slice(five, 0, 0, 4, 1, &part));
    mls_tensor *shifted;
    ck_assert_ok(mls_tensor_slice(five, 0, 1, 5, 1, &shifted));
    ck_assert_fails(mls_group_allreduce(g, part, shifted, MLS_REDUCE_SUM, NULL, NULL), MLS_EINVAL,
                    "overlap");
    ck_assert_ok(mls_group_barrier(g, NULL, NULL));
    mls_tensor_free(shifted);
    mls_tensor_free(part);
    mls_tensor_free(whole);
    mls_tensor_free(five);
    mls_tensor_free(four);
}

START_TEST(arguments_are_checked)
{
    conformance_ranks(2, NULL, check_arguments, NULL);
}
END_TEST

void conformance_add_moves(TCase *tests)
{
    tcase_add_test(tests, elements_arrive);
    tcase_add_test(tests, views_are_moved);
    tcase_add_test(tests, arguments_are_checked);
}
