/* SPDX-License-Identifier: Apache-2.0 */
/* Mapping files: contents, the empty file, and all that is no regular file. */
#include "support/test.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/mls-test-file-XXXXXX";
static char path[64];

static void set_up(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
}

static void tear_down(void)
{
    unlink(path);
    rmdir(folder);
}

static void write_file(const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(gives_the_contents)
{
    unsigned char data[10001];
    mls__file_map map;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char) (i * 7);
    write_file(data, sizeof data);
    ck_assert_ok(mls__file_map_open(path, &map));
    ck_assert_uint_eq(map.size, sizeof data);
    ck_assert_mem_eq(map.data, data, sizeof data);
    mls__file_map_close(&map);
    ck_assert_ptr_null(map.data);
    mls__file_map_close(&map); /* nothing left to do */
}
END_TEST

START_TEST(empty_file_is_empty)
{
    mls__file_map map;
    write_file("", 0);
    ck_assert_ok(mls__file_map_open(path, &map));
    ck_assert_ptr_null(map.data);
    ck_assert_uint_eq(map.size, 0);
    mls__file_map_close(&map);
}
END_TEST

START_TEST(file_that_is_not_there)
{
    mls__file_map map = {folder, 7};
    char below[80];
    ck_assert_fails(mls__file_map_open(path, &map), MLS_ENOTFOUND, path);
    write_file("x", 1);
    snprintf(below, sizeof below, "%s/below", path);
    ck_assert_fails(mls__file_map_open(below, &map), MLS_ENOTFOUND, below);
    ck_assert_ptr_eq(map.data, folder); /* written only on success */
}
END_TEST

START_TEST(what_is_no_regular_file)
{
    mls__file_map map;
    ck_assert_fails(mls__file_map_open(folder, &map), MLS_EINVAL, "regular file");
    ck_assert_fails(mls__file_map_open("/dev/null", &map), MLS_EINVAL, "regular file");
    ck_assert_int_eq(mkfifo(path, 0600), 0); /* nobody writes: must not wait */
    ck_assert_fails(mls__file_map_open(path, &map), MLS_EINVAL, "regular file");
}
END_TEST

START_TEST(system_error_is_told)
{
    mls__file_map map;
    ck_assert_int_eq(symlink(path, path), 0);
    ck_assert_fails(mls__file_map_open(path, &map), MLS_EIO, "symbolic links");
}
END_TEST

START_TEST(inside_a_directory_only)
{
    char sub[80], link[80], up[80];
    mls__file_map map = {folder, 7};
    snprintf(sub, sizeof sub, "%s/sub", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    snprintf(up, sizeof up, "%s/sub/up", folder);
    ck_assert_int_eq(mkdir(sub, 0700), 0);
    ck_assert_int_eq(symlink("file", link), 0);
    ck_assert_int_eq(symlink("..", up), 0);
    write_file("abc", 3);

    static const char *const good[] = {"file", "./file", ".//file"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ck_assert_ok(mls__file_map_open_inside(folder, good[i], &map));
        ck_assert_uint_eq(map.size, 3);
        mls__file_map_close(&map);
    }
    static const char *const bad[] = {"",   path,   "/etc/passwd", "../file",   "sub/../file",
                                      "..", "link", "sub/up/file", "file/below"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_fails(mls__file_map_open_inside(folder, bad[i], &map), MLS_EFORMAT, bad[i]);
    ck_assert_fails(mls__file_map_open_inside(folder, "none", &map), MLS_ENOTFOUND, "none");
    ck_assert_fails(mls__file_map_open_inside(folder, "sub/none", &map), MLS_ENOTFOUND, "none");
    ck_assert_fails(mls__file_map_open_inside(folder, "sub/", &map), MLS_EINVAL, "regular file");
    ck_assert_fails(mls__file_map_open_inside(folder, ".", &map), MLS_EINVAL, "regular file");

    char endless[600];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    ck_assert_fails(mls__file_map_open_inside(folder, endless, &map), MLS_EFORMAT, "xxx");
    unlink(up);
    unlink(link);
    rmdir(sub);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base/file");
    TCase *tests = tcase_create("file");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, gives_the_contents);
    tcase_add_test(tests, empty_file_is_empty);
    tcase_add_test(tests, file_that_is_not_there);
    tcase_add_test(tests, what_is_no_regular_file);
    tcase_add_test(tests, system_error_is_told);
    tcase_add_test(tests, inside_a_directory_only);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
