/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mls_session: a model planned for fixed shapes, ready to run.
 *
 * Planning chooses kernels and places every buffer; a run then walks a flat array
 * of prepared steps: no malloc, no lock, no system call (with one thread). One
 * thread at a time uses a session; sessions of one model run side by side.
 *
 * Dynamic dimensions. Each named dimension ("batch") of the model's inputs is
 * planned at a maximum and can be set to anything from 0 to it, without planning
 * again. A dynamic dimension without a name is called "<input>:<axis>". Planning
 * happens in mls_session_create() when the options give all of them (or there are
 * none); else when it is first needed, from the dims of the bound inputs and
 * mls_session_set_dim(). A dimension that nothing has set by then is 1.
 */
#ifndef MLSCALE_SESSION_H
#define MLSCALE_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include <mlscale/model.h>
#include <mlscale/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mls_session mls_session;

/* A dynamic dimension's name and its planned maximum. Never grows. */
typedef struct mls_dim_value {
    const char *name;
    int64_t value;
} mls_dim_value;

/*
 * Numerics. Exact: the same bits always (docs/numerics.md). Fast: as the backend does it fastest;
 * bits then depend on the machine and on the planned dims. On "cpu" products of float32 matrices
 * and convolutions may round both operands to bfloat16, with float32 sums, where that takes less
 * time.
 */
#define MLS_NUMERICS_EXACT 0
#define MLS_NUMERICS_FAST  1

/* Measure each step (mls_session_step_info); costs two clock reads a step. */
#define MLS_SESSION_PROFILE UINT64_C(1)
/* Give each value memory of its own: for debugging, and to test the planner. */
#define MLS_SESSION_NO_REUSE UINT64_C(2)
/* Skip the optimizing passes over the graph. */
#define MLS_SESSION_NO_OPTIMIZE UINT64_C(4)

typedef struct mls_session_options {
    size_t size;    /* sizeof(mls_session_options) */
    uint64_t flags; /* MLS_SESSION_* */
    /* Threads a run may use, the caller's among them; 0 and 1 mean the caller's. */
    uint32_t threads;
    uint32_t numerics; /* MLS_NUMERICS_* */
    /* The backend, or NULL for "cpu". */
    const char *backend;
    /* Planned maxima of dynamic dimensions. */
    const mls_dim_value *dims;
    size_t dim_count;
} mls_session_options;

#define MLS_SESSION_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(mls_session_options), 0, 0, 0, NULL, NULL, 0                                        \
    }

/*
 * A session of `model`; `options` may be NULL.
 * Errors: MLS_EINVAL (options, unknown dimension name), MLS_EUNSUPPORTED (a node's
 * op or dtype), MLS_ESHAPE, MLS_EDTYPE (the message names node and dimension),
 * MLS_ELIMIT (more memory than can be addressed), MLS_ENOMEM.
 */
MLS_API mls_status mls_session_create(mls_model *model, const mls_session_options *options,
                                      mls_session **ret_session);

/* NULL is fine. Bound tensors are given back before it returns. */
MLS_API void mls_session_free(mls_session *session);

/*
 * The index of an input or output by name. Errors: MLS_ENOTFOUND (the message
 * lists the names there are).
 */
MLS_API mls_status mls_session_input_index(const mls_session *session, const char *name,
                                           size_t *ret_index);
MLS_API mls_status mls_session_output_index(const mls_session *session, const char *name,
                                            size_t *ret_index);

/*
 * Sets a dynamic dimension for the runs to come. Up to the planned maximum this
 * costs no malloc; past it the session is planned again.
 * Errors: MLS_ENOTFOUND, MLS_EINVAL (negative), and those of planning.
 */
MLS_API mls_status mls_session_set_dim(mls_session *session, const char *name, int64_t value);

/*
 * Plans now, rather than when it is first needed. Nothing to do if the plan is up to
 * date. Errors: MLS_ESTATE (an input whose contents decide a shape is not bound: the
 * message names it), and those of mls_session_create().
 */
