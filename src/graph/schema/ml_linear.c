/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear models and support vector machines of ai.onnx.ml. All lengths of their attributes
 * are checked here, so that kernels need not.
 */
#include "graph/schema/families.h"
#include "graph/schema/ml.h"

#include "base/alloc.h"

#include <inttypes.h>

/* Pairs of more classes would be too many. */
#define MAX_CLASSES 65535

static size_t float_count(const mls_op *op, const char *name)
{
    size_t count;
    (void) mls__op_floats(op, name, &count);
    return count;
}

static mls_status check_input(const mls_op *op, int64_t *ret_rows, int64_t *ret_columns)
{
    const mls_status status =
        mls__ml_check_dtype(op, 0, MLS__ML_NUMBERS, "float32, float64, int64 or int32");
    if (status)
        return status;
    if (op->inputs[0].rank > 0 && op->inputs[0].dims[op->inputs[0].rank - 1] == 0)
        return mls__op_error(op, MLS_ESHAPE, "input 0 has no columns");
    return mls__ml_rows(op, ret_rows, ret_columns);
}

/* MLS_EINVAL unless the attribute has `rows` times `columns` values. */
static mls_status check_matrix(const mls_op *op, const char *name, int64_t rows, int64_t columns)
{
    const size_t count = float_count(op, name);
    int64_t expected;
    if (mls__mul_i64(rows, columns, &expected) && expected > 0 && (uint64_t) expected == count)
        return MLS_OK;
    return mls__op_error(op, MLS_EINVAL, "%s has %zu values, expected %" PRId64 " rows of %" PRId64,
                         name, count, rows, columns);
}

/*
 * The same for a linear model, which may have more: some exporters describe fewer columns than
 * they write coefficients for, and ONNX Runtime takes the first ones.
 */
static mls_status check_coefficients(const mls_op *op, int64_t rows, int64_t columns)
{
    const size_t count = float_count(op, "coefficients");
    int64_t least;
    if (rows > 0 && mls__mul_i64(rows, columns, &least) && (uint64_t) least <= count)
        return MLS_OK;
    return check_matrix(op, "coefficients", rows, columns);
}

static mls_status check_optional(const mls_op *op, const char *name, int64_t expected)
{
    const size_t count = float_count(op, name);
    if (count == 0 || count == (uint64_t) expected)
        return MLS_OK;
    return mls__op_error(op, MLS_EINVAL, "%s has %zu values, expected none or %" PRId64, name,
                         count, expected);
}

/* --- linear models --------------------------------------------------------------------------- */

static mls_status infer_linear_regressor(const mls_op *op, mls_arg *ret_outputs)
{
    int64_t dims[2], columns;
    mls_status status = check_input(op, &dims[0], &columns);
    dims[1] = mls__op_int(op, "targets", 1);
    if (!status)
        status = check_coefficients(op, dims[1], columns);
    if (!status)
        status = check_optional(op, "intercepts", dims[1]);
    return status ? status : mls__infer_set(op, &ret_outputs[0], MLS_FLOAT32, 2, dims);
}

static mls_status infer_linear_classifier(const mls_op *op, mls_arg *ret_outputs)
{
    int64_t rows, columns, classes;
    mls_status status = check_input(op, &rows, &columns);
    if (!status)
        status = mls__ml_class_count(op, "classlabels_ints", &classes);
    if (status)
        return status;
    const size_t intercepts = float_count(op, "intercepts");
    const int64_t scores =
        intercepts ? (int64_t) intercepts : (int64_t) float_count(op, "coefficients") / columns;
    status = check_coefficients(op, scores > 0 ? scores : classes, columns);
    if (!status && classes != scores && !(scores == 1 && classes == 2))
        status = mls__op_error(op, MLS_EINVAL,
                               "%" PRId64 " class labels, but coefficients or intercepts of "
                               "%" PRId64 " scores; expected as many, or 2 for 1",
                               classes, scores);
    return status ? status : mls__ml_set_classes(op, rows, classes, ret_outputs);
}

/* --- support vector machines ----------------------------------------------------------------- */

static mls_status check_rho(const mls_op *op, int64_t least)
{
    const size_t count = float_count(op, "rho");
    if (count >= (uint64_t) least)
        return MLS_OK;
    return mls__op_error(op, MLS_EINVAL, "rho has %zu values, expected %" PRId64, count, least);
}

