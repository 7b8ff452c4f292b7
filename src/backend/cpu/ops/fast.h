/* SPDX-License-Identifier: Apache-2.0 */
/* What products in bfloat16 (MLS_NUMERICS_FAST) share: which kernels, and their operands. */
#ifndef MLS_BACKEND_CPU_OPS_FAST_H
#define MLS_BACKEND_CPU_OPS_FAST_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"

#include <stddef.h>

/*
 * The kernels for a product of float32 that is planned for this many rows, columns and k; NULL if
 * the exact ones take less time or the op wants those.
 */
const mls__gemm_bf16_kernels *mls__fast_kernels(const mls__cpu *cpu, const mls_op *op, int64_t rows,
                                                int64_t n, int64_t k);

/* Elements from row to row of A: k with its padding, kept off powers of two for the caches' sake.
 */
int64_t mls__fast_row(int64_t k);

/* Rows of A at a time, and the bytes of so many; false when these are more than memory can be. */
bool mls__fast_chunk(int64_t rows, int64_t k, int64_t *ret_rows, size_t *ret_bytes);

/* As many rows of another k as so many bytes hold; no fewer than 16. */
int64_t mls__fast_rows_in(size_t bytes, int64_t k);

/* Bytes of B when packed; false when they are more than memory can be. */
bool mls__fast_packed_size(int64_t n, int64_t k, size_t *ret_bytes);

/* Rows k .. k+count-1 of B's columns column .. column+columns-1: 16 floats a row, padded with 0. */
typedef void (*mls__fast_rows_fn)(const void *arg, int64_t k, int64_t count, int64_t column,
                                  int64_t columns, float *ret_rows);

/* Packs panels panel .. panel+panels-1 of B, at their places. */
void mls__fast_pack(const mls__gemm_bf16_kernels *kernels, int64_t n, int64_t k, int64_t panel,
                    int64_t panels, mls__fast_rows_fn read, const void *arg, uint16_t *ret_packed);

#endif
