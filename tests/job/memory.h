/* SPDX-License-Identifier: Apache-2.0 */
/* The queue that a test of the memory driver has, with a claimer of all types; and its topics. */
#ifndef MLS_TESTS_JOB_MEMORY_H
#define MLS_TESTS_JOB_MEMORY_H

#include "job/fixture.h"

extern mls_queue *queue;
extern mls_claimer *claimer;

void open_queue(const char *url);
void close_queue(void);

void memory_add_windows(TCase *tests);
void memory_add_faults(TCase *tests);

#endif