static mls_status infer_svm_regressor(const mls_op *op, mls_arg *ret_outputs)
{
    int64_t dims[2] = {0, 1}, columns;
    const int64_t vectors = mls__op_int(op, "n_supports", 0);
    mls_status status = check_input(op, &dims[0], &columns);
    if (!status && vectors < 0)
        status =
            mls__op_error(op, MLS_EINVAL, "n_supports is %" PRId64 ", expected 0 or more", vectors);
    if (!status)
        status = check_matrix(op, "coefficients", 1, vectors ? vectors : columns);
    if (!status && vectors)
        status = check_matrix(op, "support_vectors", vectors, columns);
    if (!status)
        status = check_rho(op, 1);
    return status ? status : mls__infer_set(op, &ret_outputs[0], MLS_FLOAT32, 2, dims);
}

/* The sum of vectors_per_class; 0 where there are none. */
static mls_status count_vectors(const mls_op *op, int64_t classes, int64_t *ret_count)
{
    size_t count;
    const int64_t *vectors = mls__op_ints(op, "vectors_per_class", &count);
    *ret_count = 0;
    for (size_t i = 0; i < count; i++)
        if (vectors[i] < 0 || !mls__add_i64(*ret_count, vectors[i], ret_count))
            return mls__op_error(op, MLS_EINVAL, "vectors_per_class[%zu] is %" PRId64, i,
                                 vectors[i]);
    if (*ret_count && count != (uint64_t) classes)
        return mls__op_error(op, MLS_EINVAL,
                             "vectors_per_class has %zu values for %" PRId64 " classes", count,
                             classes);
    return MLS_OK;
}

static mls_status check_pairs(const mls_op *op, int64_t pairs)
{
    mls_status status = check_rho(op, pairs);
    if (!status)
        status = check_optional(op, "prob_a", pairs);
    if (!status)
        status = check_optional(op, "prob_b", pairs);
    if (!status && float_count(op, "prob_a") != float_count(op, "prob_b"))
        status = mls__op_error(op, MLS_EINVAL, "prob_a and prob_b must have as many values");
    return status;
}

static mls_status check_vectors(const mls_op *op, int64_t classes, int64_t vectors, int64_t columns)
{
    mls_status status = MLS_OK;
    if (classes < 2)
        return mls__op_error(op, MLS_EINVAL,
                             "support vectors for %" PRId64 " class; expected 2 or more", classes);
    status = check_matrix(op, "support_vectors", vectors, columns);
    if (!status)
        status = check_matrix(op, "coefficients", classes - 1, vectors);
    return status ? status : check_pairs(op, classes * (classes - 1) / 2);
}

static mls_status infer_svm_classifier(const mls_op *op, mls_arg *ret_outputs)
{
    int64_t rows, columns, classes, vectors = 0;
    mls_status status = check_input(op, &rows, &columns);
    if (!status)
        status = mls__ml_class_count(op, "classlabels_ints", &classes);
    if (!status && classes > MAX_CLASSES)
        status =
            mls__op_error(op, MLS_ELIMIT, "%" PRId64 " classes; at most %d", classes, MAX_CLASSES);
    if (!status)
        status = count_vectors(op, classes, &vectors);
    if (status)
        return status;
    int64_t scores = classes;
    if (vectors) {
        status = check_vectors(op, classes, vectors, columns);
        if (classes > 2 && !float_count(op, "prob_a"))
            scores = classes * (classes - 1) / 2;
    } else {
        status = check_matrix(op, "coefficients", classes, columns);
        if (!status)
            status = check_rho(op, 1);
    }
    return status ? status : mls__ml_set_classes(op, rows, scores, ret_outputs);
}

const mls__op_schema mls__schemas_ml_linear[] = {
    {"ai.onnx.ml", "LinearRegressor", 1, 1, 1, 1, 0, 0, infer_linear_regressor,
     "coefficients:floats intercepts:floats post_transform:string targets:int"},
    {"ai.onnx.ml", "LinearClassifier", 1, 1, 1, 2, 0, 0, infer_linear_classifier,
     "classlabels_ints:ints classlabels_strings:strings coefficients:floats! intercepts:floats "
     "multi_class:int post_transform:string"},
    {"ai.onnx.ml", "SVMRegressor", 1, 1, 1, 1, 0, 0, infer_svm_regressor,
     "coefficients:floats kernel_params:floats kernel_type:string n_supports:int one_class:int "
     "post_transform:string rho:floats support_vectors:floats"},
    {"ai.onnx.ml", "SVMClassifier", 1, 1, 1, 2, 0, 0, infer_svm_classifier,
     "classlabels_ints:ints classlabels_strings:strings coefficients:floats kernel_params:floats "
     "kernel_type:string post_transform:string prob_a:floats prob_b:floats rho:floats "
     "support_vectors:floats vectors_per_class:ints"},
    {.type = NULL},
};
