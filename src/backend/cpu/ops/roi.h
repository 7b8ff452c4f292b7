/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops that make bins of regions of images: their dims, their elements in the dtype that is computed
 * in (16-bit floats as float32), and the bins shared out to threads.
 */
#ifndef MLS_BACKEND_CPU_OPS_ROI_H
#define MLS_BACKEND_CPU_OPS_ROI_H

#include "backend/cpu/cpu.h"

typedef struct mls__roi mls__roi;

/* One run. */
typedef struct mls__roi_work {
    const mls__roi *roi;
    const mls_kernel_call *call;
    const void *x, *regions; /* of the dtype that is computed in, as y */
    void *y;
} mls__roi_work;

typedef struct mls__roi_fns {
    const char *name;
    int64_t region_numbers; /* of one region */
    int64_t grain;          /* fewer bins are not worth a second thread */
    /* Whether each region is one of the images; its message is set. */
    mls_status (*check)(const mls__roi_work *work);
    /* One bin of every channel. */
    void (*run_bin)(const mls__roi_work *work, int64_t region, int64_t row, int64_t column);
} mls__roi_fns;

/* Begins the kernel of an op. */
struct mls__roi {
    mls__cpu_kernel base;
    const mls__roi_fns *fns;
    int32_t dtype, work_dtype;
    double scale;
    int64_t batches, channels, height, width, regions, bin_rows, bin_columns;
    uint64_t x_offset, y_offset, region_offset; /* in the workspace */
    size_t output;                              /* among the buffers */
    uint32_t threads;
};

/* Inputs 0 and 1 are images and regions. The kernel is of `size` bytes, the op's own are 0. */
mls_status mls__roi_create(const mls__cpu *cpu, const mls_op *op, size_t size,
                           const mls__roi_fns *fns, void *ret_kernel);

/* Rounded to the dtype that is computed in. */
static inline double mls__roi_rounded(const mls__roi *roi, double x)
{
    return roi->work_dtype == MLS_FLOAT64 ? x : (double) (float) x;
}

/* Number i of a region. */
static inline double mls__roi_number(const mls__roi_work *work, int64_t region, int64_t i)
{
    const int64_t at = region * work->roi->fns->region_numbers + i;
    return work->roi->work_dtype == MLS_FLOAT64 ? ((const double *) work->regions)[at]
                                                : (double) ((const float *) work->regions)[at];
}

#endif
