/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saves that break while the manifest is put in place, and saves that are killed before any call
 * that changes the folder: whatever each rank was told, the folder has a whole tensor. This
 * program's rename(), fsync(), unlink() and mkdir() are those that the library calls.
 */
#include "sharded/suite.h"

#include "support/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RANKS 3

typedef struct breach {
    char folder[512], manifest[600];
    bool aborts, fails_sync; /* while the manifest is renamed; behind that */
    mls_status code;         /* of the save */
} breach;

static const arrangement *three_ranks(void)
{
    static arrangement on;
    on = one_axis(RANKS, 0);
    return &on;
}

/* --- faults ---------------------------------------------------------------------------------- */

static const breach *armed; /* set while no rank runs */
static atomic_bool no_syncs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t returned = PTHREAD_COND_INITIALIZER;
static mls_group *of_rank_1;
static unsigned returns; /* of ranks but 0 */

/* The others return before the manifest is in place. */
static void abort_others(void)
{
    pthread_mutex_lock(&lock);
    ck_assert_ok(mls_group_abort(of_rank_1, "for the test"));
    while (returns < RANKS - 1)
        pthread_cond_wait(&returned, &lock);
    pthread_mutex_unlock(&lock);
}

static atomic_int calls_left; /* until this process is killed; 0: it is not */

static void count_call(void)
{
    if (atomic_load(&calls_left) && atomic_fetch_sub(&calls_left, 1) == 1)
        raise(SIGKILL);
}

int unlink(const char *path)
{
    count_call();
    return unlinkat(AT_FDCWD, path, 0);
}

int mkdir(const char *path, mode_t mode)
{
    count_call();
    return mkdirat(AT_FDCWD, path, mode);
}

int rename(const char *from, const char *to)
{
    count_call();
    const bool is_met = armed && strcmp(to, armed->manifest) == 0;
    if (is_met && armed->aborts)
        abort_others();
    const int result = renameat(AT_FDCWD, from, AT_FDCWD, to);
    if (is_met && armed->fails_sync)
        atomic_store(&no_syncs, true);
    return result;
}

int fsync(int fd)
{
    count_call();
    if (!atomic_load(&no_syncs))
        return fdatasync(fd);
    errno = EIO;
    return -1;
}

/* --- saves ----------------------------------------------------------------------------------- */

static const whole before = {MLS_FLOAT32, 2, {6, 4}, 5}, after = {MLS_FLOAT32, 2, {7, 3}, 6};
static const int32_t rows[1] = {0};

static void save_before(ranked *r)
{
    mls_sharded *x = make(r, &before, rows);
    ck_assert_ok(mls_sharded_save(x, r->arg, NULL));
    mls_sharded_free(x);
}

static void save_after(ranked *r)
{
    const breach *b = r->arg;
    mls_sharded *x = make(r, &after, rows);
    if (r->rank == 1) { /* rank 0 comes to its rename only with the sums of this one */
        pthread_mutex_lock(&lock);
        of_rank_1 = r->group;
        pthread_mutex_unlock(&lock);
    }
    const mls_status status = mls_sharded_save(x, b->folder, NULL);
    mls_test_expect(status == b->code, "rank %u: %s: %s", r->rank, mls_status_name(status),
                    mls_error_message());
    pthread_mutex_lock(&lock);
    returns += r->rank != 0;
    pthread_cond_signal(&returned);
    pthread_mutex_unlock(&lock);
    mls_sharded_free(x);
}

static void save_old(breach *b, const char *name)
{
    snprintf(b->folder, sizeof b->folder, "%s", mls_test_folder_path(name));
    snprintf(b->manifest, sizeof b->manifest, "%s/manifest", b->folder);
    on_mesh(three_ranks(), save_before, b->folder);
}

static void break_after(const breach *b)
{
    armed = b;
    returns = 0;
    on_mesh(three_ranks(), save_after, b);
    armed = NULL;
    atomic_store(&no_syncs, false);
}

typedef struct wanted {
    const char *folder;
    const whole *w;
} wanted;

