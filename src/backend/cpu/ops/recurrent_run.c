/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of LSTM, GRU or RNN. Tasks are directions and parts of the rows; each goes through time on
 * its own. The inputs of many steps are multiplied at once; then a step is a product with the
 * state and the gates.
 */
#include "backend/cpu/ops/recurrent.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <string.h>

/* Multiply-adds that take longer than waking a thread. */
#define LARGE_WORK (INT64_C(1) << 21)
/* Fewer take as long: the stream of R keeps them waiting. */
#define STREAM_ROWS 4
/* Rows of a part, at least: fewer do not pay for reading the weights again. */
#define PART_ROWS 4
/* Panels that a product takes at a time, at least: as many sums hide the latency of one. */
#define GROUP_PANELS 8

/* One direction of some rows. */
typedef struct task {
    const mls__rnn *k;
    const mls_kernel_call *call;
    const mls__recurrent_kernels *kernels;
    int64_t direction, row, rows;
    bool is_reverse;
    mls__rnn_block at;
    const char *block;      /* the direction's weights */
    const int32_t *lengths; /* of these rows; NULL: all steps */
    char *x, *projected, *sums;
    mls__gates gates;
} task;

/* --- products -------------------------------------------------------------------------------- */

/* B of a product: a part of the block, or, of float64, rows of the op's own matrix. */
typedef struct matrix {
    int64_t n, k;
    const void *b;
} matrix;

/* What is multiplied, added and written: first elements and the steps between rows. */
typedef struct operands {
    const void *a;
    int64_t a_row;
    const void *c; /* NULL: none */
    int64_t c_row;
    void *y;
    int64_t y_row;
    bool is_backward; /* over the panels of B */
} operands;

/*
 * Panels in groups, the last one first. A product that goes the other way than the one before it
 * finds the part of B in the cache that was read last.
 */
static void multiply_backward(const mls__gemm_kernels *kernels, const mls__gemm *g, int64_t rows)
{
    const int64_t panels = mls__gemm_panels(g->n);
    for (int64_t end = panels; end > 0;) {
        const int64_t taken = (end - 1) % GROUP_PANELS + 1;
        end -= taken;
        kernels->wide(g, 0, rows, end, taken);
    }
}

static void multiply(const task *t, const matrix *m, const operands *o, int64_t rows)
{
    const mls__gemm_kernels *kernels = t->k->base.cpu->kernels->gemm;
    if (t->k->is_double) {
        const mls__gemm_plain g = {.n = m->n,
                                   .k = m->k,
                                   .a = o->a,
                                   .a_row = o->a_row,
                                   .a_step = 1,
                                   .b = m->b,
                                   .b_row = 1,
                                   .b_step = m->k,
                                   .c = o->c,
                                   .c_row = o->c_row,
                                   .c_step = 1,
                                   .alpha = 1,
                                   .beta = 1,
                                   .y = o->y,
                                   .y_row = o->y_row};
        kernels->float64(&g, 0, rows);
        return;
    }
    const mls__gemm g = {.n = m->n,
                         .k = m->k,
                         .a = o->a,
                         .a_row = o->a_row,
                         .a_step = 1,
                         .b = m->b,
                         .c = o->c,
                         .c_row = o->c_row,
                         .c_step = 1,
                         .alpha = 1,
                         .beta = 1,
                         .y = o->y,
                         .y_row = o->y_row};
    if (o->is_backward)
        multiply_backward(kernels, &g, rows);
    else
        kernels->wide(&g, 0, rows, 0, mls__gemm_panels(m->n));
}

/* Gates gate .. gate+gates-1 of W or R, whose panels begin at element `offset` of the block. */
static matrix matrix_of(const task *t, int input, size_t offset, int gate, int gates)
{
    const mls__rnn *k = t->k;
    const int64_t units = k->shape.units;
    matrix m = {.n = gates * units, .k = input == MLS__RNN_W ? k->shape.inputs : units};
    m.b = t->block + offset * k->wide;
    if (k->is_double)
        m.b = (const double *) t->call->buffers[input] +
              (t->direction * k->gates + gate) * units * m.k;
    return m;
}

