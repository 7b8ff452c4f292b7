/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files in memory. */
#ifndef MLS_BASE_FILE_H
#define MLS_BASE_FILE_H

#include <mlscale/status.h>

#include <stddef.h>

/*
 * A file mapped read-only and privately. As with every mapping, a file that somebody
 * cuts short meanwhile ends the process: replace models by rename(), never in place.
 */
typedef struct mls__file_map {
    void *data; /* NULL for an empty file */
    size_t size;
} mls__file_map;

/*
 * Maps the whole of a regular file. Errors: MLS_ENOTFOUND, MLS_EIO, MLS_EINVAL
 * (a directory, a device).
 */
mls_status mls__file_map_open(const char *path, mls__file_map *ret_map);

/*
 * The same for a file inside `directory`, wherever an untrusted `name` says: a relative
 * path without "..", none of whose parts is a symbolic link, so that it cannot lead out.
 * Errors: as mls__file_map_open(), and MLS_EFORMAT for such a name.
 */
mls_status mls__file_map_open_inside(const char *directory, const char *name,
                                     mls__file_map *ret_map);
void mls__file_map_close(mls__file_map *map);

/*
 * Writes a file of two parts, either of which may be empty. A regular file that
 * cannot be written whole is removed. Errors: MLS_EIO.
 */
mls_status mls__file_write(const char *path, const void *head, size_t head_size, const void *body,
                           size_t body_size);

#endif
