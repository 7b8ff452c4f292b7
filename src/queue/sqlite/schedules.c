/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules: rows by the time of their next firing, which the transaction that finds it come
 * submits and moves on. Where there are some, as a counter that is read with every transaction
 * says, every process that has the file open wakes for the earliest; the first of them fires.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#define MOST_FIRINGS 32 /* of schedules in one look: a transaction takes no minutes */

/* A row as it is read; pointers are into the statement. */
typedef struct row {
    int64_t id;
    mls_schedule s;
    mls_job_options job;
} row;

/* Where the columns begin, of which the payload is the last. */
enum { NUMBERS_AT = 1 + MLS__SCHEDULE_TEXTS, PAYLOAD_AT = NUMBERS_AT + MLS__SCHEDULE_NUMBERS };

/* false: the row is damaged. */
static bool read_row(sqlite3_stmt *from, row *r)
{
    mls__schedule_columns c = {.payload = NULL};
    r->id = sqlite3_column_int64(from, 0);
    for (int i = 0; i < MLS__SCHEDULE_TEXTS; i++)
        c.texts[i] = (const char *) sqlite3_column_text(from, 1 + i);
    for (int i = 0; i < MLS__SCHEDULE_NUMBERS; i++)
        c.numbers[i] = sqlite3_column_int64(from, NUMBERS_AT + i);
    if (sqlite3_column_type(from, PAYLOAD_AT) != SQLITE_NULL) {
        c.payload_bytes = (size_t) sqlite3_column_bytes(from, PAYLOAD_AT);
        c.payload = sqlite3_column_blob(from, PAYLOAD_AT);
        c.payload = c.payload ? c.payload : "";
    }
    return mls__schedule_unpack(&c, &r->s, &r->job);
}

void mls__sql_schedules_free(mls__sql_store *store)
{
    mls__schedule_pauses_free(store->host, &store->schedule_pauses);
}

void mls__sql_schedules_changed(mls__sql_store *store)
{
    store->schedule_pauses.count = 0;
}

/* Until when this process leaves the schedule alone whose name is there; 0: it does not. */
static int64_t paused_until_ms(const mls__sql_store *store, sqlite3_stmt *at, int column)
{
    const char *name = (const char *) sqlite3_column_text(at, column);
    const mls__schedule_pause *pause =
        name ? mls__schedule_pauses_find(&store->schedule_pauses, name) : NULL;
    return pause ? pause->until_ms : 0;
}

/* Firing */

static bool move_on(mls__sql_store *store, int64_t id, int64_t next_ms, int64_t last_ms)
{
    sqlite3_stmt *move = mls__sql_prepare(store, MLS__SQL_SCHEDULE_MOVE);
    if (!move)
        return false;
    sqlite3_bind_int64(move, 1, id);
    sqlite3_bind_int64(move, 2, next_ms);
    sqlite3_bind_int64(move, 3, last_ms);
    return mls__sql_run(store, move);
}

static mls_status submit(void *user, const mls_queue_item *item)
{
    return mls__sql_submit_now(user, item);
}

/* Fires one that is due, of which this is a copy. false: the transaction failed. */
static bool fire(mls__sql_store *store, int64_t id, mls_schedule *s)
{
    const int64_t next_ms = s->next_ms, last_ms = s->last_ms, now_ms = store->txn.now_ms;
    const mls_status status =
        mls__schedule_go_off(store->host, store->rules, s, now_ms, submit, store);
    if (store->txn.status)
        return false;
    if (status)
        mls__schedule_say(store->host, store->path, status);
    if ((s->next_ms != next_ms || s->last_ms != last_ms) &&
        !move_on(store, id, s->next_ms, s->last_ms))
        return false;
    if (status && mls__schedule_may_pass(status) &&
        !mls__schedule_pauses_add(store->host, &store->schedule_pauses, s->name, now_ms))
        mls__sql_fail(store, mls__error_nomem(sizeof(mls__schedule_pause)));
    return !store->txn.status;
}