/* --- what inputs add ------------------------------------------------------------------------- */

/* Steps first .. first+steps-1 of X as the type computed with. */
static const char *bring_x(const task *t, int64_t first, int64_t steps, int64_t *ret_step,
                           int64_t *ret_row)
{
    const mls__rnn *k = t->k;
    const mls__rnn_shape *s = &k->shape;
    const void *x = t->call->buffers[MLS__RNN_X];
    const int64_t begin = first * s->x_step + t->row * s->x_row;
    if (!k->is_half) {
        *ret_step = s->x_step;
        *ret_row = s->x_row;
        return (const char *) x + (size_t) begin * k->wide;
    }
    *ret_step = t->rows * s->inputs;
    *ret_row = s->inputs;
    for (int64_t i = 0; i < steps; i++)
        for (int64_t r = 0; r < t->rows; r++)
            mls__rnn_widen(k, t->x + (size_t) (i * *ret_step + r * *ret_row) * k->wide, x,
                           begin + i * s->x_step + r * s->x_row, s->inputs);
    return t->x;
}

/*
 * projected[step][row] = X W + bias. Rows of one product are all of them where they are evenly
 * spaced, else those of a step or the steps of a row, whichever are more.
 */
static void project(const task *t, int64_t first, int64_t steps)
{
    const mls__rnn *k = t->k;
    const int64_t columns = k->gates * k->shape.units;
    const matrix w = matrix_of(t, MLS__RNN_W, t->at.w, 0, k->gates);
    int64_t x_step, x_row;
    const char *x = bring_x(t, first, steps, &x_step, &x_row);
    int64_t products = steps, rows = t->rows, x_next = x_step, y_next = rows * columns;
    operands o = {.a_row = x_row, .y_row = columns};
    if (rows == 1 || (rows < steps && x_step != rows * x_row)) {
        products = rows;
        rows = steps;
        o.a_row = x_step;
        o.y_row = t->rows * columns;
        x_next = x_row;
        y_next = columns;
    } else if (x_step == rows * x_row) {
        products = 1;
        rows *= steps;
    }
    o.c = k->has_bias ? t->block + t->at.bias * k->wide : NULL;
    for (int64_t i = 0; i < products; i++) {
        o.a = x + (size_t) (i * x_next) * k->wide;
        o.y = t->projected + (size_t) (i * y_next) * k->wide;
        multiply(t, &w, &o, rows);
    }
}

/* --- a step ---------------------------------------------------------------------------------- */

static bool is_active(const task *t, int64_t row, int64_t time)
{
    return !t->lengths || time < t->lengths[row];
}

/* The gates of all rows that have this step. */
static void run_gates(const task *t, mls__gates_fn gates, int64_t time)
{
    for (int64_t row = 0; row < t->rows;) {
        int64_t end = row;
        while (end < t->rows && is_active(t, end, time))
            end++;
        if (end > row)
            gates(&t->gates, row, end - row);
        row = end + 1;
    }
}

static void run_gru(task *t, const char *projected, int64_t time)
{
    const mls__rnn *k = t->k;
    const int64_t units = k->shape.units;
    const size_t last = (size_t) (2 * units) * k->wide;
    const matrix r = matrix_of(t, MLS__RNN_R, t->at.r_last, 2, 1);
    const char *r_bias = k->has_bias ? t->block + t->at.r_bias * k->wide : NULL;
    run_gates(t, t->kernels->gru_reset, time);
    const operands o = {
        .a = k->resets_after ? t->gates.h : t->gates.reset,
        .a_row = units,
        .c = k->resets_after ? r_bias : projected + last,
        .c_row = k->resets_after ? 0 : k->gates * units,
        .y = t->sums + last,
        .y_row = k->gates * units,
        .is_backward = time % 2 != 0,
    };
    multiply(t, &r, &o, t->rows);
    t->gates.input = projected + last;
    run_gates(t, t->kernels->gru_update, time);
}

