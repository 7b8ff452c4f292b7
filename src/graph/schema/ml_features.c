/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What prepares features and encodes labels in ai.onnx.ml. All lengths of attributes are
 * checked here, so that kernels need not.
 *
 * ZipMap gives in ONNX a sequence of maps from labels to scores; here it gives its input,
 * [rows, classes] of float32. The labels are the attribute's, in the order of the columns.
 */
#include "graph/schema/families.h"
#include "graph/schema/ml.h"

#include "base/alloc.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <string.h>

static const char numbers_text[] = "float32, float64, int64 or int32";

static mls_status check_numbers(const mls_op *op, size_t index)
{
    return mls__ml_check_dtype(op, index, MLS__ML_NUMBERS, numbers_text);
}

static int64_t last_dim(const mls_arg *arg)
{
    return arg->rank ? arg->dims[arg->rank - 1] : 1;
}

/* The attribute `name`, which has `count` values, is for one column or for each. */
static mls_status check_columns(const mls_op *op, const char *name, size_t count)
{
    const int64_t columns = last_dim(&op->inputs[0]);
    if (count == 1 || count == (uint64_t) columns)
        return MLS_OK;
    return mls__op_error(op, MLS_EINVAL, "%s has %zu values, expected 1 or %" PRId64, name, count,
                         columns);
}

static mls_status set_like_input(const mls_op *op, int32_t dtype, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    return mls__infer_set(op, &ret_outputs[0], dtype, x->rank, x->dims);
}

/* --- features -------------------------------------------------------------------------------- */

static mls_status infer_scaler(const mls_op *op, mls_arg *ret_outputs)
{
    static const char *const names[2] = {"offset", "scale"};
    mls_status status = check_numbers(op, 0);
    for (int i = 0; !status && i < 2; i++) {
        size_t count;
        (void) mls__op_floats(op, names[i], &count);
        if (count)
            status = check_columns(op, names[i], count);
    }
    return status ? status : set_like_input(op, MLS_FLOAT32, ret_outputs);
}

static mls_status infer_normalizer(const mls_op *op, mls_arg *ret_outputs)
{
    int64_t rows, columns;
    mls_status status = check_numbers(op, 0);
    if (!status)
        status = mls__ml_rows(op, &rows, &columns);
    return status ? status : set_like_input(op, MLS_FLOAT32, ret_outputs);
}

static mls_status check_int32(const mls_op *op, const int64_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] < INT32_MIN || values[i] > INT32_MAX)
            return mls__op_error(op, MLS_EINVAL,
                                 "imputed_value_int64s[%zu] is %" PRId64
                                 ", which is no int32 as input 0 is",
                                 i, values[i]);
    return MLS_OK;
}

static mls_status infer_imputer(const mls_op *op, mls_arg *ret_outputs)
{
    const int32_t dtype = op->inputs[0].dtype;
    const bool is_float = dtype == MLS_FLOAT32 || dtype == MLS_FLOAT64;
    const char *name = is_float ? "imputed_value_floats" : "imputed_value_int64s";
    size_t floats, ints;
    (void) mls__op_floats(op, "imputed_value_floats", &floats);
    const int64_t *values = mls__op_ints(op, "imputed_value_int64s", &ints);
    mls_status status = check_numbers(op, 0);
    if (!status)
        status = check_columns(op, name, is_float ? floats : ints);
    if (!status && dtype == MLS_INT32)
        status = check_int32(op, values, ints);
    return status ? status : set_like_input(op, dtype, ret_outputs);
}

static mls_status infer_binarizer(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_status status = check_numbers(op, 0);
    return status ? status : set_like_input(op, op->inputs[0].dtype, ret_outputs);
}

/* --- columns --------------------------------------------------------------------------------- */

static mls_status infer_extractor(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    int64_t dims[MLS_MAX_RANK];
    mls_status status = mls__ml_check_dtype(op, 0, MLS__ML_NUMBERS | MLS__ML_BIT(MLS_STRING),
                                            "float32, float64, int64, int32 or string");
    if (!status)
        status = mls__ml_check_dtype(op, 1, MLS__ML_BIT(MLS_INT64), "int64");
    if (!status && x->rank == 0)
        status =
            mls__op_error(op, MLS_ESHAPE, "input 0 is a scalar, expected 1 or more dimensions");
    if (status)
        return status;
    memcpy(dims, x->dims, sizeof dims);
    /* One dimension gives two: [1, indices], as ONNX Runtime has it. */
    const int rank = x->rank == 1 ? 2 : x->rank;
    if (x->rank == 1)
        dims[0] = 1;
    dims[rank - 1] = mls__arg_count(&op->inputs[1]);
    return mls__infer_set(op, &ret_outputs[0], x->dtype, rank, dims);
}

