/* SPDX-License-Identifier: Apache-2.0 */
/* Collectives that move elements: each comes from where it should, and no other changes. */
#include "conformance/transport/suite.h"

#include <stdlib.h>
#include <string.h>

/* Elements of any size: the bytes of each tell whose they are. */
static const mls_dtype dtypes[] = {
    MLS_FLOAT32,    MLS_UINT8, MLS_FLOAT64,        MLS_FLOAT16,    MLS_BFLOAT16,
    MLS_INT32,      MLS_INT8,  MLS_INT64,          MLS_BOOL,       MLS_UINT16,
    MLS_UINT64,     MLS_INT4,  MLS_INT16,          MLS_UINT32,     MLS_FLOAT8E4M3FN,
    MLS_FLOAT4E2M1, MLS_UINT2, MLS_FLOAT8E4M3FNUZ, MLS_FLOAT8E5M2, MLS_FLOAT8E5M2FNUZ,
    MLS_UINT4,      MLS_INT2,  MLS_FLOAT8E8M0,
};
enum { DTYPES = sizeof dtypes / sizeof dtypes[0] };

static const int64_t counts[] = {0, 1, 2, 5, 17, 257, 3001};
enum { COUNTS = sizeof counts / sizeof counts[0] };

/* How a tensor's elements lie: side by side, with gaps, from the last to the first. */
enum { DENSE, WITH_GAPS, REVERSED, LAYOUTS };
enum { GAP = 0xEE };

/* A tensor of one dimension, and where its elements are. */
typedef struct lot {
    mls_tensor *tensor;
    mls_tensor *arena; /* where its memory is; NULL: in ordinary memory */
    unsigned char *memory, *first;
    ptrdiff_t step; /* in bytes */
    size_t size;    /* of an element */
    int64_t count;
} lot;

/* What a check is made with; layouts may differ by rank. */
typedef struct mix {
    mls_dtype dtype;
    int64_t count; /* of a piece */
    int layout;    /* of sources; targets have the next one */
    int arena;     /* whose tensors are in the group's memory; then all are dense */
} mix;

/* Of `count` elements in all. */
static lot lot_create(const ranked *r, const mix *m, int64_t count, int layout)
{
    static const int64_t steps[LAYOUTS] = {1, 2, -1};
    lot l = {.size = mls_dtype_size(m->dtype), .count = count};
    const int64_t bytes = (2 * count + 1) * (int64_t) l.size;
    const int64_t step = m->arena ? 1 : steps[layout % LAYOUTS];
    if (conformance_has_arena(r, m->arena))
        ck_assert_ok(mls_group_create_tensor(r->group, MLS_UINT8, 1, &bytes, &l.arena));
    l.memory =
        l.arena ? mls_tensor_data(l.arena) : aligned_alloc(64, ((size_t) bytes + 63) / 64 * 64);
    ck_assert_ptr_nonnull(l.memory);
    memset(l.memory, GAP, (size_t) bytes);
    l.first = l.memory + (step < 0 && count ? (size_t) (count - 1) * l.size : 0);
    l.step = (ptrdiff_t) step * (ptrdiff_t) l.size;
    ck_assert_ok(
        mls_tensor_wrap(the_context, m->dtype, 1, &count, &step, l.first, NULL, NULL, &l.tensor));
    return l;
}

static unsigned char *element(const lot *l, int64_t i)
{
    return l->first + (ptrdiff_t) i * l->step;
}

/* What lies between its elements and behind them is as it was. */
static void lot_free(lot *l)
{
    const size_t step = (size_t) (l->step < 0 ? -l->step : l->step);
    for (int64_t i = 0; i < l->count; i++)
        for (size_t k = l->size; k < step; k++)
            mls_test_expect(l->first[(size_t) i * step + k] == GAP, "a gap has changed");
    mls_test_expect(l->memory[(size_t) l->count * step] == GAP, "what lies behind has changed");
    mls_tensor_free(l->tensor);
    mls_tensor_free(l->arena);
    if (!l->arena)
        free(l->memory);
}

static uint64_t value(uint32_t rank, int64_t i)
{
    const uint64_t x = (uint64_t) i * UINT64_C(0x9e3779b97f4a7c15) + rank + 1;
    return (x ^ x >> 32) * UINT64_C(0xbf58476d1ce4e5b9);
}

