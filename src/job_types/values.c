/* SPDX-License-Identifier: Apache-2.0 */
/* Values of keys: numbers with units, names, paths, lists and pairs of strings. */
#include "job_types/reader.h"

#include "base/error.h"
#include "job/cron.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *mls__types_text(const yaml_node_t *node)
{
    return (const char *) node->data.scalar.value;
}

bool mls__types_is_text(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE &&
           strlen(mls__types_text(node)) == node->data.scalar.length;
}

/* --- numbers --- */

typedef struct unit {
    const char *name;
    int64_t scale;
} unit;

static const unit no_units[] = {{"", 1}};
static const unit time_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
static const unit milli_units[] = {{"", 1000}, {"m", 1}};
static const unit size_units[] = {{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}};

/* The kinds of numbers: what may stand behind one, and how to tell of it. */
static const struct number_kind {
    mls__field_kind kind;
    const unit *units;
    size_t unit_count;
    const char *what, *bounds;
} number_kinds[] = {
    {MLS__FIELD_INTEGER, no_units, COUNT(no_units), "a whole number of 0 or more", ""},
    {MLS__FIELD_DURATION, time_units, COUNT(time_units), "a time, such as 250ms, 30s, 5m, 2h or 7d",
     " milliseconds"},
    {MLS__FIELD_BYTES, size_units, COUNT(size_units),
     "a size in bytes, such as 4096, 64K, 512M or 2G", " bytes"},
    {MLS__FIELD_SIZES, size_units, COUNT(size_units),
     "a size in bytes, such as 4096, 64K, 512M or 2G", " bytes"},
    {MLS__FIELD_MILLI, milli_units, COUNT(milli_units),
     "a number of processors, such as 2, or thousandths of one, such as 500m", " thousandths"},
};

static bool scale_number(const struct number_kind *kind, const char *text, int64_t *ret_value)
{
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (errno || *text < '0' || *text > '9')
        return false;
    for (size_t i = 0; i < kind->unit_count; i++)
        if (strcmp(end, kind->units[i].name) == 0)
            return mls__mul_i64(value, kind->units[i].scale, ret_value);
    return false;
}

static bool read_number(const mls__types_reader *r, const mls__field *f, const yaml_node_t *node,
                        int64_t *ret)
{
    const struct number_kind *kind = number_kinds;
    const char *text = mls__types_text(node);
    int64_t value;
    while (kind->kind != f->kind)
        kind++;
    if (!scale_number(kind, text, &value))
        return mls__types_fail(r, &node->start_mark, "%s: '%.64s' is not %s", f->key, text,
                               kind->what);
    if (value < f->least || value > f->most)
        return mls__types_fail(r, &node->start_mark,
                               "%s: %.64s is out of range: %" PRId64 " to %" PRId64 "%s", f->key,
                               text, f->least, f->most, kind->bounds);
    *ret = value;
    return true;
}

/* --- strings --- */

static bool is_name(const char *text)
{
    const size_t length = strlen(text);
    return length && length <= MLS_JOB_NAME_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/-") ==
               length;
}

/* The path as found from the file's folder. */
static bool read_path(const mls__types_reader *r, const yaml_node_t *node, const char **ret)
{
    const char *text = mls__types_text(node);
    const size_t folder = *text == '/' ? 0 : r->folder_size, size = strlen(text) + 1;
    char *path = mls__alloc(r->allocator, folder + size);
    if (!path)
        return mls__types_fail_nomem(r, folder + size);
    memcpy(path, r->path, folder);
    memcpy(path + folder, text, size);
    *ret = path;
    return true;
}

/* What the library says of such a text is told at its place. */
static bool check_kind(const mls__types_reader *r, const mls__field *f, const yaml_node_t *node,
                       const char *text)
{
    mls__cron cron;
    mls_status status = MLS_OK;
    if (f->kind == MLS__FIELD_CRON)
        status = mls__cron_parse(text, &cron);
    else if (f->kind == MLS__FIELD_ZONE)
        status = mls__zone_check_name(text);
    if (!status)
        return true;
    char why[512];
    snprintf(why, sizeof why, "%s", mls_error_message());
    return mls__types_fail(r, &node->start_mark, "%s: %s", f->key, why);
}

static bool read_text(const mls__types_reader *r, const mls__field *f, const yaml_node_t *node,
                      const char **ret)
{
    const char *text = mls__types_text(node);
    if (!*text)
        return mls__types_fail(r, &node->start_mark, "%s is empty", f->key);
    if (f->kind == MLS__FIELD_PATH)
        return read_path(r, node, ret);
    if (f->kind == MLS__FIELD_NAME && !is_name(text))
        return mls__types_fail(r, &node->start_mark,
                               "%s: '%.64s' is not a name: 1 to %d letters, digits and \"._:/-\"",
                               f->key, text, MLS_JOB_NAME_MAX);
    if (!check_kind(r, f, node, text))
        return false;
    *ret = text;
    return true;
}

/* --- several --- */

static bool check_count(const mls__types_reader *r, const mls__field *f, const yaml_node_t *node,
                        size_t count)
{
    return count <= MLS__TYPES_MOST ||
           mls__types_fail(r, &node->start_mark, "%s has %zu entries; at most %d are possible",
                           f->key, count, MLS__TYPES_MOST);
}

