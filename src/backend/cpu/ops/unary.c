/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of one input, element by element, and the attributes that some of them take. */
#include "backend/cpu/ops/convert.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ranges.h"
#include "backend/cpu/ops/unary_loops.h"

#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 16384

/* An attribute that is a parameter of mls__unary_op. */
typedef struct parameter {
    const char *name;
    float fallback;
} parameter;

static const struct op_row {
    const char *type;
    mls__unary_op op;
    parameter a, b;
} op_rows[] = {
    {"Neg", MLS__UNARY_NEG, {0}, {0}},
    {"Abs", MLS__UNARY_ABS, {0}, {0}},
    {"Sqrt", MLS__UNARY_SQRT, {0}, {0}},
    {"Reciprocal", MLS__UNARY_RECIPROCAL, {0}, {0}},
    {"Floor", MLS__UNARY_FLOOR, {0}, {0}},
    {"Ceil", MLS__UNARY_CEIL, {0}, {0}},
    {"Round", MLS__UNARY_ROUND, {0}, {0}},
    {"Sign", MLS__UNARY_SIGN, {0}, {0}},
    {"Exp", MLS__UNARY_EXP, {0}, {0}},
    {"Log", MLS__UNARY_LOG, {0}, {0}},
    {"Tanh", MLS__UNARY_TANH, {0}, {0}},
    {"Sigmoid", MLS__UNARY_SIGMOID, {0}, {0}},
    {"Erf", MLS__UNARY_ERF, {0}, {0}},
    {"Sin", MLS__UNARY_SIN, {0}, {0}},
    {"Cos", MLS__UNARY_COS, {0}, {0}},
    {"Tan", MLS__UNARY_TAN, {0}, {0}},
    {"Asin", MLS__UNARY_ASIN, {0}, {0}},
    {"Acos", MLS__UNARY_ACOS, {0}, {0}},
    {"Atan", MLS__UNARY_ATAN, {0}, {0}},
    {"Sinh", MLS__UNARY_SINH, {0}, {0}},
    {"Cosh", MLS__UNARY_COSH, {0}, {0}},
    {"Asinh", MLS__UNARY_ASINH, {0}, {0}},
    {"Acosh", MLS__UNARY_ACOSH, {0}, {0}},
    {"Atanh", MLS__UNARY_ATANH, {0}, {0}},
    {"Relu", MLS__UNARY_RELU, {0}, {0}},
    {"LeakyRelu", MLS__UNARY_LEAKY_RELU, {"alpha", 0.01f}, {0}},
    {"ThresholdedRelu", MLS__UNARY_THRESHOLDED_RELU, {"alpha", 1.0f}, {0}},
    {"Elu", MLS__UNARY_ELU, {"alpha", 1.0f}, {0}},
    {"Selu",
     MLS__UNARY_SELU,
     {"alpha", 1.67326319217681884765625f},
     {"gamma", 1.05070102214813232421875f}},
    {"Celu", MLS__UNARY_CELU, {"alpha", 1.0f}, {0}},
    {"HardSigmoid", MLS__UNARY_HARD_SIGMOID, {"alpha", 0.2f}, {"beta", 0.5f}},
    {"HardSwish", MLS__UNARY_HARD_SWISH, {0}, {0}},
    {"Softplus", MLS__UNARY_SOFTPLUS, {0}, {0}},
    {"Shrink", MLS__UNARY_SHRINK, {"lambd", 0.5f}, {"bias", 0.0f}},
    {"Softsign", MLS__UNARY_SOFTSIGN, {0}, {0}},
    {"Swish", MLS__UNARY_SWISH, {"alpha", 1.0f}, {0}},
    {"Mish", MLS__UNARY_MISH, {0}, {0}},
    {"Gelu", MLS__UNARY_GELU, {0}, {0}},
};

static const struct op_row *find_row(const char *type)
{
    for (size_t i = 0; i < sizeof op_rows / sizeof op_rows[0]; i++)
        if (strcmp(op_rows[i].type, type) == 0)
            return &op_rows[i];
    return NULL;
}

typedef struct unary_kernel {
    mls__cpu_kernel base;
    void (*run)(const struct unary_kernel *kernel, void *y, const void *x, int64_t n);
    mls__unary_fn unary; /* these two: what `run` calls */
    mls__loop1 loop;
    mls__half half;
    int32_t dtype;
    float params[2];
    int64_t count;
    uint32_t threads;
    uint8_t size; /* bytes of an element */
} unary_kernel;

/* --- runs ------------------------------------------------------------------------------------ */

