/* SPDX-License-Identifier: Apache-2.0 */
/* Fills in protobuf-c's structs; all memory is in one list that goes with the build. */
#include "support/onnx_build.h"

#include "graph/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct block {
    struct block *next;
    _Alignas(max_align_t) unsigned char data[];
} block;

struct onnx_build {
    block *blocks;
    onnx_build *bodies; /* whose graphs are in this model, by `next` */
    onnx_build *next;
    mls__model_proto model;
};

struct onnx_node {
    onnx_build *build;
    mls__node_proto proto;
};

void *onnx_build_alloc(onnx_build *build, size_t size)
{
    block *b = calloc(1, sizeof *b + size);
    if (!b)
        abort();
    b->next = build->blocks;
    build->blocks = b;
    return b->data;
}

static void *copy(onnx_build *build, const void *data, size_t size)
{
    void *target = onnx_build_alloc(build, size);
    if (size)
        memcpy(target, data, size);
    return target;
}

char *onnx_build_text(onnx_build *build, const char *text)
{
    return copy(build, text, strlen(text) + 1);
}

/* Appends to a repeated field of pointers: a new, longer array each time the count is a power of 2.
 */
static void push(onnx_build *build, void *list, size_t *count, void *entry)
{
    void **entries;
    memcpy(&entries, list, sizeof entries);
    if ((*count & (*count - 1)) == 0) {
        void **longer = onnx_build_alloc(build, 2 * (*count + 1) * sizeof *longer);
        if (*count)
            memcpy(longer, entries, *count * sizeof *longer);
        entries = longer;
        memcpy(list, &entries, sizeof entries);
    }
    entries[(*count)++] = entry;
}

onnx_build *onnx_build_create(int64_t opset)
{
    onnx_build *build = calloc(1, sizeof *build);
    if (!build)
        abort();
    mls__onnx__model_proto__init(&build->model);
    build->model.has_ir_version = 1;
    build->model.ir_version = 8;
    build->model.graph = onnx_build_alloc(build, sizeof *build->model.graph);
    mls__onnx__graph_proto__init(build->model.graph);
    build->model.graph->name = onnx_build_text(build, "test");
    if (opset)
        onnx_build_opset(build, "", opset);
    return build;
}

void onnx_build_free(onnx_build *build)
{
    while (build && build->bodies) {
        onnx_build *next = build->bodies->next;
        onnx_build_free(build->bodies);
        build->bodies = next;
    }
    while (build && build->blocks) {
        block *next = build->blocks->next;
        free(build->blocks);
        build->blocks = next;
    }
    free(build);
}

mls__model_proto *onnx_build_model(onnx_build *build)
{
    return &build->model;
}

void onnx_build_opset(onnx_build *build, const char *domain, int64_t version)
{
    Mls__Onnx__OperatorSetIdProto *opset = onnx_build_alloc(build, sizeof *opset);
    mls__onnx__operator_set_id_proto__init(opset);
    opset->domain = onnx_build_text(build, domain);
    opset->has_version = 1;
    opset->version = version;
    push(build, &build->model.opset_import, &build->model.n_opset_import, opset);
}

/* Calls `each` with every part of `text` between separators. */
static void split(onnx_build *build, const char *text, const char *separators, void *arg,
                  void (*each)(onnx_build *build, void *arg, const char *part))
{
    while (*text) {
        const size_t size = strcspn(text, separators);
        char *part = onnx_build_alloc(build, size + 1);
        memcpy(part, text, size);
        each(build, arg, part);
        text += size;
        text += *text != '\0';
    }
}

static void add_dim(onnx_build *build, void *arg, const char *part)
{
    mls__shape_proto *shape = arg;
    mls__dim_proto *dim = onnx_build_alloc(build, sizeof *dim);
    mls__onnx__tensor_shape_proto__dimension__init(dim);
    char *end;
    const long long value = strtoll(part, &end, 10);
    if (*end == '\0') {
        dim->value_case = MLS__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dim->dim_value = value;
    } else if (strcmp(part, "?") != 0) {
        dim->value_case = MLS__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        dim->dim_param = onnx_build_text(build, part);
    }
    push(build, &shape->dim, &shape->n_dim, dim);
}

