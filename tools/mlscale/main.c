/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale(1): the list of commands, and nothing else. It uses public headers only. */
#include "commands.h"

#include <mlscale.h>

#include <stdio.h>
#include <string.h>

static const command *const commands[] = {
    &command_score, &command_run, &command_inspect, &command_bench, &command_verify,
};

#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_usage(FILE *file)
{
    fprintf(file, "usage: mlscale COMMAND ...\n\ncommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(file, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(file, "\n'mlscale COMMAND --help' says more; 'mlscale --version' shows the version.\n");
}

static const command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return EXIT_GOOD;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("mlscale %s\n", mls_version());
        return EXIT_GOOD;
    }
    const command *cmd = find_command(argv[1]);
    if (!cmd) {
        fprintf(stderr, "mlscale: there is no command '%s'\n", argv[1]);
        print_usage(stderr);
        return EXIT_USAGE;
    }
    int code;
    arguments *args = arguments_parse(cmd, argc - 1, argv + 1, &code);
    if (!args)
        return code;
    code = cmd->run(args);
    arguments_free(args);
    return code;
}
