/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The committer: the thread that takes what lies in the inbox, runs it in groups, and
 * looks around when there is nothing: for what others said, what is due, whose time is over.
 */
#include "queue/postgres/postgres.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define MOST_OPS 1024                /* of a group */
#define POLL_NS  UINT64_C(500000000) /* when no notification comes */

/* Time */

static bool is_anyone_parked(const mls__pg_store *store)
{
    return store->claims.first || store->fillers.first || store->waits.first || store->drains.first;
}

/* Answers the parked operations whose time is over; finds when the next one's is. */
static void time_out(mls__pg_store *store, mls__pg_list *list, uint64_t now_ns)
{
    mls__pg_op *op = list->first;
    mls__pg_list_init(list);
    while (op) {
        mls__pg_op *next = op->next;
        if (op->until_ns <= now_ns) {
            op->kind->expire(op);
            mls__pg_finish_parked(store, op);
        } else {
            if (op->until_ns < store->parked_until_ns)
                store->parked_until_ns = op->until_ns;
            mls__pg_list_add(list, op);
        }
        op = next;
    }
}

static void time_out_all(mls__pg_store *store)
{
    const uint64_t now_ns = mls__pg_clock_ns();
    if (now_ns < store->parked_until_ns)
        return;
    store->parked_until_ns = MLS__PG_FOREVER;
    time_out(store, &store->claims, now_ns);
    time_out(store, &store->fillers, now_ns);
    time_out(store, &store->waits, now_ns);
    time_out(store, &store->drains, now_ns);
}

/* The monotonic time at which it is that time by the server's clock. */
static uint64_t monotonic_ns(const mls__pg_store *store, int64_t server_us)
{
    const int64_t at_us = server_us - store->clock_offset_us;
    return at_us > 0 ? (uint64_t) at_us * 1000 : 0;
}

static uint64_t timer_ns(const mls__pg_store *store)
{
    return monotonic_ns(store, store->next_timer_us);
}

