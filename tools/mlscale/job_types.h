/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Job types from a YAML file, as mlscale-job-types(5) describes them. This module knows
 * the file and nothing of who runs the jobs.
 */
#ifndef MLSCALE_TOOL_JOB_TYPES_H
#define MLSCALE_TOOL_JOB_TYPES_H

#include <stddef.h>
#include <stdint.h>

/* NAME: TEXT pairs. */
typedef struct job_pair {
    const char *name, *text;
} job_pair;

typedef struct job_pairs {
    job_pair *items;
    size_t count;
} job_pairs;

typedef struct job_words {
    const char **items; /* ended by NULL */
    size_t count;
} job_words;

/* What is not given is NULL, or what the man page says. */
typedef struct job_type {
    const char *name;
    int64_t version;
    struct {
        job_words command;
        job_pairs environment;
        const char *directory;
        const char *model; /* as found from the folder of the file; ours */
        job_pairs inputs;  /* name in the model: name in the payload */
    } handler;
    const char *queue;
    int64_t priority;
    struct {
        int64_t cpu, gpu, memory;
    } resources;
    struct {
        int64_t attempts, backoff_ms, backoff_max_ms, jitter;
    } retries;
    struct {
        int64_t time_ms, grace_ms, cpu_ms, memory, output; /* 0: none */
    } limits;
    int64_t retention_ms; /* -1: the queue's */
    struct {
        int64_t size, wait_ms;
    } batch;
    unsigned line; /* where it begins */
} job_type;

typedef struct job_types {
    job_type *items;
    size_t count;
    void *document; /* the strings are in it */
} job_types;

/* NULL, and in `message` what is wrong: "FILE:LINE:COLUMN: ...". */
job_types *job_types_load(const char *path, char *message, size_t size);
void job_types_free(job_types *types);

/* The type of that name, or NULL. */
const job_type *job_types_find(const job_types *types, const char *name);

#endif
