/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libyaml makes a tree of the file; tables say which keys a mapping has and what their
 * values are. The first fault ends it, with its line and column.
 */
#include "job_types.h"

#include <mlscale/job.h>
#include <mlscale/worker.h>

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define MOST_FILE_BYTES (1 << 20)
#define DAY_MS          INT64_C(86400000)
#define YEAR_MS         (365 * DAY_MS)
#define MOST_BYTES      (INT64_C(1) << 50)

typedef struct reader {
    yaml_document_t *document;
    const char *path;
    const char *folder; /* of the file, with a '/', or "" */
    char *message;
    size_t message_size;
} reader;

/* What a key's value is. */
typedef enum kind {
    NAME,     /* of a type or queue */
    TEXT,     /* any string of at least one byte */
    PATH,     /* the same, from the folder of the file; ours to free */
    INTEGER,  /* from least to most */
    DURATION, /* "250ms", "30s", "5m", "2h", "7d"; the same in milliseconds */
    BYTES,    /* "4096", "64K", "512M", "2G" */
    WORDS,    /* a sequence of strings, at least one */
    PAIRS,    /* a mapping from strings to strings */
    MAPPING,  /* with keys of its own */
} kind;

typedef struct field {
    const char *key;
    kind kind;
    size_t offset; /* in job_type */
    int64_t least, most;
    const struct field *fields; /* of a mapping, ended by a key of NULL */
} field;

#define AT(member) offsetof(job_type, member)

static const field handler_fields[] = {
    {"command", WORDS, AT(handler.command), 0, 0, NULL},
    {"environment", PAIRS, AT(handler.environment), 0, 0, NULL},
    {"directory", TEXT, AT(handler.directory), 0, 0, NULL},
    {"score", PATH, AT(handler.model), 0, 0, NULL},
    {"inputs", PAIRS, AT(handler.inputs), 0, 0, NULL},
    {NULL, 0, 0, 0, 0, NULL},
};
static const field resources_fields[] = {
    {"cpu", INTEGER, AT(resources.cpu), 0, 4096, NULL},
    {"gpu", INTEGER, AT(resources.gpu), 0, 1024, NULL},
    {"memory", BYTES, AT(resources.memory), 0, MOST_BYTES, NULL},
    {NULL, 0, 0, 0, 0, NULL},
};
static const field retries_fields[] = {
    {"attempts", INTEGER, AT(retries.attempts), 1, 1000000, NULL},
    {"backoff", DURATION, AT(retries.backoff_ms), 0, 49 * DAY_MS, NULL},
    {"backoff-max", DURATION, AT(retries.backoff_max_ms), 0, 49 * DAY_MS, NULL},
    {"jitter", INTEGER, AT(retries.jitter), 0, 100, NULL},
    {NULL, 0, 0, 0, 0, NULL},
};
static const field limits_fields[] = {
    {"time", DURATION, AT(limits.time_ms), 1, YEAR_MS, NULL},
    {"grace", DURATION, AT(limits.grace_ms), 0, DAY_MS, NULL},
    {"cpu", DURATION, AT(limits.cpu_ms), 1000, YEAR_MS, NULL},
    {"memory", BYTES, AT(limits.memory), 1 << 20, MOST_BYTES, NULL},
    {"output", BYTES, AT(limits.output), 0, INT64_C(1) << 30, NULL},
    {NULL, 0, 0, 0, 0, NULL},
};
static const field batch_fields[] = {
    {"size", INTEGER, AT(batch.size), 1, MLS_BATCH_MAX, NULL},
    {"wait", DURATION, AT(batch.wait_ms), 0, DAY_MS, NULL},
    {NULL, 0, 0, 0, 0, NULL},
};
static const field type_fields[] = {
    {"name", NAME, AT(name), 0, 0, NULL},
    {"version", INTEGER, AT(version), 0, INT64_MAX, NULL},
    {"handler", MAPPING, 0, 0, 0, handler_fields},
    {"queue", NAME, AT(queue), 0, 0, NULL},
    {"resources", MAPPING, 0, 0, 0, resources_fields},
    {"priority", INTEGER, AT(priority), MLS_PRIORITY_LOWEST, MLS_PRIORITY_HIGHEST, NULL},
    {"retries", MAPPING, 0, 0, 0, retries_fields},
    {"limits", MAPPING, 0, 0, 0, limits_fields},
    {"retention", DURATION, AT(retention_ms), 0, 100 * YEAR_MS, NULL},
    {"batch", MAPPING, 0, 0, 0, batch_fields},
    {NULL, 0, 0, 0, 0, NULL},
};
static const field file_fields[] = {
    {"job-types", MAPPING, 0, 0, 0, NULL},
    {NULL, 0, 0, 0, 0, NULL},
};

