/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection: how it is set up, its transactions and checkpoints, and how its errors
 * are told. Only the committer uses it, or who opens and closes the queue.
 */
#include "queue/sqlite/sqlite.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

#define BUSY_MS          5000
#define CHECKPOINT_PAGES 4000 /* of the WAL: 16 MB */

/* Levels of PRAGMA synchronous. */
enum { SYNC_NORMAL = 1, SYNC_FULL = 2 };

/* What a code means to us, and what may help. */
static const struct {
    int code;
    mls_status status;
    const char *help;
} meanings[] = {
    {SQLITE_NOMEM, MLS_ENOMEM, ""},
    {SQLITE_NOTADB, MLS_EFORMAT, ": the file is not a SQLite database"},
    {SQLITE_CORRUPT, MLS_EFORMAT,
     ": the file is damaged; what can be saved of it, `sqlite3 FILE .recover` shows"},
    {SQLITE_FULL, MLS_EIO, ": nothing of it took effect; make room on the disk and try again"},
    {SQLITE_READONLY, MLS_EIO, ": the file or its folder cannot be written"},
    {SQLITE_CANTOPEN, MLS_EIO, ": check the folder and its permissions"},
    {SQLITE_BUSY, MLS_EIO, ": another program holds the database locked"},
    {SQLITE_IOERR, MLS_EIO, ": nothing of it took effect"},
};

mls_status mls__sql_error(sqlite3 *db, int code, const char *what)
{
    mls_status status = MLS_EIO;
    const char *help = "";
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (meanings[i].code == (code & 0xff)) {
            status = meanings[i].status;
            help = meanings[i].help;
        }
    }
    const int os_error = db ? sqlite3_system_errno(db) : 0;
    const bool has_os_error =
        os_error && ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN);
    if (has_os_error && os_error == EMFILE)
        help = ": raise the process's limit, ulimit -n";
    return mls__error(status, "SQLite: %s%s%s (code %d)%s, while: %.60s", sqlite3_errstr(code),
                      has_os_error ? ": " : "", has_os_error ? strerror(os_error) : "", code, help,
                      what);
}

mls_status mls__sql_exec(sqlite3 *db, const char *sql, const char *what)
{
    const int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? MLS_OK : mls__sql_error(db, sqlite3_extended_errcode(db), what);
}

mls_status mls__sql_connect(const char *path, sqlite3 **ret_db, char **ret_path,
                            const mls__allocator *allocator)
{
    sqlite3 *db = NULL;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                      SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
    const int code = sqlite3_open_v2(path, &db, flags, NULL);
    mls_status status = MLS_OK;
    if (code != SQLITE_OK)
        status = mls__sql_error(db, code, "opening it");
    char *copy = NULL;
    if (!status) {
        copy = mls__alloc_string(allocator, sqlite3_db_filename(db, "main"));
        status = copy ? MLS_OK : mls__error_nomem(0);
    }
    if (!status && !*copy) /* ":memory:" */
        status = mls__error(MLS_EINVAL, "a sqlite queue needs a file; \"memory:\" has none");
    if (!status && sqlite3_db_readonly(db, "main") == 1)
        status = mls__error(MLS_EIO, "the file cannot be written: a queue needs to");
    if (status) {
        mls__free(allocator, copy);
        sqlite3_close(db);
        return status;
    }
    *ret_db = db;
    *ret_path = copy;
    return MLS_OK;
}

/*
 * Under our lock. The WAL stays when the last connection closes, and nothing is copied
 * from it but by our own checkpoints.
 */
mls_status mls__sql_configure(sqlite3 *db)
{
    int on = 1;
    mls_status status;
    sqlite3_busy_timeout(db, BUSY_MS);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
    status = mls__sql_check_owner(db); /* before anything of it is changed */
    if (status)
        return status;
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code != SQLITE_ROW)
        status = mls__sql_error(db, sqlite3_extended_errcode(db), "turning on its WAL");
    else if (sqlite3_stricmp((const char *) sqlite3_column_text(statement, 0), "wal") != 0)
        status = mls__error(MLS_EIO, "SQLite cannot keep a write-ahead log here: use a local disk");
    sqlite3_finalize(statement);
    if (status)
        return status;
    return mls__sql_exec(db,
                         "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;"
                         "PRAGMA mmap_size = 0; PRAGMA cache_size = -32768;"
                         "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;"
                         "PRAGMA journal_size_limit = 67108864",
                         "setting it up");
}

