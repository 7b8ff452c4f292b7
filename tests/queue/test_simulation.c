/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue and a model of it go the same random way, step by step on a clock that stands still
 * between steps, and are compared after each: the same jobs in the same states, every claim one
 * that the model would allow, none refused that it would give. One that fails says its seed;
 * with that in MLS_TEST_SEED it is gone again, first.
 *
 * What a driver can do by its flags is what it is asked. Schedules have a run of their own, in
 * schedules.c.
 */
#include "job/fixture.h"
#include "job/queue.h"
#include "queue/model.h"
#include "queue/processes.h"
#include "queue/schedules.h"
#include "queue/virtual_clock.h"
#include "support/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SEEDS = 8, STEPS = 400, CLAIMERS = 3, HELD = 12, AT_ONCE = 4, BULK = 4, POISON = 3 };

static const char *const types[] = {"a", "b", "c"};
static const char *const queues[] = {"default", "q"};
static const char *const tenants[] = {"", "x", "y"};
static const char *const keys[] = {"k1", "k2", "k3"};
static const model_claimer claimer_kinds[CLAIMERS] = {{NULL, NULL}, {"a", NULL}, {NULL, "q"}};

/* A claim of ours; stale once its claimer was told to give everything back. */
typedef struct held {
    mls_job *handle;
    uint64_t id;
    size_t claimer;
    bool is_stale;
} held;

static const char *the_url;
static uint64_t *the_seed; /* of the run; shared with who reports on the test's process */
static uint64_t the_state; /* of its random numbers */
static mls_queue *the_queue;
static mls_claimer *the_claimers[CLAIMERS];
static model m;
static held holds[HELD];
static size_t held_count;

static size_t below(size_t count)
{
    return mls_test_random_below(&the_state, count);
}

static bool chance(size_t percent)
{
    return below(100) < percent;
}

/* A random one of the array, or NULL. */
#define ONE_OF(array)         (array)[below(sizeof(array) / sizeof(array)[0])]
#define ONE_OF_OR_NULL(array) (chance(50) ? NULL : ONE_OF(array))

/* Opening and closing */

static void open_claimer(size_t index)
{
    const model_claimer *kind = &claimer_kinds[index];
    mls_claimer_options options = MLS_CLAIMER_OPTIONS_INIT;
    options.types = &kind->type;
    options.type_count = kind->type != NULL;
    options.queues = &kind->queue;
    options.queue_count = kind->queue != NULL;
    ck_assert_ok(mls_claimer_open(the_queue, &options, &the_claimers[index]));
}

static void open_all(void)
{
    the_queue = fixture_queue(the_url);
    for (size_t i = 0; i < CLAIMERS; i++)
        open_claimer(i);
}

static void close_all(void)
{
    for (size_t i = 0; i < CLAIMERS; i++)
        mls_claimer_close(the_claimers[i]);
    mls_queue_close(the_queue);
}

static model_job *any_job(void)
{
    return m.count ? &m.jobs[below(m.count)] : NULL;
}

/* Submits */

typedef struct submit {
    mls_job_options jobs[BULK];
    uint64_t parents[BULK][MODEL_PARENTS];
    size_t count;
} submit;

static void choose_parents(submit *s, size_t index)
{
    mls_job_options *o = &s->jobs[index];
    for (size_t i = 1 + below(MODEL_PARENTS); i; i--) {
        const model_job *parent = any_job();
        uint64_t id = index && chance(60) ? MLS_JOB_SIBLING(below(index)) : parent ? parent->id : 1;
        s->parents[index][o->depends_on_count++] = id;
    }
    o->depends_on = s->parents[index];
    o->flags |= chance(30) ? MLS_JOB_DEPENDS_ANY_END : 0;
}

