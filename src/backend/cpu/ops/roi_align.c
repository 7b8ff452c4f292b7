/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RoiAlign: each region in bins, each bin the mean or the maximum of samples evenly spaced in it.
 * A sample's four elements and weights are found once for all channels. Sums are over samples
 * row by row. 16-bit floats are computed as float32.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"
#include "backend/cpu/ops/ranges.h"

#include <inttypes.h>
#include <math.h>

/* Fewer bins are not worth a second thread. */
#define GRAIN 64

/* Samples along a side of a bin; a region that wants more is none. */
#define MAX_SAMPLES 65536

typedef struct roi_kernel {
    mls__cpu_kernel base;
    bool is_max, is_half_pixel;
    int32_t dtype, work_dtype;
    int64_t sampling;
    double scale;
    int64_t batches, channels, height, width, regions, bin_rows, bin_columns;
    uint64_t x_offset, y_offset, region_offset; /* in the workspace */
    uint32_t threads;
} roi_kernel;

/* --- regions --------------------------------------------------------------------------------- */

/* Along one axis: where the first bin begins, how long one is, how many samples it has. */
typedef struct side {
    double start, bin;
    int64_t samples;
} side;

static double rounded(const roi_kernel *k, double x)
{
    return k->work_dtype == MLS_FLOAT64 ? x : (double) (float) x;
}

static side side_of(const roi_kernel *k, double from, double to, int64_t bins)
{
    const double offset = k->is_half_pixel ? 0.5 : 0;
    const double start = rounded(k, rounded(k, from * k->scale) - offset);
    double length = rounded(k, rounded(k, rounded(k, to * k->scale) - offset) - start);
    if (!k->is_half_pixel && !(length > 1)) /* none is smaller than an element */
        length = 1;
    const double bin = rounded(k, length / (double) bins);
    const double samples = k->sampling > 0 ? (double) k->sampling : ceil(bin);
    return (side){start, bin, samples > 0 ? (int64_t) fmin(samples, MAX_SAMPLES + 1) : 0};
}

/* A region is x, y where it begins, x, y where it ends. */
static void sides_of(const roi_kernel *k, const void *regions, int64_t region, side *ret_y,
                     side *ret_x)
{
    double v[4];
    for (int i = 0; i < 4; i++)
        v[i] = k->work_dtype == MLS_FLOAT64 ? ((const double *) regions)[region * 4 + i]
                                            : (double) ((const float *) regions)[region * 4 + i];
    *ret_y = side_of(k, v[1], v[3], k->bin_rows);
    *ret_x = side_of(k, v[0], v[2], k->bin_columns);
}

/* --- samples --------------------------------------------------------------------------------- */

typedef struct sample {
    int64_t at[4];
    double weight[4];
} sample;

/* The elements on both sides of a place, and the weight of the second; false far outside. */
static bool split(double place, int64_t length, int64_t *ret_low, int64_t *ret_high,
                  double *ret_weight)
{
    if (!(place >= -1 && place <= (double) length))
        return false;
    const double inside = place > 0 ? place : 0;
    const int64_t low = (int64_t) inside;
    const bool is_last = low >= length - 1;
    *ret_low = is_last ? length - 1 : low;
    *ret_high = is_last ? length - 1 : low + 1;
    *ret_weight = is_last ? 0 : inside - (double) low;
    return true;
}

