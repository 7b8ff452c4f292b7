/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the names and files of time zones, and what they share with those of cron's lines. */
#ifndef MLS_TESTS_JOB_ZONES_H
#define MLS_TESTS_JOB_ZONES_H

#include <check.h>
#include <stdint.h>

void zones_add(TCase *tests);

int64_t zones_utc_ms(int year, int month, int day, int hour, int minute);

#endif
