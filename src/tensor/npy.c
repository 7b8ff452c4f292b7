/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NumPy's .npy files (format 1.0 to 3.0, numpy.lib.format): one array a file, a header
 * that is a Python dictionary, then the elements. Files are mapped, not read.
 */
#include "tensor/tensor.h"

#include "base/error.h"
#include "base/file.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAGIC      "\x93NUMPY"
#define MAGIC_SIZE 6
/* A header of a sane file; the shape and the dtype need far less. */
#define HEADER_MOST 65536

/* NumPy's name of each dtype that it has; '<' is little-endian, '|' has no order. */
static const struct {
    const char *descr;
    mls_dtype dtype;
} names[] = {
    {"<f4", MLS_FLOAT32}, {"<f8", MLS_FLOAT64}, {"<f2", MLS_FLOAT16}, {"|i1", MLS_INT8},
    {"<i2", MLS_INT16},   {"<i4", MLS_INT32},   {"<i8", MLS_INT64},   {"|u1", MLS_UINT8},
    {"<u2", MLS_UINT16},  {"<u4", MLS_UINT32},  {"<u8", MLS_UINT64},  {"|b1", MLS_BOOL},
};

typedef struct header {
    mls_dtype dtype;
    bool is_fortran;
    int rank;
    int64_t dims[MLS_MAX_RANK];
    size_t data_at;
} header;

/* Reads the dictionary; `at` moves over what was read. */
typedef struct parser {
    const char *at, *end;
} parser;

static void skip_space(parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\t'))
        p->at++;
}

static bool take(parser *p, const char *text)
{
    const size_t size = strlen(text);
    skip_space(p);
    if ((size_t) (p->end - p->at) < size || memcmp(p->at, text, size) != 0)
        return false;
    p->at += size;
    return true;
}

static bool take_quoted(parser *p, char *ret_text, size_t size)
{
    size_t used = 0;
    if (!take(p, "'") && !take(p, "\""))
        return false;
    const char quote = p->at[-1];
    while (p->at < p->end && *p->at != quote && used + 1 < size)
        ret_text[used++] = *p->at++;
    ret_text[used] = '\0';
    if (p->at >= p->end || *p->at != quote)
        return false;
    p->at++;
    return true;
}

static bool take_number(parser *p, int64_t *ret_number)
{
    int64_t number = 0;
    skip_space(p);
    const char *start = p->at;
    for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
        if (!mls__mul_i64(number, 10, &number) || !mls__add_i64(number, *p->at - '0', &number))
            return false;
    *ret_number = number;
    return p->at > start;
}

static bool take_shape(parser *p, header *h)
{
    if (!take(p, "("))
        return false;
    for (h->rank = 0; !take(p, ")"); h->rank++)
        if (h->rank == MLS_MAX_RANK || !take_number(p, &h->dims[h->rank]) ||
            (!take(p, ",") && (p->at >= p->end || *p->at != ')')))
            return false;
    return true;
}

static bool take_dtype(parser *p, char *descr, size_t size, mls_dtype *ret_dtype)
{
    if (!take_quoted(p, descr, size))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].descr, descr) == 0)
            *ret_dtype = names[i].dtype;
    return true;
}

static bool take_order(parser *p, bool *ret_is_fortran)
{
    *ret_is_fortran = take(p, "True");
    return *ret_is_fortran || take(p, "False");
}

/* Notes a key; false when it was there before. */
static bool see(int *seen, int key)
{
    const bool is_new = !(*seen & key);
    *seen |= key;
    return is_new;
}

/* {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } in any order of keys */
static mls_status parse_dictionary(parser *p, header *h)
{
    char key[32], descr[32] = "";
    int seen = 0;
    bool good = take(p, "{");
    while (good && !take(p, "}")) {
        good = take_quoted(p, key, sizeof key) && take(p, ":");
        if (good && strcmp(key, "descr") == 0)
            good = take_dtype(p, descr, sizeof descr, &h->dtype) && see(&seen, 1);
        else if (good && strcmp(key, "fortran_order") == 0)
            good = take_order(p, &h->is_fortran) && see(&seen, 2);
        else if (good && strcmp(key, "shape") == 0)
            good = take_shape(p, h) && see(&seen, 4);
        else
            good = false;
        good = good && (take(p, ",") || (p->at < p->end && *p->at == '}'));
    }
    if (!good || seen != 7)
        return mls__error(MLS_EFORMAT,
                          "the header is no dictionary of descr, fortran_order and "
                          "shape (at most %d dimensions)",
                          MLS_MAX_RANK);
    if (!h->dtype)
        return mls__error(MLS_EUNSUPPORTED,
                          "elements of type '%s'; little-endian floats and integers and bool are "
                          "read",
                          descr);
    return MLS_OK;
}

static mls_status parse_header(const mls__file_map *map, header *h)
{
    const unsigned char *bytes = map->data;
    if (map->size < MAGIC_SIZE + 6 || memcmp(bytes, MAGIC, MAGIC_SIZE) != 0)
        return mls__error(MLS_EFORMAT, "not an .npy file: it does not begin with \\x93NUMPY");
    const int major = bytes[MAGIC_SIZE];
    if (major < 1 || major > 3)
        return mls__error(MLS_EUNSUPPORTED, ".npy format %d; 1 to 3 are read", major);
    size_t size = bytes[8] | (size_t) bytes[9] << 8;
    size_t start = MAGIC_SIZE + 4;
    if (major >= 2) {
        size |= (size_t) bytes[10] << 16 | (size_t) bytes[11] << 24;
        start += 2;
    }
    if (size > HEADER_MOST || map->size - start < size)
        return mls__error(MLS_EFORMAT, "the header of %zu bytes is longer than the file or %d",
                          size, HEADER_MOST);
    h->data_at = start + size;
    parser p = {(const char *) bytes + start, (const char *) bytes + start + size};
    return parse_dictionary(&p, h);
}

