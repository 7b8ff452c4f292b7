/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of what inputs are. */
#include "op/int8_product.h"

#include <string.h>

#define NONE MLS__INT8_NONE

static const mls__int8_roles table[] = {
    /*                                        a, b,  scale, zero of a, b,  bias, addend, y */
    {"", "MatMulInteger", 0, 1, NONE, 2, NONE, 3, NONE, NONE, NONE, NONE},
    {"", "QLinearMatMul", 0, 3, 1, 2, 4, 5, NONE, NONE, 6, 7},
    {"com.microsoft", "MatMulIntegerToFloat", 0, 1, 2, 4, 3, 5, NONE, 6, NONE, NONE},
    {"com.microsoft", "DynamicQuantizeMatMul", 0, 1, NONE, NONE, 2, 3, NONE, 4, NONE, NONE},
    {"com.microsoft", "QGemm", 0, 3, 1, 2, 4, 5, 6, NONE, 7, 8},
};

const mls__int8_roles *mls__op_int8_roles(const mls_op *op)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].type, op->type) == 0 && strcmp(table[i].domain, op->domain) == 0)
            return &table[i];
    return NULL;
}

const mls_arg *mls__op_role(const mls_op *op, int input)
{
    return input == NONE ? NULL : mls__op_input(op, (size_t) input);
}
