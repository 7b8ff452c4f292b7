/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes and inputs of Resize, and where its elements come from. */
#include "op/resize.h"

#include "tensor/float_format.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <math.h>

enum { ROI = 1, SCALES = 2, SIZES = 3 };

/* --- attributes ------------------------------------------------------------------------------ */

/* Which of the names the attribute is; the first one where it is left out. */
static mls_status choose(const mls_op *op, const char *attribute, const char *const *names,
                         int *ret_choice)
{
    for (int i = 0; names[i]; i++)
        if (mls__op_string_is(op, attribute, names[i], names[0])) {
            *ret_choice = i;
            return MLS_OK;
        }
    const mls_string given = mls__op_string(op, attribute);
    return mls__op_error(op, MLS_EINVAL, "%s '%.*s' is not known", attribute,
                         given.size > 64 ? 64 : (int) given.size, given.data);
}

static mls_status read_modes(const mls_op *op, mls__resize *resize)
{
    static const char *const modes[] = {"nearest", "linear", "cubic", NULL};
    static const char *const transforms[] = {
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",   "align_corners",
        "asymmetric", "tf_crop_and_resize",   "tf_half_pixel_for_nn", NULL};
    static const char *const rounds[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil",
                                         NULL};
    int mode, transform, round;
    mls_status status = choose(op, "mode", modes, &mode);
    if (!status)
        status = choose(op, "coordinate_transformation_mode", transforms, &transform);
    if (!status)
        status = choose(op, "nearest_mode", rounds, &round);
    if (status)
        return status;
    resize->mode = (mls__resize_mode) mode;
    resize->transform = (mls__resize_transform) transform;
    resize->round = (mls__resize_round) round;
    if (mls__op_int(op, "mls_asymmetric", 0)) { /* the one way there was before opset 11 */
        resize->transform = MLS__RESIZE_ASYMMETRIC;
        resize->round = MLS__RESIZE_SIMPLE;
    }
    return MLS_OK;
}

/* The dimensions that scales, sizes and regions are for. */
static mls_status read_axes(const mls_op *op, int *ret_axes, size_t *ret_count)
{
    const int rank = op->inputs[0].rank;
    size_t count;
    const int64_t *given = mls__op_ints(op, "axes", &count);
    bool seen[MLS_MAX_RANK] = {false};
    for (int i = 0; !given && i < rank; i++)
        ret_axes[i] = i;
    if (given && count > (size_t) rank)
        return mls__op_error(op, MLS_EINVAL, "%zu axes of a tensor of rank %d", count, rank);
    for (size_t i = 0; given && i < count; i++) {
        const mls_status status = mls__op_axis(op, given[i], rank, &ret_axes[i]);
        if (status)
            return status;
        if (seen[ret_axes[i]])
            return mls__op_error(op, MLS_EINVAL, "axis %d is given twice", ret_axes[i]);
        seen[ret_axes[i]] = true;
    }
    *ret_count = given ? count : (size_t) rank;
    return MLS_OK;
}

/* --- inputs ---------------------------------------------------------------------------------- */

/* An input that is given and has elements, or NULL: some models write "none" as no elements. */
static const mls_arg *filled_input(const mls_op *op, size_t index)
{
    const mls_arg *arg = mls__op_input(op, index);
    return arg && mls__arg_count(arg) ? arg : NULL;
}

/* `count` floats of an input that must be known. */
static mls_status read_floats(const mls_op *op, size_t index, size_t count, double *ret_values)
{
    const mls_arg *arg = &op->inputs[index];
    if (arg->dtype != MLS_FLOAT32 && arg->dtype != MLS_FLOAT64 && arg->dtype != MLS_FLOAT16)
        return mls__op_error(op, MLS_EDTYPE, "input %zu is %s, expected a float", index,
                             mls_dtype_name((mls_dtype) arg->dtype));
    if (arg->rank != 1 || arg->dims[0] != (int64_t) count)
        return mls__op_error(op, MLS_ESHAPE, "input %zu has %" PRId64 " elements, expected %zu",
                             index, mls__arg_count(arg), count);
    if (!arg->data)
        return mls__op_error(op, MLS_ESTATE, "the contents of input %zu are not known yet", index);
    for (size_t i = 0; i < count; i++)
        ret_values[i] = arg->dtype == MLS_FLOAT32 ? (double) ((const float *) arg->data)[i]
                        : arg->dtype == MLS_FLOAT64
                            ? ((const double *) arg->data)[i]
                            : mls__float_decode(mls__float_format_of(MLS_FLOAT16),
                                                ((const uint16_t *) arg->data)[i]);
    return MLS_OK;
}

