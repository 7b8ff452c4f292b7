/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that depend on others. */
#include "conformance/queue/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t submit_child(const uint64_t *parents, size_t count, uint64_t flags)
{
    mls_job_options options = fixture_options("child", "payload");
    options.flags = flags;
    options.depends_on = parents;
    options.depends_on_count = count;
    return fixture_submit(the_queue, &options);
}

static bool lacks_dependencies(void)
{
    return !conformance_can(MLS_QUEUE_CAN_DEPENDENCIES);
}

/* A type that only this claims. */
static void end_parent(const char *type, uint64_t id, bool well)
{
    mls_claimer *claimer = fixture_claimer(the_queue, type);
    if (well)
        fixture_complete(claimer, id, NULL);
    else
        fixture_fail(claimer, id, MLS_EIO, "no", 0);
    mls_claimer_close(claimer);
}

static void expect_cancelled(uint64_t id, uint64_t parent, const char *how)
{
    char text[96];
    snprintf(text, sizeof text, "job %llu, which it depends on, is %s", (unsigned long long) parent,
             how);
    mls_job *job = fixture_wait(the_queue, id);
    ck_assert_int_eq(mls_job_state(job), MLS_JOB_CANCELLED);
    ck_assert_int_eq(fixture_info(job).error, MLS_ECANCELLED);
    ck_assert_str_eq(fixture_info(job).error_message, text);
    ck_assert_fails(mls_job_result(job, NULL, NULL), MLS_ECANCELLED, text);
    mls_job_free(job);
}

START_TEST(children_wait_for_all_parents)
{
    const uint64_t parents[] = {fixture_submit_type(the_queue, "a"),
                                fixture_submit_type(the_queue, "b"),
                                fixture_submit_type(the_queue, "a")};
    if (lacks_dependencies()) {
        mls_job_options options = fixture_options("t", NULL);
        options.depends_on = parents;
        options.depends_on_count = 1;
        ck_assert_fails(mls_queue_submit(the_queue, &options, NULL), MLS_EUNSUPPORTED,
                        "dependencies");
        return;
    }
    const uint64_t twice[] = {parents[0], parents[1], parents[2], parents[0]};
    const uint64_t child = submit_child(twice, 4, 0);
    ck_assert_int_eq(fixture_state(the_queue, child), MLS_JOB_BLOCKED);
    ck_assert_uint_eq(fixture_stats(the_queue).jobs[MLS_JOB_BLOCKED], 1);
    ck_assert_fails(mls_queue_drain(the_queue, 0), MLS_ETIMEDOUT, "not ended");
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(fixture_state(the_queue, child), MLS_JOB_BLOCKED);
        end_parent(i == 1 ? "b" : "a", parents[i], true);
    }
    ck_assert_int_eq(fixture_state(the_queue, child), MLS_JOB_READY);
    mls_job *job = fixture_claim(the_claimer);
    ck_assert_uint_eq(mls_job_id(job), child);
    ck_assert_mem_eq(mls_job_payload(job, NULL), "payload", 7);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    ck_assert_ok(mls_queue_drain(the_queue, 0));
}
END_TEST

START_TEST(children_end_with_a_parent_that_fails)
{
    if (lacks_dependencies())
        return;
    const uint64_t parents[] = {fixture_submit_type(the_queue, "a"),
                                fixture_submit_type(the_queue, "b")};
    const uint64_t child = submit_child(parents, 2, 0);
    const uint64_t grandchild = submit_child(&child, 1, 0);
    const uint64_t other = submit_child(&child, 1, MLS_JOB_DEPENDS_ANY_END);
    end_parent("a", parents[0], false);
    expect_cancelled(child, parents[0], "dead");
    expect_cancelled(grandchild, child, "cancelled");
    ck_assert_int_eq(fixture_state(the_queue, other), MLS_JOB_READY);
    ck_assert_uint_eq(fixture_stats(the_queue).dead, 1);
    ck_assert_uint_eq(fixture_stats(the_queue).cancelled, 2);
    end_parent("b", parents[1], true);
    ck_assert_int_eq(fixture_state(the_queue, child), MLS_JOB_CANCELLED);
    ck_assert_ok(mls_queue_requeue(the_queue, grandchild)); /* without asking its parents */
    ck_assert_int_eq(fixture_state(the_queue, grandchild), MLS_JOB_READY);
    fixture_complete(the_claimer, other, NULL);
    fixture_complete(the_claimer, grandchild, NULL);
}
END_TEST

