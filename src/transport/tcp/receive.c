/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer says, done by the loop or by a call that waits. A peer that says what cannot be is
 * dead from then on. */
#include "transport/tcp/tcp.h"

#include <string.h>

static bool on_record(tcp_conn *conn, const tcp_frame *frame, const unsigned char *body)
{
    tcp_link *link = conn->link;
    tcp_peer *peer = &link->peers[conn->peer];
    /* Who has this rank's record of a round may be one ahead, and nobody more. */
    if (frame->id != peer->rounds + 1 || frame->id > link->given + 1)
        return false;
    tcp_slot *slot = &peer->slots[frame->id % 2];
    memcpy(slot->data, body, frame->size);
    slot->size_bytes = frame->size;
    peer->rounds = frame->id;
    tcp_link_wake(link);
    return true;
}

static bool on_send(tcp_conn *conn, const tcp_frame *frame, const unsigned char *body)
{
    tcp_envelope envelope;
    return tcp_envelope_read(body, frame->size, &envelope) &&
           tcp_on_send(conn, frame->id, &envelope);
}

static bool on_want(tcp_conn *conn, const tcp_frame *frame, const unsigned char *body)
{
    tcp_want want;
    return tcp_want_read(body, frame->size, &want) && tcp_on_want(conn, frame->id, &want);
}

static bool on_done(tcp_conn *conn, const tcp_frame *frame, const unsigned char *body)
{
    (void) body;
    tcp_on_done(conn, frame->id);
    return true;
}

static bool on_mismatch(tcp_conn *conn, const tcp_frame *frame, const unsigned char *body)
{
    tcp_envelope other;
    if (!tcp_envelope_read(body, frame->size, &other))
        return false;
    tcp_on_mismatch(conn, frame->id, &other);
    return true;
}

static bool on_cancel(tcp_conn *conn, const tcp_frame *frame, const unsigned char *body)
{
    (void) body;
    tcp_on_cancel(conn, frame->id);
    return true;
}

static bool on_abandon(tcp_conn *conn, const tcp_frame *frame, const unsigned char *body)
{
    (void) body;
    tcp_on_abandon(conn, frame->id);
    return true;
}

static bool on_abort(tcp_conn *conn, const tcp_frame *frame, const unsigned char *body)
{
    tcp_link *link = conn->link;
    tcp_abort said;
    if (!tcp_abort_read(body, frame->size, link->size, &said))
        return false;
    link->peers[conn->peer].knows = true;
    tcp_link_abort(link, &said);
    tcp_link_wake(link);
    return true;
}

static bool on_leave(tcp_conn *conn, const tcp_frame *frame, const unsigned char *body)
{
    (void) frame;
    (void) body;
    conn->link->peers[conn->peer].state = MLS_PEER_LEFT;
    return false; /* nothing comes behind it */
}

/* By kind; those of the meeting cannot come any more. */
static bool (*const actions[TCP_FRAME_KINDS])(tcp_conn *conn, const tcp_frame *frame,
                                              const unsigned char *body) = {
    [TCP_FRAME_RECORD] = on_record,
    [TCP_FRAME_SEND] = on_send,
    [TCP_FRAME_WANT] = on_want,
    [TCP_FRAME_DONE] = on_done,
    [TCP_FRAME_MISMATCH] = on_mismatch,
    [TCP_FRAME_CANCEL] = on_cancel,
    [TCP_FRAME_ABANDON] = on_abandon,
    [TCP_FRAME_ABORT] = on_abort,
    [TCP_FRAME_LEAVE] = on_leave,
    [TCP_FRAME_HAND] = tcp_on_hand,
    [TCP_FRAME_DECISION] = tcp_on_decision,
};

static bool do_frames(tcp_conn *conn)
{
    tcp_frame frame;
    const unsigned char *body;
    tcp_found found;
    while ((found = tcp_conn_next(conn, &frame, &body)) == TCP_FOUND_FRAME)
        if (!actions[frame.kind] || !actions[frame.kind](conn, &frame, body))
            return false;
    return found != TCP_FOUND_NONSENSE;
}

bool tcp_link_receive(tcp_conn *conn)
{
    uint64_t left = TCP_VISIT_BYTES;
    int more = 1;
    conn->frames = 0;
    if (conn->is_over)
        return false;
    /* What came before the loop had the connection is there already. */
    if (!do_frames(conn))
        return false;
    while (left && conn->frames < TCP_VISIT_FRAMES && (more = tcp_conn_fill(conn, &left)) > 0)
        if (!do_frames(conn))
            return false;
    return more >= 0;
}

void tcp_link_catch_up(tcp_link *link)
{
    for (uint32_t i = 0; i < link->size; i++) {
        tcp_conn *conn = link->peers[i].conn;
        if (!conn || conn->is_over || tcp_link_receive(conn))
            continue;
        conn->is_over = true;
        tcp_hub_todo(link->hub, conn);
    }
}

void tcp_link_lose(tcp_conn *conn)
{
    tcp_link *link = conn->link;
    tcp_peer *peer = &link->peers[conn->peer];
    tcp_sends_given(conn);
    peer->conn = NULL;
    conn->into = NULL;
    conn->is_mute = true;
    conn->sends = NULL;
    conn->piece_of = NULL;
    conn->piece_bytes = 0;
    if (link->meets) { /* it may come again */
        peer->is_there = false;
        link->there--;
    } else if (peer->state == MLS_PEER_ALIVE) {
        peer->state = MLS_PEER_DEAD;
    }
    tcp_sends_forget(link, peer);
    tcp_arrivals_forget(link, peer, false);
    tcp_survivors_lose(link);
    tcp_link_wake(link);
}
