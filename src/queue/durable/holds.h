/* SPDX-License-Identifier: Apache-2.0 */
/* The claims that are alive in this process, by the job's id, so that they can be told. */
#ifndef MLS_QUEUE_DURABLE_HOLDS_H
#define MLS_QUEUE_DURABLE_HOLDS_H

#include <mlscale/ext/queue_driver.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define MLS__HOLD_BUCKETS 256

/* The first member of what a driver keeps for a handle; a snapshot is in no table. */
typedef struct mls__hold mls__hold;
struct mls__hold {
    mls__hold *next, **link; /* in the bucket of its id; link is NULL outside */
    uint64_t id, epoch;
    int64_t claimer;
    atomic_uint signals; /* MLS_STOP_* */
};

typedef struct mls__holds {
    pthread_mutex_t mutex; /* a leaf; the owner initializes it */
    mls__hold *buckets[MLS__HOLD_BUCKETS];
} mls__holds;

void mls__holds_add(mls__holds *holds, mls__hold *hold);
/* Whether it was a claim that nobody ended, and that was not lost. */
bool mls__holds_remove(mls__holds *holds, mls__hold *hold);
/* Whether that claim is here. */
bool mls__holds_has(mls__holds *holds, uint64_t id, uint64_t epoch);
/* Tells the claim of a job, if it is here. */
void mls__holds_signal(mls__holds *holds, uint64_t id, uint64_t epoch, uint32_t signal);
/* Tells all claims of a claimer that they are lost. */
void mls__holds_lose(mls__holds *holds, int64_t claimer);
/* What a claim was told. */
uint32_t mls__hold_signals(const mls__hold *hold);

#endif
