/* SPDX-License-Identifier: Apache-2.0 */
/* What the ops that repeat a body share. */
#ifndef MLS_EXEC_FLOW_CONTROL_H
#define MLS_EXEC_FLOW_CONTROL_H

#include "exec/flow/flow.h"

/* A scan output while it grows: a reference on what each iteration gave. */
typedef struct mls__gathered {
    mls__pool *pool;
    mls__object *list; /* a sequence, or NULL: nothing yet */
} mls__gathered;

void mls__gathered_init(mls__gathered *gathered, mls__flow *flow);
void mls__gathered_clear(mls__gathered *gathered);
mls_status mls__gathered_add(mls__gathered *gathered, mls__object *item);

/*
 * The items side by side along a new axis. When there are none the dims are those that the body
 * declares of its output `body_output`.
 */
mls_status mls__gathered_join(const mls__gathered *gathered, mls__flow *flow,
                              const mls__flow_step *step, size_t body_output, int64_t axis,
                              bool is_reversed, mls__object **ret_tensor);

mls_status mls__run_scan(mls__flow *flow, const mls__flow_step *step);
mls_status mls__run_sequence_map(mls__flow *flow, const mls__flow_step *step);

#endif
