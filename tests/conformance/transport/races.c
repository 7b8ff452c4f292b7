/* SPDX-License-Identifier: Apache-2.0 */
/* What two threads do to a group at the same time, and what a call does to its own group. */
#include "conformance/transport/suite.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>

static pthread_barrier_t meeting;

/* --- handles -----------------------------------------------------------------------------------
 */

static void *wait_forever(void *arg)
{
    ck_assert_ok(mls_work_wait(arg, -1));
    return NULL;
}

/* A short wait is short, and a look is none, while another thread waits for long. */
static void look_beside_a_wait(ranked *r)
{
    float data[4] = {0};
    const mls_group_call call = conformance_call("", 60000);
    mls_tensor *a = conformance_view(MLS_FLOAT32, 4, data);
    if (r->rank == 0) {
        pthread_t thread;
        mls_work *work;
        int has_ended;
        ck_assert_ok(mls_group_receive(r->group, a, 1, &call, &work));
        pthread_create(&thread, NULL, wait_forever, work);
        for (int i = 0; i < 50; i++) { /* long enough that the other one is there */
            ck_assert_fails(mls_work_wait(work, 1), MLS_ETIMEDOUT, "not ended");
            ck_assert_ok(mls_work_test(work, &has_ended));
            ck_assert_int_eq(has_ended, 0);
        }
        pthread_barrier_wait(&meeting);
        ck_assert_ok(mls_work_wait(work, -1));
        pthread_join(thread, NULL);
        ck_assert_ok(mls_work_cancel(work)); /* which has ended */
        ck_assert_ok(mls_work_wait(work, 0));
        mls_work_free(work);
    } else {
        pthread_barrier_wait(&meeting);
        ck_assert_ok(mls_group_send(r->group, a, 0, &call, NULL));
    }
    mls_tensor_free(a);
}

START_TEST(short_waits_are_short)
{
    pthread_barrier_init(&meeting, NULL, 2);
    conformance_ranks(2, NULL, look_beside_a_wait, NULL);
}
END_TEST

/* Who has waited for its last work is in no call. */
static void leave_behind_work(ranked *r)
{
    mls_work *work;
    ck_assert_ok(mls_group_barrier(r->group, NULL, &work));
    ck_assert_ok(mls_work_wait(work, -1));
    mls_work_free(work);
    if (r->rank == 0) {
        mls_group_free(r->group);
        r->group = NULL;
    } else {
        ck_assert_fails(mls_group_barrier(r->group, NULL, NULL), MLS_EPEER,
                        "rank 0 has left the group");
    }
}

START_TEST(last_works_end_with_their_turn)
{
    for (int i = 0; i < 100; i++)
        conformance_ranks(2, NULL, leave_behind_work, NULL);
}
END_TEST

/* A work that was cancelled says so, and a group whose work did not is whole. */
static void cancel_at_the_end(ranked *r)
{
    static mls_status ended;
    mls_work *work;
    int has_ended = 0;
    ck_assert_ok(mls_group_barrier(r->group, NULL, &work));
    if (r->rank == 0) {
        for (int i = *(const int *) r->arg % 40; i > 0 && !has_ended; i--)
            ck_assert_ok(mls_work_test(work, &has_ended));
        ck_assert_ok(mls_work_cancel(work));
        ended = mls_work_wait(work, -1);
        ck_assert(!ended || ended == MLS_ECANCELLED);
    } else {
        mls_work_wait(work, -1);
    }
    mls_work_free(work);
    pthread_barrier_wait(&meeting);
    ck_assert_int_eq(mls_group_barrier(r->group, NULL, NULL), ended);
    pthread_barrier_wait(&meeting);
}

START_TEST(cancelled_works_say_so)
{
    pthread_barrier_init(&meeting, NULL, 2);
    for (int i = 0; i < 200; i++)
        conformance_ranks(2, NULL, cancel_at_the_end, &i);
}
END_TEST

/* --- joining -----------------------------------------------------------------------------------
 */

typedef struct joining {
    mls_group *group;
    uint32_t rank;
    const void *addresses[2];
    size_t sizes[2];
} joining;

static void *join(void *arg)
{
    joining *j = arg;
    ck_assert_fails(mls_group_join(j->group, j->rank, 2, j->addresses, j->sizes), MLS_ECANCELLED,
                    "the operator said so");
    ck_assert_fails(mls_group_barrier(j->group, NULL, NULL), MLS_ECANCELLED, "said so");
    return NULL;
}

static bool is_joining(mls_group *group)
{
    ck_assert_int_eq(mls_group_barrier(group, NULL, NULL), MLS_ESTATE);
    return strstr(mls_error_message(), "is being joined") != NULL;
}

