/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ArgMax and ArgMin. Of equal elements the first one counts, or the last with select_last_index.
 * A NaN is what both look for, as in numpy.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/order_key.h"
#include "backend/cpu/ops/ranges.h"
#include "op/reduction.h"

#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 32768

typedef struct position_kernel {
    mls__cpu_kernel base;
    mls__order_keys_fn keys;
    uint64_t flip;  /* the key to look for is the largest one of (key + raise) ^ flip */
    uint64_t raise; /* for minima of floats: the key of NaN becomes 0, the smallest */
    bool takes_last;
    int64_t size; /* of an element */
    uint32_t threads;
    int64_t outer, n, inner;
} position_kernel;

static int64_t find(const position_kernel *k, const char *x)
{
    uint64_t keys[MLS__BLOCK], best = 0;
    int64_t found = 0;
    for (int64_t i = 0; i < k->n; i += MLS__BLOCK) {
        const int64_t count = k->n - i < MLS__BLOCK ? k->n - i : MLS__BLOCK;
        k->keys(keys, x + i * k->inner * k->size, k->inner, count);
        for (int64_t j = 0; j < count; j++) {
            const uint64_t key = (keys[j] + k->raise) ^ k->flip;
            if (key > best || (key == best && k->takes_last)) {
                best = key;
                found = i + j;
            }
        }
    }
    return found;
}

typedef struct work {
    const position_kernel *kernel;
    const char *x;
    int64_t *y;
} work;

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const position_kernel *k = w->kernel;
    for (int64_t i = begin; i < end; i++)
        w->y[i] = find(k, w->x + (i / k->inner * k->n * k->inner + i % k->inner) * k->size);
    return MLS_OK;
}

static mls_status position_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const position_kernel *k = (const position_kernel *) kernel;
    work w = {k, call->buffers[0], call->buffers[1]};
    return mls__cpu_ranges(call, k->threads, k->outer * k->inner, GRAIN / (k->n + 1) + 1, run_range,
                           &w);
}

static mls_status position_reshape(mls_kernel *kernel, const mls_op *op)
{
    position_kernel *k = (position_kernel *) kernel;
    const mls_arg *x = &op->inputs[0];
    int axis;
    const mls_status status = mls__op_attr_axis(op, 0, &axis);
    if (status)
        return status;
    k->outer = mls__arg_span(x, 0, axis);
    k->n = x->dims[axis];
    k->inner = mls__arg_span(x, axis + 1, x->rank);
    return MLS_OK;
}

static bool is_float(int32_t dtype)
{
    return mls__is_half(dtype) || dtype == MLS_FLOAT32 || dtype == MLS_FLOAT64;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const int32_t dtype = op->inputs[0].dtype;
    const bool is_min = strcmp(op->type, "ArgMin") == 0;
    const mls__order_keys_fn keys = mls__order_keys(dtype);
    position_kernel *k;
    if (!keys)
        return mls__cpu_dtype_error(op, 0);
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "position", position_run, &k);
    if (status)
        return status;
    k->base.base.reshape = position_reshape;
    k->keys = keys;
    k->flip = is_min ? UINT64_MAX : 0;
    k->raise = is_min && is_float(dtype);
    k->takes_last = mls__op_int(op, "select_last_index", 0) != 0;
    k->size = (int64_t) mls_dtype_size((mls_dtype) dtype);
    k->threads = op->threads;
    *ret_kernel = &k->base.base;
    return position_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_position = {
    {"", "ArgMax", create, 0},
    {"", "ArgMin", create, 0},
    {.type = NULL},
};
