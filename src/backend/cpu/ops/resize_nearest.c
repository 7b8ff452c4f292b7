/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resize to the nearest element: rows of elements that are picked along the last axis that
 * changes. A row that comes from where the one before it does is a copy of it. To twice the
 * length, the most common case, goes without an index.
 */
#include "backend/cpu/ops/resize.h"

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/copy.h"
#include "backend/cpu/ops/ranges.h"

#include <string.h>

/* Fewer bytes are not worth a second thread. */
#define GRAIN 65536

typedef struct nearest_kernel {
    mls__resize_kernel shared;
    uint64_t beyond;                   /* an element; numbers only */
    int64_t rows, picked;              /* rows of the output, runs picked in each */
    int64_t run, row_in;               /* bytes of a run and of a row of the input */
    bool is_doubled;                   /* the last axis: each run twice */
    bool is_moved[MLS_MAX_RANK];       /* along each axis in front of the last one: */
    int64_t row_strides[MLS_MAX_RANK]; /* in rows of the input */
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
PICK(pick_32, 32)
PICK(pick_64, 64) /* a block of channels */

/* Elements twice, as elements W of twice the size. */
#define DOUBLE(name, T, W)                                                                         \
    static void name(char *y, const char *x, int64_t n)                                            \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                          \
            T element;                                                                             \
            memcpy(&element, x + i * (int64_t) sizeof element, sizeof element);                    \
            const W both = (W) ((W) element | (W) element << 8 * sizeof element);                  \
            memcpy(y + i * (int64_t) sizeof both, &both, sizeof both);                             \
        }                                                                                          \
    }

DOUBLE(double_8, uint8_t, uint16_t)
DOUBLE(double_16, uint16_t, uint32_t)

static void pick_doubled(const nearest_kernel *k, char *y, const char *x)
{
    if (k->run == 1)
        double_8(y, x, k->picked / 2);
    else if (k->run == 2)
        double_16(y, x, k->picked / 2);
    else
        k->shared.base.cpu->kernels->resize->twice(
            (int32_t *) (void *) y, (const int32_t *) (const void *) x, k->picked / 2);
}

static void pick(const nearest_kernel *k, char *y, const char *x)
{
    const int32_t *index = k->shared.taps[k->shared.last].index;
    if (k->is_doubled) {
        pick_doubled(k, y, x);
        return;
    }
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
    case 32:
        pick_32(y, x, index, k->picked);
        break;
    case 64:
        pick_64(y, x, index, k->picked);
        break;
    default:
        for (int64_t i = 0; i < k->picked; i++)
            memcpy(y + i * k->run, x + index[i] * k->run, (size_t) k->run);
    }
}

/* A row of the output, by its index along each axis. */
typedef struct row_walk {
    int64_t at[MLS_MAX_RANK];
} row_walk;

static void begin_walk(const nearest_kernel *k, int64_t row, row_walk *ret_walk)
{
    for (int i = k->shared.last - 1; i >= 0; i--) {
        ret_walk->at[i] = row % k->shared.resize.axes[i].out;
        row /= k->shared.resize.axes[i].out;
    }
}

static void next_row(const nearest_kernel *k, row_walk *walk)
{
    for (int i = k->shared.last - 1; i >= 0; i--) {
        if (++walk->at[i] < k->shared.resize.axes[i].out)
            return;
        walk->at[i] = 0;
    }
}

/* The row of the input that it comes from, or -1 where that is outside. */
static int64_t source_row(const nearest_kernel *k, const row_walk *walk)
{
    int64_t source = 0;
    for (int i = 0; i < k->shared.last; i++) {
        const mls__taps *taps = &k->shared.taps[i];
        const int64_t at = walk->at[i];
        if (k->is_moved[i] && taps->outside[at])
            return -1;
        source += (k->is_moved[i] ? taps->index[at] : at) * k->row_strides[i];
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
    row_walk walk;
    begin_walk(k, begin, &walk);
    for (int64_t row = begin; row < end; row++, next_row(k, &walk)) {
        const int64_t source = source_row(k, &walk);
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
    return mls__cpu_row_ranges(call, s->threads, k->rows, GRAIN / (k->picked * k->run) + 1,
                               run_rows, &w);
}

static bool is_doubled(const nearest_kernel *k)
{
    const mls__taps *taps = &k->shared.taps[k->shared.last];
    if (taps->out != 2 * taps->in || (k->run != 1 && k->run != 2 && k->run != 4))
        return false;
    for (int64_t i = 0; i < taps->out; i++)
        if (taps->index[i] != i / 2)
            return false;
    return true;
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
    k->is_doubled = is_doubled(k);
    int64_t stride = 1;
    for (int i = s->last - 1; i >= 0; i--) {
        k->is_moved[i] = !mls__resize_is_identity(&s->resize.axes[i]);
        k->row_strides[i] = stride;
        stride *= s->resize.axes[i].in;
    }
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
