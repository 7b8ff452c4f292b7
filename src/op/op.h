/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading an op's descriptor (mlscale/ext/backend.h): attributes with defaults,
 * inputs whose contents are known, and errors that name the node. Shape inference
 * and backends share it.
 */
#ifndef MLS_OP_OP_H
#define MLS_OP_OP_H

#include <mlscale/ext/backend.h>

#include <stdbool.h>

/* Sets a message that begins "node 'x' (Gemm): " and returns `status`. */
mls_status mls__op_error(const mls_op *op, mls_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* NULL when the op does not have it. */
const mls_attr *mls__op_attr(const mls_op *op, const char *name);

/*
 * The attribute's value, or the default when it is absent. Its type is that of the schema's list:
 * a node that has another is refused when it is read.
 */
int64_t mls__op_int(const mls_op *op, const char *name, int64_t fallback);
float mls__op_float(const mls_op *op, const char *name, float fallback);
/* {NULL, 0} when absent. */
mls_string mls__op_string(const mls_op *op, const char *name);
/* Whether the string attribute is exactly `value`; an absent one is `fallback`. */
bool mls__op_string_is(const mls_op *op, const char *name, const char *value, const char *fallback);
/* Arrays: NULL and *ret_count = 0 when absent. */
const int64_t *mls__op_ints(const mls_op *op, const char *name, size_t *ret_count);
const float *mls__op_floats(const mls_op *op, const char *name, size_t *ret_count);
const mls_string *mls__op_strings(const mls_op *op, const char *name, size_t *ret_count);
/* NULL when absent. Contiguous. */
const mls_tensor *mls__op_tensor(const mls_op *op, const char *name);

/* Input `index` if it is given, else NULL. */
const mls_arg *mls__op_input(const mls_op *op, size_t index);

int64_t mls__arg_count(const mls_arg *arg);
size_t mls__arg_bytes(const mls_arg *arg);

/* Where a kernel finds it: what is empty may lie nowhere, and kernels compute with its address. */
void *mls__arg_address(const void *data);

/* The product of dims [from, to). */
int64_t mls__arg_span(const mls_arg *arg, int from, int to);

/*
 * Input `index`, once it is certain to hold at most `capacity` int64 or int32 elements
 * in one dimension or none, known before the run; NULL when it is left out.
 * Errors: as of mls__op_known_ints().
 */
mls_status mls__op_known_arg(const mls_op *op, size_t index, size_t capacity,
                             const mls_arg **ret_arg);

/* Element i of such an input. */
int64_t mls__arg_int(const mls_arg *arg, size_t i);

/*
 * The int64 or int32 elements of input `index`, which must be known before the run,
 * as int64 in `ret_values` (at most `capacity`). An input that is left out gives
 * *ret_count = 0 and *ret_is_given = false. Errors: MLS_ESTATE when the contents
 * are not known yet (the message names the input's position), MLS_EDTYPE, MLS_ESHAPE
 * (more than one dimension, too many elements).
 */
mls_status mls__op_known_ints(const mls_op *op, size_t index, int64_t *ret_values, size_t capacity,
                              size_t *ret_count, bool *ret_is_given);

/* `axis` in [-rank, rank) as [0, rank). Errors: MLS_EINVAL naming what is allowed. */
mls_status mls__op_axis(const mls_op *op, int64_t axis, int rank, int *ret_axis);

#endif
