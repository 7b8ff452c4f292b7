/* SPDX-License-Identifier: Apache-2.0 */
/* Pausing queues and types, and resuming them. */
#include "conformance/queue/suite.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static mls_queue_filter of(const char *queue, const char *type)
{
    mls_queue_filter which = MLS_QUEUE_FILTER_INIT;
    which.queue = queue;
    which.type = type;
    return which;
}

static uint64_t submit_in(const char *queue, const char *type)
{
    mls_job_options options = fixture_options(type, NULL);
    options.queue = queue;
    return fixture_submit(the_queue, &options);
}

static bool lacks_pauses(void)
{
    return !conformance_can(MLS_QUEUE_CAN_PAUSE);
}

/* All rules as text, such as "*:* q:* q:t ". */
static void note_rule(void *user, const mls_queue_rule *rule)
{
    char *text = user;
    ck_assert_uint_eq(rule->is_paused, 1);
    snprintf(text + strlen(text), 200 - strlen(text), "%s:%s ", rule->queue ? rule->queue : "*",
             rule->type ? rule->type : "*");
}

static void expect_rules(const char *wanted)
{
    char text[200] = "";
    ck_assert_ok(mls_queue_visit_rules(the_queue, note_rule, text));
    ck_assert_str_eq(text, wanted);
}

START_TEST(what_is_paused_is_not_claimed)
{
    if (lacks_pauses()) {
        ck_assert_fails(mls_queue_pause(the_queue, NULL), MLS_EUNSUPPORTED, "pausing");
        ck_assert_fails(mls_queue_resume(the_queue, NULL), MLS_EUNSUPPORTED, "pausing");
        ck_assert_fails(mls_queue_visit_rules(the_queue, note_rule, NULL), MLS_EUNSUPPORTED,
                        "pausing");
        return;
    }
    const mls_queue_filter a = of(NULL, "a");
    const uint64_t before = fixture_submit_type(the_queue, "a");
    ck_assert_ok(mls_queue_pause(the_queue, &a));
    ck_assert_ok(mls_queue_pause(the_queue, &a)); /* as once */
    const uint64_t behind = fixture_submit_type(the_queue, "a");
    const uint64_t other = fixture_submit_type(the_queue, "b");
    ck_assert_int_eq(fixture_state(the_queue, before), MLS_JOB_READY);
    fixture_complete(the_claimer, other, NULL);
    fixture_claim_none(the_claimer);
    ck_assert_ok(mls_queue_resume(the_queue, &a));
    fixture_complete(the_claimer, before, NULL);
    fixture_complete(the_claimer, behind, NULL);
    ck_assert_ok(mls_queue_resume(the_queue, &a));
}
END_TEST

START_TEST(every_pause_counts)
{
    if (lacks_pauses() || !conformance_can(MLS_QUEUE_CAN_NAMED_QUEUES))
        return;
    const mls_queue_filter all = of(NULL, NULL), q = of("q", NULL), t = of(NULL, "t");
    const mls_queue_filter q_t = of("q", "t"), later = of("later", "x");
    const uint64_t id = submit_in("q", "t"), other = submit_in("q", "u");
    const mls_queue_filter *const which[] = {&q_t, &t, &all, &later, &q};
    for (size_t i = 0; i < 5; i++)
        ck_assert_ok(mls_queue_pause(the_queue, which[i]));
    expect_rules("*:* *:t later:x q:* q:t ");
    ck_assert_ok(mls_queue_resume(the_queue, NULL)); /* takes back only the pause of all */
    fixture_claim_none(the_claimer);
    ck_assert_ok(mls_queue_resume(the_queue, &q));
    fixture_complete(the_claimer, other, NULL);
    ck_assert_ok(mls_queue_resume(the_queue, &t));
    fixture_claim_none(the_claimer);
    ck_assert_ok(mls_queue_resume(the_queue, &q_t));
    fixture_complete(the_claimer, id, NULL);
    expect_rules("later:x ");
    const uint64_t first = submit_in("later", "x"); /* of a lane that was not there */
    fixture_claim_none(the_claimer);
    ck_assert_ok(mls_queue_resume(the_queue, &later));
    fixture_complete(the_claimer, first, NULL);
    expect_rules("");
}
END_TEST

