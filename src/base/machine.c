/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of the machine this process may use. A control group bounds what is below it, so
 * each from ours up to the root counts.
 */
#include "base/machine.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where version 2 is mounted: alone, or beside version 1. */
static bool find_mount(char *ret_path, size_t size)
{
    char line[1024], path[512], type[32];
    bool found = false;
    FILE *file = fopen("/proc/self/mounts", "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        found = sscanf(line, "%*s %511s %31s", path, type) == 2 && strcmp(type, "cgroup2") == 0;
        if (found)
            found = (size_t) snprintf(ret_path, size, "%s", path) < size;
    }
    if (file)
        fclose(file);
    return found;
}

bool mls__machine_cgroup(char *ret_path, size_t size, size_t *ret_root)
{
    char line[1024];
    bool found = false;
    if (!find_mount(ret_path, size))
        return false;
    const size_t used = strlen(ret_path);
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) == 0)
            found = (size_t) snprintf(ret_path + used, size - used, "%s", line + 3) < size - used;
    }
    if (file)
        fclose(file);
    *ret_root = used;
    return found;
}

/* The numbers of a group's file, which begin it; how many there are: "max" is none. */
static int read_numbers(const char *group, const char *name, int64_t *ret_a, int64_t *ret_b)
{
    char path[700];
    int count = 0;
    if ((size_t) snprintf(path, sizeof path, "%s/%s", group, name) >= sizeof path)
        return 0;
    FILE *file = fopen(path, "re");
    if (file) {
        count = fscanf(file, "%" SCNd64 " %" SCNd64, ret_a, ret_b);
        fclose(file);
    }
    return count;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t cpu_of(const char *group, int64_t most)
{
    int64_t quota, period;
    if (read_numbers(group, "cpu.max", &quota, &period) != 2 || quota < 1 || period < 1 ||
        quota > INT64_MAX / 1000)
        return most;
    const int64_t milli = quota * 1000 / period;
    return least(most, milli ? milli : 1);
}

static int64_t memory_of(const char *group, int64_t most)
{
    int64_t bytes, none;
    const int count = read_numbers(group, "memory.max", &bytes, &none);
    return count >= 1 && bytes > 0 ? least(most, bytes) : most;
}

/* `most`, or what one of this process's groups allows. */
static int64_t bound(int64_t most, int64_t (*allowed)(const char *group, int64_t most))
{
    char path[512];
    size_t root;
    if (!mls__machine_cgroup(path, sizeof path, &root))
        return most;
    for (;;) {
        most = allowed(path, most);
        char *slash = strrchr(path, '/');
        if (!slash || (size_t) (slash - path) < root)
            return most;
        *slash = '\0';
    }
}

int64_t mls__machine_cpu_milli(void)
{
    cpu_set_t set;
    int64_t cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        cores = CPU_COUNT(&set);
    return bound((cores < 1 ? 1 : cores) * 1000, cpu_of);
}

int64_t mls__machine_memory_bytes(void)
{
    const int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return bound(pages > 0 && page > 0 ? pages * page : INT64_C(1) << 30, memory_of);
}
