/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses the layout of quantized images once for the whole graph: where convolutions of bytes
 * follow each other, images are [N, spatial..., C], of which a pixel's channels are a row of a
 * product as they lie. Transposes stand only where an image comes from or goes to an op that wants
 * it otherwise; with more of them than convolutions the graph stays as it is. No byte of a result
 * changes.
 */
#include "graph/passes/passes.h"

#include "base/error.h"
#include "graph/passes/matching.h"
#include "tensor/tensor.h"

#include <string.h>

/* Fewer filters leave most of a vector of columns empty. */
#define LEAST_FILTERS 8
/* Of a group, where there are several. */
#define LEAST_GROUP 16

typedef struct layout {
    mls__graph *graph;
    bool is_trial; /* only counts */
    size_t convs, transposes;
    size_t count;   /* of values there were; those added later have no entries */
    int *ranks;     /* of images that are there with channels last; else 0 */
    uint32_t *last; /* those images */
    bool *is_plain; /* whether something gives the value as it was */
} layout;

/* --- which nodes take part ------------------------------------------------------------------- */

typedef enum kind { KIND_OTHER, KIND_CONV, KIND_EACH, KIND_CONCAT, KIND_POOL } kind;

static bool is_quantized(const mls__node *node, const char *type)
{
    return !node->is_dead && node->schema && strcmp(node->type, type) == 0 &&
           (node->domain[0] == '\0' || strcmp(node->domain, "com.microsoft") == 0);
}

static const mls_tensor *constant_of(const layout *l, const mls__node *node, size_t k)
{
    const uint32_t value = mls__node_input(node, k);
    return value == MLS__NO_VALUE ? NULL : mls__graph_value(l->graph, value)->constant;
}

/* Whether the bytes that signed products take have the zero point 0. */
static bool is_middle(const mls_tensor *zeros)
{
    const uint8_t middle = zeros && zeros->dtype == MLS_UINT8 ? 128 : 0;
    for (int64_t i = 0; zeros && i < zeros->count; i++)
        if (((const uint8_t *) zeros->data)[i] != middle)
            return false;
    return zeros != NULL;
}

/* W is input 3, its zero point input 5. */
static bool is_conv(const layout *l, const mls__node *node)
{
    const mls_tensor *w = constant_of(l, node, 3);
    const int64_t groups = mls__node_int(node, "group", 1);
    if (!is_quantized(node, "QLinearConv") || mls__node_int(node, "channels_last", 0) || !w ||
        w->rank < 3 || w->dims[0] < LEAST_FILTERS || groups < 1)
        return false;
    if (groups == 1 || w->dims[0] / groups >= LEAST_GROUP)
        return true;
    return w->dims[1] == 1 && w->dims[0] == groups && w->rank <= 4 &&
           is_middle(constant_of(l, node, 5));
}

static kind kind_of(const layout *l, const mls__node *node)
{
    static const char *const each[] = {"QLinearAdd", "QLinearMul", "QLinearSigmoid",
                                       "QLinearLeakyRelu"};
    if (is_conv(l, node))
        return KIND_CONV;
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++)
        if (is_quantized(node, each[i]))
            return KIND_EACH;
    if (is_quantized(node, "QLinearConcat"))
        return KIND_CONCAT;
    return is_quantized(node, "QLinearGlobalAveragePool") &&
                   !mls__node_int(node, "channels_last", 0)
               ? KIND_POOL
               : KIND_OTHER;
}

/* Inputs that are data lie three apart, each with a scale and a zero point. */
static size_t first_data(kind k)
{
    return k == KIND_CONCAT ? 2 : 0;
}

static size_t data_end(kind k, const mls__node *node)
{
    const bool is_binary = k == KIND_EACH && node->input_count > 6;
    return k == KIND_CONCAT ? node->input_count : is_binary ? 4 : 1;
}

static int rank_of(const layout *l, uint32_t value)
{
    return value < l->count ? l->ranks[value] : 0;
}

/* Whether all data that a node takes is there with channels last, and of one rank. */
static bool has_all(const layout *l, const mls__node *node, kind k)
{
    const uint32_t first = mls__node_input(node, first_data(k));
    const int rank = first == MLS__NO_VALUE ? 0 : rank_of(l, first);
    for (size_t i = first_data(k); i < data_end(k, node); i += 3) {
        const uint32_t value = mls__node_input(node, i);
        if (value == MLS__NO_VALUE || rank_of(l, value) != rank)
            return false;
    }
    return rank > 0;
}

/* --- values ---------------------------------------------------------------------------------- */

static mls_status add_transpose(layout *l, uint32_t from, uint32_t to, int rank, bool is_to_last)
{
    mls__node *node;
    l->transposes++;
    if (l->is_trial)
        return MLS_OK;
    mls_attr *attr = mls__arena_array(&l->graph->arena, 1, sizeof *attr);
    int64_t *perm = mls__arena_array(&l->graph->arena, (size_t) rank, sizeof *perm);
    if (!attr || !perm)
        return mls__error_nomem((size_t) rank * sizeof *perm);
    const mls_status status = mls__graph_add_node(l->graph, "", "Transpose", 1, 1, &node);
    if (status)
        return status;
    perm[0] = 0;
    for (int i = 1; i < rank; i++)
        perm[i] = is_to_last ? i % (rank - 1) + 1 : i == 1 ? rank - 1 : i - 1;
    *attr = (mls_attr){.name = "perm", .type = MLS_ATTR_INTS, .count = (size_t) rank, .ints = perm};
    node->attrs = attr;
    node->attr_count = 1;
    node->inputs[0] = from;
    node->outputs[0] = to;
    return MLS_OK;
}

