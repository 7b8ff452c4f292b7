/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mls_job: a piece of work in a queue, as seen by who claimed it or looked it up.
 *
 *  scheduled ──due──> ready ──claim──> running ──ok──> succeeded
 *      ^                ^                │ │ └─cancel─> cancelled
 *      │ retry, backoff │ claim lost     │ └─attempts spent, deadline─> dead
 *      └────────────────┴────────────────┘     blocked ──parents done──> ready
 *
 * A job is made by mls_queue_submit() from an mls_job_options and named by its id.
 * An mls_job is a handle to one, of two kinds:
 *
 * - a claim (from mls_claimer_claim(), or handed to a worker's handler) may run the
 *   job: read its payload, set a result, and end it. Each claim has an epoch; what
 *   an older claim reports after the job went elsewhere is refused (MLS_ESTALE).
 * - a snapshot (from mls_queue_get() or mls_queue_wait()) shows the job as it was at
 *   that moment and never changes.
 *
 * One thread at a time uses a handle; but mls_job_stop_reasons() and
 * mls_job_set_progress() may be called from any thread until the claim is ended.
 * Everything that a getter returns is borrowed until mls_job_free(), or, in a
 * handler, until its cleanup returned.
 */
#ifndef MLSCALE_JOB_H
#define MLSCALE_JOB_H

#include <stddef.h>
#include <stdint.h>

#include <mlscale/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mls_job mls_job;

/* States. The values never change; they are stored. */
#define MLS_JOB_SCHEDULED 1 /* becomes ready at run_at */
#define MLS_JOB_BLOCKED   2 /* waits for the jobs that it depends on */
#define MLS_JOB_READY     3 /* may be claimed */
#define MLS_JOB_RUNNING   4 /* claimed */
#define MLS_JOB_STOPPING  5 /* claimed, and its cancellation was requested */
#define MLS_JOB_SUCCEEDED 6 /* ended: it has a result */
#define MLS_JOB_DEAD      7 /* ended: attempts spent, failed for good, or deadline passed */
#define MLS_JOB_CANCELLED 8 /* ended: on request */

/* Limits, in bytes without the ending NUL. */
#define MLS_JOB_NAME_MAX  127  /* type and queue: of letters, digits and "._:/-" */
#define MLS_JOB_KEY_MAX   255  /* key, batch key, tenant: no control characters */
#define MLS_JOB_ERROR_MAX 1023 /* an error's message; a longer one is cut */
#define MLS_JOB_NOTE_MAX  255  /* a progress note; a longer one is cut */

/* Priorities: 0 is served last, 9 first. */
#define MLS_PRIORITY_LOWEST  0
#define MLS_PRIORITY_DEFAULT 4
#define MLS_PRIORITY_HIGHEST 9

/*
 * When a submit returns, that is, what its MLS_OK promises:
 * the strongest of the following that the driver has;
 */
#define MLS_ACK_DEFAULT 0
/*
 * the job is in memory, and lost with this process: it is stored as soon as it can be, and
 * kept while a disk is full or fails;
 */
#define MLS_ACK_RAM 1
/* it is written, and safe from power loss within a time that the driver states; */
#define MLS_ACK_ASYNC 2
/* it is safe from power loss. */
#define MLS_ACK_DURABLE 3

/* Flags of mls_job_options. */
/*
 * When the key is taken, the submit succeeds and gives the id of the job that has
 * it; nothing of this one is kept. Without the flag that is MLS_EEXIST.
 */
#define MLS_JOB_JOIN UINT64_C(1)
/* A job that depends on others runs when they have ended in any way, not only well. */
#define MLS_JOB_DEPENDS_ANY_END UINT64_C(2)

/*
 * Dependencies. A job with depends_on is blocked until all of these jobs, its parents,
 * have succeeded, and then ready, or scheduled when its run_at is still to come:
 * - When a parent ends in another way (dead, cancelled), the job is cancelled with it, its
 *   error MLS_ECANCELLED and a message that names the parent; so are those that depend on
 *   it, and so on, all in one step with the parent's end. So the dead are the causes only.
 *   It does not come back when the parent is requeued; mls_queue_requeue() makes it ready
 *   without asking its parents again, so requeue it when they have succeeded.
 * - With MLS_JOB_DEPENDS_ANY_END it is ready when the parents have ended in whichever way.
 * - Parents that ended before the submit count as they ended. A parent must be known when
 *   the job is submitted (MLS_ENOTFOUND): one that may end before, and that is forgotten
 *   with its end, cannot be depended on. Forgetting a parent later changes nothing.
 * - Parents may be jobs of the same mls_queue_submit_many(), in front of the job. Since a
 *   parent exists before its children do, there are no cycles.
 * - A deadline counts while a job is blocked.
 */
/* In depends_on: the job at `index` of the same mls_queue_submit_many(). */
#define MLS_JOB_SIBLING(index) (UINT64_C(1) << 63 | (uint64_t) (index))

/*
 * What a job takes of a machine while it runs, or what a worker has of one; 0 is nothing.
 * A claimer with a capacity (mls_claimer_options, mls_worker_options) claims a job only when
 * what it needs fits beside what the claimer's running jobs need; others may claim it
 * meanwhile. Nothing bounds what a job really takes: limits of job types do that. Jobs of
 * different needs do not share a batch.
 */
typedef struct mls_resources {
    int64_t cpu_milli; /* thousandths of a processor */
    int64_t memory_bytes;
    int64_t gpus;
} mls_resources; /* never grows */

/* Most that can be needed or offered. */
#define MLS_CPU_MILLI_MAX    INT64_C(4096000)
#define MLS_MEMORY_BYTES_MAX (INT64_C(1) << 50)
#define MLS_GPUS_MAX         INT64_C(1024)

/* The retention that the queue was opened with. */
#define MLS_RETENTION_DEFAULT (-1)

/* Gives back memory that was handed over; called once, from any thread. */
typedef void (*mls_bytes_free_fn)(void *user, void *data, size_t size_bytes);

/*
 * What is submitted. Strings are copied. Each field names the capability
 * (MLS_QUEUE_CAN_*, mlscale/queue.h) that a driver needs to honour it; a submit
 * that asks for what the driver lacks is refused with MLS_EUNSUPPORTED.
 */
typedef struct mls_job_options {
    size_t size;    /* sizeof(mls_job_options) */
    uint64_t flags; /* MLS_JOB_JOIN, MLS_JOB_DEPENDS_ANY_END */

    /* Which handler runs it. Mandatory. */
    const char *type;

    /*
     * What the handler gets: `payload_bytes` of any bytes, NULL when there are
     * none. With `payload_free` the memory is handed over and not copied: it must
     * stay as it is, and when the submit returned MLS_OK, the library calls
     * payload_free(payload_user, payload, payload_bytes) when nobody can need it
     * any more (the job succeeded, was forgotten, or lies in a file). When the submit
     * failed the caller still owns it. Without, the bytes are copied.
     */
    const void *payload;
    size_t payload_bytes;
    mls_bytes_free_fn payload_free;
    void *payload_user;

    /* The named queue in the store (the resource class); NULL is "default". NAMED_QUEUES */
    const char *queue;
    /* Whose job it is; NULL is "". Data of the job; drivers with FAIRNESS share by it. */
    const char *tenant;
    /* Unique in the store while the job lives and through its retention, or NULL. KEYS */
    const char *key;
    /* Jobs of one type and batch key may be run together; NULL is "". BATCHES */
    const char *batch_key;

    int32_t priority; /* MLS_PRIORITY_*; other than the default: PRIORITIES */
    uint32_t ack;     /* MLS_ACK_*. ASYNC needs ACK_ASYNC, DURABLE needs ACK_DURABLE */

    /*
     * Not before this time, in milliseconds since 1970-01-01 UTC; 0 is at once.
     * Drivers without a server turn it into a delay when they take the job. SCHEDULES
     */
    int64_t run_at_ms;
    /* Nor earlier than this many milliseconds from now. SCHEDULES */
    int64_t delay_ms;
    /*
     * The end is wanted by this time (as run_at_ms); 0 is whenever. Past it a
     * waiting job is dead with MLS_EDEADLINE; a running one is told
     * (MLS_STOP_DEADLINE) and not tried again, but a result that comes late is
     * still taken. DEADLINES
     */
    int64_t deadline_ms;

    /* How often it may be run, 1 to 1000000. More than 1: RETRIES */
    uint32_t max_attempts;
    /*
     * The pause before attempt n + 1 is backoff_ms * 2^(n-1), at most
     * backoff_max_ms, of which the last jitter_percent (0 to 100) percent are
     * drawn at random: 100 is the "full jitter" that keeps many jobs that failed
     * together from coming back together.
     */
    uint32_t backoff_ms;
    uint32_t backoff_max_ms;
    uint32_t jitter_percent;

    /* How long submit may wait for room before MLS_EFULL; 0 not at all, -1 forever. */
    int64_t room_timeout_ms;
    /*
     * How long result, error and key are kept after the end: milliseconds, 0 for
     * not at all (those already waiting still get it), or MLS_RETENTION_DEFAULT.
     */
    int64_t retention_ms;

    /* Ids of the jobs that it depends on, and MLS_JOB_SIBLING(); see above. DEPENDENCIES */
    const uint64_t *depends_on;
    size_t depends_on_count;

    /* What it takes of a machine while it runs; see above. RESOURCES */
    mls_resources needs;
} mls_job_options;

#define MLS_JOB_OPTIONS_INIT                                                                       \
    {                                                                                              \
        sizeof(mls_job_options), 0, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL,             \
            MLS_PRIORITY_DEFAULT, MLS_ACK_DEFAULT, 0, 0, 0, 1, 1000, 3600000, 100, 0,              \
            MLS_RETENTION_DEFAULT, NULL, 0,                                                        \
        {                                                                                          \
            0, 0, 0                                                                                \
        }                                                                                          \
    }

/*
 * All that is known of a job. Pointers are borrowed from the handle; strings are
 * never NULL. Times are milliseconds since 1970-01-01 UTC, 0 when not (yet) set.
 * The library fills in as many bytes as `size` says.
 */
typedef struct mls_job_info {
    size_t size; /* sizeof(mls_job_info), set by the caller */
    uint64_t id;
    uint64_t epoch; /* how often it was claimed, this claim included */
    const char *type;
    const char *queue;
    const char *tenant;
    const char *key; /* "": none */
    const char *batch_key;
    const char *owner; /* the claimer's name while it runs; then of the last claim */
    int32_t state;     /* MLS_JOB_* */
    int32_t priority;
    uint32_t attempt; /* attempts begun, this one included; releases are not counted */
    uint32_t max_attempts;
    uint32_t deaths; /* claims lost with the worker's life */
    uint32_t backoff_ms;
    uint32_t backoff_max_ms;
    uint32_t jitter_percent;
    int64_t retention_ms;
    int64_t submitted_ms;
    int64_t run_at_ms;
    int64_t deadline_ms;
    int64_t claimed_ms;
    int64_t ended_ms;
    uint64_t waiting_ns; /* ready and not claimed, over all attempts */
    uint64_t running_ns; /* claimed, over all attempts that ended */
    const void *payload; /* NULL: none, or not needed any more */
    size_t payload_bytes;
    const void *result; /* of a job that succeeded; NULL: none */
    size_t result_bytes;
    int32_t error;             /* mls_status of the last failure; MLS_OK: none */
    int32_t reserved;          /* 0 */
    const char *error_message; /* of the last failure */
    double progress;           /* 0 to 1, as the handler says */
    const char *progress_note;
    mls_resources needs;
    uint32_t escalations; /* how often it ran out of memory and was given more */
    uint32_t reserved2;   /* 0 */
} mls_job_info;

#define MLS_JOB_INFO_INIT                                                                          \
    {                                                                                              \
        sizeof(mls_job_info), 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
            0, 0, 0, 0, 0, 0, 0, NULL, 0, NULL, 0, 0, 0, NULL, 0, NULL, {0, 0, 0}, 0, 0            \
    }

/*
 * Gives the handle back; NULL is fine. A claim that was not ended is released: the
 * job is ready again. Not for the jobs that a worker hands to its handlers.
 */
MLS_API void mls_job_free(mls_job *job);

/* The two that everybody needs. */
MLS_API uint64_t mls_job_id(const mls_job *job);
MLS_API int32_t mls_job_state(const mls_job *job);

/* The payload; NULL when there is none. `ret_size_bytes` may be NULL. */
MLS_API const void *mls_job_payload(const mls_job *job, size_t *ret_size_bytes);

/* Everything. Errors: MLS_EINVAL (size). */
MLS_API mls_status mls_job_get_info(const mls_job *job, mls_job_info *ret_info);

/*
 * The result of a snapshot, or why there is none: MLS_EHANDLER (dead: the message
 * has the handler's), MLS_EDEADLINE, MLS_ECANCELLED, MLS_ESTATE (not ended).
 * `ret_data` is NULL for a result of no bytes. Both may be NULL.
 */
MLS_API mls_status mls_job_result(const mls_job *job, const void **ret_data,
                                  size_t *ret_size_bytes);

/*
 * The result that the claim will report, replacing what was set before:
 * - alloc: `size_bytes` of uninitialized memory, aligned to 64, for the caller to
 *   fill in; no copy is made of it in this process.
 * - set: a copy of `data`.
 * - take: `data` itself; release(user, data, size_bytes) is called when nobody can
 *   need it any more. On failure the caller still owns it.
 * Errors: MLS_ESTATE (not a claim, or ended), MLS_ELIMIT (size), MLS_ENOMEM.
 */
MLS_API mls_status mls_job_alloc_result(mls_job *job, size_t size_bytes, void **ret_data);
MLS_API mls_status mls_job_set_result(mls_job *job, const void *data, size_t size_bytes);
MLS_API mls_status mls_job_take_result(mls_job *job, void *data, size_t size_bytes,
                                       mls_bytes_free_fn release, void *user);

/* No further attempt, though some may be left. */
#define MLS_FAIL_FINAL UINT32_C(1)

/*
 * Ends the claim: with its result; with a failure, after which the job is tried
 * again or dead; or by giving the job back as it was, ready and with the attempt
 * not counted. A job whose cancellation was requested is cancelled by a failure.
 * Whatever these return, the claim is over and only getters and mls_job_free()
 * remain.
 *
 * In a worker's handler they only decide: the worker ends the claim after cleanup,
 * and the last decision counts, before run's return value.
 *
 * `error` is any status but MLS_OK; `message` may be NULL.
 * Errors: MLS_ESTALE (the job went elsewhere: nothing took effect), MLS_ESTATE
 * (not a claim, or ended), MLS_EINVAL, MLS_EIO, MLS_ENOMEM.
 */
MLS_API mls_status mls_job_complete(mls_job *job);
MLS_API mls_status mls_job_fail(mls_job *job, mls_status error, const char *message,
                                uint32_t flags);
MLS_API mls_status mls_job_release(mls_job *job);

/*
 * Ends the claim of a job that ran out of memory: it is ready again at once and needs
 * `memory_bytes` from now on, which is more than it did. It counts as an escalation
 * (mls_job_info.escalations), not as an attempt that failed; `message`, which may be NULL, is
 * kept as its last error's, which is MLS_ENOMEM. Otherwise as those above.
 * Errors: as above, MLS_EUNSUPPORTED (needs MLS_QUEUE_CAN_RESOURCES) besides.
 */
MLS_API mls_status mls_job_escalate(mls_job *job, int64_t memory_bytes, const char *message);

/* Why a handler should come to an end. */
#define MLS_STOP_CANCELLED UINT32_C(1) /* mls_queue_cancel() */
#define MLS_STOP_DEADLINE  UINT32_C(2) /* the job's deadline passed */
#define MLS_STOP_LOST      UINT32_C(4) /* the claim is lost; nothing will take effect */
#define MLS_STOP_WORKER    UINT32_C(8) /* the worker stops; mls_job_release() is welcome */

/* The reasons, 0 for none. Cheap: for a handler's loops. */
MLS_API uint32_t mls_job_stop_reasons(const mls_job *job);

/*
 * Says how far a claim is: 0 to 1, and a note for people, which may be NULL.
 * Errors: MLS_EUNSUPPORTED (the driver keeps no progress), MLS_ESTALE, MLS_ESTATE,
 * MLS_EINVAL, MLS_ENOMEM.
 */
MLS_API mls_status mls_job_set_progress(mls_job *job, double progress, const char *note);

/* A pointer of the handler's own, from prepare to cleanup; NULL at first. */
MLS_API void mls_job_set_user(mls_job *job, void *user);
MLS_API void *mls_job_user(const mls_job *job);

/* "ready", "dead"; "?" for a value that is none. Static storage. */
MLS_API const char *mls_job_state_name(int32_t state);

#ifdef __cplusplus
}
#endif
#endif
