/* SPDX-License-Identifier: Apache-2.0 */
/* IsNaN and IsInf. */
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ranges.h"

#include <math.h>
#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 32768

typedef struct classify_kernel {
    mls__cpu_kernel base;
    bool nan;                /* else infinities: */
    bool positive, negative; /* the signs asked for */
    int32_t dtype;
    int64_t count;
    uint32_t threads;
    uint8_t x_size; /* bytes of an element */
} classify_kernel;

static void classify_f32(const classify_kernel *k, uint8_t *y, const float *x, int64_t n)
{
    const mls__elementwise_kernels *kernels = k->base.cpu->kernels->elementwise;
    if (k->nan)
        kernels->is_nan(y, x, n);
    else
        kernels->is_inf(y, x, n, k->positive, k->negative);
}

static bool is_of_kind(const classify_kernel *k, double x)
{
    if (k->nan)
        return x != x;
    return (k->positive && x == (double) INFINITY) || (k->negative && x == -(double) INFINITY);
}

/* The other floats: their numbers as float64 are of the same kind. */
static void classify_blocks(const classify_kernel *k, uint8_t *y, const char *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += MLS__BLOCK) {
        const int64_t m = n - i < MLS__BLOCK ? n - i : MLS__BLOCK;
        mls__wide wide;
        mls__widen(k->dtype, &wide, x + i * k->x_size, m);
        for (int64_t j = 0; j < m; j++)
            y[i + j] = is_of_kind(k, wide.f[j]);
    }
}

typedef struct work {
    const classify_kernel *kernel;
    uint8_t *y;
    const char *x;
} work;

static mls_status classify_tile(const mls__cpu_kernel *base, void *y, const void *const *x,
                                const int64_t *steps, int64_t n)
{
    const classify_kernel *k = (const classify_kernel *) base;
    (void) steps;
    if (k->dtype == MLS_FLOAT32)
        classify_f32(k, y, x[0], n);
    else
        classify_blocks(k, y, x[0], n);
    return MLS_OK;
}

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const classify_kernel *k = w->kernel;
    const void *x = w->x + begin * k->x_size;
    return classify_tile(&k->base, w->y + begin, &x, NULL, end - begin);
}

static mls_status classify_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const classify_kernel *k = (const classify_kernel *) base;
    work w = {k, call->buffers[1], call->buffers[0]};
    if (!k->count)
        return MLS_OK;
    return mls__cpu_ranges(call, k->threads, k->count, GRAIN, run_range, &w);
}

static mls_status classify_reshape(mls_kernel *base, const mls_op *op)
{
    classify_kernel *k = (classify_kernel *) base;
    k->count = mls__arg_count(&op->inputs[0]);
    return MLS_OK;
}

static mls_status classify_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    classify_kernel *k;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "classify", classify_run, &k);
    if (status)
        return status;
    k->base.base.reshape = classify_reshape;
    k->base.tile = classify_tile;
    k->nan = strcmp(op->type, "IsNaN") == 0;
    k->positive = mls__op_int(op, "detect_positive", 1) != 0;
    k->negative = mls__op_int(op, "detect_negative", 1) != 0;
    k->dtype = op->inputs[0].dtype;
    k->x_size = (uint8_t) mls_dtype_size((mls_dtype) k->dtype);
    k->threads = op->threads;
    *ret_kernel = &k->base.base;
    return classify_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_classify = {
    {"", "IsNaN", classify_create, MLS__CPU_IN_PLACE},
    {"", "IsInf", classify_create, MLS__CPU_IN_PLACE},
    {.type = NULL},
};
