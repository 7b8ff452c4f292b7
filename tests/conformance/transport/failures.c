/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing hangs: deadlines, mismatches, aborts and deaths end every call, and say why. */
#include "base/clock.h"
#include "conformance/transport/suite.h"
#include "group/group.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- deadlines ------------------------------------------------------------------------------- */

static pthread_barrier_t *meeting;

/* Rank 2 comes after the others gave up, and learns of it. */
static void come_late(ranked *r)
{
    mls_tensor *tensor = conformance_tensor(MLS_FLOAT32, 100);
    const mls_group_call first = conformance_call("first", 0);
    const mls_group_call call = conformance_call("grad.3", r->rank == 0 ? 60 : 60000);
    ck_assert_ok(mls_group_barrier(r->group, &first, NULL));
    if (r->rank == 2)
        conformance_meet(meeting);
    const mls_status status =
        mls_group_allreduce(r->group, tensor, tensor, MLS_REDUCE_SUM, &call, NULL);
    ck_assert_int_eq(status, MLS_EDEADLINE);
    const char *message = mls_error_message();
    ck_assert_ptr_nonnull(strstr(message, "seq 2 allreduce sum of 100 float32 'grad.3' after "));
    /* Rank 1 may come later than rank 0 waits, too. */
    ck_assert_msg(strstr(message, "rank 2 has not arrived; it ") ||
                      strstr(message, "ranks 1, 2 have not arrived; rank 1 "),
                  "%s", message);
    ck_assert_ptr_nonnull(strstr(message, " and last did seq 1 barrier 'first'"));
    ck_assert(!strstr(message, "rank 0 ended") == (r->rank == 0));
    if (r->rank != 2)
        conformance_meet(meeting);
    ck_assert_fails(mls_group_barrier(r->group, NULL, NULL), MLS_EDEADLINE, "is broken");
    mls_tensor_free(tensor);
}

START_TEST(deadlines_name_who_is_late)
{
    meeting = conformance_meeting(3);
    conformance_ranks(3, NULL, come_late, NULL);
}
END_TEST

/* --- what is known of who is late ------------------------------------------------------------ */

static _Thread_local uint64_t heard_ns;

static void peer_heard(void *link, uint32_t rank, mls_transport_peer *ret_peer)
{
    (void) link;
    (void) rank;
    ret_peer->state = MLS_PEER_ALIVE;
    ret_peer->heard_ns = heard_ns;
}

/* Rank 0 has no time for rank 1, of which the transport says no more than that. */
static void hear_of(mls_group *group, uint64_t when_ns, const char *words)
{
    const mls_transport *ops = group->transport.ops;
    mls_transport table = *ops;
    mls_tensor *tensor = conformance_tensor(MLS_FLOAT32, 1);
    const mls_group_call call = conformance_call("", 1);
    heard_ns = when_ns;
    table.peer = peer_heard;
    group->transport.ops = &table;
    const mls_status status = mls_group_receive(group, tensor, 1, &call, NULL);
    group->transport.ops = ops;
    ck_assert_fails(status, MLS_EDEADLINE, words);
    mls_tensor_free(tensor);
}

static void hear_of_rank_1(ranked *r)
{
    const uint64_t now = mls__clock_monotonic_ns();
    if (r->rank == 0) {
        hear_of(r->group, UINT64_MAX, "rank 1 has not sent it; it is alive");
        hear_of(r->group, now - UINT64_C(3600000000000), "it was last heard of 3600.");
        hear_of(r->group, 0, "it is not known to be alive");
    }
    ck_assert_ok(mls_group_barrier(r->group, NULL, NULL));
}

START_TEST(who_was_not_heard_of_is_not_called_alive)
{
    conformance_ranks(2, NULL, hear_of_rank_1, NULL);
}
END_TEST

/* --- mismatches ------------------------------------------------------------------------------ */

typedef struct difference {
    const char *words;
    void (*call)(ranked *r, mls_tensor *a, mls_status *ret_status);
} difference;

static void differ_in_op(ranked *r, mls_tensor *a, mls_status *ret_status)
{
    *ret_status = r->rank == 1 ? mls_group_broadcast(r->group, a, 2, NULL, NULL)
                               : mls_group_allreduce(r->group, a, a, MLS_REDUCE_SUM, NULL, NULL);
}

static void differ_in_reduction(ranked *r, mls_tensor *a, mls_status *ret_status)
{
    *ret_status = mls_group_allreduce(r->group, a, a,
                                      r->rank == 1 ? MLS_REDUCE_MAX : MLS_REDUCE_SUM, NULL, NULL);
}

static void differ_in_name(ranked *r, mls_tensor *a, mls_status *ret_status)
{
    const mls_group_call call = conformance_call(r->rank == 1 ? "b" : "a", 0);
    *ret_status = mls_group_allreduce(r->group, a, a, MLS_REDUCE_SUM, &call, NULL);
}

static void differ_in_count(ranked *r, mls_tensor *a, mls_status *ret_status)
{
    mls_tensor *part;
    const int64_t count = mls_tensor_element_count(a);
    ck_assert_ok(mls_tensor_slice(a, 0, 0, r->rank == 1 ? count - 1 : count, 1, &part));
    *ret_status = mls_group_allreduce(r->group, part, part, MLS_REDUCE_SUM, NULL, NULL);
    mls_tensor_free(part);
}

