/* SPDX-License-Identifier: Apache-2.0 */
/* What a model tells about itself. */
#include "graph/model.h"

#include "base/error.h"
#include "base/options.h"

static mls_status check_index(const char *what, size_t index, size_t count)
{
    if (index < count)
        return MLS_OK;
    return mls__error(MLS_EINVAL, "%s %zu: the model has %zu", what, index, count);
}

static mls_status describe(const mls_model *model, uint32_t index, mls_model_value *ret_value)
{
    const mls__value *value = mls__graph_value(&model->graph, index);
    const mls_model_value filled = {
        .size = sizeof filled,
        .name = value->name,
        .dtype = value->dtype,
        .rank = value->rank,
        .dims = value->dims,
        .dim_names = value->dim_names,
        .kind = value->kind,
        .key_dtype = (uint64_t) value->key_dtype,
    };
    return mls__options_write("mls_model_value", &filled, sizeof filled, sizeof filled, ret_value);
}

size_t mls_model_input_count(const mls_model *model)
{
    return model->graph.inputs.count;
}

size_t mls_model_output_count(const mls_model *model)
{
    return model->graph.outputs.count;
}

mls_status mls_model_input(const mls_model *model, size_t index, mls_model_value *ret_value)
{
    const mls_status status = check_index("input", index, model->graph.inputs.count);
    return status ? status : describe(model, mls__graph_input(&model->graph, index), ret_value);
}

mls_status mls_model_output(const mls_model *model, size_t index, mls_model_value *ret_value)
{
    const mls_status status = check_index("output", index, model->graph.outputs.count);
    return status ? status : describe(model, mls__graph_output(&model->graph, index), ret_value);
}

size_t mls_model_opset_count(const mls_model *model)
{
    return model->opsets.count;
}

mls_status mls_model_opset(const mls_model *model, size_t index, const char **ret_domain,
                           int64_t *ret_version)
{
    const mls_status status = check_index("opset", index, model->opsets.count);
    if (status)
        return status;
    const mls__opset *opset = mls__vec_at(&model->opsets, index);
    *ret_domain = opset->domain;
    *ret_version = opset->version;
    return MLS_OK;
}

size_t mls_model_op_count(const mls_model *model)
{
    return model->op_uses.count;
}

mls_status mls_model_op(const mls_model *model, size_t index, const char **ret_op, size_t *ret_uses)
{
    const mls_status status = check_index("op", index, model->op_uses.count);
    if (status)
        return status;
    const mls__op_uses *entry = mls__vec_at(&model->op_uses, index);
    *ret_op = entry->op;
    *ret_uses = entry->uses;
    return MLS_OK;
}

size_t mls_model_unsupported_count(const mls_model *model)
{
    return model->unsupported.count;
}

mls_status mls_model_unsupported(const mls_model *model, size_t index, const char **ret_op,
                                 const char **ret_node, const char **ret_reason)
{
    const mls_status status = check_index("unsupported node", index, model->unsupported.count);
    if (status)
        return status;
    const size_t *at = mls__vec_at(&model->unsupported, index);
    const mls__node *node = mls__graph_node(&model->graph, *at);
    *ret_op = node->type;
    *ret_node = node->name;
    *ret_reason = node->unsupported ? node->unsupported : "the op is not supported";
    return MLS_OK;
}

int64_t mls_model_parameter_count(const mls_model *model)
{
    return model->parameter_count;
}

size_t mls_model_metadata_count(const mls_model *model)
{
    return model->metadata.count;
}

mls_status mls_model_metadata(const mls_model *model, size_t index, const char **ret_key,
                              const char **ret_value)
{
    const mls_status status = check_index("metadata entry", index, model->metadata.count);
    if (status)
        return status;
    const mls__metadata *metadata = mls__vec_at(&model->metadata, index);
    *ret_key = metadata->key;
    *ret_value = metadata->value;
    return MLS_OK;
}
