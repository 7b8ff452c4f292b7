/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on a queue and on a model of it: an array that is searched. After
 * each step both must agree on what happened, and now and then on everything.
 */
#include "job/fixture.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { CAPACITY = 24, TYPES = 3, KEYS = 6, STEPS = 4000, SEEDS = 25 };

static const char *const types[TYPES] = {"a", "b", "c"};

typedef struct model_job {
    uint64_t id; /* 0: free */
    int32_t state, priority;
    size_t type, key; /* key 0: none */
    uint32_t attempt, max_attempts;
    uint64_t epoch;
    uint64_t order;   /* when it became ready */
    mls_job *claim;   /* while it runs */
    bool is_kept;     /* after its end */
    uint32_t number;  /* its payload */
    mls_status error; /* of the last failure */
} model_job;

typedef struct model {
    mls_queue *queue;
    mls_claimer *claimers[TYPES + 1]; /* by type, and the last one of all */
    model_job jobs[CAPACITY];
    uint64_t order;
    uint64_t random;
    uint32_t submitted;
} model;

static size_t draw(model *m, size_t count)
{
    return mls_test_random_below(&m->random, count);
}

static model_job *find_free(model *m)
{
    for (size_t i = 0; i < CAPACITY; i++)
        if (!m->jobs[i].id)
            return &m->jobs[i];
    return NULL;
}

static model_job *find_key(model *m, size_t key)
{
    for (size_t i = 0; key && i < CAPACITY; i++)
        if (m->jobs[i].id && m->jobs[i].key == key)
            return &m->jobs[i];
    return NULL;
}

/* A job in one of the states (a mask), or NULL. */
static model_job *draw_job(model *m, uint32_t states)
{
    const size_t start = draw(m, CAPACITY);
    for (size_t i = 0; i < CAPACITY; i++) {
        model_job *job = &m->jobs[(start + i) % CAPACITY];
        if (job->id && states >> job->state & 1)
            return job;
    }
    return NULL;
}

static void make_ready(model *m, model_job *job)
{
    job->state = MLS_JOB_READY;
    job->order = ++m->order;
}

static void make_ended(model_job *job, int32_t state)
{
    job->state = state;
    if (!job->is_kept)
        job->id = 0;
}

/* What the submit must give, when it must fail. */
static mls_status expected_failure(model *m, size_t key, bool joins)
{
    if (find_key(m, key))
        return joins ? MLS_OK : MLS_EEXIST;
    return find_free(m) ? MLS_OK : MLS_EFULL;
}

static void do_submit(model *m)
{
    char key[8];
    const size_t key_number = draw(m, 3) ? 0 : 1 + draw(m, KEYS);
    model_job drawn = {.type = draw(m, TYPES), .key = key_number, .number = ++m->submitted};
    drawn.priority = (int32_t) draw(m, 4) * 3;
    drawn.max_attempts = 1 + (uint32_t) draw(m, 3);
    drawn.is_kept = draw(m, 3) != 0;
    snprintf(key, sizeof key, "k%zu", key_number);
    mls_job_options options = fixture_options(types[drawn.type], NULL);
    options.payload = &drawn.number;
    options.payload_bytes = sizeof drawn.number;
    options.key = key_number ? key : NULL;
    options.priority = drawn.priority;
    options.max_attempts = drawn.max_attempts;
    options.backoff_ms = 0;
    options.retention_ms = drawn.is_kept ? 3600000 : 0;
    options.flags = draw(m, 2) ? MLS_JOB_JOIN : 0;
    options.delay_ms = draw(m, 6) ? 0 : 3600000;
    const mls_status expected = expected_failure(m, key_number, options.flags & MLS_JOB_JOIN);
    ck_assert_int_eq(mls_queue_submit(m->queue, &options, &drawn.id), expected);
    if (expected)
        return;
    const model_job *holder = find_key(m, key_number);
    if (holder) {
        ck_assert_uint_eq(drawn.id, holder->id);
        return;
    }
    drawn.state = MLS_JOB_SCHEDULED;
    if (!options.delay_ms)
        make_ready(m, &drawn);
    *find_free(m) = drawn;
}

static model_job *next_ready(model *m, size_t claimer)
{
    model_job *best = NULL;
    for (size_t i = 0; i < CAPACITY; i++) {
        model_job *job = &m->jobs[i];
        if (!job->id || job->state != MLS_JOB_READY || (claimer < TYPES && job->type != claimer))
            continue;
        if (!best || job->priority > best->priority ||
            (job->priority == best->priority && job->order < best->order))
            best = job;
    }
    return best;
}

static void check_claim(model_job *job, mls_job *claim)
{
    const mls_job_info info = fixture_info(claim);
    job->state = MLS_JOB_RUNNING;
    job->attempt++;
    job->epoch++;
    job->claim = claim;
    ck_assert_uint_eq(info.id, job->id);
    ck_assert_uint_eq(info.epoch, job->epoch);
    ck_assert_uint_eq(info.attempt, job->attempt);
    ck_assert_int_eq(info.priority, job->priority);
    ck_assert_int_eq(info.error, job->error);
    ck_assert_str_eq(info.type, types[job->type]);
    ck_assert_uint_eq(info.payload_bytes, sizeof job->number);
    ck_assert_mem_eq(info.payload, &job->number, sizeof job->number);
}

