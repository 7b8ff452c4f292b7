/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ends programs and containers when their worker is killed: a process that watches this one,
 * and has a list of what runs, in memory that both see. It is nobody's child, keeps no file of the
 * host open, and has no cost to a job but a line of the list.
 */
#ifndef MLS_JOB_TYPES_KEEPER_H
#define MLS_JOB_TYPES_KEEPER_H

#include "base/alloc.h"

#include <sys/types.h>

typedef struct mls__keeper mls__keeper;
typedef struct mls__kept mls__kept; /* a line of its list */

mls_status mls__keeper_start(const mls__allocator *allocator, mls__keeper **ret_keeper);

/* Nothing of it may run any more. NULL is allowed. */
void mls__keeper_stop(mls__keeper *keeper);

/*
 * Adds what is to be ended: the control group with this path ("": none), and the process group that
 * mls__kept_set() names; and what is to be run then, ended by NULL (NULL: nothing). NULL where the
 * keeper is NULL or the list full: then nobody ends it.
 */
mls__kept *mls__keeper_add(mls__keeper *keeper, const char *cgroup, char *const *words);

/* Safe after a fork of a process with threads. Both do nothing without a line. */
void mls__kept_set(mls__kept *kept, pid_t group);

/* To be called while the group's number cannot be another's yet. */
void mls__kept_drop(mls__kept *kept);

#endif
