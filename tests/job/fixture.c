/* SPDX-License-Identifier: Apache-2.0 */
/* Short ways to what tests of queues do all the time. */
#include "job/fixture.h"

#include <string.h>

#define PATIENCE_MS 60000

void (*fixture_on_context)(mls_context *context);

mls_queue *fixture_queue(const char *url)
{
    mls_context *context;
    mls_queue *queue;
    ck_assert_ok(mls_context_create(NULL, &context));
    if (fixture_on_context)
        fixture_on_context(context);
    ck_assert_ok(mls_queue_open(context, url, NULL, &queue));
    mls_context_free(context);
    return queue;
}

mls_job_options fixture_options(const char *type, const char *payload)
{
    mls_job_options options = MLS_JOB_OPTIONS_INIT;
    options.type = type;
    options.payload = payload;
    options.payload_bytes = payload ? strlen(payload) : 0;
    return options;
}

uint64_t fixture_submit(mls_queue *queue, const mls_job_options *options)
{
    uint64_t id = 0;
    ck_assert_ok(mls_queue_submit(queue, options, &id));
    ck_assert_uint_ne(id, 0);
    return id;
}

uint64_t fixture_submit_type(mls_queue *queue, const char *type)
{
    const mls_job_options options = fixture_options(type, NULL);
    return fixture_submit(queue, &options);
}

mls_claimer *fixture_claimer(mls_queue *queue, const char *type)
{
    mls_claimer_options options = MLS_CLAIMER_OPTIONS_INIT;
    options.name = "tester";
    options.types = &type;
    options.type_count = type ? 1 : 0;
    mls_claimer *claimer;
    ck_assert_ok(mls_claimer_open(queue, &options, &claimer));
    return claimer;
}

mls_job *fixture_claim(mls_claimer *claimer)
{
    mls_job *job;
    size_t count;
    ck_assert_ok(mls_claimer_claim(claimer, PATIENCE_MS, 1, &job, &count));
    ck_assert_uint_eq(count, 1);
    return job;
}

void fixture_claim_none(mls_claimer *claimer)
{
    mls_job *job;
    size_t count;
    ck_assert_int_eq(mls_claimer_claim(claimer, 0, 1, &job, &count), MLS_EEMPTY);
}

mls_job_info fixture_info(const mls_job *job)
{
    mls_job_info info = MLS_JOB_INFO_INIT;
    ck_assert_ok(mls_job_get_info(job, &info));
    return info;
}

mls_job_info fixture_look(mls_queue *queue, uint64_t id)
{
    mls_job *job;
    ck_assert_ok(mls_queue_get(queue, id, &job));
    const mls_job_info info = fixture_info(job);
    mls_job_free(job);
    return info;
}

int32_t fixture_state(mls_queue *queue, uint64_t id)
{
    return fixture_look(queue, id).state;
}

mls_queue_stats fixture_stats(mls_queue *queue)
{
    mls_queue_stats stats = MLS_QUEUE_STATS_INIT;
    ck_assert_ok(mls_queue_get_stats(queue, NULL, &stats));
    return stats;
}

mls_job *fixture_wait(mls_queue *queue, uint64_t id)
{
    mls_job *job;
    ck_assert_ok(mls_queue_wait(queue, id, PATIENCE_MS, &job));
    return job;
}

void fixture_complete(mls_claimer *claimer, uint64_t id, const char *result)
{
    mls_job *job = fixture_claim(claimer);
    ck_assert_uint_eq(mls_job_id(job), id);
    if (result)
        ck_assert_ok(mls_job_set_result(job, result, strlen(result)));
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
}

void fixture_fail(mls_claimer *claimer, uint64_t id, mls_status error, const char *message,
                  uint32_t flags)
{
    mls_job *job = fixture_claim(claimer);
    ck_assert_uint_eq(mls_job_id(job), id);
    ck_assert_ok(mls_job_fail(job, error, message, flags));
    mls_job_free(job);
}
