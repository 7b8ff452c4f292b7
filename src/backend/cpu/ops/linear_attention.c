/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LinearAttention: a state for each head of K and V goes through time, a step after the other, in
 * float32. Threads take whole heads.
 */
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/half.h"
#include "backend/cpu/ops/ranges.h"
#include "base/alloc.h"

#include <math.h>
#include <string.h>

/* Elements of states gone through that are worth a second thread. */
#define LARGE_WORK (INT64_C(1) << 19)

enum { QUERY, KEY, VALUE, PAST, DECAY, BETA };

typedef struct linear {
    mls__cpu_kernel base;
    int32_t dtype, state_dtype;
    mls__half half, state_half;
    uint32_t threads;
    size_t input_count, output_count;
    bool has_past, has_decay, is_delta;
    float scale; /* 0: by the head's size */
    int64_t batch, rows, heads, kv_heads, size, v_size;
    int64_t decay_columns, beta_columns; /* of a row */
} linear;

/* Float32 numbers of one thread, in elements from its begin. */
typedef struct slot {
    size_t state, q, k, v, decay, y, count;
} slot;

static bool add_part(size_t *total, int64_t rows, int64_t columns, size_t *ret_offset)
{
    size_t count;
    *ret_offset = *total;
    return mls__mul_size((size_t) rows, (size_t) columns, &count) &&
           mls__align_size(count, &count) && mls__add_size(*total, count, total);
}

static bool slot_of(const linear *k, slot *ret_slot)
{
    slot at = {0};
    const bool fits =
        add_part(&at.count, k->size, k->v_size, &at.state) &&
        add_part(&at.count, k->size, 1, &at.q) && add_part(&at.count, k->size, 1, &at.k) &&
        add_part(&at.count, k->v_size, 1, &at.v) && add_part(&at.count, k->size, 1, &at.decay) &&
        add_part(&at.count, k->v_size, 1, &at.y);
    *ret_slot = at;
    return fits;
}

/* --- runs ------------------------------------------------------------------------------------ */

static void load(int32_t dtype, mls__half half, float *to, const void *x, int64_t index,
                 int64_t count)
{
    if (mls__is_half(dtype))
        half.to_f32(to, (const uint16_t *) x + index, count);
    else
        memcpy(to, (const float *) x + index, (size_t) count * sizeof *to);
}

static void store(int32_t dtype, mls__half half, void *y, int64_t index, const float *from,
                  int64_t count)
{
    if (mls__is_half(dtype))
        half.from_f32((uint16_t *) y + index, from, count);
    else
        memcpy((float *) y + index, from, (size_t) count * sizeof *from);
}

typedef struct work {
    const linear *k;
    const mls_kernel_call *call;
    slot at;
    int64_t shares;
} work;

/* e^g of a row's head: for each element, or one for all. */
static void bring_decay(const linear *k, const void *decay, int64_t row, int64_t head, float *to)
{
    const bool is_one = k->decay_columns == k->kv_heads;
    const int64_t count = is_one ? 1 : k->size;
    load(k->dtype, k->half, to, decay, row * k->decay_columns + head * count, count);
    k->base.cpu->kernels->elementwise->unary[MLS__UNARY_EXP](to, to, count, NULL);
    for (int64_t i = 1; is_one && i < k->size; i++)
        to[i] = to[0];
}

/* One row of one head of K and V, and the query heads that share it. */
static void run_row(const work *w, float *memory, int64_t row, int64_t head)
{
    const linear *k = w->k;
    const slot *at = &w->at;
    void *const *in = w->call->buffers;
    const mls__linear_kernels *kernels = k->base.cpu->kernels->linear_attention;
    const int64_t group = k->heads / k->kv_heads;
    const float scale = k->scale != 0 ? k->scale : 1 / sqrtf((float) k->size);
    mls__linear_step step = {.size = k->size,
                             .v_size = k->v_size,
                             .decay = k->has_decay ? memory + at->decay : NULL,
                             .k = memory + at->k,
                             .v = memory + at->v,
                             .is_delta = k->is_delta,
                             .state = memory + at->state};
    load(k->dtype, k->half, memory + at->k, in[KEY], (row * k->kv_heads + head) * k->size, k->size);
    load(k->dtype, k->half, memory + at->v, in[VALUE], (row * k->kv_heads + head) * k->v_size,
         k->v_size);
    if (k->has_decay)
        bring_decay(k, in[DECAY], row, head, memory + at->decay);
    if (k->is_delta)
        load(k->dtype, k->half, &step.beta, in[BETA],
             row * k->beta_columns + (k->beta_columns > 1 ? head : 0), 1);
    kernels->update(&step);
    for (int64_t i = head * group; i < (head + 1) * group; i++) {
        load(k->dtype, k->half, memory + at->q, in[QUERY], (row * k->heads + i) * k->size, k->size);
        kernels->read(&step, memory + at->q, scale, memory + at->y);
        store(k->dtype, k->half, in[k->input_count], (row * k->heads + i) * k->v_size,
              memory + at->y, k->v_size);
    }
}

