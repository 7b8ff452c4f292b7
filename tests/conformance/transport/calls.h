/* SPDX-License-Identifier: Apache-2.0 */
/* One call of each kind that a group has, for tests of what may become of any of them. */
#ifndef MLS_TESTS_CONFORMANCE_TRANSPORT_CALLS_H
#define MLS_TESTS_CONFORMANCE_TRANSPORT_CALLS_H

#include "support/test.h"

/* What a rank calls with: tensors of a piece, and of a piece for each rank. */
typedef struct called {
    mls_group *group;
    mls_group_call how;
    mls_tensor *part, *whole, *part_target, *whole_target;
} called;

/* In the group's memory, if there is such, or in ordinary memory; `count` elements a piece. */
void called_create(mls_context *context, mls_group *group, bool in_arena, int64_t count,
                   called *ret_called);
void called_free(called *c);

typedef struct call_kind {
    const char *name; /* as errors say it */
    mls_status (*run)(const called *c);
} call_kind;

/* The last ones are not collectives that have a name: a split, and a ring of messages. */
enum { CALL_KINDS = 13, CALL_SPLIT = 11, CALL_RING = 12 };
extern const call_kind call_kinds[CALL_KINDS];

#endif
