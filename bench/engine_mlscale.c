/* SPDX-License-Identifier: Apache-2.0 */
/* This library as an engine: inputs are bound once, outputs are the session's own. */
#include "engine_mlscale.h"

#include "exec/session.h"
#include "op/convolution.h"
#include "op/stack.h"

#include <mlscale.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct ours {
    mls_context *context;
    mls_model *model;
    mls_session *session;
} ours;

static void ours_close(void *session)
{
    ours *o = session;
    mls_session_free(o->session);
    mls_model_free(o->model);
    mls_context_free(o->context);
    free(o);
}

static bool bind(ours *o, const engine_input *input)
{
    mls_tensor *tensor = NULL;
    size_t index;
    const bool is_bound = !mls_tensor_wrap(o->context, (mls_dtype) input->dtype, input->rank,
                                           input->dims, NULL, input->data, NULL, NULL, &tensor) &&
                          !mls_session_input_index(o->session, input->name, &index) &&
                          !mls_session_bind_input(o->session, index, tensor);
    mls_tensor_free(tensor);
    return is_bound;
}

static void *open_ours(const engine_model *model, uint32_t threads, uint32_t numerics)
{
    ours *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.threads = threads;
    options.numerics = numerics;
    bool is_good =
        !mls_context_create(NULL, &o->context) &&
        !mls_model_load_memory(o->context, model->onnx, model->onnx_bytes, NULL, &o->model) &&
        !mls_session_create(o->model, &options, &o->session);
    for (size_t i = 0; is_good && i < model->input_count; i++)
        is_good = bind(o, &model->inputs[i]);
    if (is_good && !mls_session_plan(o->session))
        return o;
    fprintf(stderr, "mlscale: %s\n", mls_error_message());
    ours_close(o);
    return NULL;
}

static void *open_exact(const engine_model *model, uint32_t threads)
{
    return open_ours(model, threads, MLS_NUMERICS_EXACT);
}

static void *open_fast(const engine_model *model, uint32_t threads)
{
    return open_ours(model, threads, MLS_NUMERICS_FAST);
}

static bool ours_run(void *session)
{
    if (!mls_session_run(((ours *) session)->session))
        return true;
    fprintf(stderr, "mlscale: %s\n", mls_error_message());
    return false;
}

static size_t ours_output_count(void *session)
{
    return mls_model_output_count(((ours *) session)->model);
}

static const float *ours_output(void *session, size_t index, size_t *ret_count)
{
    ours *o = session;
    mls_dtype dtype;
    int rank;
    const int64_t *dims;
    *ret_count = 0;
    if (mls_session_output_shape(o->session, index, &dtype, &rank, &dims) || dtype != MLS_FLOAT32)
        return NULL;
    *ret_count = 1;
    for (int i = 0; i < rank; i++)
        *ret_count *= (size_t) dims[i];
    return mls_session_output_data(o->session, index);
}

const engine engine_mlscale = {
    .name = "mlscale",
    .open = open_exact,
    .run = ours_run,
    .output_count = ours_output_count,
    .output = ours_output,
    .close = ours_close,
};

const engine engine_mlscale_fast = {
    .name = "mlscale, fast",
    .open = open_fast,
    .run = ours_run,
    .output_count = ours_output_count,
    .output = ours_output,
    .close = ours_close,
};

/* --- what the limit is compared with --------------------------------------------------------- */

static double product(const int64_t *dims, int rank)
{
    double all = 1;
    for (int i = 0; i < rank; i++)
        all *= (double) dims[i];
    return all;
}

/* Weights once for each place and image; blocked images have their places where others do. */
static double of_convolution(const mls_op *op)
{
    const mls_arg *w = &op->inputs[1], *y = &op->outputs[0];
    return 2 * product(w->dims, w->rank) * (double) y->dims[0] * product(y->dims + 2, w->rank - 2);
}

/* Places there are more than are left. */
static double of_pooled_convolution(const mls_op *op)
{
    const mls_arg *w = &op->inputs[1];
    int64_t dims[MLS_MAX_RANK];
    mls__convolution c;
    if (mls__op_convolution(op, &c))
        return 0;
    mls__convolution_dims(&c, dims);
    return 2 * product(w->dims, w->rank) * (double) dims[0] * product(dims + 2, w->rank - 2);
}

static double of_transposed_convolution(const mls_op *op)
{
    const mls_arg *x = &op->inputs[0], *w = &op->inputs[1];
    return 2 * product(w->dims, w->rank) * (double) x->dims[0] * product(x->dims + 2, w->rank - 2);
}

/* A matrix, perhaps transposed: what of A's elements is not rows is depth. */
static double of_gemm(const mls_op *op)
{
    const mls_arg *a = &op->inputs[0], *y = &op->outputs[0];
    const double rows = (double) y->dims[0];
    return rows > 0 ? 2 * product(y->dims, y->rank) * product(a->dims, a->rank) / rows : 0;
}

static double of_matmul(const mls_op *op)
{
    const mls_arg *a = &op->inputs[0], *y = &op->outputs[0];
    return a->rank ? 2 * product(y->dims, y->rank) * (double) a->dims[a->rank - 1] : 0;
}

/* Input and state through their weights at each step of each sequence. */
static double of_recurrence(const mls_op *op)
{
    const mls_arg *x = &op->inputs[0], *w = &op->inputs[1], *r = &op->inputs[2];
    return 2 * product(x->dims, 2) * (product(w->dims, w->rank) + product(r->dims, r->rank));
}

/* What two threads both compute counts once. */
static double of_stack(const mls_op *op)
{
    mls__stack stack;
    mls_arg x = op->inputs[0];
    double flops = 0;
    if (mls__stack_read(op, &stack))
        return 0;
    for (int i = 0; i < stack.count; i++) {
        mls__stage_view view;
        mls_arg y;
        mls__stack_view_stage(&stack, i, op, &x, &view);
        if (mls__stack_result(&view, &y))
            return 0;
        view.op.outputs = &y;
        flops += view.op.input_count > 1 ? of_convolution(&view.op) : 0;
        x = y;
    }
    return flops;
}

static const struct {
    const char *op;
    double (*flops)(const mls_op *op);
} products[] = {
    {"Conv", of_convolution},
    {"FusedConv", of_convolution},
    {"FusedConvMaxPool", of_pooled_convolution},
    {MLS__STACK_TYPE, of_stack},
    {"ConvTranspose", of_transposed_convolution},
    {"FusedConvTranspose", of_transposed_convolution},
    {"Gemm", of_gemm},
    {"FusedGemm", of_gemm},
    {"MatMul", of_matmul},
    {"LSTM", of_recurrence},
    {"GRU", of_recurrence},
};

double engine_mlscale_flops(void *session)
{
    const mls__plan *plan = &((ours *) session)->session->plan;
    double flops = 0;
    for (size_t i = 0; i < plan->run_count; i++) {
        const mls_op *op = &plan->run_steps[i].step->op;
        for (size_t k = 0; k < sizeof products / sizeof products[0]; k++)
            if (strcmp(op->type, products[k].op) == 0)
                flops += products[k].flops(op);
    }
    return flops;
}
