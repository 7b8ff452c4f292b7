/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules: rows by the time of their next firing, which the transaction that finds it come
 * submits and moves on. Where there are some, as a counter that is read with every transaction
 * says, every process that has the file open wakes for the earliest; the first of them fires.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"
#include "base/vec.h"

#include <string.h>

#define MOST_FIRINGS 32    /* of schedules in one look: a transaction takes no minutes */
#define PAUSE_MS     60000 /* after what may pass: too many open files, no memory */

/* In the order in which they are stored, from the first on. */
enum { TEXTS = 8, NUMBERS = 11 };

/* A row as it is read; pointers are into the statement. */
typedef struct row {
    int64_t id;
    mls_schedule s;
    mls_job_options job;
} row;

static bool read_texts(sqlite3_stmt *from, row *r)
{
    static const size_t most[TEXTS] = {
        MLS_JOB_NAME_MAX, MLS_SCHEDULE_SOURCE_MAX, MLS_SCHEDULE_CRON_MAX, MLS_SCHEDULE_ZONE_MAX,
        MLS_JOB_NAME_MAX, MLS_JOB_NAME_MAX,        MLS_JOB_KEY_MAX,       MLS_JOB_KEY_MAX};
    const char **const texts[TEXTS] = {&r->s.name,     &r->s.source,     &r->s.cron,
                                       &r->s.zone,     &r->job.type,     &r->job.queue,
                                       &r->job.tenant, &r->job.batch_key};
    for (int i = 0; i < TEXTS; i++) {
        *texts[i] = (const char *) sqlite3_column_text(from, 1 + i);
        if (!*texts[i] || strlen(*texts[i]) > most[i])
            return false;
    }
    return true;
}

/* Whether numbers of the file are such as were stored. */
static bool read_numbers(sqlite3_stmt *from, row *r)
{
    static const struct {
        int64_t least, most;
    } ranges[NUMBERS] = {
        {MLS_MISSED_SKIP, MLS_MISSED_ALL},
        {0, INT64_MAX},
        {0, INT64_MAX},
        {MLS_PRIORITY_LOWEST, MLS_PRIORITY_HIGHEST},
        {1, UINT32_MAX},
        {0, UINT32_MAX},
        {0, UINT32_MAX},
        {0, 100},
        {0, INT64_MAX >> 2},
        {0, MLS_CPU_MILLI_MAX},
        {0, MLS_MEMORY_BYTES_MAX},
    };
    int64_t n[NUMBERS];
    for (int i = 0; i < NUMBERS; i++) {
        n[i] = sqlite3_column_int64(from, 1 + TEXTS + i);
        if (n[i] < ranges[i].least || n[i] > ranges[i].most)
            return false;
    }
    const int64_t gpus = sqlite3_column_int64(from, 1 + TEXTS + NUMBERS);
    r->s.missed = (uint32_t) n[0];
    r->s.next_ms = n[1];
    r->s.last_ms = n[2];
    r->job.priority = (int32_t) n[3];
    r->job.max_attempts = (uint32_t) n[4];
    r->job.backoff_ms = (uint32_t) n[5];
    r->job.backoff_max_ms = (uint32_t) n[6];
    r->job.jitter_percent = (uint32_t) n[7];
    r->job.retention_ms = n[8];
    r->job.needs = (mls_resources){n[9], n[10], gpus};
    return gpus >= 0 && gpus <= MLS_GPUS_MAX;
}

