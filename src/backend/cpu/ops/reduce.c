/* SPDX-License-Identifier: Apache-2.0 */
/* ReduceSum and its kin: passes over the axes. */
#include "backend/cpu/ops/reduce.h"

#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ranges.h"
#include "base/alloc.h"
#include "op/reduction.h"

#include <string.h>

/* Fewer elements are not worth a second thread. */
#define GRAIN 32768

static const struct op_row {
    const char *type;
    mls__reduce_op op;
    mls__reduce_finish finish;
} op_rows[] = {
    {"ReduceSum", MLS__REDUCE_SUM, MLS__FINISH_NONE},
    {"ReduceMean", MLS__REDUCE_SUM, MLS__FINISH_MEAN},
    {"ReduceProd", MLS__REDUCE_PROD, MLS__FINISH_NONE},
    {"ReduceMax", MLS__REDUCE_MAX, MLS__FINISH_NONE},
    {"ReduceMin", MLS__REDUCE_MIN, MLS__FINISH_NONE},
    {"ReduceL1", MLS__REDUCE_SUM_ABS, MLS__FINISH_NONE},
    {"ReduceL2", MLS__REDUCE_SUM_SQUARE, MLS__FINISH_SQRT},
    {"ReduceSumSquare", MLS__REDUCE_SUM_SQUARE, MLS__FINISH_NONE},
    {"ReduceLogSum", MLS__REDUCE_SUM, MLS__FINISH_LOG},
    {"ReduceLogSumExp", MLS__REDUCE_LOG_SUM_EXP, MLS__FINISH_NONE},
};

static const struct op_row *find_row(const char *type)
{
    for (size_t i = 0; i < sizeof op_rows / sizeof op_rows[0]; i++)
        if (strcmp(op_rows[i].type, type) == 0)
            return &op_rows[i];
    return NULL;
}

/* --- passes ---------------------------------------------------------------------------------- */

/* What joins the results of earlier passes. */
static mls__reduce_op joining(mls__reduce_op op)
{
    return op == MLS__REDUCE_SUM_ABS || op == MLS__REDUCE_SUM_SQUARE ? MLS__REDUCE_SUM : op;
}

/* Neighbouring dimensions that are all reduced, or all kept, count as one. */
static int group_dims(const mls_arg *x, const bool *reduced, int64_t *ret_dims, bool *ret_reduced)
{
    int count = 0;
    for (int i = 0; i < x->rank; i++) {
        if (count && ret_reduced[count - 1] == reduced[i]) {
            ret_dims[count - 1] *= x->dims[i];
            continue;
        }
        ret_dims[count] = x->dims[i];
        ret_reduced[count++] = reduced[i];
    }
    return count;
}

static int64_t product(const int64_t *dims, int count)
{
    int64_t p = 1;
    for (int i = 0; i < count; i++)
        p *= dims[i];
    return p;
}

/* With no axis at all, every element is reduced alone. */
static void plan_passes(mls__reduce *r, const mls_arg *x, const bool *reduced)
{
    int64_t dims[MLS_MAX_RANK], inner = 1;
    bool is_reduced[MLS_MAX_RANK];
    const int groups = group_dims(x, reduced, dims, is_reduced);
    r->pass_count = 0;
    r->reduced_count = 1;
    for (int g = groups - 1; g >= 0; g--) {
        if (!is_reduced[g]) {
            inner *= dims[g];
            continue;
        }
        r->passes[r->pass_count++] =
            (mls__reduce_pass){product(dims, g), dims[g], inner, g == groups - 1};
        r->reduced_count *= dims[g];
    }
    if (!r->pass_count)
        r->passes[r->pass_count++] = (mls__reduce_pass){1, 1, inner, false};
}

