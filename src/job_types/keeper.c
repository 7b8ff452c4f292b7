/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper is a copy of the worker's process that never becomes a program, so that there is no
 * file to be found for it. It calls what is safe after a fork of a process with threads, and
 * nothing else.
 *
 * The number of a process group can become another's once the group is empty. Between the death
 * of a worker and the look at its list that takes as many new processes as there are numbers.
 */
#include "job_types/keeper.h"

#include "job_types/cgroup.h"
#include "job_types/process.h"

#include "base/error.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_LINES 4096 /* of which those in use alone take memory */
#define MOST_WORDS 8    /* of a command line */
#define TEXT_BYTES 256  /* of all its words */
#define MOST_FILES 65536

typedef enum state {
    FREE,
    FILLED, /* by its owner, who goes on with it */
    KEPT,
} state;

struct mls__kept {
    atomic_int state;
    atomic_int group; /* 0: none yet */
    char cgroup[sizeof(((mls__cgroup *) NULL)->path)];
    char text[TEXT_BYTES]; /* the words, one behind the other */
    size_t word_count;
};

struct mls__keeper {
    const mls__allocator *allocator;
    mls__kept *lines;
    uint64_t fork_generation;
    int end; /* ours, of the pair by which it learns that there is nothing to keep any more */
};

/* --- the keeper's process --- */

static void close_range_of(unsigned from, unsigned to)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, from, to, 0) == 0)
        return;
#endif
    for (unsigned file = from; file <= to && file < MOST_FILES; file++)
        close((int) file);
}

/* Whoever reads from what the host closes must see its end. */
static void close_all_but(int one, int other)
{
    const int low = one < other ? one : other, high = one < other ? other : one;
    unsigned next = 0;
    if (low >= 0) {
        close_range_of(0, (unsigned) low - 1);
        next = (unsigned) low + 1;
    }
    if (next < (unsigned) high)
        close_range_of(next, (unsigned) high - 1);
    close_range_of((unsigned) high + 1, ~0U);
    for (int i = 0; i < 3; i++) /* 0, 1 and 2 */
        if (open("/dev/null", O_RDWR) < 0)
            return;
}

/* Until the worker's process is gone, or says so. */
static void await_end(int end, int worker)
{
    struct pollfd files[] = {{end, POLLIN, 0}, {worker, POLLIN, 0}}; /* -1 is left out */
    while (poll(files, 2, -1) < 0 && errno == EINTR)
        continue;
}

static void run_words(const mls__kept *line)
{
    char *words[MOST_WORDS + 1] = {NULL};
    const char *at = line->text;
    for (size_t i = 0; i < line->word_count; i++) {
        words[i] = (char *) (uintptr_t) at;
        at += strlen(at) + 1;
    }
    if (fork() != 0)
        return;
    mls__process_reset_signals();
    execvp(words[0], words);
    _exit(127);
}

/* All are killed before anything else is done, which may take its time. */
static void end_all(const mls__kept *lines)
{
    for (size_t i = 0; i < MOST_LINES; i++) {
        if (atomic_load(&lines[i].state) != KEPT)
            continue;
        const pid_t group = atomic_load(&lines[i].group);
        if (group > 0)
            kill(-group, SIGKILL);
        if (lines[i].cgroup[0])
            mls__cgroup_kill_at(lines[i].cgroup);
    }
    for (size_t i = 0; i < MOST_LINES; i++)
        if (atomic_load(&lines[i].state) == KEPT && lines[i].word_count)
            run_words(&lines[i]);
    for (size_t i = 0; i < MOST_LINES; i++)
        if (atomic_load(&lines[i].state) == KEPT && lines[i].cgroup[0])
            mls__cgroup_remove(lines[i].cgroup);
}

/* What ends the worker, from a terminal or otherwise, is not to end it. */
static _Noreturn void keep(const mls__kept *lines, int end, int worker)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    setsid();
    if (fork() != 0) /* the host, which may wait for children, has none */
        _exit(0);
    prctl(PR_SET_NAME, "mls-keeper");
    close_all_but(end, worker);
    await_end(end, worker);
    end_all(lines);
    _exit(0);
}

