/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights follow from the distance between a place and the elements around it: those of a tent
 * (linear) or of Keys' cubic, as wide as an element, or for antialiasing as wide as an element
 * of the smaller output.
 */
#include "backend/cpu/ops/resize_taps.h"

#include <inttypes.h>
#include <math.h>

typedef struct span {
    int64_t first, taps; /* the first tap counts from the element before the place */
    double scale;        /* of distances */
} span;

static span span_of(const mls__resize *resize, const mls__resize_filter *filter,
                    const mls__resize_axis *axis)
{
    const double scale = filter->is_antialiased && axis->scale < 1 ? axis->scale : 1;
    const double reach = resize->mode == MLS__RESIZE_CUBIC ? 2 : 1;
    if (resize->mode == MLS__RESIZE_NEAREST)
        return (span){0, 1, 1};
    const double first = floor(-reach / scale) + 1;
    /* Taps beyond both ends would all be the elements at the ends: so many there never are. */
    const int64_t below = first > -0x1p40 ? (int64_t) first : -(INT64_C(1) << 40);
    return (span){below, 2 - 2 * below, scale};
}

static double weight_at(const mls__resize *resize, double a, double distance)
{
    const double x = fabs(distance);
    if (resize->mode == MLS__RESIZE_LINEAR)
        return x < 1 ? 1 - x : 0;
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static void set_weight(const mls__resize_filter *filter, mls__taps *taps, int64_t at, double value)
{
    if (filter->is_double)
        ((double *) taps->weight)[at] = value;
    else
        ((float *) taps->weight)[at] = (float) value;
}

static void fill_nearest(const mls__resize *resize, const mls__resize_axis *axis, double place,
                         int64_t i, mls__taps *taps)
{
    taps->index[i] = (int32_t) mls__resize_nearest(resize, axis, place);
}

static void fill_sum(const mls__resize *resize, const mls__resize_filter *filter, const span *s,
                     double place, int64_t i, mls__taps *taps)
{
    const double base = floor(place), ratio = place - base;
    const int64_t before = (int64_t) base + s->first, last = taps->in - 1;
    double sum = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t t = 0; t < s->taps; t++) {
            const int64_t index = before + t, at = t * taps->out + i;
            const bool is_outside = index < 0 || index > last;
            double weight =
                weight_at(resize, filter->cubic_a, ((double) (s->first + t) - ratio) * s->scale);
            if (is_outside && filter->excludes_outside)
                weight = 0;
            if (pass == 0) {
                sum += weight;
                continue;
            }
            if ((filter->is_antialiased || filter->excludes_outside) && sum != 0)
                weight /= sum;
            taps->index[at] = (int32_t) (index < 0 ? 0 : index > last ? last : index);
            set_weight(filter, taps, at, weight);
        }
}

mls_status mls__taps_fill(const mls_op *op, const mls__resize *resize,
                          const mls__resize_filter *filter, int axis, mls__taps *taps)
{
    const mls__resize_axis *along = &resize->axes[axis];
    const span s = span_of(resize, filter, along);
    size_t count;
    taps->in = along->in;
    taps->out = along->out;
    taps->taps = s.taps;
    taps->any_outside = false;
    if (!mls__mul_size((size_t) s.taps, (size_t) along->out, &count) || count > taps->room ||
        (size_t) along->out > taps->outs_room)
        return mls__op_error(op, MLS_ELIMIT, "axis %d is resized to more than planned", axis);
    for (int64_t i = 0; i < along->out; i++) {
        const double place = mls__resize_place(resize, along, i);
        taps->outside[i] = resize->transform == MLS__RESIZE_CROP &&
                           !(place >= 0 && place <= (double) along->in - 1);
        taps->any_outside |= taps->outside[i];
        if (resize->mode == MLS__RESIZE_NEAREST)
            fill_nearest(resize, along, place, i, taps);
        else
            fill_sum(resize, filter, &s, place, i, taps);
    }
    return MLS_OK;
}

mls_status mls__taps_create(const mls__allocator *allocator, const mls_op *op,
                            const mls__resize *resize, const mls__resize_filter *filter, int axis,
                            mls__taps *ret_taps)
{
    const mls__resize_axis *along = &resize->axes[axis];
    const span s = span_of(resize, filter, along);
    const size_t weight_size = filter->is_double ? sizeof(double) : sizeof(float);
    mls__taps taps = {.outs_room = (size_t) along->out};
    if (along->in > INT32_MAX)
        return mls__op_error(op, MLS_EUNSUPPORTED, "axis %d has %" PRId64 " elements", axis,
                             along->in);
    if (!mls__mul_size((size_t) s.taps, (size_t) along->out, &taps.room))
        return mls__op_error(op, MLS_ESHAPE, "axis %d is resized to more than memory holds", axis);
    taps.index = mls__alloc_array(allocator, taps.room, sizeof *taps.index);
    taps.weight = mls__alloc_array(allocator, taps.room, weight_size);
    taps.outside = mls__alloc_array(allocator, taps.outs_room, 1);
    if (taps.room && (!taps.index || !taps.weight || !taps.outside)) {
        mls__taps_free(allocator, &taps);
        return mls__op_error(op, MLS_ENOMEM, "no memory for the weights of axis %d", axis);
    }
    *ret_taps = taps;
    return MLS_OK;
}

void mls__taps_free(const mls__allocator *allocator, mls__taps *taps)
{
    mls__free(allocator, taps->index);
    mls__free(allocator, taps->weight);
    mls__free(allocator, taps->outside);
}
