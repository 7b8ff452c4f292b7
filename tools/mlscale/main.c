/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale(1): the list of commands, and nothing else. It uses public headers only. */
#include "commands.h"

#include <mlscale.h>

#include <stdio.h>
#include <string.h>

static const command *const commands[] = {
    &command_score,   &command_run,    &command_queue,
    &command_inspect, &command_bench,  &command_verify,
    &command_worker,  &command_launch, NULL,
};

/* The last word of a command's name: what is written on the command line. */
static const char *word_of(const command *cmd)
{
    const char *space = strrchr(cmd->name, ' ');
    return space ? space + 1 : cmd->name;
}

/* Commands below one that is a command itself. */
static void print_more(FILE *file, const command *const *list)
{
    for (; list && *list; list++)
        fprintf(file, "  %-11s  %s\n", (*list)->name, (*list)->summary);
}

static void print_usage(FILE *file, const char *group, const command *const *list)
{
    fprintf(file, "usage: mlscale %s%sCOMMAND ...\n\ncommands:\n", group, *group ? " " : "");
    for (; *list; list++) {
        fprintf(file, "  %-11s  %s\n", word_of(*list), (*list)->summary);
        if ((*list)->run) /* else its own usage names them */
            print_more(file, (*list)->group);
    }
    fprintf(file, "\n'mlscale %s%sCOMMAND --help' says more", group, *group ? " " : "");
    fprintf(file, *group ? ".\n" : "; 'mlscale --version' shows the version.\n");
}

static const command *find_command(const command *const *list, const char *name)
{
    for (; *list; list++)
        if (strcmp(word_of(*list), name) == 0)
            return *list;
    return NULL;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* The command that the words say; NULL after a message or the help, with *ret_exit set. */
static const command *choose(int *argc, char ***argv, int *ret_exit)
{
    const command *const *list = commands;
    const char *group = "";
    for (;;) {
        const char *word = *argc < 2 ? NULL : (*argv)[1];
        const command *cmd = word ? find_command(list, word) : NULL;
        if (!cmd) {
            const bool asked = word && is_help(word);
            if (word && !asked)
                fprintf(stderr, "mlscale: there is no command '%s%s%s'\n", group, *group ? " " : "",
                        word);
            print_usage(asked ? stdout : stderr, group, list);
            *ret_exit = asked ? EXIT_GOOD : EXIT_USAGE;
            return NULL;
        }
        --*argc;
        ++*argv;
        if (!cmd->group || (cmd->run && (*argc < 2 || !find_command(cmd->group, (*argv)[1]))))
            return cmd;
        list = cmd->group;
        group = cmd->name;
    }
}

int main(int argc, char **argv)
{
    int code;
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        printf("mlscale %s\n", mls_version());
        return EXIT_GOOD;
    }
    const command *cmd = choose(&argc, &argv, &code);
    if (!cmd)
        return code;
    arguments *args = arguments_parse(cmd, argc, argv, &code);
    if (!args)
        return code;
    code = cmd->run(args);
    arguments_free(args);
    return code;
}
