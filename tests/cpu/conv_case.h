/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A convolution with all that its attributes say, and its outputs, each worked out on its own: to
 * the bit in the order that numerics promise, and near its sum in double precision.
 */
#ifndef TESTS_CPU_CONV_CASE_H
#define TESTS_CPU_CONV_CASE_H

#include "cpu/op_harness.h"

#include <stdbool.h>

enum { MOST_RANK = 4 };

typedef struct conv_case {
    const char *domain, *type;
    mls_dtype dtype;
    bool is_transposed, is_x_blocked, is_y_blocked, is_constant;
    bool has_bias, has_residual;
    bool is_x_wide, is_y_wide; /* float32 that holds what the dtype can */
    int rank;
    int64_t batch, groups, channels, filters; /* the last two of a group */
    int64_t input[MOST_RANK], kernel[MOST_RANK], stride[MOST_RANK], dilation[MOST_RANK];
    int64_t pads[2 * MOST_RANK], extra[MOST_RANK];
    int64_t output[MOST_RANK];
    const char *activation;
    uint64_t seed;
} conv_case;

typedef struct conv_numbers {
    mls_dtype dtype;
    int64_t count;
    double *values;
} conv_numbers;

typedef struct conv_operands {
    conv_numbers x, w, b, z, y;
} conv_operands;

/* Elements of these dims. */
int64_t conv_product(int rank, const int64_t *dims);

/* Operands at random, and zeros for Y. */
conv_operands conv_operands_make(const conv_case *c);

void conv_operands_free(conv_operands o);

/* Y from the others. */
void conv_fill_reference(const conv_case *c, conv_operands *o);

/* Dims of an input or output: [batch, channels, ...], blocked where the case has it so. */
void conv_set_dims(bool is_blocked, int64_t batch, int64_t channels, int rank,
                   const int64_t *spatial, int *ret_rank, int64_t *ret_dims);

/* The next input, in n's dtype: X or a residual. */
void conv_add_operand(op_test *test, const conv_case *c, const conv_numbers *n, bool is_blocked,
                      int64_t channels, const int64_t *spatial);

/* The next inputs: W, and a bias where there is one. */
void conv_add_weights(op_test *test, const conv_case *c, const conv_operands *o);

void conv_add_attributes(op_test *test, const conv_case *c);

/* The output is y. Only channels that there are: what the others hold in a block is not said. */
void conv_expect(const op_test *test, const conv_case *c, const conv_numbers *y);

/* Runs a case, which is to give its reference. */
void conv_check(const conv_case *c);

#endif
