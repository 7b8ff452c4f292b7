/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where ranks find each other: a socket in a folder of the user's, from the first rank's coming
 * to the last one's. One who dies meanwhile leaves a socket that nobody answers; whoever next
 * looks for a place removes all of these. Looking, removing and binding are one step under a
 * lock of the folder, which the kernel gives back.
 */
#include "transport/shm/shm.h"

#include "base/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NAME_DIGITS 32
#define BACKLOG     128

/* --- the folder ------------------------------------------------------------------------------ */

/* That of the session, or, where there is none, one that everybody can name and one can make. */
static mls_status choose_path(const mls_plugin_host *host, shm_folder *folder)
{
    struct stat st;
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    int length;
    if (runtime && runtime[0] == '/' && stat(runtime, &st) == 0)
        length = snprintf(folder->path, sizeof folder->path, "%s/mlscale", runtime);
    else
        length = snprintf(folder->path, sizeof folder->path, "/tmp/mlscale-%lu",
                          (unsigned long) geteuid());
    if (length >= (int) sizeof folder->path)
        return host->error(MLS_EIO, "XDG_RUNTIME_DIR is too long for a socket in it: %.200s",
                           runtime);
    return MLS_OK;
}

mls_status shm_folder_open(const mls_plugin_host *host, shm_folder *ret_folder)
{
    struct stat st;
    shm_folder folder = {.fd = -1};
    const mls_status status = choose_path(host, &folder);
    if (status)
        return status;
    if (mkdir(folder.path, 0700) && errno != EEXIST)
        return host->error(MLS_EIO, "cannot make folder %s: %s", folder.path, strerror(errno));
    folder.fd = open(folder.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder.fd < 0 || fstat(folder.fd, &st)) {
        const int failed = errno;
        shm_folder_close(&folder);
        return host->error(MLS_EIO, "cannot open folder %s: %s", folder.path, strerror(failed));
    }
    if (st.st_uid != geteuid() || (st.st_mode & 077)) {
        shm_folder_close(&folder);
        return host->error(MLS_EIO,
                           "folder %s must belong to this user, and nobody else may enter it",
                           folder.path);
    }
    *ret_folder = folder;
    return MLS_OK;
}

void shm_folder_close(shm_folder *folder)
{
    if (folder->fd >= 0)
        close(folder->fd);
    folder->fd = -1;
}

/* --- sockets --------------------------------------------------------------------------------- */

/* Any two keys of 128 bits that differ; who is met says its key, too. */
static void print_name(const shm_wanted *wanted, char name[NAME_DIGITS + 1])
{
    static const uint64_t seeds[2][2] = {{0x6d6c7363616c6521, 1}, {0x6d6c7363616c6521, 2}};
    for (int i = 0; i < 2; i++)
        snprintf(name + 16 * i, 17, "%016llx",
                 (unsigned long long) mls__hash_bytes(seeds[i], wanted->key, wanted->key_size));
}

static struct sockaddr_un address_of(const shm_folder *folder, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%.*s", folder->path, NAME_DIGITS, name);
    return address;
}

/* 0, or the errno: ENOENT and ECONNREFUSED say that nobody listens. */
static int try_connect(const shm_folder *folder, const char *name, int *ret_fd)
{
    const struct sockaddr_un address = address_of(folder, name);
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    if (connect(fd, (const struct sockaddr *) (const void *) &address, sizeof address)) {
        const int failed = errno;
        close(fd);
        return failed;
    }
    *ret_fd = fd;
    return 0;
}

static bool is_nobody(int failed)
{
    return failed == ENOENT || failed == ECONNREFUSED;
}

/* What the dead have left; the lock is held. */
static void sweep(const shm_folder *folder)
{
    const int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    if (!entries && fd >= 0)
        close(fd);
    if (!entries)
        return;
    while ((entry = readdir(entries)) != NULL) {
        int connection;
        if (strlen(entry->d_name) != NAME_DIGITS)
            continue;
        const int failed = try_connect(folder, entry->d_name, &connection);
        if (!failed)
            close(connection);
        else if (failed == ECONNREFUSED)
            unlinkat(folder->fd, entry->d_name, 0);
    }
    closedir(entries);
}

/* 0, or the errno. */
static int try_listen(const shm_folder *folder, const char *name, int *ret_fd)
{
    const struct sockaddr_un address = address_of(folder, name);
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    if (bind(fd, (const struct sockaddr *) (const void *) &address, sizeof address) ||
        listen(fd, BACKLOG)) {
        const int failed = errno;
        close(fd);
        return failed;
    }
    *ret_fd = fd;
    return 0;
}

/* Under the lock of the folder. */
static int find_or_listen(const shm_folder *folder, const char *name, int *ret_connection,
                          int *ret_listener)
{
    const int failed = try_connect(folder, name, ret_connection);
    if (!is_nobody(failed))
        return failed;
    sweep(folder);
    return try_listen(folder, name, ret_listener);
}

mls_status shm_folder_find(const shm_folder *folder, const mls_plugin_host *host,
                           const shm_wanted *wanted, int *ret_connection, int *ret_listener)
{
    char name[NAME_DIGITS + 1];
    uint32_t uid;
    int32_t pid;
    int connection = -1, listener = -1;
    print_name(wanted, name);
    int failed = try_connect(folder, name, &connection);
    if (is_nobody(failed)) {
        if (flock(folder->fd, LOCK_EX | LOCK_NB)) {
            failed = EAGAIN;
        } else {
            failed = find_or_listen(folder, name, &connection, &listener);
            flock(folder->fd, LOCK_UN);
        }
    }
    if (failed && failed != EAGAIN)
        return host->error(MLS_EIO, "cannot meet in folder %s: %s", folder->path, strerror(failed));
    if (connection >= 0 && (!shm_peer_of(connection, &uid, &pid) || uid != geteuid())) {
        close(connection);
        return host->error(MLS_EPEER, "in folder %s another user listens", folder->path);
    }
    *ret_connection = connection;
    *ret_listener = listener;
    return MLS_OK;
}

void shm_folder_remove(const shm_folder *folder, const shm_wanted *wanted)
{
    char name[NAME_DIGITS + 1];
    print_name(wanted, name);
    unlinkat(folder->fd, name, 0);
}
