/* SPDX-License-Identifier: Apache-2.0 */
/* Two loops a dtype and reduction, both made from the expression that the reduction is. */
#include "backend/cpu/ops/combine.h"

#define INLINE static inline __attribute__((always_inline))

typedef void (*scatter_fn)(const mls__combine *, void *, const int64_t *, const void *, int64_t);
typedef void (*row_fn)(const mls__combine *, void *, const void *, int64_t);

/* --- in place of -------------------------------------------------------------------------------*/

INLINE void put(char *y, const int64_t *offsets, const char *updates, int64_t n, size_t size)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(y + offsets[i] * (int64_t) size, updates + i * (int64_t) size, size);
}

#define PUT(size)                                                                                  \
    static void put_##size(const mls__combine *combine, void *y, const int64_t *offsets,           \
                           const void *updates, int64_t n)                                         \
    {                                                                                              \
        (void) combine;                                                                            \
        put(y, offsets, updates, n, size);                                                         \
    }
PUT(1)
PUT(2)
PUT(4)
PUT(8)
PUT(16)

static const scatter_fn put_table[17] = {
    [1] = put_1, [2] = put_2, [4] = put_4, [8] = put_8, [16] = put_16};

static void put_row(const mls__combine *combine, void *y, const void *updates, int64_t n)
{
    memcpy(y, updates, (size_t) n * combine->size);
}

/* --- reduced with ----------------------------------------------------------------------------- */

/* `expression` of the element u and the update v, which are of type T. */
#define COMBINE(name, T, expression)                                                               \
    static void scatter_##name(const mls__combine *combine, void *y, const int64_t *offsets,       \
                               const void *updates, int64_t n)                                     \
    {                                                                                              \
        (void) combine;                                                                            \
        T *out = y;                                                                                \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const T u = out[offsets[i]], v = ((const T *) updates)[i];                             \
            out[offsets[i]] = (T) (expression);                                                    \
        }                                                                                          \
    }                                                                                              \
    static void row_##name(const mls__combine *combine, void *y, const void *updates, int64_t n)   \
    {                                                                                              \
        (void) combine;                                                                            \
        T *out = y;                                                                                \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const T u = out[i], v = ((const T *) updates)[i];                                      \
            out[i] = (T) (expression);                                                             \
        }                                                                                          \
    }

/* Sums and products in the unsigned type W, where they wrap around. */
#define INTEGERS(s, T, W)                                                                          \
    COMBINE(add_##s, T, (W) u + (W) v)                                                             \
    COMBINE(mul_##s, T, ((W) u * (W) v))                                                           \
    COMBINE(min_##s, T, u < v ? u : v)                                                             \
    COMBINE(max_##s, T, u > v ? u : v)

#define FLOATS(s, T)                                                                               \
    COMBINE(add_##s, T, u + v)                                                                     \
    COMBINE(mul_##s, T, (u * v))                                                                   \
    COMBINE(min_##s, T, u != u || u < v ? u : v)                                                   \
    COMBINE(max_##s, T, u != u || u > v ? u : v)

INTEGERS(i8, int8_t, uint32_t)
INTEGERS(i16, int16_t, uint32_t)
INTEGERS(i32, int32_t, uint32_t)
INTEGERS(i64, int64_t, uint64_t)
INTEGERS(u8, uint8_t, uint32_t)
INTEGERS(u16, uint16_t, uint32_t)
INTEGERS(u32, uint32_t, uint32_t)
INTEGERS(u64, uint64_t, uint64_t)
FLOATS(f32, float)
FLOATS(f64, double)
COMBINE(or_bool, uint8_t, u != 0 || v != 0)
COMBINE(and_bool, uint8_t, u != 0 && v != 0)

typedef struct loops {
    scatter_fn scatter;
    row_fn row;
} loops;

#define LOOPS(name)                                                                                \
    {                                                                                              \
        scatter_##name, row_##name                                                                 \
    }
#define NUMBER_ROW(op)                                                                             \
    [MLS_INT8] = LOOPS(op##_i8), [MLS_INT16] = LOOPS(op##_i16), [MLS_INT32] = LOOPS(op##_i32),     \
    [MLS_INT64] = LOOPS(op##_i64), [MLS_UINT8] = LOOPS(op##_u8), [MLS_UINT16] = LOOPS(op##_u16),   \
    [MLS_UINT32] = LOOPS(op##_u32), [MLS_UINT64] = LOOPS(op##_u64),                                \
    [MLS_FLOAT32] = LOOPS(op##_f32), [MLS_FLOAT64] = LOOPS(op##_f64)

static const loops loop_table[MLS__SCATTER_COUNT][MLS_UINT64 + 1] = {
    [MLS__SCATTER_ADD] = {NUMBER_ROW(add), [MLS_BOOL] = LOOPS(or_bool)},
    [MLS__SCATTER_MUL] = {NUMBER_ROW(mul), [MLS_BOOL] = LOOPS(and_bool)},
    [MLS__SCATTER_MIN] = {NUMBER_ROW(min), [MLS_BOOL] = LOOPS(and_bool)},
    [MLS__SCATTER_MAX] = {NUMBER_ROW(max), [MLS_BOOL] = LOOPS(or_bool)},
};

/* --- 16-bit floats, as float32 ---------------------------------------------------------------- */

static void row_half(const mls__combine *combine, void *ret_y, const void *updates, int64_t n)
{
    const row_fn row = loop_table[combine->reduction][MLS_FLOAT32].row;
    float elements[MLS__BLOCK], more[MLS__BLOCK];
    for (int64_t i = 0; i < n; i += MLS__BLOCK) {
        const int64_t block = n - i < MLS__BLOCK ? n - i : MLS__BLOCK;
        uint16_t *y = (uint16_t *) ret_y + i;
        combine->half.to_f32(elements, y, block);
        combine->half.to_f32(more, (const uint16_t *) updates + i, block);
        row(combine, elements, more, block);
        combine->half.from_f32(y, elements, block);
    }
}

/* One by one: a later update may be of the same element. */
static void scatter_half(const mls__combine *combine, void *y, const int64_t *offsets,
                         const void *updates, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        row_half(combine, (uint16_t *) y + offsets[i], (const uint16_t *) updates + i, 1);
}

mls_status mls__combine_read(const mls__cpu *cpu, const mls_op *op, mls__combine *ret_combine)
{
    const int32_t dtype = op->inputs[0].dtype;
    mls__combine combine = {.size = mls_dtype_size((mls_dtype) dtype)};
    const mls_status status = mls__op_scatter_reduction(op, &combine.reduction);
    if (status)
        return status;
    if (combine.reduction == MLS__SCATTER_NONE) {
        combine.scatter = put_table[combine.size];
        combine.row = put_row;
    } else if (mls__is_half(dtype)) {
        combine.half = mls__half_of(cpu, dtype);
        combine.scatter = scatter_half;
        combine.row = row_half;
    } else if (dtype >= 0 && dtype <= MLS_UINT64) {
        combine.scatter = loop_table[combine.reduction][dtype].scatter;
        combine.row = loop_table[combine.reduction][dtype].row;
    }
    if (!combine.scatter)
        return mls__cpu_dtype_error(op, 0);
    *ret_combine = combine;
    return MLS_OK;
}
