/* SPDX-License-Identifier: Apache-2.0 */
/* The models of the comparison, made in memory from a fixed seed. */
#ifndef MLS_BENCH_MODELS_H
#define MLS_BENCH_MODELS_H

#include "support/onnx_build.h"

/* `count` Add nodes in a row, each with a constant of one element, on [1,1]. */
onnx_build *model_adds(int count);

/* Gemm and Relu layers of these widths, ended by 0: {32, 32, 1, 0}. */
onnx_build *model_mlp(const int *widths);

/* `trees` complete trees of `depth` over `features`, with random thresholds. */
onnx_build *model_trees(int trees, int depth, int features);

/* The next of a fixed sequence of numbers, uniform in [-1, 1). */
float model_random(void);

#endif
