/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of mls_session: the dims at present, the plan for them, and what is bound. */
#ifndef MLS_EXEC_SESSION_H
#define MLS_EXEC_SESSION_H

#include "exec/dims.h"
#include "exec/plan.h"

/* What the caller bound to an input or output. */
typedef struct mls__binding {
    mls_tensor *tensor; /* a view of it, or NULL */
    void *data;         /* NULL: the session's own buffer */
    size_t size_bytes;
    int32_t rank; /* of an input whose rank the model does not say */
    int64_t dims[MLS_MAX_RANK];
    bool is_decisive; /* an input whose contents decide a shape */
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
};

/* Plans and reshapes as needed. Errors: those of mls_session_plan(). */
mls_status mls__session_settle(mls_session *session);

/* Whether bound memory fits the present dims. Errors: MLS_ESHAPE, MLS_EDTYPE. */
mls_status mls__session_check_bindings(mls_session *session);

#endif