/* Lengths are those that float32 gives, as other runtimes have them: 0.7 times 10 is 7. */
static mls_status read_scales(const mls_op *op, const int *axes, size_t count, mls__resize *resize)
{
    double scales[MLS_MAX_RANK];
    const mls_status status = read_floats(op, SCALES, count, scales);
    if (status)
        return status;
    for (size_t i = 0; i < count; i++) {
        mls__resize_axis *axis = &resize->axes[axes[i]];
        const double out = (double) floorf((float) axis->in * (float) scales[i]);
        if (!(scales[i] > 0 && out < 0x1p62))
            return mls__op_error(op, MLS_EINVAL, "scale %g of axis %d is no scale", scales[i],
                                 axes[i]);
        axis->scale = scales[i];
        axis->length = scales[i] * (double) axis->in;
        axis->out = (int64_t) out;
    }
    return MLS_OK;
}

/* One scale for all axes, so that no length is larger, or smaller, than asked for. */
static mls_status keep_ratio(const mls_op *op, const int *axes, size_t count, bool is_largest,
                             mls__resize *resize)
{
    double scale = 0;
    for (size_t i = 0; i < count; i++) {
        const double own = resize->axes[axes[i]].scale;
        if (i == 0 || (is_largest ? own > scale : own < scale))
            scale = own;
    }
    for (size_t i = 0; i < count; i++) {
        mls__resize_axis *axis = &resize->axes[axes[i]];
        const double out = floor(scale * (double) axis->in + 0.5);
        if (!(out < 0x1p62))
            return mls__op_error(op, MLS_EINVAL, "axis %d would have %g elements", axes[i], out);
        axis->scale = scale;
        axis->length = scale * (double) axis->in;
        axis->out = (int64_t) out;
    }
    return MLS_OK;
}

static mls_status read_sizes(const mls_op *op, const int *axes, size_t count, mls__resize *resize)
{
    static const char *const policies[] = {"stretch", "not_larger", "not_smaller", NULL};
    int64_t sizes[MLS_MAX_RANK];
    size_t given;
    bool is_given;
    int policy;
    mls_status status = mls__op_known_ints(op, SIZES, sizes, MLS_MAX_RANK, &given, &is_given);
    if (!status)
        status = choose(op, "keep_aspect_ratio_policy", policies, &policy);
    if (status)
        return status;
    if (given != count)
        return mls__op_error(op, MLS_ESHAPE, "%zu sizes for %zu axes", given, count);
    for (size_t i = 0; i < count; i++) {
        mls__resize_axis *axis = &resize->axes[axes[i]];
        if (sizes[i] < 0)
            return mls__op_error(op, MLS_EINVAL, "size %" PRId64 " of axis %d", sizes[i], axes[i]);
        axis->out = sizes[i];
        axis->length = (double) sizes[i];
        axis->scale = axis->in ? (double) sizes[i] / (double) axis->in : 1;
    }
    return policy ? keep_ratio(op, axes, count, policy == 2, resize) : MLS_OK;
}

static mls_status read_region(const mls_op *op, const int *axes, size_t count, mls__resize *resize)
{
    double region[2 * MLS_MAX_RANK];
    if (resize->transform != MLS__RESIZE_CROP)
        return MLS_OK;
    if (!filled_input(op, ROI))
        return mls__op_error(op, MLS_EINVAL, "tf_crop_and_resize needs input 1, the region");
    mls_status status = read_floats(op, ROI, 2 * count, region);
    for (size_t i = 0; !status && i < count; i++) {
        mls__resize_axis *axis = &resize->axes[axes[i]];
        axis->start = region[i];
        axis->end = region[count + i];
        if (!(fabs(axis->start) < 0x1p20 && fabs(axis->end) < 0x1p20))
            status = mls__op_error(op, MLS_EINVAL, "axis %d has a region from %g to %g", axes[i],
                                   axis->start, axis->end);
    }
    return status;
}

