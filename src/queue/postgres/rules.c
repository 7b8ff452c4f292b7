/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that hold back ready jobs. Each transaction learns from its begin whether there are
 * any: where there are none, nothing else is asked. What runs is counted, not kept, so that
 * no crash leaves a count that is wrong; transactions that claim under a limit, or where
 * tenants share, take turns by an advisory lock, so that both hold for all members together.
 */
#include "queue/postgres/postgres.h"

#include <stdlib.h>

static int64_t now_ms(const mls__pg_store *store)
{
    return mls__pg_now_ms(store);
}

static mls__rule_scope scope_of(const mls__pg_row *row)
{
    return (mls__rule_scope){row->texts[MLS__PG_QUEUE], row->texts[MLS__PG_TYPE],
                             row->texts[MLS__PG_TENANT]};
}

static bool add_rule(mls__pg_store *store, const PGresult *result, int at)
{
    const mls_queue_rule rule = {
        .is_paused = (uint32_t) mls__pg_number(result, at, 0),
        .max_running = (uint32_t) mls__pg_number(result, at, 1),
        .rate_jobs = (uint32_t) mls__pg_number(result, at, 2),
        .burst = (uint32_t) mls__pg_number(result, at, 3),
        .rate_ms = mls__pg_number(result, at, 4),
        .bucket_ns = mls__pg_number(result, at, 5),
        .running = (uint32_t) mls__pg_number(result, at, 6),
        .queue = PQgetvalue(result, at, 7),
        .type = PQgetvalue(result, at, 8),
        .tenant = PQgetvalue(result, at, 9),
        .weight = (uint32_t) mls__pg_number(result, at, 10),
    };
    if (mls__kept_rules_add(store->host, &store->kept, &rule))
        return true;
    mls__pg_fail(store, MLS_ENOMEM, "no memory for the rules of a queue");
    return false;
}

/* `counts_all`: what runs of each, not only where that is limited. */
static bool read_rules(mls__pg_store *store, bool counts_all)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, counts_all);
    store->kept.count = 0;
    PGresult *result = mls__pg_run(store, MLS__PG_RULES, &p);
    if (!result)
        return false;
    bool is_good = true;
    for (int i = 0; is_good && i < PQntuples(result); i++)
        is_good = add_rule(store, result, i);
    PQclear(result);
    return is_good;
}

/* Reading is another statement than locking: it sees what the one before committed. */
bool mls__pg_rules_load(mls__pg_store *store)
{
    if ((store->txn.rules || store->txn.shares) &&
        !mls__pg_run_none(store, MLS__PG_RULES_LOCK, NULL))
        return false;
    return !store->txn.rules || read_rules(store, false);
}

void mls__pg_rules_claim(mls__pg_store *store, const mls__pg_row *row)
{
    mls__kept_rules_claim(&store->kept, store->rules, scope_of(row), now_ms(store));
}

/* What a limit held back may be claimed now, perhaps elsewhere. */
void mls__pg_rules_end(mls__pg_store *store, const mls__pg_row *row)
{
    mls__pg_txn *txn = &store->txn;
    mls__kept_rules_end(&store->kept, store->rules, scope_of(row));
    if (txn->rules != MLS__PG_RULES_LIMIT)
        return;
    txn->news |= MLS__PG_NEWS_READY;
    txn->is_ready_news = true;
    txn->found_none = false;
}

static bool holds(const mls__pg_store *store, const mls_queue_rule *rule)
{
    return store->rules->rule_holds_until(rule, now_ms(store)) != 0;
}

void mls__pg_add_holding(mls__pg_store *store, mls__pg_parameters *parameters)
{
    const mls__kept_rules *kept = &store->kept;
    size_t count = 0;
    for (size_t i = 0; i < kept->count; i++)
        count += holds(store, &kept->list[i].rule);
    mls__pg_buffer *queues = mls__pg_begin_array(store, parameters, true, count);
    mls__pg_buffer *types = mls__pg_begin_array(store, parameters, true, count);
    mls__pg_buffer *tenants = mls__pg_begin_array(store, parameters, true, count);
    for (size_t i = 0; i < kept->count; i++) {
        const mls__kept_rule *r = &kept->list[i];
        if (!holds(store, &r->rule))
            continue;
        mls__pg_put_text(store, queues, r->queue);
        mls__pg_put_text(store, types, r->type);
        mls__pg_put_text(store, tenants, r->tenant);
    }
}

