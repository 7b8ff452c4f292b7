/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mlscale worker: runs the jobs of a queue as a file of job types says.
 *
 * What was read from the file at one time is a generation: types, handlers, and a worker
 * of the library over them. To read the file again is to start a new generation and to
 * let the old one finish what it runs, in a thread of its own.
 */
#include "cmd_queue.h"
#include "commands.h"
#include "job_handlers.h"
#include "job_types.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct generation generation;
struct generation {
    generation *older; /* those that finish */
    pthread_t thread;  /* of one that finishes */
    job_types *types;
    job_handler *handlers;
    size_t handler_count;
    const char **queues;
    size_t queue_count;
    mls_worker *worker;
};

typedef struct server {
    queue_tool tool;
    const char *config;
    uint32_t slots;
    int64_t stop_ms;
    bool is_json;
    atomic_bool hurry;
    generation *now;
    generation *finishing;
    mls_worker_stats sums; /* of generations that ended */
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
        fprintf(stderr, "mlscale worker: %s\n", text);
        return;
    }
    json_t *line = json_pack("{s:s, s:s}", "event", event, "message", text);
    json_dumpf(line, stderr, JSON_COMPACT);
    json_decref(line);
    fputc('\n', stderr);
}

/* --- generations --- */

static void free_generation(generation *g)
{
    if (!g)
        return;
    mls_worker_free(g->worker);
    for (size_t i = 0; i < g->handler_count; i++)
        job_handler_close(&g->handlers[i]);
    free(g->handlers);
    free((void *) g->queues);
    job_types_free(g->types);
    free(g);
}

static bool open_handlers(server *s, generation *g, char *message, size_t size)
{
    g->handlers = calloc(g->types->count, sizeof *g->handlers);
    g->queues = calloc(g->types->count, sizeof *g->queues);
    snprintf(message, size, "out of memory");
    bool good = g->handlers && g->queues;
    for (size_t i = 0; good && i < g->types->count; i++) {
        char why[900];
        good = job_handler_open(s->tool.context, &g->types->items[i], &s->hurry, &g->handlers[i],
                                why, sizeof why);
        if (!good)
            snprintf(message, size, "%s:%u: %s", s->config, g->types->items[i].line, why);
        else
            g->handler_count++;
    }
    return good;
}

/* The named queues of all types, each once. */
static void collect_queues(generation *g)
{
    for (size_t i = 0; i < g->types->count; i++) {
        const char *queue = g->types->items[i].queue ? g->types->items[i].queue : "default";
        size_t at = 0;
        while (at < g->queue_count && strcmp(g->queues[at], queue) != 0)
            at++;
        g->queues[at] = queue;
        g->queue_count += at == g->queue_count;
    }
}

static mls_status start_worker(server *s, generation *g)
{
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.name = "mlscale worker";
    options.slots = s->slots;
    options.queues = g->queues;
    options.queue_count = g->queue_count;
    mls_status status = mls_worker_create(s->tool.queue, &options, &g->worker);
    for (size_t i = 0; !status && i < g->handler_count; i++) {
        const mls_handler table = job_handler_table(&g->handlers[i]);
        status = mls_worker_add_handler(g->worker, &table);
    }
    return status ? status : mls_worker_start(g->worker);
}

/* Reads the file and starts what it says. NULL: why not is in `message`. */
static generation *start_generation(server *s, char *message, size_t size)
{
    generation *g = calloc(1, sizeof *g);
    if (!g) {
        snprintf(message, size, "out of memory");
        return NULL;
    }
    g->types = job_types_load(s->config, message, size);
    if (!g->types || !open_handlers(s, g, message, size)) {
        free_generation(g);
        return NULL;
    }
    collect_queues(g);
    if (start_worker(s, g)) {
        snprintf(message, size, "%s: %s", s->config, mls_error_message());
        free_generation(g);
        return NULL;
    }
    return g;
}

static void add_stats(server *s, const generation *g)
{
    mls_worker_stats stats = MLS_WORKER_STATS_INIT;
    if (mls_worker_get_stats(g->worker, &stats))
        return;
    s->sums.claimed += stats.claimed;
    s->sums.succeeded += stats.succeeded;
    s->sums.failed += stats.failed;
    s->sums.cancelled += stats.cancelled;
    s->sums.released += stats.released;
    s->sums.stale += stats.stale;
}

static void *finish(void *arg)
{
    generation *g = arg;
    mls_worker_stop(g->worker, 0, -1);
    return NULL;
}

/* Lets a generation finish what it runs, and makes another the present one. */
static void replace(server *s, generation *next)
{
    generation *old = s->now;
    s->now = next;
    if (pthread_create(&old->thread, NULL, finish, old) != 0) {
        mls_worker_stop(old->worker, 0, -1);
        add_stats(s, old);
        free_generation(old);
        return;
    }
    old->older = s->finishing;
    s->finishing = old;
}

static void reload(server *s)
{
    char message[1024];
    generation *next = start_generation(s, message, sizeof message);
    if (!next) {
        say(s, "refused", "%s; nothing was changed", message);
        return;
    }
    replace(s, next);
    say(s, "reloaded", "%s: %zu job types, for jobs from now on", s->config, next->handler_count);
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
    pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void serve(server *s, const sigset_t *set)
{
    for (;;) {
        int which;
        if (sigwait(set, &which) != 0 || which != SIGHUP)
            return;
        reload(s);
    }
}

/* Programs that still run then are ended, and their jobs are ready again. */
static void stop_all(server *s, uint32_t flags)
{
    const bool drains = flags & MLS_WORKER_DRAIN;
    const mls_status status = mls_worker_stop(s->now->worker, flags, drains ? -1 : s->stop_ms);
    if (status == MLS_ETIMEDOUT)
        say(s, "late", "jobs that took longer than %" PRId64 " ms to end were given back",
            s->stop_ms);
    atomic_store(&s->hurry, true);
    mls_worker_stop(s->now->worker, 0, -1);
    for (generation *g = s->finishing, *older; g; g = older) {
        older = g->older;
        pthread_join(g->thread, NULL);
        add_stats(s, g);
        free_generation(g);
    }
    add_stats(s, s->now);
    free_generation(s->now);
}

static int report(const server *s)
{
    const mls_worker_stats *n = &s->sums;
    if (s->is_json)
        return print_json(json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "claimed",
                                    (json_int_t) n->claimed, "succeeded", (json_int_t) n->succeeded,
                                    "failed", (json_int_t) n->failed, "cancelled",
                                    (json_int_t) n->cancelled, "released", (json_int_t) n->released,
                                    "stale", (json_int_t) n->stale));
    printf("%" PRIu64 " succeeded, %" PRIu64 " failed, %" PRIu64 " cancelled, %" PRIu64
           " given back\n",
           n->succeeded, n->failed, n->cancelled, n->released);
    return EXIT_GOOD;
}

static int run_server(const arguments *args, server *s, const sigset_t *set)
{
    char message[1024];
    const bool drains = arguments_has(args, "drain");
    s->now = start_generation(s, message, sizeof message);
    if (!s->now)
        return failure("%s", message);
    if (drains) {
        pthread_sigmask(SIG_UNBLOCK, set, NULL);
    } else {
        say(s, "started", "%zu job types, %" PRIu32 " slots", s->now->handler_count, s->slots);
        serve(s, set);
        say(s, "stopping", "no new jobs; those that run have %" PRId64 " ms to end", s->stop_ms);
    }
    stop_all(s, drains ? MLS_WORKER_DRAIN : 0);
    return report(s);
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
    {"slots", "N", "jobs that run at the same time (default 1)"},
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