static void differ_in_dtype(ranked *r, mls_tensor *a, mls_status *ret_status)
{
    mls_tensor *other = conformance_view(r->rank == 1 ? MLS_INT32 : MLS_FLOAT32,
                                         mls_tensor_element_count(a), mls_tensor_data(a));
    *ret_status = mls_group_allreduce(r->group, other, other, MLS_REDUCE_SUM, NULL, NULL);
    mls_tensor_free(other);
}

static void differ_in_root(ranked *r, mls_tensor *a, mls_status *ret_status)
{
    *ret_status = mls_group_broadcast(r->group, a, r->rank == 1 ? 1 : 0, NULL, NULL);
}

static void differ(ranked *r)
{
    static const difference differences[] = {
        {"rank 0 called allreduce sum of %d float32, rank 1 broadcast of %d float32 from rank 2",
         differ_in_op},
        {"rank 0 called allreduce sum of %d float32, rank 1 allreduce max of %d float32",
         differ_in_reduction},
        {"rank 0 called allreduce sum of %d float32 'a', rank 1 allreduce sum of %d float32 'b'",
         differ_in_name},
        {"rank 1 allreduce sum of", differ_in_count},
        {"rank 0 called allreduce sum of %d float32, rank 1 allreduce sum of %d int32",
         differ_in_dtype},
        {"rank 0 called broadcast of %d float32 from rank 0, rank 1 broadcast of %d float32 from "
         "rank 1",
         differ_in_root},
    };
    for (int count = 10; count < 10000; count += 5000) {
        mls_tensor *a = conformance_tensor(MLS_FLOAT32, count);
        float *data = mls_tensor_data(a);
        for (int i = 0; i < count; i++)
            data[i] = (float) i;
        for (size_t k = 0; k < sizeof differences / sizeof differences[0]; k++) {
            char words[256];
            mls_status status;
            snprintf(words, sizeof words, differences[k].words, count, count);
            differences[k].call(r, a, &status);
            ck_assert_fails(status, MLS_EMISMATCH, words);
            for (int i = 0; i < count; i++)
                mls_test_expect(data[i] == (float) i, "element %d was moved", i);
        }
        ck_assert_ok(mls_group_barrier(r->group, NULL, NULL));
        mls_tensor_free(a);
    }
}

START_TEST(mismatches_are_found_on_all)
{
    conformance_ranks(3, NULL, differ, NULL);
}
END_TEST

/* --- aborts and deaths ----------------------------------------------------------------------- */

static void *abort_group(void *arg)
{
    ck_assert_ok(mls_group_abort(arg, "the operator said so"));
    return NULL;
}

static void wait_for_nobody(ranked *r)
{
    pthread_t thread;
    if (r->rank == 1) { /* from a thread that has no call */
        pthread_create(&thread, NULL, abort_group, r->group);
        pthread_join(thread, NULL);
    } else {
        ck_assert_fails(mls_group_barrier(r->group, NULL, NULL), MLS_ECANCELLED,
                        "rank 1 ended the group: the operator said so");
    }
    ck_assert_fails(mls_group_barrier(r->group, NULL, NULL), MLS_ECANCELLED, "said so");
}

START_TEST(abort_wakes_all)
{
    conformance_ranks(3, NULL, wait_for_nobody, NULL);
}
END_TEST

/* Who is ahead and misses rank 2 ends the group, and so the first call of those behind it. */
static void die(ranked *r)
{
    mls_tensor *a = conformance_tensor(MLS_FLOAT32, 4000);
    const mls_status first = mls_group_allreduce(r->group, a, a, MLS_REDUCE_SUM, NULL, NULL);
    ck_assert_msg(!first || (r->rank != 2 && first == MLS_EPEER), "%s", mls_error_message());
    if (r->rank == 2) {
        mls_group_free(r->group);
        r->group = NULL;
    } else {
        ck_assert_fails(mls_group_allreduce(r->group, a, a, MLS_REDUCE_SUM, NULL, NULL), MLS_EPEER,
                        "rank 2 has left the group");
    }
    mls_tensor_free(a);
}

START_TEST(deaths_end_calls)
{
    for (int i = 0; i < 20; i++)
        conformance_ranks(4, NULL, die, NULL);
}
END_TEST

/* --- opening --------------------------------------------------------------------------------- */

static mls_status create(uint32_t rank, uint32_t size, uint32_t shards, const char *token,
                         int64_t timeout_ms, mls_group **ret_group)
{
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.timeout_ms = timeout_ms;
    options.shards = shards;
    options.token = token;
    options.token_bytes = token ? strlen(token) : 0;
    return mls_group_create(the_context, the_url, rank, size, &options, ret_group);
}

