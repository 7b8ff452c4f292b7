/* SPDX-License-Identifier: Apache-2.0 */
#include "job/worker_fixture.h"

#include <string.h>

mls_queue *worker_queue;
worker_events worker_log = {PTHREAD_MUTEX_INITIALIZER, "", MLS_OK};

void worker_note(const char *event)
{
    pthread_mutex_lock(&worker_log.mutex);
    strncat(worker_log.events, event, sizeof worker_log.events - strlen(worker_log.events) - 1);
    pthread_mutex_unlock(&worker_log.mutex);
}

void worker_setup(void)
{
    worker_queue = fixture_queue("memory:");
}

void worker_teardown(void)
{
    mls_queue_close(worker_queue);
}

mls_status worker_log_open(void *user, uint32_t index, void **ret_slot)
{
    (void) user;
    (void) index;
    worker_note("o");
    *ret_slot = &worker_log;
    return MLS_OK;
}

static void log_close(void *user, void *slot)
{
    (void) user;
    ck_assert_ptr_eq(slot, &worker_log);
    worker_note("x");
}

mls_status worker_log_prepare(void *slot, mls_job *job)
{
    ck_assert_ptr_eq(slot, &worker_log);
    ck_assert_ptr_null(mls_job_user(job));
    mls_job_set_user(job, &worker_queue);
    worker_note("p");
    return MLS_OK;
}

static mls_status log_run(void *slot, mls_job *job)
{
    ck_assert_ptr_eq(slot, &worker_log);
    ck_assert_ptr_eq(mls_job_user(job), &worker_queue);
    worker_note("r");
    return mls_job_set_result(job, "ok", 2);
}

static void log_cleanup(void *slot, mls_job *job, mls_status status)
{
    ck_assert_ptr_eq(slot, &worker_log);
    ck_assert_ptr_eq(mls_job_user(job), &worker_queue);
    worker_log.last_cleanup = status;
    worker_note("c");
}

mls_handler worker_handler(void)
{
    mls_handler handler = MLS_HANDLER_INIT;
    handler.type = "t";
    handler.slot_open = worker_log_open;
    handler.slot_close = log_close;
    handler.prepare = worker_log_prepare;
    handler.run = log_run;
    handler.cleanup = log_cleanup;
    return handler;
}

mls_worker *worker_create(uint32_t slots, const mls_handler *handler)
{
    mls_worker *worker;
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.name = "w1";
    options.slots = slots;
    ck_assert_ok(mls_worker_create(worker_queue, &options, &worker));
    ck_assert_ok(mls_worker_add_handler(worker, handler));
    return worker;
}

mls_worker *worker_start(uint32_t slots, const mls_handler *handler)
{
    mls_worker *worker = worker_create(slots, handler);
    ck_assert_ok(mls_worker_start(worker));
    return worker;
}

mls_worker_stats worker_stats(const mls_worker *worker)
{
    mls_worker_stats stats = MLS_WORKER_STATS_INIT;
    ck_assert_ok(mls_worker_get_stats(worker, &stats));
    return stats;
}
