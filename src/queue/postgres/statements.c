/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of all statements, prepared when they are first needed. */
#include "queue/postgres/statements.h"

/* In the order of the enumerations of numbers and texts. */
#define JOB_COLUMNS                                                                                \
    "j.id, j.state, j.priority, j.rank, j.epoch, j.attempt, j.max_attempts, j.deaths,"             \
    " j.backoff_ms, j.backoff_max_ms, j.jitter_percent, j.retention_ms, j.submitted_ms,"           \
    " j.run_at_ms, j.deadline_ms, j.claimed_ms, j.ended_ms, j.since_us, j.waiting_us,"             \
    " j.running_us, j.timer_ms, j.member, j.claimer, j.error, j.children, j.cpu_milli,"            \
    " j.memory_bytes, j.gpus, j.escalations, j.queue, j.type, j.tenant, j.key, j.batch_key, "      \
    "j.owner, j.error_text, j.note, j.progress"

/* It breaks texts that are made of macros with arguments. */
/* clang-format off */
/*
 * $2 the state of a claimed job, $3 member, $4 claimer, $5 owner, $6 now in microseconds.
 * `picked` selects and locks ready jobs, with since when they wait.
 */
#define TAKE(with, picked)                                                                         \
    "WITH " with "picked AS MATERIALIZED (" picked "),"                                            \
    " taken AS (UPDATE jobs t SET state = $2::int8, epoch = epoch + 1, attempt = attempt + 1,"     \
    " member = $3::int8, claimer = $4::int8, owner = $5::text, claimed_ms = $6::int8 / 1000,"      \
    " waiting_us = waiting_us + greatest($6::int8 - was_us, 0), since_us = $6::int8,"              \
    " timer_ms = NULL, progress = 0, note = '' FROM picked WHERE t.id = picked.id"                 \
    " RETURNING t.*, greatest($6::int8 - was_us, 0) AS waited)"                                    \
    " SELECT " JOB_COLUMNS ", j.waited, p.data FROM taken j"                                       \
    " LEFT JOIN payloads p ON p.job = j.id AND p.kind = 0"

/* Those that others have locked at this moment are theirs. */
#define READY(columns, filter)                                                                     \
    "SELECT " columns " FROM jobs WHERE state = 3" filter " ORDER BY priority DESC, rank"
#define LOCKED(filter, most)                                                                       \
    READY("id, since_us AS was_us", filter) " LIMIT " most " FOR UPDATE SKIP LOCKED"

/* $1 most. */
#define IN_ORDER      " ORDER BY j.priority DESC, j.rank"
#define CLAIM(filter) TAKE("", LOCKED(filter, "$1::int8")) IN_ORDER

/* What no rule holds back of those from `at` on: arrays of queues, types and tenants. */
#define PASSING(of, q, t, n)                                                                       \
    " AND NOT EXISTS (SELECT FROM unnest(" q "::text[], " t "::text[], " n "::text[])"             \
    " AS h(q, t, n) WHERE h.q IN ('', " of "queue) AND h.t IN ('', " of "type)"                    \
    " AND h.n IN ('', " of "tenant))"

#define OF_QUEUES(of, q) " AND (" q "::text[] IS NULL OR " of "queue = ANY(" q "::text[]))"
#define SERVED(of, t, q)                                                                           \
    " AND (" t "::text[] IS NULL OR " of "type = ANY(" t "::text[]))" OF_QUEUES(of, q)
#define LIKE                                                                                       \
    " AND type = $7::text AND queue = $8::text AND batch_key = $9::text"                           \
    " AND cpu_milli = $10::int8 AND memory_bytes = $11::int8 AND gpus = $12::int8"

/*
 * Of the types $7, by an index of each, or of the queues $7 likewise: no claim walks past jobs of
 * others. First how many of each are among the first, and then only those are locked; or so many of
 * each as there may be of all, where others have locked the first ones.
 */
