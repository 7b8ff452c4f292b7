/* SPDX-License-Identifier: Apache-2.0 */
/* From the text of job types to a set: mappings by their tables, types, the whole. */
#include "job_types/container.h"
#include "job_types/reader.h"

#include "base/context.h"
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BYTES_OF_TEXT (1 << 20)

bool mls__types_fail(const mls__types_reader *r, const yaml_mark_t *mark, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    *r->status = mls__error_v(MLS_EINVAL, format, list);
    va_end(list);
    mls__error_at(*r->status, "%s:%zu:%zu", r->path, mark->line + 1, mark->column + 1);
    return false;
}

bool mls__types_fail_nomem(const mls__types_reader *r, size_t size)
{
    *r->status = mls__error_nomem(size);
    return false;
}

/* --- mappings --- */

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

static bool fail_unknown(const mls__types_reader *r, const yaml_node_t *key,
                         const mls__field *fields)
{
    const char *text = mls__types_text(key);
    const mls__field *nearest = fields;
    char all[256] = "";
    for (const mls__field *f = fields; f->key; f++) {
        const size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", f->key);
        if (distance(text, f->key) < distance(text, nearest->key))
            nearest = f;
    }
    if (distance(text, nearest->key) <= 1 + strlen(nearest->key) / 3)
        return mls__types_fail(r, &key->start_mark, "unknown key '%.64s'; did you mean '%s'?", text,
                               nearest->key);
    return mls__types_fail(r, &key->start_mark, "unknown key '%.64s'; there are %s", text, all);
}

static const mls__field *find_field(const mls__field *fields, const char *key)
{
    for (; fields->key; fields++)
        if (strcmp(fields->key, key) == 0)
            return fields;
    return NULL;
}

/* The field of a key, which must be there once. NULL after a message. */
static const mls__field *read_key(const mls__types_reader *r, const yaml_node_t *mapping,
                                  const yaml_node_pair_t *pair, const mls__field *fields)
{
    const yaml_node_t *key = yaml_document_get_node(r->document, pair->key);
    if (!mls__types_is_text(key)) {
        mls__types_fail(r, &key->start_mark, "this key is not a string");
        return NULL;
    }
    const char *text = mls__types_text(key);
    for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < pair; p++)
        if (strcmp(mls__types_text(yaml_document_get_node(r->document, p->key)), text) == 0) {
            mls__types_fail(r, &key->start_mark, "key '%.64s' is there twice", text);
            return NULL;
        }
    const mls__field *found = find_field(fields, text);
    if (!found)
        fail_unknown(r, key, fields);
    return found;
}

/* As deep as the tables are. */
static bool read_mapping(const mls__types_reader *r, const char *what, const yaml_node_t *node,
                         const mls__field *fields, mls__type *type)
{
    if (node->type != YAML_MAPPING_NODE)
        return mls__types_fail(r, &node->start_mark, "%s is a mapping of keys to values", what);
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const mls__field *f = read_key(r, node, pair, fields);
        const yaml_node_t *value = yaml_document_get_node(r->document, pair->value);
        if (!f)
            return false;
        if (f->kind == MLS__FIELD_MAPPING ? !read_mapping(r, f->key, value, f->fields, type)
                                          : !mls__types_read_value(r, f, value, type))
            return false;
    }
    return true;
}

/* --- a type --- */

/* Says what is wrong with these keys of a type, where the last of them is. Gives false. */
static bool fail_keys(const mls__types_reader *r, const mls__type *type, mls__type_keys keys,
                      const char *what)
{
    const yaml_mark_t mark = mls__types_mark(r->document, type, &keys);
    return mls__types_fail(r, &mark, "type '%s': %s", type->name, what);
}

/* Whether all keys are such as a handler of this kind can honour. */
static bool check_kind(const mls__types_reader *r, const mls__type *type)
{
    const bool contains = type->handler.container, scores = type->handler.model;
    const bool runs = type->handler.command.count && !contains;
    const struct {
        mls__type_keys keys;
        bool is_given, is_right;
    } rules[] = {
        {{{"handler", "environment"}}, type->handler.environment.count, runs || contains},
        {{{"handler", "directory"}}, type->handler.directory, runs || contains},
        {{{"resources", "escalate"}}, type->resources.escalate.count, runs},
        {{{"limits", "memory"}}, type->limits.memory, runs || contains},
        {{{"limits", "cpu"}}, type->limits.cpu_ms, runs || contains},
        {{{"limits", "cpus"}}, type->limits.cpus, runs || contains},
        {{{"limits", "time"}}, type->limits.time_ms, !type->handler.c},
        {{{"handler", "inputs"}}, type->handler.inputs.count, scores},
        {{{"batch", "run"}}, type->batch.run, scores},
        {{{"handler", "engine"}}, type->handler.engine, contains},
        {{{"handler", "options"}}, type->handler.options.count, contains},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const char *const *keys = rules[i].keys.items;
        const yaml_mark_t mark = mls__types_mark(r->document, type, &rules[i].keys);
        if (rules[i].is_given && !rules[i].is_right)
            return mls__types_fail(r, &mark, "type '%s': %s.%s is nothing for its kind of handler",
                                   type->name, keys[0], keys[1]);
    }
    return true;
}

