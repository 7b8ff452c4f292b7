/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernels of one instruction set as a table of tables. The files beside this one are compiled
 * once for each instruction set; table.c assembles the set's table. All tables give equal bytes,
 * but for the products of bfloat16, which only MLS_NUMERICS_FAST uses.
 */
#ifndef MLS_BACKEND_CPU_KERNELS_KERNELS_H
#define MLS_BACKEND_CPU_KERNELS_KERNELS_H

#include "backend/cpu/kernels/block_weights.h"
#include "backend/cpu/kernels/conv.h"
#include "backend/cpu/kernels/elementwise.h"
#include "backend/cpu/kernels/gemm.h"
#include "backend/cpu/kernels/gemm_bf16.h"
#include "backend/cpu/kernels/gemm_int8.h"
#include "backend/cpu/kernels/quantize.h"
#include "backend/cpu/kernels/linear_attention.h"
#include "backend/cpu/kernels/recurrent.h"
#include "backend/cpu/kernels/norm.h"
#include "backend/cpu/kernels/pool.h"
#include "backend/cpu/kernels/reduce.h"
#include "backend/cpu/kernels/resize.h"
#include "backend/cpu/kernels/scores.h"
#include "backend/cpu/kernels/softmax.h"
#include "backend/cpu/kernels/svm.h"
#include "backend/cpu/kernels/tree.h"

typedef struct mls__cpu_kernels {
    const char *isa; /* as base/isa.h names it */
    const mls__block_weight_kernels *block_weights;
    const mls__conv_kernels *conv;
    const mls__elementwise_kernels *elementwise;
    const mls__gemm_kernels *gemm;
    const mls__gemm_bf16_kernels *gemm_bf16;
    const mls__gemm_bf16_kernels *gemm_tiles; /* NULL: none; see mls__isa_request_tiles() */
    const mls__gemm_int8_kernels *gemm_int8;
    const mls__quantize_kernels *quantize;
    const mls__linear_kernels *linear_attention;
    const mls__recurrent_kernels *recurrent;
    const mls__norm_kernels *norm;
    const mls__pool_kernels *pool;
    const mls__reduce_kernels *reduce;
    const mls__resize_kernels *resize;
    const mls__softmax_kernels *softmax;
    const mls__score_kernels *scores;
    const mls__svm_kernels *svm;
    const mls__tree_kernels *tree;
} mls__cpu_kernels;

extern const mls__cpu_kernels mls__cpu_kernels_portable;
#if defined(__x86_64__)
extern const mls__cpu_kernels mls__cpu_kernels_avx2;
extern const mls__cpu_kernels mls__cpu_kernels_avx2vnni;
extern const mls__cpu_kernels mls__cpu_kernels_avx512;
extern const mls__cpu_kernels mls__cpu_kernels_avx512vnni;
extern const mls__cpu_kernels mls__cpu_kernels_avx512bf16;
extern const mls__cpu_kernels mls__cpu_kernels_amx;
#elif defined(__aarch64__)
extern const mls__cpu_kernels mls__cpu_kernels_neon;
#endif

/*
 * The table for an instruction set by name, NULL where there is none. Whether the machine can run
 * it is for base/isa.h to say.
 */
const mls__cpu_kernels *mls__cpu_kernels_find(const char *isa);

/* The index-th table in this build, NULL past the last: for tests that compare all of them. */
const mls__cpu_kernels *mls__cpu_kernels_at(int index);

#endif
