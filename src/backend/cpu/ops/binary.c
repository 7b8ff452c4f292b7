/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops of two inputs that broadcast together: arithmetic, comparisons, logic. The kernel
 * knows how to do a run of one dtype; the loops around it are broadcast.h's.
 */
#include "backend/cpu/ops/binary.h"

#include "backend/cpu/ops/binary_loops.h"
#include "backend/cpu/ops/broadcast.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/ranges.h"

#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 32768

#define TILE_BYTES 1024

typedef enum op_kind { ARITHMETIC, COMPARISON, LOGIC, BITS } op_kind;

static const struct op_row {
    const char *type;
    op_kind kind;
    int op; /* mls__binary_op, mls__compare_op, mls__logic_op or mls__bits_op */
} op_rows[] = {
    {"Add", ARITHMETIC, MLS__BINARY_ADD},
    {"Sub", ARITHMETIC, MLS__BINARY_SUB},
    {"Mul", ARITHMETIC, MLS__BINARY_MUL},
    {"Div", ARITHMETIC, MLS__BINARY_DIV},
    {"PRelu", ARITHMETIC, MLS__BINARY_PRELU},
    {"Pow", ARITHMETIC, MLS__BINARY_POW},
    {"Sum", ARITHMETIC, MLS__BINARY_ADD},
    {"Min", ARITHMETIC, MLS__BINARY_MIN},
    {"Max", ARITHMETIC, MLS__BINARY_MAX},
    {"Equal", COMPARISON, MLS__COMPARE_EQUAL},
    {"Less", COMPARISON, MLS__COMPARE_LESS},
    {"LessOrEqual", COMPARISON, MLS__COMPARE_LESS_EQUAL},
    {"Greater", COMPARISON, MLS__COMPARE_GREATER},
    {"GreaterOrEqual", COMPARISON, MLS__COMPARE_GREATER_EQUAL},
    {"And", LOGIC, MLS__LOGIC_AND},
    {"Or", LOGIC, MLS__LOGIC_OR},
    {"Xor", LOGIC, MLS__LOGIC_XOR},
    {"Mod", BITS, MLS__BITS_MOD},
    {"BitShift", BITS, MLS__BITS_LEFT},
    {"BitwiseAnd", BITS, MLS__BITS_AND},
    {"BitwiseOr", BITS, MLS__BITS_OR},
    {"BitwiseXor", BITS, MLS__BITS_XOR},
};

static const struct op_row *find_row(const char *type)
{
    for (size_t i = 0; i < sizeof op_rows / sizeof op_rows[0]; i++)
        if (strcmp(op_rows[i].type, type) == 0)
            return &op_rows[i];
    return NULL;
}

typedef struct binary_kernel {
    mls__cpu_kernel base;
    /* A run of n elements. */
    mls_status (*run)(const struct binary_kernel *kernel, void *y, const void *a, const void *b,
                      const int64_t *steps, int64_t n);
    mls__binary_fn binary; /* these three: what `run` calls */
    mls__compare_fn compare;
    mls__loop2 loop;
    mls__half half;
    uint32_t threads;
    uint8_t x_size, y_size; /* bytes of an element */
    int8_t tiled;           /* the input for run_tiled(), or -1 */
    mls__broadcast plan;
} binary_kernel;

/* --- runs ------------------------------------------------------------------------------------ */

static mls_status run_binary(const binary_kernel *k, void *y, const void *a, const void *b,
                             const int64_t *steps, int64_t n)
{
    k->binary(y, a, steps[0], b, steps[1], n);
    return MLS_OK;
}

static mls_status run_compare(const binary_kernel *k, void *y, const void *a, const void *b,
                              const int64_t *steps, int64_t n)
{
    k->compare(y, a, steps[0], b, steps[1], n);
    return MLS_OK;
}

static mls_status run_loop(const binary_kernel *k, void *y, const void *a, const void *b,
                           const int64_t *steps, int64_t n)
{
    return k->loop(y, a, steps[0], b, steps[1], n);
}

/* The ops that are two, by an attribute. */
static mls__bits_op bits_op(const mls_op *op, const struct op_row *row)
{
    if (row->op == MLS__BITS_MOD && mls__op_int(op, "fmod", 0))
        return MLS__BITS_FMOD;
    if (row->op == MLS__BITS_LEFT && mls__op_string_is(op, "direction", "RIGHT", ""))
        return MLS__BITS_RIGHT;
    return (mls__bits_op) row->op;
}

/* `n` elements of a run from element `first` on, or the one of a scalar, as float32. */
static void widen(const binary_kernel *k, float *block, const void *x, int64_t step, int64_t first,
                  int64_t n)
{
    k->half.to_f32(block, (const uint16_t *) x + first * step, step ? n : 1);
}

