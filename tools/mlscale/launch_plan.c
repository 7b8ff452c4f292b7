/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is started, and where its ranks meet. An agent is told by strings, each ended by a
 * NUL: so no shell sees the program's arguments, and no command line the token.
 */
#include "launch.h"
#include "options.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_WORD  "mlscale launch 1"
#define TEXT_MAX    (4u << 20)
#define ARGS_MAX    65536
#define PORT_FIRST  20000 /* below what systems give to outgoing connections */
#define PORT_NUMBER 12000

static bool fill_random(void *data, size_t size)
{
    if (getrandom(data, size, 0) == (ssize_t) size)
        return true;
    failure("no random bytes: %s", strerror(errno));
    return false;
}

bool launch_random(char *ret_text, size_t digits)
{
    unsigned char bytes[LAUNCH_TOKEN];
    if (!fill_random(bytes, digits))
        return false;
    for (size_t i = 0; i < digits; i++)
        ret_text[i] = "0123456789abcdef"[bytes[i] % 16];
    ret_text[digits] = '\0';
    return true;
}

/* --- where to meet --- */

/* One that is free on this host now; 0: none. */
static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const bool is_good = fd >= 0 && bind(fd, (struct sockaddr *) &address, size) == 0 &&
                         getsockname(fd, (struct sockaddr *) &address, &size) == 0;
    if (fd >= 0)
        close(fd);
    return is_good ? ntohs(address.sin_port) : 0;
}

static bool choose_port(bool is_alone, int64_t *port)
{
    uint16_t number;
    if (*port)
        return true;
    *port = is_alone ? free_port() : 0;
    if (*port)
        return true;
    if (!fill_random(&number, sizeof number))
        return false;
    *port = PORT_FIRST + number % PORT_NUMBER;
    return true;
}

bool launch_meets_by_shm(const launch_meeting *meeting, const launch_hosts *hosts)
{
    return meeting->transport ? strcmp(meeting->transport, "shm") == 0 : hosts->count <= 1;
}

int launch_url(const launch_meeting *meeting, const launch_hosts *hosts, launch_plan *plan)
{
    char name[17];
    int64_t port = meeting->port;
    const bool is_alone = hosts->count <= 1;
    const bool is_shm = launch_meets_by_shm(meeting, hosts);
    if (!launch_random(name, sizeof name - 1))
        return EXIT_FAILED;
    if (is_shm && !is_alone)
        return failure("shm is for the ranks of one host, and there are %zu", hosts->count);
    if (is_shm) {
        snprintf(plan->url, sizeof plan->url, "shm:%s", name);
        return EXIT_GOOD;
    }
    const char *host = is_alone ? "127.0.0.1" : launch_host_address(&hosts->hosts[0]);
    const bool is_ip6 = strchr(host, ':');
    if (!is_alone && (strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
                      strcmp(host, "::1") == 0))
        return failure("the first host is '%s', which on another one is that host itself: write "
                       "its name",
                       host);
    if (!choose_port(is_alone, &port))
        return EXIT_FAILED;
    snprintf(plan->url, sizeof plan->url, "tcp://%s%s%s:%lld/%s%s", is_ip6 ? "[" : "", host,
             is_ip6 ? "]" : "", (long long) port, name, meeting->is_open ? "?encrypt=off" : "");
    return EXIT_GOOD;
}

/* --- for agents --- */

static size_t argument_count(const launch_plan *plan)
{
    size_t count = 0;
    while (plan->argv[count])
        count++;
    return count;
}

static void put(FILE *file, const char *text)
{
    fputs(text, file);
    fputc('\0', file);
}

static void put_number(FILE *file, long long value)
{
    fprintf(file, "%lld", value);
    fputc('\0', file);
}

