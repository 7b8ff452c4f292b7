/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Min, Max, Sum and Mean of any number of inputs, taken in their order. Two, save for
 * Mean, are the binary kernel's. More are folded a block of the output at a time, which
 * stays in the first cache; 16-bit floats as float32, with one rounding at the end.
 */
#include "backend/cpu/ops/binary.h"
#include "backend/cpu/ops/binary_loops.h"
#include "backend/cpu/ops/broadcast.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/ranges.h"

#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 8192

typedef struct variadic_kernel {
    mls__cpu_kernel base;
    mls__binary_fn binary; /* of float32 and the 16-bit floats, */
    mls__loop2 loop;       /* of the others */
    mls__half half;
    bool is_half, is_mean;
    int32_t dtype;
    uint32_t threads;
    uint8_t size; /* bytes of an element */
    int64_t count;
    size_t inputs;
    mls__broadcast plans[]; /* of each input with the output */
} variadic_kernel;

/* A block of the output as it is folded: float32 for 16-bit floats, else of the dtype. */
typedef union block {
    float f32[MLS__BLOCK];
    double f64[MLS__BLOCK];
    char bytes[MLS__BLOCK * sizeof(double)];
} block;

typedef struct work {
    const variadic_kernel *kernel;
    void *const *buffers;
    /* For fold_segment: */
    block *result;
    int64_t first; /* element of the output at the start of the block */
    size_t input;
} work;

/* A run of the first input, to which the others are folded. */
static void copy_run(char *y, const char *x, size_t size, int64_t step, int64_t n)
{
    if (step)
        memcpy(y, x, (size_t) n * size);
    else
        for (int64_t i = 0; i < n; i++)
            memcpy(y + (size_t) i * size, x, size);
}

static void fold_f32(const work *w, float *y, const float *x, int64_t step, int64_t n)
{
    if (w->input)
        w->kernel->binary(y, y, 1, x, step, n);
    else
        copy_run((char *) y, (const char *) x, sizeof *y, step, n);
}

static void fold_half(const work *w, float *y, const uint16_t *x, int64_t step, int64_t n)
{
    float wide[MLS__BLOCK];
    w->kernel->half.to_f32(wide, x, step ? n : 1);
    fold_f32(w, y, wide, step, n);
}

static void fold_other(const work *w, char *y, const char *x, int64_t step, int64_t n)
{
    if (w->input)
        w->kernel->loop(y, y, 1, x, step, n);
    else
        copy_run(y, x, w->kernel->size, step, n);
}

/* Folds a run of the input into its place in the block. */
static mls_status fold_segment(void *arg, int64_t y, const int64_t *positions, int64_t n)
{
    const work *w = arg;
    const variadic_kernel *k = w->kernel;
    const int64_t at = y - w->first;
    const int64_t step = k->plans[w->input].steps[0];
    const char *x = (const char *) w->buffers[w->input] + positions[0] * k->size;
    if (k->is_half)
        fold_half(w, w->result->f32 + at, (const uint16_t *) (const void *) x, step, n);
    else if (k->dtype == MLS_FLOAT32)
        fold_f32(w, w->result->f32 + at, (const float *) (const void *) x, step, n);
    else
        fold_other(w, w->result->bytes + at * k->size, x, step, n);
    return MLS_OK;
}

static void divide(const variadic_kernel *k, block *result, int64_t n)
{
    const double count = (double) k->inputs;
    const float count_f32 = (float) k->inputs;
    const mls__elementwise_kernels *kernels = k->base.cpu->kernels->elementwise;
    if (k->dtype == MLS_FLOAT64)
        mls__binary_loop(MLS__BINARY_DIV, MLS_FLOAT64)(result, result, 1, &count, 0, n);
    else
        kernels->binary[MLS__BINARY_DIV](result->f32, result->f32, 1, &count_f32, 0, n);
}

static void store(const variadic_kernel *k, char *y, const block *result, int64_t n)
{
    if (k->is_half)
        k->half.from_f32((uint16_t *) (void *) y, result->f32, n);
    else
        memcpy(y, result, (size_t) n * k->size);
}

/* The output may share memory with an input: a block is stored when all are folded in. */
static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const variadic_kernel *k = ((const work *) arg)->kernel;
    work w = *(const work *) arg;
    block result;
    w.result = &result;
    for (w.first = begin; w.first < end; w.first += MLS__BLOCK) {
        const int64_t n = end - w.first < MLS__BLOCK ? end - w.first : MLS__BLOCK;
        for (w.input = 0; w.input < k->inputs; w.input++)
            mls__broadcast_walk(&k->plans[w.input], w.first, w.first + n, fold_segment, &w);
        if (k->is_mean)
            divide(k, &result, n);
        store(k, (char *) w.buffers[k->inputs] + w.first * k->size, &result, n);
    }
    return MLS_OK;
}

static mls_status variadic_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const variadic_kernel *k = (const variadic_kernel *) base;
    work w = {.kernel = k, .buffers = call->buffers};
    if (!k->count)
        return MLS_OK;
    return mls__cpu_ranges(call, k->threads, k->count, GRAIN, run_range, &w);
}

static mls_status variadic_reshape(mls_kernel *base, const mls_op *op)
{
    variadic_kernel *k = (variadic_kernel *) base;
    k->count = mls__arg_count(&op->outputs[0]);
    for (size_t i = 0; i < k->inputs; i++)
        mls__broadcast_plan(&k->plans[i], &op->outputs[0], &op->inputs[i], 1);
    return MLS_OK;
}

static mls__binary_op fold_of(const char *type)
{
    if (strcmp(type, "Min") == 0)
        return MLS__BINARY_MIN;
    return strcmp(type, "Max") == 0 ? MLS__BINARY_MAX : MLS__BINARY_ADD;
}

static void choose_fold(variadic_kernel *k, mls__binary_op op)
{
    k->is_half = mls__is_half(k->dtype);
    if (k->is_half)
        k->half = mls__half_of(k->base.cpu, k->dtype);
    if (k->is_half || k->dtype == MLS_FLOAT32)
        k->binary = k->base.cpu->kernels->elementwise->binary[op];
    else
        k->loop = mls__binary_loop(op, k->dtype);
}

static mls_status variadic_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const bool is_mean = strcmp(op->type, "Mean") == 0;
    variadic_kernel *k;
    if (op->input_count == 2 && !is_mean)
        return mls__cpu_binary_create(cpu, op, ret_kernel);
    const size_t size = sizeof *k + op->input_count * sizeof k->plans[0];
    const mls_status status = mls__cpu_kernel_create(cpu, op, size, "variadic", variadic_run, &k);
    if (status)
        return status;
    k->dtype = op->inputs[0].dtype;
    choose_fold(k, fold_of(op->type));
    if (!k->binary && !k->loop) {
        k->base.base.free(&k->base.base);
        return mls__cpu_dtype_error(op, 0);
    }
    k->base.base.reshape = variadic_reshape;
    k->is_mean = is_mean;
    k->inputs = op->input_count;
    k->size = (uint8_t) mls_dtype_size((mls_dtype) k->dtype);
    k->threads = op->threads;
    *ret_kernel = &k->base.base;
    return variadic_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_variadic = {
    {"", "Min", variadic_create, MLS__CPU_IN_PLACE},
    {"", "Max", variadic_create, MLS__CPU_IN_PLACE},
    {"", "Sum", variadic_create, MLS__CPU_IN_PLACE},
    {"", "Mean", variadic_create, MLS__CPU_IN_PLACE},
    {.type = NULL},
};
