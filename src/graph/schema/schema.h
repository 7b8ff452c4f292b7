/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Op schemas: what each op takes and gives, one file an op family.
 *
 * Nodes are in the newest form of their op: older opsets were translated when the
 * model was read (attributes that became inputs, and so on). So there is one row for
 * each op, whatever the model's opset.
 */
#ifndef MLS_GRAPH_SCHEMA_SCHEMA_H
#define MLS_GRAPH_SCHEMA_SCHEMA_H

#include "op/op.h"

/* max_inputs or max_outputs of an op that takes any number. */
#define MLS__VARIADIC 255

/* Output 0 has the bytes of input 0 under other dims: no kernel is needed. */
#define MLS__OP_VIEW 1u
/* The outputs' contents follow from the dims of the inputs alone (Shape, Size). */
#define MLS__OP_FROM_DIMS 2u
/*
 * The outputs' dims follow from the inputs' contents (NonZero): infer() gives the largest, the
 * kernel's run() the true ones (mls_kernel_call.output_dims).
 */
#define MLS__OP_LATE 4u
/* Run by src/exec/flow, not by a backend: it has no infer(). */
#define MLS__OP_HOST 8u
/* Output 0 is the inputs, one behind the other along the attribute `axis`. */
#define MLS__OP_JOIN 16u

typedef struct mls__op_schema {
    const char *domain, *type;
    uint8_t min_inputs, max_inputs;
    uint8_t min_outputs, max_outputs;
    uint16_t flags; /* MLS__OP_* */
    /*
     * Bit i: the contents of input i decide an output's dims, so they must be known
     * when a session is planned (the `shape` of Reshape).
     */
    uint32_t value_inputs;
    /*
     * Sets dtype, rank and dims of each of op->output_count outputs; `op->outputs` is
     * not to be read. Every input's dtype and dims are set. Checks all that the op
     * demands of its inputs and attributes: errors name the input and what would be
     * right (mls__op_error: MLS_ESHAPE, MLS_EDTYPE, MLS_EINVAL; MLS_ESTATE for
     * contents not known yet). Called again, with other dims, whenever a dynamic
     * dimension changes: must not allocate.
     */
    mls_status (*infer)(const mls_op *op, mls_arg *ret_outputs);
    /*
     * The attributes that the op may have, "axis:int keepdims:int"; "!" stands behind those that
     * it must have. NULL: none. No node has others (mls__node_check_attrs), so what reads one
     * need not look at its type, and its default is where it is read. Beside those of ONNX there
     * are a few that an older opset had and that stay ("value" of Pad), those that the
     * translation of older opsets sets ("mls_flatten"), and those of the ops that passes make.
     */
    const char *attrs;
} mls__op_schema;

/* A family's rows; ended by a row whose type is NULL. */
typedef const mls__op_schema mls__op_schema_table[];

/* The row of an op, or NULL. */
const mls__op_schema *mls__op_schema_find(const char *domain, const char *type);

/* All rows: call with *cursor = 0 until it gives NULL. */
const mls__op_schema *mls__op_schema_next(size_t *cursor);

/* An attribute of a schema's list. */
typedef struct mls__attr_form {
    const char *name; /* not ended by a 0 */
    size_t name_size;
    int32_t type; /* mls_attr_type, or MLS__ATTR_BODY */
    bool is_required;
} mls__attr_form;

/* The type of an attribute that is a subgraph (mls__body); no backend sees one. */
#define MLS__ATTR_BODY 5

/* The next attribute of a list, which it leaves behind; false at the list's end. */
bool mls__attr_form_next(const char **list, mls__attr_form *ret_form);

/* The attribute of this name; false if the list does not have it. */
bool mls__attr_form_find(const char *list, const char *name, mls__attr_form *ret_form);

/* "int", or "no type that ops have". */
const char *mls__attr_type_name(int32_t type);

/* Sets of dtypes, and an input's place in one. `words` says what the set holds. */
#define MLS__DTYPE_BIT(dtype) (UINT32_C(1) << (dtype))
mls_status mls__infer_dtype(const mls_op *op, size_t index, uint32_t set, const char *words);

/* Input `index` is left out or of the dtype of input `as`. Errors: MLS_EDTYPE. */
mls_status mls__infer_same_dtype(const mls_op *op, size_t index, size_t as);

/* infer for ops whose output 0 is like input 0. */
mls_status mls__infer_same(const mls_op *op, mls_arg *ret_outputs);

/* Sets an output; dims may be NULL for a scalar. Errors: MLS_ESHAPE (rank, size). */
mls_status mls__infer_set(const mls_op *op, mls_arg *ret_output, int32_t dtype, int64_t rank,
                          const int64_t *dims);

#endif
