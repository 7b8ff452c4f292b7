/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RoiAlign: each region in bins, each bin the mean or the maximum of samples evenly spaced in it.
 * A sample's four elements and weights are found once for all channels. Sums are over samples
 * row by row.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/roi.h"

#include <inttypes.h>
#include <math.h>

/* Samples along a side of a bin; a region that wants more is none. */
#define MAX_SAMPLES 65536

typedef struct align {
    mls__roi roi;
    bool is_max, is_half_pixel;
    int64_t sampling;
} align;

/* --- regions --------------------------------------------------------------------------------- */

/* Along one axis: where the first bin begins, how long one is, how many samples it has. */
typedef struct side {
    double start, bin;
    int64_t samples;
} side;

static side side_of(const align *a, double from, double to, int64_t bins)
{
    const mls__roi *k = &a->roi;
    const double offset = a->is_half_pixel ? 0.5 : 0;
    const double start = mls__roi_rounded(k, mls__roi_rounded(k, from * k->scale) - offset);
    double length = mls__roi_rounded(
        k, mls__roi_rounded(k, mls__roi_rounded(k, to * k->scale) - offset) - start);
    if (!a->is_half_pixel && !(length > 1)) /* none is smaller than an element */
        length = 1;
    const double bin = mls__roi_rounded(k, length / (double) bins);
    const double samples = a->sampling > 0 ? (double) a->sampling : ceil(bin);
    return (side){start, bin, samples > 0 ? (int64_t) fmin(samples, MAX_SAMPLES + 1) : 0};
}

static void sides_of(const mls__roi_work *w, int64_t region, side *ret_y, side *ret_x)
{
    const align *a = (const align *) w->roi;
    double v[4];
    for (int i = 0; i < 4; i++)
        v[i] = mls__roi_number(w, region, i);
    *ret_y = side_of(a, v[1], v[3], a->roi.bin_rows);
    *ret_x = side_of(a, v[0], v[2], a->roi.bin_columns);
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
static sample sample_at(const mls__roi *k, double y, double x)
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

/* Of each region, its image. */
static const int64_t *images_of(const mls__roi_work *w)
{
    return w->call->buffers[2];
}

/* Takes a sample into one bin of every channel. The maximum is that of weighted elements. */
#define TAKE(name, T)                                                                              \
    static void name(const mls__roi *k, bool is_max, const sample *s, bool is_first, T *y,         \
                     const T *x)                                                                   \
    {                                                                                              \
        const int64_t plane = k->height * k->width, bins = k->bin_rows * k->bin_columns;           \
        const T a = (T) s->weight[0], b = (T) s->weight[1];                                        \
        const T c = (T) s->weight[2], d = (T) s->weight[3];                                        \
        for (int64_t i = 0; i < k->channels; i++, x += plane, y += bins) {                         \
            const T p = a * x[s->at[0]], q = b * x[s->at[1]];                                      \
            const T u = c * x[s->at[2]], v = d * x[s->at[3]];                                      \
            const T upper = p < q ? q : p, lower = u < v ? v : u;                                  \
            const T largest = upper < lower ? lower : upper;                                       \
            if (is_max)                                                                            \
                *y = is_first || *y < largest ? largest : *y;                                      \
            else                                                                                   \
                *y = is_first ? p + q + u + v : *y + (p + q + u + v);                              \
        }                                                                                          \
    }

/* Ends one bin of every channel: the mean of `count` samples, or 0 where there were none. */
#define FINISH(name, T)                                                                            \
    static void name(const mls__roi *k, bool is_max, int64_t count, T *y)                          \
    {                                                                                              \
        const int64_t bins = k->bin_rows * k->bin_columns;                                         \
        for (int64_t i = 0; i < k->channels; i++)                                                  \
            if (!count)                                                                            \
                y[i * bins] = 0;                                                                   \
            else if (!is_max)                                                                      \
                y[i * bins] /= (T) count;                                                          \
    }

TAKE(take_f32, float)
TAKE(take_f64, double)
FINISH(finish_f32, float)
FINISH(finish_f64, double)

static void run_bin(const mls__roi_work *w, int64_t region, int64_t row, int64_t column)
{
    const mls__roi *k = w->roi;
    const bool is_max = ((const align *) k)->is_max;
    const bool is_double = k->work_dtype == MLS_FLOAT64;
    const int64_t x_at = images_of(w)[region] * k->channels * k->height * k->width;
    const int64_t y_at = (region * k->channels * k->bin_rows + row) * k->bin_columns + column;
    side down, across;
    sides_of(w, region, &down, &across);
    for (int64_t i = 0; i < down.samples; i++)
        for (int64_t j = 0; j < across.samples; j++) {
            const double y = down.start + (double) row * down.bin +
                             ((double) i + 0.5) * down.bin / (double) down.samples;
            const double x = across.start + (double) column * across.bin +
                             ((double) j + 0.5) * across.bin / (double) across.samples;
            const sample s = sample_at(k, y, x);
            if (is_double)
                take_f64(k, is_max, &s, i + j == 0, (double *) w->y + y_at,
                         (const double *) w->x + x_at);
            else
                take_f32(k, is_max, &s, i + j == 0, (float *) w->y + y_at,
                         (const float *) w->x + x_at);
        }
    if (is_double)
        finish_f64(k, is_max, down.samples * across.samples, (double *) w->y + y_at);
    else
        finish_f32(k, is_max, down.samples * across.samples, (float *) w->y + y_at);
}

static mls_status check_regions(const mls__roi_work *w)
{
    const mls__roi *k = w->roi;
    const int64_t *images = images_of(w);
    side y, x;
    for (int64_t i = 0; i < k->regions; i++) {
        if (images[i] < 0 || images[i] >= k->batches)
            return mls__cpu_run_error(&k->base.base, MLS_ERANGE,
                                      "region %" PRId64 " is of image %" PRId64 " of %" PRId64, i,
                                      images[i], k->batches);
        sides_of(w, i, &y, &x);
        if (y.samples > MAX_SAMPLES || x.samples > MAX_SAMPLES)
            return mls__cpu_run_error(&k->base.base, MLS_ERANGE,
                                      "region %" PRId64 " is larger than %d elements a bin", i,
                                      MAX_SAMPLES);
    }
    return MLS_OK;
}

/* A region is x, y where it begins, x, y where it ends. */
static const mls__roi_fns fns = {.name = "roi_align",
                                 .region_numbers = 4,
                                 .grain = 64,
                                 .check = check_regions,
                                 .run_bin = run_bin};

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    align *k;
    const mls_status status = mls__roi_create(cpu, op, sizeof *k, &fns, &k);
    if (status)
        return status;
    k->is_max = mls__op_string_is(op, "mode", "max", "avg");
    k->is_half_pixel =
        mls__op_string_is(op, "coordinate_transformation_mode", "half_pixel", "half_pixel");
    k->sampling = mls__op_int(op, "sampling_ratio", 0);
    *ret_kernel = &k->roi.base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_roi_align = {
    {"", "RoiAlign", create, 0},
    {.type = NULL},
};
