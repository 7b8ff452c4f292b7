/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A name that is not synced goes back to what it named before. So each file has a second name in
 * another folder, by which it outlives its first.
 */
#include "queue/shim_files.h"

#include "queue/shim_vfs.h"
#include "support/folder.h"
#include "support/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX       "-segments"
#define SECTOR_BYTES 512

/* Of the linker's --wrap. */
int __real_openat(int folder, const char *name, int flags, ...);
ssize_t __real_write(int fd, const void *bytes, size_t size);
int __real_fsync(int fd);
int __real_renameat(int from_folder, const char *from, int to_folder, const char *to);
int __real_unlinkat(int folder, const char *name, int flags);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_openat(int folder, const char *name, int flags, ...);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);
int __wrap_fsync(int fd);
int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to);
int __wrap_unlinkat(int folder, const char *name, int flags);
int __wrap_mkdir(const char *path, mode_t mode);

/* A name that was changed since its folder was synced. */
typedef struct change {
    struct change *next; /* the one before */
    ino_t was;           /* the file it named; 0: none */
    bool is_taken_back;
    char name[80];
} change;

/* A file, and how much of it lasts. */
typedef struct data {
    struct data *next;
    ino_t inode;
    off_t synced;
} data;

static change *changes;
static data *written;
static ino_t parent; /* of the folder that was made; 0: none was */
static bool is_folder_new;

static bool has_suffix(const char *path)
{
    const size_t length = strlen(path);
    return length > strlen(SUFFIX) && strcmp(path + length - strlen(SUFFIX), SUFFIX) == 0;
}

/* What an open file is called. */
static void find_path(int fd, char path[400])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(link, path, 399);
    path[length > 0 ? length : 0] = 0;
}

static bool is_folder(int fd)
{
    char path[400];
    find_path(fd, path);
    return has_suffix(path);
}

static bool is_file(int fd)
{
    char path[400];
    find_path(fd, path);
    return strstr(path, SUFFIX "/") != NULL;
}

static ino_t inode_of(int folder, const char *name)
{
    struct stat info;
    return fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) ? 0 : info.st_ino;
}

static ino_t inode_of_fd(int fd)
{
    struct stat info;
    return fstat(fd, &info) ? 0 : info.st_ino;
}

/* Its second name. Each has storage of its own here, since the test's folder has not. */
static const char *second_name(ino_t inode, char path[400])
{
    snprintf(path, 400, "%s/kept/%llu", mls_test_folder(), (unsigned long long) inode);
    return path;
}

static const char *folder_path(char path[400])
{
    snprintf(path, 400, "%s/jobs.db" SUFFIX, mls_test_folder());
    return path;
}

/* True: it fails, with errno set. */
static bool fails(void)
{
    const int code = shim_vfs_count();
    if (code)
        errno = code == SQLITE_FULL ? ENOSPC : EIO;
    return code != 0;
}

static void remember_name(const char *name, ino_t was)
{
    change *c = calloc(1, sizeof *c);
    if (!c || strlen(name) >= sizeof c->name)
        abort();
    memcpy(c->name, name, strlen(name));
    c->was = was;
    c->next = changes;
    changes = c;
}

static data *find_data(ino_t inode)
{
    data *d = written;
    while (d && d->inode != inode)
        d = d->next;
    return d;
}

static void remember_new_file(int folder, const char *name)
{
    char kept[400];
    data *d = calloc(1, sizeof *d);
    if (!d)
        abort();
    d->inode = inode_of(folder, name);
    d->next = written;
    written = d;
    linkat(folder, name, AT_FDCWD, second_name(d->inode, kept), 0);
}

int __wrap_openat(int folder, const char *name, int flags, ...)
{
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list list;
        va_start(list, flags);
        mode = va_arg(list, mode_t);
        va_end(list);
    }
    if (!(flags & O_CREAT) || !is_folder(folder))
        return __real_openat(folder, name, flags, mode);
    if (fails())
        return -1;
    const bool is_remembered = shim_vfs_lock_disk();
    const bool is_new = inode_of(folder, name) == 0;
    const int fd = __real_openat(folder, name, flags, mode);
    if (fd >= 0 && is_new && is_remembered) {
        remember_name(name, 0);
        remember_new_file(folder, name);
    }
    shim_vfs_unlock_disk();
    return fd;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
    if (!is_file(fd))
        return __real_write(fd, bytes, size);
    if (fails())
        return -1;
    shim_vfs_lock_disk();
    const ssize_t count = __real_write(fd, bytes, size);
    shim_vfs_unlock_disk();
    return count;
}

static void forget_changes(void)
{
    while (changes) {
        change *next = changes->next;
        free(changes);
        changes = next;
    }
}

