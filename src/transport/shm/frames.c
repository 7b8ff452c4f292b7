/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a message goes: the sender announces it, with its bytes if they are few; the receiver,
 * once a receive is there for it, asks for them, and gets them in chunks through the channel,
 * both sides copying at the same time; then it says that it has them. Heads are compared by
 * the receiver, before any byte reaches its memory.
 *
 * A frame is of another process: its fields are copied, and hold only as far as they agree with
 * what this rank knows of the message.
 */
#include "transport/shm/messages.h"

#include <string.h>

/* A frame without its data, as the receiver believes it. */
typedef struct frame_words {
    uint32_t kind, attempt;
    uint64_t id, tag, size, offset;
    uint32_t bytes, head_bytes;
    unsigned char head[MLS_TRANSPORT_HEAD_MAX];
} frame_words;

/* --- lists ----------------------------------------------------------------------------------- */

void shm_parcel_remove(shm_link *link, shm_parcel *parcel)
{
    shm_parcel **at = &link->mail.parcels;
    while (*at != parcel)
        at = &(*at)->next;
    *at = parcel->next;
    if (!*at)
        link->mail.parcels_end = at;
    if (parcel->arrival)
        parcel->arrival->parcel = NULL;
    link->hub->host->free(link->hub->host->context, parcel);
}

void shm_arrival_remove(shm_link *link, shm_arrival *arrival)
{
    shm_arrival **at = &link->mail.arrivals;
    while (*at != arrival)
        at = &(*at)->next;
    *at = arrival->next;
    if (!*at)
        link->mail.arrivals_end = at;
    if (arrival->parcel)
        arrival->parcel->arrival = NULL;
    if (link->lanes[arrival->from].arrivals-- == SHM_ARRIVALS_MAX)
        shm_ring(link, link->rank); /* there is a place for the next one */
    link->hub->host->free(link->hub->host->context, arrival);
}

void shm_parcel_end(shm_link *link, shm_parcel *parcel, mls_status status)
{
    parcel->message->status = status;
    parcel->message->phase = MESSAGE_ENDED;
    parcel->message->owner = NULL;
    shm_parcel_remove(link, parcel);
    shm_ring(link, link->rank); /* who waits for it */
}

static shm_parcel *find_send(const shm_link *link, uint32_t to, uint64_t id)
{
    shm_parcel *parcel = link->mail.parcels;
    while (parcel && (parcel->kind != MLS_MESSAGE_SEND || parcel->peer != to || parcel->id != id ||
                      !parcel->message))
        parcel = parcel->next;
    return parcel;
}

static shm_arrival *find_arrival(const shm_link *link, uint32_t from, uint64_t id)
{
    shm_arrival *arrival = link->mail.arrivals;
    while (arrival && (arrival->from != from || arrival->id != id))
        arrival = arrival->next;
    return arrival;
}

/* --- matching -------------------------------------------------------------------------------- */

static void settle(shm_link *link, shm_parcel *parcel, shm_arrival *arrival, mls_status status)
{
    const mls_transport_message *message = parcel->message;
    memcpy(arrival->head, message->head, message->head_bytes);
    arrival->head_bytes = (uint32_t) message->head_bytes;
    arrival->verdict = status;
    arrival->reply = SHM_FRAME_DONE;
    shm_parcel_end(link, parcel, status);
}

static void meet(shm_link *link, shm_parcel *parcel, shm_arrival *arrival)
{
    mls_transport_message *message = parcel->message;
    mls__message_show_head(message, arrival->head, arrival->head_bytes);
    const bool is_same = arrival->size == message->size_bytes &&
                         arrival->head_bytes == message->head_bytes &&
                         memcmp(arrival->head, message->head, message->head_bytes) == 0;
    if (!is_same || arrival->is_whole) {
        if (is_same && arrival->size)
            memcpy(message->data, arrival->data, message->size_bytes);
        settle(link, parcel, arrival, is_same ? MLS_OK : MLS_EMISMATCH);
        return;
    }
    parcel->arrival = arrival;
    arrival->parcel = parcel;
    arrival->attempt = ++link->mail.next_attempt;
    arrival->got = 0;
    arrival->reply = SHM_FRAME_WANT;
}

static bool do_match(const shm_parcel *parcel, const shm_arrival *arrival)
{
    return parcel->kind == MLS_MESSAGE_RECEIVE && !parcel->arrival && !arrival->parcel &&
           arrival->reply != SHM_FRAME_DONE && parcel->peer == arrival->from &&
           parcel->message->tag == arrival->tag;
}

void shm_match_parcel(shm_link *link, shm_parcel *parcel)
{
    shm_arrival *arrival = link->mail.arrivals;
    while (arrival && !do_match(parcel, arrival))
        arrival = arrival->next;
    if (arrival)
        meet(link, parcel, arrival);
}

