/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MaxRoiPool: the maximum of each bin of a region, whose corners are rounded to elements. Bins
 * overlap where they do not end between elements; one that is outside of the image is 0. A maximum
 * is NaN where an element is. 16-bit floats are computed as float32.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"
#include "backend/cpu/ops/ranges.h"

#include <inttypes.h>
#include <math.h>

/* Fewer bins are not worth a second thread. */
#define GRAIN 256

/* Of a region: its image, where it begins, x and y, where it ends, x and y. */
#define REGION_NUMBERS 5

typedef struct roi_kernel {
    mls__cpu_kernel base;
    int32_t dtype, work_dtype;
    double scale;
    int64_t batches, channels, height, width, regions, bin_rows, bin_columns;
    uint64_t x_offset, y_offset, region_offset; /* in the workspace */
    uint32_t threads;
} roi_kernel;

typedef struct work {
    const roi_kernel *kernel;
    const void *x, *regions; /* of the dtype that is computed in */
    void *y;
} work;

/* --- bins ------------------------------------------------------------------------------------ */

static double rounded(const roi_kernel *k, double x)
{
    return k->work_dtype == MLS_FLOAT64 ? x : (double) (float) x;
}

static double number_at(const work *w, int64_t region, int i)
{
    const int64_t at = region * REGION_NUMBERS + i;
    return w->kernel->work_dtype == MLS_FLOAT64 ? ((const double *) w->regions)[at]
                                                : (double) ((const float *) w->regions)[at];
}

typedef struct span {
    int64_t begin, end;
} span;

/* A place that is no number is at 0. */
static int64_t clamped(double place, int64_t length)
{
    return (int64_t) fmin(fmax(place, 0), (double) length);
}

/* What bin `bin` of `bins` takes of an axis, of a region from corner to corner. */
static span span_of(const roi_kernel *k, double from, double to, int64_t bin, int64_t bins,
                    int64_t length)
{
    const double start = round(rounded(k, from * k->scale));
    const double extent = fmax(round(rounded(k, to * k->scale)) - start + 1, 1);
    const double size = rounded(k, rounded(k, extent) / (double) bins);
    return (span){clamped(floor(rounded(k, (double) bin * size)) + start, length),
                  clamped(ceil(rounded(k, (double) (bin + 1) * size)) + start, length)};
}

/* --- a run ----------------------------------------------------------------------------------- */

/* The largest element of rows and columns that there are. */
#define LARGEST(name, T)                                                                           \
    static T name(const T *x, int64_t width, span rows, span columns)                              \
    {                                                                                              \
        T largest = x[rows.begin * width + columns.begin];                                         \
        for (int64_t i = rows.begin; i < rows.end; i++)                                            \
            for (int64_t j = columns.begin; j < columns.end; j++) {                                \
                const T element = x[i * width + j];                                                \
                largest = element <= largest || largest != largest ? largest : element;            \
            }                                                                                      \
        return largest;                                                                            \
    }

LARGEST(largest_f32, float)
LARGEST(largest_f64, double)

/* One bin of every channel. */
static void run_bin(const work *w, int64_t region, int64_t row, int64_t column)
{
    const roi_kernel *k = w->kernel;
    const int64_t bins = k->bin_rows * k->bin_columns, plane = k->height * k->width;
    const span across = span_of(k, number_at(w, region, 1), number_at(w, region, 3), column,
                                k->bin_columns, k->width);
    const span down =
        span_of(k, number_at(w, region, 2), number_at(w, region, 4), row, k->bin_rows, k->height);
    const bool is_empty = across.begin >= across.end || down.begin >= down.end;
    const int64_t x = (int64_t) number_at(w, region, 0) * k->channels * plane;
    const int64_t y = region * k->channels * bins + row * k->bin_columns + column;
    for (int64_t c = 0; c < k->channels; c++)
        if (k->work_dtype == MLS_FLOAT64)
            ((double *) w->y)[y + c * bins] =
                is_empty
                    ? 0
                    : largest_f64((const double *) w->x + x + c * plane, k->width, down, across);
        else
            ((float *) w->y)[y + c * bins] =
                is_empty
                    ? 0
                    : largest_f32((const float *) w->x + x + c * plane, k->width, down, across);
}

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const int64_t columns = w->kernel->bin_columns, rows = w->kernel->bin_rows;
    for (int64_t i = begin; i < end; i++)
        run_bin(w, i / (rows * columns), i / columns % rows, i % columns);
    return MLS_OK;
}

static mls_status check_regions(const work *w)
{
    const roi_kernel *k = w->kernel;
    for (int64_t i = 0; i < k->regions; i++) {
        const double image = number_at(w, i, 0);
        if (!(image >= 0 && image < (double) k->batches))
            return mls__cpu_run_error(&k->base.base, MLS_ERANGE,
                                      "region %" PRId64 " is of image %g of %" PRId64, i, image,
                                      k->batches);
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
    work w = {.kernel = k, .y = call->buffers[2]};
    if (!bins || !k->channels)
        return MLS_OK;
    w.x = widened(k, call, 0, k->x_offset, x_count);
    w.regions = widened(k, call, 1, k->region_offset, REGION_NUMBERS * k->regions);
    if (k->work_dtype != k->dtype)
        w.y = (char *) call->workspace + k->y_offset;
    mls_status status = check_regions(&w);
    if (!status)
        status = mls__cpu_ranges(call, k->threads, bins, GRAIN, run_range, &w);
    if (!status && k->work_dtype != k->dtype)
        mls__float_convert(k->base.cpu, k->dtype, call->buffers[2], k->work_dtype, w.y,
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
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "max_roi_pool", roi_run, &k);
    if (status)
        return status;
    k->base.base.reshape = roi_reshape;
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

mls__cpu_op_table mls__cpu_ops_max_roi_pool = {
    {"", "MaxRoiPool", create, 0},
    {.type = NULL},
};
