/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments: payloads and results past 8 KiB, as files of the folder PATH-segments that
 * are named by the BLAKE2b of what they hold.
 *
 * A file is written under a temporary name, synced, renamed, and its folder synced,
 * before the commit that names it. The table "segments" counts by whom it is named. Of
 * what is named by nobody the file goes first, then its row; both under the commit lock
 * and behind a commit that was synced, so that power loss cannot bring back a row whose
 * file is gone. A transaction that names a file looks, under the same lock, whether it
 * is still there; if not, who brought it writes it again. So any file that no row names
 * may be removed at any time.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES (2 * MLS__SQL_HASH_BYTES + 1)
#define TEMPORARY  "new-"

static void name_of(const unsigned char *hash, char name[NAME_BYTES])
{
    sodium_bin2hex(name, NAME_BYTES, hash, MLS__SQL_HASH_BYTES);
}

/* The folder is made when the first segment is. */
static mls_status open_folder(mls__sql_store *store)
{
    char path[4096];
    if (store->segments_fd >= 0)
        return MLS_OK;
    if (snprintf(path, sizeof path, "%s-segments", store->path) >= (int) sizeof path)
        return mls__error(MLS_EINVAL, "the queue's path is too long");
    if (mkdir(path, 0755) && errno != EEXIST)
        return mls__error_os(errno, "'%s' cannot be made", path);
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return mls__error_os(errno, "'%s' cannot be opened", path);
    /* The folder's own entry must last too. */
    const int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int failed = parent < 0 || fsync(parent) ? errno : 0;
    if (parent >= 0)
        close(parent);
    if (failed) {
        close(fd);
        return mls__error_os(failed, "the folder of '%s' cannot be synced", path);
    }
    store->segments_fd = fd;
    return MLS_OK;
}

static mls_status folder_of(mls__sql_store *store, int *ret_fd)
{
    pthread_mutex_lock(&store->segments_mutex);
    const mls_status status = open_folder(store);
    *ret_fd = store->segments_fd;
    pthread_mutex_unlock(&store->segments_mutex);
    return status;
}

static int write_all(int fd, const unsigned char *data, size_t size)
{
    while (size) {
        const ssize_t written = write(fd, data, size);
        if (written < 0 && errno != EINTR)
            return errno;
        if (written > 0) {
            data += written;
            size -= (size_t) written;
        }
    }
    return fsync(fd) ? errno : 0;
}

/* Under a temporary name, then under its own; 0 or an errno. */
static int write_file(mls__sql_store *store, int folder, const void *data, size_t size,
                      const char *name)
{
    char temporary[64];
    snprintf(temporary, sizeof temporary, TEMPORARY "%d-%u", store->slot,
             atomic_fetch_add(&store->temporaries, 1));
    const int fd =
        openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return errno;
    int failed = write_all(fd, data, size);
    if (close(fd) && !failed)
        failed = errno;
    if (!failed && renameat(folder, temporary, folder, name))
        failed = errno;
    if (failed)
        unlinkat(folder, temporary, 0);
    return failed;
}

/* Whether the file is there, as long as that, and what its name says. */
static bool is_intact(int folder, const char *name, const unsigned char *hash, size_t size)
{
    unsigned char block[65536], found[MLS__SQL_HASH_BYTES];
    crypto_generichash_state state;
    struct stat info;
    ssize_t got = -1;
    const int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    crypto_generichash_init(&state, NULL, 0, sizeof found);
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size == (off_t) size)
        while ((got = read(fd, block, sizeof block)) > 0)
            crypto_generichash_update(&state, block, (size_t) got);
    close(fd);
    crypto_generichash_final(&state, found, sizeof found);
    return got == 0 && memcmp(found, hash, sizeof found) == 0;
}

mls_status mls__sql_segment_write(mls__sql_store *store, const void *data, size_t size,
                                  unsigned char *ret_hash)
{
    char name[NAME_BYTES];
    int folder;
    mls_status status = folder_of(store, &folder);
    if (status)
        return status;
    crypto_generichash(ret_hash, MLS__SQL_HASH_BYTES, data, size, NULL, 0);
    name_of(ret_hash, name);
    int failed = 0;
    if (!is_intact(folder, name, ret_hash, size))
        failed = write_file(store, folder, data, size, name);
    if (!failed && fsync(folder))
        failed = errno;
    if (failed)
        status = mls__error_os(failed, "%zu bytes cannot be written to '%s-segments'", size,
                               store->path);
    return status;
}

bool mls__sql_segment_exists(mls__sql_store *store, const unsigned char *hash)
{
    char name[NAME_BYTES];
    int folder;
    name_of(hash, name);
    return folder_of(store, &folder) == MLS_OK && faccessat(folder, name, F_OK, 0) == 0;
}

static bool change_refs(mls__sql_store *store, int statement, const unsigned char *hash)
{
    sqlite3_stmt *change = mls__sql_prepare(store, statement);
    if (!change)
        return false;
    sqlite3_bind_blob(change, 1, hash, MLS__SQL_HASH_BYTES, SQLITE_STATIC);
    return mls__sql_run(store, change);
}

