/* SPDX-License-Identifier: Apache-2.0 */
/* Files are mapped rather than read: a large model costs no second copy. */
#include "base/file.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static mls_status map_descriptor(int fd, const char *path, mls__file_map *ret_map)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return mls__error_os(errno, "cannot stat '%s'", path);
    if (!S_ISREG(info.st_mode))
        return mls__error(MLS_EINVAL, "'%s' is not a regular file", path);
    mls__file_map map = {NULL, (size_t) info.st_size};
    if (map.size) {
        /* Writable, since a tensor over it is: what is written stays in this process. */
        map.data = mmap(NULL, map.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
        if (map.data == MAP_FAILED)
            return mls__error_os(errno, "cannot map '%s' (%zu bytes)", path, map.size);
    }
    *ret_map = map;
    return MLS_OK;
}

mls_status mls__file_map_open(const char *path, mls__file_map *ret_map)
{
    /* Not to block on a FIFO that somebody put in a model's place. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return mls__error(MLS_ENOTFOUND, "there is no file '%s'", path);
        return mls__error_os(errno, "cannot open '%s'", path);
    }
    const mls_status status = map_descriptor(fd, path, ret_map);
    close(fd);
    return status;
}

static mls_status open_error(int os_error, const char *directory, const char *name)
{
    if (os_error == ENOENT)
        return mls__error(MLS_ENOTFOUND, "there is no file '%s' in '%s'", name, directory);
    /* What O_NOFOLLOW says of a symbolic link: as the file, and as a directory on the way. */
    if (os_error == ELOOP || os_error == ENOTDIR)
        return mls__error(MLS_EFORMAT,
                          "'%s' in '%s' leads through a symbolic link or through what is no "
                          "directory; a relative path of real directories is allowed",
                          name, directory);
    return mls__error_os(os_error, "cannot open '%s' in '%s'", name, directory);
}

static bool is_part(const char *part, size_t size, const char *text)
{
    return strlen(text) == size && memcmp(part, text, size) == 0;
}

/*
 * Opens one part of a path after another, so that nobody can slip a link in between a
 * check and the opening. Takes over `fd`, the directory to start from.
 */
static mls_status walk_inside(int fd, const char *directory, const char *name, int *ret_fd)
{
    for (const char *at = name; *at;) {
        char part[NAME_MAX + 1];
        const size_t size = strcspn(at, "/");
        const bool is_last = at[size] == '\0';
        if (size > NAME_MAX || is_part(at, size, "..")) {
            close(fd);
            return mls__error(MLS_EFORMAT, "'%s' is not a path inside '%s'", name, directory);
        }
        memcpy(part, at, size);
        part[size] = '\0';
        at += size + !is_last;
        if (size == 0 || is_part(part, size, "."))
            continue;
        const int flags = is_last ? O_NONBLOCK : O_DIRECTORY;
        const int next = openat(fd, part, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | flags);
        const int os_error = errno;
        close(fd);
        if (next < 0)
            return open_error(os_error, directory, name);
        fd = next;
    }
    *ret_fd = fd;
    return MLS_OK;
}

mls_status mls__file_map_open_inside(const char *directory, const char *name,
                                     mls__file_map *ret_map)
{
    if (name[0] == '\0' || name[0] == '/')
        return mls__error(MLS_EFORMAT, "'%s' is not a relative path inside '%s'", name, directory);
    int fd = open(directory, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (fd < 0 && errno == ENOENT)
        return mls__error(MLS_ENOTFOUND, "there is no directory '%s'", directory);
    if (fd < 0)
        return mls__error_os(errno, "cannot open the directory '%s'", directory);
    mls_status status = walk_inside(fd, directory, name, &fd);
    if (status)
        return status;
    status = map_descriptor(fd, name, ret_map);
    close(fd);
    return status;
}

void mls__file_map_close(mls__file_map *map)
{
    if (map->data)
        munmap(map->data, map->size);
    *map = (mls__file_map){0};
}

static bool write_part(FILE *file, const void *data, size_t size)
{
    return size == 0 || fwrite(data, 1, size, file) == size;
}

mls_status mls__file_write(const char *path, const void *head, size_t head_size, const void *body,
                           size_t body_size)
{
    FILE *file = fopen(path, "wbe");
    if (!file)
        return mls__error_os(errno, "cannot write '%.300s'", path);
    /* Not to remove a device or pipe, such as /dev/stdout. */
    struct stat info;
    const bool is_removable = fstat(fileno(file), &info) == 0 && S_ISREG(info.st_mode);
    bool good = write_part(file, head, head_size) && write_part(file, body, body_size);
    int failed = errno;
    if (fclose(file) != 0 && good) {
        failed = errno;
        good = false;
    }
    if (good)
        return MLS_OK;
    if (is_removable)
        remove(path);
    return mls__error_os(failed, "cannot write '%.300s'", path);
}