/* `count` elements from `at` are those that `rank` has from `from`. */
static void fill(const lot *l, int64_t at, int64_t count, uint32_t rank, int64_t from)
{
    for (int64_t i = 0; i < count; i++) {
        const uint64_t bytes = value(rank, from + i) >> (64 - 8 * l->size);
        memcpy(element(l, at + i), &bytes, l->size);
    }
}

static void expect(const lot *l, int64_t at, int64_t count, uint32_t rank, int64_t from)
{
    for (int64_t i = 0; i < count; i++) {
        const uint64_t bytes = value(rank, from + i) >> (64 - 8 * l->size);
        mls_test_expect(memcmp(element(l, at + i), &bytes, l->size) == 0,
                        "element %lld of %s is not number %lld of rank %u", (long long) (at + i),
                        mls_dtype_name(mls_tensor_dtype(l->tensor)), (long long) (from + i), rank);
    }
}

static lot filled(const ranked *r, const mix *m, uint32_t rank, int64_t count)
{
    const lot l = lot_create(r, m, count, m->layout);
    fill(&l, 0, count, rank, 0);
    return l;
}

/* --- each collective ------------------------------------------------------------------------- */

static void check_broadcast(ranked *r, const mix *m)
{
    for (uint32_t root = 0; root < r->size; root++) {
        lot l = filled(r, m, r->rank, m->count);
        ck_assert_ok(mls_group_broadcast(r->group, l.tensor, root, NULL, NULL));
        expect(&l, 0, m->count, root, 0);
        lot_free(&l);
    }
}

static void expect_all(const ranked *r, const mix *m, const lot *whole)
{
    for (uint32_t i = 0; i < r->size; i++)
        expect(whole, i * m->count, m->count, i, 0);
}

static void check_gather(ranked *r, const mix *m)
{
    const uint32_t root = r->size / 2;
    const bool is_root = r->rank == root;
    lot source = filled(r, m, r->rank, m->count);
    lot target = lot_create(r, m, m->count * r->size, m->layout + 1);
    ck_assert_ok(mls_group_gather(r->group, source.tensor, is_root ? target.tensor : NULL, root,
                                  NULL, NULL));
    if (is_root)
        expect_all(r, m, &target);
    lot_free(&source);
    lot_free(&target);
}

static void check_allgather(ranked *r, const mix *m)
{
    lot source = filled(r, m, r->rank, m->count);
    lot target = lot_create(r, m, m->count * r->size, m->layout + 1);
    ck_assert_ok(mls_group_allgather(r->group, source.tensor, target.tensor, NULL, NULL));
    expect_all(r, m, &target);
    lot_free(&source);
    lot_free(&target);
}

static void check_scatter(ranked *r, const mix *m)
{
    const uint32_t root = r->size / 2;
    lot source = filled(r, m, root, m->count * r->size);
    lot target = lot_create(r, m, m->count, m->layout + 1);
    ck_assert_ok(mls_group_scatter(r->group, r->rank == root ? source.tensor : NULL, target.tensor,
                                   root, NULL, NULL));
    expect(&target, 0, m->count, root, r->rank * m->count);
    lot_free(&source);
    lot_free(&target);
}

static void check_all_to_all(ranked *r, const mix *m)
{
    lot source = filled(r, m, r->rank, m->count * r->size);
    lot target = lot_create(r, m, m->count * r->size, m->layout + 1);
    ck_assert_ok(mls_group_all_to_all(r->group, source.tensor, target.tensor, NULL, NULL));
    ck_assert_ok(mls_group_all_to_all(r->group, source.tensor, source.tensor, NULL, NULL));
    for (uint32_t i = 0; i < r->size; i++) {
        expect(&target, i * m->count, m->count, i, r->rank * m->count);
        expect(&source, i * m->count, m->count, i, r->rank * m->count);
    }
    lot_free(&source);
    lot_free(&target);
}

/* From each rank to the next one but `by` - 1. */
static void check_messages(ranked *r, const mix *m)
{
    const uint32_t by = 1 + (uint32_t) m->count % r->size;
    const uint32_t from = (r->rank + r->size - by) % r->size;
    mls_work *work;
    lot source = filled(r, m, r->rank, m->count);
    lot target = lot_create(r, m, m->count, m->layout + 1);
    ck_assert_ok(mls_group_send(r->group, source.tensor, (r->rank + by) % r->size, NULL, &work));
    ck_assert_ok(mls_group_receive(r->group, target.tensor, from, NULL, NULL));
    ck_assert_ok(mls_work_wait(work, -1));
    expect(&target, 0, m->count, from, 0);
    mls_work_free(work);
    lot_free(&source);
    lot_free(&target);
}