/* Where a look is, in the order of what is due. */
typedef struct cursor {
    int64_t next_ms, id;
} cursor;

static bool fire_row(mls__sql_store *store, int64_t id, bool is_whole, mls_schedule *copy)
{
    if (!is_whole) {
        mls__error(MLS_EFORMAT, "the row of schedule %lld is damaged", (long long) id);
        mls__schedule_say(store->host, store->path, MLS_EINVAL);
        return move_on(store, id, INT64_MAX, 0);
    }
    if (!copy) {
        mls__sql_fail(store, mls__error_nomem(sizeof *copy));
        return false;
    }
    return fire(store, id, copy);
}

/* Fires what is due behind `at`. 1: it did, or could not; 0: none is due; -1: failed. */
static int fire_next(mls__sql_store *store, cursor *at)
{
    row r = {0};
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_SCHEDULE_DUE);
    if (!find)
        return -1;
    sqlite3_bind_int64(find, 1, store->txn.now_ms);
    sqlite3_bind_int64(find, 2, at->next_ms);
    sqlite3_bind_int64(find, 3, at->id);
    int code;
    while ((code = mls__sql_step(store, find)) == SQLITE_ROW)
        if (!paused_until_ms(store, find, 1))
            break;
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? 0 : -1;
    const bool is_whole = read_row(find, &r);
    *at = (cursor){sqlite3_column_int64(find, NUMBERS_AT + 1), r.id};
    mls_schedule *copy = is_whole ? store->rules->schedule_copy(store->host, &r.s) : NULL;
    sqlite3_reset(find);
    const bool is_good = fire_row(store, r.id, is_whole, copy);
    if (copy)
        store->host->free(store->host->context, copy);
    return is_good ? 1 : -1;
}

bool mls__sql_schedules_tick(mls__sql_store *store)
{
    cursor at = {INT64_MIN, INT64_MIN};
    int fired = store->txn.meta.schedules ? 1 : 0;
    mls__schedule_pauses_look(&store->schedule_pauses, store->txn.now_ms);
    for (int i = 0; fired > 0 && i < MOST_FIRINGS; i++)
        fired = fire_next(store, &at);
    return fired >= 0;
}

bool mls__sql_schedules_find_next(mls__sql_store *store)
{
    int64_t next_ms = INT64_MAX;
    store->next_schedule_ms = 0;
    if (!store->txn.meta.schedules)
        return true;
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_SCHEDULE_NEXT);
    if (!find)
        return false;
    /* Those that are paused, and the first that is not. */
    bool is_paused = true;
    while (is_paused && mls__sql_step(store, find) == SQLITE_ROW) {
        const int64_t until_ms = paused_until_ms(store, find, 0);
        const int64_t at_ms = until_ms ? until_ms : sqlite3_column_int64(find, 1);
        next_ms = at_ms < next_ms ? at_ms : next_ms;
        is_paused = until_ms != 0;
    }
    sqlite3_reset(find);
    store->next_schedule_ms = next_ms < INT64_MAX ? next_ms : 0;
    return !store->txn.status;
}

/* Setting */

typedef struct schedule_op {
    mls__sql_op op; /* first: they share an address */
    const mls_schedule *s;
    const char *name;
} schedule_op;

static void bind_row(sqlite3_stmt *to, const mls_schedule *s)
{
    const mls__schedule_columns c = mls__schedule_pack(s);
    for (int i = 0; i < MLS__SCHEDULE_TEXTS; i++)
        sqlite3_bind_text(to, 1 + i, c.texts[i], -1, SQLITE_STATIC);
    for (int i = 0; i < MLS__SCHEDULE_NUMBERS; i++)
        sqlite3_bind_int64(to, NUMBERS_AT + i, c.numbers[i]);
    if (c.payload)
        sqlite3_bind_blob(to, PAYLOAD_AT, c.payload, (int) c.payload_bytes, SQLITE_STATIC);
    else
        sqlite3_bind_null(to, PAYLOAD_AT);
}

