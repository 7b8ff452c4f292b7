/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables. A queue is a schema of its own, whose name its URL says; several live in
 * one database. Each version has the statements that lead to it from the one before, and
 * all that are missing run in one transaction.
 *
 * Partial indexes hold only what is looked for: the ready jobs in the order of claims,
 * the timers, the claims of each member. Payloads and results have a table of their own,
 * so that claims and ends rewrite short rows only.
 */
#include "queue/postgres/postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const versions[] = {
    "CREATE TABLE meta(one int8 PRIMARY KEY CHECK (one = 1), version int8 NOT NULL);"
    "INSERT INTO meta VALUES (1, 0);"
    "CREATE SEQUENCE job_ids INCREMENT BY 1024;"
    "CREATE SEQUENCE member_ids MAXVALUE 2147483647 CYCLE;"
    "CREATE TABLE jobs("
    " id int8 PRIMARY KEY, state int8 NOT NULL, priority int8 NOT NULL, rank int8 NOT NULL,"
    " epoch int8 NOT NULL DEFAULT 0, attempt int8 NOT NULL DEFAULT 0, max_attempts int8 NOT NULL,"
    " deaths int8 NOT NULL DEFAULT 0, backoff_ms int8 NOT NULL, backoff_max_ms int8 NOT NULL,"
    " jitter_percent int8 NOT NULL, retention_ms int8 NOT NULL, submitted_ms int8 NOT NULL,"
    " run_at_ms int8 NOT NULL, deadline_ms int8 NOT NULL, claimed_ms int8 NOT NULL DEFAULT 0,"
    " ended_ms int8 NOT NULL DEFAULT 0, since_us int8 NOT NULL,"
    " waiting_us int8 NOT NULL DEFAULT 0, running_us int8 NOT NULL DEFAULT 0, timer_ms int8,"
    " member int8, claimer int8 NOT NULL DEFAULT 0, error int8 NOT NULL DEFAULT 0,"
    " queue text NOT NULL, type text NOT NULL, tenant text NOT NULL, key text,"
    " batch_key text NOT NULL, owner text NOT NULL DEFAULT '',"
    " error_text text NOT NULL DEFAULT '', note text NOT NULL DEFAULT '',"
    " progress float8 NOT NULL DEFAULT 0)"
    " WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);"
    "CREATE UNIQUE INDEX jobs_key ON jobs(key) WHERE key IS NOT NULL;"
    "CREATE INDEX jobs_ready ON jobs(priority DESC, rank) WHERE state = 3;"
    "CREATE INDEX jobs_ready_like ON jobs(queue, type, batch_key, priority DESC, rank)"
    " WHERE state = 3;"
    "CREATE INDEX jobs_timer ON jobs(timer_ms) WHERE timer_ms IS NOT NULL;"
    "CREATE INDEX jobs_member ON jobs(member) WHERE member IS NOT NULL;"
    "CREATE TABLE payloads(job int8 NOT NULL, kind int8 NOT NULL, data bytea NOT NULL,"
    " PRIMARY KEY (job, kind)) WITH (autovacuum_vacuum_scale_factor = 0.02);"
    "ALTER TABLE payloads ALTER COLUMN data SET STORAGE EXTERNAL;"
    "CREATE TABLE counts(member int8 NOT NULL, queue text NOT NULL, type text NOT NULL,"
    " counters int8[] NOT NULL, PRIMARY KEY (member, queue, type)) WITH (fillfactor = 50);"
    "CREATE TABLE members(id int8 PRIMARY KEY, server_us int8 NOT NULL, txn int8 NOT NULL)"
    " WITH (fillfactor = 50);"
    "CREATE TABLE waits(job int8 NOT NULL, member int8 NOT NULL, PRIMARY KEY (job, member));",

    /* Blocked jobs and parents of theirs that have not ended; what holds back jobs, '' any. */
    "ALTER TABLE jobs ADD COLUMN children int8 NOT NULL DEFAULT 0;"
    "CREATE TABLE edges(parent int8 NOT NULL, child int8 NOT NULL, flags int8 NOT NULL,"
    " PRIMARY KEY (parent, child)) WITH (autovacuum_vacuum_scale_factor = 0.02);"
    "CREATE INDEX edges_child ON edges(child);"
    "CREATE TABLE rules(queue text NOT NULL, type text NOT NULL, tenant text NOT NULL,"
    " is_paused int8 NOT NULL, max_running int8 NOT NULL, rate_jobs int8 NOT NULL,"
    " burst int8 NOT NULL, rate_ms int8 NOT NULL, bucket_ns int8 NOT NULL,"
    " PRIMARY KEY (queue, type, tenant)) WITH (fillfactor = 50);",

    /* Whose members are, to see from the same machine whether it lives; since when on this line. */
    "ALTER TABLE members ADD COLUMN process text NOT NULL DEFAULT '',"
    " ADD COLUMN came_us int8 NOT NULL DEFAULT 0;",

    /*
     * Tenants take turns: the time of each queue and priority, and who is ahead of it. Groups
     * of ready jobs, so that what is held back is stepped over.
     */
    "ALTER TABLE meta ADD COLUMN shares int8 NOT NULL DEFAULT 0;"
    "UPDATE meta SET shares = EXISTS(SELECT FROM jobs WHERE tenant <> '')::int;"
    "CREATE INDEX jobs_turns ON jobs(priority, queue, tenant, type, rank) WHERE state = 3;"
    "CREATE TABLE turns(queue text NOT NULL, priority int8 NOT NULL, now int8 NOT NULL,"
    " PRIMARY KEY (queue, priority)) WITH (fillfactor = 50);"
    "CREATE TABLE shares(queue text NOT NULL, priority int8 NOT NULL, tenant text NOT NULL,"
    " pass int8 NOT NULL, turn int8 NOT NULL, PRIMARY KEY (queue, priority, tenant))"
    " WITH (fillfactor = 50);"
    "ALTER TABLE rules ADD COLUMN weight int8 NOT NULL DEFAULT 0;",

    /* Jobs that the queue submits by itself; the server's time, for tests to put another there. */
    "CREATE TABLE schedules(name text PRIMARY KEY, source text NOT NULL, cron text NOT NULL,"
    " zone text NOT NULL, type text NOT NULL, queue text NOT NULL, tenant text NOT NULL,"
    " batch_key text NOT NULL, missed int8 NOT NULL, next_ms int8 NOT NULL,"
    " last_ms int8 NOT NULL, priority int8 NOT NULL, max_attempts int8 NOT NULL,"
    " backoff_ms int8 NOT NULL, backoff_max_ms int8 NOT NULL, jitter_percent int8 NOT NULL,"
    " retention_ms int8 NOT NULL, cpu_milli int8 NOT NULL, memory_bytes int8 NOT NULL,"
    " gpus int8 NOT NULL, payload bytea);"
    "CREATE INDEX schedules_next ON schedules(next_ms);"
    "CREATE FUNCTION now_us() RETURNS int8 LANGUAGE sql AS"
    " 'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8';",

    /*
     * What jobs need, by which they are grouped too; what claimers have; what jobs took, by type
     * and what memory they stated to need, and of that the numbers that claims go by.
     */
    "ALTER TABLE meta ADD COLUMN room int8 NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN cpu_milli int8 NOT NULL DEFAULT 0,"
    " ADD COLUMN memory_bytes int8 NOT NULL DEFAULT 0, ADD COLUMN gpus int8 NOT NULL DEFAULT 0,"
    " ADD COLUMN escalations int8 NOT NULL DEFAULT 0;"
    "DROP INDEX jobs_turns;"
    "CREATE INDEX jobs_turns ON jobs(priority, queue, tenant, type, cpu_milli, memory_bytes, gpus,"
    " rank) WHERE state = 3;"
    "CREATE TABLE offers(member int8 NOT NULL, claimer int8 NOT NULL, name text NOT NULL,"
    " cpu_milli int8 NOT NULL, memory_bytes int8 NOT NULL, gpus int8 NOT NULL,"
    " PRIMARY KEY (member, claimer));"
    "CREATE TABLE costs(type text NOT NULL, memory_bytes int8 NOT NULL,"
    " memory_samples int8 NOT NULL, memory_p95 int8 NOT NULL, wall_samples int8 NOT NULL,"
    " wall_p95 int8 NOT NULL, sketches bytea NOT NULL, PRIMARY KEY (type, memory_bytes))"
    " WITH (fillfactor = 50);",

    /* Claims of some types, and of what runs together, walk past no jobs of others. */
    "CREATE INDEX jobs_types ON jobs(type, priority DESC, rank) WHERE state = 3;"
    "DROP INDEX jobs_ready_like;"
    "CREATE INDEX jobs_ready_like ON jobs(queue, type, batch_key, cpu_milli, memory_bytes, gpus,"
    " priority DESC, rank) WHERE state = 3;",

    /* Nor do claims of some queues. */
    "CREATE INDEX jobs_queues ON jobs(queue, priority DESC, rank) WHERE state = 3;",
};

