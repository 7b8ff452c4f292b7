/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages: the head goes first. Where it meets a receive the heads are compared, and the answer
 * says so; then the data follows in pieces, two on their way at a time, each a copy: so the
 * caller's memory is its own as soon as a message ends, however it does. Pieces for a receive that
 * has ended are dropped.
 */
#include "transport/mpi/link.h"
#include "transport/shared/shared.h"

#include <string.h>

#define ON_ITS_WAY UINT32_C(4) /* pieces */

/* Phases of a message, as its caller's threads see them. */
#define LIVE  0
#define ENDED 1

/* What is done about a message. */
enum {
    WAITING, /* for the other one to be posted */
    MOVING,
    OVER,
};

struct wire_parcel {
    wire_parcel *next;
    mls_transport_message *message;
    int stage;
    mls_status status;   /* once it is over */
    uint64_t id;         /* here */
    uint64_t other_id;   /* there, once they have met */
    size_t moved;        /* bytes sent, or received */
    uint32_t on_its_way; /* pieces that MPI still has */
};

struct wire_offer {
    wire_offer *next;
    uint32_t from;
    uint64_t id, tag, size_bytes;
    size_t head_bytes;
    unsigned char head[MLS_TRANSPORT_HEAD_MAX];
};

static bool is_send(const wire_parcel *parcel)
{
    return parcel->message->kind == MLS_MESSAGE_SEND;
}

static void end(wire_parcel *parcel, mls_status status)
{
    parcel->stage = OVER;
    parcel->status = status;
}

/* --- where a head meets a receive ------------------------------------------------------------ */

static void answer_locked(wire_link *link, wire_parcel *parcel, const wire_offer *offer)
{
    mls_transport_message *message = parcel->message;
    const bool is_same = offer->size_bytes == message->size_bytes &&
                         offer->head_bytes == message->head_bytes &&
                         memcmp(offer->head, message->head, message->head_bytes) == 0;
    mls__message_show_head(message, offer->head, offer->head_bytes);
    parcel->other_id = offer->id;
    parcel->moved = 0;
    parcel->stage = MOVING;
    if (!is_same)
        end(parcel, MLS_EMISMATCH);
    else if (!message->size_bytes)
        end(parcel, MLS_OK);
    wire_tell_locked(link, message->peer,
                     (wire_frame){.kind = WIRE_FRAME_ANSWER,
                                  .a = offer->id,
                                  .b = parcel->id,
                                  .size_bytes = (uint32_t) message->head_bytes,
                                  .status = is_same ? MLS_OK : MLS_EMISMATCH},
                     message->head, NULL);
}

static void drop_offer_locked(wire_link *link, wire_offer **at)
{
    wire_offer *offer = *at;
    *at = offer->next;
    if (!*at)
        link->offers_end = at;
    link->host->free(link->host->context, offer);
}

/* The first head for a receive that waits. */
static void meet_offer_locked(wire_link *link, wire_parcel *parcel)
{
    for (wire_offer **at = &link->offers; *at; at = &(*at)->next)
        if ((*at)->from == parcel->message->peer && (*at)->tag == parcel->message->tag) {
            answer_locked(link, parcel, *at);
            drop_offer_locked(link, at);
            return;
        }
}

static void take_head_locked(wire_link *link, const wire_mail *mail)
{
    const wire_frame *frame = &mail->frame;
    if (frame->size_bytes > MLS_TRANSPORT_HEAD_MAX)
        return;
    wire_offer *offer = link->host->alloc(link->host->context, sizeof *offer);
    if (!offer) {
        wire_failed_locked(MPI_ERR_NO_MEM, "the head of a message");
        return;
    }
    *offer = (wire_offer){.from = frame->from,
                          .id = frame->a,
                          .tag = frame->b,
                          .size_bytes = frame->c,
                          .head_bytes = frame->size_bytes};
    memcpy(offer->head, mail->data, frame->size_bytes);
    *link->offers_end = offer;
    link->offers_end = &offer->next;
    for (wire_parcel *parcel = link->parcels; parcel; parcel = parcel->next)
        if (parcel->stage == WAITING && !is_send(parcel) && parcel->message->peer == frame->from &&
            parcel->message->tag == frame->b) {
            meet_offer_locked(link, parcel);
            return;
        }
}

/* --- what comes afterwards ------------------------------------------------------------------- */

/* The parcel of that number here, with that rank, if it is at that stage. */
static wire_parcel *find_locked(const wire_link *link, uint32_t kind, uint32_t peer, uint64_t id,
                                int stage)
{
    for (wire_parcel *parcel = link->parcels; parcel; parcel = parcel->next)
        if (parcel->id == id && parcel->message->kind == kind && parcel->message->peer == peer)
            return parcel->stage == stage ? parcel : NULL;
    return NULL;
}

