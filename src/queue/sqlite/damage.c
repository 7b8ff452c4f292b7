/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that are damaged and due. Every transaction looks at what is due first, so that one
 * such row would stop the queue: it is made whole, as far as it can be, and dead.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <stdio.h>

#define KEPT_MS INT64_C(86400000) /* at least, for people to see it */

/* Jobs by state, of all lanes, counted anew: who knows where this one was counted. */
static bool recount(mls__sql_store *store)
{
    store->room_is_stale = true;
    return mls__sql_run(store, mls__sql_prepare(store, MLS__SQL_LANES_RECOUNT)) &&
           mls__sql_rules_recount(store);
}

/* What is known of the job, with numbers that can be. */
static bool make_whole(mls__sql_store *store, mls__sql_row *row)
{
    static const mls_resources nothing;
    char text[MLS_JOB_ERROR_MAX];
    snprintf(text, sizeof text,
             "the job's row in the queue's file was damaged: it was quarantined (it was %s)",
             mls_job_state_name(row->state));
    if (!row->lane &&
        mls__sql_lane_make(store, "default", "damaged", "", false, &nothing, &row->lane) != MLS_OK)
        return false;
    mls__sql_row_clear(row);
    row->state = MLS_JOB_DEAD;
    row->rank = row->member = row->claimer = 0;
    row->ended_ms = store->txn.now_ms;
    row->timer_ms = store->txn.now_ms + (row->retention_ms > KEPT_MS ? row->retention_ms : KEPT_MS);
    row->error = MLS_EFORMAT;
    row->error_text = text;
    return mls__sql_row_repair(store, row);
}

bool mls__sql_quarantine(mls__sql_store *store, mls__sql_row *row)
{
    const int64_t id = row->id;
    mls__log(store->context, MLS_LOG_WARNING, "queue '%s': the row of job %lld is damaged",
             store->path, (long long) id);
    if (!mls__sql_lanes_save(store) || !make_whole(store, row))
        return false;
    mls__sql_lane_add(store, row->lane, MLS__SQL_DEAD, 1);
    store->txn.news |= MLS__SQL_NEWS_ENDED;
    return recount(store) && mls__sql_parents_leave(store, id) &&
           mls__sql_row_load(store, (uint64_t) id, row) > 0 && mls__sql_waits_serve(store, row) &&
           mls__sql_parents_end(store, id, MLS_JOB_DEAD);
}
