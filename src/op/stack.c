/* SPDX-License-Identifier: Apache-2.0 */
/* The ops that may be stages, and the reading of programs. */
#include "op/stack.h"

#include "op/convolution.h"
#include "op/pooling.h"
#include "tensor/tensor.h"

#include <string.h>

#define STAGES_ATTR  "stages"
#define PROGRAM_ATTR "program"

/* What may be a stage, and how many inputs it has besides its image. */
static const struct stage_op {
    const char *type;
    int64_t least, most;
} ops[] = {
    {"FusedConv", 1, 3},
    {"BlockedMaxPool", 0, 0},
    {"BlockedAveragePool", 0, 0},
};

static const struct stage_op *find_op(mls_string type)
{
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (mls__string_equal(type, (mls_string){ops[i].type, strlen(ops[i].type)}))
            return &ops[i];
    return NULL;
}

bool mls__stack_takes(mls_string type)
{
    return find_op(type) != NULL;
}

/* --- reading --------------------------------------------------------------------------------- */

static bool read_stage(mls_string type, const int64_t *numbers, size_t attrs_left,
                       mls__stack_stage *stage)
{
    const struct stage_op *op = find_op(type);
    if (!op || numbers[0] < 0 || (uint64_t) numbers[0] > attrs_left || numbers[1] < op->least ||
        numbers[1] > op->most)
        return false;
    stage->type = op->type;
    stage->attr_count = (size_t) numbers[0];
    stage->input_count = (size_t) numbers[1];
    return true;
}

mls_status mls__stack_read(const mls_op *op, mls__stack *ret_stack)
{
    size_t count, length, attr_end = 2, input_end = 1;
    const mls_string *types = mls__op_strings(op, STAGES_ATTR, &count);
    const int64_t *program = mls__op_ints(op, PROGRAM_ATTR, &length);
    if (op->attr_count < attr_end || !count || count > MLS__STACK_STAGES || length != 2 * count)
        return mls__op_error(op, MLS_EINVAL,
                             "%zu stages with %zu numbers; at most %d with two each", count, length,
                             MLS__STACK_STAGES);
    ret_stack->count = (int) count;
    for (size_t i = 0; i < count; i++) {
        mls__stack_stage *stage = &ret_stack->stages[i];
        stage->attr_begin = attr_end;
        stage->input_begin = input_end;
        if (!read_stage(types[i], program + 2 * i, op->attr_count - attr_end, stage))
            return mls__op_error(op, MLS_EINVAL, "stage %zu is not one that can be run", i);
        attr_end += stage->attr_count;
        input_end += stage->input_count;
    }
    if (attr_end != op->attr_count || input_end != op->input_count)
        return mls__op_error(op, MLS_EINVAL, "%zu stages need %zu attributes and %zu inputs", count,
                             attr_end, input_end);
    return MLS_OK;
}

/* --- stages ---------------------------------------------------------------------------------- */

void mls__stack_view_stage(const mls__stack *stack, int stage, const mls_op *op, const mls_arg *x,
                           mls__stage_view *view)
{
    const mls__stack_stage *s = &stack->stages[stage];
    view->inputs[0] = *x;
    if (s->input_count)
        memcpy(view->inputs + 1, op->inputs + s->input_begin, s->input_count * sizeof(mls_arg));
    view->op = *op;
    view->op.type = s->type;
    view->op.attrs = op->attrs + s->attr_begin;
    view->op.attr_count = s->attr_count;
    view->op.inputs = view->inputs;
    view->op.input_count = 1 + s->input_count;
    view->op.outputs = NULL;
}

static mls_status pool_result(const mls_op *op, mls_arg *ret_result)
{
    const mls_arg *x = &op->inputs[0];
    mls__pooling g;
    mls_arg result = {.dtype = x->dtype, .rank = x->rank};
    const mls_status status = mls__op_blocked_pooling(op, &g, result.dims);
    if (!status)
        *ret_result = result;
    return status;
}

mls_status mls__stack_result(const mls__stage_view *view, mls_arg *ret_result)
{
    mls__convolution c;
    if (strcmp(view->op.type, "FusedConv") != 0)
        return pool_result(&view->op, ret_result);
    const mls_status status = mls__op_convolution(&view->op, &c);
    if (status)
        return status;
    *ret_result = (mls_arg){.dtype = mls__convolution_dtype(&view->op)};
    ret_result->rank = mls__convolution_dims(&c, ret_result->dims);
    return MLS_OK;
}