#define OF_TYPE  " AND type = w.name" OF_QUEUES("", "$8")
#define OF_QUEUE " AND queue = w.name"
#define WANTED(of)                                                                                 \
    "wanted AS MATERIALIZED (SELECT f.name, count(*) AS many FROM (SELECT w.name"                  \
    " FROM unnest($7::text[]) AS w(name) CROSS JOIN LATERAL ("                                     \
    READY("priority, rank", of) " LIMIT $1::int8) j" IN_ORDER " LIMIT $1::int8) f"                 \
    " GROUP BY f.name), "
#define CLAIM_WANTED(of)                                                                           \
    TAKE(WANTED(of), "SELECT j.* FROM wanted w CROSS JOIN LATERAL (" LOCKED(of, "w.many") ") j")   \
    IN_ORDER
#define CLAIM_EACH(of)                                                                             \
    TAKE("", "SELECT j.id, j.since_us AS was_us FROM"                                              \
             " (SELECT DISTINCT unnest($7::text[]) AS name) w CROSS JOIN LATERAL ("               \
             READY("id, since_us, priority, rank", of)                                             \
             " LIMIT $1::int8 FOR UPDATE SKIP LOCKED) j" IN_ORDER " LIMIT $1::int8")               \
    IN_ORDER
/* Whether there are any of the types, or queues, $1. */
#define CLAIM_LEFT(of)                                                                             \
    "SELECT 1 FROM unnest($1::text[]) AS w(name) CROSS JOIN LATERAL (SELECT FROM jobs"             \
    " WHERE state = 3" of " LIMIT 1) j LIMIT 1"

/* Groups of ready jobs at a priority, in the order of an index. */
#define NEEDS(t) t "cpu_milli, " t "memory_bytes, " t "gpus"
#define GROUP(t) t "queue, " t "tenant, " t "type, " NEEDS(t)
#define GROUP_DOWN                                                                                 \
    "queue DESC, tenant DESC, type DESC, cpu_milli DESC, memory_bytes DESC, gpus DESC"
#define IS_OF(g) " AND (" GROUP("j.") ") = (" GROUP(g ".") ")"

/*
 * A walk downwards from group to group, from behind the one of $13 to $19 on, for at most $20 of
 * them: those that are for the claimer, of types $1 and queues $2, not held back by $3 to $5, of
 * needs from $6 to $8 up to $9 to $11, and the last; where $12 is 1 with what their first job's
 * rank is, the time since when it is ready. `next` selects the group behind `g`.
 */
#define WALK(next)                                                                                 \
    "WITH RECURSIVE g AS (SELECT $13::int8 AS priority, $14::text AS queue, $15::text AS tenant,"  \
    " $16::text AS type, $17::int8 AS cpu_milli, $18::int8 AS memory_bytes, $19::int8 AS gpus,"    \
    " 0::int8 AS passes, 0::int8 AS place"                                                         \
    " UNION ALL SELECT n.*, p.passes, g.place + 1 FROM g CROSS JOIN LATERAL (" next                \
    ") n CROSS JOIN LATERAL (SELECT (true" SERVED("n.", "$1", "$2") PASSING("n.", "$3", "$4",      \
    "$5") " AND (" NEEDS("n.") ") >= ($6::int8, $7::int8, $8::int8)"                               \
    " AND (" NEEDS("n.") ") <= ($9::int8, $10::int8, $11::int8))::int4::int8 AS passes) p"         \
    " WHERE g.place < $20::int8),"                                                                 \
    " w AS MATERIALIZED (SELECT * FROM g)"                                                         \
    " SELECT j.priority, j.queue, j.tenant, j.type, " NEEDS("j.") ", r.rank," KNOWN                \
    ", j.passes, j.place FROM w j LEFT JOIN LATERAL (SELECT j2.rank FROM jobs j2"                  \
    " WHERE j2.state = 3 AND j2.priority = j.priority"                                             \
    " AND (" GROUP("j2.") ") = (" GROUP("j.") ") ORDER BY j2.rank LIMIT 1) r"                      \
    " ON j.passes = 1 AND $12::int8 = 1" JOIN_COSTS                                                \
    " WHERE j.passes = 1 OR j.place = (SELECT max(place) FROM w) ORDER BY j.place"

