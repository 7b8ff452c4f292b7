/* SPDX-License-Identifier: Apache-2.0 */
/* Claims and their ends. */
#include "queue/memory/memory.h"

#include "base/clock.h"
#include "base/error.h"

static mls__mem_job *job_of(const mls_queue_job *shown)
{
    const mls__mem_hold *hold = shown->hold;
    return hold->job;
}

/* Whether the claim that `shown` stands for is the present one. */
static bool is_claimed(const mls__mem_job *job, uint64_t epoch)
{
    const uint64_t claim = atomic_load_explicit(&job->claim, memory_order_acquire);
    return claim >> MLS__MEM_EPOCH_SHIFT == epoch && claim & MLS__MEM_CLAIM_RUNS;
}

void mls__mem_end_claim(mls__mem_visit *visit, mls__mem_job *job, int32_t event)
{
    mls_queue_stats *stats = &job->lane->stats;
    /* One that was taken out of a window may be younger than the visit. */
    const uint64_t ran_ns = visit->now_ns > job->claimed_ns ? visit->now_ns - job->claimed_ns : 0;
    job->waiting_ns += job->claimed_ns - job->ready_ns;
    job->running_ns += ran_ns;
    stats->running_ns += ran_ns;
    if (event == MLS_JOB_ON_RELEASE || event == MLS_JOB_ON_ESCALATE)
        job->attempt--;
    if (event == MLS_JOB_ON_RELEASE)
        stats->released++;
    const uint64_t claim = atomic_load_explicit(&job->claim, memory_order_relaxed);
    atomic_store_explicit(&job->claim, claim & ~(MLS__MEM_CLAIM_RUNS | MLS__MEM_CLAIM_CANCEL),
                          memory_order_release);
    if (job->lane->has_rules)
        mls__mem_rules_end(visit, job->lane);
    if (atomic_load_explicit(&job->takes_room, memory_order_relaxed))
        mls__mem_room_give(visit->store, job);
    if (visit->store->rules->next_state(job->state, event) == MLS_JOB_SCHEDULED)
        stats->retried++;
    mls__mem_move(visit, job, event);
}

/* Takes over what the end brings; what it replaces is left in its place. */
static void take_data(mls__mem_visit *visit, mls__mem_job *job, mls_queue_end *end)
{
    if (end->event == MLS_JOB_ON_RELEASE)
        return;
    mls_queue_bytes *kept = &job->result;
    if (end->event != MLS_JOB_ON_SUCCEED) {
        kept = &job->error_text;
        job->error = end->error;
        job->has_extras = true;
        job->due_ns = visit->now_ns + (uint64_t) end->delay_ms * UINT64_C(1000000);
        if (end->event == MLS_JOB_ON_RETRY)
            job->run_at_ms = mls__mem_wall_ms(visit) + end->delay_ms;
    }
    if (end->data.data || kept != &job->result) {
        const mls_queue_bytes old = *kept;
        *kept = end->data;
        end->data = old;
        job->has_extras = true;
    }
}

static mls_resources needs_after(const mls__mem_job *job, const mls_queue_end *end)
{
    mls_resources needs = job->lane->needs;
    needs.memory_bytes = end->memory_bytes;
    return needs;
}

/* Makes the lanes of jobs that need more from now on, before anything took effect. */
static mls_status make_lanes(mls__mem_store *store, mls_queue_end *const *ends, size_t count)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < count; i++) {
        if (ends[i]->event != MLS_JOB_ON_ESCALATE)
            continue;
        const mls__mem_job *job = job_of(ends[i]->job);
        const mls_resources needs = needs_after(job, ends[i]);
        mls__mem_lane *made;
        status = mls__mem_make_lanes(store, job->lane->names, job->lane->type, &needs, &made);
    }
    return status;
}

/* The flow of its tenant in that lane. Without memory it is as one of no tenant. */
static void change_flow(mls__mem_store *store, mls__mem_job *job, const mls__mem_lane *lane)
{
    mls__mem_flow *flow = NULL;
    if (!job->has_extras || !job->flow)
        return;
    if (mls__mem_flow_take(store, lane, job->priority, job->strings, &flow))
        flow = NULL;
    mls__mem_flow_drop(store, job->flow);
    job->flow = flow;
}

/* To the lane in which the job needs more, which was made before. */
static void escalate(mls__mem_store *store, mls__mem_job *job, const mls_queue_end *end)
{
    const mls_resources needs = needs_after(job, end);
    mls__mem_lane *to = mls__mem_find_lane(store, job->lane->names, job->lane->type, "", &needs);
    change_flow(store, job, to);
    mls__mem_change_lane(job, to);
    mls__mem_change_lane(job, mls__mem_lane_of_tenant(store, job));
    job->escalations++;
    job->lane->stats.escalated++;
}

