/* SPDX-License-Identifier: Apache-2.0 */
/* Where: three inputs that broadcast together. Elements only move, so their size is enough. */
#include "backend/cpu/ops/broadcast.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ranges.h"

#include "backend/cpu/kernels/kernels.h"

/* Fewer elements are not worth a second thread. */
#define GRAIN 32768

/* y[i] = condition[i * steps[0]] ? a[i * steps[1]] : b[i * steps[2]] */
typedef void (*select_fn)(void *y, const uint8_t *condition, const void *a, const void *b,
                          const int64_t steps[3], int64_t n);

typedef struct where_kernel {
    mls__cpu_kernel base;
    select_fn select; /* NULL: float32, which has a vector kernel */
    uint32_t threads;
    uint8_t size; /* bytes of an element */
    mls__broadcast plan;
} where_kernel;

#define SELECT_LOOP(name, T)                                                                       \
    static void name(void *y, const uint8_t *condition, const void *a, const void *b,              \
                     const int64_t steps[3], int64_t n)                                            \
    {                                                                                              \
        T *out = y;                                                                                \
        const T *p = a, *q = b;                                                                    \
        for (int64_t i = 0; i < n; i++)                                                            \
            out[i] = condition[i * steps[0]] ? p[i * steps[1]] : q[i * steps[2]];                  \
    }

SELECT_LOOP(select_8, uint8_t)
SELECT_LOOP(select_16, uint16_t)
SELECT_LOOP(select_32, uint32_t)
SELECT_LOOP(select_64, uint64_t)
SELECT_LOOP(select_string, mls_string)

static select_fn find_select(int32_t dtype, size_t size)
{
    if (dtype == MLS_FLOAT32)
        return NULL;
    if (dtype == MLS_STRING)
        return select_string;
    return size == 1 ? select_8 : size == 2 ? select_16 : size == 4 ? select_32 : select_64;
}

static void run_select(const where_kernel *k, void *y, const void *condition, const void *a,
                       const void *b, const int64_t *steps, int64_t n)
{
    if (k->select)
        k->select(y, condition, a, b, steps, n);
    else
        k->base.cpu->kernels->elementwise->where(y, condition, steps[0], a, steps[1], b, steps[2],
                                                 n);
}

static mls_status where_tile(const mls__cpu_kernel *base, void *y, const void *const *x,
                             const int64_t *steps, int64_t n)
{
    run_select((const where_kernel *) base, y, x[0], x[1], x[2], steps, n);
    return MLS_OK;
}

typedef struct work {
    const where_kernel *kernel;
    char *y;
    const uint8_t *condition;
    const char *a, *b;
} work;

static mls_status run_segment(void *arg, int64_t y, const int64_t *x, int64_t n)
{
    const work *w = arg;
    const where_kernel *k = w->kernel;
    run_select(k, w->y + y * k->size, w->condition + x[0], w->a + x[1] * k->size,
               w->b + x[2] * k->size, k->plan.steps, n);
    return MLS_OK;
}

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    return mls__broadcast_walk(&w->kernel->plan, begin, end, run_segment, arg);
}

static mls_status where_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const where_kernel *k = (const where_kernel *) base;
    void *const *buffers = call->buffers;
    if (k->plan.loops || (k->threads > 1 && k->plan.count > GRAIN)) {
        work w = {k, buffers[3], buffers[0], buffers[1], buffers[2]};
        return mls__cpu_ranges(call, k->threads, k->plan.count, GRAIN, run_range, &w);
    }
    if (k->plan.count)
        run_select(k, buffers[3], buffers[0], buffers[1], buffers[2], k->plan.steps, k->plan.count);
    return MLS_OK;
}

static mls_status where_reshape(mls_kernel *base, const mls_op *op)
{
    where_kernel *k = (where_kernel *) base;
    mls__broadcast_plan(&k->plan, &op->outputs[0], op->inputs, 3);
    return MLS_OK;
}

static mls_status where_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const int32_t dtype = op->inputs[1].dtype;
    where_kernel *k;
    const mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "where", where_run, &k);
    if (status)
        return status;
    k->base.base.reshape = where_reshape;
    k->base.tile = where_tile;
    k->size = (uint8_t) mls_dtype_size((mls_dtype) dtype);
    k->select = find_select(dtype, k->size);
    k->threads = op->threads;
    *ret_kernel = &k->base.base;
    return where_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_where = {
    {"", "Where", where_create, MLS__CPU_IN_PLACE},
    {.type = NULL},
};