#define FIRST_GROUP(filter)                                                                        \
    "SELECT j.priority, " GROUP("j.") " FROM jobs j WHERE j.state = 3" filter

#define NEXT_OF_ALL                                                                                \
    FIRST_GROUP(" AND (j.priority, " GROUP("j.") ") < (g.priority, " GROUP("g.") ")")              \
    " ORDER BY priority DESC, " GROUP_DOWN " LIMIT 1"

/*
 * Of the same priority, queue and tenant that of the next type that is served; or else the first
 * of the next of those, of whatever type, from which the walk goes on.
 */
#define IS_BEHIND " t.type = g.type AND (" NEEDS("g.") ") <= ($9::int8, $10::int8, $11::int8)"
#define NEXT_OF_TYPES                                                                              \
    "(SELECT n.* FROM (SELECT t.type, CASE WHEN" IS_BEHIND " THEN g.cpu_milli ELSE $9::int8 END,"  \
    " CASE WHEN" IS_BEHIND " THEN g.memory_bytes ELSE $10::int8 END,"                              \
    " CASE WHEN" IS_BEHIND " THEN g.gpus - 1 ELSE $11::int8 END"                                   \
    " FROM unnest($1::text[]) AS t(type) WHERE t.type <= g.type)"                                \
    " AS t(type, cpu_milli, memory_bytes, gpus) CROSS JOIN LATERAL ("                              \
    FIRST_GROUP(" AND j.priority = g.priority AND j.queue = g.queue AND j.tenant = g.tenant"       \
                " AND j.type = t.type AND (" NEEDS("j.") ") <= (" NEEDS("t.") ")"                  \
                " AND (" NEEDS("j.") ") >= ($6::int8, $7::int8, $8::int8)")                        \
    " ORDER BY cpu_milli DESC, memory_bytes DESC, gpus DESC LIMIT 1) n ORDER BY t.type DESC"       \
    " LIMIT 1) UNION ALL ("                                                                        \
    FIRST_GROUP(" AND (j.priority, j.queue, j.tenant) < (g.priority, g.queue, g.tenant)")          \
    " ORDER BY priority DESC, " GROUP_DOWN " LIMIT 1) LIMIT 1"

/* In the same queue; or else of the next one that is served, at the same priority or a lower one. */
#define IN_QUEUE(p, q, behind)                                                                     \
    FIRST_GROUP(" AND j.priority = " p " AND j.queue = " q behind)                                 \
    " ORDER BY tenant DESC, type DESC, cpu_milli DESC, memory_bytes DESC, gpus DESC LIMIT 1"
#define NEXT_OF_QUEUES                                                                             \
    "(" IN_QUEUE("g.priority", "g.queue", " AND g.queue = ANY($2::text[])"                         \
                 " AND (j.tenant, j.type, " NEEDS("j.") ") < (g.tenant, g.type, " NEEDS("g.") ")") \
    ") UNION ALL (SELECT n.* FROM unnest($2::text[]) AS q(queue) CROSS JOIN LATERAL ("             \
    IN_QUEUE("g.priority", "q.queue", "") ") n WHERE q.queue < g.queue ORDER BY q.queue DESC"      \
    " LIMIT 1) UNION ALL (SELECT n.* FROM generate_series(least(g.priority - 1, 9), 0, -1)"        \
    " AS p(priority) CROSS JOIN unnest($2::text[]) AS q(queue) CROSS JOIN LATERAL ("               \
    IN_QUEUE("p.priority", "q.queue", "") ") n ORDER BY p.priority DESC, q.queue DESC LIMIT 1)"    \
    " LIMIT 1"

/*
 * The first $1 jobs of each of the groups of priority $2 that $7 to $12 name, of the batch key $6
 * or of any, but for what is held back by $3 to $5.
 */
