/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a job: which state follows which, and what follows a failure. */
#ifndef MLS_JOB_LIFECYCLE_H
#define MLS_JOB_LIFECYCLE_H

#include <mlscale/ext/queue_driver.h>

#include <stdbool.h>

/* One past the last MLS_JOB_* state. */
#define MLS__JOB_STATES (MLS_JOB_CANCELLED + 1)

/* The state after `event` in `state`, MLS_JOB_GONE or MLS_JOB_REFUSED. */
int32_t mls__job_next_state(int32_t state, int32_t event);

/* Whether nothing more happens to the job by itself. */
bool mls__job_has_ended(int32_t state);

/*
 * What the end of a parent in `parent_state` means for a job submitted with `child_flags`:
 * MLS_JOB_ON_UNBLOCK, MLS_JOB_ON_CANCEL, or MLS_JOB_REFUSED while it has not ended.
 */
int32_t mls__job_after_parent(int32_t parent_state, uint64_t child_flags);

/*
 * What a failed attempt leads to: MLS_JOB_ON_RETRY after *ret_delay_ms, or
 * MLS_JOB_ON_BURY. `is_final` forbids another attempt; a pause that would end
 * past the deadline (`now_ms` is the wall clock) does as well. The jitter is drawn
 * from `seed`, the job and its attempt, so that it can be repeated.
 */
int32_t mls__job_after_failure(const mls_job_info *info, bool is_final, int64_t now_ms,
                               uint64_t seed, int64_t *ret_delay_ms);

#endif
