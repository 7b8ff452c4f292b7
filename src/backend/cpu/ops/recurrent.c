/* SPDX-License-Identifier: Apache-2.0 */
/* LSTM, GRU and RNN, read into the kernel that they share. */
#include "backend/cpu/ops/recurrent.h"

#include "backend/cpu/ops/families.h"
#include "base/alloc.h"
#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

/* --- activations ----------------------------------------------------------------------------- */

static const struct activation {
    const char *name;
    mls__gate gate; /* with the defaults of alpha and beta */
    bool has_alpha, has_beta;
} activations[] = {
    {"Sigmoid", {MLS__GATE_SIGMOID, 0, 0}, false, false},
    {"Tanh", {MLS__GATE_TANH, 0, 0}, false, false},
    {"Relu", {MLS__GATE_RELU, 0, 0}, false, false},
    {"Affine", {MLS__GATE_AFFINE, 1, 0}, true, true},
    {"LeakyRelu", {MLS__GATE_LEAKY_RELU, 0.01f, 0}, true, false},
    {"ThresholdedRelu", {MLS__GATE_THRESHOLDED_RELU, 1, 0}, true, false},
    {"ScaledTanh", {MLS__GATE_SCALED_TANH, 1, 1}, true, true},
    {"HardSigmoid", {MLS__GATE_HARD_SIGMOID, 0.2f, 0.5f}, true, true},
    {"Elu", {MLS__GATE_ELU, 1, 0}, true, false},
    {"Softsign", {MLS__GATE_SOFTSIGN, 0, 0}, false, false},
    {"Softplus", {MLS__GATE_SOFTPLUS, 0, 0}, false, false},
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

/* Exporters do not agree on capitals. */
static bool is_named(const char *name, mls_string given)
{
    if (strlen(name) != given.size)
        return false;
    for (size_t i = 0; i < given.size; i++)
        if (lower(name[i]) != lower(given.data[i]))
            return false;
    return true;
}

static const struct activation *find_activation(mls_string name)
{
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++)
        if (is_named(activations[i].name, name))
            return &activations[i];
    return NULL;
}

/* Values are taken in order by the activations that have such a parameter. */
typedef struct parameters {
    const float *values;
    size_t count;
} parameters;

static void take_parameter(parameters *from, bool has_it, float *ret_value)
{
    if (!has_it || !from->count)
        return;
    *ret_value = *from->values++;
    from->count--;
}

static mls_status read_activations(mls__rnn *k, const mls_op *op)
{
    static const char *const usual[][3] = {
        [MLS__CELL_LSTM] = {"Sigmoid", "Tanh", "Tanh"},
        [MLS__CELL_GRU] = {"Sigmoid", "Tanh", NULL},
        [MLS__CELL_RNN] = {"Tanh", NULL, NULL},
    };
    static const size_t counts[] = {[MLS__CELL_LSTM] = 3, [MLS__CELL_GRU] = 2, [MLS__CELL_RNN] = 1};
    size_t given;
    parameters alpha, beta;
    const mls_string *names = mls__op_strings(op, "activations", &given);
    alpha.values = mls__op_floats(op, "activation_alpha", &alpha.count);
    beta.values = mls__op_floats(op, "activation_beta", &beta.count);
    const size_t each = counts[k->cell], needed = each * (size_t) k->shape.directions;
    if (given && given < needed)
        return mls__op_error(op, MLS_EINVAL, "it has %zu activations, expected %zu", given, needed);
    for (size_t i = 0; i < needed; i++) {
        const char *fallback = usual[k->cell][i % each];
        const mls_string name = given ? names[i] : (mls_string){fallback, strlen(fallback)};
        const struct activation *row = find_activation(name);
        if (!row)
            return mls__op_error(op, MLS_EINVAL, "activation '%.*s' is not known",
                                 name.size < 64 ? (int) name.size : 64, name.data);
        mls__gate *gate = &k->activations[i / each][i % each];
        *gate = row->gate;
        take_parameter(&alpha, row->has_alpha, &gate->alpha);
        take_parameter(&beta, row->has_beta, &gate->beta);
    }
    return MLS_OK;
}

/* --- shapes ---------------------------------------------------------------------------------- */

static void read_shape(mls__rnn *k, const mls_op *op)
{
    const mls_arg *x = &op->inputs[MLS__RNN_X], *r = &op->inputs[MLS__RNN_R];
    const bool is_row_first = k->is_row_first;
    mls__rnn_shape s = {.steps = x->dims[is_row_first ? 1 : 0],
                        .rows = x->dims[is_row_first ? 0 : 1],
                        .inputs = x->dims[2],
                        .units = r->dims[2],
                        .directions = r->dims[0]};
    s.x_step = is_row_first ? s.inputs : s.rows * s.inputs;
    s.x_row = is_row_first ? s.steps * s.inputs : s.inputs;
    s.y_direction = is_row_first ? s.units : s.rows * s.units;
    s.y_step = s.directions * (is_row_first ? s.units : s.rows * s.units);
    s.y_row = is_row_first ? s.steps * s.directions * s.units : s.units;
    s.state_direction = is_row_first ? s.units : s.rows * s.units;
    s.state_row = is_row_first ? s.directions * s.units : s.units;
    k->shape = s;
}