static mls_status run_half(const binary_kernel *k, void *y, const void *a, const void *b,
                           const int64_t *steps, int64_t n)
{
    float p[MLS__BLOCK], q[MLS__BLOCK];
    for (int64_t i = 0; i < n; i += MLS__BLOCK) {
        const int64_t m = n - i < MLS__BLOCK ? n - i : MLS__BLOCK;
        float result[MLS__BLOCK];
        widen(k, p, a, steps[0], i, m);
        widen(k, q, b, steps[1], i, m);
        if (k->loop) /* remainders, which are exact and never fail */
            k->loop(result, p, steps[0], q, steps[1], m);
        else
            k->binary(result, p, steps[0], q, steps[1], m);
        k->half.from_f32((uint16_t *) y + i, result, m);
    }
    return MLS_OK;
}

static mls_status run_compare_half(const binary_kernel *k, void *y, const void *a, const void *b,
                                   const int64_t *steps, int64_t n)
{
    float p[MLS__BLOCK], q[MLS__BLOCK];
    for (int64_t i = 0; i < n; i += MLS__BLOCK) {
        const int64_t m = n - i < MLS__BLOCK ? n - i : MLS__BLOCK;
        widen(k, p, a, steps[0], i, m);
        widen(k, q, b, steps[1], i, m);
        k->compare((uint8_t *) y + i, p, steps[0], q, steps[1], m);
    }
    return MLS_OK;
}

/* --- the kernel ------------------------------------------------------------------------------ */

typedef struct work {
    const binary_kernel *kernel;
    char *y;
    const char *a, *b;
} work;

static mls_status run_segment(void *arg, int64_t y, const int64_t *x, int64_t n)
{
    const work *w = arg;
    const binary_kernel *k = w->kernel;
    return k->run(k, w->y + y * k->y_size, w->a + x[0] * k->x_size, w->b + x[1] * k->x_size,
                  k->plan.steps, n);
}

static mls_status run_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    return mls__broadcast_walk(&w->kernel->plan, begin, end, run_segment, arg);
}

/*
 * Elements [begin, end) of the output, for which one input has the same short row again and again:
 * it is repeated in memory first, and runs go over many rows at once.
 */
static mls_status run_period(work *w, const char *row, int64_t begin, int64_t end)
{
    const binary_kernel *k = w->kernel;
    char tile[TILE_BYTES];
    const size_t row_bytes = (size_t) k->plan.run * k->x_size;
    const char *other = k->tiled == 0 ? w->b : w->a;
    const int64_t rows = TILE_BYTES / (int64_t) row_bytes;
    for (int64_t i = 0; i < rows; i++)
        memcpy(tile + (size_t) i * row_bytes, row, row_bytes);

    const int64_t row_end = (begin + k->plan.run - 1) / k->plan.run * k->plan.run;
    mls_status status =
        mls__broadcast_walk(&k->plan, begin, row_end < end ? row_end : end, run_segment, w);
    for (begin = row_end; begin < end && !status; begin += rows * k->plan.run) {
        const int64_t n = end - begin < rows * k->plan.run ? end - begin : rows * k->plan.run;
        const char *x = other + begin * k->x_size;
        status = k->run(k, w->y + begin * k->y_size, k->tiled == 0 ? tile : x,
                        k->tiled == 0 ? x : tile, k->plan.steps, n);
    }
    return status;
}

/* Many short rows with one row that repeats (a bias of three), or with one after another. */
static mls_status run_tiled(void *arg, int64_t begin, int64_t end)
{
    work *w = arg;
    const binary_kernel *k = w->kernel;
    const char *rows = k->tiled == 0 ? w->a : w->b;
    const int64_t period = k->plan.run * k->plan.dims[k->plan.loops - 1];
    mls_status status = MLS_OK;
    for (int64_t next; begin < end && !status; begin = next) {
        const int64_t index = begin / period;
        next = (index + 1) * period < end ? (index + 1) * period : end;
        status = run_period(w, rows + index * k->plan.run * k->x_size, begin, next);
    }
    return status;
}

static mls_status run_loops(const binary_kernel *k, const mls_kernel_call *call)
{
    work w = {k, call->buffers[2], call->buffers[0], call->buffers[1]};
    return mls__cpu_ranges(call, k->threads, k->plan.count, GRAIN,
                           k->tiled >= 0 ? run_tiled : run_range, &w);
}

