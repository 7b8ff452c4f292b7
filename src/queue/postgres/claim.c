/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: up to as many jobs as are wanted in one statement, which passes over what other
 * members are at. One that finds nothing is parked, and gets its job in the very
 * transaction in which one becomes ready: those that fill a batch first, then the longest
 * waiting.
 */
#include "queue/postgres/postgres.h"

#include <string.h>

typedef struct claim_op {
    mls__pg_op op; /* first: they share an address */
    mls__pg_claimer *claimer;
    const mls_queue_claim *request;
    mls__pg_ends ends;
    bool ends_are_known; /* published */
    mls_queue_job *const *jobs;
    size_t count;
    size_t known; /* of them, committed */
} claim_op;

static claim_op *claim_of(mls__pg_op *op)
{
    return (claim_op *) (void *) op;
}

/* Behind what says which jobs. */
static void add_claim(mls__pg_store *store, const claim_op *claim, mls__pg_parameters *p)
{
    mls__pg_add_number(p, mls__pg_next(store, MLS_JOB_READY, MLS_JOB_ON_CLAIM));
    mls__pg_add_number(p, store->member);
    mls__pg_add_number(p, claim->claimer->id);
    mls__pg_add_text(p, claim->claimer->served.name);
    mls__pg_add_number(p, store->txn.now_us);
}

/* Types and queues that the claimer serves. */
static void add_filter(mls__pg_store *store, const mls__served *served, mls__pg_parameters *p)
{
    mls__pg_add_names(store, p, served->types, served->type_count);
    mls__pg_add_names(store, p, served->queues, served->queue_count);
}

/* Takes a row that the server claimed. false: the transaction failed. */
static bool take(mls__pg_store *store, claim_op *claim, const PGresult *result, int at)
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

static mls_status take_rows(mls__pg_store *store, claim_op *claim, int statement,
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
static const mls_queue_job *find_like(const claim_op *claim)
{
    const mls_queue_job *like = claim->request->like;
    if (!like && claim->request->flags & MLS_CLAIM_SAME_BATCH && claim->count)
        like = claim->jobs[0];
    return like;
}

/* The longest ready, where nothing but their like counts: jobs that share a batch key, or all. */
static mls_status take_oldest(mls__pg_store *store, claim_op *claim, const mls_queue_job *like,
                              size_t most, size_t *ret_taken)
{
    const bool is_picky = mls__served_is_picky(&claim->claimer->served);
    int statement = is_picky ? MLS__PG_CLAIM_SOME : MLS__PG_CLAIM_ANY;
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, (int64_t) most);
    add_claim(store, claim, &p);
    if (like) {
        statement = store->kept.count ? MLS__PG_CLAIM_PASSING_LIKE : MLS__PG_CLAIM_LIKE;
        mls__pg_add_text(&p, like->info->type);
        mls__pg_add_text(&p, like->info->queue);
        mls__pg_add_text(&p, like->info->batch_key);
        if (store->kept.count)
            mls__pg_add_holding(store, &p);
    } else if (is_picky) {
        add_filter(store, &claim->claimer->served, &p);
    }
    return take_rows(store, claim, statement, &p, ret_taken);
}

static bool is_same_share(const mls_job_info *a, const mls_job_info *b)
{
    return a->priority == b->priority && strcmp(a->tenant, b->tenant) == 0;
}

/* Jobs of one queue that were taken as they were ready are counted all the same. */
static mls_status charge_last(mls__pg_store *store, const claim_op *claim, size_t count)
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

/* Those whose turn it is, of what no rule holds back. */
static mls_status take_picked(mls__pg_store *store, claim_op *claim, const mls_queue_job *like,
                              size_t most, size_t *ret_taken)
{
    int64_t ids[MLS__PG_MOST_PICKS];
    size_t count;
    mls__pg_parameters p = {0};
    most = most < MLS__PG_MOST_PICKS ? most : MLS__PG_MOST_PICKS;
    *ret_taken = 0;
    if (!mls__pg_turns_pick(store, &claim->claimer->served, like, most, ids, &count) || !count)
        return store->txn.status;
    mls__pg_add_numbers(store, &p, ids, count);
    add_claim(store, claim, &p);
    return take_rows(store, claim, MLS__PG_CLAIM_PICKED, &p, ret_taken);
}

