/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block of rows of an attention: the products of Q and K, from these scores to weights a row at a
 * time, and the products of the weights and V.
 */
#include "backend/cpu/ops/attend_item.h"

/* `first`: the block's first row; keys from `keys` on are not looked at. */
typedef struct block {
    int64_t first, rows, keys;
    const char *q;
    char *scores, *y;
    int64_t q_row, y_row;
} block;

static int64_t head_of(const mls__attend_item *it, int64_t row)
{
    return it->kv_head * mls__attend_group(it->a) + row / it->a->queries;
}

/* The keys that a row may attend: [begin, end), begin <= end. */
static void range_of(const mls__attend_item *it, int64_t row, int64_t *ret_begin, int64_t *ret_end)
{
    const mls__attend *a = it->a;
    const int64_t *lengths = it->d->lengths;
    const int64_t offset = lengths ? lengths[it->batch] - a->queries : a->past;
    const int64_t place = row % a->queries + offset;
    int64_t begin = 0, end = a->keys;
    if (lengths)
        end = mls__attend_least(end, lengths[it->batch]);
    if (a->is_causal)
        end = mls__attend_least(end, place + 1);
    if (a->right >= 0)
        end = place < a->keys - a->right ? mls__attend_least(end, place + a->right + 1) : end;
    if (a->left >= 0)
        begin = mls__attend_most(0, place - a->left);
    *ret_end = mls__attend_most(0, end);
    *ret_begin = mls__attend_least(begin, *ret_end);
}

/* Whether the rows are of one head, and need no other type: Q and Y are used as they lie. */
static bool is_in_place(const mls__attend_item *it, const block *b)
{
    return !it->is_half && head_of(it, b->first) == head_of(it, b->first + b->rows - 1);
}

static int64_t q_index(const mls__attend_item *it, int64_t row)
{
    const mls__attend *a = it->a;
    return it->batch * a->q.batch + head_of(it, row) * a->q.head + row % a->queries * a->q.row;
}

static int64_t y_index(const mls__attend_item *it, int64_t row)
{
    const mls__attend *a = it->a;
    return it->batch * a->y.batch + head_of(it, row) * a->y.head + row % a->queries * a->y.row;
}

static void bring_q(const mls__attend_item *it, block *b)
{
    const mls__attend *a = it->a;
    const size_t bytes = (size_t) a->size * it->wide;
    if (is_in_place(it, b)) {
        b->q = (const char *) it->d->q + (size_t) q_index(it, b->first) * it->wide;
        b->q_row = a->q.row;
        return;
    }
    b->q = it->memory + it->at.q;
    b->q_row = a->size;
    for (int64_t r = 0; r < b->rows; r++) {
        char *to = it->memory + it->at.q + (size_t) r * bytes;
        const void *from =
            mls__attend_widened(it, it->d->q, q_index(it, b->first + r), a->size, to);
        if (from != to)
            memcpy(to, from, bytes);
    }
}

/* Where the products write Y: columns of whole vectors, if they are not its own. */
static void choose_y(const mls__attend_item *it, block *b)
{
    const mls__attend *a = it->a;
    b->y_row = it->is_double ? a->v_size : mls__attend_padded(a->v_size);
    b->y = it->memory + it->at.y;
    if (is_in_place(it, b) && b->y_row == a->v_size) {
        b->y = (char *) it->d->y + (size_t) y_index(it, b->first) * it->wide;
        b->y_row = a->y.row;
    }
}

static void score_f64(const mls__attend_item *it, const block *b)
{
    const mls__attend *a = it->a;
    const mls__gemm_plain g = {.n = b->keys,
                               .k = a->size,
                               .a = b->q,
                               .a_row = b->q_row,
                               .a_step = 1,
                               .b = (const double *) it->d->k + mls__attend_k_index(it, 0),
                               .b_row = 1,
                               .b_step = a->k.row,
                               .alpha = a->is_divided ? 1 : a->scale,
                               .y = b->scores,
                               .y_row = a->keys};
    a->cpu->kernels->gemm->float64(&g, 0, b->rows);
}

