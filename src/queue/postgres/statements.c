/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of all statements, prepared when they are first needed. */
#include "queue/postgres/postgres.h"

/* In the order of the enumerations of numbers and texts. */
#define JOB_COLUMNS                                                                                \
    "j.id, j.state, j.priority, j.rank, j.epoch, j.attempt, j.max_attempts, j.deaths,"             \
    " j.backoff_ms, j.backoff_max_ms, j.jitter_percent, j.retention_ms, j.submitted_ms,"           \
    " j.run_at_ms, j.deadline_ms, j.claimed_ms, j.ended_ms, j.since_us, j.waiting_us,"             \
    " j.running_us, j.timer_ms, j.member, j.claimer, j.error, j.children, j.queue, j.type,"        \
    " j.tenant, j.key, j.batch_key, j.owner, j.error_text, j.note, j.progress"

/*
 * $1 most, $2 the state of a claimed job, $3 member, $4 claimer, $5 owner, $6 now in
 * microseconds. Rows that others have locked at this moment are theirs.
 */
#define CLAIM(filter)                                                                              \
    "WITH picked AS MATERIALIZED (SELECT id, since_us AS was_us FROM jobs WHERE state = 3" filter  \
    " ORDER BY priority DESC, rank LIMIT $1::int8 FOR UPDATE SKIP LOCKED),"                        \
    " taken AS (UPDATE jobs t SET state = $2::int8, epoch = epoch + 1, attempt = attempt + 1,"     \
    " member = $3::int8, claimer = $4::int8, owner = $5::text, claimed_ms = $6::int8 / 1000,"      \
    " waiting_us = waiting_us + greatest($6::int8 - was_us, 0), since_us = $6::int8,"              \
    " timer_ms = NULL, progress = 0, note = '' FROM picked WHERE t.id = picked.id"                 \
    " RETURNING t.*, greatest($6::int8 - was_us, 0) AS waited)"                                    \
    " SELECT " JOB_COLUMNS ", j.waited, p.data FROM taken j"                                       \
    " LEFT JOIN payloads p ON p.job = j.id AND p.kind = 0 ORDER BY j.priority DESC, j.rank"

/* What no rule holds back of those from `at` on: arrays of queues, types and tenants. */
#define PASSING(q, t, n)                                                                           \
    " AND NOT EXISTS (SELECT FROM unnest(" q "::text[], " t "::text[], " n "::text[])"             \
    " AS h(q, t, n) WHERE h.q IN ('', queue) AND h.t IN ('', type) AND h.n IN ('', tenant))"

#define SERVED                                                                                     \
    " AND ($7::text[] IS NULL OR type = ANY($7::text[]))"                                          \
    " AND ($8::text[] IS NULL OR queue = ANY($8::text[]))"
#define LIKE " AND type = $7::text AND queue = $8::text AND batch_key = $9::text"

