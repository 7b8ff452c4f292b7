/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of the simulation: each is done to the queue and to the model of it. */
#include "queue/simulation.h"

#include "job/queue.h"
#include "queue/processes.h"
#include "queue/virtual_clock.h"

#include <string.h>
#include <unistd.h>

enum { AT_ONCE = 4, POISON = 3 };

static const char *const types[] = {"a", "b", "c"};
static const char *const queues[] = {"default", "q"};
static const char *const tenants[] = {"", "x", "y"};
static const char *const keys[] = {"k1", "k2", "k3"};

/* A random one of the array, or NULL. */
#define ONE_OF(array)         (array)[sim_below(sizeof(array) / sizeof(array)[0])]
#define ONE_OF_OR_NULL(array) (sim_chance(50) ? NULL : ONE_OF(array))

/* Submits */

typedef struct submit {
    mls_job_options jobs[BULK];
    uint64_t parents[BULK][MODEL_PARENTS];
    size_t count;
} submit;

static void choose_parents(submit *s, size_t index)
{
    mls_job_options *o = &s->jobs[index];
    for (size_t i = 1 + sim_below(MODEL_PARENTS); i; i--) {
        const model_job *parent = sim_any_job();
        uint64_t id = index && sim_chance(60) ? MLS_JOB_SIBLING(sim_below(index))
                      : parent                ? parent->id
                                              : 1;
        s->parents[index][o->depends_on_count++] = id;
    }
    o->depends_on = s->parents[index];
    o->flags |= sim_chance(30) ? MLS_JOB_DEPENDS_ANY_END : 0;
}

static void choose_job(submit *s, size_t index)
{
    static const int64_t retentions[] = {0, 20, 5000, 3600000};
    mls_job_options *o = &s->jobs[index];
    *o = fixture_options(ONE_OF(types), "payload");
    o->queue = ONE_OF(queues);
    o->tenant = ONE_OF(tenants);
    o->priority = sim_chance(50) ? MLS_PRIORITY_DEFAULT : (int32_t) sim_below(10);
    o->key = sim_chance(8) ? ONE_OF(keys) : NULL;
    o->flags = o->key && sim_chance(50) ? MLS_JOB_JOIN : 0;
    o->run_at_ms = sim_chance(15) ? the_model.now_ms - 5 + (int64_t) sim_below(60) : 0;
    o->delay_ms = sim_chance(10) ? (int64_t) sim_below(50) : 0;
    o->deadline_ms = sim_chance(15) ? the_model.now_ms + (int64_t) sim_below(100) : 0;
    o->retention_ms = ONE_OF(retentions);
    o->max_attempts = 1 + (uint32_t) sim_below(3);
    o->backoff_ms = (uint32_t) sim_below(40);
    o->backoff_max_ms = 60;
    o->jitter_percent = 0;
    if (sim_chance(20))
        choose_parents(s, index);
}

static bool is_new(const submit *s, size_t index)
{
    for (size_t i = 0; s->jobs[index].key && i < index; i++)
        if (s->jobs[i].key && strcmp(s->jobs[i].key, s->jobs[index].key) == 0)
            return false;
    return true;
}

static void do_submit(void)
{
    submit s = {.count = sim_chance(75) ? 1 : 2 + sim_below(BULK - 1)};
    uint64_t ids[BULK] = {0};
    for (size_t i = 0; i < s.count; i++) {
        choose_job(&s, i);
        if (!is_new(&s, i))
            s.jobs[i].key = NULL;
        s.jobs[i].flags &= s.jobs[i].key ? UINT64_MAX : ~MLS_JOB_JOIN;
    }
    const mls_status expected = model_judge(&the_model, s.jobs, s.count);
    const mls_status status = mls_queue_submit_many(the_queue, s.jobs, s.count, ids);
    if (expected == MLS_EEXIST) /* or another reason, of another job */
        ck_assert(status == MLS_EEXIST || status == MLS_ENOTFOUND);
    else
        ck_assert_msg(status == expected, "submit: %s, not %s: %s", mls_status_name(status),
                      mls_status_name(expected), mls_error_message());
    if (status)
        return;
    for (size_t i = 0; i < s.count; i++) {
        const model_job *same = model_find_key(&the_model, s.jobs[i].key);
        if (same)
            ck_assert_uint_eq(ids[i], same->id);
        else
            ck_assert_ptr_null(model_find(&the_model, ids[i]));
    }
    model_submit(&the_model, s.jobs, s.count, ids);
}

/* Claims */

