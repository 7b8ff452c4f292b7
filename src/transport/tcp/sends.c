/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages as their sender sees them. A send is announced when it is posted, and its first bytes
 * follow as far as the credit goes; the rest waits until the receiver wants it. It has ended when
 * the receiver says so, or, where both have agreed on it before, when the socket has all of it:
 * then its letter stays without a message until the receiver says that its credit is free.
 */
#include "transport/tcp/tcp.h"

static tcp_letter *find_send(const tcp_peer *peer, uint64_t id)
{
    tcp_letter *letter = id ? peer->sends : NULL;
    while (letter && letter->id < id)
        letter = letter->next;
    return letter && letter->id == id ? letter : NULL;
}

/* Up to where it may be given now. */
uint64_t tcp_send_limit(const tcp_letter *letter)
{
    return letter->number ? letter->message->size_bytes : letter->eager_bytes;
}

void tcp_send_release(tcp_peer *peer, tcp_letter *letter)
{
    peer->credit -= letter->credit;
    letter->credit = 0;
}

/* It may have been given whole, and be gone, when this returns. */
static void give(tcp_conn *conn, tcp_letter *letter)
{
    tcp_letter **at = &conn->sends;
    while (*at && *at != letter)
        at = &(*at)->next_sent;
    if (!*at && letter->offset < tcp_send_limit(letter) && !conn->is_mute) {
        letter->next_sent = NULL;
        *at = letter;
        conn->is_due = true;
    }
    tcp_conn_push(conn);
}

void tcp_send_announce(tcp_conn *conn, tcp_letter *letter)
{
    tcp_link *link = conn->link;
    tcp_peer *peer = &link->peers[conn->peer];
    unsigned char body[TCP_ENVELOPE_MAX];
    tcp_envelope envelope = tcp_envelope_of(letter->message);
    uint64_t left = TCP_CREDIT_BYTES - peer->credit;
    if (left > TCP_EAGER_BYTES)
        left = TCP_EAGER_BYTES;
    letter->id = ++link->next_id;
    letter->eager_bytes = envelope.size_bytes < left ? envelope.size_bytes : left;
    letter->credit = letter->eager_bytes;
    peer->credit += letter->credit;
    if (tcp_is_agreed(letter))
        peer->early_count++;
    envelope.eager_bytes = letter->eager_bytes;
    if (tcp_conn_put(conn, TCP_FRAME_SEND, letter->id, body, tcp_envelope_write(&envelope, body)))
        give(conn, letter);
}

static bool is_given(const tcp_conn *conn, const tcp_letter *letter)
{
    return letter->id && letter->message && tcp_is_agreed(letter) &&
           letter->offset == letter->message->size_bytes && conn->piece_of != letter;
}

void tcp_send_given(tcp_conn *conn, tcp_letter *letter)
{
    if (conn->link && conn->phase == TCP_PHASE_OPEN && is_given(conn, letter))
        tcp_letter_end_early(conn->link, &conn->link->peers[conn->peer], letter);
}

void tcp_sends_given(tcp_conn *conn)
{
    if (!conn->link || conn->phase != TCP_PHASE_OPEN || conn->is_mute)
        return;
    tcp_peer *peer = &conn->link->peers[conn->peer];
    for (tcp_letter *at = peer->sends, *next; peer->early_count && at; at = next) {
        next = at->next;
        if (is_given(conn, at))
            tcp_letter_end_early(conn->link, peer, at);
    }
}

/* --- what the receiver says ------------------------------------------------------------------ */

/* The bytes of a send that has ended are gone: its receiver gave them up, and waits in vain. */
bool tcp_on_want(tcp_conn *conn, uint64_t id, const tcp_want *want)
{
    tcp_peer *peer = &conn->link->peers[conn->peer];
    tcp_letter *letter = find_send(peer, id);
    if (!letter)
        return true; /* taken back meanwhile */
    if (letter->number || (want->first && want->first != letter->eager_bytes))
        return false;
    tcp_send_release(peer, letter);
    if (!letter->message) {
        tcp_letter_end(conn->link, peer, letter, MLS_OK);
        return true;
    }
    if (want->first != letter->eager_bytes) { /* it gave up what it had */
        tcp_conn_forget(conn, letter);
        letter->offset = letter->eager_bytes = 0;
    }
    letter->number = want->number;
    give(conn, letter);
    return true;
}

void tcp_on_done(tcp_conn *conn, uint64_t id)
{
    tcp_peer *peer = &conn->link->peers[conn->peer];
    tcp_letter *letter = find_send(peer, id);
    if (letter && (!letter->message || letter->offset == letter->message->size_bytes))
        tcp_letter_end(conn->link, peer, letter, MLS_OK);
}

void tcp_on_mismatch(tcp_conn *conn, uint64_t id, const tcp_envelope *other)
{
    tcp_peer *peer = &conn->link->peers[conn->peer];
    tcp_letter *letter = find_send(peer, id);
    if (!letter)
        return;
    if (letter->message)
        mls__message_show_head(letter->message, other->head, other->head_bytes);
    tcp_letter_end(conn->link, peer, letter, MLS_EMISMATCH);
}

/* Its receive was taken back: the next one wants it from its first byte on. */
void tcp_on_cancel(tcp_conn *conn, uint64_t id)
{
    tcp_letter *letter = find_send(&conn->link->peers[conn->peer], id);
    if (!letter || !letter->number)
        return;
    tcp_conn_forget(conn, letter);
    letter->offset = letter->eager_bytes = letter->number = 0;
}

void tcp_sends_forget(tcp_link *link, tcp_peer *peer)
{
    for (tcp_letter *at = peer->sends, *next; at; at = next) {
        next = at->next;
        if (!at->message)
            tcp_letter_end(link, peer, at, MLS_OK);
    }
}
