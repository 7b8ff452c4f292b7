/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that hold back ready jobs. They are few: where there are some, as a counter that is
 * read with every transaction says, all are read with it, since another process may have
 * set them.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <string.h>

static mls__sql_rule *push(mls__sql_store *store)
{
    const mls__allocator *allocator = &store->context->allocator;
    if (store->rule_count == store->rule_room) {
        const size_t room = store->rule_room ? 2 * store->rule_room : 8;
        mls__sql_rule *larger = mls__alloc_array(allocator, room, sizeof *larger);
        if (!larger) {
            mls__sql_fail(store, mls__error_nomem(room * sizeof *larger));
            return NULL;
        }
        if (store->rule_count)
            memcpy(larger, store->rule_list, store->rule_count * sizeof *larger);
        mls__free(allocator, store->rule_list);
        store->rule_list = larger;
        store->rule_room = room;
    }
    return &store->rule_list[store->rule_count++];
}

/* "" in the file is any. */
static void read_name(sqlite3_stmt *statement, int column, char *to)
{
    const char *text = (const char *) sqlite3_column_text(statement, column);
    const size_t length = text ? strnlen(text, MLS_JOB_NAME_MAX) : 0;
    if (length)
        memcpy(to, text, length);
    to[length] = '\0';
}

/* The list may move while it grows: names are pointed to when all are there. */
static void point_to_names(mls__sql_rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mls__sql_rule *r = &rules[i];
        r->rule.queue = r->queue[0] ? r->queue : NULL;
        r->rule.type = r->type[0] ? r->type : NULL;
    }
}

bool mls__sql_rules_load(mls__sql_store *store)
{
    store->rule_count = 0;
    if (!store->txn.meta.rules)
        return true;
    sqlite3_stmt *list = mls__sql_prepare(store, MLS__SQL_RULES);
    if (!list)
        return false;
    while (mls__sql_step(store, list) == SQLITE_ROW) {
        mls__sql_rule *r = push(store);
        if (!r)
            break;
        r->rule = (mls_queue_rule){.size = sizeof r->rule};
        read_name(list, 0, r->queue);
        read_name(list, 1, r->type);
        r->rule.is_paused = (uint32_t) sqlite3_column_int(list, 2);
    }
    sqlite3_reset(list);
    point_to_names(store->rule_list, store->rule_count);
    return !store->txn.status;
}

bool mls__sql_is_held(const mls__sql_store *store, const mls__sql_lane *lane)
{
    const mls_queue_host *host = store->rules;
    for (size_t i = 0; i < store->rule_count; i++) {
        const mls_queue_rule *rule = &store->rule_list[i].rule;
        if (host->rule_covers(rule, lane->names, lane->type) &&
            host->rule_holds_until(rule, store->txn.now_ms))
            return true;
    }
    return false;
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
    return bound;
}

static bool is_same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static mls_queue_rule *find(const mls__sql_store *store, const mls_queue_rule *wanted)
{
    for (size_t i = 0; i < store->rule_count; i++) {
        mls_queue_rule *rule = &store->rule_list[i].rule;
        if (is_same(rule->queue, wanted->queue) && is_same(rule->type, wanted->type))
            return rule;
    }
    return NULL;
}

/* The rule of that queue and type, which is added if there is none; NULL: failed. */
static mls_queue_rule *find_or_add(mls__sql_store *store, const mls_queue_rule *wanted)
{
    mls_queue_rule *rule = find(store, wanted);
    if (rule)
        return rule;
    if (!mls__sql_run(store, bind(store, MLS__SQL_RULE_ADD, wanted)))
        return NULL;
    store->txn.meta.rules++;
    store->txn.meta_is_dirty = true;
    if (!mls__sql_rules_load(store))
        return NULL;
    rule = find(store, wanted);
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
    sqlite3_bind_int64(statement, 3, rule->is_paused);
    return mls__sql_run(store, statement);
}

static bool delete (mls__sql_store *store, const mls_queue_rule *rule)
{
    if (!mls__sql_run(store, bind(store, MLS__SQL_RULE_DELETE, rule)))
        return false;
    store->txn.meta.rules--;
    store->txn.meta_is_dirty = true;
    return mls__sql_rules_load(store);
}

static mls_status run_set(mls__sql_store *store, mls__sql_op *op)
{
    const rule_op *set = (rule_op *) (void *) op;
    mls_queue_rule *rule = find_or_add(store, set->rule);
    if (!rule)
        return store->txn.status;
    if (set->parts & MLS_RULE_PAUSE)
        rule->is_paused = set->rule->is_paused;
    const bool is_empty = store->rules->rule_is_empty(rule);
    if (is_empty ? !delete (store, rule) : !save(store, rule))
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
    mls__sql_rule *rules;
    size_t count;
} look_op;

/* Copies them for the thread that asked. It may run again, after a rollback. */
static mls_status run_look(mls__sql_store *store, mls__sql_op *op)
{
    look_op *look = (look_op *) (void *) op;
    const mls__allocator *allocator = &store->context->allocator;
    mls__free(allocator, look->rules);
    look->count = store->rule_count;
    look->rules = NULL;
    if (!look->count)
        return MLS_OK;
    look->rules = mls__alloc_array(allocator, look->count, sizeof *look->rules);
    if (!look->rules)
        return mls__error_nomem(look->count * sizeof *look->rules);
    memcpy(look->rules, store->rule_list, look->count * sizeof *look->rules);
    return MLS_OK;
}

mls_status mls__sql_visit_rules(void *self, mls_queue_rule_fn visit, void *user)
{
    static const mls__sql_kind kind = {.run = run_look};
    mls__sql_store *store = self;
    look_op look = {.op = {.kind = &kind}};
    const mls_status status = mls__sql_call(store, &look.op);
    if (!status) {
        point_to_names(look.rules, look.count);
        for (size_t i = 0; i < look.count; i++)
            visit(user, &look.rules[i].rule);
    }
    mls__free(&store->context->allocator, look.rules);
    return status;
}

void mls__sql_rules_free(mls__sql_store *store)
{
    mls__free(&store->context->allocator, store->rule_list);
}