static void take_answer_locked(wire_link *link, const wire_mail *mail)
{
    const wire_frame *frame = &mail->frame;
    wire_parcel *parcel = find_locked(link, MLS_MESSAGE_SEND, frame->from, frame->a, WAITING);
    if (!parcel || frame->size_bytes > MLS_TRANSPORT_HEAD_MAX)
        return;
    mls__message_show_head(parcel->message, mail->data, frame->size_bytes);
    parcel->other_id = frame->b;
    parcel->stage = MOVING;
    if (frame->status)
        end(parcel, MLS_EMISMATCH);
    else if (!parcel->message->size_bytes)
        end(parcel, MLS_OK);
}

static void take_data_locked(wire_link *link, const wire_mail *mail)
{
    const wire_frame *frame = &mail->frame;
    wire_parcel *parcel = find_locked(link, MLS_MESSAGE_RECEIVE, frame->from, frame->a, MOVING);
    if (!parcel || frame->b != parcel->moved ||
        frame->size_bytes > parcel->message->size_bytes - parcel->moved)
        return;
    memcpy((unsigned char *) parcel->message->data + parcel->moved, mail->data, frame->size_bytes);
    parcel->moved += frame->size_bytes;
    if (parcel->moved < parcel->message->size_bytes)
        return;
    end(parcel, MLS_OK);
    wire_tell_locked(link, frame->from,
                     (wire_frame){.kind = WIRE_FRAME_DONE, .a = parcel->other_id, .status = MLS_OK},
                     NULL, NULL);
}

/* A receive whose sender took its message back waits for the next one. */
static void take_retract_locked(wire_link *link, const wire_mail *mail)
{
    const wire_frame *frame = &mail->frame;
    for (wire_offer **at = &link->offers; *at; at = &(*at)->next)
        if ((*at)->from == frame->from && (*at)->id == frame->a) {
            drop_offer_locked(link, at);
            return;
        }
    for (wire_parcel *parcel = link->parcels; parcel; parcel = parcel->next)
        if (parcel->stage == MOVING && !is_send(parcel) && parcel->message->peer == frame->from &&
            parcel->other_id == frame->a) {
            parcel->stage = WAITING;
            meet_offer_locked(link, parcel);
            return;
        }
}

void wire_take_message_locked(wire_link *link, const wire_mail *mail)
{
    const wire_frame *frame = &mail->frame;
    wire_parcel *parcel;
    switch (frame->kind) {
    case WIRE_FRAME_HEAD:
        take_head_locked(link, mail);
        break;
    case WIRE_FRAME_ANSWER:
        take_answer_locked(link, mail);
        break;
    case WIRE_FRAME_DATA:
        take_data_locked(link, mail);
        break;
    case WIRE_FRAME_DONE:
        parcel = find_locked(link, MLS_MESSAGE_SEND, frame->from, frame->a, MOVING);
        if (parcel)
            end(parcel, frame->status ? MLS_EPEER : MLS_OK);
        break;
    case WIRE_FRAME_RETRACT:
        take_retract_locked(link, mail);
        break;
    default:
        break;
    }
}

static void send_piece_locked(wire_link *link, wire_parcel *parcel)
{
    const size_t left = parcel->message->size_bytes - parcel->moved;
    const size_t size = left < WIRE_CHUNK_BYTES ? left : WIRE_CHUNK_BYTES;
    wire_tell_locked(link, parcel->message->peer,
                     (wire_frame){.kind = WIRE_FRAME_DATA,
                                  .a = parcel->other_id,
                                  .b = parcel->moved,
                                  .size_bytes = (uint32_t) size},
                     (const unsigned char *) parcel->message->data + parcel->moved,
                     &parcel->on_its_way);
    parcel->moved += size;
}

void wire_pump_locked(wire_link *link)
{
    for (wire_parcel *parcel = link->parcels; parcel; parcel = parcel->next)
        while (parcel->stage == MOVING && is_send(parcel) && parcel->on_its_way < ON_ITS_WAY &&
               parcel->moved < parcel->message->size_bytes && !link->is_aborted &&
               !link->peers[parcel->message->peer].has_left)
            send_piece_locked(link, parcel);
}

/* --- posting and ending ---------------------------------------------------------------------- */

