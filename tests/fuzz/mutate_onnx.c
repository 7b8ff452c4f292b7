/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutates models as models. Random bytes rarely get past the lengths that protobuf
 * nests; here a model is unpacked, one thing in it is changed, and it is packed again:
 * so the fuzzer gets at inference, planning and kernels too.
 */
#include "fuzz/fuzz.h"

#include "graph/schema/schema.h"
#include "onnx/proto.h"

#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

typedef struct block {
    struct block *next;
    _Alignas(16) unsigned char data[];
} block;

/* A model under change; everything in it is in `blocks`. */
typedef struct mutation {
    uint64_t random;
    block *blocks;
    mls__graph_proto *graph;
} mutation;

static void *pool_alloc(void *user, size_t size)
{
    mutation *m = user;
    block *b = calloc(1, sizeof *b + size);
    if (!b)
        abort();
    b->next = m->blocks;
    m->blocks = b;
    return b->data;
}

static void pool_free(void *user, void *ptr)
{
    (void) user;
    (void) ptr; /* with the whole pool */
}

static void pool_clear(mutation *m)
{
    while (m->blocks) {
        block *next = m->blocks->next;
        free(m->blocks);
        m->blocks = next;
    }
}

/* A number below `bound`, which is not 0. */
static size_t pick(mutation *m, size_t bound)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (size_t) ((m->random >> 16) % bound);
}

static char *text(mutation *m, const char *source)
{
    return strcpy(pool_alloc(m, strlen(source) + 1), source);
}

static int64_t pick_number(mutation *m)
{
    static const int64_t numbers[] = {
        -1,        0,         1,  2,   3,     4,         7,         8,
        9,         16,        17, 255, 256,   1000,      INT32_MAX, INT32_MIN,
        INT64_MAX, INT64_MIN, -2, -3,  65536, 1LL << 32, 1LL << 62, -(1LL << 62),
    };
    return pick(m, 3) ? (int64_t) pick(m, 6) - 1 : numbers[pick(m, COUNT(numbers))];
}

/* --- what can be changed --------------------------------------------------------------------- */

static mls__node_proto *pick_node(mutation *m)
{
    return m->graph->n_node ? m->graph->node[pick(m, m->graph->n_node)] : NULL;
}

static mls__tensor_proto *pick_tensor(mutation *m)
{
    const mls__graph_proto *graph = m->graph;
    return graph->n_initializer ? graph->initializer[pick(m, graph->n_initializer)] : NULL;
}

static void change_op(mutation *m)
{
    mls__node_proto *node = pick_node(m);
    size_t count = 0, cursor = 0;
    const mls__op_schema *schema = NULL;
    while (mls__op_schema_next(&cursor))
        count++;
    cursor = count ? pick(m, count) : 0;
    schema = mls__op_schema_next(&cursor);
    if (!node || !schema)
        return;
    node->op_type = text(m, schema->type);
    node->domain = text(m, schema->domain);
}

/* The name of anything that is there to be read. */
static const char *pick_value(mutation *m)
{
    const mls__graph_proto *graph = m->graph;
    const mls__node_proto *node = pick_node(m);
    const mls__tensor_proto *tensor = pick_tensor(m);
    switch (pick(m, 4)) {
    case 0:
        return tensor ? mls__proto_text(tensor->name) : "";
    case 1:
        return graph->n_input ? mls__proto_text(graph->input[pick(m, graph->n_input)]->name) : "";
    case 2:
        return node && node->n_output ? node->output[pick(m, node->n_output)] : "";
    default:
        return "";
    }
}

static void change_input(mutation *m)
{
    mls__node_proto *node = pick_node(m);
    if (!node)
        return;
    const size_t at = pick(m, node->n_input + 1);
    if (at == node->n_input) {
        char **inputs = pool_alloc(m, (at + 1) * sizeof *inputs);
        if (at)
            memcpy(inputs, node->input, at * sizeof *inputs);
        node->input = inputs;
        node->n_input++;
    }
    node->input[at] = text(m, pick_value(m));
}