static void run_step(task *t, const char *projected, int64_t time)
{
    const mls__rnn *k = t->k;
    const int64_t units = k->shape.units, columns = k->gates * units;
    const int gates = k->cell == MLS__CELL_GRU ? 2 : k->gates;
    const matrix r = matrix_of(t, MLS__RNN_R, t->at.r, 0, gates);
    const operands o = {.a = t->gates.h,
                        .a_row = units,
                        .c = projected,
                        .c_row = columns,
                        .y = t->sums,
                        .y_row = columns,
                        .is_backward = time % 2 != 0};
    multiply(t, &r, &o, t->rows);
    if (k->cell == MLS__CELL_GRU)
        run_gru(t, projected, time);
    else
        run_gates(t, k->cell == MLS__CELL_LSTM ? t->kernels->lstm : t->kernels->rnn, time);
}

/* --- states and outputs ---------------------------------------------------------------------- */

/* The call's buffer of an output, NULL where that is left out. */
static void *output_of(const task *t, size_t index)
{
    const mls__rnn *k = t->k;
    return index < k->output_count ? t->call->buffers[k->input_count + index] : NULL;
}

static void load_state(const task *t, void *state, bool is_given, size_t input)
{
    const mls__rnn *k = t->k;
    const mls__rnn_shape *s = &k->shape;
    const size_t row_bytes = (size_t) s->units * k->wide;
    for (int64_t r = 0; r < t->rows; r++) {
        char *row = (char *) state + (size_t) r * row_bytes;
        if (is_given)
            mls__rnn_widen(k, row, t->call->buffers[input],
                           (t->row + r) * s->state_row + t->direction * s->state_direction,
                           s->units);
        else
            memset(row, 0, row_bytes);
    }
}

/* Units of a state or a step: 0 where a row has none. */
static void store_row(const task *t, const void *state, int64_t row, bool is_there, void *y,
                      int64_t at)
{
    const mls__rnn *k = t->k;
    const int64_t units = k->shape.units;
    const size_t size = mls_dtype_size((mls_dtype) k->dtype);
    if (is_there)
        mls__rnn_narrow(k, y, at, (const char *) state + (size_t) (row * units) * k->wide, units);
    else
        memset((char *) y + (size_t) at * size, 0, (size_t) units * size);
}

/* A row of length 0 has no last step: its state is 0, as ONNX Runtime has it. */
static void store_state(const task *t, const void *state, size_t output)
{
    const mls__rnn_shape *s = &t->k->shape;
    void *y = output_of(t, output);
    for (int64_t r = 0; y && r < t->rows; r++)
        store_row(t, state, r, !t->lengths || t->lengths[r] > 0, y,
                  (t->row + r) * s->state_row + t->direction * s->state_direction);
}

/* Y of one step: 0 past the end of a row. */
static void store_step(const task *t, int64_t time)
{
    const mls__rnn_shape *s = &t->k->shape;
    void *y = output_of(t, 0);
    for (int64_t r = 0; y && r < t->rows; r++)
        store_row(t, t->gates.h, r, is_active(t, r, time), y,
                  time * s->y_step + (t->row + r) * s->y_row + t->direction * s->y_direction);
}

/* --- a task ---------------------------------------------------------------------------------- */

static void run_chunk(task *t, int64_t first, int64_t steps)
{
    const mls__rnn *k = t->k;
    const size_t step_bytes = (size_t) (t->rows * k->gates * k->shape.units) * k->wide;
    project(t, first, steps);
    for (int64_t i = 0; i < steps; i++) {
        const int64_t step = t->is_reverse ? steps - 1 - i : i;
        run_step(t, t->projected + (size_t) step * step_bytes, first + step);
        store_step(t, first + step);
    }
}

