/* SPDX-License-Identifier: Apache-2.0 */
/* Files are mapped rather than read: a large model costs no second copy. */
#include "base/file.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
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
        map.data = mmap(NULL, map.size, PROT_READ, MAP_PRIVATE, fd, 0);
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

void mls__file_map_close(mls__file_map *map)
{
    if (map->data)
        munmap(map->data, map->size);
    *map = (mls__file_map){0};
}