#define VERSION ((int) (sizeof versions / sizeof versions[0]))

/* The first value of the first row, as a number; -1 when there is none or it failed. */
static long query(mls__pg_store *store, const char *sql)
{
    PGresult *result = mls__pg_execute(store, sql);
    if (!result)
        return -1;
    const bool is_there = PQntuples(result) == 1 && !PQgetisnull(result, 0, 0);
    const long value = is_there ? strtol(PQgetvalue(result, 0, 0), NULL, 10) : -1;
    PQclear(result);
    return value;
}

static long find_version(mls__pg_store *store)
{
    const long is_there = query(store, "SELECT (to_regclass('meta') IS NOT NULL)::int");
    return is_there == 1 ? query(store, "SELECT version FROM meta WHERE one = 1") : 0;
}

/* The name was checked to be of a-z, 0-9 and '_'. */
static mls_status create_schema(mls__pg_store *store)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT (to_regnamespace('%s') IS NULL)::int", store->schema);
    const bool is_missing = query(store, sql) == 1;
    if (store->txn.status)
        return store->txn.status;
    if (!store->may_create)
        return mls__pg_fail(store, MLS_ENOTFOUND,
                            "the database has no queue in schema \"%s\"; `mlscale queue init`, or "
                            "the option init=1 of the URL, creates it",
                            store->schema);
    /* One that is there may belong to who cannot make any. */
    snprintf(sql, sizeof sql, "CREATE SCHEMA \"%s\"", store->schema);
    return !is_missing || mls__pg_do(store, sql) ? MLS_OK : store->txn.status;
}

