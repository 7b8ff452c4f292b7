/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale queue init, stats, purge: the queue as a whole. */
#include "cmd_queue.h"

#include "table.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* init */

static int init(const arguments *args)
{
    queue_tool tool;
    const char *url = arguments_operand_count(args) ? arguments_operand(args, 0) : NULL;
    if (url && arguments_has(args, "queue"))
        return usage_error(args, "give one URL, as operand or by --queue");
    const int code = queue_tool_open_url(args, url, QUEUE_IS_MADE, &tool);
    if (code)
        return code;
    queue_tool_close(&tool);
    if (arguments_has(args, "json"))
        return print_json(json_pack("{s:b}", "ready", 1));
    printf("the queue is ready\n"); /* not its URL, which may have a password */
    return EXIT_GOOD;
}

static const option_spec init_options[] = {QUEUE_OPTION, JSON_OPTION, {NULL, NULL, NULL}};

const command command_queue_init = {
    .name = "queue init",
    .operands = "URL|--queue URL",
    .max_operands = 1,
    .summary = "make a queue's store, or bring an older one up to date",
    .details =
        "What is there already stays. submit and worker make a file too; other commands want\n"
        "the store to be there.",
    .options = init_options,
    .run = init,
};

/* stats */

const queue_sum queue_sums[QUEUE_SUMS] = {
    {"submitted", offsetof(mls_queue_stats, submitted)},
    {"claimed", offsetof(mls_queue_stats, claimed)},
    {"succeeded", offsetof(mls_queue_stats, succeeded)},
    {"dead", offsetof(mls_queue_stats, dead)},
    {"cancelled", offsetof(mls_queue_stats, cancelled)},
    {"retried", offsetof(mls_queue_stats, retried)},
    {"released", offsetof(mls_queue_stats, released)},
    {"escalated", offsetof(mls_queue_stats, escalated)},
    {"stale", offsetof(mls_queue_stats, stale)},
    {"waiting_ns", offsetof(mls_queue_stats, waiting_ns)},
    {"running_ns", offsetof(mls_queue_stats, running_ns)},
};

uint64_t queue_sum_of(const mls_queue_stats *stats, size_t offset)
{
    return *(const uint64_t *) (const void *) ((const char *) stats + offset);
}

static int stats_as_json(const mls_queue_stats *s, json_t *types)
{
    json_t *jobs = json_object(), *totals = json_object();
    for (int32_t state = MLS_JOB_SCHEDULED; state <= MLS_JOB_CANCELLED; state++)
        json_object_set_new(jobs, mls_job_state_name(state),
                            json_integer((json_int_t) s->jobs[state]));
    for (size_t i = 0; i < QUEUE_SUMS; i++)
        json_object_set_new(totals, queue_sums[i].name,
                            json_integer((json_int_t) queue_sum_of(s, queue_sums[i].offset)));
    return print_json(json_pack("{s:o, s:o, s:o}", "jobs", jobs, "sums", totals, "types", types));
}

static int stats_as_text(const mls_queue_stats *s)
{
    printf("jobs now\n");
    for (int32_t state = MLS_JOB_SCHEDULED; state <= MLS_JOB_CANCELLED; state++)
        printf("  %-12s %12" PRIu64 "\n", mls_job_state_name(state), s->jobs[state]);
    printf("  %-12s %12" PRIu64 "\nsince it was made\n", "all", s->jobs[0]);
    for (size_t i = 0; i + 2 < QUEUE_SUMS; i++)
        printf("  %-12s %12" PRIu64 "\n", queue_sums[i].name,
               queue_sum_of(s, queue_sums[i].offset));
    const double claims = s->claimed ? (double) s->claimed : 1;
    printf("mean of a claim\n  %-12s %12.3f ms\n  %-12s %12.3f ms\n", "waiting",
           (double) s->waiting_ns / claims / 1e6, "running", (double) s->running_ns / claims / 1e6);
    return EXIT_GOOD;
}

/* By type: what attempts took, of types that the filter lets pass. */
typedef struct cost_list {
    const char *type;
    json_t *array; /* or */
    table *lines;
} cost_list;

static json_t *quantiles_json(const mls_quantiles *q)
{
    return json_pack("{s:I, s:I, s:I}", "p50", (json_int_t) q->p50, "p95", (json_int_t) q->p95,
                     "max", (json_int_t) q->most);
}

static void add_quantiles(table *lines, const mls_quantiles *q, double unit)
{
    const uint64_t values[] = {q->p50, q->p95, q->most};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        table_add(lines, "%.3g", (double) values[i] / unit);
}

static void add_cost(void *user, const mls_queue_cost *cost)
{
    cost_list *list = user;
    const mls_quantiles *wall = &cost->wall_ns, *memory = &cost->peak_bytes;
    if (list->type && strcmp(list->type, cost->type) != 0)
        return;
    if (list->array) {
        json_array_append_new(
            list->array,
            json_pack("{s:s, s:I, s:I, s:o, s:o, s:o}", "type", cost->type, "needs_memory_bytes",
                      (json_int_t) cost->memory_bytes, "samples", (json_int_t) cost->samples,
                      "wall_ns", quantiles_json(wall), "cpu_ns", quantiles_json(&cost->cpu_ns),
                      "memory_bytes", quantiles_json(memory)));
        return;
    }
    table_add(list->lines, "%s", cost->type);
    if (cost->memory_bytes)
        table_add(list->lines, "%.4g", (double) cost->memory_bytes / (1 << 20));
    else
        table_add(list->lines, "-");
    add_quantiles(list->lines, wall, 1e9);
    add_quantiles(list->lines, memory, 1 << 20);
}

