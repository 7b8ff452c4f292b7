/* SPDX-License-Identifier: Apache-2.0 */
/* See simd_ops.h. */
#include "simd_ops.h"

#include "backend/cpu/simd/simd.h"

/* A primitive as a function over memory. */
#define FLOAT1(op)                                                                                 \
    static void run_##op(float *y, const float *a, const float *b, const float *c)                 \
    {                                                                                              \
        (void) b;                                                                                  \
        (void) c;                                                                                  \
        vf_store(y, vf_##op(vf_load(a)));                                                          \
    }
#define FLOAT2(op)                                                                                 \
    static void run_##op(float *y, const float *a, const float *b, const float *c)                 \
    {                                                                                              \
        (void) c;                                                                                  \
        vf_store(y, vf_##op(vf_load(a), vf_load(b)));                                              \
    }
#define FLOAT3(op)                                                                                 \
    static void run_##op(float *y, const float *a, const float *b, const float *c)                 \
    {                                                                                              \
        vf_store(y, vf_##op(vf_load(a), vf_load(b), vf_load(c)));                                  \
    }
#define COMPARE(op)                                                                                \
    static uint32_t run_##op(const float *a, const float *b)                                       \
    {                                                                                              \
        return vm_bits(vf_##op(vf_load(a), vf_load(b)));                                           \
    }
#define INT2(op)                                                                                   \
    static void run_int_##op(int32_t *y, const int32_t *a, const int32_t *b)                       \
    {                                                                                              \
        vi_store(y, vi_##op(vi_load(a), vi_load(b)));                                              \
    }
#define REDUCE(op)                                                                                 \
    static float run_##op(const float *a)                                                          \
    {                                                                                              \
        return vf_##op(vf_load(a));                                                                \
    }
#define ROW(op)                                                                                    \
    {                                                                                              \
#op, run_##op                                                                              \
    }
#define INT_ROW(op)                                                                                \
    {                                                                                              \
#op, run_int_##op                                                                          \
    }

/* The formatter would move these calls back and forth. */
/* clang-format off */
FLOAT1(sqrt)
FLOAT1(neg)
FLOAT1(abs)
FLOAT1(floor)
FLOAT1(ceil)
FLOAT1(trunc)
FLOAT1(rint)
FLOAT2(add)
FLOAT2(sub)
FLOAT2(mul)
FLOAT2(div)
FLOAT2(copysign)
FLOAT2(min)
FLOAT2(max)
FLOAT2(min_nan)
FLOAT2(max_nan)
FLOAT3(fma)
FLOAT3(fms)
FLOAT3(fnma)
COMPARE(eq)
COMPARE(ne)
COMPARE(lt)
COMPARE(le)
COMPARE(gt)
COMPARE(ge)
INT2(add)
INT2(sub)
INT2(mul)
INT2(and)
INT2(or)
INT2(xor)
INT2(andnot)
INT2(min)
INT2(max)
REDUCE(hsum)
REDUCE(hmul)
REDUCE(hmin)
REDUCE(hmax)
REDUCE(hmin_nan)
REDUCE(hmax_nan)
/* clang-format on */

static void run_zero(float *y, const float *a, const float *b, const float *c)
{
    (void) a;
    (void) b;
    (void) c;
    vf_store(y, vf_zero());
}

static void run_set1(float *y, const float *a, const float *b, const float *c)
{
    (void) b;
    (void) c;
    vf_store(y, vf_set1(a[0]));
}

static void run_copy(float *y, const float *a, const float *b, const float *c)
{
    (void) b;
    (void) c;
    vf_store(y, vi_as_float(vf_as_int(vf_load(a))));
}

static void run_int_zero(int32_t *y, const int32_t *a, const int32_t *b)
{
    (void) a;
    (void) b;
    vi_store(y, vi_zero());
}

static void run_int_set1(int32_t *y, const int32_t *a, const int32_t *b)
{
    (void) b;
    vi_store(y, vi_set1(a[0]));
}

static uint32_t run_isnan(const float *a, const float *b)
{
    (void) b;
    return vm_bits(vf_isnan(vf_load(a)));
}

static float run_lane0(const float *a)
{
    return vf_lane0(vf_load(a));
}

static const simd_float_op float_ops[] = {
    ROW(sqrt), ROW(neg),  ROW(abs),     ROW(floor),   ROW(ceil), ROW(trunc),
    ROW(rint), ROW(add),  ROW(sub),     ROW(mul),     ROW(div),  ROW(copysign),
    ROW(min),  ROW(max),  ROW(min_nan), ROW(max_nan), ROW(fma),  ROW(fms),
    ROW(fnma), ROW(zero), ROW(set1),    ROW(copy),    {0},
};

static const simd_int_op int_ops[] = {
    INT_ROW(add),    INT_ROW(sub), INT_ROW(mul), INT_ROW(and),  INT_ROW(or),   INT_ROW(xor),
    INT_ROW(andnot), INT_ROW(min), INT_ROW(max), INT_ROW(zero), INT_ROW(set1), {0},
};

static const simd_compare_op compare_ops[] = {
    ROW(eq), ROW(ne), ROW(lt), ROW(le), ROW(gt), ROW(ge), ROW(isnan), {0},
};

static const simd_reduce_op reduce_ops[] = {
    ROW(hsum), ROW(hmul), ROW(hmin), ROW(hmax), ROW(hmin_nan), ROW(hmax_nan), ROW(lane0), {0},
};

static uint32_t int_compare(char op, const int32_t *a, const int32_t *b)
{
    if (op == '=')
        return vm_bits(vi_eq(vi_load(a), vi_load(b)));
    if (op == '<')
        return vm_bits(vi_lt(vi_load(a), vi_load(b)));
    return vm_bits(vi_gt(vi_load(a), vi_load(b)));
}

static void shift(char op, int32_t *y, const int32_t *a, int count)
{
    if (op == '<')
        vi_store(y, vi_shl(vi_load(a), count));
    else if (op == '>')
        vi_store(y, vi_shr(vi_load(a), count));
    else
        vi_store(y, vi_sar(vi_load(a), count));
}

static void to_int(int32_t *y, const float *a)
{
    vi_store(y, vf_to_int(vf_load(a)));
}

static void to_int_rint(int32_t *y, const float *a)
{
    vi_store(y, vf_to_int_rint(vf_load(a)));
}

static void to_float(float *y, const int32_t *a)
{
    vf_store(y, vi_to_float(vi_load(a)));
}

static void run_ldexp(float *y, const float *a, const float *n)
{
    vf_store(y, vf_ldexp(vf_load(a), vf_load(n)));
}

static void run_pow2(float *y, const float *n)
{
    vf_store(y, vf_pow2(vf_load(n)));
}

static void copy_n(float *y, const float *a, int n)
{
    vf_store_n(y, vf_load_n(a, n), n);
}

static void copy_int_n(int32_t *y, const int32_t *a, int n)
{
    vi_store_n(y, vi_load_n(a, n), n);
}

static void load_f16(float *y, const uint16_t *a)
{
    vf_store(y, vf_load_f16(a));
}

static void store_f16(uint16_t *y, const float *a)
{
    vf_store_f16(y, vf_load(a));
}

static void load_bf16(float *y, const uint16_t *a)
{
    vf_store(y, vf_load_bf16(a));
}

static void store_bf16(uint16_t *y, const float *a)
{
    vf_store_bf16(y, vf_load(a));
}

static void go_through_f16(float *y, const float *a)
{
    vf_store(y, vf_through_f16(vf_load(a)));
}

static void go_through_bf16(float *y, const float *a)
{
    vf_store(y, vf_through_bf16(vf_load(a)));
}

static void copy_f16_n(uint16_t *y, const uint16_t *a, int n)
{
    vf_store_f16_n(y, vf_load_f16_n(a, n), n);
}

static void copy_bf16_n(uint16_t *y, const uint16_t *a, int n)
{
    vf_store_bf16_n(y, vf_load_bf16_n(a, n), n);
}

static void load_u8_n(int32_t *y, const uint8_t *a, int n)
{
    vi_store(y, vi_load_u8_n(a, n));
}

static void load_i8_n(int32_t *y, const int8_t *a, int n)
{
    vi_store(y, vi_load_i8_n(a, n));
}

static void store_u8_n(uint8_t *y, const int32_t *a, int n)
{
    vi_store_u8_n(y, vi_load(a), n);
}

static void store_twice(int32_t *y, const int32_t *a)
{
    vi_store_twice(y, vi_load(a));
}

static void copy_u16(uint16_t *y, const int32_t *a)
{
    uint16_t narrow[MLS_LANES];
    vi_store_u16(narrow, vi_load(a));
    vi_store_u16(y, vi_load_u16(narrow));
}

static uint32_t mask(char op, uint32_t a, uint32_t b)
{
    const mls_vm x = vm_from_bits(a);
    const mls_vm y = vm_from_bits(b);
    switch (op) {
    case '&':
        return vm_bits(vm_and(x, y));
    case '|':
        return vm_bits(vm_or(x, y));
    case '^':
        return vm_bits(vm_xor(x, y));
    case '-':
        return vm_bits(vm_andnot(x, y));
    default:
        return vm_bits(vm_not(x));
    }
}

static uint32_t mask_first(int n)
{
    return vm_bits(vm_first(n));
}

static bool mask_any(uint32_t a)
{
    return vm_any(vm_from_bits(a));
}

static bool mask_all(uint32_t a)
{
    return vm_all(vm_from_bits(a));
}

static void copy_bool_n(uint8_t *y, const uint8_t *a, int n)
{
    vm_store_bool_n(y, vm_load_bool_n(a, n), n);
}

static void copy_bool(uint8_t *y, const uint8_t *a)
{
    vm_store_bool(y, vm_load_bool(a));
}

static void run_select(float *y, uint32_t bits, const float *a, const float *b)
{
    vf_store(y, vf_select(vm_from_bits(bits), vf_load(a), vf_load(b)));
}

static void select_int(int32_t *y, uint32_t bits, const int32_t *a, const int32_t *b)
{
    vi_store(y, vi_select(vm_from_bits(bits), vi_load(a), vi_load(b)));
}

static void gather(float *y, const float *base, const int32_t *index)
{
    vf_store(y, vf_gather(base, vi_load(index)));
}

static void gather_int(int32_t *y, const int32_t *base, const int32_t *index)
{
    vi_store(y, vi_gather(base, vi_load(index)));
}

static void gather_mask(float *y, uint32_t bits, const float *base, const int32_t *index)
{
    vf_store(y, vf_gather_mask(vf_load(y), vm_from_bits(bits), base, vi_load(index)));
}

static void gather_int_mask(int32_t *y, uint32_t bits, const int32_t *base, const int32_t *index)
{
    vi_store(y, vi_gather_mask(vi_load(y), vm_from_bits(bits), base, vi_load(index)));
}

static void even(float *y, const float *a, const float *b)
{
    vf_store(y, vf_even(vf_load(a), vf_load(b)));
}

static void odd(float *y, const float *a, const float *b)
{
    vf_store(y, vf_odd(vf_load(a), vf_load(b)));
}

static void gather_pair(float *y, const void *base, const int32_t *index)
{
    vf_store(y, vf_gather_pair(base, vi_load(index)));
}

static void gather_int_pair(int32_t *y, const void *base, const int32_t *index)
{
    vi_store(y, vi_gather_pair(base, vi_load(index)));
}

static void lookup32(int32_t *y, const int32_t *table, const int32_t *index)
{
    vi_store(y, vi_lookup32(table, vi_load(index)));
}

static void clear(int32_t *y, uint32_t mask, const int32_t *a, const int32_t *b)
{
    vi_store(y, vi_clear(vm_from_bits(mask), vi_load(a), vi_load(b)));
}

static void iota(int32_t *y)
{
    vi_store(y, vi_iota());
}

const simd_ops MLS_ISA_NAME(simd_ops) = {
    .isa = MLS_ISA_STRING,
    .float_ops = float_ops,
    .int_ops = int_ops,
    .compare_ops = compare_ops,
    .reduce_ops = reduce_ops,
    .int_compare = int_compare,
    .shift = shift,
    .to_int = to_int,
    .to_int_rint = to_int_rint,
    .to_float = to_float,
    .ldexp = run_ldexp,
    .pow2 = run_pow2,
    .copy_n = copy_n,
    .copy_int_n = copy_int_n,
    .load_f16 = load_f16,
    .store_f16 = store_f16,
    .load_bf16 = load_bf16,
    .store_bf16 = store_bf16,
    .through_f16 = go_through_f16,
    .through_bf16 = go_through_bf16,
    .copy_f16_n = copy_f16_n,
    .copy_bf16_n = copy_bf16_n,
    .copy_u16 = copy_u16,
    .store_twice = store_twice,
    .load_u8_n = load_u8_n,
    .load_i8_n = load_i8_n,
    .store_u8_n = store_u8_n,
    .mask = mask,
    .mask_first = mask_first,
    .mask_any = mask_any,
    .mask_all = mask_all,
    .copy_bool_n = copy_bool_n,
    .copy_bool = copy_bool,
    .select = run_select,
    .select_int = select_int,
    .gather = gather,
    .gather_int = gather_int,
    .gather_mask = gather_mask,
    .gather_int_mask = gather_int_mask,
    .even = even,
    .odd = odd,
    .gather_pair = gather_pair,
    .gather_int_pair = gather_int_pair,
    .lookup32 = lookup32,
    .clear = clear,
    .iota = iota,
};
