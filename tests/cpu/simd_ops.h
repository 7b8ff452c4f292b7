/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primitives of the virtual vector as functions over memory, so that one test can call those
 * of every instruction set. simd_ops.c is compiled once an instruction set.
 */
#ifndef TESTS_CPU_SIMD_OPS_H
#define TESTS_CPU_SIMD_OPS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct simd_float_op {
    const char *name;
    /* y = op(a, b, c) in 16 lanes; an op with fewer operands ignores the rest. */
    void (*run)(float *y, const float *a, const float *b, const float *c);
} simd_float_op;

typedef struct simd_int_op {
    const char *name;
    void (*run)(int32_t *y, const int32_t *a, const int32_t *b);
} simd_int_op;

typedef struct simd_compare_op {
    const char *name;
    uint32_t (*run)(const float *a, const float *b);
} simd_compare_op;

typedef struct simd_reduce_op {
    const char *name;
    float (*run)(const float *a);
} simd_reduce_op;

typedef struct simd_ops {
    const char *isa;
    const simd_float_op *float_ops; /* the lists end with a null name */
    const simd_int_op *int_ops;
    const simd_compare_op *compare_ops;
    const simd_reduce_op *reduce_ops;
    uint32_t (*int_compare)(char op, const int32_t *a, const int32_t *b);
    void (*shift)(char op, int32_t *y, const int32_t *a, int count);
    void (*to_int)(int32_t *y, const float *a);
    void (*to_int_rint)(int32_t *y, const float *a);
    void (*to_float)(float *y, const int32_t *a);
    void (*ldexp)(float *y, const float *a, const float *n);
    void (*pow2)(float *y, const float *n);
    void (*copy_n)(float *y, const float *a, int n);
    void (*copy_int_n)(int32_t *y, const int32_t *a, int n);
    void (*load_f16)(float *y, const uint16_t *a);
    void (*store_f16)(uint16_t *y, const float *a);
    void (*load_bf16)(float *y, const uint16_t *a);
    void (*store_bf16)(uint16_t *y, const float *a);
    void (*through_f16)(float *y, const float *a);
    void (*through_bf16)(float *y, const float *a);
    void (*copy_f16_n)(uint16_t *y, const uint16_t *a, int n);
    void (*copy_bf16_n)(uint16_t *y, const uint16_t *a, int n);
    void (*copy_u16)(uint16_t *y, const int32_t *a);
    void (*store_twice)(int32_t *y, const int32_t *a);
    void (*load_u8_n)(int32_t *y, const uint8_t *a, int n);
    void (*load_i8_n)(int32_t *y, const int8_t *a, int n);
    void (*store_u8_n)(uint8_t *y, const int32_t *a, int n);
    uint32_t (*mask)(char op, uint32_t a, uint32_t b);
    uint32_t (*mask_first)(int n);
    bool (*mask_any)(uint32_t a);
    bool (*mask_all)(uint32_t a);
    void (*copy_bool_n)(uint8_t *y, const uint8_t *a, int n);
    void (*copy_bool)(uint8_t *y, const uint8_t *a);
    void (*select)(float *y, uint32_t mask, const float *a, const float *b);
    void (*select_int)(int32_t *y, uint32_t mask, const int32_t *a, const int32_t *b);
    void (*gather)(float *y, const float *base, const int32_t *index);
    void (*gather_int)(int32_t *y, const int32_t *base, const int32_t *index);
    void (*gather_mask)(float *y, uint32_t mask, const float *base, const int32_t *index);
    void (*gather_int_mask)(int32_t *y, uint32_t mask, const int32_t *base, const int32_t *index);
    void (*even)(float *y, const float *a, const float *b);
    void (*odd)(float *y, const float *a, const float *b);
    void (*gather_pair)(float *y, const void *base, const int32_t *index);
    void (*gather_int_pair)(int32_t *y, const void *base, const int32_t *index);
    void (*lookup32)(int32_t *y, const int32_t *table, const int32_t *index);
    void (*clear)(int32_t *y, uint32_t mask, const int32_t *a, const int32_t *b);
    void (*iota)(int32_t *y);
} simd_ops;

extern const simd_ops mls__simd_ops_portable;
#if defined(__x86_64__)
extern const simd_ops mls__simd_ops_avx2;
extern const simd_ops mls__simd_ops_avx512;
#elif defined(__aarch64__)
extern const simd_ops mls__simd_ops_neon;
#endif

#endif
