/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel of FusedPointwise (op/pointwise.h), between the file that makes it and the one that
 * runs it.
 *
 * The pieces run tile by tile: all of them on some elements of the output, then on the next ones.
 * A tile's results lie in registers, a few KiB on the stack, and never leave the first cache; the
 * last piece writes to the output. What is smaller than the output runs as a whole before that,
 * into the workspace, rather than again for each of the output's elements; so does what has no
 * tile function, with all that it is computed from.
 */
#ifndef MLS_BACKEND_CPU_OPS_POINTWISE_H
#define MLS_BACKEND_CPU_OPS_POINTWISE_H

#include "backend/cpu/cpu.h"
#include "backend/cpu/ops/broadcast.h"
#include "op/pointwise.h"

/* Places of addresses: of the op's buffers, of registers, of what is whole. */
#define MLS__PLACE_REGISTER (MLS__POINTWISE_INPUTS + 1)
#define MLS__PLACE_WHOLE    (MLS__PLACE_REGISTER + MLS__POINTWISE_VALUES)
#define MLS__PLACES         (MLS__PLACE_WHOLE + MLS__POINTWISE_PIECES)

/* All registers of a thread. */
#define MLS__REGISTER_BYTES 16384

/* A piece on a tile. */
typedef struct mls__tile_step {
    mls__unary_fn unary;   /* these two and the parameters as in `kernel`, */
    mls__binary_fn binary; /* but NULL where the step walks */
    const float *params;
    const mls__cpu_kernel *kernel;
    uint8_t operands[MLS__POINTWISE_OPERANDS], result; /* places */
    bool is_one;                                       /* its result is one element for all */
    uint8_t direct[MLS__POINTWISE_OPERANDS]; /* buffers of the op, where the run is direct */
    uint8_t direct_result;
    int64_t steps[MLS__POINTWISE_OPERANDS];
    const struct mls__tile_walk *walk; /* or NULL */
} mls__tile_step;

/*
 * The runs of the output in which a step's operands are contiguous, or one element for all. An
 * operand is at its place in `plan`, or (MLS__WALK_TILE) as far into the tile as the run is.
 */
#define MLS__WALK_TILE MLS__BROADCAST_INPUTS
typedef struct mls__tile_walk {
    mls__broadcast plan;
    uint8_t inputs[MLS__POINTWISE_OPERANDS];        /* of the plan, or MLS__WALK_TILE */
    uint8_t element_bytes[MLS__POINTWISE_OPERANDS]; /* 0: it stays where it is */
    uint8_t result_bytes;
    bool is_one; /* in a run all operands are one element */
    int64_t steps[MLS__POINTWISE_OPERANDS];
} mls__tile_walk;

/* Memory of the output's shape, through which tiles move. */
typedef struct mls__tile_flat {
    uint8_t place, size; /* bytes of an element */
} mls__tile_flat;

/*
 * A row that the output repeats: a register has it as often as a tile does. After `period` elements
 * of the output comes the next one.
 */
typedef struct mls__tile_row {
    uint8_t source, target, size; /* places, bytes of an element */
    int64_t length, period;
} mls__tile_row;

typedef struct mls__pointwise_kernel {
    mls__cpu_kernel base;
    mls__pointwise program;
    uint32_t threads;
    char name[256];
    struct {
        mls__cpu_kernel *kernel;
        bool is_never_tiled; /* it, or what is computed from it, has no tile function */
        bool is_whole;
        uint64_t offset, bytes; /* in the workspace; 0 bytes: none */
    } pieces[MLS__POINTWISE_PIECES];

    /* Of the present dims: */
    int64_t count;     /* of the output */
    int64_t tile;      /* elements */
    size_t slot_bytes; /* of a register */
    int whole_count, step_count, flat_count, register_count, row_count, walk_count;
    mls__tile_step steps[MLS__POINTWISE_PIECES];
    mls__tile_flat flats[MLS__POINTWISE_VALUES + 1];
    mls__tile_row rows[MLS__POINTWISE_VALUES];
    int64_t period;  /* the shortest of the rows', of which the others are multiples */
    bool keeps_rows; /* all tiles of a period have the same of them */
    /* What broadcasts in long runs: tiles stay inside of them. */
    int run_count;
    mls__tile_flat runs[MLS__BROADCAST_INPUTS];
    mls__broadcast run_plan;
    bool is_simple; /* one tile, with nothing to be done but the steps */
    /*
     * Simple, and whatever a step gives may lie in the output's memory, unless that is also the
     * memory of an input which later steps read: these.
     */
    bool is_direct;
    int late_count;
    uint8_t late[MLS__POINTWISE_PIECES * MLS__POINTWISE_OPERANDS];
    mls__tile_walk walks[]; /* one a piece */
} mls__pointwise_kernel;

/* The kernel's run(). */
mls_status mls__pointwise_run(const mls_kernel *base, const mls_kernel_call *call);

#endif