static mls_status migrate(mls__pg_store *store, long version)
{
    char sql[128];
    for (long at = version; at < VERSION; at++)
        if (!mls__pg_do(store, versions[at]))
            return store->txn.status;
    snprintf(sql, sizeof sql, "UPDATE meta SET version = %d WHERE one = 1", VERSION);
    return mls__pg_do(store, sql) ? MLS_OK : store->txn.status;
}

mls_status mls__pg_schema_open(mls__pg_store *store)
{
    long version = find_version(store);
    if (store->txn.status || version == VERSION)
        return store->txn.status;
    /*
     * Two that come at once must not both make it; and who waits for the other has nothing locked
     * that it changes, so it begins anew.
     */
    mls__pg_rollback(store);
    if (mls__pg_begin(store, MLS__PG_BARE) ||
        !mls__pg_do(store, "SELECT pg_advisory_xact_lock(hashtext('mlscale queue schema'))"))
        return store->txn.status;
    version = find_version(store);
    if (store->txn.status || version == VERSION)
        return store->txn.status;
    if (version > VERSION)
        return mls__pg_fail(store, MLS_EUNSUPPORTED,
                            "the queue's schema \"%s\" has version %ld; this library knows "
                            "%d: use a newer library",
                            store->schema, version, VERSION);
    const mls_status status = version == 0 ? create_schema(store) : MLS_OK;
    return status ? status : migrate(store, version > 0 ? version : 0);
}
