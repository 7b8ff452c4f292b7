/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bad network for test_tcp_hosts.sh: wire DELAY_US LOST REORDERED SEED NAMESPACE... makes a TUN
 * device "wire" in each namespace, and leaves a process behind that carries IPv4 packets between
 * them until its standard input ends: those for an address that ends in k go to the k-th. Each
 * takes DELAY_US; of 10,000 so many are lost, and so many take twice as long, whereby others
 * overtake them. Which ones follows from the seed.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { HOSTS_MAX = 8, PACKET_MAX = 2048, WAITING_MAX = 10000 };

typedef struct packet {
    struct packet *next, *previous;
    uint64_t due_ns;
    int to; /* whose device */
    size_t size;
    unsigned char bytes[PACKET_MAX];
} packet;

static struct {
    uint64_t delay_ns, random;
    unsigned lost, reordered; /* of 10,000 */
    nfds_t hosts;
    struct pollfd devices[HOSTS_MAX + 1]; /* behind them the standard input */
    packet *first, *last;                 /* in the order of their times */
    unsigned waiting;
} wire;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

/* Whether it happens to this packet. */
static bool happens(unsigned of_ten_thousand)
{
    wire.random ^= wire.random << 13;
    wire.random ^= wire.random >> 7;
    wire.random ^= wire.random << 17;
    return wire.random % 10000 < of_ten_thousand;
}

/* -1: not permitted here. A device belongs to the namespace in which it is opened. */
static int open_device(const char *namespace)
{
    char path[256];
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    snprintf(path, sizeof path, "/var/run/netns/%s", namespace);
    const int space = open(path, O_RDONLY | O_CLOEXEC);
    if (space < 0 || setns(space, CLONE_NEWNET) != 0)
        return -1;
    close(space);
    const int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    snprintf(request.ifr_name, sizeof request.ifr_name, "wire");
    if (device < 0 || ioctl(device, TUNSETIFF, &request) != 0)
        return -1;
    return device;
}

/* --- packets --------------------------------------------------------------------------------- */

/* Behind those that are due no later. */
static void queue(packet *new)
{
    packet *before = wire.last;
    while (before && before->due_ns > new->due_ns)
        before = before->previous;
    new->previous = before;
    new->next = before ? before->next : wire.first;
    *(before ? &before->next : &wire.first) = new;
    *(new->next ? &new->next->previous : &wire.last) = new;
    wire.waiting++;
}

/* The one whose address the packet has; -1: nobody's. */
static int find_host(const packet *p)
{
    const bool is_ipv4 = p->size >= 20 && p->bytes[0] >> 4 == 4;
    const unsigned last = is_ipv4 ? p->bytes[19] : 0;
    return last >= 1 && last <= wire.hosts ? (int) last - 1 : -1;
}

static void take_packets(int device)
{
    packet *p;
    while ((p = malloc(sizeof *p))) {
        const ssize_t size = read(device, p->bytes, sizeof p->bytes);
        if (size <= 0)
            break;
        p->size = (size_t) size;
        p->to = find_host(p);
        const bool is_late = happens(wire.reordered);
        if (happens(wire.lost) || p->to < 0 || wire.waiting == WAITING_MAX) {
            free(p);
            continue;
        }
        p->due_ns = now_ns() + wire.delay_ns * (is_late ? 2 : 1);
        queue(p);
    }
    free(p);
}

/* A device that is down takes nothing: then the packet is lost. */
static void deliver(void)
{
    const uint64_t now = now_ns();
    while (wire.first && wire.first->due_ns <= now) {
        packet *p = wire.first;
        wire.first = p->next;
        *(p->next ? &p->next->previous : &wire.last) = NULL;
        wire.waiting--;
        (void) !write(wire.devices[p->to].fd, p->bytes, p->size);
        free(p);
    }
}

static void carry(void)
{
    for (;;) {
        const uint64_t now = now_ns();
        const uint64_t left = wire.first && wire.first->due_ns > now ? wire.first->due_ns - now : 0;
        const struct timespec time = {(time_t) (left / 1000000000), (long) (left % 1000000000)};
        if (ppoll(wire.devices, wire.hosts + 1, wire.first ? &time : NULL, NULL) < 0)
            return;
        if (wire.devices[wire.hosts].revents)
            return;
        for (nfds_t i = 0; i < wire.hosts; i++)
            if (wire.devices[i].revents)
                take_packets(wire.devices[i].fd);
        deliver();
    }
}

int main(int argc, char **argv)
{
    if (argc < 7 || argc > 5 + HOSTS_MAX)
        return EXIT_FAILURE;
    wire.delay_ns = strtoull(argv[1], NULL, 10) * 1000;
    wire.lost = (unsigned) atoi(argv[2]);
    wire.reordered = (unsigned) atoi(argv[3]);
    wire.random = strtoull(argv[4], NULL, 10) * 2 + 1;
    for (int i = 5; i < argc; i++) {
        const int device = open_device(argv[i]);
        if (device < 0)
            return EXIT_FAILURE;
        wire.devices[wire.hosts++] = (struct pollfd){.fd = device, .events = POLLIN};
    }
    wire.devices[wire.hosts] = (struct pollfd){.fd = STDIN_FILENO};
    const pid_t child = fork();
    if (child == 0)
        carry();
    return child < 0;
}
