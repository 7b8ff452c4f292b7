/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale queue schedule, unschedule, schedules: jobs that a queue submits by itself. */
#include "cmd_queue.h"

#include "table.h"

#include <stdio.h>
#include <string.h>

static const char *const missed_names[] = {
    [MLS_MISSED_SKIP] = "skip",
    [MLS_MISSED_ONCE] = "once",
    [MLS_MISSED_ALL] = "all",
};

enum { MISSED_RULES = sizeof missed_names / sizeof missed_names[0] };

static const char *missed_name(uint32_t missed)
{
    return missed < MISSED_RULES ? missed_names[missed] : "unknown";
}

/* "2026-01-31 12:00:00Z"; "-" for none. */
static const char *firing_text(int64_t at_ms, char *text, size_t size)
{
    return time_text(at_ms == INT64_MAX ? 0 : at_ms, text, size);
}

static json_t *firing_json(int64_t at_ms)
{
    return at_ms == 0 || at_ms == INT64_MAX ? json_null() : json_integer(at_ms);
}

/* --- schedule -------------------------------------------------------------------------------- */

static bool read_missed(const arguments *args, uint32_t *ret_missed)
{
    const char *text = arguments_get(args, "missed");
    for (uint32_t i = 0; i < MISSED_RULES; i++)
        if (strcmp(text ? text : missed_names[MLS_MISSED_SKIP], missed_names[i]) == 0) {
            *ret_missed = i;
            return true;
        }
    usage_error(args, "--missed %s: there are skip, once and all", text);
    return false;
}

typedef struct search {
    const char *name;
    int64_t next_ms; /* 0: it is not there */
} search;

static void find_next(void *user, const mls_schedule *schedule)
{
    search *wanted = user;
    if (strcmp(schedule->name, wanted->name) == 0)
        wanted->next_ms = schedule->next_ms;
}

/* Sets it, and says when it fires next, by which a slip in a line is seen. */
static int set_schedule(const arguments *args, mls_queue *queue, const mls_schedule *schedule)
{
    char text[32];
    search set = {schedule->name, 0};
    if (mls_queue_schedule(queue, schedule) || mls_queue_visit_schedules(queue, find_next, &set))
        return library_failure(NULL);
    if (arguments_has(args, "json"))
        return print_json(
            json_pack("{s:s, s:o}", "name", schedule->name, "next_ms", firing_json(set.next_ms)));
    print_visible(stdout, schedule->name);
    printf(": fires next at %s\n", firing_text(set.next_ms, text, sizeof text));
    return EXIT_GOOD;
}

static int schedule_job(const arguments *args)
{
    queue_tool tool;
    job_input input;
    mls_schedule schedule = MLS_SCHEDULE_INIT;
    schedule.name = arguments_operand(args, 0);
    schedule.cron = arguments_get(args, "cron");
    schedule.zone = arguments_get(args, "zone");
    schedule.source = "mlscale queue schedule";
    if (!schedule.cron)
        return usage_error(args, "--cron is missing: it says when, such as '30 2 * * mon-fri'");
    if (!read_missed(args, &schedule.missed))
        return EXIT_USAGE;
    int code = job_input_read(args, &input);
    if (code)
        return code;
    schedule.job = &input.options;
    code = queue_tool_open(args, NULL, &tool);
    if (!code) {
        code = set_schedule(args, tool.queue, &schedule);
        queue_tool_close(&tool);
    }
    job_input_free(&input);
    return code;
}

static const option_spec schedule_options[] = {
    QUEUE_OPTION,
    {"cron", "LINE", "when: minute, hour, day of the month, month, day of the week"},
    {"zone", "ZONE", "whose time that is, such as Europe/Berlin (default UTC)"},
    {"missed", "RULE",
     "what becomes of times when no process had the queue open: skip\n"
     "them (the default), once for all of them, or all"},
    JOB_OPTIONS,
    JSON_OPTION,
    {NULL, NULL, NULL},
};

