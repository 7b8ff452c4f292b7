/* SPDX-License-Identifier: Apache-2.0 */
/* Short ways to what tests of queues do all the time. Each fails the test on an error. */
#ifndef MLS_TESTS_JOB_FIXTURE_H
#define MLS_TESTS_JOB_FIXTURE_H

#include "support/test.h"

/* An open queue that is the only holder of its context. */
mls_queue *fixture_queue(const char *url);

/* Called with each new context: for drivers that only a test registers. NULL at first. */
extern void (*fixture_on_context)(mls_context *context);

/* Options of the type, with a payload (a string without its NUL, or NULL). */
mls_job_options fixture_options(const char *type, const char *payload);

uint64_t fixture_submit(mls_queue *queue, const mls_job_options *options);
uint64_t fixture_submit_type(mls_queue *queue, const char *type);

/* A claimer of all types and queues, or of one type. */
mls_claimer *fixture_claimer(mls_queue *queue, const char *type);

/* One job; waits up to ten seconds for it. */
mls_job *fixture_claim(mls_claimer *claimer);

/* Nothing is ready for the claimer. */
void fixture_claim_none(mls_claimer *claimer);

mls_job_info fixture_info(const mls_job *job);
mls_job_info fixture_look(mls_queue *queue, uint64_t id); /* scalars only: its handle is freed */
int32_t fixture_state(mls_queue *queue, uint64_t id);
mls_queue_stats fixture_stats(mls_queue *queue);

/* Waits for the job's end, up to ten seconds. */
mls_job *fixture_wait(mls_queue *queue, uint64_t id);

/* Claims a job and completes it with a result, fails it, and so on. */
void fixture_complete(mls_claimer *claimer, uint64_t id, const char *result);
void fixture_fail(mls_claimer *claimer, uint64_t id, mls_status error, const char *message,
                  uint32_t flags);

#endif
