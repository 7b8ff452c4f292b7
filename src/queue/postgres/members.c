/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queues that are open. Each is a member: a row, and an advisory lock that its session
 * holds and the server releases when the session ends, however it does: on one host as
 * soon as the process dies, else when the peer is silent for 10 s.
 *
 * A free lock is not yet a death: connections are cut, and a server that ends lets go of its
 * sessions one after another, while the last of them still look. A process on the looker's
 * machine is asked for by its name (process.c); all others have ten seconds to come back, unless
 * the URL says otherwise, and who does goes on with what it runs.
 *
 * Who waits for something looks whether a lock is free whose row is there. All on one machine,
 * who alone see that a process there died, share about 80 looks a second, and take turns: so its
 * jobs are ready again within 100 ms as long as they wait, however many there are.
 */
#include "queue/postgres/postgres.h"

#include <stdio.h>

#define LOOKS_PER_MEMBER_NS UINT64_C(12500000)
#define SHORTEST_LOOK_NS    UINT64_C(40000000)

uint64_t mls__pg_look_interval_ns(const mls__pg_store *store)
{
    const uint64_t fair_ns = (uint64_t) store->neighbours * LOOKS_PER_MEMBER_NS;
    return fair_ns > SHORTEST_LOOK_NS ? fair_ns : SHORTEST_LOOK_NS;
}

/* The machine's clock is the same for all of them, and each has its place in the interval. */
uint64_t mls__pg_look_moment_ns(const mls__pg_store *store, uint64_t now_ns)
{
    const uint64_t interval_ns = mls__pg_look_interval_ns(store);
    const uint64_t count = store->neighbours ? (uint64_t) store->neighbours : 1;
    const uint64_t place_ns = interval_ns / count * (uint64_t) store->place;
    return now_ns - (now_ns - place_ns) % interval_ns;
}

static bool run_for(mls__pg_store *store, int statement, int64_t member)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, member);
    return mls__pg_run_none(store, statement, &p);
}

/* A running job of a member that is no more. */
static bool lose(mls__pg_store *store, mls__pg_row *row, bool is_death, char *text, size_t size)
{
    row->numbers[MLS__PG_DEATHS] += is_death;
    if (!is_death || row->numbers[MLS__PG_DEATHS] < store->most_deaths)
        return mls__pg_end_claim(store, row, MLS_JOB_ON_LOSE);
    snprintf(text, size, "quarantined: %lld processes died while they ran it",
             (long long) row->numbers[MLS__PG_DEATHS]);
    row->numbers[MLS__PG_ERROR] = MLS_EHANDLER;
    row->texts[MLS__PG_ERROR_TEXT] = text;
    return mls__pg_end_claim(store, row, MLS_JOB_ON_POISON);
}

static bool lose_all(mls__pg_store *store, int64_t member, bool is_death)
{
    PGresult *result;
    mls__pg_row *rows;
    size_t count;
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, member);
    mls__pg_add_number(&p, 0);
    if (!mls__pg_rows_lock(store, MLS__PG_JOBS_OF_MEMBER, &p, &result, &rows, &count))
        return false;
    char(*texts)[96] = mls__pg_alloc(store, (count + 1) * sizeof *texts);
    if (!texts)
        mls__pg_fail(store, MLS_ENOMEM, "no memory for a dead member's jobs");
    bool is_good = texts != NULL;
    for (size_t i = 0; is_good && i < count; i++)
        is_good = lose(store, &rows[i], is_death, texts[i], sizeof texts[i]);
    is_good = is_good && mls__pg_rows_save(store, rows, count);
    mls__pg_free(store, texts);
    mls__pg_rows_free(store, result, rows);
    return is_good;
}

static bool remove_member(mls__pg_store *store, int64_t member, bool is_death)
{
    store->txn.is_writing = store->txn.must_sync = true;
    store->txn.news |= MLS__PG_NEWS_MEMBER;
    return lose_all(store, member, is_death) && run_for(store, MLS__PG_MEMBER_DELETE, member);
}

/* Since when we see that member away: as it came last, so that a return counts. */
static uint64_t away_since(const mls__pg_store *store, int64_t member, int64_t came_us,
                           uint64_t now_ns)
{
    for (size_t i = 0; i < store->away_count; i++)
        if (store->away[i].member == member && store->away[i].came_us == came_us)
            return store->away[i].since_ns;
    return now_ns;
}