static void run_task(task *t)
{
    const int64_t steps = t->k->shape.steps;
    const int64_t most = t->rows < MLS__RNN_CHUNK_ROWS ? MLS__RNN_CHUNK_ROWS / t->rows : 1;
    load_state(t, t->gates.h, t->k->has_h, MLS__RNN_H);
    if (t->gates.c)
        load_state(t, t->gates.c, t->k->has_c, MLS__RNN_C);
    if (t->gates.reset)
        load_state(t, t->gates.reset, false, 0);
    for (int64_t done = 0; done < steps;) {
        const int64_t taken = steps - done < most ? steps - done : most;
        run_chunk(t, t->is_reverse ? steps - done - taken : done, taken);
        done += taken;
    }
    store_state(t, t->gates.h, 1);
    if (t->gates.c)
        store_state(t, t->gates.c, 2);
}

/* `rows` elements of `columns` each in a slot. */
static bool add_part(const mls__rnn *k, size_t *total, int64_t rows, int64_t columns,
                     size_t *ret_offset)
{
    size_t count, bytes;
    *ret_offset = *total;
    return mls__mul_size((size_t) rows, (size_t) columns, &count) &&
           mls__mul_size(count, k->wide, &bytes) && mls__align_size(bytes, &bytes) &&
           mls__add_size(*total, bytes, total);
}

/* The chunk's rows only grow with the rows, so that fewer of them never need more. */
bool mls__rnn_slot_of(const mls__rnn *k, int64_t rows, mls__rnn_slot *ret_slot)
{
    const mls__rnn_shape *s = &k->shape;
    mls__rnn_slot slot = {0};
    int64_t columns, chunk;
    if (!mls__mul_i64(k->gates, s->units, &columns) || !mls__mul_i64(s->steps, rows, &chunk))
        return false;
    const int64_t most = rows > MLS__RNN_CHUNK_ROWS ? rows : MLS__RNN_CHUNK_ROWS;
    chunk = chunk < most ? chunk : most;
    const bool is_lstm = k->cell == MLS__CELL_LSTM;
    const bool has_reset = k->cell == MLS__CELL_GRU && !k->resets_after;
    const bool fits = add_part(k, &slot.bytes, k->is_half ? chunk : 0, s->inputs, &slot.x) &&
                      add_part(k, &slot.bytes, chunk, columns, &slot.projected) &&
                      add_part(k, &slot.bytes, rows, columns, &slot.sums) &&
                      add_part(k, &slot.bytes, rows, s->units, &slot.h) &&
                      add_part(k, &slot.bytes, is_lstm ? rows : 0, s->units, &slot.c) &&
                      add_part(k, &slot.bytes, has_reset ? rows : 0, s->units, &slot.reset);
    *ret_slot = slot;
    return fits;
}

static mls__gates gates_of(const mls__rnn *k, const mls__rnn_block *at, const char *block,
                           const mls__rnn_slot *slot, char *memory, int64_t direction)
{
    const mls__gate *activations = k->activations[direction];
    return (mls__gates){
        .units = k->shape.units,
        .sums = memory + slot->sums,
        .sums_row = k->gates * k->shape.units,
        .h = memory + slot->h,
        .c = k->cell == MLS__CELL_LSTM ? memory + slot->c : NULL,
        .peepholes = k->has_peepholes ? block + at->peepholes * k->wide : NULL,
        .reset = k->cell == MLS__CELL_GRU && !k->resets_after ? memory + slot->reset : NULL,
        .clip = k->clip,
        .is_coupled = k->is_coupled,
        .f = activations[0],
        .g = activations[1],
        .h_gate = activations[2],
    };
}

/* --- threads --------------------------------------------------------------------------------- */

typedef struct work {
    const mls__rnn *k;
    const mls_kernel_call *call;
    const char *blocks;
    char *slots;
    int64_t parts; /* of the rows */
} work;

/* Where part `index` of `parts` nearly equal parts of n begins. */
static int64_t part_begin(int64_t n, int64_t parts, int64_t index)
{
    return n / parts * index + n % parts * index / parts;
}

