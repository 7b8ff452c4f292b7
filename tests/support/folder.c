/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Made by mkdtemp(), removed by an exit handler of the process that made it, or, if that was
 * killed, by the next test that makes one.
 */
#include "support/folder.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* "mls-test-NAMESPACE-PID-": numbers of processes mean nothing in another container. */
static void name_folders(char *name, size_t capacity, bool of_all)
{
    struct stat info = {0};
    stat("/proc/self/ns/pid", &info);
    const int used = snprintf(name, capacity, "mls-test-%lx-", (unsigned long) info.st_ino);
    if (!of_all)
        snprintf(name + used, capacity - (size_t) used, "%ld-", (long) getpid());
}

/* Those of processes that are gone. */
static void remove_left(const char *parent)
{
    char prefix[64], path[400];
    name_folders(prefix, sizeof prefix, true);
    DIR *all = opendir(parent);
    const struct dirent *entry;
    while (all && (entry = readdir(all))) {
        const long pid = strncmp(entry->d_name, prefix, strlen(prefix)) == 0
                             ? strtol(entry->d_name + strlen(prefix), NULL, 10)
                             : 0;
        if (pid <= 0 || kill((pid_t) pid, 0) == 0 || errno != ESRCH)
            continue;
        snprintf(path, sizeof path, "%s/%s", parent, entry->d_name);
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    if (all)
        closedir(all);
}

const char *mls_test_folder(void)
{
    char name[64];
    if (maker == getpid() || (maker && is_shared))
        return folder;
    const char *parent = getenv("MLS_TEST_TMPDIR");
    if (!parent)
        parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    remove_left(parent);
    name_folders(name, sizeof name, false);
    snprintf(folder, sizeof folder, "%s/%sXXXXXX", parent, name);
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
