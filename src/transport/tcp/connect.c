/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting: on the caller's thread, until the loop gets the connection. */
#include "transport/tcp/tcp.h"

#include "base/clock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Who is silent for so long, although there is data for it, is gone. */
#define DEAD_MS      20000
#define PAUSE_MAX_MS 50

static const char no_memory[] = "out of memory for a connection";

/* --- waiting for a socket -------------------------------------------------------------------- */

/* What poll() is told; it rounds up, so that nobody looks again too early. */
static int left_ms(uint64_t until_ns)
{
    const uint64_t now = mls__clock_monotonic_ns();
    if (until_ns <= now)
        return 0;
    const uint64_t ms = (until_ns - now + 999999) / 1000000;
    return ms < 3600000 ? (int) ms : 3600000;
}

/* false: the time is over, or what the link waits for. */
static bool wait_for(const tcp_link *link, int fd, short events, uint64_t until_ns)
{
    struct pollfd asked = {.fd = fd, .events = events};
    for (;;) {
        const uint64_t look_ns = mls__subset_look_ns(link->subset, until_ns);
        const int found = poll(&asked, 1, left_ms(look_ns));
        if (found > 0)
            return true;
        if ((found == 0 && mls__clock_monotonic_ns() >= until_ns) || (found < 0 && errno != EINTR))
            return false;
        if (mls__subset_is_over(link->subset))
            return false;
    }
}

bool tcp_pause(const tcp_link *link, uint64_t until_ns, uint32_t *pause_ms)
{
    const int left = left_ms(until_ns);
    *pause_ms = *pause_ms ? 2 * *pause_ms : 1;
    if (*pause_ms > PAUSE_MAX_MS)
        *pause_ms = PAUSE_MAX_MS;
    if (left == 0 || mls__subset_is_over(link->subset))
        return false;
    poll(NULL, 0, left < (int) *pause_ms ? left : (int) *pause_ms);
    return true;
}

static bool send_all(const tcp_link *link, int fd, const void *data, size_t size, uint64_t until_ns)
{
    const unsigned char *bytes = data;
    while (size) {
        const ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (sent < 0 && !wait_for(link, fd, POLLOUT, until_ns))
            return false;
        if (sent > 0) {
            bytes += sent;
            size -= (size_t) sent;
        }
    }
    return true;
}

static bool receive_all(const tcp_link *link, int fd, void *data, size_t size, uint64_t until_ns)
{
    unsigned char *bytes = data;
    while (size) {
        const ssize_t got = recv(fd, bytes, size, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        if (got < 0 && !wait_for(link, fd, POLLIN, until_ns))
            return false;
        if (got > 0) {
            bytes += got;
            size -= (size_t) got;
        }
    }
    return true;
}

bool tcp_hear(const tcp_link *link, tcp_conn *conn, uint64_t until_ns, tcp_frame *ret_frame,
              const unsigned char **ret_body)
{
    for (;;) {
        uint64_t left = TCP_INPUT_BYTES;
        const tcp_found found = tcp_conn_next(conn, ret_frame, ret_body);
        if (found != TCP_FOUND_NONE)
            return found == TCP_FOUND_FRAME;
        const int more = tcp_conn_fill(conn, &left);
        if (more < 0 || (more == 0 && !wait_for(link, conn->fd, POLLIN, until_ns)))
            return false;
    }
}

/* --- a connection ---------------------------------------------------------------------------- */

mls_status tcp_check_reach(const tcp_link *link, const tcp_address *address)
{
    char text[TCP_ADDRESS_TEXT];
    if (link->has_token || tcp_address_is_loopback(address))
        return MLS_OK;
    return link->hub->host->error(MLS_EINVAL,
                                  "%s is not of this host: beyond it a group needs a token "
                                  "(mls_group_options.token)",
                                  tcp_address_text(address, text));
}

/* A host that is gone without a word is found so; one that only is silent when it has to answer. */
void tcp_set_options(int fd)
{
    const int yes = 1, idle_s = 5, every_s = 5, tries = 3, dead_ms = DEAD_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof every_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof tries);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof dead_ms);
}

