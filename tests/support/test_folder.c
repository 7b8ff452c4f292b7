/* SPDX-License-Identifier: Apache-2.0 */
/* A test that is killed leaves its folder until the next one; one that runs keeps its own. */
#include "support/folder.h"
#include "support/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int hold[2]; /* children end with it */

/* A child that has made a folder with a file in it, and waits; `ret_path` is the file's. */
static pid_t start(char ret_path[400])
{
    int told[2];
    ck_assert_int_eq(pipe(told), 0);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        char path[400] = "";
        snprintf(path, sizeof path, "%s", mls_test_folder_path("file"));
        FILE *file = fopen(path, "w");
        if (!file || fclose(file) || write(told[1], path, sizeof path) != sizeof path)
            _exit(1);
        close(hold[1]);
        (void) !read(hold[0], path, 1);
        exit(0);
    }
    close(told[1]);
    ck_assert_int_eq(read(told[0], ret_path, 400), 400);
    close(told[0]);
    return child;
}

START_TEST(folders_of_killed_tests_are_removed)
{
    char killed[400], alive[400];
    ck_assert_int_eq(pipe(hold), 0);
    const pid_t first = start(killed), second = start(alive);
    ck_assert_int_eq(kill(first, SIGKILL), 0);
    ck_assert_int_eq(waitpid(first, NULL, 0), first);
    ck_assert_int_eq(access(killed, F_OK), 0);
    mls_test_folder();
    ck_assert_int_ne(access(killed, F_OK), 0);
    *strrchr(killed, '/') = '\0';
    ck_assert_int_ne(access(killed, F_OK), 0);
    ck_assert_int_eq(access(alive, F_OK), 0);
    close(hold[1]);
    ck_assert_int_eq(waitpid(second, NULL, 0), second);
    ck_assert_int_ne(access(alive, F_OK), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("support/folder");
    TCase *tests = mls_test_case(suite, "folder", NULL, NULL);
    tcase_add_test(tests, folders_of_killed_tests_are_removed);
    return mls_test_run(suite);
}
