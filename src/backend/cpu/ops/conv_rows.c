/* SPDX-License-Identifier: Apache-2.0 */
/* Which inputs the outputs of a row read, and at which of the kernel's positions. */
#include "backend/cpu/ops/conv.h"

/* Floats between neighbours along the last dimension of the input. */
static int64_t x_unit(const mls__conv_op *conv)
{
    return conv->shape.is_x_blocked ? MLS__CHANNEL_BLOCK : 1;
}

static int64_t divide_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* --- along a row ----------------------------------------------------------------------------- */

/* Output o reads element o * stride + offset. */
static mls__conv_tap tap_of(const mls__conv_axis *axis, int64_t k, int64_t count, int64_t unit)
{
    const int64_t offset = k * axis->dilation - axis->before, last = axis->input - 1 - offset;
    mls__conv_tap tap = {.x = offset * unit, .index = k};
    tap.begin = clamp(offset < 0 ? divide_up(-offset, axis->stride) : 0, 0, count);
    tap.end = clamp(last < 0 ? 0 : last / axis->stride + 1, tap.begin, count);
    return tap;
}

/* Output `first` + j * stride reads element j + offset. */
static mls__conv_tap transposed_tap(const mls__conv_axis *axis, int64_t k, int64_t first,
                                    int64_t count, int64_t unit)
{
    const int64_t offset = (first + axis->before - k * axis->dilation) / axis->stride;
    mls__conv_tap tap = {.x = offset * unit, .index = k};
    tap.begin = clamp(-offset, 0, count);
    tap.end = clamp(axis->input - offset, tap.begin, count);
    return tap;
}

static void set_transposed_classes(mls__conv_op *conv, const mls__conv_axis *axis)
{
    int64_t taps = 0;
    for (int64_t c = 0; c < conv->class_count; c++) {
        mls__conv_class *class = &conv->classes[c];
        *class = (mls__conv_class){.tap = taps, .count = divide_up(axis->output - c, axis->stride)};
        for (int64_t k = 0; k < axis->kernel; k++) {
            if ((c + axis->before - k * axis->dilation) % axis->stride)
                continue;
            conv->taps[taps++] = transposed_tap(axis, k, c, class->count, x_unit(conv));
            class->tap_count++;
        }
    }
}

/* Which outputs have all of their class's taps. */
static void set_whole(const mls__conv_op *conv, mls__conv_class *class)
{
    class->begin = 0;
    class->end = class->count;
    for (int64_t t = class->tap; t < class->tap + class->tap_count; t++) {
        const mls__conv_tap *tap = &conv->taps[t];
        class->begin = tap->begin > class->begin ? tap->begin : class->begin;
        class->end = tap->end < class->end ? tap->end : class->end;
    }
}

/*
 * Of each tap's channels, of lines that follow each other; only a convolution that is not
 * transposed has its taps in a row.
 */
static void set_offsets(mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    const int64_t step = s->is_x_blocked ? 1 : conv->x_plane;
    const int64_t line = s->rank == 2 ? s->axes[0].dilation * s->axes[1].input * x_unit(conv) : 0;
    int64_t *next = conv->offsets;
    for (int64_t l = 0; next && l < mls__conv_lines_at_once(conv); l++)
        for (int64_t k = 0; k < conv->classes[0].tap_count; k++)
            for (int64_t c = 0; c < s->channels; c++)
                *next++ = l * line + conv->taps[k].x + c * step;
}

static void set_classes(mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    const mls__conv_axis *axis = &s->axes[s->rank - 1];
    if (s->is_transposed) {
        conv->class_count = axis->stride < axis->output ? axis->stride : axis->output;
        set_transposed_classes(conv, axis);
        return;
    }
    conv->class_count = 1;
    conv->classes[0] = (mls__conv_class){.tap_count = axis->kernel, .count = axis->output};
    for (int64_t k = 0; k < axis->kernel; k++)
        conv->taps[k] = tap_of(axis, k, axis->output, x_unit(conv));
}

void mls__conv_set_rows(mls__conv_op *conv)
{
    const mls__convolution *s = &conv->shape;
    conv->rows = 1;
    for (int i = 0; i < s->rank - 1; i++)
        conv->rows *= s->axes[i].output;
    set_classes(conv);
    for (int64_t c = 0; c < conv->class_count; c++)
        set_whole(conv, &conv->classes[c]);
    set_offsets(conv);
}

/* --- lines ----------------------------------------------------------------------------------- */

int64_t mls__conv_most_lines(const mls__conv_op *conv)
{
    int64_t lines = 1;
    for (int i = 0; i < conv->shape.rank - 1; i++)
        lines *= conv->shape.axes[i].kernel;
    return lines;
}

/* Those of a plane that are inside follow each other. */
int64_t mls__conv_lines_at_once(const mls__conv_op *conv)
{
    return conv->shape.rank == 2 ? conv->shape.axes[0].kernel : 1;
}

/* The element that output o reads at position k; false when it is outside. */
static bool element_of(const mls__conv_axis *axis, bool is_transposed, int64_t o, int64_t k,
                       int64_t *ret_element)
{
    if (!is_transposed) {
        *ret_element = o * axis->stride - axis->before + k * axis->dilation;
        return *ret_element >= 0 && *ret_element < axis->input;
    }
    const int64_t place = o + axis->before - k * axis->dilation;
    *ret_element = place / axis->stride;
    return place >= 0 && place % axis->stride == 0 && *ret_element < axis->input;
}

static bool line_of(const mls__conv_op *conv, const int64_t *outputs, int64_t index,
                    mls__conv_line *ret_line)
{
    const mls__convolution *s = &conv->shape;
    const mls__conv_axis *last = &s->axes[s->rank - 1];
    int64_t step = last->input * x_unit(conv), left = index, element;
    *ret_line = (mls__conv_line){.index = index * last->kernel};
    for (int i = s->rank - 2; i >= 0; i--) {
        const mls__conv_axis *axis = &s->axes[i];
        if (!element_of(axis, s->is_transposed, outputs[i], left % axis->kernel, &element))
            return false;
        ret_line->x += element * step;
        step *= axis->input;
        left /= axis->kernel;
    }
    return true;
}

/* With one coordinate but the last, as most have, there is nothing to divide. */
static int64_t plane_lines(const mls__conv_op *conv, int64_t row, mls__conv_line *ret_lines)
{
    const mls__convolution *s = &conv->shape;
    const mls__conv_axis *axis = &s->axes[0], *last = &s->axes[1];
    const int64_t step = last->input * x_unit(conv);
    int64_t count = 0, element;
    for (int64_t k = 0; k < axis->kernel; k++)
        if (element_of(axis, s->is_transposed, row, k, &element))
            ret_lines[count++] = (mls__conv_line){element * step, k * last->kernel};
    return count;
}

int64_t mls__conv_lines(const mls__conv_op *conv, int64_t row, mls__conv_line *ret_lines)
{
    const mls__convolution *s = &conv->shape;
    if (s->rank == 2)
        return plane_lines(conv, row, ret_lines);
    const int64_t most = mls__conv_most_lines(conv);
    int64_t outputs[MLS_MAX_RANK], count = 0;
    for (int i = s->rank - 2; i >= 0; i--) {
        outputs[i] = row % s->axes[i].output;
        row /= s->axes[i].output;
    }
    for (int64_t l = 0; l < most; l++)
        if (line_of(conv, outputs, l, &ret_lines[count]))
            count++;
    return count;
}
