/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel that ConvInteger and QLinearConv share. int8_conv_ops.c reads an op and plans its
 * memory; there are four ways to run it.
 *
 * A group's filters are the rows of a product, its output's elements the columns: so the output
 * comes out as it lies. int8_conv.c gathers patches of the input into panels; int8_conv_depth.c is
 * for groups of one channel, whose products are too small for that.
 *
 * With channels last it is the other way round: the output's elements are the rows, and constant
 * filters lie in panels before the run. int8_last.c is for products, int8_last_depth.c for groups
 * of one channel with one filter.
 */
#ifndef MLS_BACKEND_CPU_OPS_INT8_CONV_H
#define MLS_BACKEND_CPU_OPS_INT8_CONV_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/ops/ranges.h"
#include "op/int8_convolution.h"

/* Tasks a thread, where they can be cut as one likes. */
#define MLS__INT8_TASKS 8

/* The kernel's memory for filters: their bytes, then what is known of each. */
typedef struct mls__int8_filters {
    const uint8_t *bytes; /* signed, as the way has packed them */
    const int32_t *sums;  /* of each filter's bytes, in the way's order */
} mls__int8_filters;

/* Spatial dimensions of a convolution that is done tap by tap, at most. */
#define MLS__INT8_DEPTH_AXES 3

typedef struct mls__int8_conv mls__int8_conv;

typedef struct mls__int8_conv_way {
    const char *name;
    char key[8]; /* of its packed filters */
    mls_status (*run)(const mls_kernel *kernel, const mls_kernel_call *call);
    /* Filters as the kernels want them, packed_bytes of them. */
    void (*pack)(const mls__int8_conv *conv, const uint8_t *w, char *ret_packed);
    /* Sets what is said below to be the way's; false when it overflows. */
    bool (*plan_filters)(mls__int8_conv *conv);
    bool (*plan_slot)(mls__int8_conv *conv);
} mls__int8_conv_way;

extern const mls__int8_conv_way mls__int8_way_planes, mls__int8_way_depth, mls__int8_way_last,
    mls__int8_way_last_depth;

struct mls__int8_conv {
    mls__cpu_kernel base;
    const mls__int8_conv_way *way;
    const mls__int8_conv_roles *roles;
    mls__convolution shape;
    uint32_t threads, most_threads; /* of a run, and that the workspace is for */
    size_t y_index;                 /* of the call's buffers */
    mls__gemm_int8_form form;
    bool is_x_signed, is_w_signed, is_y_signed;
    bool has_x_zero, has_y_zero, has_bias;
    int64_t w_zeros, w_scales; /* how many there are; 0: none */
    int64_t pixels;            /* of the output, in one channel */
    int64_t depth;             /* elements of a filter */
    int64_t row_bytes;         /* `depth` rounded up to whole groups */
    int64_t chunk;             /* output elements at a time; the way's */
    /* For depth: elements of one phase of each padded axis, and rows of the output at a time. */
    int64_t phase[MLS__INT8_DEPTH_AXES], run_rows;
    int64_t ring_bytes; /* of a row with its padding, for depth with channels last */
    bool is_constant;
    const char *packed;                 /* constant filters; NULL: prepared by each run */
    uint64_t packed_bytes, sums_offset; /* in all, and before the filters' sums; the way's */
    int64_t own_terms;                  /* int32 and float32 each, for the filters; the way's */
    /* The workspace: filters, parameters of filters, the way's, then a slot for each thread. */
    uint64_t filters_offset, zeros_offset, scales_offset, own_bias_offset, own_scales_offset,
        slots_offset;
    /* A slot, which is the way's, and parts of it. */
    uint64_t slot_bytes, panels_offset, terms_offset;
    uint64_t planned_bytes; /* of the slot that the workspace has room for; 0 before it has */
};

/* What the tasks of one run share. */
typedef struct mls__int8_conv_work {
    const mls__int8_conv *conv;
    const mls_kernel_call *call;
    mls__gemm_int8 gemm; /* of all filters as rows */
    mls__int8_filters filters;
    int32_t x_zero; /* moved with its bytes */
    uint8_t x_pad;  /* what is outside the input, as it lies there */
} mls__int8_conv_work;

/* Filters as rows of row_bytes. */
void mls__int8_conv_pack(const mls__int8_conv *conv, const uint8_t *w, char *ret_packed);
bool mls__int8_conv_plan_filters(mls__int8_conv *conv);

/* Reads the parameters of a call. */
void mls__int8_conv_start(const mls__int8_conv *conv, const mls_kernel_call *call,
                          mls__int8_conv_work *ret_work);

/* Room for count * size bytes behind `total`, which `ret_offset` is set to; false: overflow. */
bool mls__int8_conv_region(uint64_t *total, int64_t count, int64_t size, uint64_t *ret_offset);

/* Tasks for threads to take: pieces of n, of at least `least` if they are several. */
static inline int64_t mls__int8_conv_pieces(const mls__int8_conv *conv, int64_t n, int64_t least)
{
    const int64_t most = conv->threads > 1 ? (int64_t) conv->threads * MLS__INT8_TASKS : 1;
    const int64_t pieces = n / least < most ? n / least : most;
    return pieces > 1 ? pieces : 1;
}

/* Where piece `index` of these begins. */
static inline int64_t mls__int8_conv_piece(const mls__int8_conv *conv, int64_t n, int64_t least,
                                           int64_t index)
{
    return mls__cpu_part_begin(n, mls__int8_conv_pieces(conv, n, least), index);
}

static inline char *mls__int8_conv_slot(const mls__int8_conv_work *work, size_t slot)
{
    const mls__int8_conv *conv = work->conv;
    return (char *) work->call->workspace + conv->slots_offset + slot * conv->slot_bytes;
}

#endif
