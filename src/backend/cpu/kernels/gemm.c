/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled once an instruction set: the products that gemm.h declares.
 *
 * A wide product is cut into tiles of at most 6 rows by 4 panels, whose sums stay in registers.
 * Blocks of these panels over k stream from the second-level cache past all rows of a block of A;
 * the rows of one tile stay in the first level. One row alone is bound by the latency of its sums
 * or by the stream of B: it takes more panels at a time.
 */
#include "backend/cpu/kernels/gemm.h"

#include "backend/cpu/simd/simd.h"

extern const mls__gemm_kernels MLS_ISA_NAME(gemm);

/* Of gemm_plain.c. */
void MLS_ISA_NAME(gemm_float64)(const mls__gemm_plain *gemm, int64_t row, int64_t rows);
void MLS_ISA_NAME(gemm_uint32)(const mls__gemm_plain *gemm, int64_t row, int64_t rows);
void MLS_ISA_NAME(gemm_uint64)(const mls__gemm_plain *gemm, int64_t row, int64_t rows);

_Static_assert(MLS__GEMM_PANEL == MLS_LANES, "a panel is one vector wide");

enum {
    TILE_ROWS = 6,
    TILE_PANELS = 8, /* at most, with one row */
    GROUP_PANELS = 8,
    BLOCK_ROWS = 20 * TILE_ROWS,
    BLOCK_K = 512,
};

/* The most panels that the sums of so many rows may have, by the number of registers. */
#if defined(MLS_SIMD_AVX512)
static const int panels_of_rows[TILE_ROWS + 1] = {0, 8, 4, 4, 4, 4, 4};
#else
static const int panels_of_rows[TILE_ROWS + 1] = {0, 4, 2, 2, 1, 1, 1};
#endif

/* A tile's place: what of it is not the same for the whole product. */
struct tile {
    const float *a;
    const float *b; /* b[k * b_row + p * b_panel] and 15 more */
    int64_t b_row, b_panel;
    int64_t k;
    float *y;
    int lanes;       /* of its last panel */
    bool is_started; /* its sums are in y */
};

/* --- a tile ---------------------------------------------------------------------------------- */

typedef mls_vf tile_sums[TILE_ROWS][TILE_PANELS];

MLS_SIMD_FN mls_vf load_lanes(const float *p, int lanes)
{
    return lanes == MLS_LANES ? vf_load(p) : vf_load_n(p, lanes);
}

MLS_SIMD_FN void store_lanes(float *p, mls_vf v, int lanes)
{
    if (lanes == MLS_LANES)
        vf_store(p, v);
    else
        vf_store_n(p, v, lanes);
}

/* `rows` and `panels` are constants in every caller: the loops unroll, the sums are registers. */
MLS_SIMD_FN void load_sums(int rows, int panels, const mls__gemm *g, const struct tile *at,
                           tile_sums sums)
{
    MLS_UNROLL
    for (int r = 0; r < rows; r++) {
        const float *y = at->y + r * g->y_row;
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            sums[r][p] = load_lanes(y + p * MLS_LANES, p < panels - 1 ? MLS_LANES : at->lanes);
    }
}

MLS_SIMD_FN void store_sums(int rows, int panels, const mls__gemm *g, const struct tile *at,
                            tile_sums sums)
{
    MLS_UNROLL
    for (int r = 0; r < rows; r++) {
        float *y = at->y + r * g->y_row;
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            store_lanes(y + p * MLS_LANES, sums[r][p], p < panels - 1 ? MLS_LANES : at->lanes);
    }
}

MLS_SIMD_FN void clear_sums(int rows, int panels, tile_sums sums)
{
    MLS_UNROLL
    for (int r = 0; r < rows; r++) {
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            sums[r][p] = vf_zero();
    }
}

MLS_SIMD_FN void run_tile(int rows, int panels, const mls__gemm *g, const struct tile *at)
{
    tile_sums sums;
    if (at->is_started)
        load_sums(rows, panels, g, at, sums);
    else
        clear_sums(rows, panels, sums);
    const float *a = at->a, *b = at->b;
    const int64_t a_row = g->a_row, a_step = g->a_step;
    const int64_t b_row = at->b_row, b_panel = at->b_panel;
    for (int64_t k = at->k; k > 0; k--) {
        mls_vf row[TILE_PANELS];
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            row[p] = vf_load(b + p * b_panel);
        MLS_UNROLL
        for (int r = 0; r < rows; r++) {
            const mls_vf scalar = vf_set1(a[r * a_row]);
            MLS_UNROLL
            for (int p = 0; p < panels; p++)
                sums[r][p] = vf_fma(scalar, row[p], sums[r][p]);
        }
        a += a_step;
        b += b_row;
    }
    store_sums(rows, panels, g, at, sums);
}

