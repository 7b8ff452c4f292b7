/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled for AMX, and by a test for the model of its tiles: the products that gemm_bf16.h
 * declares, tile by tile. What tiles do not do is left to the kernels of AVX512-BF16.
 *
 * Two panels of a block over k stay in the first cache while the rows go past them, 32 at a time:
 * four tiles of sums, two of A, two of B.
 */
#include "backend/cpu/kernels/gemm_bf16.h"

#include "backend/cpu/simd/simd.h"
#include "backend/cpu/simd/tiles.h"

#if defined(MLS_TILES_MODEL)
#define NAME mls__gemm_tiles_model
#else
#define NAME MLS_ISA_LEVEL_NAME(gemm_tiles)
#endif

extern const mls__gemm_bf16_kernels MLS_ISA_BF16_NAME(gemm_bf16);
extern const mls__gemm_bf16_kernels NAME;

_Static_assert(MLS__BF16_PANEL == TILE_COLUMNS, "a panel is one tile wide");
_Static_assert(MLS__BF16_STEP == TILE_K, "a step is one tile of B");
_Static_assert(MLS__BF16_ROWS == TILE_ROWS, "rows are padded to tiles");

enum {
    PLAIN_ROWS = 4, /* at most: a tile would be mostly empty */
    BLOCK_K = 512,  /* whole steps */
    PAIR_ROWS = 2 * TILE_ROWS,
    PAIR_PANELS = 2,
    TILE_ELEMENTS = TILE_ROWS * TILE_K,
    SUMS_BYTES = TILE_COLUMNS * sizeof(float),
};

/* Where a tile of sums lies: in y, or apart where y has less than a whole tile. */
typedef struct place {
    float *y;
    int64_t rows, columns;
    float *sums;
    size_t step; /* bytes from row to row of them */
} place;

/* Of two tiles down by two across. */
typedef struct square {
    const uint16_t *a, *b; /* of the block over k */
    int64_t steps;
    bool is_started; /* the sums are in y */
    place places[2][2];
    _Alignas(64) float apart[2][2][TILE_ROWS * TILE_COLUMNS];
} square;

/* --- a square -------------------------------------------------------------------------------- */

static void copy_rows(float *y, int64_t y_row, const float *x, int64_t x_row, int64_t rows,
                      int64_t columns)
{
    for (int64_t r = 0; r < rows; r++)
        memcpy(y + r * y_row, x + r * x_row, (size_t) columns * sizeof *y);
}

static void set_place(const mls__gemm_bf16 *g, square *s, int down, int across, int64_t row,
                      int64_t end, int64_t panel)
{
    place *p = &s->places[down][across];
    float *apart = s->apart[down][across];
    row += down * TILE_ROWS;
    panel += across;
    p->y = g->y + row * g->y_row + panel * g->y_panel;
    p->rows = end - row < TILE_ROWS ? end - row : TILE_ROWS;
    p->columns = lanes_at(panel * TILE_COLUMNS, g->n);
    if (p->rows == TILE_ROWS && p->columns == TILE_COLUMNS) {
        p->sums = p->y;
        p->step = (size_t) g->y_row * sizeof(float);
        return;
    }
    p->sums = apart;
    p->step = SUMS_BYTES;
    memset(apart, 0, sizeof s->apart[0][0]);
    if (s->is_started)
        copy_rows(apart, TILE_COLUMNS, p->y, g->y_row, p->rows, p->columns);
}

static void bring_back(const mls__gemm_bf16 *g, const place *p)
{
    if (p->sums != p->y)
        copy_rows(p->y, g->y_row, p->sums, TILE_COLUMNS, p->rows, p->columns);
}

/* `downs` and `acrosses` are constants in every caller, 1 or 2. */
static inline __attribute__((always_inline)) void load_sums(int downs, int acrosses,
                                                            const square *s)
{
    tile_load(0, s->places[0][0].sums, s->places[0][0].step);
    if (acrosses > 1)
        tile_load(1, s->places[0][1].sums, s->places[0][1].step);
    if (downs > 1)
        tile_load(2, s->places[1][0].sums, s->places[1][0].step);
    if (downs > 1 && acrosses > 1)
        tile_load(3, s->places[1][1].sums, s->places[1][1].step);
}

static inline __attribute__((always_inline)) void clear_sums(int downs, int acrosses)
{
    tile_zero(0);
    if (acrosses > 1)
        tile_zero(1);
    if (downs > 1)
        tile_zero(2);
    if (downs > 1 && acrosses > 1)
        tile_zero(3);
}

static inline __attribute__((always_inline)) void store_sums(int downs, int acrosses,
                                                             const square *s)
{
    tile_store(0, s->places[0][0].sums, s->places[0][0].step);
    if (acrosses > 1)
        tile_store(1, s->places[0][1].sums, s->places[0][1].step);
    if (downs > 1)
        tile_store(2, s->places[1][0].sums, s->places[1][0].step);
    if (downs > 1 && acrosses > 1)
        tile_store(3, s->places[1][1].sums, s->places[1][1].step);
}

