/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of many jobs: a queue that stays syncs together what several threads do at once. */
#ifndef MLSCALE_TOOL_AT_ONCE_H
#define MLSCALE_TOOL_AT_ONCE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Calls act(user, id) for each of the ids, from several threads and in any order, until one
 * gives another exit code than EXIT_GOOD; those that are under way then still end. Gives that
 * code, or EXIT_GOOD.
 */
typedef int (*id_fn)(void *user, uint64_t id);
int at_once(const uint64_t *ids, size_t count, id_fn act, void *user);

#endif