void mls__sql_disconnect(mls__sql_store *store)
{
    for (int i = 0; i < MLS__SQL_STATEMENTS; i++)
        sqlite3_finalize(store->statements[i]);
    sqlite3_close(store->db);
    store->db = NULL;
}

/* A statement that is left at a row would keep the old state of the file open. */
static void reset_statements(mls__sql_store *store)
{
    for (int i = 0; i < MLS__SQL_STATEMENTS; i++)
        if (store->statements[i])
            sqlite3_reset(store->statements[i]);
}

/* Lowering it may fail: more is synced then. */
static mls_status set_sync_level(mls__sql_store *store, int level)
{
    if (store->sync_level == level)
        return MLS_OK;
    const char *sql =
        level == SYNC_FULL ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL";
    const mls_status status = mls__sql_exec(store->db, sql, "setting how it syncs");
    if (!status)
        store->sync_level = level;
    return level == SYNC_FULL ? status : MLS_OK;
}

/*
 * After a sync that failed, what the system has in memory may not be what is on the
 * disk, and no later sync would say so. A checkpoint writes all of it anew.
 */
static mls_status make_sure(mls__sql_store *store)
{
    if (!store->is_suspect)
        return MLS_OK;
    const mls_status status = mls__sql_checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE);
    if (!status) {
        store->is_suspect = false;
        store->unsynced_ns = 0;
    }
    return status;
}

static bool is_meta_possible(const mls__sql_meta *meta)
{
    return MLS__SQL_IS_POSSIBLE(meta->next_id) && MLS__SQL_IS_POSSIBLE(meta->next_rank) &&
           MLS__SQL_IS_POSSIBLE(meta->next_member) && MLS__SQL_IS_POSSIBLE(meta->edges) &&
           MLS__SQL_IS_POSSIBLE(meta->rules) && MLS__SQL_IS_POSSIBLE(meta->shares) &&
           MLS__SQL_IS_POSSIBLE(meta->schedules);
}

static bool load_meta(mls__sql_store *store)
{
    sqlite3_stmt *statement = mls__sql_prepare(store, MLS__SQL_META_LOAD);
    if (!statement)
        return false;
    const int code = mls__sql_step(store, statement);
    if (code == SQLITE_DONE)
        mls__sql_fail(store, mls__error(MLS_EFORMAT, "the queue's file lacks its counters: it is "
                                                     "damaged"));
    if (code != SQLITE_ROW)
        return false;
    store->txn.meta = (mls__sql_meta){
        .next_id = sqlite3_column_int64(statement, 0),
        .next_rank = sqlite3_column_int64(statement, 1),
        .next_member = sqlite3_column_int64(statement, 2),
        .edges = sqlite3_column_int64(statement, 3),
        .rules = sqlite3_column_int64(statement, 4),
        .shares = sqlite3_column_int64(statement, 5),
        .schedules = sqlite3_column_int64(statement, 6),
    };
    sqlite3_reset(statement);
    if (is_meta_possible(&store->txn.meta))
        return mls__sql_rules_load(store);
    mls__sql_fail(store, mls__error(MLS_EFORMAT, "the counters of the queue's file are damaged"));
    return false;
}

static bool save_meta(mls__sql_store *store)
{
    if (!store->txn.meta_is_dirty)
        return true;
    sqlite3_stmt *statement = mls__sql_prepare(store, MLS__SQL_META_SAVE);
    if (!statement)
        return false;
    sqlite3_bind_int64(statement, 1, store->txn.meta.next_id);
    sqlite3_bind_int64(statement, 2, store->txn.meta.next_rank);
    sqlite3_bind_int64(statement, 3, store->txn.meta.next_member);
    sqlite3_bind_int64(statement, 4, store->txn.meta.edges);
    sqlite3_bind_int64(statement, 5, store->txn.meta.rules);
    sqlite3_bind_int64(statement, 6, store->txn.meta.shares);
    sqlite3_bind_int64(statement, 7, store->txn.meta.schedules);
    return mls__sql_run(store, statement);
}

