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

void MLS_ISA_INT8_NAME(int8_finish)(const mls__gemm_int8 *gemm, const int32_t *sums,
                                    int64_t sums_row, int64_t i, int64_t rows, int64_t column,
                                    int64_t columns);
void MLS_ISA_INT8_NAME(int8_depth)(const mls__int8_depth *depth, const uint8_t *const *rows,
                                   int64_t pixels, uint8_t *y, uint8_t *scratch);
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
void MLS_ISA_INT8_NAME(int8_taps)(int32_t *sums, const uint8_t *x, const int64_t *offsets,
                                  const int32_t *weights, int64_t count, int64_t n);
void MLS_ISA_INT8_NAME(int8_close_up)(int32_t *sums, int64_t rows, int64_t width, int64_t length);

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

typedef mls_vi tile_sums[TILE_ROWS][TILE_PANELS];
/* Sums of a row and the panels of a group. */
enum { SUMS_ROW = GROUP_PANELS * MLS_LANES };
/* Rows of some tiles, which are finished together. */
enum { SUMS_ROWS = 4 * TILE_ROWS };
typedef int32_t sums_buffer[SUMS_ROWS * SUMS_ROW];

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
                          const uint8_t *a, const uint8_t *b, const int32_t *starts,
                          int32_t *ret_sums)
{
    const int64_t b_panel = mls__int8_panel_bytes(g->k), a_row = g->a_row;
    tile_sums sums;
    MLS_UNROLL
    for (int r = 0; r < rows; r++) {
        MLS_UNROLL
        for (int p = 0; p < panels; p++)
            sums[r][p] = starts ? vi_load(starts + p * MLS_LANES) : vi_zero();
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
                        const int32_t *starts, int32_t *ret_sums);

#define TILE(rows, panels)                                                                         \
    static void tile_##rows##x##panels##_unsigned(const mls__gemm_int8 *g, const uint8_t *a,       \
                                                  const uint8_t *b, const int32_t *starts,         \
                                                  int32_t *ret_sums)                               \
    {                                                                                              \
        run_tile(rows, panels, false, g, a, b, starts, ret_sums);                                  \
    }                                                                                              \
    static void tile_##rows##x##panels##_signed(const mls__gemm_int8 *g, const uint8_t *a,         \
                                                const uint8_t *b, const int32_t *starts,           \
                                                int32_t *ret_sums)                                 \
    {                                                                                              \
        run_tile(rows, panels, true, g, a, b, starts, ret_sums);                                   \
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

/* Sums of rows row .. row+rows-1, at most TILE_ROWS of them, and at most GROUP_PANELS panels. */
static void sum_rows(const mls__gemm_int8 *g, int64_t row, int rows, int64_t panel, int64_t panels,
                     int32_t *ret_sums)
{
    const int64_t column = panel * MLS_LANES, panel_bytes = mls__int8_panel_bytes(g->k);
    const uint8_t *a = g->a + row * g->a_row, *b = g->b + panel * panel_bytes;
    for (int64_t p = 0; p < panels;) {
        const int taken = (int) at_most(panels - p, panels_of_rows[rows]);
        const int32_t *starts = g->starts ? g->starts + column + p * MLS_LANES : NULL;
        tiles[rows - 1][taken - 1][g->is_a_signed](g, a, b + p * panel_bytes, starts,
                                                   ret_sums + p * MLS_LANES);
        p += taken;
    }
}

/* Rows in nearly equal tiles: seven are four and three, not six and one. */
static void run_block(const mls__gemm_int8 *g, int64_t row, int64_t rows, int64_t panel,
                      int64_t panels)
{
    const int64_t column = panel * MLS_LANES;
    const int64_t columns = at_most(g->n - column, panels * MLS_LANES);
    sums_buffer sums;
    int64_t held = 0;
    for (int64_t tiles_left = (rows + TILE_ROWS - 1) / TILE_ROWS; tiles_left > 0; tiles_left--) {
        const int taken = (int) ((rows + tiles_left - 1) / tiles_left);
        sum_rows(g, row + held, taken, panel, panels, sums + held * SUMS_ROW);
        held += taken;
        rows -= taken;
        if (held + TILE_ROWS > SUMS_ROWS || tiles_left == 1) {
            MLS_ISA_INT8_NAME(int8_finish)(g, sums, SUMS_ROW, row, held, column, columns);
            row += held;
            held = 0;
        }
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

const mls__gemm_int8_kernels MLS_ISA_INT8_NAME(gemm_int8) = {
    .run = run,
    .pack_group = MLS_ISA_INT8_NAME(int8_pack_group),
    .panel_sums = MLS_ISA_INT8_NAME(int8_panel_sums),
    .row_sum = MLS_ISA_INT8_NAME(int8_row_sum),
    .column_sums = MLS_ISA_INT8_NAME(int8_column_sums),
    .flip = MLS_ISA_INT8_NAME(int8_flip),
    .take_steps = MLS_ISA_INT8_NAME(int8_take_steps),
    .taps = MLS_ISA_INT8_NAME(int8_taps),
    .close_up = MLS_ISA_INT8_NAME(int8_close_up),
    .finish = MLS_ISA_INT8_NAME(int8_finish),
    .depth = MLS_ISA_INT8_NAME(int8_depth),
};
