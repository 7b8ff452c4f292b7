/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GridSample: values at places between elements. What a place is made of, at most 64 elements and
 * their weights, is found once for all channels; the sum over it is in order. 16-bit floats are
 * computed as float32.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"
#include "backend/cpu/ops/ranges.h"

#include <math.h>

/* Fewer places are not worth a second thread. */
#define GRAIN 1024

#define MAX_SPACE 3  /* dimensions of an image */
#define MAX_TAPS  64 /* 4 for each dimension */

typedef enum sample_mode { NEAREST, LINEAR, CUBIC } sample_mode;
typedef enum padding { ZEROS, BORDER, REFLECTION } padding;

typedef struct grid_kernel {
    mls__cpu_kernel base;
    sample_mode mode;
    padding pads;
    bool aligns_corners;
    int32_t dtype, work_dtype, grid_dtype;
    int space; /* dimensions of an image */
    int64_t dims[MAX_SPACE];
    int64_t batches, channels, plane, points;
    uint64_t x_offset, y_offset, grid_offset; /* in the workspace */
    uint32_t threads;
} grid_kernel;

typedef struct taps {
    int count;
    int64_t at[MAX_TAPS];
    double weight[MAX_TAPS];
} taps;

/* --- places ---------------------------------------------------------------------------------- */

/* In the precision of the grid, so that a place that is half an element is one everywhere. */
static double place_of(const grid_kernel *k, double at, int64_t length)
{
    if (k->grid_dtype == MLS_FLOAT64) {
        const double n = (double) length;
        return k->aligns_corners ? (at + 1) / 2 * (n - 1) : ((at + 1) * n - 1) / 2;
    }
    const float n = (float) length, x = (float) at;
    return (double) (k->aligns_corners ? (x + 1) / 2 * (n - 1) : ((x + 1) * n - 1) / 2);
}

/* Thrown back at the ends until it is between them. */
static double reflect(double x, double low, double high)
{
    const double range = high - low;
    if (range <= 0)
        return low;
    if (x >= low && x <= high)
        return x;
    const double past = x < low ? low - x : x - high;
    const double times = floor(past / range), rest = past - times * range;
    const bool is_even = fmod(times, 2) == 0;
    return (x < low) == is_even ? low + rest : high - rest;
}

typedef struct ends {
    double low, high;
    int64_t length;
} ends;

static ends ends_of(const grid_kernel *k, int axis)
{
    const double n = (double) k->dims[axis];
    return k->aligns_corners ? (ends){0, n - 1, k->dims[axis]}
                             : (ends){-0.5, n - 0.5, k->dims[axis]};
}

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* The element at an index that may be outside, or -1 for a zero. */
static int64_t element_at(const grid_kernel *k, const ends *e, double index)
{
    const double last = (double) e->length - 1;
    if (index >= 0 && index <= last)
        return (int64_t) index;
    if (k->pads == ZEROS)
        return -1;
    const double inside = k->pads == BORDER ? index : trunc(reflect(index, e->low, e->high));
    return (int64_t) clamp(inside, 0, last);
}

/* --- taps ------------------------------------------------------------------------------------ */

