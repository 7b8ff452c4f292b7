/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks protobuf bytes before protobuf-c sees them. protobuf-c bounds neither how
 * deep messages nest, which decides how much stack it takes, nor what merging
 * repeated copies of a message costs; and it does not say what is wrong or where.
 */
#ifndef MLS_ONNX_WIRE_H
#define MLS_ONNX_WIRE_H

#include <mlscale/status.h>

#include <protobuf-c/protobuf-c.h>

#include <stddef.h>

/*
 * The deepest nesting of messages: a subgraph takes three levels. It fits, unpacking
 * and all, the 128 KiB stack of a musl thread.
 */
#define MLS__WIRE_MAX_DEPTH 64

/*
 * Whether `size` bytes are a well-formed message of `descriptor`: tags, lengths, wire
 * types, text in UTF-8 without NUL, no submessage given twice where one is allowed.
 * Fields that the descriptor lacks are passed over.
 * Errors: MLS_EFORMAT (the byte, message and field), MLS_ELIMIT (depth, 2 GiB).
 */
mls_status mls__wire_check(const ProtobufCMessageDescriptor *descriptor, const void *data,
                           size_t size);

#endif
