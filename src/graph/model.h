/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of mls_model. Readers (src/onnx) fill one in and finish it; from then on
 * it is immutable but for the weight cache, which has its own lock.
 */
#ifndef MLS_GRAPH_MODEL_H
#define MLS_GRAPH_MODEL_H

#include "base/context.h"
#include "base/refcount.h"
#include "graph/graph.h"
#include "graph/weights.h"

#include <mlscale/model.h>

typedef struct mls__opset {
    const char *domain; /* "" is ai.onnx */
    int64_t version;
} mls__opset;

typedef struct mls__op_uses {
    const char *op; /* "Gemm", "ai.onnx.ml.Scaler" */
    size_t uses;
} mls__op_uses;

typedef struct mls__metadata {
    const char *key, *value;
} mls__metadata;

struct mls_model {
    mls__refcount refs;
    mls_context *context; /* a reference */
    uint64_t next_id;     /* last id given to a constant or node */
    mls__graph graph;     /* as the file has it, in the newest form of each op */
    mls__graph optimized; /* after the passes; shares `graph`'s memory */
    bool has_optimized;
    size_t folded_bytes;  /* of the constants that passes have computed */
    mls__vec tensors;     /* mls_tensor *: all constants, owned */
    mls__vec opsets;      /* mls__opset */
    mls__vec op_uses;     /* mls__op_uses, by name */
    mls__vec metadata;    /* mls__metadata */
    mls__vec unsupported; /* size_t: indices of nodes of `graph` */
    int64_t parameter_count;
    mls_weight_cache weights;
};

/* Empty, with one reference. */
mls_status mls__model_create(mls_context *context, mls_model **ret_model);

void mls__model_ref(mls_model *model);
void mls__model_unref(mls_model *model);

/* Takes the tensor over, also on failure. */
mls_status mls__model_add_tensor(mls_model *model, mls_tensor *tensor);

/* Strings are copied. */
mls_status mls__model_add_opset(mls_model *model, const char *domain, int64_t version);
mls_status mls__model_add_metadata(mls_model *model, const char *key, const char *value);

/* Counts one more use of an op, named as the file names it. */
mls_status mls__model_count_op(mls_model *model, const char *domain, const char *type);

/*
 * The reader is done: sorts the graph, notes unsupported nodes (an error unless
 * `allow_unsupported`), and runs the passes. Errors: those of mls__graph_sort();
 * MLS_EUNSUPPORTED; MLS_ENOMEM.
 */
mls_status mls__model_finish(mls_model *model, bool allow_unsupported);

#endif
