/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: each command declares its options in a table, which also makes --help. */
#ifndef MLSCALE_TOOL_OPTIONS_H
#define MLSCALE_TOOL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit codes, as mlscale(1) documents them. */
#define EXIT_GOOD   0 /* done */
#define EXIT_FAILED 1 /* the work failed, or some of it */
#define EXIT_USAGE  2 /* the command line is wrong */

/* The bytes of a control character at `text`; 0: it is none. */
size_t control_at(const unsigned char *text);
/* Writes what may come from anyone for people to read: a control character as \n or \x1b. */
void print_visible(FILE *stream, const char *text);

typedef struct option_spec {
    const char *name;    /* "batch": --batch; "n": -n and --n; NULL ends the table */
    const char *metavar; /* "N"; NULL for a switch */
    const char *help;    /* a sentence fragment; '\n' breaks the line */
} option_spec;

typedef struct arguments arguments;

typedef struct command {
    const char *name; /* "score"; "queue init" in a group */

    const char *operands; /* "MODEL"; for the usage line */
    size_t min_operands, max_operands;
    const char *summary; /* one line */
    const char *details; /* paragraphs under --help, or NULL */
    const option_spec *options;
    int (*run)(const arguments *args); /* gives an exit code */
    bool runs_program; /* options end at the first operand: what follows is the program's */
    /* A group of commands ("queue init"), ended by NULL; with `run` it is a command, too. */
    const struct command *const *group;
} command;

/*
 * Parses what follows the command's name. Returns NULL after a message on standard
 * error or the help on standard output, with *ret_exit set.
 */
arguments *arguments_parse(const command *cmd, int argc, char **argv, int *ret_exit);
void arguments_free(arguments *args);

size_t arguments_operand_count(const arguments *args);
const char *arguments_operand(const arguments *args, size_t index);
/* Ended by NULL, as exec wants them; main's. */
char **arguments_operands(const arguments *args);

/* The last value of an option, or NULL when it was not given; "" for a switch. */
const char *arguments_get(const arguments *args, const char *name);
bool arguments_has(const arguments *args, const char *name);

/* Options that may be repeated. */
size_t arguments_count(const arguments *args, const char *name);
const char *arguments_at(const arguments *args, const char *name, size_t index);

/* A whole number in [least, most], or `fallback` if absent. false after a message. */
bool arguments_int(const arguments *args, const char *name, int64_t least, int64_t most,
                   int64_t fallback, int64_t *ret_value);
/* A decimal number of at least `least`. */
bool arguments_double(const arguments *args, const char *name, double least, double fallback,
                      double *ret_value);

/* "NAME=VALUE" split at the first '='; the name is copied. false after a message. */
bool arguments_pair(const arguments *args, const char *name, size_t index, char *ret_name,
                    size_t name_size, const char **ret_value);

/* "mlscale score: message" on standard error; gives EXIT_USAGE. */
int usage_error(const arguments *args, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "mlscale: message" on standard error; gives EXIT_FAILED. */
int failure(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