#define HEADS(lock)                                                                                \
    "SELECT $2::int8, c.queue, c.tenant, c.type, r.id, r.rank, coalesce(t.now, 0),"                \
    " coalesce(s.pass, -1), coalesce(s.turn, 0), " NEEDS("c.")                                     \
    " FROM unnest($7::text[], $8::text[], $9::text[], $10::int8[], $11::int8[], $12::int8[])"      \
    " AS c(" GROUP("") ") CROSS JOIN LATERAL (SELECT j.id, j.rank FROM jobs j"                     \
    " WHERE j.state = 3 AND j.priority = $2::int8" IS_OF("c")                                      \
    " AND ($6::text IS NULL OR j.batch_key = $6::text) ORDER BY j.rank LIMIT $1::int8" lock ") r"  \
    " LEFT JOIN turns t ON t.queue = c.queue AND t.priority = $2::int8"                            \
    " LEFT JOIN shares s ON s.queue = c.queue AND s.priority = $2::int8"                           \
    " AND s.tenant = c.tenant WHERE true" PASSING("c.", "$3", "$4", "$5")                          \
    " ORDER BY " GROUP("c.") ", r.rank"
/* clang-format on */

/* What is known of the costs of jobs `j`. */
#define KNOWN                                                                                      \
    " coalesce(c.memory_samples, 0), coalesce(c.memory_p95, 0), coalesce(c.wall_samples, 0),"      \
    " coalesce(c.wall_p95, 0)"
#define JOIN_COSTS " LEFT JOIN costs c ON c.type = j.type AND c.memory_bytes = j.memory_bytes"

/* As durable/schedules.h has them. */
#define SCHEDULE_COLUMNS                                                                           \
    "name, source, cron, zone, type, queue, tenant, batch_key, missed, next_ms, last_ms,"          \
    " priority, max_attempts, backoff_ms, backoff_max_ms, jitter_percent, retention_ms,"           \
    " cpu_milli, memory_bytes, gpus, payload"