static inline __attribute__((always_inline)) void run_square(int downs, int acrosses,
                                                             const mls__gemm_bf16 *g, square *s)
{
    const size_t a_step = (size_t) g->a_row * sizeof *g->a;
    const int64_t b_panel = mls__bf16_panel(g->k);
    const uint16_t *a = s->a, *b = s->b;
    if (s->is_started)
        load_sums(downs, acrosses, s);
    else
        clear_sums(downs, acrosses);
    for (int64_t left = s->steps; left > 0; left--) {
        tile_load(6, b, TILE_ROW_BYTES);
        tile_load(4, a, a_step);
        tile_dpbf16ps(0, 4, 6);
        if (acrosses > 1) {
            tile_load(7, b + b_panel, TILE_ROW_BYTES);
            tile_dpbf16ps(1, 4, 7);
        }
        if (downs > 1) {
            tile_load(5, a + TILE_ROWS * g->a_row, a_step);
            tile_dpbf16ps(2, 5, 6);
        }
        if (downs > 1 && acrosses > 1)
            tile_dpbf16ps(3, 5, 7);
        a += TILE_K;
        b += TILE_ELEMENTS;
    }
    store_sums(downs, acrosses, s);
}

static void run_rows(const mls__gemm_bf16 *g, int64_t row, int64_t end, int64_t panel, int acrosses,
                     square *s)
{
    const int downs = end - row > TILE_ROWS ? 2 : 1;
    for (int d = 0; d < downs; d++)
        for (int c = 0; c < acrosses; c++)
            set_place(g, s, d, c, row, end, panel);
    if (downs > 1 && acrosses > 1)
        run_square(2, 2, g, s);
    else if (downs > 1)
        run_square(2, 1, g, s);
    else if (acrosses > 1)
        run_square(1, 2, g, s);
    else
        run_square(1, 1, g, s);
    for (int d = 0; d < downs; d++)
        for (int c = 0; c < acrosses; c++)
            bring_back(g, &s->places[d][c]);
}

/* --- a product ------------------------------------------------------------------------------- */

/* All rows of one or two panels, k .. k+ks-1 of their sums. */
static void run_panels(const mls__gemm_bf16 *g, int64_t row, int64_t end, int64_t panel,
                       int acrosses, int64_t k, int64_t ks)
{
    square s;
    s.b = g->b + panel * mls__bf16_panel(g->k) + k * TILE_COLUMNS;
    s.steps = mls__bf16_padded(ks) / TILE_K;
    s.is_started = k > 0;
    for (int64_t r = row; r < end; r += PAIR_ROWS) {
        s.a = g->a + r * g->a_row + k;
        run_rows(g, r, end, panel, acrosses, &s);
    }
}

static void run_tiles(const mls__gemm_bf16 *g, int64_t row, int64_t end, int64_t panel,
                      int64_t panels)
{
    int64_t k = 0;
    do {
        const int64_t ks = g->k - k < BLOCK_K ? g->k - k : BLOCK_K;
        for (int64_t p = 0; p < panels; p += PAIR_PANELS)
            run_panels(g, row, end, panel + p, panels - p < PAIR_PANELS ? 1 : 2, k, ks);
        k += ks;
    } while (k < g->k);
}

static void run(const mls__gemm_bf16 *g, int64_t row, int64_t rows, int64_t panel, int64_t panels)
{
    const mls__gemm_bf16_kernels *plain = &MLS_ISA_BF16_NAME(gemm_bf16);
    if (rows <= PLAIN_ROWS || panels <= 0) {
        plain->run(g, row, rows, panel, panels);
        return;
    }
    tile_begin();
    run_tiles(g, row, row + rows, panel, panels);
    tile_end();
    plain->finish(g, row, rows, panel, panels);
}

/* Pointers in another table are no constants. */
static void round_rows(uint16_t *y, int64_t y_row, const float *x, int64_t x_row, int64_t rows,
                       int64_t columns)
{
    MLS_ISA_BF16_NAME(gemm_bf16).round(y, y_row, x, x_row, rows, columns);
}

static void pair(uint16_t *y, const float *rows, int64_t count)
{
    MLS_ISA_BF16_NAME(gemm_bf16).pair(y, rows, count);
}

static void finish(const mls__gemm_bf16 *g, int64_t row, int64_t rows, int64_t panel,
                   int64_t panels)
{
    MLS_ISA_BF16_NAME(gemm_bf16).finish(g, row, rows, panel, panels);
}

const mls__gemm_bf16_kernels NAME = {
    .product_name = "product.bf16.amx",
    .conv_name = "conv.bf16.amx",
    .most_rows = INT64_MAX,
    .least_weights = 1024,
    .run = run,
    .round = round_rows,
    .pair = pair,
    .finish = finish,
};
