/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What jobs need and claimers have. The jobs of a lane all need the same, so a lane has room
 * in a claimer or has none. What is used of a claimer is counted by its process, in memory;
 * after a rollback it is counted anew from the file. What claimers have is in the file too, for
 * others to see.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"
#include "base/vec.h"

#include <string.h>

static const mls_resources nothing;
static const mls_resources everything = {INT64_MAX, INT64_MAX, INT64_MAX};

/* What a job of the lane takes of the claimer: what was stated, and of memory what was seen. */
static mls_resources needs_of(const mls__sql_store *store, const mls__sql_claimer *claimer,
                              const mls__sql_lane *lane)
{
    mls_resources needs = lane->needs;
    needs.memory_bytes = mls__sql_cost_memory(store, lane->cost, claimer->capacity.memory_bytes);
    return needs;
}

/* Whether what the one runs is taken of the other's capacity. */
static bool are_pooled(const mls__sql_claimer *a, const mls__sql_claimer *b)
{
    return a == b || (a->pool && a->pool == b->pool);
}

/* The file may be damaged: then a sum may not be a number, and is as much as all there is. */
static void add_one(int64_t *to, int64_t more, int64_t times)
{
    int64_t all;
    if (!mls__mul_i64(more, times, &all) || !MLS__SQL_IS_POSSIBLE(all) ||
        !MLS__SQL_IS_POSSIBLE(*to + all))
        all = (INT64_MAX >> 2) - 1 - *to;
    *to += all;
}

static mls_resources used_of(const mls__sql_store *store, const mls__sql_claimer *claimer)
{
    mls_resources used = claimer->used;
    if (!claimer->pool)
        return used;
    for (const mls__sql_claimer *other = store->claimers; other; other = other->next) {
        if (other == claimer || !are_pooled(claimer, other))
            continue;
        add_one(&used.cpu_milli, other->used.cpu_milli, 1);
        add_one(&used.memory_bytes, other->used.memory_bytes, 1);
        add_one(&used.gpus, other->used.gpus, 1);
    }
    return used;
}

void mls__sql_lane_weigh(const mls__sql_store *store, mls__sql_lane *lane)
{
    lane->takes_room = lane->needs.cpu_milli || lane->needs.memory_bytes || lane->needs.gpus ||
                       mls__sql_cost_memory(store, lane->cost, MLS_MEMORY_BYTES_MAX);
}

void mls__sql_lanes_weigh(mls__sql_store *store)
{
    for (size_t i = 0; i < store->lanes_by_id_count; i++)
        if (store->lanes_by_id[i])
            mls__sql_lane_weigh(store, store->lanes_by_id[i]);
}

/* Whether a job that fits now is expected to end before that for which room is set aside begins. */
static bool may_pass(const mls__sql_store *store, const mls__sql_claimer *claimer,
                     const mls__sql_lane *lane, const mls_resources *needs)
{
    const uint64_t takes_ns = claimer->has_aside ? mls__sql_cost_time(store, lane->cost) : 0;
    const mls_resources used = used_of(store, claimer);
    return takes_ns && (uint64_t) store->txn.boot_ns + takes_ns <= claimer->start_ns &&
           store->rules->has_room(&claimer->capacity, &used, &nothing, needs);
}

bool mls__sql_has_room(const mls__sql_store *store, const mls__sql_claimer *claimer,
                       const mls__sql_lane *lane)
{
    const mls_resources needs = needs_of(store, claimer, lane);
    const mls_resources used = used_of(store, claimer);
    return !claimer->has_capacity ||
           store->rules->has_room(&claimer->capacity, &used, &claimer->aside, &needs) ||
           may_pass(store, claimer, lane, &needs);
}

bool mls__sql_is_crowded_out(const mls__sql_store *store, const mls__sql_claimer *claimer,
                             const mls__sql_lane *lane)
{
    const mls_queue_host *rules = store->rules;
    const mls_resources needs = needs_of(store, claimer, lane);
    const mls_resources used = used_of(store, claimer);
    return rules->has_room(&claimer->capacity, &nothing, &nothing, &needs) &&
           !rules->has_room(&claimer->capacity, &used, &nothing, &needs);
}

static void add(const mls__sql_store *store, mls__sql_claimer *claimer, const mls__sql_lane *lane,
                int64_t times)
{
    if (!claimer->has_capacity)
        return;
    const mls_resources needs = needs_of(store, claimer, lane);
    add_one(&claimer->used.cpu_milli, needs.cpu_milli, times);
    add_one(&claimer->used.memory_bytes, needs.memory_bytes, times);
    add_one(&claimer->used.gpus, needs.gpus, times);
}