/* This end's address; false: it is the other end, too, as may happen where nobody listens. */
static bool find_own(int fd, const tcp_address *other, tcp_address *ret_own)
{
    struct sockaddr_storage system;
    socklen_t size = sizeof system;
    memset(&system, 0, sizeof system);
    return getsockname(fd, (struct sockaddr *) &system, &size) == 0 &&
           tcp_address_from_system(&system, ret_own) &&
           (ret_own->port != other->port || !tcp_address_same_host(ret_own, other));
}

/* Of a connect() that goes on: an errno, or 0. */
static int outcome(const tcp_link *link, int fd, uint64_t until_ns)
{
    int failed = 0;
    socklen_t size = sizeof failed;
    if (!wait_for(link, fd, POLLOUT, until_ns))
        return ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0 ? errno : failed;
}

/* Nobody is there: the negative errno; what is only late is -ETIMEDOUT. */
static int connect_to(const tcp_link *link, const tcp_address *address, uint64_t until_ns,
                      tcp_address *ret_own)
{
    struct sockaddr_storage system;
    socklen_t size = tcp_address_to_system(address, &system);
    const int fd = tcp_socket_open(system.ss_family);
    if (fd < 0)
        return errno ? -errno : -EIO;
    int failed = connect(fd, (const struct sockaddr *) &system, size) != 0 ? errno : 0;
    if (failed == EINPROGRESS)
        failed = outcome(link, fd, until_ns);
    if (!failed && !find_own(fd, address, ret_own))
        failed = ECONNREFUSED; /* its own self, since nobody listens */
    if (failed) {
        tcp_socket_close(fd);
        return -failed;
    }
    tcp_set_options(fd);
    return fd;
}

/* For the message at the deadline: what a try cut short by it would say is not what is wrong. */
static void note_trouble(tcp_link *link, const tcp_address *address, int failed)
{
    char text[TCP_ADDRESS_TEXT];
    tcp_address_text(address, text);
    if (failed == ETIMEDOUT && link->trouble[0])
        return;
    if (failed)
        snprintf(link->trouble, sizeof link->trouble, "connecting to %s: %s", text,
                 strerror(failed));
    else
        snprintf(link->trouble, sizeof link->trouble, "what listens at %s has not answered", text);
}

static mls_status refused(const tcp_link *link, uint32_t why, const tcp_address *address)
{
    const mls_plugin_host *host = link->hub->host;
    char text[TCP_ADDRESS_TEXT];
    tcp_address_text(address, text);
    switch (why) {
    case TCP_REFUSED_TOKEN:
        return host->error(MLS_EPEER, "rank %u has another token than the ranks that are there",
                           link->rank);
    case TCP_REFUSED_ENCRYPT:
        return host->error(MLS_EINVAL, "rank %u says encrypt=%s; the rank at %s does not",
                           link->rank, link->encrypts ? "on" : "off", text);
    default:
        return host->error(MLS_EPEER, "what answers at %s is no rank that has the token", text);
    }
}

/* MLS_ETIMEDOUT: no answer. */
static mls_status shake_hands(const tcp_link *link, int fd, const tcp_address *address,
                              const unsigned char *group, uint64_t until_ns,
                              tcp_secrets *ret_secrets)
{
    unsigned char bytes[TCP_HELLO_BYTES], reply[TCP_REPLY_BYTES], confirm[TCP_CONFIRM_BYTES];
    tcp_keypair pair;
    tcp_hello hello = {.encrypts = link->encrypts};
    tcp_keypair_make(&pair);
    memcpy(hello.group, group, sizeof hello.group);
    memcpy(hello.public, pair.public, sizeof hello.public);
    tcp_hello_write(&hello, link->token, bytes);
    const bool answers = send_all(link, fd, bytes, sizeof bytes, until_ns) &&
                         receive_all(link, fd, reply, sizeof reply, until_ns);
    const uint32_t why =
        answers ? tcp_reply_read(bytes, reply, &pair, link->token, ret_secrets) : TCP_REFUSED_NOT;
    sodium_memzero(&pair, sizeof pair);
    if (!answers)
        return MLS_ETIMEDOUT;
    if (why == TCP_REFUSALS && link->url.folder[0] && !link->joins)
        return MLS_ETIMEDOUT; /* what a folder says may be of long ago, and another is there now */
    if (why)
        return refused(link, why, address);
    tcp_confirm_write(ret_secrets, confirm);
    return send_all(link, fd, confirm, sizeof confirm, until_ns) ? MLS_OK : MLS_ETIMEDOUT;
}

