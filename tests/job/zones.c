/* SPDX-License-Identifier: Apache-2.0 */
/* Names of time zones, and files of them that are damaged, too large or none. */
#include "job/zones.h"

#include "support/folder.h"
#include "support/test.h"

#include "job/civil.h"
#include "job/cron.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const mls__allocator *const heap = &mls__allocator_default;

int64_t zones_utc_ms(int year, int month, int day, int hour, int minute)
{
    const mls__date date = {year, month, day};
    return (mls__days_of_date(date) * 1440 + hour * 60 + minute) * 60000;
}

START_TEST(zones_are_named)
{
    static const char *const bad[] = {"",     "/etc/passwd", "../passwd", "Europe/../UTC",
                                      "a//b", "Europe/",     "posix/.",   "a b",
                                      "a\nb", "\xc3\xa4"};
    mls__zone *zone;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_fails(mls__zone_load(heap, bad[i], &zone), MLS_EINVAL, "no name of a time zone");
    char longest[MLS_SCHEDULE_ZONE_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[MLS_SCHEDULE_ZONE_MAX + 1] = '\0';
    ck_assert_fails(mls__zone_load(heap, longest, &zone), MLS_EINVAL, "no name");
    ck_assert_fails(mls__zone_load(heap, "Mars/Olympus", &zone), MLS_ENOTFOUND, "Mars/Olympus");
    ck_assert_int_eq(setenv("TZDIR", "/nowhere", 1), 0);
    ck_assert_fails(mls__zone_load(heap, "Europe/Berlin", &zone), MLS_ENOTFOUND, "/nowhere/Europe");
    ck_assert_ok(mls__zone_load(heap, "UTC", &zone));
    mls__zone_free(heap, zone);
    ck_assert_int_eq(unsetenv("TZDIR"), 0);
}
END_TEST

/* A file of one offset of an hour, and one change at 1000 to two hours. */
static const unsigned char tiny[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                    "\0\0\0\0"
                                    "\0\0\0\0"
                                    "\0\0\0\0"
                                    "\0\0\0\0"
                                    "\0\0\0\1"
                                    "\0\0\0\1"
                                    "\0\0\0\0\0\0"
                                    "\0"
                                    "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                    "\0\0\0\0"
                                    "\0\0\0\0"
                                    "\0\0\0\0"
                                    "\0\0\0\1"
                                    "\0\0\0\2"
                                    "\0\0\0\1"
                                    "\0\0\0\0\0\0\3\xe8"
                                    "\1"
                                    "\0\0\x0e\x10\0\0"
                                    "\0\0\x1c\x20\1\0"
                                    "\0"
                                    "\nAAA-1BBB,J60/0,300/0\n";
enum { TINY = sizeof tiny - 1 };

START_TEST(files_of_zones_are_checked)
{
    mls__zone *zone;
    ck_assert_ok(mls__zone_parse(heap, tiny, TINY, &zone));
    mls__zone_span span = mls__zone_span_at(zone, 999);
    ck_assert(span.from_s == INT64_MIN && span.until_s == 1000 && span.offset_s == 3600);
    span = mls__zone_span_at(zone, 1000);
    ck_assert(span.from_s == 1000 && span.offset_s == 3600); /* as its rule says */
    /* J60 is 1 March always, 300 is 28 October, and in leap years the 27th. */
    span = mls__zone_span_at(zone, zones_utc_ms(2028, 6, 1, 0, 0) / 1000);
    ck_assert_int_eq(span.from_s, zones_utc_ms(2028, 2, 29, 23, 0) / 1000);
    ck_assert_int_eq(span.until_s, zones_utc_ms(2028, 10, 27, 0, 0) / 1000 - 7200);
    ck_assert_int_eq(span.offset_s, 7200);
    mls__zone_free(heap, zone);
    for (size_t size = 0; size < TINY; size++)
        ck_assert_fails(mls__zone_parse(heap, tiny, size, &zone), MLS_EFORMAT, "no compiled");
    for (size_t i = 0; i < TINY; i++) {
        for (unsigned change = 1; change < 256; change++) {
            unsigned char bytes[TINY];
            memcpy(bytes, tiny, TINY);
            bytes[i] = (unsigned char) (bytes[i] ^ change);
            if (mls__zone_parse(heap, bytes, TINY, &zone))
                continue;
            for (int64_t at_s = -4000000000; at_s < 4000000000; at_s += 999999937) {
                span = mls__zone_span_at(zone, at_s);
                mls_test_expect(span.from_s <= at_s && at_s < span.until_s &&
                                    span.offset_s <= MLS__ZONE_OFFSET_MAX &&
                                    span.offset_s >= -MLS__ZONE_OFFSET_MAX,
                                "byte %zu xor %u", i, change);
            }
            mls__zone_free(heap, zone);
        }
    }
}
END_TEST

/* A file of so many changes, a second apart: its size. */
static size_t write_changes(unsigned char *bytes, size_t count)
{
    enum { FIRST = 44 + 6 + 1, HEADER = 44 };
    unsigned char *at = bytes + FIRST + HEADER;
    memcpy(bytes, tiny, FIRST + HEADER);
    for (size_t i = 0; i < 4; i++) {
        bytes[FIRST + 32 + i] = (unsigned char) (count >> (24 - 8 * i));
        bytes[FIRST + 36 + i] = i == 3; /* types */
    }
    memset(at, 0, 8 * count);
    for (size_t i = 0; i < count; i++, at += 8) {
        at[6] = (unsigned char) (i >> 8);
        at[7] = (unsigned char) i;
    }
    memset(at, 0, count + 6 + 1); /* all to the one type, of no offset */
    at += count + 6 + 1;
    memcpy(at, "\n\n", 2);
    return (size_t) (at + 2 - bytes);
}

START_TEST(files_of_many_changes_are_refused)
{
    static unsigned char bytes[20000];
    mls__zone *zone;
    ck_assert_ok(mls__zone_parse(heap, bytes, write_changes(bytes, 2000), &zone));
    mls__zone_free(heap, zone);
    ck_assert_fails(mls__zone_parse(heap, bytes, write_changes(bytes, 2001), &zone), MLS_EFORMAT,
                    "too many changes");
}
END_TEST

START_TEST(what_is_no_file_of_a_zone_is_told)
{
    char path[300];
    mls__zone *zone;
    snprintf(path, sizeof path, "%s", mls_test_folder_path("large"));
    FILE *file = fopen(path, "w");
    ck_assert(file && fseek(file, 256 * 1024, SEEK_SET) == 0 && fputc(0, file) == 0);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(symlink(".", mls_test_folder_path("folder")), 0);
    ck_assert_int_eq(symlink("/dev/zero", mls_test_folder_path("device")), 0);
    ck_assert_int_eq(setenv("TZDIR", mls_test_folder(), 1), 0);
    ck_assert_fails(mls__zone_load(heap, "large", &zone), MLS_EFORMAT, "too large");
    ck_assert_fails(mls__zone_load(heap, "folder", &zone), MLS_EFORMAT, "no regular file");
    ck_assert_fails(mls__zone_load(heap, "device", &zone), MLS_EFORMAT, "no regular file");
    ck_assert_int_eq(truncate(path, 10), 0);
    ck_assert_fails(mls__zone_load(heap, "large", &zone), MLS_EFORMAT, "header");
    ck_assert_int_eq(unsetenv("TZDIR"), 0);
}
END_TEST

void zones_add(TCase *tests)
{
    tcase_add_test(tests, zones_are_named);
    tcase_add_test(tests, files_of_zones_are_checked);
    tcase_add_test(tests, files_of_many_changes_are_refused);
    tcase_add_test(tests, what_is_no_file_of_a_zone_is_told);
}
