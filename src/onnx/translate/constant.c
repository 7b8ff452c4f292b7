/* SPDX-License-Identifier: Apache-2.0 */
/* Constant nodes are no nodes here: what they give is a constant of the graph. */
#include "onnx/translate/translate.h"

#include "base/error.h"

#include <string.h>

/* The attributes that hold a plain value, and the tensor it makes. */
static const struct form {
    const char *attr;
    mls_attr_type type;
    mls_dtype dtype;
    int rank;
} forms[] = {
    {"value_float", MLS_ATTR_FLOAT, MLS_FLOAT32, 0},
    {"value_floats", MLS_ATTR_FLOATS, MLS_FLOAT32, 1},
    {"value_int", MLS_ATTR_INT, MLS_INT64, 0},
    {"value_ints", MLS_ATTR_INTS, MLS_INT64, 1},
    {"value_string", MLS_ATTR_STRING, MLS_STRING, 0},
    {"value_strings", MLS_ATTR_STRINGS, MLS_STRING, 1},
};

static const void *plain_value(const mls_attr *attr)
{
    switch (attr->type) {
    case MLS_ATTR_FLOAT:
        return &attr->f;
    case MLS_ATTR_INT:
        return &attr->i;
    case MLS_ATTR_FLOATS:
        return attr->floats;
    case MLS_ATTR_INTS:
        return attr->ints;
    default:
        return attr->strings;
    }
}

static mls_status create_plain(const mls__onnx_node *node, const mls_attr *attr,
                               const struct form *form, mls_tensor **ret_tensor)
{
    const int64_t dims[] = {(int64_t) attr->count};
    mls_context *context = node->reader->model->context;
    mls_tensor *borrowed;
    /* Only read: the copy is what the model gets. */
    void *data = (void *) (uintptr_t) plain_value(attr);
    mls_status status =
        mls_tensor_wrap(context, form->dtype, form->rank, dims, NULL, data, NULL, NULL, &borrowed);
    if (status)
        return status;
    status = mls_tensor_copy(borrowed, ret_tensor);
    mls_tensor_free(borrowed);
    return status;
}

static mls_status find_tensor(const mls__onnx_node *node, const mls_tensor **ret_tensor)
{
    const mls_attr *attr = &node->attrs[0];
    if (attr->type == MLS_ATTR_TENSOR &&
        (strcmp(attr->name, "value") == 0 || strcmp(attr->name, "sparse_value") == 0)) {
        *ret_tensor = attr->tensor;
        return MLS_OK;
    }
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (attr->type != (int32_t) forms[i].type || strcmp(attr->name, forms[i].attr) != 0)
            continue;
        mls_tensor *tensor;
        mls_status status = create_plain(node, attr, &forms[i], &tensor);
        if (!status)
            status = mls__model_add_tensor(node->reader->model, tensor);
        if (!status)
            *ret_tensor = tensor;
        return status;
    }
    return mls__error(MLS_EFORMAT, "attribute '%.100s' of type %d is none of Constant's",
                      attr->name, attr->type);
}

mls_status mls__onnx_read_constant(const mls__onnx_node *node)
{
    const mls_tensor *tensor;
    uint32_t value;
    if (node->attr_count != 1 || node->proto->n_input || node->proto->n_output != 1)
        return mls__error(MLS_EFORMAT,
                          "a Constant has one attribute, no input and one output; this one has "
                          "%zu, %zu and %zu",
                          node->attr_count, node->proto->n_input, node->proto->n_output);
    mls_status status = find_tensor(node, &tensor);
    if (!status)
        status = mls__onnx_value(node->reader, node->proto->output[0], &value);
    if (!status && value != MLS__NO_VALUE)
        mls__graph_set_constant(node->reader->graph, value, tensor);
    return status;
}
