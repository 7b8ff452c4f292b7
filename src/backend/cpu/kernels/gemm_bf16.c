/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled once an instruction set, and once more for AVX512-BF16: the products that gemm_bf16.h
 * declares.
 *
 * A product is cut into tiles of a few rows by a few panels, whose sums stay in registers. A few
 * panels of a block over k stay in the cache while the rows, of which the caller gives no more than
 * the second cache holds, go past them.
 */
#include "backend/cpu/kernels/gemm_bf16.h"

#include "backend/cpu/simd/dot2.h"

extern const mls__gemm_bf16_kernels MLS_ISA_BF16_NAME(gemm_bf16);

_Static_assert(MLS__BF16_PANEL == MLS_LANES, "a panel is one vector wide");

enum {
    TILE_ROWS = 6,
    TILE_PANELS = 8, /* at most, with one row */
    BLOCK_K = 512,   /* even: a block begins with a pair */
    PAIR_ELEMENTS = MLS_PAIR * MLS_LANES,
};

/*
 * The most panels that the sums of so many rows may have, by the number of registers. Where pairs
 * have to be widened, only the stream of B gains, which matters with few rows.
 */
#if defined(MLS_SIMD_AVX512) && defined(MLS_SIMD_BF16)
static const int panels_of_rows[TILE_ROWS + 1] = {0, 8, 4, 4, 4, 4, 4};
#define MOST_ROWS     INT64_MAX
#define LEAST_WEIGHTS 1024
#elif defined(MLS_SIMD_AVX512)
static const int panels_of_rows[TILE_ROWS + 1] = {0, 4, 4, 4, 2, 2, 2};
#define MOST_ROWS     3
#define LEAST_WEIGHTS 8192
#else
static const int panels_of_rows[TILE_ROWS + 1] = {0, 2, 2, 1, 1, 1, 1};
#define LEAST_WEIGHTS (1024 * 512)
#if defined(MLS_SIMD_PORTABLE)
#define MOST_ROWS 0 /* calls of fmaf() take the time, not B */
#else
#define MOST_ROWS 1
#endif
#endif

/* A tile's place: what of it is not the same for the whole product. */
struct tile {
    const uint16_t *a, *b;
    int64_t pairs, b_panel;
    float *y;
    int lanes;       /* of its last panel */
    bool is_started; /* its sums are in y */
};

typedef mls_vf tile_sums[TILE_ROWS][TILE_PANELS];

/* --- a tile ---------------------------------------------------------------------------------- */

/* `rows` and `panels` are constants in every caller: the loops unroll, the sums are registers. */
MLS_SIMD_FN void load_sums(int rows, int panels, const mls__gemm_bf16 *g, const struct tile *at,
                           tile_sums sums)
{
    MLS_UNROLL
    for (int r = 0; r < rows; r++) {
        const float *y = at->y + r * g->y_row;
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            sums[r][p] = at->is_started
                             ? vf_load_n(y + p * g->y_panel, p < panels - 1 ? MLS_LANES : at->lanes)
                             : vf_zero();
    }
}

MLS_SIMD_FN void store_sums(int rows, int panels, const mls__gemm_bf16 *g, const struct tile *at,
                            tile_sums sums)
{
    MLS_UNROLL
    for (int r = 0; r < rows; r++) {
        float *y = at->y + r * g->y_row;
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            vf_store_n(y + p * g->y_panel, sums[r][p], p < panels - 1 ? MLS_LANES : at->lanes);
    }
}

MLS_SIMD_FN void run_tile(int rows, int panels, const mls__gemm_bf16 *g, const struct tile *at)
{
    tile_sums sums;
    load_sums(rows, panels, g, at, sums);
    const uint16_t *a = at->a, *b = at->b;
    const int64_t a_row = g->a_row, b_panel = at->b_panel;
    for (int64_t left = at->pairs; left > 0; left--) {
        mls_vp weights[TILE_PANELS];
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            weights[p] = vp_load(b + p * b_panel);
        MLS_UNROLL
        for (int r = 0; r < rows; r++) {
            const mls_vp pair = vp_set(a + r * a_row);
            MLS_UNROLL
            for (int p = 0; p < panels; p++)
                sums[r][p] = vf_dot2(sums[r][p], pair, weights[p]);
        }
        a += MLS_PAIR;
        b += PAIR_ELEMENTS;
    }
    store_sums(rows, panels, g, at, sums);
}

