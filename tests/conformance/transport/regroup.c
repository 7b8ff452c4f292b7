/* SPDX-License-Identifier: Apache-2.0 */
/* Groups made from offers, from groups, and from those that are left of one. */
#include "conformance/transport/suite.h"

#include <pthread.h>
#include <string.h>

enum { COUNT = 3000 };

/* The sum of `first` + i over the ranks of the group, each giving its `own`. */
static void expect_sum(mls_group *group, float own, float sum)
{
    static const int64_t counts[] = {3, COUNT};
    for (size_t c = 0; c < 2; c++) {
        mls_tensor *a = conformance_tensor(MLS_FLOAT32, counts[c]);
        float *data = mls_tensor_data(a);
        for (int64_t i = 0; i < counts[c]; i++)
            data[i] = own;
        ck_assert_ok(mls_group_allreduce(group, a, a, MLS_REDUCE_SUM, NULL, NULL));
        for (int64_t i = 0; i < counts[c]; i++)
            mls_test_expect(data[i] == sum, "element %lld is %g, not %g", (long long) i,
                            (double) data[i], (double) sum);
        mls_tensor_free(a);
    }
}

/* --- offers ---------------------------------------------------------------------------------- */

typedef struct offering {
    mls_group *group;
    uint32_t rank;
    const void **addresses;
    size_t *sizes;
} offering;

static void *join(void *arg)
{
    offering *o = arg;
    ck_assert_ok(mls_group_join(o->group, o->rank, 3, o->addresses, o->sizes));
    ck_assert_uint_eq(mls_group_rank(o->group), o->rank);
    ck_assert_fails(mls_group_join(o->group, o->rank, 3, o->addresses, o->sizes), MLS_ESTATE,
                    "joined already");
    expect_sum(o->group, (float) o->rank, 3);
    return NULL;
}

START_TEST(hosts_bring_ranks_together)
{
    offering offers[3];
    pthread_t threads[3];
    const void *addresses[3];
    size_t sizes[3];
    for (uint32_t i = 0; i < 3; i++) {
        offers[i] = (offering){NULL, i, addresses, sizes};
        ck_assert_ok(mls_group_offer(the_context, the_url, NULL, &offers[i].group));
        addresses[i] = mls_group_address(offers[i].group, &sizes[i]);
        ck_assert_ptr_nonnull(addresses[i]);
    }
    ck_assert_fails(mls_group_barrier(offers[0].group, NULL, NULL), MLS_ESTATE, "joined");
    ck_assert_fails(mls_group_join(offers[0].group, 0, 0, addresses, sizes), MLS_EINVAL, "0 ranks");
    for (uint32_t i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, join, &offers[i]);
    for (uint32_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < 3; i++)
        mls_group_free(offers[i].group);
    ck_assert_ok(mls_group_offer(the_context, the_url, NULL, &offers[0].group));
    mls_group_free(offers[0].group); /* never joined */
}
END_TEST

/* --- split ----------------------------------------------------------------------------------- */

/* Even and odd ranks, the even ones in reverse; rank 4 is in none. */
static void split_colors(ranked *r)
{
    mls_group *part;
    const bool is_out = r->rank == 4;
    const bool is_even = r->rank % 2 == 0;
    ck_assert_ok(mls_group_split(r->group, is_out ? MLS_GROUP_NO_COLOR : r->rank % 2,
                                 is_even ? 10 - r->rank : 0, NULL, &part));
    if (is_out) {
        ck_assert_ptr_null(part);
    } else {
        ck_assert_uint_eq(mls_group_size(part), is_even ? 2 : 3);
        ck_assert_uint_eq(mls_group_rank(part), is_even ? 1 - r->rank / 2 : r->rank / 2);
        expect_sum(part, (float) r->rank, is_even ? 2 : 9);
    }
    expect_sum(r->group, 1, 6);
    mls_group_free(part);
}

START_TEST(groups_are_split)
{
    conformance_ranks(6, NULL, split_colors, NULL);
}
END_TEST

/* --- shrink ---------------------------------------------------------------------------------- */

/* Ranks 1 and 3 go, one after the other; 12 shards are added up whoever has them. */
static void lose_ranks(ranked *r)
{
    mls_group *group = r->group;
    r->group = NULL;
    for (uint32_t lost = 1; lost <= 3; lost += 2) {
        if (r->rank == lost) {
            mls_group_free(group);
            return;
        }
        ck_assert_int_eq(mls_group_barrier(group, NULL, NULL), MLS_EPEER);
        mls_group *smaller;
        ck_assert_ok(mls_group_shrink(group, NULL, &smaller));
        ck_assert_int_eq(mls_group_barrier(group, NULL, NULL), MLS_EPEER);
        mls_group_free(group);
        group = smaller;
        const uint32_t rank = mls_group_rank(group);
        uint32_t first, count;
        ck_assert_uint_eq(mls_group_size(group), lost == 1 ? 3 : 2);
        ck_assert_uint_eq(mls_group_shards(group, rank, &first, &count), 12);
        const int64_t dims[] = {count, COUNT};
        mls_tensor *source, *target = conformance_tensor(MLS_INT32, COUNT);
        ck_assert_ok(mls_tensor_create(the_context, MLS_INT32, 2, dims, &source));
        int32_t *data = mls_tensor_data(source);
        for (uint32_t s = 0; s < count; s++)
            for (size_t i = 0; i < COUNT; i++)
                data[s * COUNT + i] = (int32_t) (first + s);
        ck_assert_ok(mls_group_allreduce(group, source, target, MLS_REDUCE_SUM, NULL, NULL));
        ck_assert_int_eq(((const int32_t *) mls_tensor_data(target))[COUNT - 1], 66);
        mls_tensor_free(source);
        mls_tensor_free(target);
    }
    mls_group_free(group);
}

