/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/postgres_tables.h"

#include "support/postgres.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char the_url[700], the_schema[40];

void tables_use(const char *url, const char *options)
{
    const char *schema = strstr(url, "schema=") + strlen("schema=");
    snprintf(the_schema, sizeof the_schema, "%.*s", (int) strcspn(schema, "&"), schema);
    snprintf(the_url, sizeof the_url, "%s%s", url, options);
}

const char *tables_url(void)
{
    return the_url;
}

const char *tables_schema(void)
{
    return the_schema;
}

void tables_sql(const char *format, ...)
{
    char sql[600];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    mls_test_postgres_sql(sql);
}

void tables_expect(const char *condition)
{
    tables_sql("SET search_path TO %s; SELECT 1 / (%s)::int", the_schema, condition);
}

void tables_await(const char *condition)
{
    tables_sql(
        "DO $$ BEGIN SET LOCAL search_path TO %s; WHILE NOT (%s) LOOP PERFORM pg_sleep(0.001);"
        " END LOOP; END $$",
        the_schema, condition);
}

const char *guests_url(char url[700], const char *options)
{
    tables_use(mls_test_postgres_url(), options);
    mls_test_postgres_sql("DO $$ BEGIN CREATE ROLE visitor SUPERUSER LOGIN;"
                          " EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    snprintf(url, 700, "postgres://visitor%s", strchr(the_url, '@'));
    return url;
}

void guests_cut(void)
{
    mls_test_postgres_sql("ALTER ROLE visitor NOLOGIN");
    mls_test_postgres_sql("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
                          " WHERE usename = 'visitor'");
}