static void judge(mls__mem_visit *visit, mls_queue_end *end)
{
    mls__mem_job *job = job_of(end->job);
    if (!is_claimed(job, end->job->info->epoch)) {
        job->lane->stats.stale++;
        end->status = MLS_ESTALE;
        return;
    }
    if (end->wall_ns)
        mls__mem_cost_note(visit, job->lane, end);
    take_data(visit, job, end);
    /* Before it moves: a job that is ready again may be claimed again at once. */
    end->state = visit->store->rules->next_state(job->state, end->event);
    end->status = MLS_OK;
    if (end->event == MLS_JOB_ON_ESCALATE)
        escalate(visit->store, job, end);
    mls__mem_end_claim(visit, job, end->event);
}

static void drop(mls__mem_visit *visit, mls_queue_job *shown)
{
    mls__mem_hold *hold = shown->hold;
    mls__mem_job *job = hold->job;
    mls__mem_view_free(visit->store, hold);
    shown->hold = NULL;
    mls__mem_unpin(visit, job);
}

/* All ends take effect before the mutex is left; only then memory is given back. */
static mls_status end_all(mls__mem_visit *visit, mls_queue_end *const *ends, size_t count)
{
    const mls_status status = make_lanes(visit->store, ends, count);
    if (status)
        return status;
    for (size_t i = 0; i < count; i++)
        judge(visit, ends[i]);
    for (size_t i = 0; i < count; i++) {
        if (ends[i]->status == MLS_OK)
            mls__mem_discard(visit, ends[i]->data);
        if (ends[i]->flags & MLS_END_DROP)
            drop(visit, ends[i]->job);
    }
    mls__mem_tick(visit); /* a retry may be due at once */
    return MLS_OK;
}

static mls_status finish_in_visit(mls__mem_store *store, mls_queue_end *const *ends, size_t count)
{
    mls__mem_visit visit;
    mls__mem_enter_lightly(store, &visit);
    const mls_status status = end_all(&visit, ends, count);
    mls__mem_leave(&visit);
    return status;
}

/* Ends the claims without a visit, if they are such; false: they are not. */
static bool finish_plainly(mls__mem_store *store, mls_queue_end *const *ends, size_t count,
                           uint64_t now_ns)
{
    size_t refused;
    if (!mls__mem_end_plainly(store, ends, count, now_ns, &refused))
        return false;
    for (size_t i = 0; refused && i < count; i++)
        if (ends[i]->status != MLS_OK)
            finish_in_visit(store, &ends[i], 1); /* to which something happened: never fails */
    return true;
}

mls_status mls__mem_finish(void *self, mls_queue_end *const *ends, size_t count)
{
    if (finish_plainly(self, ends, count, mls__clock_monotonic_ns()))
        return MLS_OK;
    return finish_in_visit(self, ends, count);
}

void mls__mem_drop(void *self, mls_queue_job *shown)
{
    mls__mem_visit visit;
    mls__mem_enter_lightly(self, &visit);
    drop(&visit, shown);
    mls__mem_leave(&visit);
}

static void take_claim(mls__mem_visit *visit, mls__mem_claimer *claimer, mls__mem_job *job,
                       mls_queue_job *ret_job)
{
    mls_queue_stats *stats = &job->lane->stats;
    const uint64_t waited_ns = visit->now_ns - job->ready_ns;
    if (job->lane->has_rules)
        mls__mem_rules_claim(visit, job->lane);
    if (job->lane->group->is_shared)
        mls__mem_share_charge(visit->store, job);
    mls__mem_move(visit, job, MLS_JOB_ON_CLAIM);
    job->claimed_ns = visit->now_ns;
    job->attempt++;
    stats->waiting_ns += waited_ns;
    stats->claimed++;
    if (job->owner != claimer) {
        if (job->owner)
            mls__mem_claimer_unref(visit->store, job->owner);
        job->owner = claimer;
        claimer->refs++;
    }
    if (job->lane->takes_room)
        mls__mem_room_take(visit, claimer, job);
    const uint64_t claim = atomic_load_explicit(&job->claim, memory_order_relaxed);
    const uint64_t epoch = (claim >> MLS__MEM_EPOCH_SHIFT) + 1;
    atomic_store_explicit(&job->claim, epoch << MLS__MEM_EPOCH_SHIFT | MLS__MEM_CLAIM_RUNS,
                          memory_order_release);
    /* The error of an earlier attempt needs a view; without memory it is not shown. */
    mls__mem_hold *hold = &job->hold;
    if (job->attempt > 1 && job->error_text.data)
        mls__mem_view_create(visit->store, &hold);
    mls__mem_show(visit, job, hold, ret_job);
}

