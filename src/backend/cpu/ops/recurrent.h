/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel that LSTM, GRU and RNN share.
 *
 * Order of a gate's sum: what inputs add is a product in the order of kernels/gemm.h with the
 * biases of W and R, themselves added first, as its C; what the state adds is a product with that
 * as its C. So a row's bits do not depend on the batch. 16-bit floats are computed in float32,
 * states and all; float64 in the same order.
 *
 * recurrent.c reads an op into one, recurrent_pack.c prepares weights, recurrent_run.c runs it;
 * recurrent_f64.c has the gates of float64.
 */
#ifndef MLS_BACKEND_CPU_OPS_RECURRENT_H
#define MLS_BACKEND_CPU_OPS_RECURRENT_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/half.h"

typedef enum mls__cell { MLS__CELL_LSTM, MLS__CELL_GRU, MLS__CELL_RNN } mls__cell;

/* Positions of inputs; P only LSTM has. */
enum { MLS__RNN_X, MLS__RNN_W, MLS__RNN_R, MLS__RNN_B, MLS__RNN_LENGTHS, MLS__RNN_H, MLS__RNN_C };
enum { MLS__RNN_P = 7 };

/* Steps in elements between neighbours. */
typedef struct mls__rnn_shape {
    int64_t steps, rows, inputs, units, directions;
    int64_t x_step, x_row;
    int64_t y_step, y_row, y_direction;
    int64_t state_row, state_direction;
} mls__rnn_shape;

/* A direction's weights: where its parts begin, in elements of the type computed in. */
typedef struct mls__rnn_block {
    size_t w, r, r_last; /* panels; r_last: of a GRU's gate h */
    size_t bias;         /* that goes with what inputs add, of all gates */
    size_t r_bias;       /* of a GRU that resets after the product: of gate h */
    size_t peepholes;
    size_t count; /* of all elements */
} mls__rnn_block;

typedef struct mls__rnn {
    mls__cpu_kernel base;
    mls__cell cell;
    int gates;
    int32_t dtype;
    size_t wide; /* bytes of an element computed with */
    uint32_t threads;
    bool is_half, is_double;
    bool is_reverse;   /* of the first direction */
    bool is_row_first; /* layout 1 */
    bool resets_after; /* of a GRU: linear_before_reset */
    bool is_coupled;
    bool has_bias, has_peepholes, has_lengths, has_h, has_c;
    size_t input_count, output_count;
    float clip;
    mls__gate activations[2][3]; /* of each direction: f, g, h */
    mls__half half;
    mls__rnn_shape shape;
    const void *packed; /* the blocks of constant weights; NULL: made by each run */
} mls__rnn;

/* The parts of the workspace that one thread has, in bytes from its begin. */
typedef struct mls__rnn_slot {
    size_t x, projected, sums, h, c, reset, bytes;
} mls__rnn_slot;

/* Rows of inputs that are multiplied at once. */
#define MLS__RNN_CHUNK_ROWS 120

/* For so many rows; false where it does not fit a size. */
bool mls__rnn_slot_of(const mls__rnn *k, int64_t rows, mls__rnn_slot *ret_slot);

/* Likewise. */
bool mls__rnn_block_of(const mls__rnn *k, mls__rnn_block *ret_block);

/* Fills the blocks of all directions from W, R, B and P; those not given are NULL. */
void mls__rnn_fill(const mls__rnn *k, const void *const weights[4], void *ret_blocks);

/* Prepares constant weights once for all sessions of the model. Errors: MLS_ENOMEM. */
mls_status mls__rnn_pack(mls__rnn *k, const mls_op *op);

/* Elements of the op's dtype as the type computed with, and back. */
void mls__rnn_widen(const mls__rnn *k, void *wide, const void *x, int64_t index, int64_t count);
void mls__rnn_narrow(const mls__rnn *k, void *y, int64_t index, const void *wide, int64_t count);

mls_status mls__rnn_run(const mls_kernel *kernel, const mls_kernel_call *call);

/* Of float64. */
extern const mls__recurrent_kernels mls__recurrent_f64;

#endif
