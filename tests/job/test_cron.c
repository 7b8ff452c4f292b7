/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of cron in time zones: against the C library's local time, minute by minute, and
 * against what is told of well-known changes of clocks.
 */
#include "job/zones.h"
#include "support/test.h"

#include "job/civil.h"
#include "job/cron.h"

#include <mlscale.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WINDOWS = 12, LINES = 12, DAYS = 4, MINUTES = DAYS * 1440, HOUR_MS = 3600000 };

static const mls__allocator *const heap = &mls__allocator_default;

static mls__zone *load(const char *name)
{
    mls__zone *zone;
    ck_assert_ok(mls__zone_load(heap, name, &zone));
    return zone;
}

/* Systems without the database of zones have but UTC. */
static bool has_zones(void)
{
    mls__zone *zone;
    if (mls__zone_load(heap, "Europe/Berlin", &zone))
        return false;
    mls__zone_free(heap, zone);
    return true;
}

START_TEST(dates_are_days)
{
    int64_t days = mls__days_of_date((mls__date){-400, 1, 1});
    for (int32_t year = -400; year <= 2800; year++)
        for (int32_t month = 1; month <= 12; month++)
            for (int32_t day = 1; day <= mls__days_in_month(year, month); day++, days++) {
                const mls__date date = mls__date_of_days(days);
                mls_test_expect(mls__days_of_date((mls__date){year, month, day}) == days &&
                                    date.year == year && date.month == month && date.day == day,
                                "%d-%d-%d", year, month, day);
            }
    ck_assert_int_eq(mls__days_of_date((mls__date){1970, 1, 1}), 0);
    ck_assert_int_eq(mls__days_of_date((mls__date){2000, 3, 1}), 11017);
    ck_assert_int_eq(mls__weekday_of_days(0), 4);
    ck_assert_int_eq(mls__weekday_of_days(-5), 6);
    ck_assert_int_eq(mls__days_of_seconds(-1), -1);
}
END_TEST

START_TEST(lines_that_are_none_say_where)
{
    static const struct {
        const char *line, *words;
    } bad[] = {
        {"", "field 1 (minute), column 1: it is missing"},
        {"0 0 * *", "field 5 (day of week), column 8: it is missing"},
        {"0 0 * * * *", "column 11: there is more"},
        {"60 * * * *", "field 1 (minute), column 1: 0 to 59"},
        {"0 24 * * *", "field 2 (hour), column 3: 0 to 23"},
        {"0 0 0 * *", "field 3 (day of month), column 5: 1 to 31"},
        {"0 0 1,32 * *", "field 3 (day of month), column 7: 1 to 31"},
        {"0 0 * 13 *", "field 4 (month), column 7: 1 to 12"},
        {"0 0 * foo *", "field 4 (month), column 7: write a number, a name"},
        {"0 0 * janu *", "field 4 (month), column 7: write a number, a name"},
        {"0 0 * * 8", "field 5 (day of week), column 9: 0 to 7"},
        {"0 0 L * *", "field 3 (day of month), column 5: write a number"},
        {"5-1 * * * *", "column 1: the range ends before"},
        {"*/0 * * * *", "column 3: such a step"},
        {"*/99999999999999999999 * * * *", "column 3: such a step"},
        {"99999999999999999999 * * * *", "column 1: 0 to 59"},
        {"5/15 * * * *", "column 2: a step is of"},
        {"*/ * * * *", "column 3: write a number"},
        {"1- * * * *", "column 3: write a number"},
        {"1, * * * *", "column 3: write a number"},
        {"1;2 * * * *", "column 2: this is not understood"},
        {"0 0 31 2 *", "no such day"},
        {"0 0 30-31 feb *", "no such day"},
        {"0 0 31 2,4,6,9,11 *", "no such day"},
        {"@reboot", "there are @hourly"},
        {"@dailyx", "there are @hourly"},
        {"0 0 * * \x01", "byte 0x01 in column 9"},
        {"0 0 * * \xc3\xa4", "byte 0xc3 in column 9"},
    };
    mls__cron cron;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_fails(mls__cron_parse(bad[i].line, &cron), MLS_EINVAL, bad[i].words);
    char longest[MLS_SCHEDULE_CRON_MAX + 2];
    memset(longest, ' ', sizeof longest);
    longest[MLS_SCHEDULE_CRON_MAX + 1] = '\0';
    ck_assert_fails(mls__cron_parse(longest, &cron), MLS_EINVAL, "longer than");
}
END_TEST

static int64_t next(const char *line, const char *zone_name, int64_t after_ms)
{
    mls__cron cron;
    mls__zone *zone = load(zone_name);
    ck_assert_ok(mls__cron_parse(line, &cron));
    const int64_t next_ms = mls__cron_next(&cron, zone, after_ms);
    mls__zone_free(heap, zone);
    return next_ms;
}

