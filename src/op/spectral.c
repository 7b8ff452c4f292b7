/* SPDX-License-Identifier: Apache-2.0 */
#include "op/spectral.h"

#include <inttypes.h>

mls_status mls__op_known_scalar(const mls_op *op, size_t index, int64_t low, int64_t high,
                                int64_t *ret_value)
{
    int64_t value = 0;
    size_t count;
    bool is_given;
    const mls_status status = mls__op_known_ints(op, index, &value, 1, &count, &is_given);
    if (status)
        return status;
    if (count != 1)
        return mls__op_error(op, MLS_ESHAPE, "input %zu is not a scalar", index);
    if (value < low || value > high)
        return mls__op_error(op, MLS_EINVAL,
                             "input %zu is %" PRId64 "; it must be in [%" PRId64 ", %" PRId64 "]",
                             index, value, low, high);
    *ret_value = value;
    return MLS_OK;
}

/* The last dimension: real or complex samples. */
static mls_status read_parts(const mls_op *op, bool is_onesided, bool is_inverse, mls__dft *dft)
{
    const mls_arg *x = &op->inputs[0];
    const int64_t parts = x->dims[x->rank - 1];
    if (parts != 1 && parts != 2)
        return mls__op_error(op, MLS_ESHAPE,
                             "the last dimension of input 0 is %" PRId64
                             "; it must be 1 for real samples or 2 for complex ones",
                             parts);
    if (is_onesided && !is_inverse && parts == 2)
        return mls__op_error(op, MLS_ESHAPE,
                             "onesided is 1, but the samples of input 0 are complex");
    dft->input = (int) parts;
    dft->output = is_onesided && is_inverse ? 1 : 2;
    dft->is_inverse = is_inverse;
    dft->is_half = is_onesided && is_inverse;
    return MLS_OK;
}

static mls_status read_axis(const mls_op *op, mls__dft *dft)
{
    const int rank = op->inputs[0].rank;
    int64_t axis = -2;
    mls_status status = MLS_OK;
    if (rank < 2)
        return mls__op_error(op, MLS_ESHAPE, "input 0 has %d dimensions, expected at least 2",
                             rank);
    if (mls__op_input(op, 2))
        status = mls__op_known_scalar(op, 2, -rank, rank - 2, &axis);
    if (status)
        return status;
    if (axis == -1)
        return mls__op_error(op, MLS_EINVAL,
                             "the axis is the last one, that of the samples' parts");
    dft->axis = (int) (axis < 0 ? axis + rank : axis);
    return MLS_OK;
}

mls_status mls__op_dft(const mls_op *op, mls__dft *ret_dft)
{
    const bool is_onesided = mls__op_int(op, "onesided", 0) != 0;
    const bool is_inverse = mls__op_int(op, "inverse", 0) != 0;
    mls__dft dft;
    mls_status status = read_axis(op, &dft);
    if (!status)
        status = read_parts(op, is_onesided, is_inverse, &dft);
    if (status)
        return status;
    dft.given = op->inputs[0].dims[dft.axis];
    dft.length = dft.is_half ? 2 * (dft.given - 1) : dft.given;
    if (mls__op_input(op, 1))
        status = mls__op_known_scalar(op, 1, 1, MLS__DFT_LONGEST, &dft.length);
    if (status)
        return status;
    if (dft.length < 1 || dft.length > MLS__DFT_LONGEST)
        return mls__op_error(
            op, MLS_ESHAPE, "%" PRId64 " samples along axis %d; a transform has from 1 to %" PRId64,
            dft.given, dft.axis, MLS__DFT_LONGEST);
    dft.kept = is_onesided && !is_inverse ? dft.length / 2 + 1 : dft.length;
    *ret_dft = dft;
    return MLS_OK;
}

/* The length of the frames: given, the window's, or the signal's. */
static mls_status read_frame(const mls_op *op, mls__stft *stft)
{
    const mls_arg *window = mls__op_input(op, 2);
    int64_t length = stft->signal;
    mls_status status = MLS_OK;
    if (window && window->rank != 1)
        return mls__op_error(op, MLS_ESHAPE, "input 2, the window, has %d dimensions, expected 1",
                             window->rank);
    if (mls__op_input(op, 3))
        status = mls__op_known_scalar(op, 3, 1, MLS__DFT_LONGEST, &length);
    else if (window)
        length = window->dims[0];
    if (status)
        return status;
    if (window && window->dims[0] != length)
        return mls__op_error(op, MLS_ESHAPE,
                             "a window of %" PRId64 " samples for frames of %" PRId64,
                             window->dims[0], length);
    if (length < 1 || length > stft->signal || length > MLS__DFT_LONGEST)
        return mls__op_error(op, MLS_ESHAPE,
                             "frames of %" PRId64 " samples for a signal of %" PRId64, length,
                             stft->signal);
    stft->dft.length = stft->dft.given = length;
    return MLS_OK;
}

mls_status mls__op_stft(const mls_op *op, mls__stft *ret_stft)
{
    const mls_arg *x = &op->inputs[0];
    const bool is_onesided = mls__op_int(op, "onesided", 1) != 0;
    mls__stft stft = {.batch = 0};
    if (x->rank != 3)
        return mls__op_error(op, MLS_ESHAPE, "input 0 has %d dimensions, expected 3", x->rank);
    stft.batch = x->dims[0];
    stft.signal = x->dims[1];
    mls_status status = read_parts(op, is_onesided, false, &stft.dft);
    if (!status)
        status = mls__op_known_scalar(op, 1, 1, INT64_MAX, &stft.step);
    if (!status)
        status = read_frame(op, &stft);
    if (status)
        return status;
    stft.frames = (stft.signal - stft.dft.length) / stft.step + 1;
    stft.dft.kept = is_onesided ? stft.dft.length / 2 + 1 : stft.dft.length;
    *ret_stft = stft;
    return MLS_OK;
}