static mls__value_proto *create_value(onnx_build *build, const char *name, int32_t dtype,
                                      const char *shape)
{
    mls__value_proto *value = onnx_build_alloc(build, sizeof *value);
    mls__onnx__value_info_proto__init(value);
    value->name = onnx_build_text(build, name);
    mls__type_proto *type = value->type = onnx_build_alloc(build, sizeof *type);
    mls__onnx__type_proto__init(type);
    type->value_case = MLS__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = onnx_build_alloc(build, sizeof *type->tensor_type);
    mls__onnx__type_proto__tensor__init(type->tensor_type);
    type->tensor_type->has_elem_type = 1;
    type->tensor_type->elem_type = dtype;
    if (shape) {
        type->tensor_type->shape = onnx_build_alloc(build, sizeof *type->tensor_type->shape);
        mls__onnx__tensor_shape_proto__init(type->tensor_type->shape);
        split(build, shape, ",", type->tensor_type->shape, add_dim);
    }
    return value;
}

void onnx_build_input(onnx_build *build, const char *name, int32_t dtype, const char *shape)
{
    mls__graph_proto *graph = build->model.graph;
    push(build, &graph->input, &graph->n_input, create_value(build, name, dtype, shape));
}

void onnx_build_output(onnx_build *build, const char *name, int32_t dtype, const char *shape)
{
    mls__graph_proto *graph = build->model.graph;
    push(build, &graph->output, &graph->n_output, create_value(build, name, dtype, shape));
}

void onnx_build_value(onnx_build *build, const char *name, int32_t dtype, const char *shape)
{
    mls__graph_proto *graph = build->model.graph;
    push(build, &graph->value_info, &graph->n_value_info, create_value(build, name, dtype, shape));
}

static void add_tensor_dim(onnx_build *build, void *arg, const char *part)
{
    mls__tensor_proto *tensor = arg;
    if (!tensor->dims)
        tensor->dims = onnx_build_alloc(build, 64 * sizeof *tensor->dims);
    if (tensor->n_dims < 64)
        tensor->dims[tensor->n_dims++] = strtoll(part, NULL, 10);
}

mls__tensor_proto *onnx_build_tensor(onnx_build *build, const char *name, int32_t dtype,
                                     const char *shape, const void *data, size_t size_bytes)
{
    mls__tensor_proto *tensor = onnx_build_alloc(build, sizeof *tensor);
    mls__onnx__tensor_proto__init(tensor);
    tensor->name = onnx_build_text(build, name);
    tensor->has_data_type = 1;
    tensor->data_type = dtype;
    split(build, shape, ",", tensor, add_tensor_dim);
    tensor->has_raw_data = data != NULL;
    if (data)
        tensor->raw_data = (ProtobufCBinaryData){size_bytes, copy(build, data, size_bytes)};
    return tensor;
}

mls__tensor_proto *onnx_build_raw(onnx_build *build, const char *name, int32_t dtype,
                                  const char *shape, const void *data, size_t size_bytes)
{
    mls__tensor_proto *tensor = onnx_build_tensor(build, name, dtype, shape, data, size_bytes);
    mls__graph_proto *graph = build->model.graph;
    push(build, &graph->initializer, &graph->n_initializer, tensor);
    return tensor;
}

static size_t element_count(onnx_build *build, const char *shape)
{
    const mls__tensor_proto *tensor = onnx_build_tensor(build, "", 0, shape, NULL, 0);
    size_t count = 1;
    for (size_t i = 0; i < tensor->n_dims; i++)
        count *= (size_t) tensor->dims[i];
    return count;
}

mls__tensor_proto *onnx_build_floats(onnx_build *build, const char *name, const char *shape,
                                     const float *data)
{
    return onnx_build_raw(build, name, MLS_FLOAT32, shape, data,
                          element_count(build, shape) * sizeof *data);
}

mls__tensor_proto *onnx_build_ints(onnx_build *build, const char *name, const char *shape,
                                   const int64_t *data)
{
    return onnx_build_raw(build, name, MLS_INT64, shape, data,
                          element_count(build, shape) * sizeof *data);
}

static const char *name_of(const char *part)
{
    return strcmp(part, "-") == 0 ? "" : part;
}

