/* SPDX-License-Identifier: Apache-2.0 */
/* The file as protobuf-c unpacks it, under names that can be read. */
#ifndef MLS_ONNX_PROTO_H
#define MLS_ONNX_PROTO_H

#include "base/alloc.h"

#include <mlscale/status.h>

#include "proto/onnx.pb-c.h"

typedef Mls__Onnx__ModelProto mls__model_proto;
typedef Mls__Onnx__FunctionProto mls__function_proto;
typedef Mls__Onnx__GraphProto mls__graph_proto;
typedef Mls__Onnx__NodeProto mls__node_proto;
typedef Mls__Onnx__AttributeProto mls__attr_proto;
typedef Mls__Onnx__TensorProto mls__tensor_proto;
typedef Mls__Onnx__SparseTensorProto mls__sparse_proto;
typedef Mls__Onnx__ValueInfoProto mls__value_proto;
typedef Mls__Onnx__TypeProto mls__type_proto;
typedef Mls__Onnx__TensorShapeProto mls__shape_proto;
typedef Mls__Onnx__TensorShapeProto__Dimension mls__dim_proto;
typedef Mls__Onnx__StringStringEntryProto mls__entry_proto;
typedef Mls__Onnx__SequenceProto mls__sequence_proto;
typedef Mls__Onnx__OptionalProto mls__optional_proto;

/* AttributeProto.type */
typedef enum mls__attr_kind {
    MLS__ATTR_FLOAT = 1,
    MLS__ATTR_INT = 2,
    MLS__ATTR_STRING = 3,
    MLS__ATTR_TENSOR = 4,
    MLS__ATTR_GRAPH = 5,
    MLS__ATTR_FLOATS = 6,
    MLS__ATTR_INTS = 7,
    MLS__ATTR_STRINGS = 8,
    MLS__ATTR_TENSORS = 9,
    MLS__ATTR_GRAPHS = 10,
    MLS__ATTR_SPARSE_TENSOR = 11,
    MLS__ATTR_SPARSE_TENSORS = 12,
    MLS__ATTR_TYPE = 13,
    MLS__ATTR_TYPES = 14
} mls__attr_kind;

/* TensorProto.data_location */
#define MLS__LOCATION_EXTERNAL 1

/* An optional string of the file. */
static inline const char *mls__proto_text(const char *text)
{
    return text ? text : "";
}

/*
 * Checks and unpacks a model. Every block of the result comes from `allocator`, so a
 * large one may be taken out of it (and its pointer set to NULL) rather than copied.
 * Errors: those of mls__wire_check(), MLS_ENOMEM.
 */
mls_status mls__proto_unpack(const mls__allocator *allocator, const void *data, size_t size,
                             mls__model_proto **ret_model);
void mls__proto_free(const mls__allocator *allocator, mls__model_proto *model);

/* The same for a message of any other kind, such as a tensor alone. */
mls_status mls__proto_unpack_message(const mls__allocator *allocator,
                                     const ProtobufCMessageDescriptor *descriptor, const void *data,
                                     size_t size, ProtobufCMessage **ret_message);
void mls__proto_free_message(const mls__allocator *allocator, ProtobufCMessage *message);

#endif
