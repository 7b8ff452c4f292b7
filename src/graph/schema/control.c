/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops that no backend sees, since they run graphs or handle what is no tensor: src/exec/flow
 * does. What they give follows from a run, so there is nothing to infer.
 */
#include "graph/schema/families.h"

#define MANY MLS__VARIADIC

/* Optional has a "type" too, which nothing here depends on: the reader passes over it. */

const mls__op_schema mls__schemas_control[] = {
    {"", "If", 1, 1, 1, MANY, MLS__OP_HOST, 0, NULL, "else_branch:graph! then_branch:graph!"},
    {"", "Loop", 0, MANY, 1, MANY, MLS__OP_HOST, 0, NULL, "body:graph!"},
    {"", "Scan", 0, MANY, 1, MANY, MLS__OP_HOST, 0, NULL,
     "body:graph! directions:ints mls_batched:int num_scan_inputs:int! scan_input_axes:ints "
     "scan_input_directions:ints scan_output_axes:ints scan_output_directions:ints"},
    {"", "SequenceMap", 1, MANY, 1, MANY, MLS__OP_HOST, 0, NULL, "body:graph!"},
    {"", "ConcatFromSequence", 1, 1, 1, 1, MLS__OP_HOST, 0, NULL, "axis:int! new_axis:int"},
    {"", "SequenceAt", 2, 2, 1, 1, MLS__OP_HOST, 0, NULL, NULL},
    {"", "SequenceConstruct", 1, MANY, 1, 1, MLS__OP_HOST, 0, NULL, NULL},
    {"", "SequenceEmpty", 0, 0, 1, 1, MLS__OP_HOST, 0, NULL, "dtype:int"},
    {"", "SequenceErase", 1, 2, 1, 1, MLS__OP_HOST, 0, NULL, NULL},
    {"", "SequenceInsert", 2, 3, 1, 1, MLS__OP_HOST, 0, NULL, NULL},
    {"", "SequenceLength", 1, 1, 1, 1, MLS__OP_HOST, 0, NULL, NULL},
    {"", "SplitToSequence", 1, 2, 1, 1, MLS__OP_HOST, 0, NULL, "axis:int keepdims:int"},
    {"", "Optional", 0, 1, 1, 1, MLS__OP_HOST, 0, NULL, NULL},
    {"", "OptionalGetElement", 1, 1, 1, 1, MLS__OP_HOST, 0, NULL, NULL},
    {"", "OptionalHasElement", 0, 1, 1, 1, MLS__OP_HOST, 0, NULL, NULL},
    {.type = NULL},
};
