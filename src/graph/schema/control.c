/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops that no backend sees, since they run graphs or handle what is no tensor: src/exec/flow
 * does. What they give follows from a run, so there is nothing to infer.
 */
#include "graph/schema/families.h"

#define MANY MLS__VARIADIC

const mls__op_schema mls__schemas_control[] = {
    {"", "If", 1, 1, 1, MANY, MLS__OP_HOST, 0, NULL},
    {"", "Loop", 0, MANY, 1, MANY, MLS__OP_HOST, 0, NULL},
    {"", "Scan", 0, MANY, 1, MANY, MLS__OP_HOST, 0, NULL},
    {"", "SequenceMap", 1, MANY, 1, MANY, MLS__OP_HOST, 0, NULL},
    {"", "ConcatFromSequence", 1, 1, 1, 1, MLS__OP_HOST, 0, NULL},
    {"", "SequenceAt", 2, 2, 1, 1, MLS__OP_HOST, 0, NULL},
    {"", "SequenceConstruct", 1, MANY, 1, 1, MLS__OP_HOST, 0, NULL},
    {"", "SequenceEmpty", 0, 0, 1, 1, MLS__OP_HOST, 0, NULL},
    {"", "SequenceErase", 1, 2, 1, 1, MLS__OP_HOST, 0, NULL},
    {"", "SequenceInsert", 2, 3, 1, 1, MLS__OP_HOST, 0, NULL},
    {"", "SequenceLength", 1, 1, 1, 1, MLS__OP_HOST, 0, NULL},
    {"", "SplitToSequence", 1, 2, 1, 1, MLS__OP_HOST, 0, NULL},
    {"", "Optional", 0, 1, 1, 1, MLS__OP_HOST, 0, NULL},
    {"", "OptionalGetElement", 1, 1, 1, 1, MLS__OP_HOST, 0, NULL},
    {"", "OptionalHasElement", 0, 1, 1, 1, MLS__OP_HOST, 0, NULL},
    {NULL, NULL, 0, 0, 0, 0, 0, 0, NULL},
};
