/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of cron: "30 2 * * mon-fri", and when they fire in a time zone.
 *
 * A line says which minutes of local time match. Where clocks are changed some of these come
 * never or twice, and then:
 * - A line whose hour begins with '*' is about time that passes: it fires in each minute that
 *   matches, in both of an hour that comes twice, and in none that is skipped.
 * - Any other is about hours of the day: it fires once for each minute that matches, the first
 *   time that this comes, or, if it is skipped, at the first instant after it; those of several
 *   skipped minutes are one.
 */
#ifndef MLS_JOB_CRON_H
#define MLS_JOB_CRON_H

#include "job/zone.h"

#include <mlscale/queue.h>

#define MLS__CRON_NEVER INT64_MAX

/* Sets of numbers as bits. */
typedef struct mls__cron {
    uint64_t minutes;
    uint32_t hours, days, months, weekdays; /* Sunday is 0 */
    bool is_elapsed;                        /* the hour begins with '*' */
    bool needs_both; /* a day must match as one of the month and of the week; else as either */
} mls__cron;

/* MLS_EINVAL: the message names field and column, or says that no such day comes. */
mls_status mls__cron_parse(const char *line, mls__cron *ret_cron);

/*
 * When it fires next after an instant, and when it did last at or before one but after
 * `after_ms`: milliseconds since 1970, or MLS__CRON_NEVER.
 */
int64_t mls__cron_next(const mls__cron *cron, const mls__zone *zone, int64_t after_ms);
int64_t mls__cron_last(const mls__cron *cron, const mls__zone *zone, int64_t after_ms,
                       int64_t at_ms);

#endif
