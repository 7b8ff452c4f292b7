/* SPDX-License-Identifier: Apache-2.0 */
/* Running a FusedPointwise: what is whole, then the tiles. */
#include "backend/cpu/ops/pointwise.h"

#include "backend/cpu/ops/copy.h"
#include "backend/cpu/ops/ranges.h"

#include <stdatomic.h>
#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 16384

/* What a thread works with. */
typedef struct frame {
    const mls__pointwise_kernel *kernel;
    _Atomic int *failed; /* the step that did */
    bool has_rows;
    char *bases[MLS__PLACES]; /* of memory */
    char *at[MLS__PLACES];    /* in this tile */
    _Alignas(64) char registers[MLS__REGISTER_BYTES];
} frame;

/* --- rows ------------------------------------------------------------------------------------ */

/* n elements of a row that is repeated, from its element `phase` on. */
static void repeat_row(const mls__tile_row *row, char *target, const char *source, int64_t phase,
                       int64_t n)
{
    const int64_t size = row->size, rest = row->length - phase;
    memcpy(target, source + phase * size, (size_t) ((n < rest ? n : rest) * size));
    if (n > rest && phase)
        memcpy(target + rest * size, source,
               (size_t) ((n - rest < phase ? n - rest : phase) * size));
    for (int64_t done = row->length; done < n; done *= 2)
        memcpy(target + done * size, target, (size_t) ((n - done < done ? n - done : done) * size));
}

/* In tiles of whole rows what the first one of a period has is there for all. */
static void repeat_rows(frame *f, int64_t y, int64_t n)
{
    const mls__pointwise_kernel *k = f->kernel;
    f->has_rows = f->has_rows && y % k->period != 0;
    for (int i = 0; i < k->row_count && !f->has_rows; i++) {
        const mls__tile_row *row = &k->rows[i];
        const char *source = f->bases[row->source] + y / row->period * row->length * row->size;
        repeat_row(row, f->at[row->target], source, y % row->length, n);
    }
    f->has_rows = k->keeps_rows;
}

/* --- steps ----------------------------------------------------------------------------------- */

/* A step that walks, on a tile. */
typedef struct walking {
    const mls__cpu_kernel *kernel;
    const mls__tile_walk *walk;
    char *y;
    const char *x[MLS__POINTWISE_OPERANDS];
    int64_t first; /* the tile's first element in the output */
} walking;

/* One element, in all places. */
static mls_status run_repeated(const walking *w, char *y, const void *const *x, int64_t n)
{
    const mls_status status = w->kernel->tile(w->kernel, y, x, w->walk->steps, 1);
    if (n > 1)
        mls__fill(y + w->walk->result_bytes, n - 1, y, w->walk->result_bytes);
    return status;
}

/* Where operand o is in a run that begins `inside` elements into the tile. */
static inline const void *walk_operand(const walking *w, int o, const int64_t *elements,
                                       int64_t inside)
{
    const uint8_t input = w->walk->inputs[o];
    const int64_t element = input == MLS__WALK_TILE ? inside : elements[input];
    return w->x[o] + element * w->walk->element_bytes[o];
}

static mls_status walk_run(void *arg, int64_t y, const int64_t *elements, int64_t n)
{
    const walking *w = arg;
    const mls__tile_walk *walk = w->walk;
    const int64_t inside = y - w->first;
    const void *a = walk_operand(w, 0, elements, inside);
    const void *b = walk_operand(w, 1, elements, inside);
    char *target = w->y + inside * walk->result_bytes;
    if (w->kernel->binary) {
        w->kernel->binary((float *) (void *) target, a, walk->steps[0], b, walk->steps[1], n);
        return MLS_OK;
    }
    const void *x[] = {a, b, walk_operand(w, 2, elements, inside)};
    if (walk->is_one)
        return run_repeated(w, target, x, n);
    return w->kernel->tile(w->kernel, target, x, walk->steps, n);
}

