/* SPDX-License-Identifier: Apache-2.0 */
/* The choice follows from measurements, which the tables of kernels hold. */
#include "backend/cpu/ops/fast.h"

#include "base/alloc.h"
#include "base/isa.h"

#include <mlscale/session.h>

#include <string.h>

/* Of rows of A: half of the second cache, the rest of which is for B and the sums. */
#define CHUNK_BYTES (512 * 1024)
/* A multiple of the rows of all tiles. */
#define ROWS_STEP 48
/* From here on rows that lie a power of two apart share few places of a cache. */
#define LONG_ROW 256

const mls__gemm_bf16_kernels *mls__fast_kernels(const mls__cpu *cpu, const mls_op *op, int64_t rows,
                                                int64_t n, int64_t k)
{
    if (op->numerics != MLS_NUMERICS_FAST || k < 1 || mls__gemm_is_narrow(n, k))
        return NULL;
    const mls__gemm_bf16_kernels *tiles = cpu->kernels->gemm_tiles;
    const mls__gemm_bf16_kernels *kernels =
        tiles && mls__isa_request_tiles() ? tiles : cpu->kernels->gemm_bf16;
    const bool is_faster =
        rows <= kernels->most_rows && (double) n * (double) k >= (double) kernels->least_weights;
    return is_faster ? kernels : NULL;
}

int64_t mls__fast_row(int64_t k)
{
    const int64_t padded = mls__bf16_padded(k);
    return padded < LONG_ROW ? padded : padded + MLS__BF16_STEP;
}

static int64_t whole_tiles(int64_t rows)
{
    return (rows + MLS__BF16_ROWS - 1) / MLS__BF16_ROWS * MLS__BF16_ROWS;
}

bool mls__fast_chunk(int64_t rows, int64_t k, int64_t *ret_rows, size_t *ret_bytes)
{
    size_t row_bytes;
    if (k > INT64_MAX - 2 * MLS__BF16_STEP ||
        !mls__mul_size((size_t) mls__fast_row(k), sizeof(uint16_t), &row_bytes))
        return false;
    const int64_t most = CHUNK_BYTES / (int64_t) row_bytes / ROWS_STEP * ROWS_STEP;
    const int64_t taken = most > ROWS_STEP ? most : ROWS_STEP;
    *ret_rows = rows < taken ? rows : taken;
    return mls__mul_size(row_bytes, (size_t) whole_tiles(*ret_rows), ret_bytes);
}

int64_t mls__fast_rows_in(size_t bytes, int64_t k)
{
    const size_t row_bytes = (size_t) mls__fast_row(k) * sizeof(uint16_t);
    return (int64_t) (bytes / row_bytes) / MLS__BF16_ROWS * MLS__BF16_ROWS;
}

bool mls__fast_packed_size(int64_t n, int64_t k, size_t *ret_bytes)
{
    size_t elements;
    return k <= INT64_MAX - MLS__BF16_STEP &&
           mls__mul_size((size_t) mls__bf16_panels(n), (size_t) mls__bf16_padded(k), &elements) &&
           mls__mul_size(elements, MLS__BF16_PANEL * sizeof(uint16_t), ret_bytes);
}

void mls__fast_pack(const mls__gemm_bf16_kernels *kernels, int64_t n, int64_t k, int64_t panel,
                    int64_t panels, mls__fast_rows_fn read, const void *arg, uint16_t *ret_packed)
{
    float rows[MLS__BF16_STEP * MLS__BF16_PANEL];
    for (int64_t p = panel; p < panel + panels; p++) {
        const int64_t column = p * MLS__BF16_PANEL, left = n - column;
        uint16_t *packed = ret_packed + p * mls__bf16_panel(k);
        for (int64_t at = 0; at < k; at += MLS__BF16_STEP) {
            const int64_t count = k - at < MLS__BF16_STEP ? k - at : MLS__BF16_STEP;
            if (count < MLS__BF16_STEP)
                memset(rows, 0, sizeof rows);
            read(arg, at, count, column, left < MLS__BF16_PANEL ? left : MLS__BF16_PANEL, rows);
            kernels->pair(packed + at * MLS__BF16_PANEL, rows, MLS__BF16_STEP);
        }
    }
}
