/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rewrites the bodies of If, Loop and Scan like the graph around them. What the passes have
 * computed outside is a constant inside, too; what a body then no longer reads is not handed to
 * it. So weights that a body cuts out of others are cut and packed once for the model, not by
 * each run.
 *
 * Nobody holds what a body is given to the shapes that its inputs declare (those of a Loop may
 * differ from one iteration to the next), so the passes do not see them.
 */
#include "graph/passes/passes.h"

#include "base/error.h"

#include <string.h>

/* Where the values that body `index` takes from outside begin among the node's inputs. */
static size_t captures_begin(const mls__node *node, size_t index)
{
    size_t begin = node->own_input_count;
    for (size_t i = 0; i < index; i++)
        begin += node->bodies[i].capture_count;
    return begin;
}

static uint32_t *body_input(const mls__body *body, size_t capture)
{
    return mls__vec_at(&body->graph->inputs,
                       body->graph->inputs.count - body->capture_count + capture);
}

static void take_constants(const mls__graph *graph, const mls__node *node, size_t index)
{
    const mls__body *body = &node->bodies[index];
    const size_t begin = captures_begin(node, index);
    for (size_t i = 0; i < body->capture_count; i++) {
        const mls__value *outer = mls__graph_value(graph, node->inputs[begin + i]);
        mls__value *inner = mls__graph_value(body->graph, *body_input(body, i));
        if (!outer->constant || inner->constant)
            continue;
        inner->constant = outer->constant;
        inner->weight_id = outer->weight_id;
        inner->dtype = outer->dtype;
        inner->rank = outer->rank;
        inner->dims = outer->dims;
    }
}

/* --- the body's own passes ------------------------------------------------------------------- */

static void swap_ranks(const mls__graph *body, int32_t *ranks)
{
    for (size_t i = 0; i < body->inputs.count; i++) {
        mls__value *value = mls__graph_value(body, mls__graph_input(body, i));
        const int32_t rank = value->rank;
        if (value->constant)
            continue;
        value->rank = ranks[i];
        ranks[i] = rank;
    }
}

static mls_status rewrite_body(const mls__graph *graph, mls__graph *body)
{
    const size_t inputs = body->inputs.count;
    int32_t *ranks = mls__alloc_array(graph->allocator, inputs, sizeof *ranks);
    if (!ranks)
        return mls__error_nomem(inputs * sizeof *ranks);
    for (size_t i = 0; i < inputs; i++)
        ranks[i] = -1;
    swap_ranks(body, ranks);
    body->model = graph->model;
    const mls_status status = mls__passes_run(body);
    swap_ranks(body, ranks);
    mls__free(graph->allocator, ranks);
    return status;
}

/* --- what it no longer reads ----------------------------------------------------------------- */

static void drop_capture(mls__node *node, size_t index, size_t capture)
{
    mls__body *body = &node->bodies[index];
    uint32_t *inner = body_input(body, capture);
    uint32_t *outer = node->inputs + captures_begin(node, index) + capture;
    const size_t after = body->capture_count - 1 - capture;
    const size_t all_after = node->input_count - 1 - (size_t) (outer - node->inputs);
    memmove(inner, inner + 1, after * sizeof *inner);
    memmove(outer, outer + 1, all_after * sizeof *outer);
    body->graph->inputs.count--;
    body->capture_count--;
    node->input_count--;
}

static mls_status drop_captures(mls__node *node, size_t index, bool *ret_changed)
{
    const mls__body *body = &node->bodies[index];
    uint32_t *uses;
    const mls_status status = mls__graph_count_uses(body->graph, &uses);
    if (status)
        return status;
    for (size_t i = body->capture_count; i-- > 0;) {
        const uint32_t value = *body_input(body, i);
        if (uses[value] && !mls__graph_value(body->graph, value)->constant)
            continue;
        drop_capture(node, index, i);
        *ret_changed = true;
    }
    mls__free(body->graph->allocator, uses);
    return MLS_OK;
}

mls_status mls__pass_rewrite_bodies(mls__graph *graph, bool *ret_changed)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; i < graph->nodes.count; i++) {
        mls__node *node = mls__graph_node(graph, i);
        for (size_t k = 0; !status && !node->is_dead && k < node->body_count; k++) {
            take_constants(graph, node, k);
            status = rewrite_body(graph, node->bodies[k].graph);
            if (!status)
                status = drop_captures(node, k, ret_changed);
        }
    }
    return status;
}
