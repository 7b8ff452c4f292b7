/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds, and what ends them early. A record is a frame to each peer; theirs are kept in two
 * slots each. The slot that a record comes to was read two rounds ago: its sender has this
 * rank's record of the round between.
 *
 * Who aborts says how many rounds it had completed: their records were given by all, and are
 * waited for, since they may be on their way by other connections.
 */
#include "transport/tcp/tcp.h"

#include "base/clock.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static bool is_complete(const tcp_link *link, uint64_t round)
{
    for (uint32_t i = 0; i < link->size; i++)
        if (link->peers[i].rounds < round)
            return false;
    return true;
}

static bool is_lost(const tcp_link *link, uint64_t round)
{
    for (uint32_t i = 0; i < link->size; i++)
        if (link->peers[i].state != MLS_PEER_ALIVE && link->peers[i].rounds < round)
            return true;
    return false;
}

/* MLS_ETIMEDOUT: nothing is known yet. */
static mls_status look(const tcp_link *link, uint64_t round)
{
    if (is_complete(link, round))
        return MLS_OK;
    if (link->has_left || (link->is_aborted && round > link->abort.rounds))
        return MLS_ECANCELLED;
    return is_lost(link, round) ? MLS_EPEER : MLS_ETIMEDOUT;
}

static void give(tcp_link *link, uint64_t round, const void *record, size_t size_bytes)
{
    tcp_slot *slot = &link->peers[link->rank].slots[round % 2];
    if (size_bytes)
        memcpy(slot->data, record, size_bytes);
    slot->size_bytes = size_bytes;
    link->given = link->peers[link->rank].rounds = round;
    tcp_link_say(link, TCP_FRAME_RECORD, round, record, size_bytes);
}

static mls_status round_locked(tcp_link *link, const void *record, size_t size_bytes,
                               uint64_t until_ns, mls_transport_record *ret_records)
{
    bool in_time = true;
    mls_status status;
    tcp_link_catch_up(link);
    /* Those that ended the group have given up this round, too. */
    if (link->has_left || (link->is_aborted && link->given >= link->abort.rounds))
        return MLS_ECANCELLED;
    const uint64_t round = link->given + 1;
    give(link, round, record, size_bytes);
    while ((status = look(link, round)) == MLS_ETIMEDOUT && in_time)
        in_time = tcp_link_wait(link, until_ns);
    tcp_link_rest(link);
    if (status)
        return status == MLS_ETIMEDOUT ? MLS_EDEADLINE : status;
    for (uint32_t i = 0; i < link->size; i++) {
        const tcp_slot *slot = &link->peers[i].slots[round % 2];
        ret_records[i] = (mls_transport_record){slot->data, slot->size_bytes};
    }
    return MLS_OK;
}

mls_status tcp_round(void *self, const void *record, size_t size_bytes, uint64_t until_ns,
                     mls_transport_record *ret_records)
{
    tcp_link *link = self;
    if (size_bytes > TCP_RECORD_BYTES)
        return link->hub->host->error(MLS_EINVAL, "a record of %zu bytes", size_bytes);
    pthread_mutex_lock(&link->mutex);
    const mls_status status = round_locked(link, record, size_bytes, until_ns, ret_records);
    pthread_mutex_unlock(&link->mutex);
    return status;
}

/* The last round that this rank has seen all records of. */
static uint64_t completed(const tcp_link *link)
{
    return is_complete(link, link->given) ? link->given : link->given - 1;
}

/* Whoever hears of it tells all, so that none learns first that somebody has left for it. */
void tcp_link_abort(tcp_link *link, const tcp_abort *abort)
{
    unsigned char body[TCP_ABORT_MAX];
    if (link->is_aborted)
        return;
    link->abort = *abort;
    link->abort_ns = mls__clock_monotonic_ns();
    link->is_aborted = true;
    tcp_link_say(link, TCP_FRAME_ABORT, 0, body, tcp_abort_write(abort, body));
    tcp_link_wake(link);
}

void tcp_abort_link(void *self, mls_status status, const char *reason)
{
    tcp_link *link = self;
    pthread_mutex_lock(&link->mutex);
    if (link->peers) {
        tcp_abort abort = {.rank = link->rank, .status = status, .rounds = completed(link)};
        snprintf(abort.reason, sizeof abort.reason, "%s", reason);
        tcp_link_abort(link, &abort);
    }
    pthread_mutex_unlock(&link->mutex);
}

mls_status tcp_aborted(void *self, uint32_t *ret_rank, char *ret_reason, size_t capacity)
{
    tcp_link *link = self;
    mls_status status = MLS_ENOTFOUND;
    pthread_mutex_lock(&link->mutex);
    if (link->is_aborted) {
        *ret_rank = link->abort.rank;
        snprintf(ret_reason, capacity, "%s", link->abort.reason);
        status = link->abort.status;
    }
    pthread_mutex_unlock(&link->mutex);
    return status;
}

/*
 * When its system has last answered: it has the socket as long as the process is there, so that a
 * rank which is busy is heard of, too. 0: that is not known.
 */
static uint64_t heard_of(const tcp_conn *conn)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    memset(&info, 0, sizeof info);
    if (!conn || conn->is_over || getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return 0;
    const uint64_t now = mls__clock_monotonic_ns();
    const uint64_t passed_ms = info.tcpi_last_ack_recv < info.tcpi_last_data_recv
                                   ? info.tcpi_last_ack_recv
                                   : info.tcpi_last_data_recv;
    return now > passed_ms * 1000000 ? now - passed_ms * 1000000 : 0;
}

void tcp_peer_of(void *self, uint32_t rank, mls_transport_peer *ret_peer)
{
    tcp_link *link = self;
    pthread_mutex_lock(&link->mutex);
    ret_peer->state = link->peers[rank].state;
    ret_peer->rounds = link->peers[rank].rounds;
    mls__peer_heard(ret_peer, heard_of(link->peers[rank].conn));
    pthread_mutex_unlock(&link->mutex);
}