/* One that is far outside is 0. */
static sample sample_at(const roi_kernel *k, double y, double x)
{
    int64_t top, bottom, left, right;
    double down, across;
    if (!split(y, k->height, &top, &bottom, &down) || !split(x, k->width, &left, &right, &across))
        return (sample){{0}, {0}};
    return (sample){
        {top * k->width + left, top * k->width + right, bottom * k->width + left,
         bottom * k->width + right},
        {(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across}};
}

/* --- a run ----------------------------------------------------------------------------------- */

typedef struct work {
    const roi_kernel *kernel;
    const void *x, *regions; /* of the dtype that is computed in */
    const int64_t *batches;
    void *y;
} work;

/* Takes a sample into one bin of every channel. The maximum is that of weighted elements. */
#define TAKE(name, T)                                                                              \
    static void name(const roi_kernel *k, const sample *s, bool is_first, T *y, const T *x)        \
    {                                                                                              \
        const int64_t plane = k->height * k->width, bins = k->bin_rows * k->bin_columns;           \
        const T a = (T) s->weight[0], b = (T) s->weight[1];                                        \
        const T c = (T) s->weight[2], d = (T) s->weight[3];                                        \
        for (int64_t i = 0; i < k->channels; i++, x += plane, y += bins) {                         \
            const T p = a * x[s->at[0]], q = b * x[s->at[1]];                                      \
            const T u = c * x[s->at[2]], v = d * x[s->at[3]];                                      \
            const T upper = p < q ? q : p, lower = u < v ? v : u;                                  \
            const T largest = upper < lower ? lower : upper;                                       \
            if (k->is_max)                                                                         \
                *y = is_first || *y < largest ? largest : *y;                                      \
            else                                                                                   \
                *y = is_first ? p + q + u + v : *y + (p + q + u + v);                              \
        }                                                                                          \
    }

/* Ends one bin of every channel: the mean of `count` samples, or 0 where there were none. */
#define FINISH(name, T)                                                                            \
    static void name(const roi_kernel *k, int64_t count, T *y)                                     \
    {                                                                                              \
        const int64_t bins = k->bin_rows * k->bin_columns;                                         \
        for (int64_t i = 0; i < k->channels; i++)                                                  \
            if (!count)                                                                            \
                y[i * bins] = 0;                                                                   \
            else if (!k->is_max)                                                                   \
                y[i * bins] /= (T) count;                                                          \
    }

TAKE(take_f32, float)
TAKE(take_f64, double)
FINISH(finish_f32, float)
FINISH(finish_f64, double)

static void run_bin(const work *w, int64_t region, int64_t row, int64_t column)
{
    const roi_kernel *k = w->kernel;
    const bool is_double = k->work_dtype == MLS_FLOAT64;
    const int64_t x_at = w->batches[region] * k->channels * k->height * k->width;
    const int64_t y_at = (region * k->channels * k->bin_rows + row) * k->bin_columns + column;
    side down, across;
    sides_of(k, w->regions, region, &down, &across);
    for (int64_t i = 0; i < down.samples; i++)
        for (int64_t j = 0; j < across.samples; j++) {
            const double y = down.start + (double) row * down.bin +
                             ((double) i + 0.5) * down.bin / (double) down.samples;
            const double x = across.start + (double) column * across.bin +
                             ((double) j + 0.5) * across.bin / (double) across.samples;
            const sample s = sample_at(k, y, x);
            if (is_double)
                take_f64(k, &s, i + j == 0, (double *) w->y + y_at, (const double *) w->x + x_at);
            else
                take_f32(k, &s, i + j == 0, (float *) w->y + y_at, (const float *) w->x + x_at);
        }
    if (is_double)
        finish_f64(k, down.samples * across.samples, (double *) w->y + y_at);
    else
        finish_f32(k, down.samples * across.samples, (float *) w->y + y_at);
}

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const int64_t columns = w->kernel->bin_columns, rows = w->kernel->bin_rows;
    for (int64_t i = begin; i < end; i++)
        run_bin(w, i / (rows * columns), i / columns % rows, i % columns);
    return MLS_OK;
}

static mls_status check_regions(const roi_kernel *k, const work *w)
{
    side y, x;
    for (int64_t i = 0; i < k->regions; i++) {
        if (w->batches[i] < 0 || w->batches[i] >= k->batches)
            return mls__cpu_run_error(&k->base.base, MLS_ERANGE,
                                      "region %" PRId64 " is of image %" PRId64 " of %" PRId64, i,
                                      w->batches[i], k->batches);
        sides_of(k, w->regions, i, &y, &x);
        if (y.samples > MAX_SAMPLES || x.samples > MAX_SAMPLES)
            return mls__cpu_run_error(&k->base.base, MLS_ERANGE,
                                      "region %" PRId64 " is larger than %d elements a bin", i,
                                      MAX_SAMPLES);
    }
    return MLS_OK;
}