MLS_API mls_status mls_session_plan(mls_session *session);

/*
 * The session's own buffer of an input or output: contiguous, at the present
 * dims. Write features here and read results there. Plans the session if that is
 * still to do; NULL when that fails (mls_error_message() says why). Borrowed until
 * the session plans again or is freed. A bound input or output is not here.
 */
MLS_API void *mls_session_input_data(mls_session *session, size_t index);
MLS_API const void *mls_session_output_data(mls_session *session, size_t index);

/*
 * Present dtype and dims (`ret_dims` is borrowed until the next planning or
 * change of a dim). Plans the session if that is still to do. Errors: MLS_EINVAL (index),
 * and those of mls_session_plan().
 */
MLS_API mls_status mls_session_input_shape(mls_session *session, size_t index, mls_dtype *ret_dtype,
                                           int *ret_rank, const int64_t **ret_dims);
MLS_API mls_status mls_session_output_shape(mls_session *session, size_t index,
                                            mls_dtype *ret_dtype, int *ret_rank,
                                            const int64_t **ret_dims);

/*
 * Runs read this tensor's memory from now on (NULL: the session's own buffer
 * again). Its dims set the dynamic dimensions. It must be contiguous and stay
 * valid, and may be written between runs; the session holds a view of it.
 * Errors: MLS_EINVAL, MLS_EDTYPE, MLS_ESHAPE (which dimension), MLS_ENOMEM.
 */
MLS_API mls_status mls_session_bind_input(mls_session *session, size_t index,
                                          const mls_tensor *tensor);

/*
 * Runs write the output into this tensor's memory, which must be contiguous and
 * have the output's present dims when the run starts.
 * Errors: as mls_session_bind_input().
 */
MLS_API mls_status mls_session_bind_output(mls_session *session, size_t index, mls_tensor *tensor);

/*
 * Binds raw memory of exactly the present dims instead of a tensor; for callers
 * that change buffers on every run. `size_bytes` is checked. No malloc, once planned.
 * NULL data with size 0: the session's own buffer again.
 * Errors: MLS_EINVAL, MLS_ESHAPE (size), and those of mls_session_plan().
 */
MLS_API mls_status mls_session_bind_input_data(mls_session *session, size_t index, const void *data,
                                               size_t size_bytes);
MLS_API mls_status mls_session_bind_output_data(mls_session *session, size_t index, void *data,
                                                size_t size_bytes);

/*
 * Binds the tensors of an input that is a sequence; an optional one that holds a sequence too. The
 * session holds views of them. An optional input to which nothing is bound is empty.
 * Errors: MLS_EINVAL, MLS_EDTYPE (the model wants a tensor, or other elements), MLS_ENOMEM.
 */
MLS_API mls_status mls_session_bind_input_sequence(mls_session *session, size_t index,
                                                   const mls_tensor *const *items, size_t count);

/*
 * Binds the entries of an input that is a map: `keys` and `values` are of one dimension and equally
 * long, entry i being that of keys[i]. The session holds views of them, and they may be written
 * between runs; in which order entries stand makes no difference. A key that is there twice is
 * MLS_EINVAL of the run. Errors: MLS_EINVAL, MLS_EDTYPE (the model wants no map, or others),
 * MLS_ESHAPE, MLS_ENOMEM.
 */
MLS_API mls_status mls_session_bind_input_map(mls_session *session, size_t index,
                                              const mls_tensor *keys, const mls_tensor *values);

/*
 * How many tensors an output holds: 1, those of a sequence, 2 (keys and values) for a map, or 0 for
 * an empty optional. Of a model
 * with control flow, sequences or sizes that follow from the data, it is known after a run, as are
 * the dims of its outputs. Errors: MLS_EINVAL (index), MLS_ESTATE (no run yet).
 */
MLS_API mls_status mls_session_output_count(mls_session *session, size_t index, size_t *ret_count);