bool mls__sql_segment_ref(mls__sql_store *store, const unsigned char *hash)
{
    return change_refs(store, MLS__SQL_SEGMENT_REF, hash);
}

bool mls__sql_segment_unref(mls__sql_store *store, const unsigned char *hash)
{
    store->txn.has_garbage = true;
    return change_refs(store, MLS__SQL_SEGMENT_UNREF, hash);
}

static int read_all(int fd, unsigned char *data, size_t size)
{
    while (size) {
        const ssize_t got = read(fd, data, size);
        if (got < 0 && errno != EINTR)
            return errno;
        if (got == 0)
            return EIO; /* cut short since we looked */
        if (got > 0) {
            data += got;
            size -= (size_t) got;
        }
    }
    return 0;
}

static mls_status error_damaged(const mls__sql_store *store, const char *name, const char *how)
{
    return mls__error(MLS_EFORMAT, "'%s-segments/%s' %s", store->path, name, how);
}

/* The file into `data`, which has `size` bytes. */
static mls_status read_verified(mls__sql_store *store, int fd, const char *name,
                                const unsigned char *hash, unsigned char *data, size_t size)
{
    unsigned char found[MLS__SQL_HASH_BYTES];
    const int failed = read_all(fd, data, size);
    if (failed)
        return mls__error_os(failed, "'%s-segments/%s' cannot be read", store->path, name);
    crypto_generichash(found, sizeof found, data, size, NULL, 0);
    if (memcmp(found, hash, sizeof found) != 0)
        return error_damaged(store, name, "is damaged: it is not what its name says");
    return MLS_OK;
}

mls_status mls__sql_segment_read(mls__sql_store *store, const unsigned char *hash, size_t size,
                                 void **ret_data)
{
    char name[NAME_BYTES];
    struct stat info;
    int folder;
    mls_status status = folder_of(store, &folder);
    if (status)
        return status;
    name_of(hash, name);
    const int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT
                   ? error_damaged(store, name, "is missing")
                   : mls__error_os(errno, "'%s-segments/%s' cannot be opened", store->path, name);
    void *data = NULL;
    if (fstat(fd, &info) || info.st_size != (off_t) size)
        status = error_damaged(store, name, "is damaged: it is not as long as it was");
    if (!status) {
        data = mls__alloc(&store->context->allocator, size);
        status = data ? read_verified(store, fd, name, hash, data, size) : mls__error_nomem(size);
    }
    close(fd);
    if (status)
        mls__free(&store->context->allocator, data);
    else
        *ret_data = data;
    return status;
}

static void remove_file(int folder, const unsigned char *hash)
{
    char name[NAME_BYTES];
    name_of(hash, name);
    unlinkat(folder, name, 0);
}

/* A statement that fails leaves the rest for the next time. */
void mls__sql_segments_collect(mls__sql_store *store)
{
    int folder;
    if (folder_of(store, &folder))
        return;
    sqlite3_stmt *garbage = mls__sql_prepare(store, MLS__SQL_SEGMENT_GARBAGE);
    bool is_any = false;
    while (garbage && mls__sql_step(store, garbage) == SQLITE_ROW) {
        if (sqlite3_column_bytes(garbage, 0) == MLS__SQL_HASH_BYTES)
            remove_file(folder, sqlite3_column_blob(garbage, 0));
        is_any = true;
    }
    if (is_any)
        mls__sql_run(store, mls__sql_prepare(store, MLS__SQL_SEGMENT_SWEEP));
    store->has_garbage = false;
}

/* Whether a row names the file; so also when that cannot be seen. */
static bool is_named(mls__sql_store *store, const char *name)
{
    unsigned char hash[MLS__SQL_HASH_BYTES];
    size_t size;
    if (sodium_hex2bin(hash, sizeof hash, name, strlen(name), NULL, &size, NULL) ||
        size != sizeof hash)
        return true; /* none of ours */
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_SEGMENT_FIND);
    if (!find)
        return true;
    sqlite3_bind_blob(find, 1, hash, sizeof hash, SQLITE_STATIC);
    const int code = mls__sql_step(store, find);
    sqlite3_reset(find);
    return code != SQLITE_DONE;
}

/* Whether a temporary file's writer is gone. */
static bool is_left_over(const mls__sql_store *store, const char *name)
{
    return !mls__sql_slot_lives(store, strtol(name + strlen(TEMPORARY), NULL, 10));
}

void mls__sql_segments_tidy(mls__sql_store *store)
{
    char path[4096];
    snprintf(path, sizeof path, "%s-segments", store->path);
    DIR *folder = opendir(path);
    if (!folder)
        return; /* there are none */
    const struct dirent *entry;
    while ((entry = readdir(folder))) {
        const char *name = entry->d_name;
        const bool is_temporary = strncmp(name, TEMPORARY, strlen(TEMPORARY)) == 0;
        if (name[0] != '.' && (is_temporary ? is_left_over(store, name) : !is_named(store, name)))
            unlinkat(dirfd(folder), name, 0);
    }
    closedir(folder);
}
