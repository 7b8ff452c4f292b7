/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: up to as many jobs as are wanted in one statement, which passes over what other
 * members are at. One that finds nothing is parked, and gets its job in the very
 * transaction in which one becomes ready: those that fill a batch first, then the longest
 * waiting.
 *
 * What others have locked may stay ready: a job is locked too by who makes another depend on it,
 * or asks in vain to change it. So where only such jobs were found nothing is said yet: the claim
 * is parked, one that does not wait too, and soon looks again. Likewise one that has not seen all
 * groups of ready jobs yet, also of a claimer that drains: it is to hear that there are none only
 * when there are none.
 */
#include "queue/postgres/postgres.h"

#define LOCKED_NS UINT64_C(500000000) /* for which one that does not wait looks at locked jobs */

static mls__pg_claim_op *claim_of(mls__pg_op *op)
{
    return (mls__pg_claim_op *) (void *) op;
}

/* Whether it has what it wants, or all that there is time for. */
static bool is_content(const mls__pg_claim_op *claim)
{
    return claim->count && (!claim->request->like || claim->count == claim->request->max_count);
}

/* Until there is something, or its time is over. */
static bool waits(const mls__pg_claim_op *claim)
{
    return claim->request->until_ns != 0 && !claim->claimer->is_draining;
}

/* Whether one that does not wait is to look again: at more, or at what others have locked. */
static bool is_undecided(const mls__pg_store *store, const mls__pg_claim_op *claim)
{
    if (waits(claim) || claim->count || claim->claimer->is_stopped)
        return false;
    return claim->is_more || (store->txn.passed_over && !claim->claimer->is_draining);
}

/* For how long one looks that was called with no time at all. */
static void set_until(mls__pg_store *store, mls__pg_claim_op *claim)
{
    if (claim->request->until_ns)
        return;
    claim->op.until_ns = mls__pg_clock_ns() + (claim->is_more ? store->patience_ns : LOCKED_NS);
    if (claim->op.until_ns < store->parked_until_ns)
        store->parked_until_ns = claim->op.until_ns;
}

/* Whether there is no more for it, as its claimer stops. */
static bool has_ended(const mls__pg_claim_op *claim)
{
    const mls__pg_claimer *claimer = claim->claimer;
    return claimer->is_stopped || (claimer->is_draining && !claim->is_more);
}

/* Whether a claim that is not content is answered nevertheless. */
static bool gives_up(mls__pg_claim_op *claim)
{
    const uint64_t until_ns = claim->request->until_ns;
    const bool is_late = until_ns == 0 || mls__pg_clock_ns() >= until_ns;
    if (!has_ended(claim) && !is_late)
        return false;
    if (claim->count)
        claim->op.status = MLS_OK;
    else if (has_ended(claim))
        mls__pg_set_status(&claim->op, MLS_ECANCELLED, "the claimer was stopped");
    else if (until_ns == 0 && claim->is_more)
        mls__pg_set_status(&claim->op, MLS_EIO, "the server did not show in time what is ready");
    else if (until_ns == 0)
        mls__pg_set_status(&claim->op, MLS_EEMPTY, "no job is ready");
    else
        mls__pg_set_status(&claim->op, MLS_ETIMEDOUT, "no job became ready in time");
    return true;
}

static mls_status run_claim(mls__pg_store *store, mls__pg_op *op)
{
    mls__pg_claim_op *claim = claim_of(op);
    if (mls__pg_ends_run(store, &claim->ends))
        return store->txn.status;
    if (claim->claimer->is_stopped)
        return mls__pg_set_status(op, MLS_ECANCELLED, "the claimer was stopped");
    /* What is ready by now belongs to those that wait longer. */
    if (store->txn.is_ready_news && !mls__pg_claims_serve(store, true))
        return store->txn.status;
    claim->asked = store->moment;
    if (mls__pg_take_ready(store, claim))
        return store->txn.status;
    if (is_content(claim))
        return MLS_OK;
    const bool looks_again = is_undecided(store, claim);
    if (!looks_again && gives_up(claim))
        return op->status;
    if (looks_again)
        set_until(store, claim);
    op->parks = true;
    mls__pg_list_add(claim->request->like ? &store->fillers : &store->claims, op);
    return MLS_OK;
}

/* One that was stopped takes nothing, and has nothing to give. */
static bool is_claim_void(const mls__pg_op *op)
{
    const mls__pg_claim_op *claim = (const mls__pg_claim_op *) (const void *) op;
    return claim->claimer->is_stopped && !claim->ends.count;
}

static void publish_claim(mls__pg_store *store, mls__pg_op *op)
{
    mls__pg_claim_op *claim = claim_of(op);
    if (!claim->ends_are_known) {
        mls__ends_publish(&store->holds, claim->ends.ends, claim->ends.count);
        mls__pg_costs_note(store, claim->ends.ends, claim->ends.count);
    }
    claim->ends_are_known = true;
    claim->known_more = claim->is_more;
    for (; claim->known < claim->count; claim->known++)
        mls__holds_add(&store->holds, claim->jobs[claim->known]->hold);
}

