/* SPDX-License-Identifier: Apache-2.0 */
/* A control group (version 2) for the processes of one job, where the system lets us make one. */
#ifndef MLS_JOB_TYPES_CGROUP_H
#define MLS_JOB_TYPES_CGROUP_H

#include "job_types/types.h"

#include <stdbool.h>

typedef struct mls__cgroup {
    int folder; /* -1: there is none */
    int procs;  /* where a process writes "0" to be in it */
    bool bounds_memory;
    char path[512];
} mls__cgroup;

/*
 * Makes one below the folder that the environment variable MLS_CGROUP names, else below
 * this process's own. With as many of the limits as the system can hold; what it cannot
 * make is not an error.
 */
void mls__cgroup_open(const mls__type_limits *limits, mls__cgroup *ret_group);

/* Ends all that is in it, whatever it did to get away. */
void mls__cgroup_kill(const mls__cgroup *group);

/* Whether something in it was ended for want of memory. */
bool mls__cgroup_ran_out(const mls__cgroup *group);

/* Both by its path, without a call that is not safe after a fork of a process with threads. */
void mls__cgroup_kill_at(const char *path);
void mls__cgroup_remove(const char *path);

/* Removes it once what was killed is gone. */
void mls__cgroup_close(mls__cgroup *group);

#endif