/*
 * A view of one of them, to be freed; its memory is the session's, and good until the next run.
 * Errors: as above; MLS_ENOMEM.
 */
MLS_API mls_status mls_session_output_item(mls_session *session, size_t index, size_t item,
                                           mls_tensor **ret_tensor);

/*
 * Runs the plan once. Errors: those of planning when it is still to do;
 * MLS_ERANGE (an index in the data is out of range: the node is named),
 * MLS_ESHAPE (an input that decides a shape holds other values than planned and
 * asks for more memory), MLS_ECANCELLED. Output buffers then hold no result.
 */
MLS_API mls_status mls_session_run(mls_session *session);

/*
 * The same, but gives up between two steps once CLOCK_MONOTONIC is at `deadline_ns` nanoseconds:
 * MLS_EDEADLINE. The session is fine, and its next run starts from the beginning.
 */
MLS_API mls_status mls_session_run_until(mls_session *session, uint64_t deadline_ns);

/*
 * Makes the run that is going on in another thread, or else the next one, give up between two
 * steps with MLS_ECANCELLED. The only function of a session that any thread may call at any time
 * while the session lives.
 */
MLS_API void mls_session_cancel(mls_session *session);

/* Measure each run after the seal, and fail when it broke it. Costs two system calls a run. */
#define MLS_SEAL_CHECK UINT64_C(1)

/*
 * Makes the session fit for hard real time. Plans, runs twice on whatever the inputs hold, and
 * locks memory that a run touches: the session's, the model's weights, what is bound, the library's
 * code, 64 KiB of the thread's stack. Tables of the kernels' own, the tensors of a bound sequence
 * or map, and the code of libc are brought into memory by the runs but not locked; where the system
 * swaps, lock the process by mlockall(). From then on a run has no page fault, and as ever asks for
 * no memory, takes no lock and makes no system call. The session then belongs to the calling thread
 * and keeps its plan: dims may change up to the planned maxima; what is bound later is not locked.
 * Freeing the session unlocks what is its own, and so does a seal that fails; all else stays
 * locked, since the host or another session may have locked it, too, until its memory goes back to
 * the system. With MLS_SEAL_CHECK a run that did ask the library's allocator for memory, had a page
 * fault or waited gives MLS_ESTATE; a system call that does not wait goes unseen.
 *
 * With control flow, sequences or sizes that follow from the data, only what runs have done before
 * is open after the seal: a branch, a number of iterations or dims that none of them had need a
 * plan or memory, and such a run gives MLS_ESTATE instead. So run the session on inputs of each
 * kind, twice, before sealing it; a failure of the seal's own runs is the seal's.
 *
 * Errors: MLS_EUNSUPPORTED (several threads; StringNormalizer, which allocates in each run),
 * MLS_EIO (the system does not let memory be locked: the message says what to raise), and those of
 * planning.
 */
MLS_API mls_status mls_session_seal(mls_session *session, uint64_t flags);

/* Bytes of the plan's one block: inputs, outputs and everything between. */
MLS_API size_t mls_session_plan_bytes(const mls_session *session);

/*
 * A step of the plan, in the order they run. Strings are borrowed until the
 * session plans again. A node that the session runs itself, such as Loop, has no kernel: "", and
 * its time is what its bodies do not account for; the steps of the bodies come behind it, and of
 * those `runs` counts every iteration.
 */
typedef struct mls_step_info {
    size_t size;        /* sizeof(mls_step_info), set by the caller */
    const char *op;     /* "Gemm" */
    const char *node;   /* the model's name of the node, or "" */
    const char *kernel; /* "gemm.avx512" */
    uint64_t runs;      /* with MLS_SESSION_PROFILE: how often, and ... */
    uint64_t time_ns;   /* ... how long in all */
} mls_step_info;

#define MLS_STEP_INFO_INIT                                                                         \
    {                                                                                              \
        sizeof(mls_step_info), NULL, NULL, NULL, 0, 0                                              \
    }

