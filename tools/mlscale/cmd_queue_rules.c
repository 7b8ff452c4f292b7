/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale queue pause, resume, rules: what holds back jobs. */
#include "cmd_queue.h"

#include <stdio.h>

/* Which jobs: of --type and --in-queue, or --all. false after a message. */
static bool read_which(const arguments *args, mls_queue_filter *ret_which)
{
    mls_queue_filter which = MLS_QUEUE_FILTER_INIT;
    which.type = arguments_get(args, "type");
    which.queue = arguments_get(args, "in-queue");
    if (arguments_has(args, "all") == (which.type || which.queue)) {
        usage_error(args, "give --type, --in-queue, or both of them; or --all");
        return false;
    }
    *ret_which = which;
    return true;
}

static const char *or_any(const char *name)
{
    return name ? name : "*";
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static int set_pause(const arguments *args,
                     mls_status (*set)(mls_queue *queue, const mls_queue_filter *which),
                     const char *word)
{
    queue_tool tool;
    mls_queue_filter which;
    if (!read_which(args, &which))
        return EXIT_USAGE;
    int code = queue_tool_open(args, NULL, &tool);
    if (code)
        return code;
    if (set(tool.queue, &which))
        code = library_failure(NULL);
    queue_tool_close(&tool);
    if (code)
        return code;
    if (arguments_has(args, "json"))
        return print_json(json_pack("{s:o, s:o, s:b}", "queue", text_or_null(which.queue), "type",
                                    text_or_null(which.type), word, 1));
    printf("queue %s, type %s: %s\n", or_any(which.queue), or_any(which.type), word);
    return EXIT_GOOD;
}

static int pause_jobs(const arguments *args)
{
    return set_pause(args, mls_queue_pause, "paused");
}

static int resume_jobs(const arguments *args)
{
    return set_pause(args, mls_queue_resume, "resumed");
}

static const option_spec pause_options[] = {
    QUEUE_OPTION,
    {"type", "TYPE", "jobs of this type"},
    {"in-queue", "NAME", "jobs of this named queue"},
    {"all", NULL, "all jobs"},
    JSON_OPTION,
    {NULL, NULL, NULL},
};

const command command_queue_pause = {
    .name = "queue pause",
    .operands = "--type TYPE|--in-queue NAME|--all --queue URL",
    .summary = "let jobs of a type or named queue wait until they are resumed",
    .details = "What runs goes on. A pause is of exactly what is given: see mlscale queue rules.",
    .options = pause_options,
    .run = pause_jobs,
};

const command command_queue_resume = {
    .name = "queue resume",
    .operands = "--type TYPE|--in-queue NAME|--all --queue URL",
    .summary = "take back a pause of exactly the same type and named queue",
    .details = "--all takes back the pause of all jobs, and no other.",
    .options = pause_options,
    .run = resume_jobs,
};

/* rules */

static void add_rule(void *user, const mls_queue_rule *rule)
{
    json_array_append_new(user,
                          json_pack("{s:o, s:o, s:b}", "queue", text_or_null(rule->queue), "type",
                                    text_or_null(rule->type), "paused", (int) rule->is_paused));
}

static int print_rules(const json_t *rules)
{
    const json_t *rule;
    size_t index;
    printf("%-24s %-24s %s\n", "queue", "type", "paused");
    json_array_foreach(rules, index, rule)
    {
        printf("%-24s %-24s %s\n", or_any(json_string_value(json_object_get(rule, "queue"))),
               or_any(json_string_value(json_object_get(rule, "type"))),
               json_is_true(json_object_get(rule, "paused")) ? "yes" : "-");
    }
    return EXIT_GOOD;
}

static int rules(const arguments *args)
{
    queue_tool tool;
    int code = queue_tool_open(args, NULL, &tool);
    if (code)
        return code;
    json_t *list = json_array();
    if (mls_queue_visit_rules(tool.queue, add_rule, list))
        code = library_failure(NULL);
    queue_tool_close(&tool);
    if (!code && arguments_has(args, "json"))
        return print_json(json_pack("{s:o}", "rules", list));
    if (!code)
        code = print_rules(list);
    json_decref(list);
    return code;
}

static const option_spec rules_options[] = {QUEUE_OPTION, JSON_OPTION, {NULL, NULL, NULL}};

const command command_queue_rules = {
    .name = "queue rules",
    .operands = "--queue URL",
    .summary = "show what holds back jobs",
    .details = "* is any queue or type.",
    .options = rules_options,
    .run = rules,
};
