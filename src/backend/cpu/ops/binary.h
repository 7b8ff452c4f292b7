/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel of two inputs of one dtype, for ops with kernels of their own too: variadic
 * ones that have two inputs, powers of floats.
 */
#ifndef MLS_BACKEND_CPU_OPS_BINARY_H
#define MLS_BACKEND_CPU_OPS_BINARY_H

#include "backend/cpu/cpu.h"

mls_status mls__cpu_binary_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel);

#endif
