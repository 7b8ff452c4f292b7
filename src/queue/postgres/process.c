/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of processes, by which members on one machine see each other's death: a free
 * lock alone does not tell it from a connection that was cut, or a server that is ending.
 */
#include "queue/postgres/postgres.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What tells a process from all others that there ever were. */
typedef struct process {
    char boot[40];  /* of its machine since it was started */
    uint64_t space; /* in which its number counts */
    int64_t pid;
    uint64_t start; /* in ticks since the boot: numbers are given again */
} process;

static bool read_boot(char boot[40])
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!file)
        return false;
    const bool is_there = fscanf(file, "%39s", boot) == 1;
    fclose(file);
    return is_there;
}

/* What the kernel says of a process: a letter, its threads, and when it began. */
typedef struct state {
    char letter;
    int64_t threads;
    uint64_t start;
} state;

/* false: nothing. */
static bool read_state(int64_t pid, state *ret_state)
{
    char path[48], line[1024];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    const size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = '\0';
    const char *behind_name = strrchr(line, ')'); /* which may have spaces and brackets */
    return behind_name && sscanf(behind_name + 1,
                                 " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
                                 " %*s %" SCNd64 " %*s %" SCNu64,
                                 &ret_state->letter, &ret_state->threads, &ret_state->start) == 3;
}

/* Whether /proc is of the space in which our numbers count: it may have been mounted outside. */
static bool proc_is_ours(void)
{
    char link[24] = "";
    return readlink("/proc/self", link, sizeof link - 1) > 0 && atol(link) == (long) getpid();
}

static bool find_self(process *ret_self)
{
    struct stat space;
    state now;
    process self = {.pid = getpid()};
    if (!proc_is_ours() || !read_boot(self.boot) || stat("/proc/self/ns/pid", &space) ||
        !read_state(self.pid, &now))
        return false;
    self.start = now.start;
    self.space = (uint64_t) space.st_ino;
    *ret_self = self;
    return true;
}

void mls__pg_process_name(char name[MLS__PG_PROCESS_SIZE])
{
    static atomic_uint members;
    process self;
    const unsigned number = atomic_fetch_add(&members, 1);
    if (find_self(&self))
        snprintf(name, MLS__PG_PROCESS_SIZE, "%s %" PRIu64 " %" PRId64 " %" PRIu64 " %u", self.boot,
                 self.space, self.pid, self.start, number);
    else
        snprintf(name, MLS__PG_PROCESS_SIZE, "- 0 %ld %" PRIu64 " %u", (long) getpid(),
                 mls__pg_clock_ns(), number);
}

/* The first thread alone may have ended, and the process lives on in others. */
static bool has_ended(const state *now)
{
    return (now->letter == 'Z' || now->letter == 'X') && now->threads <= 1;
}

int mls__pg_process_fate(const char *name)
{
    process self, other;
    state now;
    if (!find_self(&self) ||
        sscanf(name, "%39s %" SCNu64 " %" SCNd64 " %" SCNu64, other.boot, &other.space, &other.pid,
               &other.start) != 4 ||
        strcmp(self.boot, other.boot) != 0 || self.space != other.space || other.pid <= 0)
        return MLS__PG_IS_UNSEEN;
    if (kill((pid_t) other.pid, 0) != 0 && errno == ESRCH)
        return MLS__PG_IS_DEAD;
    if (!read_state(other.pid, &now))
        return MLS__PG_IS_UNSEEN; /* another user's, perhaps */
    return now.start != other.start || has_ended(&now) ? MLS__PG_IS_DEAD : MLS__PG_LIVES;
}
