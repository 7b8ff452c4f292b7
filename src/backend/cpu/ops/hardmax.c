/* SPDX-License-Identifier: Apache-2.0 */
/* Hardmax: 1 at the first largest element of a slice, 0 elsewhere. NaN is larger than all. */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/order_key.h"
#include "backend/cpu/ops/ranges.h"
#include "op/reduction.h"

/* Fewer elements are not worth a second thread. */
#define GRAIN 32768

typedef struct hardmax_kernel {
    mls__cpu_kernel base;
    mls__order_keys_fn keys;
    uint64_t one; /* an element */
    bool is_flat; /* all dimensions from the axis on are one */
    int64_t size; /* bytes of an element */
    uint32_t threads;
    int64_t outer, n, inner;
} hardmax_kernel;

static int64_t find_largest(const hardmax_kernel *k, const char *x)
{
    uint64_t keys[MLS__BLOCK], best = 0;
    int64_t found = 0;
    for (int64_t i = 0; i < k->n; i += MLS__BLOCK) {
        const int64_t count = k->n - i < MLS__BLOCK ? k->n - i : MLS__BLOCK;
        k->keys(keys, x + i * k->inner * k->size, k->inner, count);
        for (int64_t j = 0; j < count; j++)
            if (keys[j] > best) {
                best = keys[j];
                found = i + j;
            }
    }
    return found;
}

typedef struct work {
    const hardmax_kernel *kernel;
    const char *x;
    char *y;
} work;

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const hardmax_kernel *k = w->kernel;
    const int64_t step = k->inner * k->size;
    for (int64_t i = begin; i < end; i++) {
        const int64_t at = (i / k->inner * k->n * k->inner + i % k->inner) * k->size;
        const int64_t largest = find_largest(k, w->x + at);
        for (int64_t j = 0; j < k->n; j++)
            memset(w->y + at + j * step, 0, (size_t) k->size);
        memcpy(w->y + at + largest * step, &k->one, (size_t) k->size);
    }
    return MLS_OK;
}

static mls_status hardmax_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const hardmax_kernel *k = (const hardmax_kernel *) base;
    const int64_t slices = k->outer * k->inner;
    work w = {k, call->buffers[0], call->buffers[1]};
    if (!slices || !k->n)
        return MLS_OK;
    return mls__cpu_ranges(call, k->threads, slices, GRAIN / k->n + 1, run_range, &w);
}

static mls_status hardmax_reshape(mls_kernel *base, const mls_op *op)
{
    hardmax_kernel *k = (hardmax_kernel *) base;
    const mls_arg *x = &op->inputs[0];
    int axis;
    const mls_status status = mls__op_attr_axis(op, -1, &axis);
    if (status)
        return status;
    const int next = k->is_flat ? x->rank : axis + 1;
    k->outer = mls__arg_span(x, 0, axis);
    k->n = mls__arg_span(x, axis, next);
    k->inner = mls__arg_span(x, next, x->rank);
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const int32_t dtype = op->inputs[0].dtype;
    hardmax_kernel *k;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "hardmax", hardmax_run, &k);
    if (status)
        return status;
    k->base.base.reshape = hardmax_reshape;
    k->keys = mls__order_keys(dtype);
    mls__float_element(cpu, dtype, 1.0f, &k->one);
    k->is_flat = mls__op_int(op, "mls_flatten", 0) != 0;
    k->size = (int64_t) mls_dtype_size((mls_dtype) dtype);
    k->threads = op->threads;
    *ret_kernel = &k->base.base;
    return hardmax_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_hardmax = {
    {"", "Hardmax", create, MLS__CPU_IN_PLACE},
    {.type = NULL},
};
