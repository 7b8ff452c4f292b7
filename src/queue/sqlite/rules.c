/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that hold back ready jobs. They are few: where there are some, as a counter that is
 * read with every transaction says, all are read with it, since another process may have
 * set them.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <string.h>

/* "" in the file is any. */
static bool add_rule(mls__sql_store *store, sqlite3_stmt *list)
{
    const mls_queue_rule rule = {
        .queue = (const char *) sqlite3_column_text(list, 0),
        .type = (const char *) sqlite3_column_text(list, 1),
        .tenant = (const char *) sqlite3_column_text(list, 2),
        .is_paused = (uint32_t) sqlite3_column_int64(list, 3),
        .max_running = (uint32_t) sqlite3_column_int64(list, 4),
        .rate_jobs = (uint32_t) sqlite3_column_int64(list, 5),
        .burst = (uint32_t) sqlite3_column_int64(list, 6),
        .rate_ms = sqlite3_column_int64(list, 7),
        .running = (uint32_t) sqlite3_column_int64(list, 8),
        .bucket_ns = sqlite3_column_int64(list, 9),
        .weight = (uint32_t) sqlite3_column_int64(list, 10) & 0xffff, /* as it was checked */
    };
    if (mls__kept_rules_add(store->host, &store->kept, &rule))
        return true;
    mls__sql_fail(store, mls__error_nomem(sizeof rule));
    return false;
}

bool mls__sql_rules_load(mls__sql_store *store)
{
    store->kept.count = 0;
    if (!store->txn.meta.rules)
        return true;
    sqlite3_stmt *list = mls__sql_prepare(store, MLS__SQL_RULES);
    if (!list)
        return false;
    while (mls__sql_step(store, list) == SQLITE_ROW && add_rule(store, list))
        continue;
    sqlite3_reset(list);
    return !store->txn.status;
}

static mls__rule_scope scope_of(const mls__sql_lane *lane)
{
    return (mls__rule_scope){lane->names, lane->type, lane->tenant};
}

bool mls__sql_is_held(const mls__sql_store *store, const mls__sql_lane *lane)
{
    return mls__kept_rules_hold(&store->kept, store->rules, scope_of(lane), store->txn.now_ms);
}

bool mls__sql_is_named(const mls__sql_store *store, const char *queue, const char *type,
                       const char *tenant)
{
    const mls__rule_scope scope = {queue, type, tenant};
    return mls__kept_rules_name(&store->kept, store->rules, scope);
}

void mls__sql_rules_claim(mls__sql_store *store, const mls__sql_lane *lane)
{
    mls__kept_rules_claim(&store->kept, store->rules, scope_of(lane), store->txn.now_ms);
}

/* What it held back may be claimed now, perhaps elsewhere. */
void mls__sql_rules_end(mls__sql_store *store, const mls__sql_lane *lane)
{
    if (!mls__kept_rules_end(&store->kept, store->rules, scope_of(lane)))
        return;
    store->txn.news |= MLS__SQL_NEWS_READY;
    store->txn.is_ready_news = true;
}

int64_t mls__sql_rules_next_ms(const mls__sql_store *store)
{
    return mls__kept_rules_next_ms(&store->kept, store->rules, store->txn.now_ms);
}

/* Setting */

typedef struct rule_op {
    mls__sql_op op; /* first: they share an address */
    const mls_queue_rule *rule;
    uint64_t parts;
} rule_op;

static sqlite3_stmt *bind(mls__sql_store *store, int statement, const mls_queue_rule *rule)
{
    sqlite3_stmt *bound = mls__sql_prepare(store, statement);
    if (!bound)
        return NULL;
    sqlite3_bind_text(bound, 1, rule->queue ? rule->queue : "", -1, SQLITE_STATIC);
    sqlite3_bind_text(bound, 2, rule->type ? rule->type : "", -1, SQLITE_STATIC);
    sqlite3_bind_text(bound, 3, rule->tenant ? rule->tenant : "", -1, SQLITE_STATIC);
    return bound;
}

