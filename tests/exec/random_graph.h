/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random models: chains and meshes of cheap ops over [batch, width] values, with views,
 * fan-out, values that are outputs and inputs of other nodes at once, and inputs that
 * are outputs. The same seed gives the same model.
 */
#ifndef MLS_TESTS_EXEC_RANDOM_GRAPH_H
#define MLS_TESTS_EXEC_RANDOM_GRAPH_H

#include "support/onnx_build.h"

/* Inputs "v0", "v1", ... of float32 ["batch", 8]; `nodes` nodes; some outputs. */
onnx_build *random_graph(uint64_t seed, int inputs, int nodes);

#endif
