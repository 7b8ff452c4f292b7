/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread takes whole heads of K and V, or some rows of one. It copies K into panels and V into
 * rows of whole vectors once for all blocks of rows; when there is only one block, K goes through a
 * few panels at a time and V is read as it lies where it can be. The scores of a block stay in the
 * second-level cache.
 */
#include "backend/cpu/ops/attend.h"

#include "backend/cpu/kernels/kernels.h"
#include "base/alloc.h"

#include <string.h>

/* Scores of a block, about, and its rows: tiles of six at most ten times. */
#define BLOCK_SCORES 16384
#define TILE_ROWS    6
#define BLOCK_ROWS   60
/* Panels of K that are brought together when they are used once. */
#define GROUP_PANELS 8
/* Multiply-adds that take longer than waking a thread. */
#define LARGE_WORK (INT64_C(1) << 20)

/* The parts of a thread's memory, in bytes from its begin. */
typedef struct slot {
    size_t k, v, q, y, scores, mask, row, bytes;
} slot;

/* Rows of one head of K and V: queries of the heads that share it, one head after the other. */
typedef struct item {
    const mls__attend *a;
    const mls__attend_data *d;
    const mls__attend_row_fns *fns;
    mls__half half;
    bool is_half, is_double;
    size_t wide, narrow; /* bytes of an element computed with, and of the dtype */
    int64_t batch, kv_head;
    bool has_panels; /* all of K and V has been copied */
    char *memory;
    slot at;
} item;

static int64_t group_of(const mls__attend *a)
{
    return a->heads / a->kv_heads;
}

