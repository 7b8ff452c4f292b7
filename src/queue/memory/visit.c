/* SPDX-License-Identifier: Apache-2.0 */
/* The one way to the mutex, and what is done on the way in and out. */
#include "queue/memory/memory.h"

#include "base/clock.h"

/* Tries before sleeping on the mutex, which is held for some hundred nanoseconds. */
#define LOCK_TRIES 100

static void lock(mls__mem_store *store)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (pthread_mutex_trylock(&store->mutex) == 0)
            return;
        mls__thread_pause();
    }
    pthread_mutex_lock(&store->mutex);
}

/* The inbox has the last one on top; they begin in the order they came. */
static void take_in(mls__mem_visit *visit)
{
    _Atomic(mls__mem_job *) *inbox = &visit->store->inbox;
    if (!atomic_load_explicit(inbox, memory_order_relaxed))
        return;
    mls__mem_job *newest = atomic_exchange_explicit(inbox, NULL, memory_order_acquire);
    mls__mem_job *oldest = NULL;
    while (newest) {
        mls__mem_job *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        mls__mem_job *next = oldest->next;
        mls__mem_begin(visit, oldest);
        oldest = next;
    }
}

static void catch_up(mls__mem_visit *visit)
{
    visit->now_ns = mls__clock_monotonic_ns();
    visit->wall_ms = 0;
    visit->changes = atomic_load_explicit(&visit->store->changes, memory_order_seq_cst);
    mls__mem_take_ends(visit);
    take_in(visit);
    mls__mem_tick(visit);
}

void mls__mem_step_aside(mls__mem_visit *visit)
{
    pthread_mutex_unlock(&visit->store->mutex);
}

void mls__mem_step_back(mls__mem_visit *visit)
{
    lock(visit->store);
    catch_up(visit);
}

static void bring_up_to_date(mls__mem_visit *visit)
{
    catch_up(visit);
    while (mls__mem_schedules_fire(visit))
        continue;
}

void mls__mem_enter_lightly(mls__mem_store *store, mls__mem_visit *visit)
{
    visit->store = store;
    visit->dying = NULL;
    visit->trash_count = 0;
    lock(store);
    bring_up_to_date(visit);
}

void mls__mem_enter(mls__mem_store *store, mls__mem_visit *visit)
{
    mls__mem_enter_lightly(store, visit);
    mls__mem_windows_recall(visit);
    /* Those that were taken while this came here may have ended by now. */
    mls__mem_take_ends(visit);
}

/* Whether somebody waits for ends that lie in the outbox. */
static bool has_news(const mls__mem_store *store)
{
    return atomic_load_explicit(&store->watchers, memory_order_relaxed) &&
           atomic_load_explicit(&store->outbox, memory_order_seq_cst);
}

void mls__mem_leave(mls__mem_visit *visit)
{
    while (has_news(visit->store))
        mls__mem_take_ends(visit);
    pthread_mutex_unlock(&visit->store->mutex);
    for (size_t i = 0; i < visit->trash_count; i++) {
        const mls_queue_bytes *bytes = &visit->trash[i];
        bytes->release(bytes->user, bytes->data, bytes->size_bytes);
    }
    visit->trash_count = 0;
    if (visit->dying)
        mls__mem_bury(visit->store, visit->dying);
    visit->dying = NULL;
}

static void step_out(mls__mem_visit *visit)
{
    mls__mem_store *store = visit->store;
    mls__mem_leave(visit);
    mls__mem_enter(store, visit);
}

void mls__mem_sleep(mls__mem_visit *visit, mls__cond *cond, uint64_t until_ns)
{
    if (visit->dying || visit->trash_count) {
        step_out(visit); /* others may be waiting for just that room */
        return;
    }
    if (!has_news(visit->store))
        mls__cond_wait_until(cond, &visit->store->mutex, until_ns);
    bring_up_to_date(visit);
}

void mls__mem_discard(mls__mem_visit *visit, mls_queue_bytes bytes)
{
    if (!bytes.release)
        return;
    if (visit->trash_count == MLS__MEM_TRASH)
        step_out(visit);
    visit->trash[visit->trash_count++] = bytes;
}

uint64_t mls__mem_earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}
