/* SPDX-License-Identifier: Apache-2.0 */
/* Every element is read once, in runs that lie side by side in the source. */
#include "backend/cpu/ops/pack.h"

#include "base/alloc.h"

#include <string.h>

enum { RUN = 16 };

int64_t mls__pack_columns(int64_t n)
{
    return n > INT64_MAX - MLS__GEMM_PANEL ? INT64_MAX : mls__gemm_panels(n) * MLS__GEMM_PANEL;
}

bool mls__pack_size(int64_t k, int64_t n, size_t *ret_bytes)
{
    const int64_t columns = mls__gemm_is_narrow(n, k) ? n : mls__pack_columns(n);
    size_t count;
    return mls__mul_size((size_t) columns, (size_t) k, &count) &&
           mls__mul_size(count, sizeof(float), ret_bytes);
}

/* `count` elements from `index` on, as float32. */
static void read_run(const mls__pack_source *source, int64_t index, int64_t count, float *ret_run)
{
    const uint16_t *halves = source->data;
    if (source->dtype == MLS_FLOAT16)
        source->elementwise->f16_to_f32(ret_run, halves + index, count);
    else if (source->dtype == MLS_BFLOAT16)
        source->elementwise->bf16_to_f32(ret_run, halves + index, count);
    else
        memcpy(ret_run, (const float *) source->data + index, (size_t) count * sizeof *ret_run);
}

/* `count` rows of B from k on, which are columns of the data. */
static void turn_rows(const mls__pack_source *source, int64_t k, int64_t count, int64_t column,
                      int64_t columns, float *ret_rows)
{
    float run[RUN];
    for (int64_t j = 0; j < columns; j++) {
        read_run(source, (column + j) * source->k + k, count, run);
        for (int64_t i = 0; i < count; i++)
            ret_rows[i * MLS__GEMM_PANEL + j] = run[i];
    }
}

void mls__pack_rows(const mls__pack_source *source, int64_t k, int64_t count, int64_t column,
                    int64_t columns, float *ret_rows)
{
    const int64_t step = source->is_transposed ? RUN : 1, end = k + count;
    for (; k < end; k += step) {
        const int64_t rows = end - k < step ? end - k : step;
        if (columns < MLS__GEMM_PANEL)
            memset(ret_rows, 0, (size_t) rows * MLS__GEMM_PANEL * sizeof *ret_rows);
        if (source->is_transposed)
            turn_rows(source, k, rows, column, columns, ret_rows);
        else
            read_run(source, k * source->n + column, columns, ret_rows);
        ret_rows += rows * MLS__GEMM_PANEL;
    }
}

/* Columns column .. column+columns-1 as a panel. */
static void pack_panel(const mls__pack_source *source, int64_t column, int64_t columns,
                       float *ret_panel)
{
    mls__pack_rows(source, 0, source->k, column, columns, ret_panel);
}

void mls__pack_panels(const mls__pack_source *source, int64_t panel, int64_t panels,
                      float *ret_packed)
{
    for (int64_t p = panel; p < panel + panels; p++) {
        const int64_t column = p * MLS__GEMM_PANEL, left = source->n - column;
        pack_panel(source, column, left < MLS__GEMM_PANEL ? left : MLS__GEMM_PANEL,
                   ret_packed + column * source->k);
    }
}

void mls__pack_rest(const mls__pack_source *source, float *ret_rest)
{
    const int64_t rest = source->n % MLS__GEMM_PANEL;
    pack_panel(source, source->n - rest, rest, ret_rest);
}

/* A row of k for each column: the data as it is, or turned. */
static void pack_narrow(const mls__pack_source *source, float *ret_packed)
{
    if (source->is_transposed) {
        read_run(source, 0, source->n * source->k, ret_packed);
        return;
    }
    float row[RUN];
    for (int64_t k = 0; k < source->k; k++) {
        read_run(source, k * source->n, source->n, row);
        for (int64_t j = 0; j < source->n; j++)
            ret_packed[j * source->k + k] = row[j];
    }
}

void mls__pack(const mls__pack_source *source, float *ret_packed)
{
    if (mls__gemm_is_narrow(source->n, source->k))
        pack_narrow(source, ret_packed);
    else
        mls__pack_panels(source, 0, mls__gemm_panels(source->n), ret_packed);
}