START_TEST(joins_are_aborted)
{
    joining ranks[2];
    pthread_t threads[2];
    for (uint32_t i = 0; i < 2; i++) {
        ranks[i].rank = i;
        ck_assert_ok(mls_group_offer(the_context, the_url, NULL, &ranks[i].group));
    }
    for (uint32_t i = 0; i < 4; i++)
        ranks[i / 2].addresses[i % 2] =
            mls_group_address(ranks[i % 2].group, &ranks[i / 2].sizes[i % 2]);
    pthread_create(&threads[0], NULL, join, &ranks[0]);
    for (int i = 0; i < 1000000 && !is_joining(ranks[0].group); i++)
        sched_yield();
    ck_assert_ok(mls_group_abort(ranks[0].group, "the operator said so"));
    pthread_create(&threads[1], NULL, join, &ranks[1]);
    for (uint32_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < 2; i++)
        mls_group_free(ranks[i].group);
}
END_TEST

/* --- the host's functions ----------------------------------------------------------------------
 */

typedef struct reducing {
    mls_group *group;
    mls_work *work;
    uint32_t rank;
    int calls;
} reducing;

static void call_own_group(void *user, mls_dtype dtype, const void *left, const void *right,
                           void *ret_result, size_t count)
{
    reducing *own = user;
    mls_work *later;
    (void) dtype;
    (void) right;
    memmove(ret_result, left, count * sizeof(float));
    if (own->calls++)
        return;
    ck_assert_fails(mls_group_barrier(own->group, NULL, NULL), MLS_ESTATE, "its own group");
    ck_assert_ok(mls_group_barrier(own->group, NULL, &later));
    ck_assert_fails(mls_work_wait(later, -1), MLS_ESTATE, "its own group");
    mls_work_free(later); /* it goes on */
}

static void reduce_within(ranked *r)
{
    static float memory[2][4];
    reducing own = {.group = r->group};
    mls_group_call call = conformance_call("", 60000);
    mls_tensor *a = conformance_view(MLS_FLOAT32, 4, memory[r->rank]);
    call.combine = call_own_group;
    call.combine_user = &own;
    ck_assert_ok(mls_group_allreduce(r->group, a, a, MLS_REDUCE_USER, &call, NULL));
    ck_assert_int_gt(own.calls, 0);
    ck_assert_ok(mls_group_barrier(r->group, NULL, NULL));
    mls_tensor_free(a);
}

START_TEST(combine_cannot_wait_for_itself)
{
    conformance_ranks(2, NULL, reduce_within, NULL);
}
END_TEST

enum { MANY = 1 << 21 };

static reducing reducings[2];
static sem_t has_begun; /* rank 0 has */

/* On rank 0, stays until the group is seen to be aborted. */
static void take_long(void *user, mls_dtype dtype, const void *left, const void *right,
                      void *ret_result, size_t count)
{
    reducing *own = user;
    (void) dtype;
    (void) right;
    memmove(ret_result, left, count * sizeof(float));
    if (own->calls++ || own->rank > 0)
        return;
    sem_post(&has_begun);
    ck_assert_int_eq(mls_work_wait(own->work, -1), MLS_ECANCELLED);
}

static void *abort_when_begun(void *arg)
{
    sem_wait(&has_begun);
    ck_assert_ok(mls_group_abort(arg, "the operator said so"));
    return NULL;
}

/* Rank 1 aborts while rank 0 reads: that ends long before all is reduced. */
static void reduce_for_long(ranked *r)
{
    pthread_t thread;
    float nothing;
    reducing *own = &reducings[r->rank];
    *own = (reducing){.rank = r->rank};
    mls_group_call call = conformance_call("", 0);
    mls_tensor *a = conformance_tensor(MLS_FLOAT32, MANY);
    mls_tensor *b = conformance_view(MLS_FLOAT32, 1, &nothing);
    memset(mls_tensor_data(a), 0, MANY * sizeof(float));
    ck_assert_ok(mls_group_receive(r->group, b, 1 - r->rank, &call, &own->work));
    call.combine = take_long;
    call.combine_user = own;
    if (r->rank == 1)
        pthread_create(&thread, NULL, abort_when_begun, r->group);
    ck_assert_fails(mls_group_allreduce(r->group, a, a, MLS_REDUCE_USER, &call, NULL),
                    MLS_ECANCELLED, "the operator said so");
    /* 512 elements a call, 65536 a stride, of MANY / 2 that are this rank's. */
    if (r->rank == 0)
        ck_assert_int_le(own->calls, 65536 / 512);
    else
        pthread_join(thread, NULL);
    mls_work_free(own->work);
    mls_tensor_free(b);
    mls_tensor_free(a);
}

START_TEST(aborts_do_not_wait_for_long)
{
    sem_init(&has_begun, 0, 0);
    conformance_ranks(2, NULL, reduce_for_long, NULL);
}
END_TEST

void conformance_add_races(TCase *tests)
{
    tcase_add_test(tests, short_waits_are_short);
    tcase_add_test(tests, last_works_end_with_their_turn);
    tcase_add_test(tests, cancelled_works_say_so);
    tcase_add_test(tests, joins_are_aborted);
    tcase_add_test(tests, combine_cannot_wait_for_itself);
    tcase_add_test(tests, aborts_do_not_wait_for_long);
}
