/* SPDX-License-Identifier: Apache-2.0 */
/* Every question is answered by looking at every job. */
#include "queue/model.h"

#include <stdlib.h>
#include <string.h>

#define NS_OF_MS INT64_C(1000000)

model_job *model_find(const model *m, uint64_t id)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->jobs[i].id == id && m->jobs[i].state != MODEL_GONE)
            return &m->jobs[i];
    return NULL;
}

model_job *model_find_key(const model *m, const char *key)
{
    for (size_t i = 0; i < m->count; i++)
        if (key && key[0] && strcmp(m->jobs[i].key, key) == 0 && m->jobs[i].state != MODEL_GONE)
            return &m->jobs[i];
    return NULL;
}

bool model_has_ended(const model_job *job)
{
    return job->state == MLS_JOB_SUCCEEDED || job->state == MLS_JOB_DEAD ||
           job->state == MLS_JOB_CANCELLED;
}

static bool is_claimed(const model_job *job)
{
    return job->state == MLS_JOB_RUNNING || job->state == MLS_JOB_STOPPING;
}

/* Ends, and what they mean for others */

static void enter_ready(model *m, model_job *job, model_arrival arrival, int64_t order)
{
    job->state = MLS_JOB_READY;
    job->ready_step = m->step;
    job->arrival = arrival;
    job->arrival_order = order;
}

static void end(model *m, model_job *job, int32_t state);

static bool waits_for_nobody(const model_job *job)
{
    for (size_t i = 0; i < job->parent_count; i++)
        if (!job->has_waited[i])
            return false;
    return true;
}

/* A parent has ended: `job` waits for it no longer, or is cancelled. */
static void hear_of_parent(model *m, model_job *job, size_t index, int32_t parent_state)
{
    job->has_waited[index] = true;
    if (parent_state != MLS_JOB_SUCCEEDED && !(job->flags & MLS_JOB_DEPENDS_ANY_END)) {
        job->may_be_either = job->deadline_ms && job->deadline_ms <= m->now_ms;
        job->error = MLS_ECANCELLED;
        end(m, job, MLS_JOB_CANCELLED);
    } else if (waits_for_nobody(job)) {
        if (job->run_at_ms > m->now_ms)
            job->state = MLS_JOB_SCHEDULED;
        else
            enter_ready(m, job, MODEL_OTHERWISE, 0);
    }
}

static void end(model *m, model_job *job, int32_t state)
{
    job->state = state;
    job->ended_ms = m->now_ms;
    m->ended[state]++;
    for (size_t i = 0; i < m->count; i++)
        for (size_t k = 0; k < m->jobs[i].parent_count; k++)
            if (m->jobs[i].state == MLS_JOB_BLOCKED && m->jobs[i].parents[k] == job->id &&
                !m->jobs[i].has_waited[k])
                hear_of_parent(m, &m->jobs[i], k, state);
    if (job->retention_ms)
        return;
    job->state = MODEL_GONE;
    m->either_gone += job->may_be_either;
}

/* Submits */

static const uint64_t sibling = MLS_JOB_SIBLING(0);

mls_status model_judge(const model *m, const mls_job_options *jobs, size_t count)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; i < count; i++) {
        const bool is_taken = model_find_key(m, jobs[i].key) != NULL;
        if (is_taken && !(jobs[i].flags & MLS_JOB_JOIN))
            return MLS_EEXIST;
        for (size_t k = 0; !is_taken && k < jobs[i].depends_on_count; k++)
            if (jobs[i].depends_on[k] < sibling && !model_find(m, jobs[i].depends_on[k]))
                status = MLS_ENOTFOUND;
    }
    return status;
}

static model_job *add(model *m)
{
    if (m->count == m->capacity) {
        m->capacity = m->capacity ? 2 * m->capacity : 256;
        m->jobs = realloc(m->jobs, m->capacity * sizeof *m->jobs);
        if (!m->jobs)
            abort();
    }
    m->jobs[m->count] = (model_job){0};
    return &m->jobs[m->count++];
}

