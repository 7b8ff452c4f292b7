/* SPDX-License-Identifier: Apache-2.0 */
/* Stopping and closing while the server is away: nobody waits for it who wants nothing of it. */
#include "job/fixture.h"
#include "queue/postgres_losses.h"
#include "queue/postgres_proxy.h"
#include "queue/postgres_tables.h"
#include "support/postgres.h"

#include <mlscale/worker.h>

#include <pthread.h>
#include <signal.h>

static mls_status complete_at_once(void *user, mls_job *job)
{
    (void) user;
    (void) job;
    return MLS_OK;
}

static mls_worker *start_worker(mls_queue *queue)
{
    mls_worker *worker;
    mls_handler handler = MLS_HANDLER_INIT;
    handler.type = "t";
    handler.run = complete_at_once;
    ck_assert_ok(mls_worker_create(queue, NULL, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, &handler));
    ck_assert_ok(mls_worker_start(worker));
    return worker;
}

typedef struct claiming {
    mls_claimer *claimer;
    pthread_t thread;
    mls_status status;
    mls_job *job;
} claiming;

static void *claim_for_ever(void *user)
{
    claiming *c = user;
    size_t count;
    c->status = mls_claimer_claim(c->claimer, -1, 1, &c->job, &count);
    return NULL;
}

static void start_claim(claiming *c)
{
    pthread_create(&c->thread, NULL, claim_for_ever, c);
}

static mls_status stop_claim(claiming *c)
{
    mls_claimer_stop(c->claimer, 0);
    pthread_join(c->thread, NULL);
    return c->status;
}

/* One claim waits when the server goes, one comes then; they are woken in an hour else. */
START_TEST(nobody_waits_who_stops)
{
    claiming before, after;
    tables_use(proxy_start(), "&patience=3600");
    mls_queue *queue = fixture_queue(tables_url());
    mls_worker *worker = start_worker(queue);
    before.claimer = fixture_claimer(queue, NULL);
    after.claimer = fixture_claimer(queue, NULL);
    start_claim(&before);
    tables_await("(SELECT count(*) FROM offers) = 2"); /* its own, and the worker's */
    mls_test_postgres_kill(SIGQUIT);
    proxy_await_refusal();
    start_claim(&after);
    ck_assert_int_eq(stop_claim(&before), MLS_ECANCELLED);
    ck_assert_int_eq(stop_claim(&after), MLS_ECANCELLED);
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    mls_worker_free(worker);
    mls_claimer_close(before.claimer);
    mls_claimer_close(after.claimer);
    mls_queue_close(queue);
    mls_test_postgres_restart();
    proxy_stop();
}
END_TEST

/* A queue behind the proxy, and a claimer that is to claim. */
static mls_queue *open_claiming(claiming *ret_claiming)
{
    tables_use(proxy_start(), "&patience=3600");
    mls_queue *queue = fixture_queue(tables_url());
    *ret_claiming = (claiming){.claimer = fixture_claimer(queue, NULL)};
    return queue;
}

/* Its transaction was cut, and is to be tried again. */
START_TEST(who_is_stopped_is_not_tried_again)
{
    claiming c;
    mls_queue *queue = open_claiming(&c);
    proxy_cut_at("UPDATE jobs t SET state", true);
    start_claim(&c);
    proxy_await_refusal();
    ck_assert_int_eq(stop_claim(&c), MLS_ECANCELLED);
    mls_claimer_close(c.claimer);
    mls_queue_close(queue);
    proxy_stop();
}
END_TEST

static void *submit_one(void *user)
{
    fixture_submit_type(user, "t");
    return NULL;
}

enum { LOST, KEPT };

