/* SPDX-License-Identifier: Apache-2.0 */
/* Reads lines of cron. */
#include "job/cron.h"

#include "base/error.h"
#include "job/civil.h"

#include <stdio.h>
#include <string.h>

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

static const struct {
    const char *name;
    int32_t least, most;
    const char *const *words; /* for `least` and what follows it */
} fields[FIELDS] = {
    [MINUTE] = {"minute", 0, 59, NULL},
    [HOUR] = {"hour", 0, 23, NULL},
    [DAY] = {"day of month", 1, 31, NULL},
    [MONTH] = {"month", 1, 12, month_names},
    [WEEKDAY] = {"day of week", 0, 7, weekday_names}, /* 0 and 7 are Sunday */
};

static const struct {
    const char *name, *line;
} nicknames[] = {
    {"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},   {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
};

typedef struct reader {
    const char *line, *at;
    int field;
    uint64_t sets[FIELDS];
    bool has_star[FIELDS]; /* it begins with '*' */
} reader;

static mls_status error_at(const reader *r, const char *at, const char *what)
{
    return mls__error(MLS_EINVAL, "cron line '%s', field %d (%s), column %d: %s", r->line,
                      r->field + 1, fields[r->field].name, (int) (at - r->line) + 1, what);
}

static mls_status error_range(const reader *r, const char *at)
{
    char what[64];
    snprintf(what, sizeof what, "%d to %d is possible", fields[r->field].least,
             fields[r->field].most);
    return error_at(r, at, what);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

/* Whether the first three letters at `at` are the word, and no fourth follows. */
static bool is_word(const char *at, const char *word)
{
    for (int i = 0; i < 3; i++)
        if (lower(at[i]) != word[i])
            return false;
    return lower(at[3]) < 'a' || lower(at[3]) > 'z';
}

/* Digits; more than three are as many too many. */
static int32_t read_digits(reader *r)
{
    int32_t value = 0;
    for (; is_digit(*r->at); r->at++)
        value = value < 1000 ? value * 10 + (*r->at - '0') : value;
    return value;
}

static mls_status read_value(reader *r, int32_t *ret_value)
{
    const char *const *words = fields[r->field].words;
    const char *begin = r->at;
    if (is_digit(*begin)) {
        const int32_t value = read_digits(r);
        if (value < fields[r->field].least || value > fields[r->field].most)
            return error_range(r, begin);
        *ret_value = value;
        return MLS_OK;
    }
    for (int32_t i = 0; words && words[i]; i++) {
        if (!is_word(begin, words[i]))
            continue;
        r->at += 3;
        *ret_value = fields[r->field].least + i;
        return MLS_OK;
    }
    return error_at(r, begin,
                    words ? "write a number, a name of three letters, or '*'"
                          : "write a number or '*'");
}

static mls_status read_step(reader *r, bool is_range, int32_t *ret_step)
{
    if (*r->at != '/')
        return MLS_OK;
    if (!is_range)
        return error_at(r, r->at, "a step is of '*' or of a range, as in 5-59/15");
    const char *begin = ++r->at;
    if (!is_digit(*begin))
        return error_at(r, begin, "write a number behind '/'");
    *ret_step = read_digits(r);
    if (*ret_step < 1 || *ret_step > fields[r->field].most)
        return error_at(r, begin, "such a step is none");
    return MLS_OK;
}

/* A value, a range or '*', with or without a step. */
static mls_status read_part(reader *r)
{
    const char *begin = r->at;
    const bool is_star = *begin == '*';
    int32_t first = fields[r->field].least, last = fields[r->field].most, step = 1;
    mls_status status = MLS_OK;
    if (is_star)
        r->at++;
    else
        status = read_value(r, &first);
    const bool is_range = is_star || *r->at == '-';
    if (!status && !is_star && is_range) {
        r->at++;
        status = read_value(r, &last);
    }
    if (!status)
        status = read_step(r, is_range, &step);
    if (status)
        return status;
    if (!is_range)
        last = first;
    if (r->field == WEEKDAY && last == 0 && first > 0)
        last = 7; /* a range that ends with Sunday */
    if (last < first)
        return error_at(r, begin, "the range ends before it begins");
    for (int32_t i = first; i <= last; i += step)
        r->sets[r->field] |= UINT64_C(1) << i;
    return MLS_OK;
}

static mls_status read_field(reader *r)
{
    r->has_star[r->field] = *r->at == '*';
    for (;;) {
        const mls_status status = read_part(r);
        if (status)
            return status;
        if (*r->at != ',')
            break;
        r->at++;
    }
    return !*r->at || is_blank(*r->at) ? MLS_OK : error_at(r, r->at, "this is not understood");
}

static void skip_blanks(reader *r)
{
    while (is_blank(*r->at))
        r->at++;
}

static mls_status read_line(reader *r)
{
    mls_status status = MLS_OK;
    for (r->field = 0; !status && r->field < FIELDS; r->field++) {
        skip_blanks(r);
        status = *r->at ? read_field(r) : error_at(r, r->at, "it is missing: there are five");
    }
    skip_blanks(r);
    if (!status && *r->at)
        status = mls__error(MLS_EINVAL, "cron line '%s', column %d: there is more than five fields",
                            r->line, (int) (r->at - r->line) + 1);
    return status;
}

/* Whether a day of the month that is asked for is in a month that is asked for. */
static bool has_day(const mls__cron *cron)
{
    for (int32_t month = 1; month <= 12; month++)
        for (int32_t day = 1; day <= mls__days_in_month(2000, month); day++)
            if (cron->months >> month & 1 && cron->days >> day & 1)
                return true;
    return false;
}

static mls_status make(const reader *r, mls__cron *ret_cron)
{
    const uint64_t weekdays = r->sets[WEEKDAY];
    const mls__cron cron = {
        .minutes = r->sets[MINUTE],
        .hours = (uint32_t) r->sets[HOUR],
        .days = (uint32_t) r->sets[DAY],
        .months = (uint32_t) r->sets[MONTH],
        .weekdays = (uint32_t) ((weekdays | weekdays >> 7) & 0x7f),
        .is_elapsed = r->has_star[HOUR],
        .needs_both = r->has_star[DAY] || r->has_star[WEEKDAY],
    };
    if (cron.needs_both && !has_day(&cron))
        return mls__error(MLS_EINVAL, "cron line '%s': no such day ever comes", r->line);
    *ret_cron = cron;
    return MLS_OK;
}

/* The five fields that a nickname stands for; NULL: there is none of that name. */
static const char *line_of(const char *name)
{
    for (size_t i = 0; i < sizeof nicknames / sizeof nicknames[0]; i++)
        if (strcmp(nicknames[i].name, name) == 0)
            return nicknames[i].line;
    return NULL;
}

/* What is shown of it in messages is a line of text. */
static mls_status check_text(const char *line)
{
    const size_t length = strnlen(line, MLS_SCHEDULE_CRON_MAX + 1);
    if (length > MLS_SCHEDULE_CRON_MAX)
        return mls__error(MLS_EINVAL, "the cron line is longer than %d bytes",
                          MLS_SCHEDULE_CRON_MAX);
    for (size_t i = 0; i < length; i++)
        if ((line[i] < 0x20 && line[i] != '\t') || line[i] > 0x7e)
            return mls__error(MLS_EINVAL,
                              "the cron line has byte 0x%02x in column %zu: it is of "
                              "printed ASCII",
                              (unsigned char) line[i], i + 1);
    return MLS_OK;
}

mls_status mls__cron_parse(const char *line, mls__cron *ret_cron)
{
    mls_status status = check_text(line);
    if (status)
        return status;
    if (line[0] == '@')
        line = line_of(line);
    if (!line)
        return mls__error(MLS_EINVAL, "the cron line begins with '@'; there are @hourly, @daily, "
                                      "@weekly, @monthly and @yearly");
    reader r = {.line = line, .at = line};
    status = read_line(&r);
    return status ? status : make(&r, ret_cron);
}
