/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread of an attention works on at a time. attend.c shares items out to threads and cuts
 * them into blocks of rows, attend_panels.c brings K and V for them, attend_block.c runs one.
 */
#ifndef MLS_BACKEND_CPU_OPS_ATTEND_ITEM_H
#define MLS_BACKEND_CPU_OPS_ATTEND_ITEM_H

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/attend.h"

#include <string.h>

/* Panels of K that are brought together when they are used once. */
#define MLS__ATTEND_GROUP_PANELS 8

/* The parts of a thread's memory, in bytes from its begin. */
typedef struct mls__attend_slot {
    size_t k, v, q, y, scores, mask, row, bytes;
} mls__attend_slot;

/* Rows of one head of K and V: queries of the heads that share it, one head after the other. */
typedef struct mls__attend_item {
    const mls__attend *a;
    const mls__attend_data *d;
    const mls__attend_row_fns *fns;
    mls__half half;
    bool is_half, is_double;
    size_t wide, narrow; /* bytes of an element computed with, and of the dtype */
    int64_t batch, kv_head;
    bool has_panels; /* all of K and V has been copied */
    char *memory;
    mls__attend_slot at;
} mls__attend_item;

static inline int64_t mls__attend_group(const mls__attend *a)
{
    return a->heads / a->kv_heads;
}

static inline int64_t mls__attend_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t mls__attend_most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Columns of whole vectors. */
static inline int64_t mls__attend_padded(int64_t columns)
{
    return mls__gemm_panels(columns) * MLS__GEMM_PANEL;
}

static inline int64_t mls__attend_k_index(const mls__attend_item *it, int64_t key)
{
    const mls__attend_steps *s = &it->a->k;
    return it->batch * s->batch + it->kv_head * s->head + key * s->row;
}

static inline int64_t mls__attend_v_index(const mls__attend_item *it, int64_t key)
{
    const mls__attend_steps *s = &it->a->v;
    return it->batch * s->batch + it->kv_head * s->head + key * s->row;
}

/* `count` elements as the type computed with: where they lie, if they are of that type. */
static inline const void *mls__attend_widened(const mls__attend_item *it, const void *x,
                                              int64_t index, int64_t count, void *memory)
{
    const char *at = (const char *) x + (size_t) index * it->narrow;
    if (!it->is_half)
        return at;
    it->half.to_f32(memory, (const uint16_t *) (const void *) at, count);
    return memory;
}

static inline void mls__attend_narrow(const mls__attend_item *it, void *y, int64_t index,
                                      const void *x, int64_t count)
{
    char *at = (char *) y + (size_t) index * it->narrow;
    if (it->is_half)
        it->half.from_f32((uint16_t *) (void *) at, x, count);
    else
        memcpy(at, x, (size_t) count * it->wide);
}

/* Keys key .. key+keys-1 as the columns of panels; the columns past the last are 0. */
void mls__attend_pack_k(const mls__attend_item *it, int64_t key, int64_t keys, float *ret_panels);

/* The first `keys` values as rows of whole vectors. */
void mls__attend_pack_v(const mls__attend_item *it, int64_t keys, float *ret_rows);

/* Rows first .. first+rows-1 of an item, from Q to Y. */
void mls__attend_run_block(const mls__attend_item *it, int64_t first, int64_t rows);

#endif