/* Of a submit it is not known whether it was kept; it gave its job to one that waits. */
START_TEST(who_may_have_a_job_waits_for_word)
{
    claiming given = {0}, idle = {0};
    pthread_t thread;
    tables_use(proxy_start(), "&patience=3600");
    mls_queue *queue = fixture_queue(tables_url());
    given.claimer = fixture_claimer(queue, "t");
    idle.claimer = fixture_claimer(queue, "other");
    start_claim(&given);
    start_claim(&idle);
    tables_await("(SELECT count(*) FROM offers) = 2");
    if (_i == KEPT)
        proxy_lose_commit("COPY jobs");
    else
        proxy_cut_commit("COPY jobs", true);
    pthread_create(&thread, NULL, submit_one, queue);
    proxy_await_refusal();
    ck_assert_int_eq(stop_claim(&idle), MLS_ECANCELLED);
    mls_claimer_stop(given.claimer, 0);
    proxy_let_back();
    pthread_join(thread, NULL);
    pthread_join(given.thread, NULL);
    ck_assert_int_eq(given.status, _i == KEPT ? MLS_OK : MLS_ECANCELLED);
    ck_assert_uint_eq(fixture_stats(queue).jobs[MLS_JOB_READY], _i == KEPT ? 0 : 1);
    if (_i == KEPT)
        ck_assert_ok(mls_job_complete(given.job));
    mls_job_free(given.job);
    mls_claimer_close(given.claimer);
    mls_claimer_close(idle.claimer);
    mls_queue_close(queue);
    proxy_stop();
}
END_TEST

/* Of a claim that found nothing, but wrote down what its claimer offers. */
START_TEST(who_is_stopped_meanwhile_is_answered_then)
{
    claiming c;
    mls_queue *queue = open_claiming(&c);
    proxy_lose_commit("INSERT INTO offers");
    start_claim(&c);
    proxy_await_refusal();
    mls_claimer_stop(c.claimer, 0);
    proxy_let_back();
    pthread_join(c.thread, NULL);
    ck_assert_int_eq(c.status, MLS_ECANCELLED);
    mls_claimer_close(c.claimer);
    mls_queue_close(queue);
    proxy_stop();
}
END_TEST

/*
 * It keeps its connections, but says nothing. One claim waits then, and one comes: all that ends,
 * and what it was asked for last was not.
 */
START_TEST(nobody_waits_for_a_server_that_hangs)
{
    claiming c;
    mls_job *job;
    size_t count;
    tables_use(mls_test_postgres_url(), "&patience=1&connect_timeout=4");
    mls_queue *queue = fixture_queue(tables_url());
    mls_worker *worker = start_worker(queue);
    mls_claimer *claimer = fixture_claimer(queue, "other");
    c = (claiming){.claimer = fixture_claimer(queue, "other")};
    start_claim(&c);
    tables_await("(SELECT count(*) FROM offers) = 2"); /* its own, and the worker's */
    mls_test_postgres_suspend();
    ck_assert_int_eq(mls_claimer_claim(claimer, 10, 1, &job, &count), MLS_EIO);
    ck_assert_int_eq(stop_claim(&c), MLS_ECANCELLED);
    ck_assert_ok(mls_worker_stop(worker, 0, -1));
    mls_worker_free(worker);
    mls_claimer_close(claimer);
    mls_claimer_close(c.claimer);
    mls_queue_close(queue);
    mls_test_postgres_resume();
}
END_TEST

/* What it is at takes as long as it takes: others are answered meanwhile, if only refused. */
START_TEST(a_server_that_is_busy_is_waited_for)
{
    pthread_t thread;
    tables_use(proxy_start(), "&patience=1");
    proxy_speak_to_others();
    mls_queue *queue = fixture_queue(tables_url());
    tables_sql("BEGIN; LOCK TABLE %s.jobs IN ACCESS EXCLUSIVE MODE; PREPARE TRANSACTION 'busy'",
               tables_schema());
    pthread_create(&thread, NULL, submit_one, queue);
    proxy_await_refusal();
    proxy_await_refusal();
    mls_test_postgres_sql("ROLLBACK PREPARED 'busy'");
    pthread_join(thread, NULL);
    ck_assert_uint_eq(fixture_stats(queue).jobs[MLS_JOB_READY], 1);
    mls_queue_close(queue);
    proxy_stop();
}
END_TEST

void postgres_stops_add(Suite *suite)
{
    TCase *tests = tcase_create("stops");
    tcase_add_test(tests, nobody_waits_who_stops);
    tcase_add_test(tests, who_is_stopped_is_not_tried_again);
    tcase_add_loop_test(tests, who_may_have_a_job_waits_for_word, LOST, KEPT + 1);
    tcase_add_test(tests, who_is_stopped_meanwhile_is_answered_then);
    tcase_add_test(tests, nobody_waits_for_a_server_that_hangs);
    tcase_add_test(tests, a_server_that_is_busy_is_waited_for);
    suite_add_tcase(suite, tests);
}
