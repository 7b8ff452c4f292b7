/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets of all hubs of the process, so that a child that is forked and does not exec gives
 * them up at once: else its parent's peers would not see that the parent dies, and the parent's
 * ports stay taken, as long as the child is there.
 */
#include "transport/tcp/tcp.h"

#include <fcntl.h>
#include <unistd.h>

/* Higher numbers, which a system gives only if its limit has been raised, stay the child's. */
#define SOCKETS_MAX (UINT32_C(1) << 20)
#define WORD_BITS   64

static pthread_mutex_t sockets_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t sockets[SOCKETS_MAX / WORD_BITS]; /* a bit for each */
static uint32_t words_used;

static int keep(int fd)
{
    const uint32_t word = (uint32_t) fd / WORD_BITS;
    if (fd < 0 || (uint32_t) fd >= SOCKETS_MAX)
        return fd;
    sockets[word] |= UINT64_C(1) << fd % WORD_BITS;
    if (words_used <= word)
        words_used = word + 1;
    return fd;
}

int tcp_socket_open(int family)
{
    pthread_mutex_lock(&sockets_mutex);
    const int fd = keep(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    pthread_mutex_unlock(&sockets_mutex);
    return fd;
}

int tcp_socket_accept(int listener)
{
    pthread_mutex_lock(&sockets_mutex);
    const int fd = keep(accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    pthread_mutex_unlock(&sockets_mutex);
    return fd;
}

void tcp_socket_close(int fd)
{
    pthread_mutex_lock(&sockets_mutex);
    if ((uint32_t) fd < SOCKETS_MAX)
        sockets[fd / WORD_BITS] &= ~(UINT64_C(1) << fd % WORD_BITS);
    close(fd);
    pthread_mutex_unlock(&sockets_mutex);
}

/* --- forks ----------------------------------------------------------------------------------- */

static void before_fork(void)
{
    pthread_mutex_lock(&sockets_mutex);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&sockets_mutex);
}

/* The number stays taken, by a socket that is dead: the child's copy of a group names it. */
static void give_up(int fd, int dead)
{
    if (dead < 0 || dup3(dead, fd, O_CLOEXEC) < 0)
        close(fd);
}

static void in_child(void)
{
    const int dead = words_used ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    for (uint32_t word = 0; word < words_used; word++)
        for (int bit = 0; sockets[word] && bit < WORD_BITS; bit++)
            if (sockets[word] >> bit & 1)
                give_up((int) word * WORD_BITS + bit, dead);
    if (dead >= 0)
        close(dead);
    pthread_mutex_unlock(&sockets_mutex);
}

static void watch(void)
{
    pthread_atfork(before_fork, after_fork, in_child);
}

void tcp_sockets_watch_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch);
}
