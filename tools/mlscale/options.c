/* SPDX-License-Identifier: Apache-2.0 */
/* getopt_long does the parsing; the tables say what there is. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELP_COLUMN 26
#define LONG_FIRST  256 /* what getopt_long gives for the first long option: no letter */

typedef struct given {
    size_t option; /* position in the command's table */
    const char *value;
} given;

struct arguments {
    const command *cmd;
    given *given;
    size_t given_count;
    char **operands;
    size_t operand_count;
};

static void print_option(const option_spec *option)
{
    int width = printf("  %s%s%s%s", option->name[1] ? "--" : "-", option->name,
                       option->metavar ? " " : "", option->metavar ? option->metavar : "");
    for (const char *line = option->help; line;) {
        const char *end = strchr(line, '\n');
        if (width >= HELP_COLUMN) {
            printf("\n");
            width = 0;
        }
        printf("%*s%.*s\n", HELP_COLUMN - width, "", end ? (int) (end - line) : (int) strlen(line),
               line);
        width = 0;
        line = end ? end + 1 : NULL;
    }
}

static void print_help(const command *cmd)
{
    if (cmd->runs_program)
        printf("usage: mlscale %s [OPTION...] %s\n\n%s\n", cmd->name, cmd->operands, cmd->summary);
    else
        printf("usage: mlscale %s%s%s [OPTION...]\n\n%s\n", cmd->name, *cmd->operands ? " " : "",
               cmd->operands, cmd->summary);
    if (cmd->details)
        printf("\n%s\n", cmd->details);
    printf("\noptions:\n");
    for (const option_spec *option = cmd->options; option->name; option++)
        print_option(option);
    print_option(&(option_spec){"help", NULL, "show this and exit"});
    printf("\nexit status: 0 done, 1 failed, 2 wrong command line\n");
}

static size_t option_count(const command *cmd)
{
    size_t count = 0;
    while (cmd->options[count].name)
        count++;
    return count;
}

int usage_error(const arguments *args, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fprintf(stderr, "mlscale %s: ", args->cmd->name);
    vfprintf(stderr, format, list);
    fprintf(stderr, "\nTry 'mlscale %s --help'.\n", args->cmd->name);
    va_end(list);
    return EXIT_USAGE;
}

size_t control_at(const unsigned char *text)
{
    if (text[0] == 0xc2 && text[1] >= 0x80 && text[1] < 0xa0)
        return 2;
    return text[0] < 0x20 || text[0] == 0x7f;
}

static void print_control(FILE *stream, unsigned char c)
{
    if (c == '\n' || c == '\t')
        fputs(c == '\n' ? "\\n" : "\\t", stream);
    else
        fprintf(stream, "\\x%02x", c);
}

void print_visible(FILE *stream, const char *text)
{
    for (const unsigned char *at = (const unsigned char *) text; *at;) {
        const size_t controls = control_at(at);
        for (size_t i = 0; i < controls; i++)
            print_control(stream, at[i]);
        if (!controls)
            putc(*at, stream);
        at += controls ? controls : 1;
    }
}

/* A message may have what a handler said, or a file, in it. */
int failure(const char *format, ...)
{
    char text[2048];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    fprintf(stderr, "mlscale: ");
    print_visible(stderr, text);
    fprintf(stderr, "\n");
    return EXIT_FAILED;
}

/* getopt's table, with --help last. */
static struct option *long_options(const command *cmd, size_t count)
{
    struct option *options = calloc(count + 2, sizeof *options);
    for (size_t i = 0; options && i < count; i++)
        options[i] = (struct option){cmd->options[i].name,
                                     cmd->options[i].metavar ? required_argument : no_argument,
                                     NULL, LONG_FIRST + (int) i};
    if (options)
        options[count] = (struct option){"help", no_argument, NULL, LONG_FIRST + (int) count};
    return options;
}

/* ":", before it "+" where options end at the first operand, behind it names of one letter. */
static void short_options(const command *cmd, char *ret_letters, size_t size)
{
    size_t used = (size_t) snprintf(ret_letters, size, cmd->runs_program ? "+:" : ":");
    for (const option_spec *option = cmd->options; option->name; option++)
        if (!option->name[1] && used + 3 < size)
            used += (size_t) snprintf(ret_letters + used, size - used, "%s%s", option->name,
                                      option->metavar ? ":" : "");
}

/* The place of an option in the command's table. */
static size_t place_of(const command *cmd, int found)
{
    size_t place = 0;
    if (found >= LONG_FIRST)
        return (size_t) (found - LONG_FIRST);
    while (cmd->options[place].name[0] != found || cmd->options[place].name[1])
        place++;
    return place;
}

/* Without the options that the usage line shows behind operands. */
static int operands_length(const char *operands)
{
    const char *options = strstr(operands, " --");
    return (int) (options ? (size_t) (options - operands) : strlen(operands));
}

static bool has_option(const command *cmd, const char *name)
{
    const option_spec *option = cmd->options;
    while (option->name && strcmp(option->name, name) != 0)
        option++;
    return option->name != NULL;
}

