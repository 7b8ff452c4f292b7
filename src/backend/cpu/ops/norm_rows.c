/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Normalisations along the last axes: layer normalisation, its root mean square form, and both
 * with the residual sum that comes before them in transformers.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/float_work.h"
#include "backend/cpu/ops/norm_plain.h"
#include "backend/cpu/ops/ranges.h"
#include "op/reduction.h"

#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 8192

#define NONE SIZE_MAX

/* Which inputs and outputs an op has, by their places. */
static const struct op_row {
    const char *type;
    bool is_centred;
    float epsilon;
    size_t skip, skip_bias, scale, bias; /* inputs */
    size_t mean, factor, sum;            /* outputs */
} op_rows[] = {
    {"LayerNormalization", true, 1e-5f, NONE, NONE, 1, 2, 1, 2, NONE},
    {"RMSNormalization", false, 1e-5f, NONE, NONE, 1, NONE, NONE, NONE, NONE},
    {"SimplifiedLayerNormalization", false, 1e-5f, NONE, NONE, 1, NONE, NONE, 1, NONE},
    {"SkipLayerNormalization", true, 1e-12f, 1, 4, 2, 3, 1, 2, 3},
    {"SkipSimplifiedLayerNormalization", false, 1e-12f, 1, 3, 2, NONE, 1, 2, 3},
};

static const struct op_row *find_row(const char *type)
{
    for (size_t i = 0; i < sizeof op_rows / sizeof op_rows[0]; i++)
        if (strcmp(op_rows[i].type, type) == 0)
            return &op_rows[i];
    return NULL;
}

/* An input that broadcasts to x: it has a row for each row of x, or fewer that repeat. */
typedef struct operand {
    size_t input;
    bool is_given;
    bool is_staged; /* its rows are brought to whole ones of the type that is computed in */
    mls_arg arg, whole;
    int64_t rows;
    int64_t strides[MLS_MAX_RANK]; /* in rows, of x's outer dimensions */
    uint64_t offset;               /* in the workspace, of what is staged */
} operand;

typedef struct norm_kernel {
    mls__cpu_kernel base;
    const struct op_row *row;
    const mls__norm_kernels *fns;
    int32_t x_dtype, y_dtype, stats_dtype, work_dtype;
    size_t x_size, y_size, stats_size, size; /* of an element; `size` of the computation */
    float epsilon;
    uint32_t threads;
    size_t input_count, output_count;
    int outer_rank;
    int64_t outer_dims[MLS_MAX_RANK];
    int64_t rows, n;
    operand skip, skip_bias, scale, bias;
    uint64_t x_offset, skip_offset; /* in the workspace: x and skip in the type of the work */
} norm_kernel;

/* --- operands -------------------------------------------------------------------------------- */

static void read_operand(const norm_kernel *k, const mls_op *op, operand *o)
{
    const mls_arg *x = &op->inputs[0];
    o->is_given = mls__op_input(op, o->input) != NULL;
    if (!o->is_given)
        return;
    o->arg = op->inputs[o->input];
    o->whole = *x;
    o->whole.dtype = k->work_dtype;
    o->rows = 1;
    const int missing = x->rank - o->arg.rank;
    for (int d = k->outer_rank - 1; d >= 0; d--) {
        const int64_t dim = d < missing ? 1 : o->arg.dims[d - missing];
        o->strides[d] = dim == 1 ? 0 : o->rows;
        o->whole.dims[d] = dim;
        o->rows *= dim;
    }
    o->is_staged = o->arg.dtype != k->work_dtype || mls__arg_count(&o->arg) != o->rows * k->n;
}

/* The operand's row for row `r` of x. */
static int64_t operand_row(const norm_kernel *k, const operand *o, int64_t r)
{
    int64_t row = 0;
    if (o->rows == 1)
        return 0;
    for (int d = k->outer_rank - 1; d >= 0; d--) {
        row += r % k->outer_dims[d] * o->strides[d];
        r /= k->outer_dims[d];
    }
    return row;
}

/* All of the operand in the type of the work, or NULL when it is left out. */
static const char *stage(const norm_kernel *k, const mls_kernel_call *call, const operand *o)
{
    if (!o->is_given)
        return NULL;
    if (!o->is_staged)
        return call->buffers[o->input];
    char *staged = (char *) call->workspace + o->offset;
    mls__float_stretch(k->base.cpu, &o->whole, staged, &o->arg, call->buffers[o->input]);
    return staged;
}

