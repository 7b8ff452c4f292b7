/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What meets in one transaction of the committer. An operation that waits holds it up
 * while others are posted, one after another, so that they make a group in that order.
 */
#include "job/fixture.h"
#include "job/queue.h"
#include "queue/sqlite/sqlite.h"
#include "queue/sqlite_file.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>

static mls_queue *queue;
static mls__sql_store *store;

static void set_up(void)
{
    queue = fixture_queue(sqlite_file_url());
    store = queue->self;
}

static void tear_down(void)
{
    mls_queue_close(queue);
}

/* An operation during which the committer waits. */
typedef struct gate {
    mls__sql_op op; /* first: they share an address */
    sem_t entered, opened;
    pthread_t thread;
} gate;

static mls_status run_gate(mls__sql_store *at, mls__sql_op *op)
{
    gate *g = (gate *) (void *) op;
    (void) at;
    sem_post(&g->entered);
    sem_wait(&g->opened);
    return MLS_OK;
}

static void *post_gate(void *arg)
{
    mls__sql_call(store, arg);
    return NULL;
}

static void gate_close(gate *g)
{
    static const mls__sql_kind kind = {.run = run_gate, .no_transaction = true};
    *g = (gate){.op = {.kind = &kind}};
    sem_init(&g->entered, 0, 0);
    sem_init(&g->opened, 0, 0);
    ck_assert_int_eq(pthread_create(&g->thread, NULL, post_gate, g), 0);
    sem_wait(&g->entered);
}

static void gate_open(gate *g)
{
    sem_post(&g->opened);
    pthread_join(g->thread, NULL);
    sem_destroy(&g->entered);
    sem_destroy(&g->opened);
}

/* A call on a thread of its own. */
typedef struct call {
    mls_status (*make)(struct call *call);
    mls_claimer *claimer;
    uint64_t id;
    mls_job *job;
    mls_status status;
    pthread_t thread;
} call;

static mls_status claim(call *c)
{
    size_t count;
    return mls_claimer_claim(c->claimer, 10000, 1, &c->job, &count);
}

static mls_status try_claim(call *c)
{
    size_t count;
    return mls_claimer_claim(c->claimer, 0, 1, &c->job, &count);
}

static mls_status get(call *c)
{
    return mls_queue_get(queue, c->id, &c->job);
}

static mls_status cancel(call *c)
{
    return mls_queue_cancel(queue, c->id);
}

static mls_status submit(call *c)
{
    const mls_job_options options = fixture_options("t", NULL);
    return mls_queue_submit(queue, &options, &c->id);
}

static void *make_call(void *arg)
{
    call *c = arg;
    c->status = c->make(c);
    return NULL;
}

/* Makes the call behind a closed gate: its operation is the newest in the inbox. */
static void call_begin(call *c)
{
    mls__sql_op *const newest = atomic_load(&store->inbox);
    ck_assert_int_eq(pthread_create(&c->thread, NULL, make_call, c), 0);
    while (atomic_load(&store->inbox) == newest)
        sched_yield();
}

static mls_status call_end(call *c)
{
    pthread_join(c->thread, NULL);
    return c->status;
}

static void damage(uint64_t id)
{
    char sql[80];
    snprintf(sql, sizeof sql, "UPDATE jobs SET state = 99 WHERE id = %llu",
             (unsigned long long) id);
    sqlite_file_run(sql);
}

/* One operation that cannot be makes its group fall apart; what waits goes on waiting. */
START_TEST(claims_outlive_a_group_that_fails)
{
    gate g;
    const uint64_t damaged = fixture_submit_type(queue, "t");
    damage(damaged);
    call claims = {.make = claim, .claimer = fixture_claimer(queue, NULL)};
    call looks = {.make = get, .id = damaged};
    gate_close(&g);
    call_begin(&claims);
    call_begin(&looks);
    gate_open(&g);
    ck_assert_int_eq(call_end(&looks), MLS_EFORMAT);

    const uint64_t id = fixture_submit_type(queue, "t");
    ck_assert_int_eq(call_end(&claims), MLS_OK);
    ck_assert_uint_eq(mls_job_id(claims.job), id);
    mls_job_free(claims.job);
    mls_claimer_close(claims.claimer);
}
END_TEST

/* A claim that waited gets a job in the middle of a group, behind it the job is cancelled. */
START_TEST(cancels_reach_claims_of_their_group)
{
    gate g;
    call waits = {.make = claim, .claimer = fixture_claimer(queue, "t")};
    gate_close(&g);
    call_begin(&waits);
    gate_open(&g);
    fixture_stats(queue); /* when that is answered it is parked */

    call submits = {.make = submit};
    call claims = {.make = try_claim, .claimer = fixture_claimer(queue, "other")};
    call cancels = {.make = cancel, .id = 1};
    gate_close(&g);
    call_begin(&submits);
    call_begin(&claims);
    call_begin(&cancels);
    gate_open(&g);
    ck_assert_int_eq(call_end(&submits), MLS_OK);
    ck_assert_uint_eq(submits.id, cancels.id);
    ck_assert_int_eq(call_end(&claims), MLS_EEMPTY);
    ck_assert_int_eq(call_end(&cancels), MLS_OK);
    ck_assert_int_eq(call_end(&waits), MLS_OK);
    ck_assert_uint_eq(mls_job_stop_reasons(waits.job), MLS_STOP_CANCELLED);
    mls_job_free(waits.job);
    mls_claimer_close(waits.claimer);
    mls_claimer_close(claims.claimer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue/sqlite/groups");
    TCase *tests = mls_test_case(suite, "groups", set_up, tear_down);
    tcase_add_test(tests, claims_outlive_a_group_that_fails);
    tcase_add_test(tests, cancels_reach_claims_of_their_group);
    return mls_test_run(suite);
}
