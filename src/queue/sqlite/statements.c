/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of all statements, prepared when they are first needed. */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <string.h>

/* In the order in which rows.c reads them. */
#define JOB_COLUMNS                                                                                \
    "id, lane, state, priority, rank, epoch, attempt, max_attempts, deaths, backoff_ms,"           \
    " backoff_max_ms, jitter_percent, retention_ms, submitted_ms, run_at_ms, deadline_ms,"         \
    " claimed_ms, ended_ms, since_ns, waiting_ns, running_ns, timer_ms, member, claimer, owner,"   \
    " key, tenant, batch_key, payload_at, payload, payload_bytes, result_at, result,"              \
    " result_bytes, error, error_text, progress, note, escalations"

/* In the order in which schedules.c reads and binds them. */
#define SCHEDULE_COLUMNS                                                                           \
    "name, source, cron, zone, type, queue, tenant, batch_key, missed, next_ms, last_ms,"          \
    " priority, max_attempts, backoff_ms, backoff_max_ms, jitter_percent, retention_ms, "          \
    "cpu_milli,"                                                                                   \
    " memory_bytes, gpus, payload"

static const char *const texts[MLS__SQL_STATEMENTS] = {
    [MLS__SQL_BEGIN] = "BEGIN IMMEDIATE",
    [MLS__SQL_COMMIT] = "COMMIT",
    [MLS__SQL_ROLLBACK] = "ROLLBACK",
    [MLS__SQL_SAVE] = "SAVEPOINT op",
    [MLS__SQL_UNSAVE] = "ROLLBACK TO op",
    [MLS__SQL_RELEASE] = "RELEASE op",
    [MLS__SQL_META_LOAD] = "SELECT next_id, next_rank, next_member, edges, rules, shares, schedules"
                           " FROM meta WHERE one = 1",
    [MLS__SQL_META_SAVE] =
        "UPDATE meta SET next_id = ?1, next_rank = ?2, next_member = ?3, edges = ?4,"
        " rules = ?5, shares = ?6, schedules = ?7 WHERE one = 1",
    [MLS__SQL_LANE_FIND] = "SELECT id FROM lanes WHERE queue = ?1 AND type = ?2"
                           " AND is_keyed = ?3 AND tenant = ?4 AND cpu_milli = ?5"
                           " AND memory_bytes = ?6 AND gpus = ?7",
    [MLS__SQL_LANE_LOAD] = "SELECT queue, type, is_keyed, tenant, cpu_milli, memory_bytes, gpus"
                           " FROM lanes WHERE id = ?1",
    [MLS__SQL_LANE_ADD] =
        "INSERT INTO lanes(queue, type, is_keyed, tenant, cpu_milli, memory_bytes, gpus)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [MLS__SQL_LANE_COUNT] =
        "UPDATE lanes SET scheduled = scheduled + ?2, blocked = blocked + ?3, ready = ready + ?4,"
        " running = running + ?5, stopping = stopping + ?6, succeeded = succeeded + ?7,"
        " dead = dead + ?8, cancelled = cancelled + ?9, sum_submitted = sum_submitted + ?10,"
        " sum_claimed = sum_claimed + ?11, sum_succeeded = sum_succeeded + ?12,"
        " sum_dead = sum_dead + ?13, sum_cancelled = sum_cancelled + ?14,"
        " sum_retried = sum_retried + ?15, sum_released = sum_released + ?16,"
        " sum_stale = sum_stale + ?17, sum_waiting_ns = sum_waiting_ns + ?18,"
        " sum_running_ns = sum_running_ns + ?19, sum_escalated = sum_escalated + ?20"
        " WHERE id = ?1",
    [MLS__SQL_LANE_STATS] =
        "SELECT ifnull(sum(scheduled), 0), ifnull(sum(blocked), 0), ifnull(sum(ready), 0), "
        "ifnull(sum(running), 0), ifnull(sum(stopping), 0),"
        " ifnull(sum(succeeded), 0), ifnull(sum(dead), 0), ifnull(sum(cancelled), 0), "
        "ifnull(sum(sum_submitted), 0),"
        " ifnull(sum(sum_claimed), 0), ifnull(sum(sum_succeeded), 0), ifnull(sum(sum_dead), 0), "
        "ifnull(sum(sum_cancelled), 0),"
        " ifnull(sum(sum_retried), 0), ifnull(sum(sum_released), 0), ifnull(sum(sum_stale), 0), "
        "ifnull(sum(sum_waiting_ns), 0),"
        " ifnull(sum(sum_running_ns), 0), ifnull(sum(sum_escalated), 0) FROM lanes"
        " WHERE (?1 IS NULL OR queue = ?1) AND (?2 IS NULL OR type = ?2)",
    /* By the values of MLS_JOB_*. */
    [MLS__SQL_LANES_RECOUNT] =
        "UPDATE lanes SET (scheduled, blocked, ready, running, stopping, succeeded, dead,"
        " cancelled) = (SELECT ifnull(sum(state = 1), 0), ifnull(sum(state = 2), 0),"
        " ifnull(sum(state = 3), 0), ifnull(sum(state = 4), 0), ifnull(sum(state = 5), 0),"
        " ifnull(sum(state = 6), 0), ifnull(sum(state = 7), 0), ifnull(sum(state = 8), 0)"
        " FROM jobs WHERE lane = lanes.id)",
    [MLS__SQL_ALIVE] =
        "SELECT ifnull(sum(scheduled + blocked + ready + running + stopping), 0) FROM lanes",
    [MLS__SQL_JOB_ADD] =
        "INSERT INTO jobs(id, lane, state, priority, rank, max_attempts, backoff_ms,"
        " backoff_max_ms, jitter_percent, retention_ms, submitted_ms, run_at_ms, deadline_ms,"
        " since_ns, timer_ms, key, tenant, batch_key, payload_at, payload, payload_bytes)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
        " ?18, ?19, ?20, ?21)",
    [MLS__SQL_JOB_LOAD] = "SELECT " JOB_COLUMNS " FROM jobs WHERE id = ?1",
    [MLS__SQL_JOB_SAVE] =
        "UPDATE jobs SET state = ?2, rank = ?3, epoch = ?4, attempt = ?5, deaths = ?6,"
        " run_at_ms = ?7, deadline_ms = ?8, claimed_ms = ?9, ended_ms = ?10, since_ns = ?11,"
        " waiting_ns = ?12, running_ns = ?13, timer_ms = ?14, member = ?15, claimer = ?16,"
        " owner = ?17, payload_at = ?18, payload = ?19, payload_bytes = ?20, result_at = ?21,"
        " result = ?22, result_bytes = ?23, error = ?24, error_text = ?25, progress = ?26,"
        " note = ?27 WHERE id = ?1",
    [MLS__SQL_JOB_ESCALATE] =
        "UPDATE jobs SET lane = ?2, escalations = escalations + 1 WHERE id = ?1",
    [MLS__SQL_JOB_REPAIR] =
        "UPDATE jobs SET lane = ?2, state = ?3, rank = ?4, epoch = ?5, attempt = ?6,"
        " max_attempts = ?7, deaths = ?8, backoff_ms = ?9, backoff_max_ms = ?10,"
        " jitter_percent = ?11, retention_ms = ?12, submitted_ms = ?13, run_at_ms = ?14,"
        " deadline_ms = ?15, claimed_ms = ?16, ended_ms = ?17, since_ns = ?18, waiting_ns = ?19,"
        " running_ns = ?20, timer_ms = nullif(?21, 0), member = nullif(?22, 0), claimer = ?23,"
        " payload_at = ?24, payload = ?25, payload_bytes = ?26, result_at = ?27, result = ?28,"
        " result_bytes = ?29, error = ?30, error_text = ?31 WHERE id = ?1",
    [MLS__SQL_JOB_DELETE] = "DELETE FROM jobs WHERE id = ?1",
    [MLS__SQL_JOB_LIST] =
        "SELECT id FROM jobs WHERE id > ?1 AND (?2 >> state) & 1 AND lane IN (SELECT id FROM lanes"
        " WHERE (?3 IS NULL OR queue = ?3) AND (?4 IS NULL OR type = ?4)) ORDER BY id LIMIT ?5",
    [MLS__SQL_JOB_BY_KEY] = "SELECT id FROM jobs WHERE key = ?1",
    [MLS__SQL_JOB_TIMER] = "SELECT timer_ms FROM jobs WHERE timer_ms IS NOT NULL"
                           " ORDER BY timer_ms LIMIT 1",
    [MLS__SQL_JOB_DUE] = "SELECT id FROM jobs WHERE timer_ms IS NOT NULL AND timer_ms <= ?1"
                         " ORDER BY timer_ms LIMIT 1",
    [MLS__SQL_HEAD] = "SELECT lane, priority, rank, id FROM jobs WHERE state = 3 AND lane >= ?1"
                      " ORDER BY lane, priority DESC, tenant, rank LIMIT 1",
    [MLS__SQL_TENANT_FIRST] = "SELECT tenant, rank, id FROM jobs WHERE state = 3 AND lane = ?1"
                              " AND priority = ?2 ORDER BY tenant, rank LIMIT 1",
    [MLS__SQL_TENANT_NEXT] = "SELECT tenant, rank, id FROM jobs WHERE state = 3 AND lane = ?1"
                             " AND priority = ?2 AND tenant > (SELECT ifnull(tenant, '') FROM jobs"
                             " WHERE id = ?3) ORDER BY tenant, rank LIMIT 1",
    [MLS__SQL_TURN_LOAD] = "SELECT now, 0 FROM turns WHERE queue = ?1 AND priority = ?2",
    [MLS__SQL_TURN_SAVE] = "INSERT OR REPLACE INTO turns(queue, priority, now) VALUES(?1, ?2, ?3)",
    [MLS__SQL_SHARE_LOAD] =
        "SELECT pass, turn FROM shares WHERE queue = ?1 AND priority = ?2 AND tenant = ?3",
    [MLS__SQL_SHARE_SAVE] = "INSERT OR REPLACE INTO shares(queue, priority, tenant, pass, turn)"
                            " VALUES(?1, ?2, ?3, ?4, ?5)",
    [MLS__SQL_SHARES_SWEEP] = "DELETE FROM shares WHERE queue = ?1 AND priority = ?2 AND pass < ?3",
    [MLS__SQL_HEAD_BATCH] =
        "SELECT id, priority FROM jobs WHERE state = 3 AND batch_key IS NOT NULL AND lane = ?1"
        " AND batch_key = ?2 ORDER BY priority DESC, rank LIMIT 1",
    [MLS__SQL_STOPPING] = "SELECT id, epoch FROM jobs WHERE member = ?1 AND state = 5",
    [MLS__SQL_RUNNING_OF_MEMBER] = "SELECT id, claimer, epoch FROM jobs WHERE member = ?1"
                                   " AND id > ?2 ORDER BY id LIMIT 1",
    [MLS__SQL_PROGRESS] = "UPDATE jobs SET progress = ?3, note = ?4"
                          " WHERE id = ?1 AND epoch = ?2 AND member IS NOT NULL",
    [MLS__SQL_JOB_STATE] = "SELECT state FROM jobs WHERE id = ?1",
    [MLS__SQL_EDGE_ADD] = "INSERT OR IGNORE INTO edges(parent, child, flags) VALUES(?1, ?2, ?3)",
    [MLS__SQL_EDGES_END] = "UPDATE edges SET parent_state = ?2 WHERE parent = ?1",
    [MLS__SQL_EDGES_LEAVE] = "DELETE FROM edges WHERE child = ?1",
    [MLS__SQL_EDGE_ENDED] = "SELECT parent, child, parent_state, flags FROM edges"
                            " WHERE parent_state IS NOT NULL ORDER BY parent, child LIMIT 1",
    [MLS__SQL_EDGE_DELETE] = "DELETE FROM edges WHERE parent = ?1 AND child = ?2",
    [MLS__SQL_EDGE_LEFT] = "SELECT 1 FROM edges WHERE child = ?1 LIMIT 1",
    [MLS__SQL_RULES] = "SELECT queue, type, tenant, is_paused, max_running, rate_jobs, burst,"
                       " rate_ms, running, bucket_ns, weight FROM rules",
    [MLS__SQL_RULE_ADD] = "INSERT INTO rules(queue, type, tenant) VALUES(?1, ?2, ?3)",
    [MLS__SQL_RULE_SAVE] =
        "UPDATE rules SET is_paused = ?4, max_running = ?5, rate_jobs = ?6, burst = ?7,"
        " rate_ms = ?8, running = ?9, bucket_ns = ?10, weight = ?11"
        " WHERE queue = ?1 AND type = ?2 AND tenant = ?3",
    [MLS__SQL_RULE_DELETE] = "DELETE FROM rules WHERE queue = ?1 AND type = ?2 AND tenant = ?3",
    [MLS__SQL_LANE_NEXT] = "SELECT id, 0 FROM lanes WHERE ?1 IN ('', queue) AND ?2 IN ('', type)"
                           " AND ?3 <> '' AND tenant = '' AND id > ?4 ORDER BY id LIMIT 1",
    [MLS__SQL_LANE_RUNNING] =
        "SELECT id, running + stopping FROM lanes WHERE ?1 IN ('', queue) AND ?2 IN ('', type)"
        " AND ?3 IN ('', tenant) AND id > ?4 ORDER BY id LIMIT 1",
    [MLS__SQL_TENANT_COUNT] =
        "SELECT state, count(*) FROM jobs WHERE lane = ?1 AND tenant = ?2 GROUP BY state",
    [MLS__SQL_TENANT_MOVE] = "UPDATE jobs SET lane = ?3 WHERE lane = ?1 AND tenant = ?2",
    [MLS__SQL_BLOB_ADD] = "INSERT OR REPLACE INTO blobs(id, data) VALUES(?1, ?2)",
    [MLS__SQL_BLOB_LOAD] = "SELECT data FROM blobs WHERE id = ?1",
    [MLS__SQL_BLOB_DELETE] = "DELETE FROM blobs WHERE id = ?1",
    [MLS__SQL_SEGMENT_REF] = "INSERT INTO segments(hash, refs) VALUES(?1, 1)"
                             " ON CONFLICT(hash) DO UPDATE SET refs = refs + 1",
    [MLS__SQL_SEGMENT_UNREF] = "UPDATE segments SET refs = refs - 1 WHERE hash = ?1",
    [MLS__SQL_SEGMENT_FIND] = "SELECT refs FROM segments WHERE hash = ?1",
    [MLS__SQL_SEGMENT_GARBAGE] = "SELECT hash FROM segments WHERE refs <= 0",
    [MLS__SQL_SEGMENT_SWEEP] = "DELETE FROM segments WHERE refs <= 0",
    [MLS__SQL_OFFERS] = "SELECT name, cpu_milli, memory_bytes, gpus FROM offers",
    [MLS__SQL_OFFER_ADD] =
        "INSERT OR REPLACE INTO offers(member, claimer, name, cpu_milli, memory_bytes, gpus)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [MLS__SQL_OFFER_DELETE] = "DELETE FROM offers WHERE member = ?1 AND claimer = ?2",
    [MLS__SQL_OFFER_DROP] = "DELETE FROM offers WHERE member = ?1",
    [MLS__SQL_ROOM_COUNT] =
        "SELECT claimer, lane, count(*) FROM jobs WHERE member = ?1 GROUP BY claimer, lane",
    [MLS__SQL_ROOM_RUNS] = "SELECT lane, since_ns FROM jobs WHERE member = ?1 AND claimer = ?2",
    [MLS__SQL_COSTS] = "SELECT type, memory_bytes, sketches FROM costs ORDER BY type, memory_bytes",
    [MLS__SQL_COST_LOAD] = "SELECT sketches FROM costs WHERE type = ?1 AND memory_bytes = ?2",
    [MLS__SQL_COST_SAVE] =
        "INSERT OR REPLACE INTO costs(type, memory_bytes, sketches) VALUES(?1, ?2, ?3)",
    [MLS__SQL_SCHEDULES] = "SELECT id, " SCHEDULE_COLUMNS " FROM schedules",
    [MLS__SQL_SCHEDULE_DUE] = "SELECT id, " SCHEDULE_COLUMNS
                              " FROM schedules WHERE next_ms <= ?1 AND (next_ms, id) > (?2, ?3)"
                              " ORDER BY next_ms, id",
    [MLS__SQL_SCHEDULE_NEXT] = "SELECT name, next_ms FROM schedules ORDER BY next_ms",
    [MLS__SQL_SCHEDULE_COUNT] = "SELECT count(*) FROM schedules",
    /* One of the same line and zone goes on as it was, unless it had stopped. */
    [MLS__SQL_SCHEDULE_SET] =
        "INSERT INTO schedules(" SCHEDULE_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
        " ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21) ON CONFLICT(name) DO UPDATE"
        " SET source = ?2, cron = ?3, zone = ?4, type = ?5, queue = ?6, tenant = ?7,"
        " batch_key = ?8, missed = ?9,"
        " next_ms = iif(cron = ?3 AND zone = ?4 AND next_ms < 9223372036854775807, next_ms, ?10),"
        " last_ms = iif(cron = ?3 AND zone = ?4, last_ms, ?11),"
        " priority = ?12, max_attempts = ?13, backoff_ms = ?14, backoff_max_ms = ?15,"
        " jitter_percent = ?16, retention_ms = ?17, cpu_milli = ?18, memory_bytes = ?19,"
        " gpus = ?20, payload = ?21",
    [MLS__SQL_SCHEDULE_MOVE] = "UPDATE schedules SET next_ms = ?2, last_ms = ?3 WHERE id = ?1",
    [MLS__SQL_SCHEDULE_DELETE] = "DELETE FROM schedules WHERE name = ?1",
    [MLS__SQL_MEMBERS] = "SELECT id, slot, boot FROM members WHERE id > ?1 ORDER BY id LIMIT 1",
    [MLS__SQL_MEMBER_ADD] = "INSERT INTO members(id, slot, boot) VALUES(?1, ?2, ?3)",
    [MLS__SQL_MEMBER_DELETE] = "DELETE FROM members WHERE id = ?1",
    [MLS__SQL_WAIT_ADD] = "INSERT OR IGNORE INTO waits(job, member) VALUES(?1, ?2)",
    [MLS__SQL_WAIT_DELETE] = "DELETE FROM waits WHERE job = ?1 AND member = ?2",
    [MLS__SQL_WAIT_DROP] = "DELETE FROM waits WHERE member = ?1",
    [MLS__SQL_WAIT_FORGET] = "DELETE FROM waits WHERE job = ?1",
    [MLS__SQL_WAIT_FIND] = "SELECT 1 FROM waits WHERE job = ?1 AND member <> ?2 LIMIT 1",
};