mls_status wire_post(void *self, mls_transport_message *message)
{
    wire_link *link = self;
    wire_parcel *parcel = link->host->alloc(link->host->context, sizeof *parcel);
    if (!parcel)
        return link->host->error(MLS_ENOMEM, "out of memory: the allocator refused %zu bytes",
                                 sizeof *parcel);
    pthread_mutex_lock(&wire_the_world.mutex);
    *parcel = (wire_parcel){.message = message, .id = ++link->next_message};
    message->owner = parcel;
    message->status = MLS_OK;
    message->phase = LIVE;
    *link->parcels_end = parcel;
    link->parcels_end = &parcel->next;
    if (is_send(parcel) && !link->is_aborted)
        wire_tell_locked(link, message->peer,
                         (wire_frame){.kind = WIRE_FRAME_HEAD,
                                      .a = parcel->id,
                                      .b = message->tag,
                                      .c = message->size_bytes,
                                      .size_bytes = (uint32_t) message->head_bytes},
                         message->head, NULL);
    else if (!is_send(parcel))
        meet_offer_locked(link, parcel);
    wire_progress_locked();
    pthread_mutex_unlock(&wire_the_world.mutex);
    return MLS_OK;
}

/* The driver has no more use of the message, nor MPI of the parcel. */
static void detach_locked(wire_link *link, wire_parcel *parcel, mls_status status)
{
    wire_parcel **at = &link->parcels;
    while (*at != parcel)
        at = &(*at)->next;
    *at = parcel->next;
    if (!*at)
        link->parcels_end = at;
    parcel->message->owner = NULL;
    parcel->message->status = (int32_t) status;
    parcel->message->phase = ENDED;
    wire_forget_locked(&parcel->on_its_way);
    link->host->free(link->host->context, parcel);
}

/* Tells the other rank, which may have met it, that nothing comes of it; an abort tells it all. */
static void withdraw_locked(wire_link *link, wire_parcel *parcel, mls_status status)
{
    if (link->is_aborted || link->has_left)
        parcel->stage = OVER;
    if (parcel->stage != OVER && is_send(parcel))
        wire_tell_locked(link, parcel->message->peer,
                         (wire_frame){.kind = WIRE_FRAME_RETRACT, .a = parcel->id}, NULL, NULL);
    else if (parcel->stage == MOVING)
        wire_tell_locked(
            link, parcel->message->peer,
            (wire_frame){.kind = WIRE_FRAME_DONE, .a = parcel->other_id, .status = MLS_EPEER}, NULL,
            NULL);
    detach_locked(link, parcel, status);
}

/* Of a collective: who gave up its message has aborted the link, and said so behind that. */
static bool awaits_abort(const wire_parcel *parcel)
{
    return parcel->status == MLS_EPEER && parcel->message->tag >> 63;
}

/* MLS_ETIMEDOUT: it has not ended. */
static mls_status look_locked(const wire_link *link, const mls_transport_message *message)
{
    if (message->phase == ENDED)
        return (mls_status) message->status;
    const wire_parcel *parcel = message->owner;
    if (parcel->stage == OVER && !awaits_abort(parcel))
        return parcel->status;
    if (link->is_aborted || link->has_left)
        return MLS_ECANCELLED;
    if (link->peers[message->peer].has_left)
        return MLS_EPEER;
    const mls_status status = wire_failure_locked(link->host);
    return status ? status : MLS_ETIMEDOUT;
}

mls_status wire_wait(void *self, mls_transport_message *message, uint64_t until_ns)
{
    wire_link *link = self;
    wire_patience patience = wire_patience_begin(until_ns ? link->spin_ns : 0);
    bool in_time = until_ns != 0;
    mls_status status;
    pthread_mutex_lock(&wire_the_world.mutex);
    for (;;) {
        wire_progress_locked();
        status = look_locked(link, message);
        if (status != MLS_ETIMEDOUT || !in_time)
            break;
        pthread_mutex_unlock(&wire_the_world.mutex);
        in_time = wire_rest(&patience, until_ns);
        pthread_mutex_lock(&wire_the_world.mutex);
    }
    if (status != MLS_ETIMEDOUT && message->phase == LIVE)
        withdraw_locked(link, message->owner, status);
    pthread_mutex_unlock(&wire_the_world.mutex);
    return status;
}

mls_status wire_retract(void *self, mls_transport_message *message)
{
    wire_link *link = self;
    pthread_mutex_lock(&wire_the_world.mutex);
    wire_progress_locked();
    if (message->phase == LIVE) {
        wire_parcel *parcel = message->owner;
        withdraw_locked(link, parcel, parcel->stage == OVER ? parcel->status : MLS_ECANCELLED);
    }
    const mls_status status = (mls_status) message->status;
    pthread_mutex_unlock(&wire_the_world.mutex);
    return status;
}

void wire_end_messages_locked(wire_link *link)
{
    while (link->parcels)
        detach_locked(link, link->parcels,
                      link->parcels->stage == OVER ? link->parcels->status : MLS_ECANCELLED);
    while (link->offers)
        drop_offer_locked(link, &link->offers);
}
