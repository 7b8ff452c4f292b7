/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims. One that finds nothing is parked, and gets its job in the very transaction in
 * which one becomes ready: those that fill a batch first, then the longest waiting.
 */
#include "queue/sqlite/sqlite.h"

#include "base/clock.h"
#include "base/error.h"

#include <string.h>

#define MOST_HEADS 64 /* lanes that a claim compares at once */

typedef struct claim_op {
    mls__sql_op op; /* first: they share an address */
    mls__sql_claimer *claimer;
    const mls_queue_claim *request;
    mls__sql_ends ends;
    bool ends_are_known; /* published */
    mls_queue_job *const *jobs;
    size_t count;
    size_t known;       /* of them, committed */
    mls__sql_turn turn; /* of the next job, where tenants share */
} claim_op;

static claim_op *claim_of(mls__sql_op *op)
{
    return (claim_op *) (void *) op;
}

/* The first ready job of the first lane from `lane` on that has one. */
typedef struct head {
    int64_t lane, priority, rank, id;
} head;

/* 1, 0 when no such lane has a ready job, -1 failed. */
static int find_head(mls__sql_store *store, int64_t lane, head *ret_head)
{
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_HEAD);
    if (!find)
        return -1;
    sqlite3_bind_int64(find, 1, lane);
    const int code = mls__sql_step(store, find);
    if (code == SQLITE_ROW)
        *ret_head = (head){sqlite3_column_int64(find, 0), sqlite3_column_int64(find, 1),
                           sqlite3_column_int64(find, 2), sqlite3_column_int64(find, 3)};
    sqlite3_reset(find);
    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -1;
}

static bool goes_first(const head *a, const head *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->rank < b->rank;
}

/* A look at the heads of all lanes that the claimer serves. */
typedef struct look {
    head best;                    /* that it may have; id 0: none */
    const mls__sql_lane *crowded; /* of the job that waits longest and would fit, if nothing ran */
    int64_t crowded_ns;           /* since when it waits */
    int64_t lanes;                /* that have ready jobs */
} look;

/* Notes a job that the claimer has no room for. false: failed. */
static bool note_crowded(mls__sql_store *store, const mls__sql_claimer *claimer, const head *next,
                         look *l)
{
    mls__sql_row row;
    if (mls__sql_row_load(store, (uint64_t) next->id, &row) <= 0)
        return !store->txn.status;
    if (store->txn.boot_ns - row.since_ns < claimer->patience_ns ||
        (l->crowded && l->crowded_ns <= row.since_ns))
        return true;
    l->crowded = row.lane;
    l->crowded_ns = row.since_ns;
    return true;
}

/* The job of the lane's highest priority that is ready for longest, of whatever tenant. */
static bool find_oldest(mls__sql_store *store, const mls__sql_lane *lane, head *first)
{
    mls__turn_head oldest = {.id = first->id, .rank = first->rank};
    if (!mls__sql_oldest(store, lane, first->priority, &oldest))
        return false;
    first->id = oldest.id;
    first->rank = oldest.rank;
    return true;
}

/* The index has of each lane the first tenant's head: the oldest is looked for where it counts. */
static bool look_at_lanes(mls__sql_store *store, mls__sql_claimer *claimer, bool is_exact,
                          look *ret_look)
{
    head next = {0};
    int found;
    *ret_look = (look){0};
    for (; (found = find_head(store, next.lane, &next)) > 0; next.lane++, ret_look->lanes++) {
        const mls__sql_lane *lane = mls__sql_lane_of(store, next.lane);
        if (!lane)
            return false;
        if (!mls__sql_lane_is_served(store, claimer, lane) || mls__sql_is_held(store, lane))
            continue;
        if (is_exact && !find_oldest(store, lane, &next))
            return false;
        if (!lane->takes_room || mls__sql_has_room(store, claimer, lane)) {
            if (!ret_look->best.id || goes_first(&next, &ret_look->best))
                ret_look->best = next;
        } else if (!claimer->has_aside && mls__sql_is_crowded_out(store, claimer, lane) &&
                   !note_crowded(store, claimer, &next, ret_look)) {
            return false;
        }
    }
    return found == 0;
}

