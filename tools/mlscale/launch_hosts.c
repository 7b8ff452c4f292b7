/* SPDX-License-Identifier: Apache-2.0 */
/* The file of hosts, and which ranks are where. */
#include "launch.h"
#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Nothing that ssh takes for an option, or a shell for more than a word. */
static bool is_name(const char *text)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "._-@:[]%";
    return text[0] != '-' && text[strspn(text, good)] == '\0';
}

/* An address of IPv6, maybe with a scope. */
static bool is_ip6(const char *text)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr ip;
    const size_t size = strcspn(text, "%");
    if (size >= sizeof address)
        return false;
    memcpy(address, text, size);
    address[size] = '\0';
    return inet_pton(AF_INET6, address, &ip) == 1;
}

/* HOST or USER@HOST. Brackets around an address go: ssh wants none. */
static bool read_name(char *name)
{
    char *at = strrchr(name, '@'), *host = at ? at + 1 : name;
    const size_t size = strlen(host);
    if (!is_name(name) || !size)
        return false;
    if (!strpbrk(host, ":[]%"))
        return true;
    if (host[0] == '[' && host[size - 1] == ']') {
        memmove(host, host + 1, size - 2);
        host[size - 2] = '\0';
    }
    return is_ip6(host);
}

static bool is_here(const char *name)
{
    char own[256] = "";
    gethostname(own, sizeof own - 1);
    return strcmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0 ||
           strcmp(name, "::1") == 0 || strcmp(name, own) == 0;
}

static bool read_slots(const char *word, uint32_t *ret_slots)
{
    char *end;
    if (strncmp(word, "slots=", 6) != 0)
        return false;
    errno = 0;
    const long slots = strtol(word + 6, &end, 10);
    *ret_slots = (uint32_t) slots;
    return !errno && end != word + 6 && !*end && slots >= 1 && slots <= LAUNCH_RANKS_MAX;
}

/* A line without its comment; an empty one is no host. */
static int read_line(const char *path, size_t number, char *line, launch_hosts *hosts)
{
    char *rest, *comment = strchr(line, '#');
    launch_host host = {.slots = 1};
    if (comment)
        *comment = '\0';
    char *name = strtok_r(line, " \t\r\n", &rest);
    if (!name)
        return EXIT_GOOD;
    const char *slots = strtok_r(NULL, " \t\r\n", &rest);
    if (strlen(name) >= sizeof host.name || !read_name(name))
        return failure("%s:%zu: '%.64s' is no name or address of a host", path, number, name);
    if ((slots && !read_slots(slots, &host.slots)) || strtok_r(NULL, " \t\r\n", &rest))
        return failure("%s:%zu: expected HOST slots=N, N from 1 to %d", path, number,
                       LAUNCH_RANKS_MAX);
    snprintf(host.name, sizeof host.name, "%s", name);
    host.is_here = is_here(name);
    launch_host *grown = realloc(hosts->hosts, (hosts->count + 1) * sizeof *grown);
    if (!grown)
        return failure("out of memory");
    hosts->hosts = grown;
    hosts->hosts[hosts->count++] = host;
    return EXIT_GOOD;
}

int launch_hosts_read(const char *path, launch_hosts *ret_hosts)
{
    int code = EXIT_GOOD;
    char *line = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "r");
    *ret_hosts = (launch_hosts){NULL, 0};
    if (!file)
        return failure("'%s': %s", path, strerror(errno));
    for (size_t number = 1; !code && getline(&line, &size, file) >= 0; number++)
        code = read_line(path, number, line, ret_hosts);
    if (!code && ferror(file))
        code = failure("'%s': %s", path, strerror(errno));
    free(line);
    fclose(file);
    if (!code && !ret_hosts->count)
        code = failure("'%s' names no host", path);
    return code;
}

int launch_hosts_fill(launch_hosts *hosts, uint32_t ranks, uint32_t *ret_ranks)
{
    uint32_t next = 0;
    size_t used = 0;
    uint64_t slots = 0;
    for (size_t i = 0; i < hosts->count; i++)
        slots += hosts->hosts[i].slots;
    if (!ranks)
        ranks = slots < UINT32_MAX ? (uint32_t) slots : UINT32_MAX;
    if (ranks > slots)
        return failure("%u ranks want as many slots; the hosts have %llu", ranks,
                       (unsigned long long) slots);
    if (ranks > LAUNCH_RANKS_MAX)
        return failure("%u ranks; at most %d are possible", ranks, LAUNCH_RANKS_MAX);
    for (size_t i = 0; i < hosts->count && next < ranks; i++) {
        launch_host *host = &hosts->hosts[i];
        host->first = next;
        host->count = host->slots < ranks - next ? host->slots : ranks - next;
        next += host->count;
        used = i + 1;
    }
    hosts->count = used;
    *ret_ranks = ranks;
    return EXIT_GOOD;
}

const char *launch_host_address(const launch_host *host)
{
    const char *at = strrchr(host->name, '@');
    return at ? at + 1 : host->name;
}
