/* SPDX-License-Identifier: Apache-2.0 */
/* What passes ask of a graph when they look for nodes that belong together. */
#ifndef MLS_GRAPH_PASSES_MATCHING_H
#define MLS_GRAPH_PASSES_MATCHING_H

#include "graph/graph.h"

/* Who reads and who gives each value. Values and nodes that are added later are not in it. */
typedef struct mls__links {
    const mls__graph *graph;
    size_t value_count;
    uint32_t *uses;         /* by live nodes, and as an output of the graph */
    size_t *reader, *giver; /* a node's index, the last reader's; SIZE_MAX: none */
} mls__links;

/* Errors: MLS_ENOMEM, which leaves nothing to be freed. */
mls_status mls__links_find(const mls__graph *graph, mls__links *ret_links);
void mls__links_free(mls__links *links);

/*
 * Calls `visit` with each node that is alive when its turn comes, in the graph's order; not with
 * those that are added on the way. It says when it changed something.
 */
typedef mls_status (*mls__node_visit)(mls__graph *graph, const mls__links *links, mls__node *node,
                                      bool *ret_changed);
mls_status mls__visit_nodes(mls__graph *graph, mls__node_visit visit, bool *ret_changed);

/* The node that alone reads the only output of `node`; NULL if there is none. */
mls__node *mls__only_reader(const mls__links *links, const mls__node *node);

/* The live node that gives a value; NULL if none does. */
mls__node *mls__giver(const mls__links *links, uint32_t value);

/* An op of ai.onnx, of this type. */
bool mls__node_is(const mls__node *node, const char *type);

/* Adds two values: an Add, or a Sum of two. */
bool mls__node_adds(const mls__node *node);

/* NULL when the node does not have it. */
const mls_attr *mls__node_attr(const mls__node *node, const char *name);
int64_t mls__node_int(const mls__node *node, const char *name, int64_t fallback);

/* Gives the node attributes that it did not have. Errors: MLS_ENOMEM. */
mls_status mls__node_set_ints(mls__graph *graph, mls__node *node, size_t count,
                              const char *const *names, const int64_t *values);

/* Input k, or MLS__NO_VALUE. */
uint32_t mls__node_input(const mls__node *node, size_t k);

/* Input k if it is a constant of this dtype; else NULL. */
const mls_tensor *mls__node_constant(const mls__graph *graph, const mls__node *node, size_t k,
                                     int32_t dtype);

/* A float32 value all of whose dims are known, of this rank or (0) of any. */
bool mls__is_known_float(const mls__graph *graph, uint32_t value, int rank);

/* Likewise, or of 16-bit floats. */
bool mls__is_known_weight(const mls__graph *graph, uint32_t value, int rank);

/* float32 or a float of 16 bits: what images are made of. */
bool mls__is_image_dtype(int32_t dtype);

#endif
