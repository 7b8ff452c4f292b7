/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a job's handle: what the driver showed, and what its end shall be. */
#ifndef MLS_JOB_JOB_H
#define MLS_JOB_JOB_H

#include "job/queue.h"

#include <stdatomic.h>
#include <stdbool.h>

typedef enum mls__job_kind {
    MLS__JOB_SNAPSHOT,
    MLS__JOB_CLAIM,    /* the host's own: it ends by mls_job_complete() and the like */
    MLS__JOB_IN_SLOT,  /* a worker's: these only decide */
    MLS__JOB_REPORTED, /* a claim that has ended */
} mls__job_kind;

/* What its holder wants for it. */
typedef enum mls__job_decision {
    MLS__JOB_UNDECIDED,
    MLS__JOB_COMPLETE,
    MLS__JOB_FAIL,
    MLS__JOB_RELEASE,
    MLS__JOB_ESCALATE,
} mls__job_decision;

struct mls_job {
    mls_queue *queue; /* a reference, but for a worker's jobs */
    mls__job_kind kind;
    mls_queue_job shown;
    mls_job_info info; /* shown.info points here */
    void *user;
    const atomic_bool *worker_stops; /* NULL: no worker */

    mls__job_decision decision;
    bool fail_final;
    int64_t memory_bytes;                 /* of an escalation */
    uint64_t wall_ns, cpu_ns, peak_bytes; /* that the attempt took; wall_ns 0: not measured */
    mls_status error;
    mls_queue_bytes error_message; /* with a NUL behind it; no data: none */
    mls_queue_bytes result;
    char *owner; /* of the host's own claims, behind the struct; a worker's have its name */
};

/* An empty handle that holds the queue, for a snapshot or a claim of `owner`'s. */
mls_status mls__job_create(mls_queue *queue, const char *owner, mls_job **ret_job);

/* Frees an empty handle. */
void mls__job_destroy(mls_job *job);

/* Makes `job` ready to be shown to, as part of a worker's slot. */
void mls__job_init(mls_job *job, mls_queue *queue, const atomic_bool *worker_stops);

/* A driver's answer: hands out the snapshot, or frees the handle and returns `status`. */
mls_status mls__job_open_snapshot(mls_job *job, mls_status status, mls_job **ret_job);

/* Makes the handle of a fresh claim of `owner`'s, a string that outlives it. */
void mls__job_open_claim(mls_job *job, mls__job_kind kind, const char *owner);

/* Forgets decision, error and result. */
void mls__job_reset(mls_job *job);

/* Fails the job with the calling thread's error message. */
void mls__job_fail_here(mls_job *job, mls_status error);

/* The end that was decided on, for the driver. */
void mls__job_fill_end(mls_job *job, mls_queue_end *ret_end);

/* After the driver judged the end: a result that it took over is no longer ours. */
void mls__job_close_end(mls_job *job, const mls_queue_end *end);

#endif
