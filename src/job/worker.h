/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a worker: handlers, and slots that each run one claim or batch at a
 * time on a thread of their own.
 *
 * A slot works in rounds: one call of the driver ends the claims of the last round
 * and makes those of the next. Two banks of handles take turns, so that a handle
 * whose end is being judged is not overwritten.
 */
#ifndef MLS_JOB_WORKER_H
#define MLS_JOB_WORKER_H

#include "base/thread.h"
#include "base/vec.h"
#include "job/job.h"

#include <mlscale/worker.h>

/* The counts of mls_worker_stats, written by one slot and read by anyone. */
typedef struct mls__slot_counts {
    atomic_uint_fast64_t claimed, succeeded, failed, cancelled, released, stale, batches, run_ns;
} mls__slot_counts;

typedef struct mls__slot_bank {
    mls_job *jobs;
    mls_queue_job **shown; /* of each job, as the driver wants them */
    size_t count;
} mls__slot_bank;

typedef struct mls__slot {
    _Alignas(64) mls__slot_counts counts;
    mls_worker *worker;
    uint32_t index;
    pthread_t thread;
    void **states;           /* what slot_open gave, by handler */
    size_t opened;           /* handlers that are open here */
    const mls_handler *last; /* the handler that was used last */
    mls__slot_bank banks[2];
    size_t bank;             /* of the present round */
    mls_queue_end *ends;     /* of the round before */
    mls_queue_end **pending; /* those that are not judged yet */
    size_t end_count, pending_count;
    mls_job **batch; /* the jobs that run_batch gets */
} mls__slot;

typedef enum mls__worker_phase {
    MLS__WORKER_CREATED,
    MLS__WORKER_OPENING, /* slots open their handlers, then wait for the next phase */
    MLS__WORKER_FAILED,  /* one could not: all close again */
    MLS__WORKER_RUNNING,
    MLS__WORKER_STOPPED, /* as asked, and all threads joined */
} mls__worker_phase;

struct mls_worker {
    mls_queue *queue;
    char *names; /* its own, then those of the queues */
    const char **queues;
    size_t queue_count;
    uint32_t slot_count, prefetch, spin_us;
    mls__vec handlers;  /* mls_handler; type is a copy of ours */
    size_t claim_count; /* first claimed in a round */
    size_t bank_size;   /* most jobs of a round */
    bool has_batches;
    mls_claimer *claimer;
    mls__slot *slots;
    atomic_bool stops; /* handlers should come to an end */

    pthread_mutex_t mutex; /* guards what follows; a leaf */
    mls__cond changed;
    mls__worker_phase phase;
    uint32_t slots_opening, slots_running;
    bool is_stopping;
    mls_status open_status; /* of the first slot_open that failed, and its message */
    char open_message[1024];
};

/* slot.c: the body of a slot's thread; `arg` is the slot. */
void *mls__slot_main(void *arg);
/* Whether the calling thread is one of the worker's. */
bool mls__slot_is_here(const mls_worker *worker);

/* run.c: runs the claims of the slot's present bank, and decides on all of them. */
void mls__slot_run(mls__slot *slot);
/* The handler for a type; those of a claim always exist. */
const mls_handler *mls__slot_handler(mls__slot *slot, const char *type);

#endif
