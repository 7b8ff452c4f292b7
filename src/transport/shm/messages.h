/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of a link, between messages.c, which posts them, and frames.c, which moves them. */
#ifndef MLS_TRANSPORT_SHM_MESSAGES_H
#define MLS_TRANSPORT_SHM_MESSAGES_H

#include "transport/shm/shm.h"

/* A message of so few bytes goes with its announcement. */
#define SHM_INLINE_BYTES 2048

/* What a send is at; a receive is matched with an arrival or not. */
enum { PARCEL_NEW, PARCEL_TOLD, PARCEL_SENDING };
/* mls_transport_message.phase */
enum { MESSAGE_POSTED, MESSAGE_ENDED };

struct shm_parcel {
    shm_parcel *next;
    mls_transport_message *message; /* NULL: taken back, which the receiver is to be told */
    uint32_t kind, peer;
    uint64_t id;
    uint32_t state, attempt;
    uint64_t offset;      /* bytes sent */
    shm_arrival *arrival; /* that a receive is matched with */
};

struct shm_arrival {
    shm_arrival *next;
    shm_parcel *parcel; /* that it is matched with */
    uint32_t from;
    uint32_t reply; /* SHM_FRAME_WANT or _DONE, to be sent; 0: none */
    uint64_t id, tag, size, got;
    uint32_t attempt;
    int32_t verdict;
    uint32_t head_bytes;
    bool is_whole;
    unsigned char head[MLS_TRANSPORT_HEAD_MAX]; /* with a verdict: the receiver's */
    unsigned char data[];
};

/* All under the mutex. */

/* Takes what has come, and sends what can be sent. */
void shm_frames_move(shm_link *link);
/* Matches a receive that is new, or an arrival. */
void shm_match_parcel(shm_link *link, shm_parcel *parcel);
void shm_match_arrival(shm_link *link, shm_arrival *arrival);
/* Ends a message that is posted; the parcel is gone then. */
void shm_parcel_end(shm_link *link, shm_parcel *parcel, mls_status status);
void shm_parcel_remove(shm_link *link, shm_parcel *parcel);
void shm_arrival_remove(shm_link *link, shm_arrival *arrival);
/* Whether something is left to be sent, or waited for. */
bool shm_frames_are_left(const shm_link *link);

#endif
