/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps what each write that is not synced yet has replaced, sector by sector, so that it can be
 * taken back.
 */
#include "queue/shim_vfs.h"

#include "support/test.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_FILES   64
#define SECTOR_BYTES 512

typedef struct old_bytes {
    struct old_bytes *next; /* the one written before */
    sqlite3_int64 at;
    int size;
    bool is_taken_back;
    unsigned char bytes[];
} old_bytes;

typedef struct shim_file {
    sqlite3_file base;
    bool is_watched; /* not the shared memory, nor temporary files */
    old_bytes *unsynced;
    sqlite3_file *real; /* behind this struct */
} shim_file;

static sqlite3_vfs shim;
static sqlite3_vfs *system_vfs;
static shim_file *files[MOST_FILES];

/* What is to happen, told by one thread and looked at by that which writes: under the mutex. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t was_called = PTHREAD_COND_INITIALIZER;

/* What is on the disk, and what of it is not synced. Taken after the one above, or alone. */
static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;
static void (*lose_more)(uint64_t *seed);

static unsigned calls, fail_at, power_loss_at;
static int fail_code;
static bool fail_stays;
static uint64_t power_seed;

static void tell(unsigned nth, int code, bool stays, unsigned loss_at, uint64_t seed)
{
    pthread_mutex_lock(&mutex);
    calls = 0;
    fail_at = nth;
    fail_code = code;
    fail_stays = stays;
    power_loss_at = loss_at;
    power_seed = seed;
    pthread_mutex_unlock(&mutex);
}

void shim_vfs_fail_at(unsigned nth, int code, bool stays)
{
    tell(nth, code, stays, 0, 0);
}

void shim_vfs_power_loss_at(unsigned nth, uint64_t seed)
{
    tell(0, 0, false, nth, seed);
}

unsigned shim_vfs_calls(void)
{
    pthread_mutex_lock(&mutex);
    const unsigned count = calls;
    pthread_mutex_unlock(&mutex);
    return count;
}

void shim_vfs_await_calls(unsigned count)
{
    pthread_mutex_lock(&mutex);
    while (calls < count)
        pthread_cond_wait(&was_called, &mutex);
    pthread_mutex_unlock(&mutex);
}

static bool overlaps(const old_bytes *a, const old_bytes *b)
{
    return a->at < b->at + b->size && b->at < a->at + a->size;
}

/* What a later write that stays has covered cannot be as it was before it. */
static bool may_take_back(const old_bytes *newest, const old_bytes *write)
{
    for (const old_bytes *later = newest; later != write; later = later->next)
        if (!later->is_taken_back && overlaps(later, write))
            return false;
    return true;
}

/* Takes back all that was not synced, or some of it, or nothing: the disk's own choice. */
static void lose_unsynced(shim_file *file)
{
    const size_t chance = mls_test_random_below(&power_seed, 5); /* of 4 that a write is lost */
    for (old_bytes *write = file->unsynced; write; write = write->next) {
        if (mls_test_random_below(&power_seed, 4) >= chance ||
            !may_take_back(file->unsynced, write))
            continue;
        write->is_taken_back = true;
        file->real->pMethods->xWrite(file->real, write->bytes, write->size, write->at);
    }
}

/* Keeps the disk: what another thread was about to write is never written. */
static void lose_power(void)
{
    pthread_mutex_lock(&disk);
    for (int i = 0; i < MOST_FILES; i++)
        if (files[i])
            lose_unsynced(files[i]);
    if (lose_more)
        lose_more(&power_seed);
    _exit(0);
}

int shim_vfs_count(void)
{
    pthread_mutex_lock(&mutex);
    calls++;
    if (power_loss_at && calls == power_loss_at)
        lose_power();
    const bool fails = fail_at && (fail_stays ? calls >= fail_at : calls == fail_at);
    const int code = fails ? fail_code : SQLITE_OK;
    pthread_cond_broadcast(&was_called);
    pthread_mutex_unlock(&mutex);
    return code;
}

bool shim_vfs_lock_disk(void)
{
    pthread_mutex_lock(&disk);
    return power_loss_at != 0;
}

void shim_vfs_unlock_disk(void)
{
    pthread_mutex_unlock(&disk);
}

void shim_vfs_on_loss(void (*lose)(uint64_t *seed))
{
    lose_more = lose;
}

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((shim_file *) file)->real;
}

