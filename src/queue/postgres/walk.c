/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which groups of ready jobs there are for a claimer, where it matters which are claimed: those of
 * one priority, queue, tenant and type that need the same. A claim looks at so many of them and no
 * more, since who submits may make as many as there are numbers. Where there are more the next
 * claim goes on behind them: while it finds some at a priority, to the end of that and then from
 * the first one on, and else down to the last. So no group is passed over for ever, and lower
 * priorities have their turn only where nothing was found above.
 *
 * The trail is the claimer's, and so are its walks: that there is nothing is known to those of its
 * claims alone that came before a walk began which saw all groups in vain.
 */
#include "queue/postgres/postgres.h"

#include <string.h>

/* In a claim. */
#define MOST_GROUPS 1024

/* From TYPE on as of what runs, in room.c. */
enum {
    PRIORITY,
    QUEUE,
    TENANT,
    TYPE,
    CPU,
    MEMORY,
    GPUS,
    SINCE,
    PASSES = SINCE + 5, /* behind what is known of its costs */
    PLACE
};

struct mls__pg_walk {
    PGresult *result;
    mls__pg_trail *trail;
    mls__pg_group *groups;
    size_t count;
    bool is_within, is_whole; /* it began behind the first group; it ended with the last */
    mls__pg_group last;       /* that was looked at */
};

static const mls_resources everything = {INT64_MAX, INT64_MAX, INT64_MAX};

static void add_needs(mls__pg_parameters *p, const mls_resources *needs)
{
    mls__pg_add_number(p, needs->cpu_milli);
    mls__pg_add_number(p, needs->memory_bytes);
    mls__pg_add_number(p, needs->gpus);
}

static void add_start(mls__pg_parameters *p, const mls__pg_trail *trail)
{
    static const mls__pg_trail first = {.priority = INT64_MAX};
    const mls__pg_trail *at = trail->is_within ? trail : &first;
    mls__pg_add_number(p, at->priority);
    mls__pg_add_text(p, at->queue);
    mls__pg_add_text(p, at->tenant);
    mls__pg_add_text(p, at->type);
    add_needs(p, &at->needs);
}

static PGresult *find_groups(mls__pg_store *store, const mls__pg_claimer *claimer,
                             const mls_queue_job *like, const mls__pg_trail *trail, bool is_bound)
{
    static const mls_resources nothing;
    const bool has_types = like || claimer->served.type_count;
    const int walk = has_types                     ? MLS__PG_WALK_TYPES
                     : claimer->served.queue_count ? MLS__PG_WALK_QUEUES
                                                   : MLS__PG_WALK;
    mls__pg_parameters p = {0};
    mls__pg_add_served(store, &p, &claimer->served, like);
    mls__pg_add_holding(store, &p);
    add_needs(&p, like ? &like->info->needs : &nothing);
    add_needs(&p, like ? &like->info->needs : &everything);
    mls__pg_add_number(&p, is_bound); /* only then it matters how long they wait */
    add_start(&p, trail);
    mls__pg_add_number(&p, MOST_GROUPS);
    return mls__pg_run(store, walk, &p);
}

static mls__pg_group read_group(const mls__pg_store *store, const mls__pg_claimer *claimer,
                                const PGresult *result, int row)
{
    mls__pg_group group = {.priority = mls__pg_number(result, row, PRIORITY),
                           .queue = PQgetvalue(result, row, QUEUE),
                           .tenant = PQgetvalue(result, row, TENANT),
                           .type = PQgetvalue(result, row, TYPE),
                           .needs = {mls__pg_number(result, row, CPU),
                                     mls__pg_number(result, row, MEMORY),
                                     mls__pg_number(result, row, GPUS)},
                           .since_us = mls__pg_number(result, row, SINCE),
                           .fits = true};
    group.weight = mls__pg_room_weigh(store, claimer, result, row, TYPE);
    return group;
}

/* Where some were found before at a priority, none of a lower one: there may be more above. */
static bool is_wanted(const mls__pg_walk *walk, int row)
{
    const mls__pg_trail *trail = walk->trail;
    return mls__pg_number(walk->result, row, PASSES) &&
           !(trail->found_some && mls__pg_number(walk->result, row, PRIORITY) < trail->lowest);
}

/* The last row is of the last group that was looked at, which need not be for the claimer. */
static bool read_groups(mls__pg_store *store, const mls__pg_claimer *claimer, mls__pg_walk *walk)
{
    const int rows = PQntuples(walk->result);
    walk->groups = mls__pg_alloc(store, ((size_t) rows + 1) * sizeof *walk->groups);
    if (!walk->groups || !rows)
        return false;
    for (int row = 0; row < rows; row++)
        if (is_wanted(walk, row))
            walk->groups[walk->count++] = read_group(store, claimer, walk->result, row);
    walk->last = read_group(store, claimer, walk->result, rows - 1);
    walk->is_whole = mls__pg_number(walk->result, rows - 1, PLACE) < MOST_GROUPS;
    return true;
}