/* What a running job takes, and until when, if that is known. false: failed. */
static bool note_run(mls__sql_store *store, const mls__sql_claimer *claimer, sqlite3_stmt *list)
{
    const mls__sql_lane *lane = mls__sql_lane_of(store, sqlite3_column_int64(list, 0));
    if (!lane)
        return false;
    mls_queue_run *run = lane->takes_room ? mls__vec_push(&store->runs) : NULL;
    if (!run)
        return !lane->takes_room;
    const int64_t since_ns = sqlite3_column_int64(list, 1);
    const uint64_t takes_ns = mls__sql_cost_time(store, lane->cost);
    run->ends_ns = takes_ns && since_ns > 0 ? (uint64_t) since_ns + takes_ns : 0;
    run->takes = needs_of(store, claimer, lane);
    return true;
}

/* What runs by it. false: failed. */
static bool note_runs(mls__sql_store *store, const mls__sql_claimer *claimer)
{
    sqlite3_stmt *list = mls__sql_prepare(store, MLS__SQL_ROOM_RUNS);
    bool is_whole = list != NULL;
    if (!list)
        return false;
    sqlite3_bind_int64(list, 1, store->member);
    sqlite3_bind_int64(list, 2, claimer->id);
    while (is_whole && mls__sql_step(store, list) == SQLITE_ROW)
        is_whole = note_run(store, claimer, list);
    sqlite3_reset(list);
    return is_whole && !store->txn.status;
}

/*
 * When that for which room is set aside is expected to begin. Without memory nobody may pass
 * it, and likewise where the file is damaged.
 */
static uint64_t expect_start(mls__sql_store *store, const mls__sql_claimer *claimer)
{
    const uint64_t now_ns = (uint64_t) store->txn.boot_ns;
    store->runs.count = 0;
    for (const mls__sql_claimer *at = store->claimers; at; at = at->next)
        if (are_pooled(claimer, at) && !note_runs(store, at))
            return now_ns;
    return store->rules->expected_start_ns(&claimer->capacity, &claimer->aside, store->runs.data,
                                           store->runs.count, now_ns);
}

bool mls__sql_set_aside(mls__sql_store *store, mls__sql_claimer *claimer, const mls__sql_lane *lane)
{
    claimer->has_aside = lane != NULL;
    claimer->aside = lane ? needs_of(store, claimer, lane) : nothing;
    claimer->start_ns = lane ? expect_start(store, claimer) : 0;
    return !store->txn.status;
}

static mls__sql_claimer *find_claimer(const mls__sql_store *store, int64_t id)
{
    mls__sql_claimer *claimer = store->claimers;
    while (claimer && claimer->id != id)
        claimer = claimer->next;
    return claimer;
}

static bool count_lane(mls__sql_store *store, sqlite3_stmt *count)
{
    mls__sql_claimer *claimer = find_claimer(store, sqlite3_column_int64(count, 0));
    const mls__sql_lane *lane = mls__sql_lane_of(store, sqlite3_column_int64(count, 1));
    if (claimer && lane && lane->takes_room)
        add(store, claimer, lane, sqlite3_column_int64(count, 2));
    return lane != NULL;
}

bool mls__sql_room_recount(mls__sql_store *store)
{
    sqlite3_stmt *count = mls__sql_prepare(store, MLS__SQL_ROOM_COUNT);
    if (!count)
        return false;
    for (mls__sql_claimer *claimer = store->claimers; claimer; claimer = claimer->next) {
        claimer->used = nothing;
        claimer->is_offered = false; /* perhaps it was rolled back */
    }
    sqlite3_bind_int64(count, 1, store->member);
    while (mls__sql_step(store, count) == SQLITE_ROW)
        if (!count_lane(store, count))
            break;
    sqlite3_reset(count);
    store->room_is_stale = store->txn.status != MLS_OK;
    return !store->txn.status;
}

void mls__sql_room_take(const mls__sql_store *store, mls__sql_claimer *claimer,
                        const mls__sql_lane *lane)
{
    add(store, claimer, lane, 1);
}

void mls__sql_room_give(mls__sql_store *store, const mls__sql_row *row)
{
    mls__sql_claimer *claimer =
        row->member == store->member ? find_claimer(store, row->claimer) : NULL;
    if (!claimer)
        return;
    add(store, claimer, row->lane, -1);
    store->txn.is_ready_news |= claimer->has_capacity;
}

/* Others may be in another process, where it is not known what we set aside. */
void mls__sql_room_left(mls__sql_store *store)
{
    store->txn.news |= MLS__SQL_NEWS_READY;
    for (const mls__sql_claimer *claimer = store->claimers; claimer; claimer = claimer->next)
        store->txn.is_ready_news |= claimer->has_aside;
}

