/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a queue is as the model of it says. */
#include "queue/simulation.h"

#include "queue/virtual_clock.h"

static void check_state(const model_job *job, int32_t state)
{
    if (job->may_be_either && (state == MLS_JOB_DEAD || state == MLS_JOB_CANCELLED))
        return;
    ck_assert_msg(job->state == state, "job %llu is %s, not %s", (unsigned long long) job->id,
                  mls_job_state_name(state), mls_job_state_name(job->state));
}

/* Takes over which of two ends it was, where nobody can say. */
static void learn(model_job *job, int32_t state)
{
    check_state(job, state);
    if (job->state == state)
        return;
    the_model.ended[job->state]--;
    the_model.ended[state]++;
    job->state = state;
}

static uint64_t compare_states(void)
{
    static uint64_t ids[STEPS * BULK];
    uint64_t there = 0;
    for (int32_t state = MLS_JOB_SCHEDULED; state <= MLS_JOB_CANCELLED; state++) {
        mls_queue_filter filter = MLS_QUEUE_FILTER_INIT;
        size_t count;
        filter.states = MLS_QUEUE_STATE(state);
        ck_assert_ok(
            mls_queue_list(the_queue, &filter, 0, sizeof ids / sizeof ids[0], ids, &count));
        for (size_t i = 0; i < count; i++) {
            model_job *job = model_find(&the_model, ids[i]);
            ck_assert_msg(job != NULL, "job %llu should be gone, and is %s",
                          (unsigned long long) ids[i], mls_job_state_name(state));
            learn(job, state);
        }
        there += count;
    }
    return there;
}

static void compare_job(const model_job *job)
{
    mls_job *shown;
    const mls_status status = mls_queue_get(the_queue, job->id, &shown);
    ck_assert_int_eq(status, job->state == MODEL_GONE ? MLS_ENOTFOUND : MLS_OK);
    if (status)
        return;
    const mls_job_info info = fixture_info(shown);
    check_state(job, info.state);
    ck_assert_uint_eq(info.epoch, job->epoch);
    ck_assert_uint_eq(info.attempt, job->attempt);
    ck_assert_uint_eq(info.deaths, job->deaths);
    if (info.state == MLS_JOB_SCHEDULED)
        ck_assert_int_eq(info.run_at_ms, job->run_at_ms);
    if (info.state == MLS_JOB_DEAD && !job->may_be_either)
        ck_assert_int_eq(info.error, job->error);
    if (info.state == MLS_JOB_SUCCEEDED)
        ck_assert_mem_eq(info.result, &job->id, sizeof job->id);
    mls_job_free(shown);
}

static void compare_rule(void *user, const mls_queue_rule *shown)
{
    (void) user;
    const model_rule *rule = model_rule_of(&the_model, shown->queue, shown->type, shown->tenant);
    ck_assert_uint_eq(shown->is_paused, rule->is_paused);
    ck_assert_uint_eq(shown->max_running, rule->max_running);
    ck_assert_uint_eq(shown->running, model_running(&the_model, rule));
    ck_assert_uint_eq(shown->weight, rule->weight);
    ck_assert(!shown->max_running || shown->rate_jobs == rule->rate_jobs);
}

void sim_compare_sums(void)
{
    const mls_queue_stats stats = fixture_stats(the_queue);
    ck_assert_uint_eq(stats.submitted, the_model.submitted);
    ck_assert_uint_eq(stats.claimed, the_model.claimed);
    ck_assert_uint_eq(stats.succeeded, the_model.ended[MLS_JOB_SUCCEEDED]);
    ck_assert_uint_eq(stats.dead + stats.cancelled,
                      the_model.ended[MLS_JOB_DEAD] + the_model.ended[MLS_JOB_CANCELLED]);
    ck_assert_uint_ge(stats.dead + the_model.either_gone, the_model.ended[MLS_JOB_DEAD]);
    ck_assert_uint_ge(stats.cancelled + the_model.either_gone, the_model.ended[MLS_JOB_CANCELLED]);
    ck_assert_uint_eq(stats.retried, the_model.retried);
    ck_assert_uint_eq(stats.released, the_model.released);
    /* Where a job is gone, who reported on it may be too. */
    ck_assert_uint_ge(stats.stale, the_model.stale);
    ck_assert_uint_le(stats.stale, the_model.stale + the_model.stale_gone);
}

static void check_signals(void)
{
    for (size_t i = 0; i < held_count; i++) {
        const held *h = &holds[i];
        const model_job *job = model_find(&the_model, h->id);
        uint32_t expected = 0;
        if (h->is_stale)
            expected = MLS_STOP_LOST;
        else if (job->state == MLS_JOB_STOPPING)
            expected = MLS_STOP_CANCELLED;
        const uint32_t reasons = mls_job_stop_reasons(h->handle) & ~MLS_STOP_DEADLINE;
        ck_assert_uint_eq(reasons, expected);
    }
}

void sim_compare(void)
{
    uint64_t expected = 0;
    const size_t rule_count = the_model.rule_count;
    model_tick(&the_model, virtual_clock_ms());
    const uint64_t there = compare_states();
    for (size_t i = 0; i < the_model.count; i++)
        expected += the_model.jobs[i].state != MODEL_GONE;
    ck_assert_uint_eq(there, expected);
    if (the_model.count)
        compare_job(sim_any_job());
    ck_assert_ok(mls_queue_visit_rules(the_queue, compare_rule, NULL));
    ck_assert_uint_eq(the_model.rule_count, rule_count);
    check_signals();
    model_races_look(&the_model);
}
