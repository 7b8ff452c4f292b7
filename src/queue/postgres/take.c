/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking ready jobs for a claim: up to as many as are wanted in one statement where only the time
 * counts, and else those that were worked out to be next.
 */
#include "queue/postgres/postgres.h"

#include <string.h>

/* Behind what says which jobs. */
static void add_claim(mls__pg_store *store, const mls__pg_claim_op *claim, mls__pg_parameters *p)
{
    mls__pg_add_number(p, mls__pg_next(store, MLS_JOB_READY, MLS_JOB_ON_CLAIM));
    mls__pg_add_number(p, store->member);
    mls__pg_add_number(p, claim->claimer->id);
    mls__pg_add_text(p, claim->claimer->served.name);
    mls__pg_add_number(p, store->txn.now_us);
}

/* Takes a row that the server claimed. false: the transaction failed. */
static bool take(mls__pg_store *store, mls__pg_claim_op *claim, const PGresult *result, int at)
{
    mls_queue_job *shown = claim->jobs[claim->count];
    const int64_t waited_us = mls__pg_number(result, at, MLS__PG_EXTRA_COLUMN);
    mls__pg_row row;
    if (!mls__pg_row_read(store, result, at, &row))
        return false;
    mls__pg_hold *hold =
        mls__pg_show(store, &row, mls__pg_bytes_at(result, at, MLS__PG_EXTRA_COLUMN + 1),
                     (mls__pg_bytes){0}, shown->info);
    if (!hold) {
        mls__pg_fail(store, MLS_ENOMEM, "no memory to show a job");
        return false;
    }
    mls__pg_rules_claim(store, &row);
    if (claim->room)
        mls__pg_room_take(store, claim->room, shown->info);
    if (store->has_aside)
        mls__pg_room_changed(store);
    hold->member = store->member;
    hold->base.claimer = claim->claimer->id;
    shown->hold = hold;
    claim->count++;
    mls__pg_lane_add(row.lane, MLS_JOB_READY - MLS_JOB_SCHEDULED, -1);
    mls__pg_lane_add(row.lane, (int) row.numbers[MLS__PG_STATE] - MLS_JOB_SCHEDULED, 1);
    mls__pg_lane_add(row.lane, MLS__PG_WAITING_US, waited_us);
    mls__pg_lane_add(row.lane, MLS__PG_CLAIMED, 1);
    return true;
}

static mls_status take_rows(mls__pg_store *store, mls__pg_claim_op *claim, int statement,
                            mls__pg_parameters *p, size_t *ret_taken)
{
    PGresult *result = mls__pg_run(store, statement, p);
    if (!result)
        return store->txn.status;
    const int count = PQntuples(result);
    for (int i = 0; i < count && take(store, claim, result, i); i++)
        store->txn.is_writing = store->txn.must_sync = true;
    PQclear(result);
    *ret_taken = (size_t) count;
    return store->txn.status;
}

/* The job whose batch the claim is bound to; NULL: any. */
static const mls_queue_job *find_like(const mls__pg_claim_op *claim)
{
    const mls_queue_job *like = claim->request->like;
    if (!like && claim->request->flags & MLS_CLAIM_SAME_BATCH && claim->count)
        like = claim->jobs[0];
    return like;
}

static void add_like(mls__pg_parameters *p, const mls_queue_job *like)
{
    mls__pg_add_text(p, like->info->type);
    mls__pg_add_text(p, like->info->queue);
    mls__pg_add_text(p, like->info->batch_key);
    mls__pg_add_number(p, like->info->needs.cpu_milli);
    mls__pg_add_number(p, like->info->needs.memory_bytes);
    mls__pg_add_number(p, like->info->needs.gpus);
}

static mls_status take_some(mls__pg_store *store, mls__pg_claim_op *claim, int statement,
                            size_t most, size_t *ret_taken)
{
    const mls__served *served = &claim->claimer->served;
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, (int64_t) most);
    add_claim(store, claim, &p);
    if (served->type_count)
        mls__pg_add_names(store, &p, served->types, served->type_count);
    if (served->type_count || served->queue_count)
        mls__pg_add_names(store, &p, served->queues, served->queue_count);
    return take_rows(store, claim, statement, &p, ret_taken);
}