static void score(const mls__attend_item *it, const block *b)
{
    const mls__attend *a = it->a;
    const int64_t step = it->has_panels ? b->keys : MLS__ATTEND_GROUP_PANELS * MLS__GEMM_PANEL;
    float *panels = (float *) (void *) (it->memory + it->at.k);
    mls__gemm g = {.k = a->size,
                   .a = (const float *) (const void *) b->q,
                   .a_row = b->q_row,
                   .a_step = 1,
                   .b = panels,
                   .alpha = a->is_divided ? 1 : (float) a->scale,
                   .y_row = a->keys};
    for (int64_t key = 0; key < b->keys; key += step) {
        g.n = mls__attend_least(step, b->keys - key);
        g.y = (float *) (void *) b->scores + key;
        if (!it->has_panels)
            mls__attend_pack_k(it, key, g.n, panels);
        a->cpu->kernels->gemm->wide(&g, 0, b->rows, 0, mls__gemm_panels(g.n));
    }
}

/* --- a row of scores ------------------------------------------------------------------------- */

static void keep_scores(const mls__attend_item *it, const block *b, int64_t r,
                        mls__attend_scores which)
{
    const mls__attend *a = it->a;
    const int64_t row = b->first + r;
    if (a->scores != which || !it->d->scores)
        return;
    const int64_t at = (it->batch * a->heads + head_of(it, row)) * a->queries + row % a->queries;
    mls__attend_narrow(it, it->d->scores, at * a->keys,
                       b->scores + (size_t) (r * a->keys) * it->wide, a->keys);
}

/* A row of a mask as numbers of the type computed with. */
static const char *mask_numbers(const mls__attend_item *it, const mls__attend_mask *mask,
                                const void *data, int64_t index, int64_t columns)
{
    if (mask->dtype == MLS_FLOAT32 && !it->is_double)
        return (const char *) data + (size_t) index * sizeof(float);
    return mls__attend_widened(it, data, index, columns, it->memory + it->at.mask);
}

/* Adds a mask; whether it leaves none of the keys begin .. end-1. */
static bool mask_row(const mls__attend_item *it, const block *b, int which, int64_t row, char *x,
                     int64_t begin, int64_t end)
{
    const mls__attend *a = it->a;
    const mls__attend_mask *mask = &a->masks[which];
    const int64_t index = it->batch * mask->steps.batch + head_of(it, row) * mask->steps.head +
                          row % a->queries * mask->steps.row;
    const int64_t columns = mls__attend_least(mask->columns, b->keys);
    if (columns < b->keys)
        it->fns->exclude(x + (size_t) columns * it->wide, b->keys - columns);
    end = mls__attend_least(end, columns);
    if (mask->dtype == MLS_BOOL) {
        const uint8_t *flags = (const uint8_t *) it->d->masks[which] + index;
        bool is_dead = true;
        it->fns->keep(a->cpu, x, flags, columns);
        for (int64_t i = begin; is_dead && i < end; i++)
            is_dead = !flags[i];
        return is_dead;
    }
    const char *numbers = mask_numbers(it, mask, it->d->masks[which], index, columns);
    it->fns->add(a->cpu, x, numbers, columns);
    return end <= begin ||
           it->fns->is_excluded(a->cpu, numbers + (size_t) begin * it->wide, end - begin);
}

/* From scores to weights. */
static void finish_row(const mls__attend_item *it, const block *b, int64_t r)
{
    const mls__attend *a = it->a;
    const size_t wide = it->wide;
    char *x = b->scores + (size_t) (r * a->keys) * wide;
    int64_t begin, end;
    range_of(it, b->first + r, &begin, &end);
    if (a->is_divided)
        it->fns->divide(a->cpu, x, b->keys, a->scale);
    keep_scores(it, b, r, MLS__SCORES_RAW);
    if (a->softcap > 0)
        it->fns->cap(a->cpu, x, b->keys, a->softcap);
    keep_scores(it, b, r, MLS__SCORES_CAPPED);
    bool is_dead = begin == end;
    for (int i = 0; i < MLS__ATTEND_MASKS; i++)
        if (a->masks[i].dtype != MLS_DTYPE_NONE && mask_row(it, b, i, b->first + r, x, begin, end))
            is_dead = true;
    it->fns->exclude(x, begin);
    it->fns->exclude(x + (size_t) end * wide, b->keys - end);
    keep_scores(it, b, r, MLS__SCORES_MASKED);
    if (!is_dead || (it->a->gives_nan && end > 0))
        it->fns->softmax(a->cpu, x, end);
    else
        end = 0;
    memset(x + (size_t) end * wide, 0, (size_t) (b->keys - end) * wide);
    keep_scores(it, b, r, MLS__SCORES_WEIGHTS);
}