/* Offers */

/* In a transaction of its claims: opening it shall not depend on what the disk can do. */
bool mls__sql_offer(mls__sql_store *store, mls__sql_claimer *claimer)
{
    const mls_resources *capacity = claimer->has_capacity ? &claimer->capacity : &everything;
    sqlite3_stmt *statement = mls__sql_prepare(store, MLS__SQL_OFFER_ADD);
    if (!statement)
        return false;
    sqlite3_bind_int64(statement, 1, store->member);
    sqlite3_bind_int64(statement, 2, claimer->id);
    sqlite3_bind_text(statement, 3, claimer->served.name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 4, capacity->cpu_milli);
    sqlite3_bind_int64(statement, 5, capacity->memory_bytes);
    sqlite3_bind_int64(statement, 6, capacity->gpus);
    claimer->is_offered = claimer->was_offered = true;
    return mls__sql_run(store, statement);
}

typedef struct offer_op {
    mls__sql_op op; /* first: they share an address */
    int64_t claimer;
} offer_op;

static mls_status run_offer_end(mls__sql_store *store, mls__sql_op *op)
{
    sqlite3_stmt *statement = mls__sql_prepare(store, MLS__SQL_OFFER_DELETE);
    if (!statement)
        return store->txn.status;
    sqlite3_bind_int64(statement, 1, store->member);
    sqlite3_bind_int64(statement, 2, ((offer_op *) (void *) op)->claimer);
    mls__sql_run(store, statement);
    return store->txn.status;
}

/* One that cannot be taken back goes with its process. */
static void end_offer_end(mls__sql_store *store, mls__sql_op *op)
{
    mls__free(&store->context->allocator, op);
}

mls__sql_op *mls__sql_offer_end_create(const mls__sql_store *store, int64_t claimer)
{
    static const mls__sql_kind kind = {.run = run_offer_end, .end = end_offer_end};
    offer_op *end = mls__alloc_array(&store->context->allocator, 1, sizeof *end);
    if (!end)
        return NULL;
    end->op.kind = &kind;
    end->claimer = claimer;
    return &end->op;
}

/* Nobody waits for that: to stop a claimer shall not depend on what the disk can do. */
void mls__sql_offer_end(mls__sql_store *store, mls__sql_claimer *claimer)
{
    if (!claimer->was_offered)
        return;
    mls__sql_op *end = claimer->offer_end;
    claimer->is_offered = claimer->was_offered = false;
    claimer->offer_end = NULL;
    mls__sql_push(store, end);
}

/* Looking */

typedef struct shown_offer {
    mls_queue_offer offer;
    char name[MLS_JOB_NAME_MAX + 1];
} shown_offer;

typedef struct look_op {
    mls__sql_op op; /* first: they share an address */
    mls__vec offers;
} look_op;

/* Copies them for the thread that asked. It may run again, after a rollback. */
static mls_status run_look(mls__sql_store *store, mls__sql_op *op)
{
    look_op *look = (look_op *) (void *) op;
    sqlite3_stmt *list = mls__sql_prepare(store, MLS__SQL_OFFERS);
    mls__vec_clear(&look->offers);
    while (list && mls__sql_step(store, list) == SQLITE_ROW) {
        shown_offer *shown = mls__vec_push(&look->offers);
        if (!shown) {
            sqlite3_reset(list);
            return mls__error_nomem(look->offers.count * sizeof *shown);
        }
        const char *name = (const char *) sqlite3_column_text(list, 0);
        strncpy(shown->name, name ? name : "", sizeof shown->name - 1);
        shown->name[sizeof shown->name - 1] = '\0';
        shown->offer = (mls_queue_offer){.size = sizeof shown->offer,
                                         .capacity = {sqlite3_column_int64(list, 1),
                                                      sqlite3_column_int64(list, 2),
                                                      sqlite3_column_int64(list, 3)}};
    }
    return store->txn.status;
}

mls_status mls__sql_visit_offers(void *self, mls_queue_offer_fn visit, void *user)
{
    static const mls__sql_kind kind = {.run = run_look};
    mls__sql_store *store = self;
    look_op look = {.op = {.kind = &kind}};
    mls__vec_init(&look.offers, &store->context->allocator, sizeof(shown_offer));
    const mls_status status = mls__sql_call(store, &look.op);
    for (size_t i = 0; !status && i < look.offers.count; i++) {
        shown_offer *shown = mls__vec_at(&look.offers, i);
        shown->offer.name = shown->name; /* now that the list does not move any more */
        visit(user, &shown->offer);
    }
    mls__vec_clear(&look.offers);
    return status;
}