/* The rule of that queue, type and tenant, which is added if there is none; NULL: failed. */
static mls_queue_rule *find_or_add(mls__sql_store *store, const mls_queue_rule *wanted)
{
    mls_queue_rule *rule = mls__kept_rules_find(&store->kept, wanted);
    if (rule)
        return rule;
    if (!mls__sql_run(store, bind(store, MLS__SQL_RULE_ADD, wanted)))
        return NULL;
    store->txn.meta.rules++;
    store->txn.meta_is_dirty = true;
    if (!mls__sql_rules_load(store))
        return NULL;
    rule = mls__kept_rules_find(&store->kept, wanted);
    if (!rule)
        mls__sql_fail(store, mls__error(MLS_EFORMAT, "a rule that was added is not there: the "
                                                     "queue's file is damaged"));
    return rule;
}

static bool save(mls__sql_store *store, const mls_queue_rule *rule)
{
    sqlite3_stmt *statement = bind(store, MLS__SQL_RULE_SAVE, rule);
    if (!statement)
        return false;
    const int64_t values[] = {rule->is_paused, rule->max_running, rule->rate_jobs, rule->burst,
                              rule->rate_ms,   rule->running,     rule->bucket_ns, rule->weight};
    for (int i = 0; i < (int) (sizeof values / sizeof values[0]); i++)
        sqlite3_bind_int64(statement, 4 + i, values[i]);
    return mls__sql_run(store, statement);
}

bool mls__sql_rules_save(mls__sql_store *store)
{
    for (size_t i = 0; i < store->kept.count; i++) {
        mls__kept_rule *r = &store->kept.list[i];
        if (r->is_dirty && !save(store, &r->rule))
            return false;
        r->is_dirty = false;
    }
    return true;
}

static bool drop(mls__sql_store *store, const mls_queue_rule *rule)
{
    if (!mls__sql_run(store, bind(store, MLS__SQL_RULE_DELETE, rule)))
        return false;
    store->txn.meta.rules--;
    store->txn.meta_is_dirty = true;
    return mls__sql_rules_load(store);
}

/* The first lane behind `id` that the rule may cover; 0: none; -1: failed. */
static int64_t next_lane(mls__sql_store *store, int statement, const mls_queue_rule *rule,
                         int64_t id, int64_t *ret_running)
{
    sqlite3_stmt *find = bind(store, statement, rule);
    if (!find)
        return -1;
    sqlite3_bind_int64(find, 4, id);
    const int code = mls__sql_step(store, find);
    const int64_t found = code == SQLITE_ROW ? sqlite3_column_int64(find, 0) : 0;
    *ret_running = code == SQLITE_ROW ? sqlite3_column_int64(find, 1) : 0;
    sqlite3_reset(find);
    return code == SQLITE_ROW || code == SQLITE_DONE ? found : -1;
}

/* What is claimed of all that the rule covers. */
static bool count_running(mls__sql_store *store, mls_queue_rule *rule)
{
    int64_t lane = 0, running, sum = 0;
    if (!mls__sql_lanes_save(store))
        return false;
    while ((lane = next_lane(store, MLS__SQL_LANE_RUNNING, rule, lane, &running)) > 0)
        sum += running;
    rule->running = (uint32_t) sum;
    return lane == 0;
}

