/* SPDX-License-Identifier: Apache-2.0 */
/* The claims that are alive in this process. */
#include "queue/durable/holds.h"

uint32_t mls__hold_signals(const mls__hold *hold)
{
    const uint32_t signals = atomic_load_explicit(&hold->signals, memory_order_acquire);
    return signals & MLS_STOP_LOST ? MLS_STOP_LOST : signals;
}

void mls__holds_add(mls__holds *holds, mls__hold *hold)
{
    pthread_mutex_lock(&holds->mutex);
    mls__hold **bucket = &holds->buckets[hold->id % MLS__HOLD_BUCKETS];
    hold->next = *bucket;
    if (*bucket)
        (*bucket)->link = &hold->next;
    hold->link = bucket;
    *bucket = hold;
    pthread_mutex_unlock(&holds->mutex);
}

bool mls__holds_remove(mls__holds *holds, mls__hold *hold)
{
    pthread_mutex_lock(&holds->mutex);
    const bool is_claim = hold->link && !(mls__hold_signals(hold) & MLS_STOP_LOST);
    if (hold->link) {
        *hold->link = hold->next;
        if (hold->next)
            hold->next->link = hold->link;
        hold->link = NULL;
    }
    pthread_mutex_unlock(&holds->mutex);
    return is_claim;
}

bool mls__holds_has(mls__holds *holds, uint64_t id, uint64_t epoch)
{
    pthread_mutex_lock(&holds->mutex);
    const mls__hold *hold = holds->buckets[id % MLS__HOLD_BUCKETS];
    while (hold && (hold->id != id || hold->epoch != epoch))
        hold = hold->next;
    pthread_mutex_unlock(&holds->mutex);
    return hold != NULL;
}

static void tell(mls__hold *hold, uint32_t signal)
{
    atomic_fetch_or_explicit(&hold->signals, signal, memory_order_release);
}

void mls__holds_signal(mls__holds *holds, uint64_t id, uint64_t epoch, uint32_t signal)
{
    pthread_mutex_lock(&holds->mutex);
    for (mls__hold *hold = holds->buckets[id % MLS__HOLD_BUCKETS]; hold; hold = hold->next)
        if (hold->id == id && hold->epoch == epoch)
            tell(hold, signal);
    pthread_mutex_unlock(&holds->mutex);
}

void mls__holds_lose(mls__holds *holds, int64_t claimer)
{
    pthread_mutex_lock(&holds->mutex);
    for (size_t i = 0; i < MLS__HOLD_BUCKETS; i++)
        for (mls__hold *hold = holds->buckets[i]; hold; hold = hold->next)
            if (hold->claimer == claimer)
                tell(hold, MLS_STOP_LOST);
    pthread_mutex_unlock(&holds->mutex);
}
