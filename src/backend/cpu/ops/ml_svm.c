/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SVMRegressor and SVMClassifier: what a row gives with each support vector, or with the
 * coefficients of each class, and what follows from it. As in ONNX Runtime a regressor
 * knows no post transform.
 */
#include "backend/cpu/ops/ml_svm.h"

#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/pack.h"
#include "base/error.h"

#include <inttypes.h>
#include <string.h>

enum { ROWS = MLS__ROW_BLOCK };

typedef struct svm_job {
    const mls__svm *svm;
    const char *x;
    void *outputs[2];
} svm_job;

/* --- a block of rows ------------------------------------------------------------------------- */

static void raise(const mls__svm *svm, float *values, int64_t count)
{
    if (svm->degree == 2.0f)
        for (int64_t i = 0; i < count; i++)
            values[i] *= values[i];
    else if (svm->degree == 3.0f)
        for (int64_t i = 0; i < count; i++)
            values[i] *= values[i] * values[i];
    else
        svm->base.cpu->kernels->elementwise->binary[MLS__BINARY_POW](values, values, 1,
                                                                     &svm->degree, 0, count);
}

/* One value for each row and vector. */
static void evaluate(const mls__svm *svm, const float *x, int64_t rows, float *values)
{
    const mls__cpu *cpu = svm->base.cpu;
    if (svm->type == MLS__SVM_RBF) {
        cpu->kernels->svm->rbf(x, rows, svm->rows.columns, svm->panels, svm->vector_count,
                               svm->gamma, values);
        return;
    }
    mls__ml_product_run(&svm->product, cpu, x, rows, values);
    if (svm->type == MLS__SVM_POLY)
        raise(svm, values, rows * svm->vector_count);
}

static void regress(const mls__svm *svm, const float *values, int64_t rows, float *scores)
{
    if (svm->has_vectors)
        mls__ml_product_run(&svm->combine, svm->base.cpu, values, rows, scores);
    else
        memcpy(scores, values, (size_t) rows * sizeof *scores);
    for (int64_t r = 0; svm->is_one_class && r < rows; r++)
        scores[r] = scores[r] > 0.0f ? 1.0f : -1.0f;
}

static void run_rows(void *arg, int64_t first, int64_t end, char *slice)
{
    const svm_job *job = arg;
    const mls__svm *svm = job->svm;
    const size_t row_bytes = (size_t) svm->rows.columns * mls_dtype_size((mls_dtype) svm->dtype);
    float *values = (float *) (slice + svm->values_offset);
    for (int64_t row = first; row < end; row += ROWS) {
        const int64_t rows = end - row < ROWS ? end - row : ROWS;
        const char *x = job->x + (size_t) row * row_bytes;
        if (svm->dtype != MLS_FLOAT32) {
            mls__to_float(svm->dtype, x, rows * svm->rows.columns, (float *) slice);
            x = slice;
        }
        evaluate(svm, (const float *) x, rows, values);
        if (!svm->is_classifier)
            regress(svm, values, rows, (float *) job->outputs[0] + row);
        for (int64_t r = 0; svm->is_classifier && r < rows; r++)
            mls__svm_classify(svm, values + r * svm->vector_count, row + r, slice, job->outputs[0],
                              job->outputs[1]);
    }
}

static mls_status svm_run(const mls_kernel *base, const mls_kernel_call *call)
{
    const mls__svm *svm = (const mls__svm *) base;
    svm_job job = {
        svm, call->buffers[0], {call->buffers[1], svm->has_scores ? call->buffers[2] : NULL}};
    mls__row_tasks_run(&svm->tasks, call, svm->rows.count, run_rows, &job);
    return MLS_OK;
}

/* --- reading --------------------------------------------------------------------------------- */