static bool check_schedule(const mls__types_reader *r, const mls__type *type)
{
    const char *missed = type->schedule.missed;
    if (!type->schedule.cron && (type->schedule.zone || missed))
        return fail_keys(r, type, (mls__type_keys){{"schedule"}}, "its schedule has no 'cron'");
    if (missed && strcmp(missed, "skip") != 0 && strcmp(missed, "once") != 0 &&
        strcmp(missed, "all") != 0)
        return fail_keys(r, type, (mls__type_keys){{"schedule", "missed"}},
                         "missed is 'skip', 'once' or 'all'");
    return true;
}

static bool check_memory(const mls__types_reader *r, const mls__type *type)
{
    const mls__type_numbers *escalate = &type->resources.escalate;
    if (!escalate->count)
        return true;
    if (!type->resources.memory || type->resources.memory >= escalate->items[0])
        return fail_keys(r, type, (mls__type_keys){{"resources", "escalate"}},
                         "resources.memory is what a job has at first; escalate begins with more "
                         "than that");
    if (type->limits.memory)
        return fail_keys(r, type, (mls__type_keys){{"limits", "memory"}},
                         "with resources.escalate the limit of memory is what a job needs; leave "
                         "out limits.memory");
    return true;
}

static bool check_handler(const mls__types_reader *r, const mls__type *type)
{
    const char *given[] = {type->handler.command.count && !type->handler.container ? "command"
                                                                                   : NULL,
                           type->handler.container, type->handler.model, type->handler.c};
    int handlers = 0;
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++)
        handlers += given[i] != NULL;
    if (handlers != 1)
        return fail_keys(r, type, (mls__type_keys){{"handler"}},
                         handlers ? "its handler has more than one of 'command', 'container', "
                                    "'score' and 'c'; give one"
                                  : "its handler has none of 'command', 'container', 'score' and "
                                    "'c'; give one");
    const char *wrong = type->handler.container ? mls__container_check(type) : NULL;
    if (wrong)
        return fail_keys(r, type, (mls__type_keys){{"handler", "container"}}, wrong);
    return check_kind(r, type);
}

/* What the tables cannot say. */
static bool check_type(const mls__types_reader *r, const mls__type *type)
{
    if (type->dependencies && strcmp(type->dependencies, "success") != 0 &&
        strcmp(type->dependencies, "any-end") != 0)
        return fail_keys(r, type, (mls__type_keys){{"dependencies"}},
                         "dependencies is 'success' or 'any-end'");
    if (type->batch.run && strcmp(type->batch.run, "each") != 0 &&
        strcmp(type->batch.run, "joined") != 0)
        return fail_keys(r, type, (mls__type_keys){{"batch", "run"}},
                         "batch.run is 'each' or 'joined'");
    return check_handler(r, type) && check_memory(r, type) && check_schedule(r, type);
}

static bool read_type(const mls__types_reader *r, int index, mls_job_types *types)
{
    const yaml_node_t *node = yaml_document_get_node(r->document, index);
    mls__type *type = &types->items[types->count++];
    *type = mls__type_defaults;
    type->context = types->context;
    type->node = index;
    if (!read_mapping(r, "a job type", node, mls__type_fields, type))
        return false;
    if (!type->name)
        return mls__types_fail(r, &node->start_mark, "this job type has no name");
    if (!check_type(r, type))
        return false;
    for (size_t i = 0; i + 1 < types->count; i++) {
        const mls__type *other = &types->items[i];
        const yaml_node_t *there = yaml_document_get_node(r->document, other->node);
        if (strcmp(other->name, type->name) == 0)
            return mls__types_fail(r, &node->start_mark, "type '%s' is there already, in line %zu",
                                   type->name, there->start_mark.line + 1);
    }
    return true;
}

static bool read_types(const mls__types_reader *r, const yaml_node_t *node, mls_job_types *types)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return mls__types_fail(r, &node->start_mark, "job-types is a list of job types");
    const yaml_node_item_t *item = node->data.sequence.items.start;
    const size_t count = (size_t) (node->data.sequence.items.top - item);
    if (!count)
        return mls__types_fail(r, &node->start_mark, "there is no job type in it");
    if (count > MLS__TYPES_MOST)
        return mls__types_fail(r, &node->start_mark, "%zu job types; at most %d are possible",
                               count, MLS__TYPES_MOST);
    types->items = mls__alloc_array(r->allocator, count, sizeof *types->items);
    if (!types->items)
        return mls__types_fail_nomem(r, count * sizeof *types->items);
    for (; types->count < count; item++)
        if (!read_type(r, *item, types))
            return false;
    return true;
}

static bool read_root(const mls__types_reader *r, mls_job_types *types)
{
    const yaml_node_t *root = yaml_document_get_root_node(r->document);
    const yaml_mark_t start = {0, 0, 0};
    const yaml_node_t *list = NULL;
    if (!root)
        return mls__types_fail(r, &start, "the file is empty; it has a list 'job-types'");
    if (root->type != YAML_MAPPING_NODE)
        return mls__types_fail(r, &root->start_mark,
                               "the file is a mapping with the key 'job-types'");
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        if (!read_key(r, root, pair, mls__types_file_fields))
            return false;
        list = yaml_document_get_node(r->document, pair->value);
    }
    if (!list)
        return mls__types_fail(r, &root->start_mark, "there is no list 'job-types'");
    return read_types(r, list, types);
}

