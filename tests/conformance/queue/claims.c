/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets which job, and when: order, filters, batches, stopping. */
#include "conformance/queue/suite.h"

#include "job/queue.h"

#include <stdio.h>
#include <string.h>

START_TEST(jobs_come_in_the_order_they_became_ready)
{
    uint64_t ids[20];
    for (size_t i = 0; i < 20; i++)
        ids[i] = fixture_submit_type(the_queue, i % 3 ? "a" : "b");
    for (size_t i = 0; i < 20; i++)
        fixture_complete(the_claimer, ids[i], NULL);
}
END_TEST

START_TEST(higher_priorities_come_first)
{
    mls_job_options options = fixture_options("t", NULL);
    options.priority = MLS_PRIORITY_HIGHEST;
    if (!conformance_can(MLS_QUEUE_CAN_PRIORITIES)) {
        ck_assert_fails(mls_queue_submit(the_queue, &options, NULL), MLS_EUNSUPPORTED,
                        "priorities");
        return;
    }
    static const int32_t priorities[] = {0, 9, 4, 4, 8, 0, 1, 9};
    static const size_t order[] = {1, 7, 4, 2, 3, 6, 0, 5};
    uint64_t ids[8];
    for (size_t i = 0; i < 8; i++) {
        options.priority = priorities[i];
        options.type = i % 2 ? "odd" : "even";
        ids[i] = fixture_submit(the_queue, &options);
    }
    for (size_t i = 0; i < 8; i++)
        fixture_complete(the_claimer, ids[order[i]], NULL);
}
END_TEST

START_TEST(claimers_get_their_types_only)
{
    const char *const types[] = {"b", "c"};
    mls_claimer_options options = MLS_CLAIMER_OPTIONS_INIT;
    options.types = types;
    options.type_count = 2;
    mls_claimer *some;
    ck_assert_ok(mls_claimer_open(the_queue, &options, &some));
    const uint64_t a = fixture_submit_type(the_queue, "a");
    const uint64_t b = fixture_submit_type(the_queue, "b");
    const uint64_t c = fixture_submit_type(the_queue, "c");
    fixture_submit_type(the_queue, "bc");
    fixture_complete(some, b, NULL);
    fixture_complete(some, c, NULL);
    fixture_claim_none(some);
    fixture_complete(the_claimer, a, NULL);
    mls_claimer_close(some);
}
END_TEST

START_TEST(claimers_get_their_queues_only)
{
    const char *const names[] = {"gpu"};
    mls_claimer_options options = MLS_CLAIMER_OPTIONS_INIT;
    options.queues = names;
    options.queue_count = 1;
    mls_claimer *gpu;
    mls_job_options job = fixture_options("t", NULL);
    job.queue = "gpu";
    if (!conformance_can(MLS_QUEUE_CAN_NAMED_QUEUES)) {
        ck_assert_fails(mls_queue_submit(the_queue, &job, NULL), MLS_EUNSUPPORTED, "named queues");
        ck_assert_fails(mls_claimer_open(the_queue, &options, &gpu), MLS_EUNSUPPORTED,
                        "named queues");
        return;
    }
    ck_assert_ok(mls_claimer_open(the_queue, &options, &gpu));
    const uint64_t cpu_id = fixture_submit_type(the_queue, "t");
    const uint64_t gpu_id = fixture_submit(the_queue, &job);
    fixture_complete(gpu, gpu_id, NULL);
    fixture_claim_none(gpu);
    fixture_complete(the_claimer, cpu_id, NULL);
    mls_claimer_close(gpu);
}
END_TEST

START_TEST(several_jobs_are_claimed_at_once)
{
    uint64_t ids[5];
    mls_job *jobs[8];
    size_t count;
    for (size_t i = 0; i < 5; i++)
        ids[i] = fixture_submit_type(the_queue, "t");
    ck_assert_ok(mls_claimer_claim(the_claimer, 0, 3, jobs, &count));
    ck_assert_uint_eq(count, 3);
    ck_assert_ok(mls_claimer_claim(the_claimer, 0, 5, jobs + 3, &count));
    ck_assert_uint_eq(count, 2);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(mls_job_id(jobs[i]), ids[i]);
        ck_assert_ok(mls_job_complete(jobs[i]));
        mls_job_free(jobs[i]);
    }
    ck_assert_fails(mls_claimer_claim(the_claimer, 1, 5, jobs, &count), MLS_ETIMEDOUT, "in time");
}
END_TEST

