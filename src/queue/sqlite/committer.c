/* SPDX-License-Identifier: Apache-2.0 */
/* The committer: takes what lies in the inbox, runs it in groups, and sleeps until there is more.
 */
#include "queue/sqlite/sqlite.h"

#include "base/clock.h"
#include "base/error.h"

#define FAILING_PAUSE_NS UINT64_C(50000000)
#define LAST_TRIES_NS    UINT64_C(1000000000)
#define LONG_SYNC_NS     UINT64_C(200000)
#define GATHER_PART      8 /* of the time that a sync takes */

/* Those that are tried again */

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
    if (news & MLS__SQL_NEWS_SCHEDULE)
        mls__sql_schedules_changed(store);
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

/*
 * After a sync that took long. Threads that submit again and again fall into two halves
 * that wait for each other's syncs, unless the first are made to wait a little for those
 * that were just answered. When nobody came meanwhile, nobody waits.
 */
static void gather(mls__sql_store *store, mls__sql_list *queue, size_t answered, uint64_t took_ns)
{
    size_t count = mls__sql_take_in(store, queue);
    const size_t expected = count ? count + answered : 0;
    const uint64_t until_ns = mls__clock_monotonic_ns() + took_ns / GATHER_PART;
    while (count < expected) {
        const uint64_t now_ns = mls__clock_monotonic_ns();
        if (now_ns >= until_ns)
            return;
        mls__sql_slot_sleep(store, until_ns - now_ns);
        const size_t more = mls__sql_take_in(store, queue);
        if (!more)
            return; /* woken for another reason, or nobody came */
        count += more;
    }
}

static void *run_committer(void *arg)
{
    mls__sql_op *ops[MLS__SQL_MOST_OPS];
    mls__sql_store *store = arg;
    mls__sql_list queue;
    mls__sql_list_init(&queue);
    while (!atomic_load(&store->is_closing) || atomic_load(&store->inbox) || queue.first ||
           store->retries.first) {
        mls__sql_take_in(store, &queue);
        take_retries(store, &queue);
        const unsigned news = look_around(store);
        const size_t count = mls__sql_take_group(&queue, ops);
        if (count == 1 && ops[0]->kind->no_transaction) {
            mls__sql_set_status(ops[0], ops[0]->kind->run(store, ops[0]));
            ops[0]->parks = false;
            mls__sql_answer_all(store, ops, 1);
        } else if (count || news) {
            const bool syncs = mls__sql_must_sync(ops, count);
            const uint64_t begin_ns = mls__clock_monotonic_ns();
            mls__sql_run_group(store, ops, count, news);
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