typedef void (*tile_fn)(const mls__gemm_bf16 *g, const struct tile *at);

#define TILE(rows, panels)                                                                         \
    static void tile_##rows##x##panels(const mls__gemm_bf16 *g, const struct tile *at)             \
    {                                                                                              \
        run_tile(rows, panels, g, at);                                                             \
    }

TILE(1, 1)
TILE(1, 2)
TILE(2, 1)
TILE(2, 2)
TILE(3, 1)
TILE(4, 1)
TILE(5, 1)
TILE(6, 1)
#if defined(MLS_SIMD_AVX512)
TILE(1, 3)
TILE(1, 4)
TILE(2, 3)
TILE(2, 4)
TILE(3, 2)
TILE(3, 3)
TILE(3, 4)
TILE(4, 2)
TILE(5, 2)
TILE(6, 2)
#endif
#if defined(MLS_SIMD_AVX512) && defined(MLS_SIMD_BF16)
TILE(1, 5)
TILE(1, 6)
TILE(1, 7)
TILE(1, 8)
TILE(4, 3)
TILE(4, 4)
TILE(5, 3)
TILE(5, 4)
TILE(6, 3)
TILE(6, 4)
#endif

/* By rows - 1 and panels - 1; filled as far as panels_of_rows says. */
static const tile_fn tiles[TILE_ROWS][TILE_PANELS] = {
#if defined(MLS_SIMD_AVX512) && defined(MLS_SIMD_BF16)
    {tile_1x1, tile_1x2, tile_1x3, tile_1x4, tile_1x5, tile_1x6, tile_1x7, tile_1x8},
    {tile_2x1, tile_2x2, tile_2x3, tile_2x4},
    {tile_3x1, tile_3x2, tile_3x3, tile_3x4},
    {tile_4x1, tile_4x2, tile_4x3, tile_4x4},
    {tile_5x1, tile_5x2, tile_5x3, tile_5x4},
    {tile_6x1, tile_6x2, tile_6x3, tile_6x4},
#elif defined(MLS_SIMD_AVX512)
    {tile_1x1, tile_1x2, tile_1x3, tile_1x4},
    {tile_2x1, tile_2x2, tile_2x3, tile_2x4},
    {tile_3x1, tile_3x2, tile_3x3, tile_3x4},
    {tile_4x1, tile_4x2},
    {tile_5x1, tile_5x2},
    {tile_6x1, tile_6x2},
#else
    {tile_1x1, tile_1x2}, {tile_2x1, tile_2x2}, {tile_3x1}, {tile_4x1}, {tile_5x1}, {tile_6x1},
#endif
};

/* --- finishing ------------------------------------------------------------------------------- */