/* --- a run ----------------------------------------------------------------------------------- */

typedef struct work {
    const norm_kernel *k;
    const char *x, *skip;
    const char *skip_bias, *scale, *bias; /* staged */
    char *y, *mean, *factor, *sum;        /* outputs; NULL for those left out */
    char *wide_x, *wide_skip;             /* in the workspace */
} work;

/* Row `r` of what `x` points to, in the type of the work. */
static const char *wide_row(const norm_kernel *k, const char *x, char *wide, int64_t r)
{
    const int64_t at = r * k->n;
    if (k->x_dtype == k->work_dtype)
        return x + (size_t) at * k->size;
    char *row = wide + (size_t) at * k->size;
    mls__float_convert(k->base.cpu, k->work_dtype, row, k->x_dtype, x + (size_t) at * k->x_size,
                       k->n);
    return row;
}

/* Row `r` of x + skip + bias. What is computed in is the sum's output, or else y, if it can be. */
static const char *sum_row(const work *w, int64_t r)
{
    const norm_kernel *k = w->k;
    const mls__cpu *cpu = k->base.cpu;
    const size_t at = (size_t) (r * k->n);
    const bool is_direct = k->x_dtype == k->work_dtype;
    char *row = (is_direct ? (w->sum ? w->sum : w->y) : w->wide_x) + at * k->size;
    const char *x = wide_row(k, w->x, w->wide_x, r);
    const char *skip = w->skip + (size_t) (operand_row(k, &k->skip, r) * k->n) * k->x_size;
    if (!is_direct) {
        char *wide = w->wide_skip + at * k->size;
        mls__float_convert(cpu, k->work_dtype, wide, k->x_dtype, skip, k->n);
        skip = wide;
    }
    mls__float_binary(cpu, k->work_dtype, MLS__BINARY_ADD, row, x, 1, skip, 1, k->n);
    if (w->skip_bias)
        mls__float_binary(cpu, k->work_dtype, MLS__BINARY_ADD, row, row, 1, w->skip_bias, 1, k->n);
    if (!is_direct && w->sum)
        mls__float_convert(cpu, k->x_dtype, w->sum + at * k->x_size, k->work_dtype, row, k->n);
    return row;
}

static void put_statistic(const norm_kernel *k, char *y, int64_t r, const mls__number *value)
{
    if (y)
        mls__float_convert(k->base.cpu, k->stats_dtype, y + (size_t) r * k->stats_size,
                           k->work_dtype, value, 1);
}

static const char *row_of(const work *w, const operand *o, const char *staged, int64_t r)
{
    const norm_kernel *k = w->k;
    return staged ? staged + (size_t) (operand_row(k, o, r) * k->n) * k->size : NULL;
}

static void normalize_row(const work *w, int64_t r)
{
    const norm_kernel *k = w->k;
    const size_t at = (size_t) (r * k->n);
    const bool is_direct = k->y_dtype == k->work_dtype;
    mls__number mean, factor;
    const char *x = w->skip ? sum_row(w, r) : wide_row(k, w->x, w->wide_x, r);
    k->fns->moments(x, k->n, k->row->is_centred, k->epsilon, &mean, &factor);
    char *y = is_direct ? w->y + at * k->size : w->wide_x + at * k->size;
    k->fns->row(y, x, k->n, &mean, &factor, row_of(w, &k->scale, w->scale, r),
                row_of(w, &k->bias, w->bias, r));
    if (!is_direct)
        mls__float_convert(k->base.cpu, k->y_dtype, w->y + at * k->y_size, k->work_dtype, y, k->n);
    put_statistic(k, w->mean, r, &mean);
    put_statistic(k, w->factor, r, &factor);
}

static mls_status run_rows(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    for (int64_t r = begin; r < end; r++)
        normalize_row(w, r);
    return MLS_OK;
}

static char *output_of(const norm_kernel *k, const mls_kernel_call *call, size_t output)
{
    return output < k->output_count ? call->buffers[k->input_count + output] : NULL;
}

