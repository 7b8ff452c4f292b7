/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hub's thread. It looks after every connection: those that others made come by the to-do
 * list, as do sockets that took no more. All that belongs to a link is done under its lock.
 */
#include "transport/tcp/tcp.h"

#include "base/clock.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK_MS 50
#define LOOK_MS UINT64_C(2)

/* --- ending connections ---------------------------------------------------------------------- */

/* It may have come to the list again before it lost its link. */
static void take_from_todo(tcp_hub *hub, tcp_conn *conn)
{
    pthread_mutex_lock(&hub->todo_mutex);
    tcp_conn **at = &hub->todo;
    while (*at && *at != conn)
        at = &(*at)->next_todo;
    if (*at)
        *at = conn->next_todo;
    pthread_mutex_unlock(&hub->todo_mutex);
}

static void forget_conn(tcp_conn *conn)
{
    tcp_hub *hub = conn->hub;
    tcp_conn **at = &hub->conns;
    while (*at != conn)
        at = &(*at)->next;
    *at = conn->next;
    take_from_todo(hub, conn);
    tcp_conn_free(conn);
}

static void on_closed(uv_handle_t *handle)
{
    forget_conn(handle->data);
}

/* Of its link; the last of a closed one takes it along. */
static void detach(tcp_conn *conn)
{
    tcp_link *link = conn->link;
    if (!link)
        return;
    pthread_mutex_lock(&link->mutex);
    if (conn->phase == TCP_PHASE_OPEN) {
        tcp_link_lose(conn);
        tcp_survivors_consider(link);
    }
    conn->link = NULL;
    const bool is_free = --link->conns == 0 && link->is_closed;
    pthread_mutex_unlock(&link->mutex);
    if (is_free)
        tcp_link_free(link);
}

static void end_conn(tcp_conn *conn)
{
    if (conn->is_closing)
        return;
    conn->is_closing = true;
    if (conn->is_stranger)
        conn->hub->strangers--;
    detach(conn);
    if (!conn->is_polled) {
        forget_conn(conn);
        return;
    }
    uv_close((uv_handle_t *) &conn->poll, on_closed);
    tcp_socket_close(conn->fd); /* the other end sees it now */
    conn->fd = -1;
}

/* --- those that have a time ------------------------------------------------------------------ */

static bool has_end(const tcp_conn *conn)
{
    return !conn->is_closing && (conn->is_stranger || conn->lingers);
}

static void resume_listeners(tcp_hub *hub)
{
    pthread_mutex_lock(&hub->mutex);
    for (tcp_listener *at = hub->listeners; at; at = at->next)
        tcp_listener_resume(at);
    pthread_mutex_unlock(&hub->mutex);
}

static void on_tick(uv_timer_t *timer)
{
    tcp_hub *hub = timer->data;
    const uint64_t now = mls__clock_monotonic_ns();
    bool goes_on = false;
    for (tcp_conn *conn = hub->conns, *next; conn; conn = next) {
        next = conn->next;
        if (has_end(conn) && conn->until_ns < now)
            end_conn(conn);
        else
            goes_on = goes_on || has_end(conn);
    }
    resume_listeners(hub);
    if (!goes_on)
        uv_timer_stop(timer);
}

void tcp_hub_need_ticks(tcp_hub *hub)
{
    if (!uv_is_active((const uv_handle_t *) &hub->tick))
        uv_timer_start(&hub->tick, on_tick, TICK_MS, TICK_MS);
}

/* --- a visit --------------------------------------------------------------------------------- */

static void on_poll(uv_poll_t *handle, int status, int events);
static void on_look(uv_timer_t *timer);

static void watch(tcp_conn *conn, bool wants_room)
{
    const int events = UV_READABLE | (wants_room ? UV_WRITABLE : 0);
    if (!conn->is_polled) {
        if (uv_poll_init(&conn->hub->loop, &conn->poll, conn->fd) != 0) {
            end_conn(conn);
            return;
        }
        conn->poll.data = conn;
        conn->is_polled = true;
    }
    if (events != conn->events)
        uv_poll_start(&conn->poll, events, on_poll);
    conn->events = events;
    conn->is_parked = false;
}