/* Notes who is away, in place of who was at the last look. */
static bool note_away(mls__pg_store *store, const PGresult *result)
{
    const size_t count = (size_t) PQntuples(result);
    const uint64_t now_ns = mls__pg_clock_ns();
    mls__pg_absence *away = count ? mls__pg_alloc(store, count * sizeof *away) : NULL;
    if (count && !away) {
        mls__pg_fail(store, MLS_ENOMEM, "no memory for %zu members", count);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const int64_t member = mls__pg_number(result, (int) i, 0);
        const int64_t came_us = mls__pg_number(result, (int) i, 1);
        away[i] = (mls__pg_absence){member, came_us, away_since(store, member, came_us, now_ns)};
    }
    mls__pg_free(store, store->away);
    store->away = away;
    store->away_count = count;
    return true;
}

/* Jobs do not die of a server's end, nor of a connection that was cut for long. */
static bool remove_dead(mls__pg_store *store, const PGresult *result)
{
    const uint64_t now_ns = mls__pg_clock_ns();
    for (int i = 0; i < PQntuples(result); i++) {
        const mls__pg_absence *away = &store->away[i];
        const bool is_same_server = mls__pg_number(result, i, 2) == 0;
        const int fate = mls__pg_process_fate(PQgetvalue(result, i, 3));
        if (fate != MLS__PG_IS_DEAD && now_ns - away->since_ns < store->patience_ns)
            continue;
        if (!remove_member(store, away->member, is_same_server && fate != MLS__PG_LIVES))
            return false;
    }
    return true;
}

static bool count_members(mls__pg_store *store)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, store->member);
    PGresult *result = mls__pg_run(store, MLS__PG_MEMBER_COUNT, &p);
    if (result) {
        store->member_count = mls__pg_number(result, 0, 0);
        store->neighbours = mls__pg_number(result, 0, 1);
        store->place = mls__pg_number(result, 0, 2);
    }
    PQclear(result);
    return result != NULL;
}

bool mls__pg_reap(mls__pg_store *store)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, store->member);
    PGresult *result = mls__pg_run(store, MLS__PG_MEMBERS_AWAY, &p);
    if (!result)
        return false;
    const bool is_good = note_away(store, result) && remove_dead(store, result);
    PQclear(result);
    if (!is_good)
        return false;
    return count_members(store);
}

void mls__pg_forget_away(mls__pg_store *store)
{
    mls__pg_free(store, store->away);
    store->away = NULL;
    store->away_count = 0;
}

bool mls__pg_mark(mls__pg_store *store)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, store->member);
    mls__pg_add_number(&p, ++store->last_txn);
    PGresult *result = mls__pg_run(store, MLS__PG_MEMBER_MARK, &p);
    if (!result)
        return false;
    const bool is_member = PQntuples(result) == 1;
    PQclear(result);
    if (!is_member && store->member) {
        mls__pg_fail(store, MLS_EIO, "this process was taken for dead");
        store->txn.failure = MLS__PG_LOST;
        return false;
    }
    return true;
}

/*
 * Not in the transaction that it is about: the server lets one at a time commit that
 * notifies, and syncs while it does. What is lost between the two others find by polling.
 */
void mls__pg_tell(mls__pg_store *store)
{
    static const char letters[] = "recms"; /* by bit of MLS__PG_NEWS_* */
    const unsigned news = store->txn.news;
    char said[sizeof letters] = "", sql[200];
    size_t size = 0;
    if (!news || (store->member_count <= 1 && !(news & MLS__PG_NEWS_MEMBER)))
        return;
    for (int i = 0; letters[i]; i++)
        if (news & (1u << i))
            said[size++] = letters[i];
    snprintf(sql, sizeof sql,
             "BEGIN; SET LOCAL synchronous_commit TO off; NOTIFY \"mlscale_%s\", '%s'; COMMIT",
             store->schema, said);
    mls__pg_do(store, sql);
}

int mls__pg_was_committed(mls__pg_store *store)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, store->member);
    PGresult *result = mls__pg_run(store, MLS__PG_MEMBER_LAST, &p);
    if (!result)
        return -1;
    const int was = PQntuples(result) ? mls__pg_number(result, 0, 0) == store->last_txn : -1;
    PQclear(result);
    return was;
}