static void forget_unsynced(shim_file *file)
{
    while (file->unsynced) {
        old_bytes *next = file->unsynced->next;
        free(file->unsynced);
        file->unsynced = next;
    }
}

static int shim_close(sqlite3_file *file)
{
    shim_file *mine = (shim_file *) file;
    shim_vfs_lock_disk();
    for (int i = 0; i < MOST_FILES; i++)
        if (files[i] == mine)
            files[i] = NULL;
    forget_unsynced(mine);
    shim_vfs_unlock_disk();
    return mine->real->pMethods->xClose(mine->real);
}

static int shim_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 at)
{
    return real_of(file)->pMethods->xRead(real_of(file), bytes, size, at);
}

/* The old bytes; past the end of the file they are zero, as a hole in it is. */
static void remember(shim_file *file, int size, sqlite3_int64 at)
{
    old_bytes *old = calloc(1, sizeof *old + (size_t) size);
    if (!old)
        abort();
    old->at = at;
    old->size = size;
    file->real->pMethods->xRead(file->real, old->bytes, size, at); /* zero-fills when short */
    old->next = file->unsynced;
    file->unsynced = old;
}

/* A disk writes sectors: of a longer write some may be there, and others not. */
static void remember_sectors(shim_file *file, int size, sqlite3_int64 at)
{
    while (size) {
        const int left = SECTOR_BYTES - (int) (at % SECTOR_BYTES);
        const int part = size < left ? size : left;
        remember(file, part, at);
        size -= part;
        at += part;
    }
}

static int shim_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 at)
{
    shim_file *mine = (shim_file *) file;
    int code = mine->is_watched ? shim_vfs_count() : SQLITE_OK;
    if (code)
        return code;
    if (shim_vfs_lock_disk() && mine->is_watched)
        remember_sectors(mine, size, at);
    code = mine->real->pMethods->xWrite(mine->real, bytes, size, at);
    shim_vfs_unlock_disk();
    return code;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    shim_file *mine = (shim_file *) file;
    const int code = mine->is_watched ? shim_vfs_count() : SQLITE_OK;
    return code ? code : mine->real->pMethods->xTruncate(mine->real, size);
}

static int shim_sync(sqlite3_file *file, int flags)
{
    shim_file *mine = (shim_file *) file;
    int code = mine->is_watched ? shim_vfs_count() : SQLITE_OK;
    if (code)
        return code;
    shim_vfs_lock_disk();
    forget_unsynced(mine);
    code = mine->real->pMethods->xSync(mine->real, flags);
    shim_vfs_unlock_disk();
    return code;
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int shim_lock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int shim_check_lock(sqlite3_file *file, int *out)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int shim_control(sqlite3_file *file, int operation, void *arg)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), operation, arg);
}

static int shim_sector(sqlite3_file *file)
{
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int shim_characteristics(sqlite3_file *file)
{
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int shim_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, out);
}

static int shim_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void shim_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int shim_unmap(sqlite3_file *file, int remove)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_check_lock,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector,
    .xDeviceCharacteristics = shim_characteristics,
    .xShmMap = shim_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_barrier,
    .xShmUnmap = shim_unmap,
};

static int shim_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags,
                     int *out)
{
    shim_file *mine = (shim_file *) file;
    (void) vfs;
    *mine = (shim_file){.real = (sqlite3_file *) (mine + 1),
                        .is_watched = (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0};
    int code = mine->is_watched ? shim_vfs_count() : SQLITE_OK;
    if (code == SQLITE_OK)
        code = system_vfs->xOpen(system_vfs, name, mine->real, flags, out);
    if (code)
        return code;
    mine->base.pMethods = &methods;
    shim_vfs_lock_disk();
    for (int i = 0; mine->is_watched && i < MOST_FILES; i++) {
        if (!files[i]) {
            files[i] = mine;
            break;
        }
    }
    shim_vfs_unlock_disk();
    return SQLITE_OK;
}

void shim_vfs_register(void)
{
    system_vfs = sqlite3_vfs_find(NULL);
    shim = *system_vfs; /* all but opening is its own */
    shim.zName = "mls-shim";
    shim.pNext = NULL;
    shim.szOsFile = (int) sizeof(shim_file) + system_vfs->szOsFile;
    shim.xOpen = shim_open;
    ck_assert_int_eq(sqlite3_vfs_register(&shim, 1), SQLITE_OK);
}