/* false: the row is damaged. */
static bool read_row(sqlite3_stmt *from, row *r)
{
    const int payload = 2 + TEXTS + NUMBERS;
    *r = (row){.s = MLS_SCHEDULE_INIT, .job = MLS_JOB_OPTIONS_INIT};
    r->id = sqlite3_column_int64(from, 0);
    r->s.job = &r->job;
    if (!read_texts(from, r) || !read_numbers(from, r))
        return false;
    if (sqlite3_column_type(from, payload) == SQLITE_NULL)
        return true;
    r->job.payload_bytes = (size_t) sqlite3_column_bytes(from, payload);
    const void *data = sqlite3_column_blob(from, payload);
    r->job.payload = data ? data : "";
    return r->job.payload_bytes <= MLS_SCHEDULE_PAYLOAD_MAX;
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

static void say(const mls__sql_store *store, const char *what)
{
    mls__log(store->context, MLS_LOG_WARNING, "queue '%s': %s%s", store->path, mls_error_message(),
             what);
}

/* It is kept for people to see, and to be set again. */
static bool stop(mls__sql_store *store, int64_t id, int64_t last_ms)
{
    say(store, ": this schedule does not fire any more, until it is set again");
    return move_on(store, id, INT64_MAX, last_ms);
}

static mls_status submit_due(mls__sql_store *store, const mls_schedule *s, const int64_t *due_ms,
                             size_t count)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < count; i++) {
        mls_queue_firing firing;
        store->rules->schedule_fire(s, due_ms[i], &firing);
        status = mls__sql_submit_now(store, &firing.item);
    }
    return status;
}

/* Fires one that is due, of which this is a copy. false: the transaction failed. */
static bool fire(mls__sql_store *store, int64_t id, mls_schedule *s)
{
    int64_t due_ms[MLS_MISSED_MOST];
    size_t count = 0;
    const int64_t last_ms = s->last_ms;
    mls_status status =
        store->rules->schedule_advance(store->host, s, store->txn.now_ms, due_ms, &count);
    if (status == MLS_EIO || status == MLS_ENOMEM) {
        say(store, ": schedules are looked at again in a minute");
        store->schedules_from_ms = store->txn.now_ms + PAUSE_MS;
        return true;
    }
    if (!status)
        status = submit_due(store, s, due_ms, count);
    if (store->txn.status)
        return false;
    return status ? stop(store, id, last_ms) : move_on(store, id, s->next_ms, s->last_ms);
}

/* 1: it fired; 0: none is due; -1: the transaction failed. */
static int fire_first(mls__sql_store *store)
{
    row r;
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_SCHEDULE_DUE);
    if (!find)
        return -1;
    sqlite3_bind_int64(find, 1, store->txn.now_ms);
    const int code = mls__sql_step(store, find);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? 0 : -1;
    const bool is_whole = read_row(find, &r);
    mls_schedule *copy = is_whole ? store->rules->schedule_copy(store->host, &r.s) : NULL;
    sqlite3_reset(find);
    if (!is_whole) {
        mls__error(MLS_EFORMAT, "the row of schedule %lld is damaged", (long long) r.id);
        return stop(store, r.id, 0) ? 1 : -1;
    }
    if (!copy) {
        mls__sql_fail(store, mls__error_nomem(sizeof r));
        return -1;
    }
    const bool is_good = fire(store, r.id, copy);
    store->host->free(store->host->context, copy);
    return is_good ? 1 : -1;
}

bool mls__sql_schedules_tick(mls__sql_store *store)
{
    int fired = store->txn.meta.schedules ? 1 : 0;
    for (int i = 0; fired > 0 && i < MOST_FIRINGS; i++) {
        /* A clock that was set back does not make it longer than that. */
        const int64_t wait_ms = store->schedules_from_ms - store->txn.now_ms;
        if (wait_ms > 0 && wait_ms <= PAUSE_MS)
            break;
        fired = fire_first(store);
    }
    return fired >= 0;
}

bool mls__sql_schedules_find_next(mls__sql_store *store)
{
    store->next_schedule_ms = 0;
    if (!store->txn.meta.schedules)
        return true;
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_SCHEDULE_NEXT);
    if (!find)
        return false;
    if (mls__sql_step(store, find) == SQLITE_ROW)
        store->next_schedule_ms = sqlite3_column_int64(find, 0);
    sqlite3_reset(find);
    if (store->next_schedule_ms == INT64_MAX)
        store->next_schedule_ms = 0;
    const int64_t wait_ms = store->schedules_from_ms - store->txn.now_ms;
    if (store->next_schedule_ms && wait_ms > 0 && wait_ms <= PAUSE_MS &&
        store->next_schedule_ms < store->schedules_from_ms)
        store->next_schedule_ms = store->schedules_from_ms;
    return !store->txn.status;
}