/* --- the text --- */

static bool fail_parser(const mls__types_reader *r, const yaml_parser_t *parser)
{
    const yaml_mark_t mark =
        parser->error == YAML_READER_ERROR ? parser->mark : parser->problem_mark;
    return mls__types_fail(r, &mark, "%s%s%s",
                           parser->problem ? parser->problem : "it cannot be read",
                           parser->context ? " " : "", parser->context ? parser->context : "");
}

/* Nobody would see that what a second document says is not done. */
static bool check_end(const mls__types_reader *r, yaml_parser_t *parser)
{
    yaml_document_t next;
    if (!yaml_parser_load(parser, &next))
        return fail_parser(r, parser);
    const bool is_end = !yaml_document_get_root_node(&next);
    const yaml_mark_t mark = next.start_mark;
    yaml_document_delete(&next);
    return is_end || mls__types_fail(r, &mark,
                                     "a second document begins here; a file of job types "
                                     "is one");
}

/* The tree stays with the set, whose strings are in it. */
static bool parse_text(mls__types_reader *r, const void *text, size_t size, mls_job_types *types)
{
    yaml_parser_t parser;
    yaml_document_t *document = mls__alloc_array(r->allocator, 1, sizeof *document);
    if (!document || !yaml_parser_initialize(&parser)) {
        mls__free(r->allocator, document);
        return mls__types_fail_nomem(r, sizeof *document);
    }
    yaml_parser_set_input_string(&parser, text, size);
    bool good = yaml_parser_load(&parser, document);
    if (good) {
        types->document = r->document = document;
        good = read_root(r, types) && check_end(r, &parser);
    } else {
        fail_parser(r, &parser);
        mls__free(r->allocator, document);
    }
    yaml_parser_delete(&parser);
    return good;
}

static mls_job_types *create_types(mls_context *context, const char *path)
{
    const mls__allocator *allocator = &context->allocator;
    mls_job_types *types = mls__alloc_array(allocator, 1, sizeof *types);
    char *copy = types ? mls__alloc_string(allocator, path) : NULL;
    if (!copy) {
        mls__free(allocator, types);
        return NULL;
    }
    mls__context_ref(context);
    *types = (mls_job_types){.context = context, .allocator = allocator, .path = copy};
    return types;
}

mls_status mls_job_types_parse(mls_context *context, const char *path, const char *text,
                               size_t size_bytes, mls_job_types **ret_types)
{
    if (!context || !path || (!text && size_bytes) || !ret_types)
        return mls__error_null(__func__, "context, path, text and ret_types");
    if (size_bytes > MOST_BYTES_OF_TEXT)
        return mls__error(MLS_EINVAL, "%s: the file is larger than %d bytes", path,
                          MOST_BYTES_OF_TEXT);
    mls_job_types *types = create_types(context, path);
    if (!types)
        return mls__error_nomem(sizeof *types);
    mls_status status = MLS_OK;
    const char *slash = strrchr(types->path, '/');
    mls__types_reader reader = {types->allocator, NULL, types->path,
                                slash ? (size_t) (slash - types->path) + 1 : 0, &status};
    if (!parse_text(&reader, text ? text : "", size_bytes, types)) {
        mls_job_types_free(types);
        return status;
    }
    *ret_types = types;
    return MLS_OK;
}

/* Read, not mapped: an editor may cut the file short meanwhile. One byte too many is read. */
static mls_status read_file(const char *path, char *text, size_t *ret_size)
{
    FILE *file = fopen(path, "re");
    if (!file && (errno == ENOENT || errno == ENOTDIR))
        return mls__error(MLS_ENOTFOUND, "there is no file '%s'", path);
    if (!file)
        return mls__error_os(errno, "cannot read '%s'", path);
    *ret_size = fread(text, 1, MOST_BYTES_OF_TEXT + 1, file);
    const mls_status status =
        ferror(file) ? mls__error_os(errno, "cannot read '%s'", path) : MLS_OK;
    fclose(file);
    return status;
}

mls_status mls_job_types_load(mls_context *context, const char *path, mls_job_types **ret_types)
{
    if (!context || !path || !ret_types)
        return mls__error_null(__func__, "context, path and ret_types");
    size_t size = 0;
    char *text = mls__alloc(&context->allocator, MOST_BYTES_OF_TEXT + 1);
    if (!text)
        return mls__error_nomem(MOST_BYTES_OF_TEXT + 1);
    mls_status status = read_file(path, text, &size);
    if (!status)
        status = mls_job_types_parse(context, path, text, size, ret_types);
    mls__free(&context->allocator, text);
    return status;
}

void mls__types_drop_document(mls_job_types *types)
{
    if (types->document)
        yaml_document_delete(types->document);
    mls__free(types->allocator, types->document);
}
