/* SPDX-License-Identifier: Apache-2.0 */
/* Concat and Split: a strided copy for each part of the whole. */
#include "backend/cpu/ops/families.h"

#include "backend/cpu/ops/copy.h"

#include "base/alloc.h"
#include "base/error.h"

typedef struct part {
    mls__copy copy;
    int64_t offset; /* within the whole, in bytes */
} part;

typedef struct join {
    mls__cpu_kernel base;
    int axis;
    size_t whole;      /* the position of the whole among the buffers */
    size_t first_part; /* and that of the first part */
    size_t part_count;
    part parts[];
} join;

static mls_status run_concat(const mls_kernel *base, const mls_kernel_call *call)
{
    const join *kernel = (const join *) base;
    char *whole = call->buffers[kernel->whole];
    for (size_t i = 0; i < kernel->part_count; i++) {
        const void *source = call->buffers[kernel->first_part + i];
        char *target = whole + kernel->parts[i].offset;
        if (!kernel->parts[i].copy.is_empty && source != target)
            mls__copy_run(&kernel->parts[i].copy, call, target, source);
    }
    return MLS_OK;
}

static mls_status run_split(const mls_kernel *base, const mls_kernel_call *call)
{
    const join *kernel = (const join *) base;
    const char *source = call->buffers[kernel->whole];
    for (size_t i = 0; i < kernel->part_count; i++) {
        void *target = call->buffers[kernel->first_part + i];
        if (!kernel->parts[i].copy.is_empty && target) /* an output may be left out */
            mls__copy_run(&kernel->parts[i].copy, call, target, source + kernel->parts[i].offset);
    }
    return MLS_OK;
}

/* Row by row: what lies at and behind the axis is one run on both sides. */
static void plan_parts(join *kernel, const mls_op *op, const mls_arg *whole, const mls_arg *parts,
                       bool into_whole)
{
    const int axis = kernel->axis;
    const int64_t rows = mls__arg_span(whole, 0, axis);
    const int64_t pitch = mls__arg_span(whole, axis, whole->rank);
    const size_t size = mls_dtype_size((mls_dtype) whole->dtype);
    int64_t offset = 0;
    for (size_t i = 0; i < kernel->part_count; i++) {
        part *p = &kernel->parts[i];
        const int64_t run = mls__arg_span(&parts[i], axis, parts[i].rank);
        mls__copy_begin(&p->copy, size);
        mls__copy_loop(&p->copy, rows, into_whole ? pitch : run, into_whole ? run : pitch);
        mls__copy_loop(&p->copy, run, 1, 1);
        mls__copy_end(&p->copy, op->threads);
        p->offset = offset * (int64_t) size;
        offset += run;
    }
}

static mls_status plan_concat(mls_kernel *base, const mls_op *op)
{
    plan_parts((join *) base, op, &op->outputs[0], op->inputs, true);
    return MLS_OK;
}

static mls_status plan_split(mls_kernel *base, const mls_op *op)
{
    plan_parts((join *) base, op, &op->inputs[0], op->outputs, false);
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, const char *name, size_t part_count,
                         mls_status (*run)(const mls_kernel *, const mls_kernel_call *),
                         join **ret_kernel)
{
    size_t size;
    int axis;
    mls_status status = mls__op_axis(op, mls__op_int(op, "axis", 0), op->inputs[0].rank, &axis);
    if (status)
        return status;
    if (!mls__mul_size(part_count, sizeof(part), &size) ||
        !mls__add_size(size, sizeof(join), &size))
        return mls__error_nomem(SIZE_MAX);
    join *kernel;
    status = mls__cpu_kernel_create(cpu, op, size, name, run, &kernel);
    if (status)
        return status;
    kernel->axis = axis;
    kernel->part_count = part_count;
    *ret_kernel = kernel;
    return MLS_OK;
}

static mls_status create_concat(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    join *kernel;
    const mls_status status = create(cpu, op, "concat", op->input_count, run_concat, &kernel);
    if (status)
        return status;
    kernel->whole = op->input_count;
    kernel->base.base.reshape = plan_concat;
    *ret_kernel = &kernel->base.base;
    return plan_concat(*ret_kernel, op);
}

static mls_status create_split(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    join *kernel;
    const mls_status status = create(cpu, op, "split", op->output_count, run_split, &kernel);
    if (status)
        return status;
    kernel->first_part = op->input_count;
    kernel->base.base.reshape = plan_split;
    *ret_kernel = &kernel->base.base;
    return plan_split(*ret_kernel, op);
}

const mls__cpu_op mls__cpu_ops_join[] = {
    {"", "Concat", create_concat, 0},
    {"", "Split", create_split, 0},
    {0},
};