static void begin(model *m, model_job *job, int64_t order)
{
    job->state = MLS_JOB_BLOCKED;
    for (size_t i = 0; i < job->parent_count && job->state == MLS_JOB_BLOCKED; i++) {
        const model_job *parent = model_find(m, job->parents[i]);
        /* One of the same submit may be gone by now, in one way only: it was cancelled. */
        const int32_t state = parent ? parent->state : MLS_JOB_CANCELLED;
        if (!parent || model_has_ended(parent))
            hear_of_parent(m, job, i, state);
    }
    if (job->parent_count)
        return;
    if (job->run_at_ms > m->now_ms)
        job->state = MLS_JOB_SCHEDULED;
    else
        enter_ready(m, job, MODEL_SUBMITTED, order);
}

void model_submit(model *m, const mls_job_options *jobs, size_t count, const uint64_t *ids)
{
    for (size_t i = 0; i < count; i++) {
        const mls_job_options *o = &jobs[i];
        if (model_find_key(m, o->key))
            continue;
        model_job *job = add(m);
        job->id = ids[i];
        job->type = o->type;
        job->queue = o->queue ? o->queue : "default";
        job->tenant = o->tenant ? o->tenant : "";
        strncpy(job->key, o->key ? o->key : "", sizeof job->key - 1);
        job->priority = o->priority;
        job->flags = o->flags;
        job->run_at_ms = o->run_at_ms;
        if (o->delay_ms && m->now_ms + o->delay_ms > job->run_at_ms)
            job->run_at_ms = m->now_ms + o->delay_ms;
        job->deadline_ms = o->deadline_ms;
        job->retention_ms = o->retention_ms;
        job->max_attempts = o->max_attempts;
        job->backoff_ms = o->backoff_ms;
        job->backoff_max_ms = o->backoff_max_ms;
        job->parent_count = o->depends_on_count;
        for (size_t k = 0; k < o->depends_on_count; k++)
            job->parents[k] =
                o->depends_on[k] >= sibling ? ids[o->depends_on[k] - sibling] : o->depends_on[k];
        m->submitted++;
        begin(m, job, (int64_t) i);
    }
}

/* Time */

static bool waits_for_claim(const model_job *job)
{
    return job->state == MLS_JOB_SCHEDULED || job->state == MLS_JOB_BLOCKED ||
           job->state == MLS_JOB_READY;
}

static bool is_too_late(const model *m, const model_job *job)
{
    return waits_for_claim(job) && job->deadline_ms && job->deadline_ms <= m->now_ms;
}

static bool is_forgotten(const model *m, const model_job *job)
{
    return model_has_ended(job) && job->ended_ms + job->retention_ms <= m->now_ms;
}

bool model_may_be_gone(const model *m, const model_job *job)
{
    return !job || is_too_late(m, job) || is_forgotten(m, job);
}

void model_tick(model *m, int64_t now_ms)
{
    m->now_ms = now_ms;
    for (size_t i = 0; i < m->count; i++) {
        model_job *job = &m->jobs[i];
        if (is_too_late(m, job)) {
            job->may_be_either = job->state == MLS_JOB_BLOCKED;
            job->error = MLS_EDEADLINE;
            end(m, job, MLS_JOB_DEAD);
        } else if (job->state == MLS_JOB_SCHEDULED && job->run_at_ms <= now_ms) {
            enter_ready(m, job, MODEL_DUE, job->run_at_ms);
        } else if (is_forgotten(m, job)) {
            job->state = MODEL_GONE;
        }
    }
}

static void find_earlier(int64_t *earliest_ms, int64_t at_ms)
{
    if (at_ms && (!*earliest_ms || at_ms < *earliest_ms))
        *earliest_ms = at_ms;
}

int64_t model_next_time(const model *m)
{
    int64_t earliest_ms = 0;
    for (size_t i = 0; i < m->count; i++) {
        const model_job *job = &m->jobs[i];
        if (waits_for_claim(job))
            find_earlier(&earliest_ms, job->deadline_ms);
        if (job->state == MLS_JOB_SCHEDULED)
            find_earlier(&earliest_ms, job->run_at_ms);
        if (model_has_ended(job))
            find_earlier(&earliest_ms, job->ended_ms + job->retention_ms);
    }
    return earliest_ms;
}

/* Rules */

static bool names(const char *wanted, const char *name)
{
    return !wanted || strcmp(wanted, name) == 0;
}