static void do_claim(model *m)
{
    mls_job *claims[3];
    size_t count = 0;
    const size_t claimer = draw(m, TYPES + 1), wanted = 1 + draw(m, 3);
    const mls_status status = mls_claimer_claim(m->claimers[claimer], 0, wanted, claims, &count);
    for (size_t i = 0; i < count; i++) {
        model_job *job = next_ready(m, claimer);
        ck_assert_ptr_nonnull(job);
        check_claim(job, claims[i]);
    }
    ck_assert_int_eq(status, count ? MLS_OK : MLS_EEMPTY);
    ck_assert(count == wanted || !next_ready(m, claimer));
}

static void do_end(model *m)
{
    model_job *job = draw_job(m, 1U << MLS_JOB_RUNNING | 1U << MLS_JOB_STOPPING);
    if (!job)
        return;
    mls_job *claim = job->claim;
    const bool stops = job->state == MLS_JOB_STOPPING;
    const size_t how = draw(m, 8);
    job->claim = NULL;
    ck_assert_uint_eq(mls_job_stop_reasons(claim), stops ? MLS_STOP_CANCELLED : 0);
    if (how < 3) {
        ck_assert_ok(mls_job_complete(claim));
        make_ended(job, MLS_JOB_SUCCEEDED);
    } else if (how < 6) {
        const bool is_final = how == 5 || job->attempt == job->max_attempts;
        job->error = MLS_ERANGE;
        ck_assert_ok(mls_job_fail(claim, MLS_ERANGE, "no", how == 5 ? MLS_FAIL_FINAL : 0));
        if (stops || is_final)
            make_ended(job, stops ? MLS_JOB_CANCELLED : MLS_JOB_DEAD);
        else
            make_ready(m, job);
    } else {
        if (how == 6)
            ck_assert_ok(mls_job_release(claim)); /* else freeing does it */
        job->attempt--;
        if (!stops)
            make_ready(m, job);
        if (how == 6 && stops)
            make_ended(job, MLS_JOB_CANCELLED);
    }
    mls_job_free(claim);
    if (how == 7 && stops)
        make_ended(job, MLS_JOB_CANCELLED);
}

static void do_cancel(model *m)
{
    model_job *job = draw_job(m, ~0U);
    if (!job)
        return;
    const bool runs = job->state == MLS_JOB_RUNNING || job->state == MLS_JOB_STOPPING;
    const bool waits = job->state == MLS_JOB_READY || job->state == MLS_JOB_SCHEDULED;
    ck_assert_int_eq(mls_queue_cancel(m->queue, job->id), runs || waits ? MLS_OK : MLS_ESTATE);
    if (runs)
        job->state = MLS_JOB_STOPPING;
    if (waits)
        make_ended(job, MLS_JOB_CANCELLED);
}

static void do_requeue(model *m)
{
    model_job *job = draw_job(m, ~0U);
    if (!job)
        return;
    const bool may = job->state == MLS_JOB_DEAD || job->state == MLS_JOB_CANCELLED;
    ck_assert_int_eq(mls_queue_requeue(m->queue, job->id), may ? MLS_OK : MLS_ESTATE);
    if (!may)
        return;
    job->attempt = 0;
    make_ready(m, job);
}

static void do_forget(model *m)
{
    model_job *job = draw_job(m, ~0U);
    if (!job)
        return;
    const bool may = job->state >= MLS_JOB_SUCCEEDED;
    ck_assert_int_eq(mls_queue_forget(m->queue, job->id), may ? MLS_OK : MLS_ESTATE);
    if (may)
        job->id = 0;
}

static void check_all(model *m)
{
    uint64_t counts[16] = {0};
    for (size_t i = 0; i < CAPACITY; i++) {
        const model_job *job = &m->jobs[i];
        if (!job->id)
            continue;
        const mls_job_info info = fixture_look(m->queue, job->id);
        ck_assert_int_eq(info.state, job->state);
        ck_assert_uint_eq(info.attempt, job->attempt);
        ck_assert_uint_eq(info.epoch, job->epoch);
        counts[job->state]++;
        counts[0]++;
    }
    const mls_queue_stats stats = fixture_stats(m->queue);
    for (size_t i = 0; i < 16; i++)
        ck_assert_uint_eq(stats.jobs[i], counts[i]);
    const uint64_t alive =
        counts[0] - counts[MLS_JOB_SUCCEEDED] - counts[MLS_JOB_DEAD] - counts[MLS_JOB_CANCELLED];
    ck_assert_int_eq(mls_queue_drain(m->queue, 0), alive ? MLS_ETIMEDOUT : MLS_OK);
}

static void close_model(model *m)
{
    for (size_t i = 0; i < CAPACITY; i++)
        if (m->jobs[i].id)
            mls_job_free(m->jobs[i].claim);
    for (size_t i = 0; i <= TYPES; i++)
        mls_claimer_close(m->claimers[i]);
    mls_queue_close(m->queue);
}

START_TEST(queue_and_model_agree)
{
    static void (*const steps[])(model *) = {do_submit, do_submit, do_submit, do_claim, do_claim,
                                             do_end,    do_end,    do_end,    do_end,   do_cancel,
                                             do_forget, do_forget, do_requeue};
    model m = {.random = 1000 + (uint64_t) _i};
    char url[64];
    snprintf(url, sizeof url, "memory:?capacity=%d", CAPACITY);
    m.queue = fixture_queue(url);
    for (size_t i = 0; i <= TYPES; i++)
        m.claimers[i] = fixture_claimer(m.queue, i < TYPES ? types[i] : NULL);
    for (int step = 0; step < STEPS; step++) {
        steps[draw(&m, sizeof steps / sizeof steps[0])](&m);
        if (step % 50 == 0)
            check_all(&m);
    }
    close_model(&m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job/model");
    TCase *tests = tcase_create("model");
    tcase_add_loop_test(tests, queue_and_model_agree, 0, SEEDS);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
