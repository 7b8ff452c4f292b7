/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mls_worker: runs the jobs of a queue through handlers, on threads of its own or on
 * the host's.
 *
 * A worker has slots; each is a thread that runs one job (or one batch) at a time.
 * A handler is registered for each type of job; types without one stay in the
 * queue. What is expensive and cannot be shared between threads, such as an
 * mls_session, is made once a slot by slot_open. One thread at a time manages a
 * worker; mls_worker_get_stats() may be called from any.
 *
 *   mls_worker_create(queue, &options, &worker);
 *   mls_worker_add_handler(worker, &handler);
 *   mls_worker_start(worker);
 *   ... mls_queue_submit(), mls_queue_wait() ...
 *   mls_worker_stop(worker, MLS_WORKER_DRAIN, -1);
 *   mls_worker_free(worker);
 *
 * With MLS_WORKER_POLLED the handlers run on the host's thread, when it calls
 * mls_worker_poll(): for programs that have an event loop of their own.
 *
 *   options.flags = MLS_WORKER_POLLED;
 *   ... create, add handlers, start ...
 *   mls_worker_fd(worker, &fd);
 *   ... whenever the loop finds fd readable: mls_worker_poll(worker, 16, 500, NULL);
 */
#ifndef MLSCALE_WORKER_H
#define MLSCALE_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include <mlscale/job.h>
#include <mlscale/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mls_worker mls_worker;

/*
 * What runs jobs of one type. All functions are called on the slot's thread; `slot`
 * is what slot_open gave, or `user` where there is none. Different slots call at
 * the same time. Of a worker with MLS_WORKER_POLLED they are called one at a time,
 * by the threads that start, poll and stop it.
 *
 * The course of an attempt: prepare, run, cleanup, and then the worker ends the
 * claim, so that who waits for the job finds its cleanup done. cleanup runs
 * whatever happened before it: success, failure, cancellation, prepare's failure.
 * It does not run for a job that was given back or cancelled before prepare.
 *
 * A status other than MLS_OK from prepare or run fails the attempt; for a job of
 * which cancellation was requested it ends it as cancelled. The error's message is
 * that of mls_job_fail() when it was called, else mls_error_message() of the library
 * call that failed in the handler. mls_job_fail(), _complete() and _release() called
 * in a handler overrule the status; called in prepare, they take the place of run.
 */
typedef struct mls_handler {
    size_t size;      /* sizeof(mls_handler) */
    const char *type; /* of the jobs it runs. Mandatory */
    void *user;

    /* Once a slot, when the worker starts and stops. Optional. */
    mls_status (*slot_open)(void *user, uint32_t slot_index, void **ret_slot);
    void (*slot_close)(void *user, void *slot);

    /* Before run, for each job. Optional. */
    mls_status (*prepare)(void *slot, mls_job *job);
    /* The work. This or run_batch is mandatory; with both, run is not used. */
    mls_status (*run)(void *slot, mls_job *job);
    /*
     * After it, always. `status` is how the attempt went: MLS_OK, the failure, or
     * MLS_ECANCELLED for a job that goes back to the queue. Optional.
     */
    void (*cleanup)(void *slot, mls_job *job, mls_status status);

    /*
     * The work for 1 to batch_max jobs of one batch key at once. prepare and
     * cleanup run for each of them. A job that was dealt with by mls_job_fail()
     * or _release() goes its own way. When run_batch returns a failure, what it
     * decided is void and the halves of the batch are run apart, and so on, until
     * the jobs that cannot be run have failed alone. The claims of a batch end in
     * one step (for durable drivers: one commit).
     */
    mls_status (*run_batch)(void *slot, mls_job *const *jobs, size_t count);
    uint32_t batch_max;     /* 0 is 1; at most MLS_BATCH_MAX */
    uint32_t batch_wait_ms; /* how long the first job may wait for the batch to fill */
} mls_handler;

#define MLS_HANDLER_INIT                                                                           \
    {                                                                                              \
        sizeof(mls_handler), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0                  \
    }

#define MLS_BATCH_MAX 4096
#define MLS_SLOTS_MAX 1024

typedef struct mls_worker_options {
    size_t size; /* sizeof(mls_worker_options) */
    /* For people, logs and mls_job_info.owner; NULL is "". */
    const char *name;
    /* The named queues that it serves; none given: all. */
    const char *const *queues;
    size_t queue_count;
    uint32_t slots; /* 1 to MLS_SLOTS_MAX */
    /*
     * Most jobs that a slot claims at once and runs one after the other. More than
     * 1 pays for jobs of microseconds; a job that is claimed waits for those
     * before it even if another slot is idle. 0 is 1; at most MLS_BATCH_MAX.
     */
    uint32_t prefetch;
    /* How long an idle slot spins before it sleeps (mls_claimer_options). */
    uint32_t spin_us;
    uint32_t flags; /* MLS_WORKER_POLLED */
    /*
     * What its slots have together (mls_claimer_options.capacity). NULL: the processors and the
     * memory of this machine, as far as its control group and affinity let this process have
     * them, and no gpus; over a driver without MLS_QUEUE_CAN_RESOURCES, no bound. A field of
     * MLS_CAPACITY_MACHINE is that alone. Jobs that are claimed ahead (`prefetch`) count as well.
     */
    const mls_resources *capacity;
    uint32_t patience_ms; /* as of a claimer */
    uint32_t reserved;    /* 0 */
} mls_worker_options;

