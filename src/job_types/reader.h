/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading job types: libyaml makes a tree of the text, tables say which keys a mapping has
 * and what their values are. The first fault ends it, with its line and column.
 */
#ifndef MLS_JOB_TYPES_READER_H
#define MLS_JOB_TYPES_READER_H

#include "job_types/types.h"

#include <stdbool.h>
#include <yaml.h>

/* An alias costs a file nothing, and us its list again: lists are bounded. */
#define MLS__TYPES_MOST 1000

typedef struct mls__types_reader {
    const mls__allocator *allocator;
    yaml_document_t *document;
    const char *path;
    size_t folder_size; /* of the path's folder, with its '/' */
    mls_status *status; /* why it failed */
} mls__types_reader;

/* What a key's value is. */
typedef enum mls__field_kind {
    MLS__FIELD_NAME,     /* of a type or queue */
    MLS__FIELD_TEXT,     /* any string of at least one byte */
    MLS__FIELD_PATH,     /* the same, from the folder of the file; ours to free */
    MLS__FIELD_CRON,     /* a line of cron */
    MLS__FIELD_ZONE,     /* a time zone's name */
    MLS__FIELD_INTEGER,  /* from least to most */
    MLS__FIELD_DURATION, /* "250ms", "30s", "5m", "2h", "7d"; the same in milliseconds */
    MLS__FIELD_BYTES,    /* "4096", "64K", "512M", "2G" */
    MLS__FIELD_MILLI,    /* "2", "500m"; in thousandths */
    MLS__FIELD_SIZES,    /* a sequence of sizes in bytes, each larger than the one before */
    MLS__FIELD_WORDS,    /* a sequence of strings, at least one */
    MLS__FIELD_PAIRS,    /* a mapping from strings to strings */
    MLS__FIELD_MAPPING,  /* with keys of its own */
} mls__field_kind;

typedef struct mls__field {
    const char *key;
    mls__field_kind kind;
    size_t offset; /* in mls__type */
    int64_t least, most;
    const struct mls__field *fields; /* of a mapping, ended by a key of NULL */
} mls__field;

/* fields.c: the keys of a type and of the file, and what a type has without them. */
extern const mls__field mls__type_fields[];
extern const mls__field mls__types_file_fields[];
extern const mls__type mls__type_defaults;

/* Says what is wrong, at a mark of libyaml's, which counts from 0. Gives false. */
bool mls__types_fail(const mls__types_reader *r, const yaml_mark_t *mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for want of memory. */
bool mls__types_fail_nomem(const mls__types_reader *r, size_t size);

/* places.c: where the last of these keys of the type is that is there, or else the type. */
yaml_mark_t mls__types_mark(yaml_document_t *document, const mls__type *type,
                            const mls__type_keys *keys);

/* values.c: a string without NULs in it, and its text. */
bool mls__types_is_text(const yaml_node_t *node);
const char *mls__types_text(const yaml_node_t *node);
/* Any value but a mapping with keys of its own, to where it belongs in `type`. */
bool mls__types_read_value(const mls__types_reader *r, const mls__field *f, const yaml_node_t *node,
                           mls__type *type);

#endif