static const char *const texts[MLS__PG_STATEMENTS] = {
    [MLS__PG_TAKE_IDS] = "SELECT nextval('job_ids')",
    [MLS__PG_JOB_ADD] =
        "WITH j AS (INSERT INTO jobs(id, state, priority, rank, max_attempts, backoff_ms,"
        " backoff_max_ms, jitter_percent, retention_ms, submitted_ms, run_at_ms, deadline_ms,"
        " since_us, timer_ms, queue, type, tenant, key, batch_key) VALUES($1::int8, $2::int8,"
        " $3::int8, $4::int8, $5::int8, $6::int8, $7::int8, $8::int8, $9::int8, $10::int8,"
        " $11::int8, $12::int8, $13::int8, nullif($14::int8, 0), $15::text, $16::text,"
        " $17::text, nullif($18::text, ''), $19::text)"
        " ON CONFLICT (key) WHERE key IS NOT NULL DO NOTHING RETURNING id),"
        " p AS (INSERT INTO payloads SELECT id, 0, $20::bytea FROM j WHERE $20::bytea IS NOT NULL)"
        " SELECT id FROM j",
    [MLS__PG_JOB_BY_KEY] = "SELECT id FROM jobs WHERE key = $1::text",
    [MLS__PG_JOBS_LOCK] =
        "SELECT " JOB_COLUMNS " FROM jobs j WHERE j.id = ANY($1::int8[]) ORDER BY j.id FOR UPDATE",
    [MLS__PG_JOBS_DUE] = "SELECT " JOB_COLUMNS " FROM jobs j WHERE j.timer_ms IS NOT NULL"
                         " AND j.timer_ms <= $1::int8 ORDER BY j.timer_ms LIMIT 1000"
                         " FOR UPDATE SKIP LOCKED",
    [MLS__PG_JOBS_OF_MEMBER] =
        "SELECT " JOB_COLUMNS " FROM jobs j WHERE j.member = $1::int8 AND ($2::int8 = 0 OR"
        " j.claimer = $2::int8) ORDER BY j.id FOR UPDATE",
    [MLS__PG_JOBS_SAVE] =
        "UPDATE jobs j SET state = u.state, rank = u.rank, attempt = u.attempt,"
        " deaths = u.deaths, run_at_ms = u.run_at_ms, deadline_ms = u.deadline_ms,"
        " ended_ms = u.ended_ms, since_us = u.since_us, waiting_us = u.waiting_us,"
        " running_us = u.running_us, timer_ms = nullif(u.timer_ms, 0),"
        " member = nullif(u.member, 0), error = u.error, error_text = u.error_text"
        " FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[],"
        " $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::int8[],"
        " $13::int8[], $14::int8[], $15::text[]) AS u(id, state, rank, attempt, deaths,"
        " run_at_ms, deadline_ms, ended_ms, since_us, waiting_us, running_us, timer_ms, member,"
        " error, error_text) WHERE j.id = u.id",
    [MLS__PG_JOBS_DELETE] = "WITH d AS (DELETE FROM jobs WHERE id = ANY($1::int8[])),"
                            " p AS (DELETE FROM payloads WHERE job = ANY($1::int8[]))"
                            " DELETE FROM payloads WHERE kind = 0 AND job = ANY($2::int8[])",
    [MLS__PG_JOB_VIEW] = "SELECT " JOB_COLUMNS ", p.data, r.data FROM jobs j"
                         " LEFT JOIN payloads p ON p.job = j.id AND p.kind = 0"
                         " LEFT JOIN payloads r ON r.job = j.id AND r.kind = 1"
                         " WHERE j.id = $1::int8",
    [MLS__PG_JOBS_ENDED] = "SELECT q.id, j.state FROM unnest($1::int8[]) AS q(id)"
                           " LEFT JOIN jobs j ON j.id = q.id",
    [MLS__PG_RESULT_ADD] = "INSERT INTO payloads VALUES($1::int8, 1, $2::bytea)"
                           " ON CONFLICT (job, kind) DO UPDATE SET data = excluded.data",
    [MLS__PG_NEXT_TIMER] = "SELECT timer_ms FROM jobs WHERE timer_ms IS NOT NULL"
                           " ORDER BY timer_ms LIMIT 1",
    [MLS__PG_CLAIM_ANY] = CLAIM(""),
    [MLS__PG_CLAIM_SOME] = CLAIM(SERVED),
    [MLS__PG_CLAIM_LIKE] = CLAIM(LIKE),
    [MLS__PG_CLAIM_PASSING] = CLAIM(SERVED PASSING("$9", "$10", "$11")),
    [MLS__PG_CLAIM_PASSING_LIKE] = CLAIM(LIKE PASSING("$10", "$11", "$12")),
    [MLS__PG_STOPPING] = "SELECT id, epoch FROM jobs WHERE member = $1::int8 AND state = 5",
    [MLS__PG_PROGRESS] = "UPDATE jobs SET progress = $4::float8, note = $5::text"
                         " WHERE id = $1::int8 AND epoch = $2::int8 AND member = $3::int8"
                         " RETURNING id",
    [MLS__PG_LIST] = "SELECT id FROM jobs WHERE id > $1::int8"
                     " AND ($2::text IS NULL OR queue = $2::text)"
                     " AND ($3::text IS NULL OR type = $3::text)"
                     " AND ($4::int8 = 0 OR ($4::int8 >> state::int4) & 1 = 1)"
                     " ORDER BY id LIMIT $5::int8",
    [MLS__PG_COUNT] =
        "INSERT INTO counts AS c VALUES($1::int8, $2::text, $3::text, $4::int8[])"
        " ON CONFLICT (member, queue, type) DO UPDATE SET counters ="
        " ARRAY(SELECT a + b FROM unnest(c.counters, excluded.counters) WITH ORDINALITY"
        " AS s(a, b, place) ORDER BY place)",
    [MLS__PG_SUM] = "SELECT s.place, sum(s.value)::int8 FROM counts c,"
                    " unnest(c.counters) WITH ORDINALITY AS s(value, place)"
                    " WHERE ($1::text IS NULL OR c.queue = $1::text)"
                    " AND ($2::text IS NULL OR c.type = $2::text) GROUP BY s.place",
    [MLS__PG_ALIVE] = "SELECT coalesce(sum(counters[1] + counters[2] + counters[3] + counters[4]"
                      " + counters[5]), 0)::int8 FROM counts",
    [MLS__PG_MEMBER_ADD] =
        "INSERT INTO members VALUES(nextval('member_ids'),"
        " (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8, 0, $1::text,"
        " (extract(epoch FROM clock_timestamp()) * 1000000)::int8) RETURNING id",
    [MLS__PG_MEMBER_FIND] = "SELECT id FROM members WHERE id = $1::int8 AND process = $2::text",
    [MLS__PG_MEMBER_LOCK] =
        "SELECT pg_advisory_lock('jobs'::regclass::oid::int8::bit(32)::int4, $1::int8::int4)",
    [MLS__PG_MEMBER_RESUME] =
        "UPDATE members SET"
        " server_us = (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8,"
        " came_us = (extract(epoch FROM clock_timestamp()) * 1000000)::int8"
        " WHERE id = $1::int8 AND process = $2::text RETURNING id",
    [MLS__PG_MEMBER_DELETE] =
        "WITH c AS (DELETE FROM counts WHERE member = $1::int8 RETURNING *),"
        " w AS (DELETE FROM waits WHERE member = $1::int8),"
        " m AS (INSERT INTO counts AS c SELECT 0, queue, type, counters FROM c"
        " ON CONFLICT (member, queue, type) DO UPDATE SET counters ="
        " ARRAY(SELECT a + b FROM unnest(c.counters, excluded.counters) WITH ORDINALITY"
        " AS s(a, b, place) ORDER BY place))"
        " DELETE FROM members WHERE id = $1::int8",
    [MLS__PG_MEMBER_COUNT] = "SELECT count(*) FROM members",
    /*
     * Those whose lock is free, and stays so until the transaction's end, though others may
     * look as well; whether the server was started since they came.
     */
    [MLS__PG_MEMBERS_AWAY] =
        "WITH s AS MATERIALIZED (SELECT (extract(epoch FROM pg_postmaster_start_time())"
        " * 1000000)::int8 AS us), c AS MATERIALIZED (SELECT m.id, m.came_us,"
        " (m.server_us <> s.us)::int::int8 AS old, m.process"
        " FROM members m, s WHERE m.id <> $1::int8 ORDER BY m.id)"
        " SELECT id, came_us, old, process FROM c WHERE pg_try_advisory_xact_lock_shared("
        "'jobs'::regclass::oid::int8::bit(32)::int4, id::int4)",
    [MLS__PG_MEMBER_MARK] = "UPDATE members SET txn = $2::int8 WHERE id = $1::int8 RETURNING id",
    [MLS__PG_MEMBER_LAST] = "SELECT txn FROM members WHERE id = $1::int8",
    [MLS__PG_WAIT_ADD] = "INSERT INTO waits VALUES($1::int8, $2::int8) ON CONFLICT DO NOTHING",
    [MLS__PG_WAIT_DELETE] = "DELETE FROM waits WHERE job = $1::int8 AND member = $2::int8",
    [MLS__PG_WAITS_FIND] =
        "SELECT DISTINCT job FROM waits WHERE job = ANY($1::int8[]) AND member <> $2::int8",
    /* Until this transaction's end they do not end, and who ends them then looks for children. */
    [MLS__PG_PARENTS_LOCK] =
        "WITH p AS MATERIALIZED (SELECT id, state FROM jobs WHERE id = ANY($1::int8[])"
        " ORDER BY id FOR UPDATE),"
        " u AS (UPDATE jobs j SET children = 1 FROM p WHERE j.id = p.id AND j.children = 0)"
        " SELECT id, state FROM p",
    [MLS__PG_EDGES_ADD] =
        "INSERT INTO edges SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[])"
        " ON CONFLICT DO NOTHING",
    [MLS__PG_EDGES_OF] = "SELECT parent, child, flags FROM edges WHERE parent = ANY($1::int8[])"
                         " ORDER BY parent, child",
    [MLS__PG_EDGES_END] =
        "WITH d AS (DELETE FROM edges WHERE parent = ANY($1::int8[])),"
        " l AS (DELETE FROM edges WHERE child = ANY($3::int8[]) AND parent <> ALL($1::int8[]))"
        " SELECT DISTINCT child"
        " FROM edges WHERE child = ANY($2::int8[]) AND parent <> ALL($1::int8[])",
    [MLS__PG_EDGES_LEAVE] = "DELETE FROM edges WHERE child = ANY($1::int8[])",
    [MLS__PG_RULES_LOCK] =
        "SELECT pg_advisory_xact_lock('rules'::regclass::oid::int8::bit(32)::int4, 0)",
    /* $1: with the running jobs of those too that do not limit them. */
    [MLS__PG_RULES] =
        "SELECT r.is_paused, r.max_running, r.rate_jobs, r.burst, r.rate_ms, r.bucket_ns,"
        " CASE WHEN $1::int8 = 1 OR r.max_running > 0 THEN (SELECT count(*) FROM jobs j"
        " WHERE j.member IS NOT NULL AND r.queue IN ('', j.queue) AND r.type IN ('', j.type)"
        " AND r.tenant IN ('', j.tenant)) ELSE 0 END, r.queue, r.type, r.tenant FROM rules r",
    [MLS__PG_RULE_SAVE] =
        "INSERT INTO rules VALUES($1::text, $2::text, $3::text, $4::int8, $5::int8, $6::int8,"
        " $7::int8, $8::int8, $9::int8) ON CONFLICT (queue, type, tenant) DO UPDATE SET"
        " is_paused = excluded.is_paused, max_running = excluded.max_running,"
        " rate_jobs = excluded.rate_jobs, burst = excluded.burst, rate_ms = excluded.rate_ms,"
        " bucket_ns = excluded.bucket_ns",
    [MLS__PG_RULE_DELETE] = "DELETE FROM rules WHERE queue = $1::text AND type = $2::text"
                            " AND tenant = $3::text",
};

const char *mls__pg_statement_text(int statement)
{
    return texts[statement];
}
