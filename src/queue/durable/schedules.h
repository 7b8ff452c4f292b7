/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules as stores keep them, and what becomes of one that is due. */
#ifndef MLS_QUEUE_DURABLE_SCHEDULES_H
#define MLS_QUEUE_DURABLE_SCHEDULES_H

#include <mlscale/ext/queue_driver.h>

#include <stdbool.h>

/* Columns: name, source, cron, zone, type, queue, tenant, batch_key. */
#define MLS__SCHEDULE_TEXTS 8
/*
 * missed, next_ms, last_ms, priority, max_attempts, backoff_ms, backoff_max_ms,
 * jitter_percent, retention_ms, cpu_milli, memory_bytes, gpus.
 */
#define MLS__SCHEDULE_NUMBERS 12

/* The columns of a row in the order in which stores have them. What they point to is borrowed. */
typedef struct mls__schedule_columns {
    const char *texts[MLS__SCHEDULE_TEXTS];
    int64_t numbers[MLS__SCHEDULE_NUMBERS];
    const void *payload; /* NULL: none */
    size_t payload_bytes;
} mls__schedule_columns;

mls__schedule_columns mls__schedule_pack(const mls_schedule *schedule);
/* `ret_schedule` points to `ret_job`. false: such a row was never stored. */
bool mls__schedule_unpack(const mls__schedule_columns *columns, mls_schedule *ret_schedule,
                          mls_job_options *ret_job);

/*
 * Submits what a schedule that is due fires of, by `submit`, and moves it on: to what was refused,
 * where something was, or to where it fires no more. A status that mls__schedule_may_pass() is of
 * this process or host: another may fire it, or this one later.
 */
typedef mls_status (*mls__schedule_submit_fn)(void *user, const mls_queue_item *item);
mls_status mls__schedule_go_off(const mls_plugin_host *host, const mls_queue_host *policy,
                                mls_schedule *schedule, int64_t now_ms,
                                mls__schedule_submit_fn submit, void *user);
bool mls__schedule_may_pass(mls_status status);
/* Logs what becomes of one that failed so, which is the thread's error. */
void mls__schedule_say(const mls_plugin_host *host, const char *store, mls_status status);

/* Copies of what a store has, for the thread that asked. */
typedef struct mls__schedule_list {
    mls_schedule **list;
    size_t count, room;
} mls__schedule_list;

/* false: no memory. */
bool mls__schedule_list_add(const mls_plugin_host *host, const mls_queue_host *policy,
                            mls__schedule_list *all, const mls_schedule *schedule);
void mls__schedule_list_free(const mls_plugin_host *host, mls__schedule_list *all);

/*
 * Schedules that this process does not try for a while. They are few: those whose zone cannot
 * be read here.
 */
#define MLS__SCHEDULE_PAUSE_MS 60000

typedef struct mls__schedule_pause {
    char name[MLS_JOB_NAME_MAX + 1];
    int64_t until_ms;
} mls__schedule_pause;

typedef struct mls__schedule_pauses {
    mls__schedule_pause *list;
    size_t count, room;
} mls__schedule_pauses;

/* false: no memory. */
bool mls__schedule_pauses_add(const mls_plugin_host *host, mls__schedule_pauses *pauses,
                              const char *name, int64_t now_ms);
/* NULL: it has none. */
const mls__schedule_pause *mls__schedule_pauses_find(const mls__schedule_pauses *pauses,
                                                     const char *name);
/* Drops those that are over, or were before the clock was set back; when the next is; 0: none. */
int64_t mls__schedule_pauses_look(mls__schedule_pauses *pauses, int64_t now_ms);
void mls__schedule_pauses_free(const mls_plugin_host *host, mls__schedule_pauses *pauses);

#endif
