/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The raw exchange that groups over TCP are compared with: each rank sends to the next and
 * receives from the one before at the same time, by sockets of its own and nothing around them.
 * Ranks tell each other by the group what to connect to, and a word by which to be let in.
 */
#include "bench_group.h"
#include "common.h"
#include "launch.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS     10000
#define STRANGER_MS 2000 /* for the word of who has connected */
#define WORD        32

typedef struct place {
    char host[248], word[WORD];
    uint32_t port, reserved;
} place;

struct bench_ring {
    int next, last; /* sockets */
    char *data;
    size_t size;
};

/* The library's thread message is not this program's to set. */
static mls_status fault(const char *what)
{
    failure("the raw exchange: %s: %s", what, strerror(errno));
    return MLS_EIO;
}

/* --- connecting ------------------------------------------------------------------------------ */

static uint64_t in_ms(uint64_t ms)
{
    return now_ns() + ms * 1000000;
}

static bool wait_for(int fd, short events, uint64_t until_ns)
{
    struct pollfd at = {.fd = fd, .events = events};
    int ready;
    do {
        const uint64_t now = now_ns();
        ready = poll(&at, 1, now < until_ns ? (int) ((until_ns - now) / 1000000) + 1 : 0);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0)
        errno = ETIMEDOUT;
    return ready > 0;
}

static int open_socket(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int listen_here(bool is_alone, place *own)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    char word[WORD + 1];
    if (!launch_random(word, WORD))
        return -1;
    address.sin_addr.s_addr = htonl(is_alone ? INADDR_LOOPBACK : INADDR_ANY);
    const int fd = open_socket();
    if (fd < 0 || bind(fd, (struct sockaddr *) &address, size) != 0 || listen(fd, 4) != 0 ||
        getsockname(fd, (struct sockaddr *) &address, &size) != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    memcpy(own->word, word, WORD);
    own->port = ntohs(address.sin_port);
    return fd;
}

static bool is_connected(int fd, const struct addrinfo *to, uint64_t until_ns)
{
    int fault = 0;
    socklen_t size = sizeof fault;
    if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
        return true;
    if (errno != EINPROGRESS || !wait_for(fd, POLLOUT, until_ns) ||
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &size) != 0)
        return false;
    errno = fault;
    return !fault;
}

/* The word is said before anyone listens to it: a socket that is new has room. */
static int connect_to(const place *to, bool is_alone)
{
    char port[16];
    struct addrinfo *found;
    const uint64_t until_ns = in_ms(WAIT_MS);
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    snprintf(port, sizeof port, "%u", to->port);
    if (getaddrinfo(is_alone ? "127.0.0.1" : to->host, port, &hints, &found) != 0)
        return -1;
    const int fd = open_socket();
    const bool is_good = fd >= 0 && is_connected(fd, found, until_ns) &&
                         send(fd, to->word, WORD, MSG_NOSIGNAL) == WORD;
    freeaddrinfo(found);
    if (fd >= 0 && !is_good)
        close(fd);
    return is_good ? fd : -1;
}

