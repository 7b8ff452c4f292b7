/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MultiHeadAttention of com.microsoft: Q, K and V in rows, in heads, or packed into one input, with
 * the biases of the products that they come from; then ops/attend.h.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/padding_mask.h"
#include "base/alloc.h"

#include <math.h>
#include <string.h>

enum { Q, K, V, BIAS, PADDING, SCORE_BIAS, PAST_K, PAST_V, PAST_LENGTH, CACHE };

/* Q, K or V where it comes from. */
typedef struct source {
    size_t input;
    int64_t offset; /* of its first element */
    mls__attend_steps steps;
    int64_t rows, size;
} source;

/* Parts of the workspace, in bytes from its begin. */
typedef struct places {
    size_t biased[3], joined[2], mask, attend, bytes;
} places;

typedef struct multi_head {
    mls__cpu_kernel base;
    mls__attend attend;
    mls__padding padding;
    mls__half half;
    float filter;
    bool has_bias, has_score_bias, has_past, is_joined;
    size_t element;
    size_t input_count, output_count;
    source sources[3];
    mls__attend_joint joints[2]; /* of K and V */
    places at;
} multi_head;

/* --- shapes ---------------------------------------------------------------------------------- */

/* [batch, rows, heads * size], [batch, rows, heads, parts, size] or [batch, heads, rows, size]. */
static source source_of(const mls_op *op, size_t input, int64_t heads, int64_t part)
{
    const mls_arg *arg = &op->inputs[input];
    const int64_t *d = arg->dims;
    if (arg->rank == 5) {
        const int64_t head = d[3] * d[4];
        return (source){input, part * d[4], {d[1] * d[2] * head, head, d[2] * head}, d[1], d[4]};
    }
    if (arg->rank == 4)
        return (source){input, 0, {d[1] * d[2] * d[3], d[2] * d[3], d[3]}, d[2], d[3]};
    return (source){input, 0, {d[1] * d[2], d[2] / heads, d[2]}, d[1], d[2] / heads};
}

static void read_sources(multi_head *k, const mls_op *op)
{
    const int64_t heads = k->attend.heads;
    const bool is_one = op->inputs[Q].rank == 5;
    const bool is_two = !is_one && op->inputs[K].rank == 5;
    k->sources[0] = source_of(op, Q, heads, 0);
    k->sources[1] = source_of(op, is_one ? Q : K, heads, is_one ? 1 : 0);
    k->sources[2] = source_of(op, is_one ? Q : is_two ? K : V, heads, is_one ? 2 : is_two ? 1 : 0);
}

/* The rows of a source as a run hands them on: copied where a bias is added. */
static mls__attend_steps steps_of(const multi_head *k, int which)
{
    const source *s = &k->sources[which];
    const int64_t columns = k->attend.heads * s->size;
    if (k->has_bias)
        return (mls__attend_steps){s->rows * columns, s->size, columns};
    return s->steps;
}

static mls__attend_steps join_steps(multi_head *k, int which)
{
    const mls__attend *a = &k->attend;
    const source *s = &k->sources[which];
    const mls__attend_steps fresh = steps_of(k, which);
    const int64_t head = (a->past + s->rows) * s->size;
    k->joints[which - 1] = (mls__attend_joint){.batch = a->batch,
                                               .heads = a->heads,
                                               .past = a->past,
                                               .rows = s->rows,
                                               .size = s->size,
                                               .element = k->element,
                                               .fresh = fresh};
    return k->is_joined ? (mls__attend_steps){a->heads * head, head, s->size} : fresh;
}

static int64_t bias_step(const mls_arg *bias, int axis)
{
    return bias->dims[axis] == 1 ? 0 : mls__arg_span(bias, axis + 1, bias->rank);
}

static void read_masks(multi_head *k, const mls_op *op)
{
    mls__attend *a = &k->attend;
    const mls_arg *bias = mls__op_input(op, SCORE_BIAS);
    k->padding =
        (mls__padding){.batch = a->batch, .queries = a->queries, .keys = a->keys, .past = a->past};
    mls__op_padding(op, PADDING, &k->padding);
    a->masks[0] = mls__padding_mask(&k->padding);
    if (bias)
        a->masks[1] = (mls__attend_mask){
            bias->dtype, {bias_step(bias, 0), bias_step(bias, 1), a->keys}, a->keys};
}