static bool look_at_heads(mls__sql_store *store, mls__sql_claimer *claimer, look *ret_look)
{
    if (!look_at_lanes(store, claimer, false, ret_look))
        return false;
    const bool counts = ret_look->lanes > 1 || (ret_look->lanes && !ret_look->best.id);
    return !counts || !store->txn.meta.shares || look_at_lanes(store, claimer, true, ret_look);
}

static bool may_take(const mls__sql_store *store, const mls__sql_claimer *claimer,
                     const mls__sql_lane *lane)
{
    return !mls__sql_is_held(store, lane) &&
           (!lane->takes_room || mls__sql_has_room(store, claimer, lane));
}

/*
 * Whose turn it is in a lane's queue: of what the claimer may take there, or of the jobs of
 * the one lane `choice`; 0 is any lane. false: failed.
 */
static bool find_turn(mls__sql_store *store, mls__sql_claimer *claimer, const mls__sql_lane *of,
                      int64_t priority, int64_t choice, mls__sql_turn *ret_turn)
{
    head next = {0};
    int found;
    if (!mls__sql_turn_begin(store, of->names, priority, ret_turn))
        return false;
    for (; (found = find_head(store, next.lane, &next)) > 0; next.lane++) {
        const mls__sql_lane *lane = mls__sql_lane_of(store, next.lane);
        if (!lane)
            return false;
        if (strcmp(lane->names, of->names) != 0 || !mls__sql_lane_is_served(store, claimer, lane) ||
            !may_take(store, claimer, lane))
            continue;
        const bool is_choice = !choice || choice == lane->id;
        if (!mls__sql_turn_look(store, lane, is_choice, ret_turn))
            return false;
    }
    return found == 0;
}

/* The same job where tenants do not share, or the one whose turn it is; -1: failed. */
static int64_t by_turn(mls__sql_store *store, claim_op *claim, const head *first, int64_t choice)
{
    if (!store->txn.meta.shares || !first->id)
        return first->id;
    const mls__sql_lane *lane = mls__sql_lane_of(store, first->lane);
    if (!lane || !find_turn(store, claim->claimer, lane, first->priority, choice, &claim->turn))
        return -1;
    return claim->turn.best.id ? claim->turn.best.id : first->id;
}

/*
 * The job that the claimer is to get next: its id; 0: none; -1: failed. `ret_only` is the
 * lane that alone has ready jobs, else 0: until others become ready it need not look
 * elsewhere. Once more when room is to be set aside.
 */
static int64_t pick(mls__sql_store *store, claim_op *claim, int64_t *ret_only)
{
    mls__sql_claimer *claimer = claim->claimer;
    look l;
    if (!mls__sql_set_aside(store, claimer, NULL) || !look_at_heads(store, claimer, &l))
        return -1;
    if (l.crowded &&
        (!mls__sql_set_aside(store, claimer, l.crowded) || !look_at_heads(store, claimer, &l)))
        return -1;
    *ret_only = l.lanes == 1 ? l.best.lane : 0;
    return by_turn(store, claim, &l.best, 0);
}

/* The first ready job of a lane: its id; 0: none; -1: failed. */
static int64_t pick_of(mls__sql_store *store, claim_op *claim, int64_t lane)
{
    head found;
    const int there = find_head(store, lane, &found);
    if (there <= 0 || found.lane != lane)
        return there < 0 ? -1 : 0;
    const mls__sql_lane *kept = mls__sql_lane_of(store, lane);
    if (!kept || !may_take(store, claim->claimer, kept))
        return kept ? 0 : -1;
    return by_turn(store, claim, &found, lane);
}

/* The next job that may run with another one of that lane and batch key. */
static int64_t pick_like(mls__sql_store *store, claim_op *claim, const mls__sql_lane *lane,
                         const char *batch_key)
{
    if (!may_take(store, claim->claimer, lane))
        return 0;
    if (!lane->is_keyed)
        return pick_of(store, claim, lane->id);
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_HEAD_BATCH);
    if (!find)
        return -1;
    sqlite3_bind_int64(find, 1, lane->id);
    sqlite3_bind_text(find, 2, batch_key, -1, SQLITE_STATIC);
    const int code = mls__sql_step(store, find);
    head first = {.lane = lane->id};
    if (code == SQLITE_ROW) {
        first.id = sqlite3_column_int64(find, 0);
        first.priority = sqlite3_column_int64(find, 1);
    }
    sqlite3_reset(find);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return -1;
    /* In the order of time, and counted: nothing is to be chosen. */
    return by_turn(store, claim, &first, -1) < 0 ? -1 : first.id;
}

