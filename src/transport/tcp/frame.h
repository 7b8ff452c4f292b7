/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes over a connection once both sides know each other: frames, each a header of 24
 * bytes and a body. All reading of them is here, in functions of bytes alone.
 *
 * A sender announces a message (SEND) and lets its first bytes follow at once (EAGER), as long as
 * all that the receiver has not accepted yet is within TCP_CREDIT_BYTES. The receiver compares the
 * heads when it has a place for the message, asks for the rest (WANT), which comes in pieces
 * (DATA), and says when it has all (DONE). So no more than the credit ever lies with a receiver
 * that has no place for it, and nobody waits for an answer who need not.
 */
#ifndef MLS_TRANSPORT_TCP_FRAME_H
#define MLS_TRANSPORT_TCP_FRAME_H

#include "transport/tcp/address.h"

#include <mlscale/ext/transport.h>
#include <mlscale/group.h>

#include <stdbool.h>

#define TCP_RECORD_BYTES 8192
#define TCP_HEADER_BYTES 24
#define TCP_KEY_BYTES    32
#define TCP_REASON_MAX   1023
/* The most bytes of a body: of DATA, and of all others, which are kept until they are whole. */
#define TCP_PIECE_MAX (UINT32_C(1) << 20)
#define TCP_BODY_MAX  (UINT32_C(24) << 10)
/* Eager bytes of a peer that a receiver keeps; more end the connection. */
#define TCP_CREDIT_BYTES (UINT32_C(512) << 10)
/* A message takes no more of that, so that there is some for the next one. */
#define TCP_EAGER_BYTES (TCP_CREDIT_BYTES / 2)

enum {
    TCP_FRAME_JOIN = 1, /* the first of who connects: what it wants to be */
    TCP_FRAME_VERDICT,  /* the answer, where it is final: a status and words */
    TCP_FRAME_TABLE,    /* all are there: the key of the group, and the addresses of its ranks */
    TCP_FRAME_RECORD,   /* id: the round */
    TCP_FRAME_SEND,     /* id: a number of the sender's, ascending, that names the message */
    TCP_FRAME_EAGER,    /* id: of the SEND; pieces come in order */
    TCP_FRAME_WANT,     /* id: of the SEND; the receiver has a place for the rest */
    TCP_FRAME_DATA,     /* id: the number of the WANT; pieces come in order, behind those before */
    TCP_FRAME_DONE,     /* id: of the SEND; all of it is there */
    TCP_FRAME_MISMATCH, /* id: of the SEND; what the receiver has */
    TCP_FRAME_CANCEL,   /* id: of the SEND; its WANT is taken back, and may come again */
    TCP_FRAME_ABANDON,  /* id: of the SEND, which is taken back */
    TCP_FRAME_ABORT,
    TCP_FRAME_LEAVE,
    TCP_FRAME_HAND,     /* who is left? I am; id: twice how often, odd: and my time is over; a body
                           names an arbiter that is silent */
    TCP_FRAME_DECISION, /* who is left; id: the how manieth */
    TCP_FRAME_KINDS
};

/* Native byte order: every supported machine is little-endian. */
typedef struct tcp_frame {
    uint32_t kind;
    uint32_t epoch; /* of the connection: a number that both sides found */
    uint32_t size;  /* of the body */
    uint32_t reserved;
    uint64_t id;
} tcp_frame;

/* false: no frame that can be here. */
bool tcp_frame_read(const void *bytes, uint32_t epoch, tcp_frame *ret_frame);

/* Bodies. Reading gives false where the bytes are none; pointers are into the body. */

#define TCP_JOIN_MEET 1 /* rank 0, which knows all; `address` is where others find the rank */
#define TCP_JOIN_MESH 2 /* a rank of a group that has met */

typedef struct tcp_join {
    uint32_t purpose, rank, size, reserved;
    tcp_address address;
} tcp_join;
bool tcp_join_read(const void *body, size_t size, tcp_join *ret_join);

/* `ret_text` has room for TCP_REASON_MAX + 1 bytes. */
size_t tcp_verdict_write(mls_status status, const char *text, void *ret_body);
bool tcp_verdict_read(const void *body, size_t size, mls_status *ret_status, char *ret_text);

/* Addresses have `ranks` places. */
size_t tcp_table_write(const unsigned char *key, const tcp_address *addresses, uint32_t ranks,
                       void *ret_body);
bool tcp_table_read(const void *body, size_t size, uint32_t ranks, unsigned char *ret_key,
                    tcp_address *ret_addresses);

typedef struct tcp_envelope {
    uint64_t tag, size_bytes;
    uint64_t eager_bytes; /* that follow unasked */
    const void *head;
    size_t head_bytes;
} tcp_envelope;
#define TCP_ENVELOPE_MAX (24 + MLS_TRANSPORT_HEAD_MAX)
size_t tcp_envelope_write(const tcp_envelope *envelope, void *ret_body);
bool tcp_envelope_read(const void *body, size_t size, tcp_envelope *ret_envelope);

typedef struct tcp_want {
    uint64_t number; /* of the receiver's, ascending; 0 is none */
    uint64_t first;  /* the byte that is to come first: 0, or behind the eager ones */
} tcp_want;
bool tcp_want_read(const void *body, size_t size, tcp_want *ret_want);

typedef struct tcp_abort {
    uint32_t rank;
    mls_status status;
    uint64_t rounds; /* that the rank has completed: these count everywhere */
    char reason[TCP_REASON_MAX + 1];
} tcp_abort;
#define TCP_ABORT_MAX (16 + TCP_REASON_MAX)
size_t tcp_abort_write(const tcp_abort *abort, void *ret_body);
bool tcp_abort_read(const void *body, size_t size, uint32_t ranks, tcp_abort *ret_abort);

/* Ranks ascend; `ret_ranks` has `ranks` places. */
size_t tcp_ranks_write(const uint32_t *ranks, uint32_t count, void *ret_body);
bool tcp_ranks_read(const void *body, size_t size, uint32_t ranks, uint32_t *ret_ranks,
                    uint32_t *ret_count);

#endif
