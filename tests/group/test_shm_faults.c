/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may happen to processes that share memory: they are killed and stopped; memory is full;
 * with what happens while they meet in shm_meetings.c, and what others write in shm_noise.c.
 */
#include "group/group.h"
#include "group/shm_ranks.h"
#include "transport/shm/shm.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

/* --- killed and stopped ---------------------------------------------------------------------- */

static void lose_rank_2(uint32_t rank)
{
    mls_group *group, *smaller;
    ck_assert_ok(ranks_create(rank, 3, GENEROUS_MS, &group));
    ck_assert_ok(ranks_add_up(group, 20000, GENEROUS_MS));
    if (rank == 2) {
        raise(SIGKILL);
        return;
    }
    const mls_status status = mls_group_barrier(group, NULL, NULL);
    ck_assert_int_eq(status, MLS_EPEER); /* long before its deadline */
    ck_assert_msg(strstr(mls_error_message(), "rank 2 is dead") != NULL, "%s", mls_error_message());
    ck_assert_ok(mls_group_shrink(group, NULL, &smaller));
    ck_assert_uint_eq(mls_group_size(smaller), 2);
    ck_assert_ok(ranks_add_up(smaller, 20000, GENEROUS_MS));
    mls_group_free(smaller);
    mls_group_free(group);
}

START_TEST(killed_ranks_are_dead)
{
    ranks_run(3, lose_rank_2, 2, SIGKILL);
}
END_TEST

/* Killed while it sends what rank 0 receives, whatever is in the channel. */
static void lose_sender(uint32_t rank)
{
    enum { COUNT = 1 << 20 };
    static float memory[COUNT];
    const int64_t count = COUNT;
    mls_group *group;
    mls_tensor *tensor;
    mls_work *work;
    ck_assert_ok(ranks_create(rank, 2, GENEROUS_MS, &group));
    ck_assert_ok(
        mls_tensor_wrap(ranks_context, MLS_FLOAT32, 1, &count, NULL, memory, NULL, NULL, &tensor));
    if (rank == 1) {
        ck_assert_ok(mls_group_send(group, tensor, 0, NULL, &work));
        raise(SIGKILL);
        return;
    }
    const mls_status status = mls_group_receive(group, tensor, 1, NULL, NULL);
    ck_assert_msg(!status || status == MLS_EPEER, "%s", mls_error_message());
    ck_assert_fails(mls_group_receive(group, tensor, 1, NULL, NULL), MLS_EPEER, "is dead");
    mls_tensor_free(tensor);
    mls_group_free(group);
}

START_TEST(killed_senders_are_dead)
{
    ranks_run(2, lose_sender, 1, SIGKILL);
}
END_TEST

static void wait_for_rank_2(uint32_t rank)
{
    mls_group *group;
    ck_assert_ok(ranks_create(rank, 3, GENEROUS_MS, &group));
    const mls_group_call call = ranks_within(SHORT_MS);
    pthread_barrier_wait(&ranks_stage->three);
    if (rank == 2)
        raise(SIGSTOP);
    const mls_status status = mls_group_barrier(group, rank == 2 ? NULL : &call, NULL);
    ck_assert_int_eq(status, MLS_EDEADLINE);
    /* Rank 0 or 1 may have come too late for the other, too. */
    ck_assert_msg(rank == 2 || strstr(mls_error_message(), "rank 2 has not arrived; it is alive") ||
                      strstr(mls_error_message(), ", 2 have not arrived; rank "),
                  "%s", mls_error_message());
    mls_group_free(group);
}

START_TEST(stopped_ranks_are_named)
{
    pid_t children[3];
    for (uint32_t i = 0; i < 3; i++)
        children[i] = ranks_start(i, wait_for_rank_2);
    ranks_end(children[0], 0);
    ranks_end(children[1], 0);
    mls_test_await_stop(children[2]);
    kill(children[2], SIGCONT);
    ranks_end(children[2], 0);
}
END_TEST

/* --- memory ---------------------------------------------------------------------------------- */

static void find_no_room(uint32_t rank)
{
    mls_group *group;
    const struct rlimit limit = {1 << 16, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_fails(ranks_create(rank, 2, GENEROUS_MS, &group), MLS_ENOMEM, "RLIMIT_FSIZE");
}

/* On every rank, and long before its deadline. */
START_TEST(full_memory_is_an_error)
{
    ranks_run(2, find_no_room, UINT32_MAX, 0);
}
END_TEST

static mls_status use_alone(mls_context *context, void *arg)
{
    (void) arg;
    mls_group *group;
    mls_status status = mls_group_create(context, "shm:alone", 0, 1, NULL, &group);
    if (status)
        return status;
    mls_tensor *a = NULL, *b = NULL;
    const int64_t count = 2000;
    status = mls_tensor_create(context, MLS_FLOAT32, 1, &count, &a);
    if (!status)
        status = mls_tensor_create(context, MLS_FLOAT32, 1, &count, &b);
    if (!status)
        status = mls_group_allreduce(group, a, b, MLS_REDUCE_SUM, NULL, NULL);
    mls_tensor_free(a);
    mls_tensor_free(b);
    mls_group_free(group);
    return status;
}

START_TEST(memory_may_run_out)
{
    mls_test_each_allocation(use_alone, NULL);
}
END_TEST

/* Rank 0 has no time left while rank 1 is just about to decide. */
static void decide_late(uint32_t rank)
{
    mls_group *group;
    uint32_t ranks[2], count;
    ck_assert_ok(ranks_create(rank, 2, GENEROUS_MS, &group));
    const shm_link *link = group->link;
    if (rank == 1)
        atomic_store(&link->room->decider, UINT64_C(1) << 32 | 2);
    pthread_barrier_wait(&ranks_stage->two);
    while (rank == 1 && !atomic_load(&shm_seat_of(link, 0)->raised))
        sched_yield();
    ck_assert_ok(shm_survivors(group->link, rank ? MLS__FOREVER : 1, ranks, &count));
    ck_assert_uint_eq(count, 2);
    mls_group_free(group);
}

START_TEST(decisions_are_waited_for)
{
    ranks_run(2, decide_late, UINT32_MAX, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group/shm_faults");
    TCase *tests = mls_test_case(suite, "faults", ranks_set_up, NULL);
    tcase_add_test(tests, killed_ranks_are_dead);
    tcase_add_test(tests, killed_senders_are_dead);
    tcase_add_test(tests, stopped_ranks_are_named);
    tcase_add_test(tests, decisions_are_waited_for);
    tcase_add_test(tests, full_memory_is_an_error);
    tcase_add_test(tests, memory_may_run_out);
    shm_meetings_add(tests);
    shm_noise_add(tests);
    return mls_test_run(suite);
}
