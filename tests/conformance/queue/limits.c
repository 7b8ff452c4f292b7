/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of how many jobs run at once, and of how many are claimed in a time. */
#include "conformance/queue/suite.h"

#include <pthread.h>
#include <string.h>

enum { MANY = 20 };

static bool lacks_limits(void)
{
    return !conformance_can(MLS_QUEUE_CAN_LIMITS);
}

static mls_queue_rule of(const char *queue, const char *type, const char *tenant)
{
    mls_queue_rule rule = MLS_QUEUE_RULE_INIT;
    rule.queue = queue;
    rule.type = type;
    rule.tenant = tenant;
    return rule;
}

static void limit_running(const char *queue, const char *type, const char *tenant, uint32_t most)
{
    mls_queue_rule rule = of(queue, type, tenant);
    rule.max_running = most;
    ck_assert_ok(mls_queue_limit(the_queue, &rule));
}

static void limit_rate(const char *tenant, uint32_t jobs, int64_t ms, uint32_t burst)
{
    mls_queue_rule rule = of(NULL, NULL, tenant);
    rule.rate_jobs = jobs;
    rule.rate_ms = ms;
    rule.burst = burst;
    ck_assert_ok(mls_queue_limit(the_queue, &rule));
}

static uint64_t submit_for(const char *tenant, const char *type)
{
    mls_job_options options = fixture_options(type, NULL);
    options.tenant = tenant;
    return fixture_submit(the_queue, &options);
}

/* All that can be claimed at once. */
static size_t claim_all(mls_job **jobs)
{
    size_t count = 0, claimed;
    while (mls_claimer_claim(the_claimer, 0, MANY - count, jobs + count, &claimed) == MLS_OK)
        count += claimed;
    return count;
}

static void complete_all(mls_job **jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ck_assert_ok(mls_job_complete(jobs[i]));
        mls_job_free(jobs[i]);
    }
}

static void find_running(void *user, const mls_queue_rule *rule)
{
    *(uint32_t *) user = rule->running;
}

static uint32_t running_of_only_rule(void)
{
    uint32_t running = 12345;
    ck_assert_ok(mls_queue_visit_rules(the_queue, find_running, &running));
    return running;
}

START_TEST(so_many_run_at_once)
{
    mls_job *jobs[MANY], *job;
    mls_queue_rule rule = of(NULL, "t", NULL);
    rule.max_running = 2;
    if (lacks_limits()) {
        ck_assert_fails(mls_queue_limit(the_queue, &rule), MLS_EUNSUPPORTED, "limits");
        return;
    }
    for (size_t i = 0; i < 5; i++)
        fixture_submit_type(the_queue, "t");
    const uint64_t other = fixture_submit_type(the_queue, "other");
    job = fixture_claim(the_claimer); /* runs before there is a limit */
    ck_assert_ok(mls_queue_limit(the_queue, &rule));
    ck_assert_uint_eq(running_of_only_rule(), 1);
    ck_assert_uint_eq(claim_all(jobs), 2);
    ck_assert_uint_eq(mls_job_id(jobs[1]), other); /* goes in front of those held back */
    ck_assert_uint_eq(running_of_only_rule(), 2);
    ck_assert_ok(mls_job_fail(job, MLS_EIO, "no", 0));
    mls_job_free(job);
    job = fixture_claim(the_claimer);
    fixture_claim_none(the_claimer);
    ck_assert_ok(mls_job_release(job)); /* gives its place back */
    mls_job_free(job);
    job = fixture_claim(the_claimer);
    fixture_claim_none(the_claimer);
    complete_all(jobs, 2);
    complete_all(&job, 1);
    ck_assert_uint_eq(claim_all(jobs), 2);
    complete_all(jobs, 2);
    ck_assert_uint_eq(running_of_only_rule(), 0);
    limit_running(NULL, "t", NULL, 0);
    ck_assert_uint_eq(running_of_only_rule(), 12345); /* there is none */
}
END_TEST

