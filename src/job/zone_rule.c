/* SPDX-License-Identifier: Apache-2.0 */
/* "CET-1CEST,M3.5.0,M10.5.0/3": from the text to the span of a time. */
#include "job/zone_rule.h"

#include "job/civil.h"

#define HOUR_S 3600

/* Beyond, the calendar's years would not fit. */
#define LATEST_S INT64_C(400000000000)

typedef struct reader {
    const char *at, *end;
} reader;

static bool take(reader *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool is_digit(const reader *r)
{
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static bool is_letter(const reader *r)
{
    return r->at < r->end && ((*r->at >= 'a' && *r->at <= 'z') || (*r->at >= 'A' && *r->at <= 'Z'));
}

static bool read_number(reader *r, int64_t least, int64_t most, int64_t *ret_value)
{
    int64_t value = 0;
    if (!is_digit(r))
        return false;
    for (; is_digit(r); r->at++) {
        value = value * 10 + (*r->at - '0');
        if (value > most)
            return false;
    }
    *ret_value = value;
    return value >= least;
}

/* Abbreviations are for people: they are skipped. */
static bool skip_name(reader *r)
{
    const char *begin = r->at;
    if (take(r, '<')) {
        while (r->at < r->end && *r->at != '>')
            r->at++;
        return r->at - begin > 1 && take(r, '>');
    }
    while (is_letter(r))
        r->at++;
    return r->at - begin >= 3;
}

/* [+-]h[:m[:s]] */
static bool read_time(reader *r, int64_t most_hours, int64_t *ret_seconds)
{
    const bool is_negative = take(r, '-');
    int64_t hours, minutes = 0, seconds = 0;
    if (!is_negative)
        take(r, '+');
    if (!read_number(r, 0, most_hours, &hours))
        return false;
    if (take(r, ':') && !read_number(r, 0, 59, &minutes))
        return false;
    if (r->at[-1] != ':' && take(r, ':') && !read_number(r, 0, 59, &seconds))
        return false;
    const int64_t all = hours * HOUR_S + minutes * 60 + seconds;
    *ret_seconds = is_negative ? -all : all;
    return true;
}

/* POSIX counts offsets to the west. */
static bool read_offset(reader *r, int64_t *ret_offset)
{
    int64_t west;
    if (!read_time(r, 24, &west))
        return false;
    *ret_offset = -west;
    return true;
}

static bool read_day(reader *r, mls__zone_day *day)
{
    int64_t month = 0, week = 0, number;
    day->kind = take(r, 'M') ? 'M' : take(r, 'J') ? 'J' : 'D';
    if (day->kind == 'M' && !(read_number(r, 1, 12, &month) && take(r, '.') &&
                              read_number(r, 1, 5, &week) && take(r, '.')))
        return false;
    const int64_t least = day->kind == 'J', most = day->kind == 'M' ? 6 : 365;
    if (!read_number(r, least, most, &number))
        return false;
    day->month = (int32_t) month;
    day->week = (int32_t) week;
    day->day = (int32_t) number;
    day->time_s = 2 * HOUR_S;
    return !take(r, '/') || read_time(r, 167, &day->time_s);
}

bool mls__zone_rule_parse(const char *text, size_t size, mls__zone_rule *ret_rule)
{
    reader r = {text, text + size};
    mls__zone_rule rule = {0};
    if (!skip_name(&r) || !read_offset(&r, &rule.offset_s))
        return false;
    rule.has_summer = r.at < r.end;
    if (rule.has_summer) {
        if (!skip_name(&r))
            return false;
        rule.summer_offset_s = rule.offset_s + HOUR_S;
        if (r.at < r.end && *r.at != ',' && !read_offset(&r, &rule.summer_offset_s))
            return false;
        if (!take(&r, ',') || !read_day(&r, &rule.start) || !take(&r, ',') ||
            !read_day(&r, &rule.end))
            return false;
    }
    *ret_rule = rule;
    return r.at == r.end;
}

static int64_t day_of_year(const mls__zone_day *day, int32_t year)
{
    const int64_t new_year = mls__days_of_date((mls__date){year, 1, 1});
    if (day->kind == 'D')
        return new_year + day->day;
    if (day->kind == 'J')
        return new_year + day->day - 1 + (mls__is_leap_year(year) && day->day > 59);
    const int64_t first = mls__days_of_date((mls__date){year, day->month, 1});
    int32_t in_month = (day->day - mls__weekday_of_days(first) + 7) % 7 + (day->week - 1) * 7;
    if (in_month >= mls__days_in_month(year, day->month))
        in_month -= 7;
    return first + in_month;
}

typedef struct change {
    int64_t at_s, offset_s; /* from then on */
} change;

/* By time; of two at once the start of summer is last, so that it may last all year. */
static bool is_before(const mls__zone_rule *rule, const change *a, const change *b)
{
    return a->at_s != b->at_s ? a->at_s < b->at_s
                              : a->offset_s == rule->offset_s && b->offset_s != rule->offset_s;
}

#define YEARS   4 /* from two before to one after: a change's time may be a week from its day */
#define CHANGES (2 * YEARS)

static void list_changes(const mls__zone_rule *rule, int32_t first_year, change list[CHANGES])
{
    for (int32_t i = 0; i < YEARS; i++) {
        const int64_t start = day_of_year(&rule->start, first_year + i) * MLS__DAY_S;
        const int64_t end = day_of_year(&rule->end, first_year + i) * MLS__DAY_S;
        list[2 * i] = (change){start + rule->start.time_s - rule->offset_s, rule->summer_offset_s};
        list[2 * i + 1] = (change){end + rule->end.time_s - rule->summer_offset_s, rule->offset_s};
    }
    for (int i = 1; i < CHANGES; i++) {
        const change moved = list[i];
        int at = i;
        for (; at && is_before(rule, &moved, &list[at - 1]); at--)
            list[at] = list[at - 1];
        list[at] = moved;
    }
}

mls__zone_span mls__zone_rule_span_at(const mls__zone_rule *rule, int64_t at_s)
{
    mls__zone_span span = {INT64_MIN, INT64_MAX, rule->offset_s};
    if (!rule->has_summer || at_s > LATEST_S || at_s < -LATEST_S)
        return span;
    change list[CHANGES];
    list_changes(rule, mls__date_of_days(mls__days_of_seconds(at_s)).year - 2, list);
    for (int i = 0; i < CHANGES; i++) {
        if (list[i].at_s > at_s) {
            span.until_s = list[i].at_s;
            break;
        }
        span.from_s = list[i].at_s;
        span.offset_s = list[i].offset_s;
    }
    return span;
}