mls_status mls__sql_fail(mls__sql_store *store, mls_status status)
{
    mls__sql_txn *txn = &store->txn;
    if (!txn->status) {
        txn->status = status;
        strncpy(txn->message, mls_error_message(), sizeof txn->message - 1);
        txn->message[sizeof txn->message - 1] = '\0';
    }
    return status;
}

sqlite3_stmt *mls__sql_prepare(mls__sql_store *store, int statement)
{
    sqlite3_stmt **prepared = &store->statements[statement];
    if (*prepared) {
        sqlite3_reset(*prepared);
        return *prepared;
    }
    const int code = sqlite3_prepare_v3(store->db, texts[statement], -1, SQLITE_PREPARE_PERSISTENT,
                                        prepared, NULL);
    if (code == SQLITE_OK)
        return *prepared;
    mls__sql_fail(store, mls__sql_error(store->db, code, texts[statement]));
    return NULL;
}

int mls__sql_step(mls__sql_store *store, sqlite3_stmt *statement)
{
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return code;
    if (code != SQLITE_DONE)
        mls__sql_fail(store, mls__sql_error(store->db, code, sqlite3_sql(statement)));
    sqlite3_reset(statement);
    return code;
}

bool mls__sql_run(mls__sql_store *store, sqlite3_stmt *statement)
{
    return statement && mls__sql_step(store, statement) == SQLITE_DONE;
}