static void run_unary(const unary_kernel *k, void *y, const void *x, int64_t n)
{
    k->unary(y, x, n, k->params);
}

static void run_loop(const unary_kernel *k, void *y, const void *x, int64_t n)
{
    k->loop(y, x, n, k->params);
}

static void run_half(const unary_kernel *k, void *y, const void *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += MLS__BLOCK) {
        const int64_t m = n - i < MLS__BLOCK ? n - i : MLS__BLOCK;
        float block[MLS__BLOCK];
        k->half.to_f32(block, (const uint16_t *) x + i, m);
        k->unary(block, block, m, k->params);
        k->half.from_f32((uint16_t *) y + i, block, m);
    }
}

/* Shrink of integers, whose bias need not be one: in float64, converted back as Cast would. */
static void run_shrink(const unary_kernel *k, void *y, const void *x, int64_t n)
{
    static const mls__cast_rules rules;
    const mls__loop1 shrink = mls__unary_loop(MLS__UNARY_SHRINK, MLS_FLOAT64);
    const mls__wide_kind kind = mls__wide_kind_of(k->dtype);
    for (int64_t i = 0; i < n; i += MLS__BLOCK) {
        const int64_t m = n - i < MLS__BLOCK ? n - i : MLS__BLOCK;
        mls__wide wide;
        mls__widen(k->dtype, &wide, (const char *) x + i * k->size, m);
        for (int64_t j = 0; j < m; j++)
            wide.f[j] = kind == MLS__WIDE_INT ? (double) wide.i[j] : (double) wide.u[j];
        shrink(wide.f, wide.f, m, k->params);
        mls__narrow(k->dtype, MLS__WIDE_FLOAT, &wide, (char *) y + i * k->size, m, &rules);
    }
}

/* --- the kernel ------------------------------------------------------------------------------ */

typedef struct work {
    const unary_kernel *kernel;
    char *y;
    const char *x;
} work;

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const unary_kernel *k = w->kernel;
    k->run(k, w->y + begin * k->size, w->x + begin * k->size, end - begin);
    return MLS_OK;
}

static mls_status unary_tile(const mls__cpu_kernel *base, void *y, const void *const *x,
                             const int64_t *steps, int64_t n)
{
    const unary_kernel *k = (const unary_kernel *) base;
    (void) steps;
    k->run(k, y, x[0], n);
    return MLS_OK;
}

static mls_status unary_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const unary_kernel *k = (const unary_kernel *) base;
    if (k->threads > 1 && k->count > GRAIN) {
        work w = {k, call->buffers[1], call->buffers[0]};
        return mls__cpu_ranges(call, k->threads, k->count, GRAIN, run_range, &w);
    }
    if (k->count)
        k->run(k, call->buffers[1], call->buffers[0], k->count);
    return MLS_OK;
}

static mls_status unary_reshape(mls_kernel *base, const mls_op *op)
{
    unary_kernel *k = (unary_kernel *) base;
    k->count = mls__arg_count(&op->inputs[0]);
    return MLS_OK;
}

static void choose_run(unary_kernel *k, mls__unary_op op, int32_t dtype)
{
    const mls__elementwise_kernels *kernels = k->base.cpu->kernels->elementwise;
    if (dtype == MLS_FLOAT32 || mls__is_half(dtype)) {
        k->unary = kernels->unary[op];
        k->run = dtype == MLS_FLOAT32 ? run_unary : run_half;
        k->half = mls__half_of(k->base.cpu, dtype);
        k->base.unary = dtype == MLS_FLOAT32 ? k->unary : NULL;
        k->base.params = k->params;
    } else {
        k->loop = mls__unary_loop(op, dtype);
        k->run = k->loop ? run_loop : op == MLS__UNARY_SHRINK ? run_shrink : NULL;
    }
}

static void read_params(unary_kernel *k, const struct op_row *row, const mls_op *op)
{
    const parameter *parameters[] = {&row->a, &row->b};
    for (int i = 0; i < 2; i++)
        if (parameters[i]->name)
            k->params[i] = mls__op_float(op, parameters[i]->name, parameters[i]->fallback);
}

static mls_status new_kernel(const mls__cpu *cpu, const mls_op *op, unary_kernel **ret_kernel)
{
    unary_kernel *k;
    const mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "unary", unary_run, &k);
    if (status)
        return status;
    k->base.base.reshape = unary_reshape;
    k->base.tile = unary_tile;
    k->threads = op->threads;
    k->dtype = op->inputs[0].dtype;
    k->size = (uint8_t) mls_dtype_size((mls_dtype) op->inputs[0].dtype);
    unary_reshape(&k->base.base, op);
    *ret_kernel = k;
    return MLS_OK;
}

