/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel of ConvStack (op/stack.h).
 *
 * Each stage has the kernel that it would have alone. Neighbours whose images are too large for
 * the caches run as a group: its last stage gives its rows a few at a time, each of the others
 * just the rows that the next one needs, into a ring that holds no more than these. A thread has
 * rings of its own and a range of the last stage's rows; what two ranges need is computed twice.
 * All other stages run one after another, each on whole images. stack.c decides which stages make
 * groups, and where everything lies in the workspace; stack_run.c runs.
 */
#ifndef MLS_BACKEND_CPU_OPS_STACK_H
#define MLS_BACKEND_CPU_OPS_STACK_H

#include "backend/cpu/ops/conv.h"
#include "op/stack.h"

typedef struct mls__stack_part {
    mls_kernel *kernel;
    bool is_pool;
    size_t input; /* of the stack: the first one besides the image */
    size_t input_count;
    bool joins; /* the group of the stage before it */

    /* Of one image: blocks, rows and width of what it reads and gives. A plain one has no blocks.
     */
    int64_t x_rows, x_width, x_elements;
    int64_t y_blocks, y_rows, y_width, y_elements;
    size_t y_size; /* bytes of an element */
    /* Rows of what it reads for one row of its own, and from one of its rows to the next. */
    int64_t extent, stride, before;

    /* In a group: rows at once, the rows of the ring that takes them, and places in a slot. */
    int64_t batch, ring_rows;
    uint64_t ring_offset, own_offset;
    uint64_t workspace_offset; /* the kernel's own */
    uint64_t y_offset;         /* of a whole image between groups */
} mls__stack_part;

typedef struct mls__stack_kernel {
    mls__cpu_kernel base;
    mls__stack stack;
    mls__stack_part parts[MLS__STACK_STAGES];
    uint32_t threads;
    bool is_empty; /* gives nothing at these dims */
    int64_t images;
    uint64_t slots_offset, slot_bytes; /* a slot a thread */
    char name[512];                    /* room for all stages */
} mls__stack_kernel;

/* The stage behind the last one of the group that begins with stage `first`. */
int mls__stack_group_end(const mls__stack_kernel *k, int first);

/* --- stack_run.c --- */

mls_status mls__stack_run(const mls_kernel *kernel, const mls_kernel_call *call);

#endif
