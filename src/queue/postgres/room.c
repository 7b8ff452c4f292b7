/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a claimer with a capacity has room for. The ready jobs of a group state the same needs, so
 * they all fit or none does. What the claimer runs, and of which groups jobs are ready, is read
 * by each claim rather than kept, so that neither a rollback nor a crash leaves a count
 * that is wrong; and claims take jobs of the groups alone that were found to fit, in steps of which
 * none oversteps the capacity. Where no job ever needed anything, nothing is read.
 */
#include "queue/postgres/postgres.h"

#include <string.h>

static const mls_resources nothing;

/* Columns of what runs, and in this order of what is ready; since then it runs, or waits. */
enum { TYPE, CPU, MEMORY, GPUS, SINCE, MEMORY_SAMPLES, MEMORY_P95, WALL_SAMPLES, WALL_P95 };

struct mls__pg_room {
    const mls__pg_claimer *claimer;
    mls__pg_trail *trail;
    mls__pg_group *groups; /* the walk's */
    mls_queue_run *runs;
    size_t count, run_count, run_room;
    mls_resources used, aside;
    bool has_aside;
    uint64_t start_ns; /* when that is expected to begin for which room is set aside */
};

void mls__pg_room_free(mls__pg_store *store, mls__pg_room *room)
{
    if (!room)
        return;
    mls__pg_free(store, room->runs);
    mls__pg_free(store, room);
}

mls__pg_weight mls__pg_room_weigh(const mls__pg_store *store, const mls__pg_claimer *claimer,
                                  const PGresult *result, int row, int column)
{
    const mls_queue_host *policy = store->rules;
    mls__pg_weight weight = {.takes = {mls__pg_number(result, row, column + CPU),
                                       mls__pg_number(result, row, column + MEMORY),
                                       mls__pg_number(result, row, column + GPUS)}};
    weight.takes.memory_bytes = policy->packed_memory(
        weight.takes.memory_bytes, (uint64_t) mls__pg_number(result, row, column + MEMORY_SAMPLES),
        mls__pg_number(result, row, column + MEMORY_P95), claimer->capacity.memory_bytes);
    weight.takes_ns =
        policy->expected_ns((uint64_t) mls__pg_number(result, row, column + WALL_SAMPLES),
                            (uint64_t) mls__pg_number(result, row, column + WALL_P95));
    return weight;
}

static void use(mls__pg_room *room, const mls__pg_weight *w, int64_t since_us)
{
    room->used.cpu_milli += w->takes.cpu_milli;
    room->used.memory_bytes += w->takes.memory_bytes;
    room->used.gpus += w->takes.gpus;
    if (room->run_count < room->run_room)
        room->runs[room->run_count++] =
            (mls_queue_run){.ends_ns = w->takes_ns ? (uint64_t) since_us * 1000 + w->takes_ns : 0,
                            .takes = w->takes};
}

static bool are_pooled(const mls__pg_claimer *a, const mls__pg_claimer *b)
{
    return a != b && a->pool && a->pool == b->pool;
}

/* The claimer, and those that have one capacity with it. */
static void add_claimers(mls__pg_store *store, mls__pg_parameters *p,
                         const mls__pg_claimer *claimer)
{
    size_t count = 1;
    for (const mls__pg_claimer *other = store->pooled; other; other = other->next_pooled)
        count += are_pooled(other, claimer);
    mls__pg_buffer *ids = mls__pg_begin_array(store, p, false, count);
    mls__pg_put_number(store, ids, claimer->id);
    for (const mls__pg_claimer *other = store->pooled; other; other = other->next_pooled)
        if (are_pooled(other, claimer))
            mls__pg_put_number(store, ids, other->id);
}

/* What the claimer runs; `most` more will be claimed. */
static bool read_runs(mls__pg_store *store, mls__pg_room *room, size_t most)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, store->member);
    add_claimers(store, &p, room->claimer);
    PGresult *result = mls__pg_run(store, MLS__PG_ROOM_RUNS, &p);
    if (!result)
        return false;
    room->run_room = (size_t) PQntuples(result) + most;
    room->runs = mls__pg_alloc(store, (room->run_room + 1) * sizeof *room->runs);
    for (int i = 0; room->runs && i < PQntuples(result); i++) {
        const mls__pg_weight weight = mls__pg_room_weigh(store, room->claimer, result, i, TYPE);
        use(room, &weight, mls__pg_number(result, i, SINCE));
    }
    PQclear(result);
    return room->runs != NULL;
}

static bool is_same(const mls_resources *a, const mls_resources *b)
{
    return a->cpu_milli == b->cpu_milli && a->memory_bytes == b->memory_bytes && a->gpus == b->gpus;
}

mls__pg_room *mls__pg_room_create(mls__pg_store *store, const mls__pg_claimer *claimer,
                                  mls__pg_walk *walk, size_t most)
{
    mls__pg_room *room = mls__pg_alloc(store, sizeof *room);
    if (room) {
        room->claimer = claimer;
        room->trail = mls__pg_walk_trail(walk);
        room->groups = mls__pg_walk_groups(walk, &room->count);
    }
    if (room && read_runs(store, room, most))
        return room;
    mls__pg_room_free(store, room);
    mls__pg_fail(store, MLS_ENOMEM, "no memory to see what a claimer has room for");
    return NULL;
}