static size_t take_ready(mls__mem_visit *visit, mls__mem_claimer *claimer,
                         const mls_queue_claim *request, mls_queue_job *const *jobs)
{
    const mls__mem_job *like = request->like ? job_of(request->like) : NULL;
    size_t count = 0;
    while (count < request->max_count) {
        mls__mem_job *job =
            like ? mls__mem_pick_like(visit, claimer, like) : mls__mem_pick(visit, claimer);
        if (!job)
            break;
        if (!like && job->lane->group->is_shared)
            mls__mem_share_turn(job);
        take_claim(visit, claimer, job, jobs[count++]);
        if (request->flags & MLS_CLAIM_SAME_BATCH)
            like = job;
    }
    return count;
}

bool mls__mem_deliver(mls__mem_visit *visit, mls__mem_job *job)
{
    if (visit->store->fillers && job->lane->has_rules && mls__mem_is_held(visit, job->lane))
        return false;
    for (mls__mem_filler *filler = visit->store->fillers; filler; filler = filler->next) {
        if (filler->count == filler->max_count || filler->claimer->is_draining ||
            !mls__mem_is_like(job, filler->like))
            continue;
        mls__mem_set_aside(visit, filler->claimer);
        if (job->lane->takes_room && !mls__mem_has_room(visit, filler->claimer, job->lane))
            continue;
        take_claim(visit, filler->claimer, job, filler->jobs[filler->count++]);
        if (filler->count == filler->max_count)
            pthread_cond_broadcast(&filler->claimer->batch.cond);
        return true;
    }
    return false;
}

/* Looks for work without the mutex, and enters again when there may be some. */
static void spin(mls__mem_visit *visit, uint64_t until_ns)
{
    mls__mem_store *store = visit->store;
    const uint32_t seen = atomic_load_explicit(&store->ready_events, memory_order_relaxed);
    mls__mem_leave(visit);
    do {
        for (int i = 0; i < 32; i++) {
            if (atomic_load_explicit(&store->inbox, memory_order_relaxed) ||
                atomic_load_explicit(&store->ready_events, memory_order_relaxed) != seen)
                goto found;
            mls__thread_pause();
        }
    } while (mls__clock_monotonic_ns() < until_ns);
found:
    mls__mem_enter_lightly(store, visit);
}

/* Sleeps on `cond` until there may be work, a job is due, or the time is over. */
static void sleep_for_work(mls__mem_visit *visit, mls__cond *cond, uint32_t *waiting,
                           uint64_t until_ns)
{
    mls__mem_store *store = visit->store;
    until_ns = mls__mem_earlier(until_ns, mls__mem_next_due(store));
    if (store->rule_list)
        until_ns = mls__mem_earlier(until_ns, mls__mem_rules_next(visit));
    ++*waiting;
    atomic_fetch_add_explicit(&store->sleepers, 1, memory_order_seq_cst);
    /* What was pushed before its submitter could see us is ours to take in. */
    const bool is_empty = !atomic_load_explicit(&store->inbox, memory_order_seq_cst);
    mls__mem_sleep(visit, cond, is_empty ? until_ns : 0);
    atomic_fetch_sub_explicit(&store->sleepers, 1, memory_order_relaxed);
    --*waiting;
}

/* Why a claim that found nothing does not wait any longer; MLS_OK: it does. */
static mls_status give_up(const mls__mem_visit *visit, const mls__mem_claimer *claimer,
                          const mls_queue_claim *request)
{
    if (claimer->is_draining)
        return mls__error(MLS_ECANCELLED, "the claimer was stopped");
    if (request->until_ns == 0)
        return mls__error(MLS_EEMPTY, "no job is ready");
    if (visit->now_ns >= request->until_ns)
        return mls__error(MLS_ETIMEDOUT, "no job became ready in time");
    return MLS_OK;
}

/* Whether such claims can be made of a window. */
static bool is_simple(const mls_queue_claim *request)
{
    return !request->like && !(request->flags & MLS_CLAIM_SAME_BATCH) && request->max_count &&
           request->max_count <= MLS__MEM_WINDOW_CLAIM;
}

