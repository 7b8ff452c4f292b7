/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite of queue drivers: what every driver must do, through the
 * public interface where that shows it. What a driver does not have by its
 * capability flags is tested to be refused.
 *
 * A driver's test is a main() that hands over how to get the URL of a new, empty
 * store: conformance_queue_run("queue/memory", url).
 */
#ifndef MLS_TESTS_CONFORMANCE_QUEUE_SUITE_H
#define MLS_TESTS_CONFORMANCE_QUEUE_SUITE_H

#include "job/fixture.h"

#include <stdbool.h>

/* The URL of a store with nothing in it; called at most once in a process at a time. */
typedef const char *(*conformance_url_fn)(void);

int conformance_queue_run(const char *name, conformance_url_fn url);

/* The queue and a claimer of everything, made for each test. */
extern mls_queue *the_queue;
extern mls_claimer *the_claimer;

bool conformance_can(uint64_t capabilities);

/* Milliseconds since 1970. */
int64_t conformance_wall_ms(void);

/* The parts of the suite. */
void conformance_add_basics(TCase *tests);
void conformance_add_states(TCase *tests);
void conformance_add_claims(TCase *tests);
void conformance_add_threads(TCase *tests);
void conformance_add_times(TCase *tests);
void conformance_add_listing(TCase *tests);
void conformance_add_parents(TCase *tests);
void conformance_add_pauses(TCase *tests);
void conformance_add_limits(TCase *tests);
void conformance_add_resources(TCase *tests);
void conformance_add_shares(TCase *tests);
void conformance_add_schedules(TCase *tests);
void conformance_add_needs(TCase *tests);

#endif