/* --- values ---------------------------------------------------------------------------------- */

static void weigh_f64(const mls__attend_item *it, const block *b)
{
    const mls__attend *a = it->a;
    const mls__gemm_plain g = {.n = a->v_size,
                               .k = b->keys,
                               .a = b->scores,
                               .a_row = a->keys,
                               .a_step = 1,
                               .b = (const double *) it->d->v + mls__attend_v_index(it, 0),
                               .b_row = a->v.row,
                               .b_step = 1,
                               .alpha = 1,
                               .y = b->y,
                               .y_row = b->y_row};
    a->cpu->kernels->gemm->float64(&g, 0, b->rows);
}

static void weigh(const mls__attend_item *it, const block *b)
{
    const mls__attend *a = it->a;
    float *rows = (float *) (void *) (it->memory + it->at.v);
    const int64_t columns = mls__attend_padded(a->v_size);
    mls__gemm g = {.n = columns,
                   .k = b->keys,
                   .a = (const float *) (const void *) b->scores,
                   .a_row = a->keys,
                   .a_step = 1,
                   .b = rows,
                   .b_row = columns,
                   .alpha = 1,
                   .y = (float *) (void *) b->y,
                   .y_row = b->y_row};
    if (!it->has_panels && !it->is_half && columns == a->v_size) {
        g.b = (const float *) it->d->v + mls__attend_v_index(it, 0);
        g.b_row = a->v.row;
    } else if (!it->has_panels) {
        mls__attend_pack_v(it, b->keys, rows);
    }
    a->cpu->kernels->gemm->wide(&g, 0, b->rows, 0, columns / MLS__GEMM_PANEL);
}

static void store_y(const mls__attend_item *it, const block *b)
{
    if (b->y != it->memory + it->at.y)
        return;
    for (int64_t r = 0; r < b->rows; r++)
        mls__attend_narrow(it, it->d->y, y_index(it, b->first + r),
                           b->y + (size_t) (r * b->y_row) * it->wide, it->a->v_size);
}

/* Whether scores are softmax's input as they are, all of them. */
static bool is_plain(const mls__attend_item *it)
{
    const mls__attend *a = it->a;
    return !it->d->scores && !it->d->lengths && a->masks[0].dtype == MLS_DTYPE_NONE &&
           a->masks[1].dtype == MLS_DTYPE_NONE && !a->is_causal && a->left < 0 && a->right < 0 &&
           !a->is_divided && !(a->softcap > 0) && !it->is_double;
}

void mls__attend_run_block(const mls__attend_item *it, int64_t first, int64_t rows)
{
    const mls__attend *a = it->a;
    block b = {.first = first, .rows = rows, .scores = it->memory + it->at.scores};
    for (int64_t r = 0; r < rows && b.keys < a->keys; r++) {
        int64_t begin, end;
        range_of(it, first + r, &begin, &end);
        b.keys = mls__attend_most(b.keys, end);
    }
    if (it->d->scores)
        b.keys = a->keys;
    bring_q(it, &b);
    choose_y(it, &b);
    (it->is_double ? score_f64 : score)(it, &b);
    if (is_plain(it) && a->keys)
        a->cpu->kernels->softmax->rows((float *) (void *) b.scores,
                                       (const float *) (void *) b.scores, rows, a->keys);
    for (int64_t r = 0; !is_plain(it) && r < rows; r++)
        finish_row(it, &b, r);
    (it->is_double ? weigh_f64 : weigh)(it, &b);
    store_y(it, &b);
}