static mls_status check_part(const mls_op *op, size_t index, int64_t rows)
{
    const mls_arg *x = &op->inputs[index];
    mls_status status = check_numbers(op, index);
    if (!status && x->dtype != op->inputs[0].dtype)
        status = mls__op_error(op, MLS_EDTYPE,
                               "input %zu is %s and input 0 is %s; they must be "
                               "equal",
                               index, mls_dtype_name((mls_dtype) x->dtype),
                               mls_dtype_name((mls_dtype) op->inputs[0].dtype));
    if (!status && x->rank == 0)
        status = mls__op_error(op, MLS_ESHAPE, "input %zu is a scalar", index);
    if (!status && (x->rank == 1 ? 1 : x->dims[0]) != rows)
        status =
            mls__op_error(op, MLS_ESHAPE, "input %zu has %" PRId64 " rows, input 0 has %" PRId64,
                          index, x->rank == 1 ? 1 : x->dims[0], rows);
    return status;
}

static mls_status infer_vectorizer(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *first = &op->inputs[0];
    int64_t dims[2] = {first->rank > 1 ? first->dims[0] : 1, 0};
    size_t count;
    const int64_t *widths = mls__op_ints(op, "inputdimensions", &count);
    if (count && count != op->input_count)
        return mls__op_error(op, MLS_EINVAL, "inputdimensions has %zu values for %zu inputs", count,
                             op->input_count);
    for (size_t i = 0; i < op->input_count; i++) {
        const mls_arg *x = &op->inputs[i];
        const mls_status status = check_part(op, i, dims[0]);
        if (status)
            return status;
        const int64_t columns = x->rank == 1 ? x->dims[0] : mls__arg_span(x, 1, x->rank);
        const int64_t width = count ? widths[i] : columns;
        if (width < 0 || !mls__add_i64(dims[1], width, &dims[1]))
            return mls__op_error(op, MLS_EINVAL, "inputdimensions[%zu] is %" PRId64, i, width);
    }
    return mls__infer_set(op, &ret_outputs[0], MLS_FLOAT32, 2, dims);
}

/* --- labels ---------------------------------------------------------------------------------- */

static mls_status infer_zip_map(const mls_op *op, mls_arg *ret_outputs)
{
    int64_t rows, columns, classes;
    mls_status status = mls__ml_check_dtype(op, 0, MLS__ML_BIT(MLS_FLOAT32), "float32");
    if (!status)
        status = mls__ml_rows(op, &rows, &columns);
    if (!status)
        status = mls__ml_class_count(op, "classlabels_int64s", &classes);
    if (!status && classes != columns)
        status = mls__op_error(op, MLS_ESHAPE,
                               "input 0 has %" PRId64 " columns for %" PRId64 " class labels",
                               columns, classes);
    return status ? status : set_like_input(op, MLS_FLOAT32, ret_outputs);
}

static mls_status infer_one_hot(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_arg *x = &op->inputs[0];
    int64_t dims[MLS_MAX_RANK + 1];
    size_t ints, strings;
    (void) mls__op_ints(op, "cats_int64s", &ints);
    (void) mls__op_strings(op, "cats_strings", &strings);
    const mls_status status = mls__ml_check_dtype(op, 0, MLS__ML_NUMBERS | MLS__ML_BIT(MLS_STRING),
                                                  "string, int64, int32, float32 or float64");
    if (status)
        return status;
    if (!ints == !strings)
        return mls__op_error(op, MLS_EINVAL,
                             "%s of cats_int64s and cats_strings given; one must "
                             "be",
                             ints ? "both" : "none");
    if ((strings > 0) != (x->dtype == MLS_STRING))
        return mls__op_error(op, MLS_EDTYPE, "input 0 is %s, the categories are %s",
                             mls_dtype_name((mls_dtype) x->dtype), strings ? "strings" : "int64");
    memcpy(dims, x->dims, (size_t) x->rank * sizeof *dims);
    dims[x->rank] = (int64_t) (ints ? ints : strings);
    return mls__infer_set(op, &ret_outputs[0], MLS_FLOAT32, x->rank + 1, dims);
}

/* The one attribute of `prefix`_strings, _int64s, _floats and _tensor: its dtype and length. */
static mls_status read_side(const mls_op *op, const char *const names[4], int32_t *ret_dtype,
                            size_t *ret_count)
{
    size_t counts[4];
    int32_t dtypes[4] = {MLS_STRING, MLS_INT64, MLS_FLOAT32, MLS_DTYPE_NONE};
    const mls_tensor *tensor = mls__op_tensor(op, names[3]);
    int given = -1;
    (void) mls__op_strings(op, names[0], &counts[0]);
    (void) mls__op_ints(op, names[1], &counts[1]);
    (void) mls__op_floats(op, names[2], &counts[2]);
    counts[3] = tensor ? (size_t) tensor->count : 0;
    if (tensor)
        dtypes[3] = tensor->dtype;
    for (int i = 0; i < 4; i++) {
        if (counts[i] && given >= 0)
            return mls__op_error(op, MLS_EINVAL, "both %s and %s are given; one may be",
                                 names[given], names[i]);
        if (counts[i])
            given = i;
    }
    if (given < 0)
        return mls__op_error(op, MLS_EINVAL, "none of %s, %s, %s and %s is given", names[0],
                             names[1], names[2], names[3]);
    *ret_dtype = dtypes[given];
    *ret_count = counts[given];
    return MLS_OK;
}

