/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an image of a convolution is worked out by: tasks, each a unit of filters and a chunk of
 * outputs. conv.c shares them out among threads; each way to do one is a file.
 */
#ifndef MLS_BACKEND_CPU_OPS_CONV_TASKS_H
#define MLS_BACKEND_CPU_OPS_CONV_TASKS_H

#include "backend/cpu/ops/conv.h"

/* The work on one image. */
typedef struct mls__conv_image {
    const mls__conv_op *conv;
    const mls__conv_kernels *kernels;
    /* float32, but for float64; y and z are of 16 bits where outputs are narrowed by the chunk */
    const void *x, *w, *z;
    void *y;
    const void *bias; /* float32: of each group, padded to whole panels; NULL: none */
    char *slots;
} mls__conv_image;

/* Rows first .. last-1 of outputs, of which each class gives from begin to end. */
typedef struct mls__conv_chunk {
    int64_t first, last;
    int64_t begin, end;
} mls__conv_chunk;

mls__conv_chunk mls__conv_chunk_at(const mls__conv_op *conv, int64_t index);

/* Outputs of a row lie so many apart that are next to each other in a class. */
int64_t mls__conv_class_step(const mls__conv_op *conv);

/* Chunk `index` of a unit, in the slot of a thread; by mls__conv_method. */
typedef void (*mls__conv_task_fn)(const mls__conv_image *image, int64_t unit, int64_t index,
                                  char *slot);

/* --- conv_direct.c --- */
void mls__conv_run_direct(const mls__conv_image *image, int64_t unit, int64_t index, char *slot);

/* --- conv_along.c --- */
void mls__conv_run_depthwise(const mls__conv_image *image, int64_t unit, int64_t index, char *slot);
void mls__conv_run_rows(const mls__conv_image *image, int64_t unit, int64_t index, char *slot);
void mls__conv_run_plain(const mls__conv_image *image, int64_t unit, int64_t index, char *slot);

/* --- conv_fast.c --- */
void mls__conv_run_fast(const mls__conv_image *image, int64_t unit, int64_t index, char *slot);

#endif