static int64_t block_rows(const mls__attend *a)
{
    const int64_t rows = BLOCK_SCORES / (a->keys ? a->keys : 1) / TILE_ROWS * TILE_ROWS;
    return rows < TILE_ROWS ? TILE_ROWS : rows > BLOCK_ROWS ? BLOCK_ROWS : rows;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Columns of whole vectors. */
static int64_t padded(int64_t columns)
{
    return mls__gemm_panels(columns) * MLS__GEMM_PANEL;
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

static bool slot_of(const mls__attend *a, slot *ret_slot)
{
    const bool is_double = a->dtype == MLS_FLOAT64;
    const size_t wide = is_double ? sizeof(double) : sizeof(float);
    const int64_t panels = mls__gemm_panels(a->keys), v_columns = padded(a->v_size);
    int64_t rows, scores;
    slot at = {0};
    if (!mls__mul_i64(group_of(a), a->queries, &rows) || !mls__mul_i64(rows, a->keys, &scores))
        return false;
    const bool is_single = rows <= block_rows(a);
    const int64_t some = is_single ? least(panels, GROUP_PANELS) : panels;
    rows = least(rows, BLOCK_ROWS);
    /* Grows with rows and keys, whatever block_rows() makes of fewer keys. */
    scores = least(scores, most(BLOCK_SCORES, TILE_ROWS * a->keys));
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
    slot at;
    return slot_of(a, &at) && mls__mul_size(at.bytes, a->threads, ret_bytes);
}

/* `count` elements as the type computed with: where they lie, if they are of that type. */
static const void *widened(const item *it, const void *x, int64_t index, int64_t count,
                           void *memory)
{
    const char *at = (const char *) x + (size_t) index * it->narrow;
    if (!it->is_half)
        return at;
    it->half.to_f32(memory, (const uint16_t *) (const void *) at, count);
    return memory;
}

static void narrow(const item *it, void *y, int64_t index, const void *x, int64_t count)
{
    char *at = (char *) y + (size_t) index * it->narrow;
    if (it->is_half)
        it->half.from_f32((uint16_t *) (void *) at, x, count);
    else
        memcpy(at, x, (size_t) count * it->wide);
}

/* --- panels of float32 ----------------------------------------------------------------------- */

static int64_t k_index(const item *it, int64_t key)
{
    const mls__attend_steps *s = &it->a->k;
    return it->batch * s->batch + it->kv_head * s->head + key * s->row;
}

static int64_t v_index(const item *it, int64_t key)
{
    const mls__attend_steps *s = &it->a->v;
    return it->batch * s->batch + it->kv_head * s->head + key * s->row;
}

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

/* Keys key .. key+keys-1 as the columns of panels; the columns past the last are 0. */
static void pack_k(const item *it, int64_t key, int64_t keys, float *ret_panels)
{
    const int64_t size = it->a->size;
    char *memory = it->memory + it->at.row;
    for (int64_t j = 0; j < padded(keys); j += 4) {
        const float *rows[4];
        for (int64_t r = 0; r < 4; r++) {
            char *own = memory + (size_t) (r * size) * it->wide;
            rows[r] = (const float *) (void *) own;
            if (j + r < keys)
                rows[r] = widened(it, it->d->k, k_index(it, key + j + r), size, own);
            else
                memset(own, 0, (size_t) size * it->wide);
        }
        turn_rows(rows, size,
                  ret_panels + j / MLS__GEMM_PANEL * MLS__GEMM_PANEL * size + j % MLS__GEMM_PANEL);
    }
}

/* The first `keys` values as rows of whole vectors. */
static void pack_v(const item *it, int64_t keys, float *ret_rows)
{
    const int64_t columns = it->a->v_size, step = padded(columns);
    for (int64_t i = 0; i < keys; i++) {
        float *to = ret_rows + i * step;
        const float *from = widened(it, it->d->v, v_index(it, i), columns, to);
        if (from != to)
            memcpy(to, from, (size_t) columns * sizeof *to);
        memset(to + columns, 0, (size_t) (step - columns) * sizeof *to);
    }
}

/* --- a block of rows ------------------------------------------------------------------------- */

/* `first`: the block's first row; keys from `keys` on are not looked at. */
typedef struct block {
    int64_t first, rows, keys;
    const char *q;
    char *scores, *y;
    int64_t q_row, y_row;
} block;

static int64_t head_of(const item *it, int64_t row)
{
    return it->kv_head * group_of(it->a) + row / it->a->queries;
}

/* The keys that a row may attend: [begin, end), begin <= end. */
static void range_of(const item *it, int64_t row, int64_t *ret_begin, int64_t *ret_end)
{
    const mls__attend *a = it->a;
    const int64_t *lengths = it->d->lengths;
    const int64_t offset = lengths ? lengths[it->batch] - a->queries : a->past;
    const int64_t place = row % a->queries + offset;
    int64_t begin = 0, end = a->keys;
    if (lengths)
        end = least(end, lengths[it->batch]);
    if (a->is_causal)
        end = least(end, place + 1);
    if (a->right >= 0)
        end = place < a->keys - a->right ? least(end, place + a->right + 1) : end;
    if (a->left >= 0)
        begin = most(0, place - a->left);
    *ret_end = most(0, end);
    *ret_begin = least(begin, *ret_end);
}

/* Whether the rows are of one head, and need no other type: Q and Y are used as they lie. */
static bool is_in_place(const item *it, const block *b)
{
    return !it->is_half && head_of(it, b->first) == head_of(it, b->first + b->rows - 1);
}

static int64_t q_index(const item *it, int64_t row)
{
    const mls__attend *a = it->a;
    return it->batch * a->q.batch + head_of(it, row) * a->q.head + row % a->queries * a->q.row;
}

static int64_t y_index(const item *it, int64_t row)
{
    const mls__attend *a = it->a;
    return it->batch * a->y.batch + head_of(it, row) * a->y.head + row % a->queries * a->y.row;
}

static void bring_q(const item *it, block *b)
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
        const void *from = widened(it, it->d->q, q_index(it, b->first + r), a->size, to);
        if (from != to)
            memcpy(to, from, bytes);
    }
}

/* Where the products write Y: columns of whole vectors, if they are not its own. */
static void choose_y(const item *it, block *b)
{
    const mls__attend *a = it->a;
    b->y_row = it->is_double ? a->v_size : padded(a->v_size);
    b->y = it->memory + it->at.y;
    if (is_in_place(it, b) && b->y_row == a->v_size) {
        b->y = (char *) it->d->y + (size_t) y_index(it, b->first) * it->wide;
        b->y_row = a->y.row;
    }
}

