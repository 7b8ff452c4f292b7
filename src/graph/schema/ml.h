/* SPDX-License-Identifier: Apache-2.0 */
/* What the inference of the ai.onnx.ml families shares. */
#ifndef MLS_GRAPH_SCHEMA_ML_H
#define MLS_GRAPH_SCHEMA_ML_H

#include "graph/schema/schema.h"

/* Sets of dtypes: bit (1 << mls_dtype). */
#define MLS__ML_BIT(dtype) (UINT32_C(1) << (dtype))
#define MLS__ML_NUMBERS                                                                            \
    (MLS__ML_BIT(MLS_FLOAT32) | MLS__ML_BIT(MLS_FLOAT64) | MLS__ML_BIT(MLS_INT64) |                \
     MLS__ML_BIT(MLS_INT32))

/* MLS_EDTYPE unless input `index` is of the set, which `words` describes. */
mls_status mls__ml_check_dtype(const mls_op *op, size_t index, uint32_t set, const char *words);

/*
 * Input 0 as rows of features, [N, columns] or, as one row, [columns]: N in *ret_rows.
 * MLS_ESHAPE for other ranks.
 */
mls_status mls__ml_rows(const mls_op *op, int64_t *ret_rows, int64_t *ret_columns);

/*
 * The outputs of a classifier: labels [N] of int64 or, with classlabels_strings, strings, and
 * scores [N, columns] of float32. `ints_name` is the other labels attribute; exactly one is
 * to be given. *ret_classes is their number.
 */
mls_status mls__ml_class_count(const mls_op *op, const char *ints_name, int64_t *ret_classes);
mls_status mls__ml_set_classes(const mls_op *op, int64_t rows, int64_t columns,
                               mls_arg *ret_outputs);

#endif
