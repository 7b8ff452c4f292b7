/* SPDX-License-Identifier: Apache-2.0 */
/* How many rows claims look at, which must not grow with those that are none of theirs. */
#include "job/fixture.h"
#include "queue/postgres/statements.h"
#include "queue/postgres_clients.h"
#include "queue/postgres_tables.h"
#include "support/postgres.h"

#include <stdio.h>

enum { BACKLOG = 20000, MOST_ROWS = 500, MOST_SQL = 16384 };

/* As they are of the driver's sessions. */
static const char settings[] =
    "SET enable_seqscan TO off; SET enable_bitmapscan TO off; SET enable_hashjoin TO off;"
    "SET enable_mergejoin TO off; SET jit TO off; SET plan_cache_mode TO force_generic_plan;";

/* Ready jobs that nobody serves, no two of which need the same, in front of one. */
static void fill(void)
{
    char sql[1000];
    snprintf(sql, sizeof sql,
             "SET search_path TO %s; INSERT INTO jobs(id, state, priority, rank, max_attempts,"
             " backoff_ms, backoff_max_ms, jitter_percent, retention_ms, submitted_ms, run_at_ms,"
             " deadline_ms, since_us, memory_bytes, queue, type, tenant, batch_key)"
             " SELECT i, 3, 5, i, 1, 0, 0, 0, 0, 0, 0, 0, i, i, CASE WHEN i = %d THEN 'few'"
             " ELSE 'q' END, CASE WHEN i = %d THEN 'mine' ELSE 'other' END, '', '' FROM "
             "generate_series(1, %d) AS i; ANALYZE jobs",
             tables_schema(), BACKLOG, BACKLOG, BACKLOG);
    mls_test_postgres_sql(sql);
}

/* Fails in the server when it looked at more rows than those, kept or not. */
static void look(int statement, const char *args, int most)
{
    static char sql[MOST_SQL];
    const int size = snprintf(
        sql, sizeof sql,
        "SET search_path TO %s; %s PREPARE s AS %s; DO $do$ DECLARE plan jsonb; seen numeric; BEGIN"
        " EXECUTE $in$EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE s(%s)$in$ INTO plan;"
        " SELECT sum((n->>'Actual Loops')::numeric * ((n->>'Actual Rows')::numeric"
        " + coalesce((n->>'Rows Removed by Filter')::numeric, 0))) INTO seen"
        " FROM jsonb_path_query(plan, 'strict $.**') AS n WHERE jsonb_typeof(n) = 'object'"
        " AND n->>'Relation Name' = 'jobs' AND n->>'Node Type' LIKE '%%Scan';"
        " IF seen > %d THEN RAISE EXCEPTION '%% rows', seen; END IF; END $do$",
        tables_schema(), settings, mls__pg_statement_text(statement), args, most);
    ck_assert_int_lt(size, MOST_SQL);
    mls_test_postgres_sql(sql);
}

#define NONE       "array[]::text[]"
#define EVERYTHING "9223372036854775807"

START_TEST(claims_look_at_few_rows)
{
    enum { GROUPS = 100 };
    tables_use(mls_test_postgres_url(), "");
    mls_queue_close(fixture_queue(tables_url()));
    fill();
    look(MLS__PG_CLAIM_EACH, "16, 4, 1, 1, '', 1, array['mine'], NULL", MOST_ROWS);
    look(MLS__PG_CLAIM_WANTED, "16, 4, 1, 1, '', 1, array['mine', 'none'], NULL", MOST_ROWS);
    look(MLS__PG_CLAIM_LEFT_OF, "array['none'], NULL", MOST_ROWS);
    look(MLS__PG_CLAIM_QUEUES_EACH, "16, 4, 1, 1, '', 1, array['few']", MOST_ROWS);
    look(MLS__PG_CLAIM_QUEUES_WANTED, "16, 4, 1, 1, '', 1, array['few', 'none']", MOST_ROWS);
    look(MLS__PG_CLAIM_LEFT_IN, "array['none']", MOST_ROWS);
    look(MLS__PG_CLAIM_LIKE, "16, 4, 1, 1, '', 1, 'other', 'q', '', 0, 20, 0", MOST_ROWS);
    static const struct {
        int statement;
        const char *served, *least, *most; /* types and queues */
        int rows;
    } walks[] = {
        {MLS__PG_WALK, "NULL, NULL", "0, 0, 0", EVERYTHING ", " EVERYTHING ", " EVERYTHING,
         MOST_ROWS},
        {MLS__PG_WALK_TYPES, "array['mine'], NULL", "0, 0, 0",
         EVERYTHING ", " EVERYTHING ", " EVERYTHING, MOST_ROWS},
        {MLS__PG_WALK_TYPES, "array['other'], NULL", "0, 0, 0",
         EVERYTHING ", " EVERYTHING ", " EVERYTHING, MOST_ROWS},
        {MLS__PG_WALK_TYPES, "array['other'], NULL", "0, 20, 0", "0, 20, 0", MOST_ROWS},
        {MLS__PG_WALK_QUEUES, "NULL, array['q']", "0, 0, 0",
         EVERYTHING ", " EVERYTHING ", " EVERYTHING, MOST_ROWS},
        {MLS__PG_WALK_QUEUES, "NULL, array['few', 'none']", "0, 0, 0",
         EVERYTHING ", " EVERYTHING ", " EVERYTHING, 10},
    };
    for (size_t i = 0; i < sizeof walks / sizeof walks[0]; i++) {
        char args[600];
        snprintf(args, sizeof args,
                 "%s, " NONE ", " NONE ", " NONE ", %s, %s, 1, " EVERYTHING
                 ", '', '', '', 0, 0, 0, %d",
                 walks[i].served, walks[i].least, walks[i].most, GROUPS);
        look(walks[i].statement, args, walks[i].rows);
    }
}
END_TEST

void postgres_plans_add(TCase *tests)
{
    tcase_add_test(tests, claims_look_at_few_rows);
}
