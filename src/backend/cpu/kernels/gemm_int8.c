/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled once an instruction set, and once more for those with VNNI: the products that
 * gemm_int8.h declares.
 *
 * A product is cut into tiles of a few rows by a few panels, whose sums stay in registers over all
 * of k and are finished while they are in the first cache.
 */
#include "backend/cpu/kernels/gemm_int8.h"

#include "backend/cpu/simd/dot.h"

extern const mls__gemm_int8_kernels MLS_ISA_INT8_NAME(gemm_int8);

_Static_assert(MLS__INT8_PANEL == MLS_LANES, "a panel is one vector wide");
_Static_assert(MLS__INT8_GROUP == MLS_GROUP, "a lane sums one group");

/* The most panels that the sums of so many rows may have, by the number of registers. */
#if defined(MLS_SIMD_AVX512) && defined(MLS_SIMD_VNNI)
enum { TILE_ROWS = 6, TILE_PANELS = 8 };
static const int panels_of_rows[TILE_ROWS + 1] = {0, 8, 4, 4, 4, 4, 4};
#elif defined(MLS_SIMD_AVX512)
enum { TILE_ROWS = 4, TILE_PANELS = 4 };
static const int panels_of_rows[TILE_ROWS + 1] = {0, 4, 4, 4, 4};
#elif defined(MLS_SIMD_AVX2) && defined(MLS_SIMD_VNNI)
enum { TILE_ROWS = 6, TILE_PANELS = 4 };
static const int panels_of_rows[TILE_ROWS + 1] = {0, 4, 2, 2, 1, 1, 1};
#else
enum { TILE_ROWS = 4, TILE_PANELS = 1 };
static const int panels_of_rows[TILE_ROWS + 1] = {0, 1, 1, 1, 1};
#endif

/* Rows whose bytes stay in the second cache while the panels go past them. */
enum { BLOCK_BYTES = 128 * 1024, GROUP_PANELS = 8 };

/* Of sums of taps at a time. */
enum { TAP_VECTORS = 4 };

typedef mls_vi tile_sums[TILE_ROWS][TILE_PANELS];
/* Sums of the rows of a tile and the panels of a group. */
enum { SUMS_ROW = GROUP_PANELS * MLS_LANES };
typedef int32_t sums_buffer[TILE_ROWS * SUMS_ROW];

/* --- finishing ------------------------------------------------------------------------------- */

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

/* --- a tile ---------------------------------------------------------------------------------- */

/* A group of a row: `count` bytes, then zeros. */
MLS_SIMD_FN uint32_t load_group(const uint8_t *p, int count)
{
    uint32_t group = 0;
    if (count == MLS_GROUP) {
        memcpy(&group, p, MLS_GROUP);
        return group;
    }
    for (int i = 0; i < count; i++)
        group |= (uint32_t) p[i] << 8 * i;
    return group;
}

/* One group of k. `rows`, `panels` and `is_a_signed` are constants in every caller. */
MLS_SIMD_FN void take_group(int rows, int panels, bool is_a_signed, const uint8_t *a, int64_t a_row,
                            int count, const uint8_t *b, int64_t b_panel, tile_sums sums)
{
    mls_vu u[TILE_PANELS];
    mls_vs s[TILE_PANELS];
    MLS_UNROLL
    for (int p = 0; p < panels; p++) {
        if (is_a_signed)
            u[p] = vu_load(b + p * b_panel);
        else
            s[p] = vs_load(b + p * b_panel);
    }
    MLS_UNROLL
    for (int r = 0; r < rows; r++) {
        const uint32_t group = load_group(a + r * a_row, count);
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            sums[r][p] = is_a_signed ? vi_dot4(sums[r][p], u[p], vs_set4(group))
                                     : vi_dot4(sums[r][p], vu_set4(group), s[p]);
    }
}

MLS_SIMD_FN void run_tile(int rows, int panels, bool is_a_signed, const mls__gemm_int8 *g,
                          const uint8_t *a, const uint8_t *b, int32_t *ret_sums)
{
    const int64_t b_panel = mls__int8_panel_bytes(g->k), a_row = g->a_row;
    tile_sums sums;
    MLS_UNROLL
    for (int r = 0; r < rows; r++) {
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            sums[r][p] = vi_zero();
    }
    int64_t left = g->k;
    for (; left >= MLS_GROUP; left -= MLS_GROUP) {
        take_group(rows, panels, is_a_signed, a, a_row, MLS_GROUP, b, b_panel, sums);
        a += MLS_GROUP;
        b += MLS_GROUP_BYTES;
    }
    if (left > 0)
        take_group(rows, panels, is_a_signed, a, a_row, (int) left, b, b_panel, sums);
    MLS_UNROLL
    for (int r = 0; r < rows; r++) {
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            vi_store(ret_sums + r * SUMS_ROW + p * MLS_LANES, sums[r][p]);
    }
}

typedef void (*tile_fn)(const mls__gemm_int8 *g, const uint8_t *a, const uint8_t *b,
                        int32_t *ret_sums);

