/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups that lose a rank while they are split: before it says its color, behind that, and once
 * others wait for it in the new group. Each rank's table of the transport is a copy, in which split
 * is the test's.
 */
#include "conformance/transport/suite.h"
#include "group/group.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

enum { RANKS = 4, LOST = 2 };
enum { BEFORE, BEHIND, WHILE_OTHERS_WAIT };

typedef struct loss {
    int when;
    bool in_halves; /* ranks 0 and 2, ranks 1 and 3; else all of them */
    bool aborts;    /* rather than to be lost */
} loss;

static const loss losses[] = {
    {BEFORE, false, false},
    {BEFORE, true, false},
    {BEHIND, false, false},
    {BEHIND, true, false},
    {WHILE_OTHERS_WAIT, false, false},
    {WHILE_OTHERS_WAIT, true, false},
    {BEHIND, true, true},
    {WHILE_OTHERS_WAIT, false, true},
};
enum { LOSSES = sizeof losses / sizeof losses[0] };

static const loss *now;
static atomic_int *asked; /* how often those who wait asked whether it is over */
static _Thread_local const mls_transport *real;

static int count_and_ask(void *user)
{
    const mls_transport_subset *subset = user;
    atomic_fetch_add(asked, 1);
    return subset->is_over(subset->user);
}

static mls_status wait_and_count(void *link, const mls_transport_subset *subset, void **ret_link)
{
    mls_transport_subset own = *subset;
    own.is_over = count_and_ask;
    own.user = (void *) (uintptr_t) subset;
    return real->split(link, &own, ret_link);
}

static mls_status be_lost(void *link, const mls_transport_subset *subset, void **ret_link)
{
    (void) subset;
    (void) ret_link;
    while (now->when == WHILE_OTHERS_WAIT && !atomic_load(asked))
        sched_yield();
    if (now->aborts)
        real->abort(link, MLS_ECANCELLED, "it is enough");
    else if (conformance_has_processes())
        raise(SIGKILL);
    else
        real->leave(link);
    return MLS_ECANCELLED;
}

static mls_status split_by(mls_group *group, uint32_t color, mls_group **ret_group,
                           mls_status (*by)(void *link, const mls_transport_subset *subset,
                                            void **ret_link))
{
    mls_transport table = *group->transport.ops;
    real = group->transport.ops;
    table.split = by;
    group->transport.ops = &table;
    mls_group *part = NULL;
    const mls_status status = mls_group_split(group, color, 0, NULL, &part);
    group->transport.ops = real;
    if (part)
        part->transport.ops = real;
    *ret_group = part;
    return status;
}

/* --- lost ranks ------------------------------------------------------------------------------ */

static void expect_loss(mls_status status)
{
    const char *text = now->aborts                   ? "rank 2 ended the group: it is enough"
                       : conformance_has_processes() ? "rank 2 is dead"
                                                     : "rank 2 has left the group";
    ck_assert_fails(status, now->aborts ? MLS_ECANCELLED : MLS_EPEER, text);
}

static void go_on(mls_group *group)
{
    mls_group *smaller;
    mls_tensor *tensor = conformance_tensor(MLS_FLOAT32, 1);
    *(float *) mls_tensor_data(tensor) = 1;
    ck_assert_ok(mls_group_shrink(group, NULL, &smaller));
    ck_assert_ok(mls_group_allreduce(smaller, tensor, tensor, MLS_REDUCE_SUM, NULL, NULL));
    mls_test_expect(*(float *) mls_tensor_data(tensor) == (now->aborts ? RANKS : RANKS - 1),
                    "the sum is %g", (double) *(float *) mls_tensor_data(tensor));
    mls_tensor_free(tensor);
    mls_group_free(smaller);
}

static void lose_itself(ranked *r, uint32_t color)
{
    mls_group *part;
    if (now->when == BEFORE && conformance_has_processes())
        raise(SIGKILL);
    if (now->when != BEFORE) {
        ck_assert_int_ne(split_by(r->group, color, &part, be_lost), MLS_OK);
        ck_assert_ptr_null(part);
    }
    if (now->aborts) {
        go_on(r->group);
        return;
    }
    mls_group_free(r->group);
    r->group = NULL;
}

static void split_and_lose(ranked *r)
{
    const uint32_t color = now->in_halves ? r->rank % 2 : 0;
    mls_group *part;
    if (r->rank == LOST) {
        lose_itself(r, color);
        return;
    }
    const mls_status status = split_by(r->group, color, &part, wait_and_count);
    if (status) {
        expect_loss(status);
    } else {
        /* A half that has lost nobody may have been complete before. */
        ck_assert(now->in_halves && now->when != BEFORE && r->rank % 2);
        ck_assert_ok(mls_group_barrier(part, NULL, NULL));
        mls_group_free(part);
    }
    expect_loss(mls_group_barrier(r->group, NULL, NULL));
    go_on(r->group);
}

START_TEST(losses_end_splits)
{
    now = &losses[_i];
    asked = mmap(NULL, sizeof *asked, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(asked, MAP_FAILED);
    the_killed = now->aborts ? UINT32_MAX : LOST;
    conformance_ranks(RANKS, NULL, split_and_lose, NULL);
    the_killed = UINT32_MAX;
}
END_TEST

/* --- late ranks ------------------------------------------------------------------------------ */

static pthread_barrier_t *meeting;

/* There is no time left for those that have not come. */
static mls_status wait_no_more(void *link, const mls_transport_subset *subset, void **ret_link)
{
    mls_transport_subset own = *subset;
    own.until_ns = 1;
    return real->split(link, &own, ret_link);
}

static mls_status come_late(void *link, const mls_transport_subset *subset, void **ret_link)
{
    conformance_meet(meeting);
    return real->split(link, subset, ret_link);
}

/* Rank 2 is number 1 of the new group that it is late for. */
static void split_late(ranked *r)
{
    static const char text[] = "of 2 ranks these have not come: 2";
    mls_group *part;
    if (r->rank % 2) {
        ck_assert_ok(mls_group_split(r->group, MLS_GROUP_NO_COLOR, 0, NULL, &part));
        return;
    }
    const mls_status status =
        split_by(r->group, 0, &part, r->rank == LOST ? come_late : wait_no_more);
    ck_assert_fails(status, MLS_EDEADLINE, text);
    ck_assert_ptr_nonnull(strstr(mls_error_message(), "seq 1 split after "));
    if (r->rank == 0)
        conformance_meet(meeting);
}

START_TEST(late_ranks_are_named_as_before)
{
    meeting = conformance_meeting(2);
    conformance_ranks(RANKS, NULL, split_late, NULL);
}
END_TEST

void conformance_add_splits(TCase *tests)
{
    tcase_add_loop_test(tests, losses_end_splits, 0, LOSSES);
    tcase_add_test(tests, late_ranks_are_named_as_before);
}
