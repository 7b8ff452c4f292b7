/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights as a run wants them: a block for each direction. Matrices of float32 and of 16-bit
 * floats are packed into panels; those of float64 are used as they lie. The biases of W and R are
 * added, but for the one that a reset gate is to multiply.
 */
#include "backend/cpu/ops/recurrent.h"

#include "backend/cpu/ops/pack.h"
#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

void mls__rnn_widen(const mls__rnn *k, void *wide, const void *x, int64_t index, int64_t count)
{
    if (k->is_half)
        k->half.to_f32(wide, (const uint16_t *) x + index, count);
    else
        memcpy(wide, (const char *) x + (size_t) index * k->wide, (size_t) count * k->wide);
}

void mls__rnn_narrow(const mls__rnn *k, void *y, int64_t index, const void *wide, int64_t count)
{
    if (k->is_half)
        k->half.from_f32((uint16_t *) y + index, wide, count);
    else
        memcpy((char *) y + (size_t) index * k->wide, wide, (size_t) count * k->wide);
}

/* --- places ---------------------------------------------------------------------------------- */

/* Room for rows * columns elements, on cache lines. */
static bool add_part(size_t *total, int64_t rows, int64_t columns, size_t *ret_offset)
{
    size_t count;
    *ret_offset = *total;
    return mls__mul_size((size_t) rows, (size_t) columns, &count) &&
           mls__align_size(count, &count) && mls__add_size(*total, count, total);
}

/* The gates of a GRU that one product gives: h comes after the others. */
static int first_gates(const mls__rnn *k)
{
    return k->cell == MLS__CELL_GRU ? 2 : k->gates;
}

bool mls__rnn_block_of(const mls__rnn *k, mls__rnn_block *ret_block)
{
    const mls__rnn_shape *s = &k->shape;
    mls__rnn_block b = {0};
    int64_t columns;
    if (!mls__mul_i64(k->gates, s->units, &columns))
        return false;
    const bool is_gru = k->cell == MLS__CELL_GRU, is_packed = !k->is_double;
    const int64_t first = mls__pack_columns(first_gates(k) * s->units);
    const bool fits =
        add_part(&b.count, is_packed ? s->inputs : 0, mls__pack_columns(columns), &b.w) &&
        add_part(&b.count, is_packed ? s->units : 0, first, &b.r) &&
        add_part(&b.count, is_packed && is_gru ? s->units : 0, mls__pack_columns(s->units),
                 &b.r_last) &&
        add_part(&b.count, k->has_bias, columns, &b.bias) &&
        add_part(&b.count, k->has_bias && k->resets_after, s->units, &b.r_bias) &&
        add_part(&b.count, k->has_peepholes ? 3 : 0, s->units, &b.peepholes);
    *ret_block = b;
    return fits;
}

/* --- filling --------------------------------------------------------------------------------- */

/* Rows row .. row+rows-1 of a matrix whose rows, `columns` long, become the panels' columns. */
static void pack_rows(const mls__rnn *k, const void *matrix, int64_t row, int64_t rows,
                      int64_t columns, float *ret_panels)
{
    const size_t before = (size_t) (row * columns) * mls_dtype_size((mls_dtype) k->dtype);
    const mls__pack_source source = {
        .elementwise = k->base.cpu->kernels->elementwise,
        .data = matrix ? (const char *) matrix + before : NULL, /* NULL: it is empty */
        .dtype = k->dtype,
        .is_transposed = true,
        .k = columns,
        .n = rows,
    };
    mls__pack_panels(&source, 0, mls__gemm_panels(rows), ret_panels);
}

static void fill_matrices(const mls__rnn *k, const mls__rnn_block *at, int64_t direction,
                          const void *const weights[4], float *ret_block)
{
    const mls__rnn_shape *s = &k->shape;
    const int64_t rows = k->gates * s->units, row = direction * rows;
    const int64_t first = first_gates(k) * s->units;
    pack_rows(k, weights[0], row, rows, s->inputs, ret_block + at->w);
    pack_rows(k, weights[1], row, first, s->units, ret_block + at->r);
    if (first < rows)
        pack_rows(k, weights[1], row + first, s->units, s->units, ret_block + at->r_last);
}

