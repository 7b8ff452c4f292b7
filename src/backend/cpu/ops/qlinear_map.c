/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops that give each element a byte by the byte it is: QLinearSigmoid, QLinearLeakyRelu, and
 * QLinearConcat, which brings its parts to one scale. All 256 bytes are worked out first.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/qlinear.h"
#include "backend/cpu/ops/ranges.h"

#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 65536

/* table[byte of x] is a byte of y: of activation(x), NULL for x itself. */
static void fill_table(const mls__cpu *cpu, const mls_kernel_call *call,
                       const mls__qlinear_place *x, const mls__qlinear_place *y,
                       mls__unary_fn activation, const float *activation_params, uint8_t *ret_table)
{
    uint8_t codes[MLS__QLINEAR_CODES];
    float values[MLS__QLINEAR_CODES];
    const mls__quant_params x_params = mls__qlinear_params(x, call);
    const mls__quant_params y_params = mls__qlinear_params(y, call);
    for (int i = 0; i < MLS__QLINEAR_CODES; i++)
        codes[i] = (uint8_t) i;
    mls__qlinear_reader(cpu, x->is_signed)(values, codes, MLS__QLINEAR_CODES, &x_params);
    if (activation)
        activation(values, values, MLS__QLINEAR_CODES, activation_params);
    mls__qlinear_writer(cpu, y->is_signed)(ret_table, values, MLS__QLINEAR_CODES, &y_params);
}

typedef struct work {
    const uint8_t *table, *x;
    uint8_t *y;
} work;

static mls_status map_range(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    for (int64_t i = begin; i < end; i++)
        w->y[i] = w->table[w->x[i]];
    return MLS_OK;
}

/* --- one input ------------------------------------------------------------------------------- */

typedef struct map_kernel {
    mls__cpu_kernel base;
    mls__qlinear_place x, y;
    size_t output; /* its buffer */
    mls__unary_fn activation;
    float alpha;
    int64_t count;
    uint32_t threads;
} map_kernel;

static mls_status map_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const map_kernel *k = (const map_kernel *) base;
    const float params[] = {k->alpha, 0};
    uint8_t table[MLS__QLINEAR_CODES];
    fill_table(k->base.cpu, call, &k->x, &k->y, k->activation, params, table);
    work w = {table, call->buffers[0], call->buffers[k->output]};
    return mls__cpu_ranges(call, k->threads, k->count, GRAIN, map_range, &w);
}

static mls_status map_reshape(mls_kernel *base, const mls_op *op)
{
    ((map_kernel *) base)->count = mls__arg_count(&op->inputs[0]);
    return MLS_OK;
}

static mls_status map_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const bool is_sigmoid = strcmp(op->type, "QLinearSigmoid") == 0;
    map_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "qlinear_map", map_run, &k);
    if (status)
        return status;
    k->base.base.reshape = map_reshape;
    k->x = mls__qlinear_place_of(op, 1, 2, op->inputs[0].dtype);
    k->y = mls__qlinear_place_of(op, 3, 4, op->inputs[0].dtype);
    k->output = op->input_count;
    k->threads = op->threads;
    k->alpha = mls__op_float(op, "alpha", 0.01f);
    k->activation =
        cpu->kernels->elementwise->unary[is_sigmoid ? MLS__UNARY_SIGMOID : MLS__UNARY_LEAKY_RELU];
    *ret_kernel = &k->base.base;
    return map_reshape(*ret_kernel, op);
}

/* --- parts ----------------------------------------------------------------------------------- */

typedef struct part {
    mls__qlinear_place x;
    int64_t run, offset; /* bytes at and behind the axis, and where they go in those of y */
} part;

typedef struct concat_kernel {
    mls__cpu_kernel base;
    mls__qlinear_place y;
    int axis;
    int64_t rows, pitch; /* of y, whose rows are what is at and behind the axis */
    size_t output, part_count;
    part parts[];
} concat_kernel;

static void run_part(const concat_kernel *k, const mls_kernel_call *call, const part *p,
                     const uint8_t *x, uint8_t *y)
{
    uint8_t table[MLS__QLINEAR_CODES];
    fill_table(k->base.cpu, call, &p->x, &k->y, NULL, NULL, table);
    for (int64_t row = 0; row < k->rows; row++) {
        work w = {table, x + row * p->run, y + row * k->pitch + p->offset};
        map_range(&w, 0, p->run);
    }
}

static mls_status concat_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const concat_kernel *k = (const concat_kernel *) base;
    for (size_t i = 0; i < k->part_count; i++)
        run_part(k, call, &k->parts[i], call->buffers[2 + 3 * i], call->buffers[k->output]);
    return MLS_OK;
}

static mls_status concat_reshape(mls_kernel *base, const mls_op *op)
{
    concat_kernel *k = (concat_kernel *) base;
    const mls_arg *y = &op->outputs[0];
    int64_t offset = 0;
    k->rows = mls__arg_span(y, 0, k->axis);
    k->pitch = mls__arg_span(y, k->axis, y->rank);
    for (size_t i = 0; i < k->part_count; i++) {
        const mls_arg *x = &op->inputs[2 + 3 * i];
        k->parts[i].run = mls__arg_span(x, k->axis, x->rank);
        k->parts[i].offset = offset;
        offset += k->parts[i].run;
    }
    return MLS_OK;
}

static mls_status concat_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const size_t parts = (op->input_count - 2) / 3;
    size_t size;
    int axis;
    mls_status status = mls__op_axis(op, mls__op_int(op, "axis", 0), op->inputs[2].rank, &axis);
    if (status)
        return status;
    if (!mls__mul_size(parts, sizeof(part), &size) ||
        !mls__add_size(size, sizeof(concat_kernel), &size))
        return mls__error_nomem(SIZE_MAX);
    concat_kernel *k;
    status = mls__cpu_kernel_create(cpu, op, size, "qlinear_concat", concat_run, &k);
    if (status)
        return status;
    k->base.base.reshape = concat_reshape;
    k->y = mls__qlinear_place_of(op, 0, 1, op->inputs[1].dtype);
    k->axis = axis;
    k->output = op->input_count;
    k->part_count = parts;
    for (size_t i = 0; i < parts; i++)
        k->parts[i].x =
            mls__qlinear_place_of(op, 3 + 3 * i, 4 + 3 * i, op->inputs[2 + 3 * i].dtype);
    *ret_kernel = &k->base.base;
    return concat_reshape(*ret_kernel, op);
}

mls__cpu_op_table mls__cpu_ops_qlinear_map = {
    {"com.microsoft", "QLinearSigmoid", map_create, MLS__CPU_IN_PLACE},
    {"com.microsoft", "QLinearLeakyRelu", map_create, MLS__CPU_IN_PLACE},
    {"com.microsoft", "QLinearConcat", concat_create, 0},
    {.type = NULL},
};
