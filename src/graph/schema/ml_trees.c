/* SPDX-License-Identifier: Apache-2.0 */
/* Tree ensembles of ai.onnx.ml. What is in the trees is the kernel's to check. */
#include "graph/schema/families.h"
#include "graph/schema/ml.h"

#include <inttypes.h>

static mls_status target_count(const mls_op *op, int64_t *ret_count)
{
    *ret_count = mls__op_int(op, "n_targets", 1);
    if (*ret_count < 1)
        return mls__op_error(op, MLS_EINVAL, "n_targets is %" PRId64 ", expected 1 or more",
                             *ret_count);
    return MLS_OK;
}

static mls_status infer_targets(const mls_op *op, int32_t dtype, mls_arg *ret_outputs)
{
    int64_t dims[2], columns;
    mls_status status = mls__ml_rows(op, &dims[0], &columns);
    if (!status)
        status = target_count(op, &dims[1]);
    return status ? status : mls__infer_set(op, &ret_outputs[0], dtype, 2, dims);
}

static mls_status infer_regressor(const mls_op *op, mls_arg *ret_outputs)
{
    const mls_status status =
        mls__ml_check_dtype(op, 0, MLS__ML_NUMBERS, "float32, float64, int64 or int32");
    return status ? status : infer_targets(op, MLS_FLOAT32, ret_outputs);
}

static mls_status infer_ensemble(const mls_op *op, mls_arg *ret_outputs)
{
    const uint32_t floats =
        MLS__ML_BIT(MLS_FLOAT32) | MLS__ML_BIT(MLS_FLOAT64) | MLS__ML_BIT(MLS_FLOAT16);
    const mls_status status = mls__ml_check_dtype(op, 0, floats, "float32, float64 or float16");
    return status ? status : infer_targets(op, op->inputs[0].dtype, ret_outputs);
}

static mls_status infer_classifier(const mls_op *op, mls_arg *ret_outputs)
{
    int64_t rows, columns, classes;
    mls_status status =
        mls__ml_check_dtype(op, 0, MLS__ML_NUMBERS, "float32, float64, int64 or int32");
    if (!status)
        status = mls__ml_rows(op, &rows, &columns);
    if (!status)
        status = mls__ml_class_count(op, "classlabels_int64s", &classes);
    return status ? status : mls__ml_set_classes(op, rows, classes, ret_outputs);
}

/* Of the ops that came first, whose trees are lists of nodes; `_as_tensor` holds float64. */
#define NODES                                                                                      \
    "nodes_treeids:ints nodes_nodeids:ints nodes_modes:strings nodes_featureids:ints "             \
    "nodes_values:floats nodes_values_as_tensor:tensor nodes_truenodeids:ints "                    \
    "nodes_falsenodeids:ints nodes_missing_value_tracks_true:ints nodes_hitrates:floats "          \
    "nodes_hitrates_as_tensor:tensor base_values:floats base_values_as_tensor:tensor "             \
    "post_transform:string "
#define TARGETS                                                                                    \
    "n_targets:int aggregate_function:string target_treeids:ints target_nodeids:ints "             \
    "target_ids:ints target_weights:floats target_weights_as_tensor:tensor"
#define CLASSES                                                                                    \
    "classlabels_int64s:ints classlabels_strings:strings class_treeids:ints class_nodeids:ints "   \
    "class_ids:ints class_weights:floats class_weights_as_tensor:tensor"
#define TREES                                                                                      \
    "tree_roots:ints! nodes_modes:tensor! nodes_featureids:ints! nodes_splits:tensor! "            \
    "nodes_truenodeids:ints! nodes_trueleafs:ints! nodes_falsenodeids:ints! "                      \
    "nodes_falseleafs:ints! nodes_missing_value_tracks_true:ints nodes_hitrates:tensor "           \
    "membership_values:tensor leaf_targetids:ints! leaf_weights:tensor! n_targets:int "            \
    "aggregate_function:int post_transform:int"

const mls__op_schema mls__schemas_ml_trees[] = {
    {"ai.onnx.ml", "TreeEnsembleRegressor", 1, 1, 1, 1, 0, 0, infer_regressor, NODES TARGETS},
    {"ai.onnx.ml", "TreeEnsembleClassifier", 1, 1, 1, 2, 0, 0, infer_classifier, NODES CLASSES},
    {"ai.onnx.ml", "TreeEnsemble", 1, 1, 1, 1, 0, 0, infer_ensemble, TREES},
    {.type = NULL},
};
