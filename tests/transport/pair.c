/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/pair.h"

#include <stdlib.h>

static void *take(mls_context *context, size_t size)
{
    (void) context;
    return malloc(size);
}

static void give_back(mls_context *context, void *memory)
{
    (void) context;
    free(memory);
}

static mls_status fail(mls_status status, const char *format, ...)
{
    (void) format;
    return status;
}

static tcp_hub *the_hub(void)
{
    static const mls_plugin_host host = {
        .size = sizeof host, .alloc = take, .free = give_back, .error = fail};
    static tcp_hub hub;
    if (hub.host)
        return &hub;
    hub.host = &host;
    if (uv_loop_init(&hub.loop) || uv_async_init(&hub.loop, &hub.wake, NULL) ||
        mls__mutex_init(&hub.mutex) || mls__mutex_init(&hub.todo_mutex))
        abort();
    return &hub;
}

pair_end pair_open(int fd, uint32_t rank, uint32_t ranks, uint32_t peer)
{
    const tcp_url url = {.port = 0};
    const tcp_secrets secrets = {.epoch = 0};
    pair_end end;
    if (tcp_link_create(the_hub(), &url, &end.link) || tcp_link_seat(end.link, rank, ranks))
        abort();
    end.conn = tcp_conn_create(end.link->hub, fd, TCP_INPUT_BYTES);
    if (!end.conn || tcp_conn_open(end.conn, &secrets, false, true))
        abort();
    pthread_mutex_lock(&end.link->mutex);
    tcp_link_attach(end.link, end.conn, peer);
    pthread_mutex_unlock(&end.link->mutex);
    return end;
}

bool pair_visit(const pair_end *end)
{
    pthread_mutex_lock(&end->link->mutex);
    const bool goes_on = tcp_link_receive(end->conn);
    if (goes_on)
        tcp_survivors_consider(end->link);
    if (goes_on)
        tcp_conn_flush(end->conn, TCP_VISIT_BYTES);
    pthread_mutex_unlock(&end->link->mutex);
    return goes_on;
}

void pair_close(pair_end *end)
{
    pthread_mutex_lock(&end->link->mutex);
    tcp_link_lose(end->conn);
    tcp_end_messages(end->link);
    pthread_mutex_unlock(&end->link->mutex);
    end->link->hub->todo = NULL; /* no loop looks at it */
    tcp_conn_free(end->conn);
    tcp_link_free(end->link);
}