static void fill_claim(const mls__sql_store *store, const mls__sql_claimer *claimer,
                       mls__sql_row *row)
{
    const mls__sql_txn *txn = &store->txn;
    row->since_ns = txn->boot_ns;
    row->claimed_ms = txn->now_ms;
    row->epoch++;
    row->attempt++;
    row->rank = 0;
    row->member = store->member;
    row->claimer = claimer->id;
    row->owner = claimer->served.name;
    row->progress = 0;
    row->note = NULL;
}

/* Past a reboot the clock begins anew: then it is not known how long it was. */
static int64_t positive(int64_t ns)
{
    return ns > 0 ? ns : 0;
}

/*
 * Claims the job into the next of the claim's handles, unless it is too late for it.
 * MLS_ENOMEM: it stays as it was.
 */
static mls_status take(mls__sql_store *store, claim_op *claim, int64_t id)
{
    mls_queue_job *shown = claim->jobs[claim->count];
    mls__sql_hold *hold;
    mls__sql_row row;
    const int found = mls__sql_row_load(store, (uint64_t) id, &row);
    if (found == 0)
        mls__sql_fail(store, mls__error(MLS_EFORMAT,
                                        "job %lld is in an index only: the queue's "
                                        "file is damaged",
                                        (long long) id));
    if (found <= 0)
        return store->txn.status;
    /* Of those that are due, some may not have had their turn. */
    if (mls__sql_is_late(store, &row))
        return mls__sql_expire(store, &row) ? MLS_OK : store->txn.status;
    const int64_t waited_ns = positive(store->txn.boot_ns - row.since_ns);
    row.waiting_ns += waited_ns;
    fill_claim(store, claim->claimer, &row);
    const mls_status status = mls__sql_show(store, &row, shown->info, &hold);
    if (status)
        return status;
    mls__sql_lane_add(store, row.lane, MLS__SQL_WAITING_NS, waited_ns);
    mls__sql_lane_add(store, row.lane, MLS__SQL_CLAIMED, 1);
    mls__sql_rules_claim(store, row.lane);
    if (row.lane->takes_room)
        mls__sql_room_take(store, claim->claimer, row.lane);
    shown->hold = hold;
    hold->base.claimer = claim->claimer->id;
    claim->count++;
    if (store->txn.meta.shares && claim->turn.is_contended &&
        !mls__sql_turn_charge(store, &claim->turn, &row))
        return store->txn.status;
    shown->info->state = mls__sql_next(store, row.state, MLS_JOB_ON_CLAIM);
    return mls__sql_move(store, &row, MLS_JOB_ON_CLAIM) ? MLS_OK : store->txn.status;
}

/* The lane of the jobs that the claim is bound to; NULL: any. false: failed. */
static bool find_like(mls__sql_store *store, const claim_op *claim, mls__sql_lane **ret_lane,
                      const char **ret_key)
{
    const mls_queue_job *like = claim->request->like;
    if (!like && claim->request->flags & MLS_CLAIM_SAME_BATCH && claim->count)
        like = claim->jobs[0];
    *ret_lane = NULL;
    if (!like)
        return true;
    *ret_key = like->info->batch_key;
    return mls__sql_lane_make(store, like->info->queue, like->info->type, like->info->tenant,
                              **ret_key != '\0', &like->info->needs, ret_lane) == MLS_OK;
}

/*
 * Takes what is ready, up to what the claim may have. MLS_ENOMEM with the transaction
 * still good: there was no memory to show the first.
 */
static mls_status take_ready(mls__sql_store *store, claim_op *claim)
{
    int64_t only = 0;
    if (store->room_is_stale && !mls__sql_room_recount(store))
        return store->txn.status;
    if (!claim->claimer->is_offered && !mls__sql_offer(store, claim->claimer))
        return store->txn.status;
    while (claim->count < claim->request->max_count) {
        mls__sql_lane *lane;
        const char *key = "";
        if (!find_like(store, claim, &lane, &key))
            return store->txn.status;
        const int64_t id = lane   ? pick_like(store, claim, lane, key)
                           : only ? pick_of(store, claim, only)
                                  : pick(store, claim, &only);
        if (id <= 0)
            return store->txn.status;
        const mls_status status = take(store, claim, id);
        if (status)
            return !store->txn.status && claim->count ? MLS_OK : status;
    }
    return MLS_OK;
}

