/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a link: a rank of one group, from its URL to the last byte that it owes others. */
#include "transport/tcp/tcp.h"

#include "base/clock.h"

#include <poll.h>
#include <sched.h>
#include <sodium.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Sockets that a call waits for by itself. */
#define DRIVEN_MAX 16
#define SECOND_NS  UINT64_C(1000000000)
/* Who looks for longer lets others have the core: one that it waits for may be on it. */
#define PATIENCE_NS UINT64_C(10000)

static const char no_memory[] = "out of memory: the allocator refused %zu bytes";

mls_status tcp_link_create(tcp_hub *hub, const tcp_url *url, tcp_link **ret_link)
{
    const mls_plugin_host *host = hub->host;
    tcp_link *link = host->alloc(host->context, sizeof *link);
    if (!link)
        return host->error(MLS_ENOMEM, no_memory, sizeof *link);
    memset(link, 0, sizeof *link);
    link->hub = hub;
    link->url = *url;
    link->bell = -1;
    randombytes_buf(link->offer, sizeof link->offer);
    randombytes_buf(link->key, sizeof link->key);
    mls_status status = mls__mutex_init(&link->mutex);
    if (!status) {
        status = mls__cond_init(&link->changed);
        if (status)
            pthread_mutex_destroy(&link->mutex);
    }
    if (status) {
        host->free(host->context, link);
        return status;
    }
    *ret_link = link;
    return MLS_OK;
}

mls_status tcp_open_link(void *self, const char *config, void **ret_link)
{
    tcp_hub *hub = self;
    tcp_url url;
    tcp_link *link;
    char text[TCP_WRONG_TEXT];
    const char *wrong = tcp_url_read(config, &url, text);
    if (wrong)
        return hub->host->error(MLS_EINVAL,
                                "%s; write tcp://HOST:PORT/NAME or tcp:///FOLDER, options behind "
                                "'?'",
                                wrong);
    const mls_status status = tcp_link_create(hub, &url, &link);
    if (!status)
        *ret_link = link;
    return status;
}

void tcp_link_free(tcp_link *link)
{
    const mls_plugin_host *host = link->hub->host;
    for (uint32_t i = 0; link->peers && i < link->size; i++) {
        tcp_sends_forget(link, &link->peers[i]);
        tcp_arrivals_forget(link, &link->peers[i], true);
        host->free(host->context, link->peers[i].index.chains);
        host->free(host->context, link->peers[i].slots);
    }
    host->free(host->context, link->peers);
    host->free(host->context, link->survivors);
    if (link->bell >= 0)
        close(link->bell);
    mls__cond_destroy(&link->changed);
    pthread_mutex_destroy(&link->mutex);
    sodium_memzero(link, sizeof *link); /* its token, and the key of the group */
    host->free(host->context, link);
}

static uint32_t count_neighbours(const tcp_link *link)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < link->size; i++)
        count += tcp_address_same_host(&link->peers[i].address, &link->peers[link->rank].address);
    return count;
}

void tcp_link_spin(tcp_link *link, uint32_t spin_us)
{
    const uint64_t spin_ns = mls__spin_ns(spin_us, count_neighbours(link));
    pthread_mutex_lock(&link->mutex);
    link->spin_ns = spin_ns;
    pthread_mutex_unlock(&link->mutex);
}

mls_status tcp_link_seat(tcp_link *link, uint32_t rank, uint32_t size)
{
    const mls_plugin_host *host = link->hub->host;
    const size_t bytes = size * sizeof *link->peers;
    tcp_peer *peers = host->alloc(host->context, bytes);
    if (!peers)
        return host->error(MLS_ENOMEM, no_memory, bytes);
    memset(peers, 0, bytes);
    pthread_mutex_lock(&link->mutex);
    link->rank = rank;
    link->size = size;
    link->peers = peers;
    pthread_mutex_unlock(&link->mutex);
    link->survivors = host->alloc(host->context, size * sizeof *link->survivors);
    if (!link->survivors)
        return host->error(MLS_ENOMEM, no_memory, size * sizeof *link->survivors);
    for (uint32_t i = 0; i < size; i++) {
        peers[i].state = MLS_PEER_ALIVE;
        randombytes_buf(peers[i].index.key, sizeof peers[i].index.key);
        peers[i].slots = host->alloc(host->context, 2 * sizeof *peers[i].slots);
        if (!peers[i].slots)
            return host->error(MLS_ENOMEM, no_memory, 2 * sizeof *peers[i].slots);
    }
    peers[rank].is_there = true;
    if (size <= DRIVEN_MAX)
        link->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return MLS_OK;
}