#define TILE(rows, panels)                                                                         \
    static void tile_##rows##x##panels##_unsigned(const mls__gemm_int8 *g, const uint8_t *a,       \
                                                  const uint8_t *b, int32_t *ret_sums)             \
    {                                                                                              \
        run_tile(rows, panels, false, g, a, b, ret_sums);                                          \
    }                                                                                              \
    static void tile_##rows##x##panels##_signed(const mls__gemm_int8 *g, const uint8_t *a,         \
                                                const uint8_t *b, int32_t *ret_sums)               \
    {                                                                                              \
        run_tile(rows, panels, true, g, a, b, ret_sums);                                           \
    }

#define BOTH(rows, panels)                                                                         \
    {                                                                                              \
        tile_##rows##x##panels##_unsigned, tile_##rows##x##panels##_signed                         \
    }

TILE(1, 1)
TILE(2, 1)
TILE(3, 1)
TILE(4, 1)
#if defined(MLS_SIMD_AVX512) || (defined(MLS_SIMD_AVX2) && defined(MLS_SIMD_VNNI))
TILE(1, 2)
TILE(1, 3)
TILE(1, 4)
TILE(2, 2)
TILE(3, 2)
#endif
#if defined(MLS_SIMD_VNNI)
TILE(5, 1)
TILE(6, 1)
#endif
#if defined(MLS_SIMD_AVX512)
TILE(2, 3)
TILE(2, 4)
TILE(3, 3)
TILE(3, 4)
TILE(4, 2)
TILE(4, 3)
TILE(4, 4)
#endif
#if defined(MLS_SIMD_AVX512) && defined(MLS_SIMD_VNNI)
TILE(1, 5)
TILE(1, 6)
TILE(1, 7)
TILE(1, 8)
TILE(5, 2)
TILE(5, 3)
TILE(5, 4)
TILE(6, 2)
TILE(6, 3)
TILE(6, 4)
#endif

/* By rows - 1, panels - 1 and whether A is signed; filled as far as panels_of_rows says. */
static const tile_fn tiles[TILE_ROWS][TILE_PANELS][2] = {
#if defined(MLS_SIMD_AVX512) && defined(MLS_SIMD_VNNI)
    {BOTH(1, 1), BOTH(1, 2), BOTH(1, 3), BOTH(1, 4), BOTH(1, 5), BOTH(1, 6), BOTH(1, 7),
     BOTH(1, 8)},
    {BOTH(2, 1), BOTH(2, 2), BOTH(2, 3), BOTH(2, 4)},
    {BOTH(3, 1), BOTH(3, 2), BOTH(3, 3), BOTH(3, 4)},
    {BOTH(4, 1), BOTH(4, 2), BOTH(4, 3), BOTH(4, 4)},
    {BOTH(5, 1), BOTH(5, 2), BOTH(5, 3), BOTH(5, 4)},
    {BOTH(6, 1), BOTH(6, 2), BOTH(6, 3), BOTH(6, 4)},
#elif defined(MLS_SIMD_AVX512)
    {BOTH(1, 1), BOTH(1, 2), BOTH(1, 3), BOTH(1, 4)},
    {BOTH(2, 1), BOTH(2, 2), BOTH(2, 3), BOTH(2, 4)},
    {BOTH(3, 1), BOTH(3, 2), BOTH(3, 3), BOTH(3, 4)},
    {BOTH(4, 1), BOTH(4, 2), BOTH(4, 3), BOTH(4, 4)},
#elif defined(MLS_SIMD_AVX2) && defined(MLS_SIMD_VNNI)
    {BOTH(1, 1), BOTH(1, 2), BOTH(1, 3), BOTH(1, 4)},
    {BOTH(2, 1), BOTH(2, 2)},
    {BOTH(3, 1), BOTH(3, 2)},
    {BOTH(4, 1)},
    {BOTH(5, 1)},
    {BOTH(6, 1)},
#else
    {BOTH(1, 1)},
    {BOTH(2, 1)},
    {BOTH(3, 1)},
    {BOTH(4, 1)},
#endif
};

/* --- a product ------------------------------------------------------------------------------- */

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Rows row .. row+rows-1, at most TILE_ROWS of them, of at most GROUP_PANELS panels. */
static void run_rows(const mls__gemm_int8 *g, int64_t row, int rows, int64_t panel, int64_t panels)
{
    const int64_t column = panel * MLS_LANES, panel_bytes = mls__int8_panel_bytes(g->k);
    const int64_t columns = at_most(g->n - column, panels * MLS_LANES);
    const uint8_t *a = g->a + row * g->a_row, *b = g->b + panel * panel_bytes;
    sums_buffer sums;
    for (int64_t p = 0; p < panels;) {
        const int taken = (int) at_most(panels - p, panels_of_rows[rows]);
        tiles[rows - 1][taken - 1][g->is_a_signed](g, a, b + p * panel_bytes, sums + p * MLS_LANES);
        p += taken;
    }
    for (int r = 0; r < rows; r++)
        finish_row(g, sums + r * SUMS_ROW, row + r, column, columns);
}

