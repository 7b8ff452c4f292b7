/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads compiled time zones. A file is not trusted: every count is checked against its size, and
 * times that do not ascend, offsets past a day and leap seconds are refused.
 */
#include "job/zone.h"

#include "base/error.h"
#include "job/zone_rule.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_BYTES    (256 * 1024)
#define HEADER_BYTES  44
#define MOST_COUNT    65536 /* of anything in a file */
#define MOST_CHANGES  2000  /* some 240 are in the database: a line of cron may look at each */
#define DEFAULT_TZDIR "/usr/share/zoneinfo"

typedef struct change {
    int64_t at_s, offset_s; /* from then on */
} change;

struct mls__zone {
    bool has_rule; /* for what comes after the last change */
    mls__zone_rule rule;
    size_t count; /* 1 and more: the first one is INT64_MIN's */
    change changes[];
};

/* Reading */

/* The counts of a block, in the order of the header. */
enum { IS_UTC, IS_STANDARD, LEAPS, TIMES, TYPES, LETTERS, COUNTS };

/* What is left of a file. */
typedef struct bytes {
    const unsigned char *at;
    size_t left;
} bytes;

/* Steps over `size` bytes and gives them; NULL: there are not so many. */
static const unsigned char *step(bytes *b, size_t size)
{
    const unsigned char *at = b->at;
    if (size > b->left)
        return NULL;
    b->at += size;
    b->left -= size;
    return at;
}

static uint64_t big_endian(const unsigned char *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

static int64_t signed_of(uint64_t value, unsigned bits)
{
    const uint64_t sign = UINT64_C(1) << (bits - 1);
    return value < sign ? (int64_t) value : -(int64_t) (sign - (value - sign) - 1) - 1;
}

static bool read_header(bytes *b, unsigned char *ret_version, size_t counts[COUNTS])
{
    const unsigned char *header = step(b, HEADER_BYTES);
    if (!header || memcmp(header, "TZif", 4) != 0)
        return false;
    *ret_version = header[4];
    for (size_t i = 0; i < COUNTS; i++) {
        counts[i] = (size_t) big_endian(header + 20 + 4 * i, 4);
        if (counts[i] > MOST_COUNT)
            return false;
    }
    return true;
}

/* Of a block whose times have `wide` bytes, behind its header. */
static size_t block_bytes(const size_t counts[COUNTS], size_t wide)
{
    return counts[TIMES] * (wide + 1) + counts[TYPES] * 6 + counts[LETTERS] +
           counts[LEAPS] * (wide + 4) + counts[IS_STANDARD] + counts[IS_UTC];
}

static mls_status error_damaged(const char *what)
{
    return mls__error(MLS_EFORMAT, "it is no compiled time zone, or a damaged one: %s", what);
}

static mls_status fill_changes(const unsigned char *block, const size_t counts[COUNTS],
                               mls__zone *zone)
{
    const unsigned char *types = block + 8 * counts[TIMES];
    const unsigned char *offsets = types + counts[TIMES];
    zone->count = counts[TIMES] + 1;
    for (size_t i = 0; i < zone->count; i++) {
        const size_t type = i ? types[i - 1] : 0;
        if (type >= counts[TYPES])
            return error_damaged("a change is to a type that is not there");
        change *c = &zone->changes[i];
        c->at_s = i ? signed_of(big_endian(block + 8 * (i - 1), 8), 64) : INT64_MIN;
        c->offset_s = signed_of(big_endian(offsets + 6 * type, 4), 32);
        if (i && c->at_s <= c[-1].at_s)
            return error_damaged("its changes are not in order");
        if (c->offset_s > MLS__ZONE_OFFSET_MAX || c->offset_s < -MLS__ZONE_OFFSET_MAX)
            return error_damaged("an offset is larger than a day");
    }
    return MLS_OK;
}

/* "\nTZ\n"; an empty one says that the last offset stays. */
static mls_status read_rule(bytes *b, mls__zone *zone)
{
    const char *text = (const char *) b->at + 1;
    const char *end = b->left > 1 ? memchr(text, '\n', b->left - 1) : NULL;
    if (!end || b->at[0] != '\n')
        return error_damaged("its end is missing");
    zone->has_rule = end > text;
    if (zone->has_rule && !mls__zone_rule_parse(text, (size_t) (end - text), &zone->rule))
        return error_damaged("the rule at its end is none");
    return MLS_OK;
}

static mls__zone *create(const mls__allocator *allocator, size_t times)
{
    return mls__alloc_array(allocator, 1, sizeof(mls__zone) + (times + 1) * sizeof(change));
}

mls_status mls__zone_parse(const mls__allocator *allocator, const void *data, size_t size,
                           mls__zone **ret_zone)
{
    bytes b = {data, size};
    unsigned char version;
    size_t counts[COUNTS];
    if (size > MOST_BYTES)
        return error_damaged("it is too large");
    if (!read_header(&b, &version, counts))
        return error_damaged("its header is not one");
    if (version < '2')
        return error_damaged("it is of version 1, and 2 is the oldest that is read");
    if (!step(&b, block_bytes(counts, 4)) || !read_header(&b, &version, counts))
        return error_damaged("its second header is not one");
    const unsigned char *block = step(&b, block_bytes(counts, 8));
    if (!block || !counts[TYPES])
        return error_damaged("it is cut short");
    if (counts[TIMES] > MOST_CHANGES)
        return error_damaged("it has too many changes");
    if (counts[LEAPS])
        return error_damaged("it counts leap seconds, which clocks here do not");
    mls__zone *zone = create(allocator, counts[TIMES]);
    if (!zone)
        return mls__error_nomem(counts[TIMES] * sizeof(change));
    mls_status status = fill_changes(block, counts, zone);
    if (!status)
        status = read_rule(&b, zone);
    if (status)
        mls__zone_free(allocator, zone);
    else
        *ret_zone = zone;
    return status;
}

void mls__zone_free(const mls__allocator *allocator, mls__zone *zone)
{
    mls__free(allocator, zone);
}

/* Finding */

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '+';
}

