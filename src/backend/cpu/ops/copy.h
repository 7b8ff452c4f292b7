/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strided copies: what Transpose, Slice, Expand, Tile, Concat, Split and Pad come down to.
 *
 * A copy is a nest of loops around one block of bytes. It is described outermost loop
 * first, in elements; loops that can be one are joined as they come, and what is
 * contiguous on both sides becomes the block. Elements are 1, 2, 4, 8 or 16 bytes, of
 * whatever dtype.
 *
 *     mls__copy_begin(&copy, sizeof(float));
 *     mls__copy_loop(&copy, rows, columns, 1);          transpose a matrix
 *     mls__copy_loop(&copy, columns, 1, rows);
 *     mls__copy_end(&copy, op->threads);
 *     ...
 *     mls__copy_run(&copy, call, target, source);
 */
#ifndef MLS_BACKEND_CPU_OPS_COPY_H
#define MLS_BACKEND_CPU_OPS_COPY_H

#include "backend/cpu/ops/tile.h"

#include <mlscale/ext/backend.h>

#include <stdbool.h>

/* Tile asks for two loops a dimension. */
#define MLS__COPY_LOOPS (2 * MLS_MAX_RANK)

/* Strides in bytes; that of the source may be 0 (repeat) or negative. */
typedef struct mls__copy_dim {
    int64_t count, target, source;
} mls__copy_dim;

typedef struct mls__copy {
    void (*inner)(const struct mls__copy *copy, char *target, const char *source);
    mls__tile_fn tile;
    int rank;      /* loops */
    int outer;     /* those of them that are outside of inner() */
    int parts;     /* that the copy is cut into for threads */
    int cut;       /* the loop that is cut; `rank` is the block */
    bool is_empty; /* there is nothing to copy */
    int64_t block; /* bytes */
    mls__copy_dim loops[MLS__COPY_LOOPS];
} mls__copy;

void mls__copy_begin(mls__copy *copy, size_t element_size);

/* Strides in elements. */
void mls__copy_loop(mls__copy *copy, int64_t count, int64_t target_stride, int64_t source_stride);

/* Chooses how it is done, by up to `threads` threads. */
void mls__copy_end(mls__copy *copy, uint32_t threads);

/* The two must not overlap. `call` may be NULL: on this thread. */
void mls__copy_run(const mls__copy *copy, const mls_kernel_call *call, void *target,
                   const void *source);

/* How many parts of a move of so many bytes are worth a thread each: at least 1. */
int64_t mls__copy_parts(uint32_t threads, int64_t bytes);

/*
 * Where part `index` of `count` units begins, on a multiple of `grain` if there are
 * enough; the part behind the last begins at `count`.
 */
int64_t mls__part_begin(int64_t count, int64_t grain, int64_t index, int64_t parts);

/* Puts `count` copies of a block of `size` bytes one after another; at least one. */
void mls__fill(void *target, int64_t count, const void *block, size_t size);

/* A plain copy of `count` elements. */
void mls__copy_flat(mls__copy *copy, size_t element_size, int64_t count, uint32_t threads);

#endif