static void score_f64(const item *it, const block *b)
{
    const mls__attend *a = it->a;
    const mls__gemm_plain g = {.n = b->keys,
                               .k = a->size,
                               .a = b->q,
                               .a_row = b->q_row,
                               .a_step = 1,
                               .b = (const double *) it->d->k + k_index(it, 0),
                               .b_row = 1,
                               .b_step = a->k.row,
                               .alpha = a->is_divided ? 1 : a->scale,
                               .y = b->scores,
                               .y_row = a->keys};
    a->cpu->kernels->gemm->float64(&g, 0, b->rows);
}

static void score(const item *it, const block *b)
{
    const mls__attend *a = it->a;
    const int64_t step = it->has_panels ? b->keys : GROUP_PANELS * MLS__GEMM_PANEL;
    float *panels = (float *) (void *) (it->memory + it->at.k);
    mls__gemm g = {.k = a->size,
                   .a = (const float *) (const void *) b->q,
                   .a_row = b->q_row,
                   .a_step = 1,
                   .b = panels,
                   .alpha = a->is_divided ? 1 : (float) a->scale,
                   .y_row = a->keys};
    for (int64_t key = 0; key < b->keys; key += step) {
        g.n = least(step, b->keys - key);
        g.y = (float *) (void *) b->scores + key;
        if (!it->has_panels)
            pack_k(it, key, g.n, panels);
        a->cpu->kernels->gemm->wide(&g, 0, b->rows, 0, mls__gemm_panels(g.n));
    }
}

/* --- a row of scores ------------------------------------------------------------------------- */

static void keep_scores(const item *it, const block *b, int64_t r, mls__attend_scores which)
{
    const mls__attend *a = it->a;
    const int64_t row = b->first + r;
    if (a->scores != which || !it->d->scores)
        return;
    const int64_t at = (it->batch * a->heads + head_of(it, row)) * a->queries + row % a->queries;
    narrow(it, it->d->scores, at * a->keys, b->scores + (size_t) (r * a->keys) * it->wide, a->keys);
}

/* A row of a mask as numbers of the type computed with. */
static const char *mask_numbers(const item *it, const mls__attend_mask *mask, const void *data,
                                int64_t index, int64_t columns)
{
    if (mask->dtype == MLS_FLOAT32 && !it->is_double)
        return (const char *) data + (size_t) index * sizeof(float);
    return widened(it, data, index, columns, it->memory + it->at.mask);
}

/* Adds a mask; whether it leaves none of the keys begin .. end-1. */
static bool mask_row(const item *it, const block *b, int which, int64_t row, char *x, int64_t begin,
                     int64_t end)
{
    const mls__attend *a = it->a;
    const mls__attend_mask *mask = &a->masks[which];
    const int64_t index = it->batch * mask->steps.batch + head_of(it, row) * mask->steps.head +
                          row % a->queries * mask->steps.row;
    const int64_t columns = least(mask->columns, b->keys);
    if (columns < b->keys)
        it->fns->exclude(x + (size_t) columns * it->wide, b->keys - columns);
    end = least(end, columns);
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
static void finish_row(const item *it, const block *b, int64_t r)
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

static void weigh_f64(const item *it, const block *b)
{
    const mls__attend *a = it->a;
    const mls__gemm_plain g = {.n = a->v_size,
                               .k = b->keys,
                               .a = b->scores,
                               .a_row = a->keys,
                               .a_step = 1,
                               .b = (const double *) it->d->v + v_index(it, 0),
                               .b_row = a->v.row,
                               .b_step = 1,
                               .alpha = 1,
                               .y = b->y,
                               .y_row = b->y_row};
    a->cpu->kernels->gemm->float64(&g, 0, b->rows);
}

static void weigh(const item *it, const block *b)
{
    const mls__attend *a = it->a;
    float *rows = (float *) (void *) (it->memory + it->at.v);
    const int64_t columns = padded(a->v_size);
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
        g.b = (const float *) it->d->v + v_index(it, 0);
        g.b_row = a->v.row;
    } else if (!it->has_panels) {
        pack_v(it, b->keys, rows);
    }
    a->cpu->kernels->gemm->wide(&g, 0, b->rows, 0, columns / MLS__GEMM_PANEL);
}

static void store_y(const item *it, const block *b)
{
    if (b->y != it->memory + it->at.y)
        return;
    for (int64_t r = 0; r < b->rows; r++)
        narrow(it, it->d->y, y_index(it, b->first + r), b->y + (size_t) (r * b->y_row) * it->wide,
               it->a->v_size);
}

