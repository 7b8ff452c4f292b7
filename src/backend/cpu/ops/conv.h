/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel that Conv, ConvTranspose and their fused forms share.
 *
 * conv_ops.c reads an op into one and decides how it is done, conv_rows.c says what each row of
 * outputs reads, conv_pack.c brings weights into the order of the kernels, conv.c runs; conv_fast.c
 * has what fast numerics allow to be products of bfloat16.
 */
#ifndef MLS_BACKEND_CPU_OPS_CONV_H
#define MLS_BACKEND_CPU_OPS_CONV_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/activation.h"
#include "backend/cpu/ops/half.h"
#include "op/convolution.h"

/* Outputs of a piece of work, and the panels of filters that go over them together. */
#define MLS__CONV_CHUNK  512
#define MLS__CONV_PANELS 4
/* Filters that a kernel with lanes along rows takes at a time. */
#define MLS__CONV_FILTERS 4

typedef enum mls__conv_method {
    MLS__CONV_DIRECT,    /* lanes across filters */
    MLS__CONV_DEPTHWISE, /* lanes across channels, each of which has a filter of its own */
    MLS__CONV_ROWS,      /* lanes along rows */
    MLS__CONV_PLAIN,     /* float64 */
    MLS__CONV_FAST /* a product of bfloat16: a row for each output, a column for each filter */
} mls__conv_method;

/* Outputs of a row that the same taps reach: all, or every stride-th of a transposed one. */
typedef struct mls__conv_class {
    int64_t tap, tap_count; /* in the kernel's taps */
    int64_t count;          /* of outputs */
    int64_t begin, end;     /* those that have all taps */
} mls__conv_class;

typedef struct mls__conv_op {
    mls__cpu_kernel base;
    mls__convolution shape;        /* its rank is 1 where positions need no coordinates */
    bool is_dropped[MLS_MAX_RANK]; /* axes of the op that the shape is without */
    mls__conv_method method;
    int32_t dtype;
    bool is_half, has_bias, has_residual, is_empty;
    uint32_t threads;
    size_t y_index; /* of the call's buffers */
    mls__activation activation;
    mls__half half;

    int64_t x_plane, y_plane; /* spatial elements of a channel */
    int64_t positions;        /* of the kernel */
    int64_t panels;           /* of one group */
    int64_t rows;             /* of outputs */
    mls__conv_tap *taps;
    int64_t *offsets; /* kernels/conv.h; NULL: of no use */
    mls__conv_class *classes;
    int64_t class_count, class_capacity;
    /* The work on one image: units of filters, each of chunks of rows or pieces of one. */
    int64_t units, chunks, chunk_rows, row_pieces, piece;
    bool is_chunk_outer;
    int64_t step_blocks; /* of channels that one pass over a chunk sums */

    const float *packed; /* constant weights; NULL: packed by each run, if need be */
    uint64_t w_offset, bias_offset, x_offset, y_offset, z_offset;
    uint64_t slots_offset, slot_bytes, slot_y, slot_z; /* a slot a thread */
    /* Of MLS__CONV_FAST: its weights, parts of the panels of a group, a slot's rows of A. */
    const mls__gemm_bf16_kernels *fast;
    const uint16_t *fast_packed;
    int64_t fast_parts, fast_rows;
    uint64_t slot_a;
} mls__conv_op;

/* --- conv_rows.c --- */

/* Sets rows, classes and taps, for which there is room (class_capacity). */
void mls__conv_set_rows(mls__conv_op *conv);

/* The lines of row `row` into `ret_lines`; gives their number, and the most there can be. */
int64_t mls__conv_lines(const mls__conv_op *conv, int64_t row, mls__conv_line *ret_lines);
int64_t mls__conv_most_lines(const mls__conv_op *conv);

/* --- conv_pack.c --- */

/* Whether the weights can be used as they lie, or lie elsewhere. */
bool mls__conv_is_unpacked(const mls__conv_op *conv);
/* Bytes of the packed weights; false when they are more than memory can be. */
bool mls__conv_pack_size(const mls__conv_op *conv, size_t *ret_bytes);
void mls__conv_pack(const mls__conv_op *conv, const void *weights, float *ret_packed);
/* Constant weights, once for all sessions of the model. Errors: MLS_ENOMEM, MLS_ESHAPE. */
mls_status mls__conv_pack_constant(mls__conv_op *conv, const mls_op *op);

/* --- conv_fast.c --- */

/* Whether a convolution that would be direct is to be fast; sets its kernels if so. */
bool mls__conv_is_fast(mls__conv_op *conv, const mls_op *op);
/* The weights, once for all sessions of the model. Errors: MLS_ENOMEM, MLS_ESHAPE. */
mls_status mls__conv_pack_fast(mls__conv_op *conv, const mls_op *op);
/* Sets fast_rows; gives a slot's bytes for them, false when these are more than memory can be. */
bool mls__conv_fast_size(mls__conv_op *conv, size_t *ret_bytes);

/* Outputs begin .. end-1 of rows row .. row+rows-1 (the whole rows, if they are several). */
typedef struct mls__conv_piece {
    const float *x, *z, *bias; /* of the group, z and bias of its panel 0; NULL: none */
    float *y;
    int64_t group, panel, panels;
    int64_t row, rows, begin, end;
    char *slot;
} mls__conv_piece;
void mls__conv_run_piece(const mls__conv_op *conv, const mls__conv_piece *piece);

/* --- fold_batch_norm.c --- */

mls_status mls__fold_batch_norm_create(const mls__cpu *cpu, const mls_op *op,
                                       mls_kernel **ret_kernel);

/* --- blocks.c --- */

mls_status mls__reorder_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel);

/* --- blocked_pool.c --- */

mls_status mls__blocked_pool_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel);
mls_status mls__blocked_global_pool_create(const mls__cpu *cpu, const mls_op *op,
                                           mls_kernel **ret_kernel);

/* --- conv.c --- */

mls_status mls__conv_run(const mls_kernel *kernel, const mls_kernel_call *call);

#endif
