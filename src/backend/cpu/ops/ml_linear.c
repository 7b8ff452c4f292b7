/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LinearRegressor and LinearClassifier: a product with the coefficients, then the post
 * transform. As in ONNX Runtime, a single target knows no transform but PROBIT, and labels
 * follow from the scores before the transform.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ml_product.h"
#include "backend/cpu/ops/ml_rows.h"
#include "backend/cpu/ops/ml_scores.h"

#include <inttypes.h>
#include <string.h>

enum { ROWS = MLS__ROW_BLOCK };

typedef struct linear_kernel {
    mls__cpu_kernel base;
    mls__ml_product product;
    mls__transform transform;
    bool is_classifier, has_scores;
    mls__labels labels;
    mls__rows rows;
    int32_t dtype;
    size_t scores_offset; /* in a slice, after a block of rows as float32 */
    mls__row_tasks tasks;
} linear_kernel;

typedef struct linear_job {
    const linear_kernel *kernel;
    const void *x;
    void *labels;
    float *scores;
} linear_job;

static bool has_pair(const linear_kernel *k)
{
    return k->is_classifier && k->product.gemm.n == 1 && k->labels.count == 2;
}

/* --- a block of rows ------------------------------------------------------------------------- */

/* The rows as float32; `buffer` has room for them. */
static const float *float_rows(const linear_kernel *k, const void *x, int64_t row, int64_t rows,
                               float *buffer)
{
    const int64_t at = row * k->rows.columns;
    if (k->dtype == MLS_FLOAT32)
        return (const float *) x + at;
    mls__to_float(k->dtype, (const char *) x + (size_t) at * mls_dtype_size((mls_dtype) k->dtype),
                  rows * k->rows.columns, buffer);
    return buffer;
}

static void set_labels(const linear_kernel *k, const float *scores, int64_t row, int64_t rows,
                       void *labels)
{
    const int64_t n = k->product.gemm.n;
    for (int64_t r = 0; r < rows; r++) {
        size_t label = mls__argmax(scores + r * n, (size_t) n);
        if (has_pair(k))
            label = scores[r] > 0.0f;
        mls__label_set(&k->labels, labels, row + r, label);
    }
}

static void transform(const linear_kernel *k, float *scores, int64_t rows)
{
    if (k->product.gemm.n > 1 || k->transform == MLS__TRANSFORM_PROBIT)
        mls__transform_rows(k->base.cpu, k->transform, scores, rows, k->product.gemm.n);
}

static void finish_block(const linear_kernel *k, const linear_job *job, float *scores, int64_t row,
                         int64_t rows)
{
    if (k->is_classifier)
        set_labels(k, scores, row, rows, job->labels);
    if (!job->scores)
        return;
    if (has_pair(k)) {
        for (int64_t r = 0; r < rows; r++)
            mls__transform_pair(k->base.cpu, k->transform, true, scores[r],
                                job->scores + 2 * (row + r));
        return;
    }
    const int64_t n = k->product.gemm.n;
    transform(k, scores, rows);
    memcpy(job->scores + row * n, scores, (size_t) (rows * n) * sizeof *scores);
}

static void run_rows(void *arg, int64_t first, int64_t end, char *slice)
{
    const linear_job *job = arg;
    const linear_kernel *k = job->kernel;
    float *scores = (float *) (slice + k->scores_offset);
    for (int64_t row = first; row < end; row += ROWS) {
        const int64_t rows = end - row < ROWS ? end - row : ROWS;
        const float *x = float_rows(k, job->x, row, rows, (float *) slice);
        mls__ml_product_run(&k->product, k->base.cpu, x, rows, scores);
        finish_block(k, job, scores, row, rows);
    }
}

