/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening, and what a listener says to who connects. A stranger whose group is not there yet
 * waits for it; one that is silent, or says nothing that makes sense, is forgotten.
 */
#include "transport/tcp/tcp.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Connections that one visit takes. */
#define ACCEPTS 64

/* --- listeners ------------------------------------------------------------------------------- */

static mls_status bind_and_listen(tcp_hub *hub, int fd, const tcp_address *wanted,
                                  tcp_address *ret_address)
{
    const mls_plugin_host *host = hub->host;
    struct sockaddr_storage system;
    char text[TCP_ADDRESS_TEXT];
    const int yes = 1;
    socklen_t size = tcp_address_to_system(wanted, &system);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (const struct sockaddr *) &system, size) != 0 || listen(fd, SOMAXCONN) != 0) {
        const int failed = errno;
        tcp_address_text(wanted, text);
        if (failed == EADDRINUSE)
            return host->error(
                MLS_EEXIST, "%s is taken: rank 0 of a group is there already, or another program",
                text);
        return host->error(MLS_EIO, "%s: nothing can listen there: %s", text, strerror(failed));
    }
    size = sizeof system;
    if (getsockname(fd, (struct sockaddr *) &system, &size) != 0 ||
        !tcp_address_from_system(&system, ret_address))
        return host->error(MLS_EIO, "the port of a socket is not known");
    return MLS_OK;
}

static mls_status listen_locked(tcp_hub *hub, const tcp_address *wanted,
                                tcp_listener **ret_listener)
{
    const mls_plugin_host *host = hub->host;
    tcp_listener *listener = host->alloc(host->context, sizeof *listener);
    if (!listener)
        return host->error(MLS_ENOMEM, "out of memory: the allocator refused %zu bytes",
                           sizeof *listener);
    memset(listener, 0, sizeof *listener);
    listener->hub = hub;
    listener->fd = tcp_socket_open(wanted->family == 6 ? AF_INET6 : AF_INET);
    mls_status status = listener->fd < 0
                            ? host->error(MLS_EIO, "no socket can be made: %s", strerror(errno))
                            : bind_and_listen(hub, listener->fd, wanted, &listener->address);
    if (status) {
        if (listener->fd >= 0)
            tcp_socket_close(listener->fd);
        host->free(host->context, listener);
        return status;
    }
    listener->next = hub->listeners;
    hub->listeners = listener;
    *ret_listener = listener;
    return MLS_OK;
}

mls_status tcp_listen(tcp_hub *hub, const tcp_address *wanted, tcp_address *ret_address)
{
    mls_status status = MLS_OK;
    pthread_mutex_lock(&hub->mutex);
    tcp_listener *listener = hub->listeners;
    while (listener && (!tcp_address_same_host(&listener->address, wanted) ||
                        (wanted->port && wanted->port != listener->address.port)))
        listener = listener->next;
    const bool is_new = !listener;
    if (is_new)
        status = listen_locked(hub, wanted, &listener);
    if (!status)
        *ret_address = listener->address;
    pthread_mutex_unlock(&hub->mutex);
    if (!status && is_new)
        uv_async_send(&hub->wake);
    return status;
}

/* Who asks waits in the system's queue, which would say so again at once. */
static void pause_listening(tcp_listener *listener)
{
    uv_poll_stop(&listener->poll);
    listener->is_paused = true;
    tcp_hub_need_ticks(listener->hub);
}

static bool is_scarce(int failed)
{
    return failed == EMFILE || failed == ENFILE || failed == ENOBUFS || failed == ENOMEM;
}

static void on_connection(uv_poll_t *handle, int status, int events)
{
    tcp_listener *listener = handle->data;
    (void) status;
    (void) events;
    for (int i = 0; i < ACCEPTS; i++) {
        const int fd = tcp_socket_accept(listener->fd);
        if (fd < 0 && is_scarce(errno))
            pause_listening(listener);
        if (fd < 0)
            return;
        tcp_set_options(fd);
        tcp_hub_meet(listener->hub, fd);
    }
}

void tcp_listener_resume(tcp_listener *listener)
{
    if (!listener->is_paused || uv_is_closing((uv_handle_t *) &listener->poll))
        return;
    listener->is_paused = false;
    uv_poll_start(&listener->poll, UV_READABLE, on_connection);
}

void tcp_listener_start(tcp_listener *listener)
{
    if (uv_poll_init(&listener->hub->loop, &listener->poll, listener->fd) != 0)
        return;
    listener->poll.data = listener;
    listener->is_polled = true;
    uv_poll_start(&listener->poll, UV_READABLE, on_connection);
}

/* --- the handshake --------------------------------------------------------------------------- */

typedef enum answer { GO_ON, WAIT, JOINED, END } answer;

/* The link that the stranger means, locked; the hub is locked, too. NULL: none, and neither is. */
static tcp_link *find_link(tcp_hub *hub, const unsigned char *group)
{
    pthread_mutex_lock(&hub->mutex);
    for (tcp_link *link = hub->links; link; link = link->next) {
        pthread_mutex_lock(&link->mutex);
        if ((link->meets && memcmp(link->meeting, group, TCP_KEY_BYTES) == 0) ||
            (link->joins && memcmp(link->door, group, TCP_KEY_BYTES) == 0))
            return link;
        pthread_mutex_unlock(&link->mutex);
    }
    pthread_mutex_unlock(&hub->mutex);
    return NULL;
}

static void release(tcp_hub *hub, tcp_link *link)
{
    pthread_mutex_unlock(&link->mutex);
    pthread_mutex_unlock(&hub->mutex);
}

