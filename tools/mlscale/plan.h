/* SPDX-License-Identifier: Apache-2.0 */
/* A session's plan for people and for programs: mlscale inspect --plan. */
#ifndef MLSCALE_TOOL_PLAN_H
#define MLSCALE_TOOL_PLAN_H

#include <mlscale.h>

#include <jansson.h>

/* Bytes of all blocks of a plan, and what they would be if no memory served twice. */
typedef struct plan_totals {
    size_t block_bytes, unshared_bytes;
} plan_totals;

/* Makes the plan if that is still to do. Errors: the library's. */
mls_status plan_measure(mls_session *session, plan_totals *ret_totals);

/* Prints the plan, an entry a line and its values a line each. Errors: the library's. */
mls_status plan_print(mls_session *session);

/* The entries as a list of objects. Errors: the library's. */
mls_status plan_json(mls_session *session, json_t **ret_entries);

#endif
