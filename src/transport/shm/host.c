/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first rank that came, until the last one has: it makes the memory, gives it to whoever
 * has the token and a rank that is free, and says when all are there. Nobody who connects can
 * make it wait: one loop looks after all of them, and each says only two things.
 */
#include "transport/shm/shm.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connections beyond those of the ranks: strangers, and ranks that come again. */
#define SPARE_GUESTS 16
#define NO_RANK      UINT32_MAX

typedef struct guest {
    int fd;
    uint32_t rank; /* NO_RANK: it has not said hello */
    bool is_ready;
} guest;

typedef struct house {
    const shm_link *link;
    const shm_wanted *wanted;
    shm_memory memory;
    int listener;
    guest *guests;
    struct pollfd *polled; /* the listener, and each guest */
    uint32_t count, capacity;
    uint32_t ready; /* ranks, the host among them */
} house;

static shm_seat *seat_of(const house *h, uint32_t rank)
{
    return shm_memory_seat(&h->memory, rank);
}

/* --- one guest ------------------------------------------------------------------------------- */

static bool say(int fd, int32_t status, uint32_t size)
{
    const shm_answer answer = {SHM_MAGIC, status, size};
    return send(fd, &answer, sizeof answer, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t) sizeof answer;
}

static bool hand_over(int fd, int file, uint32_t size)
{
    shm_answer answer = {SHM_MAGIC, SHM_ACCEPTED, size};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct iovec part = {&answer, sizeof answer};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *first = CMSG_FIRSTHDR(&message);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(first), &file, sizeof file);
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t) sizeof answer;
}

/* In a time that does not tell how much of it is right. */
static bool is_token(const shm_link *link, const shm_hello *hello)
{
    unsigned difference = hello->token_size != link->token_size;
    for (size_t i = 0; i < sizeof hello->token; i++)
        difference |= hello->token[i] ^ (i < link->token_size ? link->token[i] : 0u);
    return difference == 0;
}

/* By what this process knows: who has come writes to its seat whatever it likes. */
static bool has_come(const house *h, uint32_t rank)
{
    bool has = rank == h->wanted->rank;
    for (uint32_t i = 0; !has && i < h->count; i++)
        has = h->guests[i].rank == rank;
    return has;
}

/* SHM_ACCEPTED, or why not. */
static int32_t judge(const house *h, const shm_hello *hello, int32_t pid)
{
    const shm_wanted *wanted = h->wanted;
    if (hello->magic != SHM_MAGIC || hello->version != SHM_VERSION ||
        hello->key_size != wanted->key_size ||
        memcmp(hello->key, wanted->key, wanted->key_size) != 0)
        return MLS_EFORMAT;
    if (!is_token(h->link, hello))
        return MLS_EPEER;
    if (hello->size != wanted->size || hello->rank >= wanted->size)
        return MLS_EINVAL;
    if (pid <= 0 || hello->pid != pid)
        return MLS_EUNSUPPORTED;
    return has_come(h, hello->rank) ? MLS_EEXIST : SHM_ACCEPTED;
}

/* false: the guest is to be sent away. */
static bool welcome(house *h, guest *g)
{
    shm_hello hello;
    uint32_t uid;
    int32_t pid;
    if (recv(g->fd, &hello, sizeof hello, MSG_DONTWAIT) != (ssize_t) sizeof hello ||
        !shm_peer_of(g->fd, &uid, &pid) || uid != (uint32_t) geteuid())
        return false;
    const int32_t status = judge(h, &hello, pid);
    explicit_bzero(hello.token, sizeof hello.token);
    if (status != SHM_ACCEPTED) {
        say(g->fd, status, h->wanted->size);
        return false;
    }
    if (!hand_over(g->fd, h->memory.fd, h->wanted->size))
        return false;
    g->rank = hello.rank;
    atomic_store(&seat_of(h, g->rank)->pid, pid);
    atomic_store(&seat_of(h, g->rank)->fate, SHM_ALIVE); /* it may have come before, and gone */
    return true;
}

