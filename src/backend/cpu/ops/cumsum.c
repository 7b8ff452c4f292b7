/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CumSum: each sum is the one before it plus the next element, rounded. 16-bit floats add up in
 * float32 and round what they store. CumProd does the same with products.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/ranges.h"
#include "tensor/shape.h"

#include <inttypes.h>
#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 32768

typedef struct cumsum_kernel {
    mls__cpu_kernel base;
    int32_t dtype, axis_dtype;
    bool is_product, is_exclusive, is_reverse;
    mls__half half;
    uint32_t threads;
    int rank;
    int64_t dims[MLS_MAX_RANK];
} cumsum_kernel;

/* Columns side by side: `n` elements each, `step` apart, the first one taken first. */
typedef struct columns {
    const cumsum_kernel *kernel;
    int64_t n, step, count;
} columns;

/*
 * For elements of type T. Sums of integers wrap around, so their type is unsigned. The first sum
 * is the first element itself; before it there is `unit`.
 */
#define RUN_COLUMNS(name, T, operator, unit)                                                       \
    static void name(const columns *c, void *ret_y, const void *elements)                          \
    {                                                                                              \
        const int64_t lag = c->kernel->is_exclusive ? c->step : 0;                                 \
        const T *x = elements;                                                                     \
        T *y = ret_y;                                                                              \
        for (int64_t i = 0; i < c->n; i++, x += c->step, y += c->step) {                           \
            if (i == 0 && lag)                                                                     \
                for (int64_t j = 0; j < c->count; j++)                                             \
                    y[j] = (unit);                                                                 \
            else if (i == (lag != 0))                                                              \
                memcpy(y, x - lag, (size_t) c->count * sizeof *y);                                 \
            else                                                                                   \
                for (int64_t j = 0; j < c->count; j++)                                             \
                    y[j] = y[j - c->step] operator x[j - lag];                                     \
        }                                                                                          \
    }

RUN_COLUMNS(sums_f32, float, +, 0)
RUN_COLUMNS(sums_f64, double, +, 0)
RUN_COLUMNS(sums_u32, uint32_t, +, 0)
RUN_COLUMNS(sums_u64, uint64_t, +, 0)
RUN_COLUMNS(products_f32, float, *, 1)
RUN_COLUMNS(products_f64, double, *, 1)
RUN_COLUMNS(products_u32, uint32_t, *, 1)
RUN_COLUMNS(products_u64, uint64_t, *, 1)

/* At most MLS__BLOCK columns. */
static void run_half_block(const columns *c, uint16_t *y, const uint16_t *x)
{
    const mls__half *half = &c->kernel->half;
    const bool is_product = c->kernel->is_product;
    float sums[MLS__BLOCK], elements[MLS__BLOCK];
    for (int64_t j = 0; j < c->count; j++)
        sums[j] = is_product ? 1 : 0;
    for (int64_t i = 0; i < c->n; i++, x += c->step, y += c->step) {
        half->to_f32(elements, x, c->count);
        if (c->kernel->is_exclusive)
            half->from_f32(y, sums, c->count);
        for (int64_t j = 0; j < c->count; j++)
            sums[j] = i == 0       ? elements[j]
                      : is_product ? sums[j] * elements[j]
                                   : sums[j] + elements[j];
        if (!c->kernel->is_exclusive)
            half->from_f32(y, sums, c->count);
    }
}

static void run_half(const columns *c, void *y, const void *x)
{
    for (int64_t j = 0; j < c->count; j += MLS__BLOCK) {
        columns block = *c;
        block.count = c->count - j < MLS__BLOCK ? c->count - j : MLS__BLOCK;
        run_half_block(&block, (uint16_t *) y + j, (const uint16_t *) x + j);
    }
}

static void run_columns(const columns *c, void *y, const void *x)
{
    static void (*const runs[][2])(const columns *, void *, const void *) = {
        [MLS_FLOAT32] = {sums_f32, products_f32}, [MLS_FLOAT64] = {sums_f64, products_f64},
        [MLS_INT32] = {sums_u32, products_u32},   [MLS_UINT32] = {sums_u32, products_u32},
        [MLS_INT64] = {sums_u64, products_u64},   [MLS_UINT64] = {sums_u64, products_u64},
        [MLS_FLOAT16] = {run_half, run_half},     [MLS_BFLOAT16] = {run_half, run_half},
    };
    runs[c->kernel->dtype][c->kernel->is_product](c, y, x);
}

typedef struct work {
    const cumsum_kernel *kernel;
    int64_t n, inner;
    const char *x;
    char *y;
} work;

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const cumsum_kernel *k = w->kernel;
    const int64_t size = (int64_t) mls_dtype_size((mls_dtype) k->dtype);
    const int64_t first = k->is_reverse ? (w->n - 1) * w->inner : 0;
    for (int64_t i = begin; i < end;) {
        const int64_t outer = i / w->inner, column = i % w->inner;
        const int64_t left = w->inner - column;
        const columns c = {k, w->n, k->is_reverse ? -w->inner : w->inner,
                           left < end - i ? left : end - i};
        const int64_t at = (outer * w->n * w->inner + first + column) * size;
        run_columns(&c, w->y + at, w->x + at);
        i += c.count;
    }
    return MLS_OK;
}

static int64_t span(const int64_t *dims, int from, int to)
{
    int64_t count = 1;
    for (int i = from; i < to; i++)
        count *= dims[i];
    return count;
}

static mls_status cumsum_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const cumsum_kernel *k = (const cumsum_kernel *) kernel;
    const int64_t given = k->axis_dtype == MLS_INT64 ? *(const int64_t *) call->buffers[1]
                                                     : *(const int32_t *) call->buffers[1];
    int axis;
    if (!mls__shape_axis(given, k->rank, &axis))
        return mls__cpu_run_error(kernel, MLS_EINVAL, "axis %" PRId64 " is outside [%d, %d]", given,
                                  -k->rank, k->rank - 1);
    work w = {k, k->dims[axis], span(k->dims, axis + 1, k->rank), call->buffers[0],
              call->buffers[2]};
    const int64_t count = span(k->dims, 0, axis) * w.inner;
    if (!count || !w.n)
        return MLS_OK;
    return mls__cpu_ranges(call, k->threads, count, GRAIN / w.n + 1, run_range, &w);
}

static mls_status cumsum_reshape(mls_kernel *kernel, const mls_op *op)
{
    cumsum_kernel *k = (cumsum_kernel *) kernel;
    k->rank = op->inputs[0].rank;
    memcpy(k->dims, op->inputs[0].dims, sizeof k->dims);
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    cumsum_kernel *k;
    const mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "cumsum", cumsum_run, &k);
    if (status)
        return status;
    k->base.base.reshape = cumsum_reshape;
    k->dtype = op->inputs[0].dtype;
    k->axis_dtype = op->inputs[1].dtype;
    k->is_product = strcmp(op->type, "CumProd") == 0;
    k->is_exclusive = mls__op_int(op, "exclusive", 0) != 0;
    k->is_reverse = mls__op_int(op, "reverse", 0) != 0;
    k->threads = op->threads;
    if (mls__is_half(k->dtype))
        k->half = mls__half_of(cpu, k->dtype);
    *ret_kernel = &k->base.base;
    return cumsum_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_cumsum = {
    {"", "CumSum", create, 0},
    {"", "CumProd", create, 0},
    {.type = NULL},
};
