/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention and QAttention of com.microsoft: one product gives Q, K and V side by side in rows,
 * which is a kernel of its own (FusedGemm, MatMulIntegerToFloat); then ops/attend.h.
 */
#include "backend/cpu/ops/families.h"
#include "backend/cpu/ops/padding_mask.h"
#include "base/alloc.h"

#include <math.h>
#include <string.h>

enum { PRODUCT_INPUTS = 7, NOTHING = -1 };

/* Which inputs of an op are what. */
typedef struct form {
    const char *type;
    mls__cpu_op_table *products;
    const char *domain, *product;
    int product_inputs[PRODUCT_INPUTS]; /* the inputs of the product; NOTHING: left out */
    int mask, past, bias, past_length;
} form;

static const form forms[] = {
    {"Attention",
     &mls__cpu_ops_product,
     "mlscale",
     "FusedGemm",
     {0, 1, 2, NOTHING, NOTHING, NOTHING, NOTHING},
     3,
     4,
     5,
     6},
    {"QAttention",
     &mls__cpu_ops_int8_product,
     "com.microsoft",
     "MatMulIntegerToFloat",
     {0, 1, 3, 4, 6, 7, 2},
     5,
     8,
     NOTHING,
     NOTHING},
};

/* Parts of the workspace, in bytes from its begin. */
typedef struct places {
    size_t product, rows, joined, mask, attend, bytes;
} places;

typedef struct projected {
    mls__cpu_kernel base;
    const form *form;
    mls__attend attend;
    mls__padding padding;
    float filter;
    int64_t q_columns, v_columns; /* of Q and of K; of V */
    mls_kernel *product;
    mls_op product_op;
    mls_arg product_args[PRODUCT_INPUTS], product_output;
    mls__attend_joint joint;
    bool is_joined, has_past, has_bias;
    size_t input_count, output_count;
    places at;
} projected;

static const mls_arg *input_of(const mls_op *op, int index)
{
    return index == NOTHING ? NULL : mls__op_input(op, (size_t) index);
}

/* --- shapes ---------------------------------------------------------------------------------- */

static int64_t bias_step(const mls_arg *bias, int axis)
{
    return bias->dims[axis] == 1 ? 0 : mls__arg_span(bias, axis + 1, bias->rank);
}

static void read_masks(projected *k, const mls_op *op)
{
    mls__attend *a = &k->attend;
    const mls_arg *bias = input_of(op, k->form->bias);
    k->padding =
        (mls__padding){.batch = a->batch, .queries = a->queries, .keys = a->keys, .past = a->past};
    mls__op_padding(op, (size_t) k->form->mask, &k->padding);
    a->masks[0] = mls__padding_mask(&k->padding);
    if (bias)
        a->masks[1] = (mls__attend_mask){
            bias->dtype, {bias_step(bias, 0), bias_step(bias, 1), a->keys}, a->keys};
}

static void read_dims(projected *k, const mls_op *op)
{
    mls__attend *a = &k->attend;
    const mls_arg *x = &op->inputs[0], *w = &op->inputs[1], *past = input_of(op, k->form->past);
    size_t sizes;
    const int64_t *columns = mls__op_ints(op, "qkv_hidden_sizes", &sizes);
    const int64_t all = w->dims[1];
    k->q_columns = sizes == 3 ? columns[0] : all / 3;
    k->v_columns = sizes == 3 ? columns[2] : all / 3;
    a->batch = x->dims[0];
    a->queries = x->dims[1];
    a->heads = a->kv_heads = mls__op_int(op, "num_heads", 1);
    a->size = k->q_columns / a->heads;
    a->v_size = k->v_columns / a->heads;
    a->past = past ? past->dims[3] : 0;
    a->keys = a->past + a->queries;
    a->q = (mls__attend_steps){a->queries * all, a->size, all};
    a->k = a->q;
    a->v = (mls__attend_steps){a->queries * all, a->v_size, all};
    a->y = (mls__attend_steps){a->queries * k->v_columns, a->v_size, k->v_columns};
    k->joint = (mls__attend_joint){.batch = a->batch,
                                   .heads = a->heads,
                                   .past = a->past,
                                   .rows = a->queries,
                                   .size = a->size,
                                   .element = mls_dtype_size((mls_dtype) a->dtype),
                                   .fresh = a->q};
    if (k->is_joined)
        a->k = a->v = (mls__attend_steps){a->heads * a->keys * a->size, a->keys * a->size, a->size};
    const float scale = mls__op_float(op, "scale", 0);
    a->scale = scale != 0 ? (double) scale : 1 / sqrt((double) a->size);
    read_masks(k, op);
}

