/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds: each rank sends its record to all others. Two places a rank are enough, as of every
 * transport: a record of the round after next cannot come before this rank has given its own of
 * the next one.
 */
#include "transport/mpi/link.h"

#include <stdio.h>
#include <string.h>

static unsigned char *place_of(const wire_link *link, uint32_t rank, uint64_t round)
{
    return link->records + ((size_t) rank * 2 + round % 2) * WIRE_RECORD_BYTES;
}

void wire_take_record_locked(wire_link *link, const wire_mail *mail)
{
    const wire_frame *frame = &mail->frame;
    wire_peer *peer = &link->peers[frame->from];
    if (frame->from == link->rank || frame->size_bytes > WIRE_RECORD_BYTES ||
        frame->a != peer->rounds + 1 || frame->a > link->rounds + 1)
        return;
    memcpy(place_of(link, frame->from, frame->a), mail->data, frame->size_bytes);
    peer->sizes[frame->a % 2] = frame->size_bytes;
    peer->rounds = frame->a;
}

static void give_locked(wire_link *link, const void *record, size_t size_bytes)
{
    wire_peer *own = &link->peers[link->rank];
    own->rounds = ++link->rounds;
    memcpy(place_of(link, link->rank, own->rounds), record, size_bytes);
    own->sizes[own->rounds % 2] = size_bytes;
    wire_tell_all_locked(link,
                         (wire_frame){.kind = WIRE_FRAME_ROUND,
                                      .a = link->rounds,
                                      .size_bytes = (uint32_t) size_bytes},
                         record);
}

/*
 * MLS_ETIMEDOUT: nothing is known yet. An abort may overtake records of other ranks; what they gave
 * before it counts, and that is the rounds which whoever aborted has ended.
 */
static mls_status look_locked(const wire_link *link)
{
    bool is_complete = true, is_lost = false;
    for (uint32_t i = 0; i < link->size; i++) {
        if (link->peers[i].rounds >= link->rounds)
            continue;
        is_complete = false;
        is_lost = is_lost || link->peers[i].has_left;
    }
    if (is_complete)
        return MLS_OK;
    if (link->has_left || (link->is_aborted && link->rounds > link->abort_rounds))
        return MLS_ECANCELLED;
    const mls_status status = wire_failure_locked(link->host);
    if (status)
        return status;
    return is_lost ? MLS_EPEER : MLS_ETIMEDOUT;
}

static mls_status wait_locked(wire_link *link, uint64_t until_ns)
{
    wire_patience patience = wire_patience_begin(link->spin_ns);
    bool in_time = true;
    for (;;) {
        wire_progress_locked();
        const mls_status status = look_locked(link);
        if (status != MLS_ETIMEDOUT)
            return status;
        if (!in_time)
            return MLS_EDEADLINE;
        pthread_mutex_unlock(&wire_the_world.mutex);
        in_time = wire_rest(&patience, until_ns);
        pthread_mutex_lock(&wire_the_world.mutex);
    }
}

mls_status wire_round(void *self, const void *record, size_t size_bytes, uint64_t until_ns,
                      mls_transport_record *ret_records)
{
    wire_link *link = self;
    if (size_bytes > WIRE_RECORD_BYTES)
        return link->host->error(MLS_EINVAL, "a record of %zu bytes", size_bytes);
    pthread_mutex_lock(&wire_the_world.mutex);
    wire_progress_locked(); /* an abort that has come counts */
    mls_status status = link->is_aborted ? MLS_ECANCELLED : MLS_OK;
    if (!status) {
        give_locked(link, record, size_bytes);
        status = wait_locked(link, until_ns);
    }
    if (!status)
        link->ended_rounds = link->rounds;
    for (uint32_t i = 0; !status && i < link->size; i++)
        ret_records[i] = (mls_transport_record){place_of(link, i, link->rounds),
                                                link->peers[i].sizes[link->rounds % 2]};
    pthread_mutex_unlock(&wire_the_world.mutex);
    return status;
}

/* --- aborts ---------------------------------------------------------------------------------- */

static void set_aborted_locked(wire_link *link, uint32_t rank, uint64_t rounds, mls_status status,
                               const char *reason)
{
    if (link->is_aborted)
        return;
    link->is_aborted = true;
    link->abort_rounds = rounds;
    link->abort_rank = rank;
    link->abort_status = status;
    snprintf(link->abort_reason, sizeof link->abort_reason, "%s", reason);
}

void wire_take_abort_locked(wire_link *link, const wire_mail *mail)
{
    char reason[WIRE_REASON_BYTES] = "";
    const size_t size = mail->frame.size_bytes;
    memcpy(reason, mail->data, size < sizeof reason ? size : sizeof reason - 1);
    link->peers[mail->frame.from].has_aborted = true;
    if (mail->frame.status < 0 && mail->frame.b < link->size)
        set_aborted_locked(link, (uint32_t) mail->frame.b, mail->frame.a,
                           (mls_status) mail->frame.status, reason);
}

void wire_tell_abort_locked(wire_link *link)
{
    wire_tell_all_locked(link,
                         (wire_frame){.kind = WIRE_FRAME_ABORT,
                                      .a = link->abort_rounds,
                                      .b = link->abort_rank,
                                      .size_bytes = (uint32_t) strlen(link->abort_reason),
                                      .status = (int32_t) link->abort_status},
                         link->abort_reason);
}

void wire_abort(void *self, mls_status status, const char *reason)
{
    wire_link *link = self;
    pthread_mutex_lock(&wire_the_world.mutex);
    if (link->is_connected && !link->is_aborted) {
        set_aborted_locked(link, link->rank, link->ended_rounds, status, reason);
        wire_tell_abort_locked(link);
        wire_progress_locked();
    }
    pthread_mutex_unlock(&wire_the_world.mutex);
}

mls_status wire_aborted(void *self, uint32_t *ret_rank, char *ret_reason, size_t capacity)
{
    const wire_link *link = self;
    mls_status status = MLS_ENOTFOUND;
    pthread_mutex_lock(&wire_the_world.mutex);
    if (link->is_aborted) {
        *ret_rank = link->abort_rank;
        snprintf(ret_reason, capacity, "%s", link->abort_reason);
        status = link->abort_status;
    }
    pthread_mutex_unlock(&wire_the_world.mutex);
    return status;
}

/* Of a process that died without a word nothing is known here: the launcher ends the others. */
void wire_peer_state(void *self, uint32_t rank, mls_transport_peer *ret_peer)
{
    const wire_link *link = self;
    pthread_mutex_lock(&wire_the_world.mutex);
    const wire_peer *peer = &link->peers[rank];
    ret_peer->state = peer->has_left ? MLS_PEER_LEFT : MLS_PEER_ALIVE;
    ret_peer->rounds = peer->rounds;
    pthread_mutex_unlock(&wire_the_world.mutex);
}