static void remove_input(mutation *m)
{
    mls__node_proto *node = pick_node(m);
    if (node && node->n_input)
        node->n_input--;
}

static void add_attr(mutation *m, mls__node_proto *node)
{
    static const char *const names[] = {
        "axis",    "axes",   "keepdims", "perm",  "to",        "k",           "alpha",
        "transA",  "transB", "mode",     "value", "exclusive", "allowzero",   "split",
        "largest", "sorted", "pads",     "start", "end",       "num_outputs", "n_targets",
    };
    mls__attr_proto **attrs = pool_alloc(m, (node->n_attribute + 1) * sizeof *attrs);
    mls__attr_proto *attr = pool_alloc(m, sizeof *attr);
    if (node->n_attribute)
        memcpy(attrs, node->attribute, node->n_attribute * sizeof *attrs);
    mls__onnx__attribute_proto__init(attr);
    attr->name = text(m, names[pick(m, COUNT(names))]);
    attr->has_type = attr->has_i = 1;
    attr->type = MLS__ATTR_INT;
    attr->i = pick_number(m);
    attrs[node->n_attribute++] = attr;
    node->attribute = attrs;
}

static void change_attr(mutation *m)
{
    mls__node_proto *node = pick_node(m);
    if (!node)
        return;
    if (!node->n_attribute || pick(m, 8) == 0) {
        add_attr(m, node);
        return;
    }
    mls__attr_proto *attr = node->attribute[pick(m, node->n_attribute)];
    if (attr->n_ints)
        attr->ints[pick(m, attr->n_ints)] = pick_number(m);
    else if (attr->n_floats)
        attr->floats[pick(m, attr->n_floats)] = (float) pick_number(m) / 2;
    else if (attr->has_f)
        attr->f = (float) pick_number(m) / 2;
    else if (attr->has_i)
        attr->i = pick_number(m);
    else
        node->n_attribute--;
}

/* Contents of the size that type and dims ask for, if that is small. */
static void refill(mutation *m, mls__tensor_proto *tensor)
{
    static const uint8_t sizes[] = {0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8, 0, 0, 2};
    size_t size = tensor->data_type > 0 && tensor->data_type < (int) COUNT(sizes)
                      ? sizes[tensor->data_type]
                      : 1;
    for (size_t i = 0; i < tensor->n_dims && size < 4096; i++)
        size *= (size_t) tensor->dims[i];
    if (size == 0 || size > 4096)
        return;
    uint8_t *data = pool_alloc(m, size);
    for (size_t i = 0; i < size; i++)
        data[i] = tensor->raw_data.len ? tensor->raw_data.data[i % tensor->raw_data.len]
                                       : (uint8_t) pick(m, 4);
    tensor->raw_data = (ProtobufCBinaryData){size, data};
    tensor->has_raw_data = 1;
}

static void change_tensor(mutation *m)
{
    mls__tensor_proto *tensor = pick_tensor(m);
    if (!tensor)
        return;
    switch (pick(m, 4)) {
    case 0:
        tensor->data_type = (int32_t) pick(m, 27);
        tensor->has_data_type = 1;
        break;
    case 1:
        if (tensor->n_dims)
            tensor->dims[pick(m, tensor->n_dims)] = pick_number(m);
        break;
    case 2:
        if (tensor->n_dims)
            tensor->n_dims--;
        break;
    default:
        if (tensor->raw_data.len >= 8 && tensor->data_type == 7) {
            const int64_t number = pick_number(m);
            memcpy(tensor->raw_data.data + pick(m, tensor->raw_data.len / 8) * 8, &number, 8);
        } else if (tensor->raw_data.len) {
            tensor->raw_data.data[pick(m, tensor->raw_data.len)] = (uint8_t) pick(m, 256);
        }
        return;
    }
    refill(m, tensor);
}