static mls_status run_walk(const mls__tile_step *s, const frame *f, int64_t y, int64_t n)
{
    const mls__tile_walk *walk = s->walk;
    walking w = {.kernel = s->kernel, .walk = walk, .y = f->at[s->result], .first = y};
    for (int o = 0; o < MLS__POINTWISE_OPERANDS; o++)
        w.x[o] = (walk->inputs[o] == MLS__WALK_TILE ? f->at : f->bases)[s->operands[o]];
    return mls__broadcast_walk(&walk->plan, y, y + n, walk_run, &w);
}

static mls_status run_other(const mls__tile_step *s, const frame *f, int64_t y, int64_t n)
{
    const void *x[] = {f->at[s->operands[0]], f->at[s->operands[1]], f->at[s->operands[2]]};
    if (s->walk)
        return run_walk(s, f, y, n);
    return s->kernel->tile(s->kernel, f->at[s->result], x, s->steps, n);
}

/* The steps on n elements from y on; what most steps are is called without a detour. */
static inline mls_status run_steps(const mls__pointwise_kernel *k, frame *f, int64_t y, int64_t n,
                                   _Atomic int *failed)
{
    const mls__tile_step *end = k->steps + k->step_count;
    for (const mls__tile_step *s = k->steps; s < end; s++) {
        const int64_t m = s->is_one ? 1 : n;
        void *result = f->at[s->result];
        const void *a = f->at[s->operands[0]], *b = f->at[s->operands[1]];
        mls_status status = MLS_OK;
        if (s->binary)
            s->binary(result, a, s->steps[0], b, s->steps[1], m);
        else if (s->unary)
            s->unary(result, a, m, s->params);
        else
            status = run_other(s, f, y, m);
        if (status) {
            atomic_store(failed, (int) (s - k->steps));
            return status;
        }
    }
    return MLS_OK;
}

/* --- tiles ----------------------------------------------------------------------------------- */

/* n elements of the output from y on. */
static mls_status run_tile(frame *f, int64_t y, int64_t n)
{
    const mls__pointwise_kernel *k = f->kernel;
    for (int i = 0; i < k->flat_count; i++)
        f->at[k->flats[i].place] = f->bases[k->flats[i].place] + y * k->flats[i].size;
    if (k->row_count)
        repeat_rows(f, y, n);
    return run_steps(k, f, y, n, f->failed);
}

/* Elements of the tile that begins at y: it ends where rows change. */
static int64_t tile_at(const mls__pointwise_kernel *k, int64_t y, int64_t left)
{
    const int64_t most = left < k->tile ? left : k->tile;
    const int64_t inside = k->row_count ? k->period - y % k->period : most;
    return most < inside ? most : inside;
}

/* The tiles of elements in which what `runs` lists is contiguous, or one element for all. */
static mls_status run_segment(void *arg, int64_t y, const int64_t *x, int64_t n)
{
    frame *f = arg;
    const mls__pointwise_kernel *k = f->kernel;
    mls_status status = MLS_OK;
    for (int64_t i = 0, taken; i < n && !status; i += taken) {
        taken = tile_at(k, y + i, n - i);
        for (int r = 0; r < k->run_count; r++) {
            const mls__tile_flat *run = &k->runs[r];
            const int64_t element = x[r] + i * k->run_plan.steps[r];
            f->at[run->place] = f->bases[run->place] + element * run->size;
        }
        status = run_tile(f, y + i, taken);
    }
    return status;
}

static mls_status run_tiles(frame *f, int64_t begin, int64_t end)
{
    const mls__pointwise_kernel *k = f->kernel;
    if (k->run_count)
        return mls__broadcast_walk(&k->run_plan, begin, end, run_segment, f);
    return run_segment(f, begin, NULL, end - begin);
}

static inline void set_registers(const mls__pointwise_kernel *k, char **at, char *registers)
{
    for (int i = 0; i < k->register_count; i++)
        at[MLS__PLACE_REGISTER + i] = registers + (size_t) i * k->slot_bytes;
}

/* A thread's own frame, whose addresses are those of the first. */
static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const frame *first = arg;
    frame own;
    memcpy(&own, first, offsetof(frame, registers));
    set_registers(own.kernel, own.at, own.registers);
    return run_tiles(&own, begin, end);
}

/* --- what is whole --------------------------------------------------------------------------- */

