/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel that ConvInteger and QLinearConv share.
 *
 * A group's filters are the rows of a product, its output's elements the columns: so the output
 * comes out as it lies. int8_conv_ops.c reads an op and plans its memory, int8_conv.c gathers
 * patches of the input into panels, int8_conv_depth.c is for groups of one channel, whose products
 * are too small for that.
 */
#ifndef MLS_BACKEND_CPU_OPS_INT8_CONV_H
#define MLS_BACKEND_CPU_OPS_INT8_CONV_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"
#include "op/int8_convolution.h"

/* The kernel's memory for filters: their bytes, then what is known of each. */
typedef struct mls__int8_filters {
    const uint8_t *bytes; /* signed: a row of row_bytes for each filter */
    const int32_t *sums;  /* of each filter's bytes */
} mls__int8_filters;

/* Spatial dimensions of a convolution that is done tap by tap, at most. */
#define MLS__INT8_DEPTH_AXES 3

typedef struct mls__int8_conv {
    mls__cpu_kernel base;
    const mls__int8_conv_roles *roles;
    mls__convolution shape;
    uint32_t threads, most_threads; /* of a run, and that the workspace is for */
    size_t y_index;                 /* of the call's buffers */
    mls__gemm_int8_form form;
    bool is_x_signed, is_w_signed, is_y_signed;
    bool has_x_zero, has_y_zero, has_bias;
    int64_t w_zeros, w_scales; /* how many there are; 0: none */
    bool is_depth;             /* groups of one channel, and at most MLS__INT8_DEPTH_AXES axes */
    int64_t pixels;            /* of the output, in one channel */
    int64_t depth;             /* elements of a filter */
    int64_t row_bytes;         /* `depth` rounded up to whole groups */
    int64_t chunk;             /* output elements at a time, whole panels */
    /* For depth: elements of one phase of each padded axis, and rows of the output at a time. */
    int64_t phase[MLS__INT8_DEPTH_AXES], run_rows;
    bool is_constant;
    const char *packed;                 /* constant filters; NULL: prepared by each run */
    uint64_t packed_bytes, sums_offset; /* in all, and before the filters' sums */
    /* The workspace: filters, parameters of filters, then a slot for each thread. */
    uint64_t filters_offset, zeros_offset, scales_offset, slots_offset;
    /* A slot: rows, panels and terms of a chunk; or offsets of taps, the channel, and sums. */
    uint64_t slot_bytes, panels_offset, terms_offset;
    uint64_t planned_bytes; /* of the slot that the workspace has room for; 0 before it has */
} mls__int8_conv;

/* What the tasks of one run share. */
typedef struct mls__int8_conv_work {
    const mls__int8_conv *conv;
    const mls_kernel_call *call;
    mls__gemm_int8 gemm; /* of all filters: the rows of the first group */
    mls__int8_filters filters;
    int32_t x_zero; /* moved with its bytes */
    uint8_t x_pad;  /* what is outside the input, as it lies there */
} mls__int8_conv_work;

/* Filters as the kernels want them, `packed` of sums_offset and more bytes. */
void mls__int8_conv_pack(const mls__int8_conv *conv, const uint8_t *w, char *ret_packed);

/* Reads the parameters of a call. */
void mls__int8_conv_start(const mls__int8_conv *conv, const mls_kernel_call *call,
                          mls__int8_conv_work *ret_work);

/* The bytes of a slot; false when they overflow. */
bool mls__int8_conv_plan_slot(mls__int8_conv *conv);
bool mls__int8_depth_plan_slot(mls__int8_conv *conv);

mls_status mls__int8_conv_run(const mls_kernel *kernel, const mls_kernel_call *call);
mls_status mls__int8_depth_run(const mls_kernel *kernel, const mls_kernel_call *call);

/* Room for count * size bytes behind `total`, which `ret_offset` is set to; false: overflow. */
bool mls__int8_conv_region(uint64_t *total, int64_t count, int64_t size, uint64_t *ret_offset);

/* Part `index` of `parts` nearly equal parts of n. */
static inline int64_t mls__int8_conv_part(int64_t n, int64_t parts, int64_t index)
{
    return n / parts * index + n % parts * index / parts;
}

#endif
