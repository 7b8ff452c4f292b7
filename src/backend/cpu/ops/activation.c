/* SPDX-License-Identifier: Apache-2.0 */
/* The table of activations. */
#include "backend/cpu/ops/activation.h"

#include "tensor/tensor.h"

#include <float.h>
#include <string.h>

static const struct row {
    const char *name;
    mls__unary_op op;
    float alpha, beta; /* the op's defaults */
} rows[] = {
    {"Relu", MLS__UNARY_RELU, 0, 0},
    {"LeakyRelu", MLS__UNARY_LEAKY_RELU, 0.01f, 0},
    {"ThresholdedRelu", MLS__UNARY_THRESHOLDED_RELU, 1, 0},
    {"Clip", MLS__UNARY_CLIP, -FLT_MAX, FLT_MAX},
    {"Sigmoid", MLS__UNARY_SIGMOID, 0, 0},
    {"HardSigmoid", MLS__UNARY_HARD_SIGMOID, 0.2f, 0.5f},
    {"Tanh", MLS__UNARY_TANH, 0, 0},
    {"Elu", MLS__UNARY_ELU, 1, 0},
    {"Selu", MLS__UNARY_SELU, 1.67326319217681884765625f, 1.05070102214813232421875f},
    {"Celu", MLS__UNARY_CELU, 1, 0},
    {"Softplus", MLS__UNARY_SOFTPLUS, 0, 0},
    {"Softsign", MLS__UNARY_SOFTSIGN, 0, 0},
    {"Swish", MLS__UNARY_SWISH, 1, 0},
    {"HardSwish", MLS__UNARY_HARD_SWISH, 0, 0},
    {"Mish", MLS__UNARY_MISH, 0, 0},
    {"Gelu", MLS__UNARY_GELU, 0, 0},
    {"GeluTanh", MLS__UNARY_GELU_TANH, 0, 0},
};

static const struct row *find_row(mls_string name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (mls__string_equal(name, (mls_string){rows[i].name, strlen(rows[i].name)}))
            return &rows[i];
    return NULL;
}

mls_status mls__activation_read(const mls__cpu *cpu, const mls_op *op,
                                mls__activation *ret_activation)
{
    const mls_string name = mls__op_string(op, "activation");
    if (!name.data) {
        *ret_activation = (mls__activation){.run = NULL};
        return MLS_OK;
    }
    const struct row *row = find_row(name);
    if (!row)
        return mls__op_error(op, MLS_EINVAL, "activation '%.*s' is not known",
                             name.size < 64 ? (int) name.size : 64, name.data);
    *ret_activation = (mls__activation){
        cpu->kernels->elementwise->unary[row->op],
        row->op,
        {mls__op_float(op, "activation_alpha", row->alpha),
         mls__op_float(op, "activation_beta", row->beta)},
    };
    return MLS_OK;
}