static mls_status reduce_reshape(mls_kernel *kernel, const mls_op *op)
{
    mls__reduce *r = (mls__reduce *) kernel;
    bool reduced[MLS_MAX_RANK];
    const mls_status status = mls__op_reduced(op, reduced);
    if (status)
        return status;
    r->x_count = mls__arg_count(&op->inputs[0]);
    r->y_count = mls__arg_count(&op->outputs[0]);
    plan_passes(r, &op->inputs[0], reduced);
    return MLS_OK;
}

/* --- a run ----------------------------------------------------------------------------------- */

typedef struct work {
    const mls__reduce *r;
    const mls__reduce_pass *pass;
    mls__reduce_op op;
    bool is_last;
    const char *x;
    char *results, *y;
} work;

static void reduce_row(const work *w, char *result, const char *x)
{
    const mls__reduce *r = w->r;
    if (r->type == MLS__REDUCE_F32) {
        const float value =
            r->base.cpu->kernels->reduce->row[w->op]((const float *) (const void *) x, w->pass->n);
        memcpy(result, &value, sizeof value);
    } else {
        r->plain->row[w->op](result, x, w->pass->n);
    }
}

static void reduce_columns(const work *w, char *results, const char *x, int64_t columns)
{
    const mls__reduce *r = w->r;
    const mls__reduce_pass *p = w->pass;
    if (r->type == MLS__REDUCE_F32)
        r->base.cpu->kernels->reduce->columns[w->op](
            (float *) (void *) results, (const float *) (const void *) x, p->n, p->inner, columns);
    else
        r->plain->columns[w->op](results, x, p->n, p->inner, columns);
}

/* Results [begin, end) of a pass. */
static mls_status run_part(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const mls__reduce_pass *p = w->pass;
    const int64_t size = mls__reduce_size(w->r);
    for (int64_t i = begin; p->is_rows && i < end; i++)
        reduce_row(w, w->results + i * size, w->x + i * p->n * size);
    for (int64_t i = begin; !p->is_rows && i < end;) {
        const int64_t outer = i / p->inner, column = i % p->inner;
        const int64_t columns = p->inner - column < end - i ? p->inner - column : end - i;
        reduce_columns(w, w->results + i * size, w->x + (outer * p->n * p->inner + column) * size,
                       columns);
        i += columns;
    }
    if (w->is_last)
        mls__reduce_results(w->r, w->results, w->y, begin, end);
    return MLS_OK;
}

static mls_status widen_part(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    mls__reduce_widen(w->r, w->x, w->results, begin, end);
    return MLS_OK;
}

static mls_status reduce_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const mls__reduce *r = (const mls__reduce *) kernel;
    char *workspace = call->workspace, *y = call->buffers[r->y_index];
    if (!r->y_count)
        return MLS_OK;
    /* Where there are no elements, none is read. */
    work w = {.r = r, .x = r->x_count ? call->buffers[0] : y, .y = y};
    if (r->widens && r->x_count) {
        w.results = workspace;
        mls__cpu_ranges(call, r->threads, r->x_count, GRAIN, widen_part, &w);
        w.x = workspace;
    }
    for (int i = 0; i < r->pass_count; i++) {
        const mls__reduce_pass *p = &r->passes[i];
        w.pass = p;
        if (!p->n)
            w.x = y;
        w.op = i ? joining(r->op) : r->op;
        w.is_last = i == r->pass_count - 1;
        w.results = w.is_last && !r->narrows ? y : workspace + r->partial_offset[i % 2];
        (p->inner == 1 ? mls__cpu_row_ranges : mls__cpu_ranges)(
            call, r->threads, p->outer * p->inner, GRAIN / (p->n + 1) + 1, run_part, &w);
        w.x = w.results;
    }
    return MLS_OK;
}

/* --- kernels --------------------------------------------------------------------------------- */

