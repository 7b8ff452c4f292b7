/* SPDX-License-Identifier: Apache-2.0 */
/* Building and copying graphs; sort.c orders them. */
#include "graph/graph.h"

#include "base/error.h"

#include <string.h>

void mls__graph_init(mls__graph *graph, const mls__allocator *allocator, uint64_t *next_id)
{
    graph->allocator = allocator;
    graph->next_id = next_id;
    mls__arena_init(&graph->arena, allocator);
    mls__vec_init(&graph->values, allocator, sizeof(mls__value));
    mls__vec_init(&graph->nodes, allocator, sizeof(mls__node));
    mls__vec_init(&graph->inputs, allocator, sizeof(uint32_t));
    mls__vec_init(&graph->outputs, allocator, sizeof(uint32_t));
    mls__vec_init(&graph->owned, allocator, sizeof(mls__graph *));
}

void mls__graph_clear(mls__graph *graph)
{
    for (size_t i = 0; i < graph->owned.count; i++) {
        mls__graph *body = *(mls__graph **) mls__vec_at(&graph->owned, i);
        mls__graph_clear(body);
        mls__free(graph->allocator, body);
    }
    mls__vec_clear(&graph->owned);
    mls__vec_clear(&graph->outputs);
    mls__vec_clear(&graph->inputs);
    mls__vec_clear(&graph->nodes);
    mls__vec_clear(&graph->values);
    mls__arena_clear(&graph->arena);
}

void mls__graph_visit(const mls__graph *graph, void (*visit)(void *arg, void *data, size_t size),
                      void *arg)
{
    const mls__vec *const lists[] = {&graph->values, &graph->nodes, &graph->inputs, &graph->outputs,
                                     &graph->owned};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        visit(arg, lists[i]->data, lists[i]->count * lists[i]->element_size);
    mls__arena_visit(&graph->arena, visit, arg);
    for (size_t i = 0; i < graph->owned.count; i++)
        mls__graph_visit(*(mls__graph **) mls__vec_at(&graph->owned, i), visit, arg);
}

mls__value *mls__graph_value(const mls__graph *graph, uint32_t index)
{
    return mls__vec_at(&graph->values, index);
}

mls__node *mls__graph_node(const mls__graph *graph, size_t index)
{
    return mls__vec_at(&graph->nodes, index);
}

const char *mls__graph_node_name(const mls__graph *graph, const mls__node *node)
{
    if (node->name[0])
        return node->name;
    for (size_t k = 0; k < node->output_count; k++)
        if (node->outputs[k] != MLS__NO_VALUE)
            return mls__graph_value(graph, node->outputs[k])->name;
    return "";
}

uint32_t mls__graph_input(const mls__graph *graph, size_t index)
{
    return *(const uint32_t *) mls__vec_at(&graph->inputs, index);
}

uint32_t mls__graph_output(const mls__graph *graph, size_t index)
{
    return *(const uint32_t *) mls__vec_at(&graph->outputs, index);
}

mls_status mls__graph_add_value(mls__graph *graph, const char *name, uint32_t *ret_value)
{
    if (graph->values.count >= MLS__NO_VALUE)
        return mls__error(MLS_ELIMIT, "a graph has at most %u values", MLS__NO_VALUE - 1);
    const char *copy = mls__arena_string(&graph->arena, name);
    mls__value *value = copy ? mls__vec_push(&graph->values) : NULL;
    if (!value)
        return mls__error_nomem(sizeof *value);
    value->name = copy;
    value->id = ++*graph->next_id;
    value->rank = -1;
    *ret_value = (uint32_t) (graph->values.count - 1);
    return MLS_OK;
}

void mls__graph_set_constant(mls__graph *graph, uint32_t index, const mls_tensor *tensor)
{
    mls__value *value = mls__graph_value(graph, index);
    value->constant = tensor;
    value->weight_id = ++*graph->next_id;
    value->dtype = mls_tensor_dtype(tensor);
    value->rank = mls_tensor_rank(tensor);
    value->dims = mls_tensor_dims(tensor);
}

static uint32_t *no_values(mls__arena *arena, size_t count)
{
    uint32_t *values = mls__arena_array(arena, count, sizeof *values);
    if (values && count)
        memset(values, 0xff, count * sizeof *values);
    return values;
}

mls_status mls__graph_add_node(mls__graph *graph, const char *domain, const char *type,
                               size_t input_count, size_t output_count, mls__node **ret_node)
{
    uint32_t *inputs = no_values(&graph->arena, input_count);
    uint32_t *outputs = no_values(&graph->arena, output_count);
    mls__node *node = inputs && outputs ? mls__vec_push(&graph->nodes) : NULL;
    if (!node)
        return mls__error_nomem(sizeof *node);
    *node = (mls__node){
        .name = "",
        .domain = domain,
        .type = type,
        .id = ++*graph->next_id,
        .schema = mls__op_schema_find(domain, type),
        .inputs = inputs,
        .input_count = input_count,
        .own_input_count = input_count,
        .outputs = outputs,
        .output_count = output_count,
    };
    *ret_node = node;
    return MLS_OK;
}