/* A value for what `value` is with channels last. */
static mls_status add_last(layout *l, uint32_t value, int rank)
{
    l->ranks[value] = rank;
    if (l->is_trial)
        return MLS_OK;
    return mls__graph_add_value(l->graph, mls__graph_value(l->graph, value)->name, &l->last[value]);
}

static mls_status need_last(layout *l, uint32_t value, int rank)
{
    if (rank_of(l, value))
        return MLS_OK;
    const mls_status status = add_last(l, value, rank);
    return status ? status : add_transpose(l, value, l->last[value], rank, true);
}

static mls_status need_plain(layout *l, uint32_t value)
{
    if (value >= l->count || l->is_plain[value])
        return MLS_OK;
    l->is_plain[value] = true;
    return add_transpose(l, l->last[value], value, l->ranks[value], false);
}

/* --- nodes ----------------------------------------------------------------------------------- */

static mls_status set_int(mls__graph *graph, mls__node *node, const char *name, int64_t value)
{
    mls_attr *attrs = mls__arena_array(&graph->arena, node->attr_count + 1, sizeof *attrs);
    size_t count = 0;
    if (!attrs)
        return mls__error_nomem((node->attr_count + 1) * sizeof *attrs);
    for (size_t i = 0; i < node->attr_count; i++)
        if (strcmp(node->attrs[i].name, name) != 0)
            attrs[count++] = node->attrs[i];
    attrs[count++] = (mls_attr){.name = name, .type = MLS_ATTR_INT, .count = 1, .i = value};
    node->attrs = attrs;
    node->attr_count = count;
    return MLS_OK;
}

/* The axis that this one of a plain image becomes. */
static int64_t moved_axis(int64_t axis, int rank)
{
    axis = axis < 0 ? axis + rank : axis;
    return axis < 1 ? axis : axis == 1 ? rank - 1 : axis - 1;
}

/* What a node says about the layout. */
static mls_status change_node(layout *l, mls__node *node, kind k, int rank)
{
    const mls__op_schema *schema = mls__op_schema_find("com.microsoft", node->type);
    if (k == KIND_EACH)
        return MLS_OK;
    if (k == KIND_CONCAT)
        return set_int(l->graph, node, "axis", moved_axis(mls__node_int(node, "axis", 0), rank));
    node->domain = "com.microsoft";
    node->schema = schema;
    return set_int(l->graph, node, "channels_last", 1);
}

/* From now on node `index` takes and gives images with channels last. */
static mls_status turn(layout *l, size_t index, kind k, int rank)
{
    mls__node *node = mls__graph_node(l->graph, index);
    const uint32_t out = node->outputs[0];
    mls_status status = add_last(l, out, rank);
    if (status || l->is_trial) {
        l->is_plain[out] = false;
        return status;
    }
    for (size_t i = first_data(k); i < data_end(k, node); i += 3)
        node->inputs[i] = l->last[node->inputs[i]];
    node->outputs[0] = l->last[out];
    l->is_plain[out] = false;
    return change_node(l, node, k, rank);
}

static mls_status keep(layout *l, size_t index)
{
    mls_status status = MLS_OK;
    for (size_t k = 0; !status && k < mls__graph_node(l->graph, index)->input_count; k++) {
        const uint32_t value = mls__graph_node(l->graph, index)->inputs[k];
        if (value != MLS__NO_VALUE)
            status = need_plain(l, value);
    }
    return status;
}

static mls_status lay_node(layout *l, size_t index)
{
    const mls__node *node = mls__graph_node(l->graph, index);
    const kind k = kind_of(l, node);
    if (k == KIND_OTHER || (k != KIND_CONV && !has_all(l, node, k)))
        return keep(l, index);
    const uint32_t x = node->inputs[first_data(k)];
    const int rank = k == KIND_CONV ? constant_of(l, node, 3)->rank : rank_of(l, x);
    l->convs += k == KIND_CONV;
    const mls_status status = k == KIND_CONV ? need_last(l, x, rank) : MLS_OK;
    return status ? status : turn(l, index, k, rank);
}

static mls_status lay_nodes(layout *l)
{
    const size_t count = l->graph->nodes.count;
    mls_status status = MLS_OK;
    l->convs = l->transposes = 0;
    for (size_t v = 0; v < l->count; v++) {
        l->ranks[v] = 0;
        l->last[v] = MLS__NO_VALUE;
        l->is_plain[v] = true;
    }
    for (size_t i = 0; !status && i < count; i++)
        if (!mls__graph_node(l->graph, i)->is_dead)
            status = lay_node(l, i);
    for (size_t i = 0; !status && i < l->graph->outputs.count; i++)
        status = need_plain(l, mls__graph_output(l->graph, i));
    return status;
}

mls_status mls__pass_put_channels_last(mls__graph *graph, bool *ret_changed)
{
    const mls__allocator *allocator = graph->allocator;
    const size_t count = graph->values.count;
    layout l = {.graph = graph, .is_trial = true, .count = count};
    mls_status status = MLS_OK;
    l.ranks = mls__alloc_array(allocator, count, sizeof *l.ranks);
    l.last = mls__alloc_array(allocator, count, sizeof *l.last);
    l.is_plain = mls__alloc_array(allocator, count, sizeof *l.is_plain);
    if (!l.ranks || !l.last || !l.is_plain)
        status = mls__error_nomem(count * sizeof *l.last);
    if (!status)
        status = lay_nodes(&l);
    if (!status && l.convs > 1 && l.transposes <= l.convs) {
        l.is_trial = false;
        *ret_changed = true;
        status = lay_nodes(&l);
    }
    mls__free(allocator, l.ranks);
    mls__free(allocator, l.last);
    mls__free(allocator, l.is_plain);
    return status;
}
