/* SPDX-License-Identifier: Apache-2.0 */
/* Whose turn it is among tenants that share: start-time fair queuing, without a store. */
#ifndef MLS_QUEUE_DURABLE_SHARES_H
#define MLS_QUEUE_DURABLE_SHARES_H

#include <stdbool.h>
#include <stdint.h>

/* The first of a tenant's ready jobs, and where the tenant stands. */
typedef struct mls__turn_head {
    int64_t id, rank, pass, turn;
} mls__turn_head;

/*
 * Puts the head where a stored pass and turn say, at the time `now` of its queue and
 * priority: without any (pass -1), or with one that fell behind, the tenant starts now.
 */
void mls__turn_place(mls__turn_head *head, int64_t now, int64_t pass, int64_t turn);
bool mls__turn_goes_before(const mls__turn_head *a, const mls__turn_head *b);

#endif
