/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mls_service: a worker whose types of jobs can change while it runs.
 *
 *   mls_job_types_load(context, path, &types);
 *   mls_service_start(queue, types, &options, &service);
 *   ...
 *   if (mls_job_types_load(context, path, &types) == MLS_OK &&
 *       mls_service_reload(service, types) != MLS_OK)
 *       mls_job_types_free(types);
 *   ...
 *   mls_service_stop(service, 0, 30000);
 *   mls_service_free(service);
 *
 * Jobs that run when the types change go on as they began; jobs claimed from then on
 * are run by the new ones. What is not valid changes nothing. One thread at a time
 * manages a service; mls_service_get_stats() may be called by any.
 */
#ifndef MLSCALE_SERVICE_H
#define MLSCALE_SERVICE_H

#include <stddef.h>
#include <stdint.h>

#include <mlscale/job_types.h>
#include <mlscale/queue.h>
#include <mlscale/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mls_service mls_service;

typedef struct mls_service_options {
    size_t size;       /* sizeof(mls_service_options) */
    const char *name;  /* as of a worker; NULL is "" */
    uint32_t slots;    /* jobs that run at the same time: 1 to MLS_SLOTS_MAX */
    uint32_t reserved; /* 0 */
    /* What types may name by `c` (mls_job_types_options); must live as long as the service. */
    const mls_handler *const *handlers;
    size_t handler_count;
    /* As of a worker. After a reload, what runs of before takes of it until it ends. */
    const mls_resources *capacity;
} mls_service_options;

#define MLS_SERVICE_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(mls_service_options), NULL, 1, 0, NULL, 0, NULL                                     \
    }

/*
 * Starts a worker of these types, which serves their named queues; `options` may be
 * NULL. On success the types belong to the service; else they stay the caller's.
 * Errors: those of mls_worker_create(), mls_worker_add_types(), mls_worker_start().
 */
MLS_API mls_status mls_service_start(mls_queue *queue, mls_job_types *types,
                                     const mls_service_options *options, mls_service **ret_service);

/*
 * Runs jobs by these types from now on; those that run end first, beside the new ones.
 * Types and errors are as above, MLS_ESTATE (stopped) besides; after an error the service
 * goes on as it was.
 */
MLS_API mls_status mls_service_reload(mls_service *service, mls_job_types *types);

/*
 * Claims nothing more and waits for the jobs that run; with MLS_WORKER_DRAIN it goes on
 * until none is ready. When the time is over jobs go back to the queue, their programs
 * are ended, and what a handler reports later is refused. Another thread may call it while
 * one waits in it, as to end a drain early. Errors: MLS_ETIMEDOUT (that
 * happened: stop again, or free, waits for handlers without limit), MLS_EINVAL (flags),
 * MLS_EFORKED.
 */
MLS_API mls_status mls_service_stop(mls_service *service, uint32_t flags, int64_t timeout_ms);

/* Stops, waits without limit, and frees service and types. NULL is fine. */
MLS_API void mls_service_free(mls_service *service);

/* Sums since the start, over all types that it had. Errors: MLS_EINVAL (size). */
MLS_API mls_status mls_service_get_stats(const mls_service *service, mls_worker_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