mls_status mls__op_resize(const mls_op *op, mls__resize *ret_resize)
{
    const mls_arg *x = &op->inputs[0];
    const bool has_scales = filled_input(op, SCALES), has_sizes = filled_input(op, SIZES);
    int axes[MLS_MAX_RANK];
    size_t count;
    mls_status status = read_modes(op, ret_resize);
    for (int i = 0; i < x->rank; i++)
        ret_resize->axes[i] =
            (mls__resize_axis){x->dims[i], x->dims[i], 1, (double) x->dims[i], 0, 1};
    if (!status)
        status = read_axes(op, axes, &count);
    if (status)
        return status;
    if (count && has_scales == has_sizes)
        return mls__op_error(op, MLS_EINVAL, "one of scales and sizes must be given, not %s",
                             has_sizes ? "both" : "none");
    if (count)
        status = has_sizes ? read_sizes(op, axes, count, ret_resize)
                           : read_scales(op, axes, count, ret_resize);
    if (!status)
        status = read_region(op, axes, count, ret_resize);
    for (int i = 0; !status && i < x->rank; i++)
        if (x->dims[i] == 0 && ret_resize->axes[i].out > 0)
            status = mls__op_error(op, MLS_ESHAPE, "axis %d has no elements to resize", i);
    return status;
}

/* --- coordinates ----------------------------------------------------------------------------- */

bool mls__resize_is_identity(const mls__resize_axis *axis)
{
    return axis->in == axis->out && axis->scale == 1 && axis->start == 0 && axis->end == 1;
}

/* Where a crop's only element is in its middle. */
static double crop_place(const mls__resize_axis *axis, double position)
{
    const double last = (double) axis->in - 1, span = (axis->end - axis->start) * last;
    const double offset = axis->length == 1 ? span / 2 : position * span / (axis->length - 1);
    return axis->start * last + offset;
}

double mls__resize_place(const mls__resize *resize, const mls__resize_axis *axis, int64_t i)
{
    const double position = (double) i, half_pixel = (position + 0.5) / axis->scale - 0.5;
    const double last = (double) axis->in - 1, length = axis->length;
    switch (resize->transform) {
    case MLS__RESIZE_ALIGN_CORNERS:
        return length == 1 ? 0 : position * last / (length - 1);
    case MLS__RESIZE_ASYMMETRIC:
        return position / axis->scale;
    case MLS__RESIZE_HALF_PIXEL_FOR_NN:
        return (position + 0.5) / axis->scale;
    case MLS__RESIZE_CROP:
        return crop_place(axis, position);
    case MLS__RESIZE_PYTORCH_HALF_PIXEL:
        return axis->out > 1 ? half_pixel : 0;
    case MLS__RESIZE_HALF_PIXEL_SYMMETRIC:
        return (double) axis->in / 2 * (1 - (double) axis->out / length) + half_pixel;
    default:
        return half_pixel;
    }
}

int64_t mls__resize_nearest(const mls__resize *resize, const mls__resize_axis *axis, double place)
{
    const double last = (double) axis->in - 1;
    mls__resize_round round = resize->round;
    if (round == MLS__RESIZE_SIMPLE)
        round = axis->scale < 1 ? MLS__RESIZE_CEIL : MLS__RESIZE_FLOOR;
    const double nearest = round == MLS__RESIZE_FLOOR          ? floor(place)
                           : round == MLS__RESIZE_CEIL         ? ceil(place)
                           : round == MLS__RESIZE_PREFER_FLOOR ? ceil(place - 0.5)
                                                               : floor(place + 0.5);
    return nearest > 0 ? (int64_t) (nearest < last ? nearest : last) : 0;
}
