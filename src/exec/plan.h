/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan: every value's dims and place, every node's kernel, and the flat array that a
 * run walks. Built for the maximum of each dynamic dimension; mls__plan_reshape()
 * follows smaller ones without allocating.
 */
#ifndef MLS_EXEC_PLAN_H
#define MLS_EXEC_PLAN_H

#include "graph/model.h"
#include "plugin/drivers.h"

#include <mlscale/session.h>

#include <stdatomic.h>

/* Where a value's contents come from. */
typedef enum mls__slot_kind {
    MLS__SLOT_UNSET,    /* nothing gives it (yet) */
    MLS__SLOT_CONSTANT, /* the model, or computed from constants alone */
    MLS__SLOT_KNOWN,    /* computed at planning and at each reshape, before the run */
    MLS__SLOT_INPUT,    /* the caller */
    MLS__SLOT_COMPUTED  /* a step of the run */
} mls__slot_kind;

/* A value of the graph in this plan. */
typedef struct mls__slot {
    mls_arg arg; /* present dims; arg.data for CONSTANT, KNOWN and decisive inputs */
    uint8_t kind;
    bool is_dynamic;  /* dims or known contents follow the dynamic dimensions */
    bool is_decisive; /* its contents decide a shape */
    uint32_t root;    /* the value whose memory it shares; itself if its own */
    /* A part of its root, which joins it as input `part` (parts.c): lies so far in it. */
    bool is_part;
    uint32_t part;
    size_t within;
    void *data; /* present address; NULL until placed */
    /* Of a root: bytes at the planned maximum, place in the block, steps that use it. */
    size_t capacity, offset;
    uint32_t first, last;
    uint32_t depth; /* of parts in parts that lie in it */
    bool is_pinned; /* keeps its place for the whole run */
} mls__slot;

typedef enum mls__step_mode {
    MLS__STEP_RUN,  /* a kernel in the run */
    MLS__STEP_EVAL, /* a kernel before the run: its results are known */
    MLS__STEP_VIEW  /* nothing to do: the output is the input's memory */
} mls__step_mode;

typedef struct mls__step {
    const mls__op_schema *schema;
    const uint32_t *input_values, *output_values; /* slots, or MLS__NO_VALUE */
    mls_op op;
    mls_arg *inputs, *outputs; /* what `op` points to */
    mls_kernel *kernel;
    void **buffers;          /* inputs, then outputs */
    void *workspace;         /* of an EVAL step */
    size_t workspace_offset; /* of a RUN step, in the block */
    size_t alias_input;      /* whose memory output 0 took, or MLS__NO_VALUE */
    uint8_t mode;
    bool is_dynamic;
    uint64_t runs, time_ns; /* MLS_SESSION_PROFILE */
} mls__step;

typedef mls_status (*mls__step_run)(const mls_kernel *kernel, const mls_kernel_call *call);

/* What the run walks: nothing but calls. */
typedef struct mls__run_step {
    mls__step_run run;
    const mls_kernel *kernel;
    mls_kernel_call call;
    mls__step *step;
} mls__run_step;

/* An entry of a step's buffers, which holds an address in a port's memory. */
typedef struct mls__fixup {
    void **buffer;
    size_t offset;
} mls__fixup;

/* An input or output of the graph. */
typedef struct mls__port {
    uint32_t slot; /* the value, or the slot that it is copied into */
    mls__fixup *fixups;
    size_t fixup_count;
    bool has_parts; /* some of these are not where the memory begins */
    void *own;      /* in the plan's block */
    /* A decisive input: the contents that the plan was made with. */
    void *baked;
    size_t baked_bytes;
} mls__port;