/* Whether it matters which jobs are ready besides the oldest. */
static bool is_choice(const mls__pg_store *store, const mls_queue_job *like)
{
    return (store->kept.count || store->txn.shares) && !(like && like->info->batch_key[0]);
}

/*
 * Up to `most` of the jobs that can run with `like`; NULL: that the claimer serves. With
 * rules in steps of which none oversteps any. `ret_is_all`: there are no more.
 */
static mls_status take_up_to(mls__pg_store *store, claim_op *claim, const mls_queue_job *like,
                             size_t most, bool *ret_is_all)
{
    const bool picks = is_choice(store, like);
    while (most) {
        const size_t step =
            mls__kept_rules_room(&store->kept, store->rules, mls__pg_now_ms(store), most);
        size_t taken;
        if ((picks ? take_picked : take_oldest)(store, claim, like, step, &taken))
            return store->txn.status;
        if (like && !picks && store->txn.shares && charge_last(store, claim, taken))
            return store->txn.status;
        *ret_is_all = picks ? !taken : taken < step;
        if (*ret_is_all)
            break;
        most -= taken;
    }
    return MLS_OK;
}

static mls_status take_like(mls__pg_store *store, claim_op *claim, const mls_queue_job *like)
{
    bool is_all;
    return take_up_to(store, claim, like, claim->request->max_count - claim->count, &is_all);
}

static mls_status take_any(mls__pg_store *store, claim_op *claim)
{
    const bool is_same = claim->request->flags & MLS_CLAIM_SAME_BATCH;
    const bool is_picky = mls__served_is_picky(&claim->claimer->served);
    const size_t most = is_same ? 1 : claim->request->max_count - claim->count;
    bool is_all = false;
    if (store->txn.found_none)
        return MLS_OK;
    if (take_up_to(store, claim, NULL, most, &is_all))
        return store->txn.status;
    store->txn.found_none = !is_picky && is_all;
    return MLS_OK;
}

/* Takes what is ready, up to what the claim may have. */
static mls_status take_ready(mls__pg_store *store, claim_op *claim)
{
    const mls_queue_job *like = find_like(claim);
    if (!like) {
        if (take_any(store, claim))
            return store->txn.status;
        like = find_like(claim);
    }
    if (like && claim->count < claim->request->max_count)
        take_like(store, claim, like);
    return store->txn.status;
}

/* Whether it has what it wants, or all that there is time for. */
static bool is_content(const claim_op *claim)
{
    return claim->count && (!claim->request->like || claim->count == claim->request->max_count);
}

/* Whether a claim that is not content is answered nevertheless. */
static bool gives_up(claim_op *claim)
{
    const uint64_t until_ns = claim->request->until_ns;
    const bool is_late = until_ns == 0 || mls__pg_clock_ns() >= until_ns;
    if (!claim->claimer->is_draining && !is_late)
        return false;
    if (claim->count)
        claim->op.status = MLS_OK;
    else if (claim->claimer->is_draining)
        mls__pg_set_status(&claim->op, MLS_ECANCELLED, "the claimer was stopped");
    else if (until_ns == 0)
        mls__pg_set_status(&claim->op, MLS_EEMPTY, "no job is ready");
    else
        mls__pg_set_status(&claim->op, MLS_ETIMEDOUT, "no job became ready in time");
    return true;
}

