/* SPDX-License-Identifier: Apache-2.0 */
/* Counts a graph's nodes, and those that a FusedPointwise or ConvStack holds as if they were apart.
 */
#ifndef MLS_TESTS_GRAPH_GRAPH_NODES_H
#define MLS_TESTS_GRAPH_GRAPH_NODES_H

#include "graph/graph.h"
#include "op/pointwise.h"
#include "op/stack.h"

#include <string.h>

/* Nodes of a type, or (NULL) of any. */
static inline size_t graph_nodes(const mls__graph *graph, const char *type)
{
    size_t count = 0;
    for (size_t i = 0; i < graph->nodes.count; i++) {
        const mls__node *node = mls__graph_node(graph, i);
        const bool is_fused = strcmp(node->type, MLS__POINTWISE_TYPE) == 0 ||
                              strcmp(node->type, MLS__STACK_TYPE) == 0;
        count += !is_fused && (!type || strcmp(node->type, type) == 0);
        for (size_t k = 0; is_fused && k < node->attrs[0].count; k++)
            count += !type || strcmp(node->attrs[0].strings[k].data, type) == 0;
    }
    return count;
}

#endif