mls_status tcp_address_of(void *self, void *ret_address, size_t capacity, size_t *ret_size)
{
    tcp_link *link = self;
    const tcp_url *url = &link->url;
    const mls_plugin_host *host = link->hub->host;
    tcp_address wanted;
    if (capacity < TCP_OFFER_BYTES)
        return host->error(MLS_EINVAL, "an address takes %zu bytes, not %zu", TCP_OFFER_BYTES,
                           capacity);
    const char *name = url->bind[0] ? url->bind : url->host[0] ? url->host : "127.0.0.1";
    mls_status status = tcp_address_find(host, name, url->port, &wanted);
    if (!status)
        status = tcp_listen(link->hub, &wanted, &link->own);
    if (!status)
        *ret_size = tcp_offer_write(&link->own, link->offer, ret_address);
    return status;
}

/* --- being found ----------------------------------------------------------------------------- */

void tcp_link_list(tcp_link *link)
{
    tcp_hub *hub = link->hub;
    pthread_mutex_lock(&hub->mutex);
    if (!link->is_listed) {
        link->next = hub->links;
        hub->links = link;
        link->is_listed = true;
    }
    pthread_mutex_unlock(&hub->mutex);
    tcp_hub_look(hub);
}

void tcp_link_unlist(tcp_link *link)
{
    tcp_hub *hub = link->hub;
    pthread_mutex_lock(&hub->mutex);
    tcp_link **at = &hub->links;
    while (*at && *at != link)
        at = &(*at)->next;
    if (*at)
        *at = link->next;
    link->is_listed = false;
    pthread_mutex_unlock(&hub->mutex);
}

void tcp_link_attach(tcp_link *link, tcp_conn *conn, uint32_t peer)
{
    conn->link = link;
    conn->peer = peer;
    conn->phase = TCP_PHASE_OPEN;
    link->conns++;
    link->there++;
    link->peers[peer].conn = conn;
    link->peers[peer].is_there = true;
    tcp_link_wake(link);
}

/* --- waiting --------------------------------------------------------------------------------- */

void tcp_link_ring(tcp_link *link)
{
    if (link->is_driven)
        eventfd_write(link->bell, 1);
}

void tcp_link_wake(tcp_link *link)
{
    tcp_link_ring(link);
    if (link->sleepers)
        pthread_cond_broadcast(&link->changed.cond);
}

typedef struct driven {
    nfds_t count;
    struct pollfd at[DRIVEN_MAX + 1];
    tcp_conn *conns[DRIVEN_MAX + 1];
    uint32_t peers[DRIVEN_MAX + 1];
} driven;

static void list_sockets(const tcp_link *link, driven *d)
{
    d->at[0] = (struct pollfd){.fd = link->bell, .events = POLLIN};
    d->count = 1;
    for (uint32_t i = 0; i < link->size; i++) {
        tcp_conn *conn = link->peers[i].conn;
        if (!conn || conn->is_over)
            continue;
        d->at[d->count] = (struct pollfd){
            .fd = conn->fd, .events = (short) (conn->wants_room ? POLLIN | POLLOUT : POLLIN)};
        d->conns[d->count] = conn;
        d->peers[d->count++] = i;
    }
}

/* Looks for a while, if each rank has a core, and then sleeps. */
static bool poll_until(const tcp_link *link, driven *d, uint64_t until_ns)
{
    const uint64_t begin = mls__clock_monotonic_ns();
    uint64_t now = begin;
    int found = 0;
    while (found == 0 && now < until_ns && now - begin < link->spin_ns) {
        found = poll(d->at, d->count, 0);
        now = mls__clock_monotonic_ns();
        if (!found && now - begin > PATIENCE_NS)
            sched_yield();
    }
    if (found || now >= until_ns)
        return found != 0;
    const uint64_t left = until_ns - now < 3600 * SECOND_NS ? until_ns - now : 3600 * SECOND_NS;
    const struct timespec time = {(time_t) (left / SECOND_NS), (long) (left % SECOND_NS)};
    return ppoll(d->at, d->count, &time, NULL) != 0;
}

