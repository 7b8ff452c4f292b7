/* SPDX-License-Identifier: Apache-2.0 */
/* What handles show: a copy of the row in one block, so that it stays as it was. */
#include "queue/postgres/postgres.h"

#include <string.h>

#define ALIGN 64 /* of payloads and results, as the library's own memory is */

static size_t align(size_t size)
{
    return (size + ALIGN - 1) / ALIGN * ALIGN;
}

static const char *show_text(char **at, const char *text)
{
    const size_t size = strlen(text) + 1;
    const char *shown = memcpy(*at, text, size);
    *at += size;
    return shown;
}

static void show_texts(const mls__pg_row *row, char *at, mls_job_info *info)
{
    info->queue = show_text(&at, row->texts[MLS__PG_QUEUE]);
    info->type = show_text(&at, row->texts[MLS__PG_TYPE]);
    info->tenant = show_text(&at, row->texts[MLS__PG_TENANT]);
    info->key = show_text(&at, row->texts[MLS__PG_KEY]);
    info->batch_key = show_text(&at, row->texts[MLS__PG_BATCH_KEY]);
    info->owner = show_text(&at, row->texts[MLS__PG_OWNER]);
    info->error_message = show_text(&at, row->texts[MLS__PG_ERROR_TEXT]);
    info->progress_note = show_text(&at, row->texts[MLS__PG_NOTE]);
}

static void show_numbers(const mls__pg_row *row, mls_job_info *info)
{
    const int64_t *n = row->numbers;
    info->id = (uint64_t) n[MLS__PG_ID];
    info->epoch = (uint64_t) n[MLS__PG_EPOCH];
    info->state = (int32_t) n[MLS__PG_STATE];
    info->priority = (int32_t) n[MLS__PG_PRIORITY];
    info->attempt = (uint32_t) n[MLS__PG_ATTEMPT];
    info->max_attempts = (uint32_t) n[MLS__PG_MAX_ATTEMPTS];
    info->deaths = (uint32_t) n[MLS__PG_DEATHS];
    info->backoff_ms = (uint32_t) n[MLS__PG_BACKOFF];
    info->backoff_max_ms = (uint32_t) n[MLS__PG_BACKOFF_MAX];
    info->jitter_percent = (uint32_t) n[MLS__PG_JITTER];
    info->retention_ms = n[MLS__PG_RETENTION];
    info->submitted_ms = n[MLS__PG_SUBMITTED_AT];
    info->run_at_ms = n[MLS__PG_RUN_AT];
    info->deadline_ms = n[MLS__PG_DEADLINE];
    info->claimed_ms = n[MLS__PG_CLAIMED_AT];
    info->ended_ms = n[MLS__PG_ENDED_AT];
    info->waiting_ns = (uint64_t) n[MLS__PG_WAITED] * 1000;
    info->running_ns = (uint64_t) n[MLS__PG_RAN] * 1000;
    info->error = (int32_t) n[MLS__PG_ERROR];
    info->needs = (mls_resources){n[MLS__PG_CPU], n[MLS__PG_MEMORY], n[MLS__PG_GPUS]};
    info->escalations = (uint32_t) n[MLS__PG_ESCALATIONS];
    info->reserved = 0;
    info->progress = row->progress;
}

static const void *show_bytes(char *at, mls__pg_bytes bytes)
{
    if (bytes.size)
        memcpy(at, bytes.data, bytes.size);
    return bytes.data ? at : NULL;
}

mls__pg_hold *mls__pg_show(mls__pg_store *store, const mls__pg_row *row, mls__pg_bytes payload,
                           mls__pg_bytes result, mls_job_info *info)
{
    size_t size = sizeof(mls__pg_hold);
    for (int i = 0; i < MLS__PG_TEXTS; i++)
        size += strlen(row->texts[i]) + 1;
    const size_t payload_at = align(size), result_at = align(payload_at + payload.size);
    char *block = mls__pg_alloc(store, result_at + result.size + 1);
    if (!block)
        return NULL;
    mls__pg_hold *hold = (mls__pg_hold *) (void *) block;
    hold->base.id = (uint64_t) row->numbers[MLS__PG_ID];
    hold->base.epoch = (uint64_t) row->numbers[MLS__PG_EPOCH];
    show_texts(row, block + sizeof *hold, info);
    show_numbers(row, info);
    info->payload = show_bytes(block + payload_at, payload);
    info->payload_bytes = payload.size;
    info->result = result.size ? show_bytes(block + result_at, result) : NULL;
    info->result_bytes = result.size;
    return hold;
}

/* Who was taken for dead has another member by now, and its claims are others'. */
uint32_t mls__pg_signals(void *self, const mls_queue_job *shown)
{
    mls__pg_store *store = self;
    mls__pg_hold *hold = shown->hold;
    if (hold->member && hold->member != atomic_load(&store->member))
        return MLS_STOP_LOST;
    return mls__hold_signals(&hold->base);
}

void mls__pg_drop(void *self, mls_queue_job *shown)
{
    mls__pg_store *store = self;
    mls__pg_hold *hold = shown->hold;
    shown->hold = NULL;
    if (!hold)
        return;
    if (mls__holds_remove(&store->holds, &hold->base))
        mls__pg_return(store, hold);
    mls__pg_free(store, hold);
}