/* The product's own op: its inputs are some of this one's. */
static void read_product(projected *k, const mls_op *op)
{
    const mls_arg *x = &op->inputs[0];
    k->product_op = *op;
    k->product_op.domain = k->form->domain;
    k->product_op.type = k->form->product;
    k->product_op.attr_count = 0;
    k->product_op.inputs = k->product_args;
    k->product_op.outputs = &k->product_output;
    k->product_op.output_count = 1;
    k->product_op.input_count = 0;
    for (size_t i = 0; i < PRODUCT_INPUTS; i++) {
        const mls_arg *arg = input_of(op, k->form->product_inputs[i]);
        k->product_args[i] = arg ? *arg : (mls_arg){.dtype = MLS_DTYPE_NONE};
        if (arg)
            k->product_op.input_count = i + 1;
    }
    k->product_output = (mls_arg){.dtype = k->attend.dtype, .rank = 3};
    memcpy(k->product_output.dims, x->dims, 2 * sizeof x->dims[0]);
    k->product_output.dims[2] = op->inputs[1].dims[1];
}

/* --- the workspace --------------------------------------------------------------------------- */

static bool add_place(size_t *total, size_t bytes, size_t *ret_offset)
{
    *ret_offset = *total;
    return mls__align_size(bytes, &bytes) && mls__add_size(*total, bytes, total);
}

static bool lay_out(const projected *k, places *ret_places)
{
    const mls__attend *a = &k->attend;
    places at = {0};
    size_t rows, joined, mask, attend;
    const bool fits =
        mls__mul_size((size_t) mls__arg_count(&k->product_output), k->joint.element, &rows) &&
        mls__mul_size((size_t) (a->batch * a->heads), (size_t) a->keys, &joined) &&
        mls__mul_size(joined, 2 * (size_t) a->size * k->joint.element, &joined) &&
        mls__mul_size((size_t) mls__padding_rows(&k->padding), (size_t) a->keys, &mask) &&
        mls__mul_size(mask, sizeof(float), &mask) && mls__attend_workspace(a, &attend) &&
        add_place(&at.bytes, k->product->workspace_bytes, &at.product) &&
        add_place(&at.bytes, rows, &at.rows) &&
        add_place(&at.bytes, k->is_joined ? joined : 0, &at.joined) &&
        add_place(&at.bytes, mask, &at.mask) && add_place(&at.bytes, attend, &at.attend);
    *ret_places = at;
    return fits;
}

/* --- runs ------------------------------------------------------------------------------------ */

static mls_status run_product(const projected *k, const mls_kernel_call *call, char *rows)
{
    void *buffers[PRODUCT_INPUTS + 1] = {NULL};
    const size_t count = k->product_op.input_count;
    for (size_t i = 0; i < count; i++)
        if (k->form->product_inputs[i] != NOTHING && k->product_args[i].dtype != MLS_DTYPE_NONE)
            buffers[i] = call->buffers[k->form->product_inputs[i]];
    buffers[count] = rows;
    mls_kernel_call inner = *call;
    inner.buffers = buffers;
    inner.workspace = (char *) call->workspace + k->at.product;
    inner.output_dims = NULL;
    return k->product->run(k->product, &inner);
}

/* Past and new keys and values, which are the output `present` where that is asked for. */
static void join(const projected *k, const mls_kernel_call *call, mls__attend_data *data)
{
    const mls__attend *a = &k->attend;
    const size_t element = k->joint.element;
    const size_t heads = (size_t) (a->batch * a->heads * a->size) * element;
    const char *past = k->has_past ? call->buffers[k->form->past] : NULL;
    char *joined = k->output_count > 1 ? call->buffers[k->input_count + 1] : NULL;
    if (!joined)
        joined = (char *) call->workspace + k->at.joined;
    char *values = joined + heads * (size_t) a->keys;
    const char *past_values = past ? past + heads * (size_t) a->past : NULL;
    mls__attend_join(&k->joint, past, data->k, joined);
    mls__attend_join(&k->joint, past_values, data->v, values);
    data->k = joined;
    data->v = values;
}

