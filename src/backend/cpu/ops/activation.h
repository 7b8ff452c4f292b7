/* SPDX-License-Identifier: Apache-2.0 */
/* Activations by name, for ops that end with one. */
#ifndef MLS_BACKEND_CPU_OPS_ACTIVATION_H
#define MLS_BACKEND_CPU_OPS_ACTIVATION_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"

typedef struct mls__activation {
    mls__unary_fn run; /* NULL: none */
    mls__unary_op op;  /* of run */
    float params[2];
} mls__activation;

/*
 * From the attributes activation (the name of an ONNX op, or none) and activation_alpha and
 * activation_beta: what the op calls alpha and beta (for Clip: min and max), with its defaults.
 * Errors: MLS_EINVAL for a name that is none.
 */
mls_status mls__activation_read(const mls__cpu *cpu, const mls_op *op,
                                mls__activation *ret_activation);

#endif
