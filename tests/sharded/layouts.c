/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redistribution over random meshes, shapes and layouts against the definition, element by
 * element; and the bytes that it moves against the fewest possible.
 */
#include "sharded/suite.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_DIM = 7, PAIRS = 6 };

/* --- any layout to any other ----------------------------------------------------------------- */

typedef struct pair {
    whole w;
    int32_t from[MLS_MESH_MAX_AXES], to[MLS_MESH_MAX_AXES];
    uint32_t root;
} pair;

static void check_pair(ranked *r, const pair *p)
{
    mls_sharded *x = make(r, &p->w, p->from), *y, *back;
    ck_assert_ok(mls_sharded_redistribute(x, p->to, NULL, &y));
    if (!is_partial(r->on, p->to))
        check_block(r, &p->w, p->from, p->to, y);
    check_whole(r, &p->w, p->from, y, p->root);
    ck_assert_ok(mls_sharded_redistribute(y, p->from, NULL, &back));
    if (!is_partial(r->on, p->from))
        check_block(r, &p->w, p->from, p->from, back);
    check_whole(r, &p->w, p->from, back, 0);
    mls_sharded_free(back);
    mls_sharded_free(y);
    mls_sharded_free(x);
}

static void check_pairs(ranked *r)
{
    const pair *pairs = r->arg;
    for (int i = 0; i < PAIRS; i++)
        check_pair(r, &pairs[i]);
}

static pair random_pair(uint64_t *state, const arrangement *on)
{
    static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_INT32, MLS_INT64, MLS_INT8};
    pair p = {.root = (uint32_t) mls_test_random_below(state, on->ranks)};
    p.w.dtype = dtypes[mls_test_random_below(state, 5)];
    p.w.rank = (int) mls_test_random_below(state, 5);
    p.w.seed = mls_test_random(state);
    for (int d = 0; d < p.w.rank; d++)
        p.w.dims[d] = (int64_t) mls_test_random_below(state, MAX_DIM) + (d == 0);
    /* Every third is too large for a record. */
    if (p.w.rank > 1 && mls_test_random_below(state, 3) == 0)
        p.w.dims[0] = 900;
    random_layout(state, on->axis_count, p.w.rank, p.w.dtype != MLS_INT8, p.from);
    random_layout(state, on->axis_count, p.w.rank, p.w.dtype != MLS_INT8, p.to);
    return p;
}

void check_random_layouts(ranked *r, uint64_t *state)
{
    const pair p = random_pair(state, r->on);
    check_pair(r, &p);
}

static void check_arrangements(int count, uint64_t seed, const char *url)
{
    uint64_t state = mls_test_seed(seed);
    for (int i = 0; i < count; i++) {
        pair pairs[PAIRS];
        arrangement on = random_arrangement(&state);
        on.url = url;
        for (int k = 0; k < PAIRS; k++)
            pairs[k] = random_pair(&state, &on);
        on_mesh(&on, check_pairs, pairs);
    }
}

START_TEST(layouts_by_reading)
{
    check_arrangements(60, 11, NULL);
}
END_TEST

/* --- by messages, which are counted ---------------------------------------------------------- */

START_TEST(layouts_by_messages)
{
    counted_register(&mls__transport_inproc, false);
    check_arrangements(40, 12, "counted:test");
}
END_TEST

/* What is between threads here is between processes elsewhere: no memory is read. */
START_TEST(layouts_by_shared_memory)
{
    char url[64];
    snprintf(url, sizeof url, "shm:test-sharded-%ld", (long) getpid());
    check_arrangements(8, 15, url);
}
END_TEST

/* --- terms and back -------------------------------------------------------------------------- */

enum { PATTERNS = 300 };

/* No NaN, whose payload is not promised; zeros of both signs, denormals and infinities. */
static uint64_t pattern(mls_dtype dtype, uint64_t *state)
{
    const size_t bits = 8 * mls_dtype_size(dtype);
    const uint64_t sign = UINT64_C(1) << (bits - 1);
    switch (mls_test_random_below(state, 4)) {
    case 0:
        return 0;
    case 1:
        return sign;
    case 2:
        return sign | 1;
    default: /* of a small exponent */
        return mls_test_random(state) & (sign | (sign - 1)) & ~(sign >> 1);
    }
}