static mls_status binary_tile(const mls__cpu_kernel *base, void *y, const void *const *x,
                              const int64_t *steps, int64_t n)
{
    const binary_kernel *k = (const binary_kernel *) base;
    return k->run(k, y, x[0], x[1], steps, n);
}

static mls_status binary_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const binary_kernel *k = (const binary_kernel *) base;
    void *const *buffers = call->buffers;
    mls_status status = MLS_OK;
    if (k->plan.loops || (k->threads > 1 && k->plan.count > GRAIN))
        status = run_loops(k, call);
    else if (k->plan.count)
        status = k->run(k, buffers[2], buffers[0], buffers[1], k->plan.steps, k->plan.count);
    if (status)
        return mls__cpu_run_error(base, status, "%s", k->base.failure);
    return MLS_OK;
}

/*
 * The input that is worth repeating in memory, or -1. The last loop is of rows that the other one
 * has; a loop around it must be of both.
 */
static int8_t find_tiled(const binary_kernel *k)
{
    const mls__broadcast *plan = &k->plan;
    const int last = plan->loops - 1;
    const int64_t tile_rows = TILE_BYTES / ((int64_t) plan->run * k->x_size);
    if (last < 0 || last > 1 || !plan->steps[0] || !plan->steps[1] || tile_rows < 4 ||
        plan->dims[last] < 2 * tile_rows)
        return -1;
    if (last == 1 && (!plan->strides[0][0] || !plan->strides[0][1]))
        return -1;
    return plan->strides[last][0] == 0 ? 0 : 1;
}

static mls_status binary_reshape(mls_kernel *base, const mls_op *op)
{
    binary_kernel *k = (binary_kernel *) base;
    mls__broadcast_plan(&k->plan, &op->outputs[0], op->inputs, 2);
    k->tiled = find_tiled(k);
    return MLS_OK;
}

static void choose_float(binary_kernel *k, const struct op_row *row, int32_t dtype)
{
    const mls__elementwise_kernels *kernels = k->base.cpu->kernels->elementwise;
    const bool half = mls__is_half(dtype);
    if (half)
        k->half = mls__half_of(k->base.cpu, dtype);
    if (row->kind == BITS) {
        k->loop = mls__bits_loop(MLS__BITS_FMOD, dtype);
        k->run = half ? run_half : run_loop;
    } else if (row->kind == COMPARISON) {
        k->compare = kernels->compare[row->op];
        k->run = half ? run_compare_half : run_compare;
    } else {
        k->binary = kernels->binary[row->op];
        k->run = half ? run_half : run_binary;
        k->base.binary = half ? NULL : k->binary;
    }
}

static void choose_loop(binary_kernel *k, const struct op_row *row, const mls_op *op)
{
    const int32_t dtype = op->inputs[0].dtype;
    k->run = run_loop;
    if (row->kind == ARITHMETIC)
        k->loop = mls__binary_loop((mls__binary_op) row->op, dtype);
    else if (row->kind == COMPARISON)
        k->loop = mls__compare_loop((mls__compare_op) row->op, dtype);
    else if (row->kind == BITS)
        k->loop = mls__bits_loop(bits_op(op, row), dtype);
    else
        k->loop = mls__logic_loop((mls__logic_op) row->op);
}

mls_status mls__cpu_binary_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const struct op_row *row = find_row(op->type);
    const int32_t dtype = op->inputs[0].dtype;
    binary_kernel *k;
    const mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "binary", binary_run, &k);
    if (status)
        return status;
    if (row->kind != LOGIC && (dtype == MLS_FLOAT32 || mls__is_half(dtype)))
        choose_float(k, row, dtype);
    else
        choose_loop(k, row, op);
    if (k->run == run_loop && !k->loop) {
        k->base.base.free(&k->base.base);
        return mls__cpu_dtype_error(op, 0);
    }
    k->base.base.reshape = binary_reshape;
    k->base.tile = binary_tile;
    k->base.failure = "an integer is divided by zero";
    k->threads = op->threads;
    k->x_size = (uint8_t) mls_dtype_size((mls_dtype) dtype);
    k->y_size = (uint8_t) mls_dtype_size((mls_dtype) op->outputs[0].dtype);
    *ret_kernel = &k->base.base;
    return binary_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_binary = {
    {"", "Add", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "Sub", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "Mul", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "Div", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "PRelu", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "Equal", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "Less", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "LessOrEqual", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "Greater", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "GreaterOrEqual", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "And", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "Or", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "Xor", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "Mod", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "BitShift", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "BitwiseAnd", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "BitwiseOr", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {"", "BitwiseXor", mls__cpu_binary_create, MLS__CPU_IN_PLACE},
    {.type = NULL},
};
