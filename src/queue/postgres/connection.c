/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection: statements and their failures, transactions, COPY. What the server or
 * the way to it did wrong is the transaction's failure, told apart by what can be done
 * about it: nothing, another try, or a new connection.
 */
#include "queue/postgres/postgres.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What an SQLSTATE begins with, what that is here, and what helps; NULL: nothing known. */
static const struct {
    const char *code;
    mls_status status;
    int failure;
    const char *help;
} codes[] = {
    {"08", MLS_EIO, MLS__PG_LOST, NULL},
    {"57P03", MLS_EIO, MLS__PG_LOST, "the server is starting or stopping: try again"},
    {"57P", MLS_EIO, MLS__PG_LOST, NULL},
    {"40", MLS_EIO, MLS__PG_CLASHED, NULL},
    {"55P03", MLS_EIO, MLS__PG_CLASHED, NULL},
    {"22021", MLS_EINVAL, MLS__PG_FAILED, "names and keys are UTF-8 here"},
    {"22", MLS_EINVAL, MLS__PG_FAILED, NULL},
    {"25006", MLS_EIO, MLS__PG_FAILED,
     "connect to a server that may be written to: the URL's target_session_attrs=read-write"},
    {"28P01", MLS_EIO, MLS__PG_FAILED,
     "check the user's name, and the password: in ~/.pgpass, PGPASSWORD or the URL"},
    {"28", MLS_EIO, MLS__PG_FAILED, "check the user's name, and the server's pg_hba.conf"},
    {"3D000", MLS_EIO, MLS__PG_FAILED, "create the database, with createdb, or name another"},
    {"42501", MLS_EIO, MLS__PG_FAILED,
     "ask the owner for the rights: CREATE in the database for `mlscale queue init`, all on the "
     "schema and its tables for the rest"},
    {"53100", MLS_EIO, MLS__PG_FAILED, "make room on the server's disk"},
    {"53200", MLS_ENOMEM, MLS__PG_FAILED, "the server has no memory left"},
    {"53300", MLS_EIO, MLS__PG_FAILED,
     "each open queue is one connection: close some, or raise the limit, which is the server's "
     "max_connections, or one of the role or the database"},
    {"0A", MLS_EUNSUPPORTED, MLS__PG_FAILED, NULL},
    {"XX00", MLS_EFORMAT, MLS__PG_FAILED, "look for what the server's log says before it"},
    {"42P01", MLS_EFORMAT, MLS__PG_FAILED, "tables of the queue were dropped or renamed"},
    {"42703", MLS_EFORMAT, MLS__PG_FAILED, "tables of the queue were changed"},
    {"", MLS_EIO, MLS__PG_FAILED, NULL},
};

static size_t find_code(const char *code)
{
    size_t i = 0;
    while (strncmp(codes[i].code, code, strlen(codes[i].code)) != 0)
        i++;
    return i;
}

const char *mls__pg_help(const char *code)
{
    return codes[find_code(code)].help;
}

mls_status mls__pg_fail(mls__pg_store *store, mls_status status, const char *format, ...)
{
    mls__pg_txn *txn = &store->txn;
    if (txn->status)
        return txn->status;
    va_list args;
    va_start(args, format);
    vsnprintf(txn->message, sizeof txn->message, format, args);
    va_end(args);
    txn->status = status;
    txn->failure = MLS__PG_FAILED;
    return status;
}

mls_status mls__pg_fail_result(mls__pg_store *store, PGresult *result, const char *what)
{
    const char *code = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *text = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    const bool is_lost = PQstatus(store->connection) == CONNECTION_BAD;
    const size_t i = find_code(code ? code : "");
    if (!store->txn.status) {
        text = text ? text : PQerrorMessage(store->connection);
        mls__pg_fail(store, is_lost ? MLS_EIO : codes[i].status, "PostgreSQL%s%s, %.80s: %.*s%s%s",
                     code ? " " : "", code ? code : "", what, (int) strcspn(text, "\n"), text,
                     codes[i].help ? "; " : "", codes[i].help ? codes[i].help : "");
        store->txn.failure = is_lost ? MLS__PG_LOST : codes[i].failure;
    }
    PQclear(result);
    return store->txn.status;
}