START_TEST(bad_pauses_are_refused)
{
    if (lacks_pauses())
        return;
    mls_queue_filter which = of("no spaces", NULL);
    ck_assert_fails(mls_queue_pause(the_queue, &which), MLS_EINVAL, "mls_queue_filter.queue");
    which = of(NULL, "");
    ck_assert_fails(mls_queue_resume(the_queue, &which), MLS_EINVAL, "mls_queue_filter.type");
    which = of(NULL, "t");
    which.states = MLS_QUEUE_STATE(MLS_JOB_READY);
    ck_assert_fails(mls_queue_pause(the_queue, &which), MLS_EINVAL, "states");
    ck_assert_fails(mls_queue_pause(NULL, &which), MLS_EINVAL, "NULL");
    ck_assert_fails(mls_queue_visit_rules(the_queue, NULL, NULL), MLS_EINVAL, "NULL");
    expect_rules("");
}
END_TEST

START_TEST(running_jobs_go_on)
{
    if (lacks_pauses())
        return;
    const uint64_t id = fixture_submit_type(the_queue, "t");
    mls_job *job = fixture_claim(the_claimer);
    ck_assert_ok(mls_queue_pause(the_queue, NULL));
    ck_assert_ok(mls_job_release(job));
    mls_job_free(job);
    fixture_claim_none(the_claimer); /* ready again, and paused */
    ck_assert_ok(mls_queue_resume(the_queue, NULL));
    job = fixture_claim(the_claimer);
    ck_assert_ok(mls_queue_pause(the_queue, NULL));
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    ck_assert_int_eq(fixture_state(the_queue, id), MLS_JOB_SUCCEEDED);
}
END_TEST

static void *claim_one(void *arg)
{
    uint64_t *id = arg;
    mls_job *job = fixture_claim(the_claimer);
    *id = mls_job_id(job);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    return NULL;
}

START_TEST(claims_that_wait_wake)
{
    if (lacks_pauses())
        return;
    pthread_t thread;
    uint64_t claimed = 0;
    ck_assert_ok(mls_queue_pause(the_queue, NULL));
    const uint64_t id = fixture_submit_type(the_queue, "t");
    ck_assert_int_eq(pthread_create(&thread, NULL, claim_one, &claimed), 0);
    ck_assert_ok(mls_queue_resume(the_queue, NULL));
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(claimed, id);
}
END_TEST

START_TEST(deadlines_end_paused_jobs)
{
    if (lacks_pauses() || !conformance_can(MLS_QUEUE_CAN_DEADLINES))
        return;
    mls_job_options options = fixture_options("t", NULL);
    options.deadline_ms = conformance_wall_ms() + 20;
    ck_assert_ok(mls_queue_pause(the_queue, NULL));
    mls_job *job = fixture_wait(the_queue, fixture_submit(the_queue, &options));
    ck_assert_fails(mls_job_result(job, NULL, NULL), MLS_EDEADLINE, "deadline");
    mls_job_free(job);
}
END_TEST

START_TEST(stopped_claimers_leave_paused_jobs)
{
    if (lacks_pauses())
        return;
    mls_job *job;
    size_t count;
    fixture_submit_type(the_queue, "t");
    ck_assert_ok(mls_queue_pause(the_queue, NULL));
    mls_claimer_stop(the_claimer, MLS_CLAIMER_DRAIN);
    ck_assert_int_eq(mls_claimer_claim(the_claimer, -1, 1, &job, &count), MLS_ECANCELLED);
}
END_TEST

void conformance_add_pauses(TCase *tests)
{
    tcase_add_test(tests, what_is_paused_is_not_claimed);
    tcase_add_test(tests, every_pause_counts);
    tcase_add_test(tests, bad_pauses_are_refused);
    tcase_add_test(tests, running_jobs_go_on);
    tcase_add_test(tests, claims_that_wait_wake);
    tcase_add_test(tests, deadlines_end_paused_jobs);
    tcase_add_test(tests, stopped_claimers_leave_paused_jobs);
}