/* "FILE:LINE:COLUMN: ..." at a mark of libyaml's, which counts from 0. Gives false. */
static bool fail_at(const reader *r, const yaml_mark_t *mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool fail_at(const reader *r, const yaml_mark_t *mark, const char *format, ...)
{
    va_list list;
    const int used = snprintf(r->message, r->message_size, "%s:%zu:%zu: ", r->path, mark->line + 1,
                              mark->column + 1);
    if (used < 0 || (size_t) used >= r->message_size)
        return false;
    va_start(list, format);
    vsnprintf(r->message + used, r->message_size - (size_t) used, format, list);
    va_end(list);
    return false;
}

static yaml_node_t *node_at(const reader *r, int index)
{
    return yaml_document_get_node(r->document, index);
}

static const char *text_of(const yaml_node_t *node)
{
    return (const char *) node->data.scalar.value;
}

/* A string without NULs in it. */
static bool is_text(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && strlen(text_of(node)) == node->data.scalar.length;
}

/* --- unknown keys --- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters have to be put in, taken out or changed; words of up to 31 letters. */
static size_t distance(const char *a, const char *b)
{
    const size_t n = least(strlen(a), 31), m = least(strlen(b), 31);
    size_t row[32];
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            const size_t changed = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(changed, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[m];
}

static bool fail_unknown(const reader *r, const yaml_node_t *key, const field *fields)
{
    const field *nearest = fields;
    char all[256] = "";
    for (const field *f = fields; f->key; f++) {
        const size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", f->key);
        if (distance(text_of(key), f->key) < distance(text_of(key), nearest->key))
            nearest = f;
    }
    if (distance(text_of(key), nearest->key) <= 1 + strlen(nearest->key) / 3)
        return fail_at(r, &key->start_mark, "unknown key '%.64s'; did you mean '%s'?", text_of(key),
                       nearest->key);
    return fail_at(r, &key->start_mark, "unknown key '%.64s'; there are %s", text_of(key), all);
}

/* --- values --- */

/* A number and one of the units behind it, each worth `scales`; units[0] is "" for none. */
static bool read_scaled(const char *text, const char *const *units, const int64_t *scales,
                        size_t unit_count, int64_t *ret_value)
{
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (errno || *text < '0' || *text > '9')
        return false;
    for (size_t i = 0; i < unit_count; i++)
        if (strcmp(end, units[i]) == 0)
            return !__builtin_mul_overflow((int64_t) value, scales[i], ret_value);
    return false;
}

static bool read_number(const reader *r, const field *f, const yaml_node_t *node, int64_t *ret)
{
    static const char *const none[] = {""};
    static const int64_t one[] = {1};
    static const char *const times[] = {"ms", "s", "m", "h", "d"};
    static const int64_t time_scales[] = {1, 1000, 60000, 3600000, DAY_MS};
    static const char *const sizes[] = {"", "K", "M", "G"};
    static const int64_t size_scales[] = {1, 1024, 1 << 20, 1 << 30};
    const char *text = text_of(node);
    int64_t value;
    bool good;
    if (f->kind == DURATION)
        good = read_scaled(text, times, time_scales, 5, &value);
    else if (f->kind == BYTES)
        good = read_scaled(text, sizes, size_scales, 4, &value);
    else
        good = read_scaled(text, none, one, 1, &value);
    if (!good)
        return fail_at(r, &node->start_mark, "%s: '%.64s' is not %s", f->key, text,
                       f->kind == DURATION ? "a time, such as 250ms, 30s, 5m, 2h or 7d"
                       : f->kind == BYTES  ? "a size in bytes, such as 4096, 64K, 512M or 2G"
                                           : "a whole number of 0 or more");
    if (value < f->least || value > f->most)
        return fail_at(r, &node->start_mark, "%s: %s is out of range: %" PRId64 " to %" PRId64 "%s",
                       f->key, text, f->least, f->most,
                       f->kind == DURATION ? " milliseconds"
                       : f->kind == BYTES  ? " bytes"
                                           : "");
    *ret = value;
    return true;
}

static bool is_name(const char *text)
{
    const size_t length = strlen(text);
    return length && length <= MLS_JOB_NAME_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/-") ==
               length;
}

static bool read_text(const reader *r, const field *f, const yaml_node_t *node, const char **ret)
{
    const char *text = text_of(node);
    if (!*text)
        return fail_at(r, &node->start_mark, "%s is empty", f->key);
    if (f->kind == NAME && !is_name(text))
        return fail_at(r, &node->start_mark,
                       "%s: '%.64s' is not a name: 1 to %d letters, digits and \"._:/-\"", f->key,
                       text, MLS_JOB_NAME_MAX);
    *ret = text;
    if (f->kind != PATH)
        return true;
    const char *folder = *text == '/' ? "" : r->folder;
    const size_t size = strlen(folder) + strlen(text) + 1;
    char *path = malloc(size);
    if (!path)
        return fail_at(r, &node->start_mark, "out of memory");
    snprintf(path, size, "%s%s", folder, text);
    *ret = path;
    return true;
}

static bool read_words(const reader *r, const field *f, const yaml_node_t *node, job_words *words)
{
    if (node->type != YAML_SEQUENCE_NODE ||
        node->data.sequence.items.start == node->data.sequence.items.top)
        return fail_at(r, &node->start_mark, "%s is a list of words: [PROGRAM, ARGUMENT, ...]",
                       f->key);
    const yaml_node_item_t *item = node->data.sequence.items.start;
    const size_t count = (size_t) (node->data.sequence.items.top - item);
    words->items = calloc(count + 1, sizeof *words->items);
    if (!words->items)
        return fail_at(r, &node->start_mark, "out of memory");
    for (; words->count < count; item++) {
        const yaml_node_t *word = node_at(r, *item);
        if (!is_text(word))
            return fail_at(r, &word->start_mark, "%s: this word is not a string", f->key);
        words->items[words->count++] = text_of(word);
    }
    return true;
}

static bool read_pairs(const reader *r, const field *f, const yaml_node_t *node, job_pairs *pairs)
{
    if (node->type != YAML_MAPPING_NODE)
        return fail_at(r, &node->start_mark, "%s is a mapping: {NAME: TEXT, ...}", f->key);
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    const size_t count = (size_t) (node->data.mapping.pairs.top - pair);
    pairs->items = calloc(count + 1, sizeof *pairs->items);
    if (!pairs->items)
        return fail_at(r, &node->start_mark, "out of memory");
    for (; pairs->count < count; pair++) {
        const yaml_node_t *key = node_at(r, pair->key), *value = node_at(r, pair->value);
        if (!is_text(key) || !*text_of(key) || strchr(text_of(key), '='))
            return fail_at(r, &key->start_mark,
                           "%s: this is not a name, which is a string "
                           "without '='",
                           f->key);
        if (!is_text(value))
            return fail_at(r, &value->start_mark, "%s: the value of '%.64s' is not a string",
                           f->key, text_of(key));
        pairs->items[pairs->count++] = (job_pair){text_of(key), text_of(value)};
    }
    return true;
}

static bool read_mapping(const reader *r, const char *what, const yaml_node_t *node,
                         const field *fields, job_type *type);

static bool read_value(const reader *r, const field *f, const yaml_node_t *node, job_type *type)
{
    void *at = (char *) type + f->offset;
    switch (f->kind) {
    case MAPPING:
        return read_mapping(r, f->key, node, f->fields, type);
    case WORDS:
        return read_words(r, f, node, at);
    case PAIRS:
        return read_pairs(r, f, node, at);
    default:
        break;
    }
    if (!is_text(node))
        return fail_at(r, &node->start_mark, "%s is a single value, not a list or mapping", f->key);
    if (f->kind == NAME || f->kind == TEXT || f->kind == PATH)
        return read_text(r, f, node, at);
    return read_number(r, f, node, at);
}

static const field *find_field(const field *fields, const char *key)
{
    for (; fields->key; fields++)
        if (strcmp(fields->key, key) == 0)
            return fields;
    return NULL;
}

/* The field of a key, which must be there once. NULL after a message. */
static const field *read_key(const reader *r, const yaml_node_t *mapping,
                             const yaml_node_pair_t *pair, const field *fields)
{
    const yaml_node_t *key = node_at(r, pair->key);
    if (!is_text(key)) {
        fail_at(r, &key->start_mark, "this key is not a string");
        return NULL;
    }
    for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < pair; p++)
        if (strcmp(text_of(node_at(r, p->key)), text_of(key)) == 0) {
            fail_at(r, &key->start_mark, "key '%.64s' is there twice", text_of(key));
            return NULL;
        }
    const field *found = find_field(fields, text_of(key));
    if (!found)
        fail_unknown(r, key, fields);
    return found;
}

static bool read_mapping(const reader *r, const char *what, const yaml_node_t *node,
                         const field *fields, job_type *type)
{
    if (node->type != YAML_MAPPING_NODE)
        return fail_at(r, &node->start_mark, "%s is a mapping of keys to values", what);
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const field *f = read_key(r, node, pair, fields);
        if (!f || !read_value(r, f, node_at(r, pair->value), type))
            return false;
    }
    return true;
}