START_TEST(opening_is_checked)
{
    mls_group *group;
    ck_assert_fails(create(3, 3, 0, NULL, 10, &group), MLS_EINVAL, "ranks are 0 to 2");
    ck_assert_fails(create(0, 0, 0, NULL, 10, &group), MLS_EINVAL, "0 ranks");
    ck_assert_fails(create(0, 1, 0, NULL, 0, &group), MLS_EINVAL, "timeout_ms");
    ck_assert_fails(create(0, 1, 5000, NULL, 10, &group), MLS_EINVAL, "shards is 5000");
    ck_assert_fails(create(1, 4, 0, NULL, 10, &group), MLS_EDEADLINE, "not come: 0, 2, 3");
    ck_assert_fails(mls_group_create(the_context, "nothing:", 0, 1, NULL, &group), MLS_ENOTFOUND,
                    "inproc");
    ck_assert_fails(mls_group_create(the_context, "nothing", 0, 1, NULL, &group), MLS_EINVAL,
                    "scheme");
    ck_assert_ok(create(0, 1, 0, "secret", 60000, &group));
    ck_assert_uint_eq(mls_group_size(group), 1);
    mls_group_free(group);
    mls_group_free(NULL);
}
END_TEST

/* Sits down as soon as it can. */
static void *create_first(void *arg)
{
    mls_group **group = arg;
    while (create(0, 2, 0, "secret", 60000, group) != MLS_OK)
        ;
    return NULL;
}

START_TEST(strangers_are_refused)
{
    pthread_t thread;
    mls_group *first, *second, *none;
    pthread_create(&thread, NULL, create_first, &first);
    while (create(0, 2, 0, "secret", 1, &none) != MLS_EEXIST)
        sched_yield(); /* until it sits there */
    ck_assert_fails(create(0, 2, 0, "secret", 60000, &none), MLS_EEXIST, "rank 0 of 2 is there");
    ck_assert_fails(create(1, 2, 0, "guess", 60000, &none), MLS_EPEER, "another token");
    ck_assert_fails(create(1, 2, 0, NULL, 60000, &none), MLS_EPEER, "another token");
    ck_assert_fails(create(1, 3, 0, "secret", 60000, &none), MLS_EINVAL, "3 ranks; others said 2");
    ck_assert_ok(create(1, 2, 0, "secret", 60000, &second));
    pthread_join(thread, NULL);
    mls_group_free(first);
    mls_group_free(second);
}
END_TEST

static void *create_shards(void *arg)
{
    mls_group *group;
    const uint32_t rank = *(const uint32_t *) arg;
    ck_assert_fails(create(rank, 2, 4 + rank, NULL, 60000, &group), MLS_EINVAL, "4 shards");
    return NULL;
}

START_TEST(shards_agree)
{
    pthread_t threads[2];
    static const uint32_t ranks[2] = {0, 1};
    for (size_t i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, create_shards, (void *) (uintptr_t) &ranks[i]);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}
END_TEST

/* --- forks and memory ------------------------------------------------------------------------ */

START_TEST(children_get_an_error)
{
    mls_group *group;
    ck_assert_ok(create(0, 1, 0, NULL, 60000, &group));
    const pid_t child = fork();
    if (child == 0) {
        const mls_status status = mls_group_barrier(group, NULL, NULL);
        mls_group_free(group);
        _exit(status == MLS_EFORKED ? 0 : 1);
    }
    int exit_status;
    ck_assert_int_eq(waitpid(child, &exit_status, 0), child);
    ck_assert(WIFEXITED(exit_status) && WEXITSTATUS(exit_status) == 0);
    ck_assert_ok(mls_group_barrier(group, NULL, NULL));
    mls_group_free(group);
}
END_TEST

/* All that a group does alone, in a context without the test's drivers. */
static mls_status use_alone(mls_context *context, void *arg)
{
    (void) arg;
    mls_group *group;
    mls_tensor *a = NULL;
    const int64_t dims[] = {3, 2000};
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.shards = 3;
    mls_status status = mls_group_create(context, "inproc:alone", 0, 1, &options, &group);
    if (status)
        return status;
    mls_tensor *b = NULL;
    status = mls_tensor_create(context, MLS_FLOAT32, 2, dims, &a);
    if (!status)
        status = mls_tensor_create(context, MLS_FLOAT32, 1, dims + 1, &b);
    if (!status)
        status = mls_group_allreduce(group, a, b, MLS_REDUCE_SUM, NULL, NULL);
    mls_work *work;
    if (!status) {
        status = mls_group_broadcast(group, b, 0, NULL, &work);
        if (!status) {
            status = mls_work_wait(work, -1);
            mls_work_free(work);
        }
    }
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

void conformance_add_failures(TCase *tests)
{
    tcase_add_test(tests, deadlines_name_who_is_late);
    tcase_add_test(tests, who_was_not_heard_of_is_not_called_alive);
    tcase_add_test(tests, mismatches_are_found_on_all);
    tcase_add_test(tests, abort_wakes_all);
    tcase_add_test(tests, deaths_end_calls);
    if (the_place)
        return;
    tcase_add_test(tests, opening_is_checked);
    tcase_add_test(tests, strangers_are_refused);
    tcase_add_test(tests, shards_agree);
    tcase_add_test(tests, children_get_an_error);
    tcase_add_test(tests, memory_may_run_out);
}