static void abandon_claim(mls__pg_store *store, mls__pg_op *op)
{
    mls__pg_claim_op *claim = claim_of(op);
    while (claim->count > claim->known) {
        mls_queue_job *shown = claim->jobs[--claim->count];
        mls__pg_free(store, shown->hold);
        shown->hold = NULL;
    }
    if (!claim->ends_are_known)
        mls__ends_abandon(claim->ends.ends, claim->ends.count);
    claim->claimer->offered = 0;
    claim->asked = ++store->moment; /* who came with it may have hidden what is ready */
    claim->is_more = claim->known_more;
    op->status = MLS_OK;
}

static void expire_claim(mls__pg_op *op)
{
    if (!gives_up(claim_of(op)))
        mls__pg_set_status(op, MLS_ETIMEDOUT, "no job became ready in time");
}

/* Whether a parked one that does not wait has its answer. */
static bool is_decided(const mls__pg_store *store, mls__pg_claim_op *claim)
{
    return claim->request->until_ns == 0 && !is_undecided(store, claim) && gives_up(claim);
}

static bool serve_one(mls__pg_store *store, mls__pg_claim_op *claim)
{
    const bool was_more = claim->is_more;
    claim->is_more = false;
    if (!store->txn.found_none && mls__pg_take_ready(store, claim))
        return false;
    if (was_more || claim->is_more)
        set_until(store, claim);
    claim->op.is_served = is_content(claim) || is_decided(store, claim);
    return true;
}

static bool serve(mls__pg_store *store, mls__pg_list *list, bool is_news)
{
    for (mls__pg_op *op = list->first; op; op = op->next) {
        if (op->is_served)
            continue;
        if (is_news && waits(claim_of(op)))
            claim_of(op)->asked = store->moment;
        if (!serve_one(store, claim_of(op)))
            return false;
    }
    return true;
}

bool mls__pg_claims_serve(mls__pg_store *store, bool is_news)
{
    bool is_good;
    store->txn.passed_over = store->txn.is_more = store->has_aside = false;
    do {
        store->moment += is_news;
        store->txn.is_ready_news = store->txn.found_none = false;
        is_good = serve(store, &store->fillers, is_news) && serve(store, &store->claims, is_news);
        is_news = true; /* a claim made room for another one that waits: each takes a job */
    } while (is_good && store->txn.is_ready_news);
    return is_good;
}

/* Whether a commit of which we have not heard yet may have served it. */
static bool is_at_stake(const mls__pg_store *store, const mls__pg_claim_op *claim)
{
    return store->is_deciding &&
           (!claim->op.is_parked || claim->op.is_served || claim->count > claim->known);
}

/* Who drains sees all first, unless there is no server that could show it. */
static bool is_to_end(const mls__pg_store *store, mls__pg_claim_op *claim)
{
    if (!claim->claimer->is_draining || is_at_stake(store, claim))
        return false;
    claim->is_more &= store->connection != NULL;
    return has_ended(claim);
}

static void stop(mls__pg_store *store, mls__pg_list *list)
{
    mls__pg_op *op = list->first;
    mls__pg_list_init(list);
    while (op) {
        mls__pg_op *next = op->next;
        if (is_to_end(store, claim_of(op)) && gives_up(claim_of(op)))
            mls__pg_finish_parked(store, op);
        else
            mls__pg_list_add(list, op);
        op = next;
    }
}

void mls__pg_claims_stop(mls__pg_store *store)
{
    stop(store, &store->claims);
    stop(store, &store->fillers);
}

mls_status mls__pg_claim(void *self, void *claimer, const mls_queue_claim *request,
                         mls_queue_end *const *ends, size_t end_count, mls_queue_job *const *jobs,
                         size_t *ret_count)
{
    static const mls__pg_kind kind = {.claims = true,
                                      .run = run_claim,
                                      .publish = publish_claim,
                                      .abandon = abandon_claim,
                                      .expire = expire_claim,
                                      .is_void = is_claim_void};
    mls__pg_store *store = self;
    mls__pg_claim_op claim = {.op = {.kind = &kind, .until_ns = request->until_ns},
                              .claimer = claimer,
                              .request = request,
                              .ends = {.ends = ends, .count = end_count},
                              .jobs = jobs};
    mls__pg_post(store, &claim.op);
    /* As soon as the ends are committed, what they brought is given back. */
    if (claim.ends_are_known)
        mls__ends_settle(store, mls__pg_drop, ends, end_count);
    const mls_status status = mls__pg_await(store, &claim.op);
    if (!status)
        *ret_count = claim.count;
    return status;
}
