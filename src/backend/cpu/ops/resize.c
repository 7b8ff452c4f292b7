/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resize by weighted sums, one axis after another, for each image: what is behind the first axis
 * that changes. Axes that shrink come first, from the outermost on, then those that grow, from
 * the innermost on: so what lies between two of them is never larger than both input and output,
 * and elements are picked one by one where there are fewest. float32 and what is narrower in
 * float32; float64 and integers in float64, which round to nearest and stop at their bounds.
 */
#include "backend/cpu/ops/resize.h"

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/families.h"

#include <math.h>
#include <string.h>

/* --- what both kernels share ----------------------------------------------------------------- */

static void shared_free(mls_kernel *base)
{
    mls__resize_kernel *k = (mls__resize_kernel *) base;
    for (int i = 0; i < MLS_MAX_RANK; i++)
        mls__taps_free(k->base.cpu->allocator, &k->taps[i]);
    mls__cpu_kernel_free(base);
}

mls_status mls__resize_create(const mls__cpu *cpu, const mls_op *op, size_t size, const char *name,
                              mls_status (*run)(const mls_kernel *, const mls_kernel_call *),
                              bool is_double, void *ret_kernel)
{
    mls__resize_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, size, name, run, &k);
    if (status)
        return status;
    k->base.base.free = shared_free;
    k->filter.is_antialiased = mls__op_int(op, "antialias", 0) != 0;
    k->filter.excludes_outside = mls__op_int(op, "exclude_outside", 0) != 0;
    k->filter.is_double = is_double;
    k->filter.cubic_a = (double) mls__op_float(op, "cubic_coeff_a", -0.75f);
    k->beyond = mls__op_float(op, "extrapolation_value", 0.0f);
    k->dtype = op->inputs[0].dtype;
    k->size = (int64_t) mls_dtype_size((mls_dtype) k->dtype);
    k->output = op->input_count;
    k->threads = op->threads;
    status = mls__op_resize(op, &k->resize);
    for (int i = 0; !status && i < op->inputs[0].rank; i++)
        if (!mls__resize_is_identity(&k->resize.axes[i]))
            status = mls__taps_create(cpu->allocator, op, &k->resize, &k->filter, i, &k->taps[i]);
    if (status)
        shared_free(&k->base.base);
    else
        *(void **) ret_kernel = k;
    return status;
}

mls_status mls__resize_follow(mls__resize_kernel *k, const mls_op *op)
{
    mls_status status = mls__op_resize(op, &k->resize);
    k->rank = op->inputs[0].rank;
    k->count = mls__arg_count(&op->outputs[0]);
    k->first = k->rank;
    k->last = -1;
    for (int i = 0; !status && i < k->rank; i++) {
        if (mls__resize_is_identity(&k->resize.axes[i]))
            continue;
        k->first = k->last < 0 ? i : k->first;
        k->last = i;
        status = mls__taps_fill(op, &k->resize, &k->filter, i, &k->taps[i]);
    }
    return status;
}

/* --- one axis -------------------------------------------------------------------------------- */

/* `outer` slabs of in (out) runs of `inner` elements. */
typedef struct pass {
    const mls__taps *taps;
    int64_t outer, inner;
} pass;

typedef struct sum_kernel {
    mls__resize_kernel shared;
    const mls__resize_kernels *kernels;
    mls__half half;
    bool is_double, is_converted;
    int passes;
    pass plan[MLS_MAX_RANK];
    int64_t images, image_in, image_out; /* their number, and elements of one */
    int64_t room;                        /* elements of each of a part's two blocks */
    int64_t parts;
} sum_kernel;

static void fill_f32(float *y, float value, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = value;
}

static void pass_f32(const sum_kernel *k, const pass *p, float *y, const float *x)
{
    const mls__taps *taps = p->taps;
    const float *weight = taps->weight;
    const int64_t slab_in = taps->in * p->inner, slab_out = taps->out * p->inner;
    for (int64_t o = 0; o < p->outer; o++, x += slab_in, y += slab_out) {
        if (p->inner == 1)
            k->kernels->pick(y, x, taps->index, weight, taps->taps, taps->out);
        for (int64_t i = 0; p->inner > 1 && i < taps->out; i++)
            k->kernels->blend(y + i * p->inner, x, p->inner, taps->index + i, weight + i, taps->out,
                              taps->taps, p->inner);
        for (int64_t i = 0; taps->any_outside && i < taps->out; i++)
            if (taps->outside[i])
                fill_f32(y + i * p->inner, k->shared.beyond, p->inner);
    }
}

static void run_f64(const pass *p, double *y, const double *x, int64_t i)
{
    const mls__taps *taps = p->taps;
    const double *weight = taps->weight;
    for (int64_t j = 0; j < p->inner; j++) {
        double sum = weight[i] * x[taps->index[i] * p->inner + j];
        for (int64_t t = 1; t < taps->taps; t++) {
            const int64_t at = t * taps->out + i;
            sum += weight[at] * x[taps->index[at] * p->inner + j];
        }
        y[j] = sum;
    }
}

