/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel that Conv, ConvTranspose and their fused forms share.
 *
 * conv_ops.c reads an op into one and decides how it is done, conv_rows.c says what each row of
 * outputs reads, conv_pack.c brings weights into the order of the kernels. conv.c runs it, by tasks
 * (conv_tasks.h): conv_direct.c, conv_along.c, and conv_fast.c for what fast numerics allow to be
 * products of bfloat16. conv_pooled.c has the maximum behind one, conv_band.c bands for stacks.
 */
#ifndef MLS_BACKEND_CPU_OPS_CONV_H
#define MLS_BACKEND_CPU_OPS_CONV_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/activation.h"
#include "backend/cpu/ops/half.h"
#include "op/convolution.h"
#include "op/pooling.h"

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
    int32_t dtype, y_dtype; /* of the input; of the output and the residual */
    bool has_bias, has_residual, is_empty;
    /* 16-bit floats: weights and bias, inputs, outputs. */
    bool is_half, is_x_half, is_y_half;
    bool is_narrowed; /* to 16 bits by the chunk: there is no float32 image of outputs */
    bool is_rounded;  /* to 16 bits, but kept as float32 */
    uint32_t threads;
    size_t y_index; /* of the call's buffers */
    mls__activation activation;
    mls__half half; /* of the weights' dtype */

    int64_t x_plane, y_plane; /* spatial elements of a channel */
    int64_t out_plane;        /* of the op's output: of y, or of what a maximum leaves of it */
    int64_t positions;        /* of the kernel */
    int64_t panels;           /* of one group */
    int64_t rows;             /* of outputs */
    mls__conv_tap *taps;
    int64_t *offsets; /* kernels/conv.h; NULL: of no use */
    mls__conv_class *classes;
    int64_t class_count, class_capacity;
    /*
     * The work on one image: units of filters, each of chunks of rows or, where a row has several,
     * pieces of one, which end between two of its row_units of piece_unit outputs.
     */
    int64_t units, chunks, row_pieces, row_units, piece_unit;
    bool is_chunk_outer;
    bool is_region_of_rows;    /* a region of tasks: some chunks of all units, or else units */
    int64_t step_blocks;       /* of channels that one pass over a chunk sums */
    bool is_x_near, is_y_near; /* the second cache has the image: kernels/conv.h */

    const float *packed; /* constant weights; NULL: packed by each run, if need be */
    uint64_t w_offset, bias_offset, x_offset, y_offset, z_offset;
    uint64_t slots_offset, slot_bytes, slot_y, slot_z; /* a slot a thread */
    /* Of MLS__CONV_FAST: its weights, parts of the panels of a group, a slot's rows of A. */
    const mls__gemm_bf16_kernels *fast;
    const uint16_t *fast_packed;
    int64_t fast_parts, fast_rows;
    uint64_t slot_a;
    /*
     * With a maximum behind it (conv_pooled.c): its windows, of a row and along it; how its outputs
     * are cut, and the rows and columns of y that a slot holds.
     */
    bool is_pooled;
    mls__pool_axis pool_rows, pool_along;
    int64_t pool_bands, pool_pieces, pool_step;
    int64_t held_rows, held_columns;
    uint64_t slot_held, slot_list, slot_line;
} mls__conv_op;

/* Rows first .. last-1 of an image's outputs, which may be kept in rings of rows. */
typedef struct mls__band {
    /* Row r of block b of what is read: row r % x_rows behind x + b * x_block. Plain: as it is. */
    const float *x;
    int64_t x_rows, x_block;
    float *y;
    int64_t y_rows, y_block;
    const float *z, *bias; /* NULL: none; z only where y is no ring */
    int64_t first, last;
    int64_t width; /* of a row of outputs */
    char *slot;
} mls__band;

/* --- conv_rows.c --- */

/* Sets rows, classes and taps, for which there is room (class_capacity). */
void mls__conv_set_rows(mls__conv_op *conv);

/* The lines of row `row` into `ret_lines`; gives their number, and the most there can be. */
int64_t mls__conv_lines(const mls__conv_op *conv, int64_t row, mls__conv_line *ret_lines);
int64_t mls__conv_most_lines(const mls__conv_op *conv);
/* How many of them, at most, conv->offsets is for. */
int64_t mls__conv_lines_at_once(const mls__conv_op *conv);

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
    const float *x, *bias; /* of the group; bias NULL: none */
    /* Of the first output; those of a panel lie one behind the other. The residual lies as y. */
    float *y;
    const float *z;
    int64_t y_panel;
    int64_t group, panel, panels;
    int64_t row, rows, begin, end;
    char *slot;
} mls__conv_piece;
void mls__conv_run_piece(const mls__conv_op *conv, const mls__conv_piece *piece);

/* --- conv_pooled.c --- */

