/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mlscale worker: runs the jobs of a queue as a file of job types says.
 */
#include "cmd_queue.h"
#include "commands.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct server {
    queue_tool tool;
    const char *config, *name;
    uint32_t slots;
    mls_resources capacity;
    bool has_capacity;
    int64_t stop_ms;
    bool is_json;
    mls_service *service;
    pthread_t waiting; /* for signals */
} server;

/* What happens to the worker, for people or as a JSON object a line. */
static void say(const server *s, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say(const server *s, const char *event, const char *format, ...)
{
    char text[1200];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (!s->is_json) {
        fprintf(stderr, "mlscale worker: ");
        print_visible(stderr, text);
        fputc('\n', stderr);
        return;
    }
    json_t *line = json_pack("{s:s, s:s}", "event", event, "message", text);
    json_dumpf(line, stderr, JSON_COMPACT);
    json_decref(line);
    fputc('\n', stderr);
}

/* Reads the file and starts what it says, or goes on with it. */
static mls_status start_or_reload(server *s, size_t *ret_types)
{
    mls_job_types *types;
    mls_service_options options = MLS_SERVICE_OPTIONS_INIT;
    mls_status status = mls_job_types_load(s->tool.context, s->config, &types);
    if (status)
        return status;
    *ret_types = mls_job_types_count(types);
    options.name = s->name;
    options.slots = s->slots;
    options.capacity = s->has_capacity ? &s->capacity : NULL;
    status = mls_job_types_schedule(types, s->tool.queue);
    if (!status)
        status = s->service ? mls_service_reload(s->service, types)
                            : mls_service_start(s->tool.queue, types, &options, &s->service);
    if (status)
        mls_job_types_free(types);
    return status;
}

static void reload(server *s)
{
    size_t count;
    if (start_or_reload(s, &count))
        say(s, "refused", "%s; nothing was changed", mls_error_message());
    else
        say(s, "reloaded", "%s: %zu job types, for jobs from now on", s->config, count);
}

/* --- the command --- */

/* Blocked in all threads, so that the main thread can wait for them. */
static void block_signals(sigset_t *set)
{
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGUSR1); /* ours: a drain is over */
    pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void serve(server *s, const sigset_t *set)
{
    for (;;) {
        int which;
        if (sigwait(set, &which) != 0 || (which != SIGHUP && which != SIGUSR1))
            return;
        if (which == SIGHUP)
            reload(s);
    }
}

/* Programs that still run then are ended, and their jobs are ready again. */
static void stop(server *s)
{
    say(s, "stopping", "no new jobs; those that run have %" PRId64 " ms to end", s->stop_ms);
    const mls_status status = mls_service_stop(s->service, 0, s->stop_ms);
    if (status == MLS_ETIMEDOUT)
        say(s, "late", "jobs that took longer than %" PRId64 " ms to end were given back",
            s->stop_ms);
    mls_service_stop(s->service, 0, -1);
}

/* On a thread of its own; the one that waits for signals is told by one. */
static void *drain(void *user)
{
    server *s = user;
    mls_service_stop(s->service, MLS_WORKER_DRAIN, -1);
    pthread_kill(s->waiting, SIGUSR1);
    return NULL;
}

/* Until no job is ready, or a signal says that it is enough. */
static int drain_until_told(server *s, const sigset_t *set)
{
    pthread_t thread;
    int which = 0;
    s->waiting = pthread_self();
    if (pthread_create(&thread, NULL, drain, s))
        return failure("cannot start a thread");
    do
        if (sigwait(set, &which))
            break;
    while (which == SIGHUP); /* what it runs to the end it runs as it began */
    if (which != SIGUSR1)
        stop(s);
    pthread_join(thread, NULL);
    return EXIT_GOOD;
}

static int report(const server *s)
{
    mls_worker_stats n = MLS_WORKER_STATS_INIT;
    mls_service_get_stats(s->service, &n);
    if (s->is_json)
        return print_json(json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "claimed",
                                    (json_int_t) n.claimed, "succeeded", (json_int_t) n.succeeded,
                                    "failed", (json_int_t) n.failed, "cancelled",
                                    (json_int_t) n.cancelled, "released", (json_int_t) n.released,
                                    "stale", (json_int_t) n.stale));
    printf("%" PRIu64 " succeeded, %" PRIu64 " failed, %" PRIu64 " cancelled, %" PRIu64
           " given back\n",
           n.succeeded, n.failed, n.cancelled, n.released);
    return EXIT_GOOD;
}

static int run_server(const arguments *args, server *s, const sigset_t *set)
{
    const bool drains = arguments_has(args, "drain");
    size_t count;
    if (start_or_reload(s, &count))
        return failure("%s", mls_error_message());
    int code = EXIT_GOOD;
    if (drains) {
        code = drain_until_told(s, set);
    } else {
        say(s, "started", "%zu job types, %" PRIu32 " slots", count, s->slots);
        serve(s, set);
        stop(s);
    }
    const int reported = report(s);
    mls_service_free(s->service);
    return code ? code : reported;
}

static int worker(const arguments *args)
{
    int64_t slots, stop_seconds;
    server s = {.config = arguments_get(args, "config"), .is_json = arguments_has(args, "json")};
    if (!s.config)
        return usage_error(args, "--config is missing: a file as mlscale-job-types(5) describes");
    if (!arguments_int(args, "slots", 1, MLS_SLOTS_MAX, 1, &slots) ||
        !arguments_int(args, "stop-timeout", 0, 1000000, 30, &stop_seconds))
        return EXIT_USAGE;
    s.name = arguments_has(args, "name") ? arguments_get(args, "name") : "mlscale worker";
    s.capacity = (mls_resources){MLS_CAPACITY_MACHINE, MLS_CAPACITY_MACHINE, MLS_CAPACITY_MACHINE};
    s.has_capacity =
        arguments_has(args, "cpus") || arguments_has(args, "memory") || arguments_has(args, "gpus");
    if (!needs_read(args, &s.capacity))
        return EXIT_USAGE;
    s.slots = (uint32_t) slots;
    s.stop_ms = stop_seconds * 1000;
    sigset_t set;
    block_signals(&set); /* before there are threads, which have what the first one had */
    int code = queue_tool_open(args, NULL, &s.tool);
    if (code)
        return code;
    code = run_server(args, &s, &set);
    queue_tool_close(&s.tool);
    return code;
}

static const option_spec options[] = {
    QUEUE_OPTION,
    {"config", "FILE", "the job types: see mlscale-job-types(5)"},
    {"name", "NAME", "the owner of its jobs, for people (default: mlscale worker)"},
    {"slots", "N", "jobs that run at the same time (default 1)"},
    NEEDS_OPTIONS("its jobs may need together"),
    {"stop-timeout", "SECONDS", "how long jobs may go on when it stops (default 30)"},
    {"drain", NULL, "stop by itself when no job is ready"},
    JSON_OPTION,
    {NULL, NULL, NULL},
};

const command command_worker = {
    .name = "worker",
    .operands = "--queue URL --config FILE",
    .summary = "run the jobs of a queue: programs and models, by job types from YAML",
    .details = "SIGTERM and SIGINT stop it: no new jobs, and those that run may end. SIGHUP reads\n"
               "the file again: a valid one is for jobs from then on, an invalid one changes\n"
               "nothing.",
    .options = options,
    .run = worker,
};
