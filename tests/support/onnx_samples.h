/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small models that together use everything a reader can meet: what tests break, byte
 * by byte, and what fuzzing starts from.
 */
#ifndef MLS_TESTS_SUPPORT_ONNX_SAMPLES_H
#define MLS_TESTS_SUPPORT_ONNX_SAMPLES_H

#include "support/onnx_build.h"

typedef struct onnx_sample {
    const char *name;
    int64_t opset;
    void (*fill)(onnx_build *build);
} onnx_sample;

/* Ended by a row without a name. */
extern const onnx_sample onnx_samples[];

/* To be freed with onnx_build_free(). */
onnx_build *onnx_sample_build(const onnx_sample *sample);

/* The same, by name: of a row of the table. */
onnx_build *onnx_sample_named(const char *name);

#endif
