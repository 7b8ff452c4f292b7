/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meeting. The first rank to come listens, and serves the others (host.c). A guest says who it
 * is, gets the memory, says that it has it, and waits for the word that all are there. If the
 * host goes before that, the guests meet anew, and one of them is the host.
 */
#include "transport/shm/shm.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int shm_poll_ms(uint64_t until_ns)
{
    const uint64_t now = mls__clock_monotonic_ns();
    const uint64_t left_ms = until_ns > now ? (until_ns - now + 999999) / 1000000 : 0;
    return left_ms < 100 ? (int) left_ms : 100;
}

bool shm_peer_of(int fd, uint32_t *ret_uid, int32_t *ret_pid)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || size != sizeof peer)
        return false;
    *ret_uid = peer.uid;
    *ret_pid = peer.pid;
    return true;
}

typedef struct seats {
    const shm_wanted *wanted;
    const shm_memory *memory;
} seats;

static bool has_come(const void *user, uint32_t rank)
{
    const seats *s = user;
    return rank == s->wanted->rank ||
           (s->memory->base && atomic_load(&shm_memory_seat(s->memory, rank)->pid));
}

mls_status shm_missing(const shm_link *link, const shm_wanted *wanted, const shm_memory *memory)
{
    const seats s = {wanted, memory};
    char missing[MLS__MISSING_TEXT];
    mls__missing_text(wanted->size, wanted->subset, has_come, &s, missing);
    if (wanted->size > 1 && !missing[0])
        return link->hub->host->error(MLS_EDEADLINE,
                                      "all %u ranks have come, but the first of "
                                      "them does not say so",
                                      wanted->size);
    return link->hub->host->error(MLS_EDEADLINE, "of %u ranks these have not come:%s", wanted->size,
                                  missing);
}

/* --- a guest --------------------------------------------------------------------------------- */

/* MLS_ETIMEDOUT: the host is gone, which is no failure yet. */
static mls_status say_hello(const shm_link *link, const shm_wanted *wanted, int fd)
{
    shm_hello hello = {.magic = SHM_MAGIC,
                       .version = SHM_VERSION,
                       .rank = wanted->rank,
                       .size = wanted->size,
                       .pid = (int32_t) getpid(),
                       .key_size = (uint32_t) wanted->key_size,
                       .token_size = (uint32_t) link->token_size};
    memcpy(hello.key, wanted->key, wanted->key_size);
    memcpy(hello.token, link->token, link->token_size);
    const bool is_said = send(fd, &hello, sizeof hello, MSG_NOSIGNAL) == (ssize_t) sizeof hello;
    explicit_bzero(hello.token, sizeof hello.token);
    return is_said ? MLS_OK : MLS_ETIMEDOUT;
}

/* The last file that came with the message, or -1; the others are closed. */
static int take_file(struct msghdr *message)
{
    const struct cmsghdr *first = CMSG_FIRSTHDR(message);
    int file = -1;
    if (!first || first->cmsg_level != SOL_SOCKET || first->cmsg_type != SCM_RIGHTS)
        return -1;
    for (size_t at = CMSG_LEN(0); at + sizeof file <= first->cmsg_len; at += sizeof file) {
        if (file >= 0)
            close(file);
        memcpy(&file, CMSG_DATA(first) + at - CMSG_LEN(0), sizeof file);
    }
    return file;
}

/*
 * An answer, and the file that comes with it or -1. MLS_ETIMEDOUT: as above. MLS_ECANCELLED: it is
 * over.
 */
static mls_status hear(int fd, const shm_wanted *wanted, shm_answer *ret_answer, int *ret_file)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {ret_answer, sizeof *ret_answer};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    *ret_file = -1;
    while (poll(&ready, 1, shm_poll_ms(wanted->until_ns)) <= 0) {
        if (mls__clock_monotonic_ns() >= wanted->until_ns)
            return MLS_EDEADLINE;
        if (mls__subset_is_over(wanted->subset))
            return MLS_ECANCELLED;
    }
    const ssize_t size = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (size > 0)
        *ret_file = take_file(&message);
    return size == (ssize_t) sizeof *ret_answer && ret_answer->magic == SHM_MAGIC ? MLS_OK
                                                                                  : MLS_ETIMEDOUT;
}