/* What keeps a mapped file alive while tensors look into it. */
typedef struct mapping {
    mls__file_map map;
    mls_context *context;
} mapping;

static void unmap(void *user, void *data)
{
    mapping *m = user;
    (void) data;
    mls__file_map_close(&m->map);
    mls__free(&m->context->allocator, m);
}

/* Column-major strides, for files that NumPy wrote from such an array. */
static void fortran_strides(const header *h, int64_t *ret_strides)
{
    int64_t stride = 1;
    for (int i = 0; i < h->rank; i++) {
        ret_strides[i] = stride;
        stride *= h->dims[i];
    }
}

static mls_status check_size(const header *h, const mls__file_map *map)
{
    char text[MLS__SHAPE_TEXT];
    size_t bytes;
    const mls_status status = mls__tensor_check("shape", h->dtype, h->rank, h->dims, &bytes);
    if (status)
        return mls__error_at(MLS_EFORMAT, "header");
    if (map->size - h->data_at < bytes)
        return mls__error(MLS_EFORMAT, "%s %s takes %zu bytes; the file has %zu behind the header",
                          mls_dtype_name(h->dtype), mls__shape_text(h->rank, h->dims, text), bytes,
                          map->size - h->data_at);
    if (h->data_at % mls_dtype_size(h->dtype))
        return mls__error(MLS_EFORMAT,
                          "the elements begin at byte %zu, which is not aligned to %zu", h->data_at,
                          mls_dtype_size(h->dtype));
    return MLS_OK;
}

/* On success the tensor owns the map. */
static mls_status wrap_map(mls_context *context, const header *h, const mls__file_map *map,
                           mls_tensor **ret_tensor)
{
    int64_t strides[MLS_MAX_RANK];
    mls_status status = check_size(h, map);
    if (status)
        return status;
    mapping *m = mls__alloc(&context->allocator, sizeof *m);
    if (!m)
        return mls__error_nomem(sizeof *m);
    *m = (mapping){*map, context};
    fortran_strides(h, strides);
    status = mls_tensor_wrap(context, h->dtype, h->rank, h->dims, h->is_fortran ? strides : NULL,
                             (unsigned char *) map->data + h->data_at, unmap, m, ret_tensor);
    if (status)
        mls__free(&context->allocator, m);
    return status;
}

mls_status mls_tensor_read_npy(mls_context *context, const char *path, mls_tensor **ret_tensor)
{
    if (!context || !path || !ret_tensor)
        return mls__error_null(__func__, "context, path and ret_tensor");
    mls__file_map map;
    mls_status status = mls__file_map_open(path, &map);
    if (status)
        return status;
    header h = {0};
    status = parse_header(&map, &h);
    if (!status)
        status = wrap_map(context, &h, &map, ret_tensor);
    if (!status)
        return MLS_OK;
    mls__file_map_close(&map);
    return mls__error_at(status, "'%.300s'", path);
}

/* "(3, 4)", "(3,)", "()" */
static size_t print_shape(const mls_tensor *tensor, char *text, size_t size)
{
    size_t used = (size_t) snprintf(text, size, "(");
    for (int i = 0; i < tensor->rank; i++)
        used += (size_t) snprintf(text + used, size - used, i ? ", %" PRId64 : "%" PRId64,
                                  tensor->dims[i]);
    return used + (size_t) snprintf(text + used, size - used, tensor->rank == 1 ? ",)" : ")");
}

/* The whole header, padded so that the elements are aligned to 64. Returns its size. */
static size_t print_header(const mls_tensor *tensor, const char *descr, char *text, size_t size)
{
    char shape[MLS__SHAPE_TEXT * 2];
    const size_t start = MAGIC_SIZE + 4;
    print_shape(tensor, shape, sizeof shape);
    const int length =
        snprintf(text + start, size - start,
                 "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
    const size_t total = (start + (size_t) length + 1 + 63) / 64 * 64;
    memset(text + start + length, ' ', total - start - (size_t) length);
    text[total - 1] = '\n';
    memcpy(text, MAGIC "\x01\x00", MAGIC_SIZE + 2);
    text[8] = (char) ((total - start) & 0xff);
    text[9] = (char) ((total - start) >> 8);
    return total;
}

static mls_status write_file(const mls_tensor *contiguous, const char *descr, const char *path)
{
    char text[1024];
    const size_t header_size = print_header(contiguous, descr, text, sizeof text);
    const size_t bytes = mls_tensor_size_bytes(contiguous);
    return mls__file_write(path, text, header_size, contiguous->data, bytes);
}

mls_status mls_tensor_write_npy(const mls_tensor *tensor, const char *path)
{
    if (!tensor || !path)
        return mls__error_null(__func__, "tensor and path");
    const char *descr = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if ((int32_t) names[i].dtype == tensor->dtype)
            descr = names[i].descr;
    if (!descr)
        return mls__error(MLS_EUNSUPPORTED, ".npy files cannot hold %s",
                          mls_dtype_name((mls_dtype) tensor->dtype));
    if (mls_tensor_is_contiguous(tensor))
        return write_file(tensor, descr, path);
    mls_tensor *copy;
    mls_status status = mls_tensor_copy(tensor, &copy);
    if (status)
        return status;
    status = write_file(copy, descr, path);
    mls_tensor_free(copy);
    return status;
}
