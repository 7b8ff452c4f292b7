/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads TensorProto. Nothing in it is believed: dims are multiplied with care, every
 * length must be exactly what the dims ask for, every number must fit its type.
 */
#include "onnx/tensor.h"

#include "base/error.h"
#include "onnx/reading.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "raw_data is little-endian and used as it lies; a big-endian port must swap it here"
#endif

static mls_status read_dtype(mls__reading *r)
{
    const int32_t type = r->proto->data_type;
    r->info = mls__dtype_info_get(type);
    r->dtype = (mls_dtype) type;
    if (r->info)
        return MLS_OK;
    if (type <= 0)
        return mls__error(MLS_EFORMAT, "data_type %d is none", type);
    return mls__error(MLS_EUNSUPPORTED, "data_type %d%s is not supported", type,
                      type == 14 || type == 15 ? " (complex)" : "");
}

static mls_status read_dims(mls__reading *r)
{
    const size_t rank = r->proto->n_dims;
    const int64_t *dims = r->proto->dims;
    char text[MLS__SHAPE_TEXT];
    size_t bytes;
    if (rank > MLS_MAX_RANK)
        return mls__error(MLS_EUNSUPPORTED, "%zu dimensions; at most %d are supported", rank,
                          MLS_MAX_RANK);
    r->rank = (int) rank;
    for (size_t i = 0; i < rank; i++)
        if (dims[i] < 0)
            return mls__error(MLS_EFORMAT, "dimension %zu is negative (%" PRId64 ")", i, dims[i]);
    if (!mls__shape_bytes(r->dtype, r->rank, dims, &bytes))
        return mls__error(MLS_EFORMAT, "%s %s is more than memory can hold", r->info->name,
                          mls__shape_text(r->rank, dims, text));
    mls__shape_count(r->rank, dims, &r->count);
    /* None of this overflows: in memory an element takes as many bytes or more. */
    const size_t per_byte = r->info->bits && r->info->bits < 8 ? 8 / r->info->bits : 1;
    r->packed = (size_t) r->count / per_byte + ((size_t) r->count % per_byte != 0);
    if (per_byte == 1)
        r->packed *= r->info->bits / 8;
    return MLS_OK;
}

mls_status mls__reading_create(const mls__reading *r, mls_tensor **ret_tensor)
{
    return mls_tensor_create(r->context, r->dtype, r->rank, r->proto->dims, ret_tensor);
}

static void free_block(void *user, void *data)
{
    mls_context *context = user;
    mls__free(&context->allocator, data);
}

mls_status mls__reading_take(const mls__reading *r, void *block, mls_tensor **ret_tensor)
{
    return mls_tensor_wrap(r->context, r->dtype, r->rank, r->proto->dims, NULL, block, free_block,
                           r->context, ret_tensor);
}

/* A bool is one byte, and anything but 0 is true. */
static void fix_bools(const mls__reading *r, uint8_t *data)
{
    for (int64_t i = 0; r->dtype == MLS_BOOL && i < r->count; i++)
        data[i] = data[i] != 0;
}

/* One byte an element from elements of 2 or 4 bits, the first in the lowest bits. */
static void unpack_bits(const mls__reading *r, const uint8_t *packed, uint8_t *data)
{
    const unsigned bits = r->info->bits, per_byte = 8 / bits;
    const unsigned mask = (1u << bits) - 1, sign = 1u << (bits - 1);
    const bool is_signed = r->info->class == MLS__CLASS_SIGNED;
    for (int64_t i = 0; i < r->count; i++) {
        const unsigned value = packed[i / per_byte] >> (i % per_byte * bits) & mask;
        data[i] = (uint8_t) (is_signed ? (value ^ sign) - sign : value);
    }
}

mls_status mls__reading_copy(const mls__reading *r, const void *bytes, mls_tensor **ret_tensor)
{
    mls_tensor *tensor;
    const mls_status status = mls__reading_create(r, &tensor);
    if (status)
        return status;
    uint8_t *data = mls_tensor_data(tensor);
    if (r->info->bits < 8)
        unpack_bits(r, bytes, data);
    else if (r->count)
        memcpy(data, bytes, r->packed);
    fix_bools(r, data);
    *ret_tensor = tensor;
    return MLS_OK;
}

static mls_status read_raw(mls__reading *r, mls_tensor **ret_tensor)
{
    ProtobufCBinaryData *raw = &r->proto->raw_data;
    if (raw->len != r->packed)
        return mls__error(MLS_EFORMAT, "raw_data has %zu bytes, the dims make %zu", raw->len,
                          r->packed);
    if (r->info->bits < 8 || r->count == 0 || r->external->is_read_again)
        return mls__reading_copy(r, raw->data, ret_tensor);
    fix_bools(r, raw->data);
    const mls_status status = mls__reading_take(r, raw->data, ret_tensor);
    if (!status)
        *raw = (ProtobufCBinaryData){0, NULL};
    return status;
}

static mls_status read_external(mls__reading *r, mls_tensor **ret_tensor)
{
    void *data;
    mls__weight_file *file;
    mls_status status = mls__external_find(r->external, r->proto, r->packed, &data, &file);
    if (status)
        return status;
    const bool is_usable = r->info->bits >= 8 && r->dtype != MLS_BOOL && r->count &&
                           (uintptr_t) data % r->info->size == 0;
    if (!is_usable) {
        status = mls__reading_copy(r, data, ret_tensor);
        mls__weight_file_unref(file, NULL);
        return status;
    }
    status = mls_tensor_wrap(r->context, r->dtype, r->rank, r->proto->dims, NULL, data,
                             mls__weight_file_unref, file, ret_tensor);
    if (status)
        mls__weight_file_unref(file, NULL);
    return status;
}

static mls_status read_contents(mls__reading *r, mls_tensor **ret_tensor)
{
    const mls__tensor_proto *proto = r->proto;
    const bool is_external = proto->data_location == MLS__LOCATION_EXTERNAL;
    if (proto->segment)
        return mls__error(MLS_EUNSUPPORTED, "it is stored in segments");
    if (r->dtype == MLS_STRING && (is_external || proto->raw_data.len))
        return mls__error(MLS_EFORMAT, "strings are only allowed in string_data");
    if (is_external)
        return read_external(r, ret_tensor);
    if (proto->raw_data.len)
        return read_raw(r, ret_tensor);
    return mls__reading_lists(r, ret_tensor);
}

mls_status mls__onnx_tensor_read(mls__external *external, mls__tensor_proto *proto,
                                 mls_tensor **ret_tensor)
{
    mls__reading r = {.external = external, .context = external->context, .proto = proto};
    mls_status status = read_dtype(&r);
    if (!status)
        status = read_dims(&r);
    if (!status)
        status = read_contents(&r, ret_tensor);
    return status;
}
