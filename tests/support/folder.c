/* SPDX-License-Identifier: Apache-2.0 */
/* Made by mkdtemp(), removed by an exit handler of the process that made it. */
#include "support/folder.h"

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[256];
static pid_t maker;
static bool is_shared;

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *ftw)
{
    (void) info;
    (void) flag;
    (void) ftw;
    return remove(path);
}

static void remove_folder(void)
{
    if (getpid() == maker)
        nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *mls_test_folder(void)
{
    if (maker == getpid() || (maker && is_shared))
        return folder;
    const char *parent = getenv("MLS_TEST_TMPDIR");
    if (!parent)
        parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/mls-test-XXXXXX", parent);
    if (!mkdtemp(folder)) {
        perror(folder);
        abort();
    }
    maker = getpid();
    atexit(remove_folder);
    return folder;
}

void mls_test_folder_share(void)
{
    is_shared = true;
}

const char *mls_test_folder_path(const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", mls_test_folder(), name);
    return path;
}

const char *mls_test_folder_url(const char *scheme, const char *name)
{
    static char url[400];
    snprintf(url, sizeof url, "%s:%s/%s", scheme, mls_test_folder(), name);
    return url;
}