static void need_looks(tcp_hub *hub)
{
    if (!uv_is_active((const uv_handle_t *) &hub->look))
        uv_timer_start(&hub->look, on_look, LOOK_MS, LOOK_MS);
}

/* Its call waits for it; but for how much of it the call may not know. */
static void park(tcp_conn *conn)
{
    if (conn->is_polled)
        uv_poll_stop(&conn->poll);
    conn->events = 0;
    conn->is_parked = true;
    if (conn->wants_room)
        tcp_link_ring(conn->link);
    need_looks(conn->hub);
}

/* What comes is of no interest any more; that the other has closed is. */
static bool linger(tcp_conn *conn)
{
    unsigned char nothing[4096];
    if (!conn->lingers) {
        conn->lingers = true;
        conn->until_ns = mls__clock_monotonic_ns() + TCP_LINGER_NS;
        tcp_hub_need_ticks(conn->hub);
    }
    tcp_conn_flush(conn, TCP_VISIT_BYTES);
    if (!conn->wants_room)
        shutdown(conn->fd, SHUT_WR);
    for (int i = 0; i < 64; i++) {
        const ssize_t got = recv(conn->fd, nothing, sizeof nothing, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        if (got < 0)
            break;
    }
    return true;
}

static bool visit_locked(tcp_conn *conn)
{
    if (conn->phase == TCP_PHASE_LINGER)
        return linger(conn);
    if (!tcp_link_receive(conn))
        return false;
    tcp_survivors_consider(conn->link);
    tcp_conn_flush(conn, TCP_VISIT_BYTES);
    return true;
}

/* Of a link. What others may change is looked at under its lock. */
static void visit_peer(tcp_conn *conn)
{
    pthread_mutex_t *mutex = &conn->link->mutex;
    pthread_mutex_lock(mutex);
    const bool is_driven = conn->link->is_driven && conn->phase == TCP_PHASE_OPEN && !conn->is_over;
    const bool goes_on = is_driven || visit_locked(conn);
    const bool wants_room = conn->wants_room;
    if (is_driven)
        park(conn);
    pthread_mutex_unlock(mutex);
    if (!goes_on)
        end_conn(conn);
    else if (!is_driven)
        watch(conn, wants_room);
}

static void visit(tcp_conn *conn)
{
    if (conn->is_closing)
        return;
    if (conn->is_stranger && !tcp_stranger_read(conn)) {
        end_conn(conn);
        return;
    }
    if (!conn->link) {
        watch(conn, false);
        return;
    }
    if (conn->is_stranger)
        conn->hub->strangers--;
    conn->is_stranger = false;
    visit_peer(conn);
}

typedef enum rest { REST_LONG, REST_SHORT, REST_NONE } rest;

/* How long ago the call has ended that waited for the connection; none: it will say when. */
static rest rest_of(tcp_link *link, uint64_t now)
{
    pthread_mutex_lock(&link->mutex);
    const rest found = link->is_driven                           ? REST_NONE
                       : now > link->rest_ns + LOOK_MS * 1000000 ? REST_LONG
                                                                 : REST_SHORT;
    link->wants_look = link->wants_look || found == REST_NONE;
    pthread_mutex_unlock(&link->mutex);
    return found;
}

/* Those whose calls have ended long enough ago. */
static void on_look(uv_timer_t *timer)
{
    tcp_hub *hub = timer->data;
    const uint64_t now = mls__clock_monotonic_ns();
    bool goes_on = false;
    uv_timer_stop(timer); /* a visit may start it again */
    for (tcp_conn *conn = hub->conns, *next; conn; conn = next) {
        next = conn->next;
        if (!conn->is_parked || conn->is_closing)
            continue;
        const rest found = rest_of(conn->link, now);
        if (found == REST_LONG)
            visit(conn);
        goes_on = goes_on || found == REST_SHORT;
    }
    if (goes_on)
        need_looks(hub);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    (void) status; /* reading tells what is wrong */
    (void) events;
    visit(handle->data);
}

/* --- strangers ------------------------------------------------------------------------------- */

static void end_oldest(tcp_hub *hub)
{
    tcp_conn *oldest = NULL;
    for (tcp_conn *conn = hub->conns; conn; conn = conn->next)
        if (conn->is_stranger && !conn->is_closing)
            oldest = conn; /* new ones come first */
    if (oldest)
        end_conn(oldest);
}

void tcp_hub_meet(tcp_hub *hub, int fd)
{
    if (hub->strangers >= TCP_STRANGERS_MAX)
        end_oldest(hub);
    tcp_conn *conn = tcp_conn_create(hub, fd, 4096);
    if (!conn)
        return;
    conn->until_ns = mls__clock_monotonic_ns() + TCP_STRANGER_NS;
    conn->next = hub->conns;
    conn->is_known = conn->is_stranger = true;
    hub->conns = conn;
    hub->strangers++;
    tcp_hub_need_ticks(hub);
    visit(conn);
}

/* --- the to-do list -------------------------------------------------------------------------- */

void tcp_hub_todo(tcp_hub *hub, tcp_conn *conn)
{
    pthread_mutex_lock(&hub->todo_mutex);
    const bool is_new = !conn->in_todo;
    if (is_new) {
        conn->next_todo = hub->todo;
        hub->todo = conn;
        conn->in_todo = true;
    }
    pthread_mutex_unlock(&hub->todo_mutex);
    if (is_new)
        uv_async_send(&hub->wake);
}

void tcp_hub_look(tcp_hub *hub)
{
    pthread_mutex_lock(&hub->todo_mutex);
    hub->has_new_names = true;
    pthread_mutex_unlock(&hub->todo_mutex);
    uv_async_send(&hub->wake);
}

void tcp_hub_rest(tcp_hub *hub)
{
    pthread_mutex_lock(&hub->todo_mutex);
    hub->has_rested = true;
    pthread_mutex_unlock(&hub->todo_mutex);
    uv_async_send(&hub->wake);
}

/* One at a time: a visit may end others. */
static tcp_conn *take_todo(tcp_hub *hub)
{
    pthread_mutex_lock(&hub->todo_mutex);
    tcp_conn *conn = hub->todo;
    if (conn) {
        hub->todo = conn->next_todo;
        conn->in_todo = false;
    }
    pthread_mutex_unlock(&hub->todo_mutex);
    return conn;
}

static void look_at_strangers(tcp_hub *hub)
{
    for (tcp_conn *conn = hub->conns, *next; conn; conn = next) {
        next = conn->next;
        if (conn->is_stranger)
            visit(conn);
    }
}

/* --- the end --------------------------------------------------------------------------------- */

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void) arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Strangers end, links that are closed say what they have to. */
static void stop(tcp_hub *hub)
{
    pthread_mutex_lock(&hub->mutex);
    for (tcp_listener *at = hub->listeners; at; at = at->next)
        if (at->is_polled && !uv_is_closing((uv_handle_t *) &at->poll))
            uv_close((uv_handle_t *) &at->poll, NULL);
    pthread_mutex_unlock(&hub->mutex);
    for (tcp_conn *conn = hub->conns, *next; conn; conn = next) {
        next = conn->next;
        if (conn->is_stranger)
            end_conn(conn);
    }
}