/* How many there are is read with each transaction. */
static bool count(mls__sql_store *store)
{
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_SCHEDULE_COUNT);
    if (!find || mls__sql_step(store, find) != SQLITE_ROW)
        return false;
    store->txn.meta.schedules = sqlite3_column_int64(find, 0);
    store->txn.meta_is_dirty = true;
    store->txn.news |= MLS__SQL_NEWS_SCHEDULE;
    sqlite3_reset(find);
    mls__sql_schedules_changed(store);
    return true;
}

static mls_status run_set(mls__sql_store *store, mls__sql_op *op)
{
    const mls_schedule *s = ((schedule_op *) (void *) op)->s;
    const mls_job_options *o = s->job;
    mls__sql_lane *lane;
    const mls_status status = mls__sql_lane_make(store, o->queue, o->type, o->tenant,
                                                 o->batch_key[0] != '\0', &o->needs, &lane);
    sqlite3_stmt *set = status ? NULL : mls__sql_prepare(store, MLS__SQL_SCHEDULE_SET);
    if (status || !set)
        return status ? status : store->txn.status;
    bind_row(set, s);
    return mls__sql_run(store, set) && count(store) ? MLS_OK : store->txn.status;
}

mls_status mls__sql_set_schedule(void *self, const mls_schedule *schedule)
{
    static const mls__sql_kind kind = {.run = run_set};
    schedule_op set = {.op = {.kind = &kind, .must_sync = true}, .s = schedule};
    return mls__sql_call(self, &set.op);
}

static mls_status run_remove(mls__sql_store *store, mls__sql_op *op)
{
    const char *name = ((schedule_op *) (void *) op)->name;
    sqlite3_stmt *drop = mls__sql_prepare(store, MLS__SQL_SCHEDULE_DELETE);
    if (!drop)
        return store->txn.status;
    sqlite3_bind_text(drop, 1, name, -1, SQLITE_STATIC);
    if (!mls__sql_run(store, drop))
        return store->txn.status;
    if (sqlite3_changes(store->db) == 0)
        return mls__error(MLS_ENOTFOUND, "there is no schedule '%s'", name);
    return count(store) ? MLS_OK : store->txn.status;
}

mls_status mls__sql_remove_schedule(void *self, const char *name)
{
    static const mls__sql_kind kind = {.run = run_remove};
    schedule_op remove = {.op = {.kind = &kind, .must_sync = true}, .name = name};
    return mls__sql_call(self, &remove.op);
}

/* Looking */

typedef struct look_op {
    mls__sql_op op; /* first: they share an address */
    mls__schedule_list shown;
} look_op;

/* Copies them for the thread that asked. It may run again, after a rollback. */
static mls_status run_look(mls__sql_store *store, mls__sql_op *op)
{
    look_op *look = (look_op *) (void *) op;
    mls_status status = MLS_OK;
    row r;
    mls__schedule_list_free(store->host, &look->shown);
    sqlite3_stmt *list = mls__sql_prepare(store, MLS__SQL_SCHEDULES);
    if (!list)
        return store->txn.status;
    while (!status && mls__sql_step(store, list) == SQLITE_ROW)
        if (read_row(list, &r) && /* of a damaged one the log tells when it is due */
            !mls__schedule_list_add(store->host, store->rules, &look->shown, &r.s))
            status = mls__error_nomem(sizeof r);
    sqlite3_reset(list);
    return status ? status : store->txn.status;
}

mls_status mls__sql_visit_schedules(void *self, mls_schedule_fn visit, void *user)
{
    static const mls__sql_kind kind = {.run = run_look};
    mls__sql_store *store = self;
    look_op look = {.op = {.kind = &kind}};
    const mls_status status = mls__sql_call(store, &look.op);
    for (size_t i = 0; !status && i < look.shown.count; i++)
        visit(user, look.shown.list[i]);
    mls__schedule_list_free(store->host, &look.shown);
    return status;
}
