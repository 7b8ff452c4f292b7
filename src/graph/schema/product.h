/* SPDX-License-Identifier: Apache-2.0 */
/* What products of any type of elements have in common. */
#ifndef MLS_GRAPH_SCHEMA_PRODUCT_H
#define MLS_GRAPH_SCHEMA_PRODUCT_H

#include "graph/schema/schema.h"

/* Sets the output of a MatMul of two inputs. Errors: MLS_ESHAPE. */
mls_status mls__infer_matmul(const mls_op *op, size_t index_a, size_t index_b, int32_t dtype,
                             mls_arg *ret_output);

#endif