/* Claims by the driver's own interface, as a worker's slot does for batches. */
typedef struct raw_claims {
    mls_queue_job shown[10];
    mls_job_info infos[10];
    mls_queue_job *pointers[10];
    size_t count;
} raw_claims;

static mls_status claim_raw(raw_claims *claims, size_t max_count, uint64_t flags,
                            const mls_queue_job *like)
{
    for (size_t i = 0; i < 10; i++) {
        claims->infos[i] = (mls_job_info) MLS_JOB_INFO_INIT;
        claims->shown[i] = (mls_queue_job){sizeof(mls_queue_job), NULL, &claims->infos[i]};
        claims->pointers[i] = &claims->shown[i];
    }
    const mls_queue_claim request = {
        .size = sizeof request, .flags = flags, .max_count = max_count, .like = like};
    claims->count = 0;
    return the_queue->ops->claim(the_queue->self, the_claimer->self, &request, NULL, 0,
                                 claims->pointers, &claims->count);
}

static void end_raw(raw_claims *claims)
{
    for (size_t i = 0; i < claims->count; i++) {
        mls_queue_end end = {.size = sizeof end,
                             .flags = MLS_END_DROP,
                             .job = &claims->shown[i],
                             .event = MLS_JOB_ON_SUCCEED,
                             .status = MLS_EEMPTY};
        mls_queue_end *const ends[] = {&end};
        ck_assert_ok(the_queue->ops->finish(the_queue->self, ends, 1));
    }
}

static uint64_t submit_batch_key(const char *type, const char *key)
{
    mls_job_options options = fixture_options(type, NULL);
    options.batch_key = key;
    return fixture_submit(the_queue, &options);
}

/* Jobs that fill a batch are taken as they are ready, and are turns of their tenant all the same.
 */
START_TEST(what_fills_a_batch_counts)
{
    if (!conformance_can(MLS_QUEUE_CAN_BATCHES | MLS_QUEUE_CAN_FAIRNESS))
        return;
    raw_claims claims;
    mls_job_options options = fixture_options("t", NULL);
    options.tenant = "a";
    options.batch_key = "k";
    for (size_t i = 0; i < 4; i++)
        fixture_submit(the_queue, &options);
    options.batch_key = NULL;
    for (size_t i = 0; i < 12; i++) {
        options.tenant = i % 2 ? "b" : "a";
        fixture_submit(the_queue, &options);
    }
    ck_assert_ok(claim_raw(&claims, 4, MLS_CLAIM_SAME_BATCH, NULL));
    ck_assert_uint_eq(claims.count, 4);
    end_raw(&claims);
    ck_assert_ok(claim_raw(&claims, 3, 0, NULL));
    for (size_t i = 0; i < claims.count; i++)
        ck_assert_str_eq(claims.infos[i].tenant, "b");
    end_raw(&claims);
}
END_TEST

START_TEST(batches_share_type_and_key)
{
    if (!conformance_can(MLS_QUEUE_CAN_BATCHES)) {
        mls_job_options options = fixture_options("t", NULL);
        options.batch_key = "k";
        ck_assert_fails(mls_queue_submit(the_queue, &options, NULL), MLS_EUNSUPPORTED, "batches");
        return;
    }
    static const char *const keys[] = {"x", "y", "", "x", "", "y", "x", "x"};
    uint64_t ids[8];
    for (size_t i = 0; i < 8; i++)
        ids[i] = submit_batch_key("t", keys[i]);
    submit_batch_key("other", "x");
    raw_claims claims, more;
    ck_assert_ok(claim_raw(&claims, 3, MLS_CLAIM_SAME_BATCH, NULL));
    ck_assert_uint_eq(claims.count, 3);
    ck_assert_uint_eq(claims.infos[0].id, ids[0]);
    ck_assert_uint_eq(claims.infos[1].id, ids[3]);
    ck_assert_uint_eq(claims.infos[2].id, ids[6]);
    ck_assert_ok(claim_raw(&more, 10, 0, &claims.shown[0]));
    ck_assert_uint_eq(more.count, 1);
    ck_assert_uint_eq(more.infos[0].id, ids[7]);
    end_raw(&more);
    ck_assert_int_eq(claim_raw(&more, 10, 0, &claims.shown[0]), MLS_EEMPTY);
    end_raw(&claims);
    ck_assert_ok(claim_raw(&claims, 10, MLS_CLAIM_SAME_BATCH, NULL));
    ck_assert_uint_eq(claims.count, 2);
    ck_assert_uint_eq(claims.infos[0].id, ids[1]);
    ck_assert_uint_eq(claims.infos[1].id, ids[5]);
    end_raw(&claims);
    ck_assert_ok(claim_raw(&claims, 10, MLS_CLAIM_SAME_BATCH, NULL));
    ck_assert_uint_eq(claims.count, 2);
    ck_assert_uint_eq(claims.infos[0].id, ids[2]);
    ck_assert_uint_eq(claims.infos[1].id, ids[4]);
    end_raw(&claims);
    ck_assert_ok(claim_raw(&claims, 10, MLS_CLAIM_SAME_BATCH, NULL));
    ck_assert_uint_eq(claims.count, 1);
    ck_assert_str_eq(claims.infos[0].type, "other");
    end_raw(&claims);
}
END_TEST