/*
 * Handlers run in mls_worker_poll() only. The slots' threads are the library's: they
 * claim ahead of the host and report its ends, so that the host's thread waits neither
 * for a disk nor for a server, whatever the driver, and hands over what is ready at
 * once. Each holds one round: jobs that are claimed and wait for the host, `prefetch`
 * of them or a batch. One slot is enough for most; with two, jobs are there while those
 * before them are being reported.
 */
#define MLS_WORKER_POLLED UINT32_C(1)

/* In mls_worker_options.capacity: what this machine has. */
#define MLS_CAPACITY_MACHINE INT64_C(-1)

#define MLS_WORKER_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(mls_worker_options), NULL, NULL, 0, 1, 0, 0, 0, NULL, 0, 0                          \
    }

/*
 * A worker that does not run yet; `options` may be NULL. Strings are copied.
 * Errors: MLS_EINVAL, MLS_EFORKED, MLS_ENOMEM.
 */
MLS_API mls_status mls_worker_create(mls_queue *queue, const mls_worker_options *options,
                                     mls_worker **ret_worker);

/*
 * Registers a handler; `user` must live until mls_worker_free() returned.
 * Errors: MLS_EINVAL, MLS_EEXIST (the type has one), MLS_ESTATE (started),
 * MLS_EUNSUPPORTED (run_batch over a driver without batches), MLS_ENOMEM.
 */
MLS_API mls_status mls_worker_add_handler(mls_worker *worker, const mls_handler *handler);

/*
 * Starts the slots and returns when every slot_open has. If one fails, all are
 * closed again and its status and message are returned.
 * Errors: MLS_ESTATE (started before, or no handler), MLS_EIO (thread), MLS_EFORKED,
 * MLS_ENOMEM, and those of slot_open.
 */
MLS_API mls_status mls_worker_start(mls_worker *worker);

/*
 * Of a worker with MLS_WORKER_POLLED: a descriptor for poll(2), epoll or an event
 * library, readable exactly while claimed jobs wait for mls_worker_poll(). Only wait
 * for it: never read, write or close it. It lives until mls_worker_free().
 * Errors: MLS_ESTATE (not such a worker), MLS_EFORKED.
 */
MLS_API mls_status mls_worker_fd(const mls_worker *worker, int *ret_fd);

/*
 * Runs jobs that are claimed and wait, on the calling thread, and returns when there
 * are none, after `max_jobs` of them (0: no bound; a batch is not divided), or when
 * `max_us` microseconds have passed (0: no bound; no handler is interrupted).
 * It never waits for jobs; none is not an error. `ret_count`, which may be NULL, is
 * how many were run. From one thread at a time, which need not be always the same.
 *
 * What happens to jobs while they wait for the host happens as to those that a slot
 * has claimed ahead: one that was cancelled, or whose deadline passed, ends without
 * being run; one whose claim was lost is left out. They count. A host that does not
 * poll keeps up to slots * prefetch jobs (or batches) from other workers.
 * Errors: MLS_ESTATE (not MLS_WORKER_POLLED, not running, or called from one of its
 * handlers), MLS_EFORKED.
 */
MLS_API mls_status mls_worker_poll(mls_worker *worker, size_t max_jobs, uint32_t max_us,
                                   size_t *ret_count);

/* Go on claiming until no job is ready for this worker, then stop. */
#define MLS_WORKER_DRAIN MLS_CLAIMER_DRAIN

/*
 * Claims nothing more, tells the handlers (MLS_STOP_WORKER) and waits for them.
 * When the time is over, jobs that still run are given back to the queue: their
 * handlers' claims are lost, and what they report is refused. Handlers that have
 * not returned by then keep their threads; stop again waits for them.
 * With MLS_WORKER_POLLED no handler runs then: claimed jobs go back to the queue, or
 * are run in this call with MLS_WORKER_DRAIN, until the time is over.
 * While a thread waits in it, another may call it too, without MLS_WORKER_DRAIN to end a
 * drain early; not with MLS_WORKER_POLLED.
 * Errors: MLS_ETIMEDOUT (jobs were given back), MLS_ESTATE (not started, or called
 * from a handler), MLS_EFORKED.
 */
MLS_API mls_status mls_worker_stop(mls_worker *worker, uint32_t flags, int64_t timeout_ms);

/* Stops, waits for handlers without limit, and frees. NULL is fine. */
MLS_API void mls_worker_free(mls_worker *worker);

/* Sums since the worker started. */
typedef struct mls_worker_stats {
    size_t size;        /* sizeof(mls_worker_stats), set by the caller */
    uint64_t claimed;   /* jobs */
    uint64_t succeeded; /* jobs of which the end was accepted, by its kind */
    uint64_t failed;
    uint64_t cancelled;
    uint64_t released;
    uint64_t stale;   /* ends refused: the claim was lost */
    uint64_t batches; /* calls of run_batch */
    uint64_t run_ns;  /* in prepare, run and cleanup, over all slots */
} mls_worker_stats;

#define MLS_WORKER_STATS_INIT                                                                      \
    {                                                                                              \
        sizeof(mls_worker_stats), 0, 0, 0, 0, 0, 0, 0, 0                                           \
    }

/* From any thread. Errors: MLS_EINVAL (size). */
MLS_API mls_status mls_worker_get_stats(const mls_worker *worker, mls_worker_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