/* Adds element i of b to that of a. */
static void add_element(const mls__rnn *k, void *a, const void *b, int64_t i)
{
    if (k->is_double)
        ((double *) a)[i] += ((const double *) b)[i];
    else
        ((float *) a)[i] += ((const float *) b)[i];
}

/* The biases of W lie before those of R; each of R is widened to the block's end first. */
static void fill_bias(const mls__rnn *k, const mls__rnn_block *at, int64_t direction,
                      const void *bias, char *ret_block)
{
    const int64_t units = k->shape.units, count = k->gates * units;
    const int64_t begin = direction * 2 * count;
    const int64_t added = k->resets_after ? 2 * units : count;
    char *sum = ret_block + at->bias * k->wide;
    mls__rnn_widen(k, sum, bias, begin, count);
    double element;
    for (int64_t i = 0; i < added; i++) {
        mls__rnn_widen(k, &element, bias, begin + count + i, 1);
        add_element(k, sum + (size_t) i * k->wide, &element, 0);
    }
    if (k->resets_after)
        mls__rnn_widen(k, ret_block + at->r_bias * k->wide, bias, begin + count + 2 * units, units);
}

void mls__rnn_fill(const mls__rnn *k, const void *const weights[4], void *ret_blocks)
{
    mls__rnn_block at;
    mls__rnn_block_of(k, &at);
    for (int64_t d = 0; d < k->shape.directions; d++) {
        char *block = (char *) ret_blocks + (size_t) d * at.count * k->wide;
        if (!k->is_double)
            fill_matrices(k, &at, d, weights, (float *) (void *) block);
        if (k->has_bias)
            fill_bias(k, &at, d, weights[2], block);
        if (k->has_peepholes)
            mls__rnn_widen(k, block + at.peepholes * k->wide, weights[3], d * 3 * k->shape.units,
                           3 * k->shape.units);
    }
}

/* --- constants ------------------------------------------------------------------------------- */

/* No padding: keys are compared byte by byte. */
typedef struct pack_key {
    char what[8];
    uint64_t ids[4];
    uint64_t cell, resets_after;
} pack_key;

typedef struct pack_job {
    const mls__rnn *kernel;
    const void *weights[4];
} pack_job;

static void fill_packed(void *block, void *arg)
{
    const pack_job *job = arg;
    mls__rnn_fill(job->kernel, job->weights, block);
}

mls_status mls__rnn_pack(mls__rnn *k, const mls_op *op)
{
    static const size_t places[4] = {MLS__RNN_W, MLS__RNN_R, MLS__RNN_B, MLS__RNN_P};
    pack_job job = {.kernel = k};
    pack_key key = {.what = "rnn", .cell = k->cell, .resets_after = k->resets_after};
    for (int i = 0; i < 4; i++) {
        const mls_arg *arg = mls__op_input(op, places[i]);
        if (!arg)
            continue;
        if (!arg->data || !arg->weight_id || !op->weights_ops)
            return MLS_OK;
        job.weights[i] = arg->data;
        key.ids[i] = arg->weight_id;
    }
    mls__rnn_block at;
    size_t count, bytes;
    if (!mls__rnn_block_of(k, &at) ||
        !mls__mul_size(at.count, (size_t) k->shape.directions, &count) ||
        !mls__mul_size(count, k->wide, &bytes))
        return mls__op_error(op, MLS_ESHAPE, "its weights are larger than memory can be");
    k->packed = op->weights_ops->get(op->weights, &key, sizeof key, bytes, fill_packed, &job);
    return k->packed ? MLS_OK : mls__error_nomem(bytes);
}
