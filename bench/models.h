/* SPDX-License-Identifier: Apache-2.0 */
/* The models of the comparison, made in memory from a fixed seed. */
#ifndef MLS_BENCH_MODELS_H
#define MLS_BENCH_MODELS_H

#include "support/onnx_build.h"

/* `count` Add nodes in a row, each with a constant of one element, on [1,1]. */
onnx_build *model_adds(int count);

/* Gemm and Relu layers of these widths, ended by 0: {32, 32, 1, 0}. */
onnx_build *model_mlp(const int *widths);

/* ResNet-50 for an image of 224 x 224, as exporters write it: batch norms in the weights. */
onnx_build *model_resnet50(void);

/* The convolutions and pools of VGG-19, likewise. */
onnx_build *model_vgg19(void);

/* "LSTM" or "GRU" of `features` inputs over `steps`, batch 1. */
onnx_build *model_recurrence(const char *op, int steps, int features, int hidden);

/* A transformer block, self-attention and two dense layers, over `tokens` of width `width`. */
onnx_build *model_transformer(int tokens, int width, int heads);

/* The next of a fixed sequence of numbers, uniform in [-1, 1). */
float model_random(void);

#endif
