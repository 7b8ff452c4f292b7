/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `inproc:` transport: ranks are threads of one process.
 *
 * Ranks meet in a room, which lives as long as one of its links. What a rank gives to a
 * round is copied to its seat, where the others read it: two records a seat, used in turn. A
 * rank that waits looks at the seats for a while and then sleeps on the room's condition;
 * who gives a record wakes it only if somebody sleeps.
 *
 * Locks: the hall's mutex guards which rooms are to be found, a room's mutex its seats (but
 * for what is atomic), messages and who sleeps. The hall's is taken first.
 */
#ifndef MLS_TRANSPORT_INPROC_INPROC_H
#define MLS_TRANSPORT_INPROC_INPROC_H

#include "base/alloc.h"
#include "base/thread.h"
#include "transport/shared/shared.h"

#include <mlscale/ext/transport.h>

#include <stdatomic.h>
#include <stdbool.h>

#define INPROC_RECORD_BYTES 4096
#define INPROC_KEY_BYTES    512

typedef struct inproc_room inproc_room;
typedef struct inproc_link inproc_link;

/* The transport of a context: the rooms that wait for ranks, by key. */
typedef struct inproc_hall {
    const mls_plugin_host *host;
    pthread_mutex_t mutex;
    inproc_room *open_rooms;
    uint64_t next_offer;
} inproc_hall;

typedef struct inproc_seat {
    _Alignas(64) _Atomic uint64_t rounds; /* given so far */
    atomic_bool has_left;
    atomic_bool is_reading; /* memory of others */
    bool is_taken;
    uint64_t raised;   /* its hand, so often */
    uint64_t survived; /* the last agreement that it is part of */
    uint32_t moving;   /* messages of its that are being copied */
    size_t sizes[2];
    _Alignas(64) unsigned char records[2][INPROC_RECORD_BYTES];
} inproc_seat;

/* Messages that have not met another, in the order of their posts. */
#define INPROC_QUEUES 256

typedef struct inproc_queue {
    mls_transport_message *first, **end;
} inproc_queue;

struct inproc_room {
    inproc_hall *hall;
    inproc_room *next; /* in the hall's list, while ranks are missing */
    char key[INPROC_KEY_BYTES];
    size_t key_size;
    unsigned char token[64];
    size_t token_size;
    uint64_t id; /* of no other room of the hall */
    uint32_t size, taken, links;

    pthread_mutex_t mutex;
    mls__cond changed;
    atomic_uint sleepers;   /* raised under the mutex */
    atomic_uint left_count; /* ranks that have left */
    atomic_bool is_aborted;
    uint32_t abort_rank;
    mls_status abort_status;
    char abort_reason[1024];

    inproc_queue posted[INPROC_QUEUES]; /* those that can meet are in the same one */
    uint64_t decided;                   /* agreements on who survives */
    inproc_seat seats[];
};

struct inproc_link {
    inproc_hall *hall;
    inproc_room *room; /* NULL: not connected */
    uint32_t rank;
    uint64_t spin_ns;
    uint64_t offer; /* its own number */
    char config[];
};

/* Wakes whoever sleeps; the mutex is held, or not. */
void inproc_wake_locked(inproc_room *room);
void inproc_wake(inproc_room *room);

/* room.c */
mls_status inproc_link_create(inproc_hall *hall, const char *config, inproc_link **ret_link);
mls_status inproc_connect(void *link, const mls_transport_join *join);
mls_status inproc_split(void *link, const mls_transport_subset *subset, void **ret_link);
void inproc_leave(void *link);
void inproc_close_link(void *link);
mls_status inproc_address(void *link, void *ret_address, size_t capacity, size_t *ret_size);

/* round.c */
mls_status inproc_round(void *link, const void *record, size_t size_bytes, uint64_t until_ns,
                        mls_transport_record *ret_records);
void inproc_abort(void *link, mls_status status, const char *reason);
mls_status inproc_aborted(void *link, uint32_t *ret_rank, char *ret_reason, size_t capacity);
mls_status inproc_read_begin(void *link);
void inproc_read_end(void *link);
void inproc_peer(void *link, uint32_t rank, mls_transport_peer *ret_peer);

/* messages.c */
mls_status inproc_post(void *link, mls_transport_message *message);
mls_status inproc_wait(void *link, mls_transport_message *message, uint64_t until_ns);
mls_status inproc_retract(void *link, mls_transport_message *message);
/* Ends those of a rank that leaves; the room's mutex is held. Its memory is its own again. */
void inproc_end_messages(const inproc_link *link);

/* survivors.c */
mls_status inproc_survivors(void *link, uint64_t until_ns, uint32_t *ret_ranks,
                            uint32_t *ret_count);

#endif
