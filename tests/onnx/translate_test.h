/* SPDX-License-Identifier: Apache-2.0 */
/* One node, and what translation makes of it. */
#ifndef TESTS_ONNX_TRANSLATE_TEST_H
#define TESTS_ONNX_TRANSLATE_TEST_H

#include "support/onnx_build.h"
#include "support/test.h"

#include "graph/model.h"

#include <string.h>

static mls_context *context;
static onnx_build *b;
static mls_model *model;

static inline void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
    b = NULL;
    model = NULL;
}

static inline void teardown(void)
{
    mls_model_free(model);
    onnx_build_free(b);
    mls_context_free(context);
}

/* A new model with the output y. */
static inline void begin_model(int64_t opset)
{
    onnx_build_free(b);
    b = onnx_build_create(opset);
    onnx_build_output(b, "y", MLS_FLOAT32, NULL);
}

/* The node as the graph has it. */
static inline const mls__node *load(void)
{
    mls_model_free(model);
    model = NULL;
    ck_assert_ok(onnx_build_load(b, context, MLS_MODEL_ALLOW_UNSUPPORTED, &model));
    ck_assert_uint_eq(model->graph.nodes.count, 1);
    return mls__graph_node(&model->graph, 0);
}

static inline const mls_attr *find_attr(const mls__node *node, const char *name)
{
    for (size_t i = 0; i < node->attr_count; i++)
        if (strcmp(node->attrs[i].name, name) == 0)
            return &node->attrs[i];
    return NULL;
}

#endif