static void choose_job(submit *s, size_t index)
{
    static const int64_t retentions[] = {0, 20, 5000, 3600000};
    mls_job_options *o = &s->jobs[index];
    *o = fixture_options(ONE_OF(types), "payload");
    o->queue = ONE_OF(queues);
    o->tenant = ONE_OF(tenants);
    o->priority = chance(50) ? MLS_PRIORITY_DEFAULT : (int32_t) below(10);
    o->key = chance(8) ? ONE_OF(keys) : NULL;
    o->flags = o->key && chance(50) ? MLS_JOB_JOIN : 0;
    o->run_at_ms = chance(15) ? m.now_ms - 5 + (int64_t) below(60) : 0;
    o->delay_ms = chance(10) ? (int64_t) below(50) : 0;
    o->deadline_ms = chance(15) ? m.now_ms + (int64_t) below(100) : 0;
    o->retention_ms = ONE_OF(retentions);
    o->max_attempts = 1 + (uint32_t) below(3);
    o->backoff_ms = (uint32_t) below(40);
    o->backoff_max_ms = 60;
    o->jitter_percent = 0;
    if (chance(20))
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
    submit s = {.count = chance(75) ? 1 : 2 + below(BULK - 1)};
    uint64_t ids[BULK] = {0};
    for (size_t i = 0; i < s.count; i++) {
        choose_job(&s, i);
        if (!is_new(&s, i))
            s.jobs[i].key = NULL;
        s.jobs[i].flags &= s.jobs[i].key ? UINT64_MAX : ~MLS_JOB_JOIN;
    }
    const mls_status expected = model_judge(&m, s.jobs, s.count);
    const mls_status status = mls_queue_submit_many(the_queue, s.jobs, s.count, ids);
    if (expected == MLS_EEXIST) /* or another reason, of another job */
        ck_assert(status == MLS_EEXIST || status == MLS_ENOTFOUND);
    else
        ck_assert_msg(status == expected, "submit: %s, not %s: %s", mls_status_name(status),
                      mls_status_name(expected), mls_error_message());
    if (status)
        return;
    for (size_t i = 0; i < s.count; i++) {
        const model_job *same = model_find_key(&m, s.jobs[i].key);
        if (same)
            ck_assert_uint_eq(ids[i], same->id);
        else
            ck_assert_ptr_null(model_find(&m, ids[i]));
    }
    model_submit(&m, s.jobs, s.count, ids);
}

/* Claims */

/* It was given `id`: nothing else may have gone first. */
static void check_claimed(const model_claimer *kind, uint64_t id)
{
    model_job *job = model_find(&m, id);
    ck_assert_msg(job && model_may_claim(&m, kind, job), "job %llu must not be claimed",
                  (unsigned long long) id);
    ck_assert_msg(model_is_next(&m, kind, job), "job %llu was claimed, and others go before it",
                  (unsigned long long) id);
    model_claim(&m, kind, job);
    if (m.is_fair)
        ck_assert_msg(model_is_fair(&m), "job %llu was claimed, and it is another tenant's turn",
                      (unsigned long long) id);
    model_races_look(&m);
}

static void check_nothing_left(const model_claimer *kind)
{
    for (size_t i = 0; i < m.count; i++)
        ck_assert_msg(!model_may_claim(&m, kind, &m.jobs[i]), "job %llu was not claimed",
                      (unsigned long long) m.jobs[i].id);
}

static void do_claim(void)
{
    const size_t index = below(CLAIMERS), room = HELD - held_count;
    size_t wanted = 1 + below(AT_ONCE), count = 0;
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
        ck_assert_uint_eq(info.epoch, model_find(&m, id)->epoch);
        ck_assert_uint_eq(info.attempt, model_find(&m, id)->attempt);
        ck_assert_uint_eq(info.payload_bytes, strlen("payload"));
        holds[held_count++] = (held){jobs[i], id, index, false};
    }
    if (count < wanted)
        check_nothing_left(&claimer_kinds[index]);
}

