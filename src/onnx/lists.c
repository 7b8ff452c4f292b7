/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contents of a tensor that are not raw: TensorProto has a list for each of a few
 * wide types, and the narrow types share them.
 */
#include "onnx/reading.h"

#include "base/error.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

#define FIELD(name) #name, offsetof(mls__tensor_proto, name), offsetof(mls__tensor_proto, n_##name)

/* Lists whose entries are the elements as they are to be in memory. */
static const struct list {
    mls_dtype dtype;
    const char *name;
    size_t entries, count; /* offsets in TensorProto */
} lists[] = {
    {MLS_FLOAT32, FIELD(float_data)}, {MLS_INT32, FIELD(int32_data)},
    {MLS_INT64, FIELD(int64_data)},   {MLS_FLOAT64, FIELD(double_data)},
    {MLS_UINT64, FIELD(uint64_data)},
};

static mls_status check_length(const mls__reading *r, const char *field, size_t length,
                               size_t expected)
{
    char text[MLS__SHAPE_TEXT];
    if (length == expected)
        return MLS_OK;
    return mls__error(MLS_EFORMAT, "%s has %zu entries; %s %s needs %zu", field, length,
                      r->info->name, mls__shape_text(r->rank, r->proto->dims, text), expected);
}

/* The list's block becomes the tensor's. */
static mls_status take_list(mls__reading *r, const struct list *list, mls_tensor **ret_tensor)
{
    unsigned char *proto = (unsigned char *) r->proto;
    void *entries;
    size_t count;
    memcpy(&entries, proto + list->entries, sizeof entries);
    memcpy(&count, proto + list->count, sizeof count);
    mls_status status = check_length(r, list->name, count, (size_t) r->count);
    if (status)
        return status;
    if (count == 0)
        return mls__reading_create(r, ret_tensor);
    if (r->external->is_read_again)
        return mls__reading_copy(r, entries, ret_tensor);
    status = mls__reading_take(r, entries, ret_tensor);
    if (status)
        return status;
    entries = NULL;
    count = 0;
    memcpy(proto + list->entries, &entries, sizeof entries);
    memcpy(proto + list->count, &count, sizeof count);
    return MLS_OK;
}

static mls_status read_uint32(const mls__reading *r, mls_tensor **ret_tensor)
{
    const mls__tensor_proto *proto = r->proto;
    mls_status status = check_length(r, "uint64_data", proto->n_uint64_data, (size_t) r->count);
    for (size_t i = 0; !status && i < proto->n_uint64_data; i++)
        if (proto->uint64_data[i] > UINT32_MAX)
            status = mls__error(MLS_EFORMAT, "uint64_data[%zu] is %" PRIu64 ", which is no uint32",
                                i, proto->uint64_data[i]);
    if (!status)
        status = mls__reading_create(r, ret_tensor);
    if (status)
        return status;
    uint32_t *data = mls_tensor_data(*ret_tensor);
    for (size_t i = 0; i < proto->n_uint64_data; i++)
        data[i] = (uint32_t) proto->uint64_data[i];
    return MLS_OK;
}

/* An entry of int32_data is an element, the bits of one, or a byte of packed ones. */
static mls_status check_entries(const mls__reading *r)
{
    const int bits = r->info->bits < 8 ? 8 : r->info->bits;
    const bool is_signed = r->info->class == MLS__CLASS_SIGNED && r->info->bits >= 8;
    const int32_t low = is_signed ? -(1 << (bits - 1)) : 0;
    const int32_t high = (1 << (is_signed ? bits - 1 : bits)) - 1;
    for (size_t i = 0; i < r->proto->n_int32_data; i++) {
        const int32_t entry = r->proto->int32_data[i];
        if (entry < low || entry > high)
            return mls__error(MLS_EFORMAT, "int32_data[%zu] is %d; for %s it is %d to %d", i, entry,
                              r->info->name, low, high);
    }
    return MLS_OK;
}

/* Types of 1 and 2 bytes and less: brought into the form of raw data where they lie. */
static mls_status read_narrow(mls__reading *r, mls_tensor **ret_tensor)
{
    const size_t size = r->info->bits == 16 ? 2 : 1, count = r->proto->n_int32_data;
    mls_status status = check_length(r, "int32_data", count, r->packed / size);
    if (!status)
        status = check_entries(r);
    if (status)
        return status;
    unsigned char *bytes = (unsigned char *) r->proto->int32_data;
    for (size_t i = 0; i < count; i++) /* little-endian: the low bytes come first */
        memmove(bytes + i * size, &r->proto->int32_data[i], size);
    return mls__reading_copy(r, bytes, ret_tensor);
}

static mls_status read_strings(const mls__reading *r, mls_tensor **ret_tensor)
{
    const mls__tensor_proto *proto = r->proto;
    const mls__allocator *allocator = &r->context->allocator;
    mls_status status = check_length(r, "string_data", proto->n_string_data, (size_t) r->count);
    if (status)
        return status;
    mls_string *strings = mls__alloc_array(allocator, proto->n_string_data, sizeof *strings);
    if (!strings)
        return mls__error_nomem(proto->n_string_data * sizeof *strings);
    for (size_t i = 0; i < proto->n_string_data; i++)
        strings[i] =
            (mls_string){(const char *) proto->string_data[i].data, proto->string_data[i].len};
    mls_tensor *borrowed;
    status = mls_tensor_wrap(r->context, MLS_STRING, r->rank, proto->dims, NULL, strings, NULL,
                             NULL, &borrowed);
    if (!status) {
        status = mls_tensor_copy(borrowed, ret_tensor);
        mls_tensor_free(borrowed);
    }
    mls__free(allocator, strings);
    return status;
}

mls_status mls__reading_lists(mls__reading *r, mls_tensor **ret_tensor)
{
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (lists[i].dtype == r->dtype)
            return take_list(r, &lists[i], ret_tensor);
    if (r->dtype == MLS_STRING)
        return read_strings(r, ret_tensor);
    return r->dtype == MLS_UINT32 ? read_uint32(r, ret_tensor) : read_narrow(r, ret_tensor);
}
