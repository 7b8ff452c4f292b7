/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Squares of 16-byte vectors are transposed in registers, by rounds of interleaving: one
 * round puts row i and row i + n/2 of n rows side by side, element by element, and after
 * log2(n) rounds each row is a column. Compilers know the shuffles as single instructions
 * of every x86-64 and ARMv8, so there is no set of them for each instruction set.
 */
#include "backend/cpu/ops/tile.h"

#include <stddef.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define VECTOR 16 /* bytes */

/* A tile's side in bytes: whole cache lines, so that each is fetched once. */
#define TILE 64

/*
 * At strides that this times the element's size divides, the lines of a tile's rows crowd
 * into a few places of the cache and push each other out: they are copied first, so that
 * each is read once. A tile of large elements has too few lines for that.
 */
#define CROWDED 1024

typedef uint8_t bytes __attribute__((vector_size(VECTOR)));
typedef uint16_t pairs __attribute__((vector_size(VECTOR)));
typedef uint32_t fours __attribute__((vector_size(VECTOR)));
typedef uint64_t eights __attribute__((vector_size(VECTOR)));

/* The elements of the low (high) halves of a and b in turn; `size` is that of an element. */
INLINE bytes zip_low(bytes a, bytes b, size_t size)
{
    if (size == 1)
        return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7,
                                       23);
    if (size == 2)
        return (bytes) __builtin_shufflevector((pairs) a, (pairs) b, 0, 8, 1, 9, 2, 10, 3, 11);
    if (size == 4)
        return (bytes) __builtin_shufflevector((fours) a, (fours) b, 0, 4, 1, 5);
    return (bytes) __builtin_shufflevector((eights) a, (eights) b, 0, 2);
}

INLINE bytes zip_high(bytes a, bytes b, size_t size)
{
    if (size == 1)
        return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30,
                                       15, 31);
    if (size == 2)
        return (bytes) __builtin_shufflevector((pairs) a, (pairs) b, 4, 12, 5, 13, 6, 14, 7, 15);
    if (size == 4)
        return (bytes) __builtin_shufflevector((fours) a, (fours) b, 2, 6, 3, 7);
    return (bytes) __builtin_shufflevector((eights) a, (eights) b, 1, 3);
}

/* n by n elements, n = VECTOR / size. */
INLINE void square(char *target, int64_t target_stride, const char *source, int64_t source_stride,
                   size_t size)
{
    const size_t n = VECTOR / size;
    bytes rows[VECTOR], next[VECTOR];
    UNROLL
    for (size_t i = 0; i < n; i++)
        memcpy(&rows[i], source + (int64_t) i * source_stride, VECTOR);
    UNROLL
    for (size_t done = 1; done < n; done *= 2) {
        UNROLL
        for (size_t i = 0; i < n / 2; i++) {
            next[2 * i] = zip_low(rows[i], rows[i + n / 2], size);
            next[2 * i + 1] = zip_high(rows[i], rows[i + n / 2], size);
        }
        UNROLL
        for (size_t i = 0; i < n; i++)
            rows[i] = next[i];
    }
    UNROLL
    for (size_t i = 0; i < n; i++)
        memcpy(target + (int64_t) i * target_stride, &rows[i], VECTOR);
}

INLINE void edge_of(char *target, int64_t target_stride, const char *source, int64_t source_stride,
                    int64_t rows, int64_t columns, size_t size)
{
    const int64_t step = (int64_t) size;
    for (int64_t c = 0; c < columns; c++)
        for (int64_t r = 0; r < rows; r++)
            memcpy(target + c * target_stride + r * step, source + r * source_stride + c * step,
                   size);
}

/*
 * Three rows of bytes, which images often have, to columns that lie side by side: four bytes are
 * written for each but the last, whose fourth the next one overwrites.
 */
