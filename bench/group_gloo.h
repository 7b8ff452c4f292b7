/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gloo for C: one group of as many processes as there are, over TCP on loopback, which is the only
 * transport that it has for one host. Gloo is C++ and speaks by exceptions, which end here.
 */
#ifndef MLS_BENCH_GROUP_GLOO_H
#define MLS_BENCH_GROUP_GLOO_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct group_gloo group_gloo;

/*
 * All ranks call it, with a folder for them to meet in. NULL: this was compiled without Gloo, or
 * Gloo failed, whose words are then on stderr.
 */
group_gloo *group_gloo_open(const char *folder, int rank, int size);

/* Removes the folder: one rank calls it, when all have opened. */
void group_gloo_forget(const char *folder);

/* The sums of `count` floats. Gives 0, or -1 with Gloo's words on stderr. */
int group_gloo_allreduce(group_gloo *gloo, const float *source, float *target, size_t count);

/* NULL is fine. */
void group_gloo_close(group_gloo *gloo);

#ifdef __cplusplus
}
#endif

#endif
