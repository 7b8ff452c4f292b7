/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale queue pause, resume, limit, weigh, rules: what holds back jobs, and how they share. */
#include "cmd_queue.h"

#include "table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

/* The pauses of jobs that `which` is of, or of some of them. */
typedef struct pauses {
    const mls_queue_filter *which;
    size_t count;
} pauses;

static bool may_meet(const char *a, const char *b)
{
    return !a || !b || strcmp(a, b) == 0;
}

static void count_pause(void *user, const mls_queue_rule *rule)
{
    pauses *p = user;
    p->count += rule->is_paused && may_meet(rule->queue, p->which->queue) &&
                may_meet(rule->type, p->which->type);
}

static int set_pause(const arguments *args,
                     mls_status (*set)(mls_queue *queue, const mls_queue_filter *which),
                     const char *word)
{
    queue_tool tool;
    mls_queue_filter which;
    if (!read_which(args, &which))
        return EXIT_USAGE;
    int code = queue_tool_open(args, QUEUE_IS_THERE, &tool);
    if (code)
        return code;
    pauses left = {.which = &which};
    if (set(tool.queue, &which) || mls_queue_visit_rules(tool.queue, count_pause, &left))
        code = library_failure(NULL);
    queue_tool_close(&tool);
    if (code)
        return code;
    if (arguments_has(args, "json"))
        return print_json(json_pack("{s:o, s:o, s:b, s:I}", "queue", text_or_null(which.queue),
                                    "type", text_or_null(which.type), word, 1, "pauses",
                                    (json_int_t) left.count));
    printf("queue %s, type %s: %s\n", or_any(which.queue), or_any(which.type), word);
    if (set == mls_queue_resume && left.count)
        printf("other pauses hold such jobs still: see 'mlscale queue rules'\n");
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

#define WHICH_OPTIONS                                                                              \
    QUEUE_OPTION, JSON_OPTION, {"type", "TYPE", "jobs of this type"},                              \
    {                                                                                              \
        "in-queue", "NAME", "jobs of this named queue"                                             \
    }

static const option_spec pause_options[] = {
    WHICH_OPTIONS,
    {"all", NULL, "all jobs"},
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

/* limit */

static bool read_limits(const arguments *args, mls_queue_rule *ret_rule)
{
    mls_queue_rule rule = *ret_rule;
    int64_t running, rate, burst;
    if (!arguments_int(args, "running", 0, UINT32_MAX, 0, &running) ||
        !arguments_int(args, "rate", 0, UINT32_MAX, 0, &rate) ||
        !arguments_int(args, "per", 1, INT64_MAX, 1000, &rule.rate_ms) ||
        !arguments_int(args, "burst", 1, UINT32_MAX, rate ? rate : 1, &burst))
        return false;
    if (arguments_has(args, "none") == (running || rate)) {
        usage_error(args, "give --running, --rate, or both of them; or --none");
        return false;
    }
    if (!rate && (arguments_has(args, "per") || arguments_has(args, "burst"))) {
        usage_error(args, "--per and --burst are of --rate");
        return false;
    }
    rule.max_running = (uint32_t) running;
    rule.rate_jobs = (uint32_t) rate;
    rule.burst = rate ? (uint32_t) burst : 0;
    rule.rate_ms = rate ? rule.rate_ms : 0;
    *ret_rule = rule;
    return true;
}

static json_t *rule_json(const mls_queue_rule *rule)
{
    return json_pack("{s:o, s:o, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "queue",
                     text_or_null(rule->queue), "type", text_or_null(rule->type), "tenant",
                     text_or_null(rule->tenant), "paused", (int) rule->is_paused, "max_running",
                     (json_int_t) rule->max_running, "rate_jobs", (json_int_t) rule->rate_jobs,
                     "rate_ms", (json_int_t) rule->rate_ms, "burst", (json_int_t) rule->burst,
                     "weight", (json_int_t) rule->weight, "running", (json_int_t) rule->running);
}

/* "at most 2 run, 5 in 1000 ms (10 at once), weight 300". */
static void print_rule(const mls_queue_rule *rule)
{
    const char *gap = " ";
    printf("queue %s, type %s, tenant %s:", or_any(rule->queue), or_any(rule->type),
           or_any(rule->tenant));
    if (rule->max_running) {
        printf("%sat most %" PRIu32 " run", gap, rule->max_running);
        gap = ", ";
    }
    if (rule->rate_jobs) {
        printf("%s%" PRIu32 " in %" PRId64 " ms (%" PRIu32 " at once)", gap, rule->rate_jobs,
               rule->rate_ms, rule->burst);
        gap = ", ";
    }
    if (rule->weight)
        printf("%sweight %" PRIu32, gap, rule->weight);
    else if (*gap == ' ')
        printf(" no limit");
    printf("\n");
}

/* What limit and weigh do: read a rule, set it, and say it. */
static int change_rule(const arguments *args,
                       bool (*read)(const arguments *args, mls_queue_rule *ret_rule),
                       mls_status (*set)(mls_queue *queue, const mls_queue_rule *rule))
{
    queue_tool tool;
    mls_queue_rule rule = MLS_QUEUE_RULE_INIT;
    rule.type = arguments_get(args, "type");
    rule.queue = arguments_get(args, "in-queue");
    rule.tenant = arguments_get(args, "tenant");
    if (!read(args, &rule))
        return EXIT_USAGE;
    int code = queue_tool_open(args, QUEUE_IS_THERE, &tool);
    if (code)
        return code;
    if (set(tool.queue, &rule))
        code = library_failure(NULL);
    queue_tool_close(&tool);
    if (code)
        return code;
    if (arguments_has(args, "json"))
        return print_json(rule_json(&rule));
    print_rule(&rule);
    return EXIT_GOOD;
}

static int limit(const arguments *args)
{
    return change_rule(args, read_limits, mls_queue_limit);
}

static const option_spec limit_options[] = {
    WHICH_OPTIONS,
    {"tenant", "NAME", "jobs of this tenant"},
    {"running", "N", "at most so many run at once"},
    {"rate", "N", "at most so many begin in a time"},
    {"per", "MS", "that time, in milliseconds (default 1000)"},
    {"burst", "N", "so many may begin at once after a rest (default: --rate)"},
    {"none", NULL, "take the limits back"},
    {NULL, NULL, NULL},
};

const command command_queue_limit = {
    .name = "queue limit",
    .operands = "--running N|--rate N|--none --queue URL",
    .summary = "limit how many jobs run at once, or begin in a time",
    .details = "Of exactly the type, named queue and tenant that are given, in place of limits\n"
               "that these had; without any, of all jobs. A job keeps to all that cover it.",
    .options = limit_options,
    .run = limit,
};

/* weigh */

static bool read_weight(const arguments *args, mls_queue_rule *ret_rule)
{
    int64_t weight;
    if (!arguments_int(args, "weight", 1, MLS_WEIGHT_MAX, 0, &weight))
        return false;
    if (!ret_rule->tenant || arguments_has(args, "none") == (weight != 0)) {
        usage_error(args, "give --tenant, and --weight or --none");
        return false;
    }
    ret_rule->weight = (uint32_t) weight;
    return true;
}

static int weigh(const arguments *args)
{
    return change_rule(args, read_weight, mls_queue_weigh);
}

static const option_spec weigh_options[] = {
    QUEUE_OPTION,
    {"tenant", "NAME", "whose jobs"},
    {"in-queue", "NAME", "jobs of this named queue (default: of those without a weight there)"},
    {"weight", "N", "1 to 10000; tenants without one have 100"},
    {"none", NULL, "take the weight back"},
    JSON_OPTION,
    {NULL, NULL, NULL},
};

const command command_queue_weigh = {
    .name = "queue weigh",
    .operands = "--tenant NAME --weight N|--none --queue URL",
    .summary = "say how many turns a tenant gets where others get 100",
    .details = "Inside a priority of a named queue tenants take turns, whoever came first.",
    .options = weigh_options,
    .run = weigh,
};

/* rules */

typedef struct rules_state {
    json_t *list; /* or */
    table *lines;
} rules_state;

static void add_number(table *lines, uint32_t number)
{
    if (number)
        table_add(lines, "%" PRIu32, number);
    else
        table_add(lines, "-");
}

static void show_rule(void *user, const mls_queue_rule *rule)
{
    rules_state *state = user;
    if (state->list) {
        json_array_append_new(state->list, rule_json(rule));
        return;
    }
    table_add(state->lines, "%s", or_any(rule->queue));
    table_add(state->lines, "%s", or_any(rule->type));
    table_add(state->lines, "%s", or_any(rule->tenant));
    table_add(state->lines, "%s", rule->is_paused ? "yes" : "-");
    table_add(state->lines, "%" PRIu32, rule->running);
    add_number(state->lines, rule->max_running);
    add_number(state->lines, rule->weight);
    if (rule->rate_jobs)
        table_add(state->lines, "%" PRIu32 " in %" PRId64 " ms (%" PRIu32 " at once)",
                  rule->rate_jobs, rule->rate_ms, rule->burst);
    else
        table_add(state->lines, "-");
}

static int visit_rules(mls_queue *queue, rules_state *state)
{
    if (!state->list && !state->lines)
        return failure("out of memory");
    return mls_queue_visit_rules(queue, show_rule, state) ? library_failure(NULL) : EXIT_GOOD;
}

static int rules(const arguments *args)
{
    static const char *const heads[] = {"QUEUE", "TYPE",    "TENANT", "PAUSED", ">RUNNING",
                                        ">MOST", ">WEIGHT", "RATE",   NULL};
    queue_tool tool;
    int code = queue_tool_open(args, QUEUE_IS_THERE, &tool);
    if (code)
        return code;
    const bool is_json = arguments_has(args, "json");
    rules_state state = {is_json ? json_array() : NULL, is_json ? NULL : table_create(heads)};
    code = visit_rules(tool.queue, &state);
    queue_tool_close(&tool);
    const int printed = is_json       ? print_json(json_pack("{s:o}", "rules", state.list))
                        : state.lines ? table_print(state.lines)
                                      : EXIT_GOOD;
    return code ? code : printed;
}

static const option_spec rules_options[] = {QUEUE_OPTION, JSON_OPTION, {NULL, NULL, NULL}};

const command command_queue_rules = {
    .name = "queue rules",
    .operands = "--queue URL",
    .summary = "show what holds back jobs, pauses and limits, and weights of tenants",
    .details = "* is any queue, type or tenant.",
    .options = rules_options,
    .run = rules,
};
