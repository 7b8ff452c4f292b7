/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meeting in a folder that all hosts share: rank 0 leaves its offer there, in a file that is
 * whole once it is to be seen, and takes it away when all have come. A file that somebody left
 * behind leads nowhere: it is read again and again until it leads to rank 0.
 */
#include "transport/tcp/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_PATH_MAX = TCP_PATH_MAX + 64 };

static void path_of(const tcp_link *link, char *path)
{
    snprintf(path, FILE_PATH_MAX, "%s/mlscale-group", link->url.folder);
}

/* Of no other rank of any host. */
static void own_path_of(const tcp_link *link, char *path)
{
    uint64_t number;
    memcpy(&number, link->offer, sizeof number);
    snprintf(path, FILE_PATH_MAX, "%s/mlscale-group.%016" PRIx64, link->url.folder, number);
}

static bool write_file(const char *path, const void *data, size_t size)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    const bool is_written = write(fd, data, size) == (ssize_t) size && fsync(fd) == 0;
    return close(fd) == 0 && is_written;
}

mls_status tcp_folder_check(const tcp_link *link)
{
    struct stat info;
    const char *folder = link->url.folder;
    const int failed = stat(folder, &info) != 0 ? errno : S_ISDIR(info.st_mode) ? 0 : ENOTDIR;
    if (failed)
        return link->hub->host->error(MLS_EIO,
                                      "the folder '%s' cannot be used: %s; make one that all hosts "
                                      "share before the ranks start",
                                      folder, strerror(failed));
    return MLS_OK;
}

mls_status tcp_folder_show(const tcp_link *link)
{
    unsigned char offer[TCP_OFFER_BYTES];
    char path[FILE_PATH_MAX], own[FILE_PATH_MAX];
    path_of(link, path);
    own_path_of(link, own);
    const size_t size = tcp_offer_write(&link->own, link->offer, offer);
    if (write_file(own, offer, size) && rename(own, path) == 0)
        return MLS_OK;
    const int failed = errno;
    unlink(own);
    return link->hub->host->error(MLS_EIO, "the folder '%s' cannot be written: %s",
                                  link->url.folder, strerror(failed));
}

mls_status tcp_folder_look(const tcp_link *link, unsigned char ret_offer[TCP_OFFER_BYTES])
{
    char path[FILE_PATH_MAX];
    path_of(link, path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0 && errno != ENOENT)
        return link->hub->host->error(MLS_EIO, "'%s' cannot be read: %s", path, strerror(errno));
    if (fd < 0)
        return MLS_ENOTFOUND;
    const ssize_t got = read(fd, ret_offer, TCP_OFFER_BYTES);
    close(fd);
    return got == (ssize_t) TCP_OFFER_BYTES ? MLS_OK : MLS_ENOTFOUND;
}

/* Only the one that it left: another group may meet there by now. */
void tcp_folder_hide(const tcp_link *link)
{
    unsigned char offer[TCP_OFFER_BYTES], own[TCP_OFFER_BYTES];
    char path[FILE_PATH_MAX];
    path_of(link, path);
    tcp_offer_write(&link->own, link->offer, own);
    if (tcp_folder_look(link, offer) == MLS_OK && memcmp(offer, own, sizeof own) == 0)
        unlink(path);
}