static void run_index(void *arg, size_t index)
{
    const work *w = arg;
    const mls__rnn *k = w->k;
    const int64_t rows = k->shape.rows, part = (int64_t) index % w->parts;
    const int64_t direction = (int64_t) index / w->parts;
    const int64_t row = part_begin(rows, w->parts, part);
    mls__rnn_slot slot;
    mls__rnn_slot_of(k, (rows + w->parts - 1) / w->parts, &slot);
    char *memory = w->slots + index * slot.bytes;
    task t = {
        .k = k,
        .call = w->call,
        .kernels = k->is_double ? &mls__recurrent_f64 : k->base.cpu->kernels->recurrent,
        .direction = direction,
        .row = row,
        .rows = part_begin(rows, w->parts, part + 1) - row,
        .is_reverse = k->is_reverse || direction == 1,
        .x = memory + slot.x,
        .projected = memory + slot.projected,
        .sums = memory + slot.sums,
    };
    mls__rnn_block_of(k, &t.at);
    t.block = w->blocks + (size_t) direction * t.at.count * k->wide;
    t.lengths = k->has_lengths ? (const int32_t *) w->call->buffers[MLS__RNN_LENGTHS] + row : NULL;
    t.gates = gates_of(k, &t.at, t.block, &slot, memory, direction);
    run_task(&t);
}

/* The parts of the rows, when the work is large enough for threads at all. */
static int64_t parts_of(const mls__rnn *k)
{
    const int64_t threads = (int64_t) k->threads / k->shape.directions;
    const int64_t most = k->shape.rows / PART_ROWS;
    const int64_t parts = most < threads ? most : threads;
    return parts > 1 ? parts : 1;
}

static bool is_large(const mls__rnn *k)
{
    const mls__rnn_shape *s = &k->shape;
    const double step = (double) k->gates * (double) s->units * (double) (s->units + s->inputs);
    const double rows = s->rows < STREAM_ROWS ? STREAM_ROWS : (double) s->rows;
    return step * rows * (double) s->steps * (double) s->directions >= LARGE_WORK;
}

static mls_status check_lengths(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__rnn *k = (const mls__rnn *) kernel;
    const int32_t *lengths = call->buffers[MLS__RNN_LENGTHS];
    for (int64_t i = 0; i < k->shape.rows; i++)
        if (lengths[i] < 0 || lengths[i] > k->shape.steps)
            return mls__cpu_run_error(kernel, MLS_EINVAL,
                                      "sequence_lens[%" PRId64 "] is %" PRId32
                                      ", and there are %" PRId64 " steps",
                                      i, lengths[i], k->shape.steps);
    return MLS_OK;
}

/* Blocks of weights that are not constant are made at the begin of the workspace. */
static void fill_blocks(const mls__rnn *k, const mls_kernel_call *call)
{
    void *const *in = call->buffers;
    const void *const weights[4] = {in[MLS__RNN_W], in[MLS__RNN_R],
                                    k->has_bias ? in[MLS__RNN_B] : NULL,
                                    k->has_peepholes ? in[MLS__RNN_P] : NULL};
    mls__rnn_fill(k, weights, call->workspace);
}

mls_status mls__rnn_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__rnn *k = (const mls__rnn *) kernel;
    work w = {k, call, k->packed, call->workspace, 1};
    const mls_status status = k->has_lengths ? check_lengths(kernel, call) : MLS_OK;
    if (status || k->shape.rows == 0 || k->shape.units == 0)
        return status;
    if (!k->packed) {
        mls__rnn_block at;
        mls__rnn_block_of(k, &at);
        fill_blocks(k, call);
        w.blocks = call->workspace;
        w.slots += at.count * (size_t) k->shape.directions * k->wide;
    }
    if (k->threads > 1 && is_large(k)) {
        w.parts = parts_of(k);
        call->parallel_for(call->executor, (size_t) (w.parts * k->shape.directions), run_index, &w);
    } else {
        for (int64_t d = 0; d < k->shape.directions; d++)
            run_index(&w, (size_t) d);
    }
    return MLS_OK;
}