/* --- a type --- */

/* What the tables cannot say. */
static bool check_type(const reader *r, const yaml_mark_t *mark, const job_type *type)
{
    const bool runs = type->handler.command.count > 0, scores = type->handler.model != NULL;
    if (!type->name)
        return fail_at(r, mark, "this job type has no name");
    if (runs == scores)
        return fail_at(r, mark, "type '%s': its handler has %s 'command' and 'score'; give one",
                       type->name, runs ? "both" : "neither");
    if (scores && (type->handler.environment.count || type->handler.directory ||
                   type->limits.memory || type->limits.cpu_ms))
        return fail_at(r, mark,
                       "type '%s': environment, directory, limits.memory and limits.cpu "
                       "are of commands only",
                       type->name);
    if (runs && type->handler.inputs.count)
        return fail_at(r, mark, "type '%s': inputs are of 'score' only", type->name);
    return true;
}

static const job_type defaults = {
    .priority = MLS_PRIORITY_DEFAULT,
    .retries = {1, 1000, 3600000, 100},
    .limits = {.grace_ms = 5000, .output = 1 << 20},
    .retention_ms = MLS_RETENTION_DEFAULT,
    .batch = {1, 0},
};

static bool read_type(const reader *r, const yaml_node_t *node, job_types *types)
{
    job_type *type = &types->items[types->count++];
    *type = defaults;
    type->line = (unsigned) node->start_mark.line + 1;
    if (!read_mapping(r, "a job type", node, type_fields, type) ||
        !check_type(r, &node->start_mark, type))
        return false;
    for (size_t i = 0; i + 1 < types->count; i++)
        if (strcmp(types->items[i].name, type->name) == 0)
            return fail_at(r, &node->start_mark, "type '%s' is there already, in line %u",
                           type->name, types->items[i].line);
    return true;
}