START_TEST(lines_fire)
{
    static const struct {
        const char *line;
        int after[5], next[5];
    } cases[] = {
        {"* * * * *", {2026, 1, 1, 0, 0}, {2026, 1, 1, 0, 1}},
        {"*/15 * * * *", {2026, 1, 1, 0, 46}, {2026, 1, 1, 1, 0}},
        {"5-59/20 * * * *", {2026, 1, 1, 0, 25}, {2026, 1, 1, 0, 45}},
        {"  0\t9-17  *  *  MON-fri ", {2026, 1, 2, 17, 0}, {2026, 1, 5, 9, 0}},
        {"0 0 * * 0", {2026, 1, 1, 0, 0}, {2026, 1, 4, 0, 0}},
        {"0 0 * * 7", {2026, 1, 1, 0, 0}, {2026, 1, 4, 0, 0}},
        {"0 0 * * sat-sun", {2026, 1, 3, 0, 0}, {2026, 1, 4, 0, 0}},
        {"0 0 * * 5-7", {2026, 1, 4, 0, 0}, {2026, 1, 9, 0, 0}},
        {"0 0 29 2 *", {2026, 1, 1, 0, 0}, {2028, 2, 29, 0, 0}},
        {"0 0 29 2 *", {2096, 2, 29, 0, 0}, {2104, 2, 29, 0, 0}},
        {"0 0 29 2 */7", {2096, 2, 29, 0, 0}, {2128, 2, 29, 0, 0}}, /* no Sunday before */
        {"0 0 31 * *", {2026, 1, 31, 0, 0}, {2026, 3, 31, 0, 0}},
        /* Vixie's rule: a day of the month or of the week; with a star, both. */
        {"0 0 13 * fri", {2026, 1, 2, 0, 0}, {2026, 1, 9, 0, 0}},
        {"0 0 13 * fri", {2026, 1, 9, 0, 0}, {2026, 1, 13, 0, 0}},
        {"0 0 */2 * mon", {2026, 1, 1, 0, 0}, {2026, 1, 5, 0, 0}},
        {"0 0 */2 * mon", {2026, 1, 5, 0, 0}, {2026, 1, 19, 0, 0}},
        {"0 0 31 2 mon", {2026, 1, 31, 0, 0}, {2026, 2, 2, 0, 0}},
        {"@hourly", {2026, 1, 1, 0, 0}, {2026, 1, 1, 1, 0}},
        {"@daily", {2026, 1, 1, 0, 0}, {2026, 1, 2, 0, 0}},
        {"@midnight", {2026, 1, 1, 0, 0}, {2026, 1, 2, 0, 0}},
        {"@weekly", {2026, 1, 1, 0, 0}, {2026, 1, 4, 0, 0}},
        {"@monthly", {2026, 1, 1, 0, 0}, {2026, 2, 1, 0, 0}},
        {"@yearly", {2026, 1, 1, 0, 0}, {2027, 1, 1, 0, 0}},
        {"@annually", {2026, 12, 31, 23, 59}, {2027, 1, 1, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int *a = cases[i].after, *n = cases[i].next;
        const int64_t after_ms = zones_utc_ms(a[0], a[1], a[2], a[3], a[4]);
        const int64_t next_ms = zones_utc_ms(n[0], n[1], n[2], n[3], n[4]);
        ck_assert_msg(next(cases[i].line, "UTC", after_ms) == next_ms, "case %zu", i);
        ck_assert_msg(next(cases[i].line, "UTC", next_ms - 1) == next_ms, "case %zu", i);
    }
    ck_assert_int_eq(next("* * * * *", "UTC", INT64_MIN), 0);
    ck_assert_int_eq(next("* * * * *", "UTC", INT64_MAX), MLS__CRON_NEVER);
    ck_assert_int_eq(next("* * * * *", "UTC", zones_utc_ms(9999, 12, 31, 23, 59)), MLS__CRON_NEVER);
}
END_TEST

START_TEST(clocks_that_change_fire_once_or_go_on)
{
    if (!has_zones())
        return;
    /* New York, 2026: 02:00 to 03:00 is skipped on 8 March, 01:00 to 02:00 twice on 1 November. */
    const char *const york = "America/New_York";
    const int64_t spring_ms = zones_utc_ms(2026, 3, 8, 7, 0),
                  autumn_ms = zones_utc_ms(2026, 11, 1, 5, 0);
    ck_assert_int_eq(next("30 2 * * *", york, spring_ms - HOUR_MS), spring_ms);
    ck_assert_int_eq(next("30 2 * * *", york, spring_ms), zones_utc_ms(2026, 3, 9, 6, 30));
    ck_assert_int_eq(next("*/10 2 * * *", york, spring_ms - HOUR_MS), spring_ms);
    ck_assert_int_eq(next("*/10 2 * * *", york, spring_ms), zones_utc_ms(2026, 3, 9, 6, 0));
    ck_assert_int_eq(next("*/30 * * * *", york, spring_ms - HOUR_MS / 2), spring_ms);
    ck_assert_int_eq(next("*/30 * * * *", york, spring_ms), spring_ms + HOUR_MS / 2);
    ck_assert_int_eq(next("30 1 * * *", york, autumn_ms - HOUR_MS), autumn_ms + HOUR_MS / 2);
    ck_assert_int_eq(next("30 1 * * *", york, autumn_ms + HOUR_MS / 2),
                     autumn_ms + HOUR_MS / 2 + 25 * HOUR_MS);
    ck_assert_int_eq(next("30 * * * *", york, autumn_ms + HOUR_MS / 2),
                     autumn_ms + HOUR_MS / 2 + HOUR_MS);
    /* A second that is in the second pass of the hour. */
    ck_assert_int_eq(next("15 1 * * *", york, autumn_ms + HOUR_MS),
                     autumn_ms + 25 * HOUR_MS + HOUR_MS / 4);
    /* Lord Howe moves by half an hour, Apia skipped a day. */
    ck_assert_int_eq(next("15 2 * * *", "Australia/Lord_Howe", zones_utc_ms(2026, 10, 3, 15, 0)),
                     zones_utc_ms(2026, 10, 3, 15, 30));
    ck_assert_int_eq(next("0 12 30 12 *", "Pacific/Apia", zones_utc_ms(2011, 12, 29, 0, 0)),
                     zones_utc_ms(2011, 12, 30, 10, 0));
    /* Nuuk changes on a Saturday at 22:00, which its rule calls an hour before Sunday. */
    ck_assert_int_eq(next("30 23 * * 6", "America/Nuuk", zones_utc_ms(2040, 3, 24, 12, 0)),
                     zones_utc_ms(2040, 3, 25, 1, 0));
}
END_TEST

/* Random lines, with their sets, made here and not read. */
typedef struct sample {
    char line[256];
    bool sets[5][64], has_star[5];
} sample;

static void draw_field(uint64_t *seed, sample *s, int field, bool is_any, int least, int most)
{
    char text[64] = "*";
    int first = least, last = most, step = 1;
    const size_t kind = is_any ? 4 : mls_test_random_below(seed, 5);
    s->has_star[field] = kind == 0 || kind == 4;
    if (!s->has_star[field]) {
        first += (int) mls_test_random_below(seed, (size_t) (most - least + 1));
        last = kind == 1 ? first
                         : first + (int) mls_test_random_below(seed, (size_t) (most - first + 1));
        snprintf(text, sizeof text, kind == 1 ? "%d" : "%d-%d", first, last);
    }
    if (kind == 0 || kind == 3) {
        step = 1 + (int) mls_test_random_below(seed, (size_t) most);
        const size_t length = strlen(text);
        snprintf(text + length, sizeof text - length, "/%d", step);
    }
    memset(s->sets[field], 0, sizeof s->sets[field]);
    for (int i = first; i <= last; i += step)
        s->sets[field][i] = true;
    strcat(s->line, text);
    strcat(s->line, field < 4 ? " " : "");
}

static void draw_line(uint64_t *seed, mls__cron *cron, sample *s)
{
    static const int least[] = {0, 0, 1, 1, 0}, most[] = {59, 23, 31, 12, 6};
    do {
        s->line[0] = '\0';
        /* Most days that are drawn are not among the few that are looked at. */
        const bool is_daily = mls_test_random_below(seed, 3) != 0;
        for (int i = 0; i < 5; i++)
            draw_field(seed, s, i, is_daily && i > 1, least[i], most[i]);
    } while (mls__cron_parse(s->line, cron));
}

static bool is_day(const sample *s, const struct tm *tm)
{
    const bool of_month = s->sets[2][tm->tm_mday], of_week = s->sets[4][tm->tm_wday];
    return s->has_star[2] || s->has_star[4] ? of_month && of_week : of_month || of_week;
}

static bool matches(const sample *s, time_t local_s)
{
    struct tm tm;
    gmtime_r(&local_s, &tm);
    return s->sets[0][tm.tm_min] && s->sets[1][tm.tm_hour] && s->sets[3][tm.tm_mon + 1] &&
           is_day(s, &tm);
}

/* Local time of each minute of the window, and the latest until a minute before it began. */
typedef struct window {
    time_t begin_s, seen_s, local_s[MINUTES];
} window;

static time_t local_of(time_t at_s)
{
    struct tm tm;
    localtime_r(&at_s, &tm);
    return at_s + tm.tm_gmtoff;
}

static void open_window(time_t begin_s, window *w)
{
    w->begin_s = begin_s;
    w->seen_s = 0;
    for (time_t at_s = begin_s - 3 * 86400; at_s < begin_s; at_s += 60)
        if (local_of(at_s) > w->seen_s)
            w->seen_s = local_of(at_s);
    for (int i = 0; i < MINUTES; i++)
        w->local_s[i] = local_of(begin_s + 60 * i);
}

/* Whether the line fires in a minute, of which all that was before is known. */
static bool fires(const sample *s, const window *w, time_t seen_s, int minute)
{
    const time_t local_s = w->local_s[minute];
    if (s->has_star[1])
        return matches(s, local_s);
    for (time_t m = seen_s - seen_s % 60 + 60; m <= local_s; m += 60)
        if (matches(s, m))
            return true;
    return false;
}

static void compare(const sample *s, const mls__cron *cron, const mls__zone *zone, const char *name,
                    const window *w)
{
    const int64_t begin_ms = (int64_t) w->begin_s * 1000, end_ms = begin_ms + MINUTES * 60000;
    int64_t next_ms = mls__cron_next(cron, zone, begin_ms - 1), last_ms = MLS__CRON_NEVER;
    time_t seen_s = w->seen_s;
    for (int i = 0; i < MINUTES; i++) {
        const int64_t at_ms = begin_ms + i * 60000;
        const bool is_due = fires(s, w, seen_s, i);
        mls_test_expect(is_due == (next_ms == at_ms), "'%s' in %s at %lld: %d, %lld", s->line, name,
                        (long long) at_ms, is_due, (long long) next_ms);
        if (is_due) {
            last_ms = at_ms;
            next_ms = mls__cron_next(cron, zone, at_ms);
        }
        seen_s = w->local_s[i] > seen_s ? w->local_s[i] : seen_s;
    }
    mls_test_expect(next_ms >= end_ms &&
                        mls__cron_last(cron, zone, begin_ms - 1, end_ms - 1) == last_ms,
                    "the last of '%s' in %s", s->line, name);
}

/* A window of few days around a change of the zone's clocks, or anywhere. */
static time_t draw_begin(uint64_t *seed, const mls__zone *zone)
{
    const int64_t at_s = (int64_t) mls_test_random_below(seed, 100 * 365) * 86400 + 10 * 86400;
    const mls__zone_span span = mls__zone_span_at(zone, at_s);
    if (mls_test_random_below(seed, 4) && span.from_s > 10 * 86400)
        return (time_t) (span.from_s - 86400 - span.from_s % 60);
    return (time_t) at_s;
}

static const char *const zones[] = {
    "UTC",          "America/New_York",  "Europe/Berlin",   "Australia/Lord_Howe",
    "Asia/Kolkata", "America/Sao_Paulo", "Europe/Dublin",   "Africa/Casablanca",
    "America/Nuuk", "Asia/Gaza",         "Asia/Kathmandu",  "Antarctica/Troll",
    "Pacific/Apia", "Pacific/Kwajalein", "America/Caracas", "Etc/GMT+5",
};

START_TEST(lines_fire_as_the_minutes_of_the_c_library_say)
{
    const char *const name = zones[_i];
    uint64_t seed = mls_test_seed(20) + (uint64_t) _i;
    static window w;
    if (!has_zones() && _i)
        return;
    mls__zone *zone = load(name);
    ck_assert_int_eq(setenv("TZ", name, 1), 0);
    tzset();
    for (int i = 0; i < (mls_test_is_quick() ? 2 : WINDOWS); i++) {
        open_window(draw_begin(&seed, zone), &w);
        for (int j = 0; j < LINES; j++) {
            mls__cron cron;
            sample s;
            draw_line(&seed, &cron, &s);
            compare(&s, &cron, zone, name, &w);
        }
    }
    mls__zone_free(heap, zone);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cron");
    TCase *tcase = tcase_create("cron");
    tcase_add_test(tcase, dates_are_days);
    tcase_add_test(tcase, lines_that_are_none_say_where);
    tcase_add_test(tcase, lines_fire);
    tcase_add_test(tcase, clocks_that_change_fire_once_or_go_on);
    tcase_add_loop_test(tcase, lines_fire_as_the_minutes_of_the_c_library_say, 0,
                        (int) (sizeof zones / sizeof zones[0]));
    zones_add(tcase);
    suite_add_tcase(suite, tcase);
    return mls_test_run(suite);
}