START_TEST(cancelled_parents_cancel)
{
    if (lacks_dependencies() || !conformance_can(MLS_QUEUE_CAN_CANCEL))
        return;
    const uint64_t parent = fixture_submit_type(the_queue, "a");
    const uint64_t child = submit_child(&parent, 1, 0);
    const uint64_t any = submit_child(&parent, 1, MLS_JOB_DEPENDS_ANY_END);
    ck_assert_ok(mls_queue_cancel(the_queue, parent));
    expect_cancelled(child, parent, "cancelled");
    fixture_complete(the_claimer, any, NULL);

    const uint64_t next = fixture_submit_type(the_queue, "a");
    const uint64_t blocked = submit_child(&next, 1, 0);
    ck_assert_ok(mls_queue_cancel(the_queue, blocked));
    ck_assert_int_eq(fixture_look(the_queue, blocked).error, MLS_OK);
    fixture_complete(the_claimer, next, NULL);
    ck_assert_int_eq(fixture_state(the_queue, blocked), MLS_JOB_CANCELLED);
    fixture_claim_none(the_claimer);
}
END_TEST

START_TEST(ended_parents_count_as_they_ended)
{
    if (lacks_dependencies())
        return;
    const uint64_t good = fixture_submit_type(the_queue, "a");
    end_parent("a", good, true);
    const uint64_t bad = fixture_submit_type(the_queue, "a");
    end_parent("a", bad, false);
    const uint64_t both[] = {good, bad};
    const uint64_t ready = submit_child(&good, 1, 0);
    const uint64_t cancelled = submit_child(both, 2, 0);
    const uint64_t any = submit_child(both, 2, MLS_JOB_DEPENDS_ANY_END);
    expect_cancelled(cancelled, bad, "dead");
    fixture_complete(the_claimer, ready, NULL);
    fixture_complete(the_claimer, any, NULL);
    fixture_claim_none(the_claimer);
}
END_TEST

START_TEST(unknown_parents_are_refused)
{
    if (lacks_dependencies())
        return;
    const uint64_t parent = fixture_submit_type(the_queue, "a");
    const uint64_t child = submit_child(&parent, 1, 0);
    fixture_complete(the_claimer, parent, NULL);
    ck_assert_ok(mls_queue_forget(the_queue, parent)); /* it has counted by now */
    ck_assert_int_eq(fixture_state(the_queue, child), MLS_JOB_READY);
    const uint64_t unknown[] = {child, parent};
    mls_job_options options = fixture_options("t", NULL);
    options.depends_on = unknown;
    options.depends_on_count = 2;
    ck_assert_fails(mls_queue_submit(the_queue, &options, NULL), MLS_ENOTFOUND, "depends_on[1]");
    const mls_job_options bulk[] = {fixture_options("t", NULL), options};
    ck_assert_fails(mls_queue_submit_many(the_queue, bulk, 2, NULL), MLS_ENOTFOUND,
                    "depends_on[1]");
    ck_assert_uint_eq(fixture_stats(the_queue).submitted, 2);
    fixture_complete(the_claimer, child, NULL);
    fixture_claim_none(the_claimer);
}
END_TEST

START_TEST(siblings_are_named_by_index)
{
    if (lacks_dependencies())
        return;
    /* A diamond: 0 is before 1 and 2, these are before 3. */
    const uint64_t first = MLS_JOB_SIBLING(0);
    const uint64_t middle[] = {MLS_JOB_SIBLING(1), MLS_JOB_SIBLING(2)};
    mls_job_options jobs[] = {fixture_options("t", "0"), fixture_options("t", "1"),
                              fixture_options("t", "2"), fixture_options("t", "3")};
    uint64_t ids[4];
    for (size_t i = 1; i < 4; i++) {
        jobs[i].depends_on = i < 3 ? &first : middle;
        jobs[i].depends_on_count = i < 3 ? 1 : 2;
    }
    ck_assert_ok(mls_queue_submit_many(the_queue, jobs, 4, ids));
    ck_assert_uint_eq(fixture_stats(the_queue).jobs[MLS_JOB_BLOCKED], 3);
    for (size_t i = 0; i < 4; i++) /* the first child that was submitted is the first ready */
        fixture_complete(the_claimer, ids[i], NULL);

    const uint64_t itself = MLS_JOB_SIBLING(1), none = MLS_JOB_SIBLING(77);
    jobs[1].depends_on = &itself;
    ck_assert_fails(mls_queue_submit_many(the_queue, jobs, 4, ids), MLS_EINVAL, "in front of it");
    jobs[1].depends_on = &none;
    ck_assert_fails(mls_queue_submit_many(the_queue, jobs, 4, ids), MLS_EINVAL, "job 1");
    ck_assert_fails(mls_queue_submit(the_queue, &jobs[2], NULL), MLS_EINVAL, "depends_on[0]");
}
END_TEST