/* The longest ready that the claimer serves. */
static mls_status take_served(mls__pg_store *store, mls__pg_claim_op *claim, size_t most,
                              size_t *ret_taken)
{
    static const int by_queue[] = {MLS__PG_CLAIM_QUEUES_WANTED, MLS__PG_CLAIM_QUEUES_EACH};
    static const int by_type[] = {MLS__PG_CLAIM_WANTED, MLS__PG_CLAIM_EACH};
    const mls__served *served = &claim->claimer->served;
    const int *by = served->type_count ? by_type : by_queue;
    const size_t names = served->type_count ? served->type_count : served->queue_count;
    if (!names)
        return take_some(store, claim, MLS__PG_CLAIM_ANY, most, ret_taken);
    *ret_taken = 0;
    if (names > 1 && (take_some(store, claim, by[0], most, ret_taken) || *ret_taken))
        return store->txn.status;
    return take_some(store, claim, by[1], most, ret_taken);
}

static mls_status take_alike(mls__pg_store *store, mls__pg_claim_op *claim,
                             const mls_queue_job *like, size_t most, size_t *ret_taken)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, (int64_t) most);
    add_claim(store, claim, &p);
    add_like(&p, like);
    if (!store->kept.count)
        return take_rows(store, claim, MLS__PG_CLAIM_LIKE, &p, ret_taken);
    mls__pg_add_holding(store, &p);
    return take_rows(store, claim, MLS__PG_CLAIM_PASSING_LIKE, &p, ret_taken);
}

/* The longest ready, where nothing but their like counts: jobs that share a batch key, or all. */
static mls_status take_oldest(mls__pg_store *store, mls__pg_claim_op *claim,
                              const mls_queue_job *like, size_t most, size_t *ret_taken)
{
    return like ? take_alike(store, claim, like, most, ret_taken)
                : take_served(store, claim, most, ret_taken);
}

/* None of those was taken: whether others have some locked. */
static mls_status find_locked(mls__pg_store *store, const mls__pg_claim_op *claim,
                              const mls_queue_job *like)
{
    const mls__served *served = &claim->claimer->served;
    int statement = MLS__PG_CLAIM_LEFT;
    mls__pg_parameters p = {0};
    if (like) {
        statement = MLS__PG_CLAIM_LEFT_LIKE;
        add_like(&p, like);
        mls__pg_add_holding(store, &p);
    } else {
        if (served->queue_count)
            statement = MLS__PG_CLAIM_LEFT_IN;
        if (served->type_count) {
            statement = MLS__PG_CLAIM_LEFT_OF;
            mls__pg_add_names(store, &p, served->types, served->type_count);
        }
        if (served->type_count || served->queue_count)
            mls__pg_add_names(store, &p, served->queues, served->queue_count);
    }
    PGresult *result = mls__pg_run(store, statement, &p);
    if (result && PQntuples(result))
        store->txn.passed_over = true;
    PQclear(result);
    return store->txn.status;
}

static bool is_same_share(const mls_job_info *a, const mls_job_info *b)
{
    return a->priority == b->priority && strcmp(a->tenant, b->tenant) == 0;
}

/* Jobs of one queue that were taken as they were ready are counted all the same. */
static mls_status charge_last(mls__pg_store *store, const mls__pg_claim_op *claim, size_t count)
{
    size_t first = claim->count - count;
    for (size_t i = first + 1; first < claim->count; i++) {
        const mls_job_info *info = claim->jobs[first]->info;
        if (i < claim->count && is_same_share(info, claim->jobs[i]->info))
            continue;
        if (!mls__pg_turns_charge(store, info, i - first))
            return store->txn.status;
        first = i;
    }
    return MLS_OK;
}