static bool read_words(const mls__types_reader *r, const mls__field *f, const yaml_node_t *node,
                       mls__type_words *words)
{
    if (node->type != YAML_SEQUENCE_NODE ||
        node->data.sequence.items.start == node->data.sequence.items.top)
        return mls__types_fail(r, &node->start_mark,
                               "%s is a list of words: [PROGRAM, ARGUMENT, ...]", f->key);
    const yaml_node_item_t *item = node->data.sequence.items.start;
    const size_t count = (size_t) (node->data.sequence.items.top - item);
    if (!check_count(r, f, node, count))
        return false;
    words->items = mls__alloc_array(r->allocator, count + 1, sizeof *words->items);
    if (!words->items)
        return mls__types_fail_nomem(r, count * sizeof(void *));
    for (; words->count < count; item++) {
        const yaml_node_t *word = yaml_document_get_node(r->document, *item);
        if (!mls__types_is_text(word))
            return mls__types_fail(r, &word->start_mark, "%s: this word is not a string", f->key);
        words->items[words->count++] = mls__types_text(word);
    }
    return true;
}

static bool read_pair(const mls__types_reader *r, const mls__field *f, const yaml_node_pair_t *pair,
                      mls__type_pair *ret_pair)
{
    const yaml_node_t *key = yaml_document_get_node(r->document, pair->key);
    const yaml_node_t *value = yaml_document_get_node(r->document, pair->value);
    if (!mls__types_is_text(key) || !*mls__types_text(key) || strchr(mls__types_text(key), '='))
        return mls__types_fail(r, &key->start_mark,
                               "%s: this is not a name, which is a string without '='", f->key);
    if (!mls__types_is_text(value))
        return mls__types_fail(r, &value->start_mark, "%s: the value of '%.64s' is not a string",
                               f->key, mls__types_text(key));
    *ret_pair = (mls__type_pair){mls__types_text(key), mls__types_text(value)};
    return true;
}

static bool read_pairs(const mls__types_reader *r, const mls__field *f, const yaml_node_t *node,
                       mls__type_pairs *pairs)
{
    if (node->type != YAML_MAPPING_NODE)
        return mls__types_fail(r, &node->start_mark, "%s is a mapping: {NAME: TEXT, ...}", f->key);
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    const size_t count = (size_t) (node->data.mapping.pairs.top - pair);
    if (!check_count(r, f, node, count))
        return false;
    pairs->items = mls__alloc_array(r->allocator, count + 1, sizeof *pairs->items);
    if (!pairs->items)
        return mls__types_fail_nomem(r, count * sizeof(void *));
    for (; pairs->count < count; pair++)
        if (!read_pair(r, f, pair, &pairs->items[pairs->count++]))
            return false;
    return true;
}

static bool read_sizes(const mls__types_reader *r, const mls__field *f, const yaml_node_t *node,
                       mls__type_numbers *numbers)
{
    if (node->type != YAML_SEQUENCE_NODE ||
        node->data.sequence.items.start == node->data.sequence.items.top)
        return mls__types_fail(r, &node->start_mark, "%s is a list of sizes: [4G, 16G, ...]",
                               f->key);
    const yaml_node_item_t *item = node->data.sequence.items.start;
    const size_t count = (size_t) (node->data.sequence.items.top - item);
    if (!check_count(r, f, node, count))
        return false;
    numbers->items = mls__alloc_array(r->allocator, count, sizeof *numbers->items);
    if (!numbers->items)
        return mls__types_fail_nomem(r, count * sizeof *numbers->items);
    for (; numbers->count < count; item++) {
        const yaml_node_t *size = yaml_document_get_node(r->document, *item);
        int64_t *at = &numbers->items[numbers->count];
        if (!mls__types_is_text(size))
            return mls__types_fail(r, &size->start_mark, "%s: this is not a size", f->key);
        if (!read_number(r, f, size, at))
            return false;
        if (numbers->count++ && at[0] <= at[-1])
            return mls__types_fail(r, &size->start_mark,
                                   "%s: '%.64s' is not larger than the one before", f->key,
                                   mls__types_text(size));
    }
    return true;
}

static bool is_text_kind(mls__field_kind kind)
{
    return kind == MLS__FIELD_NAME || kind == MLS__FIELD_TEXT || kind == MLS__FIELD_PATH ||
           kind == MLS__FIELD_CRON || kind == MLS__FIELD_ZONE;
}

bool mls__types_read_value(const mls__types_reader *r, const mls__field *f, const yaml_node_t *node,
                           mls__type *type)
{
    void *at = (char *) type + f->offset;
    switch (f->kind) {
    case MLS__FIELD_WORDS:
        return read_words(r, f, node, at);
    case MLS__FIELD_PAIRS:
        return read_pairs(r, f, node, at);
    case MLS__FIELD_SIZES:
        return read_sizes(r, f, node, at);
    default:
        break;
    }
    if (!mls__types_is_text(node))
        return mls__types_fail(r, &node->start_mark, "%s is a single value, not a list or mapping",
                               f->key);
    if (is_text_kind(f->kind))
        return read_text(r, f, node, at);
    return read_number(r, f, node, at);
}
