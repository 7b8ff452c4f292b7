/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of workers share: a queue, and handlers that note what they saw. */
#ifndef TESTS_JOB_WORKER_FIXTURE_H
#define TESTS_JOB_WORKER_FIXTURE_H

#include "job/fixture.h"
#include "job/gate.h"

#include <pthread.h>

/* Made for each test. */
extern mls_queue *worker_queue;
void worker_setup(void);
void worker_teardown(void);

/* What the handlers of a test saw, in order: "o" slot_open, "p", "r", "c" cleanup, "x" close. */
typedef struct worker_events {
    pthread_mutex_t mutex;
    char events[256];
    _Atomic mls_status last_cleanup;
} worker_events;
extern worker_events worker_log;
void worker_note(const char *event);

/* Of jobs of type "t": notes each step, and completes them with "ok". */
mls_handler worker_handler(void);
mls_status worker_log_open(void *user, uint32_t index, void **ret_slot);
mls_status worker_log_prepare(void *slot, mls_job *job);

/* A worker "w1", and the same started. */
mls_worker *worker_create(uint32_t slots, const mls_handler *handler);
mls_worker *worker_start(uint32_t slots, const mls_handler *handler);

mls_worker_stats worker_stats(const mls_worker *worker);

/* The parts of the program. */
void add_worker_stops(TCase *tests);
void add_worker_polls(TCase *tests);

#endif