/* How to end a claim, of which the model knows nothing if it is stale. */
static void end_held(size_t at, size_t how)
{
    const held h = holds[at];
    model_job *job = model_find(&m, h.id);
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
        ++*(model_may_be_gone(&m, job) ? &m.stale_gone : &m.stale);
    else if (how < 60)
        model_succeed(&m, job);
    else if (how < 85)
        model_fail(&m, job, MLS_EIO, how < 65);
    else
        model_release(&m, job);
}

static void do_end(void)
{
    if (held_count)
        end_held(below(held_count), below(100));
}

static void check_signals(void)
{
    for (size_t i = 0; i < held_count; i++) {
        const held *h = &holds[i];
        const model_job *job = model_find(&m, h->id);
        uint32_t expected = 0;
        if (h->is_stale)
            expected = MLS_STOP_LOST;
        else if (job->state == MLS_JOB_STOPPING)
            expected = MLS_STOP_CANCELLED;
        const uint32_t reasons = mls_job_stop_reasons(h->handle) & ~MLS_STOP_DEADLINE;
        ck_assert_uint_eq(reasons, expected);
    }
}

/* As a worker that is out of time: what its claims run goes back, and they are lost. */
static void do_surrender(void)
{
    const size_t index = below(CLAIMERS);
    size_t count, expected = 0;
    ck_assert_ok(
        the_queue->ops->claimer_surrender(the_queue->self, the_claimers[index]->self, &count));
    for (size_t i = 0; i < held_count; i++) {
        if (holds[i].claimer != index || holds[i].is_stale)
            continue;
        holds[i].is_stale = true;
        expected++;
        model_release(&m, model_find(&m, holds[i].id));
    }
    ck_assert_uint_eq(count, expected);
    mls_claimer_close(the_claimers[index]);
    open_claimer(index);
}

/* Requests and rules */

static void do_change(void)
{
    const model_job *job = any_job();
    const uint64_t id = job ? job->id : 1;
    mls_status status, expected;
    switch (below(4)) {
    case 0:
    case 1:
        status = mls_queue_cancel(the_queue, id);
        expected = model_cancel(&m, id);
        break;
    case 2:
        status = mls_queue_requeue(the_queue, id);
        expected = model_requeue(&m, id);
        break;
    default:
        status = mls_queue_forget(the_queue, id);
        expected = model_forget(&m, id);
    }
    ck_assert_msg(status == expected, "%s, not %s", mls_status_name(status),
                  mls_status_name(expected));
}

static void do_pause(void)
{
    mls_queue_filter which = MLS_QUEUE_FILTER_INIT;
    which.queue = ONE_OF_OR_NULL(queues);
    which.type = ONE_OF_OR_NULL(types);
    const bool pauses = chance(40);
    ck_assert_ok(pauses ? mls_queue_pause(the_queue, &which) : mls_queue_resume(the_queue, &which));
    model_rule_of(&m, which.queue, which.type, NULL)->is_paused = pauses;
    model_rules_drop_empty(&m);
}

static void do_limit(void)
{
    static const uint32_t rates[] = {0, 0, 0, 1, 2, 4};
    mls_queue_rule rule = MLS_QUEUE_RULE_INIT;
    rule.queue = ONE_OF_OR_NULL(queues);
    rule.type = ONE_OF_OR_NULL(types);
    rule.tenant = chance(60) ? NULL : tenants[1 + below(2)];
    rule.max_running = chance(50) ? 0 : 1 + (uint32_t) below(4);
    rule.rate_jobs = ONE_OF(rates);
    rule.rate_ms = rule.rate_jobs ? 20 : 0;
    rule.burst = rule.rate_jobs ? 1 + (uint32_t) below(3) : 0;
    ck_assert_ok(mls_queue_limit(the_queue, &rule));
    model_rule_limit(&m, model_rule_of(&m, rule.queue, rule.type, rule.tenant), rule.max_running,
                     rule.rate_jobs, rule.rate_ms, rule.burst);
    model_rules_drop_empty(&m);
}