/* One panel of one row. */
MLS_SIMD_FN void finish_lanes(const mls__gemm_bf16 *g, int64_t i, int64_t p, int lanes)
{
    const int64_t at = i * g->y_row + p * g->y_panel;
    mls_vf v = vf_mul(vf_set1(g->alpha), vf_load_n(g->y + at, lanes));
    if (g->c) {
        const float *c = g->c + i * g->c_row + p * g->c_panel;
        v = vf_fma(vf_set1(g->beta), g->c_step ? vf_load_n(c, lanes) : vf_set1(*c), v);
    }
    if (g->z)
        v = vf_add(v, vf_load_n(g->z + at, lanes));
    vf_store_n(g->y + at, v, lanes);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Panels of a row lie side by side, or else the rows of a panel do. */
static void activate(const mls__gemm_bf16 *g, int64_t row, int64_t rows, int64_t panel,
                     int64_t panels)
{
    float *y = g->y + row * g->y_row + panel * g->y_panel;
    if (g->y_panel == MLS_LANES) {
        const int64_t columns = least(g->n - panel * MLS_LANES, panels * MLS_LANES);
        for (int64_t i = 0; i < rows; i++)
            g->activation(y + i * g->y_row, y + i * g->y_row, columns, g->activation_params);
        return;
    }
    for (int64_t p = 0; p < panels; p++)
        g->activation(y + p * g->y_panel, y + p * g->y_panel, rows * MLS_LANES,
                      g->activation_params);
}

static void finish(const mls__gemm_bf16 *g, int64_t row, int64_t rows, int64_t panel,
                   int64_t panels)
{
    const bool is_scaled = g->alpha != 1.0f || g->c || g->z;
    for (int64_t i = row; is_scaled && i < row + rows; i++)
        for (int64_t p = panel; p < panel + panels; p++)
            finish_lanes(g, i, p, lanes_at(p * MLS_LANES, g->n));
    if (g->activation)
        activate(g, row, rows, panel, panels);
}

/* --- a product ------------------------------------------------------------------------------- */

static int64_t share(int64_t n, int64_t parts)
{
    return (n + parts - 1) / parts;
}

static int64_t parts_of(int64_t n, int64_t most)
{
    return n > most ? share(n, most) : 1;
}

/* Rows row .. row+rows-1 of panels that fit a tile: `ks` elements of their sums from k on. */
static void run_panels(const mls__gemm_bf16 *g, int64_t row, int64_t rows, int64_t panel,
                       int panels, int64_t k, int64_t ks)
{
    struct tile at = {
        .a = g->a + row * g->a_row + k,
        .b = g->b + panel * mls__bf16_panel(g->k) + k * MLS_LANES,
        .pairs = share(ks, MLS_PAIR),
        .b_panel = mls__bf16_panel(g->k),
        .y = g->y + row * g->y_row + panel * g->y_panel,
        .lanes = lanes_at((panel + panels - 1) * MLS_LANES, g->n),
        .is_started = k > 0,
    };
    int64_t left = rows;
    for (int64_t part = parts_of(rows, TILE_ROWS); part > 0; part--) {
        const int64_t taken = share(left, part);
        tiles[taken - 1][panels - 1](g, &at);
        at.a += taken * g->a_row;
        at.y += taken * g->y_row;
        left -= taken;
    }
}

/* Blocks over k are for the cache: the rows of a single tile need none. */
static void run(const mls__gemm_bf16 *g, int64_t row, int64_t rows, int64_t panel, int64_t panels)
{
    const int most = panels_of_rows[share(rows, parts_of(rows, TILE_ROWS))];
    const int64_t block = rows > TILE_ROWS ? BLOCK_K : g->k, end = panel + panels;
    int64_t k = 0;
    do {
        const int64_t ks = least(g->k - k, block);
        for (int64_t p = panel; p < end;) {
            const int64_t taken = least(end - p, most);
            run_panels(g, row, rows, p, (int) taken, k, ks);
            if (k + ks == g->k)
                finish(g, row, rows, p, taken);
            p += taken;
        }
        k += ks;
    } while (k < g->k);
}

/* --- operands -------------------------------------------------------------------------------- */

static void round_rows(uint16_t *y, int64_t y_row, const float *x, int64_t x_row, int64_t rows,
                       int64_t columns)
{
    for (int64_t r = 0; r < rows; r++) {
        int64_t j = 0;
        for (; j + MLS_LANES <= columns; j += MLS_LANES)
            vf_round_bf16(y + j, vf_load(x + j));
        if (j < columns) {
            uint16_t rest[MLS_LANES];
            vf_round_bf16(rest, vf_load_n(x + j, (int) (columns - j)));
            memcpy(y + j, rest, (size_t) (columns - j) * sizeof *y);
        }
        x += x_row;
        y += y_row;
    }
}

static void pair(uint16_t *y, const float *rows, int64_t count)
{
    uint16_t first[MLS_LANES], second[MLS_LANES];
    for (; count > 0; count -= MLS_PAIR) {
        vf_round_bf16(first, vf_load(rows));
        vf_round_bf16(second, vf_load(rows + MLS_LANES));
        for (int j = 0; j < MLS_LANES; j++) {
            y[MLS_PAIR * j] = first[j];
            y[MLS_PAIR * j + 1] = second[j];
        }
        rows += MLS_PAIR * MLS_LANES;
        y += PAIR_ELEMENTS;
    }
}

const mls__gemm_bf16_kernels MLS_ISA_BF16_NAME(gemm_bf16) = {
    .product_name = "product.bf16." MLS_ISA_BF16_STRING,
    .conv_name = "conv.bf16." MLS_ISA_BF16_STRING,
    .most_rows = MOST_ROWS,
    .least_weights = LEAST_WEIGHTS,
    .run = run,
    .round = round_rows,
    .pair = pair,
    .finish = finish,
};