static void read_dims(multi_head *k, const mls_op *op)
{
    mls__attend *a = &k->attend;
    const mls_arg *past = mls__op_input(op, PAST_K);
    const float scale = mls__op_float(op, "scale", 0);
    a->batch = op->inputs[Q].dims[0];
    a->heads = a->kv_heads = mls__op_int(op, "num_heads", 1);
    read_sources(k, op);
    a->queries = k->sources[0].rows;
    a->size = k->sources[0].size;
    a->v_size = k->sources[2].size;
    a->past = past ? past->dims[2] : 0;
    a->keys = a->past + k->sources[1].rows;
    a->q = steps_of(k, 0);
    a->k = join_steps(k, 1);
    a->v = join_steps(k, 2);
    a->y = (mls__attend_steps){a->queries * a->heads * a->v_size, a->v_size, a->heads * a->v_size};
    a->scale = scale != 0 ? (double) scale : 1 / sqrt((double) a->size);
    read_masks(k, op);
}

/* --- the workspace --------------------------------------------------------------------------- */

static bool add_place(size_t *total, int64_t a, int64_t b, int64_t c, size_t element,
                      size_t *ret_offset)
{
    size_t bytes;
    *ret_offset = *total;
    return mls__mul_size((size_t) a, (size_t) b, &bytes) &&
           mls__mul_size(bytes, (size_t) c, &bytes) && mls__mul_size(bytes, element, &bytes) &&
           mls__align_size(bytes, &bytes) && mls__add_size(*total, bytes, total);
}

static bool lay_out(const multi_head *k, places *ret_places)
{
    const mls__attend *a = &k->attend;
    places at = {0};
    size_t attend;
    bool fits = mls__attend_workspace(a, &attend);
    for (int i = 0; fits && i < 3; i++) {
        const source *s = &k->sources[i];
        fits = add_place(&at.bytes, k->has_bias ? a->batch * a->heads : 0, s->rows, s->size,
                         k->element, &at.biased[i]);
    }
    for (int i = 0; fits && i < 2; i++)
        fits = add_place(&at.bytes, k->is_joined ? a->batch * a->heads : 0, a->keys,
                         k->joints[i].size, k->element, &at.joined[i]);
    fits = fits && add_place(&at.bytes, mls__padding_rows(&k->padding), a->keys, 1, sizeof(float),
                             &at.mask);
    at.attend = at.bytes;
    fits = fits && mls__add_size(at.bytes, attend, &at.bytes);
    *ret_places = at;
    return fits;
}

/* --- runs ------------------------------------------------------------------------------------ */

static void add_bias(const multi_head *k, void *y, const void *x, const void *bias, int64_t count)
{
    const mls__binary_fn add = k->base.cpu->kernels->elementwise->binary[MLS__BINARY_ADD];
    if (k->element == sizeof(float)) {
        add(y, x, 1, bias, 1, count);
        return;
    }
    for (int64_t i = 0; i < count; i += MLS__BLOCK) {
        const int64_t n = count - i < MLS__BLOCK ? count - i : MLS__BLOCK;
        float a[MLS__BLOCK], b[MLS__BLOCK];
        k->half.to_f32(a, (const uint16_t *) x + i, n);
        k->half.to_f32(b, (const uint16_t *) bias + i, n);
        add(a, a, 1, b, 1, n);
        k->half.from_f32((uint16_t *) y + i, a, n);
    }
}

/* Q, K or V: where it lies, or with its bias in the workspace. */
static const void *bring(const multi_head *k, const mls_kernel_call *call, int which)
{
    const mls__attend *a = &k->attend;
    const source *s = &k->sources[which];
    const char *from = (const char *) call->buffers[s->input] + (size_t) s->offset * k->element;
    if (!k->has_bias)
        return from;
    int64_t begin = 0;
    for (int i = 0; i < which; i++)
        begin += a->heads * k->sources[i].size;
    const char *bias = (const char *) call->buffers[BIAS] + (size_t) begin * k->element;
    char *to = (char *) call->workspace + k->at.biased[which];
    for (int64_t i = 0; i < a->batch * s->rows * a->heads; i++) {
        const int64_t head = i % a->heads, row = i / a->heads % s->rows;
        const int64_t index =
            i / a->heads / s->rows * s->steps.batch + head * s->steps.head + row * s->steps.row;
        add_bias(k, to + (size_t) (i * s->size) * k->element, from + (size_t) index * k->element,
                 bias + (size_t) (head * s->size) * k->element, s->size);
    }
    return to;
}

