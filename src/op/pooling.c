/* SPDX-License-Identifier: Apache-2.0 */
/* Every number is bounded when it is read, so that no sum or product of a few overflows. */
#include "op/pooling.h"

#include <inttypes.h>
#include <string.h>

#define MAX_NUMBER INT32_MAX

/* Positions of a window: their number is exact in a double. */
#define MAX_POSITIONS (INT64_C(1) << 53)

/* Elements that a window spans. */
static int64_t span_of(const mls__pool_axis *axis)
{
    return (axis->kernel - 1) * axis->dilation + 1;
}

/* --- attributes ------------------------------------------------------------------------------ */

/* The elements of an ints attribute, one for each axis or two, or NULL when it is not given. */
static mls_status read_ints(const mls_op *op, const char *name, size_t expected, int64_t least,
                            const int64_t **ret_values)
{
    size_t count;
    const int64_t *values = mls__op_ints(op, name, &count);
    *ret_values = NULL;
    if (!mls__op_attr(op, name))
        return MLS_OK;
    if (!values || count != expected)
        return mls__op_error(op, MLS_EINVAL, "%s has %zu numbers, expected %zu", name, count,
                             expected);
    for (size_t i = 0; i < count; i++)
        if (values[i] < least || values[i] > MAX_NUMBER)
            return mls__op_error(op, MLS_EINVAL, "%s has %" PRId64 ", expected %" PRId64 " to %d",
                                 name, values[i], least, MAX_NUMBER);
    *ret_values = values;
    return MLS_OK;
}

static mls_status read_axes(const mls_op *op, mls__pooling *p)
{
    const mls_arg *x = &op->inputs[0];
    const int64_t *kernel, *strides, *dilations, *pads;
    if (x->rank < 3)
        return mls__op_error(op, MLS_ESHAPE, "input 0 has %d dimensions, expected at least 3",
                             x->rank);
    const size_t rank = (size_t) x->rank - 2;
    mls_status status = read_ints(op, "kernel_shape", rank, 1, &kernel);
    if (!status)
        status = read_ints(op, "strides", rank, 1, &strides);
    if (!status)
        status = read_ints(op, "dilations", rank, 1, &dilations);
    if (!status)
        status = read_ints(op, "pads", 2 * rank, 0, &pads);
    if (status)
        return status;
    if (!kernel)
        return mls__op_error(op, MLS_EINVAL, "the attribute 'kernel_shape' is missing");
    int64_t positions = 1;
    for (size_t i = 0; i < rank; i++) {
        if (kernel[i] > MAX_POSITIONS / positions)
            return mls__op_error(op, MLS_EINVAL, "kernel_shape has more than 2^53 positions");
        positions *= kernel[i];
    }
    p->rank = (int) rank;
    p->planes = x->dims[0] * x->dims[1];
    for (size_t i = 0; i < rank; i++)
        p->axes[i] = (mls__pool_axis){
            .input = x->dims[i + 2],
            .kernel = kernel[i],
            .stride = strides ? strides[i] : 1,
            .dilation = dilations ? dilations[i] : 1,
            .before = pads ? pads[i] : 0,
            .after = pads ? pads[i + rank] : 0,
        };
    return MLS_OK;
}

/* --- pools ----------------------------------------------------------------------------------- */

/* One element of the output for each stride of the input, and pads that make it so. */
static void pad_to_same(mls__pool_axis *axis, bool is_upper)
{
    axis->output = axis->input / axis->stride + (axis->input % axis->stride != 0);
    const int64_t needed = (axis->output - 1) * axis->stride + span_of(axis) - axis->input;
    const int64_t total = needed > 0 ? needed : 0;
    axis->before = is_upper ? total / 2 : total - total / 2;
    axis->after = total - axis->before;
}

/* A window that would begin in the padding behind the input is none. */
static mls_status count_windows(const mls_op *op, mls__pool_axis *axis, bool takes_ceiling)
{
    const int64_t span = span_of(axis), padded = axis->input + axis->before + axis->after;
    if (axis->before >= span || axis->after >= span)
        return mls__op_error(op, MLS_EINVAL,
                             "pads of %" PRId64 " and %" PRId64
                             " are not less than the window, which spans %" PRId64,
                             axis->before, axis->after, span);
    if (padded < span)
        return mls__op_error(op, MLS_ESHAPE,
                             "a window spans %" PRId64 " elements, and the padded input has "
                             "%" PRId64,
                             span, padded);
    const int64_t steps = (padded - span) / axis->stride;
    axis->output = steps + 1;
    if (takes_ceiling && (padded - span) % axis->stride &&
        (steps + 1) * axis->stride < axis->input + axis->before)
        axis->output++;
    return MLS_OK;
}

