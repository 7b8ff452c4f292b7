/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a control group. Each may be missing: then the rlimits have to do. */
#include "job_types/cgroup.h"

#include "base/machine.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REMOVE_TRIES   200
#define REMOVE_WAIT_NS 5000000

static bool write_text(int folder, const char *name, const char *text)
{
    const int file = openat(folder, name, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    const size_t size = strlen(text);
    const bool good = write(file, text, size) == (ssize_t) size;
    close(file);
    return good;
}

static bool write_number(int folder, const char *name, const char *format, int64_t number)
{
    char text[64];
    snprintf(text, sizeof text, format, number);
    return write_text(folder, name, text);
}

/* The root of all groups may have processes. It alone does not say of which type it is. */
static bool is_root(int group)
{
    return faccessat(group, "cgroup.type", F_OK, 0) != 0;
}

static bool is_empty(int group)
{
    char byte;
    const int file = openat(group, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    const bool is_so = file >= 0 && read(file, &byte, 1) == 0;
    if (file >= 0)
        close(file);
    return is_so;
}

/*
 * A group that has processes cannot lend controllers. Of cpu alone the system does not refuse it:
 * it lends it to threads, and then no process can be put into a group below.
 */
static void lend_controllers(int group)
{
    if (!is_root(group) && !is_empty(group))
        return;
    write_text(group, "cgroup.subtree_control", "+memory");
    write_text(group, "cgroup.subtree_control", "+cpu");
}

static bool make_folder(mls__cgroup *group)
{
    static atomic_uint number;
    const char *named = getenv("MLS_CGROUP");
    const size_t room = sizeof group->path - 64;
    size_t root;
    if (named ? (size_t) snprintf(group->path, room, "%s", named) >= room
              : !mls__machine_cgroup(group->path, room, &root))
        return false;
    const int parent = open(group->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return false;
    lend_controllers(parent);
    close(parent);
    sprintf(group->path + strlen(group->path), "/mls-%ld-%u", (long) getpid(),
            atomic_fetch_add(&number, 1));
    return mkdir(group->path, 0755) == 0;
}

static void set_limits(const mls__type_limits *limits, mls__cgroup *group)
{
    if (limits->memory) {
        group->bounds_memory =
            write_number(group->folder, "memory.max", "%" PRId64, limits->memory);
        write_text(group->folder, "memory.swap.max", "0");
        write_text(group->folder, "memory.oom.group", "1");
    }
    if (limits->cpus)
        write_number(group->folder, "cpu.max", "%" PRId64 "00000 100000", limits->cpus);
}

void mls__cgroup_open(const mls__type_limits *limits, mls__cgroup *ret_group)
{
    *ret_group = (mls__cgroup){.folder = -1, .procs = -1};
    if (!make_folder(ret_group))
        return;
    ret_group->folder = open(ret_group->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (ret_group->folder >= 0)
        ret_group->procs = openat(ret_group->folder, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (ret_group->procs < 0) { /* a folder of some other file system */
        mls__cgroup_close(ret_group);
        return;
    }
    set_limits(limits, ret_group);
}

void mls__cgroup_kill(const mls__cgroup *group)
{
    if (group->folder >= 0)
        write_text(group->folder, "cgroup.kill", "1");
}

void mls__cgroup_kill_at(const char *path)
{
    const int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return;
    write_text(folder, "cgroup.kill", "1");
    close(folder);
}

void mls__cgroup_remove(const char *path)
{
    const struct timespec pause = {0, REMOVE_WAIT_NS};
    for (int i = 0; i < REMOVE_TRIES && rmdir(path) != 0; i++)
        nanosleep(&pause, NULL);
}

bool mls__cgroup_ran_out(const mls__cgroup *group)
{
    if (!group->bounds_memory)
        return false;
    char text[1024];
    const int file = openat(group->folder, "memory.events", O_RDONLY | O_CLOEXEC);
    const ssize_t got = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0)
        close(file);
    if (got < 0)
        return false;
    text[got] = '\0';
    const char *at = strstr(text, "\noom_kill ");
    return at && strtol(at + strlen("\noom_kill "), NULL, 10) > 0;
}

void mls__cgroup_close(mls__cgroup *group)
{
    if (group->procs >= 0)
        close(group->procs);
    if (group->folder >= 0) {
        close(group->folder);
        mls__cgroup_remove(group->path);
    }
    group->folder = group->procs = -1;
}