/* One call ends claims and makes the next: the ended ones are gone from running. */
/* Of as many tenants as a claim can take in at once, and more, or as the driver takes. */
static void submit_held_back(const char *queue)
{
    enum { MANY = 1152, SOME = 64 };
    mls_job_options jobs[SOME];
    char tenants[SOME][16];
    mls_status status = MLS_OK;
    for (int done = 0; status == MLS_OK && done < MANY; done += SOME) {
        for (int i = 0; i < SOME; i++) {
            snprintf(tenants[i], sizeof tenants[i], "b%d", done + i);
            jobs[i] = fixture_options("held-back", NULL);
            jobs[i].queue = queue;
            jobs[i].tenant = tenants[i];
        }
        status = mls_queue_submit_many(the_queue, jobs, SOME, NULL);
    }
    if (status != MLS_ELIMIT)
        ck_assert_ok(status);
}

START_TEST(batches_fill_behind_what_is_held_back)
{
    static const char *const queues[] = {"other", "default"};
    mls_queue_filter held_back = MLS_QUEUE_FILTER_INIT;
    mls_job_options options = fixture_options("t", NULL);
    raw_claims claims;
    if (!conformance_can(MLS_QUEUE_CAN_BATCHES | MLS_QUEUE_CAN_PAUSE | MLS_QUEUE_CAN_FAIRNESS |
                         MLS_QUEUE_CAN_NAMED_QUEUES))
        return;
    held_back.type = "held-back";
    options.tenant = "a";
    ck_assert_ok(mls_queue_pause(the_queue, &held_back));
    for (size_t i = 0; i < 3; i++)
        fixture_submit(the_queue, &options);
    submit_held_back(queues[_i]);
    ck_assert_ok(claim_raw(&claims, 3, MLS_CLAIM_SAME_BATCH, NULL));
    ck_assert_uint_eq(claims.count, 3);
    end_raw(&claims);
}
END_TEST

START_TEST(ending_and_claiming_is_one_step)
{
    const uint64_t first = fixture_submit_type(the_queue, "t");
    const uint64_t second = fixture_submit_type(the_queue, "t");
    raw_claims old, fresh;
    ck_assert_ok(claim_raw(&old, 1, 0, NULL));
    mls_queue_end end = {.size = sizeof end,
                         .flags = MLS_END_DROP,
                         .job = &old.shown[0],
                         .event = MLS_JOB_ON_SUCCEED,
                         .status = MLS_EEMPTY};
    mls_queue_end *const ends[] = {&end};
    const mls_queue_claim request = {.size = sizeof request, .max_count = 1};
    ck_assert_int_eq(claim_raw(&fresh, 0, 0, NULL), MLS_EEMPTY);
    ck_assert_ok(the_queue->ops->claim(the_queue->self, the_claimer->self, &request, ends, 1,
                                       fresh.pointers, &fresh.count));
    ck_assert_int_eq(end.status, MLS_OK);
    ck_assert_int_eq(fixture_state(the_queue, first), MLS_JOB_SUCCEEDED);
    ck_assert_uint_eq(fresh.infos[0].id, second);

    end.job = &fresh.shown[0];
    end.status = MLS_EEMPTY;
    raw_claims none;
    memset(&none, 0, sizeof none);
    ck_assert_int_eq(the_queue->ops->claim(the_queue->self, the_claimer->self, &request, ends, 1,
                                           none.pointers, &none.count),
                     MLS_EEMPTY);
    ck_assert_int_eq(end.status, MLS_OK);
    ck_assert_int_eq(fixture_state(the_queue, second), MLS_JOB_SUCCEEDED);
}
END_TEST

