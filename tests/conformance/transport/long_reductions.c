/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions of many bytes: strides, pieces of messages, ordinary tensors of more than 4 MiB. */
#include "conformance/transport/reduced.h"
#include "conformance/transport/suite.h"

#include <stdlib.h>
#include <string.h>

/* --- of every dtype -------------------------------------------------------------------------- */

typedef struct many {
    uint32_t ranks, shards; /* 0: one a rank */
    size_t d;               /* of reduced_dtypes */
    uint32_t op;
    int64_t count;
    bool has_gaps; /* between the elements of sources and targets */
    int arena;     /* whose tensors are in the group's memory */
} many;

/* Each dtype, number of ranks and reduction, and shards that ranks have several of, or none. */
static const many manies[] = {
    {2, 0, 0, MLS_REDUCE_SUM, 1100003, false, ARENA_OF_NONE},
    {3, 0, 1, MLS_REDUCE_PRODUCT, 300007, false, ARENA_OF_NONE},
    {4, 0, 2, MLS_REDUCE_SUM, 300007, false, ARENA_OF_NONE},
    {5, 0, 3, MLS_REDUCE_MEAN, 300007, true, ARENA_OF_NONE},
    {6, 0, 4, MLS_REDUCE_MIN, 150007, false, ARENA_OF_NONE},
    {7, 0, 5, MLS_REDUCE_MAX, 150007, true, ARENA_OF_NONE},
    {8, 0, 0, MLS_REDUCE_MEAN, 150007, false, ARENA_OF_NONE},
    {3, 5, 2, MLS_REDUCE_SUM, 150007, false, ARENA_OF_NONE},
    {2, 3, 1, MLS_REDUCE_SUM, 300007, false, ARENA_OF_NONE},
    {4, 3, 3, MLS_REDUCE_MAX, 150007, false, ARENA_OF_NONE},
    {2, 0, 0, MLS_REDUCE_SUM, 1100003, false, ARENA_OF_ALL},
    {3, 0, 2, MLS_REDUCE_MEAN, 300007, false, ARENA_OF_ALL},
    {5, 0, 1, MLS_REDUCE_SUM, 70001, false, ARENA_OF_ALL},
    {3, 7, 3, MLS_REDUCE_SUM, 70001, false, ARENA_OF_ALL},
    {4, 0, 5, MLS_REDUCE_PRODUCT, 70001, false, ARENA_OF_ODD_RANKS},
};
enum { MANIES = sizeof manies / sizeof manies[0] };

/*
 * Elements over and over again. Strides and pieces are no multiples of so many, so that what comes
 * from another place shows.
 */
static void repeat(const unsigned char *from, size_t size, int64_t count, int64_t step,
                   unsigned char *to)
{
    for (int64_t i = 0; i < count; i++)
        memcpy(to + (size_t) (i * step) * size, from + (size_t) (i % REDUCED_ELEMENTS) * size,
               size);
}

/* Of one dimension, or, where shards are stated, a row for each of `rows`. */
static mls_tensor *create(const ranked *r, const many *m, uint32_t rows, int64_t count)
{
    const int64_t step = m->has_gaps ? 2 : 1;
    const int64_t dims[] = {rows, step * count};
    mls_tensor *dense, *tensor;
    const int rank = m->shards ? 2 : 1;
    if (conformance_has_arena(r, m->arena))
        ck_assert_ok(mls_group_create_tensor(r->group, reduced_dtypes[m->d], rank,
                                             dims + !m->shards, &dense));
    else
        ck_assert_ok(
            mls_tensor_create(the_context, reduced_dtypes[m->d], rank, dims + !m->shards, &dense));
    if (mls_tensor_size_bytes(dense))
        memset(mls_tensor_data(dense), 0, mls_tensor_size_bytes(dense));
    ck_assert_ok(mls_tensor_slice(dense, -1, 0, step * count, step, &tensor));
    mls_tensor_free(dense);
    return tensor;
}