static void edge_of_three(char *target, const char *source, int64_t source_stride, int64_t columns)
{
    const bytes none = {0};
    int64_t c = 0;
    for (; c + VECTOR < columns; c += VECTOR) {
        bytes rows[3];
        uint32_t groups[VECTOR];
        for (int r = 0; r < 3; r++)
            memcpy(&rows[r], source + r * source_stride + c, VECTOR);
        const bytes low = zip_low(rows[0], rows[1], 1), high = zip_high(rows[0], rows[1], 1);
        const bytes low2 = zip_low(rows[2], none, 1), high2 = zip_high(rows[2], none, 1);
        const bytes quads[] = {zip_low(low, low2, 2), zip_high(low, low2, 2),
                               zip_low(high, high2, 2), zip_high(high, high2, 2)};
        memcpy(groups, quads, sizeof groups);
        UNROLL
        for (int i = 0; i < VECTOR; i++)
            memcpy(target + (c + i) * 3, &groups[i], sizeof groups[i]);
    }
    edge_of(target + c * 3, 3, source + c, source_stride, 3, columns - c, 1);
}

/* Element by element: what is too small for squares. */
INLINE void edge(char *target, int64_t target_stride, const char *source, int64_t source_stride,
                 int64_t rows, int64_t columns, size_t size)
{
    if (rows == 3 && size == 1 && target_stride == 3)
        edge_of_three(target, source, source_stride, columns);
    else
        edge_of(target, target_stride, source, source_stride, rows, columns, size);
}

/* Squares and edges of at most a tile. */
INLINE void part(char *target, int64_t target_stride, const char *source, int64_t source_stride,
                 int64_t rows, int64_t columns, size_t size)
{
    const int64_t step = (int64_t) size, n = VECTOR / step;
    const int64_t square_rows = rows - rows % n, square_columns = columns - columns % n;
    for (int64_t c = 0; c < square_columns; c += n)
        for (int64_t r = 0; r < square_rows; r += n)
            square(target + c * target_stride + r * step, target_stride,
                   source + r * source_stride + c * step, source_stride, size);
    edge(target + square_columns * target_stride, target_stride, source + square_columns * step,
         source_stride, square_rows, columns - square_columns, size);
    edge(target + square_rows * step, target_stride, source + square_rows * source_stride,
         source_stride, rows - square_rows, columns, size);
}

INLINE void tile(char *target, int64_t target_stride, const char *source, int64_t source_stride,
                 int64_t rows, int64_t columns, size_t size)
{
    const int64_t side = TILE / (int64_t) size;
    char buffer[TILE * TILE];
    if (size > 4 || source_stride % (CROWDED * (int64_t) size) || rows < side || columns < side) {
        part(target, target_stride, source, source_stride, rows, columns, size);
        return;
    }
    for (int64_t r = 0; r < side; r++)
        memcpy(buffer + r * TILE, source + r * source_stride, TILE);
    part(target, target_stride, buffer, TILE, side, side, size);
}

INLINE void tiles(char *target, int64_t target_stride, const char *source, int64_t source_stride,
                  int64_t rows, int64_t columns, size_t size)
{
    const int64_t step = (int64_t) size, side = TILE / step;
    for (int64_t r = 0; r < rows; r += side)
        for (int64_t c = 0; c < columns; c += side)
            tile(target + c * target_stride + r * step, target_stride,
                 source + r * source_stride + c * step, source_stride,
                 rows - r < side ? rows - r : side, columns - c < side ? columns - c : side, size);
}

#define TILES(size)                                                                                \
    static void tiles_##size(char *target, int64_t target_stride, const char *source,              \
                             int64_t source_stride, int64_t rows, int64_t columns)                 \
    {                                                                                              \
        tiles(target, target_stride, source, source_stride, rows, columns, size);                  \
    }
TILES(1)
TILES(2)
TILES(4)
TILES(8)
TILES(16)

mls__tile_fn mls__tile_find(int64_t element_bytes)
{
    switch (element_bytes) {
    case 1:
        return tiles_1;
    case 2:
        return tiles_2;
    case 4:
        return tiles_4;
    case 8:
        return tiles_8;
    case 16:
        return tiles_16;
    default:
        return NULL;
    }
}
