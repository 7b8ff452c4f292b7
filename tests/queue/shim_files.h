/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same for the files of a folder "...-segments", which the library writes past SQLite: their
 * calls (openat that makes a file, write, fsync, renameat, unlinkat, mkdir) are counted with those
 * of shim_vfs.h, fail with them, and when power fails lose what was not synced: bytes of files,
 * names in the folder, and the folder. The program must be linked with --wrap for each of them.
 */
#ifndef MLS_TESTS_QUEUE_SHIM_FILES_H
#define MLS_TESTS_QUEUE_SHIM_FILES_H

#include <stddef.h>

void shim_files_register(void);

/* Removes the segments beside the test's "jobs.db", and what was kept to take calls back. */
void shim_files_remove(void);

/* How many there are. */
size_t shim_files_count(void);

#endif