static mls_status wait_for_claims(mls__mem_visit *visit, mls__mem_claimer *claimer,
                                  const mls_queue_claim *request, mls_queue_job *const *jobs,
                                  size_t *ret_count)
{
    const uint64_t spin_until_ns =
        mls__mem_earlier(visit->now_ns + claimer->spin_ns, request->until_ns);
    for (;;) {
        if (claimer->is_stopped)
            return mls__error(MLS_ECANCELLED, "the claimer was stopped");
        /* Another thread may have laid it out meanwhile. */
        if (is_simple(request) &&
            mls__mem_window_take(visit->store, claimer, visit->now_ns, request->max_count, jobs)) {
            *ret_count = request->max_count;
            return MLS_OK;
        }
        mls__mem_window_recall(visit, claimer);
        const size_t count = take_ready(visit, claimer, request, jobs);
        if (count) {
            if (is_simple(request))
                mls__mem_window_open(visit, claimer);
            *ret_count = count;
            return MLS_OK;
        }
        const mls_status status = give_up(visit, claimer, request);
        if (status)
            return status;
        if (visit->now_ns < spin_until_ns)
            spin(visit, spin_until_ns);
        else
            sleep_for_work(visit, &claimer->any, &claimer->any_waiting, request->until_ns);
    }
}

/* What was held back when it became ready was not delivered. */
static void take_released(mls__mem_visit *visit, mls__mem_filler *filler)
{
    while (filler->count < filler->max_count) {
        mls__mem_job *job = mls__mem_pick_like(visit, filler->claimer, filler->like);
        if (!job)
            return;
        take_claim(visit, filler->claimer, job, filler->jobs[filler->count++]);
    }
}

static mls_status fill_batch(mls__mem_visit *visit, mls__mem_claimer *claimer,
                             const mls_queue_claim *request, mls_queue_job *const *jobs,
                             size_t *ret_count)
{
    mls__mem_store *store = visit->store;
    mls__mem_window_recall(visit, claimer);
    mls__mem_filler filler = {.next = store->fillers,
                              .claimer = claimer,
                              .like = job_of(request->like),
                              .jobs = jobs,
                              .count = take_ready(visit, claimer, request, jobs),
                              .max_count = request->max_count};
    store->fillers = &filler;
    while (filler.count < filler.max_count && !claimer->is_draining &&
           visit->now_ns < request->until_ns) {
        sleep_for_work(visit, &claimer->batch, &claimer->batch_waiting, request->until_ns);
        if ((store->rules_were_set || store->has_needs) && !claimer->is_draining)
            take_released(visit, &filler);
    }
    mls__mem_filler **link = &store->fillers;
    while (*link != &filler)
        link = &(*link)->next;
    *link = filler.next;
    *ret_count = filler.count;
    return filler.count ? MLS_OK : give_up(visit, claimer, request);
}

mls_status mls__mem_claim(void *self, void *claimer, const mls_queue_claim *request,
                          mls_queue_end *const *ends, size_t end_count, mls_queue_job *const *jobs,
                          size_t *ret_count)
{
    mls__mem_visit visit;
    if (is_simple(request) && mls__mem_window_has(claimer, request->max_count)) {
        const uint64_t now_ns = mls__clock_monotonic_ns();
        if (finish_plainly(self, ends, end_count, now_ns)) {
            end_count = 0;
            if (mls__mem_window_take(self, claimer, now_ns, request->max_count, jobs)) {
                *ret_count = request->max_count;
                return MLS_OK;
            }
        }
    }
    mls__mem_enter_lightly(self, &visit);
    mls_status status = end_all(&visit, ends, end_count);
    if (!status)
        status = request->like ? fill_batch(&visit, claimer, request, jobs, ret_count)
                               : wait_for_claims(&visit, claimer, request, jobs, ret_count);
    mls__mem_leave(&visit);
    return status;
}

uint32_t mls__mem_signals(void *self, const mls_queue_job *shown)
{
    (void) self;
    const mls__mem_job *job = job_of(shown);
    const uint64_t claim = atomic_load_explicit(&job->claim, memory_order_acquire);
    if (claim >> MLS__MEM_EPOCH_SHIFT != shown->info->epoch || !(claim & MLS__MEM_CLAIM_RUNS))
        return MLS_STOP_LOST;
    return claim & MLS__MEM_CLAIM_CANCEL ? MLS_STOP_CANCELLED : 0;
}

mls_status mls__mem_progress(void *self, const mls_queue_job *shown, double progress,
                             const char *note)
{
    mls__mem_store *store = self;
    mls__mem_job *job = job_of(shown);
    char *copy = mls__alloc_string(&store->context->allocator, note);
    if (!copy)
        return mls__error_nomem(0);
    mls__mem_visit visit;
    mls__mem_enter_lightly(store, &visit);
    const bool is_mine = is_claimed(job, shown->info->epoch);
    if (is_mine) {
        char *old = job->note;
        job->has_extras = true;
        job->progress = progress;
        job->note = copy;
        copy = old;
    }
    mls__mem_leave(&visit);
    mls__free(&store->context->allocator, copy);
    return is_mine ? MLS_OK
                   : mls__error(MLS_ESTALE, "job %llu: claim %llu is lost",
                                (unsigned long long) shown->info->id,
                                (unsigned long long) shown->info->epoch);
}