/* Of what becomes terms and is added up again no bit changes. */
static void to_terms_and_back(ranked *r)
{
    static const mls_dtype dtypes[] = {MLS_FLOAT32,  MLS_FLOAT64, MLS_FLOAT16,
                                       MLS_BFLOAT16, MLS_INT32,   MLS_INT64};
    const int64_t dims[2] = {PATTERNS / 10, 10};
    const int32_t all[2] = {-1, -1}, one[2] = {MLS_LAYOUT_PARTIAL, 1},
                  two[2] = {MLS_LAYOUT_PARTIAL, MLS_LAYOUT_PARTIAL};
    for (size_t d = 0; d < sizeof dtypes / sizeof dtypes[0]; d++) {
        const int32_t *const ways[] = {one, two, all};
        const size_t size = mls_dtype_size(dtypes[d]);
        unsigned char bits[PATTERNS * 8];
        uint64_t state = d + 1;
        mls_sharded *x, *y;
        ck_assert_ok(mls_sharded_create(r->mesh, dtypes[d], 2, dims, all, &x));
        for (size_t i = 0; i < PATTERNS; i++) {
            const uint64_t is = pattern(dtypes[d], &state);
            memcpy(bits + i * size, &is, size);
        }
        memcpy(mls_tensor_data(mls_sharded_local(x)), bits, PATTERNS * size);
        for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
            ck_assert_ok(mls_sharded_redistribute(x, ways[i], NULL, &y));
            mls_sharded_free(x);
            x = y;
        }
        mls_test_expect(memcmp(mls_tensor_data(mls_sharded_local(x)), bits, PATTERNS * size) == 0,
                        "%s: bits have changed", mls_dtype_name(dtypes[d]));
        mls_sharded_free(x);
    }
}

START_TEST(terms_and_back)
{
    arrangement on = {.axis_count = 2, .axes = {3, 2}, .ranks = 6};
    on.options = (mls_mesh_options) MLS_MESH_OPTIONS_INIT;
    on_mesh(&on, to_terms_and_back, NULL);
    on.options.shards[0] = 4;
    on.options.shards[1] = 1;
    on_mesh(&on, to_terms_and_back, NULL);
}
END_TEST

/* --- bytes ----------------------------------------------------------------------------------- */

static void redistribute_once(ranked *r)
{
    const pair *p = r->arg;
    mls_sharded *x = make(r, &p->w, p->from), *y;
    ck_assert_ok(mls_sharded_redistribute(x, p->to, NULL, &y));
    mls_sharded_free(y);
    mls_sharded_free(x);
}

/* What ranks lack of their blocks. */
static uint64_t lacking(const arrangement *on, const pair *p)
{
    uint64_t sum = 0;
    for (uint32_t r = 0; r < on->ranks; r++) {
        int64_t first[MLS_MAX_RANK], end[MLS_MAX_RANK], to_first[MLS_MAX_RANK],
            to_end[MLS_MAX_RANK];
        int64_t both = 1;
        block_of(on, &p->w, p->from, r, first, end);
        block_of(on, &p->w, p->to, r, to_first, to_end);
        for (int d = 0; d < p->w.rank; d++) {
            const int64_t begin = first[d] > to_first[d] ? first[d] : to_first[d];
            const int64_t stop = end[d] < to_end[d] ? end[d] : to_end[d];
            both *= stop > begin ? stop - begin : 0;
        }
        sum += (uint64_t) (count_of(&p->w, to_first, to_end) - both);
    }
    return sum * mls_dtype_size(p->w.dtype);
}

static uint64_t bytes_of(const arrangement *on, const pair *p)
{
    counted_take();
    on_mesh(on, redistribute_once, p);
    return counted_take();
}

/* Each rank gets what it lacks and nothing else. */
START_TEST(fewest_bytes_between_blocks)
{
    uint64_t state = mls_test_seed(13);
    counted_register(&mls__transport_inproc, false);
    for (int i = 0; i < 40; i++) {
        arrangement on = random_arrangement(&state);
        pair p = {.w = {MLS_FLOAT32, 3, {61, 47, 19}, 1}};
        on.url = "counted:test";
        random_layout(&state, on.axis_count, 3, false, p.from);
        random_layout(&state, on.axis_count, 3, false, p.to);
        const uint64_t moved = bytes_of(&on, &p), least = lacking(&on, &p);
        mls_test_expect(moved == least, "%s: %llu bytes, not %llu", text(&on, p.from, p.to),
                        (unsigned long long) moved, (unsigned long long) least);
    }
}
END_TEST