START_TEST(a_submit_may_cancel_its_own_jobs)
{
    if (lacks_dependencies())
        return;
    const uint64_t bad = fixture_submit_type(the_queue, "t");
    fixture_fail(the_claimer, bad, MLS_EIO, "no", 0);
    const uint64_t first = MLS_JOB_SIBLING(0);
    mls_job_options jobs[] = {fixture_options("t", NULL), fixture_options("t", NULL),
                              fixture_options("t", NULL)};
    jobs[0].retention_ms = 0;
    jobs[0].depends_on = &bad;
    jobs[1].depends_on = jobs[2].depends_on = &first;
    jobs[0].depends_on_count = jobs[1].depends_on_count = jobs[2].depends_on_count = 1;
    jobs[2].flags = MLS_JOB_DEPENDS_ANY_END;
    uint64_t ids[3];
    ck_assert_ok(mls_queue_submit_many(the_queue, jobs, 3, ids));
    ck_assert_fails(mls_queue_get(the_queue, ids[0], NULL), MLS_EINVAL, "NULL");
    ck_assert_int_eq(mls_queue_wait(the_queue, ids[0], 0, NULL), MLS_ENOTFOUND);
    expect_cancelled(ids[1], ids[0], "cancelled");
    fixture_complete(the_claimer, ids[2], NULL);
}
END_TEST

START_TEST(children_wait_for_their_time_too)
{
    if (lacks_dependencies() || !conformance_can(MLS_QUEUE_CAN_SCHEDULES))
        return;
    const uint64_t parent = fixture_submit_type(the_queue, "a");
    mls_job_options options = fixture_options("child", NULL);
    options.depends_on = &parent;
    options.depends_on_count = 1;
    options.delay_ms = 3600000;
    const uint64_t late = fixture_submit(the_queue, &options);
    options.run_at_ms = 1000; /* long ago */
    options.delay_ms = 0;
    const uint64_t due = fixture_submit(the_queue, &options);
    ck_assert_int_eq(fixture_state(the_queue, late), MLS_JOB_BLOCKED);
    fixture_complete(the_claimer, parent, NULL);
    ck_assert_int_eq(fixture_state(the_queue, late), MLS_JOB_SCHEDULED);
    options.run_at_ms = 0;
    options.delay_ms = 3600000;
    ck_assert_int_eq(fixture_state(the_queue, fixture_submit(the_queue, &options)),
                     MLS_JOB_SCHEDULED);
    fixture_complete(the_claimer, due, NULL);
    fixture_claim_none(the_claimer);
}
END_TEST

START_TEST(deadlines_end_blocked_jobs)
{
    if (lacks_dependencies() || !conformance_can(MLS_QUEUE_CAN_DEADLINES))
        return;
    const uint64_t parent = fixture_submit_type(the_queue, "a");
    mls_job_options options = fixture_options("child", NULL);
    options.depends_on = &parent;
    options.depends_on_count = 1;
    options.deadline_ms = conformance_wall_ms() + 20;
    const uint64_t id = fixture_submit(the_queue, &options);
    const uint64_t child = submit_child(&id, 1, 0);
    mls_job *job = fixture_wait(the_queue, id);
    ck_assert_fails(mls_job_result(job, NULL, NULL), MLS_EDEADLINE, "deadline");
    mls_job_free(job);
    expect_cancelled(child, id, "dead");
    fixture_complete(the_claimer, parent, NULL);
    fixture_claim_none(the_claimer);
}
END_TEST