/* Without a dot there is no way out of the folder. */
mls_status mls__zone_check_name(const char *name)
{
    const size_t length = strnlen(name, MLS_SCHEDULE_ZONE_MAX + 1);
    bool is_good = length && length <= MLS_SCHEDULE_ZONE_MAX;
    for (size_t i = 0; is_good && i < length; i++) {
        const bool is_inside = i && i + 1 < length && name[i - 1] != '/';
        is_good = is_name_byte(name[i]) || (name[i] == '/' && is_inside);
    }
    if (is_good)
        return MLS_OK;
    return mls__error(MLS_EINVAL,
                      "'%.64s' is no name of a time zone; write one as UTC, "
                      "Europe/Berlin or Etc/GMT+5",
                      name);
}

/* Reads all, as far as there is room for it; a file that is cut short meanwhile is shorter. */
static mls_status read_all(int fd, unsigned char *data, size_t size, size_t *ret_size)
{
    size_t have = 0;
    while (have < size) {
        const ssize_t more = read(fd, data + have, size - have);
        if (more < 0 && errno != EINTR)
            return mls__error_os(errno, "it cannot be read");
        if (more == 0)
            break;
        have += more > 0 ? (size_t) more : 0;
    }
    *ret_size = have;
    return MLS_OK;
}

static mls_status load_open(const mls__allocator *allocator, int fd, mls__zone **ret_zone)
{
    struct stat info;
    size_t size;
    if (fstat(fd, &info) != 0)
        return mls__error_os(errno, "it cannot be looked at");
    if (!S_ISREG(info.st_mode) || info.st_size > MOST_BYTES)
        return error_damaged(S_ISREG(info.st_mode) ? "it is too large" : "it is no regular file");
    unsigned char *data = mls__alloc(allocator, (size_t) info.st_size + 1);
    if (!data)
        return mls__error_nomem((size_t) info.st_size);
    mls_status status = read_all(fd, data, (size_t) info.st_size, &size);
    if (!status)
        status = mls__zone_parse(allocator, data, size, ret_zone);
    mls__free(allocator, data);
    return status;
}

/*
 * Read rather than mapped: whoever writes over the file of a zone in place must not end the
 * process.
 */
static mls_status load_path(const mls__allocator *allocator, const char *path, mls__zone **ret_zone)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return mls__error(MLS_ENOTFOUND, "there is no such file");
    if (fd < 0)
        return mls__error_os(errno, "it cannot be opened");
    const mls_status status = load_open(allocator, fd, ret_zone);
    close(fd);
    return status;
}

static mls_status load_file(const mls__allocator *allocator, const char *name, mls__zone **ret_zone)
{
    char path[4096];
    const char *folder = getenv("TZDIR");
    if (!folder || !*folder)
        folder = DEFAULT_TZDIR;
    if ((size_t) snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
        return mls__error(MLS_ENOTFOUND, "time zone '%s': TZDIR is longer than %zu bytes", name,
                          sizeof path);
    const mls_status status = load_path(allocator, path, ret_zone);
    return status ? mls__error_at(status, "time zone '%s' ('%s')", name, path) : MLS_OK;
}

mls_status mls__zone_load(const mls__allocator *allocator, const char *name, mls__zone **ret_zone)
{
    const mls_status status = mls__zone_check_name(name);
    if (status)
        return status;
    if (strcmp(name, "UTC") != 0)
        return load_file(allocator, name, ret_zone);
    mls__zone *zone = create(allocator, 0);
    if (!zone)
        return mls__error_nomem(sizeof *zone);
    zone->count = 1;
    zone->changes[0].at_s = INT64_MIN;
    *ret_zone = zone;
    return MLS_OK;
}

/* Looking up */

mls__zone_span mls__zone_span_at(const mls__zone *zone, int64_t at_s)
{
    size_t low = 0, high = zone->count; /* changes[low] is not after at_s, changes[high] is */
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (zone->changes[middle].at_s <= at_s)
            low = middle;
        else
            high = middle;
    }
    const change *c = &zone->changes[low];
    if (high == zone->count && zone->has_rule) {
        mls__zone_span span = mls__zone_rule_span_at(&zone->rule, at_s);
        span.from_s = span.from_s > c->at_s ? span.from_s : c->at_s;
        return span;
    }
    return (mls__zone_span){c->at_s, high < zone->count ? c[1].at_s : INT64_MAX, c->offset_s};
}
