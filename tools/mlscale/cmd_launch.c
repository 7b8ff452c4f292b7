/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale launch: runs a program as the ranks of a group, on this host or on several. */
#include "commands.h"
#include "launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const option_spec options[] = {
    {"n", "N", "ranks to start (with --hosts: as many as there are slots)"},
    {"hosts", "FILE", "start them on other hosts, by ssh: lines HOST slots=N"},
    {"transport", "shm|tcp", "what they meet by (one host: shm; several: tcp)"},
    {"port", "N", "where rank 0 listens, with tcp (default: one at random)"},
    {"no-encryption", NULL, "with tcp: only shake hands, for a network that is trusted"},
    {"stop-timeout", "SECONDS",
     "how long ranks that are told to end may go on before\n"
     "they are killed (default 10)"},
    {"no-prefix", NULL, "leave lines of output as they are"},
    {"remote-command", "PATH", "mlscale on the other hosts (default mlscale)"},
    {"agent", NULL, "start what standard input says: what ssh runs on a host"},
    {NULL, NULL, NULL},
};

static int read_hosts(const arguments *args, launch_hosts *hosts, launch_plan *plan)
{
    int64_t ranks;
    const char *path = arguments_get(args, "hosts");
    if (!arguments_int(args, "n", 1, LAUNCH_RANKS_MAX, 0, &ranks))
        return EXIT_USAGE;
    plan->size = (uint32_t) ranks;
    if (!path && !ranks)
        return usage_error(args, "-n is missing: how many ranks to start");
    if (!path)
        return EXIT_GOOD;
    int code = launch_hosts_read(path, hosts);
    if (!code)
        code = launch_hosts_fill(hosts, (uint32_t) ranks, &plan->size);
    return code;
}

/* Options that would be told to nobody. */
static int check_options(const arguments *args, const launch_meeting *meeting,
                         const launch_hosts *hosts)
{
    const char *useless = meeting->port ? "port" : meeting->is_open ? "no-encryption" : NULL;
    if (useless && launch_meets_by_shm(meeting, hosts))
        return usage_error(args,
                           "--%s is for ranks that meet by tcp, and these meet by shm: say "
                           "--transport tcp, or leave it out",
                           useless);
    if (arguments_has(args, "remote-command") && !arguments_has(args, "hosts"))
        return usage_error(args, "--remote-command is for other hosts, and all ranks are on this "
                                 "one: name hosts by --hosts FILE, or leave it out");
    return EXIT_GOOD;
}

static int make_plan(const arguments *args, launch_hosts *hosts, launch_plan *plan)
{
    int64_t stop_seconds;
    const char *transport = arguments_get(args, "transport");
    launch_meeting meeting = {transport, 0, arguments_has(args, "no-encryption")};
    if (!arguments_operand_count(args))
        return usage_error(args, "PROGRAM is missing");
    if (transport && strcmp(transport, "shm") != 0 && strcmp(transport, "tcp") != 0)
        return usage_error(args, "--transport %s: expected shm or tcp", transport);
    if (!arguments_int(args, "port", 1, 65535, 0, &meeting.port) ||
        !arguments_int(args, "stop-timeout", 0, 1000000, 10, &stop_seconds))
        return EXIT_USAGE;
    int code = read_hosts(args, hosts, plan);
    if (!code)
        code = check_options(args, &meeting, hosts);
    if (!code)
        code = launch_url(&meeting, hosts, plan);
    if (!code && !launch_random(plan->token, LAUNCH_TOKEN))
        code = EXIT_FAILED;
    if (!code && !getcwd(plan->directory, sizeof plan->directory))
        code = failure("the working directory: %s", strerror(errno));
    plan->count = plan->size;
    plan->stop_ms = stop_seconds * 1000;
    plan->has_prefix = !arguments_has(args, "no-prefix");
    plan->argv = arguments_operands(args);
    return code;
}

static int run_agent(void)
{
    launch_plan plan;
    const launch_hosts none = {NULL, 0};
    int code = launch_plan_read(&plan);
    if (code)
        return code;
    if (chdir(plan.directory) != 0)
        code = failure("'%s', where ranks are to run: %s", plan.directory, strerror(errno));
    else
        code = launch_run(&plan, &none, NULL);
    free(plan.argv);
    free(plan.text);
    return code;
}

static int launch(const arguments *args)
{
    launch_plan plan = {0};
    launch_hosts hosts = {NULL, 0};
    const char *remote = arguments_get(args, "remote-command");
    if (arguments_has(args, "agent"))
        return run_agent();
    int code = make_plan(args, &hosts, &plan);
    if (!code)
        code = launch_run(&plan, &hosts, remote ? remote : "mlscale");
    free(hosts.hosts);
    return code;
}

const command command_launch = {
    .name = "launch",
    .operands = "[--] PROGRAM [ARGUMENT...]",
    .max_operands = SIZE_MAX,
    .runs_program = true,
    .summary = "run a program as the ranks of a group",
    .details = "When a rank fails, the others are ended, and its exit code is that of launch:\n"
               "128 and the signal's number, if it was ended by one. See mlscale-launch(1).",
    .options = options,
    .run = launch,
};