START_TEST(joining_asks_no_parents)
{
    if (lacks_dependencies() || !conformance_can(MLS_QUEUE_CAN_KEYS))
        return;
    const uint64_t parent = fixture_submit_type(the_queue, "a");
    mls_job_options options = fixture_options("child", NULL);
    options.key = "one";
    options.flags = MLS_JOB_JOIN;
    options.depends_on = &parent;
    options.depends_on_count = 1;
    const uint64_t id = fixture_submit(the_queue, &options);
    fixture_complete(the_claimer, parent, NULL);
    ck_assert_ok(mls_queue_forget(the_queue, parent));
    ck_assert_uint_eq(fixture_submit(the_queue, &options), id);
    const uint64_t sibling = MLS_JOB_SIBLING(0);
    mls_job_options jobs[] = {options, fixture_options("t", NULL)};
    jobs[1].depends_on = &sibling; /* the job that was joined */
    jobs[1].depends_on_count = 1;
    uint64_t ids[2];
    ck_assert_ok(mls_queue_submit_many(the_queue, jobs, 2, ids));
    ck_assert_uint_eq(ids[0], id);
    ck_assert_int_eq(fixture_state(the_queue, ids[1]), MLS_JOB_BLOCKED);
    fixture_complete(the_claimer, id, NULL);
    fixture_complete(the_claimer, ids[1], NULL);
}
END_TEST

/* A chain is cancelled at once, without a stack frame for each link. */
enum { LONG = 2000 };

START_TEST(long_chains_end)
{
    if (lacks_dependencies())
        return;
    mls_job_options *jobs = calloc(LONG, sizeof *jobs);
    uint64_t *ids = calloc(2 * LONG, sizeof *ids), *parents = ids + LONG;
    ck_assert(jobs && ids);
    for (size_t i = 0; i < LONG; i++) {
        jobs[i] = fixture_options("t", NULL);
        parents[i] = MLS_JOB_SIBLING(i - 1);
        jobs[i].depends_on = &parents[i];
        jobs[i].depends_on_count = i > 0;
    }
    ck_assert_ok(mls_queue_submit_many(the_queue, jobs, LONG, ids));
    ck_assert_uint_eq(fixture_stats(the_queue).jobs[MLS_JOB_BLOCKED], LONG - 1);
    fixture_fail(the_claimer, ids[0], MLS_EIO, "no", 0);
    ck_assert_uint_eq(fixture_stats(the_queue).cancelled, LONG - 1);
    ck_assert_ok(mls_queue_drain(the_queue, 0));
    free(ids);
    free(jobs);
}
END_TEST

/* A seeded random history beside a model that only knows the rule. */
enum { JOBS = 60, STEPS = 240, MOST_PARENTS = 4, MOST_BULK = 4 };

typedef struct model_job {
    uint64_t id;
    int32_t state;
    bool any_end;
    size_t parents[MOST_PARENTS], parent_count; /* by index in the model */
    bool counted[MOST_PARENTS];                 /* it ended: a requeue changes nothing */
} model_job;

typedef struct model {
    model_job jobs[JOBS];
    size_t count;
    uint64_t seed;
} model;

static size_t draw(model *m, size_t below)
{
    m->seed = m->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t) (m->seed >> 33) % below;
}

static bool model_ended(int32_t state)
{
    return state >= MLS_JOB_SUCCEEDED;
}

/* What its parents make of a blocked job. */
static int32_t model_state(const model *m, model_job *job)
{
    bool waits = false;
    for (size_t i = 0; i < job->parent_count; i++) {
        const int32_t parent = m->jobs[job->parents[i]].state;
        if (job->counted[i])
            continue;
        job->counted[i] = model_ended(parent);
        if (job->counted[i] && parent != MLS_JOB_SUCCEEDED && !job->any_end)
            return MLS_JOB_CANCELLED;
        waits |= !job->counted[i];
    }
    return waits ? MLS_JOB_BLOCKED : MLS_JOB_READY;
}

/* Parents lie in front of their children, so that one pass settles all. */
static void settle(model *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->jobs[i].state == MLS_JOB_BLOCKED)
            m->jobs[i].state = model_state(m, &m->jobs[i]);
}

static void check_model(const model *m)
{
    uint64_t states[16] = {m->count};
    for (size_t i = 0; i < m->count; i++) {
        states[m->jobs[i].state]++;
        ck_assert_int_eq(fixture_state(the_queue, m->jobs[i].id), m->jobs[i].state);
    }
    const mls_queue_stats stats = fixture_stats(the_queue);
    ck_assert_mem_eq(stats.jobs, states, sizeof states);
}

