/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of float64: kernels/pool.h in plain C. */
#ifndef MLS_BACKEND_CPU_OPS_POOL_PLAIN_H
#define MLS_BACKEND_CPU_OPS_POOL_PLAIN_H

#include "backend/cpu/kernels/pool.h"

extern const mls__pool_kernels mls__pool_f64;

#endif
