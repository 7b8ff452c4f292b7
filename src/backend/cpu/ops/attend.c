/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread takes whole heads of K and V, or some rows of one. It copies K into panels and V into
 * rows of whole vectors once for all blocks of rows; when there is only one block, K goes through a
 * few panels at a time and V is read as it lies where it can be. The scores of a block stay in the
 * second-level cache.
 */
#include "backend/cpu/ops/attend_item.h"
#include "backend/cpu/ops/ranges.h"
#include "base/alloc.h"

#include <string.h>

/* Scores of a block, about, and its rows: tiles of six at most ten times. */
#define BLOCK_SCORES 16384
#define TILE_ROWS    6
#define BLOCK_ROWS   60
/* Multiply-adds that take longer than waking a thread. */
#define LARGE_WORK (INT64_C(1) << 20)

static int64_t block_rows(const mls__attend *a)
{
    const int64_t rows = BLOCK_SCORES / (a->keys ? a->keys : 1) / TILE_ROWS * TILE_ROWS;
    return rows < TILE_ROWS ? TILE_ROWS : rows > BLOCK_ROWS ? BLOCK_ROWS : rows;
}

/* --- memory ---------------------------------------------------------------------------------- */

static bool add_part(size_t *total, int64_t rows, int64_t columns, size_t wide, size_t *ret_offset)
{
    size_t count, bytes;
    *ret_offset = *total;
    return mls__mul_size((size_t) rows, (size_t) columns, &count) &&
           mls__mul_size(count, wide, &bytes) && mls__align_size(bytes, &bytes) &&
           mls__add_size(*total, bytes, total);
}

static bool slot_of(const mls__attend *a, mls__attend_slot *ret_slot)
{
    const bool is_double = a->dtype == MLS_FLOAT64;
    const size_t wide = is_double ? sizeof(double) : sizeof(float);
    const int64_t panels = mls__gemm_panels(a->keys), v_columns = mls__attend_padded(a->v_size);
    int64_t rows, scores;
    mls__attend_slot at = {0};
    if (!mls__mul_i64(mls__attend_group(a), a->queries, &rows) ||
        !mls__mul_i64(rows, a->keys, &scores))
        return false;
    const bool is_single = rows <= block_rows(a);
    const int64_t some = is_single ? mls__attend_least(panels, MLS__ATTEND_GROUP_PANELS) : panels;
    rows = mls__attend_least(rows, BLOCK_ROWS);
    /* Grows with rows and keys, whatever block_rows() makes of fewer keys. */
    scores = mls__attend_least(scores, mls__attend_most(BLOCK_SCORES, TILE_ROWS * a->keys));
    const bool fits =
        add_part(&at.bytes, is_double ? 0 : some * MLS__GEMM_PANEL, a->size, wide, &at.k) &&
        add_part(&at.bytes, is_double ? 0 : v_columns, a->keys, wide, &at.v) &&
        add_part(&at.bytes, rows, a->size, wide, &at.q) &&
        add_part(&at.bytes, rows, v_columns, wide, &at.y) &&
        add_part(&at.bytes, scores, 1, wide, &at.scores) &&
        add_part(&at.bytes, a->keys, 1, wide, &at.mask) &&
        add_part(&at.bytes, 4, a->size, wide, &at.row);
    *ret_slot = at;
    return fits;
}

bool mls__attend_workspace(const mls__attend *a, size_t *ret_bytes)
{
    mls__attend_slot at;
    return slot_of(a, &at) && mls__mul_size(at.bytes, a->threads, ret_bytes);
}

/* --- items and threads ----------------------------------------------------------------------- */

static void run_item(mls__attend_item *it, int64_t row, int64_t end)
{
    const mls__attend *a = it->a;
    const int64_t step = block_rows(a);
    it->has_panels = end - row > step && !it->is_double;
    if (it->has_panels) {
        mls__attend_pack_k(it, 0, a->keys, (float *) (void *) (it->memory + it->at.k));
        mls__attend_pack_v(it, a->keys, (float *) (void *) (it->memory + it->at.v));
    }
    for (int64_t blocks = (end - row + step - 1) / step; blocks > 0; blocks--) {
        const int64_t rows = (end - row + blocks - 1) / blocks;
        mls__attend_run_block(it, row, rows);
        row += rows;
    }
}

typedef struct work {
    const mls__attend *a;
    const mls__attend_data *d;
    char *memory;
    mls__attend_slot at;
    int64_t parts; /* that the rows of each head of K and V are cut into */
} work;

/* Items are parts of heads, which begin where blocks do. */
static void run_items(void *arg, const mls__cpu_take *take)
{
    const work *w = arg;
    const mls__attend *a = w->a;
    const bool is_half = mls__is_half(a->dtype), is_double = a->dtype == MLS_FLOAT64;
    const int64_t rows = mls__attend_group(a) * a->queries, step = block_rows(a);
    const int64_t blocks = (rows + step - 1) / step;
    mls__attend_item it = {.a = a,
                           .d = w->d,
                           .fns = is_double ? &mls__attend_rows_f64 : &mls__attend_rows_f32,
                           .is_half = is_half,
                           .is_double = is_double,
                           .wide = is_double ? sizeof(double) : sizeof(float),
                           .narrow = mls_dtype_size((mls_dtype) a->dtype),
                           .memory = w->memory + take->slot * w->at.bytes,
                           .at = w->at};
    if (is_half)
        it.half = mls__half_of(a->cpu, a->dtype);
    for (int64_t i = take->begin; i < take->end; i++) {
        const int64_t unit = i / w->parts, part = i % w->parts;
        it.batch = unit / a->kv_heads;
        it.kv_head = unit % a->kv_heads;
        run_item(&it, mls__cpu_part_begin(blocks, w->parts, part) * step,
                 mls__attend_least(rows, mls__cpu_part_begin(blocks, w->parts, part + 1) * step));
    }
}

static bool is_large(const mls__attend *a)
{
    return (double) a->batch * (double) a->heads * (double) a->queries * (double) a->keys *
               (double) (a->size + a->v_size) >=
           LARGE_WORK;
}

void mls__attend_run(const mls__attend *a, const mls__attend_data *d, const mls_kernel_call *call,
                     void *workspace)
{
    work w = {.a = a, .d = d, .memory = workspace, .parts = 1};
    const int64_t units = a->batch * a->kv_heads, step = block_rows(a);
    if (units == 0 || a->heads == 0 || a->queries == 0)
        return;
    slot_of(a, &w.at);
    const uint32_t threads = is_large(a) ? a->threads : 1;
    if (units < threads)
        w.parts = mls__attend_least((mls__attend_group(a) * a->queries + step - 1) / step,
                                    (threads + units - 1) / units);
    mls__cpu_tasks(call, threads, units * w.parts, 1, run_items, &w);
}

/* --- joining --------------------------------------------------------------------------------- */

void mls__attend_join(const mls__attend_joint *j, const void *past, const void *fresh,
                      void *ret_joined)
{
    const size_t past_bytes = (size_t) (j->past * j->size) * j->element;
    const size_t row_bytes = (size_t) j->size * j->element;
    char *to = ret_joined;
    for (int64_t i = 0; i < j->batch * j->heads; i++) {
        const int64_t index = i / j->heads * j->fresh.batch + i % j->heads * j->fresh.head;
        if (past_bytes)
            memcpy(to, (const char *) past + (size_t) i * past_bytes, past_bytes);
        to += past_bytes;
        for (int64_t r = 0; r < j->rows; r++, to += row_bytes)
            memcpy(to, (const char *) fresh + (size_t) (index + r * j->fresh.row) * j->element,
                   row_bytes);
    }
}
