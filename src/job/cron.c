/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a line of cron fires. Local time is a function of the instant with jumps, in spans
 * without one; f(m), the first instant at which it is m or later, is when a minute m of the day
 * fires, which is right where it exists once, twice or not at all, and never goes back.
 */
#include "job/cron.h"

#include "job/civil.h"

#define MINUTE_S 60
#define HOUR_S   3600

/* The end of the year 9999: nothing fires later. */
#define LAST_S INT64_C(253402300799)

/* 29 February and a weekday meet again after 40 years at most. */
#define MOST_YEARS 41

/* A span that ended so long ago had no local time that is still to come. */
#define MOST_BACK_S (2 * (int64_t) MLS__ZONE_OFFSET_MAX + 1)

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool has(uint64_t set, int64_t number)
{
    return set >> number & 1;
}

static bool matches_day(const mls__cron *cron, int32_t day, int32_t weekday)
{
    const bool of_month = has(cron->days, day), of_week = has(cron->weekdays, weekday);
    return cron->needs_both ? of_month && of_week : of_month || of_week;
}

/* The first of a set at `from` or later, or one past 63. */
static int64_t first_in(uint64_t set, int64_t from)
{
    while (from < 64 && !has(set, from))
        from++;
    return from;
}

/* The first matching minute of a day at `from_s` of it or later, as seconds; or a day. */
static int64_t first_of_day(const mls__cron *cron, int64_t from_s)
{
    const int64_t from = (from_s + MINUTE_S - 1) / MINUTE_S;
    const int64_t hour = from / 60;
    if (has(cron->hours, hour)) {
        const int64_t minute = first_in(cron->minutes, from % 60);
        if (minute < 60)
            return hour * HOUR_S + minute * MINUTE_S;
    }
    const int64_t next = first_in(cron->hours, hour + 1);
    if (next >= 24)
        return MLS__DAY_S;
    return next * HOUR_S + first_in(cron->minutes, 0) * MINUTE_S;
}

/* The first day that matches, at `days` or later; INT64_MAX: none for a long time. */
static int64_t first_day(const mls__cron *cron, int64_t days)
{
    mls__date date = mls__date_of_days(days);
    const int32_t last_year = date.year + MOST_YEARS;
    while (date.year <= last_year) {
        const int32_t length = mls__days_in_month(date.year, date.month);
        const int64_t before = mls__days_of_date((mls__date){date.year, date.month, 1}) - 1;
        for (int32_t day = date.day; has(cron->months, date.month) && day <= length; day++)
            if (matches_day(cron, day, mls__weekday_of_days(before + day)))
                return before + day;
        date.day = 1;
        date.year += date.month == 12;
        date.month = date.month % 12 + 1;
    }
    return INT64_MAX;
}

/* The first minute of local time that matches, at `local_s` or later; INT64_MAX: none. */
static int64_t first_local(const mls__cron *cron, int64_t local_s)
{
    const int64_t today = mls__days_of_seconds(local_s);
    int64_t day = first_day(cron, today);
    int64_t in_day = first_of_day(cron, day == today ? local_s - today * MLS__DAY_S : 0);
    if (in_day == MLS__DAY_S) {
        day = first_day(cron, day + 1);
        in_day = first_of_day(cron, 0);
    }
    return day == INT64_MAX ? INT64_MAX : day * MLS__DAY_S + in_day;
}

/* The latest local time that there was until `at_s`. */
static int64_t latest_local(const mls__zone *zone, int64_t at_s)
{
    mls__zone_span span = mls__zone_span_at(zone, at_s);
    int64_t latest_s = at_s + span.offset_s;
    while (span.from_s > at_s - MOST_BACK_S) {
        span = mls__zone_span_at(zone, span.from_s - 1);
        latest_s = max_of(latest_s, span.until_s - 1 + span.offset_s);
    }
    return latest_s;
}

/* As hours of the day: f() of the first match that local time has not come to. */
static int64_t next_of_clock(const mls__cron *cron, const mls__zone *zone, int64_t after_s)
{
    const int64_t local_s = first_local(cron, latest_local(zone, after_s) + 1);
    int64_t at_s = after_s + 1;
    while (local_s != INT64_MAX && at_s <= LAST_S) {
        const mls__zone_span span = mls__zone_span_at(zone, at_s);
        const int64_t fires_s = max_of(at_s, local_s - span.offset_s);
        if (fires_s < span.until_s)
            return fires_s;
        at_s = span.until_s;
    }
    return INT64_MAX;
}

/* As time that passes: the first match of any span. */
static int64_t next_of_time(const mls__cron *cron, const mls__zone *zone, int64_t after_s)
{
    int64_t at_s = after_s + 1;
    while (at_s <= LAST_S) {
        const mls__zone_span span = mls__zone_span_at(zone, at_s);
        const int64_t local_s = first_local(cron, at_s + span.offset_s);
        if (local_s != INT64_MAX && local_s - span.offset_s < span.until_s)
            return local_s - span.offset_s;
        at_s = span.until_s;
    }
    return INT64_MAX;
}

int64_t mls__cron_next(const mls__cron *cron, const mls__zone *zone, int64_t after_ms)
{
    if (after_ms < 0)
        after_ms = -1; /* nothing is scheduled before 1970 */
    const int64_t after_s = after_ms / 1000 - (after_ms < 0);
    if (after_s >= LAST_S)
        return MLS__CRON_NEVER;
    const int64_t at_s =
        cron->is_elapsed ? next_of_time(cron, zone, after_s) : next_of_clock(cron, zone, after_s);
    return at_s <= LAST_S ? at_s * 1000 : MLS__CRON_NEVER;
}

/* Looks for the last instant from which another one is still ahead. */
int64_t mls__cron_last(const mls__cron *cron, const mls__zone *zone, int64_t after_ms,
                       int64_t at_ms)
{
    int64_t low_ms = max_of(after_ms, -1), high_ms = at_ms, last_ms = MLS__CRON_NEVER;
    while (low_ms < high_ms) {
        const int64_t middle_ms = low_ms + (high_ms - low_ms) / 2;
        const int64_t next_ms = mls__cron_next(cron, zone, middle_ms);
        if (next_ms <= at_ms) {
            last_ms = next_ms;
            low_ms = next_ms;
        } else {
            high_ms = middle_ms;
        }
    }
    return last_ms;
}
