/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mls_job_types: types of jobs from a YAML file, so that a new type needs no code.
 *
 * A type says what runs its jobs (a program, a container, a model, or a registered
 * handler), and with what queue, priority, retries, limits and retention:
 * mlscale-job-types(5) has all keys. A file is valid as a whole or not used at all; the
 * message of the error begins with "FILE:LINE:COLUMN: ".
 *
 *   mls_job_types_load(context, "job-types.yaml", &types);
 *   mls_worker_create(queue, NULL, &worker);
 *   mls_worker_add_types(worker, types, NULL);
 *   mls_worker_start(worker);
 *
 * mls_service does this and can change its types while it runs. A set is not changed
 * once it is there; one thread at a time uses it. A library built without libyaml has
 * no types: MLS_EUNSUPPORTED.
 */
#ifndef MLSCALE_JOB_TYPES_H
#define MLSCALE_JOB_TYPES_H

#include <stddef.h>

#include <mlscale/context.h>
#include <mlscale/job.h>
#include <mlscale/queue.h>
#include <mlscale/worker.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mls_job_types mls_job_types;

/*
 * Reads a file of at most 1 MiB, or a text; `path` then is what messages call it, and
 * from its folder relative paths in it are found. Models are not loaded yet.
 * Errors: MLS_EINVAL (a fault in it), MLS_ENOTFOUND and MLS_EIO (the file),
 * MLS_EUNSUPPORTED, MLS_ENOMEM.
 */
MLS_API mls_status mls_job_types_load(mls_context *context, const char *path,
                                      mls_job_types **ret_types);
MLS_API mls_status mls_job_types_parse(mls_context *context, const char *path, const char *text,
                                       size_t size_bytes, mls_job_types **ret_types);

/* NULL is fine. Workers that have them must be freed before. */
MLS_API void mls_job_types_free(mls_job_types *types);

/* How many, and the name of one; NULL for an index that is none. */
MLS_API size_t mls_job_types_count(const mls_job_types *types);
MLS_API const char *mls_job_types_name(const mls_job_types *types, size_t index);

/*
 * Sets type, queue, priority, retries, batch key, on which ends of others it depends, and,
 * where the file says it, retention of a submit. The strings are borrowed from `types`.
 * Errors: MLS_ENOTFOUND (no such type).
 */
MLS_API mls_status mls_job_types_fill(const mls_job_types *types, const char *name,
                                      mls_job_options *options);

/*
 * Hands the schedules of the types to the queue, each by the name of its type, and takes back
 * those that an earlier reading of the same file (of the same `path`) had and this one has not:
 * a schedule's source says which file it is of. Those of others stay as they are. mlscale worker
 * does this at its start and when it reads the file again. A queue without schedules is fine for
 * types without any. Errors: those of mls_queue_schedule(), and MLS_EEXIST: there is a schedule of
 * a type's name that is not of this file. What was done before an error stays done.
 */
MLS_API mls_status mls_job_types_schedule(const mls_job_types *types, mls_queue *queue);

/* What the types may use of the host. */
typedef struct mls_job_types_options {
    size_t size; /* sizeof(mls_job_types_options) */
    /*
     * For types with `handler: {c: NAME}`: that of which `type` is NAME runs the jobs,
     * with the batch of the file, if it gives one. Nothing is ever loaded from a shared
     * object: a file of types names code, it does not bring any.
     */
    const mls_handler *const *handlers;
    size_t handler_count;
} mls_job_types_options;

#define MLS_JOB_TYPES_OPTIONS_INIT                                                                 \
    {                                                                                              \
        sizeof(mls_job_types_options), NULL, 0                                                     \
    }

/*
 * Loads the models of the types and registers a handler for each type, as
 * mls_worker_add_handler() does; `options` may be NULL. The worker must serve their
 * named queues. After an error some may be registered: free the worker. Programs are
 * children of this process, in process groups of their own, and end with it. The host
 * must not ignore SIGCHLD, nor wait for children that are not its own. The first call with
 * types that run programs starts a process "mls-keeper", a copy of this one that is not its
 * child and ends what is left of programs and containers when this process is killed; it
 * goes when the types are freed.
 * Errors: MLS_EINVAL (a `c` that no handler has, a model that does not fit), those of
 * mls_model_load() and mls_worker_add_handler(), MLS_EIO (the process cannot be started),
 * MLS_EUNSUPPORTED (MLS_WORKER_POLLED: programs and models would hold up the host), with
 * file and line in the message.
 */
MLS_API mls_status mls_worker_add_types(mls_worker *worker, mls_job_types *types,
                                        const mls_job_types_options *options);

#ifdef __cplusplus
}
#endif
#endif