/* Those that were picked and that nobody else has locked. */
static mls_status take_turns(mls__pg_store *store, mls__pg_claim_op *claim, mls__pg_turns *turns,
                             size_t *ret_taken)
{
    const size_t count = mls__pg_turns_count(turns), before = claim->count;
    mls__pg_parameters p = {0};
    *ret_taken = 0;
    if (!count)
        return MLS_OK;
    mls__pg_buffer *ids = mls__pg_begin_array(store, &p, false, count);
    for (size_t i = 0; i < count; i++)
        mls__pg_put_number(store, ids, mls__pg_turns_id(turns, i));
    add_claim(store, claim, &p);
    if (take_rows(store, claim, MLS__PG_CLAIM_PICKED, &p, ret_taken))
        return store->txn.status;
    mls__pg_turns_keep(store, turns, claim->jobs + before, *ret_taken);
    return store->txn.status;
}

/*
 * Where to look when nothing was taken: at the same priority for what others have not locked, and
 * when all of it is locked, or held back by now, at lower ones.
 */
static void look_elsewhere(mls__pg_store *store, mls__pg_claim_op *claim, bool are_there,
                           mls__pg_choice *choice)
{
    store->txn.passed_over |= are_there || choice->locks;
    if (!are_there || choice->locks)
        mls__pg_walk_spend(claim->walk, choice->priority);
    choice->locks = are_there && !choice->locks;
}

/* Those whose turn it is, of what no rule holds back. */
static mls_status take_picked(mls__pg_store *store, mls__pg_claim_op *claim,
                              const mls_queue_job *like, size_t most, size_t *ret_taken)
{
    const bool had_passed_over = store->txn.passed_over;
    mls__pg_choice choice = {.walk = claim->walk, .like = like, .most = most};
    *ret_taken = 0;
    while (!*ret_taken && mls__pg_walk_highest(claim->walk, &choice.priority)) {
        mls__pg_turns *turns = mls__pg_turns_pick(store, &choice);
        if (!turns)
            return store->txn.status;
        const bool are_there = mls__pg_turns_count(turns) != 0;
        const mls_status status = take_turns(store, claim, turns, ret_taken);
        mls__pg_turns_free(store, turns);
        if (status)
            return status;
        if (!*ret_taken)
            look_elsewhere(store, claim, are_there, &choice);
    }
    if (*ret_taken) {
        mls__pg_walk_found(claim->walk, choice.priority);
        store->txn.passed_over = had_passed_over;
    }
    return store->txn.status;
}

static bool is_bound(const mls__pg_store *store, const mls__pg_claim_op *claim)
{
    return store->txn.room && claim->claimer->has_capacity;
}

/* Whether it matters which jobs are ready besides the oldest. */
static bool is_choice(const mls__pg_store *store, const mls__pg_claim_op *claim,
                      const mls_queue_job *like)
{
    return (store->kept.count || store->txn.shares || is_bound(store, claim)) &&
           !(like && like->info->batch_key[0]);
}

/* How many no rule and no bound oversteps, of what they let pass. */
static size_t step_of(mls__pg_store *store, mls__pg_claim_op *claim, size_t most)
{
    const size_t step =
        mls__kept_rules_room(&store->kept, store->rules, mls__pg_now_ms(store), most);
    return claim->room ? mls__pg_room_step(store, claim->room, step) : step;
}

/*
 * Up to `most` of the jobs that can run with `like`; NULL: that the claimer serves.
 * `ret_is_all`: there are no more, which is seen only where nothing was taken in the end.
 */
static mls_status take_steps(mls__pg_store *store, mls__pg_claim_op *claim,
                             const mls_queue_job *like, size_t most, bool *ret_is_all)
{
    const bool picks = is_choice(store, claim, like);
    for (size_t step; most && (step = step_of(store, claim, most));) {
        size_t taken;
        if ((picks ? take_picked : take_oldest)(store, claim, like, step, &taken))
            return store->txn.status;
        if (like && !picks && store->txn.shares && charge_last(store, claim, taken))
            return store->txn.status;
        if (!taken) {
            *ret_is_all = true;
            return picks || claim->count ? MLS_OK : find_locked(store, claim, like);
        }
        if (!picks && taken < step)
            break; /* what is left, if anything, is locked */
        most -= taken;
    }
    return MLS_OK;
}

