/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which jobs are next where rules hold back some, tenants share or not all fit. Groups are found by
 * skipping through an index (walk.c): what is held back costs by the group, not by the job. The
 * first jobs of each group at the highest priority that has any for the claimer come here, where it
 * is worked out which are taken in which order, up to where a group may have more.
 *
 * They are looked at without being locked, since most are not taken. Where others have locked
 * all that was picked, a second look passes over what is locked, and locks what it sees.
 *
 * Passes are rows, but only of tenants that are ahead of the time of their queue and
 * priority. Transactions that claim where tenants share take turns, as under limits.
 */
#include "queue/postgres/postgres.h"

#include <string.h>

#define MOST_AHEAD 32   /* of a group that come at once */
#define MANY_AHEAD 1024 /* of all; of many groups one each */

/* Columns of what is looked at, which is in the order of queues, tenants, types and needs. */
enum { PRIORITY, QUEUE, TENANT, TYPE, ID, RANK, NOW, PASS, TURN, CPU, MEMORY, GPUS };

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
    bool goes_on;  /* behind them too, perhaps: with jobs that are not seen */
} group;

typedef struct pick {
    int row;
    size_t group;
    bool is_contended; /* others have jobs in its queue: it is charged */
} pick;

struct mls__pg_turns {
    PGresult *result;
    int64_t priority;
    place *places;
    share *shares;
    group *groups;
    size_t place_count, share_count, group_count, pick_count;
    int ahead; /* rows of a group, at most */
    pick picks[MLS__PG_MOST_PICKS];
};
typedef struct mls__pg_turns look;

void mls__pg_turns_free(mls__pg_store *store, mls__pg_turns *turns)
{
    PQclear(turns->result);
    mls__pg_free(store, turns->places);
    mls__pg_free(store, turns->shares);
    mls__pg_free(store, turns->groups);
    mls__pg_free(store, turns);
}

static bool is_new(const look *l, int row, int column)
{
    return row == 0 ||
           strcmp(PQgetvalue(l->result, row, column), PQgetvalue(l->result, row - 1, column)) != 0;
}

/* Jobs of other needs are groups of their own. */
static bool needs_other(const look *l, int row)
{
    for (int column = CPU; column <= GPUS; column++)
        if (mls__pg_number(l->result, row, column) != mls__pg_number(l->result, row - 1, column))
            return true;
    return false;
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
    if (is_share || is_new(l, row, TYPE) || needs_other(l, row))
        l->groups[l->group_count++] = (group){.share = l->share_count - 1, .next = row};
    group *g = &l->groups[l->group_count - 1];
    g->end = row + 1;
    g->goes_on = g->end - g->next >= l->ahead;
}

/* As the rows say it: without what was picked. */
static void fill_look(look *l)
{
    l->place_count = l->share_count = l->group_count = 0;
    for (int row = 0; row < PQntuples(l->result); row++)
        add_row(l, row);
}

/* Takes the result over; NULL: no memory. */
static look *read_look(mls__pg_store *store, PGresult *result, int ahead)
{
    const int rows = PQntuples(result);
    const size_t room = (size_t) rows + 1;
    look *l = mls__pg_alloc(store, sizeof *l);
    if (!l) {
        PQclear(result);
        return NULL;
    }
    l->result = result;
    l->ahead = ahead;
    l->priority = rows ? mls__pg_number(result, 0, PRIORITY) : 0;
    l->places = mls__pg_alloc(store, room * sizeof *l->places);
    l->shares = mls__pg_alloc(store, room * sizeof *l->shares);
    l->groups = mls__pg_alloc(store, room * sizeof *l->groups);
    if (!l->places || !l->shares || !l->groups) {
        mls__pg_turns_free(store, l);
        return NULL;
    }
    fill_look(l);
    return l;
}

/* So many jobs of each group are looked at, by how many groups there were the last time. */
static int count_ahead(const mls__pg_store *store, size_t most)
{
    const size_t of_each = MANY_AHEAD / (store->group_count + 1) + 1;
    const size_t ahead = of_each < MOST_AHEAD ? of_each : MOST_AHEAD;
    return (int) (most < ahead ? most : ahead);
}