static mls_status read_type(mls__svm *svm, const mls_op *op)
{
    static const char *const names[] = {[MLS__SVM_LINEAR] = "LINEAR",
                                        [MLS__SVM_POLY] = "POLY",
                                        [MLS__SVM_RBF] = "RBF",
                                        [MLS__SVM_SIGMOID] = "SIGMOID"};
    size_t count;
    const float *params = mls__op_floats(op, "kernel_params", &count);
    if (count && count != 3)
        return mls__op_error(op, MLS_EINVAL,
                             "kernel_params has %zu values, expected gamma, coef0 and degree",
                             count);
    svm->gamma = count ? params[0] : 0.0f;
    svm->coef0 = count ? params[1] : 0.0f;
    svm->degree = count ? params[2] : 0.0f;
    for (int i = 0; i < 4; i++)
        if (mls__op_string_is(op, "kernel_type", names[i], "LINEAR")) {
            svm->type = svm->has_vectors ? (mls__svm_type) i : MLS__SVM_LINEAR;
            return MLS_OK;
        }
    return mls__op_error(op, MLS_EINVAL, "kernel_type is none of LINEAR, POLY, RBF and SIGMOID");
}

static bool is_probability(const float *coefficients, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(coefficients[i] >= 0.0f))
            return false;
    return true;
}

/* Inference checked the lengths of what is read here. */
static void read_classes(mls__svm *svm, const mls_op *op)
{
    size_t count, probabilities;
    svm->coefficients = mls__op_floats(op, "coefficients", &count);
    svm->is_probability = is_probability(svm->coefficients, count);
    svm->class_vectors = mls__op_ints(op, "vectors_per_class", &count);
    for (size_t i = 0; i < count; i++)
        svm->vector_count += svm->class_vectors[i];
    svm->has_vectors = svm->vector_count > 0;
    if (!svm->has_vectors)
        svm->vector_count = (int64_t) svm->labels.count;
    svm->rho = mls__op_floats(op, "rho", &count);
    svm->prob_a = mls__op_floats(op, "prob_a", &probabilities);
    svm->prob_b = mls__op_floats(op, "prob_b", &probabilities);
    if (!probabilities || !svm->has_vectors)
        svm->prob_a = svm->prob_b = NULL;
    svm->score_columns = op->output_count > 1 ? op->outputs[1].dims[1] : 0;
}

static void read_vectors(mls__svm *svm, const mls_op *op)
{
    svm->vector_count = mls__op_int(op, "n_supports", 0);
    svm->is_one_class = mls__op_int(op, "one_class", 0) != 0;
    svm->has_vectors = svm->vector_count > 0;
    if (!svm->has_vectors)
        svm->vector_count = 1;
}

/* --- preparing ------------------------------------------------------------------------------- */

static void fill_panels(void *block, void *arg)
{
    const mls__pack_source *source = arg;
    mls__pack_panels(source, 0, mls__gemm_panels(source->n), block);
}

static mls_status pack_panels(mls__svm *svm, const mls_op *op, const float *vectors)
{
    mls__pack_source source = {.elementwise = svm->base.cpu->kernels->elementwise,
                               .data = vectors,
                               .dtype = MLS_FLOAT32,
                               .is_transposed = true,
                               .k = svm->rows.columns,
                               .n = svm->vector_count};
    struct {
        char what[8];
        uint64_t node_id;
        int64_t k;
    } key = {"vectors", op->node_id, source.k};
    const size_t width = (size_t) mls__gemm_panels(source.n) * MLS__GEMM_PANEL;
    size_t bytes;
    if (!mls__mul_size(width * sizeof(float), (size_t) source.k, &bytes))
        return mls__op_error(op, MLS_ESHAPE, "the support vectors are more than memory can hold");
    svm->panels = op->weights_ops->get(op->weights, &key, sizeof key, bytes, fill_panels, &source);
    return svm->panels ? MLS_OK : mls__error_nomem(bytes);
}

static mls_status prepare_product(mls__svm *svm, const mls_op *op)
{
    size_t count;
    const float *vectors =
        mls__op_floats(op, svm->has_vectors ? "support_vectors" : "coefficients", &count);
    mls__gemm *gemm = &svm->product.gemm;
    if (svm->type == MLS__SVM_RBF)
        return pack_panels(svm, op, vectors);
    const mls_status status = mls__ml_product_init(&svm->product, svm->base.cpu, op, 0, vectors,
                                                   svm->vector_count, svm->rows.columns);
    gemm->c_step = 0;
    if (!svm->has_vectors) {
        gemm->c = mls__op_floats(op, "rho", &count);
    } else if (svm->type != MLS__SVM_LINEAR) {
        gemm->alpha = svm->gamma;
        gemm->c = &svm->coef0;
    }
    if (svm->type == MLS__SVM_SIGMOID)
        gemm->activation = svm->base.cpu->kernels->elementwise->unary[MLS__UNARY_TANH];
    return status;
}