static mls_status check_label_dtype(const mls_op *op, int32_t dtype)
{
    const uint32_t labels = MLS__ML_NUMBERS | MLS__ML_BIT(MLS_STRING) | MLS__ML_BIT(MLS_INT16);
    if (dtype >= 0 && dtype < 32 && (labels & MLS__ML_BIT(dtype)))
        return MLS_OK;
    return mls__op_error(op, MLS_EDTYPE, "labels of %s are not supported",
                         mls_dtype_name((mls_dtype) dtype));
}

/* LabelEncoder of opset 1: strings to their positions in classes_strings, or the other way. */
static mls_status infer_classes(const mls_op *op, mls_arg *ret_outputs)
{
    const bool is_string = op->inputs[0].dtype == MLS_STRING;
    const mls_status status = mls__ml_check_dtype(
        op, 0, MLS__ML_BIT(MLS_STRING) | MLS__ML_BIT(MLS_INT64), "string or int64");
    return status ? status : set_like_input(op, is_string ? MLS_INT64 : MLS_STRING, ret_outputs);
}

static mls_status infer_label_encoder(const mls_op *op, mls_arg *ret_outputs)
{
    static const char *const key_names[4] = {"keys_strings", "keys_int64s", "keys_floats",
                                             "keys_tensor"};
    static const char *const value_names[4] = {"values_strings", "values_int64s", "values_floats",
                                               "values_tensor"};
    int32_t key_dtype, value_dtype;
    size_t keys, values;
    if (mls__op_attr(op, "classes_strings"))
        return infer_classes(op, ret_outputs);
    mls_status status = read_side(op, key_names, &key_dtype, &keys);
    if (!status)
        status = read_side(op, value_names, &value_dtype, &values);
    if (!status)
        status = check_label_dtype(op, key_dtype);
    if (!status)
        status = check_label_dtype(op, value_dtype);
    if (!status && keys != values)
        status = mls__op_error(op, MLS_EINVAL, "%zu keys and %zu values; they must be as many",
                               keys, values);
    if (!status && op->inputs[0].dtype != key_dtype)
        status = mls__op_error(op, MLS_EDTYPE, "input 0 is %s, the keys are %s",
                               mls_dtype_name((mls_dtype) op->inputs[0].dtype),
                               mls_dtype_name((mls_dtype) key_dtype));
    return status ? status : set_like_input(op, value_dtype, ret_outputs);
}

/* Strings to integers, or the other way. */
static mls_status infer_category_mapper(const mls_op *op, mls_arg *ret_outputs)
{
    size_t strings, ints;
    mls__op_strings(op, "cats_strings", &strings);
    mls__op_ints(op, "cats_int64s", &ints);
    if (strings != ints)
        return mls__op_error(op, MLS_EINVAL,
                             "%zu cats_strings and %zu cats_int64s; they must be as many", strings,
                             ints);
    return infer_classes(op, ret_outputs);
}

const mls__op_schema mls__schemas_ml_features[] = {
    {"ai.onnx.ml", "Scaler", 1, 1, 1, 1, 0, 0, infer_scaler, "offset:floats scale:floats"},
    {"ai.onnx.ml", "Normalizer", 1, 1, 1, 1, 0, 0, infer_normalizer, "norm:string"},
    {"ai.onnx.ml", "Imputer", 1, 1, 1, 1, 0, 0, infer_imputer,
     "imputed_value_floats:floats imputed_value_int64s:ints replaced_value_float:float "
     "replaced_value_int64:int"},
    {"ai.onnx.ml", "Binarizer", 1, 1, 1, 1, 0, 0, infer_binarizer, "threshold:float"},
    {"ai.onnx.ml", "ArrayFeatureExtractor", 2, 2, 1, 1, 0, 0, infer_extractor, NULL},
    {"ai.onnx.ml", "FeatureVectorizer", 1, MLS__VARIADIC, 1, 1, 0, 0, infer_vectorizer,
     "inputdimensions:ints"},
    {"ai.onnx.ml", "ZipMap", 1, 1, 1, 1, MLS__OP_VIEW, 0, infer_zip_map,
     "classlabels_int64s:ints classlabels_strings:strings"},
    {"ai.onnx.ml", "OneHotEncoder", 1, 1, 1, 1, 0, 0, infer_one_hot,
     "cats_int64s:ints cats_strings:strings zeros:int"},
    {"ai.onnx.ml", "CategoryMapper", 1, 1, 1, 1, 0, 0, infer_category_mapper,
     "cats_int64s:ints cats_strings:strings default_int64:int default_string:string"},
    {"ai.onnx.ml", "LabelEncoder", 1, 1, 1, 1, 0, 0, infer_label_encoder,
     "classes_strings:strings default_float:float default_int64:int default_string:string "
     "default_tensor:tensor keys_floats:floats keys_int64s:ints keys_strings:strings "
     "keys_tensor:tensor values_floats:floats values_int64s:ints values_strings:strings "
     "values_tensor:tensor"},
    {.type = NULL},
};
