/* SPDX-License-Identifier: Apache-2.0 */
/* Files of one tensor: a TensorProto alone, as ONNX's test data has them. */
#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "onnx/tensor.h"
#include "tensor/dtype.h"
#include "tensor/tensor.h"

static mls_status read_bytes(mls_context *context, const mls__file_map *map,
                             mls_tensor **ret_tensor)
{
    mls__tensor_proto *proto;
    mls__external external;
    mls_status status = mls__proto_unpack_tensor(&context->allocator, map->data, map->size, &proto);
    if (status)
        return status;
    mls__external_init(&external, context, NULL);
    status = mls__onnx_tensor_read(&external, proto, ret_tensor);
    mls__external_clear(&external);
    mls__proto_free_tensor(&context->allocator, proto);
    return status;
}

mls_status mls_tensor_read_onnx(mls_context *context, const char *path, mls_tensor **ret_tensor)
{
    if (!context || !path || !ret_tensor)
        return mls__error_null(__func__, "context, path and ret_tensor");
    mls__file_map map;
    mls_status status = mls__file_map_open(path, &map);
    if (status)
        return status;
    status = read_bytes(context, &map, ret_tensor);
    mls__file_map_close(&map);
    return status ? mls__error_at(status, "'%.300s'", path) : MLS_OK;
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
