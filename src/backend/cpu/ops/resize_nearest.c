/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resize to the nearest element: rows of elements that are picked along the last axis that
 * changes. A row that comes from where the one before it does is a copy of it.
 */
#include "backend/cpu/ops/resize.h"

#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/copy.h"
#include "backend/cpu/ops/ranges.h"

#include <string.h>

/* Fewer bytes are not worth a second thread. */
#define GRAIN 65536

typedef struct nearest_kernel {
    mls__resize_kernel shared;
    uint64_t beyond;      /* an element; numbers only */
    int64_t rows, picked; /* rows of the output, runs picked in each */
    int64_t run, row_in;  /* bytes of a run and of a row of the input */
} nearest_kernel;

#define PICK(name, bytes)                                                                          \
    static void name(char *y, const char *x, const int32_t *index, int64_t n)                      \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++)                                                            \
            memcpy(y + i * (bytes), x + (int64_t) index[i] * (bytes), bytes);                      \
    }

PICK(pick_1, 1)
PICK(pick_2, 2)
PICK(pick_4, 4)
PICK(pick_8, 8)
PICK(pick_16, 16)

static void pick(const nearest_kernel *k, char *y, const char *x)
{
    const int32_t *index = k->shared.taps[k->shared.last].index;
    switch (k->run) {
    case 1:
        pick_1(y, x, index, k->picked);
        break;
    case 2:
        pick_2(y, x, index, k->picked);
        break;
    case 4:
        pick_4(y, x, index, k->picked);
        break;
    case 8:
        pick_8(y, x, index, k->picked);
        break;
    case 16:
        pick_16(y, x, index, k->picked);
        break;
    default:
        for (int64_t i = 0; i < k->picked; i++)
            memcpy(y + i * k->run, x + index[i] * k->run, (size_t) k->run);
    }
}

/* The row of the input that a row of the output comes from, or -1 where that is outside. */
static int64_t source_row(const nearest_kernel *k, int64_t row)
{
    const mls__resize_kernel *s = &k->shared;
    int64_t source = 0, stride = 1;
    for (int i = s->last - 1; i >= 0; i--) {
        const mls__resize_axis *axis = &s->resize.axes[i];
        int64_t position = row % axis->out;
        row /= axis->out;
        if (!mls__resize_is_identity(axis)) {
            if (s->taps[i].outside[position])
                return -1;
            position = s->taps[i].index[position];
        }
        source += position * stride;
        stride *= axis->in;
    }
    return source;
}

static void fill_beyond(const nearest_kernel *k, char *y, int64_t runs)
{
    mls__fill(y, runs * k->run / k->shared.size, &k->beyond, (size_t) k->shared.size);
}

static void make_row(const nearest_kernel *k, char *y, const char *x, int64_t source)
{
    const mls__taps *taps = &k->shared.taps[k->shared.last];
    if (source < 0) {
        fill_beyond(k, y, k->picked);
        return;
    }
    pick(k, y, x + source * k->row_in);
    for (int64_t i = 0; taps->any_outside && i < k->picked; i++)
        if (taps->outside[i])
            fill_beyond(k, y + i * k->run, 1);
}

typedef struct work {
    const nearest_kernel *kernel;
    const char *x;
    char *y;
} work;

static mls_status run_rows(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const nearest_kernel *k = w->kernel;
    const int64_t row_out = k->picked * k->run;
    int64_t before = INT64_MIN;
    for (int64_t row = begin; row < end; row++) {
        const int64_t source = source_row(k, row);
        char *y = w->y + row * row_out;
        if (source == before)
            memcpy(y, y - row_out, (size_t) row_out);
        else
            make_row(k, y, w->x, source);
        before = source;
    }
    return MLS_OK;
}

static mls_status nearest_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const nearest_kernel *k = (const nearest_kernel *) base;
    const mls__resize_kernel *s = &k->shared;
    work w = {k, call->buffers[0], call->buffers[s->output]};
    if (!s->count)
        return MLS_OK;
    if (s->last < 0) {
        memcpy(w.y, w.x, (size_t) (s->count * s->size));
        return MLS_OK;
    }
    return mls__cpu_ranges(call, s->threads, k->rows, GRAIN / (k->picked * k->run) + 1, run_rows,
                           &w);
}

static mls_status nearest_reshape(mls_kernel *base, const mls_op *op)
{
    nearest_kernel *k = (nearest_kernel *) base;
    mls__resize_kernel *s = &k->shared;
    const mls_arg *y = &op->outputs[0];
    const mls_status status = mls__resize_follow(s, op);
    if (status || s->last < 0)
        return status;
    k->rows = mls__arg_span(y, 0, s->last);
    k->picked = y->dims[s->last];
    k->run = mls__arg_span(y, s->last + 1, y->rank) * s->size;
    k->row_in = s->resize.axes[s->last].in * k->run;
    return MLS_OK;
}

mls_status mls__resize_nearest_create(const mls__cpu *cpu, const mls_op *op,
                                      mls_kernel **ret_kernel)
{
    static const mls__cast_rules rules;
    nearest_kernel *k;
    mls_status status =
        mls__resize_create(cpu, op, sizeof *k, "resize.nearest", nearest_run, false, &k);
    if (status)
        return status;
    const mls__wide beyond = {.f = {(double) k->shared.beyond}};
    if (k->shared.resize.transform == MLS__RESIZE_CROP && k->shared.dtype == MLS_STRING)
        status = mls__cpu_dtype_error(op, 0);
    else if (k->shared.resize.transform == MLS__RESIZE_CROP)
        mls__narrow(k->shared.dtype, MLS__WIDE_FLOAT, &beyond, &k->beyond, 1, &rules);
    k->shared.base.base.reshape = nearest_reshape;
    if (!status)
        status = nearest_reshape(&k->shared.base.base, op);
    if (status)
        k->shared.base.base.free(&k->shared.base.base);
    else
        *ret_kernel = &k->shared.base.base;
    return status;
}
