/* SPDX-License-Identifier: Apache-2.0 */
/* Scan: a body over the slices of tensors; SequenceMap: over the items of sequences. */
#include "exec/flow/control.h"

#include "base/error.h"
#include "op/op.h"

#include <string.h>

typedef struct scan {
    mls__flow *flow, *body;
    const mls__flow_step *step;
    /*
     * Of opset 8: everything has a batch as its first axis, which the body does not see, and input
     * 0 may say how many slices each of the batch has.
     */
    bool is_batched;
    size_t states, scanned, outputs; /* values handed on; scanned inputs; gathered outputs */
    mls__object **inputs;            /* the states at present, then what is scanned */
    int64_t length;                  /* iterations */
    mls__gathered *gathered;         /* one an output */
} scan;

static int64_t listed(const scan *s, const char *name, size_t index)
{
    size_t count;
    const int64_t *values = mls__op_ints(&s->step->op, name, &count);
    return index < count ? values[index] : 0;
}

static bool is_backward(const scan *s, size_t index)
{
    return listed(s, s->is_batched ? "directions" : "scan_input_directions", index) != 0;
}

static mls_status check_counts(const scan *s, const mls__body *body)
{
    const size_t inputs = body->graph->inputs.count - body->capture_count;
    if (inputs == s->states + s->scanned && body->graph->outputs.count >= s->states &&
        s->step->op.output_count <= body->graph->outputs.count)
        return MLS_OK;
    return mls__op_error(&s->step->op, MLS_EFORMAT,
                         "the body takes %zu and gives %zu values, which does not fit the node's "
                         "%zu inputs and %zu outputs",
                         inputs, body->graph->outputs.count, s->step->input_count,
                         s->step->op.output_count);
}

static mls_status count_values(scan *s)
{
    const mls__body *body = mls__node_body(s->step->node, "body");
    const size_t first = s->is_batched ? 1 : 0;
    const int64_t scanned = mls__op_int(&s->step->op, "num_scan_inputs", 0);
    if (scanned < 1 || (uint64_t) scanned + first > s->step->input_count)
        return mls__op_error(&s->step->op, MLS_EFORMAT,
                             "num_scan_inputs is %lld; the node has %zu inputs",
                             (long long) scanned, s->step->input_count);
    s->body = s->step->bodies[0];
    s->scanned = (size_t) scanned;
    s->states = s->step->input_count - first - s->scanned;
    const mls_status status = check_counts(s, body);
    if (!status)
        s->outputs = body->graph->outputs.count - s->states;
    return status;
}

static mls_status init_scan(scan *s)
{
    mls__pool *pool = &s->flow->host->pool;
    s->is_batched = mls__op_int(&s->step->op, "mls_batched", 0) != 0;
    void *inputs, *gathered;
    mls_status status = count_values(s);
    if (!status)
        status = mls__pool_take_array(pool, s->states + s->scanned, sizeof *s->inputs, &inputs);
    if (status)
        return status;
    s->inputs = inputs;
    status = mls__pool_take_array(pool, s->outputs, sizeof *s->gathered, &gathered);
    if (status)
        return status;
    s->gathered = gathered;
    for (size_t i = 0; i < s->outputs; i++)
        mls__gathered_init(&s->gathered[i], s->flow);
    return MLS_OK;
}

/* As before the first iteration. */
static void reset_scan(scan *s)
{
    for (size_t i = 0; s->inputs && i < s->states + s->scanned; i++) {
        mls__object_unref(&s->flow->host->pool, s->inputs[i]);
        s->inputs[i] = NULL;
    }
    for (size_t i = 0; s->gathered && i < s->outputs; i++)
        mls__gathered_clear(&s->gathered[i]);
}

static void clear_scan(scan *s)
{
    reset_scan(s);
    mls__pool_give(&s->flow->host->pool, s->inputs, (s->states + s->scanned) * sizeof *s->inputs);
    mls__pool_give(&s->flow->host->pool, s->gathered, s->outputs * sizeof *s->gathered);
}

static mls_status find_length(scan *s)
{
    for (size_t i = 0; i < s->scanned; i++) {
        const mls__object *tensor = s->inputs[s->states + i];
        int axis;
        const mls_status status =
            mls__op_axis(&s->step->op, listed(s, "scan_input_axes", i), tensor->rank, &axis);
        if (status)
            return status;
        if (i && tensor->dims[axis] != s->length)
            return mls__op_error(&s->step->op, MLS_ESHAPE,
                                 "scanned input %zu has %lld slices, the first %lld", i,
                                 (long long) tensor->dims[axis], (long long) s->length);
        s->length = tensor->dims[axis];
    }
    return MLS_OK;
}