/* All keys (1) or values (2), which are an output where that is asked for. */
static const void *joined(const multi_head *k, const mls_kernel_call *call, int which)
{
    const void *fresh = bring(k, call, which);
    const size_t output = (size_t) which;
    if (!k->is_joined)
        return fresh;
    void *memory = k->output_count > output ? call->buffers[k->input_count + output] : NULL;
    if (!memory)
        memory = (char *) call->workspace + k->at.joined[which - 1];
    mls__attend_join(&k->joints[which - 1], k->has_past ? call->buffers[PAST_K + which - 1] : NULL,
                     fresh, memory);
    return memory;
}

static mls_status multi_head_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const multi_head *k = (const multi_head *) kernel;
    float *mask = (float *) (void *) ((char *) call->workspace + k->at.mask);
    const mls__attend_data data = {
        .q = bring(k, call, 0),
        .k = joined(k, call, 1),
        .v = joined(k, call, 2),
        .masks = {mask, k->has_score_bias ? call->buffers[SCORE_BIAS] : NULL},
        .y = call->buffers[k->input_count],
    };
    if (k->padding.form != MLS__PADDING_NONE)
        mls__padding_fill(&k->padding, call->buffers[PADDING], k->filter, mask);
    mls__attend_run(&k->attend, &data, call, (char *) call->workspace + k->at.attend);
    return MLS_OK;
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status multi_head_reshape(mls_kernel *kernel, const mls_op *op)
{
    multi_head *k = (multi_head *) kernel;
    const size_t planned = k->at.bytes;
    read_dims(k, op);
    if (!lay_out(k, &k->at) || k->at.bytes > planned)
        return mls__op_error(op, MLS_EUNSUPPORTED,
                             "its heads need more memory than those that it was planned for");
    k->at.bytes = planned;
    return MLS_OK;
}

static void read_attributes(multi_head *k, const mls_op *op)
{
    mls__attend *a = &k->attend;
    k->filter = mls__op_float(op, "mask_filter_value", -10000);
    k->has_bias = mls__op_input(op, BIAS) != NULL;
    k->has_score_bias = mls__op_input(op, SCORE_BIAS) != NULL;
    k->has_past = mls__op_input(op, PAST_K) != NULL;
    k->is_joined = k->has_past || op->output_count > 1;
    k->input_count = op->input_count;
    k->output_count = op->output_count;
    a->cpu = k->base.cpu;
    a->dtype = op->inputs[Q].dtype;
    a->threads = op->threads;
    a->is_causal = mls__op_int(op, "unidirectional", 0) != 0;
    a->left = a->right = -1;
    a->scores = MLS__SCORES_NONE;
    k->element = mls_dtype_size((mls_dtype) a->dtype);
    if (mls__is_half(a->dtype))
        k->half = mls__half_of(k->base.cpu, a->dtype);
}

static mls_status check_inputs(const mls_op *op)
{
    if (mls__op_input(op, PAST_LENGTH) || mls__op_input(op, CACHE))
        return mls__op_error(op, MLS_EUNSUPPORTED,
                             "past and present in one buffer are not supported");
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    multi_head *k;
    mls_status status = check_inputs(op);
    if (!status)
        status = mls__cpu_kernel_create(cpu, op, sizeof *k, "multi_head", multi_head_run, &k);
    if (status)
        return status;
    mls_kernel *kernel = &k->base.base;
    kernel->reshape = multi_head_reshape;
    read_attributes(k, op);
    read_dims(k, op);
    if (!lay_out(k, &k->at)) {
        kernel->free(kernel);
        return mls__op_error(op, MLS_ESHAPE, "its operands are larger than memory can be");
    }
    kernel->workspace_bytes = k->at.bytes;
    *ret_kernel = kernel;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_multi_head = {
    {"com.microsoft", "MultiHeadAttention", create, 0},
    {.type = NULL},
};
