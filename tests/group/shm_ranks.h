/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks of a group in shared memory that are processes of a test, and its tests by what happens. */
#ifndef MLS_TESTS_GROUP_SHM_RANKS_H
#define MLS_TESTS_GROUP_SHM_RANKS_H

#include "support/test.h"

#include <pthread.h>
#include <sys/types.h>

enum { GENEROUS_MS = 60000, SHORT_MS = 150 };

/* Where ranks of a test wait for each other, as many as all. */
typedef struct stage {
    pthread_barrier_t three, two;
} stage;

extern stage *ranks_stage;
extern mls_context *ranks_context; /* of each rank */

/* Before each test: sets the stage, and has groups meet in a folder of the test's own. */
void ranks_set_up(void);

/* Starts a rank, which is body(rank) in a process. */
pid_t ranks_start(uint32_t rank, void (*body)(uint32_t rank));

/* Awaits its end: by that signal, or 0: as it should. */
void ranks_end(pid_t child, int signal);

/* Both for `count` ranks, of which `dying` ends by `signal`. */
void ranks_run(uint32_t count, void (*body)(uint32_t rank), uint32_t dying, int signal);

/* Within a rank: enters the group. */
mls_status ranks_create(uint32_t rank, uint32_t size, int64_t timeout_ms, mls_group **ret_group);

mls_group_call ranks_within(int64_t timeout_ms);

/* An allreduce, of so many floats of which each rank gives 1. */
mls_status ranks_add_up(mls_group *group, int64_t count, int64_t timeout_ms);

void shm_meetings_add(TCase *tests);
void shm_noise_add(TCase *tests);

#endif
