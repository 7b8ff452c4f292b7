/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages wait in one of the room's queues until the other one is posted; whose post comes second
 * copies, without the lock. The other sleeps meanwhile, so its memory stays.
 */
#include "transport/inproc/inproc.h"

#include <string.h>

#define WAITING 0 /* in a queue */
#define MOVING  1 /* met, and being copied */
#define ENDED   2 /* its status says how */

static bool do_meet(const mls_transport_message *a, const mls_transport_message *b)
{
    const inproc_link *owner_a = a->owner, *owner_b = b->owner;
    return a->kind != b->kind && a->tag == b->tag && a->peer == owner_b->rank &&
           b->peer == owner_a->rank;
}

/* By what both sides of a message have in common: the tag and the two ranks. */
static inproc_queue *queue_of(inproc_room *room, const mls_transport_message *message)
{
    const inproc_link *owner = message->owner;
    const uint64_t ranks =
        (uint64_t) owner->rank * owner->rank + (uint64_t) message->peer * message->peer;
    const uint64_t key = (message->tag ^ ranks << 32 ^ ranks) * UINT64_C(0x9e3779b97f4a7c15);
    return &room->posted[(key >> 32) % INPROC_QUEUES];
}

static void unlink_at(inproc_queue *queue, mls_transport_message **at)
{
    mls_transport_message *message = *at;
    *at = message->next;
    if (!*at)
        queue->end = at;
    message->next = NULL;
}

static mls_transport_message *take_other(inproc_room *room, const mls_transport_message *message)
{
    inproc_queue *queue = queue_of(room, message);
    for (mls_transport_message **at = &queue->first; *at; at = &(*at)->next) {
        mls_transport_message *other = *at;
        if (!do_meet(message, other))
            continue;
        unlink_at(queue, at);
        return other;
    }
    return NULL;
}

static void enqueue(inproc_room *room, mls_transport_message *message)
{
    inproc_queue *queue = queue_of(room, message);
    *queue->end = message;
    queue->end = &message->next;
}

static mls_status move(mls_transport_message *a, mls_transport_message *b)
{
    mls__message_show_head(a, b->head, b->head_bytes);
    mls__message_show_head(b, a->head, a->head_bytes);
    if (a->size_bytes != b->size_bytes || a->head_bytes != b->head_bytes ||
        memcmp(a->head, b->head, a->head_bytes) != 0)
        return MLS_EMISMATCH;
    const mls_transport_message *from = a->kind == MLS_MESSAGE_SEND ? a : b;
    const mls_transport_message *to = from == a ? b : a;
    if (from->size_bytes)
        memcpy(to->data, from->data, from->size_bytes);
    return MLS_OK;
}

/* While it is positive the rank does not leave. */
static void count_moving(inproc_room *room, const mls_transport_message *message, uint32_t change)
{
    const inproc_link *owner = message->owner;
    room->seats[owner->rank].moving += change;
}

mls_status inproc_post(void *self, mls_transport_message *message)
{
    inproc_link *link = self;
    inproc_room *room = link->room;
    message->owner = link;
    message->next = NULL;
    message->status = MLS_OK;
    message->phase = WAITING;
    pthread_mutex_lock(&room->mutex);
    mls_transport_message *other =
        atomic_load(&room->is_aborted) ? NULL : take_other(room, message);
    if (other) {
        message->phase = other->phase = MOVING;
        count_moving(room, message, 1);
        count_moving(room, other, 1);
    } else {
        enqueue(room, message);
    }
    pthread_mutex_unlock(&room->mutex);
    if (!other)
        return MLS_OK;

    const mls_status status = move(message, other);
    pthread_mutex_lock(&room->mutex);
    count_moving(room, message, UINT32_MAX);
    count_moving(room, other, UINT32_MAX);
    message->status = other->status = status;
    message->phase = other->phase = ENDED;
    inproc_wake_locked(room);
    pthread_mutex_unlock(&room->mutex);
    return MLS_OK;
}

/* MLS_ETIMEDOUT: it has not ended. A message that has met another one always ends by that. */
static mls_status look(const inproc_link *link, const mls_transport_message *message)
{
    const inproc_room *room = link->room;
    if (message->phase == ENDED)
        return (mls_status) message->status;
    if (message->phase == MOVING)
        return MLS_ETIMEDOUT;
    if (atomic_load(&room->is_aborted) || atomic_load(&room->seats[link->rank].has_left))
        return MLS_ECANCELLED;
    return atomic_load(&room->seats[message->peer].has_left) ? MLS_EPEER : MLS_ETIMEDOUT;
}

static void withdraw(inproc_room *room, mls_transport_message *message, mls_status status)
{
    inproc_queue *queue = queue_of(room, message);
    mls_transport_message **at = &queue->first;
    while (*at != message)
        at = &(*at)->next;
    unlink_at(queue, at);
    message->status = status;
    message->phase = ENDED;
}

mls_status inproc_wait(void *self, mls_transport_message *message, uint64_t until_ns)
{
    inproc_link *link = self;
    inproc_room *room = link->room;
    bool in_time = until_ns != 0;
    mls_status status;
    pthread_mutex_lock(&room->mutex);
    atomic_fetch_add(&room->sleepers, 1);
    while ((status = look(link, message)) == MLS_ETIMEDOUT && in_time)
        in_time = mls__cond_wait_until(&room->changed, &room->mutex, until_ns);
    atomic_fetch_sub(&room->sleepers, 1);
    if (status != MLS_ETIMEDOUT && message->phase == WAITING)
        withdraw(room, message, status);
    pthread_mutex_unlock(&room->mutex);
    return status;
}

mls_status inproc_retract(void *self, mls_transport_message *message)
{
    inproc_link *link = self;
    inproc_room *room = link->room;
    pthread_mutex_lock(&room->mutex);
    atomic_fetch_add(&room->sleepers, 1);
    while (message->phase == MOVING) /* for the time of a copy */
        mls__cond_wait_until(&room->changed, &room->mutex, MLS__FOREVER);
    atomic_fetch_sub(&room->sleepers, 1);
    if (message->phase == WAITING)
        withdraw(room, message, MLS_ECANCELLED);
    inproc_wake_locked(room); /* who waits for it */
    pthread_mutex_unlock(&room->mutex);
    return (mls_status) message->status;
}

static void end_queue(inproc_queue *queue, const inproc_link *link)
{
    mls_transport_message **at = &queue->first;
    while (*at) {
        mls_transport_message *message = *at;
        if (message->owner != link) {
            at = &message->next;
            continue;
        }
        unlink_at(queue, at);
        message->status = MLS_ECANCELLED;
        message->phase = ENDED;
    }
}

void inproc_end_messages(const inproc_link *link)
{
    inproc_room *room = link->room;
    for (size_t i = 0; i < INPROC_QUEUES; i++)
        end_queue(&room->posted[i], link);
    atomic_fetch_add(&room->sleepers, 1);
    while (room->seats[link->rank].moving) /* for the time of a copy */
        mls__cond_wait_until(&room->changed, &room->mutex, MLS__FOREVER);
    atomic_fetch_sub(&room->sleepers, 1);
}