char *launch_plan_write(const launch_plan *plan, const launch_host *host, size_t *ret_size)
{
    char *text = NULL;
    FILE *file = open_memstream(&text, ret_size);
    if (!file)
        return NULL;
    const size_t count = argument_count(plan);
    put(file, FIRST_WORD);
    put(file, plan->url);
    put(file, plan->token);
    put(file, plan->directory);
    put_number(file, plan->size);
    put_number(file, host->first);
    put_number(file, host->count);
    put_number(file, plan->stop_ms);
    put_number(file, plan->has_prefix);
    put_number(file, (long long) count);
    for (size_t i = 0; i < count; i++)
        put(file, plan->argv[i]);
    const bool is_good = !ferror(file);
    if (fclose(file) == 0 && is_good)
        return text;
    free(text);
    return NULL;
}

/* Byte by byte: what follows the plan is signals. */
typedef struct reader {
    char *text;
    size_t used, size;
    bool failed;
} reader;

/* The place of the next string in the text, which moves as it grows. */
static size_t take(reader *r)
{
    const size_t from = r->used;
    for (;;) {
        if (r->used == r->size) {
            const size_t size = r->size ? 2 * r->size : 4096;
            char *grown = size <= TEXT_MAX ? realloc(r->text, size) : NULL;
            if (!grown) {
                r->failed = true;
                return 0;
            }
            r->text = grown;
            r->size = size;
        }
        if (r->failed || read(STDIN_FILENO, r->text + r->used, 1) != 1) {
            r->failed = true;
            r->text[0] = '\0';
            return 0;
        }
        if (r->text[r->used++] == '\0')
            return from;
    }
}

static void take_text(reader *r, char *ret_text, size_t size)
{
    const size_t at = take(r);
    if (r->failed || strlen(r->text + at) >= size)
        r->failed = true;
    else
        memcpy(ret_text, r->text + at, strlen(r->text + at) + 1);
}

static int64_t take_number(reader *r, int64_t least, int64_t most)
{
    char text[24] = "", *end;
    take_text(r, text, sizeof text);
    const long long value = strtoll(text, &end, 10);
    if (end == text || *end || value < least || value > most)
        r->failed = true;
    return r->failed ? least : value;
}

static char **take_arguments(reader *r, size_t count)
{
    size_t *places = calloc(count + 1, sizeof *places);
    char **argv = calloc(count + 1, sizeof *argv);
    for (size_t i = 0; places && i < count && !r->failed; i++)
        places[i] = take(r);
    for (size_t i = 0; places && argv && i < count && !r->failed; i++)
        argv[i] = r->text + places[i];
    if (!places || !argv || r->failed) {
        r->failed = true;
        free(argv);
        argv = NULL;
    }
    free(places);
    return argv;
}

int launch_plan_read(launch_plan *ret_plan)
{
    reader r = {0};
    char word[sizeof FIRST_WORD] = "";
    launch_plan plan = {.is_agent = true};
    take_text(&r, word, sizeof word);
    if (r.failed || strcmp(word, FIRST_WORD) != 0) {
        free(r.text);
        return failure("--agent is for another mlscale launch, of this version");
    }
    take_text(&r, plan.url, sizeof plan.url);
    take_text(&r, plan.token, sizeof plan.token);
    take_text(&r, plan.directory, sizeof plan.directory);
    plan.size = (uint32_t) take_number(&r, 1, LAUNCH_RANKS_MAX);
    plan.first = (uint32_t) take_number(&r, 0, plan.size - 1);
    plan.count = (uint32_t) take_number(&r, 1, plan.size - plan.first);
    plan.stop_ms = take_number(&r, 0, INT32_MAX);
    plan.has_prefix = take_number(&r, 0, 1) == 1;
    const size_t count = (size_t) take_number(&r, 1, ARGS_MAX);
    if (!r.failed)
        plan.argv = take_arguments(&r, count);
    plan.text = r.text;
    if (r.failed) {
        free(plan.text);
        return failure("the plan that this agent was told is not whole");
    }
    *ret_plan = plan;
    return EXIT_GOOD;
}