mls_status mls__op_pooling(const mls_op *op, mls__pooling *ret_pooling)
{
    mls__pooling p;
    const bool is_upper = mls__op_string_is(op, "auto_pad", "SAME_UPPER", "NOTSET");
    const bool is_lower = mls__op_string_is(op, "auto_pad", "SAME_LOWER", "NOTSET");
    const bool is_valid = mls__op_string_is(op, "auto_pad", "VALID", "NOTSET");
    const bool takes_ceiling = !is_valid && mls__op_int(op, "ceil_mode", 0) != 0;
    if (!is_upper && !is_lower && !is_valid &&
        !mls__op_string_is(op, "auto_pad", "NOTSET", "NOTSET"))
        return mls__op_error(op, MLS_EINVAL,
                             "auto_pad is not NOTSET, SAME_UPPER, SAME_LOWER or VALID");
    mls_status status = read_axes(op, &p);
    for (int i = 0; !status && i < p.rank; i++) {
        mls__pool_axis *axis = &p.axes[i];
        if (is_valid)
            axis->before = axis->after = 0;
        if (is_upper || is_lower)
            pad_to_same(axis, is_upper);
        else
            status = count_windows(op, axis, takes_ceiling);
    }
    if (!status)
        *ret_pooling = p;
    return status;
}

mls_status mls__op_blocked_pooling(const mls_op *op, mls__pooling *ret_pooling,
                                   int64_t ret_dims[MLS_MAX_RANK])
{
    mls_arg x = op->inputs[0];
    mls_op plain = *op;
    x.rank--;
    plain.inputs = &x;
    const mls_status status = mls__op_pooling(&plain, ret_pooling);
    if (status || !ret_dims)
        return status;
    memcpy(ret_dims, op->inputs[0].dims, sizeof op->inputs[0].dims);
    for (int i = 0; i < ret_pooling->rank; i++)
        ret_dims[2 + i] = ret_pooling->axes[i].output;
    return MLS_OK;
}

/* --- within another op ----------------------------------------------------------------------- */

#define WITHIN "pool_"

static const char *const attrs_within[] = {WITHIN "auto_pad",  WITHIN "ceil_mode",
                                           WITHIN "dilations", WITHIN "kernel_shape",
                                           WITHIN "pads",      WITHIN "strides"};

enum { ATTRS_WITHIN = sizeof attrs_within / sizeof attrs_within[0] };

const char *mls__pool_attr_within(const char *name)
{
    for (size_t i = 0; i < ATTRS_WITHIN; i++)
        if (strcmp(attrs_within[i] + strlen(WITHIN), name) == 0)
            return attrs_within[i];
    return NULL;
}

mls_status mls__op_pool_within(const mls_op *op, int rank, const int64_t *dims,
                               mls__pooling *ret_pooling)
{
    mls_attr attrs[ATTRS_WITHIN];
    mls_arg x = {.dtype = op->inputs[0].dtype, .rank = rank};
    mls_op pool = *op;
    memcpy(x.dims, dims, (size_t) rank * sizeof *dims);
    pool.inputs = &x;
    pool.attrs = attrs;
    pool.attr_count = 0;
    for (size_t i = 0; i < ATTRS_WITHIN; i++) {
        const mls_attr *attr = mls__op_attr(op, attrs_within[i]);
        if (!attr)
            continue;
        attrs[pool.attr_count] = *attr;
        attrs[pool.attr_count++].name += strlen(WITHIN);
    }
    return mls__op_pooling(&pool, ret_pooling);
}

mls_status mls__op_unpooling(const mls_op *op, mls__pooling *ret_pooling)
{
    mls__pooling p;
    const mls_status status = read_axes(op, &p);
    if (status)
        return status;
    for (int i = 0; i < p.rank; i++) {
        mls__pool_axis *axis = &p.axes[i];
        if (axis->input > INT64_MAX / 2 / axis->stride)
            return mls__op_error(op, MLS_ESHAPE, "an output that is more than memory can hold");
        axis->output = (axis->input - 1) * axis->stride + axis->kernel - axis->before - axis->after;
        if (axis->output < 0)
            return mls__op_error(op, MLS_ESHAPE, "dimension %d of the output would be %" PRId64,
                                 i + 2, axis->output);
    }
    *ret_pooling = p;
    return MLS_OK;
}

/* --- windows --------------------------------------------------------------------------------- */

/* How many of 0, step, 2 * step ... are below `bound`. */
static int64_t steps_below(int64_t bound, int64_t step)
{
    return bound <= 0 ? 0 : (bound - 1) / step + 1;
}

mls__pool_window mls__pool_inside(const mls__pool_axis *axis, int64_t o)
{
    const int64_t start = o * axis->stride - axis->before;
    const int64_t last = steps_below(axis->input - start, axis->dilation);
    mls__pool_window window = {steps_below(-start, axis->dilation),
                               last < axis->kernel ? last : axis->kernel};
    if (window.first > window.last)
        window.first = window.last;
    return window;
}

int64_t mls__pool_padded_count(const mls__pool_axis *axis, int64_t o)
{
    const int64_t start = o * axis->stride - axis->before;
    const int64_t count = steps_below(axis->input + axis->after - start, axis->dilation);
    return count < axis->kernel ? count : axis->kernel;
}