typedef struct mls__plan {
    mls_model *model;
    const mls__graph *graph;
    mls__backend backend;
    uint64_t flags;    /* MLS_SESSION_* */
    uint32_t numerics; /* MLS_NUMERICS_* */
    mls__executor_share share;
    mls__arena arena;
    mls__slot *slots; /* one a value, then one a copied output */
    size_t slot_count;
    mls__step *steps;
    size_t step_count, step_capacity;
    mls__run_step *run_steps;
    size_t run_count;
    mls__port *inputs, *outputs;
    unsigned char *block;
    size_t block_bytes;
    /* Give up results in place, and parts: a smaller shape did not allow one. */
    bool no_alias, no_parts;
} mls__plan;

/* What may end a run before its time; set by another thread, or by the clock. */
typedef struct mls__run_control {
    atomic_bool is_cancelled;
    uint64_t deadline_ns; /* of mls__clock_monotonic_ns(); 0: none */
} mls__run_control;

/* What an input is when a plan is made. */
typedef struct mls__plan_input {
    int32_t dtype; /* MLS_DTYPE_NONE: as the graph declares it */
    int rank;
    const int64_t *dims;
    const void *data; /* of a bound tensor, else NULL */
    bool is_dynamic;  /* a dimension may change without a new plan */
} mls__plan_input;

/*
 * Makes a plan for these inputs (one an input of the graph). On failure the plan is
 * cleared. Errors: those of mls_session_create(); MLS_ESTATE (an input whose contents
 * decide a shape has no data).
 */
mls_status mls__plan_build(mls__plan *plan, const mls__plan_input *inputs);

/* Fine for a plan that is zero but for model and graph. */
void mls__plan_clear(mls__plan *plan);

/*
 * Follows new dims (none above the planned maximum) or new contents of decisive
 * inputs; ports are to be pointed again. After an error the plan is unusable until it is built
 * again; MLS_ELIMIT means that building again helps.
 */
mls_status mls__plan_reshape(mls__plan *plan, const mls__plan_input *inputs);

/*
 * Walks the steps. Errors: those of kernels; MLS_ECANCELLED and MLS_EDEADLINE between two steps,
 * after which the plan may run again.
 */
mls_status mls__plan_run(const mls__plan *plan, mls__run_control *control);

/* MLS_OK, or why the run is to end; a cancellation counts once. */
mls_status mls__run_control_check(mls__run_control *control);

/* Points an input or output at the caller's memory, or (NULL) at the plan's own. */
void mls__plan_point(mls__port *port, void *data);

/* Bytes of the block if every buffer had memory of its own; SIZE_MAX if no number holds them. */
size_t mls__plan_unshared_bytes(const mls__plan *plan);

/*
 * Of each value whether its contents decide a shape; one entry a value, to be freed
 * with the graph's allocator. Errors: MLS_ENOMEM.
 */
mls_status mls__plan_decisive(const mls__graph *graph, bool **ret_decisive);

/* --- between the files of this folder --- */

/* infer.c: dims of all values, and the steps. */
mls_status mls__plan_infer(mls__plan *plan, const mls__plan_input *inputs);

/*
 * memory.c: what a run calls for a step. One that has nothing to give is not asked: [0, 2^60] has
 * no element, but rows enough to walk over for ever.
 */
mls__step_run mls__plan_step_run(const mls__step *step);

/* memory.c: places for everything; one block. Addresses again, once parts have moved. */
mls_status mls__plan_place(mls__plan *plan);
void mls__plan_address(mls__plan *plan);

/* parts.c: the slot in whose memory a slot lies, and how far in it. */
uint32_t mls__plan_root(const mls__plan *plan, uint32_t slot);
size_t mls__plan_offset(const mls__plan *plan, uint32_t slot);

/* parts.c: gives inputs of Concat a place in its output, once lifetimes are known. */
void mls__plan_join(mls__plan *plan);

/*
 * parts.c: brings a step's parts to where the present dims have them. Errors: MLS_ELIMIT, and sets
 * no_parts.
 */
mls_status mls__plan_follow_parts(mls__plan *plan, const mls__step *step, bool *has_moved);

/* The derived constant's name in the model's weight cache. */
uint64_t mls__plan_derived_id(const mls__plan *plan, uint32_t value);

#endif
