/* SPDX-License-Identifier: Apache-2.0 */
/* See ml.h. */
#include "graph/schema/ml.h"

#include <inttypes.h>

mls_status mls__ml_check_dtype(const mls_op *op, size_t index, uint32_t set, const char *words)
{
    const int32_t dtype = op->inputs[index].dtype;
    if (dtype >= 0 && dtype < 32 && (set & MLS__ML_BIT(dtype)))
        return MLS_OK;
    return mls__op_error(op, MLS_EDTYPE, "input %zu is %s, expected %s", index,
                         mls_dtype_name((mls_dtype) dtype), words);
}

mls_status mls__ml_rows(const mls_op *op, int64_t *ret_rows, int64_t *ret_columns)
{
    const mls_arg *x = &op->inputs[0];
    if (x->rank != 1 && x->rank != 2)
        return mls__op_error(op, MLS_ESHAPE,
                             "input 0 has %d dimensions, expected [rows, columns] or [columns]",
                             x->rank);
    *ret_rows = x->rank == 2 ? x->dims[0] : 1;
    *ret_columns = x->dims[x->rank - 1];
    return MLS_OK;
}

mls_status mls__ml_class_count(const mls_op *op, const char *ints_name, int64_t *ret_classes)
{
    size_t ints, strings;
    (void) mls__op_ints(op, ints_name, &ints);
    (void) mls__op_strings(op, "classlabels_strings", &strings);
    if (!ints == !strings)
        return mls__op_error(op, MLS_EINVAL, "%s of %s and classlabels_strings given; one must be",
                             ints ? "both" : "none", ints_name);
    *ret_classes = (int64_t) (ints ? ints : strings);
    return MLS_OK;
}

mls_status mls__ml_set_classes(const mls_op *op, int64_t rows, int64_t columns,
                               mls_arg *ret_outputs)
{
    size_t strings;
    (void) mls__op_strings(op, "classlabels_strings", &strings);
    const int32_t dtype = strings ? MLS_STRING : MLS_INT64;
    const int64_t dims[2] = {rows, columns};
    const mls_status status = mls__infer_set(op, &ret_outputs[0], dtype, 1, dims);
    if (status || op->output_count < 2)
        return status;
    return mls__infer_set(op, &ret_outputs[1], MLS_FLOAT32, 2, dims);
}