/* What there is to choose of, and what of it the claimer has room for. */
static bool look_around(mls__pg_store *store, mls__pg_claim_op *claim, const mls_queue_job *like,
                        mls__pg_trail *trail, size_t most)
{
    const bool bound = is_bound(store, claim);
    if (!bound && !is_choice(store, claim, like))
        return true;
    claim->walk = mls__pg_walk_create(store, claim->claimer, like, trail, bound);
    if (claim->walk && bound)
        claim->room = mls__pg_room_create(store, claim->claimer, claim->walk, most);
    return claim->walk && (claim->room || !bound);
}

/* At as many groups as a claim looks at once. */
static mls_status take_around(mls__pg_store *store, mls__pg_claim_op *claim,
                              const mls_queue_job *like, mls__pg_trail *trail, size_t most,
                              bool *ret_is_all)
{
    const size_t before = claim->count;
    if (look_around(store, claim, like, trail, most))
        take_steps(store, claim, like, most, ret_is_all);
    if (claim->walk && !like && !store->txn.status)
        *ret_is_all &= mls__pg_walk_end(store, claim->walk, claim->count == before);
    if (claim->walk && like)
        trail->is_within = !mls__pg_walk_is_whole(claim->walk);
    mls__pg_room_free(store, claim->room);
    mls__pg_walk_free(store, claim->walk);
    claim->room = NULL;
    claim->walk = NULL;
    return store->txn.status;
}

/*
 * What is like another has walks of its own, since others are not to be found on them. Where the
 * first does not come to the end there is one from the job's own group on.
 */
static mls_status take_like(mls__pg_store *store, mls__pg_claim_op *claim,
                            const mls_queue_job *like)
{
    const size_t most = claim->request->max_count;
    mls__pg_trail trail = {0};
    bool is_all = false;
    if (take_around(store, claim, like, &trail, most - claim->count, &is_all))
        return store->txn.status;
    if (!trail.is_within || claim->count == most)
        return MLS_OK;
    mls__pg_trail_before(&trail, like->info);
    return take_around(store, claim, like, &trail, most - claim->count, &is_all);
}

/*
 * Where a claim found nothing and there are more groups, it looks at those a little later, and
 * others go between. Of several claims of one claimer one looks then.
 */
static mls_status take_any(mls__pg_store *store, mls__pg_claim_op *claim)
{
    const bool is_same = claim->request->flags & MLS_CLAIM_SAME_BATCH;
    const bool is_picky = mls__served_is_picky(&claim->claimer->served);
    const size_t most = is_same ? 1 : claim->request->max_count - claim->count;
    const bool walks = is_choice(store, claim, NULL);
    mls__pg_trail *trail = &claim->claimer->trail;
    bool is_all = false;
    claim->is_more = false;
    if (store->txn.found_none)
        return MLS_OK;
    if (!(walks && trail->missed == store->moment) &&
        take_around(store, claim, NULL, trail, most, &is_all))
        return store->txn.status;
    claim->is_more = walks && !claim->count && trail->seen < claim->asked;
    store->txn.is_more |= claim->is_more;
    store->txn.found_none = !is_picky && is_all && !is_bound(store, claim);
    return MLS_OK;
}

mls_status mls__pg_take_ready(mls__pg_store *store, mls__pg_claim_op *claim)
{
    const mls_queue_job *like = find_like(claim);
    if (!mls__pg_offer(store, claim->claimer))
        return store->txn.status;
    if (!like) {
        if (take_any(store, claim))
            return store->txn.status;
        like = find_like(claim);
    }
    if (like && claim->count < claim->request->max_count)
        take_like(store, claim, like);
    return store->txn.status;
}
