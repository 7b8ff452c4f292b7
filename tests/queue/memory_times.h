/* SPDX-License-Identifier: Apache-2.0 */
/* What a memory queue does by the clock, on one that moves when it is told to. */
#ifndef MLS_TESTS_QUEUE_MEMORY_TIMES_H
#define MLS_TESTS_QUEUE_MEMORY_TIMES_H

#include <check.h>

TCase *memory_times_tests(void);

#endif