/* It was given `id`: nothing else may have gone first. */
static void check_claimed(const model_claimer *kind, uint64_t id)
{
    model_job *job = model_find(&the_model, id);
    ck_assert_msg(job && model_may_claim(&the_model, kind, job), "job %llu must not be claimed",
                  (unsigned long long) id);
    ck_assert_msg(model_is_next(&the_model, kind, job),
                  "job %llu was claimed, and others go before it", (unsigned long long) id);
    model_claim(&the_model, kind, job);
    if (the_model.is_fair)
        ck_assert_msg(model_is_fair(&the_model),
                      "job %llu was claimed, and it is another tenant's turn",
                      (unsigned long long) id);
    model_races_look(&the_model);
}

static void check_nothing_left(const model_claimer *kind)
{
    for (size_t i = 0; i < the_model.count; i++)
        ck_assert_msg(!model_may_claim(&the_model, kind, &the_model.jobs[i]),
                      "job %llu was not claimed", (unsigned long long) the_model.jobs[i].id);
}

void sim_claim(void)
{
    const size_t index = sim_below(CLAIMERS), room = HELD - held_count;
    size_t wanted = 1 + sim_below(AT_ONCE), count = 0;
    mls_job *jobs[AT_ONCE];
    if (!room)
        return;
    wanted = wanted < room ? wanted : room;
    const mls_status status = mls_claimer_claim(the_claimers[index], 0, wanted, jobs, &count);
    ck_assert_msg(status == (count ? MLS_OK : MLS_EEMPTY), "%s", mls_status_name(status));
    for (size_t i = 0; i < count; i++) {
        const uint64_t id = mls_job_id(jobs[i]);
        check_claimed(&claimer_kinds[index], id);
        const mls_job_info info = fixture_info(jobs[i]);
        ck_assert_uint_eq(info.epoch, model_find(&the_model, id)->epoch);
        ck_assert_uint_eq(info.attempt, model_find(&the_model, id)->attempt);
        ck_assert_uint_eq(info.payload_bytes, strlen("payload"));
        holds[held_count++] = (held){jobs[i], id, index, false};
    }
    if (count < wanted)
        check_nothing_left(&claimer_kinds[index]);
}

/* How to end a claim, of which the model knows nothing if it is stale. */
void sim_end_held(size_t at, size_t how)
{
    const held h = holds[at];
    model_job *job = model_find(&the_model, h.id);
    mls_status status;
    holds[at] = holds[--held_count];
    if (how < 60) {
        ck_assert_ok(mls_job_set_result(h.handle, &h.id, sizeof h.id));
        status = mls_job_complete(h.handle);
    } else if (how < 85) {
        status = mls_job_fail(h.handle, MLS_EIO, "no", how < 65 ? MLS_FAIL_FINAL : 0);
    } else {
        status = mls_job_release(h.handle);
    }
    mls_job_free(h.handle);
    ck_assert_msg(status == (h.is_stale ? MLS_ESTALE : MLS_OK), "%s", mls_status_name(status));
    if (h.is_stale)
        ++*(model_may_be_gone(&the_model, job) ? &the_model.stale_gone : &the_model.stale);
    else if (how < 60)
        model_succeed(&the_model, job);
    else if (how < 85)
        model_fail(&the_model, job, MLS_EIO, how < 65);
    else
        model_release(&the_model, job);
}

static void do_end(void)
{
    if (held_count)
        sim_end_held(sim_below(held_count), sim_below(100));
}

/* As a worker that is out of time: what its claims run goes back, and they are lost. */
static void do_surrender(void)
{
    const size_t index = sim_below(CLAIMERS);
    size_t count, expected = 0;
    ck_assert_ok(
        the_queue->ops->claimer_surrender(the_queue->self, the_claimers[index]->self, &count));
    for (size_t i = 0; i < held_count; i++) {
        if (holds[i].claimer != index || holds[i].is_stale)
            continue;
        holds[i].is_stale = true;
        expected++;
        model_release(&the_model, model_find(&the_model, holds[i].id));
    }
    ck_assert_uint_eq(count, expected);
    mls_claimer_close(the_claimers[index]);
    sim_open_claimer(index);
}

/* Requests and rules */

static void do_change(void)
{
    const model_job *job = sim_any_job();
    const uint64_t id = job ? job->id : 1;
    mls_status status, expected;
    switch (sim_below(4)) {
    case 0:
    case 1:
        status = mls_queue_cancel(the_queue, id);
        expected = model_cancel(&the_model, id);
        break;
    case 2:
        status = mls_queue_requeue(the_queue, id);
        expected = model_requeue(&the_model, id);
        break;
    default:
        status = mls_queue_forget(the_queue, id);
        expected = model_forget(&the_model, id);
    }
    ck_assert_msg(status == expected, "%s, not %s", mls_status_name(status),
                  mls_status_name(expected));
}

static void do_pause(void)
{
    mls_queue_filter which = MLS_QUEUE_FILTER_INIT;
    which.queue = ONE_OF_OR_NULL(queues);
    which.type = ONE_OF_OR_NULL(types);
    const bool pauses = sim_chance(40);
    ck_assert_ok(pauses ? mls_queue_pause(the_queue, &which) : mls_queue_resume(the_queue, &which));
    model_rule_of(&the_model, which.queue, which.type, NULL)->is_paused = pauses;
    model_rules_drop_empty(&the_model);
}

