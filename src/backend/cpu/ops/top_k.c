/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TopK: a heap of the k best so far, whose root is the worst of them. Of equal elements the one
 * with the lower index goes first; a NaN is larger than any number. The results are in order
 * also where the op does not ask for it.
 */
#include "backend/cpu/cpu.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/order_key.h"
#include "base/alloc.h"
#include "op/reduction.h"

#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 32768

typedef struct top_k_kernel {
    mls__cpu_kernel base;
    mls__order_keys_fn keys;
    uint64_t flip;    /* the best key is the smallest one of key ^ flip */
    size_t size;      /* of an element */
    size_t outputs;   /* 1 or 2 */
    uint32_t threads; /* each has a slot of the workspace: keys, then the heap */
    uint64_t slot_bytes, heap_offset;
    int64_t outer, n, inner, k;
} top_k_kernel;

/* Whether element a goes before element b. */
static bool goes_before(const uint64_t *keys, int64_t a, int64_t b)
{
    return keys[a] != keys[b] ? keys[a] < keys[b] : a < b;
}

/* Lets heap[at] sink until no child goes behind it. */
static void sink(const uint64_t *keys, int64_t *heap, int64_t count, int64_t at)
{
    const int64_t element = heap[at];
    for (int64_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && goes_before(keys, heap[child], heap[child + 1]))
            child++;
        if (!goes_before(keys, element, heap[child]))
            break;
        heap[at] = heap[child];
    }
    heap[at] = element;
}

/* The k best of n elements, in order. */
static void select_best(const uint64_t *keys, int64_t n, int64_t k, int64_t *heap)
{
    for (int64_t i = 0; i < k; i++)
        heap[i] = i;
    for (int64_t i = k / 2; i-- > 0;)
        sink(keys, heap, k, i);
    for (int64_t i = k; i < n; i++) {
        if (!goes_before(keys, i, heap[0]))
            continue;
        heap[0] = i;
        sink(keys, heap, k, 0);
    }
    for (int64_t last = k - 1; last > 0; last--) {
        const int64_t worst = heap[0];
        heap[0] = heap[last];
        sink(keys, heap, last, 0);
        heap[last] = worst;
    }
}

/* Elements along the axis of one slice, from x on, to places along it from `y` on. */
static void run_slice(const top_k_kernel *t, char *slot, const char *x, char *values,
                      int64_t *indices)
{
    uint64_t *keys = (uint64_t *) (void *) slot;
    int64_t *heap = (int64_t *) (void *) (slot + t->heap_offset);
    t->keys(keys, x, t->inner, t->n);
    for (int64_t i = 0; i < t->n; i++)
        keys[i] ^= t->flip;
    select_best(keys, t->n, t->k, heap);
    for (int64_t i = 0; i < t->k; i++) {
        const size_t at = (size_t) (i * t->inner);
        memcpy(values + at * t->size, x + (size_t) (heap[i] * t->inner) * t->size, t->size);
        if (indices)
            indices[at] = heap[i];
    }
}

typedef struct work {
    const top_k_kernel *kernel;
    const mls_kernel_call *call;
    int64_t parts;
} work;

static void run_part(void *arg, size_t part)
{
    const work *w = arg;
    const top_k_kernel *t = w->kernel;
    void *const *buffers = w->call->buffers;
    const int64_t slices = t->outer * t->inner, index = (int64_t) part;
    const int64_t begin = slices / w->parts * index + slices % w->parts * index / w->parts;
    const int64_t end =
        slices / w->parts * (index + 1) + slices % w->parts * (index + 1) / w->parts;
    int64_t *indices = t->outputs > 1 ? buffers[3] : NULL;
    for (int64_t i = begin; i < end; i++) {
        const int64_t outer = i / t->inner, column = i % t->inner;
        const size_t from = (size_t) (outer * t->n * t->inner + column);
        const size_t to = (size_t) (outer * t->k * t->inner + column);
        run_slice(t, (char *) w->call->workspace + part * t->slot_bytes,
                  (const char *) buffers[0] + from * t->size, (char *) buffers[2] + to * t->size,
                  indices ? indices + to : NULL);
    }
}

static mls_status top_k_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const top_k_kernel *t = (const top_k_kernel *) kernel;
    const int64_t slices = t->outer * t->inner;
    if (!t->k || !slices)
        return MLS_OK;
    work w = {t, call, 1};
    if (t->threads > 1 && slices > 1 && t->n > GRAIN / slices) {
        w.parts = t->threads;
        call->parallel_for(call->executor, t->threads, run_part, &w);
    } else {
        run_part(&w, 0);
    }
    return MLS_OK;
}

static mls_status top_k_reshape(mls_kernel *kernel, const mls_op *op)
{
    top_k_kernel *t = (top_k_kernel *) kernel;
    const mls_arg *x = &op->inputs[0];
    int axis;
    const mls_status status = mls__op_top_k(op, &axis, &t->k);
    if (status)
        return status;
    t->outer = mls__arg_span(x, 0, axis);
    t->n = x->dims[axis];
    t->inner = mls__arg_span(x, axis + 1, x->rank);
    return MLS_OK;
}

/* A later k may be larger, but never than the axis. */
static mls_status plan_workspace(top_k_kernel *t, const mls_op *op)
{
    size_t keys, all;
    if (!mls__mul_size((size_t) t->n, sizeof(uint64_t), &keys) || !mls__align_size(keys, &keys) ||
        !mls__mul_size(keys, 2, &all) || !mls__mul_size(all, t->threads, &all))
        return mls__op_error(op, MLS_ESHAPE, "input 0 is larger than memory can be");
    t->heap_offset = keys;
    t->slot_bytes = 2 * keys;
    t->base.base.workspace_bytes = all;
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const int32_t dtype = op->inputs[0].dtype;
    const mls__order_keys_fn keys = mls__order_keys(dtype);
    top_k_kernel *t;
    if (!keys)
        return mls__cpu_dtype_error(op, 0);
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *t, "top_k", top_k_run, &t);
    if (status)
        return status;
    mls_kernel *kernel = &t->base.base;
    kernel->reshape = top_k_reshape;
    t->keys = keys;
    t->flip = mls__op_int(op, "largest", 1) ? UINT64_MAX : 0;
    t->size = mls_dtype_size((mls_dtype) dtype);
    t->outputs = op->output_count;
    t->threads = op->threads;
    status = top_k_reshape(kernel, op);
    if (!status)
        status = plan_workspace(t, op);
    if (status) {
        kernel->free(kernel);
        return status;
    }
    *ret_kernel = kernel;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_top_k = {
    {"", "TopK", create, 0},
    {.type = NULL},
};