/* Moves the tenant's jobs from one lane to another, and the counts with them. */
static bool move_tenant(mls__sql_store *store, const char *tenant, mls__sql_lane *from,
                        mls__sql_lane *to)
{
    sqlite3_stmt *count = mls__sql_prepare(store, MLS__SQL_TENANT_COUNT);
    if (!count)
        return false;
    sqlite3_bind_int64(count, 1, from->id);
    sqlite3_bind_text(count, 2, tenant, -1, SQLITE_STATIC);
    while (mls__sql_step(store, count) == SQLITE_ROW) {
        const int state = sqlite3_column_int(count, 0) - MLS_JOB_SCHEDULED;
        const int64_t jobs = sqlite3_column_int64(count, 1);
        if (state < 0 || state > MLS_JOB_CANCELLED - MLS_JOB_SCHEDULED)
            continue;
        mls__sql_lane_add(store, from, state, -jobs);
        mls__sql_lane_add(store, to, state, jobs);
    }
    sqlite3_stmt *move = mls__sql_prepare(store, MLS__SQL_TENANT_MOVE);
    if (!move)
        return false;
    sqlite3_bind_int64(move, 1, from->id);
    sqlite3_bind_text(move, 2, tenant, -1, SQLITE_STATIC);
    sqlite3_bind_int64(move, 3, to->id);
    return mls__sql_run(store, move);
}

/* Gives a tenant that the rule names, which is in the list, lanes of its own. */
static bool part_tenant(mls__sql_store *store, const mls_queue_rule *rule)
{
    int64_t id = 0, running;
    mls__sql_lane *from, *to;
    while ((id = next_lane(store, MLS__SQL_LANE_NEXT, rule, id, &running)) > 0) {
        from = mls__sql_lane_of(store, id);
        if (!from || mls__sql_lane_make(store, from->names, from->type, rule->tenant,
                                        from->is_keyed, &from->needs, &to))
            return false;
        if (!move_tenant(store, rule->tenant, from, to))
            return false;
    }
    return id == 0;
}

bool mls__sql_rules_recount(mls__sql_store *store)
{
    for (size_t i = 0; i < store->kept.count; i++) {
        store->kept.list[i].is_dirty = true;
        if (!count_running(store, &store->kept.list[i].rule))
            return false;
    }
    return true;
}

static mls_status run_set(mls__sql_store *store, mls__sql_op *op)
{
    const rule_op *set = (rule_op *) (void *) op;
    if (!mls__sql_rules_save(store)) /* since adding and deleting read the list anew */
        return store->txn.status;
    const bool is_new = !mls__kept_rules_find(&store->kept, set->rule);
    mls_queue_rule *rule = find_or_add(store, set->rule);
    if (!rule)
        return store->txn.status;
    store->rules->rule_set(rule, set->rule, set->parts);
    const bool is_empty = store->rules->rule_is_empty(rule);
    if (is_new && !is_empty && rule->tenant && !part_tenant(store, rule))
        return store->txn.status;
    if (is_empty ? !drop(store, rule) : !count_running(store, rule) || !save(store, rule))
        return store->txn.status;
    store->txn.news |= MLS__SQL_NEWS_READY;
    store->txn.is_ready_news = true;
    return MLS_OK;
}

mls_status mls__sql_set_rule(void *self, const mls_queue_rule *rule, uint64_t parts)
{
    static const mls__sql_kind kind = {.run = run_set};
    rule_op set = {.op = {.kind = &kind, .must_sync = true}, .rule = rule, .parts = parts};
    return mls__sql_call(self, &set.op);
}

/* Looking */

typedef struct look_op {
    mls__sql_op op; /* first: they share an address */
    mls__kept_rules shown;
} look_op;

/* Copies them for the thread that asked. It may run again, after a rollback. */
static mls_status run_look(mls__sql_store *store, mls__sql_op *op)
{
    look_op *look = (look_op *) (void *) op;
    mls__kept_rules_free(store->host, &look->shown);
    return mls__kept_rules_copy(store->host, &store->kept, &look->shown)
               ? MLS_OK
               : mls__error_nomem(store->kept.count * sizeof(mls__kept_rule));
}

mls_status mls__sql_visit_rules(void *self, mls_queue_rule_fn visit, void *user)
{
    static const mls__sql_kind kind = {.run = run_look};
    mls__sql_store *store = self;
    look_op look = {.op = {.kind = &kind}};
    const mls_status status = mls__sql_call(store, &look.op);
    for (size_t i = 0; !status && i < look.shown.count; i++)
        visit(user, &look.shown.list[i].rule);
    mls__kept_rules_free(store->host, &look.shown);
    return status;
}