static const void *widened(const roi_kernel *k, const mls_kernel_call *call, size_t input,
                           uint64_t offset, int64_t count)
{
    if (k->work_dtype == k->dtype)
        return call->buffers[input];
    void *wide = (char *) call->workspace + offset;
    mls__float_convert(k->base.cpu, k->work_dtype, wide, k->dtype, call->buffers[input], count);
    return wide;
}

static mls_status roi_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const roi_kernel *k = (const roi_kernel *) base;
    const int64_t bins = k->regions * k->bin_rows * k->bin_columns;
    const int64_t x_count = k->batches * k->channels * k->height * k->width;
    work w = {.kernel = k, .batches = call->buffers[2], .y = call->buffers[3]};
    if (!bins || !k->channels)
        return MLS_OK;
    w.x = widened(k, call, 0, k->x_offset, x_count);
    w.regions = widened(k, call, 1, k->region_offset, 4 * k->regions);
    if (k->work_dtype != k->dtype)
        w.y = (char *) call->workspace + k->y_offset;
    mls_status status = check_regions(k, &w);
    if (!status)
        status = mls__cpu_ranges(call, k->threads, bins, GRAIN, run_range, &w);
    if (!status && k->work_dtype != k->dtype)
        mls__float_convert(k->base.cpu, k->dtype, call->buffers[3], k->work_dtype, w.y,
                           bins * k->channels);
    return status;
}

/* --- the plan -------------------------------------------------------------------------------- */

static mls_status roi_reshape(mls_kernel *base, const mls_op *op)
{
    roi_kernel *k = (roi_kernel *) base;
    const mls_arg *x = &op->inputs[0], *y = &op->outputs[0];
    k->batches = x->dims[0];
    k->channels = x->dims[1];
    k->height = x->dims[2];
    k->width = x->dims[3];
    k->regions = y->dims[0];
    k->bin_rows = y->dims[2];
    k->bin_columns = y->dims[3];
    return MLS_OK;
}

static mls_status reserve(roi_kernel *k, const mls_op *op)
{
    size_t bytes = 0;
    if (k->work_dtype == k->dtype)
        return MLS_OK;
    if (!mls__work_region(&bytes, mls__arg_count(&op->inputs[0]), sizeof(float), &k->x_offset) ||
        !mls__work_region(&bytes, mls__arg_count(&op->inputs[1]), sizeof(float),
                          &k->region_offset) ||
        !mls__work_region(&bytes, mls__arg_count(&op->outputs[0]), sizeof(float), &k->y_offset))
        return mls__op_error(op, MLS_ESHAPE, "the inputs are larger than memory can be");
    k->base.base.workspace_bytes = bytes;
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    roi_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "roi_align", roi_run, &k);
    if (status)
        return status;
    k->base.base.reshape = roi_reshape;
    k->is_max = mls__op_string_is(op, "mode", "max", "avg");
    k->is_half_pixel =
        mls__op_string_is(op, "coordinate_transformation_mode", "half_pixel", "half_pixel");
    k->sampling = mls__op_int(op, "sampling_ratio", 0);
    k->scale = (double) mls__op_float(op, "spatial_scale", 1.0f);
    k->dtype = op->inputs[0].dtype;
    k->work_dtype = mls__work_dtype(k->dtype);
    k->threads = op->threads;
    status = reserve(k, op);
    if (!status)
        status = roi_reshape(&k->base.base, op);
    if (status)
        k->base.base.free(&k->base.base);
    else
        *ret_kernel = &k->base.base;
    return status;
}

mls__cpu_op_table mls__cpu_ops_roi_align = {
    {"", "RoiAlign", create, 0},
    {.type = NULL},
};
