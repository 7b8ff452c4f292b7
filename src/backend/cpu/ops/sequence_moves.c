/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops that move the steps of sequences by a number of each sequence: ReverseSequence by its
 * length, TensorScatter by where in a cache it goes on.
 */
#include "backend/cpu/ops/families.h"

#include "backend/cpu/ops/copy.h"
#include "backend/cpu/ops/ranges.h"
#include "op/indexing.h"

#include <inttypes.h>
#include <string.h>

/* Bytes that are worth a second thread. */
#define GRAIN 65536

/* --- ReverseSequence -------------------------------------------------------------------------- */

typedef struct reverse {
    mls__cpu_kernel base;
    bool is_time_first;
    uint32_t threads;
    int64_t size;                /* bytes of an element */
    int64_t first, second, step; /* dims; bytes of a step of a sequence */
} reverse;

typedef struct reverse_work {
    const reverse *kernel;
    const char *x;
    const int64_t *lengths;
    char *y;
} reverse_work;

/* Steps [begin, end) of all sequences, as they lie. */
static mls_status reverse_steps(void *arg, int64_t begin, int64_t end)
{
    const reverse_work *w = arg;
    const reverse *kernel = w->kernel;
    const int64_t second = kernel->second, step = kernel->step;
    for (int64_t i = begin; i < end; i++) {
        const int64_t row = i / second, column = i % second;
        const int64_t time = kernel->is_time_first ? row : column;
        const int64_t length = w->lengths[kernel->is_time_first ? column : row];
        const int64_t from = time < length ? length - 1 - time : time;
        const int64_t source = kernel->is_time_first ? from * second + column : row * second + from;
        memcpy(w->y + i * step, w->x + source * step, (size_t) step);
    }
    return MLS_OK;
}

static mls_status check_lengths(const reverse *kernel, const int64_t *lengths)
{
    const int64_t batch = kernel->is_time_first ? kernel->second : kernel->first;
    const int64_t time = kernel->is_time_first ? kernel->first : kernel->second;
    for (int64_t i = 0; i < batch; i++)
        if (lengths[i] < 0 || lengths[i] > time)
            return mls__cpu_run_error(&kernel->base.base, MLS_ERANGE,
                                      "length %" PRId64 " at position %" PRId64
                                      " of input 1 is outside [0, %" PRId64 "]",
                                      lengths[i], i, time);
    return MLS_OK;
}

static mls_status run_reverse(const mls_kernel *base, const mls_kernel_call *call)
{
    const reverse *kernel = (const reverse *) base;
    reverse_work w = {kernel, call->buffers[0], call->buffers[1], call->buffers[2]};
    const mls_status status = check_lengths(kernel, w.lengths);
    if (status || !kernel->step)
        return status;
    return mls__cpu_ranges(call, kernel->threads, kernel->first * kernel->second,
                           GRAIN / kernel->step + 1, reverse_steps, &w);
}

static mls_status plan_reverse(mls_kernel *base, const mls_op *op)
{
    reverse *kernel = (reverse *) base;
    const mls_arg *x = &op->inputs[0];
    kernel->first = x->dims[0];
    kernel->second = x->dims[1];
    kernel->step = mls__arg_span(x, 2, x->rank) * kernel->size;
    return MLS_OK;
}

static mls_status create_reverse(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    bool is_time_first;
    mls_status status = mls__op_time_first(op, &is_time_first);
    if (status)
        return status;
    reverse *kernel;
    status =
        mls__cpu_kernel_create(cpu, op, sizeof *kernel, "reverse_sequence", run_reverse, &kernel);
    if (status)
        return status;
    kernel->is_time_first = is_time_first;
    kernel->threads = op->threads;
    kernel->size = (int64_t) mls_dtype_size((mls_dtype) op->inputs[0].dtype);
    kernel->base.base.reshape = plan_reverse;
    *ret_kernel = &kernel->base.base;
    return plan_reverse(*ret_kernel, op);
}

/* --- TensorScatter ---------------------------------------------------------------------------- */