static void do_limit(void)
{
    static const uint32_t rates[] = {0, 0, 0, 1, 2, 4};
    mls_queue_rule rule = MLS_QUEUE_RULE_INIT;
    rule.queue = ONE_OF_OR_NULL(queues);
    rule.type = ONE_OF_OR_NULL(types);
    rule.tenant = sim_chance(60) ? NULL : tenants[1 + sim_below(2)];
    rule.max_running = sim_chance(50) ? 0 : 1 + (uint32_t) sim_below(4);
    rule.rate_jobs = ONE_OF(rates);
    rule.rate_ms = rule.rate_jobs ? 20 : 0;
    rule.burst = rule.rate_jobs ? 1 + (uint32_t) sim_below(3) : 0;
    ck_assert_ok(mls_queue_limit(the_queue, &rule));
    model_rule_limit(&the_model, model_rule_of(&the_model, rule.queue, rule.type, rule.tenant),
                     rule.max_running, rule.rate_jobs, rule.rate_ms, rule.burst);
    model_rules_drop_empty(&the_model);
}

/* Before there are jobs: what a tenant had by another weight would count in its next turn. */
void sim_choose_weights(void)
{
    static const uint32_t weights[] = {50, 100, 400};
    for (size_t i = the_model.is_fair ? sim_below(4) : 0; i; i--) {
        mls_queue_rule rule = MLS_QUEUE_RULE_INIT;
        rule.queue = ONE_OF_OR_NULL(queues);
        rule.tenant = tenants[1 + sim_below(2)];
        rule.weight = ONE_OF(weights);
        ck_assert_ok(mls_queue_weigh(the_queue, &rule));
        model_rule_of(&the_model, rule.queue, NULL, rule.tenant)->weight = rule.weight;
    }
}

/* To the moment when something happens, or just before it, or far past many. */
static void do_wait(void)
{
    const int64_t next_ms = model_next_time(&the_model);
    const int64_t left_ms = next_ms > the_model.now_ms ? next_ms - the_model.now_ms : 1;
    const size_t how = sim_below(10);
    if (how < 4)
        virtual_clock_advance(left_ms);
    else if (how < 6)
        virtual_clock_advance(left_ms - 1);
    else if (how < 9)
        virtual_clock_advance((int64_t) sim_below(30));
    else
        virtual_clock_advance((int64_t) sim_below(10000));
}

/* A process that claims, says so, and is killed; in a driver that several can share. */

static void claim_and_hang(int up, int down, uint64_t wanted)
{
    mls_job *jobs[AT_ONCE];
    size_t count = 0;
    mls_queue *queue = fixture_queue(the_url);
    mls_claimer_claim(fixture_claimer(queue, NULL), 0, wanted, jobs, &count);
    uint64_t ids[AT_ONCE + 1] = {count};
    for (size_t i = 0; i < count; i++)
        ids[i + 1] = mls_job_id(jobs[i]);
    if (write(up, ids, sizeof ids) != sizeof ids)
        _exit(3);
    child_hear(down, 'g');
}

/* A server sees when a process is gone; who opens the queue gives back what that ran. */
static void await_return(void)
{
    while (fixture_stats(the_queue).jobs[MLS_JOB_RUNNING] +
           fixture_stats(the_queue).jobs[MLS_JOB_STOPPING]) {
        sim_close();
        sim_open();
    }
}

void sim_crash(void)
{
    uint64_t ids[AT_ONCE + 1];
    while (held_count)
        sim_end_held(0, 99);
    sim_compare();
    sim_close();
    child c = child_start(claim_and_hang, 1 + sim_below(AT_ONCE));
    ck_assert_int_eq(read(c.from, ids, sizeof ids), sizeof ids);
    for (uint64_t i = 0; i < ids[0]; i++)
        check_claimed(&claimer_kinds[0], ids[i + 1]);
    child_kill(&c);
    virtual_clock_advance(1); /* ranks are microseconds: behind all that there are */
    sim_open();
    await_return();
    for (uint64_t i = 0; i < ids[0]; i++)
        model_lose(&the_model, model_find(&the_model, ids[i + 1]), POISON);
}

void sim_step(void)
{
    static const struct {
        size_t share;
        void (*step)(void);
    } steps[] = {
        {30, do_submit}, {25, sim_claim}, {22, do_end},  {10, do_wait},
        {7, do_change},  {3, do_pause},   {2, do_limit}, {1, do_surrender},
    };
    size_t drawn = sim_below(100), i = 0;
    for (; drawn >= steps[i].share; i++)
        drawn -= steps[i].share;
    steps[i].step();
}