static mls_status linear_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const linear_kernel *k = (const linear_kernel *) base;
    void *const *outputs = call->buffers + 1;
    linear_job job = {k, call->buffers[0], NULL, NULL};
    if (!k->is_classifier)
        job.scores = outputs[0];
    else {
        job.labels = outputs[0];
        job.scores = k->has_scores ? outputs[1] : NULL;
    }
    mls__row_tasks_run(&k->tasks, call, k->rows.count, run_rows, &job);
    return MLS_OK;
}

/* --- making ---------------------------------------------------------------------------------- */

static mls_status linear_reshape(mls_kernel *base, const mls_op *op)
{
    linear_kernel *k = (linear_kernel *) base;
    const mls__rows rows = mls__rows_of(&op->inputs[0]);
    if (rows.columns != k->product.gemm.k)
        return mls__op_error(op, MLS_ESHAPE,
                             "input 0 has %" PRId64 " columns, the coefficients have %" PRId64,
                             rows.columns, k->product.gemm.k);
    k->rows = rows;
    return MLS_OK;
}

/* The rows of coefficients, and how many there are; inference checked that they fit. */
static mls_status read_product(linear_kernel *k, const mls_op *op, int64_t targets)
{
    size_t count, intercepts;
    const float *coefficients = mls__op_floats(op, "coefficients", &count);
    const float *c = mls__op_floats(op, "intercepts", &intercepts);
    const mls_status status = mls__ml_product_init(&k->product, k->base.cpu, op, 0, coefficients,
                                                   targets, mls__rows_of(&op->inputs[0]).columns);
    if (!status && intercepts)
        k->product.gemm.c = c;
    return status;
}

static int64_t target_count(const linear_kernel *k, const mls_op *op)
{
    size_t coefficients, intercepts;
    if (!k->is_classifier)
        return mls__op_int(op, "targets", 1);
    (void) mls__op_floats(op, "coefficients", &coefficients);
    (void) mls__op_floats(op, "intercepts", &intercepts);
    return intercepts ? (int64_t) intercepts
                      : (int64_t) coefficients / mls__rows_of(&op->inputs[0]).columns;
}

static mls_status plan_memory(linear_kernel *k, const mls_op *op)
{
    const size_t columns = k->dtype == MLS_FLOAT32 ? 0 : (size_t) k->rows.columns;
    const double cost = (double) k->product.gemm.n * (double) k->product.gemm.k / 8.0;
    size_t bytes = 0, offset;
    if (!mls__slice_add(&bytes, ROWS * columns, sizeof(float), &offset) ||
        !mls__slice_add(&bytes, ROWS * (size_t) k->product.gemm.n, sizeof(float),
                        &k->scores_offset))
        return mls__op_error(op, MLS_ELIMIT, "the rows' scratch memory is more than can be");
    return mls__row_tasks_init(&k->tasks, &k->base, op, k->rows.count, cost, bytes);
}

static mls_status prepare(linear_kernel *k, const mls_op *op)
{
    mls_status status = mls__transform_read(op, &k->transform);
    k->dtype = op->inputs[0].dtype;
    k->is_classifier = strcmp(op->type, "LinearClassifier") == 0;
    k->has_scores = op->output_count > 1;
    if (!status && k->is_classifier)
        status = mls__labels_read(op, "classlabels_ints", &k->labels);
    if (!status)
        status = read_product(k, op, target_count(k, op));
    if (!status)
        status = linear_reshape(&k->base.base, op);
    return status ? status : plan_memory(k, op);
}

static mls_status linear_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    linear_kernel *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "linear", linear_run, &k);
    if (status)
        return status;
    k->base.base.reshape = linear_reshape;
    status = prepare(k, op);
    if (status) {
        mls__cpu_kernel_free(&k->base.base);
        return status;
    }
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

const mls__cpu_op mls__cpu_ops_ml_linear[] = {
    {"ai.onnx.ml", "LinearRegressor", linear_create, 0},
    {"ai.onnx.ml", "LinearClassifier", linear_create, 0},
    {NULL, NULL, NULL, 0},
};