void shm_match_arrival(shm_link *link, shm_arrival *arrival)
{
    shm_parcel *parcel = link->mail.parcels;
    while (parcel && !do_match(parcel, arrival))
        parcel = parcel->next;
    if (parcel)
        meet(link, parcel, arrival);
}

/* --- what has come --------------------------------------------------------------------------- */

/* false: there is no memory for it now, or too much of it is taken already. */
static bool take_announcement(shm_link *link, uint32_t from, const frame_words *words,
                              const unsigned char *data)
{
    const mls_plugin_host *host = link->hub->host;
    const bool is_whole = words->size <= SHM_INLINE_BYTES;
    if (words->bytes != (is_whole ? words->size : 0) || words->head_bytes > sizeof words->head)
        return true;
    if (link->lanes[from].arrivals == SHM_ARRIVALS_MAX)
        return false;
    shm_arrival *arrival = host->alloc(host->context, sizeof *arrival + words->bytes);
    if (!arrival)
        return false;
    memset(arrival, 0, sizeof *arrival);
    arrival->from = from;
    arrival->id = words->id;
    arrival->tag = words->tag;
    arrival->size = words->size;
    arrival->is_whole = is_whole;
    arrival->head_bytes = words->head_bytes;
    memcpy(arrival->head, words->head, words->head_bytes);
    memcpy(arrival->data, data, words->bytes);
    *link->mail.arrivals_end = arrival;
    link->mail.arrivals_end = &arrival->next;
    link->lanes[from].arrivals++;
    shm_match_arrival(link, arrival);
    return true;
}

static void take_data(shm_link *link, uint32_t from, const frame_words *words,
                      const unsigned char *data)
{
    shm_arrival *arrival = find_arrival(link, from, words->id);
    if (!arrival || !arrival->parcel || arrival->attempt != words->attempt ||
        words->offset != arrival->got || words->bytes > SHM_CHUNK_BYTES ||
        words->bytes > arrival->size - arrival->got)
        return;
    memcpy((unsigned char *) arrival->parcel->message->data + arrival->got, data, words->bytes);
    arrival->got += words->bytes;
    if (arrival->got == arrival->size)
        settle(link, arrival->parcel, arrival, MLS_OK);
}

static void take_reply(shm_link *link, uint32_t from, const frame_words *words)
{
    shm_parcel *parcel = find_send(link, from, words->id);
    if (!parcel || parcel->state == PARCEL_NEW || words->head_bytes > sizeof words->head)
        return;
    if (words->kind == SHM_FRAME_WANT) {
        if (parcel->message->size_bytes <= SHM_INLINE_BYTES) /* it went with its announcement */
            return;
        parcel->state = PARCEL_SENDING;
        parcel->attempt = words->attempt;
        parcel->offset = 0;
        return;
    }
    mls__message_show_head(parcel->message, words->head, words->head_bytes);
    shm_parcel_end(link, parcel, words->size ? MLS_EMISMATCH : MLS_OK);
}

/* The receive that it was matched with waits for another one. */
static void take_cancel(shm_link *link, uint32_t from, uint64_t id)
{
    shm_arrival *arrival = find_arrival(link, from, id);
    if (!arrival)
        return;
    shm_parcel *parcel = arrival->parcel;
    shm_arrival_remove(link, arrival);
    if (parcel)
        shm_match_parcel(link, parcel);
}

static bool take_frame(shm_link *link, uint32_t from, const shm_frame *frame)
{
    frame_words words = {.kind = frame->kind,
                         .attempt = frame->attempt,
                         .id = frame->id,
                         .tag = frame->tag,
                         .size = frame->size,
                         .offset = frame->offset,
                         .bytes = frame->bytes,
                         .head_bytes = frame->head_bytes};
    memcpy(words.head, frame->head, sizeof words.head);
    atomic_signal_fence(memory_order_seq_cst); /* what is checked is what is used */
    switch (words.kind) {
    case SHM_FRAME_SEND:
        return take_announcement(link, from, &words, frame->data);
    case SHM_FRAME_DATA:
        take_data(link, from, &words, frame->data);
        return true;
    case SHM_FRAME_WANT:
    case SHM_FRAME_DONE:
        take_reply(link, from, &words);
        return true;
    case SHM_FRAME_CANCEL:
        take_cancel(link, from, words.id);
        return true;
    default:
        return true;
    }
}

static void take_frames(shm_link *link, uint32_t from)
{
    const shm_frame *frame;
    for (int i = 0; i < 2 * SHM_FRAMES && (frame = shm_channel_next(link, from)) != NULL; i++) {
        if (!take_frame(link, from, frame)) {
            shm_channel_keep_at(link, link->rank, from); /* again, a tenth of a second later */
            return;
        }
        shm_channel_took(link, from);
    }
    if (shm_channel_next(link, from)) {
        shm_channel_keep_at(link, link->rank, from);
        shm_ring(link, link->rank);
    }
}

