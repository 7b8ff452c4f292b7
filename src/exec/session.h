/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of mls_session: the dims at present, the plan for them, and what is bound. */
#ifndef MLS_EXEC_SESSION_H
#define MLS_EXEC_SESSION_H

#include "exec/dims.h"
#include "exec/flow/flow.h"

#include <pthread.h>

/* What the caller bound to an input or output. */
typedef struct mls__binding {
    mls_tensor *tensor; /* a view of it, or NULL */
    void *data;         /* NULL: the session's own buffer */
    size_t size_bytes;
    int32_t rank; /* of an input whose rank the model does not say */
    int64_t dims[MLS_MAX_RANK];
    bool is_decisive; /* an input whose contents decide a shape */
    /* With a flow: what an input is, and whether that is no longer what is bound. */
    mls__object *object;
    bool is_stale;
    bool is_own; /* the object is the session's memory */
} mls__binding;

struct mls_session {
    mls_model *model; /* a reference */
    mls__plan plan;
    mls__dims dims;
    mls__binding *inputs, *outputs;
    mls__plan_input *plan_inputs; /* scratch: one an input */
    int64_t (*plan_dims)[MLS_MAX_RANK];
    bool is_planned;
    bool is_settled; /* the plan follows the present dims */
    bool is_checked; /* and the bound memory fits them */
    bool has_decisive;
    mls__run_control control;
    mls__flow *flow; /* what runs a graph that one plan cannot, or NULL */
    mls__flow_host flow_host;
    bool has_run; /* the flow has outputs */
    /* mls_session_seal() */
    bool is_sealed, is_seal_checked;
    pthread_t sealed_by;
};

/* Plans and reshapes as needed. Errors: those of mls_session_plan(). */
mls_status mls__session_settle(mls_session *session);

/* Dims that nothing has set are 1; maxima grow to the present values. */
void mls__session_settle_dims(mls_session *session);

/*
 * session->plan_inputs: the inputs at the planned maxima, or at present. Errors: MLS_ESTATE (the
 * model does not say the rank of one that is not bound).
 */
mls_status mls__session_describe_inputs(mls_session *session, bool at_maximum);

/* --- seal.c --- */

void mls__session_unseal(mls_session *session);

/* Whether this is the thread that a sealed session belongs to. Errors: MLS_ESTATE. */
mls_status mls__session_check_thread(const mls_session *session);

/* A run, and whether it kept the seal. Errors: MLS_ESTATE. */
mls_status mls__session_run_checked(mls_session *session);

/* --- flow_session.c: the same for a session with a flow --- */

/* Makes the flow if the graph needs one. Errors: MLS_ENOMEM, MLS_EUNSUPPORTED. */
mls_status mls__session_make_flow(mls_session *session);
void mls__session_free_flow(mls_session *session);

/* An object for each input: the caller's memory, or the session's own at the present dims. */
mls_status mls__session_settle_flow(mls_session *session);
mls_status mls__session_run_flow(mls_session *session);

/* What an input takes at the present dims. Errors: MLS_ESTATE; MLS_EDTYPE (not always a tensor). */
mls_status mls__session_flow_input_bytes(mls_session *session, size_t index, size_t *ret_bytes);

/* What an input is, or what an output was after the last run. Errors: MLS_ESTATE. */
mls_status mls__session_flow_object(mls_session *session, bool is_input, size_t index,
                                    mls__object **ret_object);

/* Whether bound memory fits the present dims. Errors: MLS_ESHAPE, MLS_EDTYPE. */
mls_status mls__session_check_bindings(mls_session *session);

#endif