/* Some jobs in one submit, with parents among all that there are, and among themselves. */
static void submit_some(model *m)
{
    mls_job_options options[MOST_BULK];
    uint64_t parents[MOST_BULK][MOST_PARENTS], ids[MOST_BULK];
    const size_t first = m->count, count = 1 + draw(m, MOST_BULK);
    if (first + count > JOBS)
        return;
    for (size_t i = 0; i < count; i++) {
        model_job *job = &m->jobs[m->count];
        *job = (model_job){.state = MLS_JOB_BLOCKED, .any_end = draw(m, 3) == 0};
        job->parent_count = m->count ? draw(m, MOST_PARENTS) : 0;
        for (size_t k = 0; k < job->parent_count; k++) {
            job->parents[k] = draw(m, m->count);
            parents[i][k] = job->parents[k] < first ? m->jobs[job->parents[k]].id
                                                    : MLS_JOB_SIBLING(job->parents[k] - first);
        }
        options[i] = fixture_options("t", NULL);
        options[i].flags = job->any_end ? MLS_JOB_DEPENDS_ANY_END : 0;
        options[i].depends_on = parents[i];
        options[i].depends_on_count = job->parent_count;
        m->count++;
    }
    ck_assert_ok(mls_queue_submit_many(the_queue, options, count, ids));
    for (size_t i = 0; i < count; i++)
        m->jobs[first + i].id = ids[i];
}

static void run_one(model *m)
{
    mls_job *job;
    size_t count;
    if (mls_claimer_claim(the_claimer, 0, 1, &job, &count))
        return;
    size_t at = 0;
    while (m->jobs[at].id != mls_job_id(job))
        at++;
    ck_assert_int_eq(m->jobs[at].state, MLS_JOB_READY);
    if (draw(m, 3)) {
        ck_assert_ok(mls_job_complete(job));
        m->jobs[at].state = MLS_JOB_SUCCEEDED;
    } else {
        ck_assert_ok(mls_job_fail(job, MLS_EIO, "no", 0));
        m->jobs[at].state = MLS_JOB_DEAD;
    }
    mls_job_free(job);
}

static void change_one(model *m)
{
    if (!m->count)
        return;
    model_job *job = &m->jobs[draw(m, m->count)];
    if (!model_ended(job->state) && conformance_can(MLS_QUEUE_CAN_CANCEL)) {
        ck_assert_ok(mls_queue_cancel(the_queue, job->id));
        job->state = MLS_JOB_CANCELLED;
    } else if (job->state == MLS_JOB_DEAD || job->state == MLS_JOB_CANCELLED) {
        ck_assert_ok(mls_queue_requeue(the_queue, job->id));
        job->state = MLS_JOB_READY;
    }
}

START_TEST(random_histories_follow_the_rule)
{
    if (lacks_dependencies())
        return;
    model m = {.seed = 20261122};
    for (size_t i = 0; i < STEPS; i++) {
        const size_t what = draw(&m, 10);
        if (what < 3)
            submit_some(&m);
        else if (what < 9)
            run_one(&m);
        else
            change_one(&m);
        settle(&m);
        if (i % 8 == 7)
            check_model(&m);
    }
    ck_assert_uint_gt(m.count, JOBS - MOST_BULK);
}
END_TEST

void conformance_add_parents(TCase *tests)
{
    tcase_add_test(tests, random_histories_follow_the_rule);
    tcase_add_test(tests, children_wait_for_all_parents);
    tcase_add_test(tests, children_end_with_a_parent_that_fails);
    tcase_add_test(tests, cancelled_parents_cancel);
    tcase_add_test(tests, ended_parents_count_as_they_ended);
    tcase_add_test(tests, unknown_parents_are_refused);
    tcase_add_test(tests, siblings_are_named_by_index);
    tcase_add_test(tests, a_submit_may_cancel_its_own_jobs);
    tcase_add_test(tests, children_wait_for_their_time_too);
    tcase_add_test(tests, deadlines_end_blocked_jobs);
    tcase_add_test(tests, joining_asks_no_parents);
    tcase_add_test(tests, long_chains_end);
}