static void pass_f64(const sum_kernel *k, const pass *p, double *y, const double *x)
{
    const mls__taps *taps = p->taps;
    for (int64_t o = 0; o < p->outer; o++, x += taps->in * p->inner)
        for (int64_t i = 0; i < taps->out; i++, y += p->inner) {
            run_f64(p, y, x, i);
            for (int64_t j = 0; taps->outside[i] && j < p->inner; j++)
                y[j] = (double) k->shared.beyond;
        }
}

/* --- conversion ------------------------------------------------------------------------------ */

/* Integers: to nearest, ties to even, stopping at the bounds of the dtype. */
static void round_to_bounds(int32_t dtype, mls__wide *wide, int64_t n)
{
    static const struct {
        int32_t dtype;
        double low, high;
    } bounds[] = {
        {MLS_INT8, -0x1p7, 0x1p7 - 1},    {MLS_INT16, -0x1p15, 0x1p15 - 1},
        {MLS_INT32, -0x1p31, 0x1p31 - 1}, {MLS_INT64, -0x1p63, 0x1p63 - 1024},
        {MLS_UINT8, 0, 0x1p8 - 1},        {MLS_UINT16, 0, 0x1p16 - 1},
        {MLS_UINT32, 0, 0x1p32 - 1},      {MLS_UINT64, 0, 0x1p64 - 2048},
    };
    for (size_t b = 0; b < sizeof bounds / sizeof bounds[0]; b++)
        for (int64_t i = 0; bounds[b].dtype == dtype && i < n; i++)
            wide->f[i] = fmin(fmax(rint(wide->f[i]), bounds[b].low), bounds[b].high);
}

static void load_image(const sum_kernel *k, void *block, const char *x)
{
    const int32_t dtype = k->shared.dtype;
    const mls__wide_kind kind = mls__wide_kind_of(dtype);
    if (!k->is_double) {
        k->half.to_f32(block, (const uint16_t *) (const void *) x, k->image_in);
        return;
    }
    for (int64_t i = 0; i < k->image_in; i += MLS__BLOCK) {
        const int64_t n = k->image_in - i < MLS__BLOCK ? k->image_in - i : MLS__BLOCK;
        mls__wide wide;
        mls__widen(dtype, &wide, x + i * k->shared.size, n);
        for (int64_t j = 0; kind != MLS__WIDE_FLOAT && j < n; j++)
            wide.f[j] = kind == MLS__WIDE_INT ? (double) wide.i[j] : (double) wide.u[j];
        memcpy((double *) block + i, wide.f, (size_t) n * sizeof(double));
    }
}

static void store_image(const sum_kernel *k, char *y, const void *block)
{
    static const mls__cast_rules rules;
    const int32_t dtype = k->shared.dtype;
    if (!k->is_double) {
        k->half.from_f32((uint16_t *) (void *) y, block, k->image_out);
        return;
    }
    for (int64_t i = 0; i < k->image_out; i += MLS__BLOCK) {
        const int64_t n = k->image_out - i < MLS__BLOCK ? k->image_out - i : MLS__BLOCK;
        mls__wide wide;
        memcpy(wide.f, (const double *) block + i, (size_t) n * sizeof(double));
        round_to_bounds(dtype, &wide, n);
        mls__narrow(dtype, MLS__WIDE_FLOAT, &wide, y + i * k->shared.size, n, &rules);
    }
}

/* --- a run ----------------------------------------------------------------------------------- */

/* The two blocks take turns; the last pass writes the output itself if it is not converted. */
static void run_image(const sum_kernel *k, char *y, const char *x, char *const *blocks)
{
    const void *from = x;
    int turn = 0;
    if (k->is_converted) {
        load_image(k, blocks[turn], x);
        from = blocks[turn];
        turn ^= 1;
    }
    for (int i = 0; i < k->passes; i++, turn ^= 1) {
        void *to = i + 1 == k->passes && !k->is_converted ? (void *) y : blocks[turn];
        if (k->is_double)
            pass_f64(k, &k->plan[i], to, from);
        else
            pass_f32(k, &k->plan[i], to, from);
        from = to;
    }
    if (k->is_converted)
        store_image(k, y, from);
}

typedef struct work {
    const sum_kernel *kernel;
    const mls_kernel_call *call;
} work;

static void run_part(void *arg, size_t index)
{
    const work *w = arg;
    const sum_kernel *k = w->kernel;
    const int64_t part = (int64_t) index, size = k->shared.size;
    const int64_t begin = part * k->images / k->parts, end = (part + 1) * k->images / k->parts;
    const int64_t bytes = k->room * (int64_t) (k->is_double ? sizeof(double) : sizeof(float));
    char *first = (char *) w->call->workspace + 2 * part * bytes;
    char *const blocks[2] = {first, first + bytes};
    const char *x = w->call->buffers[0];
    char *y = w->call->buffers[k->shared.output];
    for (int64_t i = begin; i < end; i++)
        run_image(k, y + i * k->image_out * size, x + i * k->image_in * size, blocks);
}