/* Whether scores are softmax's input as they are, all of them. */
static bool is_plain(const item *it)
{
    const mls__attend *a = it->a;
    return !it->d->scores && !it->d->lengths && a->masks[0].dtype == MLS_DTYPE_NONE &&
           a->masks[1].dtype == MLS_DTYPE_NONE && !a->is_causal && a->left < 0 && a->right < 0 &&
           !a->is_divided && !(a->softcap > 0) && !it->is_double;
}

static void run_block(const item *it, int64_t first, int64_t rows)
{
    const mls__attend *a = it->a;
    block b = {.first = first, .rows = rows, .scores = it->memory + it->at.scores};
    for (int64_t r = 0; r < rows && b.keys < a->keys; r++) {
        int64_t begin, end;
        range_of(it, first + r, &begin, &end);
        b.keys = most(b.keys, end);
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

/* --- items and threads ----------------------------------------------------------------------- */

static void run_item(item *it, int64_t row, int64_t end)
{
    const mls__attend *a = it->a;
    const int64_t step = block_rows(a);
    it->has_panels = end - row > step && !it->is_double;
    if (it->has_panels) {
        pack_k(it, 0, a->keys, (float *) (void *) (it->memory + it->at.k));
        pack_v(it, a->keys, (float *) (void *) (it->memory + it->at.v));
    }
    for (int64_t blocks = (end - row + step - 1) / step; blocks > 0; blocks--) {
        const int64_t rows = (end - row + blocks - 1) / blocks;
        run_block(it, row, rows);
        row += rows;
    }
}

typedef struct work {
    const mls__attend *a;
    const mls__attend_data *d;
    char *memory;
    slot at;
    int64_t parts; /* that the rows of each head of K and V are cut into */
    int64_t shares;
} work;

/* Where part `index` of `parts` nearly equal parts of n begins. */
static int64_t part_begin(int64_t n, int64_t parts, int64_t index)
{
    return n / parts * index + n % parts * index / parts;
}

/* Items that one thread takes; parts begin where blocks do. */
static void run_share(void *arg, size_t index)
{
    const work *w = arg;
    const mls__attend *a = w->a;
    const bool is_half = mls__is_half(a->dtype), is_double = a->dtype == MLS_FLOAT64;
    const int64_t items = a->batch * a->kv_heads * w->parts, share = (int64_t) index;
    const int64_t rows = group_of(a) * a->queries, step = block_rows(a);
    const int64_t blocks = (rows + step - 1) / step;
    item it = {.a = a,
               .d = w->d,
               .fns = is_double ? &mls__attend_rows_f64 : &mls__attend_rows_f32,
               .is_half = is_half,
               .is_double = is_double,
               .wide = is_double ? sizeof(double) : sizeof(float),
               .narrow = mls_dtype_size((mls_dtype) a->dtype),
               .memory = w->memory + index * w->at.bytes,
               .at = w->at};
    if (is_half)
        it.half = mls__half_of(a->cpu, a->dtype);
    const int64_t last = part_begin(items, w->shares, share + 1);
    for (int64_t i = part_begin(items, w->shares, share); i < last; i++) {
        const int64_t unit = i / w->parts, part = i % w->parts;
        it.batch = unit / a->kv_heads;
        it.kv_head = unit % a->kv_heads;
        run_item(&it, part_begin(blocks, w->parts, part) * step,
                 least(rows, part_begin(blocks, w->parts, part + 1) * step));
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
    work w = {.a = a, .d = d, .memory = workspace, .parts = 1, .shares = 1};
    const int64_t units = a->batch * a->kv_heads;
    if (units == 0 || a->heads == 0 || a->queries == 0)
        return;
    slot_of(a, &w.at);
    if (a->threads < 2 || !is_large(a)) {
        run_share(&w, 0);
        return;
    }
    w.shares = a->threads;
    const int64_t step = block_rows(a);
    const int64_t blocks = (group_of(a) * a->queries + step - 1) / step;
    if (units < w.shares)
        w.parts = least(blocks, (w.shares + units - 1) / units);
    call->parallel_for(call->executor, (size_t) w.shares, run_share, &w);
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
