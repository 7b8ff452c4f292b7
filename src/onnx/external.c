/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Location, offset and length are whatever the model's author wrote: base/file keeps
 * the path inside the directory, and here the range is kept inside the file.
 */
#include "onnx/external.h"

#include "base/error.h"
#include "base/file.h"
#include "base/refcount.h"

#include <string.h>

struct mls__weight_file {
    mls__refcount refs;
    mls_context *context; /* a reference */
    char *name;
    mls__file_map map;
};

typedef struct location {
    const char *name;
    uint64_t offset, length;
    bool has_length;
} location;

void mls__external_init(mls__external *external, mls_context *context, const char *directory)
{
    *external = (mls__external){.context = context, .directory = directory};
    mls__vec_init(&external->files, &context->allocator, sizeof(mls__weight_file *));
}

void mls__weight_file_unref(void *user, void *data)
{
    (void) data;
    mls__weight_file *file = user;
    if (!mls__refcount_drop(&file->refs))
        return;
    mls_context *context = file->context;
    mls__file_map_close(&file->map);
    mls__free(&context->allocator, file->name);
    mls__free(&context->allocator, file);
    mls__context_unref(context);
}

void mls__external_clear(mls__external *external)
{
    for (size_t i = 0; i < external->files.count; i++)
        mls__weight_file_unref(*(mls__weight_file **) mls__vec_at(&external->files, i), NULL);
    mls__vec_clear(&external->files);
}

static mls_status read_number(const char *key, const char *text, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (const char *at = text; *at; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t) (*at - '0'), &number))
            return mls__error(MLS_EFORMAT, "external_data: %s '%.100s' is not a number of bytes",
                              key, text);
    }
    if (!text[0])
        return mls__error(MLS_EFORMAT, "external_data: %s is empty", key);
    *ret_number = number;
    return MLS_OK;
}

static mls_status read_location(const mls__tensor_proto *proto, location *ret_location)
{
    location l = {0};
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < proto->n_external_data; i++) {
        const char *key = mls__proto_text(proto->external_data[i]->key);
        const char *value = mls__proto_text(proto->external_data[i]->value);
        if (strcmp(key, "location") == 0) {
            l.name = value;
        } else if (strcmp(key, "offset") == 0) {
            status = read_number(key, value, &l.offset);
        } else if (strcmp(key, "length") == 0) {
            status = read_number(key, value, &l.length);
            l.has_length = true;
        }
    }
    if (status)
        return status;
    if (!l.name)
        return mls__error(MLS_EFORMAT, "external_data has no entry 'location'");
    *ret_location = l;
    return MLS_OK;
}

static mls_status open_file(mls__external *external, const char *name, mls__weight_file **ret_file)
{
    const mls__allocator *allocator = &external->context->allocator;
    mls__file_map map;
    mls_status status = mls__file_map_open_inside(external->directory, name, &map);
    if (status)
        return status;
    mls__weight_file *file = mls__alloc_array(allocator, 1, sizeof *file);
    char *copy = mls__alloc_string(allocator, name);
    mls__weight_file **slot = file && copy ? mls__vec_push(&external->files) : NULL;
    if (!slot) {
        mls__free(allocator, copy);
        mls__free(allocator, file);
        mls__file_map_close(&map);
        return mls__error_nomem(sizeof *file);
    }
    mls__refcount_init(&file->refs);
    mls__context_ref(external->context);
    file->context = external->context;
    file->name = copy;
    file->map = map;
    *slot = *ret_file = file;
    return MLS_OK;
}

static mls_status find_file(mls__external *external, const char *name, mls__weight_file **ret_file)
{
    for (size_t i = 0; i < external->files.count; i++) {
        mls__weight_file *file = *(mls__weight_file **) mls__vec_at(&external->files, i);
        if (strcmp(file->name, name) == 0) {
            *ret_file = file;
            return MLS_OK;
        }
    }
    return open_file(external, name, ret_file);
}

mls_status mls__external_find(mls__external *external, const mls__tensor_proto *proto, size_t size,
                              void **ret_data, mls__weight_file **ret_file)
{
    location l;
    mls__weight_file *file;
    mls_status status = read_location(proto, &l);
    if (status)
        return status;
    if (!external->directory)
        return mls__error(MLS_EFORMAT, "its data are in the file '%.200s': give external_data_dir",
                          l.name);
    if (l.has_length && l.length != size)
        return mls__error(MLS_EFORMAT, "external_data: length is %llu, the dims make %zu bytes",
                          (unsigned long long) l.length, size);
    status = find_file(external, l.name, &file);
    if (status)
        return status;
    if (l.offset > file->map.size || size > file->map.size - l.offset)
        return mls__error(MLS_EFORMAT,
                          "external_data: bytes %llu to +%zu of '%.200s' are past "
                          "its end at %zu",
                          (unsigned long long) l.offset, size, l.name, file->map.size);
    mls__refcount_take(&file->refs);
    *ret_data = file->map.data ? (unsigned char *) file->map.data + l.offset : NULL;
    *ret_file = file;
    return MLS_OK;
}
