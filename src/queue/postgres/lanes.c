/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes: the pairs of queue and type, and what is counted of each. Counts are summed up
 * in memory and added to the member's own row once a transaction, in it: so no two
 * processes wait for one row.
 */
#include "queue/postgres/postgres.h"

#include <string.h>

/* FNV-1a. */
static uint32_t hash_name(uint32_t hash, const char *name)
{
    for (; *name; name++)
        hash = (hash ^ (unsigned char) *name) * UINT32_C(16777619);
    return hash * UINT32_C(16777619);
}

mls__pg_lane *mls__pg_lane_of(mls__pg_store *store, const char *queue, const char *type)
{
    const uint32_t hash = hash_name(hash_name(UINT32_C(2166136261), queue), type);
    mls__pg_lane **bucket = &store->lanes[hash % MLS__PG_BUCKETS];
    for (mls__pg_lane *lane = *bucket; lane; lane = lane->next)
        if (strcmp(lane->names, queue) == 0 && strcmp(lane->type, type) == 0)
            return lane;
    const size_t queue_size = strlen(queue) + 1, type_size = strlen(type) + 1;
    mls__pg_lane *lane = mls__pg_alloc(store, sizeof *lane + queue_size + type_size);
    if (!lane) {
        mls__pg_fail(store, MLS_ENOMEM, "no memory for the counts of a type");
        return NULL;
    }
    memcpy(lane->names, queue, queue_size);
    lane->type = memcpy(lane->names + queue_size, type, type_size);
    lane->next = *bucket;
    *bucket = lane;
    return lane;
}

void mls__pg_lane_add(mls__pg_lane *lane, int counter, int64_t more)
{
    lane->deltas[counter] += more;
    lane->is_dirty = true;
}

static bool save(mls__pg_store *store, mls__pg_lane *lane)
{
    mls__pg_parameters p = {0};
    mls__pg_add_number(&p, store->member);
    mls__pg_add_text(&p, lane->names);
    mls__pg_add_text(&p, lane->type);
    mls__pg_add_numbers(store, &p, lane->deltas, MLS__PG_COUNTERS);
    memset(lane->deltas, 0, sizeof lane->deltas);
    lane->is_dirty = false;
    store->txn.is_writing = true;
    return mls__pg_run_none(store, MLS__PG_COUNT, &p);
}

bool mls__pg_lanes_save(mls__pg_store *store)
{
    for (size_t i = 0; i < MLS__PG_BUCKETS; i++)
        for (mls__pg_lane *lane = store->lanes[i]; lane; lane = lane->next)
            if (lane->is_dirty && !save(store, lane))
                return false;
    return true;
}

void mls__pg_lanes_clear(mls__pg_store *store)
{
    for (size_t i = 0; i < MLS__PG_BUCKETS; i++)
        for (mls__pg_lane *lane = store->lanes[i]; lane; lane = lane->next) {
            memset(lane->deltas, 0, sizeof lane->deltas);
            lane->is_dirty = false;
        }
}

void mls__pg_lanes_free(mls__pg_store *store)
{
    for (size_t i = 0; i < MLS__PG_BUCKETS; i++)
        for (mls__pg_lane *lane = store->lanes[i], *next; lane; lane = next) {
            next = lane->next;
            mls__pg_free(store, lane);
        }
}