/* p ranks: (p - 1) / p of the tensor for each to be cut, twice that to be whole, 0 to be terms. */
START_TEST(fewest_bytes_of_terms)
{
    const uint64_t whole_bytes = 840 * 24 * sizeof(float);
    const int32_t partial[1] = {MLS_LAYOUT_PARTIAL};
    counted_register(&mls__transport_inproc, false);
    for (uint32_t ranks = 1; ranks <= 8; ranks++) {
        arrangement on = one_axis(ranks, 0);
        pair p = {.w = {MLS_FLOAT32, 2, {840, 24}, 1}, .from = {MLS_LAYOUT_PARTIAL}};
        on.url = "counted:test";
        p.to[0] = 0;
        ck_assert_uint_eq(bytes_of(&on, &p), (ranks - 1) * whole_bytes);
        p.to[0] = 1;
        ck_assert_uint_eq(bytes_of(&on, &p), (ranks - 1) * whole_bytes);
        p.to[0] = MLS_LAYOUT_REPLICATED;
        ck_assert_uint_eq(bytes_of(&on, &p), 2 * (ranks - 1) * whole_bytes);
        for (p.from[0] = MLS_LAYOUT_REPLICATED; p.from[0] < 2; p.from[0]++) {
            p.to[0] = partial[0];
            ck_assert_uint_eq(bytes_of(&on, &p), 0);
        }
    }
}
END_TEST

/* --- scatter, wrap, errors ------------------------------------------------------------------- */

static void scatter_and_wrap(ranked *r, const pair *p)
{
    const int64_t count = p->w.dims[0] * p->w.dims[1];
    const int64_t turned_dims[2] = {p->w.dims[1], p->w.dims[0]};
    const int axes[2] = {1, 0};
    mls_tensor *turned = NULL, *all = NULL, *local;
    mls_sharded *x, *again;
    if (r->rank == p->root) { /* a view that is not contiguous */
        ck_assert_ok(mls_tensor_create(the_context, p->w.dtype, 2, turned_dims, &turned));
        for (int64_t i = 0; i < count; i++)
            set_element(turned, i % p->w.dims[1] * p->w.dims[0] + i / p->w.dims[1],
                        (double) value_of(r->on, &p->w, p->from, i));
        ck_assert_ok(mls_tensor_permute(turned, axes, &all));
    }
    ck_assert_ok(
        mls_sharded_scatter(r->mesh, p->w.dtype, 2, p->w.dims, p->to, p->root, all, NULL, &x));
    if (!is_partial(r->on, p->to))
        check_block(r, &p->w, p->from, p->to, x);
    check_whole(r, &p->w, p->from, x, p->root);
    ck_assert_ok(mls_tensor_copy(mls_sharded_local(x), &local));
    ck_assert_ok(mls_sharded_wrap(r->mesh, 2, p->w.dims, p->to, local, &again));
    ck_assert_ptr_eq(mls_tensor_data(mls_sharded_local(again)), mls_tensor_data(local));
    mls_tensor_free(local);
    check_whole(r, &p->w, p->from, again, 0);
    mls_sharded_free(again);
    mls_sharded_free(x);
    mls_tensor_free(all);
    mls_tensor_free(turned);
}

void check_random_scatter(ranked *r, uint64_t *state)
{
    pair p = {.w = {MLS_FLOAT64, 2, {mls_test_random_below(state, 3) ? 5 : 300, 7}, 3},
              .from = {-1, -1, -1, -1},
              .root = (uint32_t) mls_test_random_below(state, r->on->ranks)};
    random_layout(state, r->on->axis_count, 2, true, p.to);
    scatter_and_wrap(r, &p);
}

static void check_scatter(ranked *r)
{
    uint64_t state = *(const uint64_t *) r->arg;
    check_random_scatter(r, &state);
}

START_TEST(scatters)
{
    uint64_t state = mls_test_seed(14);
    for (int i = 0; i < 30; i++) {
        const arrangement on = random_arrangement(&state);
        on_mesh(&on, check_scatter, &state);
    }
}
END_TEST

