/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small models of each family whose kernels share work out by batch, threads and instruction set:
 * what runs whole models to compare their bytes builds them here. Each has one float32 input "x",
 * whose first dimension is "batch".
 */
#ifndef MLS_TESTS_EXEC_BIT_MODELS_H
#define MLS_TESTS_EXEC_BIT_MODELS_H

#include "support/onnx_build.h"

/* Wide and narrow layers, and each activation that a product takes: rows of 37. */
onnx_build *bit_model_network(void);
/* Reductions, norms and everything transcendental: rows of 45. */
onnx_build *bit_model_functions(void);
/* Images of 3 x 12 x 12: a residual around a depthwise convolution, pools, a classifier. */
onnx_build *bit_model_images(void);
/* The same as exporters quantize it, between QuantizeLinear and DequantizeLinear: 3 x 8 x 8. */
onnx_build *bit_model_quantized(void);
/* A block of a transformer, of 10 tokens with 32 features. */
onnx_build *bit_model_transformer(void);
/* An LSTM in both directions and a GRU above it, of 7 steps with 6 features. */
onnx_build *bit_model_recurrent(void);

#endif