/* What the loop would do with a socket that is ready. */
static void serve(tcp_link *link, const driven *d, nfds_t i)
{
    tcp_conn *conn = d->conns[i];
    if (!d->at[i].revents || link->peers[d->peers[i]].conn != conn || conn->is_over)
        return;
    if (!tcp_link_receive(conn)) {
        conn->is_over = true;
        tcp_hub_todo(link->hub, conn);
        return;
    }
    tcp_conn_flush(conn, TCP_VISIT_BYTES);
}

static bool drive(tcp_link *link, uint64_t until_ns)
{
    driven d;
    list_sockets(link, &d);
    link->is_driven = true;
    pthread_mutex_unlock(&link->mutex);
    const bool found = poll_until(link, &d, until_ns);
    pthread_mutex_lock(&link->mutex);
    link->is_driven = false;
    if (d.at[0].revents && found) {
        eventfd_t count;
        eventfd_read(link->bell, &count);
    }
    for (nfds_t i = 1; found && i < d.count; i++)
        serve(link, &d, i);
    tcp_survivors_consider(link);
    return found || mls__clock_monotonic_ns() < until_ns;
}

bool tcp_link_wait(tcp_link *link, uint64_t until_ns)
{
    if (link->bell >= 0 && !link->is_driven)
        return drive(link, until_ns);
    link->sleepers++;
    const bool in_time = mls__cond_wait_until(&link->changed, &link->mutex, until_ns);
    link->sleepers--;
    return in_time;
}

void tcp_link_rest(tcp_link *link)
{
    link->rest_ns = mls__clock_monotonic_ns();
    if (link->wants_look)
        tcp_hub_rest(link->hub);
    link->wants_look = false;
    if (link->sleepers)
        pthread_cond_broadcast(&link->changed.cond); /* one of them goes on with the sockets */
    for (uint32_t i = 0; i < link->size; i++) {
        tcp_conn *conn = link->peers[i].conn;
        if (conn && conn->wants_room)
            tcp_hub_todo(link->hub, conn);
    }
}

void tcp_link_say(tcp_link *link, uint32_t kind, uint64_t id, const void *body, size_t size)
{
    /* Begins with the next rank, so that not all of them write to one. */
    for (uint32_t i = 1; i < link->size; i++) {
        tcp_peer *peer = &link->peers[(link->rank + i) % link->size];
        if (peer->conn)
            tcp_conn_say(peer->conn, kind, id, body, size);
    }
}

/* --- the end --------------------------------------------------------------------------------- */

static void leave_locked(tcp_link *link)
{
    if (link->has_left || !link->peers)
        return;
    link->has_left = true;
    tcp_end_messages(link);
    tcp_link_say(link, TCP_FRAME_LEAVE, 0, NULL, 0);
    tcp_link_wake(link);
}

void tcp_leave(void *self)
{
    tcp_link *link = self;
    pthread_mutex_lock(&link->mutex);
    leave_locked(link);
    pthread_mutex_unlock(&link->mutex);
}

/* What is left to say goes by the loop, which frees the link with its last connection. */
void tcp_close_link(void *self)
{
    tcp_link *link = self;
    tcp_link_unlist(link);
    pthread_mutex_lock(&link->mutex);
    leave_locked(link);
    link->is_closed = true;
    for (uint32_t i = 0; link->peers && i < link->size; i++) {
        tcp_conn *conn = link->peers[i].conn;
        if (!conn)
            continue;
        link->peers[i].conn = NULL;
        conn->phase = TCP_PHASE_LINGER;
        tcp_hub_todo(link->hub, conn);
    }
    const bool is_free = link->conns == 0;
    pthread_mutex_unlock(&link->mutex);
    if (is_free)
        tcp_link_free(link);
}
