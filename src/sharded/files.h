/* SPDX-License-Identifier: Apache-2.0 */
/* What saving and loading share. */
#ifndef MLS_SHARDED_FILES_H
#define MLS_SHARDED_FILES_H

#include "sharded/manifest.h"

#define MLS__PATH_SIZE 4096

/* "folder/name". Errors: MLS_EINVAL (too long). */
mls_status mls__files_path(const char *folder, const char *name, char path[MLS__PATH_SIZE]);

/* The manifest of a folder. Errors: those of mls__manifest_parse(), MLS_ENOTFOUND, MLS_EIO. */
mls_status mls__files_read_manifest(const mls__allocator *allocator, const char *folder,
                                    mls__manifest *ret_manifest);

/* How .npy files hold a dtype that they do not know: as whole numbers of its size. */
int32_t mls__files_dtype(int32_t dtype);

/*
 * What a rank could not do alone fails on all: each with its own words, or naming the first that
 * failed. The mesh is as good as before. `said`, two numbers, comes back from all ranks, two of
 * each (NULL: nothing is said).
 */
mls_status mls__files_agree(mls__steps *steps, mls_status status, const int64_t *said,
                            int64_t *ret_all);

#endif