static void note_synced(int fd, bool is_the_folder)
{
    struct stat info;
    data *d = find_data(inode_of_fd(fd));
    if (is_the_folder)
        forget_changes();
    else if (!d)
        is_folder_new = false; /* its parent was synced */
    else if (fstat(fd, &info) == 0)
        d->synced = info.st_size;
}

int __wrap_fsync(int fd)
{
    const bool is_the_folder = is_folder(fd);
    if (!is_the_folder && !is_file(fd) && (!parent || inode_of_fd(fd) != parent))
        return __real_fsync(fd);
    if (fails())
        return -1;
    shim_vfs_lock_disk();
    note_synced(fd, is_the_folder);
    const int failed = __real_fsync(fd);
    shim_vfs_unlock_disk();
    return failed;
}

int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    if (!is_folder(to_folder))
        return __real_renameat(from_folder, from, to_folder, to);
    if (fails())
        return -1;
    if (shim_vfs_lock_disk()) {
        remember_name(from, inode_of(from_folder, from));
        remember_name(to, inode_of(to_folder, to));
    }
    const int failed = __real_renameat(from_folder, from, to_folder, to);
    shim_vfs_unlock_disk();
    return failed;
}

int __wrap_unlinkat(int folder, const char *name, int flags)
{
    if (!is_folder(folder))
        return __real_unlinkat(folder, name, flags);
    if (fails())
        return -1;
    const bool is_remembered = shim_vfs_lock_disk();
    const ino_t was = inode_of(folder, name);
    if (is_remembered && was)
        remember_name(name, was);
    const int failed = __real_unlinkat(folder, name, flags);
    shim_vfs_unlock_disk();
    return failed;
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    if (!has_suffix(path))
        return __real_mkdir(path, mode);
    if (fails())
        return -1;
    shim_vfs_lock_disk();
    const int failed = __real_mkdir(path, mode);
    const int error = errno;
    if (!failed)
        is_folder_new = true;
    parent = inode_of(AT_FDCWD, mls_test_folder());
    shim_vfs_unlock_disk();
    errno = error;
    return failed;
}

static void empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            __real_unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
}

/* What a later change that stays has covered cannot be as it was before it. */
static bool may_take_back(const change *c)
{
    for (const change *later = changes; later != c; later = later->next)
        if (!later->is_taken_back && strcmp(later->name, c->name) == 0)
            return false;
    return true;
}

static void take_back(change *c, const char *folder)
{
    char path[600], kept[400];
    c->is_taken_back = true;
    snprintf(path, sizeof path, "%s/%s", folder, c->name);
    unlink(path);
    if (c->was)
        ck_assert_int_eq(link(second_name(c->was, kept), path), 0);
}

/* Some names, or all, or none: the disk's own choice. */
static void lose_names(uint64_t *seed, const char *folder)
{
    const size_t chance = mls_test_random_below(seed, 5); /* of 4 that a change is lost */
    for (change *c = changes; c; c = c->next)
        if (mls_test_random_below(seed, 4) < chance && may_take_back(c))
            take_back(c, folder);
}

/* Sectors that were never written are zero, or the file ends before them. */
static void lose_bytes(uint64_t *seed, const data *d)
{
    static const char zeros[SECTOR_BYTES];
    char path[400];
    struct stat info;
    const size_t chance = mls_test_random_below(seed, 5);
    const int fd = open(second_name(d->inode, path), O_WRONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info))
        abort();
    if (chance == 4 && info.st_size > d->synced)
        info.st_size -= (off_t) mls_test_random_below(seed, (size_t) (info.st_size - d->synced));
    ck_assert_int_eq(ftruncate(fd, info.st_size), 0);
    for (off_t at = d->synced; at < info.st_size; at += SECTOR_BYTES) {
        const off_t left = info.st_size - at;
        const size_t size = (size_t) (left < SECTOR_BYTES ? left : SECTOR_BYTES);
        if (mls_test_random_below(seed, 4) < chance)
            ck_assert_int_eq(pwrite(fd, zeros, size, at), size);
    }
    close(fd);
}

static void lose(uint64_t *seed)
{
    char path[400];
    folder_path(path);
    for (const data *d = written; d; d = d->next)
        lose_bytes(seed, d);
    lose_names(seed, path);
    if (is_folder_new && mls_test_random_below(seed, 2)) {
        empty_folder(path);
        rmdir(path);
    }
}

void shim_files_register(void)
{
    shim_vfs_on_loss(lose);
}

void shim_files_remove(void)
{
    char path[400];
    empty_folder(folder_path(path));
    rmdir(path);
    snprintf(path, sizeof path, "%s/kept", mls_test_folder());
    empty_folder(path);
    if (__real_mkdir(path, 0700))
        ck_assert_int_eq(errno, EEXIST);
}

size_t shim_files_count(void)
{
    char path[400];
    size_t count = 0;
    DIR *folder = opendir(folder_path(path));
    const struct dirent *entry;
    while (folder && (entry = readdir(folder)))
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}
