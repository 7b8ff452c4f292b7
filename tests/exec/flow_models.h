/* SPDX-License-Identifier: Apache-2.0 */
/* Models with control flow and sequences whose runs are all alike. Input 0 is float32 [4, 3]. */
#ifndef MLS_TESTS_EXEC_FLOW_MODELS_H
#define MLS_TESTS_EXEC_FLOW_MODELS_H

#include "support/onnx_build.h"

/* A Loop that gathers what each of a hundred iterations gave. */
onnx_build *flow_gathering(void);

/* A Loop whose value is longer after each iteration. */
onnx_build *flow_growing(void);

/* A Loop whose body takes one branch of an If and the other by turns. */
onnx_build *flow_alternating(void);

/* A Scan over columns, from the last. */
onnx_build *flow_scanning(void);

/* A sequence: split, edited, mapped, joined. */
onnx_build *flow_sequence(void);

/* NonZero, whose output's size only the run knows. */
onnx_build *flow_late(void);

#endif
