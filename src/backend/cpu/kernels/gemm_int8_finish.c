/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled as gemm_int8.c is: what becomes of a row's sums of products of bytes. */
#include "backend/cpu/kernels/gemm_int8.h"

#include "backend/cpu/simd/dot.h"

void MLS_ISA_INT8_NAME(int8_finish)(const mls__gemm_int8 *gemm, const int32_t *sums,
                                    int64_t sums_row, int64_t i, int64_t rows, int64_t column,
                                    int64_t columns);

/* What is the same for a whole row, and what has an element a column; NULL: nothing. */
typedef struct row_terms {
    mls_vi shift; /* added to every sum */
    mls_vf scale, addend;
    const int32_t *b_terms, *b_zeros, *bias; /* of the row's first column */
    const float *scales, *addends;
    mls_vi a_zero, a_sum;
    mls_vf low, high; /* of quantized values, less their zero point */
    mls_vi y_zero;
} row_terms;

MLS_SIMD_FN row_terms terms_of_row(const mls__gemm_int8 *g, int64_t i, int64_t column)
{
    const bool is_signed = g->form == MLS__INT8_SIGNED;
    const int32_t low = (is_signed ? -128 : 0) - g->y_zero;
    row_terms t = {.shift = vi_zero(),
                   .scale = vf_zero(),
                   .addend = vf_zero(),
                   .a_zero = vi_zero(),
                   .a_sum = vi_zero(),
                   .low = vf_set1((float) low),
                   .high = vf_set1((float) (low + 255)),
                   .y_zero = vi_set1(g->y_zero)};
    if (g->a_zeros.data) {
        t.a_zero = vi_set1(g->a_zeros.data[i * g->a_zeros.row]);
        t.b_terms = g->b_terms + column;
    }
    if (g->b_zeros.data) {
        t.a_sum = vi_set1(g->a_sums[i]);
        if (g->b_zeros.step)
            t.b_zeros = g->b_zeros.data + column;
        else
            t.shift = vi_sub(t.shift, vi_mul(t.a_sum, vi_set1(*g->b_zeros.data)));
    }
    if (g->bias.data) {
        const int32_t *bias = g->bias.data + i * g->bias.row;
        if (g->bias.step)
            t.bias = bias + column;
        else
            t.shift = vi_add(t.shift, vi_set1(*bias));
    }
    if (g->scale.data) {
        const float *scale = g->scale.data + i * g->scale.row;
        if (g->scale.step)
            t.scales = scale + column;
        else
            t.scale = vf_set1(*scale);
    }
    if (g->addend.data) {
        const float *addend = g->addend.data + i * g->addend.row;
        if (g->addend.step)
            t.addends = addend + column;
        else
            t.addend = vf_set1(*addend);
    }
    return t;
}

/* What the products of bytes lack of the sum. */
MLS_SIMD_FN mls_vi whole_sum(const row_terms *t, mls_vi sum, int64_t c, int lanes)
{
    sum = vi_add(sum, t->shift);
    if (t->b_terms)
        sum = vi_sub(sum, vi_mul(t->a_zero, vi_load_n(t->b_terms + c, lanes)));
    if (t->b_zeros)
        sum = vi_sub(sum, vi_mul(t->a_sum, vi_load_n(t->b_zeros + c, lanes)));
    if (t->bias)
        sum = vi_add(sum, vi_load_n(t->bias + c, lanes));
    return sum;
}

MLS_SIMD_FN mls_vf scaled(const row_terms *t, mls_vi sum, int64_t c, int lanes)
{
    const mls_vf scale = t->scales ? vf_load_n(t->scales + c, lanes) : t->scale;
    return vf_mul(vi_to_float(sum), scale);
}

static void finish_sums(const row_terms *t, const int32_t *sums, int64_t columns, int32_t *y)
{
    for (int64_t c = 0; c < columns; c += MLS_LANES) {
        const int lanes = lanes_at(c, columns);
        vi_store_n(y + c, whole_sum(t, vi_load(sums + c), c, lanes), lanes);
    }
}

static void finish_floats(const row_terms *t, bool has_addend, const int32_t *sums, int64_t columns,
                          float *y)
{
    for (int64_t c = 0; c < columns; c += MLS_LANES) {
        const int lanes = lanes_at(c, columns);
        mls_vf value = scaled(t, whole_sum(t, vi_load(sums + c), c, lanes), c, lanes);
        if (has_addend)
            value = vf_add(value, t->addends ? vf_load_n(t->addends + c, lanes) : t->addend);
        vf_store_n(y + c, value, lanes);
    }
}

/* Bounds come before the sum, where float32 holds them all; NaN becomes the lower one. */
MLS_SIMD_FN mls_vi quantized(const row_terms *t, mls_vf value)
{
    const mls_vf bounded = vf_min(vf_max(value, t->low), t->high);
    return vi_add(vf_to_int_rint(bounded), t->y_zero);
}

static void finish_bytes(const row_terms *t, const int32_t *sums, int64_t columns, uint8_t *y)
{
    const row_terms row = *t; /* which bytes of y cannot be part of */
    const bool is_uniform = !row.b_terms && !row.b_zeros && !row.bias && !row.scales;
    int64_t c = 0;
    for (; is_uniform && c + MLS_LANES <= columns; c += MLS_LANES) {
        const mls_vi sum = vi_add(vi_load(sums + c), row.shift);
        vi_store_u8(y + c, quantized(&row, vf_mul(vi_to_float(sum), row.scale)));
    }
    for (; c < columns; c += MLS_LANES) {
        const int lanes = lanes_at(c, columns);
        const mls_vi sum = whole_sum(&row, vi_load(sums + c), c, lanes);
        vi_store_u8_n(y + c, quantized(&row, scaled(&row, sum, c, lanes)), lanes);
    }
}

