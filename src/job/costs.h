/* SPDX-License-Identifier: Apache-2.0 */
/* What attempts took, as drivers keep it: plain bytes to them. */
#ifndef MLS_JOB_COSTS_H
#define MLS_JOB_COSTS_H

#include "base/sketch.h"

#include <mlscale/ext/queue_driver.h>

/* Stores have it as it lies in memory: this does not change. */
typedef struct mls__costs {
    mls__sketch wall, cpu, memory;
} mls__costs;

/* Of the host's table of functions, mlscale/ext/queue_driver.h. */
void mls__costs_note(void *costs, uint64_t wall_ns, uint64_t cpu_ns, uint64_t peak_bytes);
bool mls__costs_merge(void *costs, const void *stored, size_t stored_bytes);
uint64_t mls__costs_show(const void *costs, mls_queue_cost *ret_cost);

#endif