static const char *const texts[MLS__PG_STATEMENTS] = {
    [MLS__PG_TAKE_IDS] = "SELECT nextval('job_ids')",
    [MLS__PG_JOB_ADD] =
        "WITH j AS (INSERT INTO jobs(id, state, priority, rank, max_attempts, backoff_ms,"
        " backoff_max_ms, jitter_percent, retention_ms, submitted_ms, run_at_ms, deadline_ms,"
        " since_us, timer_ms, cpu_milli, memory_bytes, gpus, queue, type, tenant, key, batch_key)"
        " VALUES($1::int8, $2::int8,"
        " $3::int8, $4::int8, $5::int8, $6::int8, $7::int8, $8::int8, $9::int8, $10::int8,"
        " $11::int8, $12::int8, $13::int8, nullif($14::int8, 0), $15::int8, $16::int8,"
        " $17::int8, $18::text, $19::text, $20::text, nullif($21::text, ''), $22::text)"
        " ON CONFLICT (key) WHERE key IS NOT NULL DO NOTHING RETURNING id),"
        " p AS (INSERT INTO payloads SELECT id, 0, $23::bytea FROM j WHERE $23::bytea IS NOT NULL)"
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
    [MLS__PG_CLAIM_WANTED] = CLAIM_WANTED(OF_TYPE),
    [MLS__PG_CLAIM_EACH] = CLAIM_EACH(OF_TYPE),
    [MLS__PG_CLAIM_QUEUES_WANTED] = CLAIM_WANTED(OF_QUEUE),
    [MLS__PG_CLAIM_QUEUES_EACH] = CLAIM_EACH(OF_QUEUE),
    [MLS__PG_CLAIM_LIKE] = CLAIM(LIKE),
    [MLS__PG_CLAIM_PASSING_LIKE] = CLAIM(LIKE PASSING("", "$13", "$14", "$15")),
    [MLS__PG_CLAIM_PICKED] = TAKE("", "SELECT id, since_us AS was_us FROM jobs WHERE state = 3"
                                      " AND id = ANY($1::int8[]) ORDER BY id FOR UPDATE SKIP "
                                      "LOCKED") " ORDER BY array_position($1::int8[], j.id)",
    [MLS__PG_CLAIM_LEFT] = READY("1", "") " LIMIT 1",
    [MLS__PG_CLAIM_LEFT_OF] = CLAIM_LEFT(" AND type = w.name" OF_QUEUES("", "$2")),
    [MLS__PG_CLAIM_LEFT_IN] = CLAIM_LEFT(OF_QUEUE),
    [MLS__PG_CLAIM_LEFT_LIKE] =
        "SELECT 1 FROM jobs WHERE state = 3 AND type = $1::text AND queue = $2::text"
        " AND batch_key = $3::text AND cpu_milli = $4::int8 AND memory_bytes = $5::int8"
        " AND gpus = $6::int8" PASSING("", "$7", "$8", "$9") " LIMIT 1",
    [MLS__PG_WALK] = WALK(NEXT_OF_ALL),
    [MLS__PG_WALK_TYPES] = WALK(NEXT_OF_TYPES),
    [MLS__PG_WALK_QUEUES] = WALK(NEXT_OF_QUEUES),
    [MLS__PG_HEADS] = HEADS(""),
    [MLS__PG_HEADS_LOCK] = HEADS(" FOR UPDATE SKIP LOCKED"),
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
    [MLS__PG_SCHEDULES] = "SELECT " SCHEDULE_COLUMNS " FROM schedules",
    /* Who comes while another fires it waits, and finds it moved on: so it is there for claims. */
    [MLS__PG_SCHEDULE_DUE] = "SELECT " SCHEDULE_COLUMNS " FROM schedules WHERE next_ms <= $1::int8"
                             " AND name <> ALL($2::text[]) ORDER BY next_ms, name LIMIT 1"
                             " FOR UPDATE",
    [MLS__PG_SCHEDULE_NEXT] = "SELECT next_ms FROM schedules WHERE name <> ALL($1::text[])"
                              " ORDER BY next_ms LIMIT 1",
    /* One of the same line and zone goes on as it was, unless it had stopped. */
    [MLS__PG_SCHEDULE_SET] =
        "INSERT INTO schedules AS s(" SCHEDULE_COLUMNS ") VALUES($1::text, $2::text, $3::text,"
        " $4::text, $5::text, $6::text, $7::text, $8::text, $9::int8, $10::int8, $11::int8,"
        " $12::int8, $13::int8, $14::int8, $15::int8, $16::int8, $17::int8, $18::int8, $19::int8,"
        " $20::int8, $21::bytea) ON CONFLICT (name) DO UPDATE SET source = excluded.source,"
        " cron = excluded.cron, zone = excluded.zone, type = excluded.type,"
        " queue = excluded.queue, tenant = excluded.tenant, batch_key = excluded.batch_key,"
        " missed = excluded.missed, next_ms = CASE WHEN s.cron = excluded.cron"
        " AND s.zone = excluded.zone AND s.next_ms < 9223372036854775807 THEN s.next_ms"
        " ELSE excluded.next_ms END, last_ms = CASE WHEN s.cron = excluded.cron"
        " AND s.zone = excluded.zone THEN s.last_ms ELSE excluded.last_ms END,"
        " priority = excluded.priority, max_attempts = excluded.max_attempts,"
        " backoff_ms = excluded.backoff_ms, backoff_max_ms = excluded.backoff_max_ms,"
        " jitter_percent = excluded.jitter_percent, retention_ms = excluded.retention_ms,"
        " cpu_milli = excluded.cpu_milli, memory_bytes = excluded.memory_bytes,"
        " gpus = excluded.gpus, payload = excluded.payload",
    [MLS__PG_SCHEDULE_MOVE] = "UPDATE schedules SET next_ms = $2::int8, last_ms = $3::int8"
                              " WHERE name = $1::text",
    [MLS__PG_SCHEDULE_DELETE] = "DELETE FROM schedules WHERE name = $1::text RETURNING next_ms",
    [MLS__PG_JOB_ESCALATE] = "UPDATE jobs SET memory_bytes = $2::int8,"
                             " escalations = escalations + 1 WHERE id = $1::int8",
    [MLS__PG_ROOM_MARK] = "UPDATE meta SET room = 1 WHERE one = 1",
    [MLS__PG_ROOM_RUNS] =
        "SELECT j.type, j.cpu_milli, j.memory_bytes, j.gpus, j.since_us," KNOWN
        " FROM jobs j" JOIN_COSTS " WHERE j.member = $1::int8 AND j.claimer = ANY($2::int8[])",
    /* From group to group; a job's rank is the time since when it is ready. */
    [MLS__PG_OFFER_ADD] =
        "INSERT INTO offers VALUES($1::int8, $2::int8, $3::text, $4::int8, $5::int8, $6::int8)"
        " ON CONFLICT (member, claimer) DO NOTHING",
    [MLS__PG_OFFER_DELETE] = "DELETE FROM offers WHERE member = $1::int8 AND claimer = $2::int8",
    /* A member that an older library took for dead leaves its own behind. */
    [MLS__PG_OFFERS] = "SELECT name, cpu_milli, memory_bytes, gpus FROM offers o"
                       " WHERE EXISTS (SELECT FROM members m WHERE m.id = o.member)",
    [MLS__PG_COSTS] = "SELECT type, memory_bytes, sketches FROM costs ORDER BY type, memory_bytes",
    [MLS__PG_COSTS_LOCK] = "SELECT pg_try_advisory_xact_lock("
                           "'costs'::regclass::oid::int8::bit(32)::int4, 0)::int4::int8",
    [MLS__PG_COST_LOAD] =
        "SELECT sketches FROM costs WHERE type = $1::text AND memory_bytes = $2::int8",
    [MLS__PG_COST_SAVE] =
        "INSERT INTO costs VALUES($1::text, $2::int8, $3::int8, $4::int8, $5::int8, $6::int8,"
        " $7::bytea) ON CONFLICT (type, memory_bytes) DO UPDATE SET"
        " memory_samples = excluded.memory_samples, memory_p95 = excluded.memory_p95,"
        " wall_samples = excluded.wall_samples, wall_p95 = excluded.wall_p95,"
        " sketches = excluded.sketches",
    [MLS__PG_STOPPING] = "SELECT id, epoch FROM jobs WHERE member = $1::int8 AND state = 5",
    [MLS__PG_PROGRESS] = "UPDATE jobs SET progress = $4::float8, note = $5::text"
                         " WHERE id = $1::int8 AND epoch = $2::int8 AND member = $3::int8"
                         " RETURNING id",
    [MLS__PG_LIST] = "SELECT id FROM jobs WHERE id > $1::int8"
                     " AND ($2::text IS NULL OR queue = $2::text)"
                     " AND ($3::text IS NULL OR type = $3::text)"
                     " AND ($4::int8 = 0 OR ($4::int8 >> state::int4) & 1 = 1)"
                     " ORDER BY id LIMIT $5::int8",
    [MLS__PG_COUNT] = "INSERT INTO counts AS c VALUES($1::int8, $2::text, $3::text, $4::int8[])"
                      " ON CONFLICT (member, queue, type) DO UPDATE SET counters ="
                      " ARRAY(SELECT coalesce(a, 0) + coalesce(b, 0) FROM unnest(c.counters, "
                      "excluded.counters) WITH ORDINALITY"
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
        " o AS (DELETE FROM offers WHERE member = $1::int8),"
        " m AS (INSERT INTO counts AS c SELECT 0, queue, type, counters FROM c"
        " ON CONFLICT (member, queue, type) DO UPDATE SET counters ="
        " ARRAY(SELECT coalesce(a, 0) + coalesce(b, 0) FROM unnest(c.counters, excluded.counters) "
        "WITH ORDINALITY"
        " AS s(a, b, place) ORDER BY place))"
        " DELETE FROM members WHERE id = $1::int8",
    /* All; those in the place of $1, a machine and space of processes; of them, those before it. */
    [MLS__PG_MEMBER_COUNT] =
        "WITH m AS (SELECT id, split_part(process, ' ', 1) || ' ' || split_part(process, ' ', 2)"
        " AS place FROM members), u AS (SELECT place FROM m WHERE id = $1::int8)"
        " SELECT count(*), count(*) FILTER (WHERE m.place = u.place),"
        " count(*) FILTER (WHERE m.place = u.place AND m.id < $1::int8)"
        " FROM m LEFT JOIN u ON true",
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
