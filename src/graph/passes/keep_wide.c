/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of 16-bit floats that only convolutions read stay float32 (op/convolution.h): each element
 * is rounded to 16 bits when it is made, so that no byte of a result changes, but it is not
 * narrowed for memory and widened again by each reader. What only moves elements on the way from
 * one convolution to another moves those of float32.
 *
 * All images in blocks are taken as wide at first; then those that some node cannot give or take
 * so are not, until nothing changes.
 */
#include "graph/passes/passes.h"

#include "base/error.h"
#include "graph/passes/matching.h"

#include <string.h>

static bool is_fused(const mls__node *node, const char *type)
{
    return strcmp(node->domain, MLS__DOMAIN_FUSED) == 0 && strcmp(node->type, type) == 0;
}

/* One whose weights are known to be of 16 bits. */
static bool is_half_conv(const mls__graph *graph, const mls__node *node)
{
    const uint32_t w = mls__node_input(node, 1);
    return is_fused(node, "FusedConv") && mls__is_known_weight(graph, w, 0) &&
           mls__graph_value(graph, w)->dtype != MLS_FLOAT32;
}

/* Gives elements of its first input as they are, or +0 for some. */
static bool moves_first(const mls__node *node)
{
    static const char *const types[] = {"Dropout", "Identity", "Relu", "Resize"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (mls__node_is(node, types[i]))
            return node->output_count == 1;
    return is_fused(node, "BlockedMaxPool");
}

/* How many of the first inputs are moved to the output; 0: it is not only moved. */
static size_t count_moved(const mls__node *node)
{
    return mls__node_is(node, "Concat") ? node->input_count : moves_first(node);
}

/* --- what may be wide ------------------------------------------------------------------------ */

typedef struct widening {
    const mls__graph *graph;
    bool *is_wide; /* of each value */
    bool has_changed;
} widening;

static bool is_wide(const widening *w, uint32_t value)
{
    return value != MLS__NO_VALUE && w->is_wide[value];
}

static void leave(widening *w, uint32_t value)
{
    if (!is_wide(w, value))
        return;
    w->is_wide[value] = false;
    w->has_changed = true;
}

/* Values are all wide or none is. */
static void tie(widening *w, const uint32_t *values, size_t count, uint32_t other)
{
    bool all = is_wide(w, other);
    for (size_t k = 0; k < count; k++)
        all = all && is_wide(w, values[k]);
    for (size_t k = 0; !all && k < count; k++)
        leave(w, values[k]);
    if (!all)
        leave(w, other);
}

/* Convolutions read wide blocks, and give them; a residual is as the output is. */
static void look_at_conv(widening *w, const mls__node *node)
{
    const uint32_t residual = mls__node_input(node, 3);
    if (!mls__node_int(node, "x_blocked", 0))
        leave(w, node->inputs[0]);
    if (!mls__node_int(node, "y_blocked", 0))
        leave(w, node->outputs[0]);
    if (residual != MLS__NO_VALUE)
        tie(w, &residual, 1, node->outputs[0]);
    for (size_t k = 1; k < 3 && k < node->input_count; k++)
        leave(w, node->inputs[k]);
}

static void look_at(widening *w, const mls__node *node)
{
    const size_t moved = count_moved(node);
    if (node->is_dead)
        return;
    if (is_half_conv(w->graph, node)) {
        look_at_conv(w, node);
        return;
    }
    if (moved)
        tie(w, node->inputs, moved, node->outputs[0]);
    for (size_t k = moved; k < node->input_count; k++)
        leave(w, node->inputs[k]);
    for (size_t k = 0; !moved && k < node->output_count; k++)
        leave(w, node->outputs[k]);
}

/* Nobody computes inputs and constants; outputs are what the model says. */
static void leave_ports(widening *w)
{
    const mls__graph *graph = w->graph;
    for (size_t i = 0; i < graph->inputs.count; i++)
        leave(w, mls__graph_input(graph, i));
    for (size_t i = 0; i < graph->outputs.count; i++)
        leave(w, mls__graph_output(graph, i));
    for (uint32_t v = 0; v < graph->values.count; v++)
        if (mls__graph_value(graph, v)->constant)
            leave(w, v);
}

/* Forth and back, since either side of a node may be the one that says no. */
static void find_wide(widening *w)
{
    const size_t count = w->graph->nodes.count;
    leave_ports(w);
    do {
        w->has_changed = false;
        for (size_t i = 0; i < count; i++)
            look_at(w, mls__graph_node(w->graph, i));
        for (size_t i = count; w->has_changed && i-- > 0;)
            look_at(w, mls__graph_node(w->graph, i));
    } while (w->has_changed);
}

/* --- nodes ----------------------------------------------------------------------------------- */

static mls_status mark(mls__graph *graph, const widening *w, mls__node *node, bool *ret_changed)
{
    const int64_t wide[] = {is_wide(w, node->inputs[0]), is_wide(w, node->outputs[0])};
    if (node->is_dead || !is_half_conv(graph, node) || !(wide[0] || wide[1]))
        return MLS_OK;
    *ret_changed = true;
    return mls__node_set_ints(graph, node, 2, (const char *const[]){"x_wide", "y_wide"}, wide);
}

static bool has_half_conv(const mls__graph *graph)
{
    for (size_t i = 0; i < graph->nodes.count; i++) {
        const mls__node *node = mls__graph_node(graph, i);
        if (!node->is_dead && is_half_conv(graph, node))
            return true;
    }
    return false;
}

mls_status mls__pass_keep_wide(mls__graph *graph, bool *ret_changed)
{
    if (!has_half_conv(graph))
        return MLS_OK;
    mls_status status = MLS_OK;
    const size_t count = graph->values.count;
    widening w = {graph, mls__alloc_array(graph->allocator, count, sizeof(bool)), false};
    if (!w.is_wide)
        return mls__error_nomem(count * sizeof(bool));
    memset(w.is_wide, true, count * sizeof(bool));
    find_wide(&w);
    for (size_t i = 0; !status && i < graph->nodes.count; i++)
        status = mark(graph, &w, mls__graph_node(graph, i), ret_changed);
    mls__free(graph->allocator, w.is_wide);
    return status;
}