static PGresult *check(mls__pg_store *store, PGresult *result, const char *what)
{
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_COPY_IN)
        return result;
    mls__pg_fail_result(store, result, what);
    return NULL;
}

/* What was sent, if it was, is answered by this; what is about it says `what`. */
static PGresult *answer(mls__pg_store *store, bool is_sent, const char *what)
{
    PGresult *result = NULL;
    if (is_sent) {
        mls__pg_flush(store);
        result = mls__pg_last_result(store);
    }
    return check(store, result, what);
}

PGresult *mls__pg_execute(mls__pg_store *store, const char *sql)
{
    mls__pg_drop_results(store);
    return answer(store, PQsendQuery(store->connection, sql) == 1, sql);
}

bool mls__pg_do(mls__pg_store *store, const char *sql)
{
    PGresult *result = mls__pg_execute(store, sql);
    PQclear(result);
    return result != NULL;
}

static bool prepare(mls__pg_store *store, int statement, const char *name)
{
    if (store->is_prepared[statement])
        return true;
    const char *text = mls__pg_statement_text(statement);
    mls__pg_drop_results(store);
    PGresult *result =
        answer(store, PQsendPrepare(store->connection, name, text, 0, NULL) == 1, text);
    PQclear(result);
    store->is_prepared[statement] = result != NULL;
    return result != NULL;
}

/* Puts the arrays, which do not grow any more, in their places. */
static bool seal(mls__pg_store *store, mls__pg_parameters *parameters)
{
    bool has_failed = parameters->has_failed;
    for (int i = 0; i < parameters->count; i++) {
        const mls__pg_buffer *array = &parameters->arrays[i];
        if (!array->data && !array->has_failed)
            continue;
        parameters->values[i] = array->data;
        parameters->lengths[i] = (int) array->size;
        has_failed |= array->has_failed || array->size > INT32_MAX;
    }
    if (has_failed)
        mls__pg_fail(store, MLS_ENOMEM, "no memory for what is sent to the server");
    return !has_failed;
}

static PGresult *send_prepared(mls__pg_store *store, int statement, const char *name,
                               const mls__pg_parameters *p)
{
    mls__pg_drop_results(store);
    const int is_sent = PQsendQueryPrepared(store->connection, name, p->count, p->values,
                                            p->lengths, p->formats, 1);
    return answer(store, is_sent == 1, mls__pg_statement_text(statement));
}

PGresult *mls__pg_run(mls__pg_store *store, int statement, mls__pg_parameters *parameters)
{
    static mls__pg_parameters none;
    mls__pg_parameters *p = parameters ? parameters : &none;
    char name[16];
    PGresult *result = NULL;
    snprintf(name, sizeof name, "mls%d", statement);
    if (!store->txn.status && seal(store, p) && prepare(store, statement, name))
        result = send_prepared(store, statement, name, p);
    if (parameters)
        mls__pg_parameters_clear(store, parameters);
    return result;
}

bool mls__pg_run_none(mls__pg_store *store, int statement, mls__pg_parameters *parameters)
{
    PGresult *result = mls__pg_run(store, statement, parameters);
    PQclear(result);
    return result != NULL;
}

/* After COPY the server says how it went, in one result and no more. */
static bool end_copy(mls__pg_store *store, const char *sql)
{
    bool is_good = true;
    for (PGresult *result; (result = mls__pg_next_result(store));) {
        const bool goes_on = PQresultStatus(result) == PGRES_COPY_IN;
        is_good = check(store, result, sql) != NULL && is_good;
        if (is_good)
            PQclear(result);
        if (goes_on || PQstatus(store->connection) == CONNECTION_BAD)
            break;
    }
    return is_good;
}