mls_status mls__graph_add_owned(mls__graph *graph, mls__graph **ret_body)
{
    mls__graph **slot = mls__vec_push(&graph->owned);
    if (!slot)
        return mls__error_nomem(sizeof *slot);
    mls__graph *body = mls__alloc_array(graph->allocator, 1, sizeof *body);
    if (!body) {
        graph->owned.count--;
        return mls__error_nomem(sizeof *body);
    }
    mls__graph_init(body, graph->allocator, graph->next_id);
    *ret_body = *slot = body;
    return MLS_OK;
}

const mls__body *mls__node_body(const mls__node *node, const char *name)
{
    for (size_t i = 0; i < node->body_count; i++)
        if (strcmp(node->bodies[i].name, name) == 0)
            return &node->bodies[i];
    return NULL;
}

static mls_status push_index(mls__vec *vec, uint32_t value)
{
    uint32_t *slot = mls__vec_push(vec);
    if (!slot)
        return mls__error_nomem(sizeof *slot);
    *slot = value;
    return MLS_OK;
}

mls_status mls__graph_add_input(mls__graph *graph, uint32_t value)
{
    return push_index(&graph->inputs, value);
}

mls_status mls__graph_add_output(mls__graph *graph, uint32_t value)
{
    return push_index(&graph->outputs, value);
}

static bool copy_vec(const mls__vec *source, mls__vec *target)
{
    for (size_t i = 0; i < source->count; i++) {
        void *slot = mls__vec_push(target);
        if (!slot)
            return false;
        memcpy(slot, mls__vec_at(source, i), source->element_size);
    }
    return true;
}

static uint32_t *copy_indices(mls__arena *arena, const uint32_t *indices, size_t count)
{
    uint32_t *copy = mls__arena_array(arena, count, sizeof *copy);
    if (copy && count)
        memcpy(copy, indices, count * sizeof *copy);
    return copy;
}

static bool copy_graph(const mls__graph *source, mls__graph *graph);

static bool copy_bodies(mls__graph *graph, mls__node *node)
{
    const mls__body *source = node->bodies;
    if (!node->body_count)
        return true;
    node->bodies = mls__arena_array(&graph->arena, node->body_count, sizeof *node->bodies);
    for (size_t i = 0; node->bodies && i < node->body_count; i++) {
        node->bodies[i] = source[i];
        if (mls__graph_add_owned(graph, &node->bodies[i].graph) != MLS_OK ||
            !copy_graph(source[i].graph, node->bodies[i].graph))
            return false;
    }
    return node->bodies != NULL;
}

static bool copy_graph(const mls__graph *source, mls__graph *graph)
{
    if (!copy_vec(&source->values, &graph->values) || !copy_vec(&source->nodes, &graph->nodes) ||
        !copy_vec(&source->inputs, &graph->inputs) || !copy_vec(&source->outputs, &graph->outputs))
        return false;
    for (size_t i = 0; i < graph->nodes.count; i++) {
        mls__node *node = mls__graph_node(graph, i);
        node->inputs = copy_indices(&graph->arena, node->inputs, node->input_count);
        node->outputs = copy_indices(&graph->arena, node->outputs, node->output_count);
        if (!node->inputs || !node->outputs || !copy_bodies(graph, node))
            return false;
    }
    return true;
}

mls_status mls__graph_clone(const mls__graph *source, mls__graph *graph)
{
    mls__graph_init(graph, source->allocator, source->next_id);
    if (copy_graph(source, graph))
        return MLS_OK;
    mls__graph_clear(graph);
    return mls__error(MLS_ENOMEM, "out of memory while copying a graph of %zu nodes",
                      source->nodes.count);
}

mls_status mls__graph_count_uses(const mls__graph *graph, uint32_t **ret_uses)
{
    uint32_t *uses = mls__alloc_array(graph->allocator, graph->values.count, sizeof *uses);
    if (!uses)
        return mls__error_nomem(graph->values.count * sizeof *uses);
    for (size_t i = 0; i < graph->nodes.count; i++) {
        const mls__node *node = mls__graph_node(graph, i);
        for (size_t k = 0; k < node->input_count && !node->is_dead; k++)
            if (node->inputs[k] != MLS__NO_VALUE)
                uses[node->inputs[k]]++;
    }
    for (size_t i = 0; i < graph->outputs.count; i++)
        uses[mls__graph_output(graph, i)]++;
    *ret_uses = uses;
    return MLS_OK;
}
