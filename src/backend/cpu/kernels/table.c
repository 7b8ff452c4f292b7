/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled once a level (simd/simd.h): its table of kernels. Levels of one instruction set differ
 * in the kernels that are compiled for them.
 */
#include "backend/cpu/kernels/kernels.h"

#include "backend/cpu/simd/simd.h"

extern const mls__block_weight_kernels MLS_ISA_NAME(block_weights);
extern const mls__conv_kernels MLS_ISA_NAME(conv);
extern const mls__elementwise_kernels MLS_ISA_NAME(elementwise);
extern const mls__gemm_kernels MLS_ISA_NAME(gemm);
extern const mls__gemm_bf16_kernels MLS_ISA_BF16_NAME(gemm_bf16);
extern const mls__gemm_bf16_kernels MLS_ISA_LEVEL_NAME(gemm_tiles);
extern const mls__gemm_int8_kernels MLS_ISA_INT8_NAME(gemm_int8);
extern const mls__quantize_kernels MLS_ISA_NAME(quantize);
extern const mls__linear_kernels MLS_ISA_NAME(linear_attention);
extern const mls__recurrent_kernels MLS_ISA_NAME(recurrent);
extern const mls__norm_kernels MLS_ISA_NAME(norm);
extern const mls__pool_kernels MLS_ISA_NAME(pool);
extern const mls__reduce_kernels MLS_ISA_NAME(reduce);
extern const mls__resize_kernels MLS_ISA_NAME(resize);
extern const mls__softmax_kernels MLS_ISA_NAME(softmax);
extern const mls__score_kernels MLS_ISA_NAME(scores);
extern const mls__svm_kernels MLS_ISA_NAME(svm);
extern const mls__tree_kernels MLS_ISA_NAME(tree);

const mls__cpu_kernels MLS_ISA_LEVEL_NAME(cpu_kernels) = {
    .isa = MLS_ISA_LEVEL_STRING,
    .block_weights = &MLS_ISA_NAME(block_weights),
    .conv = &MLS_ISA_NAME(conv),
    .elementwise = &MLS_ISA_NAME(elementwise),
    .gemm = &MLS_ISA_NAME(gemm),
    .gemm_bf16 = &MLS_ISA_BF16_NAME(gemm_bf16),
#if defined(MLS_SIMD_AMX)
    .gemm_tiles = &MLS_ISA_LEVEL_NAME(gemm_tiles),
#endif
    .gemm_int8 = &MLS_ISA_INT8_NAME(gemm_int8),
    .quantize = &MLS_ISA_NAME(quantize),
    .linear_attention = &MLS_ISA_NAME(linear_attention),
    .recurrent = &MLS_ISA_NAME(recurrent),
    .norm = &MLS_ISA_NAME(norm),
    .pool = &MLS_ISA_NAME(pool),
    .reduce = &MLS_ISA_NAME(reduce),
    .resize = &MLS_ISA_NAME(resize),
    .softmax = &MLS_ISA_NAME(softmax),
    .scores = &MLS_ISA_NAME(scores),
    .svm = &MLS_ISA_NAME(svm),
    .tree = &MLS_ISA_NAME(tree),
};