/* A regressor's sum over its vectors. */
static mls_status prepare_combine(mls__svm *svm, const mls_op *op)
{
    size_t count;
    const float *coefficients = mls__op_floats(op, "coefficients", &count);
    if (svm->is_classifier || !svm->has_vectors)
        return MLS_OK;
    const mls_status status = mls__ml_product_init(&svm->combine, svm->base.cpu, op, 1,
                                                   coefficients, 1, svm->vector_count);
    svm->combine.gemm.c = mls__op_floats(op, "rho", &count);
    return status;
}

static mls_status plan_memory(mls__svm *svm, const mls_op *op)
{
    const size_t vectors = (size_t) svm->vector_count, classes = svm->labels.count;
    const size_t columns = svm->dtype == MLS_FLOAT32 ? 0 : (size_t) svm->rows.columns;
    const size_t pairs = classes * (classes ? classes - 1 : 0) / 2;
    const size_t width = pairs > classes ? pairs : classes;
    const double cost = (double) vectors * (double) svm->rows.columns / 8.0;
    size_t bytes = 0, offset;
    if (!mls__slice_add(&bytes, ROWS * columns, sizeof(float), &offset) ||
        !mls__slice_add(&bytes, ROWS * vectors, sizeof(float), &svm->values_offset) ||
        !mls__slice_add(&bytes, width + 2, sizeof(float), &svm->scores_offset) ||
        !mls__slice_add(&bytes, classes, sizeof(int64_t), &svm->votes_offset) ||
        !mls__slice_add(&bytes, pairs, sizeof(double), &svm->pairs_offset) ||
        !mls__slice_add(&bytes, svm->prob_a ? classes * (2 * classes + 1) : 0, sizeof(float),
                        &svm->matrix_offset))
        return mls__op_error(op, MLS_ELIMIT, "the rows' scratch memory is more than can be");
    return mls__row_tasks_init(&svm->tasks, &svm->base, op, svm->rows.count, cost, bytes);
}

static mls_status svm_reshape(mls_kernel *base, const mls_op *op)
{
    mls__svm *svm = (mls__svm *) base;
    const mls__rows rows = mls__rows_of(&op->inputs[0]);
    if (rows.columns != svm->rows.columns)
        return mls__op_error(op, MLS_ESHAPE,
                             "input 0 has %" PRId64 " columns, the vectors have %" PRId64,
                             rows.columns, svm->rows.columns);
    svm->rows = rows;
    return MLS_OK;
}

static mls_status prepare(mls__svm *svm, const mls_op *op)
{
    mls_status status = mls__transform_read(op, &svm->transform);
    svm->is_classifier = strcmp(op->type, "SVMClassifier") == 0;
    svm->dtype = op->inputs[0].dtype;
    svm->rows = mls__rows_of(&op->inputs[0]);
    svm->has_scores = op->output_count > 1;
    if (!status && svm->is_classifier)
        status = mls__labels_read(op, "classlabels_ints", &svm->labels);
    if (status)
        return status;
    if (svm->is_classifier)
        read_classes(svm, op);
    else
        read_vectors(svm, op);
    status = read_type(svm, op);
    if (!status)
        status = prepare_product(svm, op);
    if (!status)
        status = prepare_combine(svm, op);
    return status ? status : plan_memory(svm, op);
}

static mls_status svm_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    mls__svm *svm;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *svm, "svm", svm_run, &svm);
    if (status)
        return status;
    svm->base.base.reshape = svm_reshape;
    status = prepare(svm, op);
    if (status) {
        mls__cpu_kernel_free(&svm->base.base);
        return status;
    }
    *ret_kernel = &svm->base.base;
    return MLS_OK;
}

const mls__cpu_op mls__cpu_ops_ml_svm[] = {
    {"ai.onnx.ml", "SVMRegressor", svm_create, 0},
    {"ai.onnx.ml", "SVMClassifier", svm_create, 0},
    {NULL, NULL, NULL, 0},
};
