/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting: with a limit of time, and with a word on what to do when the server refuses.
 * What it refuses for is told apart by the code of its answer, since the words are in the
 * server's language.
 */
#include "queue/postgres/postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_S 10 /* unless the URL's connect_timeout says otherwise */

static const char unreachable[] = "see that the server runs, and that host and port are right";

static void ignore_notice(void *user, const PGresult *result)
{
    (void) user;
    (void) result;
}

/*
 * Plans must not depend on statistics, which are of another time when a queue fills or
 * empties: every statement has an index that fits, and takes it. A peer's machine that
 * fell silent is noticed within 10 s.
 */
static const char session_sql[] =
    "SET enable_seqscan TO off; SET enable_bitmapscan TO off; SET enable_hashjoin TO off;"
    "SET enable_mergejoin TO off; SET enable_hashagg TO on; SET jit TO off;"
    "SET plan_cache_mode TO force_generic_plan; SET synchronous_commit TO on;"
    "SET default_transaction_isolation TO 'read committed'; SET statement_timeout TO 0;"
    "SET idle_in_transaction_session_timeout TO 0; SET idle_session_timeout TO 0;"
    "SET lock_timeout TO 0;"
    "SET tcp_keepalives_idle TO 5; SET tcp_keepalives_interval TO 1;"
    "SET tcp_keepalives_count TO 5; SET tcp_user_timeout TO 10000;";

static mls_status configure(mls__pg_store *store)
{
    char sql[160];
    if (PQserverVersion(store->connection) < 140000)
        return mls__pg_fail(store, MLS_EUNSUPPORTED, "the server is older than PostgreSQL 14");
    if (!mls__pg_do(store, session_sql))
        return store->txn.status;
    snprintf(sql, sizeof sql, "SET search_path TO \"%s\"", store->schema);
    if (!mls__pg_do(store, sql))
        return store->txn.status;
    snprintf(sql, sizeof sql, "LISTEN \"mlscale_%s\"", store->schema);
    return mls__pg_do(store, sql) ? MLS_OK : store->txn.status;
}

/* The five letters in "...:  53300: sorry, ..." of a message in full; "" when there are none. */
static void find_code(const char *message, char code[6])
{
    code[0] = '\0';
    for (const char *at = strstr(message, ":  "); at; at = strstr(at + 1, ":  "))
        if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && at[8] == ':') {
            memcpy(code, at + 3, 5);
            code[5] = '\0';
        }
}

/* Why there is no connection, in one line without the place in the server's source. */
static mls_status refuse(mls__pg_store *store)
{
    char message[MLS__PG_MESSAGE_BYTES], code[6];
    snprintf(message, sizeof message, "%s", PQerrorMessage(store->connection));
    find_code(message, code);
    message[strcspn(message, "\n")] = '\0';
    const char *help = mls__pg_help(code);
    return mls__pg_fail(store, MLS_EIO, "%.300s; %s", message, help ? help : unreachable);
}

static int timeout_s(PGconn *connection)
{
    int seconds = CONNECT_S;
    PQconninfoOption *options = PQconninfo(connection);
    for (const PQconninfoOption *o = options; o && o->keyword; o++)
        if (strcmp(o->keyword, "connect_timeout") == 0 && o->val && o->val[0])
            seconds = atoi(o->val);
    PQconninfoFree(options);
    return seconds > 0 && seconds < 86400 ? seconds : 86400;
}

/* What others want meanwhile is answered, unless they wait for who asks. */
static void rest(mls__pg_store *store, bool is_asking, struct pollfd *fd, uint64_t until_ns)
{
    const uint64_t now_ns = mls__pg_clock_ns();
    if (!is_asking)
        mls__pg_rest(store, fd, until_ns);
    else if (poll(fd, 1, until_ns > now_ns ? (int) ((until_ns - now_ns) / 1000000 + 1) : 0) <= 0)
        fd->revents = 0;
}

/* In steps, since only so libpq can be told to give codes before it fails. */
static PostgresPollingStatusType connect_in_time(mls__pg_store *store, PGconn *connection,
                                                 bool is_asking)
{
    const uint64_t until_ns =
        mls__pg_clock_ns() + (uint64_t) timeout_s(connection) * UINT64_C(1000000000);
    PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
    PostgresPollingStatusType step = PGRES_POLLING_WRITING;
    while (step == PGRES_POLLING_READING || step == PGRES_POLLING_WRITING) {
        const short events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        struct pollfd fd = {PQsocket(connection), events, 0};
        if (mls__pg_clock_ns() >= until_ns)
            return step;
        rest(store, is_asking, &fd, until_ns);
        if (fd.revents)
            step = PQconnectPoll(connection);
    }
    PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
    return step;
}

/* NULL: no memory. */
static PGconn *start(const mls__pg_store *store)
{
    /* Those before dbname are defaults of ours; the one behind it is not to be changed. */
    const char *const names[] = {
        "fallback_application_name", "keepalives_idle", "keepalives_interval", "keepalives_count",
        "tcp_user_timeout",          "dbname",          "client_encoding",     NULL};
    const char *const values[] = {"mlscale", "5", "1", "5", "10000", store->url, "UTF8", NULL};
    PGconn *connection = PQconnectStartParams(names, values, 1);
    if (connection)
        PQsetNoticeReceiver(connection, ignore_notice, NULL); /* else it would print */
    return connection;
}

static void end_start(mls__pg_store *store, PostgresPollingStatusType step)
{
    if (step == PGRES_POLLING_FAILED)
        refuse(store);
    else if (step != PGRES_POLLING_OK)
        mls__pg_fail(store, MLS_EIO, "no connection within %d s; %s", timeout_s(store->connection),
                     unreachable);
    else if (PQsetnonblocking(store->connection, 1))
        mls__pg_fail(store, MLS_EIO, "libpq cannot wait for the server: %.300s",
                     PQerrorMessage(store->connection));
    else
        configure(store);
}

mls_status mls__pg_connect(mls__pg_store *store)
{
    mls__pg_reset_txn(store);
    store->connection = start(store);
    memset(store->is_prepared, 0, sizeof store->is_prepared);
    if (!store->connection)
        return mls__pg_fail(store, MLS_ENOMEM, "no memory for a connection");
    if (PQstatus(store->connection) == CONNECTION_BAD)
        refuse(store);
    else
        end_start(store, connect_in_time(store, store->connection, false));
    if (store->txn.status)
        mls__pg_disconnect(store);
    return store->txn.status;
}

bool mls__pg_answers(mls__pg_store *store)
{
    char code[6] = "";
    PostgresPollingStatusType step = PGRES_POLLING_FAILED;
    PGconn *connection = start(store);
    if (connection && PQstatus(connection) != CONNECTION_BAD)
        step = connect_in_time(store, connection, true);
    if (step == PGRES_POLLING_FAILED)
        find_code(PQerrorMessage(connection), code);
    PQfinish(connection);
    return step == PGRES_POLLING_OK || code[0];
}

void mls__pg_disconnect(mls__pg_store *store)
{
    PQfinish(store->connection);
    store->connection = NULL;
    /* A server that crashed may have forgotten that it gave them, and give them to others. */
    store->ids_left = 0;
}
