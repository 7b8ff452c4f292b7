/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the unpacked file to a model, in this order:
 *
 *   load.c    the file, the versions it needs, its metadata
 *   count.c   which ops and how many parameters it has, subgraphs and all
 *   values.c  initializers, inputs, outputs, and what is declared of the others
 *   types.c   the types that are declared
 *   nodes.c   nodes: whether they are supported, attributes, constants
 *   bodies.c  the graphs of If, Loop and Scan, each by a reader of its own
 *   functions.c  the model's own functions: a call becomes the nodes of the function
 *   translate/  each op from the form of its opset to the newest
 *
 * Below the level of a node, MLS_EUNSUPPORTED is no failure: its message is what the
 * node is marked with. Whether a model with such nodes may load is decided at the end.
 */
#ifndef MLS_ONNX_READER_H
#define MLS_ONNX_READER_H

#include "base/map.h"
#include "graph/model.h"
#include "onnx/external.h"
#include "onnx/proto.h"

/* Who gives a value. */
typedef enum mls__origin {
    MLS__ORIGIN_NONE, /* nobody so far */
    MLS__ORIGIN_INPUT,
    MLS__ORIGIN_INITIALIZER,
    MLS__ORIGIN_CONSTANT, /* a Constant node */
    MLS__ORIGIN_NODE      /* any other node */
} mls__origin;

/* What the reader knows of a value beside mls__value. */
typedef struct mls__value_note {
    mls__origin origin;
    bool is_used;            /* by a node of the graph, or as an output of it */
    const char *unsupported; /* why no node that touches it can be run, or NULL */
} mls__value_note;

/* A value that a body takes from outside. */
typedef struct mls__capture {
    uint32_t outer, inner;
} mls__capture;

/*
 * Names and what they mean in one place: the model's graph, a body, or a call of a function.
 * Bodies and calls are read by readers of their own, which live no longer than that.
 */
typedef struct mls__onnx_reader {
    mls_model *model;
    mls__graph *graph; /* what is read: the model's graph or a body; a call adds to its caller's */
    mls__model_proto *proto;
    const mls__graph_proto *graph_proto; /* of the graph; NULL in a call */
    mls__external *external;
    const char *unsupported; /* why no node can be run, or NULL */
    bool allow_unsupported;
    mls__map values;     /* by name: index, or MLS__NO_VALUE for what a call leaves out */
    mls__vec *notes;     /* mls__value_note, one a value of `graph` */
    mls__map *functions; /* model-local ones, by domain, name and overload: index in the file */
    size_t *call_nodes;  /* how many nodes calls have become */
    unsigned depth;      /* of bodies and calls around this one */

    struct mls__onnx_reader *outer;      /* around this body, or the caller; NULL at the top */
    mls__vec *captures;                  /* mls__capture: of a body, else NULL */
    const mls__function_proto *function; /* of a call, else NULL ... */
    const mls__node_proto *call;         /* ... and the node that calls it */
} mls__onnx_reader;

struct mls__onnx_node;

/* "" for ai.onnx under each of its names. */
const char *mls__onnx_domain(const char *domain);

/*
 * The version of a domain that the model imports. Errors: MLS_EFORMAT (not imported),
 * MLS_EUNSUPPORTED (domain or version; *ret_version is set).
 */
mls_status mls__onnx_version(const mls__onnx_reader *reader, const char *domain,
                             int64_t *ret_version);

/* Counts ops and parameters. */
mls_status mls__onnx_count(mls__onnx_reader *reader);

/* Makes the model's own functions known by name. Errors: MLS_ENOMEM. */
mls_status mls__onnx_note_functions(mls__onnx_reader *reader);

/* The model's own function that the node calls, or NULL. Errors: MLS_ENOMEM. */
mls_status mls__onnx_find_function(const mls__onnx_reader *reader, const mls__node_proto *node,
                                   const mls__function_proto **ret_function);

/*
 * Adds the nodes of the function in place of `node`. Errors: MLS_EFORMAT (a function that calls
 * itself), MLS_ELIMIT (calls nest too deep or become too many nodes), those of reading nodes.
 */
mls_status mls__onnx_read_call(struct mls__onnx_node *node, const mls__function_proto *function);

/*
 * In a call, what an attribute that refers to one of the function stands for: the caller's, the
 * function's default, or NULL, as if it were not there; and the reader whose names it uses. Any
 * other attribute stands for itself.
 */
const mls__attr_proto *mls__onnx_resolve_attr(mls__onnx_reader *reader, const mls__attr_proto *attr,
                                              mls__onnx_reader **ret_reader);

/*
 * The subgraph of attribute `name` becomes a body of the node, and what it takes from `outer`
 * follows the node's inputs. Errors: those of reading a graph; MLS_EUNSUPPORTED: a node of it
 * cannot be run.
 */
mls_status mls__onnx_read_body(struct mls__onnx_node *node, mls__onnx_reader *outer,
                               const char *name, const mls__graph_proto *proto);

/* A copy of the thread's error message that lives as long as the model, or NULL. */
const char *mls__onnx_reason(const mls__onnx_reader *reader);

/* Initializers, inputs, and the outputs of nodes; then what is declared of them. */
mls_status mls__onnx_read_values(mls__onnx_reader *reader);

/*
 * Takes a declared type over into `value`: dtype, kind, rank, dims and their names.
 * Errors: MLS_EFORMAT, MLS_EUNSUPPORTED, MLS_ENOMEM.
 */
mls_status mls__onnx_read_type(mls__arena *arena, const mls__type_proto *type, mls__value *value);

/* The part of it that nodes make up: a value for each output. */
mls_status mls__onnx_claim_nodes(mls__onnx_reader *reader, mls__node_proto *const *nodes,
                                 size_t count);

/* The graph's outputs, once all nodes are read. */
mls_status mls__onnx_read_outputs(mls__onnx_reader *reader);

/* The value of a name: of this graph, of one around it, or made. MLS__NO_VALUE for "". */
mls_status mls__onnx_value(mls__onnx_reader *reader, const char *name, uint32_t *ret_value);

/* A value without a name in the file, which nothing gives yet. */
mls_status mls__onnx_add_value(mls__onnx_reader *reader, const char *name, uint32_t *ret_value);

/* A value without a name in the file. `tensor` becomes the model's, also on failure. */
mls_status mls__onnx_add_constant(mls__onnx_reader *reader, const char *name, mls_tensor *tensor,
                                  uint32_t *ret_value);

mls__value_note *mls__onnx_note(const mls__onnx_reader *reader, uint32_t value);

/* Gives `value` a node that cannot be run, for the reason given. */
mls_status mls__onnx_add_unsupported_constant(mls__onnx_reader *reader, uint32_t value,
                                              const char *name, const char *reason);

mls_status mls__onnx_read_nodes(mls__onnx_reader *reader, mls__node_proto *const *nodes,
                                size_t count);

/*
 * An attribute of the file, other than a subgraph, under the name that the node gives it; tensors
 * become the model's. Errors: MLS_EFORMAT, MLS_EUNSUPPORTED (types, lists of tensors), those of
 * reading a tensor.
 */
mls_status mls__onnx_read_attr(mls__onnx_reader *reader, const mls__attr_proto *proto,
                               const char *name, mls_attr *ret_attr);

#endif
