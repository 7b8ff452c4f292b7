/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How two ranks find out that they have the same token, and agree on keys. Functions of bytes
 * alone.
 *
 *   who connects                         who listens
 *   HELLO: group, public key, mac   -->
 *                                   <--  REPLY: public key, mac
 *   CONFIRM: mac                    -->
 *
 * The public keys are made for this connection (X25519), the macs (BLAKE2b) keyed by the token:
 * that of HELLO alone, so that who has none gets no more than a refusal; those of REPLY and
 * CONFIRM with what the two keys agree on, so that recorded bytes are of no use again. What
 * follows is encrypted by keys of one direction each (cipher.h), or, where both say so, not. Who
 * reads the token later cannot read what was said.
 */
#ifndef MLS_TRANSPORT_TCP_HANDSHAKE_H
#define MLS_TRANSPORT_TCP_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_HELLO_BYTES   112
#define TCP_REPLY_BYTES   80
#define TCP_CONFIRM_BYTES 32

/* The token in the form that keys macs, and the name of a group as HELLO says it. */
void tcp_token_key(const void *token, size_t size, unsigned char ret_key[32]);
void tcp_group_key(const char *kind, const void *name, size_t size, unsigned char ret_key[32]);

typedef struct tcp_keypair {
    unsigned char secret[32], public[32];
} tcp_keypair;
void tcp_keypair_make(tcp_keypair *ret_pair);

/* What both sides know in the end. */
typedef struct tcp_secrets {
    unsigned char to_listener[32], to_connector[32];
    unsigned char reply[32], confirm[32]; /* the keys of macs */
    uint32_t epoch;
} tcp_secrets;

typedef struct tcp_hello {
    unsigned char group[32], public[32];
    bool encrypts;
} tcp_hello;

void tcp_hello_write(const tcp_hello *hello, const unsigned char token[32], void *ret_bytes);
/* Whether it is one; the mac is looked at when it is known whose group it is. */
bool tcp_hello_read(const void *bytes, tcp_hello *ret_hello);
bool tcp_hello_is_from(const void *bytes, const unsigned char token[32]);

/* Why a connector is refused. */
enum { TCP_REFUSED_NOT, TCP_REFUSED_TOKEN, TCP_REFUSED_ENCRYPT, TCP_REFUSALS };
void tcp_refusal_write(uint32_t why, void *ret_bytes);

/* The listener's: its answer, and the secrets. false: the other's key is none. */
bool tcp_reply_write(const void *hello, const tcp_keypair *pair, const unsigned char token[32],
                     void *ret_bytes, tcp_secrets *ret_secrets);
/* The connector's. A reply that is none is TCP_REFUSALS. */
uint32_t tcp_reply_read(const void *hello, const void *reply, const tcp_keypair *pair,
                        const unsigned char token[32], tcp_secrets *ret_secrets);

void tcp_confirm_write(const tcp_secrets *secrets, void *ret_bytes);
bool tcp_confirm_is_right(const tcp_secrets *secrets, const void *bytes);

#endif