const command command_queue_schedule = {
    .name = "queue schedule",
    .operands = "NAME --cron LINE --type TYPE --queue URL",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "have the queue submit a job by itself, by a line of cron",
    .details = "In place of a schedule of that name, if there is one. While any process has the\n"
               "queue open each firing submits one job.",
    .options = schedule_options,
    .run = schedule_job,
};

/* --- unschedule ------------------------------------------------------------------------------ */

static int unschedule(const arguments *args)
{
    queue_tool tool;
    const char *name = arguments_operand(args, 0);
    int code = queue_tool_open(args, QUEUE_IS_THERE, &tool);
    if (code)
        return code;
    if (mls_queue_unschedule(tool.queue, name))
        code = library_failure(NULL);
    queue_tool_close(&tool);
    if (code)
        return code;
    if (arguments_has(args, "json"))
        return print_json(json_pack("{s:s, s:n}", "name", name, "next_ms"));
    print_visible(stdout, name);
    printf(": fires no more\n");
    return EXIT_GOOD;
}

static const option_spec plain_options[] = {QUEUE_OPTION, JSON_OPTION, {NULL, NULL, NULL}};

const command command_queue_unschedule = {
    .name = "queue unschedule",
    .operands = "NAME --queue URL",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "end a schedule; jobs that it submitted stay",
    .options = plain_options,
    .run = unschedule,
};

/* --- schedules ------------------------------------------------------------------------------- */

typedef struct schedules_state {
    json_t *list; /* or */
    table *lines;
} schedules_state;

static json_t *schedule_json(const mls_schedule *schedule)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "name", schedule->name,
                     "cron", schedule->cron, "zone", schedule->zone, "missed",
                     missed_name(schedule->missed), "type", schedule->job->type, "queue",
                     schedule->job->queue, "tenant", schedule->job->tenant, "source",
                     schedule->source, "next_ms", firing_json(schedule->next_ms), "last_ms",
                     firing_json(schedule->last_ms));
}

static void show_schedule(void *user, const mls_schedule *schedule)
{
    schedules_state *state = user;
    char text[32];
    if (state->list) {
        json_array_append_new(state->list, schedule_json(schedule));
        return;
    }
    table_add(state->lines, "%s", schedule->name);
    table_add(state->lines, "%s", schedule->cron);
    table_add(state->lines, "%s", schedule->zone);
    table_add(state->lines, "%s", missed_name(schedule->missed));
    table_add(state->lines, "%s", schedule->job->type);
    table_add(state->lines, "%s", firing_text(schedule->next_ms, text, sizeof text));
    table_add(state->lines, "%s", firing_text(schedule->last_ms, text, sizeof text));
}

static int visit_schedules(mls_queue *queue, schedules_state *state)
{
    if (!state->list && !state->lines)
        return failure("out of memory");
    return mls_queue_visit_schedules(queue, show_schedule, state) ? library_failure(NULL)
                                                                  : EXIT_GOOD;
}

static int schedules(const arguments *args)
{
    static const char *const heads[] = {"NAME", "CRON", "ZONE", "MISSED",
                                        "TYPE", "NEXT", "LAST", NULL};
    queue_tool tool;
    int code = queue_tool_open(args, QUEUE_IS_THERE, &tool);
    if (code)
        return code;
    const bool is_json = arguments_has(args, "json");
    schedules_state state = {is_json ? json_array() : NULL, is_json ? NULL : table_create(heads)};
    code = visit_schedules(tool.queue, &state);
    queue_tool_close(&tool);
    const int printed = is_json       ? print_json(json_pack("{s:o}", "schedules", state.list))
                        : state.lines ? table_print(state.lines)
                                      : EXIT_GOOD;
    return code ? code : printed;
}

const command command_queue_schedules = {
    .name = "queue schedules",
    .operands = "--queue URL",
    .summary = "show the schedules of a queue, with their next and last firings",
    .options = plain_options,
    .run = schedules,
};
