/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled as gemm_int8.c is: operands are brought into panels, and sums of them. */
#include "backend/cpu/kernels/gemm_int8.h"

#include "backend/cpu/simd/dot.h"

enum { SUM_PARTS = 4 };

void MLS_ISA_INT8_NAME(int8_flip)(uint8_t *y, const uint8_t *x, int64_t n);
void MLS_ISA_INT8_NAME(int8_take_steps)(uint8_t *y, const uint8_t *x, int64_t n, int64_t stride);
void MLS_ISA_INT8_NAME(int8_pack_group)(uint8_t *y, int64_t panel_bytes, const uint8_t *rows,
                                        int64_t row_step, int row_count, int64_t columns,
                                        uint8_t mask);
void MLS_ISA_INT8_NAME(int8_panel_sums)(int32_t *sums, const uint8_t *b, int64_t k, int64_t panels,
                                        bool is_signed);
int32_t MLS_ISA_INT8_NAME(int8_row_sum)(const uint8_t *a, int64_t n, bool is_signed);
void MLS_ISA_INT8_NAME(int8_column_sums)(int32_t *sums, const uint8_t *x, int64_t rows,
                                         int64_t step, int64_t n, bool is_signed);

void MLS_ISA_INT8_NAME(int8_flip)(uint8_t *y, const uint8_t *x, int64_t n)
{
    const uint64_t tops = UINT64_C(0x8080808080808080);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t bytes;
        memcpy(&bytes, x + i, sizeof bytes);
        bytes ^= tops;
        memcpy(y + i, &bytes, sizeof bytes);
    }
    for (; i < n; i++)
        y[i] = x[i] ^ 0x80;
}

/* The low bytes of 16 pairs. */
MLS_SIMD_FN void take_pairs(uint8_t *y, const uint8_t *x)
{
    uint16_t pairs[MLS_LANES];
    memcpy(pairs, x, sizeof pairs);
    vi_store_u8(y, vi_load_u16(pairs));
}

void MLS_ISA_INT8_NAME(int8_take_steps)(uint8_t *y, const uint8_t *x, int64_t n, int64_t stride)
{
    int64_t i = 0;
    if (stride == 1) {
        memcpy(y, x, (size_t) n);
        return;
    }
    /* Not the last pair, of which the second byte may be past the end of x. */
    if (stride == 2 && n > MLS_LANES) {
        for (; i + MLS_LANES < n; i += MLS_LANES)
            take_pairs(y + i, x + 2 * i);
        i = n - 1 - MLS_LANES;
        take_pairs(y + i, x + 2 * i);
        i = n - 1;
    }
    for (; i < n; i++)
        y[i] = x[i * stride];
}

static void flip_group(uint8_t *group, int row_count, int columns, uint8_t mask)
{
    for (int c = 0; c < columns; c++)
        for (int r = 0; r < row_count; r++)
            group[c * MLS_GROUP + r] ^= mask;
}

/* Less than four rows, or less than 16 columns. */
static void pack_rest(uint8_t *y, const uint8_t *rows, int64_t row_step, int row_count, int columns,
                      uint8_t mask)
{
    uint8_t rest[MLS_GROUP][MLS_LANES] = {{0}};
    const uint8_t *const sources[] = {rest[0], rest[1], rest[2], rest[3]};
    for (int r = 0; r < row_count; r++)
        memcpy(rest[r], rows + r * row_step, (size_t) columns);
    interleave4(y, sources);
    if (mask)
        flip_group(y, row_count, columns, mask);
}

void MLS_ISA_INT8_NAME(int8_pack_group)(uint8_t *y, int64_t panel_bytes, const uint8_t *rows,
                                        int64_t row_step, int row_count, int64_t columns,
                                        uint8_t mask)
{
    int64_t c = 0;
    for (; row_count == MLS_GROUP && !mask && c + MLS_GROUP_BYTES <= columns;
         c += MLS_GROUP_BYTES, y += MLS_GROUP * panel_bytes) {
        const uint8_t *const sources[] = {rows + c, rows + row_step + c, rows + 2 * row_step + c,
                                          rows + 3 * row_step + c};
        interleave_panels(y, panel_bytes, sources);
    }
    for (; row_count == MLS_GROUP && c + MLS_LANES <= columns; c += MLS_LANES, y += panel_bytes) {
        const uint8_t *const sources[] = {rows + c, rows + row_step + c, rows + 2 * row_step + c,
                                          rows + 3 * row_step + c};
        interleave4(y, sources);
        if (mask)
            MLS_ISA_INT8_NAME(int8_flip)(y, y, MLS_GROUP_BYTES);
    }
    for (; c < columns; c += MLS_LANES, y += panel_bytes)
        pack_rest(y, rows + c, row_step, row_count, lanes_at(c, columns), mask);
}

