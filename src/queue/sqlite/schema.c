/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables, and the steps that turn a file of any older version into one of now. A
 * step is never changed once it was released: a new version is a new row at the end.
 *
 * Jobs have few indexes, since each costs in every change of a state; all of them are
 * partial, so that a job is in those only that concern its present state.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <stdio.h>

const mls__sql_migration mls__sql_migrations[] = {
    {
        "CREATE TABLE meta(one INTEGER PRIMARY KEY CHECK(one = 1), next_id INTEGER NOT NULL,"
        " next_rank INTEGER NOT NULL, next_member INTEGER NOT NULL);"
        "INSERT INTO meta VALUES(1, 1, 1, 1);"

        "CREATE TABLE lanes(id INTEGER PRIMARY KEY, queue TEXT NOT NULL, type TEXT NOT NULL,"
        " is_keyed INTEGER NOT NULL,"
        " scheduled INTEGER NOT NULL DEFAULT 0, blocked INTEGER NOT NULL DEFAULT 0,"
        " ready INTEGER NOT NULL DEFAULT 0, running INTEGER NOT NULL DEFAULT 0,"
        " stopping INTEGER NOT NULL DEFAULT 0, succeeded INTEGER NOT NULL DEFAULT 0,"
        " dead INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0,"
        " sum_submitted INTEGER NOT NULL DEFAULT 0, sum_claimed INTEGER NOT NULL DEFAULT 0,"
        " sum_succeeded INTEGER NOT NULL DEFAULT 0, sum_dead INTEGER NOT NULL DEFAULT 0,"
        " sum_cancelled INTEGER NOT NULL DEFAULT 0, sum_retried INTEGER NOT NULL DEFAULT 0,"
        " sum_released INTEGER NOT NULL DEFAULT 0, sum_stale INTEGER NOT NULL DEFAULT 0,"
        " sum_waiting_ns INTEGER NOT NULL DEFAULT 0, sum_running_ns INTEGER NOT NULL DEFAULT 0,"
        " UNIQUE(queue, type, is_keyed));"

        "CREATE TABLE jobs(id INTEGER PRIMARY KEY, lane INTEGER NOT NULL,"
        " state INTEGER NOT NULL, priority INTEGER NOT NULL, rank INTEGER NOT NULL DEFAULT 0,"
        " epoch INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL DEFAULT 0,"
        " max_attempts INTEGER NOT NULL, deaths INTEGER NOT NULL DEFAULT 0,"
        " backoff_ms INTEGER NOT NULL, backoff_max_ms INTEGER NOT NULL,"
        " jitter_percent INTEGER NOT NULL, retention_ms INTEGER NOT NULL,"
        " submitted_ms INTEGER NOT NULL, run_at_ms INTEGER NOT NULL,"
        " deadline_ms INTEGER NOT NULL, claimed_ms INTEGER NOT NULL DEFAULT 0,"
        " ended_ms INTEGER NOT NULL DEFAULT 0, since_ns INTEGER NOT NULL,"
        " waiting_ns INTEGER NOT NULL DEFAULT 0, running_ns INTEGER NOT NULL DEFAULT 0,"
        " timer_ms INTEGER, member INTEGER, claimer INTEGER NOT NULL DEFAULT 0, owner TEXT,"
        " key TEXT, tenant TEXT, batch_key TEXT,"
        " payload_at INTEGER NOT NULL, payload BLOB, payload_bytes INTEGER NOT NULL,"
        " result_at INTEGER NOT NULL DEFAULT 0, result BLOB,"
        " result_bytes INTEGER NOT NULL DEFAULT 0,"
        " error INTEGER NOT NULL DEFAULT 0, error_text TEXT,"
        " progress REAL NOT NULL DEFAULT 0, note TEXT);"
        "CREATE INDEX jobs_ready ON jobs(lane, priority DESC, rank) WHERE state = 3;"
        "CREATE INDEX jobs_batch ON jobs(lane, batch_key, priority DESC, rank)"
        " WHERE state = 3 AND batch_key IS NOT NULL;"
        "CREATE INDEX jobs_running ON jobs(member) WHERE member IS NOT NULL;"
        "CREATE INDEX jobs_timer ON jobs(timer_ms) WHERE timer_ms IS NOT NULL;"
        "CREATE UNIQUE INDEX jobs_key ON jobs(key) WHERE key IS NOT NULL;"

        /* Payloads (2 * job) and results (2 * job + 1) that are too large for the job's row. */
        "CREATE TABLE blobs(id INTEGER PRIMARY KEY, data BLOB NOT NULL);"

        "CREATE TABLE segments(hash BLOB PRIMARY KEY, refs INTEGER NOT NULL) WITHOUT ROWID;"
        "CREATE INDEX segments_garbage ON segments(hash) WHERE refs <= 0;"

        /* Processes that have the file open, and jobs whose end they wait for. */
        "CREATE TABLE members(id INTEGER PRIMARY KEY, slot INTEGER NOT NULL, boot TEXT NOT NULL);"
        "CREATE TABLE waits(job INTEGER NOT NULL, member INTEGER NOT NULL,"
        " PRIMARY KEY(job, member)) WITHOUT ROWID;",
    },
    {
        /* Blocked jobs and parents of theirs that have not ended, or (parent_state) just have. */
        "ALTER TABLE meta ADD COLUMN edges INTEGER NOT NULL DEFAULT 0;"
        "CREATE TABLE edges(parent INTEGER NOT NULL, child INTEGER NOT NULL,"
        " flags INTEGER NOT NULL, parent_state INTEGER, PRIMARY KEY(parent, child)) WITHOUT ROWID;"
        "CREATE INDEX edges_child ON edges(child);"
        "CREATE INDEX edges_ended ON edges(parent) WHERE parent_state IS NOT NULL;",
    },
    {
        /* What holds back ready jobs; '' is any. */
        "ALTER TABLE meta ADD COLUMN rules INTEGER NOT NULL DEFAULT 0;"
        "CREATE TABLE rules(queue TEXT NOT NULL, type TEXT NOT NULL,"
        " is_paused INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(queue, type)) WITHOUT ROWID;",
    },
    {
        /* Tenants that rules name have lanes of their own; rules have limits. */
        "CREATE TABLE lanes_new(id INTEGER PRIMARY KEY, queue TEXT NOT NULL, type TEXT NOT NULL,"
        " is_keyed INTEGER NOT NULL,"
        " scheduled INTEGER NOT NULL DEFAULT 0, blocked INTEGER NOT NULL DEFAULT 0,"
        " ready INTEGER NOT NULL DEFAULT 0, running INTEGER NOT NULL DEFAULT 0,"
        " stopping INTEGER NOT NULL DEFAULT 0, succeeded INTEGER NOT NULL DEFAULT 0,"
        " dead INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0,"
        " sum_submitted INTEGER NOT NULL DEFAULT 0, sum_claimed INTEGER NOT NULL DEFAULT 0,"
        " sum_succeeded INTEGER NOT NULL DEFAULT 0, sum_dead INTEGER NOT NULL DEFAULT 0,"
        " sum_cancelled INTEGER NOT NULL DEFAULT 0, sum_retried INTEGER NOT NULL DEFAULT 0,"
        " sum_released INTEGER NOT NULL DEFAULT 0, sum_stale INTEGER NOT NULL DEFAULT 0,"
        " sum_waiting_ns INTEGER NOT NULL DEFAULT 0, sum_running_ns INTEGER NOT NULL DEFAULT 0,"
        " tenant TEXT NOT NULL DEFAULT '', UNIQUE(queue, type, is_keyed, tenant));"
        "INSERT INTO lanes_new SELECT *, '' FROM lanes;"
        "DROP TABLE lanes; ALTER TABLE lanes_new RENAME TO lanes;"

        "CREATE TABLE rules_new(queue TEXT NOT NULL, type TEXT NOT NULL, tenant TEXT NOT NULL,"
        " is_paused INTEGER NOT NULL DEFAULT 0, max_running INTEGER NOT NULL DEFAULT 0,"
        " rate_jobs INTEGER NOT NULL DEFAULT 0, burst INTEGER NOT NULL DEFAULT 0,"
        " rate_ms INTEGER NOT NULL DEFAULT 0, running INTEGER NOT NULL DEFAULT 0,"
        " bucket_ns INTEGER NOT NULL DEFAULT 0,"
        " PRIMARY KEY(queue, type, tenant)) WITHOUT ROWID;"
        "INSERT INTO rules_new(queue, type, tenant, is_paused, running)"
        " SELECT queue, type, '', is_paused, (SELECT ifnull(sum(running + stopping), 0) FROM lanes"
        " WHERE rules.queue IN ('', lanes.queue) AND rules.type IN ('', lanes.type)) FROM rules;"
        "DROP TABLE rules; ALTER TABLE rules_new RENAME TO rules;",
    },
    {
        /* Jobs of other needs have lanes of their own; what claimers offer. */
        "CREATE TABLE lanes_new(id INTEGER PRIMARY KEY, queue TEXT NOT NULL, type TEXT NOT NULL,"
        " is_keyed INTEGER NOT NULL,"
        " scheduled INTEGER NOT NULL DEFAULT 0, blocked INTEGER NOT NULL DEFAULT 0,"
        " ready INTEGER NOT NULL DEFAULT 0, running INTEGER NOT NULL DEFAULT 0,"
        " stopping INTEGER NOT NULL DEFAULT 0, succeeded INTEGER NOT NULL DEFAULT 0,"
        " dead INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0,"
        " sum_submitted INTEGER NOT NULL DEFAULT 0, sum_claimed INTEGER NOT NULL DEFAULT 0,"
        " sum_succeeded INTEGER NOT NULL DEFAULT 0, sum_dead INTEGER NOT NULL DEFAULT 0,"
        " sum_cancelled INTEGER NOT NULL DEFAULT 0, sum_retried INTEGER NOT NULL DEFAULT 0,"
        " sum_released INTEGER NOT NULL DEFAULT 0, sum_stale INTEGER NOT NULL DEFAULT 0,"
        " sum_waiting_ns INTEGER NOT NULL DEFAULT 0, sum_running_ns INTEGER NOT NULL DEFAULT 0,"
        " tenant TEXT NOT NULL DEFAULT '', cpu_milli INTEGER NOT NULL DEFAULT 0,"
        " memory_bytes INTEGER NOT NULL DEFAULT 0, gpus INTEGER NOT NULL DEFAULT 0,"
        " UNIQUE(queue, type, is_keyed, tenant, cpu_milli, memory_bytes, gpus));"
        "INSERT INTO lanes_new SELECT *, 0, 0, 0 FROM lanes;"
        "DROP TABLE lanes; ALTER TABLE lanes_new RENAME TO lanes;"
        "CREATE TABLE offers(member INTEGER NOT NULL, claimer INTEGER NOT NULL,"
        " name TEXT NOT NULL, cpu_milli INTEGER NOT NULL, memory_bytes INTEGER NOT NULL,"
        " gpus INTEGER NOT NULL, PRIMARY KEY(member, claimer)) WITHOUT ROWID;",
    },
    {
        /* Jobs that ran out of memory. */
        "ALTER TABLE jobs ADD COLUMN escalations INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE lanes ADD COLUMN sum_escalated INTEGER NOT NULL DEFAULT 0;",
    },
    {
        /* What jobs took, by type and what memory they stated to need. */
        "CREATE TABLE costs(type TEXT NOT NULL, memory_bytes INTEGER NOT NULL,"
        " sketches BLOB NOT NULL, PRIMARY KEY(type, memory_bytes)) WITHOUT ROWID;",
    },
    {
        /* Tenants take turns: the time of each queue and priority, and who is ahead of it. */
        "ALTER TABLE meta ADD COLUMN shares INTEGER NOT NULL DEFAULT 0;"
        "UPDATE meta SET shares = EXISTS(SELECT 1 FROM jobs WHERE tenant IS NOT NULL);"
        "DROP INDEX jobs_ready;"
        "CREATE INDEX jobs_ready ON jobs(lane, priority DESC, tenant, rank) WHERE state = 3;"
        "CREATE TABLE turns(queue TEXT NOT NULL, priority INTEGER NOT NULL, now INTEGER NOT NULL,"
        " PRIMARY KEY(queue, priority)) WITHOUT ROWID;"
        "CREATE TABLE shares(queue TEXT NOT NULL, priority INTEGER NOT NULL, tenant TEXT NOT NULL,"
        " pass INTEGER NOT NULL, turn INTEGER NOT NULL, PRIMARY KEY(queue, priority, tenant))"
        " WITHOUT ROWID;"
        "ALTER TABLE rules ADD COLUMN weight INTEGER NOT NULL DEFAULT 0;",
    },
    {
        /* Jobs that the queue submits by itself. */
        "ALTER TABLE meta ADD COLUMN schedules INTEGER NOT NULL DEFAULT 0;"
        "CREATE TABLE schedules(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
        " source TEXT NOT NULL, cron TEXT NOT NULL, zone TEXT NOT NULL, type TEXT NOT NULL,"
        " queue TEXT NOT NULL, tenant TEXT NOT NULL, batch_key TEXT NOT NULL,"
        " missed INTEGER NOT NULL, next_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,"
        " priority INTEGER NOT NULL, max_attempts INTEGER NOT NULL, backoff_ms INTEGER NOT NULL,"
        " backoff_max_ms INTEGER NOT NULL, jitter_percent INTEGER NOT NULL,"
        " retention_ms INTEGER NOT NULL, cpu_milli INTEGER NOT NULL,"
        " memory_bytes INTEGER NOT NULL, gpus INTEGER NOT NULL, payload BLOB);"
        "CREATE INDEX schedules_next ON schedules(next_ms);",
    },
};
const int mls__sql_version = sizeof mls__sql_migrations / sizeof mls__sql_migrations[0];