static mls_tensor *source_of(const ranked *r, int64_t count)
{
    const many *m = r->arg;
    const size_t size = mls_dtype_size(reduced_dtypes[m->d]);
    uint32_t first, own;
    mls_group_shards(r->group, r->rank, &first, &own);
    mls_tensor *source = create(r, m, own, count);
    const int64_t step = m->has_gaps ? 2 : 1;
    for (uint32_t s = 0; s < own; s++)
        repeat(reduced_shard(m->d, first + s), size, count, step,
               (unsigned char *) mls_tensor_data(source) + s * (size_t) (step * count) * size);
    return source;
}

/* `count` elements of the result, from `first` on. */
static void expect(const ranked *r, const char *op, const mls_tensor *target, int64_t first,
                   int64_t count)
{
    const many *m = r->arg;
    const size_t size = mls_dtype_size(reduced_dtypes[m->d]);
    const unsigned char *data = mls_tensor_data(target), *result = reduced_result(m->d, m->op);
    for (int64_t i = 0; i < count; i++)
        mls_test_expect(memcmp(data + (size_t) (i * (m->has_gaps ? 2 : 1)) * size,
                               result + (size_t) ((first + i) % REDUCED_ELEMENTS) * size,
                               size) == 0,
                        "%s: element %lld of rank %u of %u, of %s", op, (long long) i, r->rank,
                        r->size, mls_dtype_name(reduced_dtypes[m->d]));
}

static void check_scattered(ranked *r, mls_tensor *source, int64_t piece)
{
    const many *m = r->arg;
    const many flat = {.d = m->d, .has_gaps = m->has_gaps, .arena = m->arena};
    mls_tensor *target = create(r, &flat, 0, piece);
    ck_assert_ok(mls_group_reduce_scatter(r->group, source, target, m->op, NULL, NULL));
    expect(r, "reduce_scatter", target, r->rank * piece, piece);
    mls_tensor_free(target);
    if (m->shards || m->has_gaps)
        return;
    ck_assert_ok(mls_tensor_slice(source, 0, r->rank * piece, (r->rank + 1) * piece, 1, &target));
    ck_assert_ok(mls_group_reduce_scatter(r->group, source, target, m->op, NULL, NULL));
    expect(r, "reduce_scatter in place", target, r->rank * piece, piece);
    mls_tensor_free(target);
}

static void check_many(ranked *r)
{
    const many *m = r->arg;
    const many flat = {.d = m->d, .has_gaps = m->has_gaps, .arena = m->arena};
    const uint32_t root = r->size - 1;
    const int64_t piece = m->count / r->size;
    mls_tensor *source = source_of(r, m->count), *target = create(r, &flat, 0, m->count);
    ck_assert_ok(mls_group_allreduce(r->group, source, target, m->op, NULL, NULL));
    expect(r, "allreduce", target, 0, m->count);
    mls_tensor_free(target);
    target = create(r, &flat, 0, m->count);
    ck_assert_ok(mls_group_reduce(r->group, source, r->rank == root ? target : NULL, m->op, root,
                                  NULL, NULL));
    if (r->rank == root)
        expect(r, "reduce", target, 0, m->count);
    mls_tensor_free(target);
    if (!m->shards) {
        ck_assert_ok(mls_group_allreduce(r->group, source, source, m->op, NULL, NULL));
        expect(r, "allreduce in place", source, 0, m->count);
    }
    mls_tensor_free(source);
    source = source_of(r, piece * r->size);
    check_scattered(r, source, piece);
    mls_tensor_free(source);
}

START_TEST(many_of_each_are_reduced)
{
    const many *m = &manies[_i];
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.shards = m->shards;
    reduced_prepare(m->shards ? m->shards : m->ranks);
    conformance_ranks(m->ranks, &options, check_many, m);
}
END_TEST

