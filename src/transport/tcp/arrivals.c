/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages as their receiver sees them. What another rank announces meets the first receive of
 * its tag that has none, in either order of coming; then heads are compared, and only then data
 * goes to where the receive wants it. Until then the eager bytes are kept in a buffer: their
 * sender counts them, and so does this rank, which ends a peer that sends more than its credit.
 */
#include "transport/tcp/tcp.h"

#include <string.h>

static void drop_buffer(tcp_link *link, tcp_peer *peer, tcp_arrival *arrival)
{
    const mls_plugin_host *host = link->hub->host;
    if (!arrival->buffer)
        return;
    peer->kept_bytes -= arrival->eager_bytes;
    host->free(host->context, arrival->buffer);
    arrival->buffer = NULL;
}

/* Nothing more goes to where it went. */
static void turn_away(tcp_peer *peer, const tcp_arrival *arrival)
{
    if (peer->conn && peer->conn->into == arrival)
        peer->conn->into = NULL;
}

static void remove_arrival(tcp_link *link, tcp_peer *peer, tcp_arrival *arrival)
{
    const mls_plugin_host *host = link->hub->host;
    tcp_arrival *next = arrival->next, *previous = arrival->previous;
    *(previous ? &previous->next : &peer->arrivals) = next;
    *(next ? &next->previous : &peer->last_arrival) = previous;
    if (peer->eager == arrival)
        peer->eager = next;
    for (tcp_name name = 0; name < TCP_NAMES; name++)
        tcp_index_remove(&peer->index, arrival, name);
    peer->arrival_count--;
    turn_away(peer, arrival);
    drop_buffer(link, peer, arrival);
    if (arrival->letter)
        arrival->letter->arrival = NULL;
    host->free(host->context, arrival);
}

/* --- meeting --------------------------------------------------------------------------------- */

/* All of it is there. A sender that does not wait for that hears it with what is said next. */
static void complete(tcp_link *link, tcp_peer *peer, tcp_arrival *arrival)
{
    tcp_letter *letter = arrival->letter;
    const bool is_awaited = !tcp_is_agreed(letter);
    const uint64_t id = arrival->id;
    remove_arrival(link, peer, arrival);
    tcp_letter_end(link, peer, letter, MLS_OK);
    if (peer->conn && is_awaited)
        tcp_conn_say(peer->conn, TCP_FRAME_DONE, id, NULL, 0);
    else if (peer->conn)
        tcp_conn_put_late(peer->conn, TCP_FRAME_DONE, id);
}

static void refuse(tcp_link *link, tcp_peer *peer, tcp_arrival *arrival, tcp_letter *letter)
{
    unsigned char body[TCP_ENVELOPE_MAX];
    const tcp_envelope own = tcp_envelope_of(letter->message);
    const size_t size = tcp_envelope_write(&own, body);
    const uint64_t id = arrival->id;
    mls__message_show_head(letter->message, arrival->head, arrival->head_bytes);
    remove_arrival(link, peer, arrival);
    tcp_letter_end(link, peer, letter, MLS_EMISMATCH);
    if (peer->conn)
        tcp_conn_say(peer->conn, TCP_FRAME_MISMATCH, id, body, size);
}

static void ask_for_rest(tcp_link *link, tcp_peer *peer, tcp_arrival *arrival)
{
    const tcp_want want = {++link->next_id, arrival->eager_bytes};
    arrival->number = want.number;
    tcp_index_add(&peer->index, arrival, TCP_NAME_WANT);
    if (peer->conn)
        tcp_conn_say(peer->conn, TCP_FRAME_WANT, arrival->id, &want, sizeof want);
}

