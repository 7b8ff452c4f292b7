/* SPDX-License-Identifier: Apache-2.0 */
/* Parts in memory that the other ranks read where it lies: nothing is sent, until it is full. */
#include "sharded/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STEPS = 7 };

typedef struct way {
    whole w;
    int32_t layouts[STEPS][MLS_MESH_MAX_AXES];
    bool fills; /* the memory of rank 1 */
} way;

static void check_way(ranked *r, const way *s)
{
    mls_sharded *x = make(r, &s->w, s->layouts[0]), *y;
    for (int i = 1; i < STEPS; i++) {
        ck_assert_ok(mls_sharded_redistribute(x, s->layouts[i], NULL, &y));
        mls_sharded_free(x);
        x = y;
        if (!is_partial(r->on, s->layouts[i]))
            check_block(r, &s->w, s->layouts[0], s->layouts[i], x);
    }
    check_whole(r, &s->w, s->layouts[0], x, 0);
    mls_sharded_free(x);
}

static void check_product(ranked *r)
{
    const whole a = {MLS_INT32, 2, {60, 500}, 1}, b = {MLS_INT32, 2, {500, 70}, 2};
    const int32_t depth_of_a[2] = {1, -1}, depth_of_b[2] = {0, -1}, rows[2] = {0, -1};
    mls_sharded *x = make(r, &a, depth_of_a), *y = make(r, &b, depth_of_b), *terms, *c;
    ck_assert_ok(mls_sharded_matmul(x, y, NULL, &terms));
    ck_assert_ok(mls_sharded_redistribute(terms, rows, NULL, &c));
    const mls_tensor *local = mls_sharded_local(c);
    int64_t first[2], dims[2];
    ck_assert_ok(mls_sharded_block(c, first, dims));
    for (int64_t i = 0; i < mls_tensor_element_count(local); i++) {
        int64_t sum = 0;
        for (int64_t k = 0; k < 500; k++)
            sum += value_of(r->on, &a, depth_of_a, (first[0] + i / 70) * 500 + k) *
                   value_of(r->on, &b, depth_of_b, k * 70 + i % 70);
        mls_test_expect(element(local, i) == (double) sum, "element %lld of the product",
                        (long long) i);
    }
    mls_sharded_free(c);
    mls_sharded_free(terms);
    mls_sharded_free(y);
    mls_sharded_free(x);
}

/* Until there is no more. */
static mls_tensor **fill(ranked *r, int count)
{
    const int64_t page[1] = {4096};
    mls_tensor **all = calloc((size_t) count, sizeof *all);
    mls_status status = MLS_OK;
    for (int i = 0; !status && i < count; i++)
        status = mls_group_create_tensor(r->group, MLS_INT8, 1, page, &all[i]);
    ck_assert_int_eq(status, MLS_ENOMEM);
    return all;
}

static void run(ranked *r)
{
    enum { PAGES = 5000 };
    const way *s = r->arg;
    mls_tensor **full = s->fills && r->rank == 1 ? fill(r, PAGES) : NULL;
    check_way(r, s);
    check_product(r);
    for (int i = 0; full && i < PAGES; i++)
        mls_tensor_free(full[i]);
    free(full);
}

static uint64_t sent_by(const arrangement *on, const way *s)
{
    counted_take();
    on_mesh(on, run, s);
    return counted_take();
}

static const way between_all = {
    .w = {MLS_FLOAT32, 2, {300, 40}, 3},
    .layouts = {{0, -1}, {1, -1}, {-1, -1}, {-2, -1}, {0, -1}, {-2, 1}, {1, 0}},
};

/* Sums to all along a line of some ranks would be messages. */
static const way between_blocks = {
    .w = {MLS_FLOAT32, 2, {300, 40}, 4},
    .layouts = {{-2, -1}, {0, -1}, {1, 0}, {0, 1}, {-1, -1}, {-1, 1}, {0, -1}},
};

START_TEST(nothing_is_sent)
{
    char url[64];
    snprintf(url, sizeof url, "counted:test-arenas-%ld", (long) getpid());
    counted_register(&mls__transport_shm, true);
    for (uint32_t ranks = 1; ranks <= 5; ranks++) {
        arrangement on = one_axis(ranks, 0);
        on.url = url;
        ck_assert_uint_eq(sent_by(&on, &between_all), 0);
    }
    arrangement on = {.axis_count = 2, .axes = {2, 2}, .ranks = 4, .url = url};
    on.options = (mls_mesh_options) MLS_MESH_OPTIONS_INIT;
    ck_assert_uint_eq(sent_by(&on, &between_blocks), 0);
}
END_TEST

START_TEST(full)
{
    char url[64];
    way s = between_all;
    arrangement on = one_axis(3, 0);
    snprintf(url, sizeof url, "counted:test-full-%ld?arena=2m", (long) getpid());
    counted_register(&mls__transport_shm, true);
    on.url = url;
    ck_assert_uint_eq(sent_by(&on, &s), 0); /* there is enough */
    s.fills = true;
    ck_assert_uint_gt(sent_by(&on, &s), 0);
}
END_TEST

void sharded_add_arenas(TCase *tests)
{
    tcase_add_test(tests, nothing_is_sent);
    tcase_add_test(tests, full);
}
