/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MaxRoiPool: the maximum of each bin of a region, whose corners are rounded to elements. Bins
 * overlap where they do not end between elements; one that is outside of the image is 0. A maximum
 * is NaN where an element is.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/roi.h"

#include <inttypes.h>
#include <math.h>

/* --- bins ------------------------------------------------------------------------------------ */

typedef struct span {
    int64_t begin, end;
} span;

/* A place that is no number is at 0. */
static int64_t clamped(double place, int64_t length)
{
    return (int64_t) fmin(fmax(place, 0), (double) length);
}

/* What bin `bin` of `bins` takes of an axis, of a region from corner to corner. */
static span span_of(const mls__roi *k, double from, double to, int64_t bin, int64_t bins,
                    int64_t length)
{
    const double start = round(mls__roi_rounded(k, from * k->scale));
    const double extent = fmax(round(mls__roi_rounded(k, to * k->scale)) - start + 1, 1);
    const double size = mls__roi_rounded(k, mls__roi_rounded(k, extent) / (double) bins);
    return (span){clamped(floor(mls__roi_rounded(k, (double) bin * size)) + start, length),
                  clamped(ceil(mls__roi_rounded(k, (double) (bin + 1) * size)) + start, length)};
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
static void run_bin(const mls__roi_work *w, int64_t region, int64_t row, int64_t column)
{
    const mls__roi *k = w->roi;
    const int64_t bins = k->bin_rows * k->bin_columns, plane = k->height * k->width;
    const span across = span_of(k, mls__roi_number(w, region, 1), mls__roi_number(w, region, 3),
                                column, k->bin_columns, k->width);
    const span down = span_of(k, mls__roi_number(w, region, 2), mls__roi_number(w, region, 4), row,
                              k->bin_rows, k->height);
    const bool is_empty = across.begin >= across.end || down.begin >= down.end;
    const int64_t x = (int64_t) mls__roi_number(w, region, 0) * k->channels * plane;
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

static mls_status check_regions(const mls__roi_work *w)
{
    const mls__roi *k = w->roi;
    for (int64_t i = 0; i < k->regions; i++) {
        const double image = mls__roi_number(w, i, 0);
        if (!(image >= 0 && image < (double) k->batches))
            return mls__cpu_run_error(&k->base.base, MLS_ERANGE,
                                      "region %" PRId64 " is of image %g of %" PRId64, i, image,
                                      k->batches);
    }
    return MLS_OK;
}

/* A region is its image, where it begins, x and y, where it ends, x and y. */
static const mls__roi_fns fns = {.name = "max_roi_pool",
                                 .region_numbers = 5,
                                 .grain = 256,
                                 .check = check_regions,
                                 .run_bin = run_bin};

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    return mls__roi_create(cpu, op, sizeof(mls__roi), &fns, ret_kernel);
}

mls__cpu_op_table mls__cpu_ops_max_roi_pool = {
    {"", "MaxRoiPool", create, 0},
    {.type = NULL},
};
