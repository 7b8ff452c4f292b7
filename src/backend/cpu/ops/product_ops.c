/* SPDX-License-Identifier: Apache-2.0 */
/* Gemm, MatMul and their fused forms as products. */
#include "backend/cpu/ops/product.h"

#include "backend/cpu/ops/families.h"

#include <math.h>
#include <string.h>

/* --- shapes ---------------------------------------------------------------------------------- */

static void read_c(const mls_arg *c, mls__product_shape *shape)
{
    const int64_t last = c->rank ? c->dims[c->rank - 1] : 1;
    shape->c_step = last == 1 ? 0 : 1;
    shape->c_row = mls__arg_span(c, 0, c->rank - 1) == 1 ? 0 : last;
}

static void read_gemm(const mls__product *p, const mls_op *op, mls__product_shape *ret_shape)
{
    const mls_arg *a = &op->inputs[0], *b = &op->inputs[1];
    const int last = a->rank - 1;
    *ret_shape = (mls__product_shape){.count = 1, .b_count = 1};
    ret_shape->m = p->is_a_turned ? a->dims[1] : mls__arg_span(a, 0, last);
    ret_shape->k = a->dims[p->is_a_turned ? 0 : last];
    ret_shape->n = b->dims[p->is_b_turned ? 0 : 1];
    if (mls__op_input(op, 2))
        read_c(&op->inputs[2], ret_shape);
}

/* The step of an input's batch dimension that is the output's `axis` of `rank`; 0: broadcast. */
static int64_t batch_step(const mls_arg *arg, int rank, int axis)
{
    const int batch = arg->rank > 2 ? arg->rank - 2 : 0;
    const int own = axis - (rank - batch);
    if (own < 0 || arg->dims[own] == 1)
        return 0;
    return mls__arg_span(arg, own + 1, batch);
}

static void read_batches(const mls_arg *a, const mls_arg *b, const mls_arg *y,
                         mls__product_shape *shape)
{
    shape->rank = y->rank - (a->rank > 1) - (b->rank > 1);
    shape->count = mls__arg_span(y, 0, shape->rank);
    shape->b_count = mls__arg_span(b, 0, b->rank > 2 ? b->rank - 2 : 0);
    for (int i = 0; i < shape->rank; i++) {
        shape->dims[i] = y->dims[i];
        shape->a_steps[i] = batch_step(a, shape->rank, i);
        shape->b_steps[i] = batch_step(b, shape->rank, i);
    }
}

void mls__product_read_matmul(const mls_arg *a, const mls_arg *b, const mls_arg *y,
                              bool is_a_turned, mls__product_shape *ret_shape)
{
    *ret_shape = (mls__product_shape){.count = 1, .b_count = 1};
    ret_shape->k = a->dims[a->rank - 1];
    ret_shape->n = b->rank > 1 ? b->dims[b->rank - 1] : 1;
    const bool is_one = b->rank < 3 || mls__arg_span(b, 0, b->rank - 2) == 1;
    if (is_one && (!is_a_turned || a->rank < 3)) {
        ret_shape->m = mls__arg_span(a, 0, a->rank - 1);
        return;
    }
    ret_shape->m = a->rank > 1 ? a->dims[a->rank - 2] : 1;
    read_batches(a, b, y, ret_shape);
}

static bool is_gemm(const mls_op *op)
{
    return strcmp(op->type, "Gemm") == 0 || strcmp(op->type, "FusedGemm") == 0;
}

/* An input as it is multiplied: the last two dimensions turned, or not. */
static mls_arg turned_arg(const mls_arg *arg, bool is_turned)
{
    mls_arg turned = *arg;
    if (is_turned) {
        turned.dims[arg->rank - 2] = arg->dims[arg->rank - 1];
        turned.dims[arg->rank - 1] = arg->dims[arg->rank - 2];
    }
    return turned;
}

static void read_shape(mls__product *p, const mls_op *op)
{
    if (is_gemm(op)) {
        read_gemm(p, op, &p->shape);
    } else {
        const mls_arg a = turned_arg(&op->inputs[0], p->is_a_turned);
        const mls_arg b = turned_arg(&op->inputs[1], p->is_b_turned);
        mls__product_read_matmul(&a, &b, &op->outputs[0], p->is_a_turned, &p->shape);
    }
    mls__product_follow(p);
}

static mls_status product_reshape(mls_kernel *kernel, const mls_op *op)
{
    read_shape((mls__product *) kernel, op);
    return MLS_OK;
}

/* --- kernels --------------------------------------------------------------------------------- */

/* Integers are multiplied by whole numbers only. */
static mls_status check_factor(const mls_op *op, const char *name, float factor)
{
    if (factor == truncf(factor) && fabsf(factor) < 0x1p63f)
        return MLS_OK;
    return mls__op_error(op, MLS_EUNSUPPORTED, "%s is %g; with integers it must be a whole number",
                         name, (double) factor);
}

static mls_status read_attributes(mls__product *p, const mls_op *op)
{
    p->y_index = op->input_count;
    p->dtype = op->inputs[0].dtype;
    p->threads = op->threads;
    p->is_half = mls__is_half(p->dtype);
    if (p->is_half)
        p->half = mls__half_of(p->base.cpu, p->dtype);
    /* A vector is what it is. */
    p->is_a_turned = mls__op_int(op, "transA", 0) != 0 && op->inputs[0].rank > 1;
    p->is_b_turned = mls__op_int(op, "transB", 0) != 0 && op->inputs[1].rank > 1;
    p->alpha = mls__op_float(op, "alpha", 1);
    p->beta = mls__op_float(op, "beta", 1);
    p->has_c = mls__op_input(op, 2) && p->beta != 0;
    return mls__activation_read(p->base.cpu, op, &p->activation);
}

static mls_status prepare_floats(mls__product *p, const mls_op *op)
{
    mls_status status = mls__product_plan(p, op);
    return status ? status : mls__product_pack(p, op);
}

static mls_status prepare_plain(mls__product *p, const mls_op *op)
{
    p->base.base.run = mls__product_run_plain;
    if (p->dtype == MLS_FLOAT64)
        return MLS_OK;
    mls_status status = check_factor(op, "alpha", p->alpha);
    return status ? status : check_factor(op, "beta", p->beta);
}

static mls_status prepare(mls__product *p, const mls_op *op)
{
    if (mls__product_is_fast(p, op))
        return mls__product_prepare_fast(p, op);
    return p->dtype == MLS_FLOAT32 || p->is_half ? prepare_floats(p, op) : prepare_plain(p, op);
}

mls_status mls__product_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    mls__product *p;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *p, "product", mls__product_run, &p);
    if (status)
        return status;
    mls_kernel *kernel = &p->base.base;
    kernel->reshape = product_reshape;
    status = read_attributes(p, op);
    if (!status) {
        read_shape(p, op);
        status = prepare(p, op);
    }
    if (status) {
        kernel->free(kernel);
        return status;
    }
    *ret_kernel = kernel;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_product = {
    {"", "Gemm", mls__product_create, 0},
    {"", "MatMul", mls__product_create, 0},
    {"mlscale", "FusedGemm", mls__product_create, 0},
    {.type = NULL},
};