START_TEST(stopped_claimers_claim_nothing)
{
    mls_job *job;
    size_t count;
    mls_claimer *other = fixture_claimer(the_queue, NULL);
    fixture_submit_type(the_queue, "t");
    mls_claimer_stop(other, 0);
    ck_assert_fails(mls_claimer_claim(other, -1, 1, &job, &count), MLS_ECANCELLED, "stopped");
    mls_claimer_close(other);
    mls_job_free(fixture_claim(the_claimer));
}
END_TEST

START_TEST(draining_claimers_claim_what_is_ready)
{
    mls_job *job;
    size_t count;
    mls_claimer *other = fixture_claimer(the_queue, NULL);
    const uint64_t id = fixture_submit_type(the_queue, "t");
    mls_claimer_stop(other, MLS_CLAIMER_DRAIN);
    fixture_complete(other, id, NULL);
    ck_assert_fails(mls_claimer_claim(other, -1, 1, &job, &count), MLS_ECANCELLED, "stopped");
    fixture_submit_type(the_queue, "t");
    mls_claimer_stop(other, 0);
    ck_assert_fails(mls_claimer_claim(other, -1, 1, &job, &count), MLS_ECANCELLED, "stopped");
    mls_claimer_close(other);
}
END_TEST

START_TEST(jobs_outlive_their_claimer)
{
    mls_claimer *other = fixture_claimer(the_queue, NULL);
    const uint64_t id = fixture_submit_type(the_queue, "t");
    mls_job *job = fixture_claim(other);
    mls_claimer_close(other);
    ck_assert_int_eq(fixture_state(the_queue, id), MLS_JOB_RUNNING);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    mls_job *shown;
    ck_assert_ok(mls_queue_get(the_queue, id, &shown));
    ck_assert_str_eq(fixture_info(shown).owner, "tester");
    mls_job_free(shown);
}
END_TEST

START_TEST(waiting_gives_up_in_time)
{
    mls_job *job = NULL;
    const uint64_t id = fixture_submit_type(the_queue, "t");
    ck_assert_fails(mls_queue_wait(the_queue, id, 0, &job), MLS_ETIMEDOUT, "in time");
    ck_assert_fails(mls_queue_wait(the_queue, id, 5, &job), MLS_ETIMEDOUT, "in time");
    ck_assert_ptr_null(job);
    ck_assert_fails(mls_queue_drain(the_queue, 0), MLS_ETIMEDOUT, "in time");
    ck_assert_fails(mls_queue_drain(the_queue, 5), MLS_ETIMEDOUT, "in time");
    fixture_complete(the_claimer, id, NULL);
    ck_assert_ok(mls_queue_wait(the_queue, id, 0, NULL));
    ck_assert_ok(mls_queue_drain(the_queue, 0));
}
END_TEST

void conformance_add_claims(TCase *tests)
{
    tcase_add_test(tests, jobs_come_in_the_order_they_became_ready);
    tcase_add_test(tests, higher_priorities_come_first);
    tcase_add_test(tests, claimers_get_their_types_only);
    tcase_add_test(tests, claimers_get_their_queues_only);
    tcase_add_test(tests, several_jobs_are_claimed_at_once);
    tcase_add_test(tests, batches_share_type_and_key);
    tcase_add_loop_test(tests, batches_fill_behind_what_is_held_back, 0, 2);
    tcase_add_test(tests, what_fills_a_batch_counts);
    tcase_add_test(tests, ending_and_claiming_is_one_step);
    tcase_add_test(tests, stopped_claimers_claim_nothing);
    tcase_add_test(tests, draining_claimers_claim_what_is_ready);
    tcase_add_test(tests, jobs_outlive_their_claimer);
    tcase_add_test(tests, waiting_gives_up_in_time);
}