static bool read_types(const reader *r, const yaml_node_t *node, job_types *types)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return fail_at(r, &node->start_mark, "job-types is a list of job types");
    const yaml_node_item_t *item = node->data.sequence.items.start;
    const size_t count = (size_t) (node->data.sequence.items.top - item);
    types->items = calloc(count + 1, sizeof *types->items);
    if (!types->items)
        return fail_at(r, &node->start_mark, "out of memory");
    for (; types->count < count; item++)
        if (!read_type(r, node_at(r, *item), types))
            return false;
    return count || fail_at(r, &node->start_mark, "there is no job type in it");
}

static bool read_root(const reader *r, job_types *types)
{
    const yaml_node_t *root = yaml_document_get_root_node(r->document);
    const yaml_mark_t start = {0, 0, 0};
    if (!root)
        return fail_at(r, &start, "the file is empty; it has a list 'job-types'");
    if (root->type != YAML_MAPPING_NODE)
        return fail_at(r, &root->start_mark, "the file is a mapping with the key 'job-types'");
    const yaml_node_t *list = NULL;
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        if (!read_key(r, root, pair, file_fields))
            return false;
        list = node_at(r, pair->value);
    }
    if (!list)
        return fail_at(r, &root->start_mark, "there is no list 'job-types'");
    return read_types(r, list, types);
}