static int operand_error(const arguments *args, const char *operand)
{
    if (has_option(args->cmd, "queue") && !arguments_has(args, "queue") && strchr(operand, ':'))
        return usage_error(args, "'%s' is an operand too many: name a queue by --queue URL",
                           operand);
    return usage_error(args, "one operand too many: '%s'", operand);
}

/* EXIT_GOOD with the arguments filled in, or -1 for help, or EXIT_USAGE. */
static int parse_options(arguments *args, const struct option *options, size_t count, int argc,
                         char **argv)
{
    char letters[32];
    short_options(args->cmd, letters, sizeof letters);
    optind = 1;
    opterr = 0;
    for (;;) {
        const int found = getopt_long(argc, argv, letters, options, NULL);
        if (found == -1)
            break;
        if (found == ':')
            return usage_error(args, "%s wants a value", argv[optind - 1]);
        if (found == '?')
            return usage_error(args, "there is no option '%s'", argv[optind - 1]);
        if (found == LONG_FIRST + (int) count)
            return -1;
        args->given[args->given_count++] =
            (given){place_of(args->cmd, found), optarg ? optarg : ""};
    }
    args->operands = argv + optind;
    args->operand_count = (size_t) (argc - optind);
    if (args->operand_count < args->cmd->min_operands)
        return usage_error(args, "%.*s is missing", operands_length(args->cmd->operands),
                           args->cmd->operands);
    if (args->operand_count > args->cmd->max_operands)
        return operand_error(args, args->operands[args->cmd->max_operands]);
    return EXIT_GOOD;
}

arguments *arguments_parse(const command *cmd, int argc, char **argv, int *ret_exit)
{
    const size_t count = option_count(cmd);
    struct option *options = long_options(cmd, count);
    arguments *args = calloc(1, sizeof *args);
    if (args)
        args->given = calloc((size_t) argc + 1, sizeof *args->given);
    *ret_exit = EXIT_FAILED;
    if (!options || !args || !args->given) {
        failure("out of memory");
        goto fail;
    }
    args->cmd = cmd;
    *ret_exit = parse_options(args, options, count, argc, argv);
    free(options);
    if (*ret_exit == EXIT_GOOD)
        return args;
    if (*ret_exit == -1) {
        print_help(cmd);
        *ret_exit = EXIT_GOOD;
    }
    options = NULL;
fail:
    free(options);
    arguments_free(args);
    return NULL;
}

void arguments_free(arguments *args)
{
    if (args)
        free(args->given);
    free(args);
}

size_t arguments_operand_count(const arguments *args)
{
    return args->operand_count;
}

const char *arguments_operand(const arguments *args, size_t index)
{
    return args->operands[index];
}

char **arguments_operands(const arguments *args)
{
    return args->operands;
}

static bool is_option(const arguments *args, size_t given_index, const char *name)
{
    return strcmp(args->cmd->options[args->given[given_index].option].name, name) == 0;
}

size_t arguments_count(const arguments *args, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < args->given_count; i++)
        count += is_option(args, i, name);
    return count;
}

const char *arguments_at(const arguments *args, const char *name, size_t index)
{
    for (size_t i = 0; i < args->given_count; i++)
        if (is_option(args, i, name) && index-- == 0)
            return args->given[i].value;
    return NULL;
}

const char *arguments_get(const arguments *args, const char *name)
{
    const size_t count = arguments_count(args, name);
    return count ? arguments_at(args, name, count - 1) : NULL;
}

bool arguments_has(const arguments *args, const char *name)
{
    return arguments_count(args, name) > 0;
}

/* As it is written: -n, --port. */
static const char *dashes(const char *name)
{
    return name[1] ? "--" : "-";
}

bool arguments_int(const arguments *args, const char *name, int64_t least, int64_t most,
                   int64_t fallback, int64_t *ret_value)
{
    const char *text = arguments_get(args, name);
    char *end;
    *ret_value = fallback;
    if (!text)
        return true;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < least || value > most) {
        usage_error(args, "%s%s %s: expected a whole number from %" PRId64 " to %" PRId64,
                    dashes(name), name, text, least, most);
        return false;
    }
    *ret_value = value;
    return true;
}

bool arguments_double(const arguments *args, const char *name, double least, double fallback,
                      double *ret_value)
{
    const char *text = arguments_get(args, name);
    char *end;
    *ret_value = fallback;
    if (!text)
        return true;
    const double value = strtod(text, &end);
    if (end == text || *end || !(value >= least) || value > 1e18) {
        usage_error(args, "%s%s %s: expected a number of at least %g", dashes(name), name, text,
                    least);
        return false;
    }
    *ret_value = value;
    return true;
}

bool arguments_pair(const arguments *args, const char *name, size_t index, char *ret_name,
                    size_t name_size, const char **ret_value)
{
    const char *text = arguments_at(args, name, index);
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || (size_t) (equals - text) >= name_size) {
        usage_error(args, "--%s %s: expected NAME=VALUE", name, text);
        return false;
    }
    memcpy(ret_name, text, (size_t) (equals - text));
    ret_name[equals - text] = '\0';
    *ret_value = equals + 1;
    return true;
}