typedef void (*tile_fn)(const mls__gemm *g, const struct tile *at);

#define TILE(rows, panels)                                                                         \
    static void tile_##rows##x##panels(const mls__gemm *g, const struct tile *at)                  \
    {                                                                                              \
        run_tile(rows, panels, g, at);                                                             \
    }

TILE(1, 1)
TILE(1, 2)
TILE(1, 3)
TILE(1, 4)
TILE(2, 1)
TILE(2, 2)
TILE(3, 1)
TILE(3, 2)
TILE(4, 1)
TILE(5, 1)
TILE(6, 1)
#if defined(MLS_SIMD_AVX512)
TILE(1, 5)
TILE(1, 6)
TILE(1, 7)
TILE(1, 8)
TILE(2, 3)
TILE(2, 4)
TILE(3, 3)
TILE(3, 4)
TILE(4, 2)
TILE(4, 3)
TILE(4, 4)
TILE(5, 2)
TILE(5, 3)
TILE(5, 4)
TILE(6, 2)
TILE(6, 3)
TILE(6, 4)
#endif

/* By rows - 1 and panels - 1; filled as far as panels_of_rows says. */
static const tile_fn tiles[TILE_ROWS][TILE_PANELS] = {
#if defined(MLS_SIMD_AVX512)
    {tile_1x1, tile_1x2, tile_1x3, tile_1x4, tile_1x5, tile_1x6, tile_1x7, tile_1x8},
    {tile_2x1, tile_2x2, tile_2x3, tile_2x4},
    {tile_3x1, tile_3x2, tile_3x3, tile_3x4},
    {tile_4x1, tile_4x2, tile_4x3, tile_4x4},
    {tile_5x1, tile_5x2, tile_5x3, tile_5x4},
    {tile_6x1, tile_6x2, tile_6x3, tile_6x4},
#else
    {tile_1x1, tile_1x2, tile_1x3, tile_1x4},
    {tile_2x1, tile_2x2},
    {tile_3x1, tile_3x2},
    {tile_4x1},
    {tile_5x1},
    {tile_6x1},
#endif
};

/* --- wide products --------------------------------------------------------------------------- */

/* The first of `parts` nearly equal parts of n. */
static int64_t share(int64_t n, int64_t parts)
{
    return (n + parts - 1) / parts;
}

static int64_t parts_of(int64_t n, int64_t most)
{
    return n > most ? share(n, most) : 1;
}

static struct tile tile_at(const mls__gemm *g, int64_t row, int64_t panel, int64_t k)
{
    const int64_t column = panel * MLS_LANES;
    struct tile at = {
        .a = g->a + row * g->a_row + k * g->a_step,
        .b = g->b + column * g->k + k * MLS_LANES,
        .b_row = MLS_LANES,
        .b_panel = MLS_LANES * g->k,
        .y = g->y + row * g->y_row + column,
        .is_started = k > 0,
    };
    if (g->b_row && g->n - column < MLS_LANES) {
        at.b = g->b_rest + k * MLS_LANES;
    } else if (g->b_row) {
        at.b = g->b + k * g->b_row + column;
        at.b_row = g->b_row;
        at.b_panel = MLS_LANES;
    }
    return at;
}

/* Rows row .. row+rows-1 of some panels, k .. k+ks-1 of their sums. */
static void run_panels(const mls__gemm *g, int64_t row, int64_t rows, int64_t panel, int panels,
                       int64_t k, int64_t ks)
{
    const int64_t left_columns = g->n - (panel + panels - 1) * MLS_LANES;
    struct tile at = tile_at(g, row, panel, k);
    at.k = ks;
    at.lanes = left_columns < MLS_LANES ? (int) left_columns : MLS_LANES;
    int64_t left = rows;
    for (int64_t part = parts_of(rows, TILE_ROWS); part > 0; part--) {
        const int64_t taken = share(left, part);
        tiles[taken - 1][panels - 1](g, &at);
        at.a += taken * g->a_row;
        at.y += taken * g->y_row;
        left -= taken;
    }
}

