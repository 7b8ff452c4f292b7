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

mls_status mls__proto_unpack(const mls__allocator *allocator, const void *data, size_t size,
                             mls__model_proto **ret_model)
{
    const mls_status status = mls__wire_check(&mls__onnx__model_proto__descriptor, data, size);
    if (status)
        return status;
    heap h = {allocator, 0};
    ProtobufCAllocator functions = {heap_alloc, heap_free, &h};
    mls__model_proto *model = mls__onnx__model_proto__unpack(&functions, size, data);
    if (!model && h.refused)
        return mls__error_nomem(h.refused);
    if (!model)
        return mls__error(MLS_EFORMAT, "a list of packed numbers is cut short");
    *ret_model = model;
    return MLS_OK;
}

void mls__proto_free(const mls__allocator *allocator, mls__model_proto *model)
{
    heap h = {allocator, 0};
    ProtobufCAllocator functions = {heap_alloc, heap_free, &h};
    mls__onnx__model_proto__free_unpacked(model, &functions);
}