static void finish_row(const mls__gemm_int8 *g, const int32_t *sums, int64_t i, int64_t column,
                       int64_t columns)
{
    const row_terms t = terms_of_row(g, i, column);
    const int64_t at = i * g->y_row + column;
    if (g->form == MLS__INT8_SUM)
        finish_sums(&t, sums, columns, (int32_t *) g->y + at);
    else if (g->form == MLS__INT8_FLOAT)
        finish_floats(&t, g->addend.data != NULL, sums, columns, (float *) g->y + at);
    else
        finish_bytes(&t, sums, columns, (uint8_t *) g->y + at);
}

/* --- rows that are alike --------------------------------------------------------------------- */

/* Whether a byte of y depends on its column's sum, bias and scale alone. */
static bool has_columns(const mls__gemm_int8 *g)
{
    return (g->form == MLS__INT8_SIGNED || g->form == MLS__INT8_UNSIGNED) && !g->a_zeros.data &&
           !g->b_zeros.data && g->bias.data && g->bias.step && !g->bias.row && g->scale.step &&
           !g->scale.row;
}

/* Of unsigned bytes: signed ones are 128 more, and get their top bit flipped when they are done. */
typedef struct byte_range {
    mls_vf low, high; /* less the zero point */
    mls_vi zero;
    uint8_t mask;
} byte_range;

static byte_range range_of(const mls__gemm_int8 *g)
{
    const bool is_signed = g->form == MLS__INT8_SIGNED;
    const int32_t zero = g->y_zero + (is_signed ? 128 : 0);
    return (byte_range){vf_set1((float) -zero), vf_set1((float) (255 - zero)), vi_set1(zero),
                        is_signed ? 0x80 : 0};
}

MLS_SIMD_FN mls_vi byte_of(const byte_range *r, mls_vi sum, mls_vf scale)
{
    const mls_vf bounded = vf_min(vf_max(vf_mul(vi_to_float(sum), scale), r->low), r->high);
    return vi_add(vf_to_int_rint(bounded), r->zero);
}

/* 64 columns of some rows. */
static void finish_block(const byte_range *range, const int32_t *sums, int64_t sums_row,
                         int64_t rows, const int32_t *bias, const float *scales, uint8_t *y,
                         int64_t y_row)
{
    const byte_range r = *range; /* which bytes of y cannot be part of */
    mls_vi biases[MLS_GROUP], bytes[MLS_GROUP];
    mls_vf factors[MLS_GROUP];
    MLS_UNROLL
    for (int v = 0; v < MLS_GROUP; v++) {
        biases[v] = vi_load(bias + v * MLS_LANES);
        factors[v] = vf_load(scales + v * MLS_LANES);
    }
    for (int64_t i = 0; i < rows; i++) {
        const int32_t *row = sums + i * sums_row;
        MLS_UNROLL
        for (int v = 0; v < MLS_GROUP; v++)
            bytes[v] = byte_of(&r, vi_add(vi_load(row + v * MLS_LANES), biases[v]), factors[v]);
        vi_store_bytes(y + i * y_row, bytes, r.mask);
    }
}

/* Up to 16 columns of some rows. */
MLS_SIMD_FN void finish_lanes(const byte_range *range, const int32_t *sums, int64_t sums_row,
                              int64_t rows, const int32_t *bias, const float *scales, int lanes,
                              uint8_t *y, int64_t y_row)
{
    const byte_range r = *range; /* likewise */
    const mls_vi biases = vi_load_n(bias, lanes), masks = vi_set1(r.mask);
    const mls_vf factors = vf_load_n(scales, lanes);
    for (int64_t i = 0; i < rows; i++) {
        const mls_vi byte = byte_of(&r, vi_add(vi_load(sums + i * sums_row), biases), factors);
        vi_store_u8_n(y + i * y_row, vi_xor(byte, masks), lanes);
    }
}

static void finish_columns(const mls__gemm_int8 *g, const int32_t *sums, int64_t sums_row,
                           int64_t i, int64_t rows, int64_t column, int64_t columns)
{
    const byte_range r = range_of(g);
    const int32_t *bias = g->bias.data + column;
    const float *scales = g->scale.data + column;
    uint8_t *y = (uint8_t *) g->y + i * g->y_row + column;
    int64_t c = 0;
    for (; c + MLS_GROUP_BYTES <= columns; c += MLS_GROUP_BYTES)
        finish_block(&r, sums + c, sums_row, rows, bias + c, scales + c, y + c, g->y_row);
    for (; c + MLS_LANES <= columns; c += MLS_LANES)
        finish_lanes(&r, sums + c, sums_row, rows, bias + c, scales + c, MLS_LANES, y + c,
                     g->y_row);
    if (c < columns)
        finish_lanes(&r, sums + c, sums_row, rows, bias + c, scales + c, lanes_at(c, columns),
                     y + c, g->y_row);
}

void MLS_ISA_INT8_NAME(int8_finish)(const mls__gemm_int8 *g, const int32_t *sums, int64_t sums_row,
                                    int64_t i, int64_t rows, int64_t column, int64_t columns)
{
    if (has_columns(g)) {
        finish_columns(g, sums, sums_row, i, rows, column, columns);
        return;
    }
    for (int64_t r = 0; r < rows; r++)
        finish_row(g, sums + r * sums_row, i + r, column, columns);
}
