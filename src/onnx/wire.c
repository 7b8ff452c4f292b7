/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks the wire format (https://protobuf.dev/programming-guides/encoding) along
 * protobuf-c's descriptors. Whatever is accepted here means the same to protobuf-c.
 */
#include "onnx/wire.h"

#include "base/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MAX_FIELD_NUMBER 0x1fffffff

typedef struct walker {
    const uint8_t *start; /* of the whole, for positions in messages */
    const uint8_t *at, *end;
} walker;

/* A field as it lies in the file: after its tag, `at` .. `at + size` is its value. */
typedef struct field {
    const ProtobufCMessageDescriptor *message;
    const ProtobufCFieldDescriptor *descriptor; /* NULL: not one of ours */
    unsigned wire_type;
    const uint8_t *at;
    size_t size;
} field;

static size_t position(const walker *w, const uint8_t *at)
{
    return (size_t) (at - w->start);
}

/* At most `max_bytes` long; false when it does not end. */
static bool read_varint(walker *w, int max_bytes, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (int i = 0; i < max_bytes && w->at < w->end; i++) {
        const uint8_t byte = *w->at++;
        value |= (uint64_t) (byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* Length of the well-formed UTF-8 sequence at `at` (Unicode 15, table 3-7), or 0. */
static size_t utf8_length(const uint8_t *at, size_t left)
{
    static const struct {
        uint8_t first, last; /* of the leading byte */
        uint8_t low, high;   /* of the second byte */
        uint8_t length;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        if (at[0] < forms[f].first || at[0] > forms[f].last)
            continue;
        if (left < forms[f].length || at[1] < forms[f].low || at[1] > forms[f].high)
            return 0;
        for (size_t i = 2; i < forms[f].length; i++)
            if ((at[i] & 0xc0) != 0x80)
                return 0;
        return forms[f].length;
    }
    return 0;
}

static bool is_text(const uint8_t *at, size_t size)
{
    for (size_t i = 0; i < size;) {
        const size_t length = at[i] < 0x80 ? at[i] != 0 : utf8_length(at + i, size - i);
        if (!length)
            return false;
        i += length;
    }
    return true;
}

static unsigned expected_wire_type(const ProtobufCFieldDescriptor *descriptor)
{
    switch (descriptor->type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return PROTOBUF_C_WIRE_TYPE_32BIT;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    default:
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    }
}

static mls_status check_wire_type(const walker *w, const field *f)
{
    const unsigned expected = expected_wire_type(f->descriptor);
    const bool is_packed = f->descriptor->label == PROTOBUF_C_LABEL_REPEATED &&
                           f->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    if (f->wire_type == expected || is_packed)
        return MLS_OK;
    return mls__error(MLS_EFORMAT, "byte %zu: field '%s' of %s has wire type %u, expected %u",
                      position(w, f->at), f->descriptor->name, f->message->short_name, f->wire_type,
                      expected);
}

static mls_status cut_short(const walker *w, const ProtobufCMessageDescriptor *message)
{
    return mls__error(MLS_EFORMAT, "byte %zu: %s is cut short or is no protobuf message",
                      position(w, w->at), message->short_name);
}

static mls_status read_value(walker *w, field *f)
{
    uint64_t value = 0;
    bool is_valid = true;
    f->at = w->at;
    switch (f->wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        is_valid = read_varint(w, 10, &value);
        f->size = (size_t) (w->at - f->at);
        return is_valid ? MLS_OK : cut_short(w, f->message);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        value = 8;
        break;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        value = 4;
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        is_valid = read_varint(w, 5, &value);
        break;
    default:
        return mls__error(MLS_EFORMAT, "byte %zu: %s has a field of wire type %u, which is none",
                          position(w, w->at), f->message->short_name, f->wire_type);
    }
    if (!is_valid || value > (size_t) (w->end - w->at))
        return cut_short(w, f->message);
    f->at = w->at;
    f->size = (size_t) value;
    w->at += f->size;
    return MLS_OK;
}

static mls_status read_field(walker *w, const ProtobufCMessageDescriptor *message, field *f)
{
    uint64_t tag;
    if (!read_varint(w, 5, &tag))
        return cut_short(w, message);
    const uint64_t number = tag >> 3;
    if (number == 0 || number > MAX_FIELD_NUMBER)
        return mls__error(MLS_EFORMAT, "byte %zu: %s has a field without a valid number",
                          position(w, w->at), message->short_name);
    *f = (field){
        .message = message,
        .descriptor = protobuf_c_message_descriptor_get_field(message, (unsigned) number),
        .wire_type = (unsigned) (tag & 7),
    };
    return read_value(w, f);
}

/* No writer gives a single submessage twice, and merging the copies could take forever. */
static mls_status check_once(const walker *w, const field *f, uint64_t *seen)
{
    if (f->descriptor->label == PROTOBUF_C_LABEL_REPEATED)
        return MLS_OK;
    const uint64_t bit = UINT64_C(1) << (f->descriptor - f->message->fields);
    if (*seen & bit)
        return mls__error(MLS_EFORMAT, "byte %zu: %s has field '%s' twice", position(w, f->at),
                          f->message->short_name, f->descriptor->name);
    *seen |= bit;
    return MLS_OK;
}

static mls_status check_message(const uint8_t *start, const ProtobufCMessageDescriptor *message,
                                const uint8_t *at, size_t size, unsigned depth);

static mls_status check_field(const walker *w, const field *f, unsigned depth, uint64_t *seen)
{
    if (!f->descriptor)
        return MLS_OK;
    mls_status status = check_wire_type(w, f);
    if (status)
        return status;
    if (f->descriptor->type == PROTOBUF_C_TYPE_STRING && !is_text(f->at, f->size))
        return mls__error(MLS_EFORMAT, "byte %zu: field '%s' of %s is not UTF-8 text",
                          position(w, f->at), f->descriptor->name, f->message->short_name);
    if (f->descriptor->type != PROTOBUF_C_TYPE_MESSAGE)
        return MLS_OK;
    status = check_once(w, f, seen);
    if (status)
        return status;
    return check_message(w->start, f->descriptor->descriptor, f->at, f->size, depth + 1);
}

static mls_status check_message(const uint8_t *start, const ProtobufCMessageDescriptor *message,
                                const uint8_t *at, size_t size, unsigned depth)
{
    walker w = {start, at, at + size};
    uint64_t seen = 0; /* a bit for each of the message's fields, of which there are below 64 */
    if (depth > MLS__WIRE_MAX_DEPTH)
        return mls__error(MLS_ELIMIT, "byte %zu: messages nest deeper than %d", position(&w, at),
                          MLS__WIRE_MAX_DEPTH);
    mls_status status = MLS_OK;
    while (!status && w.at < w.end) {
        field f;
        status = read_field(&w, message, &f);
        if (!status)
            status = check_field(&w, &f, depth, &seen);
    }
    return status;
}

mls_status mls__wire_check(const ProtobufCMessageDescriptor *descriptor, const void *data,
                           size_t size)
{
    if (size > INT_MAX)
        return mls__error(MLS_ELIMIT, "%zu bytes: a protobuf message has less than 2 GiB", size);
    return size ? check_message(data, descriptor, data, size, 1) : MLS_OK;
}