/* Likewise, in as many panels at a time as the registers allow. */
static void run_group(const mls__gemm *g, int64_t row, int64_t rows, int64_t panel, int64_t panels,
                      int64_t k, int64_t ks)
{
    const int most = panels_of_rows[share(rows, parts_of(rows, TILE_ROWS))];
    const int64_t whole = g->b_row ? g->n / MLS_LANES : INT64_MAX; /* the rest is elsewhere */
    for (int64_t end = panel + panels; panel < end;) {
        int64_t taken = end - panel < most ? end - panel : most;
        if (panel < whole && panel + taken > whole)
            taken = whole - panel;
        run_panels(g, row, rows, panel, (int) taken, k, ks);
        panel += taken;
    }
}

/* alpha, C and the activation, on sums that are in y. */
static void finish(const mls__gemm *g, int64_t row, int64_t rows, int64_t column, int64_t columns)
{
    const mls_vf alpha = vf_set1(g->alpha), beta = vf_set1(g->beta);
    const bool is_scaled = g->alpha != 1.0f || g->c;
    for (int64_t r = row; r < row + rows; r++) {
        float *y = g->y + r * g->y_row + column;
        const float *c = g->c ? g->c + r * g->c_row + column * g->c_step : NULL;
        for (int64_t j = 0; is_scaled && j < columns; j += MLS_LANES) {
            const int lanes = columns - j < MLS_LANES ? (int) (columns - j) : MLS_LANES;
            mls_vf v = vf_mul(alpha, load_lanes(y + j, lanes));
            if (c)
                v = vf_fma(beta, g->c_step ? load_lanes(c + j, lanes) : vf_set1(*c), v);
            store_lanes(y + j, v, lanes);
        }
        if (g->activation)
            g->activation(y, y, columns, g->activation_params);
    }
}

/* Blocks over k are for the cache: the rows of a single tile need none. */
static void run_block(const mls__gemm *g, int64_t row, int64_t rows, int64_t panel, int64_t panels)
{
    const int64_t end = panel + panels;
    int64_t k = 0;
    for (int64_t part = rows > TILE_ROWS ? parts_of(g->k, BLOCK_K) : 1; part > 0; part--) {
        const int64_t ks = share(g->k - k, part);
        for (int64_t p = panel; p < end; p += GROUP_PANELS) {
            const int64_t taken = end - p < GROUP_PANELS ? end - p : GROUP_PANELS;
            const int64_t column = p * MLS_LANES, left = g->n - column;
            run_group(g, row, rows, p, taken, k, ks);
            if (k + ks == g->k)
                finish(g, row, rows, column, left < taken * MLS_LANES ? left : taken * MLS_LANES);
        }
        k += ks;
    }
}

static void wide(const mls__gemm *g, int64_t row, int64_t rows, int64_t panel, int64_t panels)
{
    for (int64_t part = parts_of(rows, BLOCK_ROWS); rows > 0; part--) {
        const int64_t taken = share(rows, part);
        run_block(g, row, taken, panel, panels);
        row += taken;
        rows -= taken;
    }
}

/* --- narrow products ------------------------------------------------------------------------- */

enum {
    DOT_VECTORS = 4, /* the 64 lanes of a row reduction */
#if defined(MLS_SIMD_AVX512)
    DOT_ROWS = 2, /* rows and columns at a time: 16 registers of lanes */
    DOT_COLUMNS = 2,
#else
    DOT_ROWS = 1,
    DOT_COLUMNS = 1,
#endif
};

typedef mls_vf dot_lanes[DOT_ROWS][DOT_COLUMNS][DOT_VECTORS];

/* The tree of reduce.h. */
MLS_SIMD_FN float sum_lanes(const mls_vf lanes[DOT_VECTORS])
{
    const mls_vf even = vf_add(lanes[0], lanes[2]);
    const mls_vf odd = vf_add(lanes[1], lanes[3]);
    return vf_hsum(vf_add(even, odd));
}