/* Position `at` along `axis`, which is not in the result. */
static mls_status copy_slice(const scan *s, mls__object *tensor, int axis, int64_t at,
                             mls__object **ret_slice)
{
    int64_t dims[MLS_MAX_RANK];
    size_t outer = 1, inner = mls_dtype_size((mls_dtype) tensor->dtype);
    if (axis == 0)
        return mls__object_slice(&s->flow->host->pool, tensor, at, ret_slice);
    for (int k = 0; k < tensor->rank; k++)
        if (k < axis)
            outer *= (size_t) (dims[k] = tensor->dims[k]);
        else if (k > axis)
            inner *= (size_t) (dims[k - 1] = tensor->dims[k]);
    const mls_status status =
        mls__object_create(&s->flow->host->pool, tensor->dtype, tensor->rank - 1, dims, ret_slice);
    if (status)
        return status;
    const size_t row = inner * (size_t) tensor->dims[axis];
    const char *from = (const char *) tensor->data + (size_t) at * inner;
    for (size_t o = 0; o < outer && inner; o++)
        memcpy((char *) (*ret_slice)->data + o * inner, from + o * row, inner);
    return mls__object_keep_text(&s->flow->host->pool, *ret_slice);
}

static mls_status set_slices(const scan *s, int64_t iteration)
{
    for (size_t i = 0; i < s->scanned; i++) {
        mls__object *tensor = s->inputs[s->states + i], *slice;
        int axis;
        mls_status status =
            mls__op_axis(&s->step->op, listed(s, "scan_input_axes", i), tensor->rank, &axis);
        if (!status)
            status = copy_slice(s, tensor, axis,
                                is_backward(s, i) ? s->length - 1 - iteration : iteration, &slice);
        if (status)
            return status;
        mls__flow_set_input(s->body, s->states + i, slice);
        mls__object_unref(&s->flow->host->pool, slice);
    }
    return MLS_OK;
}

static mls_status iterate(const scan *s, int64_t iteration)
{
    mls__flow_set_captures(s->flow, s->step, 0);
    for (size_t i = 0; i < s->states; i++)
        mls__flow_set_input(s->body, i, s->inputs[i]);
    mls_status status = set_slices(s, iteration);
    if (!status)
        status = mls__flow_run(s->body);
    for (size_t i = 0; !status && i < s->states + s->outputs; i++) {
        mls__object *output = mls__flow_output(s->body, i);
        if (!output || output->kind != MLS_VALUE_TENSOR)
            return mls__op_error(&s->step->op, MLS_EDTYPE, "output %zu of the body is no tensor",
                                 i);
        if (i >= s->states) {
            status = mls__gathered_add(&s->gathered[i - s->states], output);
        } else {
            mls__object_unref(&s->flow->host->pool, s->inputs[i]);
            s->inputs[i] = mls__object_ref(output);
        }
    }
    return status;
}

static mls_status run_iterations(scan *s)
{
    mls_status status = MLS_OK;
    for (int64_t i = 0; !status && i < s->length; i++)
        status = iterate(s, i);
    return status;
}

/* What output `index` of the node is, after the iterations. */
static mls_status make_result(const scan *s, size_t index, mls__object **ret_object)
{
    if (index < s->states) {
        *ret_object = mls__object_ref(s->inputs[index]);
        return MLS_OK;
    }
    const size_t i = index - s->states;
    return mls__gathered_join(&s->gathered[i], s->flow, s->step, index,
                              listed(s, "scan_output_axes", i),
                              listed(s, "scan_output_directions", i) != 0, ret_object);
}

static mls_status run_plain(scan *s)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < s->states + s->scanned; i++) {
        mls__object *input;
        status = mls__flow_tensor(s->flow, s->step, i, &input);
        if (!status)
            s->inputs[i] = mls__object_ref(input);
    }
    if (!status)
        status = find_length(s);
    if (!status)
        status = run_iterations(s);
    for (size_t i = 0; !status && i < s->step->op.output_count; i++) {
        mls__object *result;
        status = make_result(s, i, &result);
        if (!status)
            mls__flow_give(s->flow, s->step, i, result);
    }
    return status;
}

/* --- of opset 8 --- */

static mls_status find_batch(const scan *s, int64_t *ret_batch)
{
    for (size_t i = 0; i < s->states + s->scanned; i++) {
        mls__object *input;
        const mls_status status = mls__flow_tensor(s->flow, s->step, 1 + i, &input);
        if (status)
            return status;
        if (input->rank < 1 || (i && input->dims[0] != *ret_batch))
            return mls__op_error(&s->step->op, MLS_ESHAPE,
                                 "input %zu has another batch than input 1, or none", 1 + i);
        *ret_batch = input->dims[0];
    }
    return MLS_OK;
}

/* How many slices of row `b` count. */
static mls_status read_length(scan *s, int64_t b)
{
    const mls__object *lengths = mls__flow_input(s->flow, s->step, 0);
    mls_status status = find_length(s);
    if (status || !lengths)
        return status;
    if (lengths->kind != MLS_VALUE_TENSOR || lengths->dtype != MLS_INT64 ||
        mls__object_count(lengths) <= b)
        return mls__op_error(&s->step->op, MLS_EDTYPE,
                             "input 0, sequence_lens, must be int64 and one number a row");
    const int64_t length = ((const int64_t *) lengths->data)[b];
    if (length < 0 || length > s->length)
        return mls__op_error(&s->step->op, MLS_ERANGE,
                             "sequence_lens[%lld] is %lld, of %lld slices", (long long) b,
                             (long long) length, (long long) s->length);
    s->length = length;
    return MLS_OK;
}