static mls_status refused(const shm_link *link, const shm_wanted *wanted, const shm_answer *answer)
{
    const mls_plugin_host *host = link->hub->host;
    switch (answer->status) {
    case MLS_EPEER:
        return host->error(MLS_EPEER, "rank %u has another token than the ranks that are there",
                           wanted->rank);
    case MLS_EINVAL:
        return host->error(MLS_EINVAL, "rank %u says that the group has %u ranks; others said %u",
                           wanted->rank, wanted->size, answer->size);
    case MLS_EEXIST:
        return host->error(MLS_EEXIST, "rank %u of %u is there already", wanted->rank,
                           wanted->size);
    case MLS_EUNSUPPORTED:
        return host->error(MLS_EUNSUPPORTED,
                           "rank %u is in another PID namespace than the ranks "
                           "that are there",
                           wanted->rank);
    default:
        return host->error(MLS_EIO, "the ranks that are there refused rank %u (%d)", wanted->rank,
                           (int) answer->status);
    }
}

/* The word that all are there. */
static mls_status wait_for_all(const shm_link *link, const shm_wanted *wanted, int fd,
                               const shm_memory *memory)
{
    shm_answer answer;
    int file;
    const mls_status status = hear(fd, wanted, &answer, &file);
    if (file >= 0)
        close(file);
    if (status == MLS_EDEADLINE)
        return shm_missing(link, wanted, memory);
    return !status && answer.status == SHM_COMPLETE ? MLS_OK : MLS_ETIMEDOUT;
}

/* Those that have heard that all are there may wait for this rank: they see that it has gone. */
static void step_back(shm_link *link, const shm_wanted *wanted, shm_memory *memory)
{
    link->memory = *memory;
    link->room = (shm_room *) (void *) memory->base;
    link->size = wanted->size;
    shm_fate_set(link, wanted->rank, SHM_LEFT);
    link->room = NULL;
    link->memory = (shm_memory){.fd = -1};
    shm_memory_close(memory);
}

static mls_status be_guest(shm_link *link, const shm_wanted *wanted, int fd)
{
    const shm_answer ready = {SHM_MAGIC, SHM_READY, wanted->size};
    shm_memory memory = {.fd = -1};
    shm_answer answer;
    int file = -1;
    mls_status status = say_hello(link, wanted, fd);
    if (!status)
        status = hear(fd, wanted, &answer, &file);
    if (!status && answer.status != SHM_ACCEPTED)
        status = refused(link, wanted, &answer);
    if (!status && file < 0)
        status = MLS_ETIMEDOUT;
    if (status) {
        if (file >= 0)
            close(file);
        return status == MLS_EDEADLINE ? shm_missing(link, wanted, &memory) : status;
    }
    status = shm_memory_attach(link, wanted->size, file, &memory);
    if (status)
        return status;
    shm_introduce(&memory, wanted->rank);
    if (send(fd, &ready, sizeof ready, MSG_NOSIGNAL) != (ssize_t) sizeof ready)
        status = MLS_ETIMEDOUT;
    if (!status)
        status = wait_for_all(link, wanted, fd, &memory);
    if (status) {
        step_back(link, wanted, &memory);
        return status;
    }
    link->memory = memory;
    return MLS_OK;
}

/* --- both ------------------------------------------------------------------------------------ */

static mls_status try_meet(shm_link *link, const shm_wanted *wanted, const shm_folder *folder)
{
    int connection, listener;
    mls_status status = shm_folder_find(folder, link->hub->host, wanted, &connection, &listener);
    if (status)
        return status;
    if (connection >= 0) {
        status = be_guest(link, wanted, connection);
        close(connection);
        return status;
    }
    if (listener < 0)
        return MLS_ETIMEDOUT;
    status = shm_host_serve(link, wanted, listener);
    shm_folder_remove(folder, wanted);
    close(listener);
    return status;
}

mls_status shm_meet(shm_link *link, const shm_wanted *wanted)
{
    shm_folder folder;
    mls_status status = shm_folder_open(link->hub->host, &folder);
    if (status)
        return status;
    while ((status = try_meet(link, wanted, &folder)) == MLS_ETIMEDOUT) {
        if (mls__clock_monotonic_ns() >= wanted->until_ns) {
            status = shm_missing(link, wanted, &link->memory);
            break;
        }
        if (mls__subset_is_over(wanted->subset)) {
            status = MLS_ECANCELLED;
            break;
        }
        poll(NULL, 0, 1); /* whoever holds the folder, or leaves it, takes microseconds */
    }
    shm_folder_close(&folder);
    return status;
}