/* Keys' cubic with a = -0.75. */
static double cubic_weight(double distance)
{
    const double a = -0.75, x = fabs(distance);
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

typedef struct axis_taps {
    int count;
    int64_t at[4]; /* -1: a zero */
    double weight[4];
} axis_taps;

static void tap_axis(const grid_kernel *k, int axis, double place, axis_taps *ret_taps)
{
    const ends e = ends_of(k, axis);
    /* Far outside all places are alike; NaN is there too. */
    place = place > -0x1p40 ? place < 0x1p40 ? place : 0x1p40 : -0x1p40;
    if (k->mode == NEAREST)
        place = rint(place);
    if ((place < e.low || place > e.high) && k->pads != ZEROS)
        place = k->pads == BORDER ? clamp(place, 0, (double) e.length - 1)
                                  : reflect(place, e.low, e.high);
    const double base = k->mode == NEAREST ? trunc(place) : floor(place), ratio = place - base;
    const int first = k->mode == CUBIC ? -1 : 0;
    ret_taps->count = k->mode == NEAREST ? 1 : k->mode == LINEAR ? 2 : 4;
    for (int i = 0; i < ret_taps->count; i++) {
        const double distance = (double) (first + i) - ratio;
        ret_taps->at[i] = element_at(k, &e, base + (double) (first + i));
        ret_taps->weight[i] = k->mode == NEAREST  ? 1
                              : k->mode == LINEAR ? 1 - fabs(distance)
                                                  : cubic_weight(distance);
    }
}

/* Every combination of the axes' taps, the last axis innermost, but those that are zeros. */
static void tap_point(const grid_kernel *k, const double *places, taps *ret_taps)
{
    axis_taps one;
    ret_taps->count = 1;
    ret_taps->at[0] = 0;
    ret_taps->weight[0] = 1;
    for (int axis = 0; axis < k->space; axis++) {
        const taps before = *ret_taps;
        ret_taps->count = 0;
        tap_axis(k, axis, places[axis], &one);
        for (int i = 0; i < before.count; i++)
            for (int j = 0; j < one.count; j++) {
                if (one.at[j] < 0)
                    continue;
                ret_taps->at[ret_taps->count] = before.at[i] * k->dims[axis] + one.at[j];
                ret_taps->weight[ret_taps->count++] = before.weight[i] * one.weight[j];
            }
    }
}

/* --- a run ----------------------------------------------------------------------------------- */

typedef struct work {
    const grid_kernel *kernel;
    const void *x, *grid; /* of the dtype that is computed in */
    void *y;
} work;

/* The sums of all channels at one point, y and planes of x being so far apart. */
#define SUM(name, T)                                                                               \
    static void name(const grid_kernel *k, const taps *t, T *y, const T *x)                        \
    {                                                                                              \
        T weight[MAX_TAPS];                                                                        \
        for (int i = 0; i < t->count; i++)                                                         \
            weight[i] = (T) t->weight[i];                                                          \
        for (int64_t c = 0; c < k->channels; c++, x += k->plane, y += k->points) {                 \
            T sum = 0;                                                                             \
            for (int i = 0; i < t->count; i++)                                                     \
                sum += weight[i] * x[t->at[i]];                                                    \
            *y = sum;                                                                              \
        }                                                                                          \
    }

SUM(sum_f32, float)
SUM(sum_f64, double)

/* The grid has the last coordinate first. */
static void read_places(const grid_kernel *k, const void *grid, int64_t point, double *ret_places)
{
    for (int i = 0; i < k->space; i++) {
        const int64_t at = point * k->space + k->space - 1 - i;
        const double value = mls__work_dtype(k->grid_dtype) == MLS_FLOAT64
                                 ? ((const double *) grid)[at]
                                 : (double) ((const float *) grid)[at];
        ret_places[i] = place_of(k, value, k->dims[i]);
    }
}

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const grid_kernel *k = w->kernel;
    double places[MAX_SPACE];
    taps t;
    for (int64_t i = begin; i < end; i++) {
        const int64_t batch = i / k->points, point = i % k->points;
        const int64_t x = batch * k->channels * k->plane;
        const int64_t y = batch * k->channels * k->points + point;
        read_places(k, w->grid, i, places);
        tap_point(k, places, &t);
        if (k->work_dtype == MLS_FLOAT64)
            sum_f64(k, &t, (double *) w->y + y, (const double *) w->x + x);
        else
            sum_f32(k, &t, (float *) w->y + y, (const float *) w->x + x);
    }
    return MLS_OK;
}

static mls_status grid_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const grid_kernel *k = (const grid_kernel *) base;
    const int64_t points = k->batches * k->points, x_count = k->batches * k->channels * k->plane;
    const bool is_narrow = k->work_dtype != k->dtype;
    if (!points || !k->channels)
        return MLS_OK;
    work w = {.kernel = k, .y = call->buffers[2]};
    w.x = mls__float_widened(k->base.cpu, call, 0, k->dtype, k->x_offset, x_count);
    w.grid =
        mls__float_widened(k->base.cpu, call, 1, k->grid_dtype, k->grid_offset, points * k->space);
    if (is_narrow)
        w.y = (char *) call->workspace + k->y_offset;
    const mls_status status = mls__cpu_ranges(call, k->threads, points, GRAIN, run_range, &w);
    if (is_narrow)
        mls__float_convert(k->base.cpu, k->dtype, call->buffers[2], k->work_dtype, w.y,
                           points * k->channels);
    return status;
}