START_TEST(survivors_go_on)
{
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.shards = 12;
    for (int i = 0; i < 10; i++)
        conformance_ranks(4, &options, lose_ranks, NULL);
}
END_TEST

/* Rank 0 goes; rank 2 hears of it and shrinks, while rank 1 waits for rank 2. */
static void wait_for_who_shrinks(ranked *r)
{
    mls_group *smaller;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    mls_tensor *tensor = conformance_tensor(MLS_FLOAT32, 1);
    if (r->rank == 0) {
        mls_group_free(r->group);
        r->group = NULL;
        mls_tensor_free(tensor);
        return;
    }
    const mls_status status = mls_group_receive(r->group, tensor, r->rank == 1 ? 2 : 0, NULL, NULL);
    ck_assert_fails(status, MLS_EPEER, "rank 0 has");
    mls_tensor_free(tensor);
    options.min_ranks = 3;
    ck_assert_fails(mls_group_shrink(r->group, &options, &smaller), MLS_EPEER,
                    "of 3 ranks 2 are left; mls_group_options.min_ranks asks for 3");
    options.min_ranks = 2;
    ck_assert_ok(mls_group_shrink(r->group, &options, &smaller));
    ck_assert_uint_eq(mls_group_size(smaller), 2);
    mls_group_free(smaller);
}

START_TEST(who_shrinks_says_who_was_lost)
{
    conformance_ranks(3, NULL, wait_for_who_shrinks, NULL);
}
END_TEST

static pthread_barrier_t *meeting;

/* Rank 0 is alive, and does not come in the time of rank 2, whose new link has as long. */
static void stay_away(ranked *r)
{
    mls_group *smaller;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.timeout_ms = r->rank == 2 ? 3000 : 60000;
    if (r->rank == 0) {
        pthread_barrier_wait(meeting);
        ck_assert_fails(mls_group_shrink(r->group, NULL, &smaller), MLS_EPEER, "came late");
        return;
    }
    const mls_status status = mls_group_shrink(r->group, &options, &smaller);
    pthread_barrier_wait(meeting);
    ck_assert_ok(status);
    expect_sum(smaller, (float) r->rank, 3);
    mls_group_free(smaller);
}

START_TEST(late_ranks_are_left_behind)
{
    meeting = conformance_meeting(3);
    conformance_ranks(3, NULL, stay_away, NULL);
}
END_TEST

/* What came of the first shrink is not enough: a rank is lost before it is used. */
static void shrink_twice(ranked *r)
{
    mls_group *first = NULL, *second;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.timeout_ms = 60000;
    if (r->rank < 2) {
        ck_assert_int_eq(mls_group_barrier(r->group, NULL, NULL), MLS_EPEER);
        ck_assert_ok(mls_group_shrink(r->group, &options, &first));
        ck_assert_uint_eq(mls_group_size(first), 2);
    }
    mls_group_free(first);
    if (r->rank > 0) {
        mls_group_free(r->group);
        r->group = NULL;
        return;
    }
    ck_assert_ok(mls_group_shrink(r->group, &options, &second));
    ck_assert_uint_eq(mls_group_size(second), 1);
    expect_sum(second, 7, 7);
    mls_group_free(second);
}

START_TEST(survivors_agree_anew)
{
    conformance_ranks(3, NULL, shrink_twice, NULL);
}
END_TEST

START_TEST(nobody_is_left_of_an_offer)
{
    mls_group *offer, *rest;
    ck_assert_ok(mls_group_offer(the_context, the_url, NULL, &offer));
    ck_assert_ok(mls_group_abort(offer, "it is enough"));
    ck_assert_fails(mls_group_shrink(offer, NULL, &rest), MLS_ESTATE, "never joined");
    mls_group_free(offer);
}
END_TEST

void conformance_add_regroup(TCase *tests)
{
    tcase_add_test(tests, hosts_bring_ranks_together);
    tcase_add_test(tests, groups_are_split);
    tcase_add_test(tests, survivors_go_on);
    tcase_add_test(tests, who_shrinks_says_who_was_lost);
    tcase_add_test(tests, late_ranks_are_left_behind);
    tcase_add_test(tests, survivors_agree_anew);
    tcase_add_test(tests, nobody_is_left_of_an_offer);
}