static bool hears(int fd, const char *word, uint64_t until_ns)
{
    char heard[WORD];
    size_t got = 0;
    while (got < WORD && wait_for(fd, POLLIN, until_ns)) {
        const ssize_t more = recv(fd, heard + got, WORD - got, 0);
        if (more == 0 || (more < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        got += more > 0 ? (size_t) more : 0;
    }
    return got == WORD && memcmp(heard, word, WORD) == 0;
}

/* Who does not say the word is sent away. */
static int accept_one(int listening, const char *word)
{
    const uint64_t until_ns = in_ms(WAIT_MS);
    while (wait_for(listening, POLLIN, until_ns)) {
        const int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            return -1;
        if (fd >= 0 && hears(fd, word, in_ms(STRANGER_MS)))
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return -1;
}

/* --- meeting --------------------------------------------------------------------------------- */

static mls_status share_places(const bench_rank *rank, place *own, place *all)
{
    mls_tensor *source, *target;
    const int64_t size = sizeof *own, whole = size * rank->size;
    mls_status status =
        mls_tensor_wrap(rank->context, MLS_UINT8, 1, &size, NULL, own, NULL, NULL, &source);
    if (status)
        return status;
    status = mls_tensor_wrap(rank->context, MLS_UINT8, 1, &whole, NULL, all, NULL, NULL, &target);
    if (!status) {
        status = mls_group_allgather(rank->group, source, target, NULL, NULL);
        mls_tensor_free(target);
    }
    mls_tensor_free(source);
    return status;
}

static mls_status meet(const bench_rank *rank, place *all, bench_ring *ring)
{
    place own = {.port = 0};
    bool is_alone = true;
    gethostname(own.host, sizeof own.host - 1);
    mls_status status = share_places(rank, &own, all); /* which hosts there are */
    for (uint32_t i = 0; i < rank->size; i++)
        is_alone = is_alone && strncmp(all[i].host, own.host, sizeof own.host) == 0;
    if (status)
        return status;
    const int listening = listen_here(is_alone, &own);
    status = share_places(rank, &own, all);
    place *next = &all[(rank->rank + 1) % rank->size];
    next->host[sizeof next->host - 1] = '\0';
    if (!status && listening >= 0) {
        ring->next = connect_to(next, is_alone);
        ring->last = accept_one(listening, own.word);
    }
    if (listening >= 0)
        close(listening);
    if (!status && (ring->next < 0 || ring->last < 0))
        status = fault("no connection");
    return status;
}

mls_status bench_ring_open(const bench_rank *rank, bench_ring **ret_ring)
{
    const int one = 1;
    bench_ring *ring = calloc(1, sizeof *ring);
    place *all = calloc(rank->size, sizeof *all);
    if (!ring || !all)
        abort();
    ring->next = ring->last = -1;
    const mls_status status = meet(rank, all, ring);
    free(all);
    if (status) {
        bench_ring_close(ring);
        return status;
    }
    setsockopt(ring->next, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    *ret_ring = ring;
    return MLS_OK;
}

void bench_ring_close(bench_ring *ring)
{
    if (!ring)
        return;
    if (ring->next >= 0)
        close(ring->next);
    if (ring->last >= 0)
        close(ring->last);
    free(ring);
}

/* --- measuring ------------------------------------------------------------------------------- */

/* Both ways at once, as far as each goes. */
static mls_status exchange(void *user)
{
    bench_ring *ring = user;
    size_t sent = 0, got = 0;
    while (sent < ring->size || got < ring->size) {
        struct pollfd at[] = {{.fd = sent < ring->size ? ring->next : -1, .events = POLLOUT},
                              {.fd = got < ring->size ? ring->last : -1, .events = POLLIN}};
        ssize_t moved = 0;
        if (poll(at, 2, WAIT_MS) <= 0)
            return fault("nothing moves");
        if (at[0].revents && (moved = send(ring->next, ring->data + sent, ring->size - sent,
                                           MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
            sent += (size_t) moved;
        if (moved < 0 && errno != EAGAIN)
            return fault("send");
        if (at[1].revents && (moved = recv(ring->last, ring->data + ring->size + got,
                                           ring->size - got, MSG_DONTWAIT)) > 0)
            got += (size_t) moved;
        if (moved < 0 && errno != EAGAIN)
            return fault("receive");
        if (at[1].revents && moved == 0)
            return fault("the other side has closed");
    }
    return MLS_OK;
}

mls_status bench_limit_ring(const bench_rank *rank, bench_ring *ring, uint64_t bytes,
                            double *ret_limit)
{
    bench_result result = {0};
    ring->size = (size_t) bytes;
    ring->data = calloc(2, ring->size);
    if (!ring->data)
        abort();
    memset(ring->data, 1, 2 * ring->size); /* pages of its own, which what is sent is read from */
    const mls_status status = bench_repeat(rank, exchange, ring, &result);
    free(ring->data);
    if (!status && result.median_us > 0)
        *ret_limit = (double) bytes / (result.median_us / 1e6);
    return status;
}