/* Where others find this rank: where it says, or by the address that it uses itself. */
static mls_status find_place(tcp_link *link, const tcp_address *used)
{
    tcp_address wanted = *used;
    mls_status status = MLS_OK;
    if (link->own.port)
        return MLS_OK;
    wanted.port = 0;
    if (link->url.bind[0])
        status = tcp_address_find(link->hub->host, link->url.bind, 0, &wanted);
    if (!status)
        status = tcp_check_reach(link, &wanted);
    return status ? status : tcp_listen(link->hub, &wanted, &link->own);
}

static mls_status ask_to_join(tcp_link *link, tcp_conn *conn, const tcp_secrets *secrets,
                              uint32_t purpose, uint64_t until_ns)
{
    const tcp_join join = {
        .purpose = purpose, .rank = link->rank, .size = link->size, .address = link->own};
    if (tcp_conn_open(conn, secrets, link->encrypts, false) ||
        !tcp_conn_put(conn, TCP_FRAME_JOIN, 0, &join, sizeof join))
        return link->hub->host->error(MLS_ENOMEM, no_memory);
    tcp_conn_flush(conn, TCP_VISIT_BYTES);
    while (conn->wants_room && wait_for(link, conn->fd, POLLOUT, until_ns))
        tcp_conn_flush(conn, TCP_VISIT_BYTES);
    return conn->wants_room ? MLS_ETIMEDOUT : MLS_OK;
}

mls_status tcp_reach_once(tcp_link *link, const tcp_address *address, const unsigned char *group,
                          uint32_t purpose, uint64_t until_ns, tcp_conn **ret_conn)
{
    tcp_address used;
    tcp_secrets secrets;
    tcp_conn *conn = NULL;
    mls_status status = tcp_check_reach(link, address);
    if (status)
        return status;
    const int fd = connect_to(link, address, until_ns, &used);
    if (fd < 0) {
        note_trouble(link, address, -fd);
        return MLS_ETIMEDOUT;
    }
    status = find_place(link, &used);
    if (!status)
        status = shake_hands(link, fd, address, group, until_ns, &secrets);
    if (status) {
        tcp_socket_close(fd);
        if (status == MLS_ETIMEDOUT)
            note_trouble(link, address, 0);
        goto wipe;
    }
    conn = tcp_conn_create(link->hub, fd, TCP_INPUT_BYTES);
    status = conn ? ask_to_join(link, conn, &secrets, purpose, until_ns)
                  : link->hub->host->error(MLS_ENOMEM, no_memory);
    if (!status) {
        link->trouble[0] = '\0';
        *ret_conn = conn;
    } else if (conn)
        tcp_conn_free(conn);

wipe:
    sodium_memzero(&secrets, sizeof secrets);
    return status;
}

mls_status tcp_reach(tcp_link *link, const tcp_address *address, const unsigned char *group,
                     uint32_t purpose, uint64_t until_ns, tcp_conn **ret_conn)
{
    uint32_t pause_ms = 0;
    mls_status status;
    do
        status = tcp_reach_once(link, address, group, purpose, until_ns, ret_conn);
    while (status == MLS_ETIMEDOUT && tcp_pause(link, until_ns, &pause_ms));
    return status;
}