/* Before there are jobs: what a tenant had by another weight would count in its next turn. */
static void choose_weights(void)
{
    static const uint32_t weights[] = {50, 100, 400};
    for (size_t i = m.is_fair ? below(4) : 0; i; i--) {
        mls_queue_rule rule = MLS_QUEUE_RULE_INIT;
        rule.queue = ONE_OF_OR_NULL(queues);
        rule.tenant = tenants[1 + below(2)];
        rule.weight = ONE_OF(weights);
        ck_assert_ok(mls_queue_weigh(the_queue, &rule));
        model_rule_of(&m, rule.queue, NULL, rule.tenant)->weight = rule.weight;
    }
}

/* To the moment when something happens, or just before it, or far past many. */
static void do_wait(void)
{
    const int64_t next_ms = model_next_time(&m);
    const int64_t left_ms = next_ms > m.now_ms ? next_ms - m.now_ms : 1;
    const size_t how = below(10);
    if (how < 4)
        virtual_clock_advance(left_ms);
    else if (how < 6)
        virtual_clock_advance(left_ms - 1);
    else if (how < 9)
        virtual_clock_advance((int64_t) below(30));
    else
        virtual_clock_advance((int64_t) below(10000));
}

static void compare(void);

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

static void do_crash(void)
{
    uint64_t ids[AT_ONCE + 1];
    while (held_count)
        end_held(0, 99);
    compare();
    close_all();
    child c = child_start(claim_and_hang, 1 + below(AT_ONCE));
    ck_assert_int_eq(read(c.from, ids, sizeof ids), sizeof ids);
    for (uint64_t i = 0; i < ids[0]; i++)
        check_claimed(&claimer_kinds[0], ids[i + 1]);
    child_kill(&c);
    open_all();
    for (uint64_t i = 0; i < ids[0]; i++)
        model_lose(&m, model_find(&m, ids[i + 1]), POISON);
}

/* Comparing */

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
    m.ended[job->state]--;
    m.ended[state]++;
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
            model_job *job = model_find(&m, ids[i]);
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
    const model_rule *rule = model_rule_of(&m, shown->queue, shown->type, shown->tenant);
    ck_assert_uint_eq(shown->is_paused, rule->is_paused);
    ck_assert_uint_eq(shown->max_running, rule->max_running);
    ck_assert_uint_eq(shown->running, model_running(&m, rule));
    ck_assert_uint_eq(shown->weight, rule->weight);
    ck_assert(!shown->max_running || shown->rate_jobs == rule->rate_jobs);
}

static void compare_sums(void)
{
    const mls_queue_stats stats = fixture_stats(the_queue);
    ck_assert_uint_eq(stats.submitted, m.submitted);
    ck_assert_uint_eq(stats.claimed, m.claimed);
    ck_assert_uint_eq(stats.succeeded, m.ended[MLS_JOB_SUCCEEDED]);
    ck_assert_uint_eq(stats.dead + stats.cancelled,
                      m.ended[MLS_JOB_DEAD] + m.ended[MLS_JOB_CANCELLED]);
    ck_assert_uint_ge(stats.dead + m.either_gone, m.ended[MLS_JOB_DEAD]);
    ck_assert_uint_ge(stats.cancelled + m.either_gone, m.ended[MLS_JOB_CANCELLED]);
    ck_assert_uint_eq(stats.retried, m.retried);
    ck_assert_uint_eq(stats.released, m.released);
    /* Where a job is gone, who reported on it may be too. */
    ck_assert_uint_ge(stats.stale, m.stale);
    ck_assert_uint_le(stats.stale, m.stale + m.stale_gone);
}

static void compare(void)
{
    uint64_t expected = 0;
    const size_t rule_count = m.rule_count;
    model_tick(&m, virtual_clock_ms());
    const uint64_t there = compare_states();
    for (size_t i = 0; i < m.count; i++)
        expected += m.jobs[i].state != MODEL_GONE;
    ck_assert_uint_eq(there, expected);
    if (m.count)
        compare_job(any_job());
    ck_assert_ok(mls_queue_visit_rules(the_queue, compare_rule, NULL));
    ck_assert_uint_eq(m.rule_count, rule_count);
    check_signals();
    model_races_look(&m);
}

