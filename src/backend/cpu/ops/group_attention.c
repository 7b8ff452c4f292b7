/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GroupQueryAttention of com.microsoft: new keys, turned by their positions, and values go behind
 * those of each batch's past; then ops/attend.h.
 *
 * A run is a prompt when all keys are new: row i of each batch stands at key i, and rows past a
 * batch's own length, which pad it, give numbers that mean nothing. Else the new rows are the last
 * ones of their batch. What is behind a batch's keys in the cache that is given is 0.
 */
#include "backend/cpu/ops/attend.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/ranges.h"
#include "backend/cpu/ops/rotary.h"
#include "base/alloc.h"
#include "op/group_attention.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Elements that are worth a second thread. */
#define GRAIN 16384

/* Q, K or V of [batch, rows, ...]: steps in elements; heads are neighbours. */
typedef struct fresh {
    size_t input;
    int64_t offset; /* of its first element */
    int64_t row;
} fresh;

/* Parts of the workspace, in bytes from its begin. */
typedef struct places {
    size_t lengths, q, present[2], attend, bytes;
} places;

typedef struct group_attention {
    mls__cpu_kernel base;
    mls__attend attend;
    mls__rotary rotary;
    bool has_rotary, has_positions, has_bias;
    bool is_prompt;
    size_t element;
    size_t input_count, output_count;
    int64_t past, present; /* rows of the caches */
    int64_t positions;     /* rows of cos_cache */
    fresh sources[3];
    places at;
} group_attention;

/* --- shapes ---------------------------------------------------------------------------------- */

static void read_sources(group_attention *k, const mls_op *op)
{
    const mls__attend *a = &k->attend;
    const int64_t q = a->heads * a->size, kv = a->kv_heads * a->size;
    const bool is_packed = !mls__op_input(op, MLS__GROUP_K);
    const int64_t packed = q + 2 * kv;
    k->sources[0] = (fresh){MLS__GROUP_Q, 0, is_packed ? packed : q};
    k->sources[1] = is_packed ? (fresh){MLS__GROUP_Q, q, packed} : (fresh){MLS__GROUP_K, 0, kv};
    k->sources[2] =
        is_packed ? (fresh){MLS__GROUP_Q, q + kv, packed} : (fresh){MLS__GROUP_V, 0, kv};
}

static int64_t bias_step(const mls_arg *bias, int axis)
{
    return bias->dims[axis] == 1 ? 0 : mls__arg_span(bias, axis + 1, bias->rank);
}

static void read_steps(group_attention *k)
{
    mls__attend *a = &k->attend;
    const int64_t rows = k->has_rotary ? a->heads * a->size : k->sources[0].row;
    const int64_t head = k->present * a->size;
    a->q = (mls__attend_steps){a->queries * rows, a->size, rows};
    a->k = a->v = (mls__attend_steps){a->kv_heads * head, head, a->size};
    a->y = (mls__attend_steps){a->queries * a->heads * a->size, a->size, a->heads * a->size};
}