/* One number of a pragma. */
static mls_status read_number(sqlite3 *db, const char *sql, int64_t *ret_value)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *ret_value = sqlite3_column_int64(statement, 0);
    const mls_status status =
        code == SQLITE_ROW ? MLS_OK : mls__sql_error(db, code, "reading what kind of file it is");
    sqlite3_finalize(statement);
    return status;
}

/* A file without our mark must have nothing in it. */
mls_status mls__sql_check_owner(sqlite3 *db)
{
    int64_t application, version, tables;
    mls_status status = read_number(db, "PRAGMA application_id", &application);
    if (!status)
        status = read_number(db, "PRAGMA user_version", &version);
    if (!status)
        status = read_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (status || application == MLS__SQL_APPLICATION)
        return status;
    if (application == 0 && tables == 0 && version == 0)
        return MLS_OK;
    return mls__error(MLS_EFORMAT, "it is a database of another program, not a queue: give the "
                                   "queue a file of its own");
}

static mls_status take_step(sqlite3 *db, const mls__sql_migration *migration, int version)
{
    char mark[96];
    snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             MLS__SQL_APPLICATION, version);
    const mls_status status = mls__sql_exec(db, migration->sql, "bringing its tables up to date");
    return status ? status : mls__sql_exec(db, mark, "marking its version");
}

/* Inside a transaction, so that of several processes one does it, and wholly or not. */
static mls_status migrate(sqlite3 *db, const mls__sql_migration *migrations, int count)
{
    int64_t version;
    mls_status status = read_number(db, "PRAGMA user_version", &version);
    if (!status)
        status = mls__sql_check_owner(db);
    if (status)
        return status;
    if (version > count || version < 0)
        return mls__error(MLS_EUNSUPPORTED,
                          "its tables are of version %lld, and this library knows versions up to "
                          "%d: use the newer library that made them, or another file",
                          (long long) version, count);
    for (int i = (int) version; !status && i < count; i++)
        status = take_step(db, &migrations[i], i + 1);
    return status;
}

mls_status mls__sql_migrate(sqlite3 *db, const mls__sql_migration *migrations, int count)
{
    mls_status status = mls__sql_exec(db, "BEGIN IMMEDIATE", "beginning to look at it");
    if (status)
        return status;
    status = migrate(db, migrations, count);
    if (!status)
        status = mls__sql_exec(db, "COMMIT", "bringing its tables up to date");
    if (status)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}