/* The run */

static void do_step(void)
{
    static const struct {
        size_t share;
        void (*step)(void);
    } steps[] = {
        {30, do_submit}, {25, do_claim}, {22, do_end},  {10, do_wait},
        {7, do_change},  {3, do_pause},  {2, do_limit}, {1, do_surrender},
    };
    size_t drawn = below(100), i = 0;
    for (; drawn >= steps[i].share; i++)
        drawn -= steps[i].share;
    steps[i].step();
}

/* All but weights. */
static void lift_rules(void)
{
    for (size_t i = 0; i < m.rule_count; i++) {
        model_rule *rule = &m.rules[i];
        mls_queue_rule lifted = MLS_QUEUE_RULE_INIT;
        mls_queue_filter which = MLS_QUEUE_FILTER_INIT;
        lifted.queue = which.queue = rule->queue;
        lifted.type = which.type = rule->type;
        lifted.tenant = rule->tenant;
        ck_assert_ok(mls_queue_limit(the_queue, &lifted));
        if (rule->is_paused)
            ck_assert_ok(mls_queue_resume(the_queue, &which));
        model_rule_limit(&m, rule, 0, 0, 0, 0);
        rule->is_paused = false;
    }
    model_rules_drop_empty(&m);
}

static bool is_all_ended(void)
{
    for (size_t i = 0; i < m.count; i++)
        if (m.jobs[i].state != MODEL_GONE && !model_has_ended(&m.jobs[i]))
            return false;
    return true;
}

/* Everything that was submitted comes to an end when nothing holds it back. */
static void run_out(void)
{
    lift_rules();
    for (int tries = 0; !is_all_ended() && tries < 10 * STEPS; tries++) {
        m.step++;
        do_claim();
        while (held_count)
            end_held(0, 0);
        if (!is_all_ended() && chance(30))
            virtual_clock_advance(60);
        compare();
    }
    ck_assert(is_all_ended());
    ck_assert_ok(mls_queue_drain(the_queue, 0));
    compare_sums();
}

static void simulate(uint64_t seed)
{
    *the_seed = the_state = seed;
    held_count = 0;
    m = (model){.jobs = m.jobs, .capacity = m.capacity, .now_ms = virtual_clock_ms()};
    open_all();
    const uint64_t can = mls_queue_capabilities(the_queue);
    const bool dies = can & MLS_QUEUE_CAN_LEASES && !MLS_TEST_SANITIZED;
    m.is_fair = (can & MLS_QUEUE_CAN_FAIRNESS) != 0;
    choose_weights();
    for (m.step = 1; m.step <= STEPS; m.step++) {
        if (dies && below(100) == 0)
            do_crash();
        else
            do_step();
        compare();
    }
    run_out();
    close_all();
    *the_seed = 0;
}

/* MLS_TEST_CRASHES asks for long runs: a tenth as many seeds, here. */
static uint64_t count_seeds(void)
{
    const char *wanted = getenv("MLS_TEST_CRASHES");
    if (wanted)
        return (uint64_t) (atoi(wanted) / 10);
    return MLS_TEST_SANITIZED || mls_test_is_quick() ? SEEDS / 4 : SEEDS;
}

