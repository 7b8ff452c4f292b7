/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file system for SQLite that fails when it is told to, and that can lose what was not
 * synced, as a machine does whose power fails. It stands before the system's own, and
 * becomes the default. It sees the database and its WAL, of one queue at a time, and
 * shim_files.h its segments; what it is told, any thread may tell.
 */
#ifndef MLS_TESTS_QUEUE_SHIM_VFS_H
#define MLS_TESTS_QUEUE_SHIM_VFS_H

#include <stdbool.h>
#include <stdint.h>

void shim_vfs_register(void);

/*
 * The `nth` call (from 1) from now on that writes, syncs, cuts or opens a file gives
 * `code` (an SQLITE_ error) instead, and with `stays` all later ones too. 0: none does.
 */
void shim_vfs_fail_at(unsigned nth, int code, bool stays);

/* Such calls since the last shim_vfs_fail_at(). */
unsigned shim_vfs_calls(void);

/* Waits until there were so many. */
void shim_vfs_await_calls(unsigned count);

/*
 * The `nth` such call from now on does not happen: power fails. Of what was written and
 * not synced before it, some is taken back, as `seed` decides, and the process ends.
 */
void shim_vfs_power_loss_at(unsigned nth, uint64_t seed);

/*
 * For files that are written past SQLite, but fail and are lost by the same count. The code that a
 * call gives instead of happening; 0: it happens, with the disk locked, and what it changes is
 * remembered if locking says that power is to fail. `lose` is called then, with the disk locked.
 */
int shim_vfs_count(void);
bool shim_vfs_lock_disk(void);
void shim_vfs_unlock_disk(void);
void shim_vfs_on_loss(void (*lose)(uint64_t *seed));

#endif
