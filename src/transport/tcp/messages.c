/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages as the library sees them: posted, waited for, taken back. They meet at the receiver
 * (arrivals.c), to which each send is announced (sends.c).
 */
#include "transport/tcp/tcp.h"

#include "base/clock.h"

#include <string.h>

#define LIVE  0 /* its letter is in a list */
#define ENDED 1 /* its status says how */

tcp_envelope tcp_envelope_of(const mls_transport_message *message)
{
    return (tcp_envelope){message->tag, message->size_bytes, 0, message->head, message->head_bytes};
}

bool tcp_has_head(const mls_transport_message *message, const tcp_envelope *envelope)
{
    const size_t head_bytes = envelope->head_bytes;
    return message->size_bytes == envelope->size_bytes && message->head_bytes == head_bytes &&
           (!head_bytes || memcmp(message->head, envelope->head, head_bytes) == 0);
}

bool tcp_is_agreed(const tcp_letter *letter)
{
    const mls_transport_message *message = letter->message;
    return message->size > offsetof(mls_transport_message, flags) &&
           (message->flags & MLS_MESSAGE_AGREED);
}

/* --- letters --------------------------------------------------------------------------------- */

static void end_message(tcp_link *link, mls_transport_message *message, mls_status status)
{
    message->status = (int32_t) status;
    message->owner = NULL;
    message->phase = ENDED;
    tcp_link_wake(link);
}

static void remove_letter(tcp_link *link, tcp_letter **first, tcp_letter **last, tcp_letter *letter)
{
    tcp_letter *next = letter->next, *previous = letter->previous;
    *(previous ? &previous->next : first) = next;
    *(next ? &next->previous : last) = previous;
    link->hub->host->free(link->hub->host->context, letter);
}

static void append_letter(tcp_letter **first, tcp_letter **last, tcp_letter *letter)
{
    letter->previous = *last;
    *(*last ? &(*last)->next : first) = letter;
    *last = letter;
}

static void end_receive(tcp_link *link, tcp_peer *peer, tcp_letter *letter, mls_status status)
{
    tcp_arrival *arrival = letter->arrival;
    peer->receive_count--;
    end_message(link, letter->message, status);
    remove_letter(link, &peer->receives, &peer->last_receive, letter);
    if (arrival)
        tcp_arrival_return(link, peer, arrival);
}

/* Of a send, whose letter stays. */
static void end_early(tcp_link *link, tcp_peer *peer, tcp_letter *letter, mls_status status)
{
    mls_transport_message *message = letter->message;
    if (peer->conn)
        tcp_conn_forget(peer->conn, letter);
    if (letter->id && tcp_is_agreed(letter))
        peer->early_count--;
    letter->message = NULL;
    end_message(link, message, status);
}

static void end_send(tcp_link *link, tcp_peer *peer, tcp_letter *letter, mls_status status)
{
    if (letter->message)
        end_early(link, peer, letter, status);
    peer->send_count--;
    tcp_send_release(peer, letter);
    remove_letter(link, &peer->sends, &peer->last_send, letter);
}

void tcp_letter_end_early(tcp_link *link, tcp_peer *peer, tcp_letter *letter)
{
    end_early(link, peer, letter, MLS_OK);
    if (letter->number)
        tcp_letter_end(link, peer, letter, MLS_OK);
}

void tcp_letter_end(tcp_link *link, tcp_peer *peer, tcp_letter *letter, mls_status status)
{
    if (letter->message && letter->message->kind == MLS_MESSAGE_RECEIVE)
        end_receive(link, peer, letter, status);
    else
        end_send(link, peer, letter, status);
}

/* --- messages to oneself --------------------------------------------------------------------- */

static void meet_oneself(tcp_link *link, tcp_letter *letter)
{
    tcp_peer *own = &link->peers[link->rank];
    mls_transport_message *message = letter->message;
    const bool sends = message->kind == MLS_MESSAGE_SEND;
    tcp_letter *other = sends ? own->receives : own->sends;
    while (other && other->message->tag != message->tag)
        other = other->next;
    if (!other)
        return;
    mls_transport_message *from = sends ? message : other->message;
    mls_transport_message *to = sends ? other->message : message;
    const tcp_envelope wanted = tcp_envelope_of(to);
    const bool same = tcp_has_head(from, &wanted);
    mls__message_show_head(to, from->head, from->head_bytes);
    mls__message_show_head(from, to->head, to->head_bytes);
    if (same && from->size_bytes)
        memcpy(to->data, from->data, from->size_bytes);
    const mls_status status = same ? MLS_OK : MLS_EMISMATCH;
    tcp_letter_end(link, own, other, status);
    tcp_letter_end(link, own, letter, status);
}

/* --- the driver's operations ----------------------------------------------------------------- */

static mls_status check_room(const tcp_link *link, const mls_transport_message *message)
{
    const tcp_peer *peer = &link->peers[message->peer];
    const bool receives = message->kind == MLS_MESSAGE_RECEIVE;
    if ((receives ? peer->receive_count : peer->send_count) < TCP_MESSAGES_MAX)
        return MLS_OK;
    return link->hub->host->error(MLS_ELIMIT, "%u messages are on their way %s rank %u already",
                                  TCP_MESSAGES_MAX, receives ? "from" : "to", message->peer);
}