/* --- integers, each of its own --------------------------------------------------------------- */

typedef struct plan {
    uint32_t shards; /* 0: one a rank */
} plan;

enum { LONG = 1000003 }; /* slices of several strides, the last ones shorter */

/* Their sum over n shards is n * n times what that of shard 0 is. */
static void fill_long(int32_t *data, uint32_t shard)
{
    for (uint32_t i = 0; i < LONG; i++)
        data[i] = (int32_t) ((i + 1) * 2246822519U * (2 * shard + 1));
}

static void expect_long(const ranked *r, const char *op, const mls_tensor *target, int64_t first)
{
    const uint32_t n = mls_group_shards(r->group, 0, NULL, NULL);
    const int32_t *data = mls_tensor_data(target);
    const size_t count = mls_tensor_size_bytes(target) / sizeof *data;
    for (size_t i = 0; i < count; i++)
        mls_test_expect(data[i] ==
                            (int32_t) (((uint32_t) first + (uint32_t) i + 1) * 2246822519U * n * n),
                        "%s: element %zu of rank %u of %u, %u shards", op, i, r->rank, r->size, n);
}

static mls_tensor *long_source(const ranked *r)
{
    const plan *p = r->arg;
    uint32_t first, own;
    mls_group_shards(r->group, r->rank, &first, &own);
    const int64_t dims[2] = {own, LONG};
    mls_tensor *source;
    ck_assert_ok(mls_tensor_create(the_context, MLS_INT32, p->shards ? 2 : 1,
                                   p->shards ? dims : dims + 1, &source));
    for (uint32_t s = 0; s < own; s++)
        fill_long((int32_t *) mls_tensor_data(source) + (size_t) s * LONG, first + s);
    return source;
}

static void check_long(ranked *r)
{
    const uint32_t root = r->size - 1;
    const int64_t piece = LONG / r->size;
    mls_tensor *source = long_source(r), *target = conformance_tensor(MLS_INT32, LONG);
    ck_assert_ok(mls_group_allreduce(r->group, source, target, MLS_REDUCE_SUM, NULL, NULL));
    expect_long(r, "allreduce", target, 0);
    memset(mls_tensor_data(target), 0, mls_tensor_size_bytes(target));
    ck_assert_ok(mls_group_reduce(r->group, source, r->rank == root ? target : NULL, MLS_REDUCE_SUM,
                                  root, NULL, NULL));
    if (r->rank == root)
        expect_long(r, "reduce", target, 0);
    mls_tensor_free(target);
    if (!((const plan *) r->arg)->shards) {
        mls_tensor *parts = conformance_view(MLS_INT32, piece * r->size, mls_tensor_data(source));
        target = conformance_tensor(MLS_INT32, piece);
        ck_assert_ok(mls_group_reduce_scatter(r->group, parts, target, MLS_REDUCE_SUM, NULL, NULL));
        expect_long(r, "reduce_scatter", target, r->rank * piece);
        mls_tensor_free(target);
        mls_tensor_free(parts);
        ck_assert_ok(mls_group_allreduce(r->group, source, source, MLS_REDUCE_SUM, NULL, NULL));
        expect_long(r, "allreduce in place", source, 0);
    }
    mls_tensor_free(source);
}

START_TEST(long_ones_are_reduced)
{
    static const struct {
        uint32_t ranks, shards;
    } cases[] = {{2, 0}, {3, 0}, {2, 3}, {3, 5}, {3, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const plan p = {cases[i].shards};
        mls_group_options options = MLS_GROUP_OPTIONS_INIT;
        options.shards = p.shards;
        conformance_ranks(cases[i].ranks, &options, check_long, &p);
    }
}
END_TEST

void conformance_add_long_reductions(TCase *tests)
{
    tcase_add_loop_test(tests, many_of_each_are_reduced, 0, MANIES);
    tcase_add_test(tests, long_ones_are_reduced);
}
