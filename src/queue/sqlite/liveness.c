/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes that have the file open. Each is a member: a row, and a slot of the lock
 * file whose lock the kernel gives back when the process dies, however it does.
 *
 * Who waits for something, or asks, looks every 40 ms whether a slot was left without its
 * lock, so that a dead process's jobs are ready again within 100 ms for anyone who could
 * tell. Looking costs a system call a process; to be told by the kernel would take a
 * blocked thread for each.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BOOT_BYTES 64

/* Names the boot of the machine: locks of an older one say nothing of the job. */
static void read_boot(char boot[BOOT_BYTES])
{
    memset(boot, 0, BOOT_BYTES);
    const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    const ssize_t got = read(fd, boot, BOOT_BYTES - 1);
    close(fd);
    boot[got > 0 ? strcspn(boot, "\n") : 0] = '\0';
}

typedef struct member {
    int64_t id, slot;
    char boot[BOOT_BYTES]; /* of the machine, when it joined */
} member;

/* The member after `id`: 1, 0 when there is none, -1 failed. */
static int next_member(mls__sql_store *store, int64_t id, member *ret_member)
{
    sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_MEMBERS);
    if (!find)
        return -1;
    sqlite3_bind_int64(find, 1, id);
    const int code = mls__sql_step(store, find);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? 0 : -1;
    const char *boot = (const char *) sqlite3_column_text(find, 2);
    *ret_member = (member){sqlite3_column_int64(find, 0), sqlite3_column_int64(find, 1), ""};
    if (boot)
        strncpy(ret_member->boot, boot, BOOT_BYTES - 1);
    sqlite3_reset(find);
    return 1;
}

static const char *poison_text(char *text, size_t size, int64_t deaths)
{
    snprintf(text, size, "quarantined: %lld processes died while they ran it", (long long) deaths);
    return text;
}

/* A running job of a member that is no more. */
static bool lose(mls__sql_store *store, mls__sql_row *row, bool is_death)
{
    char text[96];
    int32_t event = MLS_JOB_ON_LOSE;
    row->deaths += is_death;
    if (is_death && row->deaths >= store->most_deaths) {
        event = MLS_JOB_ON_POISON;
        row->error = MLS_EHANDLER;
        row->error_text = poison_text(text, sizeof text, row->deaths);
    }
    return mls__sql_end_claim(store, row, event);
}

static bool lose_all(mls__sql_store *store, int64_t id, bool is_death)
{
    mls__sql_row row;
    int64_t last = 0;
    for (;;) {
        sqlite3_stmt *find = mls__sql_prepare(store, MLS__SQL_RUNNING_OF_MEMBER);
        if (!find)
            return false;
        sqlite3_bind_int64(find, 1, id);
        sqlite3_bind_int64(find, 2, last);
        const int code = mls__sql_step(store, find);
        if (code != SQLITE_ROW)
            return code == SQLITE_DONE;
        last = sqlite3_column_int64(find, 0);
        sqlite3_reset(find);
        const int found = mls__sql_row_load(store, (uint64_t) last, &row);
        if (found < 0 || (found && !lose(store, &row, is_death)))
            return false;
    }
}

static bool delete_by(mls__sql_store *store, int statement, int64_t id)
{
    sqlite3_stmt *delete = mls__sql_prepare(store, statement);
    if (!delete)
        return false;
    sqlite3_bind_int64(delete, 1, id);
    return mls__sql_run(store, delete);
}

static bool remove_member(mls__sql_store *store, int64_t id, bool is_death)
{
    return lose_all(store, id, is_death) && delete_by(store, MLS__SQL_WAIT_DROP, id) &&
           delete_by(store, MLS__SQL_OFFER_DROP, id) &&
           delete_by(store, MLS__SQL_MEMBER_DELETE, id);
}

/* Since it joined: it did not die of a job. */
static bool has_rebooted(const member *m)
{
    char boot[BOOT_BYTES];
    read_boot(boot);
    return strcmp(m->boot, boot) != 0;
}

bool mls__sql_reap(mls__sql_store *store)
{
    member found = {0};
    for (;;) {
        const int there = next_member(store, found.id, &found);
        if (there <= 0)
            return there == 0;
        if (found.id == store->member || mls__sql_slot_lives(store, found.slot))
            continue;
        if (!remove_member(store, found.id, !has_rebooted(&found)))
            return false;
    }
}

/* Joining: who has our slot in the file, and is not we, is dead. */
static mls_status run_join(mls__sql_store *store, mls__sql_op *op)
{
    char boot[BOOT_BYTES];
    (void) op;
    store->member = 0;
    if (!mls__sql_reap(store))
        return MLS_EIO;
    sqlite3_stmt *add = mls__sql_prepare(store, MLS__SQL_MEMBER_ADD);
    if (!add)
        return MLS_EIO;
    read_boot(boot);
    store->member = store->txn.meta.next_member++;
    store->txn.meta_is_dirty = true;
    sqlite3_bind_int64(add, 1, store->member);
    sqlite3_bind_int(add, 2, store->slot);
    sqlite3_bind_text(add, 3, boot, -1, SQLITE_STATIC);
    mls__sql_run(store, add);
    mls__sql_segments_tidy(store);
    return MLS_OK;
}

/* Claims that nobody ended go back; nobody died of them. */
static mls_status run_leave(mls__sql_store *store, mls__sql_op *op)
{
    (void) op;
    mls__sql_costs_ride(store, true);
    return remove_member(store, store->member, false) ? MLS_OK : MLS_EIO;
}

mls_status mls__sql_join(mls__sql_store *store)
{
    static const mls__sql_kind kind = {.run = run_join};
    mls__sql_op op = {.kind = &kind, .must_sync = true};
    mls_status status = mls__sql_slot_take(store);
    if (!status)
        status = mls__sql_run_alone(store, &op);
    if (!status)
        mls__sql_slot_mark(store, true);
    return status;
}

void mls__sql_leave(mls__sql_store *store)
{
    static const mls__sql_kind kind = {.run = run_leave};
    mls__sql_op op = {.kind = &kind, .must_sync = true};
    if (mls__sql_run_alone(store, &op))
        mls__log(store->context, MLS_LOG_WARNING, "queue '%s': closing it: %s", store->path,
                 op.message);
    else
        mls__sql_slot_mark(store, false);
}