static bool covers(const model_rule *rule, const model_job *job)
{
    return names(rule->queue, job->queue) && names(rule->type, job->type) &&
           names(rule->tenant, job->tenant);
}

uint32_t model_running(const model *m, const model_rule *rule)
{
    uint32_t running = 0;
    for (size_t i = 0; i < m->count; i++)
        running += is_claimed(&m->jobs[i]) && covers(rule, &m->jobs[i]);
    return running;
}

/* Rates of the simulation are such that this is exact. */
static int64_t token_ns(const model_rule *rule)
{
    return rule->rate_ms * NS_OF_MS / rule->rate_jobs;
}

static int64_t level_ns(const model *m, const model_rule *rule)
{
    const int64_t most_ns = token_ns(rule) * rule->burst;
    const int64_t ns = rule->level_ns + (m->now_ms - rule->level_at_ms) * NS_OF_MS;
    return ns < most_ns ? ns : most_ns;
}

static bool lets_pass(const model *m, const model_rule *rule)
{
    return !rule->is_paused && (!rule->max_running || model_running(m, rule) < rule->max_running) &&
           (!rule->rate_jobs || level_ns(m, rule) >= token_ns(rule));
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

model_rule *model_rule_of(model *m, const char *queue, const char *type, const char *tenant)
{
    for (size_t i = 0; i < m->rule_count; i++) {
        model_rule *rule = &m->rules[i];
        if (is_same(rule->queue, queue) && is_same(rule->type, type) &&
            is_same(rule->tenant, tenant))
            return rule;
    }
    if (m->rule_count == MODEL_RULES)
        abort();
    m->rules[m->rule_count] = (model_rule){.queue = queue, .type = type, .tenant = tenant};
    return &m->rules[m->rule_count++];
}

void model_rule_limit(model *m, model_rule *rule, uint32_t max_running, uint32_t rate_jobs,
                      int64_t rate_ms, uint32_t burst)
{
    const bool is_other =
        rule->rate_jobs != rate_jobs || rule->rate_ms != rate_ms || rule->burst != burst;
    rule->max_running = max_running;
    rule->rate_jobs = rate_jobs;
    rule->rate_ms = rate_ms;
    rule->burst = burst;
    if (is_other && rate_jobs) {
        rule->level_ns = token_ns(rule) * burst;
        rule->level_at_ms = m->now_ms;
    }
}

void model_rules_drop_empty(model *m)
{
    for (size_t i = 0; i < m->rule_count;) {
        const model_rule *rule = &m->rules[i];
        if (!rule->is_paused && !rule->max_running && !rule->rate_jobs && !rule->weight)
            m->rules[i] = m->rules[--m->rule_count];
        else
            i++;
    }
}

/* Claims */

bool model_may_claim(const model *m, const model_claimer *claimer, const model_job *job)
{
    if (job->state != MLS_JOB_READY || !names(claimer->type, job->type) ||
        !names(claimer->queue, job->queue))
        return false;
    for (size_t i = 0; i < m->rule_count; i++)
        if (covers(&m->rules[i], job) && !lets_pass(m, &m->rules[i]))
            return false;
    return true;
}

/*
 * The higher priority, then who is ready for longer. Which of two came first within a step is
 * known of jobs of one submit, and of those that were due at different times.
 */
static bool goes_before(const model_job *a, const model_job *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->ready_step != b->ready_step)
        return a->ready_step < b->ready_step;
    return a->arrival == b->arrival && a->arrival_order < b->arrival_order;
}

static bool may_be_first(const model *m, const model_claimer *claimer, const model_job *job)
{
    for (size_t i = 0; i < m->count; i++)
        if (goes_before(&m->jobs[i], job) && model_may_claim(m, claimer, &m->jobs[i]))
            return false;
    return true;
}

bool model_is_share(const model_job *a, const model_job *b)
{
    return a->priority == b->priority && strcmp(a->queue, b->queue) == 0;
}

/* By turns of tenants: some job of its queue and priority comes first, and of its tenant it does.
 */
