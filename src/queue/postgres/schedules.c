/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules: rows by the time of their next firing, which each transaction's begin reads, busy
 * or idle. The first that finds it come has its row locked, submits and moves it on in one
 * transaction; who comes then waits for that, and finds it done.
 *
 * One whose zone cannot be read on this host stays as it is, for others to fire: only this
 * process passes over it, for a minute at a time.
 */
#include "queue/postgres/postgres.h"

#define MOST_FIRINGS 32  /* of schedules in one look: a transaction takes no minutes */
#define POLL_MS      500 /* where one that is passed over is due */

/* Reads a row, in the order of columns. false: it is damaged. */
static bool read_row(const PGresult *result, int at, mls_schedule *ret_schedule,
                     mls_job_options *ret_job)
{
    const int payload_at = MLS__SCHEDULE_TEXTS + MLS__SCHEDULE_NUMBERS;
    const mls__pg_bytes payload = mls__pg_bytes_at(result, at, payload_at);
    mls__schedule_columns c = {.payload = payload.data, .payload_bytes = payload.size};
    for (int i = 0; i < MLS__SCHEDULE_TEXTS; i++)
        c.texts[i] = PQgetvalue(result, at, i);
    for (int i = 0; i < MLS__SCHEDULE_NUMBERS; i++)
        c.numbers[i] = mls__pg_number(result, at, MLS__SCHEDULE_TEXTS + i);
    return mls__schedule_unpack(&c, ret_schedule, ret_job);
}

/* Names of those that this process passes over. */
static void add_paused(mls__pg_store *store, mls__pg_parameters *p)
{
    const mls__schedule_pauses *pauses = &store->pauses;
    mls__pg_buffer *names = mls__pg_begin_array(store, p, true, pauses->count);
    for (size_t i = 0; i < pauses->count; i++)
        mls__pg_put_text(store, names, pauses->list[i].name);
}

/* Firing */

static bool move_on(mls__pg_store *store, const char *name, int64_t next_ms, int64_t last_ms)
{
    mls__pg_parameters p = {0};
    mls__pg_add_text(&p, name);
    mls__pg_add_number(&p, next_ms);
    mls__pg_add_number(&p, last_ms);
    store->txn.is_writing = store->txn.must_sync = true;
    return mls__pg_run_none(store, MLS__PG_SCHEDULE_MOVE, &p);
}

static mls_status submit(void *user, const mls_queue_item *item)
{
    return mls__pg_submit_now(user, item);
}

/* Fires one that is due. false: the transaction failed. */
static bool fire(mls__pg_store *store, mls_schedule *s)
{
    const int64_t next_ms = s->next_ms, last_ms = s->last_ms, now_ms = mls__pg_now_ms(store);
    const mls_status status =
        mls__schedule_go_off(store->host, store->rules, s, now_ms, submit, store);
    if (store->txn.status)
        return false;
    if (status)
        mls__schedule_say(store->host, store->schema, status);
    if ((s->next_ms != next_ms || s->last_ms != last_ms) &&
        !move_on(store, s->name, s->next_ms, s->last_ms))
        return false;
    if (status && mls__schedule_may_pass(status) &&
        !mls__schedule_pauses_add(store->host, &store->pauses, s->name, now_ms))
        mls__pg_fail(store, MLS_ENOMEM, "no memory to pause a schedule");
    return !store->txn.status;
}

/* 1: it fired; 0: none is due; -1: the transaction failed. */
static int fire_first(mls__pg_store *store)
{
    mls_schedule s;
    mls_job_options job;
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, mls__pg_now_ms(store));
    add_paused(store, &p);
    PGresult *result = mls__pg_run(store, MLS__PG_SCHEDULE_DUE, &p);
    if (!result)
        return -1;
    const bool is_due = PQntuples(result) == 1;
    bool is_good = true;
    if (is_due && read_row(result, 0, &s, &job)) {
        is_good = fire(store, &s);
    } else if (is_due) {
        const char *name = PQgetvalue(result, 0, 0);
        store->host->error(MLS_EFORMAT, "the row of schedule '%s' is damaged", name);
        mls__schedule_say(store->host, store->schema, MLS_EINVAL);
        is_good = move_on(store, name, INT64_MAX, 0);
    }
    PQclear(result);
    return is_good ? is_due : -1;
}

/* When the next is due, of those that this process does not pass over, or may be tried again. */
static bool find_next(mls__pg_store *store, int64_t again_ms)
{
    mls__pg_parameters p = {0};
    add_paused(store, &p);
    PGresult *result = mls__pg_run(store, MLS__PG_SCHEDULE_NEXT, &p);
    if (!result)
        return false;
    mls__pg_schedules_expect(store, PQntuples(result) ? mls__pg_number(result, 0, 0) : 0);
    PQclear(result);
    if (again_ms && (!store->next_schedule_ms || again_ms < store->next_schedule_ms))
        store->next_schedule_ms = again_ms;
    return true;
}

void mls__pg_schedules_expect(mls__pg_store *store, int64_t next_ms)
{
    const int64_t most_ms = INT64_MAX / 1000; /* in microseconds it is a number too */
    store->next_schedule_ms = next_ms > 0 && next_ms < most_ms ? next_ms : 0;
}

/* What begins read is due for as long as one is passed over: that is looked at now and then. */
static bool was_looked_at(mls__pg_store *store, int64_t now_ms)
{
    const int64_t look_ms = store->look_schedule_ms;
    if (!store->pauses.count || look_ms <= now_ms || look_ms > now_ms + POLL_MS)
        return false;
    store->next_schedule_ms = look_ms;
    return true;
}

