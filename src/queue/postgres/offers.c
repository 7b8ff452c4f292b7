/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What claimers have, for others to see: a row of each that claims, until it is
 * stopped or its member is gone.
 */
#include "queue/postgres/postgres.h"

/* In a transaction of its claims: opening it shall not depend on what the server can do. */
bool mls__pg_offer(mls__pg_store *store, mls__pg_claimer *claimer)
{
    static const mls_resources everything = {INT64_MAX, INT64_MAX, INT64_MAX};
    const mls_resources *capacity = claimer->has_capacity ? &claimer->capacity : &everything;
    mls__pg_parameters p = {0};
    if (claimer->offered == store->member)
        return true;
    mls__pg_add_number(&p, store->member);
    mls__pg_add_number(&p, claimer->id);
    mls__pg_add_text(&p, claimer->served.name);
    mls__pg_add_number(&p, capacity->cpu_milli);
    mls__pg_add_number(&p, capacity->memory_bytes);
    mls__pg_add_number(&p, capacity->gpus);
    store->txn.is_writing = true;
    claimer->offered = store->member;
    claimer->was_offered = true;
    return mls__pg_run_none(store, MLS__PG_OFFER_ADD, &p);
}

typedef struct offer_op {
    mls__pg_op op; /* first: they share an address */
    int64_t claimer;
} offer_op;

static mls_status run_end(mls__pg_store *store, mls__pg_op *op)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, store->member);
    mls__pg_add_number(&p, ((offer_op *) (void *) op)->claimer);
    store->txn.is_writing = true;
    mls__pg_run_none(store, MLS__PG_OFFER_DELETE, &p);
    return store->txn.status;
}

/* One that cannot be taken back goes with its member. */
static void end_end(mls__pg_store *store, mls__pg_op *op)
{
    mls__pg_free(store, op);
}

void mls__pg_offer_end(mls__pg_store *store, mls__pg_claimer *claimer)
{
    static const mls__pg_kind kind = {.run = run_end, .end = end_end};
    offer_op *end = claimer->was_offered ? mls__pg_alloc(store, sizeof *end) : NULL;
    if (!end)
        return;
    claimer->offered = 0;
    claimer->was_offered = false;
    end->op.kind = &kind;
    end->claimer = claimer->id;
    mls__pg_push(store, &end->op);
}

/* Looking */

typedef struct look_op {
    mls__pg_op op; /* first: they share an address */
    PGresult *result;
} look_op;

/* It may run again, after a rollback. */
static mls_status run_look(mls__pg_store *store, mls__pg_op *op)
{
    look_op *look = (look_op *) (void *) op;
    PQclear(look->result);
    look->result = mls__pg_run(store, MLS__PG_OFFERS, NULL);
    return store->txn.status;
}

mls_status mls__pg_visit_offers(void *self, mls_queue_offer_fn visit, void *user)
{
    static const mls__pg_kind kind = {.run = run_look};
    look_op look = {.op = {.kind = &kind}};
    const mls_status status = mls__pg_call(self, &look.op);
    for (int i = 0; !status && i < PQntuples(look.result); i++) {
        const mls_queue_offer offer = {.size = sizeof offer,
                                       .name = PQgetvalue(look.result, i, 0),
                                       .capacity = {mls__pg_number(look.result, i, 1),
                                                    mls__pg_number(look.result, i, 2),
                                                    mls__pg_number(look.result, i, 3)}};
        visit(user, &offer);
    }
    PQclear(look.result);
    return status;
}
