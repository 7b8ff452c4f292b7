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
 * $2 the state of a claimed job, $3 member, $4 claimer, $5 owner, $6 now in microseconds.
 * `picked` selects and locks ready jobs; those that others have locked at this moment are theirs.
 */
#define TAKE(picked)                                                                               \
    "WITH picked AS MATERIALIZED (SELECT id, since_us AS was_us FROM jobs WHERE state = 3" picked  \
    " FOR UPDATE SKIP LOCKED),"                                                                    \
    " taken AS (UPDATE jobs t SET state = $2::int8, epoch = epoch + 1, attempt = attempt + 1,"     \
    " member = $3::int8, claimer = $4::int8, owner = $5::text, claimed_ms = $6::int8 / 1000,"      \
    " waiting_us = waiting_us + greatest($6::int8 - was_us, 0), since_us = $6::int8,"              \
    " timer_ms = NULL, progress = 0, note = '' FROM picked WHERE t.id = picked.id"                 \
    " RETURNING t.*, greatest($6::int8 - was_us, 0) AS waited)"                                    \
    " SELECT " JOB_COLUMNS ", j.waited, p.data FROM taken j"                                       \
    " LEFT JOIN payloads p ON p.job = j.id AND p.kind = 0"

/* $1 most. */
#define CLAIM(filter)                                                                              \
    TAKE(filter " ORDER BY priority DESC, rank LIMIT $1::int8")                                    \
    " ORDER BY j.priority DESC, "                                                                  \
    "j.rank"

/* What no rule holds back of those from `at` on: arrays of queues, types and tenants. */
#define PASSING(of, q, t, n)                                                                       \
    " AND NOT EXISTS (SELECT FROM unnest(" q "::text[], " t "::text[], " n "::text[])"             \
    " AS h(q, t, n) WHERE h.q IN ('', " of "queue) AND h.t IN ('', " of "type)"                    \
    " AND h.n IN ('', " of "tenant))"

#define SERVED(of, t, q)                                                                           \
    " AND (" t "::text[] IS NULL OR " of "type = ANY(" t "::text[]))"                              \
    " AND (" q "::text[] IS NULL OR " of "queue = ANY(" q "::text[]))"
#define LIKE " AND type = $7::text AND queue = $8::text AND batch_key = $9::text"

