/* SPDX-License-Identifier: Apache-2.0 */
/* Normalisations of float64: kernels/norm.h in plain C. */
#ifndef MLS_BACKEND_CPU_OPS_NORM_PLAIN_H
#define MLS_BACKEND_CPU_OPS_NORM_PLAIN_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"

extern const mls__norm_kernels mls__norm_f64;

/* The table for elements that are float64 or float32. */
static inline const mls__norm_kernels *mls__norm_of(const mls__cpu *cpu, int32_t dtype)
{
    return dtype == MLS_FLOAT64 ? &mls__norm_f64 : cpu->kernels->norm;
}

#endif