static void on_wake(uv_async_t *async)
{
    tcp_hub *hub = async->data;
    tcp_conn *conn;
    pthread_mutex_lock(&hub->mutex);
    for (tcp_listener *at = hub->listeners; at; at = at->next)
        if (!at->is_polled)
            tcp_listener_start(at);
    pthread_mutex_unlock(&hub->mutex);
    while ((conn = take_todo(hub))) {
        if (!conn->is_known) {
            conn->is_known = true;
            conn->next = hub->conns;
            hub->conns = conn;
        }
        visit(conn);
    }
    pthread_mutex_lock(&hub->todo_mutex);
    const bool looks = hub->has_new_names, has_rested = hub->has_rested;
    hub->has_new_names = hub->has_rested = false;
    pthread_mutex_unlock(&hub->todo_mutex);
    if (has_rested)
        need_looks(hub);
    if (looks)
        look_at_strangers(hub);
    if (atomic_load(&hub->stops))
        stop(hub);
}

static void *run(void *arg)
{
    tcp_hub *hub = arg;
    for (bool stops = false; !stops || hub->conns;) {
        stops = atomic_load(&hub->stops); /* the to-do list has all connections then: once more */
        uv_run(&hub->loop, stops && !hub->conns ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    }
    uv_walk(&hub->loop, close_handle, NULL);
    uv_run(&hub->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* --- the hub --------------------------------------------------------------------------------- */

static mls_status init_loop(tcp_hub *hub)
{
    if (uv_loop_init(&hub->loop) != 0)
        return hub->host->error(MLS_EIO, "a loop for sockets cannot be made");
    if (uv_async_init(&hub->loop, &hub->wake, on_wake) == 0 &&
        uv_timer_init(&hub->loop, &hub->tick) == 0 && uv_timer_init(&hub->loop, &hub->look) == 0) {
        hub->wake.data = hub->tick.data = hub->look.data = hub;
        return MLS_OK;
    }
    uv_walk(&hub->loop, close_handle, NULL);
    uv_run(&hub->loop, UV_RUN_DEFAULT);
    uv_loop_close(&hub->loop);
    return hub->host->error(MLS_EIO, "a loop for sockets cannot be made");
}

static mls_status start(tcp_hub *hub)
{
    mls_status status = init_loop(hub);
    if (status)
        return status;
    status = mls__thread_create(&hub->thread, "mls-tcp", run, hub);
    if (status) {
        uv_walk(&hub->loop, close_handle, NULL);
        uv_run(&hub->loop, UV_RUN_DEFAULT);
        uv_loop_close(&hub->loop);
    }
    return status;
}

mls_status tcp_hub_open(const mls_plugin_host *host, const char *config, void **ret_self)
{
    (void) config;
    if (sodium_init() < 0)
        return host->error(MLS_EIO, "libsodium finds no random numbers");
    tcp_hub *hub = host->alloc(host->context, sizeof *hub);
    if (!hub)
        return host->error(MLS_ENOMEM, "out of memory: the allocator refused %zu bytes",
                           sizeof *hub);
    memset(hub, 0, sizeof *hub);
    hub->host = host;
    tcp_sockets_watch_forks();
    mls_status status = mls__mutex_init(&hub->mutex);
    if (status)
        goto no_mutex;
    status = mls__mutex_init(&hub->todo_mutex);
    if (status)
        goto no_todo;
    status = start(hub);
    if (status)
        goto no_loop;
    *ret_self = hub;
    return MLS_OK;

no_loop:
    pthread_mutex_destroy(&hub->todo_mutex);
no_todo:
    pthread_mutex_destroy(&hub->mutex);
no_mutex:
    host->free(host->context, hub);
    return status;
}

/* Groups keep their context, so no link is left but those that linger. */
void tcp_hub_close(void *self)
{
    tcp_hub *hub = self;
    const mls_plugin_host *host = hub->host;
    atomic_store(&hub->stops, true);
    uv_async_send(&hub->wake);
    pthread_join(hub->thread, NULL);
    uv_loop_close(&hub->loop);
    while (hub->listeners) {
        tcp_listener *listener = hub->listeners;
        hub->listeners = listener->next;
        tcp_socket_close(listener->fd);
        host->free(host->context, listener);
    }
    pthread_mutex_destroy(&hub->todo_mutex);
    pthread_mutex_destroy(&hub->mutex);
    host->free(host->context, hub);
}