static void read_dims(group_attention *k, const mls_op *op)
{
    mls__attend *a = &k->attend;
    const mls_arg *past = mls__op_input(op, MLS__GROUP_PAST_K);
    const mls_arg *bias = mls__op_input(op, MLS__GROUP_BIAS);
    const float scale = mls__op_float(op, "scale", 0);
    a->batch = op->inputs[MLS__GROUP_Q].dims[0];
    a->queries = op->inputs[MLS__GROUP_Q].dims[1];
    a->size = a->v_size = op->outputs[0].dims[2] / a->heads;
    a->keys = mls__arg_int(&op->inputs[MLS__GROUP_TOTAL], 0);
    a->scale = scale != 0 ? (double) scale : 1 / sqrt((double) a->size);
    k->past = past ? past->dims[2] : 0;
    k->present = k->past > a->keys ? k->past : a->keys;
    k->is_prompt = a->keys == a->queries;
    read_sources(k, op);
    read_steps(k);
    if (bias)
        a->masks[0] = (mls__attend_mask){
            bias->dtype, {bias_step(bias, 0), bias_step(bias, 1), a->keys}, a->keys};
    k->rotary.size = a->size;
    if (!k->has_rotary)
        return;
    k->rotary.turned = 2 * op->inputs[MLS__GROUP_COSINES].dims[1];
    k->positions = op->inputs[MLS__GROUP_COSINES].dims[0];
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

static bool lay_out(const group_attention *k, places *ret_places)
{
    const mls__attend *a = &k->attend;
    places at = {0};
    size_t attend;
    bool fits = mls__attend_workspace(a, &attend) &&
                add_place(&at.bytes, a->batch, 1, 1, sizeof(int64_t), &at.lengths) &&
                add_place(&at.bytes, k->has_rotary ? a->batch : 0, a->queries, a->heads * a->size,
                          k->element, &at.q);
    /* Only a run tells which of its outputs are left out. */
    for (size_t i = 0; fits && i < 2; i++)
        fits = add_place(&at.bytes, a->batch * a->kv_heads, k->present, a->size, k->element,
                         &at.present[i]);
    at.attend = at.bytes;
    fits = fits && mls__add_size(at.bytes, attend, &at.bytes);
    *ret_places = at;
    return fits;
}

/* --- runs ------------------------------------------------------------------------------------ */

typedef struct work {
    const group_attention *k;
    const mls_kernel_call *call;
    const int64_t *lengths; /* keys of each batch */
    char *q;                /* turned, or NULL */
    char *present[2];
} work;

/* The place of new row `row` among the keys of its batch. */
static int64_t key_of(const work *w, int64_t batch, int64_t row)
{
    return row + (w->k->is_prompt ? 0 : w->lengths[batch] - w->k->attend.queries);
}

static mls_status read_lengths(const group_attention *k, const mls_kernel_call *call,
                               int64_t *ret_lengths)
{
    const mls__attend *a = &k->attend;
    const int32_t *given = call->buffers[MLS__GROUP_LENGTHS];
    const int64_t least = k->is_prompt ? 1 : a->queries;
    for (int64_t b = 0; b < a->batch; b++) {
        ret_lengths[b] = (int64_t) given[b] + 1;
        if (ret_lengths[b] < least || ret_lengths[b] > a->keys)
            return mls__cpu_run_error(&k->base.base, MLS_ERANGE,
                                      "seqlens_k[%" PRId64 "] is %" PRId32 "; %" PRId64
                                      " to %" PRId64 " is possible",
                                      b, given[b], least - 1, a->keys - 1);
        if (!k->is_prompt && ret_lengths[b] - a->queries > k->past)
            return mls__cpu_run_error(&k->base.base, MLS_ERANGE,
                                      "seqlens_k[%" PRId64 "] is %" PRId32
                                      ", and the past has only %" PRId64 " rows",
                                      b, given[b], k->past);
    }
    return MLS_OK;
}

static int64_t position_of(const work *w, int64_t batch, int64_t row)
{
    const int64_t *given = w->k->has_positions ? w->call->buffers[MLS__GROUP_POSITIONS] : NULL;
    return given ? given[batch * w->k->attend.queries + row] : key_of(w, batch, row);
}

static mls_status check_positions(const work *w)
{
    const group_attention *k = w->k;
    for (int64_t b = 0; k->has_rotary && b < k->attend.batch; b++)
        for (int64_t i = 0; i < k->attend.queries; i++) {
            const int64_t position = position_of(w, b, i);
            if (position < 0 || position >= k->positions)
                return mls__cpu_run_error(&k->base.base, MLS_ERANGE,
                                          "row %" PRId64 " is at position %" PRId64
                                          ", and cos_cache has %" PRId64 " positions",
                                          i, position, k->positions);
        }
    return MLS_OK;
}

/* One head of a new row, of Q (0), K (1) or V (2). */
static void put_head(const work *w, int which, int64_t batch, int64_t row, int64_t head, char *to)
{
    const group_attention *k = w->k;
    const mls__attend *a = &k->attend;
    const fresh *s = &k->sources[which];
    const int64_t index = s->offset + (batch * a->queries + row) * s->row + head * a->size;
    const char *from = (const char *) w->call->buffers[s->input] + (size_t) index * k->element;
    if (which == 2 || !k->has_rotary) {
        memcpy(to, from, (size_t) a->size * k->element);
        return;
    }
    const size_t place =
        (size_t) (position_of(w, batch, row) * (k->rotary.turned / 2)) * k->element;
    mls__rotary_head(&k->rotary, to, from,
                     (const char *) w->call->buffers[MLS__GROUP_COSINES] + place,
                     (const char *) w->call->buffers[MLS__GROUP_SINES] + place);
}

static mls_status turn_queries(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const mls__attend *a = &w->k->attend;
    const size_t bytes = (size_t) a->size * w->k->element;
    for (int64_t i = begin; i < end; i++) {
        const int64_t row = i / a->heads;
        put_head(w, 0, row / a->queries, row % a->queries, i % a->heads, w->q + (size_t) i * bytes);
    }
    return MLS_OK;
}

/* Heads begin .. end-1 of K, then of V: the past, what is new, and nothing. */
static mls_status fill_caches(void *arg, int64_t begin, int64_t end)
{
    const work *w = arg;
    const group_attention *k = w->k;
    const mls__attend *a = &k->attend;
    const size_t row_bytes = (size_t) a->size * k->element;
    const int64_t heads = a->batch * a->kv_heads;
    for (int64_t i = begin; i < end; i++) {
        const int64_t unit = i % heads, batch = unit / a->kv_heads;
        const int which = i < heads ? 1 : 2;
        const int64_t first = key_of(w, batch, 0), last = first + a->queries;
        char *to = w->present[which - 1] + (size_t) (unit * k->present) * row_bytes;
        if (first && row_bytes)
            memcpy(to,
                   (const char *) w->call->buffers[MLS__GROUP_PAST_K + which - 1] +
                       (size_t) (unit * k->past) * row_bytes,
                   (size_t) first * row_bytes);
        for (int64_t r = 0; r < a->queries && row_bytes; r++)
            put_head(w, which, batch, r, unit % a->kv_heads, to + (size_t) (first + r) * row_bytes);
        memset(to + (size_t) last * row_bytes, 0, (size_t) (k->present - last) * row_bytes);
    }
    return MLS_OK;
}

static mls_status bring_together(work *w)
{
    const group_attention *k = w->k;
    const mls__attend *a = &k->attend;
    const int64_t new_elements = a->queries * a->size + 1, row_grain = GRAIN / (a->size + 1) + 1;
    mls_status status = check_positions(w);
    if (!status && w->q)
        status = mls__cpu_ranges(w->call, a->threads, a->batch * a->queries * a->heads, row_grain,
                                 turn_queries, w);
    if (!status)
        status = mls__cpu_ranges(w->call, a->threads, 2 * a->batch * a->kv_heads,
                                 GRAIN / new_elements + 1, fill_caches, w);
    return status;
}

static mls_status group_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const group_attention *k = (const group_attention *) kernel;
    char *memory = call->workspace;
    int64_t *lengths = (int64_t *) (void *) (memory + k->at.lengths);
    work w = {.k = k, .call = call, .lengths = lengths};
    mls_status status = read_lengths(k, call, lengths);
    if (status)
        return status;
    w.q = k->has_rotary ? memory + k->at.q : NULL;
    for (size_t i = 0; i < 2; i++) {
        void *output = k->output_count > i + 1 ? call->buffers[k->input_count + i + 1] : NULL;
        w.present[i] = output ? output : memory + k->at.present[i];
    }
    status = bring_together(&w);
    if (status)
        return status;
    const mls__attend_data data = {
        .q = w.q ? w.q : call->buffers[MLS__GROUP_Q],
        .k = w.present[0],
        .v = w.present[1],
        .masks = {k->has_bias ? call->buffers[MLS__GROUP_BIAS] : NULL},
        .lengths = k->is_prompt ? NULL : lengths,
        .y = call->buffers[k->input_count],
    };
    mls__attend_run(&k->attend, &data, call, memory + k->at.attend);
    return MLS_OK;
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status group_reshape(mls_kernel *kernel, const mls_op *op)
{
    group_attention *k = (group_attention *) kernel;
    const size_t planned = k->at.bytes;
    read_dims(k, op);
    if (!lay_out(k, &k->at) || k->at.bytes > planned)
        return mls__op_error(op, MLS_EUNSUPPORTED,
                             "its heads need more memory than those that it was planned for");
    k->at.bytes = planned;
    return MLS_OK;
}

static void read_attributes(group_attention *k, const mls_op *op)
{
    mls__attend *a = &k->attend;
    const int64_t window = mls__op_int(op, "local_window_size", -1);
    k->has_rotary = mls__op_int(op, "do_rotary", 0) != 0;
    k->has_positions = mls__op_input(op, MLS__GROUP_POSITIONS) != NULL;
    k->has_bias = mls__op_input(op, MLS__GROUP_BIAS) != NULL;
    k->input_count = op->input_count;
    k->output_count = op->output_count;
    a->cpu = k->base.cpu;
    a->dtype = op->inputs[MLS__GROUP_Q].dtype;
    a->threads = op->threads;
    a->heads = mls__op_int(op, "num_heads", 1);
    a->kv_heads = mls__op_int(op, "kv_num_heads", 1);
    a->softcap = mls__op_float(op, "softcap", 0);
    a->is_causal = true;
    a->left = window > 0 ? window - 1 : -1; /* the query's own key is one of them */
    a->right = -1;
    a->scores = MLS__SCORES_NONE;
    k->element = mls_dtype_size((mls_dtype) a->dtype);
    k->rotary.dtype = a->dtype;
    k->rotary.is_interleaved = mls__op_int(op, "rotary_interleaved", 0) != 0;
    if (mls__is_half(a->dtype))
        k->rotary.half = mls__half_of(k->base.cpu, a->dtype);
}

/* What newer models may ask for besides. */
static mls_status check_form(const mls_op *op)
{
    if (mls__op_int(op, "smooth_softmax", -1) > 0 || mls__op_input(op, MLS__GROUP_SINK))
        return mls__op_error(op, MLS_EUNSUPPORTED,
                             "smooth_softmax and head_sink are not supported");
    if (mls__op_int(op, "causal", 1) != 1 || mls__op_int(op, "sliding_window_cache", 0) != 0)
        return mls__op_error(op, MLS_EUNSUPPORTED,
                             "causal = 0 and sliding_window_cache are not supported");
    if (op->input_count > MLS__GROUP_SINK + 1)
        return mls__op_error(op, MLS_EUNSUPPORTED, "quantized keys and values are not supported");
    if (op->output_count > 3)
        return mls__op_error(op, MLS_EUNSUPPORTED, "output 3, the scores, is not supported");
    return MLS_OK;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    group_attention *k;
    mls_status status = check_form(op);
    if (!status)
        status = mls__cpu_kernel_create(cpu, op, sizeof *k, "group_attention", group_run, &k);
    if (status)
        return status;
    mls_kernel *kernel = &k->base.base;
    kernel->reshape = group_reshape;
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

mls__cpu_op_table mls__cpu_ops_group_attention = {
    {"com.microsoft", "GroupQueryAttention", create, 0},
    {.type = NULL},
};