/* A lock of the session, taken before others can see the row. */
static bool add_member(mls__pg_store *store)
{
    mls__pg_parameters p = {0};
    mls__pg_process_name(store->process);
    mls__pg_add_text(&p, store->process);
    PGresult *result = mls__pg_run(store, MLS__PG_MEMBER_ADD, &p);
    if (!result)
        return false;
    const int64_t member = mls__pg_number(result, 0, 0);
    PQclear(result);
    store->txn.is_writing = store->txn.must_sync = true;
    store->txn.news |= MLS__PG_NEWS_MEMBER;
    atomic_store(&store->member, member);
    return run_for(store, MLS__PG_MEMBER_LOCK, member);
}

typedef struct member_op {
    mls__pg_op op; /* first: they share an address */
    int64_t member;
} member_op;

static mls_status run_join(mls__pg_store *store, mls__pg_op *op)
{
    if (add_member(store))
        mls__pg_reap(store);
    ((member_op *) (void *) op)->member = store->member;
    return store->txn.status;
}

/* It never was one; unless a new connection has joined already, since the old one was lost. */
static void abandon_join(mls__pg_store *store, mls__pg_op *op)
{
    if (store->member == ((member_op *) (void *) op)->member)
        atomic_store(&store->member, 0);
}

/* Claims that nobody ended go back; nobody died of them. */
static mls_status run_leave(mls__pg_store *store, mls__pg_op *op)
{
    /* What is counted from now on is nobody's. */
    if (mls__pg_lanes_save(store) &&
        remove_member(store, ((member_op *) (void *) op)->member, false))
        atomic_store(&store->member, 0);
    return store->txn.status;
}

mls_status mls__pg_join(mls__pg_store *store)
{
    static const mls__pg_kind kind = {.run = run_join, .abandon = abandon_join};
    member_op join = {.op = {.kind = &kind}};
    return mls__pg_run_alone(store, &join.op);
}

void mls__pg_leave(mls__pg_store *store)
{
    static const mls__pg_kind kind = {.run = run_leave};
    member_op leave = {.op = {.kind = &kind}, .member = store->member};
    mls__pg_run_alone(store, &leave.op);
}

/* A statement about our own row: 1 it is there, 0 it is not, -1 failed. */
static int run_for_us(mls__pg_store *store, int statement)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, store->member);
    mls__pg_add_text(&p, store->process);
    PGresult *result = mls__pg_run(store, statement, &p);
    const int there = result ? PQntuples(result) : -1;
    PQclear(result);
    return there;
}

/* What a commit claimed of which we never learned is nobody's, and goes back. */
static bool release_unheld(mls__pg_store *store)
{
    PGresult *result;
    mls__pg_row *rows;
    size_t count;
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, store->member);
    mls__pg_add_number(&p, 0);
    if (!mls__pg_rows_lock(store, MLS__PG_JOBS_OF_MEMBER, &p, &result, &rows, &count))
        return false;
    bool is_good = true;
    for (size_t i = 0; is_good && i < count; i++)
        if (!mls__holds_has(&store->holds, (uint64_t) rows[i].numbers[MLS__PG_ID],
                            (uint64_t) rows[i].numbers[MLS__PG_EPOCH]))
            is_good = mls__pg_end_claim(store, &rows[i], MLS_JOB_ON_RELEASE);
    is_good = is_good && mls__pg_rows_save(store, rows, count) && mls__pg_lanes_save(store);
    mls__pg_rows_free(store, result, rows);
    return is_good;
}

/*
 * 1 as who we were, 0 others took us for dead, -1 failed. A number that was never committed
 * may be another's by now, whose lock is not ours to wait for.
 */
static int resume(mls__pg_store *store)
{
    const int there = run_for_us(store, MLS__PG_MEMBER_FIND);
    if (there <= 0)
        return there;
    if (!run_for(store, MLS__PG_MEMBER_LOCK, store->member))
        return -1;
    const int is_back = run_for_us(store, MLS__PG_MEMBER_RESUME);
    return is_back > 0 && store->is_doubtful && !release_unheld(store) ? -1 : is_back;
}

bool mls__pg_resume(mls__pg_store *store)
{
    if (!store->member)
        return true;
    if (mls__pg_begin(store, MLS__PG_BARE))
        return false;
    const int there = resume(store);
    if (there == 0 && add_member(store))
        mls__pg_waits_note(store);
    store->txn.is_writing = store->txn.must_sync = true;
    if (there < 0 || store->txn.status || mls__pg_commit(store)) {
        mls__pg_lanes_clear(store);
        return false;
    }
    store->is_doubtful = false;
    mls__pg_tell(store);
    store->last_txn = there ? store->last_txn : 0;
    mls__pg_forget_away(store); /* what cut our connection may have cut theirs */
    return true;
}
