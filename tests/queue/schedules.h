/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules on a clock that moves when it is told to. */
#ifndef MLS_TESTS_QUEUE_SCHEDULES_H
#define MLS_TESTS_QUEUE_SCHEDULES_H

#include <check.h>

TCase *schedules_tests(void);

#endif