static void run_head(const work *w, float *memory, int64_t unit)
{
    const linear *k = w->k;
    const int64_t batch = unit / k->kv_heads, head = unit % k->kv_heads;
    const int64_t count = k->size * k->v_size;
    float *state = memory + w->at.state;
    void *present = k->output_count > 1 ? w->call->buffers[k->input_count + 1] : NULL;
    if (k->has_past)
        load(k->state_dtype, k->state_half, state, w->call->buffers[PAST], unit * count, count);
    else
        memset(state, 0, (size_t) count * sizeof *state);
    for (int64_t t = 0; t < k->rows; t++)
        run_row(w, memory, batch * k->rows + t, head);
    if (present)
        store(k->state_dtype, k->state_half, present, unit * count, state, count);
}

static void run_share(void *arg, size_t index)
{
    const work *w = arg;
    const int64_t units = w->k->batch * w->k->kv_heads, share = (int64_t) index;
    float *memory = (float *) w->call->workspace + index * w->at.count;
    const int64_t end = mls__cpu_part_begin(units, w->shares, share + 1);
    for (int64_t unit = mls__cpu_part_begin(units, w->shares, share); unit < end; unit++)
        run_head(w, memory, unit);
}

static mls_status linear_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const linear *k = (const linear *) kernel;
    const double count = (double) k->batch * (double) k->heads * (double) k->rows *
                         (double) k->size * (double) k->v_size;
    work w = {.k = k, .call = call, .shares = 1};
    slot_of(k, &w.at);
    if (k->threads > 1 && count >= LARGE_WORK)
        w.shares = k->threads;
    mls__cpu_shares(call, w.shares, run_share, &w);
    return MLS_OK;
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status linear_reshape(mls_kernel *kernel, const mls_op *op)
{
    linear *k = (linear *) kernel;
    const mls_arg *query = &op->inputs[QUERY], *value = &op->inputs[VALUE];
    k->batch = query->dims[0];
    k->rows = query->dims[1];
    k->heads = mls__op_int(op, "q_num_heads", 1);
    k->kv_heads = mls__op_int(op, "kv_num_heads", 1);
    k->size = query->dims[2] / k->heads;
    k->v_size = value->dims[2] / k->kv_heads;
    k->decay_columns = k->has_decay ? op->inputs[DECAY].dims[2] : 0;
    k->beta_columns = k->is_delta ? op->inputs[BETA].dims[2] : 0;
    return MLS_OK;
}

static void read_op(linear *k, const mls_op *op)
{
    const mls_arg *past = mls__op_input(op, PAST);
    k->dtype = op->inputs[QUERY].dtype;
    k->state_dtype = past ? past->dtype : k->dtype;
    if (mls__is_half(k->dtype))
        k->half = mls__half_of(k->base.cpu, k->dtype);
    if (mls__is_half(k->state_dtype))
        k->state_half = mls__half_of(k->base.cpu, k->state_dtype);
    k->threads = op->threads;
    k->input_count = op->input_count;
    k->output_count = op->output_count;
    k->has_past = past != NULL;
    k->has_decay = mls__op_input(op, DECAY) != NULL;
    k->is_delta = mls__op_input(op, BETA) != NULL;
    k->scale = mls__op_float(op, "scale", 0);
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    linear *k;
    slot at;
    size_t bytes;
    const mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "linear_attention", linear_run, &k);
    if (status)
        return status;
    k->base.base.reshape = linear_reshape;
    read_op(k, op);
    linear_reshape(&k->base.base, op);
    if (!slot_of(k, &at) || !mls__mul_size(at.count, sizeof(float), &bytes) ||
        !mls__mul_size(bytes, k->threads, &bytes)) {
        k->base.base.free(&k->base.base);
        return mls__op_error(op, MLS_ESHAPE, "its state is larger than memory can be");
    }
    k->base.base.workspace_bytes = bytes;
    *ret_kernel = &k->base.base;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_linear_attention = {
    {"", "LinearAttention", create, 0},
    {.type = NULL},
};
