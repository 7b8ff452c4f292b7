/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DFT and STFT: lines of samples, each transformed by itself in float64 and rounded once. A line's
 * bits depend on its own samples only.
 */
#include "backend/cpu/ops/families.h"

#include "backend/cpu/ops/fft.h"
#include "op/spectral.h"
#include "tensor/float_format.h"

#include <string.h>

/*
 * Line i is at (i / group) * outer + (i % group) * inner, its samples `step` apart; all in numbers,
 * of which a complex sample has two.
 */
typedef struct lines {
    int64_t group, outer, inner, step;
} lines;

typedef struct transform {
    mls__cpu_kernel base;
    mls__fft *fft;
    mls__dft dft;
    int32_t dtype;
    uint32_t threads;
    int64_t count; /* of lines */
    lines input, output;
    bool has_window;
    size_t y_index; /* of the call's buffers */
    uint64_t slot_bytes;
} transform;

/* --- numbers ---------------------------------------------------------------------------------- */

static double load(int32_t dtype, const void *x, int64_t i)
{
    if (dtype == MLS_FLOAT32)
        return (double) ((const float *) x)[i];
    if (dtype == MLS_FLOAT64)
        return ((const double *) x)[i];
    return mls__float_decode(mls__float_format_of(dtype), ((const uint16_t *) x)[i]);
}

static void store(int32_t dtype, void *y, int64_t i, double value)
{
    if (dtype == MLS_FLOAT32)
        ((float *) y)[i] = (float) value;
    else if (dtype == MLS_FLOAT64)
        ((double *) y)[i] = value;
    else
        ((uint16_t *) y)[i] = mls__float_encode(mls__float_format_of(dtype), value, false);
}

/* --- a line ----------------------------------------------------------------------------------- */

/* Where line `index` begins. */
static int64_t line_at(const lines *all, int64_t index)
{
    return index / all->group * all->outer + index % all->group * all->inner;
}

/* The samples that there are, and zeros behind them. */
static void read_samples(const transform *kernel, const void *x, int64_t line, int64_t limit,
                         mls__complex *ret_samples)
{
    const mls__dft *dft = &kernel->dft;
    const int64_t count = dft->given < limit ? dft->given : limit;
    int64_t at = line_at(&kernel->input, line);
    for (int64_t i = 0; i < count; i++, at += kernel->input.step)
        ret_samples[i] = (mls__complex){load(kernel->dtype, x, at),
                                        dft->input == 2 ? load(kernel->dtype, x, at + 1) : 0.0};
    memset(ret_samples + count, 0, (size_t) (dft->length - count) * sizeof *ret_samples);
}

/* What comes of a real signal: the second half is the first one's mirror image. */
static void mirror(mls__complex *x, int64_t n)
{
    x[0].im = 0;
    if (n % 2 == 0)
        x[n / 2].im = 0;
    for (int64_t i = 1; i < (n + 1) / 2; i++)
        x[n - i] = (mls__complex){x[i].re, -x[i].im};
}

static void apply_window(const transform *kernel, const void *window, mls__complex *x)
{
    for (int64_t i = 0; i < kernel->dft.length; i++) {
        const double factor = load(kernel->dtype, window, i);
        x[i].re *= factor;
        x[i].im *= factor;
    }
}

/* The inverse is the transform with the parts of all numbers swapped, before and after. */
static void swap_parts(mls__complex *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (mls__complex){x[i].im, x[i].re};
}

static void write_line(const transform *kernel, const mls__complex *z, int64_t line, void *y)
{
    const mls__dft *dft = &kernel->dft;
    const double divisor = dft->is_inverse ? (double) dft->length : 1.0;
    int64_t at = line_at(&kernel->output, line);
    for (int64_t i = 0; i < dft->kept; i++, at += kernel->output.step) {
        store(kernel->dtype, y, at, (dft->is_inverse ? z[i].im : z[i].re) / divisor);
        if (dft->output == 2)
            store(kernel->dtype, y, at + 1, (dft->is_inverse ? z[i].re : z[i].im) / divisor);
    }
}

static void run_line(const transform *kernel, const mls_kernel_call *call, int64_t line, void *slot)
{
    const mls__dft *dft = &kernel->dft;
    mls__complex *x = slot, *scratch = x + mls__fft_room(kernel->fft);
    read_samples(kernel, call->buffers[0], line, dft->is_half ? dft->length / 2 + 1 : dft->length,
                 x);
    if (dft->is_half)
        mirror(x, dft->length);
    if (kernel->has_window)
        apply_window(kernel, call->buffers[2], x);
    if (dft->is_inverse)
        swap_parts(x, dft->length);
    write_line(kernel, mls__fft_run(kernel->fft, x, scratch), line, call->buffers[kernel->y_index]);
}

/* --- runs ------------------------------------------------------------------------------------- */

typedef struct work {
    const transform *kernel;
    const mls_kernel_call *call;
    int64_t parts;
} work;

