/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The committer: takes what lies in the inbox, runs it in one transaction, and answers.
 *
 * Who posts pushes onto a stack and wakes the committer if it sleeps; both orders are
 * sequentially consistent, so at least one sees the other. Answers of a group are
 * published by one word that moves, so that one system call wakes all of them; who is
 * parked waits on a word of its own.
 */
#include "queue/sqlite/sqlite.h"

#include "base/clock.h"
#include "base/error.h"

#include <string.h>

#define MOST_OPS         1024 /* of a group */
#define FAILING_PAUSE_NS UINT64_C(50000000)
#define LAST_TRIES_NS    UINT64_C(1000000000)
#define LONG_SYNC_NS     UINT64_C(200000)
#define GATHER_PART      8 /* of the time that a sync takes */

void mls__sql_list_init(mls__sql_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

void mls__sql_list_add(mls__sql_list *list, mls__sql_op *op)
{
    op->next = NULL;
    *list->last = op;
    list->last = &op->next;
}

/* Posting */

void mls__sql_push(mls__sql_store *store, mls__sql_op *op)
{
    atomic_store_explicit(&op->phase, MLS__SQL_QUEUED, memory_order_relaxed);
    mls__sql_op *below = atomic_load_explicit(&store->inbox, memory_order_relaxed);
    do
        op->next = below;
    while (!atomic_compare_exchange_weak(&store->inbox, &below, op));
    mls__sql_slot_wake(store);
}

bool mls__sql_post(mls__sql_store *store, mls__sql_op *op)
{
    mls__sql_push(store, op);
    for (;;) {
        const uint32_t groups = atomic_load(&store->groups);
        const uint32_t phase = atomic_load(&op->phase);
        if (phase != MLS__SQL_QUEUED)
            return phase == MLS__SQL_DONE;
        mls__sql_futex_wait(&store->groups, groups, MLS__FOREVER);
    }
}

void mls__sql_await(mls__sql_op *op)
{
    while (atomic_load(&op->phase) != MLS__SQL_DONE)
        mls__sql_futex_wait(&op->phase, MLS__SQL_PARKED, MLS__FOREVER);
}

mls_status mls__sql_answer(const mls__sql_op *op)
{
    return op->status ? mls__error(op->status, "%s", op->message) : MLS_OK;
}

mls_status mls__sql_call(mls__sql_store *store, mls__sql_op *op)
{
    if (!mls__sql_post(store, op))
        mls__sql_await(op);
    return mls__sql_answer(op);
}

/* Groups */

static void set_message(mls__sql_op *op, mls_status status, const char *message)
{
    op->status = status;
    strncpy(op->message, message, sizeof op->message - 1);
    op->message[sizeof op->message - 1] = '\0';
}

void mls__sql_set_status(mls__sql_op *op, mls_status status)
{
    set_message(op, status, status ? mls_error_message() : "");
}

static bool run_op(mls__sql_store *store, mls__sql_op *op)
{
    op->parks = op->again = op->is_served = false;
    const mls_status status = op->kind->run(store, op);
    if (store->txn.status)
        return false;
    mls__sql_set_status(op, status);
    return true;
}

static bool serve_parked(mls__sql_store *store, unsigned news)
{
    if ((store->txn.is_ready_news || news & MLS__SQL_NEWS_READY) && !mls__sql_claims_serve(store))
        return false;
    if (news & MLS__SQL_NEWS_ENDED && !mls__sql_waits_look(store))
        return false;
    if (news & MLS__SQL_NEWS_CANCEL && !mls__sql_cancels_look(store))
        return false;
    return !((news | store->txn.news) & MLS__SQL_NEWS_ENDED) || mls__sql_drains_serve(store);
}

/* The earliest timer, which ends the committer's next sleep. */
static bool find_timer(mls__sql_store *store)
{
    sqlite3_stmt *statement = mls__sql_prepare(store, MLS__SQL_JOB_TIMER);
    if (!statement)
        return false;
    const int code = mls__sql_step(store, statement);
    if (code == SQLITE_ROW)
        store->next_timer_ms = sqlite3_column_int64(statement, 0);
    else if (code == SQLITE_DONE)
        store->next_timer_ms = 0;
    sqlite3_reset(statement);
    const int64_t rules_ms = mls__sql_rules_next_ms(store);
    if (rules_ms && (!store->next_timer_ms || rules_ms < store->next_timer_ms))
        store->next_timer_ms = rules_ms;
    return mls__sql_schedules_find_next(store) && !store->txn.status;
}

static bool run_all(mls__sql_store *store, mls__sql_op **ops, size_t count, unsigned news)
{
    if (news & MLS__SQL_NEWS_DEATH && !mls__sql_reap(store))
        return false;
    if (!mls__sql_schedules_tick(store) || !mls__sql_tick(store))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!run_op(store, ops[i]))
            return false;
    /* Twice: a claim that was served may have ended what a wait is for, or the like. */
    return mls__sql_tick(store) && serve_parked(store, news) && find_timer(store);
}

