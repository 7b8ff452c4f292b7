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
void mls__file_map_close(mls__file_map *map);

#endif