static mls_status norm_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const norm_kernel *k = (const norm_kernel *) kernel;
    char *workspace = call->workspace;
    if (!k->rows || !k->n)
        return MLS_OK;
    work w = {
        .k = k,
        .x = call->buffers[0],
        .skip = k->skip.is_given ? call->buffers[k->skip.input] : NULL,
        .skip_bias = stage(k, call, &k->skip_bias),
        .scale = stage(k, call, &k->scale),
        .bias = stage(k, call, &k->bias),
        .y = output_of(k, call, 0),
        .mean = output_of(k, call, k->row->mean),
        .factor = output_of(k, call, k->row->factor),
        .sum = output_of(k, call, k->row->sum),
        .wide_x = workspace + k->x_offset,
        .wide_skip = workspace + k->skip_offset,
    };
    return mls__cpu_row_ranges(call, k->threads, k->rows, GRAIN / k->n + 1, run_rows, &w);
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status norm_reshape(mls_kernel *kernel, const mls_op *op)
{
    norm_kernel *k = (norm_kernel *) kernel;
    const mls_arg *x = &op->inputs[0];
    int axis;
    const mls_status status = mls__op_attr_axis(op, -1, &axis);
    if (status)
        return status;
    k->outer_rank = axis;
    memcpy(k->outer_dims, x->dims, (size_t) axis * sizeof x->dims[0]);
    k->rows = mls__arg_span(x, 0, axis);
    k->n = mls__arg_span(x, axis, x->rank);
    operand *const operands[] = {&k->skip, &k->skip_bias, &k->scale, &k->bias};
    for (size_t i = 0; i < sizeof operands / sizeof operands[0]; i++)
        read_operand(k, op, operands[i]);
    return MLS_OK;
}

/* Room to stage any operand, since with other dims it may have to be. */
static mls_status plan_workspace(norm_kernel *k, const mls_op *op)
{
    size_t bytes = 0;
    operand *const operands[] = {&k->skip_bias, &k->scale, &k->bias};
    const bool is_wide = k->x_dtype != k->work_dtype || k->y_dtype != k->work_dtype;
    const int64_t count = is_wide ? k->rows * k->n : 0;
    bool fits = mls__work_region(&bytes, count, k->size, &k->x_offset);
    fits = fits && mls__work_region(&bytes, k->skip.is_given ? count : 0, k->size, &k->skip_offset);
    for (size_t i = 0; fits && i < sizeof operands / sizeof operands[0]; i++)
        fits = mls__work_region(&bytes, operands[i]->rows * k->n, k->size, &operands[i]->offset);
    if (!fits)
        return mls__op_error(op, MLS_ESHAPE, "input 0 is larger than memory can be");
    k->base.base.workspace_bytes = bytes;
    return MLS_OK;
}

static void choose_types(norm_kernel *k, const mls_op *op)
{
    k->x_dtype = op->inputs[0].dtype;
    k->y_dtype = op->outputs[0].dtype;
    k->work_dtype = mls__work_dtype(k->x_dtype);
    k->stats_dtype = (int32_t) mls__op_int(op, "stash_type", MLS_FLOAT32);
    k->x_size = mls_dtype_size((mls_dtype) k->x_dtype);
    k->y_size = mls_dtype_size((mls_dtype) k->y_dtype);
    k->stats_size = mls_dtype_size((mls_dtype) k->stats_dtype);
    k->size = mls_dtype_size((mls_dtype) k->work_dtype);
    k->fns = mls__norm_of(k->base.cpu, k->work_dtype);
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const struct op_row *row = find_row(op->type);
    norm_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "norm", norm_run, &k);
    if (status)
        return status;
    mls_kernel *kernel = &k->base.base;
    kernel->reshape = norm_reshape;
    k->row = row;
    k->epsilon = mls__op_float(op, "epsilon", row->epsilon);
    k->threads = op->threads;
    k->input_count = op->input_count;
    k->output_count = op->output_count;
    k->skip.input = row->skip;
    k->skip_bias.input = row->skip_bias;
    k->scale.input = row->scale;
    k->bias.input = row->bias;
    choose_types(k, op);
    status = norm_reshape(kernel, op);
    if (!status)
        status = plan_workspace(k, op);
    if (status) {
        kernel->free(kernel);
        return status;
    }
    *ret_kernel = kernel;
    return MLS_OK;
}

/* With a residual, y may hold the sum before the scale has been read: not in place. */
mls__cpu_op_table mls__cpu_ops_norm_rows = {
    {"", "LayerNormalization", create, MLS__CPU_IN_PLACE},
    {"", "RMSNormalization", create, MLS__CPU_IN_PLACE},
    {"", "SimplifiedLayerNormalization", create, MLS__CPU_IN_PLACE},
    {"com.microsoft", "SkipLayerNormalization", create, 0},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", create, 0},
    {.type = NULL},
};
