/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which jobs are next where rules hold back some or tenants share. Ready jobs of one
 * queue, tenant and type are a group, and groups are found by skipping through an index:
 * what is held back costs by the group, not by the job. The first jobs of each group at the
 * highest priority that has any for the claimer come here, where it is worked out which
 * are taken in which order, up to where a group may have more.
 *
 * Passes are rows, but only of tenants that are ahead of the time of their queue and
 * priority. Transactions that claim where tenants share take turns, as under limits.
 */
#include "queue/postgres/postgres.h"

#include <string.h>

#define MOST_AHEAD 32 /* of a group that come at once */

/* Columns of what is looked at, which is in the order of queues, tenants and types. */
enum { PRIORITY, QUEUE, TENANT, TYPE, ID, RANK, NOW, PASS, TURN };

typedef struct place { /* a queue */
    const char *name;
    int64_t now;
    bool is_dirty;
} place;

typedef struct share { /* of a tenant in it */
    size_t place;
    const char *tenant;
    int64_t pass, turn;
    bool is_dirty;
} share;

typedef struct group {
    size_t share;
    int next, end; /* rows */
    bool goes_on;  /* behind them too, perhaps */
} group;

typedef struct look {
    PGresult *result;
    int64_t priority;
    place *places;
    share *shares;
    group *groups;
    size_t place_count, share_count, group_count;
} look;

static void free_look(mls__pg_store *store, look *l)
{
    PQclear(l->result);
    mls__pg_free(store, l->places);
    mls__pg_free(store, l->shares);
    mls__pg_free(store, l->groups);
}

static bool is_new(const look *l, int row, int column)
{
    return row == 0 ||
           strcmp(PQgetvalue(l->result, row, column), PQgetvalue(l->result, row - 1, column)) != 0;
}

static void add_row(look *l, int row)
{
    const PGresult *result = l->result;
    const bool is_place = is_new(l, row, QUEUE);
    const bool is_share = is_place || is_new(l, row, TENANT);
    if (is_place)
        l->places[l->place_count++] = (place){.name = PQgetvalue(result, row, QUEUE),
                                              .now = mls__pg_number(result, row, NOW)};
    if (is_share)
        l->shares[l->share_count++] = (share){.place = l->place_count - 1,
                                              .tenant = PQgetvalue(result, row, TENANT),
                                              .pass = mls__pg_number(result, row, PASS),
                                              .turn = mls__pg_number(result, row, TURN)};
    if (is_share || is_new(l, row, TYPE))
        l->groups[l->group_count++] = (group){.share = l->share_count - 1, .next = row};
    group *g = &l->groups[l->group_count - 1];
    g->end = row + 1;
    g->goes_on = g->end - g->next >= MOST_AHEAD;
}

static bool read_look(mls__pg_store *store, PGresult *result, look *ret_look)
{
    const int rows = PQntuples(result);
    const size_t room = (size_t) rows + 1;
    look l = {.result = result,
              .priority = rows ? mls__pg_number(result, 0, PRIORITY) : 0,
              .places = mls__pg_alloc(store, room * sizeof *l.places),
              .shares = mls__pg_alloc(store, room * sizeof *l.shares),
              .groups = mls__pg_alloc(store, room * sizeof *l.groups)};
    if (!l.places || !l.shares || !l.groups) {
        free_look(store, &l);
        mls__pg_fail(store, MLS_ENOMEM, "no memory for %d ready jobs", rows);
        return false;
    }
    for (int row = 0; row < rows; row++)
        add_row(&l, row);
    *ret_look = l;
    return true;
}

/* Of what the claimer serves, or with `like` of jobs like that one that have no batch key. */
static PGresult *find_heads(mls__pg_store *store, const mls__served *served,
                            const mls_queue_job *like, size_t most)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, most < MOST_AHEAD ? (int64_t) most : MOST_AHEAD);
    if (like) {
        mls__pg_put_text(store, mls__pg_begin_array(store, &p, true, 1), like->info->type);
        mls__pg_put_text(store, mls__pg_begin_array(store, &p, true, 1), like->info->queue);
    } else {
        mls__pg_add_names(store, &p, served->types, served->type_count);
        mls__pg_add_names(store, &p, served->queues, served->queue_count);
    }
    mls__pg_add_holding(store, &p);
    mls__pg_add_text(&p, like ? "" : NULL);
    return mls__pg_run(store, MLS__PG_HEADS, &p);
}

static bool is_left(const group *g)
{
    return g->next < g->end;
}

static int64_t rank_of(const look *l, const group *g)
{
    return mls__pg_number(l->result, g->next, RANK);
}

static mls__turn_head head_of(const look *l, const group *g)
{
    const share *s = &l->shares[g->share];
    mls__turn_head head = {.id = mls__pg_number(l->result, g->next, ID), .rank = rank_of(l, g)};
    mls__turn_place(&head, l->places[s->place].now, s->pass, s->turn);
    return head;
}

/* That of the longest ready job; NULL: none is left. */
static group *find_oldest(const look *l)
{
    group *oldest = NULL;
    for (size_t i = 0; i < l->group_count; i++) {
        group *g = &l->groups[i];
        if (is_left(g) && (!oldest || rank_of(l, g) < rank_of(l, oldest)))
            oldest = g;
    }
    return oldest;
}