static mls_status unary_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const struct op_row *row = find_row(op->type);
    unary_kernel *k;
    const mls_status status = new_kernel(cpu, op, &k);
    if (status)
        return status;
    mls__unary_op which = row->op;
    if (which == MLS__UNARY_GELU && mls__op_string_is(op, "approximate", "tanh", "none"))
        which = MLS__UNARY_GELU_TANH;
    choose_run(k, which, op->inputs[0].dtype);
    read_params(k, row, op);
    if (!k->run) {
        k->base.base.free(&k->base.base);
        return mls__cpu_dtype_error(op, 0);
    }
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

static mls_status not_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    unary_kernel *k;
    const mls_status status = new_kernel(cpu, op, &k);
    if (status)
        return status;
    k->loop = mls__not_loop;
    k->run = run_loop;
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

static mls_status bitwise_not_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    unary_kernel *k;
    const mls_status status = new_kernel(cpu, op, &k);
    if (status)
        return status;
    k->loop = mls__bits_not_loop(k->size);
    k->run = run_loop;
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_unary = {
    {"", "Neg", unary_create, MLS__CPU_IN_PLACE},
    {"", "Abs", unary_create, MLS__CPU_IN_PLACE},
    {"", "Sqrt", unary_create, MLS__CPU_IN_PLACE},
    {"", "Reciprocal", unary_create, MLS__CPU_IN_PLACE},
    {"", "Floor", unary_create, MLS__CPU_IN_PLACE},
    {"", "Ceil", unary_create, MLS__CPU_IN_PLACE},
    {"", "Round", unary_create, MLS__CPU_IN_PLACE},
    {"", "Sign", unary_create, MLS__CPU_IN_PLACE},
    {"", "Exp", unary_create, MLS__CPU_IN_PLACE},
    {"", "Log", unary_create, MLS__CPU_IN_PLACE},
    {"", "Tanh", unary_create, MLS__CPU_IN_PLACE},
    {"", "Sigmoid", unary_create, MLS__CPU_IN_PLACE},
    {"", "Erf", unary_create, MLS__CPU_IN_PLACE},
    {"", "Sin", unary_create, MLS__CPU_IN_PLACE},
    {"", "Cos", unary_create, MLS__CPU_IN_PLACE},
    {"", "Tan", unary_create, MLS__CPU_IN_PLACE},
    {"", "Asin", unary_create, MLS__CPU_IN_PLACE},
    {"", "Acos", unary_create, MLS__CPU_IN_PLACE},
    {"", "Atan", unary_create, MLS__CPU_IN_PLACE},
    {"", "Sinh", unary_create, MLS__CPU_IN_PLACE},
    {"", "Cosh", unary_create, MLS__CPU_IN_PLACE},
    {"", "Asinh", unary_create, MLS__CPU_IN_PLACE},
    {"", "Acosh", unary_create, MLS__CPU_IN_PLACE},
    {"", "Atanh", unary_create, MLS__CPU_IN_PLACE},
    {"", "Relu", unary_create, MLS__CPU_IN_PLACE},
    {"", "LeakyRelu", unary_create, MLS__CPU_IN_PLACE},
    {"", "ThresholdedRelu", unary_create, MLS__CPU_IN_PLACE},
    {"", "Elu", unary_create, MLS__CPU_IN_PLACE},
    {"", "Selu", unary_create, MLS__CPU_IN_PLACE},
    {"", "Celu", unary_create, MLS__CPU_IN_PLACE},
    {"", "HardSigmoid", unary_create, MLS__CPU_IN_PLACE},
    {"", "HardSwish", unary_create, MLS__CPU_IN_PLACE},
    {"", "Softplus", unary_create, MLS__CPU_IN_PLACE},
    {"", "Softsign", unary_create, MLS__CPU_IN_PLACE},
    {"", "Swish", unary_create, MLS__CPU_IN_PLACE},
    {"", "Mish", unary_create, MLS__CPU_IN_PLACE},
    {"", "Gelu", unary_create, MLS__CPU_IN_PLACE},
    {"", "Shrink", unary_create, MLS__CPU_IN_PLACE},
    {"", "Not", not_create, MLS__CPU_IN_PLACE},
    {"", "BitwiseNot", bitwise_not_create, MLS__CPU_IN_PLACE},
    {.type = NULL},
};
