/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands of mlscale queue share: the queue, filters, and jobs as text. */
#ifndef MLSCALE_TOOL_CMD_QUEUE_H
#define MLSCALE_TOOL_CMD_QUEUE_H

#include "common.h"

/* cmd_queue_store.c: the queue as a whole. */
extern const command command_queue_init;
extern const command command_queue_stats;
extern const command command_queue_purge;
/* cmd_queue_submit.c: new jobs. */
extern const command command_queue_submit;
/* cmd_queue_jobs.c: jobs by their ids. */
extern const command command_queue_show;
extern const command command_queue_cancel;
extern const command command_queue_retry;
/* cmd_queue_top.c: the queue as it changes. */
extern const command command_queue_top;
/* cmd_queue_rules.c: what holds back jobs. */
extern const command command_queue_pause;
extern const command command_queue_resume;
extern const command command_queue_limit;
extern const command command_queue_weigh;
extern const command command_queue_rules;
/* cmd_queue_schedules.c: jobs that the queue submits by itself. */
extern const command command_queue_schedule;
extern const command command_queue_unschedule;
extern const command command_queue_schedules;
/* cmd_queue_list.c: many jobs. */
extern const command command_queue_list;
extern const command command_queue_export;

#define QUEUE_OPTION                                                                               \
    {                                                                                              \
        "queue", "URL", "the queue: sqlite:PATH, or postgres://USER@HOST/DATABASE on a server"     \
    }
#define FILTER_OPTIONS                                                                             \
    {"type", "TYPE", "jobs of this type only"},                                                    \
        {"in-queue", "NAME", "jobs of this named queue only"},                                     \
        {"tenant", "NAME", "jobs of this tenant only"},                                            \
    {                                                                                              \
        "state", "STATE",                                                                          \
            "jobs in this state only; may be repeated: scheduled,\nblocked, ready, "               \
            "running, stopping, succeeded, dead, cancelled"                                        \
    }
#define JSON_OPTION                                                                                \
    {                                                                                              \
        "json", NULL, "print JSON"                                                                 \
    }

/* An open queue and its context. */
typedef struct queue_tool {
    mls_context *context;
    mls_queue *queue;
} queue_tool;

/*
 * Opens the queue of --queue, which other processes must be able to see; `option` is added
 * to the URL's, or NULL. Gives an exit code, after a message.
 */
#define QUEUE_IS_MADE  "init=1"
#define QUEUE_IS_THERE "init=0" /* to look at one that a slip of the pen made tells nothing */
int queue_tool_open(const arguments *args, const char *option, queue_tool *ret_tool);
/* The same for a URL that may be an operand too; NULL is --queue. */
int queue_tool_open_url(const arguments *args, const char *url, const char *option,
                        queue_tool *ret_tool);
void queue_tool_close(queue_tool *tool);

/* The filter of FILTER_OPTIONS. false after a message. */
typedef struct job_filter {
    mls_queue_filter listed; /* by the queue */
    const char *tenant;      /* of those listed; NULL: any */
} job_filter;
bool filter_read(const arguments *args, job_filter *ret_filter);

/* The id of a job. false after a message. */
bool id_parse(const arguments *args, const char *text, uint64_t *ret_id);

/* The job's id in an operand. false after a message. */
bool id_read(const arguments *args, size_t operand, uint64_t *ret_id);

/*
 * Calls `visit` with every job that the filter lets pass, in the order of their ids, until it
 * gives another exit code than EXIT_GOOD. At most `most` jobs. Gives an exit code, which is
 * EXIT_FAILED too when jobs were left out since they are damaged, after a message for each.
 */
typedef int (*job_visit)(void *user, mls_queue *queue, const mls_job *job);
int jobs_visit(mls_queue *queue, const job_filter *filter, uint64_t after_id, uint64_t most,
               job_visit visit, void *user);
/* The same for visits that change their job: of many jobs at once, on several threads. */
int jobs_change(mls_queue *queue, const job_filter *filter, job_visit change, void *user);

/* All that is known of a job; with its payload and result when `with_bytes`. NULL: no memory. */
json_t *job_json(const mls_job *job, bool with_bytes);

/* cmd_queue_needs.c: what jobs need and workers offer. */
#define NEEDS_OPTIONS(whose)                                                                       \
    {"cpus", "N", "processors that " whose "; 500m is half of one"},                               \
        {"memory", "BYTES", "memory that " whose ", such as 512M or 2G"},                          \
    {                                                                                              \
        "gpus", "N", "gpus that " whose                                                            \
    }
/* Reads what is given of them over what is there. false after a message. */
bool needs_read(const arguments *args, mls_resources *resources);
bool needs_are_any(const mls_resources *needs);
/* "2 cpu, 512 MiB, 1 gpu". */
const char *needs_text(const mls_resources *needs, char *text, size_t size);
/* Why a ready job is not claimed, as far as the queue tells; "" for others. */
const char *waits_text(mls_queue *queue, const mls_job_info *info, char *text, size_t size);

/* cmd_queue_submit.c: what a job is, once or by a schedule. */
#define JOB_OPTIONS                                                                                \
    {"type", "TYPE", "which handler runs it"},                                                     \
        {"config", "FILE",                                                                         \
         "job types, of which this one's queue, priority, retries, retention,\n"                   \
         "resources and batch are taken"},                                                         \
        {"payload", "TEXT", "what the handler gets"},                                              \
        {"payload-file", "FILE", "the same from a file; - for standard input"},                    \
        {"in-queue", "NAME", "the named queue (default: default)"},                                \
        {"tenant", "NAME", "whose job it is"},                                                     \
        {"batch-key", "KEY", "jobs of one type and batch key may be run together"},                \
        {"priority", "P", "0, served last, to 9 (default 4)"},                                     \
        {"attempts", "N", "how often it may be run (default 1)"},                                  \
        {"backoff", "MS", "the pause before the second attempt; it doubles (default 1000)"},       \
        {"backoff-max", "MS", "no pause is longer (default 3600000)"},                             \
        {"jitter", "PERCENT", "the part of a pause that is drawn at random (default 100)"},        \
        {"retention", "MS", "how long its result, error and key are kept (default: the queue's)"}, \
        NEEDS_OPTIONS("it needs")
typedef struct job_input {
    mls_job_options options;
    mls_job_types *types; /* that it is of, or NULL */
    char *data;           /* its payload, read from a file */
} job_input;
/* Reads JOB_OPTIONS. Gives an exit code, after a message. */
int job_input_read(const arguments *args, job_input *ret_input);
void job_input_free(job_input *input);

/* The sums of mls_queue_stats by their names. The first QUEUE_RATES count what happens to jobs. */
enum { QUEUE_RATES = 6, QUEUE_SUMS = 11 };
typedef struct queue_sum {
    const char *name;
    size_t offset; /* in mls_queue_stats */
} queue_sum;
extern const queue_sum queue_sums[QUEUE_SUMS];
uint64_t queue_sum_of(const mls_queue_stats *stats, size_t offset);

/* cmd_queue_times.c: points in time. */
/*
 * Reads an option's "2026-01-31T12:00:05Z", or "+MS" from now, in milliseconds since 1970; what is
 * there stays when it is not given. false after a message.
 */
bool time_read(const arguments *args, const char *name, int64_t *wall_ms);
/* "2026-01-31 12:00:05Z"; "-" for 0. */
const char *time_text(int64_t wall_ms, char *text, size_t size);

#endif