/* Whether it has what it wants, or all that there is time for. */
static bool is_content(const claim_op *claim)
{
    return claim->count && (!claim->request->like || claim->count == claim->request->max_count);
}

/* Why a claim that is not content is not parked; MLS_EINTERNAL: it is. */
static mls_status give_up(const claim_op *claim)
{
    if (claim->claimer->is_draining)
        return claim->count ? MLS_OK : mls__error(MLS_ECANCELLED, "the claimer was stopped");
    if (claim->request->until_ns == 0)
        return claim->count ? MLS_OK : mls__error(MLS_EEMPTY, "no job is ready");
    if (mls__clock_monotonic_ns() >= claim->request->until_ns)
        return claim->count ? MLS_OK : mls__error(MLS_ETIMEDOUT, "no job became ready in time");
    return MLS_EINTERNAL;
}

/* And what becomes ready only when more that is due goes off. */
static mls_status take_due(mls__sql_store *store, claim_op *claim)
{
    mls_status status = take_ready(store, claim);
    while (!status && !claim->count && store->txn.has_more_due) {
        if (!mls__sql_tick(store))
            return store->txn.status;
        status = take_ready(store, claim);
    }
    return status;
}

static mls_status run_claim(mls__sql_store *store, mls__sql_op *op)
{
    claim_op *claim = claim_of(op);
    mls_status status = mls__sql_ends_run(store, op, &claim->ends);
    if (status)
        return status;
    if (claim->claimer->is_stopped)
        return mls__error(MLS_ECANCELLED, "the claimer was stopped");
    /* What is ready by now belongs to those that wait longer. */
    if (store->txn.is_ready_news && !mls__sql_claims_serve(store))
        return store->txn.status;
    status = take_due(store, claim);
    if (status || is_content(claim))
        return status;
    status = give_up(claim);
    if (status != MLS_EINTERNAL)
        return status;
    op->parks = true;
    mls__sql_list_add(claim->request->like ? &store->fillers : &store->claims, op);
    return MLS_OK;
}

static void publish_claim(mls__sql_store *store, mls__sql_op *op)
{
    claim_op *claim = claim_of(op);
    if (op->again)
        return;
    if (!claim->ends_are_known) { /* later its thread may be reading that, as it is parked */
        mls__ends_publish(&store->holds, claim->ends.ends, claim->ends.count);
        mls__sql_costs_note(store, claim->ends.ends, claim->ends.count);
        claim->ends_are_known = true;
    }
    for (; claim->known < claim->count; claim->known++)
        mls__holds_add(&store->holds, claim->jobs[claim->known]->hold);
}

static void abandon_claim(mls__sql_store *store, mls__sql_op *op)
{
    claim_op *claim = claim_of(op);
    while (claim->count > claim->known) {
        mls_queue_job *shown = claim->jobs[--claim->count];
        mls__sql_hold_free(store, shown->hold);
        shown->hold = NULL;
    }
    if (!claim->ends_are_known)
        mls__ends_abandon(claim->ends.ends, claim->ends.count);
    op->status = MLS_OK;
}

static void expire_claim(mls__sql_op *op)
{
    const claim_op *claim = claim_of(op);
    mls__sql_set_status(
        op, claim->count ? MLS_OK : mls__error(MLS_ETIMEDOUT, "no job became ready in time"));
}

static bool serve(mls__sql_store *store, mls__sql_list *list)
{
    for (mls__sql_op *op = list->first; op; op = op->next) {
        claim_op *claim = claim_of(op);
        if (op->is_served)
            continue;
        const mls_status status = take_ready(store, claim);
        if (store->txn.status)
            return false;
        mls__sql_set_status(op, status);
        op->is_served = status || is_content(claim);
    }
    return true;
}

/* Again, when one took the job for which others had set room aside. */
bool mls__sql_claims_serve(mls__sql_store *store)
{
    head any;
    int found = 0;
    do {
        store->txn.is_ready_news = false;
        if (!store->claims.first && !store->fillers.first)
            return true;
        found = find_head(store, 0, &any);
        if (found > 0 && !(serve(store, &store->fillers) && serve(store, &store->claims)))
            return false;
    } while (found > 0 && store->txn.is_ready_news);
    return found >= 0;
}