/* --- the worker's --- */

static int above_2(int file)
{
    if (file < 0 || file > 2)
        return file;
    const int higher = fcntl(file, F_DUPFD_CLOEXEC, 3);
    close(file);
    return higher;
}

/* Readable when this process has ended, whoever has copies of its files; -1 on old systems. */
static int open_self(void)
{
#ifdef SYS_pidfd_open
    return above_2((int) syscall(SYS_pidfd_open, getpid(), 0));
#else
    return -1;
#endif
}

static mls_status start_process(mls__keeper *keeper)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return mls__error(MLS_EIO, "cannot make a pair of sockets: %s", strerror(errno));
    keeper->end = above_2(ends[0]);
    const int its = above_2(ends[1]), worker = open_self();
    const pid_t child = keeper->end < 0 || its < 0 ? -1 : fork();
    const int error = errno;
    if (child == 0)
        keep(keeper->lines, its, worker);
    if (its >= 0)
        close(its);
    if (worker >= 0)
        close(worker);
    if (child > 0) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            continue;
        return MLS_OK;
    }
    if (keeper->end >= 0)
        close(keeper->end);
    return mls__error(MLS_EIO,
                      "cannot start the process that ends programs when the worker is killed: %s",
                      strerror(error));
}

mls_status mls__keeper_start(const mls__allocator *allocator, mls__keeper **ret_keeper)
{
    const size_t size = MOST_LINES * sizeof(mls__kept);
    mls__keeper *keeper = mls__alloc_array(allocator, 1, sizeof *keeper);
    if (!keeper)
        return mls__error_nomem(sizeof *keeper);
    keeper->allocator = allocator;
    keeper->fork_generation = mls__fork_generation();
    keeper->lines =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    const mls_status status =
        keeper->lines == MAP_FAILED ? mls__error_nomem(size) : start_process(keeper);
    if (!status) {
        *ret_keeper = keeper;
        return MLS_OK;
    }
    if (keeper->lines != MAP_FAILED)
        munmap(keeper->lines, size);
    mls__free(allocator, keeper);
    return status;
}

void mls__keeper_stop(mls__keeper *keeper)
{
    if (!keeper)
        return;
    /* A child that the host forked has a copy of our end: to close ours says nothing. */
    if (keeper->fork_generation == mls__fork_generation())
        send(keeper->end, "", 1, MSG_NOSIGNAL);
    close(keeper->end);
    munmap(keeper->lines, MOST_LINES * sizeof(mls__kept));
    mls__free(keeper->allocator, keeper);
}

static mls__kept *take_line(mls__keeper *keeper)
{
    for (size_t i = 0; i < MOST_LINES; i++) {
        int expected = FREE;
        if (atomic_compare_exchange_strong(&keeper->lines[i].state, &expected, FILLED))
            return &keeper->lines[i];
    }
    return NULL;
}

/* false: they are too many or too long. */
static bool copy_words(mls__kept *line, char *const *words)
{
    size_t used = 0;
    for (line->word_count = 0; words && words[line->word_count]; line->word_count++) {
        const size_t size = strlen(words[line->word_count]) + 1;
        if (line->word_count == MOST_WORDS || size > sizeof line->text - used)
            return false;
        memcpy(line->text + used, words[line->word_count], size);
        used += size;
    }
    return true;
}

mls__kept *mls__keeper_add(mls__keeper *keeper, const char *cgroup, char *const *words)
{
    mls__kept *line = keeper ? take_line(keeper) : NULL;
    if (!line)
        return NULL;
    const size_t size = strlen(cgroup) + 1;
    if (size > sizeof line->cgroup || !copy_words(line, words)) {
        atomic_store(&line->state, FREE);
        return NULL;
    }
    memcpy(line->cgroup, cgroup, size);
    atomic_store(&line->group, 0);
    atomic_store(&line->state, KEPT);
    return line;
}

void mls__kept_set(mls__kept *kept, pid_t group)
{
    if (kept)
        atomic_store(&kept->group, group);
}

void mls__kept_drop(mls__kept *kept)
{
    if (kept)
        atomic_store(&kept->state, FREE);
}