mls_status mls__sql_begin(mls__sql_store *store, bool must_sync)
{
    mls_status status = mls__sql_lock(store);
    if (status)
        return status;
    store->txn = (mls__sql_txn){0};
    status = make_sure(store);
    if (!status)
        status = set_sync_level(store, must_sync ? SYNC_FULL : SYNC_NORMAL);
    if (!status) {
        store->txn.now_ms = mls__clock_wall_ms();
        store->txn.boot_ns = (int64_t) mls__clock_boot_ns();
        store->txn.is_synced = must_sync;
        if (mls__sql_run(store, mls__sql_prepare(store, MLS__SQL_BEGIN)) && load_meta(store))
            return MLS_OK;
        status = store->txn.status;
    }
    mls__sql_rollback(store);
    return status;
}

void mls__sql_rollback(mls__sql_store *store)
{
    reset_statements(store);
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    mls__sql_lanes_forget(store);
    store->room_is_stale = true;
    mls__sql_unlock(store);
}

/* A WAL that grows too long is copied into the database. Failing costs nothing but room. */
static void checkpoint_when_long(mls__sql_store *store)
{
    if (store->wal_pages < CHECKPOINT_PAGES)
        return;
    if (mls__sql_checkpoint(store, SQLITE_CHECKPOINT_PASSIVE))
        mls__log(store->context, MLS_LOG_WARNING, "queue '%s': checkpoint: %s", store->path,
                 mls_error_message());
    store->wal_pages = 0;
}

/* Removing segments is no promise: that it is not synced only leaves rows without files. */
static void collect_segments(mls__sql_store *store)
{
    set_sync_level(store, SYNC_NORMAL);
    mls__sql_segments_collect(store);
}

static void note_commit(mls__sql_store *store)
{
    store->has_garbage |= store->txn.has_garbage;
    if (store->txn.is_synced)
        store->unsynced_ns = 0;
    else if (!store->unsynced_ns)
        store->unsynced_ns = mls__clock_monotonic_ns();
    if (store->txn.is_synced && store->has_garbage)
        collect_segments(store);
}

static mls_status sync_wal(mls__sql_store *store)
{
    sqlite3_file *wal = NULL;
    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    if (!wal || !wal->pMethods)
        return MLS_OK;
    const int code = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
    store->unsynced_ns = 0;
    if (code == SQLITE_OK)
        return MLS_OK;
    store->is_suspect = true;
    return mls__sql_error(store->db, code, "syncing what was written before");
}

mls_status mls__sql_sync(mls__sql_store *store)
{
    return store->unsynced_ns ? sync_wal(store) : MLS_OK;
}

/*
 * What was found, but written by an earlier commit (a key that a submit joins), is
 * promised to last as well.
 */
static bool sync_found(mls__sql_store *store)
{
    if (!store->txn.is_synced || (!store->unsynced_ns && mls__sql_slot_is_alone(store)))
        return true;
    const mls_status status = sync_wal(store);
    if (status)
        mls__sql_fail(store, status);
    return !status;
}

/* COMMIT; whether anything was written is seen by the hook. */
static bool commit(mls__sql_store *store, bool *ret_has_written)
{
    const int wal_pages = store->wal_pages;
    store->wal_pages = -1;
    const bool is_good = mls__sql_run(store, mls__sql_prepare(store, MLS__SQL_COMMIT));
    *ret_has_written = store->wal_pages >= 0;
    if (!*ret_has_written)
        store->wal_pages = wal_pages;
    return is_good;
}

mls_status mls__sql_commit(mls__sql_store *store)
{
    bool has_written = false;
    mls__sql_costs_ride(store, false);
    bool is_good = !store->txn.status && mls__sql_lanes_save(store) && mls__sql_rules_save(store) &&
                   save_meta(store);
    reset_statements(store);
    if (is_good)
        is_good = commit(store, &has_written) && (has_written || sync_found(store));
    if (!is_good) {
        if (store->sync_level == SYNC_FULL && store->unsynced_ns)
            store->is_suspect = true;
        mls__sql_rollback(store);
        return store->txn.status;
    }
    if (has_written) {
        note_commit(store);
        checkpoint_when_long(store);
    }
    mls__sql_unlock(store);
    return MLS_OK;
}

mls_status mls__sql_checkpoint(mls__sql_store *store, int mode)
{
    const mls_status status = set_sync_level(store, SYNC_FULL);
    if (status)
        return status;
    const int code = sqlite3_wal_checkpoint_v2(store->db, "main", mode, NULL, NULL);
    return code == SQLITE_OK ? MLS_OK : mls__sql_error(store->db, code, "checkpoint");
}
