/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops of ai.onnx.ml on maps. The reader takes maps apart, so that inputs here are the keys, [n],
 * and the values, [n]; of CastMap they have been cast.
 */
#include "graph/schema/families.h"
#include "graph/schema/ml.h"

#include <inttypes.h>

static mls_status check_items(const mls_op *op)
{
    const mls_arg *keys = &op->inputs[0], *values = &op->inputs[1];
    const mls_status status =
        mls__ml_check_dtype(op, 1,
                            MLS__ML_BIT(MLS_FLOAT32) | MLS__ML_BIT(MLS_FLOAT64) |
                                MLS__ML_BIT(MLS_INT64) | MLS__ML_BIT(MLS_STRING),
                            "float32, float64, int64 or string");
    if (status)
        return status;
    if (keys->rank != 1 || values->rank != 1 || keys->dims[0] != values->dims[0])
        return mls__op_error(op, MLS_ESHAPE, "keys and values must be [n] both");
    return MLS_OK;
}

static mls_status infer_dict_vectorizer(const mls_op *op, mls_arg *ret_outputs)
{
    size_t strings, ints;
    (void) mls__op_strings(op, "string_vocabulary", &strings);
    (void) mls__op_ints(op, "int64_vocabulary", &ints);
    mls_status status = check_items(op);
    if (status)
        return status;
    if (!strings == !ints)
        return mls__op_error(op, MLS_EINVAL,
                             "%s of string_vocabulary and int64_vocabulary given; one must be",
                             ints ? "both" : "none");
    status = mls__ml_check_dtype(op, 0, MLS__ML_BIT(strings ? MLS_STRING : MLS_INT64),
                                 strings ? "string, as the vocabulary is"
                                         : "int64, as the vocabulary is");
    if (status)
        return status;
    const int64_t dims[2] = {1, (int64_t) (strings ? strings : ints)};
    return mls__infer_set(op, &ret_outputs[0], op->inputs[1].dtype, 2, dims);
}

static mls_status infer_cast_map(const mls_op *op, mls_arg *ret_outputs)
{
    const bool is_dense = mls__op_string_is(op, "map_form", "DENSE", "DENSE");
    const int64_t length = mls__op_int(op, "max_map", 1);
    mls_status status = mls__ml_check_dtype(op, 0, MLS__ML_BIT(MLS_INT64), "int64");
    if (!status)
        status = check_items(op);
    if (status)
        return status;
    if (!is_dense && !mls__op_string_is(op, "map_form", "SPARSE", "DENSE"))
        return mls__op_error(op, MLS_EINVAL, "map_form is none of DENSE and SPARSE");
    if (!is_dense && length < 1)
        return mls__op_error(op, MLS_EINVAL, "max_map is %" PRId64 ", expected 1 or more", length);
    const int64_t dims[2] = {1, is_dense ? op->inputs[0].dims[0] : length};
    return mls__infer_set(op, &ret_outputs[0], op->inputs[1].dtype, 2, dims);
}

mls__op_schema_table mls__schemas_ml_maps = {
    {"ai.onnx.ml", "CastMap", 2, 2, 1, 1, 0, 0, infer_cast_map,
     "cast_to:string map_form:string max_map:int"},
    {"ai.onnx.ml", "DictVectorizer", 2, 2, 1, 1, 0, 0, infer_dict_vectorizer,
     "int64_vocabulary:ints string_vocabulary:strings"},
    {"mlscale", "MapItems", 1, 1, 2, 2, MLS__OP_HOST, 0, NULL, NULL},
    {.type = NULL},
};