/* Neither of them is for another one. */
static void match(tcp_link *link, tcp_peer *peer, tcp_arrival *arrival, tcp_letter *letter)
{
    const tcp_envelope envelope = {.size_bytes = arrival->size_bytes,
                                   .head = arrival->head,
                                   .head_bytes = arrival->head_bytes};
    if (!tcp_has_head(letter->message, &envelope)) {
        refuse(link, peer, arrival, letter);
        return;
    }
    tcp_index_remove(&peer->index, arrival, TCP_NAME_TAG);
    arrival->letter = letter;
    letter->arrival = arrival;
    if (arrival->buffer && arrival->offset)
        memcpy(letter->message->data, arrival->buffer, (size_t) arrival->offset);
    drop_buffer(link, peer, arrival);
    if (arrival->offset == arrival->size_bytes)
        complete(link, peer, arrival);
    else if (arrival->eager_bytes < arrival->size_bytes)
        ask_for_rest(link, peer, arrival);
}

static tcp_letter *find_receive(const tcp_peer *peer, uint64_t tag)
{
    tcp_letter *letter = peer->receives;
    while (letter && (letter->arrival || letter->message->tag != tag))
        letter = letter->next;
    return letter;
}

void tcp_arrival_seek(tcp_link *link, tcp_peer *peer, tcp_letter *letter)
{
    tcp_arrival *arrival = tcp_index_find(&peer->index, TCP_NAME_TAG, letter->message->tag);
    if (arrival)
        match(link, peer, arrival, letter);
}

/* --- what a peer announces ------------------------------------------------------------------- */

static tcp_arrival *create(tcp_conn *conn, uint64_t id, const tcp_envelope *envelope)
{
    const mls_plugin_host *host = conn->hub->host;
    tcp_arrival *arrival = host->alloc(host->context, sizeof *arrival);
    if (!arrival)
        return NULL;
    *arrival = (tcp_arrival){.id = id,
                             .tag = envelope->tag,
                             .size_bytes = envelope->size_bytes,
                             .eager_bytes = envelope->eager_bytes,
                             .head_bytes = envelope->head_bytes};
    if (envelope->head_bytes)
        memcpy(arrival->head, envelope->head, envelope->head_bytes);
    return arrival;
}

/* false: more than its credit, or no memory. */
static bool keep(tcp_conn *conn, tcp_peer *peer, tcp_arrival *arrival)
{
    const mls_plugin_host *host = conn->hub->host;
    if (!arrival->eager_bytes)
        return true;
    if (arrival->eager_bytes > TCP_CREDIT_BYTES - peer->kept_bytes)
        return false;
    arrival->buffer = host->alloc(host->context, (size_t) arrival->eager_bytes);
    if (!arrival->buffer)
        return false;
    peer->kept_bytes += arrival->eager_bytes;
    return true;
}

static void append(tcp_link *link, tcp_peer *peer, tcp_arrival *arrival)
{
    tcp_arrival *last = peer->last_arrival;
    arrival->previous = last;
    *(last ? &last->next : &peer->arrivals) = arrival;
    peer->last_arrival = arrival;
    if (!peer->eager)
        peer->eager = arrival;
    peer->arrival_count++;
    peer->announced = arrival->id;
    tcp_index_reserve(&peer->index, link->hub->host, peer->arrivals, peer->arrival_count);
    tcp_index_add(&peer->index, arrival, TCP_NAME_ID);
    tcp_index_add(&peer->index, arrival, TCP_NAME_TAG);
}

bool tcp_on_send(tcp_conn *conn, uint64_t id, const tcp_envelope *envelope)
{
    tcp_link *link = conn->link;
    tcp_peer *peer = &link->peers[conn->peer];
    if (link->has_left)
        return true;
    if (id <= peer->announced || peer->arrival_count == TCP_MESSAGES_MAX)
        return false;
    tcp_letter *letter = find_receive(peer, envelope->tag);
    tcp_arrival *arrival = create(conn, id, envelope);
    if (!arrival)
        return false;
    if (!letter && !keep(conn, peer, arrival)) {
        conn->hub->host->free(conn->hub->host->context, arrival);
        return false;
    }
    append(link, peer, arrival);
    if (letter)
        match(link, peer, arrival, letter);
    return true;
}