/* Where the part of a rank is a view of what it gathers, or scatters. */
static void check_in_place(ranked *r, const mix *m)
{
    const int64_t count = m->count, first = r->rank * count;
    const uint32_t root = r->size - 1;
    const mix dense = {m->dtype, count, DENSE, m->arena};
    mls_tensor *part;
    lot whole = lot_create(r, &dense, count * r->size, DENSE);
    fill(&whole, first, count, r->rank, 0);
    ck_assert_ok(mls_tensor_slice(whole.tensor, 0, first, first + count, 1, &part));
    ck_assert_ok(mls_group_gather(r->group, part, whole.tensor, root, NULL, NULL));
    if (r->rank == root)
        expect_all(r, &dense, &whole);
    ck_assert_ok(mls_group_allgather(r->group, part, whole.tensor, NULL, NULL));
    expect_all(r, &dense, &whole);
    if (r->rank != root)
        memset(mls_tensor_data(part), 0, mls_tensor_size_bytes(part));
    ck_assert_ok(
        mls_group_scatter(r->group, r->rank == root ? whole.tensor : NULL, part, root, NULL, NULL));
    expect(&whole, first, count, r->rank, 0);
    mls_tensor_free(part);
    lot_free(&whole);
}

static void (*const checks[])(ranked *r, const mix *m) = {
    check_broadcast,  check_gather,   check_allgather, check_scatter,
    check_all_to_all, check_messages, check_in_place,
};
enum { CHECKS = sizeof checks / sizeof checks[0] };

/* --- which of them --------------------------------------------------------------------------- */

/* Each check meets each number of ranks, each count, each dtype twice or more, and all layouts. */
static void check_moves(ranked *r)
{
    for (size_t c = 0; c < COUNTS; c++)
        for (size_t k = 0; k < CHECKS; k++) {
            const size_t n = (r->size - 1) * COUNTS + c;
            const mix m = {dtypes[(n + 3 * k) % DTYPES], counts[c], (int) (n + k + r->rank),
                           ARENA_OF_NONE};
            if (counts[c] || checks[k] != check_in_place)
                checks[k](r, &m);
        }
    ck_assert_ok(mls_group_barrier(r->group, NULL, NULL));
}

START_TEST(elements_arrive)
{
    for (uint32_t ranks = 1; ranks <= 8; ranks++)
        conformance_ranks(ranks, NULL, check_moves, NULL);
}
END_TEST

/* Pieces of messages and strides; ordinary tensors of more than 4 MiB. */
typedef struct large {
    uint32_t ranks;
    mix mix;
} large;

static const large larges[] = {
    {2, {MLS_INT32, 1100003, DENSE, ARENA_OF_NONE}},
    {3, {MLS_FLOAT64, 300007, DENSE, ARENA_OF_NONE}},
    {3, {MLS_UINT8, 300007, DENSE, ARENA_OF_NONE}},
    {5, {MLS_FLOAT16, 150007, WITH_GAPS, ARENA_OF_NONE}},
    {8, {MLS_FLOAT32, 70001, REVERSED, ARENA_OF_NONE}},
    {2, {MLS_UINT32, 1100003, DENSE, ARENA_OF_ALL}},
    {3, {MLS_INT16, 300007, DENSE, ARENA_OF_ALL}},
    {4, {MLS_INT64, 70001, DENSE, ARENA_OF_ODD_RANKS}},
};
enum { LARGES = sizeof larges / sizeof larges[0] };

static void check_large(ranked *r)
{
    const large *l = r->arg;
    for (size_t k = 0; k < CHECKS; k++)
        checks[k](r, &l->mix);
}

START_TEST(many_elements_arrive)
{
    conformance_ranks(larges[_i].ranks, NULL, check_large, &larges[_i]);
}
END_TEST

/* A transposed source into rows, reversed. */
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
    tcase_add_loop_test(tests, many_elements_arrive, 0, LARGES);
    tcase_add_test(tests, views_are_moved);
    tcase_add_test(tests, arguments_are_checked);
}