/* --- what is to be sent ---------------------------------------------------------------------- */

static void send_frame(shm_link *link, uint32_t to, shm_frame *frame, frame_words words,
                       const void *data)
{
    frame->kind = words.kind;
    frame->attempt = words.attempt;
    frame->id = words.id;
    frame->tag = words.tag;
    frame->size = words.size;
    frame->offset = words.offset;
    frame->bytes = words.bytes;
    frame->head_bytes = words.head_bytes;
    memcpy(frame->head, words.head, words.head_bytes);
    if (data)
        memcpy(frame->data, data, words.bytes);
    shm_channel_send(link, to);
}

static void send_announcement(shm_link *link, shm_parcel *parcel, shm_frame *frame)
{
    const mls_transport_message *message = parcel->message;
    frame_words words = {.kind = SHM_FRAME_SEND,
                         .id = parcel->id,
                         .tag = message->tag,
                         .size = message->size_bytes,
                         .head_bytes = (uint32_t) message->head_bytes};
    if (message->size_bytes <= SHM_INLINE_BYTES)
        words.bytes = (uint32_t) message->size_bytes;
    memcpy(words.head, message->head, message->head_bytes);
    send_frame(link, parcel->peer, frame, words, message->data);
    parcel->state = PARCEL_TOLD;
}

static void send_chunk(shm_link *link, shm_parcel *parcel, shm_frame *frame)
{
    const mls_transport_message *message = parcel->message;
    const size_t left = message->size_bytes - (size_t) parcel->offset;
    const frame_words words = {
        .kind = SHM_FRAME_DATA,
        .attempt = parcel->attempt,
        .id = parcel->id,
        .offset = parcel->offset,
        .bytes = left < SHM_CHUNK_BYTES ? (uint32_t) left : SHM_CHUNK_BYTES,
    };
    send_frame(link, parcel->peer, frame, words,
               (const unsigned char *) message->data + parcel->offset);
    parcel->offset += words.bytes;
    if (parcel->offset == message->size_bytes)
        parcel->state = PARCEL_TOLD;
}

/* What fails for want of pages is tried again: a call that waits for it has a deadline. */
static shm_frame *place_for(shm_link *link, uint32_t to)
{
    shm_frame *frame;
    return shm_channel_place(link, to, &frame) ? NULL : frame;
}

/* The parcel may be gone then. */
static void push_parcel(shm_link *link, shm_parcel *parcel)
{
    const bool is_gone = shm_fate_of(link, parcel->peer) != SHM_ALIVE;
    shm_frame *frame;
    if (!parcel->message) {
        frame = is_gone ? NULL : place_for(link, parcel->peer);
        if (frame)
            send_frame(link, parcel->peer, frame,
                       (frame_words){.kind = SHM_FRAME_CANCEL, .id = parcel->id}, NULL);
        if (frame || is_gone)
            shm_parcel_remove(link, parcel);
        return;
    }
    if (parcel->kind != MLS_MESSAGE_SEND || is_gone)
        return;
    while (parcel->state != PARCEL_TOLD && (frame = place_for(link, parcel->peer)) != NULL) {
        if (parcel->state == PARCEL_NEW)
            send_announcement(link, parcel, frame);
        else
            send_chunk(link, parcel, frame);
    }
}

/* The arrival may be gone then. */
static void push_reply(shm_link *link, shm_arrival *arrival)
{
    const bool is_gone = shm_fate_of(link, arrival->from) != SHM_ALIVE;
    const bool is_done = arrival->reply == SHM_FRAME_DONE;
    if (is_gone && !arrival->parcel)
        shm_arrival_remove(link, arrival);
    if (is_gone || !arrival->reply)
        return;
    shm_frame *frame = place_for(link, arrival->from);
    if (!frame)
        return;
    frame_words words = {.kind = arrival->reply, .id = arrival->id, .attempt = arrival->attempt};
    if (is_done) {
        words.size = arrival->verdict != MLS_OK;
        words.head_bytes = arrival->head_bytes;
        memcpy(words.head, arrival->head, arrival->head_bytes);
    }
    send_frame(link, arrival->from, frame, words, NULL);
    arrival->reply = 0;
    if (is_done)
        shm_arrival_remove(link, arrival);
}

void shm_frames_move(shm_link *link)
{
    shm_channel_each(link, take_frames);
    for (shm_parcel *parcel = link->mail.parcels, *next; parcel; parcel = next) {
        next = parcel->next;
        push_parcel(link, parcel);
    }
    for (shm_arrival *arrival = link->mail.arrivals, *next; arrival; arrival = next) {
        next = arrival->next;
        push_reply(link, arrival);
    }
}

bool shm_frames_are_left(const shm_link *link)
{
    if (link->mail.parcels)
        return true;
    const shm_arrival *arrival = link->mail.arrivals;
    while (arrival && !arrival->reply)
        arrival = arrival->next;
    return arrival != NULL;
}