static void choose_type(mls__reduce *r)
{
    static const int32_t own[] = {[MLS__REDUCE_F32] = MLS_FLOAT32,
                                  [MLS__REDUCE_F64] = MLS_FLOAT64,
                                  [MLS__REDUCE_I64] = MLS_INT64,
                                  [MLS__REDUCE_U64] = MLS_UINT64};
    static const mls__reduce_plain *const plain[] = {[MLS__REDUCE_F32] = NULL,
                                                     [MLS__REDUCE_F64] = &mls__reduce_f64,
                                                     [MLS__REDUCE_I64] = &mls__reduce_i64,
                                                     [MLS__REDUCE_U64] = &mls__reduce_u64};
    const bool is_half = mls__is_half(r->dtype);
    if (is_half || r->dtype == MLS_FLOAT32)
        r->type = MLS__REDUCE_F32;
    else if (r->dtype == MLS_FLOAT64 || r->op == MLS__REDUCE_LOG_SUM_EXP)
        r->type = MLS__REDUCE_F64;
    else
        r->type = r->dtype == MLS_UINT64 ? MLS__REDUCE_U64 : MLS__REDUCE_I64;
    if (is_half)
        r->half = mls__half_of(r->base.cpu, r->dtype);
    const bool is_root = r->finish == MLS__FINISH_SQRT || r->finish == MLS__FINISH_LOG;
    r->plain = plain[r->type];
    r->widens = r->dtype != own[r->type];
    r->narrows =
        r->widens || (is_root && (r->type == MLS__REDUCE_I64 || r->type == MLS__REDUCE_U64));
}

static bool add_region(size_t *total, int64_t count, int64_t size, uint64_t *ret_offset)
{
    size_t bytes;
    *ret_offset = *total;
    return mls__mul_size((size_t) count, (size_t) size, &bytes) && mls__align_size(bytes, &bytes) &&
           mls__add_size(*total, bytes, total);
}

/* Passes write in turns to two regions; the last one to y, if it need not be narrowed. */
static mls_status plan_workspace(mls__reduce *r, const mls_op *op)
{
    int64_t partial[2] = {0, 0};
    const int64_t size = mls__reduce_size(r);
    for (int i = 0; i < r->pass_count - !r->narrows; i++) {
        const int64_t count = r->passes[i].outer * r->passes[i].inner;
        partial[i % 2] = count > partial[i % 2] ? count : partial[i % 2];
    }
    size_t bytes = 0;
    uint64_t wide_offset;
    if (!add_region(&bytes, r->widens ? r->x_count : 0, size, &wide_offset) ||
        !add_region(&bytes, partial[0], size, &r->partial_offset[0]) ||
        !add_region(&bytes, partial[1], size, &r->partial_offset[1]))
        return mls__op_error(op, MLS_ESHAPE, "input 0 is larger than memory can be");
    r->base.base.workspace_bytes = bytes;
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    const struct op_row *row = find_row(op->type);
    mls__reduce *r;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *r, "reduce", reduce_run, &r);
    if (status)
        return status;
    mls_kernel *kernel = &r->base.base;
    kernel->reshape = reduce_reshape;
    r->op = row->op;
    r->finish = row->finish;
    r->dtype = op->inputs[0].dtype;
    r->y_index = op->input_count;
    r->threads = op->threads;
    choose_type(r);
    status = reduce_reshape(kernel, op);
    if (!status)
        status = plan_workspace(r, op);
    if (status) {
        kernel->free(kernel);
        return status;
    }
    *ret_kernel = kernel;
    return MLS_OK;
}

#define ROW(type)                                                                                  \
    {                                                                                              \
        "", type, create, 0                                                                        \
    }

mls__cpu_op_table mls__cpu_ops_reduction = {
    ROW("ReduceSum"),    ROW("ReduceMean"),      ROW("ReduceProd"), ROW("ReduceMax"),
    ROW("ReduceMin"),    ROW("ReduceL1"),        ROW("ReduceL2"),   ROW("ReduceSumSquare"),
    ROW("ReduceLogSum"), ROW("ReduceLogSumExp"), {.type = NULL},
};
