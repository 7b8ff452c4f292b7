/* SPDX-License-Identifier: Apache-2.0 */
/* protobuf-c on the host's allocator. */
#include "onnx/proto.h"

#include "base/error.h"
#include "onnx/wire.h"

#include <stdbool.h>

typedef struct heap {
    const mls__allocator *allocator;
    size_t refused; /* bytes of the first request that failed, or 0 */
} heap;

static void *heap_alloc(void *user, size_t size)
{
    heap *h = user;
    void *block = mls__alloc(h->allocator, size);
    if (!block && !h->refused)
        h->refused = size ? size : 1;
    return block;
}

static void heap_free(void *user, void *block)
{
    heap *h = user;
    mls__free(h->allocator, block);
}

mls_status mls__proto_unpack_message(const mls__allocator *allocator,
                                     const ProtobufCMessageDescriptor *descriptor, const void *data,
                                     size_t size, ProtobufCMessage **ret_message)
{
    const mls_status status = mls__wire_check(descriptor, data, size);
    if (status)
        return status;
    heap h = {allocator, 0};
    ProtobufCAllocator functions = {heap_alloc, heap_free, &h};
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &functions, size, data);
    if (!message && h.refused)
        return mls__error_nomem(h.refused);
    if (!message)
        return mls__error(MLS_EFORMAT, "a list of packed numbers is cut short");
    *ret_message = message;
    return MLS_OK;
}

void mls__proto_free_message(const mls__allocator *allocator, ProtobufCMessage *message)
{
    heap h = {allocator, 0};
    ProtobufCAllocator functions = {heap_alloc, heap_free, &h};
    protobuf_c_message_free_unpacked(message, &functions);
}

mls_status mls__proto_unpack(const mls__allocator *allocator, const void *data, size_t size,
                             mls__model_proto **ret_model)
{
    ProtobufCMessage *message;
    const mls_status status = mls__proto_unpack_message(
        allocator, &mls__onnx__model_proto__descriptor, data, size, &message);
    if (!status)
        *ret_model = (mls__model_proto *) message;
    return status;
}

void mls__proto_free(const mls__allocator *allocator, mls__model_proto *model)
{
    mls__proto_free_message(allocator, &model->base);
}