/* Rows in nearly equal tiles: seven are four and three, not six and one. */
static void run_block(const mls__gemm_int8 *g, int64_t row, int64_t rows, int64_t panel,
                      int64_t panels)
{
    for (int64_t tiles_left = (rows + TILE_ROWS - 1) / TILE_ROWS; tiles_left > 0; tiles_left--) {
        const int taken = (int) ((rows + tiles_left - 1) / tiles_left);
        run_rows(g, row, taken, panel, panels);
        row += taken;
        rows -= taken;
    }
}

static void run(const mls__gemm_int8 *g, int64_t row, int64_t rows, int64_t panel, int64_t panels)
{
    const int64_t fitting = BLOCK_BYTES / (g->k + 1) / TILE_ROWS * TILE_ROWS;
    const int64_t block = fitting > TILE_ROWS ? fitting : TILE_ROWS;
    for (int64_t r = row; r < row + rows; r += block)
        for (int64_t p = panel; p < panel + panels; p += GROUP_PANELS)
            run_block(g, r, at_most(row + rows - r, block), p,
                      at_most(panel + panels - p, GROUP_PANELS));
}

/* --- operands -------------------------------------------------------------------------------- */

static void flip(uint8_t *y, const uint8_t *x, int64_t n)
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

static void take_steps(uint8_t *y, const uint8_t *x, int64_t n, int64_t stride)
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

static void pack_group(uint8_t *y, int64_t panel_bytes, const uint8_t *rows, int64_t row_step,
                       int row_count, int64_t columns, uint8_t mask)
{
    int64_t c = 0;
    for (; row_count == MLS_GROUP && c + MLS_LANES <= columns; c += MLS_LANES, y += panel_bytes) {
        const uint8_t *const sources[] = {rows + c, rows + row_step + c, rows + 2 * row_step + c,
                                          rows + 3 * row_step + c};
        interleave4(y, sources);
        if (mask)
            flip(y, y, MLS_GROUP_BYTES);
    }
    for (; c < columns; c += MLS_LANES, y += panel_bytes)
        pack_rest(y, rows + c, row_step, row_count, lanes_at(c, columns), mask);
}

static void panel_sums(int32_t *sums, const uint8_t *b, int64_t k, int64_t panels, bool is_signed)
{
    const uint32_t ones = 0x01010101;
    for (int64_t p = 0; p < panels; p++) {
        mls_vi sum = vi_zero();
        for (int64_t group = mls__int8_groups(k); group > 0; group--) {
            sum = is_signed ? vi_dot4(sum, vu_set4(ones), vs_load(b))
                            : vi_dot4(sum, vu_load(b), vs_set4(ones));
            b += MLS_GROUP_BYTES;
        }
        vi_store(sums + p * MLS_LANES, sum);
    }
}

static int32_t row_sum(const uint8_t *a, int64_t n, bool is_signed)
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

/* `vectors` of sums from i on; constant in every caller. */
MLS_SIMD_FN void run_taps(int vectors, int32_t *sums, const uint8_t *x, const int64_t *offsets,
                          const int32_t *weights, int64_t count, int64_t i)
{
    mls_vi sum[TAP_VECTORS];
    MLS_UNROLL
    for (int v = 0; v < vectors; v++)
        sum[v] = vi_zero();
    for (int64_t t = 0; t < count; t++) {
        const mls_vi weight = vi_set1(weights[t]);
        const uint8_t *under = x + offsets[t] + i;
        MLS_UNROLL
        for (int v = 0; v < vectors; v++)
            sum[v] = vi_add(sum[v], vi_mul(vi_load_u8(under + v * MLS_LANES), weight));
    }
    MLS_UNROLL
    for (int v = 0; v < vectors; v++)
        vi_store(sums + i + v * MLS_LANES, sum[v]);
}

static void taps(int32_t *sums, const uint8_t *x, const int64_t *offsets, const int32_t *weights,
                 int64_t count, int64_t n)
{
    int64_t i = 0;
    for (; i + (TAP_VECTORS - 1) * MLS_LANES < n; i += TAP_VECTORS * MLS_LANES)
        run_taps(TAP_VECTORS, sums, x, offsets, weights, count, i);
    for (; i < n; i += MLS_LANES)
        run_taps(1, sums, x, offsets, weights, count, i);
}

static void close_up(int32_t *sums, int64_t rows, int64_t width, int64_t length)
{
    for (int64_t row = 1; width < length && row < rows; row++) {
        const int32_t *from = sums + row * length;
        int32_t *to = sums + row * width;
        for (int64_t i = 0; i < width; i += MLS_LANES) {
            const int lanes = lanes_at(i, width);
            vi_store_n(to + i, vi_load_n(from + i, lanes), lanes);
        }
    }
}

const mls__gemm_int8_kernels MLS_ISA_INT8_NAME(gemm_int8) = {
    .run = run,
    .pack_group = pack_group,
    .panel_sums = panel_sums,
    .row_sum = row_sum,
    .flip = flip,
    .take_steps = take_steps,
    .taps = taps,
    .close_up = close_up,
    .finish = finish_row,
};