void tcp_on_abandon(tcp_conn *conn, uint64_t id)
{
    tcp_link *link = conn->link;
    tcp_peer *peer = &link->peers[conn->peer];
    tcp_arrival *arrival = tcp_index_find(&peer->index, TCP_NAME_ID, id);
    if (!arrival)
        return; /* received meanwhile */
    tcp_letter *letter = arrival->letter;
    remove_arrival(link, peer, arrival);
    if (letter)
        tcp_arrival_seek(link, peer, letter);
}

/* --- its bytes ------------------------------------------------------------------------------- */

/* What comes by its WANT is behind all that came unasked. */
static bool fits(const tcp_arrival *arrival, const tcp_frame *frame)
{
    if (frame->kind == TCP_FRAME_EAGER)
        return arrival->offset <= arrival->eager_bytes &&
               frame->size <= arrival->eager_bytes - arrival->offset;
    return arrival->offset >= arrival->eager_bytes &&
           frame->size <= arrival->size_bytes - arrival->offset;
}

/* They come in the order of announcements, so that none is looked at again. */
static tcp_arrival *find_eager(tcp_peer *peer, uint64_t id)
{
    while (peer->eager && peer->eager->id < id)
        peer->eager = peer->eager->next;
    return peer->eager && peer->eager->id == id ? peer->eager : NULL;
}

bool tcp_arrival_find(tcp_peer *peer, const tcp_frame *frame, tcp_arrival **ret_arrival)
{
    const bool is_eager = frame->kind == TCP_FRAME_EAGER;
    if (!is_eager && !frame->id)
        return false;
    tcp_arrival *arrival = is_eager ? find_eager(peer, frame->id)
                                    : tcp_index_find(&peer->index, TCP_NAME_WANT, frame->id);
    if (arrival && is_eager && arrival->has_dropped)
        arrival = NULL;
    if (arrival && !fits(arrival, frame))
        return false;
    *ret_arrival = arrival;
    return true;
}

unsigned char *tcp_arrival_place(const tcp_arrival *arrival)
{
    unsigned char *data =
        arrival->letter ? (unsigned char *) arrival->letter->message->data : arrival->buffer;
    return data + arrival->offset;
}

void tcp_arrival_take(tcp_conn *conn, tcp_arrival *arrival, size_t size)
{
    arrival->offset += size;
    if (arrival->letter && arrival->offset == arrival->size_bytes)
        complete(conn->link, &conn->link->peers[conn->peer], arrival);
}

/* --- taking back ----------------------------------------------------------------------------- */

/* Who receives it next asks for all of it. */
void tcp_arrival_return(tcp_link *link, tcp_peer *peer, tcp_arrival *arrival)
{
    arrival->letter = NULL;
    if (!peer->conn) {
        remove_arrival(link, peer, arrival);
        return;
    }
    const bool was_wanted = arrival->number != 0;
    turn_away(peer, arrival);
    tcp_index_remove(&peer->index, arrival, TCP_NAME_WANT);
    tcp_index_add(&peer->index, arrival, TCP_NAME_TAG);
    arrival->eager_bytes = arrival->offset = arrival->number = 0;
    arrival->has_dropped = true;
    if (was_wanted)
        tcp_conn_say(peer->conn, TCP_FRAME_CANCEL, arrival->id, NULL, 0);
    tcp_letter *next = find_receive(peer, arrival->tag);
    if (next)
        match(link, peer, arrival, next);
}

void tcp_arrivals_forget(tcp_link *link, tcp_peer *peer, bool all)
{
    for (tcp_arrival *at = peer->arrivals, *next; at; at = next) {
        next = at->next;
        if (all || at->letter || at->offset < at->size_bytes)
            remove_arrival(link, peer, at);
    }
}
