/* SPDX-License-Identifier: Apache-2.0 */
/* Makes and infers ops. Blocks are exact, so that sanitizers see the first byte past them. */
#include "cpu/op_parts.h"

#include "base/context.h"
#include "base/error.h"
#include "graph/graph.h"

#include <mlscale/session.h>

#include <stdlib.h>
#include <string.h>

void *op_part_checked(void *memory)
{
    mls_test_expect(memory, "no memory for the test");
    return memory;
}

/* No better aligned than to `alignment`. */
void *op_part_misaligned(size_t size, size_t alignment, void **ret_memory)
{
    mls_test_expect(posix_memalign(ret_memory, 64, size + alignment) == 0,
                    "no memory for the test");
    return (char *) *ret_memory + alignment;
}

static void *test_block(op_test *test, const void *data, size_t size, size_t alignment)
{
    op_block *fresh = op_part_checked(malloc(sizeof *fresh));
    fresh->next = test->blocks;
    test->blocks = fresh;
    void *bytes = op_part_misaligned(size, alignment, &fresh->memory);
    if (data && size)
        memcpy(bytes, data, size);
    return bytes;
}

op_test *op_test_create(const char *domain, const char *type)
{
    op_test *test = op_part_checked(calloc(1, sizeof *test));
    test->heap = op_part_checked(mls_test_heap_create());
    ck_assert_ok(mls_context_create(NULL, &test->tensors));
    test->op = (mls_op){.size = sizeof(mls_op),
                        .domain = domain,
                        .type = type,
                        .node = "tested",
                        .node_id = 1,
                        .attrs = test->attrs,
                        .output_count = 1};
    return test;
}

/* A deep copy, and its end. */
void *op_part_copy_results(const mls_arg *arg, const void *data)
{
    const size_t size = mls__arg_bytes(arg);
    void *copy = op_part_checked(malloc(size + 1));
    if (size)
        memcpy(copy, data, size);
    mls_string *strings = arg->dtype == MLS_STRING ? copy : NULL;
    for (int64_t i = 0; strings && i < mls__arg_count(arg); i++) {
        char *bytes = op_part_checked(malloc(strings[i].size + 1));
        if (strings[i].size)
            memcpy(bytes, strings[i].data, strings[i].size);
        strings[i].data = bytes;
    }
    return copy;
}

void op_part_free_elements(const mls_arg *arg, void *copy)
{
    mls_string *strings = arg->dtype == MLS_STRING ? copy : NULL;
    for (int64_t i = 0; strings && i < mls__arg_count(arg); i++)
        free((void *) (uintptr_t) strings[i].data);
    free(copy);
}

void op_part_free_results(op_test *test)
{
    for (size_t i = 0; test->has_results && i < test->op.output_count; i++) {
        op_part_free_elements(&test->outputs[i].arg, test->outputs[i].data);
        test->outputs[i].data = NULL;
    }
    test->has_results = false;
}

void op_test_free(op_test *test)
{
    op_part_free_results(test);
    for (size_t i = 0; i < test->op.attr_count; i++)
        mls_tensor_free((mls_tensor *) (uintptr_t) test->attrs[i].tensor);
    mls_context_free(test->tensors);
    while (test->blocks) {
        op_block *next = test->blocks->next;
        free(test->blocks->memory);
        free(test->blocks);
        test->blocks = next;
    }
    mls_test_heap_free(test->heap);
    free(test);
}

void op_test_outputs(op_test *test, size_t count)
{
    ck_assert_uint_le(count, OP_MAX_OUTPUTS);
    test->op.output_count = count;
}

void op_test_fast(op_test *test)
{
    test->op.numerics = MLS_NUMERICS_FAST;
}

/* --- attributes ------------------------------------------------------------------------------ */

static mls_attr *next_attr(op_test *test, const char *name, mls_attr_type type)
{
    ck_assert_uint_lt(test->op.attr_count, OP_MAX_ATTRS);
    mls_attr *attr = &test->attrs[test->op.attr_count++];
    *attr = (mls_attr){.name = name, .type = type, .count = 1};
    return attr;
}

void op_test_int(op_test *test, const char *name, int64_t value)
{
    next_attr(test, name, MLS_ATTR_INT)->i = value;
}

void op_test_float(op_test *test, const char *name, float value)
{
    next_attr(test, name, MLS_ATTR_FLOAT)->f = value;
}

static const mls_string *copy_strings(op_test *test, size_t count, const char *const *values)
{
    mls_string *strings = test_block(test, NULL, count * sizeof *strings, sizeof *strings);
    for (size_t i = 0; i < count; i++) {
        const size_t size = strlen(values[i]);
        strings[i] = (mls_string){test_block(test, values[i], size, 1), size};
    }
    return strings;
}

void op_test_string(op_test *test, const char *name, const char *value)
{
    next_attr(test, name, MLS_ATTR_STRING)->strings = copy_strings(test, 1, &value);
}

void op_test_ints(op_test *test, const char *name, size_t count, const int64_t *values)
{
    mls_attr *attr = next_attr(test, name, MLS_ATTR_INTS);
    attr->ints = test_block(test, values, count * sizeof *values, sizeof *values);
    attr->count = count;
}

void op_test_floats(op_test *test, const char *name, size_t count, const float *values)
{
    mls_attr *attr = next_attr(test, name, MLS_ATTR_FLOATS);
    attr->floats = test_block(test, values, count * sizeof *values, sizeof *values);
    attr->count = count;
}

