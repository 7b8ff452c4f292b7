/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flow runs graphs that one plan cannot: with subgraphs, sequences, optionals and maps, or
 * with shapes that only a run can tell. It cuts the graph into steps:
 *
 *   segments    nodes that one plan takes, as many as go together
 *   late ops    a plan of one node, whose kernel says the dims of what it gave (NonZero)
 *   host ops    run here, one file a family: If, Loop, Scan, sequences, optionals, maps
 *
 * A segment's plan is kept, follows the dims of what it is given, and is made again only when
 * they outgrow it. Between the steps go objects (object.h).
 */
#ifndef MLS_EXEC_FLOW_FLOW_H
#define MLS_EXEC_FLOW_FLOW_H

#include "exec/flow/object.h"
#include "exec/plan.h"

typedef struct mls__flow mls__flow;
typedef struct mls__segment mls__segment;
typedef struct mls__flow_step mls__flow_step;

/* What all flows of a session share. */
typedef struct mls__flow_host {
    const mls__plan *blank; /* what each plan starts as: model, backend, flags, threads */
    mls__pool pool;
    mls__run_control *control;
    uint64_t measured_ns; /* MLS_SESSION_PROFILE: in kernels and host ops so far */
} mls__flow_host;

/* How an op that is not a backend's is run. */
typedef struct mls__host_op {
    const char *domain, *type;
    /* Takes inputs by mls__flow_input(), gives outputs by mls__flow_give(). */
    mls_status (*run)(mls__flow *flow, const mls__flow_step *step);
    uint8_t output_kind; /* MLS_VALUE_* of output 0 */
    bool allocates;      /* in each run */
} mls__host_op;

struct mls__flow_step {
    const mls__host_op *host; /* or NULL: the segment */
    mls__segment *segment;
    mls_op op; /* of a host op: for attributes and messages */
    const uint32_t *inputs, *outputs;
    size_t input_count; /* of the op itself */
    mls__flow **bodies; /* one a body of the node */
    const mls__node *node;
    uint32_t *releases; /* values that nobody reads after this step */
    size_t release_count;
    uint64_t runs, time_ns; /* of a host op, without what its bodies measure themselves */
};

struct mls__flow {
    mls__flow_host *host;
    const mls__graph *graph;
    mls__arena arena;
    mls__object **cells; /* one a value; NULL: not there (yet), or an empty optional */
    mls__flow_step *steps;
    size_t step_count;
};

/* Whether a graph needs a flow. */
bool mls__flow_is_needed(const mls__graph *graph);

/* Errors: MLS_ENOMEM. */
mls_status mls__flow_create(mls__flow_host *host, const mls__graph *graph, mls__flow **ret_flow);
void mls__flow_free(mls__flow *flow); /* NULL is fine */

/* The value of an input from now on; NULL: an empty optional. Takes a reference of its own. */
void mls__flow_set_input(mls__flow *flow, size_t index, mls__object *object);

/*
 * Runs all steps. Errors: those of planning and running; MLS_EDTYPE: a value is a sequence and
 * ought to be a tensor, or the other way round; MLS_EDEADLINE, MLS_ECANCELLED.
 */
mls_status mls__flow_run(mls__flow *flow);

/* Whether its steps are measured. */
bool mls__flow_is_profiled(const mls__flow *flow);

/* What the last run gave; borrowed until the next. NULL: an empty optional. */
mls__object *mls__flow_output(const mls__flow *flow, size_t index);

/* --- for seals --- */

/* The first host op that allocates in each run, bodies included; NULL: none. */
const mls__flow_step *mls__flow_find_allocating(const mls__flow *flow);

/* Visits what runs touch and the flow has for itself; kernels, of unknown size, by `kernel`. */
typedef void (*mls__memory_visit)(void *arg, void *data, size_t size);
void mls__flow_visit(const mls__flow *flow, mls__memory_visit visit, mls__memory_visit kernel,
                     void *arg);

/* --- for host ops --- */

/* Input `index` of the step, or NULL when it is left out, or an empty optional. */
mls__object *mls__flow_input(const mls__flow *flow, const mls__flow_step *step, size_t index);

/* The same, once it is certain to be there and a tensor, a sequence, a map. Errors: MLS_EDTYPE. */
mls_status mls__flow_tensor(const mls__flow *flow, const mls__flow_step *step, size_t index,
                            mls__object **ret_tensor);
mls_status mls__flow_sequence(const mls__flow *flow, const mls__flow_step *step, size_t index,
                              mls__object **ret_sequence);
mls_status mls__flow_map(const mls__flow *flow, const mls__flow_step *step, size_t index,
                         mls__object **ret_map);

/* A tensor of one element, int32, int64 or bool, as a number. Errors: MLS_EDTYPE, MLS_ESHAPE. */
mls_status mls__flow_number(const mls__flow *flow, const mls__flow_step *step, size_t index,
                            int64_t *ret_number);

/* Output `index` of the step; takes the reference over, also when nobody reads the output. */
void mls__flow_give(mls__flow *flow, const mls__flow_step *step, size_t index, mls__object *object);

/* A new tensor, given at once. */
mls_status mls__flow_give_new(mls__flow *flow, const mls__flow_step *step, size_t index,
                              int32_t dtype, int32_t rank, const int64_t *dims,
                              mls__object **ret_tensor);

/* Hands the values that body `index` takes from outside to it. */
void mls__flow_set_captures(mls__flow *flow, const mls__flow_step *step, size_t index);

/*
 * Tensors of one shape side by side along a new axis, or (`is_new_axis` false) one after another
 * along an axis they have. `what` names them in messages. Errors: MLS_ESHAPE, MLS_EDTYPE.
 */
mls_status mls__flow_join(mls__flow *flow, const mls__flow_step *step, const char *what,
                          mls__object *const *items, size_t count, int64_t axis, bool is_new_axis,
                          bool is_reversed, mls__object **ret_tensor);

/* Host ops by family; each list is ended by a row whose type is NULL. */
extern const mls__host_op mls__host_ops_control[];
extern const mls__host_op mls__host_ops_map[];
extern const mls__host_op mls__host_ops_sequence[];
extern const mls__host_op mls__host_ops_optional[];
extern const mls__host_op mls__host_ops_text[];

/* NULL: the op is none. */
const mls__host_op *mls__host_op_find(const char *domain, const char *type);

/* --- segment.c --- */

/* Copies these nodes of the flow's graph into a graph of their own. */
mls_status mls__segment_create(mls__flow *flow, const uint32_t *nodes, size_t count,
                               mls__segment **ret_segment);
void mls__segment_free(mls__flow *flow, mls__segment *segment);
mls_status mls__segment_run(mls__flow *flow, mls__segment *segment);

/* The values of the flow's graph that it reads. */
const uint32_t *mls__segment_inputs(const mls__segment *segment, size_t *ret_count);

void mls__segment_visit(const mls__segment *segment, mls__memory_visit visit,
                        mls__memory_visit kernel, void *arg);

/* For reports: its nodes, and its plan once there is one, else NULL. */
const mls__graph *mls__segment_graph(const mls__segment *segment);
const mls__plan *mls__segment_plan(const mls__segment *segment);

#endif