/* Of groups: $2 types and $3 queues, $4 to $6 what holds back jobs, $7 the batch key, or NULL. */
#define GROUP_FILTER(of) SERVED(of, "$2", "$3") PASSING(of, "$4", "$5", "$6")
#define GROUP_KEY        " AND ($7::text IS NULL OR j.batch_key = $7::text)"
#define IS_OF(g)         " AND j.queue = " g ".queue AND j.tenant = " g ".tenant AND j.type = " g ".type"

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
    [MLS__PG_CLAIM_SOME] = CLAIM(SERVED("", "$7", "$8")),
    [MLS__PG_CLAIM_LIKE] = CLAIM(LIKE),
    [MLS__PG_CLAIM_PASSING_LIKE] = CLAIM(LIKE PASSING("", "$10", "$11", "$12")),
    [MLS__PG_CLAIM_PICKED] =
        TAKE(" AND id = ANY($1::int8[]) ORDER BY id") " ORDER BY array_position($1::int8[], j.id)",
    /* From group to group downwards, until one passes; then all groups of that priority. */
    [MLS__PG_HEADS] =
        "WITH RECURSIVE g AS ((SELECT priority, queue, tenant, type FROM jobs WHERE state = 3"
        " ORDER BY priority DESC, queue DESC, tenant DESC, type DESC LIMIT 1) UNION ALL"
        " SELECT n.* FROM g CROSS JOIN LATERAL (SELECT j.priority, j.queue, j.tenant, j.type"
        " FROM jobs j WHERE j.state = 3 AND (j.priority, j.queue, j.tenant, j.type) <"
        " (g.priority, g.queue, g.tenant, g.type) ORDER BY j.priority DESC, j.queue DESC,"
        " j.tenant DESC, j.type DESC LIMIT 1) n),"
        " top AS MATERIALIZED (SELECT g.priority FROM g WHERE true" GROUP_FILTER(
            "g.") " AND ($7::text IS NULL OR EXISTS (SELECT FROM jobs j WHERE j.state = 3"
                  " AND j.priority = g.priority" IS_OF("g") GROUP_KEY
    ")) LIMIT 1),"
    " c AS ((SELECT j.queue, j.tenant, j.type FROM jobs j WHERE j.state = 3"
    " AND j.priority = (SELECT priority FROM top) ORDER BY j.queue, j.tenant, j.type LIMIT 1)"
    " UNION ALL SELECT n.* FROM c CROSS JOIN LATERAL (SELECT j.queue, j.tenant, j.type"
    " FROM jobs j WHERE j.state = 3 AND j.priority = (SELECT priority FROM top)"
    " AND (j.queue, j.tenant, j.type) > (c.queue, c.tenant, c.type)"
    " ORDER BY j.queue, j.tenant, j.type LIMIT 1) n)"
    " SELECT top.priority, c.queue, c.tenant, c.type, r.id, r.rank, coalesce(t.now, 0),"
    " coalesce(s.pass, -1), coalesce(s.turn, 0) FROM top CROSS JOIN c CROSS JOIN LATERAL"
    " (SELECT j.id, j.rank FROM jobs j WHERE j.state = 3 AND j.priority = top.priority" IS_OF("c")
        GROUP_KEY " ORDER BY j.rank LIMIT $1::int8) r"
                  " LEFT JOIN turns t ON t.queue = c.queue AND t.priority = top.priority"
                  " LEFT JOIN shares s ON s.queue = c.queue AND s.priority = top.priority"
                  " AND s.tenant = c.tenant WHERE true" GROUP_FILTER(
                      "c.") " ORDER BY c.queue, c.tenant, c.type, r.rank",
    [MLS__PG_TURNS_SAVE] =
        "INSERT INTO turns SELECT q, $3::int8, n FROM unnest($1::text[], $2::int8[]) AS u(q, n)"
        " ON CONFLICT (queue, priority) DO UPDATE SET now = excluded.now",
    [MLS__PG_SHARES_SAVE] =
        "INSERT INTO shares SELECT q, $5::int8, n, p, t FROM unnest($1::text[], $2::text[],"
        " $3::int8[], $4::int8[]) AS u(q, n, p, t)"
        " ON CONFLICT (queue, priority, tenant) DO UPDATE SET pass = excluded.pass,"
        " turn = excluded.turn",
    [MLS__PG_SHARES_SWEEP] = "DELETE FROM shares s USING turns t WHERE t.queue = s.queue"
                             " AND t.priority = s.priority AND s.pass < t.now",
    [MLS__PG_SHARES_MARK] = "UPDATE meta SET shares = 1 WHERE one = 1",
    /* Where others have ready jobs: $4 more, at $5, of the tenant $3 in queue $1, priority $2. */
    [MLS__PG_SHARE_CHARGE] =
        "INSERT INTO shares AS s SELECT $1::text, $2::int8, $3::text, coalesce((SELECT now FROM"
        " turns WHERE queue = $1::text AND priority = $2::int8), 0) + $4::int8, $5::int8"
        " WHERE EXISTS (SELECT FROM jobs WHERE state = 3 AND priority = $2::int8"
        " AND queue = $1::text AND tenant < $3::text) OR EXISTS (SELECT FROM jobs"
        " WHERE state = 3 AND priority = $2::int8 AND queue = $1::text AND tenant > $3::text)"
        " ON CONFLICT (queue, priority, tenant) DO UPDATE SET"
        " pass = greatest(s.pass + $4::int8, excluded.pass), turn = excluded.turn",
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
        " AND r.tenant IN ('', j.tenant)) ELSE 0 END, r.queue, r.type, r.tenant, r.weight FROM "
        "rules r",
    [MLS__PG_RULE_SAVE] =
        "INSERT INTO rules VALUES($1::text, $2::text, $3::text, $4::int8, $5::int8, $6::int8,"
        " $7::int8, $8::int8, $9::int8, $10::int8) ON CONFLICT (queue, type, tenant) DO UPDATE SET"
        " is_paused = excluded.is_paused, max_running = excluded.max_running,"
        " rate_jobs = excluded.rate_jobs, burst = excluded.burst, rate_ms = excluded.rate_ms,"
        " bucket_ns = excluded.bucket_ns, weight = excluded.weight",
    [MLS__PG_RULE_DELETE] = "DELETE FROM rules WHERE queue = $1::text AND type = $2::text"
                            " AND tenant = $3::text",
};

const char *mls__pg_statement_text(int statement)
{
    return texts[statement];
}
