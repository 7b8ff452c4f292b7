/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock file beside the database (PATH-lock): two locks for commits, one lock for
 * each process, and a page that all of them map.
 *
 * The locks are open-file-description locks on single bytes far behind the page, which
 * need no file there. The kernel gives them back when the last descriptor closes, so
 * also when a process dies; a child of fork() closes its copies, lest it keep alive what
 * its parent held. Who wants to commit first takes the turn, then the commit lock: so a
 * busy process that commits again and again lets others in between.
 *
 * The page has a slot for each process: the word that its committer sleeps on, what it
 * wants to hear of, and what was said to it. All of that are hints: what is true is in
 * the database, and who locks is known to the kernel.
 */
#include "queue/sqlite/sqlite.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MOST_SLOTS  4095
#define FEW_SLOTS   16 /* that are tried whatever their marks say */
#define COMMIT_BYTE (INT64_C(1) << 32)
#define TURN_BYTE   (COMMIT_BYTE + 1)
#define SLOT_BYTE   (COMMIT_BYTE + 1024)

typedef struct slot {
    _Atomic uint32_t sleeps; /* 1: the committer is in a futex wait on it */
    _Atomic uint32_t wants;  /* MLS__SQL_NEWS_* */
    _Atomic uint32_t news;
    _Atomic uint32_t is_used; /* left set by a process that died */
} slot;

struct mls__sql_page {
    _Atomic uint32_t high; /* no slot from here on was ever used */
    uint32_t reserved[3];
    slot slots[MOST_SLOTS];
};

/* Open stores, for the child of a fork. */
static pthread_mutex_t open_mutex = PTHREAD_MUTEX_INITIALIZER;
static mls__sql_store *open_stores;
/*
 * Threads inside SQLite, whose locks must be free where a process is copied: forks wait until
 * there are none, and whoever wants to go in waits for forks that wait. All under open_mutex.
 */
static pthread_cond_t forks_changed = PTHREAD_COND_INITIALIZER;
static unsigned inside, forks_waiting;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* The mutex stays locked over the fork. */
static void before_fork(void)
{
    pthread_mutex_lock(&open_mutex);
    forks_waiting++;
    while (inside)
        pthread_cond_wait(&forks_changed, &open_mutex);
    forks_waiting--;
}

static void after_fork(void)
{
    pthread_cond_broadcast(&forks_changed);
    pthread_mutex_unlock(&open_mutex);
}

static void in_child(void)
{
    static const pthread_cond_t unused = PTHREAD_COND_INITIALIZER;
    for (mls__sql_store *store = open_stores; store; store = store->next_open)
        close(store->lock_fd);
    open_stores = NULL;
    forks_waiting = 0; /* who waits is another thread, and so not here */
    forks_changed = unused;
    pthread_mutex_unlock(&open_mutex);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork, in_child);
}

void mls__sql_hold_forks(void)
{
    pthread_once(&fork_once, watch_forks);
    pthread_mutex_lock(&open_mutex);
    while (forks_waiting)
        pthread_cond_wait(&forks_changed, &open_mutex);
    inside++;
    pthread_mutex_unlock(&open_mutex);
}

void mls__sql_allow_forks(void)
{
    pthread_mutex_lock(&open_mutex);
    if (--inside == 0)
        pthread_cond_broadcast(&forks_changed);
    pthread_mutex_unlock(&open_mutex);
}

static int set_lock(int fd, int command, short type, int64_t byte)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int failed;
    do
        failed = fcntl(fd, command, &lock);
    while (failed && errno == EINTR);
    return failed ? errno : 0;
}

static mls_status open_file(const char *path, int *ret_fd)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return mls__error_os(errno, "'%s' cannot be opened", path);
    *ret_fd = fd;
    return MLS_OK;
}

static int map_file(int fd, void **ret_page)
{
    const size_t size = sizeof(mls__sql_page);
    struct stat info;
    if (fstat(fd, &info) || (info.st_size < (off_t) size && ftruncate(fd, (off_t) size)))
        return errno;
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return errno;
    *ret_page = page;
    return 0;
}

/*
 * A mapping keeps the description that it was made from, and its locks, in a child of
 * fork() too: so it has one of its own.
 */
static mls_status map_page(mls__sql_store *store, const char *path)
{
    int fd;
    void *page;
    const mls_status status = open_file(path, &fd);
    if (status)
        return status;
    const int failed = map_file(fd, &page);
    close(fd);
    if (failed)
        return mls__error_os(failed, "'%s' cannot be mapped", path);
    store->page = page;
    return MLS_OK;
}

mls_status mls__sql_lock_open(mls__sql_store *store)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s-lock", store->path) >= (int) sizeof path)
        return mls__error(MLS_EINVAL, "the path is too long");
    mls_status status = open_file(path, &store->lock_fd);
    if (status)
        return status;
    status = map_page(store, path);
    if (status) {
        close(store->lock_fd);
        return status;
    }
    pthread_mutex_lock(&open_mutex);
    store->next_open = open_stores;
    open_stores = store;
    pthread_mutex_unlock(&open_mutex);
    return MLS_OK;
}

void mls__sql_lock_close(mls__sql_store *store)
{
    pthread_mutex_lock(&open_mutex);
    mls__sql_store **link = &open_stores;
    while (*link != store)
        link = &(*link)->next_open;
    *link = store->next_open;
    munmap(store->page, sizeof *store->page);
    close(store->lock_fd);
    pthread_mutex_unlock(&open_mutex);
}