/* The socket is new: these few bytes always find room. */
static bool send_few(const tcp_conn *conn, const void *bytes, size_t size)
{
    return send(conn->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t) size;
}

static answer refuse(const tcp_conn *conn, uint32_t why)
{
    unsigned char reply[TCP_REPLY_BYTES];
    tcp_refusal_write(why, reply);
    send_few(conn, reply, sizeof reply);
    return END;
}

static answer on_hello(tcp_conn *conn)
{
    tcp_hello hello;
    tcp_keypair pair;
    unsigned char reply[TCP_REPLY_BYTES];
    if (conn->raw.end < TCP_HELLO_BYTES)
        return WAIT;
    if (conn->raw.end > TCP_HELLO_BYTES || !tcp_hello_read(conn->raw.data, &hello))
        return END;
    tcp_link *link = find_link(conn->hub, hello.group);
    if (!link)
        return WAIT;
    memcpy(conn->token, link->token, sizeof conn->token);
    conn->encrypts = link->encrypts;
    release(conn->hub, link);
    if (!tcp_hello_is_from(conn->raw.data, conn->token))
        return refuse(conn, TCP_REFUSED_TOKEN);
    if (hello.encrypts != conn->encrypts)
        return refuse(conn, TCP_REFUSED_ENCRYPT);
    tcp_keypair_make(&pair);
    const bool agrees = tcp_reply_write(conn->raw.data, &pair, conn->token, reply, &conn->secrets);
    sodium_memzero(&pair, sizeof pair);
    if (!agrees || !send_few(conn, reply, sizeof reply))
        return END;
    memcpy(conn->hello, conn->raw.data, TCP_HELLO_BYTES);
    conn->raw.first = conn->raw.end = 0;
    conn->phase = TCP_PHASE_CONFIRM;
    return GO_ON;
}

static answer on_confirm(tcp_conn *conn)
{
    if (conn->raw.end - conn->raw.first < TCP_CONFIRM_BYTES)
        return WAIT;
    if (!tcp_confirm_is_right(&conn->secrets, conn->raw.data + conn->raw.first))
        return END;
    conn->raw.first += TCP_CONFIRM_BYTES;
    tcp_secrets secrets = conn->secrets;
    const mls_status status = tcp_conn_open(conn, &secrets, conn->encrypts, true);
    sodium_memzero(&secrets, sizeof secrets);
    if (status)
        return END;
    conn->phase = TCP_PHASE_JOIN;
    return GO_ON;
}

/* Why it cannot be the rank that it wants to be; MLS_OK: it can. */
static mls_status judge(const tcp_link *link, const tcp_join *join, char *text, size_t size)
{
    const bool meets = join->purpose == TCP_JOIN_MEET;
    if (join->size != link->size) {
        snprintf(text, size, "rank %u says that the group has %u ranks; others said %u", join->rank,
                 join->size, link->size);
        return MLS_EINVAL;
    }
    if (meets != link->meets || join->rank >= link->size || join->rank <= link->rank) {
        snprintf(text, size, "rank %u is no rank that rank %u waits for", join->rank, link->rank);
        return MLS_EINVAL;
    }
    if (link->peers[join->rank].is_there) {
        snprintf(text, size, "rank %u of %u is there already", join->rank, link->size);
        return MLS_EEXIST;
    }
    return MLS_OK;
}

/* The link that answered HELLO may be gone, and another one have its name but not its token. */
static bool has_shaken_hands(const tcp_link *link, const tcp_conn *conn)
{
    return link->encrypts == conn->encrypts &&
           memcmp(link->token, conn->token, sizeof conn->token) == 0;
}

static bool join_locked(tcp_link *link, tcp_conn *conn, const tcp_join *join)
{
    char text[256] = "";
    unsigned char body[4 + TCP_REASON_MAX];
    const mls_status status = judge(link, join, text, sizeof text);
    if (status || join->purpose == TCP_JOIN_MESH)
        tcp_conn_put(conn, TCP_FRAME_VERDICT, 0, body, tcp_verdict_write(status, text, body));
    if (!status) {
        if (join->purpose == TCP_JOIN_MEET)
            link->peers[join->rank].address = join->address;
        tcp_link_attach(link, conn, join->rank);
    }
    tcp_conn_flush(conn, TCP_VISIT_BYTES);
    return !status;
}

static answer on_join(tcp_conn *conn)
{
    tcp_frame frame;
    tcp_hello hello;
    tcp_join join;
    const unsigned char *body;
    const tcp_found found = tcp_conn_next(conn, &frame, &body);
    if (found == TCP_FOUND_NONE)
        return WAIT;
    if (found == TCP_FOUND_NONSENSE || frame.kind != TCP_FRAME_JOIN ||
        !tcp_join_read(body, frame.size, &join) || !tcp_hello_read(conn->hello, &hello))
        return END;
    tcp_link *link = find_link(conn->hub, hello.group);
    if (!link)
        return END; /* it has given up meanwhile */
    const bool is_in = has_shaken_hands(link, conn) && join_locked(link, conn, &join);
    release(conn->hub, link);
    return is_in ? JOINED : END;
}

bool tcp_stranger_read(tcp_conn *conn)
{
    static answer (*const steps[])(tcp_conn * conn) = {
        [TCP_PHASE_HELLO] = on_hello,
        [TCP_PHASE_CONFIRM] = on_confirm,
        [TCP_PHASE_JOIN] = on_join,
    };
    uint64_t left = 4096;
    answer next;
    if (tcp_conn_fill(conn, &left) < 0)
        return false;
    do
        next = steps[conn->phase](conn);
    while (next == GO_ON);
    return next != END;
}
