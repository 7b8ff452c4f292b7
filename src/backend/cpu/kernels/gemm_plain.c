/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled once an instruction set: products of types other than float32, in plain C that the
 * compiler turns into vectors. Each output has one chain, so lanes only run across columns.
 */
#include "backend/cpu/kernels/gemm.h"

#include "backend/cpu/simd/simd.h"

#include <math.h>

enum { COLUMNS = 16, BLOCK_K = 128 };

void MLS_ISA_NAME(gemm_float64)(const mls__gemm_plain *gemm, int64_t row, int64_t rows);
void MLS_ISA_NAME(gemm_uint32)(const mls__gemm_plain *gemm, int64_t row, int64_t rows);
void MLS_ISA_NAME(gemm_uint64)(const mls__gemm_plain *gemm, int64_t row, int64_t rows);

#define TYPE            double
#define NAME            gemm_float64
#define PART(what)      what##_float64
#define TAKE(a, b, sum) fma(a, b, sum)
#define FACTOR(factor)  (factor)
#include "backend/cpu/kernels/gemm_plain_type.h"

#define TYPE            uint32_t
#define NAME            gemm_uint32
#define PART(what)      what##_uint32
#define TAKE(a, b, sum) ((sum) + (a) * (b))
#define FACTOR(factor)  (uint32_t)(int64_t)(factor)
#include "backend/cpu/kernels/gemm_plain_type.h"

#define TYPE            uint64_t
#define NAME            gemm_uint64
#define PART(what)      what##_uint64
#define TAKE(a, b, sum) ((sum) + (a) * (b))
#define FACTOR(factor)  (uint64_t)(int64_t)(factor)
#include "backend/cpu/kernels/gemm_plain_type.h"