static PGresult *find_heads(mls__pg_store *store, const mls__pg_choice *choice, int ahead)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, ahead);
    mls__pg_add_number(&p, choice->priority);
    mls__pg_add_holding(store, &p);
    mls__pg_add_text(&p, choice->like ? "" : NULL);
    mls__pg_add_groups(store, &p, choice->walk, choice->priority);
    return mls__pg_run(store, choice->locks ? MLS__PG_HEADS_LOCK : MLS__PG_HEADS, &p);
}

static bool is_left(const group *g)
{
    return g->next < g->end;
}

/* Whether it has jobs left, seen or not. */
static bool is_open(const group *g)
{
    return is_left(g) || g->goes_on;
}

/* Of its next job; when that is not seen, of the last that was: it is no older. */
static int row_of(const group *g)
{
    return is_left(g) ? g->next : g->end - 1;
}

static int64_t rank_of(const look *l, const group *g)
{
    return mls__pg_number(l->result, row_of(g), RANK);
}

static mls__turn_head head_of(const look *l, const group *g)
{
    const share *s = &l->shares[g->share];
    mls__turn_head head = {.id = mls__pg_number(l->result, row_of(g), ID), .rank = rank_of(l, g)};
    mls__turn_place(&head, l->places[s->place].now, s->pass, s->turn);
    return head;
}

/* That of the longest ready job; NULL: none is left. */
static group *find_oldest(const look *l)
{
    group *oldest = NULL;
    for (size_t i = 0; i < l->group_count; i++) {
        group *g = &l->groups[i];
        if (is_open(g) && (!oldest || rank_of(l, g) < rank_of(l, oldest)))
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
        if (!is_open(g) || l->shares[g->share].place != queue)
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

/* Until one is next that is not seen, or whose queue is not known to be. */
static void pick_all(mls__pg_store *store, look *l, size_t most)
{
    while (l->pick_count < most) {
        bool is_contended = false;
        group *g = find_oldest(l);
        if (g && !is_left(g) && l->place_count > 1)
            break;
        if (g && store->txn.shares)
            g = find_turn(l, g, &is_contended);
        if (!g || !is_left(g))
            break;
        l->picks[l->pick_count++] = (pick){g->next, (size_t) (g - l->groups), is_contended};
        if (is_contended)
            charge(store, l, g);
        g->next++;
    }
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

mls__pg_turns *mls__pg_turns_pick(mls__pg_store *store, const mls__pg_choice *choice)
{
    const int ahead = count_ahead(store, choice->most);
    PGresult *result = find_heads(store, choice, ahead);
    look *l = result ? read_look(store, result, ahead) : NULL;
    if (!l) {
        mls__pg_fail(store, MLS_ENOMEM, "no memory for the first ready jobs");
        return NULL;
    }
    store->group_count = l->group_count;
    pick_all(store, l, choice->most < MLS__PG_MOST_PICKS ? choice->most : MLS__PG_MOST_PICKS);
    return l;
}

size_t mls__pg_turns_count(const mls__pg_turns *turns)
{
    return turns->pick_count;
}

int64_t mls__pg_turns_id(const mls__pg_turns *turns, size_t index)
{
    return mls__pg_number(turns->result, turns->picks[index].row, ID);
}

/* Charges anew, and only what was taken of what was picked: in the same order. */
static void charge_taken(mls__pg_store *store, look *l, mls_queue_job *const *taken, size_t count)
{
    fill_look(l);
    for (size_t i = 0, at = 0; i < l->pick_count && at < count; i++) {
        group *g = &l->groups[l->picks[i].group];
        if ((uint64_t) mls__pg_turns_id(l, i) != taken[at]->info->id)
            continue;
        g->next = l->picks[i].row;
        if (l->picks[i].is_contended)
            charge(store, l, g);
        at++;
    }
}

bool mls__pg_turns_keep(mls__pg_store *store, mls__pg_turns *turns, mls_queue_job *const *taken,
                        size_t count)
{
    if (!store->txn.shares)
        return true;
    if (count < turns->pick_count)
        charge_taken(store, turns, taken, count);
    return save_places(store, turns) && save_shares(store, turns) && sweep(store);
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
    store->txn.shares = store->txn.is_writing = true;
    return mls__pg_run_none(store, MLS__PG_RULES_LOCK, NULL) &&
           mls__pg_run_none(store, MLS__PG_SHARES_MARK, NULL);
}