static void call_wrongly(ranked *r)
{
    const int64_t dims[2] = {6, 4}, other_dims[2] = {5, 4};
    const int32_t rows[1] = {0}, bad[1] = {2}, columns[1] = {1}, all[1] = {-1};
    const uint32_t sizes[1] = {5};
    mls_sharded *x, *y;
    mls_mesh *mesh;
    mls_tensor *other;
    ck_assert_fails(mls_mesh_create(r->group, 1, sizes, NULL, &mesh), MLS_EINVAL, "the group has");
    ck_assert_fails(mls_mesh_create(r->group, 5, sizes, NULL, &mesh), MLS_EINVAL, "5 axes");
    ck_assert_fails(mls_sharded_create(r->mesh, MLS_FLOAT32, 2, dims, bad, &x), MLS_EINVAL,
                    "the layout has 2 for axis 0");
    ck_assert_fails(mls_sharded_create(r->mesh, MLS_STRING, 2, dims, rows, &x), MLS_EDTYPE,
                    "strings");
    ck_assert_ok(mls_tensor_create(the_context, MLS_FLOAT32, 2, other_dims, &other));
    ck_assert_fails(mls_sharded_wrap(r->mesh, 2, dims, rows, other, &x), MLS_ESHAPE,
                    "the part of rank");
    mls_tensor_free(other);
    /* A mismatch is told to all, and the mesh is as good as before. */
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT32, 2, dims, rows, &x));
    ck_assert_fails(mls_sharded_redistribute(x, r->rank ? columns : all, NULL, &y), MLS_EMISMATCH,
                    "layouts");
    ck_assert_ok(mls_sharded_redistribute(x, columns, NULL, &y));
    mls_sharded_free(y);
    mls_sharded_free(x);
}

START_TEST(errors)
{
    const arrangement on = one_axis(3, 0);
    on_mesh(&on, call_wrongly, NULL);
}
END_TEST

static void make_other_meshes(ranked *r)
{
    const uint32_t sizes[2] = {r->rank < 2 ? 2 : 4, 2};
    mls_mesh *mesh;
    ck_assert_fails(mls_mesh_create(r->group, r->rank < 2 ? 2 : 1, sizes, NULL, &mesh),
                    MLS_EMISMATCH, "different axes");
}

START_TEST(other_meshes)
{
    const arrangement on = one_axis(4, 0);
    on_mesh(&on, make_other_meshes, NULL);
}
END_TEST

/* Rank 1 does not come: the others learn of it by the deadline, and then at once. */
static void call_alone(ranked *r)
{
    const int64_t dims[2] = {6, 4};
    const int32_t rows[1] = {0}, columns[1] = {1}, terms[1] = {MLS_LAYOUT_PARTIAL};
    mls_sharded *x, *y;
    mls_group_call call = MLS_GROUP_CALL_INIT;
    call.name = "weights";
    call.timeout_ms = 100;
    ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT32, 2, dims, rows, &x));
    if (r->rank != 1) {
        const mls_status status = mls_sharded_redistribute(x, columns, &call, &y);
        mls_test_expect(status == MLS_EDEADLINE && strstr(mls_error_message(), "'weights'") &&
                            strstr(mls_error_message(), "not arrived"),
                        "%s: %s", mls_status_name(status), mls_error_message());
        ck_assert_fails(mls_sharded_redistribute(x, columns, NULL, &y), MLS_EDEADLINE, "weights");
    } else {
        mls_sharded *sum; /* the groups of the axes end, too */
        ck_assert_ok(mls_sharded_create(r->mesh, MLS_FLOAT32, 2, dims, terms, &sum));
        ck_assert_fails(mls_sharded_redistribute(sum, columns, NULL, &y), MLS_EDEADLINE, "");
        mls_sharded_free(sum);
    }
    mls_sharded_free(x);
}

START_TEST(a_rank_that_does_not_come)
{
    arrangement on = one_axis(3, 3); /* the sums of stated shards have a group of their own */
    on.timeout_ms = 30000;
    on_mesh(&on, call_alone, NULL);
}
END_TEST

void sharded_add_layouts(TCase *tests)
{
    tcase_add_test(tests, layouts_by_reading);
    tcase_add_test(tests, layouts_by_messages);
    tcase_add_test(tests, layouts_by_shared_memory);
    tcase_add_test(tests, terms_and_back);
    tcase_add_test(tests, fewest_bytes_between_blocks);
    tcase_add_test(tests, fewest_bytes_of_terms);
    tcase_add_test(tests, scatters);
    tcase_add_test(tests, errors);
    tcase_add_test(tests, other_meshes);
    tcase_add_test(tests, a_rank_that_does_not_come);
}