mls__pg_walk *mls__pg_walk_create(mls__pg_store *store, const mls__pg_claimer *claimer,
                                  const mls_queue_job *like, mls__pg_trail *trail, bool is_bound)
{
    mls__pg_walk *walk = mls__pg_alloc(store, sizeof *walk);
    if (walk) {
        if (!trail->is_within)
            trail->began = store->moment;
        walk->trail = trail;
        walk->is_within = trail->is_within;
        walk->result = find_groups(store, claimer, like, trail, is_bound);
    }
    if (walk && walk->result && read_groups(store, claimer, walk))
        return walk;
    mls__pg_walk_free(store, walk);
    mls__pg_fail(store, MLS_ENOMEM, "no memory for the groups of ready jobs");
    return NULL;
}

void mls__pg_walk_free(mls__pg_store *store, mls__pg_walk *walk)
{
    if (!walk)
        return;
    PQclear(walk->result);
    mls__pg_free(store, walk->groups);
    mls__pg_free(store, walk);
}

mls__pg_group *mls__pg_walk_groups(const mls__pg_walk *walk, size_t *ret_count)
{
    *ret_count = walk->count;
    return walk->groups;
}

mls__pg_trail *mls__pg_walk_trail(const mls__pg_walk *walk)
{
    return walk->trail;
}

static bool is_open(const mls__pg_group *group)
{
    return group->fits && !group->is_spent;
}

bool mls__pg_walk_highest(const mls__pg_walk *walk, int64_t *ret_priority)
{
    bool is_there = false;
    for (size_t i = 0; i < walk->count; i++) {
        const mls__pg_group *group = &walk->groups[i];
        if (is_open(group) && (!is_there || group->priority > *ret_priority))
            *ret_priority = group->priority;
        is_there |= is_open(group);
    }
    return is_there;
}

void mls__pg_walk_spend(mls__pg_walk *walk, int64_t priority)
{
    for (size_t i = 0; i < walk->count; i++)
        walk->groups[i].is_spent |=
            is_open(&walk->groups[i]) && walk->groups[i].priority == priority;
}

/* Arrays of queues, tenants, types and needs. */
void mls__pg_add_groups(mls__pg_store *store, mls__pg_parameters *p, const mls__pg_walk *walk,
                        int64_t priority)
{
    mls__pg_buffer *arrays[6];
    size_t count = 0;
    for (size_t i = 0; i < walk->count; i++)
        count += is_open(&walk->groups[i]) && walk->groups[i].priority == priority;
    for (size_t i = 0; i < 6; i++)
        arrays[i] = mls__pg_begin_array(store, p, i < 3, count);
    for (size_t i = 0; i < walk->count; i++) {
        const mls__pg_group *group = &walk->groups[i];
        if (!is_open(group) || group->priority != priority)
            continue;
        mls__pg_put_text(store, arrays[0], group->queue);
        mls__pg_put_text(store, arrays[1], group->tenant);
        mls__pg_put_text(store, arrays[2], group->type);
        mls__pg_put_number(store, arrays[3], group->needs.cpu_milli);
        mls__pg_put_number(store, arrays[4], group->needs.memory_bytes);
        mls__pg_put_number(store, arrays[5], group->needs.gpus);
    }
}

/* The next claim goes on behind that group. false: its names are of no queue that was made here. */
static bool go_on(mls__pg_trail *trail, const mls__pg_group *last)
{
    if (strlen(last->queue) > MLS_JOB_NAME_MAX || strlen(last->type) > MLS_JOB_NAME_MAX ||
        strlen(last->tenant) > MLS_JOB_KEY_MAX)
        return false;
    trail->is_within = true;
    trail->priority = last->priority;
    strcpy(trail->queue, last->queue);
    strcpy(trail->tenant, last->tenant);
    strcpy(trail->type, last->type);
    trail->needs = last->needs;
    return true;
}

/* The next claim begins with the first group, and remembers who was crowded out behind. */
static void go_back(mls__pg_trail *trail, bool saw_all)
{
    trail->is_within = trail->found_some = false;
    trail->before = saw_all ? (mls__pg_crowded){0} : trail->now;
    trail->now = (mls__pg_crowded){0};
}

void mls__pg_walk_found(mls__pg_walk *walk, int64_t priority)
{
    mls__pg_trail *trail = walk->trail;
    if (!trail->found_some || priority < trail->lowest)
        trail->lowest = priority;
    trail->found_some = true;
}

bool mls__pg_walk_is_whole(const mls__pg_walk *walk)
{
    return walk->is_whole;
}

void mls__pg_trail_before(mls__pg_trail *trail, const mls_job_info *info)
{
    const mls__pg_group group = {
        .priority = info->priority,
        .queue = info->queue,
        .tenant = info->tenant,
        .type = info->type,
        .needs = {info->needs.cpu_milli, info->needs.memory_bytes, info->needs.gpus + 1}};
    *trail = (mls__pg_trail){0};
    go_on(trail, &group);
}

bool mls__pg_walk_end(const mls__pg_store *store, mls__pg_walk *walk, bool was_missed)
{
    mls__pg_trail *trail = walk->trail;
    const bool goes_on =
        !walk->is_whole && (!trail->found_some || walk->last.priority == trail->lowest);
    const bool saw_all = walk->is_whole && !walk->is_within;
    if (was_missed)
        trail->missed = store->moment;
    if (goes_on && go_on(trail, &walk->last))
        return false;
    if (!trail->found_some)
        trail->seen = trail->began;
    go_back(trail, saw_all);
    return saw_all;
}