void op_test_strings(op_test *test, const char *name, size_t count, const char *const *values)
{
    mls_attr *attr = next_attr(test, name, MLS_ATTR_STRINGS);
    attr->strings = copy_strings(test, count, values);
    attr->count = count;
}

void op_test_tensor(op_test *test, const char *name, mls_dtype dtype, int rank, const int64_t *dims,
                    const void *data)
{
    mls_tensor *tensor;
    ck_assert_ok(mls_tensor_create(test->tensors, dtype, rank, dims, &tensor));
    if (mls_tensor_size_bytes(tensor))
        memcpy(mls_tensor_data(tensor), data, mls_tensor_size_bytes(tensor));
    next_attr(test, name, MLS_ATTR_TENSOR)->tensor = tensor;
}

/* --- inputs ---------------------------------------------------------------------------------- */

/* A copy that ends where its block ends: the deep bytes of strings too. */
static void *copy_elements(op_test *test, const mls_arg *arg, const void *data)
{
    const size_t size = mls__arg_bytes(arg);
    if (!size)
        return NULL;
    void *copy = test_block(test, data, size, mls_dtype_size((mls_dtype) arg->dtype));
    mls_string *strings = arg->dtype == MLS_STRING ? copy : NULL;
    for (int64_t i = 0; strings && i < mls__arg_count(arg); i++)
        strings[i].data = test_block(test, strings[i].data, strings[i].size, 1);
    return copy;
}

static mls_arg make_arg(int32_t dtype, int rank, const int64_t *dims)
{
    mls_arg arg = {.dtype = dtype, .rank = rank};
    ck_assert_int_le(rank, MLS_MAX_RANK);
    if (rank)
        memcpy(arg.dims, dims, (size_t) rank * sizeof *dims);
    return arg;
}

static void add_input(op_test *test, op_input_kind kind, mls_dtype dtype, int rank,
                      const int64_t *dims, const void *data)
{
    const size_t index = test->op.input_count++;
    ck_assert_uint_lt(index, OP_MAX_INPUTS);
    op_input *in = &test->inputs[index];
    in->kind = kind;
    in->arg = make_arg(dtype, rank, dims);
    in->data = kind == OP_INPUT_LEFT_OUT ? NULL : copy_elements(test, &in->arg, data);
    if (kind == OP_INPUT_CONSTANT || kind == OP_INPUT_KNOWN)
        in->arg.data = in->data;
    if (kind == OP_INPUT_CONSTANT)
        in->arg.weight_id = index + 1;
    in->planned = in->arg;
}

void op_test_input(op_test *test, mls_dtype dtype, int rank, const int64_t *dims, const void *data)
{
    add_input(test, OP_INPUT_RUN, dtype, rank, dims, data);
}

void op_test_constant(op_test *test, mls_dtype dtype, int rank, const int64_t *dims,
                      const void *data)
{
    add_input(test, OP_INPUT_CONSTANT, dtype, rank, dims, data);
}

void op_test_known(op_test *test, mls_dtype dtype, int rank, const int64_t *dims, const void *data)
{
    add_input(test, OP_INPUT_KNOWN, dtype, rank, dims, data);
}

void op_test_left_out(op_test *test)
{
    add_input(test, OP_INPUT_LEFT_OUT, MLS_DTYPE_NONE, OP_SCALAR, NULL);
}

void op_test_planned(op_test *test, int rank, const int64_t *dims, const void *data)
{
    op_input *in = &test->inputs[test->op.input_count - 1];
    in->planned = make_arg(in->arg.dtype, rank, dims);
    if (in->kind == OP_INPUT_KNOWN)
        in->planned.data = copy_elements(test, &in->planned, data);
}

/* --- inference ------------------------------------------------------------------------------- */

/* As of a node that is read from a file. */
static mls_status check_attrs(const mls_op *op, const mls__op_schema *schema)
{
    const mls__node node = {
        .type = op->type, .schema = schema, .attrs = op->attrs, .attr_count = op->attr_count};
    const mls_status status = mls__node_check_attrs(&node);
    return status ? mls__error_at(status, "node '%s' (%s)", op->node, op->type) : MLS_OK;
}

mls_status op_part_infer(op_test *test, bool planned, mls_arg *inputs, mls_arg *ret_outputs)
{
    const mls__op_schema *schema = mls__op_schema_find(test->op.domain, test->op.type);
    ck_assert_msg(schema != NULL, "no schema for %s", test->op.type);
    const size_t count = test->op.input_count;
    if (count < schema->min_inputs ||
        (schema->max_inputs < MLS__VARIADIC && count > schema->max_inputs))
        return mls__op_error(&test->op, MLS_EINVAL, "%zu inputs", count);
    const mls_status status = check_attrs(&test->op, schema);
    if (status)
        return status;
    for (size_t i = 0; i < count; i++)
        inputs[i] = planned ? test->inputs[i].planned : test->inputs[i].arg;
    test->op.inputs = inputs;
    test->op.outputs = NULL;
    memset(ret_outputs, OP_GARBAGE, OP_MAX_OUTPUTS * sizeof *ret_outputs);
    return schema->infer(&test->op, ret_outputs);
}

mls_status op_test_infer(op_test *test)
{
    mls_arg inputs[OP_MAX_INPUTS], outputs[OP_MAX_OUTPUTS];
    op_part_free_results(test);
    const mls_status status = op_part_infer(test, false, inputs, outputs);
    for (size_t i = 0; !status && i < test->op.output_count; i++)
        test->outputs[i].arg = outputs[i];
    return status;
}
