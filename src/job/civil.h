/* SPDX-License-Identifier: Apache-2.0 */
/* Dates of the proleptic Gregorian calendar as days since 1970-01-01, and back. */
#ifndef MLS_JOB_CIVIL_H
#define MLS_JOB_CIVIL_H

#include <stdbool.h>
#include <stdint.h>

#define MLS__DAY_S INT64_C(86400)

typedef struct mls__date {
    int32_t year, month, day; /* month 1 to 12, day 1 to 31 */
} mls__date;

bool mls__is_leap_year(int32_t year);
int32_t mls__days_in_month(int32_t year, int32_t month);
int64_t mls__days_of_date(mls__date date);
mls__date mls__date_of_days(int64_t days);
/* 0 is Sunday. */
int32_t mls__weekday_of_days(int64_t days);
/* The day of a time in seconds, towards the past. */
int64_t mls__days_of_seconds(int64_t seconds);

#endif