/* Reads the maximum behind a convolution whose shape is known, of an op that has one. */
mls_status mls__conv_read_pool(mls__conv_op *conv, const mls_op *op);
/* Whether an axis is one element for the maximum too; and takes it away. */
bool mls__conv_is_pool_point(const mls__conv_op *conv, int axis);
void mls__conv_drop_pool_axis(mls__conv_op *conv, int axis);
/* Panels whose rows a slot holds together. */
int64_t mls__conv_pooled_panels(const mls__conv_op *conv);
/* Sets how rows are cut; room in a slot for them, false when it is more than memory can be. */
bool mls__conv_band_regions(mls__conv_op *conv, size_t *bytes);
/* Then the chunks, each a piece of a band. */
void mls__conv_cut_bands(mls__conv_op *conv);

/*
 * A chunk, a step at a time: mls__conv_band_next() says which of the convolution's outputs to
 * compute: rows fresh .. held_end-1, of each x_begin .. x_end-1.
 */
typedef struct mls__conv_band {
    const mls__conv_op *conv;
    char *slot;
    int64_t row, step_end, end; /* rows of maxima: those of the step, and the band's end */
    int64_t column;             /* of the piece's first maximum */
    mls__pool_axis along;       /* as if there were no more than the piece */
    int64_t x_begin, x_end;
    int64_t held, fresh, held_end; /* rows that the slot holds */
    float *y;                      /* of row `held` and output x_begin, of panel 0 */
    int64_t y_row, y_panel;        /* floats from row to row, from panel to panel */
} mls__conv_band;

mls__conv_band mls__conv_band_at(const mls__conv_op *conv, int64_t index, char *slot);
/* The next step, for so many panels; false when there is none. */
bool mls__conv_band_next(mls__conv_band *band, int64_t panels);
/* A panel's maxima, once the outputs of the step are computed; y is the panel's plane. */
void mls__conv_band_reduce(const mls__conv_band *band, int64_t panel, float *y);

/* --- fold_batch_norm.c --- */

mls_status mls__fold_batch_norm_create(const mls__cpu *cpu, const mls_op *op,
                                       mls_kernel **ret_kernel);

/* --- blocks.c --- */

mls_status mls__reorder_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel);

/* --- blocked_pool.c --- */

mls_status mls__blocked_pool_create(const mls__cpu *cpu, const mls_op *op, mls_kernel **ret_kernel);
/*
 * Maxima along a row of blocks, of the element-wise maximum of `count` rows: what the axis says,
 * but for its pads, whose neutral elements `line` holds (its length: mls__blocked_line()).
 */
void mls__blocked_max(const mls__cpu *cpu, const mls__pool_axis *along, const void **rows,
                      int64_t count, float *line, float *y);
/* Blocks of a line with its padding, and that padding, for a maximum or a sum. */
int64_t mls__blocked_line(const mls__pool_axis *along);
void mls__blocked_pad(const mls__pool_axis *along, float neutral, float *line);
mls_status mls__blocked_global_pool_create(const mls__cpu *cpu, const mls_op *op,
                                           mls_kernel **ret_kernel);

/* Whether mls__blocked_pool_run_band() can do a pool's rows; its slot's bytes. */
bool mls__blocked_pool_is_banded(const mls_kernel *kernel);
size_t mls__blocked_pool_slot(const mls_kernel *kernel);
void mls__blocked_pool_run_band(const mls_kernel *kernel, const mls__band *band);

/* --- conv_band.c --- */

/* Whether mls__conv_run_band() can do it, of an op with two spatial dimensions. */
bool mls__conv_is_banded(const mls__conv_op *conv);
void mls__conv_run_band(const mls__conv_op *conv, const mls__band *band);

/* --- conv.c --- */

/* Multiply-adds of an image, as far as they take time. */
double mls__conv_work(const mls__conv_op *conv);
/* What all calls of a kernel for it begin with. */
mls__conv mls__conv_of(const mls__conv_op *conv);
/* What all rows of outputs of a class have in common, without their places; and row `index`. */
mls__conv_row mls__conv_rows_of(const mls__conv_op *conv, const mls__conv_class *class);
void mls__conv_set_row(const mls__conv_op *conv, int64_t index, mls__conv_line *lines,
                       mls__conv_row *row);
/* Those of rows first .. last-1 that have the same lines as the first one, `row`. */
mls__conv_rows mls__conv_rows_from(const mls__conv_op *conv, const mls__conv_row *row,
                                   int64_t first, int64_t last);
/* The bias of each group, padded to whole panels; in the workspace. NULL: none. */
const void *mls__conv_bias(const mls__conv_op *conv, const mls_kernel_call *call);
mls_status mls__conv_run(const mls_kernel *kernel, const mls_kernel_call *call);

#endif