static void add_input(onnx_build *build, void *arg, const char *part)
{
    mls__node_proto *node = arg;
    push(build, &node->input, &node->n_input, onnx_build_text(build, name_of(part)));
}

static void add_output(onnx_build *build, void *arg, const char *part)
{
    mls__node_proto *node = arg;
    push(build, &node->output, &node->n_output, onnx_build_text(build, name_of(part)));
}

onnx_node *onnx_build_node(onnx_build *build, const char *op, const char *inputs,
                           const char *outputs)
{
    onnx_node *node = onnx_build_alloc(build, sizeof *node);
    const char *colon = strchr(op, ':');
    node->build = build;
    mls__onnx__node_proto__init(&node->proto);
    node->proto.op_type = onnx_build_text(build, colon ? colon + 1 : op);
    if (colon) {
        node->proto.domain = onnx_build_text(build, op);
        node->proto.domain[colon - op] = '\0';
    }
    split(build, inputs, " ", &node->proto, add_input);
    split(build, outputs, " ", &node->proto, add_output);
    mls__graph_proto *graph = build->model.graph;
    push(build, &graph->node, &graph->n_node, &node->proto);
    return node;
}

mls__node_proto *onnx_node_proto(onnx_node *node)
{
    return &node->proto;
}

void onnx_node_name(onnx_node *node, const char *name)
{
    node->proto.name = onnx_build_text(node->build, name);
}

static void keep_body(onnx_build *build, onnx_build *body)
{
    body->next = build->bodies;
    build->bodies = body;
}

void onnx_node_body(onnx_node *node, const char *name, onnx_build *body)
{
    keep_body(node->build, body);
    onnx_node_attr(node, name, MLS__ATTR_GRAPH)->g = body->model.graph;
}

