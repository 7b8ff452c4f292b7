/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FusedMatMul, FusedMatMulActivation and TransposeMatMul of com.microsoft: a MatMul whose operands
 * may be turned, which is a product. An operand whose rows lie before its batches (transBatchA,
 * transBatchB) is brought into the usual order first, in the workspace.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/product.h"
#include "base/alloc.h"

#include <string.h>

/* Of all three ops, with some to spare. */
enum { MOST_ATTRS = 16 };

typedef struct moved_matmul {
    mls__cpu_kernel base;
    mls_kernel *product;
    mls_op op; /* the product's own: of operands in the usual order */
    mls_attr attrs[MOST_ATTRS];
    mls_arg inputs[2];
    bool is_moved[2];
    size_t offsets[2]; /* in the workspace, behind the product's */
} moved_matmul;

static bool is_moved(const mls_op *op, size_t index)
{
    static const char *const names[] = {"transBatchA", "transBatchB"};
    return op->inputs[index].rank > 2 && mls__op_int(op, names[index], 0) != 0;
}

/* The operands' dims in the usual order; contents that are known are of the other one. */
static void read_op(moved_matmul *k, const mls_op *op)
{
    k->op = *op;
    k->op.attrs = k->attrs;
    k->op.attr_count = 0;
    for (size_t i = 0; i < op->attr_count && i < MOST_ATTRS; i++)
        if (strncmp(op->attrs[i].name, "transBatch", strlen("transBatch")) != 0)
            k->attrs[k->op.attr_count++] = op->attrs[i];
    for (size_t i = 0; i < 2; i++) {
        const mls_arg *arg = &op->inputs[i];
        k->inputs[i] = *arg;
        if (!k->is_moved[i])
            continue;
        memmove(k->inputs[i].dims, arg->dims + 1, (size_t) (arg->rank - 2) * sizeof arg->dims[0]);
        k->inputs[i].dims[arg->rank - 2] = arg->dims[0];
        k->inputs[i].data = NULL;
        k->inputs[i].weight_id = 0;
    }
    k->op.inputs = k->inputs;
}

/* From [rows, batches, columns] to [batches, rows, columns]. */
static void move_rows(const mls_arg *moved, const char *x, char *ret_moved)
{
    const int64_t rows = moved->dims[moved->rank - 2];
    const int64_t batches = mls__arg_span(moved, 0, moved->rank - 2);
    const size_t bytes =
        (size_t) moved->dims[moved->rank - 1] * mls_dtype_size((mls_dtype) moved->dtype);
    for (int64_t b = 0; b < batches; b++)
        for (int64_t r = 0; r < rows; r++, ret_moved += bytes)
            memcpy(ret_moved, x + (size_t) (r * batches + b) * bytes, bytes);
}

static mls_status moved_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const moved_matmul *k = (const moved_matmul *) kernel;
    void *buffers[] = {call->buffers[0], call->buffers[1], call->buffers[2]};
    for (size_t i = 0; i < 2; i++) {
        if (!k->is_moved[i] || mls__arg_count(&k->inputs[i]) == 0)
            continue;
        buffers[i] = (char *) call->workspace + k->offsets[i];
        move_rows(&k->inputs[i], call->buffers[i], buffers[i]);
    }
    mls_kernel_call inner = *call;
    inner.buffers = buffers;
    return k->product->run(k->product, &inner);
}

static mls_status moved_reshape(mls_kernel *kernel, const mls_op *op)
{
    moved_matmul *k = (moved_matmul *) kernel;
    read_op(k, op);
    return k->product->reshape(k->product, &k->op);
}

static void moved_free(mls_kernel *kernel)
{
    moved_matmul *k = (moved_matmul *) kernel;
    if (k->product)
        k->product->free(k->product);
    mls__cpu_kernel_free(kernel);
}

static mls_status prepare(moved_matmul *k, const mls_op *op)
{
    for (size_t i = 0; i < 2; i++)
        k->is_moved[i] = is_moved(op, i);
    read_op(k, op);
    const mls_status status = mls__product_create(k->base.cpu, &k->op, &k->product);
    if (status)
        return status;
    size_t bytes = k->product->workspace_bytes;
    bool fits = mls__align_size(bytes, &bytes);
    for (size_t i = 0; fits && i < 2; i++) {
        size_t moved = k->is_moved[i] ? mls__arg_bytes(&k->inputs[i]) : 0;
        k->offsets[i] = bytes;
        fits = mls__align_size(moved, &moved) && mls__add_size(bytes, moved, &bytes);
    }
    k->base.base.workspace_bytes = bytes;
    return fits ? MLS_OK
                : mls__op_error(op, MLS_ESHAPE, "its operands are larger than memory can be");
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    moved_matmul *k;
    if (!is_moved(op, 0) && !is_moved(op, 1))
        return mls__product_create(cpu, op, ret_kernel);
    if (op->attr_count > MOST_ATTRS)
        return mls__op_error(op, MLS_EUNSUPPORTED, "it has %zu attributes, more than there are",
                             op->attr_count);
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "fused_matmul", moved_run, &k);
    if (status)
        return status;
    mls_kernel *kernel = &k->base.base;
    kernel->reshape = moved_reshape;
    kernel->free = moved_free;
    status = prepare(k, op);
    if (status) {
        kernel->free(kernel);
        return status;
    }
    *ret_kernel = kernel;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_fused_matmul = {
    {"com.microsoft", "FusedMatMul", create, 0},
    {"com.microsoft", "FusedMatMulActivation", create, 0},
    {"com.microsoft", "TransposeMatMul", create, 0},
    {.type = NULL},
};
