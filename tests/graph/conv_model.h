/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model around convolutions for tests of passes: an input x of 20 channels, weights, and a
 * comparison of what the model gives before the passes and after them.
 */
#ifndef TESTS_GRAPH_CONV_MODEL_H
#define TESTS_GRAPH_CONV_MODEL_H

#include "support/onnx_build.h"

#include <stddef.h>

/* x; w and w1, 20 filters of 3 x 3 and of one weight; bias. To be ended. */
onnx_build *conv_model_begin(void);
void conv_model_end(void);

/* An initializer of `count` numbers at random, all positive if `low` is 0. */
void add_constant(const char *name, const char *shape, size_t count, float low);

/* A Conv of 3 x 3 that keeps its image's size. */
onnx_node *add_conv(const char *inputs, const char *output);

/* Loads the model, which must have been optimized. */
void optimize(void);

/* Nodes of a type that the passes left. */
size_t count_nodes(const char *type);

/* ConvStacks: what they hold is counted above. */
size_t count_stacks(void);

/* Attributes of this name that are 1, of all nodes. */
size_t count_set(const char *attribute);

/* Runs the model optimized and not; equal to the bit where the bound is 0. */
void expect_equal(double bound);

#endif
