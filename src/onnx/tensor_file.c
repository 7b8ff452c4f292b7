/* SPDX-License-Identifier: Apache-2.0 */
/* Files of one value: a TensorProto alone, as ONNX's test data has them. */
#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "onnx/tensor.h"
#include "tensor/dtype.h"
#include "tensor/tensor.h"

/* The tensors of a file, as many as the caller has room for. */
typedef struct items {
    mls__external external;
    mls_tensor **tensors;
    size_t capacity, count;
} items;

static mls_status read_item(items *i, mls__tensor_proto *proto)
{
    mls_status status = MLS_OK;
    if (i->count < i->capacity)
        status = mls__onnx_tensor_read(&i->external, proto, &i->tensors[i->count]);
    i->count += !status;
    return status;
}

static mls_status read_sequence(items *i, const mls__sequence_proto *proto)
{
    mls_status status = MLS_OK;
    if (proto->elem_type > 1)
        return mls__error(MLS_EUNSUPPORTED,
                          "a sequence of elem_type %d; only tensors, 1, are "
                          "supported",
                          proto->elem_type);
    for (size_t k = 0; !status && k < proto->n_tensor_values; k++)
        status = read_item(i, proto->tensor_values[k]);
    return status;
}

static mls_status read_optional(items *i, const mls__optional_proto *proto, uint32_t *ret_kind)
{
    *ret_kind = MLS_VALUE_OPTIONAL;
    if (proto->tensor_value) {
        *ret_kind = MLS_VALUE_TENSOR;
        return read_item(i, proto->tensor_value);
    }
    if (proto->sequence_value) {
        *ret_kind = MLS_VALUE_SEQUENCE;
        return read_sequence(i, proto->sequence_value);
    }
    return proto->elem_type == 0
               ? MLS_OK
               : mls__error(MLS_EUNSUPPORTED, "an optional of elem_type %d", proto->elem_type);
}

static mls_status read_message(items *i, uint32_t kind, ProtobufCMessage *message,
                               uint32_t *ret_kind)
{
    *ret_kind = kind;
    if (kind == MLS_VALUE_SEQUENCE)
        return read_sequence(i, (mls__sequence_proto *) message);
    if (kind == MLS_VALUE_OPTIONAL)
        return read_optional(i, (mls__optional_proto *) message, ret_kind);
    return read_item(i, (mls__tensor_proto *) message);
}

static mls_status read_bytes(mls_context *context, const mls__file_map *map, uint32_t kind,
                             items *i, uint32_t *ret_kind)
{
    static const ProtobufCMessageDescriptor *const descriptors[] = {
        [MLS_VALUE_TENSOR] = &mls__onnx__tensor_proto__descriptor,
        [MLS_VALUE_SEQUENCE] = &mls__onnx__sequence_proto__descriptor,
        [MLS_VALUE_OPTIONAL] = &mls__onnx__optional_proto__descriptor,
    };
    ProtobufCMessage *message;
    mls_status status = mls__proto_unpack_message(&context->allocator, descriptors[kind], map->data,
                                                  map->size, &message);
    if (status)
        return status;
    mls__external_init(&i->external, context, NULL);
    status = read_message(i, kind, message, ret_kind);
    mls__external_clear(&i->external);
    mls__proto_free_message(&context->allocator, message);
    return status;
}

mls_status mls_tensor_read_onnx_value(mls_context *context, const char *path, uint32_t kind,
                                      mls_tensor **ret_items, size_t capacity, size_t *ret_count,
                                      uint32_t *ret_kind)
{
    if (!context || !path || (capacity && !ret_items) || !ret_count || !ret_kind)
        return mls__error_null(__func__, "context, path and the results");
    if (kind == MLS_VALUE_MAP)
        return mls__error(MLS_EUNSUPPORTED, "'%.300s': files of maps are not read", path);
    if (kind > MLS_VALUE_OPTIONAL)
        return mls__error(MLS_EINVAL, "kind %u is none of MLS_VALUE_*", kind);
    mls__file_map map;
    mls_status status = mls__file_map_open(path, &map);
    if (status)
        return status;
    items i = {.tensors = ret_items, .capacity = capacity};
    status = read_bytes(context, &map, kind, &i, ret_kind);
    mls__file_map_close(&map);
    if (!status) {
        *ret_count = i.count;
        return MLS_OK;
    }
    for (size_t k = 0; k < i.count && k < capacity; k++)
        mls_tensor_free(ret_items[k]);
    return mls__error_at(status, "'%.300s'", path);
}