static bool may_have_turn(const model *m, const model_claimer *claimer, const model_job *job)
{
    bool has_first = false;
    for (size_t i = 0; i < m->count; i++) {
        const model_job *other = &m->jobs[i];
        if (!model_is_share(job, other) || !model_may_claim(m, claimer, other))
            continue;
        if (strcmp(other->tenant, job->tenant) == 0 && goes_before(other, job))
            return false;
        has_first = has_first || may_be_first(m, claimer, other);
    }
    return has_first;
}

bool model_is_next(const model *m, const model_claimer *claimer, const model_job *job)
{
    return model_may_claim(m, claimer, job) &&
           (m->is_fair ? may_have_turn(m, claimer, job) : may_be_first(m, claimer, job));
}

void model_claim(model *m, const model_claimer *claimer, model_job *job)
{
    model_race_claim(m, claimer, job);
    for (size_t i = 0; i < m->rule_count; i++) {
        model_rule *rule = &m->rules[i];
        if (!covers(rule, job) || !rule->rate_jobs)
            continue;
        rule->level_ns = level_ns(m, rule) - token_ns(rule);
        rule->level_at_ms = m->now_ms;
    }
    job->state = MLS_JOB_RUNNING;
    job->epoch++;
    job->attempt++;
    m->claimed++;
}

void model_succeed(model *m, model_job *job)
{
    end(m, job, MLS_JOB_SUCCEEDED);
}

void model_fail(model *m, model_job *job, int32_t error, bool is_final)
{
    int64_t pause_ms = job->backoff_ms;
    for (uint32_t i = 1; i < job->attempt && pause_ms < job->backoff_max_ms; i++)
        pause_ms *= 2;
    if (pause_ms > job->backoff_max_ms)
        pause_ms = job->backoff_max_ms;
    const bool is_too_late = job->deadline_ms && m->now_ms + pause_ms >= job->deadline_ms;
    const bool is_last = is_final || job->attempt >= job->max_attempts || is_too_late;
    job->error = error;
    if (job->state == MLS_JOB_STOPPING) {
        end(m, job, MLS_JOB_CANCELLED);
    } else if (is_last) {
        end(m, job, MLS_JOB_DEAD);
    } else {
        m->retried++;
        job->state = MLS_JOB_SCHEDULED;
        job->run_at_ms = m->now_ms + pause_ms;
    }
}

void model_release(model *m, model_job *job)
{
    m->released++;
    job->attempt--;
    if (job->state == MLS_JOB_STOPPING)
        end(m, job, MLS_JOB_CANCELLED);
    else
        enter_ready(m, job, MODEL_OTHERWISE, 0);
}

void model_lose(model *m, model_job *job, uint32_t poison)
{
    job->deaths++;
    if (job->deaths >= poison) {
        job->error = MLS_EHANDLER;
        end(m, job, job->state == MLS_JOB_STOPPING ? MLS_JOB_CANCELLED : MLS_JOB_DEAD);
        return;
    }
    job->attempt--;
    if (job->state == MLS_JOB_STOPPING)
        end(m, job, MLS_JOB_CANCELLED);
    else
        enter_ready(m, job, MODEL_OTHERWISE, 0);
}

/* Requests */

mls_status model_cancel(model *m, uint64_t id)
{
    model_job *job = model_find(m, id);
    if (!job)
        return MLS_ENOTFOUND;
    if (model_has_ended(job))
        return MLS_ESTATE;
    if (is_claimed(job))
        job->state = MLS_JOB_STOPPING;
    else
        end(m, job, MLS_JOB_CANCELLED);
    return MLS_OK;
}

mls_status model_requeue(model *m, uint64_t id)
{
    model_job *job = model_find(m, id);
    if (!job)
        return MLS_ENOTFOUND;
    if (job->state != MLS_JOB_DEAD && job->state != MLS_JOB_CANCELLED)
        return MLS_ESTATE;
    job->attempt = job->deaths = 0;
    job->deadline_ms = job->ended_ms = 0;
    job->may_be_either = false;
    enter_ready(m, job, MODEL_OTHERWISE, 0);
    return MLS_OK;
}

mls_status model_forget(model *m, uint64_t id)
{
    model_job *job = model_find(m, id);
    if (!job)
        return MLS_ENOTFOUND;
    if (!model_has_ended(job))
        return MLS_ESTATE;
    job->state = MODEL_GONE;
    return MLS_OK;
}