/*
 * 0 as long as nothing is planned. Of a model with control flow, sequences, text or sizes that
 * follow from the data, whose parts are planned by the first run that reaches them, those that
 * runs have reached so far.
 */
MLS_API size_t mls_session_step_count(const mls_session *session);
/* Errors: MLS_EINVAL. */
MLS_API mls_status mls_session_step_info(const mls_session *session, size_t index,
                                         mls_step_info *ret_info);

/* Where a value of a plan lies. */
#define MLS_PLACE_UNKNOWN 0 /* not planned yet, or wherever the run finds memory for it */
#define MLS_PLACE_BLOCK   1 /* in the block, at `offset` */
#define MLS_PLACE_INPUT   2 /* the same, but it took over the memory of an input of its node */
#define MLS_PLACE_APART   3 /* in memory of its own: it is known before the run */

/*
 * A value in a report on a plan. `bytes` is what the planned maximum needs; dims are the
 * present ones, those of an op whose sizes only a run can tell the largest. Without a plan
 * dtype, rank (-1) and dims (-1) are what the model says. Never grows.
 */
typedef struct mls_plan_value {
    const char *name;
    const int64_t *dims;
    size_t offset, bytes;
    int32_t dtype, rank; /* mls_dtype */
    uint64_t place;      /* MLS_PLACE_* */
} mls_plan_value;

/* What an entry of the report is. */
#define MLS_PLAN_BLOCK UINT64_C(0) /* memory that the entries up to the next block share */
#define MLS_PLAN_LATER UINT64_C(1) /* likewise, but planned by the run when it gets there */
#define MLS_PLAN_INPUT UINT64_C(2) /* what a block is given: one value */
#define MLS_PLAN_STEP  UINT64_C(3) /* a node with a kernel in the run */
#define MLS_PLAN_KNOWN UINT64_C(4) /* a node computed before the run */
#define MLS_PLAN_VIEW  UINT64_C(5) /* a node with nothing to do: its output is its input */
#define MLS_PLAN_NODE  UINT64_C(6) /* a node of a block that is not planned yet */
#define MLS_PLAN_HOST  UINT64_C(7) /* a node that the session runs itself, such as If */
#define MLS_PLAN_BODY  UINT64_C(8) /* a body of the host op before it: deeper entries follow */

/* An entry of the report. Strings and arrays are borrowed until the visitor returns. */
typedef struct mls_plan_entry {
    size_t size;                  /* sizeof(mls_plan_entry), as the library knows it */
    uint64_t kind;                /* MLS_PLAN_* */
    uint64_t depth;               /* in how many bodies it lies */
    const char *domain;           /* of a node's op; "" is ai.onnx */
    const char *op;               /* of a node: "Gemm"; of a body: "then_branch" */
    const char *node;             /* as in mls_step_info */
    const char *kernel;           /* of MLS_PLAN_STEP and MLS_PLAN_KNOWN, else "" */
    const mls_plan_value *values; /* a node's outputs, without those left out; an input */
    size_t value_count;
    /* Of a node with a kernel; the offset is in the block, and of MLS_PLAN_STEP only. */
    size_t workspace_bytes, workspace_offset;
    /* Of MLS_PLAN_BLOCK: its bytes, and what they would be if no memory served twice. */
    size_t block_bytes, unshared_bytes;
} mls_plan_entry;

typedef mls_status (*mls_plan_visitor)(void *user, const mls_plan_entry *entry);

/*
 * Calls `visit` for all that a run does, in its order: blocks with their nodes, host ops with
 * their bodies. Plans the session if that is still to do; the blocks of a model with control
 * flow, sequences or sizes that follow from the data are planned by the run that first needs
 * them. A status of the visitor other than MLS_OK ends the report and is returned.
 * Errors: MLS_EINVAL (no visitor), those of mls_session_plan(), MLS_ENOMEM.
 */
MLS_API mls_status mls_session_report(mls_session *session, mls_plan_visitor visit, void *user);

#ifdef __cplusplus
}
#endif
#endif
