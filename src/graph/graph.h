/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A graph of values and nodes: what readers build, passes rewrite and planning reads.
 *
 * Everything lives in the graph's arena. Values are named by their index, which never
 * changes; a node that a pass removes is marked dead. While it is built or
 * rewritten a graph belongs to one thread; afterwards it is only read.
 */
#ifndef MLS_GRAPH_GRAPH_H
#define MLS_GRAPH_GRAPH_H

#include "base/arena.h"
#include "base/context.h"
#include "base/vec.h"
#include "graph/schema/schema.h"

#include <mlscale/model.h>
#include <mlscale/tensor.h>

/* The index of an optional input or output that is left out. */
#define MLS__NO_VALUE UINT32_MAX

/* The domain of the ops that only passes make, such as FusedGemm. */
#define MLS__DOMAIN_FUSED "mlscale"

typedef struct mls__value {
    const char *name; /* never NULL */
    uint64_t id;      /* not 0, unique within the model; a copy of the graph has the same */
    uint8_t kind;     /* MLS_VALUE_*, as far as it is declared */
    /* As the model declares it; MLS_DTYPE_NONE and -1 where it does not say. */
    int32_t dtype;
    int32_t key_dtype; /* of a map, whose values are of `dtype` */
    int32_t rank;
    const int64_t *dims;          /* rank entries; -1 is dynamic */
    const char *const *dim_names; /* rank entries; NULL where there is no name */
    /* The contents of a constant (contiguous; owned by the graph's model), else NULL. */
    const mls_tensor *constant;
    uint64_t weight_id; /* of a constant: not 0, unique within the model */
} mls__value;

typedef struct mls__graph mls__graph;

/*
 * The subgraph of an attribute (If, Loop, Scan). It stands alone: the values that it takes from
 * outside are inputs of it, behind those that the op gives it.
 */
typedef struct mls__body {
    const char *name; /* of the attribute */
    mls__graph *graph;
    size_t capture_count; /* how many of its inputs, the last ones, come from outside */
} mls__body;

typedef struct mls__node {
    const char *name;   /* "" when the model gives none */
    const char *domain; /* "" is ai.onnx */
    const char *type;
    uint64_t id;                  /* not 0, unique within the model */
    const mls__op_schema *schema; /* NULL: not supported */
    const char *unsupported;      /* why schema is NULL, else NULL */
    const mls_attr *attrs;
    size_t attr_count;
    uint32_t *inputs; /* the op's own, then those that each of the bodies takes */
    size_t input_count, own_input_count;
    uint32_t *outputs;
    size_t output_count;
    mls__body *bodies;
    size_t body_count;
    bool is_dead; /* removed by a pass; gone after the next mls__graph_sort() */
} mls__node;

struct mls__graph {
    const mls__allocator *allocator;
    mls__arena arena;
    mls__vec values;   /* mls__value */
    mls__vec nodes;    /* mls__node, in an order in which they can run */
    mls__vec inputs;   /* uint32_t: values the caller gives */
    mls__vec outputs;  /* uint32_t: values the caller gets; a value may occur twice */
    mls__vec owned;    /* mls__graph *: those of the nodes' bodies */
    uint64_t *next_id; /* the model's counter for ids */
    mls_model *model;  /* while passes run: it takes the tensors of constants that they make */
};

void mls__graph_init(mls__graph *graph, const mls__allocator *allocator, uint64_t *next_id);
void mls__graph_clear(mls__graph *graph);

/* Visits the memory of the graph and of the bodies of its nodes, but not of constants. */
void mls__graph_visit(const mls__graph *graph, void (*visit)(void *arg, void *data, size_t size),
                      void *arg);

/* A copy that shares names, attributes and constants with `source`, which must outlive it. */
mls_status mls__graph_clone(const mls__graph *source, mls__graph *graph);

mls__value *mls__graph_value(const mls__graph *graph, uint32_t index);
mls__node *mls__graph_node(const mls__graph *graph, size_t index);
/* What messages, reports and random numbers go by: a node's name, or else that of an output. */
const char *mls__graph_node_name(const mls__graph *graph, const mls__node *node);
uint32_t mls__graph_input(const mls__graph *graph, size_t index);
uint32_t mls__graph_output(const mls__graph *graph, size_t index);

/*
 * A new value without type, whose name is copied. The pointer of mls__graph_value()
 * moves when values are added. Errors: MLS_ENOMEM, MLS_ELIMIT.
 */
mls_status mls__graph_add_value(mls__graph *graph, const char *name, uint32_t *ret_value);

/* Makes the value a constant; the tensor stays the model's. */
void mls__graph_set_constant(mls__graph *graph, uint32_t value, const mls_tensor *tensor);

/*
 * A new node with room for its inputs and outputs, all MLS__NO_VALUE; domain and type
 * are borrowed. The pointer moves when nodes are added. Errors: MLS_ENOMEM.
 */
mls_status mls__graph_add_node(mls__graph *graph, const char *domain, const char *type,
                               size_t input_count, size_t output_count, mls__node **ret_node);

/* An empty graph for a body of one of the nodes; it lives as long as `graph`. */
mls_status mls__graph_add_owned(mls__graph *graph, mls__graph **ret_body);

/* The body of an attribute, or NULL. */
const mls__body *mls__node_body(const mls__node *node, const char *name);

/*
 * Whether the node's attributes and bodies are those of its schema, which it has. Errors, which
 * name the attribute: MLS_EUNSUPPORTED: one that the op does not have; MLS_EFORMAT: one of another
 * type, one that is missing.
 */
mls_status mls__node_check_attrs(const mls__node *node);

/* Appends to the graph's inputs or outputs. Errors: MLS_ENOMEM. */
mls_status mls__graph_add_input(mls__graph *graph, uint32_t value);
mls_status mls__graph_add_output(mls__graph *graph, uint32_t value);

/*
 * Drops dead nodes and brings the others into an order in which each comes after those it needs,
 * keeping the present order where it can. Errors: MLS_EFORMAT: a cycle (a node on it is named), a
 * value that nothing gives, a value that is given twice. MLS_ENOMEM.
 */
mls_status mls__graph_sort(mls__graph *graph);

/* How often each value is read by live nodes and as an output; one entry a value. */
mls_status mls__graph_count_uses(const mls__graph *graph, uint32_t **ret_uses);

#endif
