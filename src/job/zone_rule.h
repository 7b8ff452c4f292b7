/* SPDX-License-Identifier: Apache-2.0 */
/* The rule by which a zone goes on after the last change that its file lists. */
#ifndef MLS_JOB_ZONE_RULE_H
#define MLS_JOB_ZONE_RULE_H

#include "job/zone.h"

/* When in a year the offset changes. */
typedef struct mls__zone_day {
    char kind; /* 'J': day 1 to 365, never 29 February; 'D': day 0 to 365; 'M': see below */
    int32_t month, week, day; /* 'M': the week-th such weekday of a month, 5 being the last */
    int64_t time_s;           /* of that day, by the offset before */
} mls__zone_day;

typedef struct mls__zone_rule {
    bool has_summer;
    int64_t offset_s, summer_offset_s;
    mls__zone_day start, end; /* of summer time, which may be behind and not ahead */
} mls__zone_rule;

/* Reads TZ as POSIX has it, with the hours of RFC 8536. false: it is none. */
bool mls__zone_rule_parse(const char *text, size_t size, mls__zone_rule *ret_rule);
mls__zone_span mls__zone_rule_span_at(const mls__zone_rule *rule, int64_t at_s);

#endif