static void change_declared(mutation *m)
{
    const mls__graph_proto *graph = m->graph;
    if (!graph->n_input)
        return;
    const mls__type_proto *type = graph->input[pick(m, graph->n_input)]->type;
    if (!type || type->value_case != MLS__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        return;
    mls__shape_proto *shape = type->tensor_type->shape;
    if (!shape || !shape->n_dim || pick(m, 4) == 0) {
        type->tensor_type->elem_type = (int32_t) pick(m, 27);
        type->tensor_type->has_elem_type = 1;
        return;
    }
    mls__dim_proto *dim = shape->dim[pick(m, shape->n_dim)];
    dim->value_case = MLS__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    dim->dim_value = pick_number(m);
}

/* A copy of a node behind the others, which may then be made to read from the original. */
static void copy_node(mutation *m)
{
    const mls__node_proto *node = pick_node(m);
    mls__graph_proto *graph = m->graph;
    if (!node || !node->n_output || graph->n_node > 32)
        return;
    mls__node_proto *copy = pool_alloc(m, sizeof *copy);
    mls__node_proto **nodes = pool_alloc(m, (graph->n_node + 1) * sizeof *nodes);
    *copy = *node;
    copy->output = pool_alloc(m, copy->n_output * sizeof *copy->output);
    for (size_t i = 0; i < copy->n_output; i++) {
        copy->output[i] = pool_alloc(m, strlen(node->output[i]) + 2);
        strcat(strcpy(copy->output[i], node->output[i]), "'");
    }
    copy->input = pool_alloc(m, (copy->n_input + 1) * sizeof *copy->input);
    for (size_t i = 0; i < copy->n_input; i++)
        copy->input[i] = pick(m, 2) ? node->output[0] : node->input[i];
    memcpy(nodes, graph->node, graph->n_node * sizeof *nodes);
    nodes[graph->n_node++] = copy;
    graph->node = nodes;
}

static void change_output(mutation *m)
{
    mls__graph_proto *graph = m->graph;
    if (graph->n_output)
        graph->output[pick(m, graph->n_output)]->name = text(m, pick_value(m));
}

/* The graph, or the body of one of its nodes, or a body in that. */
static mls__graph_proto *pick_graph(mutation *m, mls__graph_proto *graph)
{
    while (graph->n_node && pick(m, 2)) {
        const mls__node_proto *node = graph->node[pick(m, graph->n_node)];
        mls__graph_proto *body =
            node->n_attribute ? node->attribute[pick(m, node->n_attribute)]->g : NULL;
        if (!body)
            break;
        graph = body;
    }
    return graph;
}

static void (*const changes[])(mutation *m) = {
    change_op,     change_op,       change_input, change_input,  change_attr,  change_attr,
    change_tensor, change_declared, copy_node,    change_output, remove_input,
};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    mutation m = {.random = UINT64_C(0x9e3779b97f4a7c15) * (seed + UINT64_C(1)) | 1};
    ProtobufCAllocator pool = {pool_alloc, pool_free, &m};
    mls__model_proto *model =
        pick(&m, 8) ? mls__onnx__model_proto__unpack(&pool, size, data) : NULL;
    if (!model || !model->graph) {
        pool_clear(&m);
        return LLVMFuzzerMutate(data, size, max_size);
    }
    m.graph = pick_graph(&m, model->graph);
    for (size_t i = pick(&m, 3) + 1; i > 0; i--)
        changes[pick(&m, COUNT(changes))](&m);
    if (pick(&m, 16) == 0 && model->n_opset_import)
        model->opset_import[0]->version = (int64_t) pick(&m, 28);
    const size_t packed = mls__onnx__model_proto__get_packed_size(model);
    if (packed <= max_size)
        size = mls__onnx__model_proto__pack(model, data);
    pool_clear(&m);
    return size;
}