START_TEST(tenants_are_limited)
{
    if (lacks_limits())
        return;
    mls_job *jobs[MANY];
    for (size_t i = 0; i < 4; i++)
        submit_for("a", "t");
    for (size_t i = 0; i < 2; i++)
        submit_for("b", "t");
    limit_running(NULL, NULL, "a", 1); /* of jobs that are there */
    for (size_t i = 0; i < 2; i++)
        submit_for("a", "new"); /* and that come later */
    ck_assert_uint_eq(fixture_stats(the_queue).jobs[MLS_JOB_READY], 8);
    ck_assert_uint_eq(claim_all(jobs), 3);
    ck_assert_str_eq(fixture_info(jobs[0]).tenant, "a");
    ck_assert_str_eq(fixture_info(jobs[1]).tenant, "b");
    ck_assert_str_eq(fixture_info(jobs[2]).tenant, "b");
    uint64_t last = mls_job_id(jobs[0]);
    complete_all(jobs, 3);
    for (size_t i = 0; i < 5; i++) { /* in the order of their submits */
        mls_job *job = fixture_claim(the_claimer);
        fixture_claim_none(the_claimer);
        ck_assert_str_eq(fixture_info(job).tenant, "a");
        last = mls_job_id(job);
        complete_all(&job, 1);
    }
    ck_assert_int_eq(fixture_state(the_queue, last), MLS_JOB_SUCCEEDED);
    ck_assert_uint_eq(fixture_stats(the_queue).succeeded, 8);
    ck_assert_uint_eq(fixture_stats(the_queue).jobs[MLS_JOB_SUCCEEDED], 8);
}
END_TEST

START_TEST(every_limit_counts)
{
    if (lacks_limits() || !conformance_can(MLS_QUEUE_CAN_NAMED_QUEUES))
        return;
    mls_job *jobs[MANY];
    mls_job_options options = fixture_options("t", NULL);
    options.queue = "q";
    limit_running("q", NULL, NULL, 3);
    limit_running("q", "t", "a", 2);
    for (size_t i = 0; i < 4; i++) {
        options.tenant = "a";
        fixture_submit(the_queue, &options);
        options.tenant = "b";
        fixture_submit(the_queue, &options);
    }
    const size_t first = claim_all(jobs);
    ck_assert_uint_eq(first, 3);
    ck_assert_str_eq(fixture_info(jobs[2]).tenant, "a");
    complete_all(&jobs[1], 1); /* b's: a has two already */
    ck_assert_uint_eq(claim_all(&jobs[1]), 1);
    ck_assert_str_eq(fixture_info(jobs[1]).tenant, "b");
    limit_running("q", NULL, NULL, 0);
    ck_assert_uint_eq(claim_all(&jobs[3]), 2); /* those of b that are left */
    complete_all(jobs, 5);
}
END_TEST

START_TEST(bursts_are_bounded)
{
    if (lacks_limits())
        return;
    mls_job *jobs[MANY];
    for (size_t i = 0; i < MANY; i++)
        submit_for("a", "t");
    limit_rate("a", 1, 86400000, 3); /* one a day, three at first */
    ck_assert_uint_eq(claim_all(jobs), 3);
    ck_assert_ok(mls_job_release(jobs[0])); /* no token comes back */
    mls_job_free(jobs[0]);
    fixture_claim_none(the_claimer);
    complete_all(&jobs[1], 2);
    fixture_claim_none(the_claimer);
    limit_rate("a", 5, 86400000, 0); /* a new bucket, of five */
    ck_assert_uint_eq(claim_all(jobs), 5);
    complete_all(jobs, 5);
    limit_rate("a", 0, 0, 0);
    ck_assert_uint_eq(claim_all(jobs), 13);
    complete_all(jobs, 13);
}
END_TEST

START_TEST(tokens_come_back)
{
    if (lacks_limits())
        return;
    enum { JOBS = 6, EACH_MS = 20 };
    for (size_t i = 0; i < JOBS; i++)
        submit_for("", "t");
    limit_rate(NULL, 1, EACH_MS, 1);
    const int64_t begin_ms = conformance_wall_ms();
    for (size_t i = 0; i < JOBS; i++) { /* waits for each */
        mls_job *job = fixture_claim(the_claimer);
        complete_all(&job, 1);
    }
    /* A millisecond for each side's rounding; how much later it is the machine decides. */
    ck_assert_int_ge(conformance_wall_ms() - begin_ms, (JOBS - 1) * EACH_MS - 2);
}
END_TEST