static void load(ranked *r)
{
    const wanted *want = r->arg;
    mls_sharded *x;
    ck_assert_ok(mls_sharded_load(r->mesh, want->folder, rows, NULL, &x));
    check_whole(r, want->w, rows, x, 0);
    mls_sharded_free(x);
}

/* The folder has this tensor, and as many files. */
static void expect_folder(const char *folder, const whole *w, int files)
{
    const wanted want = {folder, w};
    int count = 0;
    DIR *dir = opendir(folder);
    ck_assert_ptr_nonnull(dir);
    for (const struct dirent *e; (e = readdir(dir));)
        count += e->d_name[0] != '.';
    closedir(dir);
    on_mesh(three_ranks(), load, &want);
    ck_assert_int_eq(count, files);
}

START_TEST(aborted_while_renamed)
{
    breach b = {.aborts = true, .code = MLS_ECANCELLED};
    save_old(&b, "aborted");
    break_after(&b);
    expect_folder(b.folder, &after, RANKS + 1);
}
END_TEST

START_TEST(not_synced_behind)
{
    breach b = {.fails_sync = true, .code = MLS_EIO};
    save_old(&b, "synced");
    break_after(&b);
    expect_folder(b.folder, &after, 2 * RANKS + 1); /* a crash may bring back the old manifest */
}
END_TEST

START_TEST(no_place_for_the_manifest)
{
    char path[700];
    breach b = {.code = MLS_EIO};
    save_old(&b, "place");
    snprintf(path, sizeof path, "%s.new", b.manifest);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    break_after(&b);
    expect_folder(b.folder, &before, RANKS + 2); /* of the new one nothing stays */
}
END_TEST

/* --- saves that are killed ------------------------------------------------------------------- */

static void save_other(ranked *r)
{
    mls_sharded *x = make(r, &after, rows);
    ck_assert_ok(mls_sharded_save(x, r->arg, NULL));
    mls_sharded_free(x);
}

/* Whether a process that saves was killed before its nth call that changes something. */
static bool is_killed(const char *folder, int nth)
{
    int status;
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        ck_assert_ok(mls_context_create(NULL, &the_context));
        atomic_store(&calls_left, nth);
        on_mesh(three_ranks(), save_other, folder);
        atomic_store(&calls_left, 0);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg((WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
                      (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL),
                  "the save ended with %#x", (unsigned) status);
    return WIFSIGNALED(status);
}

typedef struct found {
    const char *folder;
    bool is_after;
} found;

/* Either tensor, and all of it. */
static void load_any(ranked *r)
{
    found *f = (found *) (uintptr_t) r->arg;
    mls_sharded *x;
    ck_assert_ok(mls_sharded_load(r->mesh, f->folder, rows, NULL, &x));
    const bool is_after = mls_sharded_dims(x)[0] == after.dims[0];
    check_whole(r, is_after ? &after : &before, rows, x, 0);
    if (r->rank == 0)
        f->is_after = is_after;
    mls_sharded_free(x);
}

START_TEST(killed_at_each_step)
{
    breach b = {.code = MLS_OK};
    int olds = 0, news = 0, nth = 1;
    save_old(&b, "killed");
    for (;; nth++) {
        found f = {.folder = b.folder};
        const bool was_killed = is_killed(b.folder, nth);
        on_mesh(three_ranks(), load_any, &f);
        if (!was_killed)
            break;
        olds += !f.is_after;
        news += f.is_after;
        save_old(&b, "killed"); /* over what was left */
    }
    /* The folder; a sync of each part, the folder and the manifest; the rename; behind it a sync of
     * the folder, and three files to be removed. */
    ck_assert_int_eq(olds, 1 + RANKS + 2 + 1);
    ck_assert_int_eq(news, 1 + RANKS);
}
END_TEST

void sharded_add_breaks(TCase *tests)
{
    tcase_add_test(tests, aborted_while_renamed);
    tcase_add_test(tests, not_synced_behind);
    tcase_add_test(tests, no_place_for_the_manifest);
    tcase_add_test(tests, killed_at_each_step);
}
