/* SPDX-License-Identifier: Apache-2.0 */
/* Types: what a file declares a value to be. */
#include "onnx/reader.h"

#include "base/error.h"
#include "tensor/dtype.h"

#include <inttypes.h>

static const char *type_text(const mls__type_proto *type)
{
    switch (type->value_case) {
    case MLS__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE:
        return "a tensor";
    case MLS__ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
        return "a sequence";
    case MLS__ONNX__TYPE_PROTO__VALUE_MAP_TYPE:
        return "a map";
    case MLS__ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
        return "an optional";
    case MLS__ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE:
        return "a sparse tensor";
    default:
        return "of an unknown type";
    }
}

static mls_status read_dim(mls__arena *arena, const mls__dim_proto *proto, int64_t *ret_dim,
                           const char **ret_name)
{
    *ret_dim = -1;
    if (proto->value_case == MLS__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE) {
        /* -1 is how some exporters write a dynamic dimension. */
        if (proto->dim_value < -1)
            return mls__error(MLS_EFORMAT, "its dimension %" PRId64 " is negative",
                              proto->dim_value);
        *ret_dim = proto->dim_value;
    } else if (proto->value_case == MLS__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM &&
               proto->dim_param[0]) {
        *ret_name = mls__arena_string(arena, proto->dim_param);
        if (!*ret_name)
            return mls__error_nomem(1);
    }
    return MLS_OK;
}

static mls_status read_shape(mls__arena *arena, const mls__shape_proto *shape, mls__value *value)
{
    int64_t *dims = mls__arena_array(arena, shape->n_dim, sizeof *dims);
    const char **names = mls__arena_array(arena, shape->n_dim, sizeof *names);
    if (!dims || !names)
        return mls__error_nomem(shape->n_dim * sizeof *dims);
    for (size_t i = 0; i < shape->n_dim; i++) {
        const mls_status status = read_dim(arena, shape->dim[i], &dims[i], &names[i]);
        if (status)
            return status;
    }
    value->rank = (int32_t) shape->n_dim;
    value->dims = dims;
    value->dim_names = names;
    return MLS_OK;
}

static mls_status read_element_type(const Mls__Onnx__TypeProto__Tensor *tensor, mls__value *value)
{
    if (tensor->elem_type != MLS_DTYPE_NONE && !mls__dtype_is_valid(tensor->elem_type))
        return mls__error(MLS_EUNSUPPORTED, "has elem_type %d, which is not supported",
                          tensor->elem_type);
    value->dtype = tensor->elem_type;
    return MLS_OK;
}

static mls_status read_tensor_type(mls__arena *arena, const Mls__Onnx__TypeProto__Tensor *tensor,
                                   mls__value *value)
{
    const mls_status status = read_element_type(tensor, value);
    if (status || !tensor->shape)
        return status;
    if (tensor->shape->n_dim > MLS_MAX_RANK)
        return mls__error(MLS_EUNSUPPORTED, "has %zu dimensions; at most %d are supported",
                          tensor->shape->n_dim, MLS_MAX_RANK);
    return read_shape(arena, tensor->shape, value);
}

/* The tensors of a sequence differ in shape: nothing but their element type is taken over. */
static mls_status read_sequence_type(const mls__type_proto *element, mls__value *value)
{
    const bool is_open = !element || element->value_case == MLS__ONNX__TYPE_PROTO__VALUE__NOT_SET;
    /* ZipMap's sequence of maps is a tensor here. */
    if (!is_open && element->value_case != MLS__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        return mls__error(MLS_EUNSUPPORTED,
                          "is a sequence of what is %s; only sequences of "
                          "tensors are supported",
                          type_text(element));
    value->kind = MLS_VALUE_SEQUENCE;
    return is_open ? MLS_OK : read_element_type(element->tensor_type, value);
}

/* A value is one element, however its shape says so. */
static bool is_one_element(const mls__shape_proto *shape)
{
    for (size_t i = 0; shape && i < shape->n_dim; i++)
        if (shape->dim[i]->value_case ==
                MLS__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE &&
            shape->dim[i]->dim_value > 1)
            return false;
    return true;
}

static mls_status read_map_type(const Mls__Onnx__TypeProto__Map *map, mls__value *value)
{
    const mls__type_proto *type = map->value_type;
    mls__value read = {.dtype = MLS_DTYPE_NONE};
    if (map->key_type != MLS_STRING && map->key_type != MLS_INT64)
        return mls__error(
            MLS_EUNSUPPORTED,
            "is a map with keys of key_type %d; string, 8, and int64, 7, are supported",
            map->key_type);
    if (!type || type->value_case != MLS__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ||
        !is_one_element(type->tensor_type->shape))
        return mls__error(MLS_EUNSUPPORTED,
                          "is a map to what is %s; only single elements are "
                          "supported",
                          type ? type_text(type) : type_text(&(const mls__type_proto){0}));
    const mls_status status = read_element_type(type->tensor_type, &read);
    if (status)
        return status;
    if (read.dtype == MLS_DTYPE_NONE)
        return mls__error(MLS_EUNSUPPORTED, "is a map to elements of no type");
    value->dtype = read.dtype;
    value->key_dtype = map->key_type;
    value->kind = MLS_VALUE_MAP;
    return MLS_OK;
}

static mls_status read_optional_type(const mls__type_proto *element, mls__value *value)
{
    mls_status status = MLS_OK;
    const int kind = element ? (int) element->value_case : MLS__ONNX__TYPE_PROTO__VALUE__NOT_SET;
    if (kind == MLS__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        status = read_element_type(element->tensor_type, value);
    else if (kind == MLS__ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE)
        status = read_sequence_type(element->sequence_type->elem_type, value);
    else if (kind != MLS__ONNX__TYPE_PROTO__VALUE__NOT_SET)
        status = mls__error(MLS_EUNSUPPORTED,
                            "is an optional of what is %s; only optional tensors and sequences of "
                            "tensors are supported",
                            type_text(element));
    if (!status)
        value->kind = MLS_VALUE_OPTIONAL;
    return status;
}

mls_status mls__onnx_read_type(mls__arena *arena, const mls__type_proto *type, mls__value *value)
{
    switch (type->value_case) {
    case MLS__ONNX__TYPE_PROTO__VALUE__NOT_SET: /* nothing is said */
        return MLS_OK;
    case MLS__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE:
        return read_tensor_type(arena, type->tensor_type, value);
    case MLS__ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
        return read_sequence_type(type->sequence_type->elem_type, value);
    case MLS__ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
        return read_optional_type(type->optional_type->elem_type, value);
    case MLS__ONNX__TYPE_PROTO__VALUE_MAP_TYPE:
        return read_map_type(type->map_type, value);
    default:
        return mls__error(MLS_EUNSUPPORTED,
                          "is %s; tensors, sequences, optionals and maps are supported",
                          type_text(type));
    }
}