static void *claim_one(void *arg)
{
    uint64_t *id = arg;
    mls_job *job = fixture_claim(the_claimer);
    *id = mls_job_id(job);
    complete_all(&job, 1);
    return NULL;
}

START_TEST(claims_that_wait_are_told_of_an_end)
{
    if (lacks_limits())
        return;
    pthread_t thread;
    uint64_t claimed = 0;
    limit_running(NULL, NULL, NULL, 1);
    fixture_submit_type(the_queue, "t");
    const uint64_t id = fixture_submit_type(the_queue, "t");
    mls_job *job = fixture_claim(the_claimer);
    ck_assert_int_eq(pthread_create(&thread, NULL, claim_one, &claimed), 0);
    complete_all(&job, 1);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(claimed, id);
}
END_TEST

START_TEST(bad_limits_are_refused)
{
    if (lacks_limits())
        return;
    mls_queue_rule rule = of(NULL, NULL, "");
    ck_assert_fails(mls_queue_limit(the_queue, &rule), MLS_EINVAL, "mls_queue_rule.tenant");
    rule = of("no spaces", NULL, NULL);
    ck_assert_fails(mls_queue_limit(the_queue, &rule), MLS_EINVAL, "mls_queue_rule.queue");
    rule = of(NULL, "", NULL);
    ck_assert_fails(mls_queue_limit(the_queue, &rule), MLS_EINVAL, "mls_queue_rule.type");
    rule = of(NULL, NULL, NULL);
    rule.rate_jobs = 1;
    ck_assert_fails(mls_queue_limit(the_queue, &rule), MLS_EINVAL, "rate_ms is 0");
    rule.rate_ms = 86400001;
    ck_assert_fails(mls_queue_limit(the_queue, &rule), MLS_EINVAL, "86400001");
    rule.rate_ms = 86400000;
    rule.burst = 1000000000;
    ck_assert_fails(mls_queue_limit(the_queue, &rule), MLS_EINVAL, "70 years");
    rule.burst = 1000000001;
    ck_assert_fails(mls_queue_limit(the_queue, &rule), MLS_EINVAL, "burst");
    rule.rate_jobs = 0;
    ck_assert_fails(mls_queue_limit(the_queue, &rule), MLS_EINVAL, "rate_jobs is 0");
    rule = of(NULL, NULL, NULL);
    rule.size = 3;
    ck_assert_fails(mls_queue_limit(the_queue, &rule), MLS_EINVAL, "mls_queue_rule.size");
    ck_assert_fails(mls_queue_limit(the_queue, NULL), MLS_EINVAL, "NULL");
    ck_assert_uint_eq(running_of_only_rule(), 12345);
}
END_TEST

START_TEST(batches_keep_to_limits)
{
    if (lacks_limits() || !conformance_can(MLS_QUEUE_CAN_BATCHES))
        return;
    mls_job *jobs[MANY];
    mls_job_options options = fixture_options("t", NULL);
    options.batch_key = "k";
    for (size_t i = 0; i < 6; i++)
        fixture_submit(the_queue, &options);
    limit_running(NULL, "t", NULL, 4);
    size_t count;
    ck_assert_ok(mls_claimer_claim(the_claimer, 0, MANY, jobs, &count));
    ck_assert_uint_eq(count, 4);
    complete_all(jobs, 4);
    ck_assert_uint_eq(claim_all(jobs), 2);
    complete_all(jobs, 2);
}
END_TEST

void conformance_add_limits(TCase *tests)
{
    tcase_add_test(tests, so_many_run_at_once);
    tcase_add_test(tests, tenants_are_limited);
    tcase_add_test(tests, every_limit_counts);
    tcase_add_test(tests, bursts_are_bounded);
    tcase_add_test(tests, tokens_come_back);
    tcase_add_test(tests, claims_that_wait_are_told_of_an_end);
    tcase_add_test(tests, bad_limits_are_refused);
    tcase_add_test(tests, batches_keep_to_limits);
}