bool mls__pg_copy(mls__pg_store *store, const char *sql, const mls__pg_buffer *rows)
{
    static const char header[19] = "PGCOPY\n\377\r\n"; /* then flags and extension: none */
    if (rows->has_failed || rows->size > INT32_MAX) {
        mls__pg_fail(store, MLS_ENOMEM, "no memory for what is sent to the server");
        return false;
    }
    PGresult *begun = mls__pg_execute(store, sql);
    if (!begun)
        return false;
    PQclear(begun);
    static const char end[2] = {'\377', '\377'};
    const bool is_sent = PQputCopyData(store->connection, header, sizeof header) == 1 &&
                         PQputCopyData(store->connection, rows->data, (int) rows->size) == 1 &&
                         PQputCopyData(store->connection, end, sizeof end) == 1 &&
                         PQputCopyEnd(store->connection, NULL) == 1;
    mls__pg_flush(store);
    if (!is_sent)
        mls__pg_fail_result(store, NULL, sql);
    return end_copy(store, sql) && is_sent;
}

void mls__pg_reset_txn(mls__pg_store *store)
{
    const int64_t now_us = store->txn.now_us;
    store->txn = (mls__pg_txn){.now_us = now_us};
    store->kept.count = 0;
}

#define SINCE_1970 "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8"
#define RULES                                                                                      \
    ", coalesce((SELECT max(CASE WHEN max_running > 0 OR rate_jobs > 0 THEN 2 ELSE 1 END)"         \
    " FROM rules), 0), (SELECT shares FROM meta WHERE one = 1),"                                   \
    " coalesce((SELECT next_ms FROM schedules ORDER BY next_ms LIMIT 1), 0),"                      \
    " (SELECT room FROM meta WHERE one = 1)"

/*
 * The server's time comes with it: all that the transaction decides, it decides by that. So
 * does whether tenants share, and what rules there are, which stays so, since who reads the table
 * has it locked until the end against who sets rules, and who sets rules locks it before all else;
 * and when the next schedule is due.
 */
mls_status mls__pg_begin(mls__pg_store *store, int how)
{
    static const char *const texts[] = {
        [MLS__PG_BARE] = "BEGIN; " SINCE_1970 ", 0, 0, 0, 0",
        [MLS__PG_SHARED] = "BEGIN; SELECT now_us()" RULES,
        [MLS__PG_EXCLUSIVE] =
            "BEGIN; LOCK TABLE rules IN ACCESS EXCLUSIVE MODE; SELECT now_us()" RULES,
    };
    mls__pg_reset_txn(store);
    const uint64_t before_ns = mls__pg_clock_ns();
    PGresult *result = mls__pg_execute(store, texts[how]);
    if (!result)
        return store->txn.status;
    store->txn.now_us = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    store->txn.rules = atoi(PQgetvalue(result, 0, 1));
    store->txn.shares = atoi(PQgetvalue(result, 0, 2));
    mls__pg_schedules_expect(store, strtoll(PQgetvalue(result, 0, 3), NULL, 10));
    store->txn.room = atoi(PQgetvalue(result, 0, 4));
    store->clock_offset_us = store->txn.now_us - (int64_t) (before_ns / 1000);
    PQclear(result);
    return MLS_OK;
}

mls_status mls__pg_commit(mls__pg_store *store)
{
    const bool is_async = store->txn.is_writing && !store->txn.must_sync;
    PGresult *result =
        mls__pg_execute(store, is_async ? "SET LOCAL synchronous_commit TO off; COMMIT" : "COMMIT");
    if (!result) {
        if (store->txn.failure == MLS__PG_LOST && store->txn.is_writing)
            store->txn.failure = MLS__PG_UNDECIDED;
        return store->txn.status;
    }
    /* A transaction that failed before says ROLLBACK here. */
    if (strcmp(PQcmdStatus(result), "COMMIT") != 0)
        mls__pg_fail(store, MLS_EIO, "the server rolled the transaction back");
    PQclear(result);
    return store->txn.status;
}

void mls__pg_rollback(mls__pg_store *store)
{
    if (PQstatus(store->connection) != CONNECTION_OK)
        return;
    mls__pg_drop_results(store);
    if (PQsendQuery(store->connection, "ROLLBACK") == 1) {
        mls__pg_flush(store);
        PQclear(mls__pg_last_result(store));
    }
}
