/* SPDX-License-Identifier: Apache-2.0 */
/* What the ways to reduce have in common: what a rank gives, gets and finishes. */
#ifndef MLS_GROUP_REDUCE_H
#define MLS_GROUP_REDUCE_H

#include "group/group.h"

/* Whether the parts of a rank are sums: else it has one shard, or none. */
bool mls__reduce_has_sums(const mls_group *group, uint32_t rank);

/* Bytes of an element of all parts of a rank. */
size_t mls__reduce_element_bytes(const mls_group *group, const mls__reduce_plan *plan,
                                 uint32_t rank);

/* The elements that a rank finishes. */
size_t mls__reduce_slice_first(const mls__reduce_plan *plan, uint32_t rank);
size_t mls__reduce_slice_count(const mls__reduce_plan *plan, uint32_t rank);

/* The parts of a rank that has sums: elements from `first`, `count` of them, part behind part. */
void mls__reduce_own(mls_group *group, const mls__reduce_plan *plan, const unsigned char *source,
                     size_t first, size_t count, unsigned char *to);

/*
 * To finish: `count` elements from `first`, of the parts of `rank` at `data`, each `stride`
 * elements long; once this is known of all ranks, the result.
 */
void mls__reduce_set_leaves(mls_group *group, const mls__reduce_plan *plan, uint32_t rank,
                            const void *data, size_t stride, size_t first);
void mls__reduce_finish(mls_group *group, const mls__reduce_plan *plan, size_t count, void *result);

/* --- piped.c --- */

/* Whether ranks have messages alone, and many bytes: the same on all ranks. */
bool mls__piped_suits(mls_group *group, const mls__reduce_plan *plan);

/* Behind the first round. `results` as those who want them have
 * them, or else this rank's slice. */
mls_status mls__piped_reduce(mls_group *group, mls__call *call, const mls__reduce_plan *plan,
                             const void *source, void *results);

/* --- staged.c --- */

/* Whether this rank could reduce so, and would rather than show `source` and `target`. */
bool mls__staged_suits(mls_group *group, const mls__reduce_plan *plan, const void *source,
                       const void *target);

/* Behind a round in which all ranks have said that they would. */
mls_status mls__staged_reduce(mls_group *group, mls__call *call, const mls__reduce_plan *plan,
                              const void *source, void *target);

#endif