/* Setting */

typedef struct schedule_op {
    mls__sql_op op; /* first: they share an address */
    const mls_schedule *s;
    const char *name;
} schedule_op;

static void bind_texts(sqlite3_stmt *to, const mls_schedule *s)
{
    const char *const texts[TEXTS] = {s->name,        s->source,        s->cron,
                                      s->zone,        s->job->type,     s->job->queue,
                                      s->job->tenant, s->job->batch_key};
    for (int i = 0; i < TEXTS; i++)
        sqlite3_bind_text(to, 1 + i, texts[i], -1, SQLITE_STATIC);
}

static void bind_numbers(sqlite3_stmt *to, const mls_schedule *s)
{
    const mls_job_options *o = s->job;
    const int64_t numbers[] = {s->missed,
                               s->next_ms,
                               s->last_ms,
                               o->priority,
                               o->max_attempts,
                               o->backoff_ms,
                               o->backoff_max_ms,
                               o->jitter_percent,
                               o->retention_ms,
                               o->needs.cpu_milli,
                               o->needs.memory_bytes,
                               o->needs.gpus};
    for (int i = 0; i < (int) (sizeof numbers / sizeof numbers[0]); i++)
        sqlite3_bind_int64(to, 1 + TEXTS + i, numbers[i]);
    if (o->payload)
        sqlite3_bind_blob(to, 2 + TEXTS + NUMBERS, o->payload, (int) o->payload_bytes,
                          SQLITE_STATIC);
    else
        sqlite3_bind_null(to, 2 + TEXTS + NUMBERS);
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
    bind_texts(set, s);
    bind_numbers(set, s);
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
    mls__sql_op op;     /* first: they share an address */
    mls__vec schedules; /* copies: mls_schedule * */
} look_op;

static void clear(const mls__sql_store *store, look_op *look)
{
    for (size_t i = 0; i < look->schedules.count; i++)
        store->host->free(store->host->context,
                          *(mls_schedule **) mls__vec_at(&look->schedules, i));
    look->schedules.count = 0;
}

static mls_status add(const mls__sql_store *store, look_op *look, const mls_schedule *s)
{
    mls_schedule *copy = store->rules->schedule_copy(store->host, s);
    mls_schedule **place = copy ? mls__vec_push(&look->schedules) : NULL;
    if (place)
        *place = copy;
    else if (copy)
        store->host->free(store->host->context, copy);
    return place ? MLS_OK : mls__error_nomem(sizeof *s);
}

/* Copies them for the thread that asked. It may run again, after a rollback. */
static mls_status run_look(mls__sql_store *store, mls__sql_op *op)
{
    look_op *look = (look_op *) (void *) op;
    mls_status status = MLS_OK;
    row r;
    clear(store, look);
    sqlite3_stmt *list = mls__sql_prepare(store, MLS__SQL_SCHEDULES);
    if (!list)
        return store->txn.status;
    while (!status && mls__sql_step(store, list) == SQLITE_ROW)
        if (read_row(list, &r)) /* of a damaged one the log tells when it is due */
            status = add(store, look, &r.s);
    sqlite3_reset(list);
    return status ? status : store->txn.status;
}

mls_status mls__sql_visit_schedules(void *self, mls_schedule_fn visit, void *user)
{
    static const mls__sql_kind kind = {.run = run_look};
    mls__sql_store *store = self;
    look_op look = {.op = {.kind = &kind}};
    mls__vec_init(&look.schedules, &store->context->allocator, sizeof(mls_schedule *));
    const mls_status status = mls__sql_call(store, &look.op);
    for (size_t i = 0; !status && i < look.schedules.count; i++)
        visit(user, *(mls_schedule **) mls__vec_at(&look.schedules, i));
    clear(store, &look);
    mls__vec_clear(&look.schedules);
    return status;
}