static mls_status run_claim(mls__pg_store *store, mls__pg_op *op)
{
    claim_op *claim = claim_of(op);
    if (mls__pg_ends_run(store, &claim->ends))
        return store->txn.status;
    if (claim->claimer->is_stopped)
        return mls__pg_set_status(op, MLS_ECANCELLED, "the claimer was stopped");
    /* What is ready by now belongs to those that wait longer. */
    if (store->txn.is_ready_news && !mls__pg_claims_serve(store))
        return store->txn.status;
    if (take_ready(store, claim))
        return store->txn.status;
    if (is_content(claim))
        return MLS_OK;
    if (gives_up(claim))
        return op->status;
    op->parks = true;
    mls__pg_list_add(claim->request->like ? &store->fillers : &store->claims, op);
    return MLS_OK;
}

static void publish_claim(mls__pg_store *store, mls__pg_op *op)
{
    claim_op *claim = claim_of(op);
    if (!claim->ends_are_known)
        mls__ends_publish(&store->holds, claim->ends.ends, claim->ends.count);
    claim->ends_are_known = true;
    for (; claim->known < claim->count; claim->known++)
        mls__holds_add(&store->holds, claim->jobs[claim->known]->hold);
}

static void abandon_claim(mls__pg_store *store, mls__pg_op *op)
{
    claim_op *claim = claim_of(op);
    while (claim->count > claim->known) {
        mls_queue_job *shown = claim->jobs[--claim->count];
        mls__pg_free(store, shown->hold);
        shown->hold = NULL;
    }
    if (!claim->ends_are_known)
        mls__ends_abandon(claim->ends.ends, claim->ends.count);
    op->status = MLS_OK;
}

static void expire_claim(mls__pg_op *op)
{
    if (!gives_up(claim_of(op)))
        mls__pg_set_status(op, MLS_ETIMEDOUT, "no job became ready in time");
}

static bool serve(mls__pg_store *store, mls__pg_list *list)
{
    for (mls__pg_op *op = list->first; op; op = op->next) {
        if (op->is_served)
            continue;
        if (take_ready(store, claim_of(op)))
            return false;
        op->is_served = is_content(claim_of(op));
        if (store->txn.found_none)
            break;
    }
    return true;
}

bool mls__pg_claims_serve(mls__pg_store *store)
{
    store->txn.is_ready_news = store->txn.found_none = false;
    return serve(store, &store->fillers) && serve(store, &store->claims);
}

static void stop(mls__pg_store *store, mls__pg_list *list, const mls__pg_claimer *claimer)
{
    mls__pg_op *op = list->first;
    mls__pg_list_init(list);
    while (op) {
        mls__pg_op *next = op->next;
        if (claim_of(op)->claimer == claimer && gives_up(claim_of(op)))
            mls__pg_finish_parked(store, op);
        else
            mls__pg_list_add(list, op);
        op = next;
    }
}

void mls__pg_claims_stop(mls__pg_store *store, const mls__pg_claimer *claimer)
{
    stop(store, &store->claims, claimer);
    stop(store, &store->fillers, claimer);
}

mls_status mls__pg_claim(void *self, void *claimer, const mls_queue_claim *request,
                         mls_queue_end *const *ends, size_t end_count, mls_queue_job *const *jobs,
                         size_t *ret_count)
{
    static const mls__pg_kind kind = {.claims = true,
                                      .run = run_claim,
                                      .publish = publish_claim,
                                      .abandon = abandon_claim,
                                      .expire = expire_claim};
    mls__pg_store *store = self;
    claim_op claim = {.op = {.kind = &kind, .until_ns = request->until_ns},
                      .claimer = claimer,
                      .request = request,
                      .ends = {.ends = ends, .count = end_count},
                      .jobs = jobs};
    mls__pg_post(store, &claim.op);
    /* As soon as the ends are committed, what they brought is given back. */
    if (claim.ends_are_known)
        mls__ends_settle(store, mls__pg_drop, ends, end_count);
    const mls_status status = mls__pg_await(store, &claim.op);
    if (!status)
        *ret_count = claim.count;
    return status;
}