/* Whether it fits now, and is expected to end before that for which room is set aside begins. */
static bool may_pass(const mls__pg_store *store, const mls__pg_room *room, const mls__pg_weight *w)
{
    const uint64_t now_ns = (uint64_t) store->txn.now_us * 1000;
    return room->has_aside && w->takes_ns && now_ns + w->takes_ns <= room->start_ns &&
           store->rules->has_room(&room->claimer->capacity, &room->used, &nothing, &w->takes);
}

static bool has_room(const mls__pg_store *store, const mls__pg_room *room,
                     const mls_resources *takes)
{
    return store->rules->has_room(&room->claimer->capacity, &room->used, &room->aside, takes);
}

/* Whether it would if nothing else ran, and has none. */
static bool is_crowded_out(const mls__pg_store *store, const mls__pg_room *room,
                           const mls_resources *takes)
{
    const mls_resources *capacity = &room->claimer->capacity;
    return store->rules->has_room(capacity, &nothing, &nothing, takes) &&
           !store->rules->has_room(capacity, &room->used, &nothing, takes);
}

static void keep_longest(mls__pg_crowded *longest, const mls__pg_crowded *other)
{
    if (other->since_us && (!longest->since_us || other->since_us < longest->since_us))
        *longest = *other;
}

/* The first job that waits longest of those that would fit, past the claimer's patience. */
static mls__pg_crowded find_crowded(const mls__pg_store *store, const mls__pg_room *room)
{
    mls__pg_crowded longest = {0};
    for (size_t i = 0; i < room->count; i++) {
        const mls__pg_group *group = &room->groups[i];
        const mls__pg_crowded waits = {group->weight.takes, group->since_us};
        if (store->txn.now_us - waits.since_us >= room->claimer->patience_us &&
            is_crowded_out(store, room, &waits.takes))
            keep_longest(&longest, &waits);
    }
    return longest;
}

/* Where a claim looks at some of the groups only, what others saw counts for a while. */
static mls__pg_crowded remember_crowded(const mls__pg_store *store, const mls__pg_room *room)
{
    mls__pg_trail *trail = room->trail;
    mls__pg_crowded longest = find_crowded(store, room);
    keep_longest(&trail->now, &longest);
    if (trail->is_within && is_crowded_out(store, room, &trail->now.takes))
        keep_longest(&longest, &trail->now);
    if (is_crowded_out(store, room, &trail->before.takes))
        keep_longest(&longest, &trail->before);
    return longest;
}

static void set_aside(mls__pg_store *store, mls__pg_room *room)
{
    const mls__pg_crowded crowded = remember_crowded(store, room);
    room->has_aside = crowded.since_us != 0;
    room->aside = crowded.takes;
    if (room->has_aside)
        room->start_ns =
            store->rules->expected_start_ns(&room->claimer->capacity, &room->aside, room->runs,
                                            room->run_count, (uint64_t) store->txn.now_us * 1000);
    store->has_aside |= room->has_aside;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* How many jobs fit, whatever each takes, up to `most` of each. */
static size_t count_fitting(const mls__pg_store *store, const mls__pg_room *room,
                            const mls_resources *most_each, size_t most)
{
    mls_resources sum = *most_each;
    size_t count = 1;
    for (; count < most; count++) {
        sum.cpu_milli += most_each->cpu_milli;
        sum.memory_bytes += most_each->memory_bytes;
        sum.gpus += most_each->gpus;
        if (!has_room(store, room, &sum))
            break;
    }
    return count;
}

size_t mls__pg_room_step(mls__pg_store *store, mls__pg_room *room, size_t most)
{
    mls_resources most_each = nothing;
    bool any = false, passes = false;
    set_aside(store, room);
    for (size_t i = 0; i < room->count; i++) {
        mls__pg_group *group = &room->groups[i];
        const mls_resources *takes = &group->weight.takes;
        const bool has = has_room(store, room, takes);
        group->fits = has || may_pass(store, room, &group->weight);
        any |= group->fits;
        passes |= group->fits && !has;
        if (!group->fits)
            continue;
        most_each.cpu_milli = larger(most_each.cpu_milli, takes->cpu_milli);
        most_each.memory_bytes = larger(most_each.memory_bytes, takes->memory_bytes);
        most_each.gpus = larger(most_each.gpus, takes->gpus);
    }
    return !any ? 0 : passes ? 1 : count_fitting(store, room, &most_each, most);
}

void mls__pg_room_take(const mls__pg_store *store, mls__pg_room *room, const mls_job_info *info)
{
    for (size_t i = 0; i < room->count; i++) {
        const mls__pg_group *group = &room->groups[i];
        if (strcmp(group->type, info->type) != 0 || !is_same(&group->needs, &info->needs))
            continue;
        use(room, &group->weight, store->txn.now_us);
        return;
    }
}

void mls__pg_room_changed(mls__pg_store *store)
{
    if (!store->txn.room || !atomic_load(&store->bounded_claimers))
        return;
    store->txn.is_ready_news = true;
    store->txn.found_none = false;
}

bool mls__pg_room_mark(mls__pg_store *store)
{
    if (store->txn.room)
        return true;
    store->txn.room = store->txn.is_writing = true;
    return mls__pg_run_none(store, MLS__PG_ROOM_MARK, NULL);
}

/*
 * No transaction is under way that claims and does not know, and none begins: who reads rules, as
 * all do that may claim, has their table locked against this. To lock it behind that would be a
 * deadlock of two that do.
 */
bool mls__pg_room_begin(mls__pg_store *store)
{
    mls__pg_rollback(store);
    return mls__pg_begin(store, MLS__PG_EXCLUSIVE) == MLS_OK && mls__pg_room_mark(store);
}