/* For main() too, in whose process no test runs. */
static void share_seeds(void)
{
    the_seed =
        mmap(NULL, 2 * sizeof *the_seed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (the_seed == MAP_FAILED)
        abort();
}

static void say_seed(const char *driver, uint64_t seed)
{
    if (seed)
        printf("# %s: MLS_TEST_SEED=%llu goes there again\n", driver, (unsigned long long) seed);
}

static void simulate_all(const char *(*make_url)(uint64_t seed))
{
    const uint64_t first = mls_test_seed(1), count = count_seeds();
    virtual_clock_start();
    for (uint64_t seed = first; seed < first + count; seed++) {
        the_url = make_url(seed);
        simulate(seed);
    }
    virtual_clock_stop();
    free(m.jobs);
}

static const char *memory_url(uint64_t seed)
{
    (void) seed;
    return "memory:";
}

static const char *sqlite_url(uint64_t seed)
{
    char name[64];
    snprintf(name, sizeof name, "%llu.db", (unsigned long long) seed);
    return mls_test_folder_url("sqlite", name);
}

START_TEST(memory_does_as_the_model)
{
    simulate_all(memory_url);
}
END_TEST

static bool has_sqlite(void)
{
    mls_context *context;
    mls_queue *queue;
    ck_assert_ok(mls_context_create(NULL, &context));
    const mls_status status = mls_queue_open(context, sqlite_url(0), NULL, &queue);
    mls_context_free(context);
    if (status == MLS_ENOTFOUND)
        return false; /* built without it */
    ck_assert_ok(status);
    mls_queue_close(queue);
    return true;
}

START_TEST(sqlite_does_as_the_model)
{
    the_seed++;
    if (has_sqlite())
        simulate_all(sqlite_url);
}
END_TEST

/*
 * A clock that is set moves what is due, and nothing else: not who runs what, nor for how long.
 * A queue in memory has looked at it when the job was submitted.
 */

enum { HOUR_MS = 3600000 };

static void complete(mls_claimer *claimer, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mls_job *job = fixture_claim(claimer);
        ck_assert_ok(mls_job_complete(job));
        mls_job_free(job);
    }
    fixture_claim_none(claimer);
}

static void set_clock(const char *url, int64_t by_ms, bool looks_once)
{
    const bool is_due = by_ms > 0 && !looks_once;
    mls_queue *queue = fixture_queue(url);
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    mls_job_options options = fixture_options("t", NULL);
    const uint64_t runs = fixture_submit(queue, &options);
    mls_job *job = fixture_claim(claimer);
    ck_assert_uint_eq(mls_job_id(job), runs);
    fixture_submit(queue, &options);
    options.delay_ms = 1000;
    const uint64_t later = fixture_submit(queue, &options);
    virtual_clock_set(by_ms);
    virtual_clock_advance(1);
    complete(claimer, is_due ? 2 : 1);
    ck_assert_uint_eq(mls_job_stop_reasons(job), 0);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    ck_assert_uint_eq(fixture_stats(queue).running_ns, 1000000);
    if (!is_due) {
        ck_assert_int_eq(fixture_state(queue, later), MLS_JOB_SCHEDULED);
        virtual_clock_advance(looks_once ? 1000 : 1000 - by_ms);
        complete(claimer, 1);
    }
    ck_assert_uint_eq(fixture_stats(queue).succeeded, 3);
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}

START_TEST(clocks_may_be_set)
{
    const int drivers = has_sqlite() ? 2 : 1;
    virtual_clock_start();
    for (int i = 0; i < 2 * drivers; i++)
        set_clock(i < 2 ? "memory:" : sqlite_url((uint64_t) i), i % 2 ? HOUR_MS : -HOUR_MS, i < 2);
    virtual_clock_stop();
}
END_TEST

int main(void)
{
    share_seeds();
    const uint64_t *seeds = the_seed; /* of memory, and of sqlite */
    Suite *suite = suite_create("queue/simulation");
    TCase *tests = tcase_create("simulation");
    tcase_set_timeout(tests, 600);
    tcase_add_test(tests, memory_does_as_the_model);
    tcase_add_test(tests, sqlite_does_as_the_model);
    tcase_add_test(tests, clocks_may_be_set);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, schedules_tests());
    const int code = mls_test_run(suite);
    say_seed("memory", seeds[0]);
    say_seed("sqlite", seeds[1]);
    return code;
}
