/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates as days, and back. Years are counted from March, so that the leap day is the last of
 * its year, in eras of 400 years, which all have as many days.
 */
#include "job/civil.h"

#define ERA_YEARS   400
#define ERA_DAYS    146097
#define MARCH_DAYS  719468 /* from 0000-03-01 to 1970-01-01 */
#define THURSDAY    4      /* 1970-01-01 */
#define EPOCH_MONTH 3

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

bool mls__is_leap_year(int32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int32_t mls__days_in_month(int32_t year, int32_t month)
{
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && mls__is_leap_year(year));
}

/* Of the month that is `from_march` after March: their lengths repeat every five months. */
static int64_t days_before_month(int64_t from_march)
{
    return (153 * from_march + 2) / 5;
}

int64_t mls__days_of_date(mls__date date)
{
    const int64_t year = (int64_t) date.year - (date.month < EPOCH_MONTH);
    const int64_t from_march = (date.month + 12 - EPOCH_MONTH) % 12;
    const int64_t era = floor_div(year, ERA_YEARS);
    const int64_t of_era = year - era * ERA_YEARS;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 +
           days_before_month(from_march) + date.day - 1 - MARCH_DAYS;
}

mls__date mls__date_of_days(int64_t days)
{
    const int64_t from_start = days + MARCH_DAYS;
    const int64_t era = floor_div(from_start, ERA_DAYS);
    const int64_t day_of_era = from_start - era * ERA_DAYS;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t from_march = (5 * day_of_year + 2) / 153;
    const int32_t month = (int32_t) ((from_march + EPOCH_MONTH - 1) % 12 + 1);
    return (mls__date){
        .year = (int32_t) (era * ERA_YEARS + year_of_era) + (month < EPOCH_MONTH),
        .month = month,
        .day = (int32_t) (day_of_year - days_before_month(from_march) + 1),
    };
}

int32_t mls__weekday_of_days(int64_t days)
{
    const int64_t weekday = (days + THURSDAY) % 7;
    return (int32_t) (weekday < 0 ? weekday + 7 : weekday);
}

int64_t mls__days_of_seconds(int64_t seconds)
{
    return floor_div(seconds, MLS__DAY_S);
}