typedef struct scatter {
    mls__cpu_kernel base;
    mls__copy copy; /* of the cache */
    int axis;
    size_t y_index; /* of the call's buffers */
    bool is_circular, has_starts;
    int64_t batch, parts;          /* sequences, and the parts of each that hold all steps */
    int64_t longest, length, step; /* steps of the cache and the update; bytes of one */
} scatter;

static mls_status check_starts(const scatter *kernel, const int64_t *starts)
{
    for (int64_t i = 0; i < kernel->batch && !kernel->is_circular; i++)
        if (starts[i] < 0 || starts[i] > kernel->longest - kernel->length)
            return mls__cpu_run_error(&kernel->base.base, MLS_ERANGE,
                                      "index %" PRId64 " at position %" PRId64
                                      " of input 2 is outside [0, %" PRId64 "]",
                                      starts[i], i, kernel->longest - kernel->length);
    return MLS_OK;
}

/* The part of the cache that is at `y` goes on at `start`, in [0, longest). */
static void put_steps(const scatter *kernel, char *y, const char *update, int64_t start)
{
    const int64_t left = kernel->longest - start;
    const int64_t before = left < kernel->length ? left : kernel->length;
    memcpy(y + start * kernel->step, update, (size_t) (before * kernel->step));
    memcpy(y, update + before * kernel->step, (size_t) ((kernel->length - before) * kernel->step));
}

static mls_status run_scatter(const mls_kernel *base, const mls_kernel_call *call)
{
    const scatter *kernel = (const scatter *) base;
    const int64_t *starts = kernel->has_starts ? call->buffers[2] : NULL;
    const char *update = call->buffers[1];
    char *y = call->buffers[kernel->y_index];
    const mls_status status = starts ? check_starts(kernel, starts) : MLS_OK;
    if (status)
        return status;
    if (y != call->buffers[0])
        mls__copy_run(&kernel->copy, call, y, call->buffers[0]);
    if (!kernel->length || !kernel->step)
        return MLS_OK;
    for (int64_t i = 0; i < kernel->batch * kernel->parts; i++) {
        const int64_t asked = starts ? starts[i / kernel->parts] % kernel->longest : 0;
        put_steps(kernel, y + i * kernel->longest * kernel->step,
                  update + i * kernel->length * kernel->step,
                  asked < 0 ? asked + kernel->longest : asked);
    }
    return MLS_OK;
}

static mls_status plan_scatter(mls_kernel *base, const mls_op *op)
{
    scatter *kernel = (scatter *) base;
    const mls_arg *cache = &op->inputs[0];
    const size_t size = mls_dtype_size((mls_dtype) cache->dtype);
    kernel->batch = cache->dims[0];
    kernel->parts = mls__arg_span(cache, 1, kernel->axis);
    kernel->longest = cache->dims[kernel->axis];
    kernel->length = op->inputs[1].dims[kernel->axis];
    kernel->step = mls__arg_span(cache, kernel->axis + 1, cache->rank) * (int64_t) size;
    mls__copy_flat(&kernel->copy, size, mls__arg_count(cache), op->threads);
    return MLS_OK;
}

static mls_status create_scatter(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    int axis;
    bool is_circular;
    mls_status status = mls__op_cache_axis(op, &axis, &is_circular);
    if (status)
        return status;
    scatter *kernel;
    status =
        mls__cpu_kernel_create(cpu, op, sizeof *kernel, "tensor_scatter", run_scatter, &kernel);
    if (status)
        return status;
    kernel->axis = axis;
    kernel->y_index = op->input_count;
    kernel->is_circular = is_circular;
    kernel->has_starts = mls__op_input(op, 2) != NULL;
    kernel->base.base.reshape = plan_scatter;
    *ret_kernel = &kernel->base.base;
    return plan_scatter(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_sequence_moves = {
    {"", "ReverseSequence", create_reverse, 0},
    {"", "TensorScatter", create_scatter, MLS__CPU_IN_PLACE_OF_FIRST},
    {.type = NULL},
};