static void run_part(void *arg, size_t index)
{
    const work *w = arg;
    const transform *kernel = w->kernel;
    char *slot = (char *) w->call->workspace + index * kernel->slot_bytes;
    const int64_t part = (int64_t) index, count = kernel->count;
    const int64_t end = count / w->parts * (part + 1) + count % w->parts * (part + 1) / w->parts;
    for (int64_t i = count / w->parts * part + count % w->parts * part / w->parts; i < end; i++)
        run_line(kernel, w->call, i, slot);
}

static mls_status run_transform(const mls_kernel *base, const mls_kernel_call *call)
{
    const transform *kernel = (const transform *) base;
    work w = {kernel, call, 1};
    if (kernel->count == 0)
        return MLS_OK;
    w.parts = kernel->count < kernel->threads ? kernel->count : kernel->threads;
    if (w.parts == 1)
        run_part(&w, 0);
    else
        call->parallel_for(call->executor, (size_t) w.parts, run_part, &w);
    return MLS_OK;
}

/* --- kernels ---------------------------------------------------------------------------------- */

/* The tables are of one length; of another one they are another plan's. */
static mls_status check_length(const transform *kernel, const mls_op *op, int64_t length)
{
    if (length == kernel->dft.length)
        return MLS_OK;
    return mls__op_error(op, MLS_ELIMIT, "another length needs another plan");
}

static mls_status plan_dft(mls_kernel *base, const mls_op *op)
{
    transform *kernel = (transform *) base;
    const mls_arg *x = &op->inputs[0];
    mls__dft dft;
    mls_status status = mls__op_dft(op, &dft);
    if (!status && kernel->fft)
        status = check_length(kernel, op, dft.length);
    if (status)
        return status;
    const int64_t inner = mls__arg_span(x, dft.axis + 1, x->rank - 1);
    kernel->dft = dft;
    kernel->count = mls__arg_span(x, 0, dft.axis) * inner;
    kernel->input =
        (lines){inner ? inner : 1, dft.given * inner * dft.input, dft.input, inner * dft.input};
    kernel->output =
        (lines){inner ? inner : 1, dft.kept * inner * dft.output, dft.output, inner * dft.output};
    return MLS_OK;
}

static mls_status plan_stft(mls_kernel *base, const mls_op *op)
{
    transform *kernel = (transform *) base;
    mls__stft stft;
    mls_status status = mls__op_stft(op, &stft);
    if (!status && kernel->fft)
        status = check_length(kernel, op, stft.dft.length);
    if (status)
        return status;
    const mls__dft *dft = &stft.dft;
    /* With one frame the step may be anything. */
    const int64_t step = stft.frames > 1 ? stft.step : 0;
    kernel->dft = *dft;
    kernel->count = stft.batch * stft.frames;
    kernel->input = (lines){stft.frames, stft.signal * dft->input, step * dft->input, dft->input};
    kernel->output = (lines){stft.frames, stft.frames * dft->kept * 2, dft->kept * 2, 2};
    return MLS_OK;
}

static void free_transform(mls_kernel *base)
{
    transform *kernel = (transform *) base;
    mls__fft_free(kernel->base.cpu->allocator, kernel->fft);
    mls__cpu_kernel_free(base);
}

/* For each thread, a line and as much again. */
static mls_status plan_workspace(transform *kernel, const mls_op *op)
{
    size_t bytes, slot, all;
    if (!mls__mul_size((size_t) mls__fft_room(kernel->fft), 2 * sizeof(mls__complex), &bytes) ||
        !mls__align_size(bytes, &slot) || !mls__mul_size(slot, kernel->threads, &all))
        return mls__op_error(op, MLS_ESHAPE, "its transform is larger than memory can be");
    kernel->slot_bytes = slot;
    kernel->base.base.workspace_bytes = all;
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, const char *name,
                         mls_status (*plan)(mls_kernel *, const mls_op *), mls_kernel **ret_kernel)
{
    transform *kernel;
    mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *kernel, name, run_transform, &kernel);
    if (status)
        return status;
    mls_kernel *base = &kernel->base.base;
    base->free = free_transform;
    base->reshape = plan;
    kernel->dtype = op->inputs[0].dtype;
    kernel->threads = op->threads;
    kernel->y_index = op->input_count;
    status = plan(base, op);
    if (!status)
        status = mls__fft_create(cpu->allocator, kernel->dft.length, &kernel->fft);
    if (!status)
        status = plan_workspace(kernel, op);
    if (status) {
        free_transform(base);
        return status;
    }
    *ret_kernel = base;
    return MLS_OK;
}

static mls_status create_dft(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return create(cpu, op, "dft", plan_dft, ret_kernel);
}

static mls_status create_stft(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const mls_status status = create(cpu, op, "stft", plan_stft, ret_kernel);
    if (!status)
        ((transform *) *ret_kernel)->has_window = mls__op_input(op, 2) != NULL;
    return status;
}

mls__cpu_op_table mls__cpu_ops_dft = {
    {"", "DFT", create_dft, 0},
    {"", "STFT", create_stft, 0},
    {.type = NULL},
};