static mls_status sum_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const sum_kernel *k = (const sum_kernel *) base;
    const mls__resize_kernel *s = &k->shared;
    work w = {k, call};
    if (!s->count)
        return MLS_OK;
    if (s->last < 0)
        memcpy(call->buffers[s->output], call->buffers[0], (size_t) (s->count * s->size));
    else if (k->parts == 1)
        run_part(&w, 0);
    else
        call->parallel_for(call->executor, (size_t) k->parts, run_part, &w);
    return MLS_OK;
}

/* --- the plan -------------------------------------------------------------------------------- */

/* The axes that change, in the order in which they are resized; returns how many. */
static int order_axes(const mls__resize_kernel *s, int *ret_axes)
{
    int count = 0;
    for (int i = s->first; i <= s->last; i++)
        if (s->resize.axes[i].out < s->resize.axes[i].in)
            ret_axes[count++] = i;
    for (int i = s->last; i >= s->first; i--)
        if (s->resize.axes[i].out >= s->resize.axes[i].in &&
            !mls__resize_is_identity(&s->resize.axes[i]))
            ret_axes[count++] = i;
    return count;
}

static void plan_passes(sum_kernel *k)
{
    const mls__resize_kernel *s = &k->shared;
    bool done[MLS_MAX_RANK] = {false};
    int axes[MLS_MAX_RANK];
    k->passes = order_axes(s, axes);
    for (int n = 0; n < k->passes; n++) {
        pass *p = &k->plan[n];
        *p = (pass){&s->taps[axes[n]], 1, 1};
        for (int i = s->first; i < s->rank; i++) {
            const int64_t length = done[i] ? s->resize.axes[i].out : s->resize.axes[i].in;
            if (i < axes[n])
                p->outer *= length;
            if (i > axes[n])
                p->inner *= length;
        }
        done[axes[n]] = true;
    }
}

static void measure(sum_kernel *k, const mls_op *op)
{
    const mls_arg *x = &op->inputs[0], *y = &op->outputs[0];
    const int first = k->shared.first;
    k->images = mls__arg_span(x, 0, first);
    k->image_in = mls__arg_span(x, first, x->rank);
    k->image_out = mls__arg_span(y, first, y->rank);
    const int64_t threads = k->shared.threads;
    k->parts = threads < k->images ? threads : k->images;
    if (k->parts < 1)
        k->parts = 1;
}

static mls_status sum_reshape(mls_kernel *base, const mls_op *op)
{
    sum_kernel *k = (sum_kernel *) base;
    const mls_status status = mls__resize_follow(&k->shared, op);
    if (status)
        return status;
    const int64_t parts = k->parts;
    measure(k, op);
    k->parts = k->parts < parts ? k->parts : parts;
    if (k->image_in > k->room || k->image_out > k->room)
        return mls__op_error(op, MLS_ELIMIT, "an image is larger than planned");
    plan_passes(k);
    return MLS_OK;
}

/* For the planned dims: parts, and the two blocks of each. */
static mls_status reserve(sum_kernel *k, const mls_op *op)
{
    const mls_status status = mls__resize_follow(&k->shared, op);
    const size_t element = k->is_double ? sizeof(double) : sizeof(float);
    size_t bytes;
    if (status)
        return status;
    measure(k, op);
    k->room = k->image_in > k->image_out ? k->image_in : k->image_out;
    if (!mls__mul_size((size_t) k->room, 2 * element, &bytes) ||
        !mls__mul_size(bytes, (size_t) k->parts, &bytes))
        return mls__op_error(op, MLS_ESHAPE, "the images are larger than memory can be");
    k->shared.base.base.workspace_bytes = bytes;
    return MLS_OK;
}

static bool is_summed(int32_t dtype)
{
    return dtype == MLS_FLOAT32 || dtype == MLS_FLOAT64 || mls__is_half(dtype) ||
           (dtype >= MLS_UINT8 && dtype <= MLS_INT64) || dtype == MLS_UINT32 || dtype == MLS_UINT64;
}

static mls_status create_sum(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const int32_t dtype = op->inputs[0].dtype;
    const bool is_float = dtype == MLS_FLOAT32 || mls__is_half(dtype);
    sum_kernel *k;
    if (!is_summed(dtype))
        return mls__cpu_dtype_error(op, 0);
    mls_status status =
        mls__resize_create(cpu, op, sizeof *k, "resize.sum", sum_run, !is_float, &k);
    if (status)
        return status;
    k->shared.base.base.reshape = sum_reshape;
    k->kernels = cpu->kernels->resize;
    k->is_double = !is_float;
    k->is_converted = dtype != MLS_FLOAT32 && dtype != MLS_FLOAT64;
    if (mls__is_half(dtype))
        k->half = mls__half_of(cpu, dtype);
    status = reserve(k, op);
    if (!status)
        status = sum_reshape(&k->shared.base.base, op);
    if (status)
        k->shared.base.base.free(&k->shared.base.base);
    else
        *ret_kernel = &k->shared.base.base;
    return status;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    if (mls__op_string_is(op, "mode", "nearest", "nearest"))
        return mls__resize_nearest_create(cpu, op, ret_kernel);
    return create_sum(cpu, op, ret_kernel);
}

mls__cpu_op_table mls__cpu_ops_resize = {
    {"", "Resize", create, 0},
    {.type = NULL},
};
