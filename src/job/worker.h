/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a worker: handlers, and slots that each run one claim or batch at a
 * time on a thread of their own, or hand it over to the host's.
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

typedef struct mls__slot mls__slot;
struct mls__slot {
    _Alignas(64) mls__slot_counts counts;
    mls_worker *worker;
    uint32_t index;
    pthread_t thread;
    void **states;           /* what slot_open gave, by handler */
    size_t opened;           /* handlers that are open here */
    const mls_handler *last; /* the handler that was used last */
    mls__slot_bank banks[2];
    size_t bank;             /* of the present round */
    size_t done;             /* jobs of it that were run */
    mls_queue_end *ends;     /* of the round before */
    mls_queue_end **pending; /* those that are not judged yet */
    size_t end_count, pending_count;
    mls_job **batch;     /* the jobs that run_batch gets */
    uint64_t sampled_ns; /* when what a round takes was last measured */
    /* Of a polled worker, under its mutex. */
    mls__slot *next_waiting;
    bool waits_for_host;
};

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
    uint32_t slot_count, prefetch, spin_us, patience_ms;
    bool has_capacity;
    mls_resources capacity;  /* of all slots together, */
    const mls_worker *pools; /* and of those of this one; NULL: its own */
    mls__vec handlers;       /* mls_handler; type is a copy of ours */
    size_t claim_count;      /* first claimed in a round */
    size_t bank_size;        /* most jobs of a round */
    bool has_batches;
    mls_claimer *claimer;
    mls__slot *slots;  /* set under the mutex, for counts; else of who manages the worker */
    atomic_bool stops; /* handlers should come to an end */
    bool is_polled;    /* handlers run in mls_worker_poll() */
    int fd;            /* readable while rounds wait for it; -1: not polled */

    pthread_mutex_t mutex; /* guards what follows; a leaf */
    mls__cond changed;
    mls__worker_phase phase;
    uint32_t slots_opening, slots_running;
    bool is_stopping, is_joining;
    mls__slot *first_waiting, *last_waiting; /* slots whose round waits for the host */
    mls_status open_status; /* of the first slot_open that failed, and its message */
    char open_message[1024];
};

/*
 * start.c: from its start on the worker has one capacity together with another one, which is
 * of the same queue and capacity, and started.
 */
void mls__worker_pool(mls_worker *worker, const mls_worker *with);
void mls__worker_set_phase(mls_worker *worker, mls__worker_phase phase);
/* The first `count` of the slots' threads. */
void mls__worker_join_threads(const mls_worker *worker, uint32_t count);
void mls__worker_free_slots(mls_worker *worker);

/* stop.c: claims nothing more, and lets what runs come to its end, told nothing. */
void mls__worker_retire(mls_worker *worker);
/* Whether all slots have left: mls_worker_stop() would not wait. */
bool mls__worker_has_left(mls_worker *worker);

/* slot.c: the body of a slot's thread; `arg` is the slot. */
void *mls__slot_main(void *arg);
/* Whether the calling thread is one of the worker's, or in one of its handlers. */
bool mls__slot_is_here(const mls_worker *worker);
/* The calling thread works for `worker` from now on (NULL: none). Gives the one before. */
const mls_worker *mls__slot_enter(const mls_worker *worker);
/* Opens the slot's handlers, and closes those that are open. */
mls_status mls__slot_open(mls__slot *slot);
void mls__slot_close(mls__slot *slot);
void mls__slot_count(atomic_uint_fast64_t *counter, uint64_t more);

/* run.c: runs the next claim of the slot's present bank, or its batch: how many jobs. */
size_t mls__slot_run_next(mls__slot *slot);
/* Whether the bank has claims that were not run. */
bool mls__slot_has_more(const mls__slot *slot);
/* The handler for a type; those of a claim always exist. */
const mls_handler *mls__slot_handler(mls__slot *slot, const char *type);

/* poll.c: workers whose handlers run on the host's threads. */
mls_status mls__poll_create_fd(mls_worker *worker);
void mls__poll_close_fd(mls_worker *worker);
/* Opens all slots' handlers, or none, and closes them. */
mls_status mls__poll_open(mls_worker *worker);
void mls__poll_close(mls_worker *worker);
/* On a slot's thread: until the host has run its round. */
void mls__poll_hand_over(mls__slot *slot);
/* Runs rounds until all slots have left. true: the time was over before. */
bool mls__poll_until_left(mls_worker *worker, uint64_t until_ns);

#endif
