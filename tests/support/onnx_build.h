/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes ONNX models in memory, for tests: a small graph takes a few lines.
 *
 *     onnx_build *b = onnx_build_create(13);
 *     onnx_build_input(b, "x", MLS_FLOAT32, "N,3");
 *     onnx_build_floats(b, "w", "3,2", (float[]){1, 2, 3, 4, 5, 6});
 *     onnx_build_node(b, "MatMul", "x w", "y");
 *     onnx_node *relu = onnx_build_node(b, "LeakyRelu", "y", "z");
 *     onnx_node_float(relu, "alpha", 0.1f);
 *     onnx_build_output(b, "z", MLS_FLOAT32, "N,2");
 *     ck_assert_ok(onnx_build_load(b, context, 0, &model));
 *     onnx_build_free(b);
 *
 * Nothing is checked, so broken models can be made too; what the functions do not
 * offer can be done to the protobuf structs themselves. Running out of memory aborts.
 */
#ifndef MLS_TESTS_SUPPORT_ONNX_BUILD_H
#define MLS_TESTS_SUPPORT_ONNX_BUILD_H

#include "onnx/proto.h"

#include <mlscale.h>

#include <stddef.h>
#include <stdint.h>

typedef struct onnx_build onnx_build;
typedef struct onnx_node onnx_node; /* lives as long as its build */

/* A model of IR version 8 that imports `opset` of ai.onnx (0: no domain at all). */
onnx_build *onnx_build_create(int64_t opset);
void onnx_build_free(onnx_build *build);

void onnx_build_opset(onnx_build *build, const char *domain, int64_t version);

/*
 * Inputs, outputs, value_info. `shape` lists the dimensions: "N,3" ("?" is one
 * without a name), "" is a scalar, NULL leaves the shape out.
 */
void onnx_build_input(onnx_build *build, const char *name, int32_t dtype, const char *shape);
void onnx_build_output(onnx_build *build, const char *name, int32_t dtype, const char *shape);
void onnx_build_value(onnx_build *build, const char *name, int32_t dtype, const char *shape);

/* Initializers: as raw data of any type; their data are copied. */
mls__tensor_proto *onnx_build_raw(onnx_build *build, const char *name, int32_t dtype,
                                  const char *shape, const void *data, size_t size_bytes);
mls__tensor_proto *onnx_build_floats(onnx_build *build, const char *name, const char *shape,
                                     const float *data);
mls__tensor_proto *onnx_build_ints(onnx_build *build, const char *name, const char *shape,
                                   const int64_t *data);

/* A tensor that is not yet anywhere. */
mls__tensor_proto *onnx_build_tensor(onnx_build *build, const char *name, int32_t dtype,
                                     const char *shape, const void *data, size_t size_bytes);

/*
 * A node. `inputs` and `outputs` are names parted by spaces, "-" for one that is left
 * out. `op` may have a domain: "ai.onnx.ml:Scaler".
 */
onnx_node *onnx_build_node(onnx_build *build, const char *op, const char *inputs,
                           const char *outputs);
void onnx_node_name(onnx_node *node, const char *name);
void onnx_node_int(onnx_node *node, const char *name, int64_t value);
void onnx_node_float(onnx_node *node, const char *name, float value);
void onnx_node_string(onnx_node *node, const char *name, const char *value);
void onnx_node_ints(onnx_node *node, const char *name, size_t count, const int64_t *values);
void onnx_node_floats(onnx_node *node, const char *name, size_t count, const float *values);
void onnx_node_strings(onnx_node *node, const char *name, size_t count, const char *const *values);
void onnx_node_tensor(onnx_node *node, const char *name, mls__tensor_proto *tensor);
/* Without a value, to be filled in. */
mls__attr_proto *onnx_node_attr(onnx_node *node, const char *name, int32_t type);

/* The graph of `body` becomes a subgraph of the node; the node's build frees it. */
void onnx_node_body(onnx_node *node, const char *name, onnx_build *body);

/* The graph of `body` becomes a function of the model, with its opsets; the build frees it. */
mls__function_proto *onnx_build_function(onnx_build *build, const char *domain, const char *name,
                                         onnx_build *body);

/* Makes the type of an input, output or value declared last that of a sequence or optional. */
void onnx_build_sequence_type(onnx_build *build, mls__value_proto *value);
void onnx_build_optional_type(onnx_build *build, mls__value_proto *value);
/* ... or a map from `key_type` to elements of the type it had. */
void onnx_build_map_type(onnx_build *build, mls__value_proto *value, int32_t key_type);

/* The structs themselves. */
mls__model_proto *onnx_build_model(onnx_build *build);
mls__node_proto *onnx_node_proto(onnx_node *node);

/* Memory that lives as long as the build; zero-filled. */
void *onnx_build_alloc(onnx_build *build, size_t size);
char *onnx_build_text(onnx_build *build, const char *text);

/*
 * The file's bytes, which live as long as the build, and a model from them. `flags` are
 * mls_model_options.flags.
 */
const uint8_t *onnx_build_bytes(onnx_build *build, size_t *ret_size);
mls_status onnx_build_load(onnx_build *build, mls_context *context, uint64_t flags,
                           mls_model **ret_model);

#endif
