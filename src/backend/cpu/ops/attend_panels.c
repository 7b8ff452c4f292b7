/* SPDX-License-Identifier: Apache-2.0 */
/*
 * K and V of an attention as its products read them: float32, K in panels of which a key is a
 * column, V in rows of whole vectors.
 */
#include "backend/cpu/ops/attend_item.h"

/* Four floats, for turning blocks of four by four in registers. */
typedef float quad __attribute__((vector_size(16)));

static quad load_quad(const float *p)
{
    quad v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void turn_quads(const float *const rows[4], int64_t i, float *ret_columns)
{
    const quad a = load_quad(rows[0] + i), b = load_quad(rows[1] + i);
    const quad c = load_quad(rows[2] + i), d = load_quad(rows[3] + i);
    const quad low0 = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    const quad high0 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const quad low1 = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    const quad high1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    const quad turned[4] = {__builtin_shufflevector(low0, low1, 0, 1, 4, 5),
                            __builtin_shufflevector(low0, low1, 2, 3, 6, 7),
                            __builtin_shufflevector(high0, high1, 0, 1, 4, 5),
                            __builtin_shufflevector(high0, high1, 2, 3, 6, 7)};
    for (int k = 0; k < 4; k++)
        memcpy(ret_columns + k * MLS__GEMM_PANEL, &turned[k], sizeof turned[k]);
}

/* Four rows as neighbouring columns of a panel. */
static void turn_rows(const float *const rows[4], int64_t size, float *ret_columns)
{
    int64_t i = 0;
    for (; i + 4 <= size; i += 4)
        turn_quads(rows, i, ret_columns + i * MLS__GEMM_PANEL);
    for (; i < size; i++)
        for (int j = 0; j < 4; j++)
            ret_columns[i * MLS__GEMM_PANEL + j] = rows[j][i];
}

void mls__attend_pack_k(const mls__attend_item *it, int64_t key, int64_t keys, float *ret_panels)
{
    const int64_t size = it->a->size;
    char *memory = it->memory + it->at.row;
    for (int64_t j = 0; j < mls__attend_padded(keys); j += 4) {
        const float *rows[4];
        for (int64_t r = 0; r < 4; r++) {
            char *own = memory + (size_t) (r * size) * it->wide;
            rows[r] = (const float *) (void *) own;
            if (j + r < keys)
                rows[r] = mls__attend_widened(it, it->d->k, mls__attend_k_index(it, key + j + r),
                                              size, own);
            else
                memset(own, 0, (size_t) size * it->wide);
        }
        turn_rows(rows, size,
                  ret_panels + j / MLS__GEMM_PANEL * MLS__GEMM_PANEL * size + j % MLS__GEMM_PANEL);
    }
}

void mls__attend_pack_v(const mls__attend_item *it, int64_t keys, float *ret_rows)
{
    const int64_t columns = it->a->v_size, step = mls__attend_padded(columns);
    for (int64_t i = 0; i < keys; i++) {
        float *to = ret_rows + i * step;
        const float *from =
            mls__attend_widened(it, it->d->v, mls__attend_v_index(it, i), columns, to);
        if (from != to)
            memcpy(to, from, (size_t) columns * sizeof *to);
        memset(to + columns, 0, (size_t) (step - columns) * sizeof *to);
    }
}
