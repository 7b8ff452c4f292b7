/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random ops. Number i of a node's sequence goes to element i of its output, so that threads and
 * blocks change nothing; and since a run keeps no state, every run gives the same.
 */
#ifndef MLS_BACKEND_CPU_OPS_RANDOM_H
#define MLS_BACKEND_CPU_OPS_RANDOM_H

#include "base/rng.h"
#include "op/op.h"

/*
 * With the attribute `seed` a function of it alone: nodes with equal seeds draw equal numbers.
 * Without one, a function of the node's name (of its first output's where it has none), so that
 * the nodes of a model draw different numbers, and a model always the same.
 */
mls__rng mls__op_rng(const mls_op *op);

#endif
