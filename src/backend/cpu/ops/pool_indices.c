/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MaxPool with its second output: the position in input 0 of each maximum, the first where there
 * are several. An output whose window is all padding has the position -1.
 */
#include "backend/cpu/ops/pool.h"

#include "backend/cpu/ops/half.h"

#include <math.h>
#include <string.h>

/* Element i of input 0. */
static double element(const mls__pool *k, const void *x, int64_t i)
{
    float wide;
    if (k->dtype == MLS_FLOAT64)
        return ((const double *) x)[i];
    if (k->dtype == MLS_INT8)
        return (double) ((const int8_t *) x)[i];
    if (k->dtype == MLS_UINT8)
        return (double) ((const uint8_t *) x)[i];
    if (k->dtype == MLS_FLOAT32)
        return (double) ((const float *) x)[i];
    mls__half_of(k->base.cpu, k->dtype).to_f32(&wide, (const uint16_t *) x + i, 1);
    return (double) wide;
}

/* Below every number, as an element of output 0. */
static void put_least(const mls__pool *k, void *y)
{
    const double least = -(double) INFINITY;
    const int8_t byte = k->dtype == MLS_INT8 ? INT8_MIN : 0;
    if (k->x_size == 1)
        memcpy(y, &byte, 1);
    else
        mls__float_convert(k->base.cpu, k->dtype, y, MLS_FLOAT64, &least, 1);
}

/* A position in the input's spatial dimensions, as the index of an element of the plane. */
static int64_t row_major(const mls__pool *k, const int64_t *position)
{
    int64_t index = 0;
    for (int d = 0; d < k->g.rank; d++)
        index = index * k->g.axes[d].input + position[d];
    return index;
}

static int64_t column_major(const mls__pool *k, const int64_t *position)
{
    int64_t index = 0;
    for (int d = k->g.rank - 1; d >= 0; d--)
        index = index * k->g.axes[d].input + position[d];
    return index;
}

/* The window of output `o`: sets the position of its maximum; false when there is none. */
static bool find_maximum(const mls__pool *k, const char *plane, const int64_t *o,
                         int64_t *ret_position)
{
    mls__pool_window windows[MLS_MAX_RANK];
    int64_t at[MLS_MAX_RANK], position[MLS_MAX_RANK];
    double best = 0;
    bool has_best = false;
    for (int d = 0; d < k->g.rank; d++) {
        windows[d] = mls__pool_inside(&k->g.axes[d], o[d]);
        at[d] = windows[d].first;
        if (windows[d].first == windows[d].last)
            return false;
    }
    for (int d = 0; d >= 0;) {
        for (int i = 0; i < k->g.rank; i++)
            position[i] =
                o[i] * k->g.axes[i].stride - k->g.axes[i].before + at[i] * k->g.axes[i].dilation;
        const double value = element(k, plane, row_major(k, position));
        if (!has_best || value > best || (isnan(value) && !isnan(best))) {
            best = value;
            has_best = true;
            memcpy(ret_position, position, sizeof position);
        }
        for (d = k->g.rank - 1; d >= 0 && ++at[d] == windows[d].last; d--)
            at[d] = windows[d].first;
    }
    return true;
}

void mls__pool_indexed_plane(const mls__pool *k, const mls_kernel_call *call, int64_t plane)
{
    const char *x = (const char *) call->buffers[0] + (size_t) (plane * k->x_plane) * k->x_size;
    char *y = (char *) call->buffers[1] + (size_t) (plane * k->y_plane) * k->x_size;
    int64_t *indices = (int64_t *) call->buffers[2] + plane * k->y_plane;
    for (int64_t i = 0; i < k->y_plane; i++) {
        int64_t o[MLS_MAX_RANK], position[MLS_MAX_RANK];
        int64_t rest = i;
        for (int d = k->g.rank - 1; d >= 0; d--) {
            o[d] = rest % k->g.axes[d].output;
            rest /= k->g.axes[d].output;
        }
        char *element_of_y = y + (size_t) i * k->x_size;
        if (!find_maximum(k, x, o, position)) {
            put_least(k, element_of_y);
            indices[i] = -1;
            continue;
        }
        memcpy(element_of_y, x + (size_t) row_major(k, position) * k->x_size, k->x_size);
        indices[i] = plane * k->x_plane +
                     (k->is_column_major ? column_major(k, position) : row_major(k, position));
    }
}