mls_status mls_tensor_read_onnx(mls_context *context, const char *path, mls_tensor **ret_tensor)
{
    mls_tensor *tensor;
    size_t count;
    uint32_t kind;
    if (!context || !path || !ret_tensor)
        return mls__error_null(__func__, "context, path and ret_tensor");
    const mls_status status =
        mls_tensor_read_onnx_value(context, path, MLS_VALUE_TENSOR, &tensor, 1, &count, &kind);
    if (!status)
        *ret_tensor = tensor;
    return status;
}

/* --- writing --- */

/* Elements below 8 bits share bytes in a file, the first in the lowest bits. */
static void pack_bits(const uint8_t *elements, int64_t count, unsigned bits, uint8_t *ret_bytes)
{
    const unsigned in_byte = 8 / bits, mask = (1u << bits) - 1;
    for (int64_t i = 0; i < count; i++)
        ret_bytes[i / in_byte] |=
            (uint8_t) ((elements[i] & mask) << (unsigned) (i % in_byte) * bits);
}

static mls_status set_raw(mls__arena *arena, const mls_tensor *tensor, mls__tensor_proto *proto)
{
    const unsigned bits = mls__dtype_info_get(tensor->dtype)->bits;
    size_t bytes = mls_tensor_size_bytes(tensor);
    uint8_t *data = tensor->data;
    if (bits < 8) {
        bytes = ((size_t) tensor->count * bits + 7) / 8;
        data = mls__arena_alloc(arena, bytes);
        if (!data)
            return mls__error_nomem(bytes);
        pack_bits(tensor->data, tensor->count, bits, data);
    }
    proto->has_raw_data = 1;
    proto->raw_data.data = data;
    proto->raw_data.len = bytes;
    return MLS_OK;
}

static mls_status set_strings(mls__arena *arena, const mls_tensor *tensor, mls__tensor_proto *proto)
{
    const mls_string *strings = tensor->data;
    const size_t count = (size_t) tensor->count;
    proto->string_data = mls__arena_array(arena, count, sizeof *proto->string_data);
    if (!proto->string_data)
        return mls__error_nomem(count * sizeof *proto->string_data);
    proto->n_string_data = count;
    for (size_t i = 0; i < count; i++) {
        proto->string_data[i].len = strings[i].size;
        proto->string_data[i].data = (uint8_t *) (uintptr_t) strings[i].data;
    }
    return MLS_OK;
}

static mls_status write_contiguous(mls__arena *arena, const mls_tensor *tensor, const char *name,
                                   const char *path)
{
    mls__tensor_proto proto = MLS__ONNX__TENSOR_PROTO__INIT;
    proto.n_dims = (size_t) tensor->rank;
    proto.dims = (int64_t *) (uintptr_t) tensor->dims;
    proto.has_data_type = 1;
    proto.data_type = tensor->dtype;
    proto.name = (char *) (uintptr_t) name;
    const mls_status status = tensor->dtype == MLS_STRING ? set_strings(arena, tensor, &proto)
                                                          : set_raw(arena, tensor, &proto);
    if (status)
        return status;
    const size_t size = mls__onnx__tensor_proto__get_packed_size(&proto);
    uint8_t *bytes = mls__arena_alloc(arena, size);
    if (!bytes)
        return mls__error_nomem(size);
    mls__onnx__tensor_proto__pack(&proto, bytes);
    return mls__file_write(path, bytes, size, NULL, 0);
}

mls_status mls_tensor_write_onnx(const mls_tensor *tensor, const char *name, const char *path)
{
    if (!tensor || !path)
        return mls__error_null(__func__, "tensor and path");
    mls_tensor *copy = NULL;
    mls_status status = MLS_OK;
    if (!mls_tensor_is_contiguous(tensor))
        status = mls_tensor_copy(tensor, &copy);
    if (status)
        return status;
    mls__arena arena;
    mls__arena_init(&arena, &mls__tensor_context(tensor)->allocator);
    status = write_contiguous(&arena, copy ? copy : tensor, name, path);
    mls__arena_clear(&arena);
    mls_tensor_free(copy);
    return status;
}
