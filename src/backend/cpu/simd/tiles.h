/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight tiles of 16 rows of 64 bytes, which belong to the thread.
 *
 *   tile_begin() tile_end()    around all else; the tiles then hold nothing
 *   tile_zero(t)
 *   tile_load(t, p, step)      row r from the bytes at p + r * step
 *   tile_store(t, p, step)     and back
 *   tile_dpbf16ps(c, a, b)     c, of float32, plus A B of bfloat16: row r of A is 32 elements of k,
 *                              row g of B the pair of rows 2 g and 2 g + 1, two elements a column
 *
 * `t`, `a`, `b` and `c` are literals: instructions name their tiles. With MLS_TILES_MODEL defined
 * as 1 they are functions in plain C on memory of the thread, for machines without AMX.
 */
#ifndef MLS_BACKEND_CPU_SIMD_TILES_H
#define MLS_BACKEND_CPU_SIMD_TILES_H

#include <stddef.h>
#include <stdint.h>

enum { TILE_ROWS = 16, TILE_ROW_BYTES = 64, TILE_K = 32, TILE_COLUMNS = 16, TILE_COUNT = 8 };

#if defined(MLS_TILES_MODEL)

#include <math.h>
#include <string.h>

typedef struct mls__tile {
    unsigned char rows[TILE_ROWS][TILE_ROW_BYTES];
} mls__tile;

static _Thread_local mls__tile model_tiles[TILE_COUNT];

/* What was left there is of no use to anybody. */
static void tile_begin(void)
{
    memset(model_tiles, 0xff, sizeof model_tiles);
}

static void tile_end(void)
{
    memset(model_tiles, 0xff, sizeof model_tiles);
}

static void tile_zero(int t)
{
    memset(&model_tiles[t], 0, sizeof model_tiles[t]);
}

static void tile_load(int t, const void *p, size_t step)
{
    for (size_t r = 0; r < TILE_ROWS; r++)
        memcpy(model_tiles[t].rows[r], (const char *) p + r * step, TILE_ROW_BYTES);
}

static void tile_store(int t, void *p, size_t step)
{
    for (size_t r = 0; r < TILE_ROWS; r++)
        memcpy((char *) p + r * step, model_tiles[t].rows[r], TILE_ROW_BYTES);
}

static float model_bf16(const unsigned char *row, int index)
{
    uint16_t high;
    memcpy(&high, row + 2 * index, sizeof high);
    const uint32_t bits = (uint32_t) high << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Even and odd elements have a sum each, and the two are added to the tile's. */
static void tile_dpbf16ps(int c, int a, int b)
{
    for (int r = 0; r < TILE_ROWS; r++) {
        float sums[TILE_COLUMNS];
        memcpy(sums, model_tiles[c].rows[r], sizeof sums);
        for (int j = 0; j < TILE_COLUMNS; j++) {
            float even = 0, odd = 0;
            for (int g = 0; g < TILE_ROWS; g++) {
                const unsigned char *own = model_tiles[a].rows[r], *other = model_tiles[b].rows[g];
                even = fmaf(model_bf16(own, 2 * g), model_bf16(other, 2 * j), even);
                odd = fmaf(model_bf16(own, 2 * g + 1), model_bf16(other, 2 * j + 1), odd);
            }
            sums[j] += even + odd;
        }
        memcpy(model_tiles[c].rows[r], sums, sizeof sums);
    }
}

#else

#include <immintrin.h>

/* As LDTILECFG wants it. */
typedef struct mls__tile_config {
    uint8_t palette, start_row;
    uint8_t reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} mls__tile_config;

_Static_assert(sizeof(mls__tile_config) == 64, "the instruction reads 64 bytes");

static inline void tile_begin(void)
{
    mls__tile_config config = {.palette = 1};
    for (int t = 0; t < TILE_COUNT; t++) {
        config.row_bytes[t] = TILE_ROW_BYTES;
        config.rows[t] = TILE_ROWS;
    }
    _tile_loadconfig(&config);
}

/* Or else every switch to another thread would save them. */
static inline void tile_end(void)
{
    _tile_release();
}

#define tile_zero(t)           _tile_zero(t)
#define tile_load(t, p, step)  _tile_loadd(t, p, step)
#define tile_store(t, p, step) _tile_stored(t, p, step)
#define tile_dpbf16ps(c, a, b) _tile_dpbf16ps(c, a, b)

#endif
#endif