static mls_status rnn_reshape(mls_kernel *kernel, const mls_op *op)
{
    read_shape((mls__rnn *) kernel, op);
    return MLS_OK;
}

/* Room for as many parts of the rows as threads may make of them. */
static mls_status plan(mls__rnn *k, const mls_op *op)
{
    const mls__rnn_shape *s = &k->shape;
    mls__rnn_block block;
    size_t most = 0, blocks = 0;
    bool fits = mls__rnn_block_of(k, &block) &&
                mls__mul_size(block.count, (size_t) s->directions, &blocks) &&
                mls__mul_size(blocks, k->wide, &blocks);
    for (int64_t parts = 1; fits && parts <= (int64_t) k->threads; parts++) {
        mls__rnn_slot slot;
        size_t bytes;
        fits = mls__rnn_slot_of(k, s->rows / parts + (s->rows % parts != 0), &slot) &&
               mls__mul_size(slot.bytes, (size_t) (parts * s->directions), &bytes);
        if (fits && bytes > most)
            most = bytes;
    }
    if (!fits || !mls__add_size(most, k->packed ? 0 : blocks, &most))
        return mls__op_error(op, MLS_ESHAPE, "its operands are larger than memory can be");
    k->base.base.workspace_bytes = most;
    return MLS_OK;
}

/* --- kernels --------------------------------------------------------------------------------- */

static void read_attributes(mls__rnn *k, const mls_op *op)
{
    static const int gates[] = {[MLS__CELL_LSTM] = 4, [MLS__CELL_GRU] = 3, [MLS__CELL_RNN] = 1};
    const float clip = mls__op_float(op, "clip", INFINITY);
    k->cell = strcmp(op->type, "LSTM") == 0  ? MLS__CELL_LSTM
              : strcmp(op->type, "GRU") == 0 ? MLS__CELL_GRU
                                             : MLS__CELL_RNN;
    k->gates = gates[k->cell];
    k->dtype = op->inputs[MLS__RNN_X].dtype;
    k->is_half = mls__is_half(k->dtype);
    k->is_double = k->dtype == MLS_FLOAT64;
    k->wide = k->is_double ? sizeof(double) : sizeof(float);
    k->threads = op->threads;
    k->is_reverse = mls__op_string_is(op, "direction", "reverse", "forward");
    k->is_row_first = mls__op_int(op, "layout", 0) != 0;
    k->resets_after = k->cell == MLS__CELL_GRU && mls__op_int(op, "linear_before_reset", 0) != 0;
    k->is_coupled = k->cell == MLS__CELL_LSTM && mls__op_int(op, "input_forget", 0) != 0;
    k->clip = clip > 0 ? clip : INFINITY;
    if (k->is_half)
        k->half = mls__half_of(k->base.cpu, k->dtype);
}

static void read_inputs(mls__rnn *k, const mls_op *op)
{
    k->input_count = op->input_count;
    k->output_count = op->output_count;
    k->has_bias = mls__op_input(op, MLS__RNN_B) != NULL;
    k->has_lengths = mls__op_input(op, MLS__RNN_LENGTHS) != NULL;
    k->has_h = mls__op_input(op, MLS__RNN_H) != NULL;
    k->has_c = mls__op_input(op, MLS__RNN_C) != NULL;
    k->has_peepholes = mls__op_input(op, MLS__RNN_P) != NULL;
}

static mls_status create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel)
{
    mls__rnn *k;
    mls_status status = mls__cpu_kernel_create(cpu, op, sizeof *k, "recurrent", mls__rnn_run, &k);
    if (status)
        return status;
    mls_kernel *kernel = &k->base.base;
    kernel->reshape = rnn_reshape;
    read_attributes(k, op);
    read_inputs(k, op);
    read_shape(k, op);
    status = read_activations(k, op);
    if (!status)
        status = mls__rnn_pack(k, op);
    if (!status)
        status = plan(k, op);
    if (status) {
        kernel->free(kernel);
        return status;
    }
    *ret_kernel = kernel;
    return MLS_OK;
}

mls__cpu_op_table mls__cpu_ops_recurrent = {
    {"", "LSTM", create, 0},
    {"", "GRU", create, 0},
    {"", "RNN", create, 0},
    {.type = NULL},
};
