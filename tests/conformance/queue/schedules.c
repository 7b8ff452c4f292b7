/* SPDX-License-Identifier: Apache-2.0 */
/* Setting schedules and taking them back; when they fire, tests/queue/schedules.c has. */
#include "conformance/queue/suite.h"

#include <stdio.h>
#include <string.h>

static mls_schedule schedule_of(const char *name, const char *cron, const mls_job_options *job)
{
    mls_schedule schedule = MLS_SCHEDULE_INIT;
    schedule.name = name;
    schedule.cron = cron;
    schedule.job = job;
    return schedule;
}

static bool lacks_schedules(void)
{
    return !conformance_can(MLS_QUEUE_CAN_CRON);
}

static void note(void *user, const mls_schedule *s)
{
    char *text = user;
    snprintf(text + strlen(text), 400 - strlen(text), "%s=%s/%s/%s/%u/%.*s ", s->name, s->cron,
             s->zone, s->source, s->missed, (int) s->job->payload_bytes,
             s->job->payload ? (const char *) s->job->payload : "");
}

static void expect_schedules(const char *wanted)
{
    char text[400] = "";
    ck_assert_ok(mls_queue_visit_schedules(the_queue, note, text));
    ck_assert_str_eq(text, wanted);
}

START_TEST(schedules_are_set_shown_and_taken_back)
{
    const mls_job_options job = fixture_options("t", "p");
    mls_schedule s = schedule_of("b", "0 0 1 1 *", &job);
    if (lacks_schedules()) {
        ck_assert_fails(mls_queue_schedule(the_queue, &s), MLS_EUNSUPPORTED, "cron schedules");
        ck_assert_fails(mls_queue_unschedule(the_queue, "b"), MLS_EUNSUPPORTED, "cron schedules");
        ck_assert_fails(mls_queue_visit_schedules(the_queue, note, NULL), MLS_EUNSUPPORTED,
                        "cron schedules");
        return;
    }
    expect_schedules("");
    ck_assert_ok(mls_queue_schedule(the_queue, &s));
    s.name = "a";
    s.source = "file x";
    s.missed = MLS_MISSED_ALL;
    ck_assert_ok(mls_queue_schedule(the_queue, &s));
    expect_schedules("a=0 0 1 1 */UTC/file x/2/p b=0 0 1 1 */UTC//0/p ");
    s.cron = "@monthly";
    ck_assert_ok(mls_queue_schedule(the_queue, &s));
    expect_schedules("a=@monthly/UTC/file x/2/p b=0 0 1 1 */UTC//0/p ");
    ck_assert_ok(mls_queue_unschedule(the_queue, "b"));
    ck_assert_fails(mls_queue_unschedule(the_queue, "b"), MLS_ENOTFOUND, "no schedule 'b'");
    expect_schedules("a=@monthly/UTC/file x/2/p ");
    ck_assert_ok(mls_queue_drain(the_queue, 0)); /* what fires later is no job yet */
}
END_TEST

START_TEST(all_of_a_schedules_job_is_kept)
{
    static char payload[MLS_SCHEDULE_PAYLOAD_MAX + 1];
    if (lacks_schedules())
        return;
    mls_job_options job = fixture_options("t", NULL);
    job.payload = memset(payload, 'x', sizeof payload);
    job.payload_bytes = MLS_SCHEDULE_PAYLOAD_MAX;
    job.queue = "q";
    job.tenant = "someone";
    job.batch_key = "batch";
    job.priority = MLS_PRIORITY_HIGHEST;
    job.max_attempts = 3;
    mls_schedule s = schedule_of("a", "@daily", &job);
    ck_assert_ok(mls_queue_schedule(the_queue, &s));
    job.payload_bytes++;
    ck_assert_fails(mls_queue_schedule(the_queue, &s), MLS_ELIMIT, "8193 bytes");
}
END_TEST

START_TEST(schedules_that_are_none_are_refused)
{
    static const struct {
        const char *name, *cron, *zone, *words;
        mls_status status;
    } bad[] = {
        {NULL, "* * * * *", "UTC", "neither may be NULL", MLS_EINVAL},
        {"a", NULL, "UTC", "neither may be NULL", MLS_EINVAL},
        {"", "* * * * *", "UTC", "mls_schedule.name", MLS_EINVAL},
        {"a b", "* * * * *", "UTC", "mls_schedule.name", MLS_EINVAL},
        {"a", "* * * *", "UTC", "schedule 'a': cron line '* * * *', field 5", MLS_EINVAL},
        {"a", "0 0 31 2 *", "UTC", "no such day", MLS_EINVAL},
        {"a", "* * * * *", "../UTC", "no name of a time zone", MLS_EINVAL},
        {"a", "* * * * *", "Nowhere/City", "time zone 'Nowhere/City'", MLS_ENOTFOUND},
    };
    const mls_job_options job = fixture_options("t", NULL);
    if (lacks_schedules())
        return;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mls_schedule s = schedule_of(bad[i].name, bad[i].cron, &job);
        s.zone = bad[i].zone;
        ck_assert_fails(mls_queue_schedule(the_queue, &s), bad[i].status, bad[i].words);
    }
    mls_schedule s = schedule_of("a", "* * * * *", NULL);
    ck_assert_fails(mls_queue_schedule(the_queue, &s), MLS_EINVAL, "job is NULL");
    s.job = &job;
    s.missed = 3;
    ck_assert_fails(mls_queue_schedule(the_queue, &s), MLS_EINVAL, "missed is 3");
    expect_schedules("");
}
END_TEST

START_TEST(jobs_that_a_schedule_cannot_have_are_refused)
{
    mls_job_options job = fixture_options("t", NULL);
    const mls_schedule s = schedule_of("a", "* * * * *", &job);
    if (lacks_schedules())
        return;
    job.key = "k";
    ck_assert_fails(mls_queue_schedule(the_queue, &s), MLS_EINVAL, "no key");
    job.key = NULL;
    job.delay_ms = 1;
    ck_assert_fails(mls_queue_schedule(the_queue, &s), MLS_EINVAL, "no delay_ms");
    job.delay_ms = 0;
    job.deadline_ms = 1;
    ck_assert_fails(mls_queue_schedule(the_queue, &s), MLS_EINVAL, "no deadline_ms");
    job.deadline_ms = 0;
    job.flags = MLS_JOB_JOIN;
    ck_assert_fails(mls_queue_schedule(the_queue, &s), MLS_EINVAL, "no flags");
    job.flags = 0;
    job.type = "not a type";
    ck_assert_fails(mls_queue_schedule(the_queue, &s), MLS_EINVAL, "mls_job_options.type");
    expect_schedules("");
}
END_TEST

void conformance_add_schedules(TCase *tests)
{
    tcase_add_test(tests, schedules_are_set_shown_and_taken_back);
    tcase_add_test(tests, all_of_a_schedules_job_is_kept);
    tcase_add_test(tests, schedules_that_are_none_are_refused);
    tcase_add_test(tests, jobs_that_a_schedule_cannot_have_are_refused);
}