void mls__sql_finish_parked(mls__sql_op *op)
{
    atomic_store(&op->phase, MLS__SQL_DONE);
    mls__sql_futex_wake(&op->phase, 1);
}

/*
 * Parked operations that got their answer in this transaction, or lost it again. Those
 * that came with it (still queued) are answered with their group, or leave the list.
 */
static void sift(mls__sql_store *store, mls__sql_list *list, bool is_committed)
{
    mls__sql_op *op = list->first;
    mls__sql_list_init(list);
    while (op) {
        mls__sql_op *next = op->next;
        const bool is_new =
            atomic_load_explicit(&op->phase, memory_order_relaxed) == MLS__SQL_QUEUED;
        if (!is_committed) {
            if (!is_new) {
                op->kind->abandon(store, op);
                op->is_served = false;
                mls__sql_list_add(list, op);
            }
        } else {
            if (op->kind->publish)
                op->kind->publish(store, op);
            if (!op->is_served)
                mls__sql_list_add(list, op);
            else if (is_new)
                op->parks = false;
            else
                mls__sql_finish_parked(op);
        }
        op = next;
    }
}

static void sift_all(mls__sql_store *store, bool is_committed)
{
    mls__sql_list *const lists[] = {&store->claims, &store->fillers, &store->waits, &store->drains};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        sift(store, lists[i], is_committed);
}

static void answer(mls__sql_store *store, mls__sql_op **ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mls__sql_op *op = ops[i];
        if (op->kind->end) {
            op->kind->end(store, op);
            continue;
        }
        if (op->parks && op->until_ns < store->parked_until_ns)
            store->parked_until_ns = op->until_ns;
        /* From here on it may be gone, unless it is parked. */
        atomic_store(&op->phase, op->parks ? MLS__SQL_PARKED : MLS__SQL_DONE);
    }
    atomic_fetch_add(&store->groups, 1);
    mls__sql_futex_wake(&store->groups, INT32_MAX);
}

/* In closing for a second more. */
bool mls__sql_retry(mls__sql_store *store, mls__sql_op *op)
{
    const uint64_t now_ns = mls__clock_monotonic_ns();
    if (op->status != MLS_EIO && op->status != MLS_ENOMEM)
        return false;
    if (atomic_load(&store->is_closing) && !store->give_up_ns)
        store->give_up_ns = now_ns + LAST_TRIES_NS;
    if (store->give_up_ns && now_ns >= store->give_up_ns)
        return false;
    store->retry_ns = now_ns + FAILING_PAUSE_NS;
    mls__sql_list_add(&store->retries, op);
    return true;
}

static bool must_sync(mls__sql_op **ops, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ops[i]->must_sync)
            return true;
    return false;
}

static void take_back(mls__sql_store *store, mls__sql_op **ops, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ops[i]->kind->abandon)
            ops[i]->kind->abandon(store, ops[i]);
    sift_all(store, false);
}

static mls_status try_group(mls__sql_store *store, mls__sql_op **ops, size_t count, unsigned news)
{
    mls_status status = mls__sql_begin(store, must_sync(ops, count));
    if (status) {
        store->txn.status = MLS_OK;
        mls__sql_fail(store, status);
        return status;
    }
    if (run_all(store, ops, count, news)) {
        status = mls__sql_commit(store);
    } else {
        status = store->txn.status;
        mls__sql_rollback(store);
    }
    if (status) {
        take_back(store, ops, count);
        return status;
    }
    sift_all(store, true); /* first: what follows may be about claims that were parked */
    for (size_t i = 0; i < count; i++)
        if (!ops[i]->parks && ops[i]->kind->publish)
            ops[i]->kind->publish(store, ops[i]);
    if (store->txn.news)
        mls__sql_slots_tell(store, store->txn.news);
    return MLS_OK;
}

/* While the file cannot be written, those that are parked stay so, and news are kept. */
static void note_outcome(mls__sql_store *store, mls_status status, unsigned news)
{
    store->news_left = status ? store->news_left | news : 0;
    if (status && !store->is_failing)
        mls__log(store->context, MLS_LOG_WARNING, "queue '%s': %s: %s", store->path,
                 mls_status_name(status), store->txn.message);
    store->is_failing = status != MLS_OK;
}

