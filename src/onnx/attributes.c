/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes: the field that holds the value must be the one that the type names. */
#include "onnx/reader.h"

#include "base/error.h"
#include "onnx/tensor.h"

#include <string.h>

#define KIND_BIT(kind) (1u << (kind))

/* A bit for each field that is set. */
static unsigned fields_present(const mls__attr_proto *proto)
{
    const struct {
        mls__attr_kind kind;
        bool is_present;
    } fields[] = {
        {MLS__ATTR_FLOAT, proto->has_f},
        {MLS__ATTR_INT, proto->has_i},
        {MLS__ATTR_STRING, proto->has_s},
        {MLS__ATTR_TENSOR, proto->t != NULL},
        {MLS__ATTR_GRAPH, proto->g != NULL},
        {MLS__ATTR_SPARSE_TENSOR, proto->sparse_tensor != NULL},
        {MLS__ATTR_TYPE, proto->tp != NULL},
        {MLS__ATTR_FLOATS, proto->n_floats != 0},
        {MLS__ATTR_INTS, proto->n_ints != 0},
        {MLS__ATTR_STRINGS, proto->n_strings != 0},
        {MLS__ATTR_TENSORS, proto->n_tensors != 0},
        {MLS__ATTR_GRAPHS, proto->n_graphs != 0},
        {MLS__ATTR_SPARSE_TENSORS, proto->n_sparse_tensors != 0},
        {MLS__ATTR_TYPES, proto->n_type_protos != 0},
    };
    unsigned present = 0;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (fields[i].is_present)
            present |= KIND_BIT(fields[i].kind);
    return present;
}

static mls_status check_fields(const mls__attr_proto *proto)
{
    const unsigned pointers =
        KIND_BIT(MLS__ATTR_TENSOR) | KIND_BIT(MLS__ATTR_GRAPH) | KIND_BIT(MLS__ATTR_SPARSE_TENSOR);
    if (proto->type < MLS__ATTR_FLOAT || proto->type > MLS__ATTR_TYPES)
        return mls__error(MLS_EFORMAT, "has type %d, which is none", proto->type);
    const unsigned own = KIND_BIT(proto->type), present = fields_present(proto);
    if (present & ~own)
        return mls__error(MLS_EFORMAT, "has type %d, but a value of another type", proto->type);
    /* Zeros and empty lists need not be written. */
    if ((own & pointers) && !present)
        return mls__error(MLS_EFORMAT, "has type %d, but no value", proto->type);
    return MLS_OK;
}

static bool read_strings(mls__arena *arena, const ProtobufCBinaryData *data, size_t count,
                         mls_attr *attr)
{
    mls_string *strings = mls__arena_array(arena, count, sizeof *strings);
    for (size_t i = 0; strings && i < count; i++) {
        const char *copy = mls__arena_bytes(arena, data[i].data, data[i].len);
        if (!copy)
            return false;
        strings[i] = (mls_string){copy, data[i].len};
    }
    attr->strings = strings;
    attr->count = count;
    return strings != NULL;
}

static bool read_plain(mls__arena *arena, const mls__attr_proto *proto, mls_attr *attr)
{
    void *copy = NULL;
    switch (proto->type) {
    case MLS__ATTR_FLOAT:
        attr->f = proto->f;
        return true;
    case MLS__ATTR_INT:
        attr->i = proto->i;
        return true;
    case MLS__ATTR_STRING:
        return read_strings(arena, &proto->s, 1, attr);
    case MLS__ATTR_STRINGS:
        return read_strings(arena, proto->strings, proto->n_strings, attr);
    case MLS__ATTR_FLOATS:
        attr->count = proto->n_floats;
        attr->floats = copy = mls__arena_array(arena, attr->count, sizeof *attr->floats);
        if (copy && attr->count)
            memcpy(copy, proto->floats, attr->count * sizeof *attr->floats);
        return copy != NULL;
    default:
        attr->count = proto->n_ints;
        attr->ints = copy = mls__arena_array(arena, attr->count, sizeof *attr->ints);
        if (copy && attr->count)
            memcpy(copy, proto->ints, attr->count * sizeof *attr->ints);
        return copy != NULL;
    }
}

static mls_status read_tensor(mls__onnx_reader *reader, const mls__attr_proto *proto,
                              mls_attr *attr)
{
    mls_tensor *tensor;
    mls_status status =
        proto->type == MLS__ATTR_TENSOR
            ? mls__onnx_tensor_read(reader->external, proto->t, &tensor)
            : mls__onnx_sparse_read(reader->external, proto->sparse_tensor, &tensor);
    if (!status)
        status = mls__model_add_tensor(reader->model, tensor);
    if (!status) {
        attr->type = MLS_ATTR_TENSOR;
        attr->tensor = tensor;
    }
    return status;
}

static mls_status read_value(mls__onnx_reader *reader, const mls__attr_proto *proto, mls_attr *attr)
{
    switch (proto->type) {
    case MLS__ATTR_TENSOR:
    case MLS__ATTR_SPARSE_TENSOR:
        return read_tensor(reader, proto, attr);
    case MLS__ATTR_GRAPHS:
        return mls__error(MLS_EUNSUPPORTED, "is a list of subgraphs, which is not supported");
    case MLS__ATTR_TENSORS:
    case MLS__ATTR_SPARSE_TENSORS:
    case MLS__ATTR_TYPE:
    case MLS__ATTR_TYPES:
        return mls__error(MLS_EUNSUPPORTED, "has type %d, which is not supported", proto->type);
    default:
        if (!read_plain(&reader->graph->arena, proto, attr))
            return mls__error(MLS_ENOMEM, "out of memory while reading it");
        return MLS_OK;
    }
}

mls_status mls__onnx_read_attr(mls__onnx_reader *reader, const mls__attr_proto *proto,
                               const char *name, mls_attr *ret_attr)
{
    if (!name[0])
        return mls__error(MLS_EFORMAT, "an attribute has no name");
    mls_attr attr = {.type = proto->type, .count = 1};
    attr.name = mls__arena_string(&reader->graph->arena, name);
    mls_status status = attr.name ? check_fields(proto) : mls__error_nomem(strlen(name));
    if (!status)
        status = read_value(reader, proto, &attr);
    if (status)
        return mls__error_at(status, "attribute '%.100s'", name);
    *ret_attr = attr;
    return MLS_OK;
}