/* The letter may be gone then. */
static void begin(tcp_link *link, tcp_peer *peer, tcp_letter *letter)
{
    const mls_transport_message *message = letter->message;
    if (message->peer == link->rank) {
        if (!link->is_aborted && !link->has_left)
            meet_oneself(link, letter);
    } else if (message->kind == MLS_MESSAGE_RECEIVE) {
        tcp_arrival_seek(link, peer, letter);
    } else if (peer->conn && !link->is_aborted && !link->has_left) {
        tcp_send_announce(peer->conn, letter);
    }
}

static mls_status post_locked(tcp_link *link, tcp_letter *letter)
{
    mls_transport_message *message = letter->message;
    tcp_peer *peer = &link->peers[message->peer];
    const mls_status status = check_room(link, message);
    if (status)
        return status;
    const bool receives = message->kind == MLS_MESSAGE_RECEIVE;
    message->owner = letter;
    message->status = MLS_OK;
    message->phase = LIVE;
    if (receives) {
        append_letter(&peer->receives, &peer->last_receive, letter);
        peer->receive_count++;
    } else {
        append_letter(&peer->sends, &peer->last_send, letter);
        peer->send_count++;
    }
    begin(link, peer, letter);
    return MLS_OK;
}

mls_status tcp_post(void *self, mls_transport_message *message)
{
    tcp_link *link = self;
    const mls_plugin_host *host = link->hub->host;
    tcp_letter *letter = host->alloc(host->context, sizeof *letter);
    if (!letter)
        return host->error(MLS_ENOMEM, "out of memory: the allocator refused %zu bytes",
                           sizeof *letter);
    *letter = (tcp_letter){.message = message};
    pthread_mutex_lock(&link->mutex);
    const mls_status status = post_locked(link, letter);
    pthread_mutex_unlock(&link->mutex);
    if (status)
        host->free(host->context, letter);
    return status;
}

/* MLS_ETIMEDOUT: it has not ended. */
static mls_status look(const tcp_link *link, const mls_transport_message *message)
{
    const tcp_peer *peer = &link->peers[message->peer];
    if (message->phase == ENDED)
        return (mls_status) message->status;
    if (link->has_left)
        return MLS_ECANCELLED;
    /* What the other said before it knew counts, and may be on its way. */
    if (link->is_aborted &&
        (peer->knows || peer->state != MLS_PEER_ALIVE || message->peer == link->rank ||
         mls__clock_monotonic_ns() >= link->abort_ns + TCP_ABORT_NS))
        return MLS_ECANCELLED;
    return peer->state == MLS_PEER_ALIVE ? MLS_ETIMEDOUT : MLS_EPEER;
}

/* When to look again at the latest. */
static uint64_t next_look(const tcp_link *link, uint64_t until_ns)
{
    const uint64_t end_ns = link->abort_ns + TCP_ABORT_NS;
    return link->is_aborted && end_ns < until_ns ? end_ns : until_ns;
}

/* The other side learns that nothing comes of it. */
static void withdraw(tcp_link *link, mls_transport_message *message, mls_status status)
{
    tcp_peer *peer = &link->peers[message->peer];
    tcp_letter *letter = message->owner;
    const uint64_t id = letter->id; /* of a send */
    tcp_letter_end(link, peer, letter, status);
    if (peer->conn && id)
        tcp_conn_say(peer->conn, TCP_FRAME_ABANDON, id, NULL, 0);
}

mls_status tcp_wait(void *self, mls_transport_message *message, uint64_t until_ns)
{
    tcp_link *link = self;
    bool in_time = until_ns != 0;
    mls_status status;
    pthread_mutex_lock(&link->mutex);
    while ((status = look(link, message)) == MLS_ETIMEDOUT && in_time) {
        const uint64_t next_ns = next_look(link, until_ns);
        in_time = tcp_link_wait(link, next_ns) || next_ns < until_ns;
    }
    tcp_link_rest(link);
    if (status != MLS_ETIMEDOUT && message->phase == LIVE)
        withdraw(link, message, status);
    pthread_mutex_unlock(&link->mutex);
    return status;
}

mls_status tcp_retract(void *self, mls_transport_message *message)
{
    tcp_link *link = self;
    pthread_mutex_lock(&link->mutex);
    if (message->phase == LIVE)
        withdraw(link, message, MLS_ECANCELLED);
    const mls_status status = (mls_status) message->status;
    pthread_mutex_unlock(&link->mutex);
    return status;
}

void tcp_end_messages(tcp_link *link)
{
    for (uint32_t i = 0; i < link->size; i++) {
        tcp_peer *peer = &link->peers[i];
        tcp_arrivals_forget(link, peer, true);
        while (peer->sends)
            tcp_letter_end(link, peer, peer->sends, MLS_ECANCELLED);
        while (peer->receives)
            tcp_letter_end(link, peer, peer->receives, MLS_ECANCELLED);
    }
}