static char *whole_address(const mls__pointwise_kernel *k, int piece, const mls_kernel_call *call)
{
    if (piece + 1 == k->program.count)
        return call->buffers[k->program.inputs];
    return (char *) call->workspace + k->pieces[piece].offset;
}

static mls_status run_whole(const mls__pointwise_kernel *k, int piece, const mls_kernel_call *call)
{
    const mls__pointwise_piece *p = &k->program.pieces[piece];
    const mls_kernel *kernel = &k->pieces[piece].kernel->base;
    void *buffers[MLS__POINTWISE_OPERANDS + 1];
    mls_kernel_call own = *call;
    for (int i = 0; i < p->operand_count; i++) {
        const int value = p->operands[i];
        if (value < k->program.inputs)
            buffers[i] = value < 0 ? NULL : call->buffers[value];
        else
            buffers[i] = whole_address(k, value - k->program.inputs, call);
    }
    buffers[p->operand_count] = whole_address(k, piece, call);
    own.buffers = buffers;
    return kernel->run(kernel, &own);
}

static mls_status run_wholes(const mls__pointwise_kernel *k, const mls_kernel_call *call, frame *f)
{
    mls_status status = MLS_OK;
    for (int i = 0; i < k->program.count && !status; i++) {
        const int place = MLS__PLACE_WHOLE + i;
        if (!k->pieces[i].is_whole)
            continue;
        f->at[place] = f->bases[place] = whole_address(k, i, call);
        status = run_whole(k, i, call);
    }
    return status;
}

/* --- the run --------------------------------------------------------------------------------- */

static mls_status run_split(const mls__pointwise_kernel *k, const mls_kernel_call *call, frame *f)
{
    const int buffers = k->program.inputs + 1;
    for (int i = 0; i < buffers; i++)
        f->at[i] = f->bases[i] = call->buffers[i];
    const mls_status status = k->whole_count ? run_wholes(k, call, f) : MLS_OK;
    if (status || !k->step_count)
        return status;
    if (k->threads > 1 && k->count >= 2 * GRAIN)
        return mls__cpu_ranges(call, k->threads, k->count, GRAIN, run_range, f);
    set_registers(k, f->at, f->registers);
    return run_tiles(f, 0, k->count);
}

/* Whether the steps may write to the output before the last one has read its inputs. */
static inline bool is_output_apart(const mls__pointwise_kernel *k, void *const *buffers)
{
    for (int i = 0; i < k->late_count; i++)
        if (buffers[k->late[i]] == buffers[k->program.inputs])
            return false;
    return true;
}

/* Without a frame: setting one up takes as long as a step on few elements. */
static void run_direct(const mls__pointwise_kernel *k, void *const *at)
{
    const mls__tile_step *end = k->steps + k->step_count;
    for (const mls__tile_step *s = k->steps; s < end; s++) {
        void *result = at[s->direct_result];
        if (s->binary)
            s->binary(result, at[s->direct[0]], s->steps[0], at[s->direct[1]], s->steps[1],
                      k->count);
        else
            s->unary(result, at[s->direct[0]], k->count, s->params);
    }
}

static mls_status run_framed(const mls__pointwise_kernel *k, const mls_kernel_call *call)
{
    _Atomic int failed;
    mls_status status;
    frame f;
    atomic_init(&failed, -1);
    if (k->is_simple) {
        for (int i = 0; i <= k->program.inputs; i++)
            f.at[i] = call->buffers[i];
        set_registers(k, f.at, f.registers);
        status = run_steps(k, &f, 0, k->count, &failed);
    } else {
        f.kernel = k;
        f.failed = &failed;
        f.has_rows = false;
        status = run_split(k, call, &f);
    }
    /* What ran as a whole has set its message. */
    if (!status || atomic_load(&failed) < 0)
        return status;
    const mls__cpu_kernel *piece = k->steps[atomic_load(&failed)].kernel;
    return mls__cpu_run_error(&piece->base, status, "%s", piece->failure);
}

mls_status mls__pointwise_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const mls__pointwise_kernel *k = (const mls__pointwise_kernel *) base;
    if (!k->is_direct || !is_output_apart(k, call->buffers))
        return run_framed(k, call);
    run_direct(k, call->buffers);
    return MLS_OK;
}
