/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values in the server's binary form: big-endian numbers, bytes behind their length. So
 * no value is ever quoted, and none is ever part of a statement's text.
 */
#include "queue/postgres/postgres.h"

#include <string.h>

#define OID_BYTEA 17
#define OID_INT8  20
#define OID_TEXT  25

static void store_number(unsigned char to[8], uint64_t value)
{
    for (int i = 0; i < 8; i++)
        to[i] = (unsigned char) (value >> (56 - 8 * i));
}

static char *grow(mls__pg_store *store, mls__pg_buffer *buffer, size_t more)
{
    if (buffer->has_failed)
        return NULL;
    if (more > buffer->room - buffer->size) {
        size_t room = buffer->room ? buffer->room : 512;
        while (room - buffer->size < more && room <= SIZE_MAX / 2)
            room *= 2;
        char *data = room - buffer->size >= more ? mls__pg_alloc(store, room) : NULL;
        if (!data) {
            buffer->has_failed = true;
            return NULL;
        }
        if (buffer->size)
            memcpy(data, buffer->data, buffer->size);
        mls__pg_free(store, buffer->data);
        buffer->data = data;
        buffer->room = room;
    }
    char *at = buffer->data + buffer->size;
    buffer->size += more;
    return at;
}

static void put_int32(mls__pg_store *store, mls__pg_buffer *buffer, int32_t value)
{
    unsigned char bytes[8];
    store_number(bytes, (uint32_t) value);
    char *at = grow(store, buffer, 4);
    if (at)
        memcpy(at, bytes + 4, 4);
}

void mls__pg_put_int16(mls__pg_store *store, mls__pg_buffer *buffer, int16_t value)
{
    unsigned char bytes[8];
    store_number(bytes, (uint16_t) value);
    char *at = grow(store, buffer, 2);
    if (at)
        memcpy(at, bytes + 6, 2);
}

void mls__pg_put_number(mls__pg_store *store, mls__pg_buffer *buffer, int64_t value)
{
    unsigned char bytes[8];
    store_number(bytes, (uint64_t) value);
    mls__pg_put_bytes(store, buffer, bytes, sizeof bytes);
}

void mls__pg_put_bytes(mls__pg_store *store, mls__pg_buffer *buffer, const void *data, size_t size)
{
    if (size > INT32_MAX) {
        buffer->has_failed = true;
        return;
    }
    put_int32(store, buffer, (int32_t) size);
    char *at = grow(store, buffer, size);
    if (at && size)
        memcpy(at, data, size);
}

void mls__pg_put_text(mls__pg_store *store, mls__pg_buffer *buffer, const char *text)
{
    mls__pg_put_bytes(store, buffer, text, strlen(text));
}

void mls__pg_put_null(mls__pg_store *store, mls__pg_buffer *buffer)
{
    put_int32(store, buffer, -1);
}

void mls__pg_buffer_clear(mls__pg_store *store, mls__pg_buffer *buffer)
{
    mls__pg_free(store, buffer->data);
    *buffer = (mls__pg_buffer){0};
}

/* Adds a parameter and gives its place. */
static int add(mls__pg_parameters *parameters, const void *value, size_t size, int format)
{
    const int at = parameters->count++;
    parameters->has_failed |= size > INT32_MAX;
    parameters->values[at] = value;
    parameters->lengths[at] = (int) size;
    parameters->formats[at] = format;
    return at;
}

void mls__pg_add_number(mls__pg_parameters *parameters, int64_t value)
{
    unsigned char *bytes = parameters->numbers[parameters->count];
    store_number(bytes, (uint64_t) value);
    add(parameters, bytes, 8, 1);
}

void mls__pg_add_double(mls__pg_parameters *parameters, double value)
{
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    mls__pg_add_number(parameters, bits);
}

void mls__pg_add_text(mls__pg_parameters *parameters, const char *text)
{
    add(parameters, text, text ? strlen(text) : 0, 1);
}

void mls__pg_add_bytes(mls__pg_parameters *parameters, mls__pg_bytes bytes)
{
    add(parameters, bytes.data, bytes.size, 1);
}

mls__pg_buffer *mls__pg_begin_array(mls__pg_store *store, mls__pg_parameters *parameters,
                                    bool is_text, size_t count)
{
    mls__pg_buffer *buffer = &parameters->arrays[add(parameters, NULL, 0, 1)];
    put_int32(store, buffer, count ? 1 : 0); /* dimensions */
    put_int32(store, buffer, 0);             /* has no NULL */
    put_int32(store, buffer, is_text ? OID_TEXT : OID_INT8);
    buffer->has_failed |= count > INT32_MAX;
    if (!count)
        return buffer;
    put_int32(store, buffer, (int32_t) count);
    put_int32(store, buffer, 1); /* the first index */
    return buffer;
}

void mls__pg_add_numbers(mls__pg_store *store, mls__pg_parameters *parameters,
                         const int64_t *values, size_t count)
{
    mls__pg_buffer *array = mls__pg_begin_array(store, parameters, false, count);
    for (size_t i = 0; i < count; i++)
        mls__pg_put_number(store, array, values[i]);
}

void mls__pg_add_names(mls__pg_store *store, mls__pg_parameters *parameters, const char *names,
                       size_t count)
{
    if (!count) {
        add(parameters, NULL, 0, 1);
        return;
    }
    mls__pg_buffer *array = mls__pg_begin_array(store, parameters, true, count);
    for (size_t i = 0; i < count; i++, names += strlen(names) + 1)
        mls__pg_put_text(store, array, names);
}

void mls__pg_parameters_clear(mls__pg_store *store, mls__pg_parameters *parameters)
{
    for (int i = 0; i < parameters->count; i++)
        if (parameters->arrays[i].data)
            mls__pg_buffer_clear(store, &parameters->arrays[i]);
    parameters->count = 0;
}

int64_t mls__pg_number(const PGresult *result, int row, int column)
{
    uint64_t value = 0;
    const unsigned char *at = (const unsigned char *) PQgetvalue(result, row, column);
    if (PQgetlength(result, row, column) != 8)
        return 0; /* NULL */
    for (int i = 0; i < 8; i++)
        value = value << 8 | at[i];
    return (int64_t) value;
}

double mls__pg_double(const PGresult *result, int row, int column)
{
    const int64_t bits = mls__pg_number(result, row, column);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

mls__pg_bytes mls__pg_bytes_at(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return (mls__pg_bytes){0};
    return (mls__pg_bytes){PQgetvalue(result, row, column),
                           (size_t) PQgetlength(result, row, column)};
}

/* The length of the UTF-8 sequence at `text`; 0: it is none. */
static size_t sequence(const unsigned char *text)
{
    const unsigned char c = text[0];
    if (c < 0x80)
        return 1;
    const size_t size = c >= 0xc2 && c < 0xe0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : c < 0xf5 ? 4 : 0;
    if (size == 0 || c < 0xc2)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    const bool is_long = (c == 0xe0 && text[1] < 0xa0) || (c == 0xf0 && text[1] < 0x90);
    const bool is_out = (c == 0xed && text[1] > 0x9f) || (c == 0xf4 && text[1] > 0x8f);
    return is_long || is_out ? 0 : size;
}

void mls__pg_clean(char *to, size_t size, const char *text)
{
    const unsigned char *from = (const unsigned char *) text;
    size_t used = 0;
    while (*from) {
        const size_t length = sequence(from);
        if (used + (length ? length : 1) >= size)
            break;
        if (length)
            memcpy(to + used, from, length);
        else
            to[used] = '?';
        used += length ? length : 1;
        from += length ? length : 1;
    }
    to[used] = '\0';
}
