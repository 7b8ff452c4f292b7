/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a set of job types: what the file says, and what runs the jobs. */
#ifndef MLS_JOB_TYPES_TYPES_H
#define MLS_JOB_TYPES_TYPES_H

#include "job_types/keeper.h"

#include "base/alloc.h"

#include <mlscale/job_types.h>
#include <mlscale/model.h>
#include <mlscale/queue.h>

#include <stdint.h>

/* NAME: TEXT pairs. */
typedef struct mls__type_pair {
    const char *name, *text;
} mls__type_pair;

typedef struct mls__type_pairs {
    mls__type_pair *items;
    size_t count;
} mls__type_pairs;

typedef struct mls__type_words {
    const char **items; /* ended by NULL */
    size_t count;
} mls__type_words;

typedef struct mls__type_numbers {
    int64_t *items;
    size_t count;
} mls__type_numbers;

typedef struct mls__type_limits {
    int64_t time_ms, grace_ms, cpu_ms, cpus, memory, output; /* 0: none */
} mls__type_limits;

/* What is not given is NULL or 0, or what the man page says. */
typedef struct mls__type {
    const char *name;
    int64_t version;
    struct {
        mls__type_words command; /* of a container: what it runs, or nothing */
        mls__type_pairs environment;
        const char *directory;
        const char *container;   /* an image, or a bundle */
        const char *engine;      /* that runs it */
        mls__type_words options; /* for the engine */
        const char *model;       /* as found from the folder of the file; ours */
        const char *c;           /* which handler of the host */
        mls__type_pairs inputs;  /* name in the model: name in the payload */
    } handler;
    const char *queue;
    const char *dependencies; /* "success" or "any-end" */
    int64_t priority;
    struct {
        int64_t cpu, gpu, memory; /* cpu: in thousandths */
        mls__type_numbers escalate;
    } resources;
    struct {
        int64_t attempts, backoff_ms, backoff_max_ms, jitter;
    } retries;
    mls__type_limits limits;
    int64_t retention_ms; /* -1: the queue's */
    struct {
        const char *cron, *zone, *missed;
    } schedule;
    struct {
        int64_t size, wait_ms;
        const char *run; /* "each" or "joined" */
    } batch;
    int node; /* the one of the document where it begins */

    mls_context *context;
    mls_model *loaded;   /* the model, once a worker has it */
    mls__keeper *keeper; /* of the set, once a worker runs its programs */
} mls__type;

struct mls_job_types {
    mls_context *context;
    const mls__allocator *allocator;
    char *path; /* of the file, for messages */
    mls__type *items;
    size_t count;
    mls__keeper *keeper; /* NULL: no worker has programs of it */
    void *document;      /* libyaml's: the strings are in it */
};

/* command.c: runs the type's command or container; the payload is its input, its output the result.
 */
mls_status mls__type_run_command(void *slot, mls_job *job);

/* score.c: runs the model on the JSON of the payload. */
mls_status mls__type_open_model(void *user, uint32_t slot_index, void **ret_slot);
void mls__type_close_model(void *user, void *slot);
mls_status mls__type_run_model(void *slot, mls_job *job);

/* Keys of a type, each in the value of the one before; as many as there are. */
#define MLS__TYPE_DEPTH 3
typedef struct mls__type_keys {
    const char *items[MLS__TYPE_DEPTH];
} mls__type_keys;

/* places.c: puts before the message where in the file the last of these keys is, or its type. */
mls_status mls__type_error_at(const mls_job_types *types, const mls__type *type,
                              const mls__type_keys *keys, mls_status status);

/* read.c: gives back what libyaml made. */
void mls__types_drop_document(mls_job_types *types);

#endif
