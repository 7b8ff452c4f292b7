/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled as gemm_int8.c is: what becomes of a row's sums of products of bytes. */
#include "backend/cpu/kernels/gemm_int8.h"

#include "backend/cpu/simd/bytes.h"

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
    const bool has_bias = g->bias.data && g->bias.step && !g->bias.row;
    return (g->form == MLS__INT8_SIGNED || g->form == MLS__INT8_UNSIGNED) && !g->a_zeros.data &&
           !g->b_zeros.data && (has_bias || !g->bias.data) && g->scale.step && !g->scale.row;
}

/* Some rows of a few columns. */
typedef struct column_block {
    const int32_t *sums, *bias; /* bias: NULL: none */
    int64_t sums_row, rows;
    const float *scales;
    uint8_t *y;
    int64_t y_row;
    int zero; /* of unsigned bytes: signed ones are 128 more, and get their top bit flipped */
    uint8_t mask;
} column_block;

/*
 * Four vectors at a time, of as many rows as there are with `per_row` in each, the last of them
 * with `lanes`. All but the block are constants, or (lanes) hardly matter.
 */
MLS_SIMD_FN void finish_block(const column_block *block, int per_row, bool has_bias, int lanes)
{
    const column_block b = *block; /* which bytes of y cannot be part of */
    const int64_t together = MLS_GROUP / per_row;
    const size_t width = (size_t) ((per_row - 1) * MLS_LANES + lanes);
    mls_vi biases[MLS_GROUP], codes[MLS_GROUP];
    mls_vf factors[MLS_GROUP];
    MLS_UNROLL
    for (int v = 0; v < per_row; v++) {
        const int own = v == per_row - 1 ? lanes : MLS_LANES;
        biases[v] = has_bias ? vi_load_n(b.bias + v * MLS_LANES, own) : vi_zero();
        factors[v] = vf_load_n(b.scales + v * MLS_LANES, own);
    }
    for (int64_t i = 0; i < b.rows; i += together) {
        MLS_UNROLL
        for (int v = 0; v < MLS_GROUP; v++) {
            const int64_t row = i + v / per_row < b.rows ? i + v / per_row : b.rows - 1;
            const int at = v % per_row;
            mls_vi sum = vi_load(b.sums + row * b.sums_row + at * MLS_LANES);
            sum = has_bias ? vi_add(sum, biases[at]) : sum;
            codes[v] = code_of(vf_mul(vi_to_float(sum), factors[at]));
        }
        if (width == MLS_GROUP_BYTES) {
            vi_store_bytes(b.y + i * b.y_row, codes, b.zero, b.mask);
            continue;
        }
        uint8_t bytes[MLS_GROUP_BYTES];
        vi_store_bytes(bytes, codes, b.zero, b.mask);
        MLS_UNROLL
        for (int r = 0; r < MLS_GROUP / per_row; r++)
            if (i + r < b.rows)
                memcpy(b.y + (i + r) * b.y_row, bytes + r * per_row * MLS_LANES, width);
    }
}

MLS_SIMD_FN void finish_width(const column_block *block, int per_row, int lanes)
{
    if (block->bias)
        finish_block(block, per_row, true, lanes);
    else
        finish_block(block, per_row, false, lanes);
}

static void skip_columns(column_block *block, int64_t columns)
{
    block->sums += columns;
    block->bias = block->bias ? block->bias + columns : NULL;
    block->scales += columns;
    block->y += columns;
}

static void finish_columns(const mls__gemm_int8 *g, const int32_t *sums, int64_t sums_row,
                           int64_t i, int64_t rows, int64_t column, int64_t columns)
{
    const bool is_signed = g->form == MLS__INT8_SIGNED;
    column_block block = {.sums = sums,
                          .bias = g->bias.data ? g->bias.data + column : NULL,
                          .sums_row = sums_row,
                          .rows = rows,
                          .scales = g->scale.data + column,
                          .y = (uint8_t *) g->y + i * g->y_row + column,
                          .y_row = g->y_row,
                          .zero = g->y_zero + (is_signed ? 128 : 0),
                          .mask = is_signed ? 0x80 : 0};
    for (; columns >= MLS_GROUP_BYTES; columns -= MLS_GROUP_BYTES) {
        finish_width(&block, 4, MLS_LANES);
        skip_columns(&block, MLS_GROUP_BYTES);
    }
    if (columns >= 2 * MLS_LANES) {
        finish_width(&block, 2, MLS_LANES);
        skip_columns(&block, 2 * MLS_LANES);
        columns -= 2 * MLS_LANES;
    }
    if (columns >= MLS_LANES) {
        finish_width(&block, 1, MLS_LANES);
        skip_columns(&block, MLS_LANES);
        columns -= MLS_LANES;
    }
    if (columns == MLS_LANES / 2)
        finish_width(&block, 1, MLS_LANES / 2);
    else if (columns > 0)
        finish_width(&block, 1, (int) columns);
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