/* --- the file --- */

static bool fail_parser(const reader *r, const yaml_parser_t *parser)
{
    yaml_mark_t mark = parser->problem_mark;
    if (parser->error == YAML_READER_ERROR)
        mark = parser->mark;
    return fail_at(r, &mark, "%s%s%s", parser->problem ? parser->problem : "it cannot be read",
                   parser->context ? " " : "", parser->context ? parser->context : "");
}

static bool parse(reader *r, FILE *file, job_types *types)
{
    yaml_parser_t parser;
    yaml_document_t *document = calloc(1, sizeof *document);
    if (!document || !yaml_parser_initialize(&parser)) {
        free(document);
        snprintf(r->message, r->message_size, "%s: out of memory", r->path);
        return false;
    }
    yaml_parser_set_input_file(&parser, file);
    bool good = yaml_parser_load(&parser, document);
    if (good) {
        types->document = r->document = document;
        good = read_root(r, types);
    } else {
        fail_parser(r, &parser);
        free(document);
    }
    yaml_parser_delete(&parser);
    return good;
}

/* Opens it; a file that is too large to be meant is refused. */
static FILE *open_file(const reader *r)
{
    FILE *file = fopen(r->path, "re");
    if (!file) {
        snprintf(r->message, r->message_size, "cannot read '%s': %s", r->path, strerror(errno));
        return NULL;
    }
    if (fseek(file, 0, SEEK_END) == 0 && ftell(file) > MOST_FILE_BYTES) {
        snprintf(r->message, r->message_size, "%s: the file is larger than %d bytes", r->path,
                 MOST_FILE_BYTES);
        fclose(file);
        return NULL;
    }
    rewind(file);
    return file;
}

job_types *job_types_load(const char *path, char *message, size_t size)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int) (slash - path) + 1 : 0, path);
    reader r = {NULL, path, folder, message, size};
    snprintf(message, size, "%s: out of memory", path);
    FILE *file = open_file(&r);
    job_types *types = file ? calloc(1, sizeof *types) : NULL;
    const bool good = types && parse(&r, file, types);
    if (file)
        fclose(file);
    if (good)
        return types;
    job_types_free(types);
    return NULL;
}

void job_types_free(job_types *types)
{
    if (!types)
        return;
    for (size_t i = 0; i < types->count; i++) {
        job_type *type = &types->items[i];
        free((void *) type->handler.command.items);
        free(type->handler.environment.items);
        free(type->handler.inputs.items);
        free((void *) (uintptr_t) type->handler.model);
    }
    free(types->items);
    if (types->document)
        yaml_document_delete(types->document);
    free(types->document);
    free(types);
}

const job_type *job_types_find(const job_types *types, const char *name)
{
    for (size_t i = 0; i < types->count; i++)
        if (strcmp(types->items[i].name, name) == 0)
            return &types->items[i];
    return NULL;
}