static void stop(mls__sql_list *list, const mls__sql_claimer *claimer)
{
    mls__sql_op *op = list->first;
    mls__sql_list_init(list);
    while (op) {
        mls__sql_op *next = op->next;
        const claim_op *claim = claim_of(op);
        if (claim->claimer == claimer) {
            mls__sql_set_status(op, give_up(claim));
            mls__sql_finish_parked(op);
        } else {
            mls__sql_list_add(list, op);
        }
        op = next;
    }
}

void mls__sql_claims_stop(mls__sql_store *store, const mls__sql_claimer *claimer)
{
    stop(&store->claims, claimer);
    stop(&store->fillers, claimer);
}

/* Ends a claim whose payload is damaged or gone, or gives it back when it cannot be read. */
static void refuse(mls__sql_store *store, mls_queue_job *shown, mls_status status)
{
    char text[MLS_JOB_ERROR_MAX + 1];
    strncpy(text, mls_error_message(), sizeof text - 1);
    text[sizeof text - 1] = '\0';
    mls_queue_end end = {.size = sizeof end,
                         .flags = MLS_END_DROP,
                         .job = shown,
                         .event = MLS_JOB_ON_RELEASE,
                         .status = MLS_EEMPTY};
    mls_queue_end *const ends[] = {&end};
    if (status == MLS_EFORMAT) {
        end.event = MLS_JOB_ON_BURY;
        end.error = status;
        end.data = (mls_queue_bytes){text, strlen(text) + 1, NULL, NULL};
    }
    if (mls__sql_finish(store, ends, 1))
        mls__sql_drop(store, shown);
    mls__error(status, "%s", text);
}

/* Reads the payloads of segments. Jobs that have none any more leave the claim. */
static mls_status complete(mls__sql_store *store, claim_op *claim)
{
    mls_status failed = MLS_OK;
    size_t kept = 0;
    for (size_t i = 0; i < claim->count; i++) {
        mls_queue_job *shown = claim->jobs[i];
        const mls_status status = mls__sql_show_segments(store, shown);
        if (status) {
            refuse(store, shown, status);
            failed = status == MLS_EFORMAT ? failed : status;
            continue;
        }
        if (kept != i) {
            *claim->jobs[kept]->info = *shown->info;
            claim->jobs[kept]->hold = shown->hold;
        }
        kept++;
    }
    claim->count = kept;
    return kept ? MLS_OK : failed;
}

/* Posts the claim; as soon as its ends are committed, what they brought is given back. */
static mls_status post_claim(mls__sql_store *store, claim_op *claim)
{
    mls_status status = mls__sql_ends_prepare(store, &claim->ends);
    if (status)
        return status;
    claim->op.must_sync = mls__sql_ends_must_sync(&claim->ends) && claim->ends.count;
    const bool is_done = mls__sql_post(store, &claim->op);
    if (claim->ends_are_known)
        mls__ends_settle(store, mls__sql_drop, claim->ends.ends, claim->ends.count);
    if (!is_done)
        mls__sql_await(&claim->op);
    return mls__sql_answer(&claim->op);
}

mls_status mls__sql_claim(void *self, void *claimer, const mls_queue_claim *request,
                          mls_queue_end *const *ends, size_t end_count, mls_queue_job *const *jobs,
                          size_t *ret_count)
{
    static const mls__sql_kind kind = {.run = run_claim,
                                       .publish = publish_claim,
                                       .abandon = abandon_claim,
                                       .expire = expire_claim};
    mls__sql_store *store = self;
    claim_op claim = {.op = {.kind = &kind, .until_ns = request->until_ns},
                      .claimer = claimer,
                      .request = request,
                      .ends = {.ends = ends, .count = end_count},
                      .jobs = jobs};
    for (;;) {
        mls_status status = post_claim(store, &claim);
        mls__sql_ends_clear(store, &claim.ends);
        if (status && claim.op.again)
            continue; /* a segment was collected before its commit: it is written again */
        if (!status)
            status = complete(store, &claim);
        if (!status && claim.count)
            *ret_count = claim.count;
        if (status || claim.count)
            return status;
        /* All that were claimed had lost their payloads: others may be ready. */
        claim.ends = (mls__sql_ends){0};
        claim.count = claim.known = 0;
    }
}
