/* SPDX-License-Identifier: Apache-2.0 */
/* Numeric attributes that come as floats or as a tensor of some floating-point type. */
#ifndef MLS_BACKEND_CPU_OPS_ML_NUMBERS_H
#define MLS_BACKEND_CPU_OPS_ML_NUMBERS_H

#include "backend/cpu/cpu.h"

#include <stdbool.h>

typedef struct mls__numbers {
    size_t count;
    int32_t dtype; /* of data: float32, float64 or float16 */
    const void *data;
} mls__numbers;

/*
 * Attribute `name`, of floats, or `name`_as_tensor; none: count 0. Errors: MLS_EINVAL (both),
 * MLS_EDTYPE.
 */
mls_status mls__numbers_read(const mls_op *op, const char *name, mls__numbers *ret_numbers);

/* The attribute `name`, a tensor. */
mls_status mls__numbers_read_tensor(const mls_op *op, const char *name, mls__numbers *ret_numbers);

double mls__numbers_at(const mls__numbers *numbers, size_t index);

#endif
