/* SPDX-License-Identifier: Apache-2.0 */
/* What jobs need and claimers have: policy over plain data, which drivers are lent. */
#ifndef MLS_JOB_RESOURCES_H
#define MLS_JOB_RESOURCES_H

#include <mlscale/job.h>

#include <stdbool.h>

#define MLS__DEFAULT_PATIENCE_MS 10000

/* Whether anything of it is not 0. */
bool mls__resources_are_any(const mls_resources *resources);

/* MLS_EINVAL naming `what`: something is below 0 or past the most. */
mls_status mls__resources_check(const char *what, const mls_resources *resources);

/*
 * Whether `needs` fit into `capacity` beside what is used and set aside. Of what it does not
 * need there may be less than nothing left: so, while room is set aside for a job that lacks
 * some of it, what is used of that only shrinks.
 */
bool mls__resources_have_room(const mls_resources *capacity, const mls_resources *used,
                              const mls_resources *aside, const mls_resources *needs);

/*
 * The memory that a job takes of `capacity`: p95 where nothing was stated, or once there are
 * samples enough; but no more than the whole, so that what was observed only packs.
 */
int64_t mls__resources_packed_memory(int64_t stated, uint64_t samples, int64_t p95,
                                     int64_t capacity);

#endif