MLS_SIMD_FN mls_vi add_group(mls_vi sum, const uint8_t *b, bool is_signed)
{
    const uint32_t ones = 0x01010101;
    return is_signed ? vi_dot4(sum, vu_set4(ones), vs_load(b))
                     : vi_dot4(sum, vu_load(b), vs_set4(ones));
}

/* Several sums, so that none waits for the one before; `is_signed` is a constant. */
MLS_SIMD_FN void panel_sum(int32_t *sums, const uint8_t *b, int64_t groups, bool is_signed)
{
    mls_vi part[SUM_PARTS];
    MLS_UNROLL
    for (int p = 0; p < SUM_PARTS; p++)
        part[p] = vi_zero();
    for (; groups >= SUM_PARTS; groups -= SUM_PARTS, b += SUM_PARTS * MLS_GROUP_BYTES) {
        MLS_UNROLL
        for (int p = 0; p < SUM_PARTS; p++)
            part[p] = add_group(part[p], b + p * MLS_GROUP_BYTES, is_signed);
    }
    for (; groups > 0; groups--, b += MLS_GROUP_BYTES)
        part[0] = add_group(part[0], b, is_signed);
    MLS_UNROLL
    for (int p = 1; p < SUM_PARTS; p++)
        part[0] = vi_add(part[0], part[p]);
    vi_store(sums, part[0]);
}

void MLS_ISA_INT8_NAME(int8_panel_sums)(int32_t *sums, const uint8_t *b, int64_t k, int64_t panels,
                                        bool is_signed)
{
    const int64_t groups = mls__int8_groups(k);
    for (int64_t p = 0; p < panels; p++, sums += MLS_LANES, b += groups * MLS_GROUP_BYTES) {
        if (is_signed)
            panel_sum(sums, b, groups, true);
        else
            panel_sum(sums, b, groups, false);
    }
}

int32_t MLS_ISA_INT8_NAME(int8_row_sum)(const uint8_t *a, int64_t n, bool is_signed)
{
    const uint32_t ones = 0x01010101;
    mls_vi sum = vi_zero();
    int64_t i = 0;
    for (; i + MLS_GROUP_BYTES <= n; i += MLS_GROUP_BYTES)
        sum = is_signed ? vi_dot4(sum, vu_set4(ones), vs_load(a + i))
                        : vi_dot4(sum, vu_load(a + i), vs_set4(ones));
    int32_t lanes[MLS_LANES], total = 0;
    vi_store(lanes, sum);
    for (int l = 0; l < MLS_LANES; l++)
        total = (int32_t) ((uint32_t) total + (uint32_t) lanes[l]);
    for (; i < n; i++)
        total += is_signed ? (int8_t) a[i] : a[i];
    return total;
}

/* Columns of one vector; `is_signed` and, but for the last ones, `lanes` are constants. */
MLS_SIMD_FN void sum_lanes(int32_t *sums, const uint8_t *x, int64_t rows, int64_t step, int lanes,
                           bool is_signed)
{
    mls_vi sum = vi_load_n(sums, lanes);
    for (int64_t r = 0; r < rows; r++, x += step)
        sum = vi_add(sum,
                     is_signed ? vi_load_i8_n((const int8_t *) x, lanes) : vi_load_u8_n(x, lanes));
    vi_store_n(sums, sum, lanes);
}

void MLS_ISA_INT8_NAME(int8_column_sums)(int32_t *sums, const uint8_t *x, int64_t rows,
                                         int64_t step, int64_t n, bool is_signed)
{
    int64_t i = 0;
    for (; !is_signed && i + MLS_LANES <= n; i += MLS_LANES)
        sum_lanes(sums + i, x + i, rows, step, MLS_LANES, false);
    for (; is_signed && i + MLS_LANES <= n; i += MLS_LANES)
        sum_lanes(sums + i, x + i, rows, step, MLS_LANES, true);
    if (i < n)
        sum_lanes(sums + i, x + i, rows, step, lanes_at(i, n), is_signed);
}