/* lanes[r][c] = fma(a, b, lanes[r][c]) in vector q, for `count` elements from k on. */
MLS_SIMD_FN void take_products(int rows, int columns, dot_lanes lanes, int q, const mls__gemm *g,
                               const float *a, const float *b, int count)
{
    mls_vf others[DOT_COLUMNS];
    MLS_UNROLL
    for (int c = 0; c < columns; c++)
        others[c] = load_lanes(b + c * g->k, count);
    MLS_UNROLL
    for (int r = 0; r < rows; r++) {
        const mls_vf x = load_lanes(a + r * g->a_row, count);
        MLS_UNROLL
        for (int c = 0; c < columns; c++) {
            const mls_vf sum = vf_fma(x, others[c], lanes[r][c][q]);
            lanes[r][c][q] =
                count == MLS_LANES ? sum : vf_select(vm_first(count), sum, lanes[r][c][q]);
        }
    }
}

/* As in run_tile(), rows and columns are constants in every caller. */
MLS_SIMD_FN void run_dots(int rows, int columns, const mls__gemm *g, int64_t row, int64_t column)
{
    dot_lanes lanes;
    MLS_UNROLL
    for (int i = 0; i < rows * columns * DOT_VECTORS; i++)
        lanes[i / DOT_VECTORS / columns][i / DOT_VECTORS % columns][i % DOT_VECTORS] = vf_zero();
    const float *a = g->a + row * g->a_row, *b = g->b + column * g->k;
    int64_t left = g->k;
    for (; left >= DOT_VECTORS * MLS_LANES; left -= DOT_VECTORS * MLS_LANES) {
        MLS_UNROLL
        for (int q = 0; q < DOT_VECTORS; q++)
            take_products(rows, columns, lanes, q, g, a + q * MLS_LANES, b + q * MLS_LANES,
                          MLS_LANES);
        a += DOT_VECTORS * MLS_LANES;
        b += DOT_VECTORS * MLS_LANES;
    }
    MLS_UNROLL
    for (int q = 0; q < DOT_VECTORS; q++) {
        const int64_t rest = left - q * MLS_LANES;
        if (rest >= MLS_LANES)
            take_products(rows, columns, lanes, q, g, a + q * MLS_LANES, b + q * MLS_LANES,
                          MLS_LANES);
        else if (rest > 0)
            take_products(rows, columns, lanes, q, g, a + q * MLS_LANES, b + q * MLS_LANES,
                          (int) rest);
    }
    MLS_UNROLL
    for (int r = 0; r < rows; r++) {
        float *y = g->y + (row + r) * g->y_row + column;
        MLS_UNROLL
        for (int c = 0; c < columns; c++)
            y[c] = sum_lanes(lanes[r][c]);
    }
}

MLS_SIMD_FN void run_dot_rows(int rows, const mls__gemm *g, int64_t row)
{
    int64_t column = 0;
    for (; column + DOT_COLUMNS <= g->n; column += DOT_COLUMNS)
        run_dots(rows, DOT_COLUMNS, g, row, column);
    for (; column < g->n; column++)
        run_dots(rows, 1, g, row, column);
}

/* Outputs of one column lie side by side: finished as if they were one row. */
static void finish_column(const mls__gemm *g, int64_t row, int64_t rows)
{
    mls__gemm turned = *g;
    turned.y = g->y + row;
    turned.c = g->c ? g->c + row * g->c_row : NULL;
    turned.c_step = g->c_row;
    finish(&turned, 0, 1, 0, rows);
}

static void narrow(const mls__gemm *g, int64_t row, int64_t rows)
{
    const int64_t end = row + rows;
    int64_t r = row;
    for (; r + DOT_ROWS <= end; r += DOT_ROWS)
        run_dot_rows(DOT_ROWS, g, r);
    for (; r < end; r++)
        run_dot_rows(1, g, r);
    if (g->n == 1 && g->y_row == 1 && g->c_row <= 1)
        finish_column(g, row, rows);
    else
        finish(g, row, rows, 0, g->n);
}

const mls__gemm_kernels MLS_ISA_NAME(gemm) = {
    .wide = wide,
    .narrow = narrow,
    .float64 = MLS_ISA_NAME(gemm_float64),
    .uint32 = MLS_ISA_NAME(gemm_uint32),
    .uint64 = MLS_ISA_NAME(gemm_uint64),
};
