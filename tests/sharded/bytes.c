/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every pair of layouts on meshes of two axes: the values, and the bytes that are sent against the
 * fewest that any way could send, element by element.
 */
#include "sharded/suite.h"

#include <string.h>

typedef struct pair {
    whole w;
    int32_t from[MLS_MESH_MAX_AXES], to[MLS_MESH_MAX_AXES];
} pair;

static const uint32_t meshes[][2] = {{2, 2}, {3, 2}, {2, 3}, {1, 7}};
enum { MESHES = sizeof meshes / sizeof meshes[0] };

static arrangement mesh_of(int index)
{
    arrangement on = {.axis_count = 2, .ranks = meshes[index][0] * meshes[index][1]};
    memcpy(on.axes, meshes[index], sizeof meshes[index]);
    on.options = (mls_mesh_options) MLS_MESH_OPTIONS_INIT;
    return on;
}

/* Two layouts of two axes, each of which is terms, all, rows or columns. */
static void set_layouts(pair *p, int index)
{
    for (int i = 0; i < 4; i++, index /= 4)
        (i < 2 ? p->from : p->to)[i % 2] = index % 4 - 2;
}

/* --- bytes ----------------------------------------------------------------------------------- */

static void redistribute_once(ranked *r)
{
    const pair *p = r->arg;
    mls_sharded *x, *y;
    ck_assert_ok(mls_sharded_create(r->mesh, p->w.dtype, p->w.rank, p->w.dims, p->from, &x));
    ck_assert_ok(mls_sharded_redistribute(x, p->to, NULL, &y));
    mls_sharded_free(y);
    mls_sharded_free(x);
}

/* Whether a rank has row i and column j, in that layout. */
static bool has(const arrangement *on, const pair *p, const int32_t *layout, uint32_t rank,
                int64_t i, int64_t j)
{
    int64_t first[2], end[2];
    block_of(on, &p->w, layout, rank, first, end);
    return i >= first[0] && i < end[0] && j >= first[1] && j < end[1];
}

/*
 * How often an element must be sent. Where it is no sum: to each rank that lacks it. Where it is
 * one of n terms, n - 1 times until the first rank has the sum (n times, if that had no term), and
 * then once to each other rank, which had only a part of it.
 */
static uint64_t least_of(const arrangement *on, const pair *p, int64_t i, int64_t j)
{
    uint64_t terms = 0, wanting = 0, lacking = 0; /* a bit for each term */
    for (uint32_t r = 0; r < on->ranks; r++) {
        const uint32_t row = p->from[0] == MLS_LAYOUT_PARTIAL ? r / on->axes[1] : 0;
        const uint32_t column = p->from[1] == MLS_LAYOUT_PARTIAL ? r % on->axes[1] : 0;
        const bool is_there = has(on, p, p->from, r, i, j), is_wanted = has(on, p, p->to, r, i, j);
        terms |= (uint64_t) is_there << (row * 8 + column);
        wanting += is_wanted;
        lacking += is_wanted && !is_there;
    }
    const uint64_t count = (uint64_t) __builtin_popcountll(terms);
    return count == 1 ? lacking : count - 1 + wanting - 1 + (lacking == wanting);
}

static uint64_t least_bytes(const arrangement *on, const pair *p)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < p->w.dims[0]; i++)
        for (int64_t j = 0; j < p->w.dims[1]; j++)
            sum += least_of(on, p, i, j);
    return sum * mls_dtype_size(p->w.dtype);
}

static bool is_sum(const pair *p)
{
    return p->from[0] == MLS_LAYOUT_PARTIAL || p->from[1] == MLS_LAYOUT_PARTIAL;
}

/* Sums that go to all, or along each axis to blocks of a dimension of their own. */
static bool is_plain_sum(const pair *p)
{
    for (int i = 0; i < 2; i++) {
        const bool adds = p->from[i] == MLS_LAYOUT_PARTIAL;
        if (!adds && p->from[i] != p->to[i])
            return false;
    }
    return p->to[0] < 0 ? p->to[0] == p->to[1] && p->from[0] == p->from[1]
                        : p->to[1] >= 0 && p->to[0] != p->to[1];
}

/*
 * What is no sum moves the fewest bytes. Of a sum, parts are boxes, and so not always those that
 * would be best: by two thirds more at worst, here where two axes cut one dimension.
 */
START_TEST(bytes)
{
    enum { TIMES = 30 };
    counted_register(&mls__transport_inproc, false);
    for (int k = 0; k < MESHES * 256; k++) {
        arrangement on = mesh_of(k / 256);
        pair small = {.w = {MLS_FLOAT32, 2, {on.ranks, on.ranks}, 1}};
        on.url = "counted:test";
        set_layouts(&small, k % 256);
        if (small.to[0] == MLS_LAYOUT_PARTIAL || small.to[1] == MLS_LAYOUT_PARTIAL)
            continue;
        pair large = small; /* so that nothing fits into a record */
        large.w.dims[0] *= TIMES;
        large.w.dims[1] *= TIMES;
        counted_take();
        on_mesh(&on, redistribute_once, &large);
        const uint64_t moved = counted_take(), least = TIMES * TIMES * least_bytes(&on, &small);
        const bool is_least = !is_sum(&small) || is_plain_sum(&small);
        mls_test_expect(is_least ? moved == least : moved >= least && 3 * moved <= 5 * least,
                        "%s: %llu bytes, not %llu", text(&on, small.from, small.to),
                        (unsigned long long) moved, (unsigned long long) least);
    }
}
END_TEST

/* --- values ---------------------------------------------------------------------------------- */

static void check_pair(ranked *r)
{
    const pair *p = r->arg;
    mls_sharded *x = make(r, &p->w, p->from), *y;
    ck_assert_ok(mls_sharded_redistribute(x, p->to, NULL, &y));
    if (!is_partial(r->on, p->to))
        check_block(r, &p->w, p->from, p->to, y);
    else
        check_whole(r, &p->w, p->from, y, 0);
    mls_sharded_free(y);
    mls_sharded_free(x);
}

START_TEST(values)
{
    for (int k = 0; k < 2 * 256; k++) {
        arrangement on = mesh_of(k / 256);
        pair p = {.w = {MLS_FLOAT64, 2, {67, 37}, (uint64_t) k}};
        on.options.shards[0] = k / 256 ? 4 : 0;
        set_layouts(&p, k % 256);
        on_mesh(&on, check_pair, &p);
    }
}
END_TEST

void sharded_add_bytes(TCase *tests)
{
    tcase_add_test(tests, bytes);
    tcase_add_test(tests, values);
}