static bool note_ready(house *h, guest *g)
{
    shm_answer answer;
    if (g->is_ready || recv(g->fd, &answer, sizeof answer, MSG_DONTWAIT) != sizeof answer ||
        answer.magic != SHM_MAGIC || answer.status != SHM_READY)
        return false;
    g->is_ready = true;
    h->ready++;
    return true;
}

static void send_away(house *h, uint32_t index)
{
    const guest g = h->guests[index];
    if (g.rank != NO_RANK)
        atomic_store(&seat_of(h, g.rank)->pid, 0);
    if (g.is_ready)
        h->ready--;
    close(g.fd);
    h->guests[index] = h->guests[--h->count];
}

/* --- the loop -------------------------------------------------------------------------------- */

/* Who has not said hello by now makes room. */
static bool make_room(house *h)
{
    for (uint32_t i = 0; h->count == h->capacity && i < h->count; i++)
        if (h->guests[i].rank == NO_RANK)
            send_away(h, i);
    return h->count < h->capacity;
}

static void let_in(house *h)
{
    int fd;
    while ((fd = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        if (make_room(h))
            h->guests[h->count++] = (guest){fd, NO_RANK, false};
        else
            close(fd);
    }
    if (errno != EAGAIN && errno != ECONNABORTED) /* of descriptors there may be more in a while */
        poll(NULL, 0, 10);
}

static void wait_for_guests(const house *h)
{
    h->polled[0] = (struct pollfd){.fd = h->listener, .events = POLLIN};
    for (uint32_t i = 0; i < h->count; i++)
        h->polled[i + 1] = (struct pollfd){.fd = h->guests[i].fd, .events = POLLIN};
    poll(h->polled, h->count + 1, shm_poll_ms(h->wanted->until_ns));
}

/* From the last one, since one that is sent away is replaced by the last. */
static void attend(house *h)
{
    wait_for_guests(h);
    for (uint32_t i = h->count; i-- > 0;) {
        guest *g = &h->guests[i];
        if (!h->polled[i + 1].revents)
            continue;
        if (!(g->rank == NO_RANK ? welcome(h, g) : note_ready(h, g)))
            send_away(h, i);
    }
    if (h->polled[0].revents)
        let_in(h);
}

/* At least until the deadline, and so that whoever is there by then is heard. */
static mls_status serve(house *h)
{
    const shm_wanted *wanted = h->wanted;
    atomic_store(&seat_of(h, wanted->rank)->pid, (int32_t) getpid());
    shm_introduce(&h->memory, wanted->rank);
    h->ready = 1;
    while (h->ready < wanted->size) {
        if (mls__clock_monotonic_ns() >= wanted->until_ns)
            return shm_missing(h->link, wanted, &h->memory);
        if (mls__subset_is_over(wanted->subset))
            return MLS_ECANCELLED;
        attend(h);
    }
    for (uint32_t i = 0; i < h->count; i++)
        if (h->guests[i].is_ready)
            say(h->guests[i].fd, SHM_COMPLETE, wanted->size);
    return MLS_OK;
}

static mls_status allocate(house *h)
{
    const mls_plugin_host *host = h->link->hub->host;
    h->capacity = h->wanted->size + SPARE_GUESTS;
    h->guests = host->alloc(host->context, h->capacity * sizeof *h->guests);
    h->polled = host->alloc(host->context, (h->capacity + 1) * sizeof *h->polled);
    if (!h->guests || !h->polled)
        return host->error(MLS_ENOMEM, "out of memory: the allocator refused %zu bytes",
                           h->capacity * sizeof *h->polled);
    return MLS_OK;
}

mls_status shm_host_serve(shm_link *link, const shm_wanted *wanted, int listener)
{
    const mls_plugin_host *host = link->hub->host;
    house h = {.link = link, .wanted = wanted, .memory = {.fd = -1}, .listener = listener};
    mls_status status = allocate(&h);
    if (!status)
        status = shm_memory_create(link, wanted->size, &h.memory);
    if (!status)
        status = serve(&h);
    for (uint32_t i = 0; i < h.count; i++)
        close(h.guests[i].fd);
    host->free(host->context, h.polled);
    host->free(host->context, h.guests);
    if (status)
        shm_memory_close(&h.memory);
    else
        link->memory = h.memory;
    return status;
}
