/* SPDX-License-Identifier: Apache-2.0 */
/* Whose turn it is among tenants that share. */
#include "queue/durable/shares.h"

void mls__turn_place(mls__turn_head *head, int64_t now, int64_t pass, int64_t turn)
{
    head->pass = pass < now ? now : pass;
    head->turn = pass < now ? head->rank : turn;
}

bool mls__turn_goes_before(const mls__turn_head *a, const mls__turn_head *b)
{
    if (a->pass != b->pass)
        return a->pass < b->pass;
    return a->turn != b->turn ? a->turn < b->turn : a->rank < b->rank;
}