/* --- the plan -------------------------------------------------------------------------------- */

static mls_status grid_reshape(mls_kernel *base, const mls_op *op)
{
    grid_kernel *k = (grid_kernel *) base;
    const mls_arg *x = &op->inputs[0], *y = &op->outputs[0];
    k->space = x->rank - 2;
    k->batches = x->dims[0];
    k->channels = x->dims[1];
    k->plane = mls__arg_span(x, 2, x->rank);
    k->points = mls__arg_span(y, 2, y->rank);
    for (int i = 0; i < k->space; i++)
        k->dims[i] = x->dims[2 + i];
    return MLS_OK;
}

static mls_status reserve(grid_kernel *k, const mls_op *op)
{
    const int64_t x = mls__arg_count(&op->inputs[0]), y = mls__arg_count(&op->outputs[0]);
    const int64_t grid = mls__arg_count(&op->inputs[1]);
    const bool is_narrow = k->work_dtype != k->dtype;
    const bool is_grid_narrow = mls__work_dtype(k->grid_dtype) != k->grid_dtype;
    size_t bytes = 0;
    if (!mls__work_region(&bytes, is_narrow ? x : 0, sizeof(float), &k->x_offset) ||
        !mls__work_region(&bytes, is_narrow ? y : 0, sizeof(float), &k->y_offset) ||
        !mls__work_region(&bytes, is_grid_narrow ? grid : 0, sizeof(float), &k->grid_offset))
        return mls__op_error(op, MLS_ESHAPE, "the inputs are larger than memory can be");
    k->base.base.workspace_bytes = bytes;
    return MLS_OK;
}

static sample_mode mode_of(const mls_op *op)
{
    if (mls__op_string_is(op, "mode", "nearest", "linear"))
        return NEAREST;
    return mls__op_string_is(op, "mode", "cubic", "linear") ||
                   mls__op_string_is(op, "mode", "bicubic", "linear")
               ? CUBIC
               : LINEAR;
}

static padding padding_of(const mls_op *op)
{
    if (mls__op_string_is(op, "padding_mode", "border", "zeros"))
        return BORDER;
    return mls__op_string_is(op, "padding_mode", "reflection", "zeros") ? REFLECTION : ZEROS;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    grid_kernel *k;
    if (op->inputs[0].rank > 2 + MAX_SPACE)
        return mls__op_error(op, MLS_EUNSUPPORTED, "images of more than %d dimensions", MAX_SPACE);
    if (op->inputs[0].dtype != MLS_FLOAT32 && op->inputs[0].dtype != MLS_FLOAT64 &&
        op->inputs[0].dtype != MLS_FLOAT16 && op->inputs[0].dtype != MLS_BFLOAT16)
        return mls__cpu_dtype_error(op, 0);
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "grid_sample", grid_run, &k);
    if (status)
        return status;
    k->base.base.reshape = grid_reshape;
    k->mode = mode_of(op);
    k->pads = padding_of(op);
    k->aligns_corners = mls__op_int(op, "align_corners", 0) != 0;
    k->dtype = op->inputs[0].dtype;
    k->work_dtype = mls__work_dtype(k->dtype);
    k->grid_dtype = op->inputs[1].dtype;
    k->threads = op->threads;
    status = reserve(k, op);
    if (!status)
        status = grid_reshape(&k->base.base, op);
    if (status)
        k->base.base.free(&k->base.base);
    else
        *ret_kernel = &k->base.base;
    return status;
}

mls__cpu_op_table mls__cpu_ops_grid_sample = {
    {"", "GridSample", create, 0},
    {.type = NULL},
};
