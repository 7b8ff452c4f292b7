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

/* What the kernel says of a process: a letter, and when it began. false: nothing. */
static bool read_state(int64_t pid, char *ret_letter, uint64_t *ret_start)
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
                                 " %*s %*s %*s %" SCNu64,
                                 ret_letter, ret_start) == 2;
}

static bool find_self(process *ret_self)
{
    struct stat space;
    char letter;
    process self = {.pid = getpid()};
    if (!read_boot(self.boot) || stat("/proc/self/ns/pid", &space) ||
        !read_state(self.pid, &letter, &self.start))
        return false;
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

bool mls__pg_process_is_dead(const char *name)
{
    process self, other;
    char letter;
    uint64_t start;
    if (!find_self(&self) ||
        sscanf(name, "%39s %" SCNu64 " %" SCNd64 " %" SCNu64, other.boot, &other.space, &other.pid,
               &other.start) != 4 ||
        strcmp(self.boot, other.boot) != 0 || self.space != other.space || other.pid <= 0)
        return false;
    if (kill((pid_t) other.pid, 0) != 0 && errno == ESRCH)
        return true;
    if (!read_state(other.pid, &letter, &start))
        return false; /* another user's, perhaps */
    return start != other.start || letter == 'Z' || letter == 'X';
}
