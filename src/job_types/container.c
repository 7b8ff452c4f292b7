/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An engine is a row: its command line as words, of which some stand for what the type
 * says. A variable is passed by its name only, so that its text is in no command line.
 */
#include "job_types/container.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MOST_WORDS 16 /* of a row */
#define TEXT_BYTES 96 /* for the numbers of one command line */

typedef enum what {
    END,
    WORD, /* the text itself */
    /* The text, if there is one, in front of */
    NAME,
    IMAGE,
    MEMORY, /* left out without such a limit, and so on */
    CPUS,
    CPU_TIME,
    DIRECTORY,
    VARIABLES, /* each with the text in front */
    OPTIONS,
    COMMAND,
} what;

typedef struct word {
    what what;
    const char *text;
} word;

typedef struct engine {
    const char *name;
    bool is_of_bundles; /* which have their own command, variables and limits */
    word run[MOST_WORDS], remove[MOST_WORDS];
} engine;

#define RUN_IMAGE                                                                                  \
    {WORD, "run"}, {WORD, "--rm"}, {WORD, "--interactive"}, {NAME, "--name"},                      \
        {MEMORY, "--memory"}, {CPUS, "--cpus"}, {CPU_TIME, "--ulimit"}, {DIRECTORY, "--workdir"},  \
        {VARIABLES, "--env"}, {OPTIONS, NULL}, {IMAGE, NULL},                                      \
    {                                                                                              \
        COMMAND, NULL                                                                              \
    }

static const engine engines[] = {
    {"docker",
     false,
     {{WORD, "docker"}, RUN_IMAGE},
     {{WORD, "docker"}, {WORD, "rm"}, {WORD, "--force"}, {NAME, NULL}}},
    {"podman",
     false,
     {{WORD, "podman"}, RUN_IMAGE},
     {{WORD, "podman"}, {WORD, "rm"}, {WORD, "--force"}, {WORD, "--ignore"}, {NAME, NULL}}},
    {"crun",
     true,
     {{WORD, "crun"}, {WORD, "run"}, {IMAGE, "--bundle"}, {OPTIONS, NULL}, {NAME, NULL}},
     {{WORD, "crun"}, {WORD, "delete"}, {WORD, "--force"}, {NAME, NULL}}},
};
static const char *const own_variables[] = {"MLS_JOB_ID", "MLS_JOB_ATTEMPT", "MLS_JOB_TYPE"};

/* The first is for those who name none. */
static const engine *find_engine(const mls__type *type)
{
    if (!type->handler.engine)
        return &engines[0];
    for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++)
        if (strcmp(engines[i].name, type->handler.engine) == 0)
            return &engines[i];
    return NULL;
}

const char *mls__container_check(const mls__type *type)
{
    const engine *by = find_engine(type);
    if (!by)
        return "engine is none of docker, podman and crun";
    if (type->handler.container[0] == '-')
        return "the container's name begins with '-'";
    if (by->is_of_bundles && (type->handler.command.count || type->handler.environment.count ||
                              type->handler.directory || type->limits.memory ||
                              type->limits.cpu_ms || type->limits.cpus))
        return "command, environment, directory and limits of memory and processors are in the "
               "bundle that crun runs";
    return NULL;
}

/* A command line while it is made. Without `words` it is counted. */
typedef struct line {
    const char **words;
    size_t count;
    char *text; /* room for numbers */
} line;

static void add(line *l, const char *text)
{
    if (l->words)
        l->words[l->count] = text;
    l->count++;
}

static void add_option(line *l, const char *option, const char *value)
{
    if (!value)
        return;
    if (option)
        add(l, option);
    add(l, value);
}

static void add_all(line *l, const mls__type_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        add(l, words->items[i]);
}

static void add_variables(line *l, const char *option, const mls__type *type)
{
    for (size_t i = 0; i < type->handler.environment.count; i++)
        add_option(l, option, type->handler.environment.items[i].name);
    for (size_t i = 0; i < sizeof own_variables / sizeof own_variables[0]; i++)
        add_option(l, option, own_variables[i]);
}

/* An option with a number, as the format writes it, unless there is no limit. */
static void add_number(line *l, const char *option, const char *prefix, int64_t number)
{
    if (!number)
        return;
    add_option(l, option, l->text);
    l->text += sprintf(l->text, "%s%" PRId64, prefix, number) + 1;
}

static void add_word(line *l, const word *w, const mls__type *type, const char *name)
{
    switch (w->what) {
    case WORD:
        add(l, w->text);
        break;
    case NAME:
        add_option(l, w->text, name);
        break;
    case IMAGE:
        add_option(l, w->text, type->handler.container);
        break;
    case MEMORY:
        add_number(l, w->text, "", type->limits.memory);
        break;
    case CPUS:
        add_number(l, w->text, "", type->limits.cpus);
        break;
    case CPU_TIME:
        add_number(l, w->text, "cpu=", (type->limits.cpu_ms + 999) / 1000);
        break;
    case DIRECTORY:
        add_option(l, w->text, type->handler.directory);
        break;
    case VARIABLES:
        add_variables(l, w->text, type);
        break;
    case OPTIONS:
        add_all(l, &type->handler.options);
        break;
    case COMMAND:
        add_all(l, &type->handler.command);
        break;
    case END:
        break;
    }
}

static void add_row(line *l, const word *row, const mls__type *type, const char *name)
{
    for (; row->what != END; row++)
        add_word(l, row, type, name);
}

static char **make_words(const mls__allocator *allocator, const word *row, const mls__type *type,
                         const char *name)
{
    char numbers[TEXT_BYTES];
    line counted = {NULL, 0, numbers};
    add_row(&counted, row, type, name);
    const size_t size = (counted.count + 1) * sizeof(char *);
    char *block = mls__alloc(allocator, size + TEXT_BYTES);
    if (!block)
        return NULL;
    line made = {(const char **) (void *) block, 0, block + size};
    add_row(&made, row, type, name);
    made.words[made.count] = NULL;
    return (char **) (void *) block;
}

char **mls__container_run_words(const mls__allocator *allocator, const mls__type *type,
                                const char *name)
{
    return make_words(allocator, find_engine(type)->run, type, name);
}

char **mls__container_remove_words(const mls__allocator *allocator, const mls__type *type,
                                   const char *name)
{
    return make_words(allocator, find_engine(type)->remove, type, name);
}