static void add_names(mls__pg_parameters *p, const mls_queue_rule *rule)
{
    mls__pg_add_text(p, rule->queue ? rule->queue : "");
    mls__pg_add_text(p, rule->type ? rule->type : "");
    mls__pg_add_text(p, rule->tenant ? rule->tenant : "");
}

static bool save(mls__pg_store *store, const mls_queue_rule *rule)
{
    mls__pg_parameters p = {0};
    add_names(&p, rule);
    mls__pg_add_number(&p, rule->is_paused);
    mls__pg_add_number(&p, rule->max_running);
    mls__pg_add_number(&p, rule->rate_jobs);
    mls__pg_add_number(&p, rule->burst);
    mls__pg_add_number(&p, rule->rate_ms);
    mls__pg_add_number(&p, rule->bucket_ns);
    mls__pg_add_number(&p, rule->weight);
    store->txn.is_writing = true;
    return mls__pg_run_none(store, MLS__PG_RULE_SAVE, &p);
}

/* What runs is not stored: only buckets are. */
bool mls__pg_rules_save(mls__pg_store *store)
{
    for (size_t i = 0; i < store->kept.count; i++) {
        mls__kept_rule *r = &store->kept.list[i];
        if (r->is_dirty && r->rule.rate_jobs && !save(store, &r->rule))
            return false;
        r->is_dirty = false;
    }
    mls__pg_set_timer(store, mls__kept_rules_next_ms(&store->kept, store->rules, now_ms(store)));
    return true;
}

/* Setting */

typedef struct rule_op {
    mls__pg_op op; /* first: they share an address */
    const mls_queue_rule *rule;
    uint64_t parts;
} rule_op;

static bool drop(mls__pg_store *store, const mls_queue_rule *rule)
{
    mls__pg_parameters p = {0};
    add_names(&p, rule);
    return mls__pg_run_none(store, MLS__PG_RULE_DELETE, &p);
}

/* No transaction is under way that claims, and none begins that does not see the rule. */
static mls_status run_set(mls__pg_store *store, mls__pg_op *op)
{
    const rule_op *set = (rule_op *) (void *) op;
    if (!read_rules(store, false))
        return store->txn.status;
    const mls_queue_rule *found = mls__kept_rules_find(&store->kept, set->rule);
    mls_queue_rule rule = {.size = sizeof rule};
    if (found)
        rule = *found;
    rule.queue = set->rule->queue;
    rule.type = set->rule->type;
    rule.tenant = set->rule->tenant;
    store->rules->rule_set(&rule, set->rule, set->parts);
    store->txn.is_writing = store->txn.must_sync = true;
    const bool is_good =
        store->rules->rule_is_empty(&rule) ? drop(store, &rule) : save(store, &rule);
    if (!is_good || !read_rules(store, false))
        return store->txn.status;
    store->txn.news |= MLS__PG_NEWS_READY;
    store->txn.is_ready_news = true;
    store->txn.found_none = false;
    return MLS_OK;
}

mls_status mls__pg_set_rule(void *self, const mls_queue_rule *rule, uint64_t parts)
{
    static const mls__pg_kind kind = {.run = run_set, .is_exclusive = true};
    rule_op set = {.op = {.kind = &kind}, .rule = rule, .parts = parts};
    return mls__pg_call(self, &set.op);
}

/* Looking */

typedef struct look_op {
    mls__pg_op op; /* first: they share an address */
    mls__kept_rules shown;
} look_op;

/* Copies them for the thread that asked. It may run again, after a rollback. */
static mls_status run_look(mls__pg_store *store, mls__pg_op *op)
{
    look_op *look = (look_op *) (void *) op;
    mls__kept_rules_free(store->host, &look->shown);
    if (!mls__pg_rules_save(store) || !read_rules(store, true))
        return store->txn.status;
    if (!mls__kept_rules_copy(store->host, &store->kept, &look->shown))
        return mls__pg_set_status(op, MLS_ENOMEM, "no memory for the rules of a queue");
    return MLS_OK;
}

mls_status mls__pg_visit_rules(void *self, mls_queue_rule_fn visit, void *user)
{
    static const mls__pg_kind kind = {.run = run_look};
    mls__pg_store *store = self;
    look_op look = {.op = {.kind = &kind}};
    const mls_status status = mls__pg_call(store, &look.op);
    for (size_t i = 0; !status && i < look.shown.count; i++)
        visit(user, &look.shown.list[i].rule);
    mls__kept_rules_free(store->host, &look.shown);
    return status;
}