/* Drivers that keep no costs have none to show. */
static int visit_costs(mls_queue *queue, cost_list *list)
{
    if (!list->array && !list->lines)
        return failure("out of memory");
    const mls_status status = mls_queue_visit_costs(queue, add_cost, list);
    return status && status != MLS_EUNSUPPORTED ? library_failure(NULL) : EXIT_GOOD;
}

static int print_stats(const arguments *args, mls_queue *queue, const mls_queue_stats *figures)
{
    static const char *const heads[] = {
        "WHAT ATTEMPTS TOOK", ">OF MIB",  ">P50 S",    ">P95 S", ">MOST S",
        ">P50 MIB",           ">P95 MIB", ">MOST MIB", NULL};
    const bool is_json = arguments_has(args, "json");
    cost_list list = {arguments_get(args, "type"), is_json ? json_array() : NULL,
                      is_json ? NULL : table_create(heads)};
    if (!is_json)
        stats_as_text(figures);
    const int code = visit_costs(queue, &list);
    const int printed = is_json      ? stats_as_json(figures, list.array)
                        : list.lines ? table_print(list.lines)
                                     : EXIT_GOOD;
    return code ? code : printed;
}

static int stats(const arguments *args)
{
    queue_tool tool;
    mls_queue_filter filter = MLS_QUEUE_FILTER_INIT;
    mls_queue_stats figures = MLS_QUEUE_STATS_INIT;
    filter.type = arguments_get(args, "type");
    filter.queue = arguments_get(args, "in-queue");
    int code = queue_tool_open(args, QUEUE_IS_THERE, &tool);
    if (code)
        return code;
    if (mls_queue_get_stats(tool.queue, &filter, &figures))
        code = library_failure(NULL);
    else
        code = print_stats(args, tool.queue, &figures);
    queue_tool_close(&tool);
    return code;
}

static const option_spec stats_options[] = {
    QUEUE_OPTION,
    {"type", "TYPE", "jobs of this type only"},
    {"in-queue", "NAME", "jobs of this named queue only"},
    JSON_OPTION,
    {NULL, NULL, NULL},
};

const command command_queue_stats = {
    .name = "queue stats",
    .operands = "--queue URL",
    .summary = "count the jobs of a queue by state, and what happened to them",
    .options = stats_options,
    .run = stats,
};

/* purge */

#define ENDED                                                                                      \
    (MLS_QUEUE_STATE(MLS_JOB_SUCCEEDED) | MLS_QUEUE_STATE(MLS_JOB_DEAD) |                          \
     MLS_QUEUE_STATE(MLS_JOB_CANCELLED))

typedef struct purge_state {
    int64_t ended_before_ms;
    atomic_uint_least64_t count;
} purge_state;

static int purge_job(void *user, mls_queue *queue, const mls_job *job)
{
    purge_state *p = user;
    mls_job_info info = MLS_JOB_INFO_INIT;
    if (mls_job_get_info(job, &info))
        return library_failure(NULL);
    if (info.ended_ms > p->ended_before_ms)
        return EXIT_GOOD;
    const mls_status status = mls_queue_forget(queue, info.id);
    if (status && status != MLS_ENOTFOUND && status != MLS_ESTATE)
        return library_failure(NULL);
    atomic_fetch_add(&p->count, status == MLS_OK);
    return EXIT_GOOD;
}

static int purge(const arguments *args)
{
    queue_tool tool;
    job_filter filter;
    int64_t seconds;
    if (!filter_read(args, &filter) ||
        !arguments_int(args, "older-than", 0, INT64_C(1000000000), 0, &seconds))
        return EXIT_USAGE;
    if (filter.listed.states & ~ENDED)
        return usage_error(args,
                           "--state: only jobs that succeeded, dead and cancelled ones can be "
                           "purged; 'mlscale queue cancel' ends others");
    filter.listed.states = filter.listed.states ? filter.listed.states : ENDED;
    int code = queue_tool_open(args, QUEUE_IS_THERE, &tool);
    if (code)
        return code;
    purge_state state = {.ended_before_ms = INT64_MAX};
    if (seconds)
        state.ended_before_ms = ((int64_t) time(NULL) - seconds) * 1000;
    code = jobs_change(tool.queue, &filter, purge_job, &state);
    queue_tool_close(&tool);
    const uint64_t count = atomic_load(&state.count);
    if (arguments_has(args, "json")) {
        const int printed = print_json(json_pack("{s:I}", "purged", (json_int_t) count));
        return code ? code : printed;
    }
    printf("%" PRIu64 " purged\n", count);
    return code;
}

static const option_spec purge_options[] = {
    QUEUE_OPTION,
    FILTER_OPTIONS,
    {"older-than", "SECONDS", "that ended this long ago or longer (default 0)"},
    JSON_OPTION,
    {NULL, NULL, NULL},
};

const command command_queue_purge = {
    .name = "queue purge",
    .operands = "--queue URL",
    .summary = "forget jobs that have ended, with their results",
    .details = "Of all states in which jobs have ended, unless --state says which.",
    .options = purge_options,
    .run = purge,
};
