/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for the server's answers, with an end. A server may hang while the kernels at both ends
 * keep the connection: it, or its machine, is suspended. Nothing tells that from one that has much
 * to do or waits for a lock, but a second connection: who says nothing for as long as the patience,
 * and answers nobody else either, is given up as if the connection had been cut.
 */
#include "queue/postgres/postgres.h"

#include <errno.h>
#include <sys/socket.h>

#define SHORTEST_NS UINT64_C(1000000000) /* however short the patience */

static uint64_t longest_ns(const mls__pg_store *store)
{
    return store->patience_ns > SHORTEST_NS ? store->patience_ns : SHORTEST_NS;
}

/* Nothing waits for the connection from here on, libpq neither. */
static void give_up(mls__pg_store *store)
{
    if (!store->txn.status) {
        mls__pg_fail(store, MLS_EIO,
                     "the server said nothing for %d s, and answers no new connection: it hangs, "
                     "or its machine does",
                     (int) (longest_ns(store) / UINT64_C(1000000000)));
        store->txn.failure = MLS__PG_LOST;
    }
    shutdown(PQsocket(store->connection), SHUT_RDWR);
    PQconsumeInput(store->connection);
}

/* Who closes wants nothing more of it but to leave, which others see without a word. */
static bool is_to_wait(mls__pg_store *store)
{
    return !mls__pg_is_closing(store) && mls__pg_answers(store);
}

/* Until it can be read, or written to if that is asked for; false: it was given up. */
static bool await(mls__pg_store *store, short events)
{
    struct pollfd fd = {PQsocket(store->connection), events, 0};
    uint64_t now_ns = mls__pg_clock_ns(), until_ns = now_ns + longest_ns(store);
    while (fd.fd >= 0) {
        const int count = poll(&fd, 1, (int) ((until_ns - now_ns) / 1000000 + 1));
        if (count > 0 || (count < 0 && errno != EINTR))
            return true;
        now_ns = mls__pg_clock_ns();
        if (now_ns < until_ns)
            continue;
        if (!is_to_wait(store)) {
            give_up(store);
            return false;
        }
        now_ns = mls__pg_clock_ns();
        until_ns = now_ns + longest_ns(store);
    }
    return true;
}

void mls__pg_flush(mls__pg_store *store)
{
    while (PQflush(store->connection) == 1)
        if (!await(store, POLLIN | POLLOUT) || !PQconsumeInput(store->connection))
            return; /* what is read next says why */
}

PGresult *mls__pg_next_result(mls__pg_store *store)
{
    while (PQisBusy(store->connection))
        if (!await(store, POLLIN) || !PQconsumeInput(store->connection))
            break;
    return PQgetResult(store->connection);
}

PGresult *mls__pg_last_result(mls__pg_store *store)
{
    PGresult *last = NULL;
    for (PGresult *result; (result = mls__pg_next_result(store));) {
        PQclear(last);
        last = result;
        if (PQresultStatus(last) == PGRES_COPY_IN || PQstatus(store->connection) == CONNECTION_BAD)
            break;
    }
    return last;
}

void mls__pg_drop_results(mls__pg_store *store)
{
    bool goes_on = true;
    for (PGresult *result; goes_on && (result = mls__pg_next_result(store)); PQclear(result)) {
        if (PQresultStatus(result) == PGRES_COPY_IN)
            goes_on = PQputCopyEnd(store->connection, "given up") == 1;
        goes_on = goes_on && PQstatus(store->connection) != CONNECTION_BAD;
    }
}
