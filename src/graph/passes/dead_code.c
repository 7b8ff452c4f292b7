/* SPDX-License-Identifier: Apache-2.0 */
/* Removes nodes whose results nobody reads. */
#include "graph/passes/passes.h"

static bool is_used(const mls__node *node, const uint32_t *uses)
{
    for (size_t k = 0; k < node->output_count; k++)
        if (node->outputs[k] != MLS__NO_VALUE && uses[node->outputs[k]])
            return true;
    return false;
}

mls_status mls__pass_dead_code(mls__graph *graph, bool *ret_changed)
{
    uint32_t *uses;
    const mls_status status = mls__graph_count_uses(graph, &uses);
    if (status)
        return status;
    /* From the last node to the first: a node's readers have been looked at before it. */
    for (size_t i = graph->nodes.count; i-- > 0;) {
        mls__node *node = mls__graph_node(graph, i);
        if (node->is_dead || is_used(node, uses))
            continue;
        node->is_dead = true;
        *ret_changed = true;
        for (size_t k = 0; k < node->input_count; k++)
            if (node->inputs[k] != MLS__NO_VALUE)
                uses[node->inputs[k]]--;
    }
    mls__free(graph->allocator, uses);
    return MLS_OK;
}