/* Whose turn it is in the queue of a group, and whether others have jobs there. */
static group *find_turn(const look *l, group *of, bool *ret_is_contended)
{
    const size_t queue = l->shares[of->share].place;
    group *best = of;
    mls__turn_head first = head_of(l, of);
    *ret_is_contended = false;
    for (size_t i = 0; i < l->group_count; i++) {
        group *g = &l->groups[i];
        if (!is_left(g) || l->shares[g->share].place != queue)
            continue;
        const mls__turn_head head = head_of(l, g);
        *ret_is_contended |= g->share != of->share;
        if (!mls__turn_goes_before(&head, &first))
            continue;
        best = g;
        first = head;
    }
    return best;
}

static int64_t step_of(const mls__pg_store *store, const char *queue, const char *tenant)
{
    return mls__kept_rules_step(&store->kept, store->rules, queue, tenant);
}

static void charge(mls__pg_store *store, look *l, const group *g)
{
    const mls__turn_head head = head_of(l, g);
    share *s = &l->shares[g->share];
    place *p = &l->places[s->place];
    p->is_dirty |= head.pass > p->now;
    p->now = head.pass;
    s->pass = head.pass + step_of(store, p->name, s->tenant);
    s->turn = mls__pg_next_rank(store); /* behind all of the same pass */
    s->is_dirty = true;
}

static size_t pick_all(mls__pg_store *store, look *l, size_t most, int64_t *ret_ids)
{
    size_t count = 0;
    while (count < most) {
        bool is_contended = false;
        group *g = find_oldest(l);
        if (g && store->txn.shares)
            g = find_turn(l, g, &is_contended);
        if (!g)
            break;
        ret_ids[count++] = mls__pg_number(l->result, g->next, ID);
        if (is_contended)
            charge(store, l, g);
        g->next++;
        if (!is_left(g) && g->goes_on)
            break;
    }
    return count;
}

static bool save_places(mls__pg_store *store, const look *l)
{
    mls__pg_parameters p = {0};
    size_t count = 0;
    for (size_t i = 0; i < l->place_count; i++)
        count += l->places[i].is_dirty;
    if (!count)
        return true;
    mls__pg_buffer *names = mls__pg_begin_array(store, &p, true, count);
    mls__pg_buffer *times = mls__pg_begin_array(store, &p, false, count);
    for (size_t i = 0; i < l->place_count; i++)
        if (l->places[i].is_dirty) {
            mls__pg_put_text(store, names, l->places[i].name);
            mls__pg_put_number(store, times, l->places[i].now);
        }
    mls__pg_add_number(&p, l->priority);
    return mls__pg_run_none(store, MLS__PG_TURNS_SAVE, &p);
}

/* Of each (queue, tenant) that was served: its pass and turn. */
static bool save_shares(mls__pg_store *store, const look *l)
{
    mls__pg_parameters p = {0};
    size_t count = 0;
    for (size_t i = 0; i < l->share_count; i++)
        count += l->shares[i].is_dirty;
    if (!count)
        return true;
    mls__pg_buffer *queues = mls__pg_begin_array(store, &p, true, count);
    mls__pg_buffer *tenants = mls__pg_begin_array(store, &p, true, count);
    mls__pg_buffer *passes = mls__pg_begin_array(store, &p, false, count);
    mls__pg_buffer *turns = mls__pg_begin_array(store, &p, false, count);
    for (size_t i = 0; i < l->share_count; i++) {
        const share *s = &l->shares[i];
        if (!s->is_dirty)
            continue;
        mls__pg_put_text(store, queues, l->places[s->place].name);
        mls__pg_put_text(store, tenants, s->tenant);
        mls__pg_put_number(store, passes, s->pass);
        mls__pg_put_number(store, turns, s->turn);
    }
    mls__pg_add_number(&p, l->priority);
    return mls__pg_run_none(store, MLS__PG_SHARES_SAVE, &p);
}

/* Drops passes that fell behind, at one in 64 ranks, which are not evenly spaced. */
static bool sweep(mls__pg_store *store)
{
    if ((uint64_t) store->last_rank * UINT64_C(0x9e3779b97f4a7c15) >> 58)
        return true;
    return mls__pg_run_none(store, MLS__PG_SHARES_SWEEP, NULL);
}

bool mls__pg_turns_pick(mls__pg_store *store, const mls__served *served, const mls_queue_job *like,
                        size_t most, int64_t *ret_ids, size_t *ret_count)
{
    look l;
    PGresult *result = find_heads(store, served, like, most);
    if (!result || !read_look(store, result, &l))
        return false;
    *ret_count = pick_all(store, &l, most, ret_ids);
    const bool is_good =
        !store->txn.shares || (save_places(store, &l) && save_shares(store, &l) && sweep(store));
    free_look(store, &l);
    return is_good;
}

bool mls__pg_turns_charge(mls__pg_store *store, const mls_job_info *info, size_t count)
{
    mls__pg_parameters p = {0};
    mls__pg_add_text(&p, info->queue);
    mls__pg_add_number(&p, info->priority);
    mls__pg_add_text(&p, info->tenant);
    mls__pg_add_number(&p, (int64_t) count * step_of(store, info->queue, info->tenant));
    mls__pg_add_number(&p, mls__pg_next_rank(store));
    return mls__pg_run_none(store, MLS__PG_SHARE_CHARGE, &p);
}

bool mls__pg_turns_begin(mls__pg_store *store)
{
    store->txn.shares = true;
    return mls__pg_run_none(store, MLS__PG_SHARES_MARK, NULL) &&
           mls__pg_run_none(store, MLS__PG_RULES_LOCK, NULL);
}