/* One operation that cannot be must not take others with it: then each goes alone. */
static void run_group(mls__sql_store *store, mls__sql_op **ops, size_t count, unsigned news)
{
    const mls_status status = try_group(store, ops, count, news);
    note_outcome(store, status, news);
    if (!status) {
        answer(store, ops, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (count == 1 || try_group(store, &ops[i], 1, 0)) {
            ops[i]->parks = false;
            set_message(ops[i], store->txn.status, store->txn.message);
        }
        answer(store, &ops[i], 1); /* at once: one that parks stays parked if the next fails */
    }
}

mls_status mls__sql_run_alone(mls__sql_store *store, mls__sql_op *op)
{
    run_group(store, &op, 1, 0);
    return mls__sql_answer(op);
}

/* Time */

#define ALWAYS_WANTED (MLS__SQL_NEWS_CANCEL | MLS__SQL_NEWS_SCHEDULE)

static unsigned wanted_news(const mls__sql_store *store)
{
    const bool claims = store->claims.first || store->fillers.first;
    const bool waits = store->waits.first || store->drains.first;
    return (claims ? MLS__SQL_NEWS_READY : 0) |
           (waits ? MLS__SQL_NEWS_READY | MLS__SQL_NEWS_ENDED : 0) | ALWAYS_WANTED;
}

static bool is_anyone_parked(const mls__sql_store *store)
{
    return (wanted_news(store) & ~ALWAYS_WANTED) != 0;
}

/* Answers the parked operations whose time is over; finds when the next one's is. */
static void time_out(mls__sql_store *store, mls__sql_list *list, uint64_t now_ns)
{
    mls__sql_op *op = list->first;
    mls__sql_list_init(list);
    while (op) {
        mls__sql_op *next = op->next;
        if (op->until_ns <= now_ns) {
            op->kind->expire(op);
            mls__sql_finish_parked(op);
        } else {
            if (op->until_ns < store->parked_until_ns)
                store->parked_until_ns = op->until_ns;
            mls__sql_list_add(list, op);
        }
        op = next;
    }
}

static void time_out_all(mls__sql_store *store)
{
    const uint64_t now_ns = mls__clock_monotonic_ns();
    if (now_ns < store->parked_until_ns)
        return;
    store->parked_until_ns = MLS__FOREVER;
    time_out(store, &store->claims, now_ns);
    time_out(store, &store->fillers, now_ns);
    time_out(store, &store->waits, now_ns);
    time_out(store, &store->drains, now_ns);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Until the wall clock says so, but at most a second, as it may be set meanwhile. */
static uint64_t until_wall_ms(int64_t wall_ms, uint64_t now_ns)
{
    int64_t left_ms = wall_ms - mls__clock_wall_ms();
    left_ms = left_ms < 0 ? 0 : left_ms > 1000 ? 1000 : left_ms;
    return now_ns + (uint64_t) left_ms * UINT64_C(1000000);
}

/* How long the committer may sleep. */
static uint64_t pause_ns(const mls__sql_store *store)
{
    const uint64_t now_ns = mls__clock_monotonic_ns();
    uint64_t until_ns = store->parked_until_ns;
    if (store->is_failing)
        return FAILING_PAUSE_NS;
    if (store->unsynced_ns)
        until_ns = earlier(until_ns, store->unsynced_ns + MLS__SQL_SYNC_NS);
    if (store->retries.first)
        until_ns = earlier(until_ns, store->retry_ns);
    if (is_anyone_parked(store)) {
        if (!mls__sql_slot_is_alone(store))
            until_ns = earlier(until_ns, store->looked_ns + MLS__SQL_LOOK_NS);
        if (store->next_timer_ms)
            until_ns = earlier(until_ns, until_wall_ms(store->next_timer_ms, now_ns));
    }
    if (store->next_schedule_ms)
        until_ns = earlier(until_ns, until_wall_ms(store->next_schedule_ms, now_ns));
    if (until_ns == MLS__FOREVER)
        return MLS__FOREVER;
    return until_ns > now_ns ? until_ns - now_ns : 0;
}

/*
 * Says what others shall tell from now on. What they did just before, they did not tell:
 * that is looked for once more.
 */
static void announce_wants(mls__sql_store *store)
{
    const unsigned wants = wanted_news(store);
    const unsigned gained = wants & ~store->wants;
    if (wants == store->wants)
        return;
    store->wants = wants;
    mls__sql_slot_want(store, wants);
    if (!mls__sql_slot_is_alone(store))
        store->news_left |= gained;
}

/* What has to be looked at though nobody posted anything. */
static unsigned look_around(mls__sql_store *store)
{
    unsigned news = mls__sql_slot_news(store) | store->news_left;
    const uint64_t now_ns = mls__clock_monotonic_ns();
    if (store->unsynced_ns && now_ns >= store->unsynced_ns + MLS__SQL_SYNC_NS &&
        mls__sql_sync(store))
        mls__log(store->context, MLS_LOG_WARNING, "queue '%s': %s", store->path,
                 mls_error_message());
    if (now_ns >= store->looked_ns + MLS__SQL_LOOK_NS) {
        store->looked_ns = now_ns;
        if (!mls__sql_slot_is_alone(store) && mls__sql_slots_have_dead(store))
            news |= MLS__SQL_NEWS_DEATH;
    }
    if (is_anyone_parked(store) && store->next_timer_ms &&
        mls__clock_wall_ms() >= store->next_timer_ms)
        news |= MLS__SQL_NEWS_READY;
    if (store->next_schedule_ms && mls__clock_wall_ms() >= store->next_schedule_ms)
        news |= MLS__SQL_NEWS_SCHEDULE;
    return news;
}

/* The thread */

/* Moves the inbox behind what is left of it, in the order it came; how many came. */
static size_t take_in(mls__sql_store *store, mls__sql_list *queue)
{
    size_t count = 0;
    mls__sql_op *newest = atomic_exchange(&store->inbox, NULL);
    mls__sql_op *oldest = NULL;
    while (newest) {
        mls__sql_op *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        mls__sql_op *next = oldest->next;
        mls__sql_list_add(queue, oldest);
        oldest = next;
        count++;
    }
    return count;
}

/*
 * After a sync that took long. Threads that submit again and again fall into two halves
 * that wait for each other's syncs, unless the first are made to wait a little for those
 * that were just answered. When nobody came meanwhile, nobody waits.
 */
static void gather(mls__sql_store *store, mls__sql_list *queue, size_t answered, uint64_t took_ns)
{
    size_t count = take_in(store, queue);
    const size_t expected = count ? count + answered : 0;
    const uint64_t until_ns = mls__clock_monotonic_ns() + took_ns / GATHER_PART;
    while (count < expected) {
        const uint64_t now_ns = mls__clock_monotonic_ns();
        if (now_ns >= until_ns)
            return;
        mls__sql_slot_sleep(store, until_ns - now_ns);
        const size_t more = take_in(store, queue);
        if (!more)
            return; /* woken for another reason, or nobody came */
        count += more;
    }
}

/* Those that are to be tried again: one, while the file cannot be written. */
static void take_retries(mls__sql_store *store, mls__sql_list *queue)
{
    if (!store->retries.first || mls__clock_monotonic_ns() < store->retry_ns)
        return;
    mls__sql_op *op = store->retries.first;
    mls__sql_op *rest = store->is_failing ? op->next : NULL;
    mls__sql_list_init(&store->retries);
    for (mls__sql_op *next; op != rest; op = next) {
        next = op->next;
        mls__sql_list_add(queue, op);
    }
    for (mls__sql_op *next; op; op = next) {
        next = op->next;
        mls__sql_list_add(&store->retries, op);
    }
}

/* The next group. Those that need no transaction go alone. */
static size_t take_group(mls__sql_list *queue, mls__sql_op **ops)
{
    size_t count = 0;
    while (queue->first && count < MOST_OPS) {
        mls__sql_op *op = queue->first;
        if (op->kind->no_transaction && count)
            break;
        ops[count++] = op;
        queue->first = op->next;
        if (op->kind->no_transaction)
            break;
    }
    if (!queue->first)
        queue->last = &queue->first;
    return count;
}

static void *run_committer(void *arg)
{
    mls__sql_op *ops[MOST_OPS];
    mls__sql_store *store = arg;
    mls__sql_list queue;
    mls__sql_list_init(&queue);
    while (!atomic_load(&store->is_closing) || atomic_load(&store->inbox) || queue.first ||
           store->retries.first) {
        take_in(store, &queue);
        take_retries(store, &queue);
        const unsigned news = look_around(store);
        const size_t count = take_group(&queue, ops);
        if (count == 1 && ops[0]->kind->no_transaction) {
            mls__sql_set_status(ops[0], ops[0]->kind->run(store, ops[0]));
            ops[0]->parks = false;
            answer(store, ops, 1);
        } else if (count || news) {
            const bool syncs = must_sync(ops, count);
            const uint64_t begin_ns = mls__clock_monotonic_ns();
            run_group(store, ops, count, news);
            const uint64_t took_ns = mls__clock_monotonic_ns() - begin_ns;
            if (syncs && took_ns >= LONG_SYNC_NS)
                gather(store, &queue, count, took_ns);
        }
        time_out_all(store);
        announce_wants(store);
        if (!queue.first && (!store->news_left || store->is_failing))
            mls__sql_slot_sleep(store, pause_ns(store));
    }
    return NULL;
}

mls_status mls__sql_committer_start(mls__sql_store *store)
{
    return mls__thread_create(&store->thread, "mls-committer", run_committer, store);
}

void mls__sql_committer_stop(mls__sql_store *store)
{
    atomic_store(&store->is_closing, true);
    mls__sql_slot_wake(store);
    pthread_join(store->thread, NULL);
}