bool mls__pg_schedules_tick(mls__pg_store *store)
{
    const int64_t now_ms = mls__pg_now_ms(store);
    if (!store->next_schedule_ms || store->next_schedule_ms > now_ms ||
        was_looked_at(store, now_ms))
        return true;
    mls__schedule_pauses_look(&store->pauses, now_ms);
    int fired = 1;
    for (int i = 0; fired > 0 && i < MOST_FIRINGS; i++)
        fired = fire_first(store);
    if (fired < 0 || !find_next(store, mls__schedule_pauses_look(&store->pauses, now_ms)))
        return false;
    store->look_schedule_ms = now_ms + POLL_MS;
    if (store->next_schedule_ms && store->next_schedule_ms < store->look_schedule_ms)
        store->look_schedule_ms = store->next_schedule_ms;
    return true;
}

/* Setting */

typedef struct schedule_op {
    mls__pg_op op; /* first: they share an address */
    const mls_schedule *s;
    const char *name;
} schedule_op;

static void add_row(mls__pg_parameters *p, const mls_schedule *s)
{
    const mls__schedule_columns c = mls__schedule_pack(s);
    for (int i = 0; i < MLS__SCHEDULE_TEXTS; i++)
        mls__pg_add_text(p, c.texts[i]);
    for (int i = 0; i < MLS__SCHEDULE_NUMBERS; i++)
        mls__pg_add_number(p, c.numbers[i]);
    mls__pg_add_bytes(p, (mls__pg_bytes){c.payload, c.payload_bytes});
}

/* It was worked out by the caller's clock; what counts is the server's. */
static mls_status begin_now(mls__pg_store *store, mls__pg_op *op, mls_schedule *s)
{
    int64_t due_ms[MLS_MISSED_MOST];
    size_t count;
    const mls_status status =
        store->rules->schedule_advance(store->host, s, mls__pg_now_ms(store), due_ms, &count);
    s->last_ms = 0;
    return status ? mls__pg_set_status(op, status, "%s", store->host->error_message()) : MLS_OK;
}

static mls_status run_set(mls__pg_store *store, mls__pg_op *op)
{
    mls_schedule s = *((schedule_op *) (void *) op)->s;
    const mls_status status = begin_now(store, op, &s);
    if (status)
        return status;
    mls__pg_parameters p = {0};
    add_row(&p, &s);
    store->pauses.count = 0; /* who sets one may have mended what was wrong */
    store->txn.is_writing = store->txn.must_sync = true;
    store->txn.news |= MLS__PG_NEWS_SCHEDULE;
    mls__pg_run_none(store, MLS__PG_SCHEDULE_SET, &p);
    if (!store->next_schedule_ms || s.next_ms < store->next_schedule_ms)
        mls__pg_schedules_expect(store, s.next_ms);
    return store->txn.status;
}

mls_status mls__pg_set_schedule(void *self, const mls_schedule *schedule)
{
    static const mls__pg_kind kind = {.run = run_set};
    schedule_op set = {.op = {.kind = &kind,
                              .shares = schedule->job->tenant[0] != '\0',
                              .needs = mls__pg_needs_any(schedule->job)},
                       .s = schedule};
    return mls__pg_call(self, &set.op);
}

static mls_status run_remove(mls__pg_store *store, mls__pg_op *op)
{
    const char *name = ((schedule_op *) (void *) op)->name;
    mls__pg_parameters p = {0};
    mls__pg_add_text(&p, name);
    PGresult *result = mls__pg_run(store, MLS__PG_SCHEDULE_DELETE, &p);
    if (!result)
        return store->txn.status;
    const bool was_there = PQntuples(result) == 1;
    PQclear(result);
    if (!was_there)
        return mls__pg_set_status(op, MLS_ENOTFOUND, "there is no schedule '%s'", name);
    store->txn.is_writing = store->txn.must_sync = true;
    return MLS_OK;
}

mls_status mls__pg_remove_schedule(void *self, const char *name)
{
    static const mls__pg_kind kind = {.run = run_remove};
    schedule_op remove = {.op = {.kind = &kind}, .name = name};
    return mls__pg_call(self, &remove.op);
}

/* Looking */

typedef struct look_op {
    mls__pg_op op; /* first: they share an address */
    mls__schedule_list shown;
} look_op;

/* Copies them for the thread that asked. It may run again, after a rollback. */
static mls_status run_look(mls__pg_store *store, mls__pg_op *op)
{
    look_op *look = (look_op *) (void *) op;
    mls_schedule s;
    mls_job_options job;
    bool is_good = true;
    mls__schedule_list_free(store->host, &look->shown);
    PGresult *result = mls__pg_run(store, MLS__PG_SCHEDULES, NULL);
    for (int i = 0; is_good && result && i < PQntuples(result); i++)
        if (read_row(result, i, &s, &job)) /* of a damaged one the log tells when it is due */
            is_good = mls__schedule_list_add(store->host, store->rules, &look->shown, &s);
    PQclear(result);
    if (!is_good)
        return mls__pg_set_status(op, MLS_ENOMEM, "no memory for the schedules of a queue");
    return store->txn.status;
}

mls_status mls__pg_visit_schedules(void *self, mls_schedule_fn visit, void *user)
{
    static const mls__pg_kind kind = {.run = run_look};
    mls__pg_store *store = self;
    look_op look = {.op = {.kind = &kind}};
    const mls_status status = mls__pg_call(store, &look.op);
    for (size_t i = 0; !status && i < look.shown.count; i++)
        visit(user, look.shown.list[i]);
    mls__schedule_list_free(store->host, &look.shown);
    return status;
}
