/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting a graph into the steps of a flow. */
#ifndef MLS_EXEC_FLOW_PARTITION_H
#define MLS_EXEC_FLOW_PARTITION_H

#include "exec/flow/flow.h"

/* Nodes that are one step: of a host op or a late op one, else as many as one plan takes. */
typedef struct mls__part {
    const mls__host_op *host; /* NULL: a segment */
    uint32_t *nodes;          /* in an order in which they can run */
    size_t count;
} mls__part;

typedef struct mls__partition {
    mls__arena arena;
    mls__part *parts;
    size_t count;
} mls__partition;

/* Errors: MLS_ENOMEM, MLS_EUNSUPPORTED (a host op that nothing runs). */
mls_status mls__partition_make(const mls__graph *graph, mls__partition *ret_partition);
void mls__partition_clear(mls__partition *partition);

#endif