static mls_status run_row(scan *s, int64_t b, mls__gathered *rows)
{
    mls_status status = MLS_OK;
    reset_scan(s);
    for (size_t i = 0; !status && i < s->states + s->scanned; i++)
        status = mls__object_slice(&s->flow->host->pool, mls__flow_input(s->flow, s->step, 1 + i),
                                   b, &s->inputs[i]);
    if (!status)
        status = read_length(s, b);
    if (!status)
        status = run_iterations(s);
    for (size_t i = 0; !status && i < s->step->op.output_count; i++) {
        mls__object *result;
        status = make_result(s, i, &result);
        if (!status) {
            status = mls__gathered_add(&rows[i], result);
            mls__object_unref(&s->flow->host->pool, result);
        }
    }
    return status;
}

static mls_status run_rows(scan *s, mls__gathered *rows)
{
    int64_t batch;
    mls_status status = find_batch(s, &batch);
    for (int64_t b = 0; !status && b < batch; b++)
        status = run_row(s, b, rows);
    for (size_t i = 0; !status && i < s->step->op.output_count; i++) {
        mls__object *result;
        status = mls__gathered_join(&rows[i], s->flow, s->step, i, 0, false, &result);
        if (!status)
            mls__flow_give(s->flow, s->step, i, result);
    }
    return status;
}

static mls_status run_batched(scan *s)
{
    mls__pool *pool = &s->flow->host->pool;
    const size_t outputs = s->step->op.output_count;
    void *memory;
    mls_status status = mls__pool_take_array(pool, outputs, sizeof(mls__gathered), &memory);
    if (status)
        return status;
    mls__gathered *rows = memory;
    for (size_t i = 0; i < outputs; i++)
        mls__gathered_init(&rows[i], s->flow);
    status = run_rows(s, rows);
    for (size_t i = 0; i < outputs; i++)
        mls__gathered_clear(&rows[i]);
    mls__pool_give(pool, rows, outputs * sizeof *rows);
    return status;
}

mls_status mls__run_scan(mls__flow *flow, const mls__flow_step *step)
{
    scan s = {.flow = flow, .step = step};
    mls_status status = init_scan(&s);
    if (!status)
        status = s.is_batched ? run_batched(&s) : run_plain(&s);
    clear_scan(&s);
    return status;
}

/* --- SequenceMap --- */

static mls_status map_item(mls__flow *flow, const mls__flow_step *step, size_t index,
                           mls__object **outputs)
{
    mls__flow *body = step->bodies[0];
    mls__flow_set_captures(flow, step, 0);
    for (size_t i = 0; i < step->input_count; i++) {
        mls__object *input = mls__flow_input(flow, step, i);
        if (input && input->kind == MLS_VALUE_SEQUENCE && index >= input->count)
            return mls__op_error(&step->op, MLS_ESHAPE,
                                 "sequence %zu has %zu items, fewer than the first", i,
                                 input->count);
        mls__flow_set_input(
            body, i, input && input->kind == MLS_VALUE_SEQUENCE ? input->items[index] : input);
    }
    mls_status status = mls__flow_run(body);
    for (size_t k = 0; !status && k < step->op.output_count; k++) {
        mls__object *output = mls__flow_output(body, k);
        if (!output || output->kind != MLS_VALUE_TENSOR)
            return mls__op_error(&step->op, MLS_EDTYPE, "output %zu of the body is no tensor", k);
        outputs[k]->dtype = output->dtype;
        status = mls__object_append(&flow->host->pool, outputs[k], output);
    }
    return status;
}

mls_status mls__run_sequence_map(mls__flow *flow, const mls__flow_step *step)
{
    const mls__body *body = mls__node_body(step->node, "body");
    const size_t count = step->op.output_count;
    mls__object *first;
    if (body->graph->outputs.count < count ||
        body->graph->inputs.count - body->capture_count != step->input_count)
        return mls__op_error(&step->op, MLS_EFORMAT,
                             "the body does not fit the node's inputs and outputs");
    mls_status status = mls__flow_sequence(flow, step, 0, &first);
    if (status)
        return status;
    mls__pool *pool = &flow->host->pool;
    void *memory;
    status = mls__pool_take_array(pool, count, sizeof(mls__object *), &memory);
    if (status)
        return status;
    mls__object **outputs = memory;
    for (size_t k = 0; !status && k < count; k++)
        status = mls__object_sequence(pool, MLS_DTYPE_NONE, first->count, &outputs[k]);
    for (size_t i = 0; !status && i < first->count; i++)
        status = map_item(flow, step, i, outputs);
    for (size_t k = 0; k < count; k++)
        if (status)
            mls__object_unref(pool, outputs[k]);
        else
            mls__flow_give(flow, step, k, outputs[k]);
    mls__pool_give(pool, outputs, count * sizeof *outputs);
    return status;
}
