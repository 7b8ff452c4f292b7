/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recurrent layer with all that its attributes say, and its results by the equations of its
 * specification, a number at a time in double precision with the functions of libm.
 */
#ifndef TESTS_CPU_RNN_CASE_H
#define TESTS_CPU_RNN_CASE_H

#include "cpu/op_numbers.h"

#include <stdbool.h>

enum { LSTM, GRU, RNN };

/* Of one direction, by type. */
extern const int rnn_activation_counts[3];

/* What a case asks for; everything else is as it is by default. */
typedef struct rnn_case {
    int type;
    mls_dtype dtype;
    int64_t steps, rows, inputs, units;
    const char *direction; /* NULL: not given */
    bool is_row_first, is_constant, resets_after, is_coupled;
    bool has_bias, has_lengths, has_h, has_c, has_peepholes;
    float clip;
    const char *activations[6]; /* [0] NULL: not given */
    float alpha[6], beta[6];
} rnn_case;

typedef struct rnn_operands {
    int64_t directions;
    op_numbers x, w, r, b, h, c, p;
    int32_t *lengths;
} rnn_operands;

rnn_operands rnn_operands_make(const rnn_case *k);
void rnn_operands_free(rnn_operands *o);

/* Runs a case, which is to give its reference. */
void rnn_check(const rnn_case *k);

#endif