static char **value_names(onnx_build *build, mls__value_proto *const *values, size_t count)
{
    char **names = onnx_build_alloc(build, count * sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = values[i]->name;
    return names;
}

mls__function_proto *onnx_build_function(onnx_build *build, const char *domain, const char *name,
                                         onnx_build *body)
{
    mls__graph_proto *graph = body->model.graph;
    mls__model_proto *model = &build->model;
    mls__function_proto *function = onnx_build_alloc(build, sizeof *function);
    mls__function_proto **more =
        onnx_build_alloc(build, (model->n_functions + 1) * sizeof(mls__function_proto *));
    mls__onnx__function_proto__init(function);
    keep_body(build, body);
    function->name = onnx_build_text(build, name);
    function->domain = onnx_build_text(build, domain);
    function->n_input = graph->n_input;
    function->input = value_names(build, graph->input, graph->n_input);
    function->n_output = graph->n_output;
    function->output = value_names(build, graph->output, graph->n_output);
    function->n_node = graph->n_node;
    function->node = graph->node;
    function->n_opset_import = body->model.n_opset_import;
    function->opset_import = body->model.opset_import;
    for (size_t i = 0; i < model->n_functions; i++)
        more[i] = model->functions[i];
    more[model->n_functions++] = function;
    model->functions = more;
    return function;
}

void onnx_build_sequence_type(onnx_build *build, mls__value_proto *value)
{
    mls__type_proto *type = onnx_build_alloc(build, sizeof *type);
    mls__onnx__type_proto__init(type);
    type->value_case = MLS__ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
    type->sequence_type = onnx_build_alloc(build, sizeof *type->sequence_type);
    mls__onnx__type_proto__sequence__init(type->sequence_type);
    type->sequence_type->elem_type = value->type;
    value->type = type;
}

void onnx_build_optional_type(onnx_build *build, mls__value_proto *value)
{
    mls__type_proto *type = onnx_build_alloc(build, sizeof *type);
    mls__onnx__type_proto__init(type);
    type->value_case = MLS__ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE;
    type->optional_type = onnx_build_alloc(build, sizeof *type->optional_type);
    mls__onnx__type_proto__optional__init(type->optional_type);
    type->optional_type->elem_type = value->type;
    value->type = type;
}

void onnx_build_map_type(onnx_build *build, mls__value_proto *value, int32_t key_type)
{
    mls__type_proto *type = onnx_build_alloc(build, sizeof *type);
    mls__onnx__type_proto__init(type);
    type->value_case = MLS__ONNX__TYPE_PROTO__VALUE_MAP_TYPE;
    type->map_type = onnx_build_alloc(build, sizeof *type->map_type);
    mls__onnx__type_proto__map__init(type->map_type);
    type->map_type->has_key_type = 1;
    type->map_type->key_type = key_type;
    type->map_type->value_type = value->type;
    value->type = type;
}

mls__attr_proto *onnx_node_attr(onnx_node *node, const char *name, int32_t type)
{
    mls__attr_proto *attr = onnx_build_alloc(node->build, sizeof *attr);
    mls__onnx__attribute_proto__init(attr);
    attr->name = onnx_build_text(node->build, name);
    attr->has_type = 1;
    attr->type = type;
    push(node->build, &node->proto.attribute, &node->proto.n_attribute, attr);
    return attr;
}

void onnx_node_int(onnx_node *node, const char *name, int64_t value)
{
    mls__attr_proto *attr = onnx_node_attr(node, name, MLS__ATTR_INT);
    attr->has_i = 1;
    attr->i = value;
}

void onnx_node_float(onnx_node *node, const char *name, float value)
{
    mls__attr_proto *attr = onnx_node_attr(node, name, MLS__ATTR_FLOAT);
    attr->has_f = 1;
    attr->f = value;
}

static ProtobufCBinaryData bytes_of(onnx_build *build, const char *text)
{
    return (ProtobufCBinaryData){strlen(text), copy(build, text, strlen(text))};
}

void onnx_node_string(onnx_node *node, const char *name, const char *value)
{
    mls__attr_proto *attr = onnx_node_attr(node, name, MLS__ATTR_STRING);
    attr->has_s = 1;
    attr->s = bytes_of(node->build, value);
}

void onnx_node_ints(onnx_node *node, const char *name, size_t count, const int64_t *values)
{
    mls__attr_proto *attr = onnx_node_attr(node, name, MLS__ATTR_INTS);
    attr->n_ints = count;
    attr->ints = copy(node->build, values, count * sizeof *values);
}

void onnx_node_floats(onnx_node *node, const char *name, size_t count, const float *values)
{
    mls__attr_proto *attr = onnx_node_attr(node, name, MLS__ATTR_FLOATS);
    attr->n_floats = count;
    attr->floats = copy(node->build, values, count * sizeof *values);
}

void onnx_node_strings(onnx_node *node, const char *name, size_t count, const char *const *values)
{
    mls__attr_proto *attr = onnx_node_attr(node, name, MLS__ATTR_STRINGS);
    attr->n_strings = count;
    attr->strings = onnx_build_alloc(node->build, count * sizeof *attr->strings);
    for (size_t i = 0; i < count; i++)
        attr->strings[i] = bytes_of(node->build, values[i]);
}

void onnx_node_tensor(onnx_node *node, const char *name, mls__tensor_proto *tensor)
{
    onnx_node_attr(node, name, MLS__ATTR_TENSOR)->t = tensor;
}

const uint8_t *onnx_build_bytes(onnx_build *build, size_t *ret_size)
{
    *ret_size = mls__onnx__model_proto__get_packed_size(&build->model);
    uint8_t *bytes = onnx_build_alloc(build, *ret_size);
    mls__onnx__model_proto__pack(&build->model, bytes);
    return bytes;
}

/* Ops that passes make have the attributes of their schemas, as those of files have. */
static void check_attrs(const mls__graph *graph)
{
    for (size_t i = 0; i < graph->nodes.count; i++) {
        const mls__node *node = mls__graph_node(graph, i);
        if (!node->schema || mls__node_check_attrs(node) == MLS_OK)
            continue;
        fprintf(stderr, "node '%s': %s\n", node->name, mls_error_message());
        abort();
    }
}

mls_status onnx_build_load(onnx_build *build, mls_context *context, uint64_t flags,
                           mls_model **ret_model)
{
    size_t size;
    const uint8_t *bytes = onnx_build_bytes(build, &size);
    mls_model_options options = MLS_MODEL_OPTIONS_INIT;
    options.flags = flags;
    const mls_status status = mls_model_load_memory(context, bytes, size, &options, ret_model);
    if (!status && (*ret_model)->has_optimized)
        check_attrs(&(*ret_model)->optimized);
    return status;
}
