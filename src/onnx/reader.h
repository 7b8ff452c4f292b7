/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the unpacked file to a model, in this order:
 *
 *   load.c    the file, the versions it needs, its metadata
 *   count.c   which ops and how many parameters it has, subgraphs and all
 *   values.c  initializers, inputs, outputs, and what is declared of the others
 *   nodes.c   nodes: whether they are supported, attributes, constants
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

typedef struct mls__onnx_reader {
    mls_model *model;
    mls__graph *graph; /* the model's */
    mls__model_proto *proto;
    mls__external external;
    const char *unsupported; /* why no node can be run, or NULL */
    bool allow_unsupported;
    mls__map values;    /* by name: index */
    mls__vec notes;     /* mls__value_note, one a value */
    mls__map functions; /* model-local ones, by domain, name and overload */
} mls__onnx_reader;

/* "" for ai.onnx under each of its names. */
const char *mls__onnx_domain(const char *domain);

/*
 * The version of a domain that the model imports. Errors: MLS_EFORMAT (not imported),
 * MLS_EUNSUPPORTED (domain or version; *ret_version is set).
 */
mls_status mls__onnx_version(const mls__onnx_reader *reader, const char *domain,
                             int64_t *ret_version);

/* Counts ops and parameters, and notes the functions. */
mls_status mls__onnx_count(mls__onnx_reader *reader);

/* Whether the node calls one of the model's own functions. */
mls_status mls__onnx_is_function(mls__onnx_reader *reader, const mls__node_proto *node,
                                 bool *ret_is_function);

/* A copy of the thread's error message that lives as long as the model, or NULL. */
const char *mls__onnx_reason(const mls__onnx_reader *reader);

/* Initializers, inputs, and the outputs of nodes; then what is declared of them. */
mls_status mls__onnx_read_values(mls__onnx_reader *reader);

/* The graph's outputs, once all nodes are read. */
mls_status mls__onnx_read_outputs(mls__onnx_reader *reader);

/* The value of a name, made if there is none yet; MLS__NO_VALUE for "". */
mls_status mls__onnx_value(mls__onnx_reader *reader, const char *name, uint32_t *ret_value);

/* A value without a name in the file. `tensor` becomes the model's, also on failure. */
mls_status mls__onnx_add_constant(mls__onnx_reader *reader, const char *name, mls_tensor *tensor,
                                  uint32_t *ret_value);

mls__value_note *mls__onnx_note(const mls__onnx_reader *reader, uint32_t value);

/* Gives `value` a node that cannot be run, for the reason given. */
mls_status mls__onnx_add_unsupported_constant(mls__onnx_reader *reader, uint32_t value,
                                              const char *name, const char *reason);

mls_status mls__onnx_read_nodes(mls__onnx_reader *reader);

/*
 * An attribute of the file; tensors become the model's. Errors: MLS_EFORMAT,
 * MLS_EUNSUPPORTED (subgraphs, types, sparse tensors), those of reading a tensor.
 */
mls_status mls__onnx_read_attr(mls__onnx_reader *reader, const mls__attr_proto *proto,
                               mls_attr *ret_attr);

#endif