static mls_status projected_run(const mls_kernel *kernel, const mls_kernel_call *call)
{
    const projected *k = (const projected *) kernel;
    const size_t element = k->joint.element;
    char *memory = call->workspace, *rows = memory + k->at.rows;
    float *mask = (float *) (void *) (memory + k->at.mask);
    const mls_status status = run_product(k, call, rows);
    if (status)
        return status;
    mls__attend_data data = {
        .q = rows,
        .k = rows + (size_t) k->q_columns * element,
        .v = rows + (size_t) (2 * k->q_columns) * element,
        .masks = {mask, k->has_bias ? call->buffers[k->form->bias] : NULL},
        .y = call->buffers[k->input_count],
    };
    if (k->padding.form != MLS__PADDING_NONE)
        mls__padding_fill(&k->padding, call->buffers[k->form->mask], k->filter, mask);
    if (k->is_joined)
        join(k, call, &data);
    mls__attend_run(&k->attend, &data, call, memory + k->at.attend);
    return MLS_OK;
}

/* --- kernels --------------------------------------------------------------------------------- */

static mls_status projected_reshape(mls_kernel *kernel, const mls_op *op)
{
    projected *k = (projected *) kernel;
    places at;
    read_dims(k, op);
    read_product(k, op);
    if (!lay_out(k, &at) || at.bytes > k->at.bytes)
        return mls__op_error(op, MLS_EUNSUPPORTED,
                             "its heads need more memory than those that it was planned for");
    k->at = (places){at.product, at.rows, at.joined, at.mask, at.attend, k->at.bytes};
    return k->product->reshape ? k->product->reshape(k->product, &k->product_op) : MLS_OK;
}

static void projected_free(mls_kernel *kernel)
{
    projected *k = (projected *) kernel;
    if (k->product)
        k->product->free(k->product);
    mls__cpu_kernel_free(kernel);
}

static mls_status create_product(projected *k, const mls_op *op)
{
    for (const mls__cpu_op *row = *k->form->products; row->type; row++)
        if (strcmp(row->type, k->form->product) == 0 && strcmp(row->domain, k->form->domain) == 0)
            return row->create(k->base.cpu, &k->product_op, &k->product);
    return mls__op_error(op, MLS_EUNSUPPORTED, "the CPU backend has no %s", k->form->product);
}

static mls_status check_attributes(const mls_op *op, const form *f)
{
    if (mls__op_int(op, "do_rotary", 0) != 0)
        return mls__op_error(op, MLS_EUNSUPPORTED, "do_rotary is not supported");
    if (mls__op_int(op, "past_present_share_buffer", 0) != 0 || input_of(op, f->past_length))
        return mls__op_error(op, MLS_EUNSUPPORTED,
                             "past and present in one buffer are not supported");
    return MLS_OK;
}

static void read_attributes(projected *k, const mls_op *op)
{
    mls__attend *a = &k->attend;
    k->filter = mls__op_float(op, "mask_filter_value", -10000);
    k->has_past = input_of(op, k->form->past) != NULL;
    k->has_bias = input_of(op, k->form->bias) != NULL;
    k->is_joined = k->has_past || op->output_count > 1;
    k->input_count = op->input_count;
    k->output_count = op->output_count;
    a->cpu = k->base.cpu;
    a->dtype = op->outputs[0].dtype;
    a->threads = op->threads;
    a->is_causal = mls__op_int(op, "unidirectional", 0) != 0;
    a->left = a->right = -1;
    a->scores = MLS__SCORES_NONE;
}

static mls_status prepare(projected *k, const mls_op *op)
{
    k->form = strcmp(op->type, forms[0].type) == 0 ? &forms[0] : &forms[1];
    mls_status status = check_attributes(op, k->form);
    if (status)
        return status;
    read_attributes(k, op);
    read_dims(k, op);
    read_product(k, op);
    status = create_product(k, op);
    if (!status && !lay_out(k, &k->at))
        status = mls__op_error(op, MLS_ESHAPE, "its operands are larger than memory can be");
    k->base.base.workspace_bytes = k->at.bytes;
    return status;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    projected *k;
    mls_status status =
        mls__cpu_kernel_create(cpu, op, sizeof *k, "projected_attention", projected_run, &k);
    if (status)
        return status;
    mls_kernel *kernel = &k->base.base;
    kernel->reshape = projected_reshape;
    kernel->free = projected_free;
    status = prepare(k, op);
    if (status) {
        kernel->free(kernel);
        return status;
    }
    *ret_kernel = kernel;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_projected_attention = {
    {"com.microsoft", "Attention", create, 0},
    {"com.microsoft", "QAttention", create, 0},
    {.type = NULL},
};
