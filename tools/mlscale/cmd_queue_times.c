/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time, as mlscale queue reads and shows them. */
#include "cmd_queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LONGEST_MS INT64_C(3155760000000) /* a century */

static int64_t wall_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* "+1500". */
static bool read_distance(const char *text, int64_t *wall_ms)
{
    char *end;
    if (text[0] != '+' || text[1] < '0' || text[1] > '9')
        return false;
    errno = 0;
    const long long distance = strtoll(text + 1, &end, 10);
    if (errno || *end || distance > LONGEST_MS)
        return false;
    *wall_ms = wall_now_ms() + distance;
    return true;
}

/* Each part of the time in digits of its own: "2026-02-30" is none, though mktime() takes it. */
static bool is_same(const struct tm *a, const struct tm *b)
{
    return a->tm_year == b->tm_year && a->tm_mon == b->tm_mon && a->tm_mday == b->tm_mday &&
           a->tm_hour == b->tm_hour && a->tm_min == b->tm_min && a->tm_sec == b->tm_sec;
}

/* "2026-01-31T12:00:05Z", or with a blank, as it is shown. */
static bool read_point(const char *text, int64_t *wall_ms)
{
    struct tm parts = {0}, again;
    const char *end = strptime(text, "%Y-%m-%d", &parts);
    if (!end || (*end != 'T' && *end != ' '))
        return false;
    end = strptime(end + 1, "%H:%M:%SZ", &parts);
    if (!end || *end)
        return false;
    struct tm copy = parts;
    const time_t seconds = timegm(&copy);
    if (seconds <= 0 || !gmtime_r(&seconds, &again) || !is_same(&parts, &again))
        return false;
    *wall_ms = (int64_t) seconds * 1000;
    return true;
}

bool time_read(const arguments *args, const char *name, int64_t *wall_ms)
{
    const char *text = arguments_get(args, name);
    if (!text || read_distance(text, wall_ms) || read_point(text, wall_ms))
        return true;
    usage_error(args,
                "--%s %s: expected a time of UTC such as 2026-01-31T12:00:05Z, or +MS, so many "
                "milliseconds from now",
                name, text);
    return false;
}

const char *time_text(int64_t wall_ms, char *text, size_t size)
{
    const time_t seconds = (time_t) (wall_ms / 1000);
    struct tm parts;
    if (!wall_ms || !gmtime_r(&seconds, &parts) ||
        !strftime(text, size, "%Y-%m-%d %H:%M:%SZ", &parts))
        snprintf(text, size, "-");
    return text;
}