mls_status mls__sql_lock(mls__sql_store *store)
{
    int failed = set_lock(store->lock_fd, F_OFD_SETLKW, F_WRLCK, TURN_BYTE);
    if (!failed) {
        failed = set_lock(store->lock_fd, F_OFD_SETLKW, F_WRLCK, COMMIT_BYTE);
        set_lock(store->lock_fd, F_OFD_SETLK, F_UNLCK, TURN_BYTE);
    }
    if (failed)
        return mls__error_os(failed, "'%s-lock' cannot be locked", store->path);
    mls__sql_hold_forks();
    return MLS_OK;
}

void mls__sql_unlock(mls__sql_store *store)
{
    mls__sql_allow_forks();
    set_lock(store->lock_fd, F_OFD_SETLK, F_UNLCK, COMMIT_BYTE);
}

/* MLS_EEXIST: another has it. */
static mls_status take_slot(mls__sql_store *store, int index)
{
    const int failed = set_lock(store->lock_fd, F_OFD_SETLK, F_WRLCK, SLOT_BYTE + index);
    if (failed == EAGAIN || failed == EACCES)
        return MLS_EEXIST;
    if (failed)
        return mls__error_os(failed, "'%s-lock' cannot be locked", store->path);
    store->slot = index;
    uint32_t high = atomic_load(&store->page->high);
    while (high < (uint32_t) index + 1 &&
           !atomic_compare_exchange_weak(&store->page->high, &high, (uint32_t) index + 1))
        ;
    return MLS_OK;
}

/*
 * The first that is free, so that who is alone has the very first. The system looks at all locks
 * for each that is tried: past a few, those that are marked are tried only when no other is free,
 * the dead among them.
 */
mls_status mls__sql_slot_take(mls__sql_store *store)
{
    for (int skips = 1; skips >= 0; skips--) {
        for (int i = 0; i < MOST_SLOTS; i++) {
            if (skips && i >= FEW_SLOTS && atomic_load(&store->page->slots[i].is_used))
                continue;
            const mls_status status = take_slot(store, i);
            if (status != MLS_EEXIST)
                return status;
        }
    }
    return mls__error(MLS_ELIMIT, "%d processes have the queue open: no more can", MOST_SLOTS);
}

bool mls__sql_slot_lives(const mls__sql_store *store, int64_t index)
{
    if (index == store->slot || index < 0 || index >= MOST_SLOTS)
        return false;
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SLOT_BYTE + index, .l_len = 1};
    return fcntl(store->lock_fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static uint32_t high_slot(const mls__sql_store *store)
{
    const uint32_t high = atomic_load_explicit(&store->page->high, memory_order_acquire);
    return high < MOST_SLOTS ? high : MOST_SLOTS;
}

bool mls__sql_slots_have_dead(const mls__sql_store *store)
{
    const uint32_t high = high_slot(store);
    for (uint32_t i = 0; i < high; i++)
        if ((int) i != store->slot && atomic_load(&store->page->slots[i].is_used) &&
            !mls__sql_slot_lives(store, i))
            return true;
    return false;
}

bool mls__sql_slot_is_alone(const mls__sql_store *store)
{
    return high_slot(store) == 1 && store->slot == 0;
}

void mls__sql_slot_mark(mls__sql_store *store, bool is_used)
{
    slot *mine = &store->page->slots[store->slot];
    if (is_used) {
        atomic_store(&mine->sleeps, 0);
        atomic_store(&mine->wants, 0);
        atomic_store(&mine->news, 0);
    }
    atomic_store(&mine->is_used, is_used);
}

static void wake(slot *s)
{
    if (atomic_load(&s->sleeps) && atomic_exchange(&s->sleeps, 0))
        mls__sql_futex_wake(&s->sleeps, 1);
}

void mls__sql_slots_tell(mls__sql_store *store, unsigned news)
{
    const uint32_t high = high_slot(store);
    for (uint32_t i = 0; i < high; i++) {
        slot *s = &store->page->slots[i];
        if ((int) i == store->slot || !(atomic_load(&s->wants) & news))
            continue;
        atomic_fetch_or(&s->news, news);
        wake(s);
    }
}

void mls__sql_slot_want(mls__sql_store *store, unsigned wants)
{
    atomic_store(&store->page->slots[store->slot].wants, wants);
}

unsigned mls__sql_slot_news(mls__sql_store *store)
{
    slot *mine = &store->page->slots[store->slot];
    return atomic_load(&mine->news) ? atomic_exchange(&mine->news, 0) : 0;
}

void mls__sql_slot_sleep(mls__sql_store *store, uint64_t ns)
{
    slot *mine = &store->page->slots[store->slot];
    atomic_store(&mine->sleeps, 1);
    /* Who comes now sees that we sleep; what came before, we see. */
    if (!atomic_load(&store->inbox) && !atomic_load(&mine->news) &&
        !atomic_load(&store->is_closing))
        mls__sql_futex_wait(&mine->sleeps, 1, ns);
    atomic_store(&mine->sleeps, 0);
}

void mls__sql_slot_wake(mls__sql_store *store)
{
    wake(&store->page->slots[store->slot]);
}

/* Shared futexes, as the page is; for words of this process they cost little more. */
void mls__sql_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t ns)
{
    const struct timespec timeout = {(time_t) (ns / UINT64_C(1000000000)),
                                     (long) (ns % UINT64_C(1000000000))};
    syscall(SYS_futex, word, FUTEX_WAIT, value, ns == MLS__FOREVER ? NULL : &timeout, NULL, 0);
}

void mls__sql_futex_wake(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}