static uint64_t schedule_ns(const mls__pg_store *store)
{
    return monotonic_ns(store, store->next_schedule_ms * 1000);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How long the committer may sleep, in milliseconds; -1: until it is woken. */
static int pause_ms(const mls__pg_store *store)
{
    const uint64_t now_ns = mls__pg_clock_ns();
    if (store->news_left)
        return store->is_failing ? (int) (MLS__PG_RECONNECT_PAUSE_NS / 1000000) : 0;
    uint64_t until_ns = earlier(store->parked_until_ns, store->polled_ns + POLL_NS);
    if (store->next_schedule_ms)
        until_ns = earlier(until_ns, schedule_ns(store));
    if (is_anyone_parked(store)) {
        if (store->member_count > 1)
            until_ns = earlier(until_ns, store->looked_ns + mls__pg_look_interval_ns(store));
        if (store->next_timer_us)
            until_ns = earlier(until_ns, timer_ns(store));
        if (store->again_ns)
            until_ns = earlier(until_ns, store->again_ns);
    }
    return until_ns > now_ns ? (int) ((until_ns - now_ns) / 1000000 + 1) : 0;
}

/* What other members said since the last look. */
static unsigned read_news(mls__pg_store *store)
{
    unsigned news = 0;
    if (!store->connection)
        return 0;
    if (!PQconsumeInput(store->connection))
        return MLS__PG_NEWS_MEMBER; /* the connection is lost, and our lock with it */
    for (PGnotify *notify; (notify = PQnotifies(store->connection)); PQfreemem(notify)) {
        if (notify->be_pid == PQbackendPID(store->connection))
            continue;
        news |= strchr(notify->extra, 'r') ? MLS__PG_NEWS_READY : 0;
        news |= strchr(notify->extra, 'e') ? MLS__PG_NEWS_ENDED : 0;
        news |= strchr(notify->extra, 'c') ? MLS__PG_NEWS_CANCEL : 0;
        news |= strchr(notify->extra, 'm') ? MLS__PG_NEWS_MEMBER : 0;
        news |= strchr(notify->extra, 's') ? MLS__PG_NEWS_SCHEDULE : 0;
    }
    return news;
}

/* Without anyone parked only members and schedules matter, and what shall stop. */
static unsigned relevant(const mls__pg_store *store, unsigned news)
{
    if (!is_anyone_parked(store))
        news &= MLS__PG_NEWS_CANCEL | MLS__PG_NEWS_MEMBER | MLS__PG_NEWS_SCHEDULE;
    return news;
}

/* What has to be looked at though nobody posted anything. */
static unsigned look_around(mls__pg_store *store)
{
    unsigned news = relevant(store, read_news(store)) | store->news_left;
    const uint64_t now_ns = mls__pg_clock_ns();
    const bool is_idle = !is_anyone_parked(store);
    store->news_left = 0;
    if (now_ns >= store->polled_ns + POLL_NS) {
        store->polled_ns = now_ns;
        news |= MLS__PG_NEWS_MEMBER | MLS__PG_NEWS_CANCEL;
        news |= is_idle ? 0 : MLS__PG_NEWS_READY | MLS__PG_NEWS_ENDED;
    }
    if (store->next_schedule_ms && now_ns >= schedule_ns(store))
        news |= MLS__PG_NEWS_SCHEDULE;
    if (is_idle)
        return news;
    if (store->next_timer_us && now_ns >= timer_ns(store))
        news |= MLS__PG_NEWS_READY;
    if (store->again_ns && now_ns >= store->again_ns)
        news |= MLS__PG_NEWS_AGAIN;
    if (store->member_count > 1 && now_ns >= store->looked_ns + mls__pg_look_interval_ns(store)) {
        store->looked_ns = mls__pg_look_moment_ns(store, now_ns);
        news |= MLS__PG_NEWS_MEMBER;
    }
    return news;
}

/* The thread */

/* Those that need no transaction, or one without others in it. */
static bool goes_alone(const mls__pg_op *op)
{
    return op->kind->no_transaction || op->kind->is_exclusive;
}

/* The next group. */
static size_t take_group(mls__pg_list *queue, mls__pg_op **ops)
{
    size_t count = 0;
    while (queue->first && count < MOST_OPS) {
        mls__pg_op *op = queue->first;
        if (goes_alone(op) && count)
            break;
        ops[count++] = op;
        queue->first = op->next;
        if (goes_alone(op))
            break;
    }
    if (!queue->first)
        queue->last = &queue->first;
    return count;
}

static void sleep_until_needed(mls__pg_store *store)
{
    uint64_t count;
    struct pollfd fds[2] = {{store->wake_fd, POLLIN, 0}, {-1, POLLIN, 0}};
    if (store->connection)
        fds[1].fd = PQsocket(store->connection);
    poll(fds, 2, pause_ms(store));
    if (fds[0].revents && read(store->wake_fd, &count, sizeof count) < 0)
        return; /* another look does no harm */
}

bool mls__pg_is_closing(mls__pg_store *store)
{
    pthread_mutex_lock(&store->mutex);
    const bool is_closing = store->is_closing;
    pthread_mutex_unlock(&store->mutex);
    return is_closing;
}

/* What there is to do now. */
static void run_next(mls__pg_store *store)
{
    mls__pg_op *ops[MOST_OPS];
    mls__pg_ops group = {.ops = ops, .news = look_around(store)};
    group.count = take_group(&store->queue, ops);
    if (group.count == 1 && ops[0]->kind->no_transaction) {
        store->news_left |= group.news;
        mls__pg_run_without(store, ops[0]);
    } else if (group.count || group.news) {
        mls__pg_run_group(store, &group);
        mls__pg_claims_stop(store); /* also what was kept after all */
    }
}

static void *run_committer(void *arg)
{
    mls__pg_store *store = arg;
    while (!mls__pg_is_closing(store)) {
        mls__pg_take_in(store, &store->queue);
        if (mls__pg_clock_ns() >= store->polled_ns + POLL_NS)
            mls__pg_list_move(&store->returns, &store->queue);
        run_next(store);
        time_out_all(store);
        if (!store->queue.first && !mls__pg_is_closing(store))
            sleep_until_needed(store);
    }
    mls__pg_list_move(&store->queue, &store->returns); /* nobody waits for anything else any more */
    mls__pg_take_in(store, &store->returns);
    return NULL;
}

mls_status mls__pg_committer_start(mls__pg_store *store)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&store->thread, NULL, run_committer, store);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? store->host->error(MLS_ENOMEM, "cannot start a thread: %s", strerror(error))
                 : MLS_OK;
}

void mls__pg_committer_stop(mls__pg_store *store)
{
    pthread_mutex_lock(&store->mutex);
    store->is_closing = true;
    pthread_mutex_unlock(&store->mutex);
    mls__pg_wake(store);
    pthread_join(store->thread, NULL);
}
