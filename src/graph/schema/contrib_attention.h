/* SPDX-License-Identifier: Apache-2.0 */
/* What the inference of com.microsoft's attention ops shares. */
#ifndef MLS_GRAPH_SCHEMA_CONTRIB_ATTENTION_H
#define MLS_GRAPH_SCHEMA_CONTRIB_ATTENTION_H

#include "graph/schema/schema.h"

#define MLS__CONTRIB_FLOATS                                                                        \
    (MLS__DTYPE_BIT(MLS_FLOAT16) | MLS__DTYPE_BIT(MLS_BFLOAT16) | MLS__DTYPE_BIT(MLS_FLOAT32))

/* Input `index` is left out or has these dims. Errors: MLS_ESHAPE. */
mls_status mls__contrib_dims(const mls_op *op, size_t index, int rank, const int64_t *dims);
mls_status mls__contrib_rank(const mls_op *op, size_t index, int rank);

/* num_heads. Errors: MLS_EINVAL. */
mls_status mls__contrib_heads(const mls_op *op, int64_t *ret_heads);

/* Elements of one of `heads` heads of `what`. Errors: MLS_ESHAPE. */
mls_status mls__contrib_divide(const mls_op *op, const char *what, int64_t columns, int64_t heads,
                               int64_t *ret_size);

/* Input `index` is added to the scores of all heads: its batch and heads may be 1. */
mls_status mls__contrib_score_bias(const mls_op *op, size_t index, int64_t batch, int64_t heads,
                                   int64_t queries, int64_t keys);

#endif
