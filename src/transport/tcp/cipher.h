/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packets of a connection that is encrypted, each sealed by ChaCha20-Poly1305 (RFC 8439) with
 * a key of its direction and a counter. Libraries differ in how fast they do it, not in what they
 * write.
 */
#ifndef MLS_TRANSPORT_TCP_CIPHER_H
#define MLS_TRANSPORT_TCP_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_CIPHER_KEY 32
#define TCP_CIPHER_TAG 16

/* What a packet is sealed with; the bytes of its head are not hidden, but genuine. */
typedef struct tcp_cipher_words {
    unsigned char nonce[12];
    const unsigned char *head;
    size_t head_bytes;
} tcp_cipher_words;

typedef struct tcp_cipher tcp_cipher;

/* How a library does it. */
typedef struct tcp_cipher_way {
    const char *name;
    /* What it keeps between packets, made from the key. false: it has no memory, or cannot. */
    bool (*open)(tcp_cipher *cipher);
    void (*close)(tcp_cipher *cipher);
    /* Writes `size` bytes and the tag. */
    bool (*seal)(tcp_cipher *cipher, const tcp_cipher_words *words, const unsigned char *data,
                 size_t size, unsigned char *ret_sealed);
    /* Reads them. false: they are not genuine, and `ret_data` has nothing of them. */
    bool (*unseal)(tcp_cipher *cipher, const tcp_cipher_words *words, const unsigned char *sealed,
                   size_t size, unsigned char *ret_data);
} tcp_cipher_way;

extern const tcp_cipher_way tcp_cipher_libsodium;
#ifdef MLS_OPENSSL
extern const tcp_cipher_way tcp_cipher_libcrypto;
#endif

/* Of one direction. */
struct tcp_cipher {
    const tcp_cipher_way *way; /* NULL: it is not open */
    void *state;               /* the way's */
    uint64_t count;            /* of packets */
    unsigned char key[TCP_CIPHER_KEY];
};

/* By the fastest way that there is: libsodium always can. */
void tcp_cipher_open(tcp_cipher *cipher, const unsigned char *key);
/* By this one. false: it cannot. */
bool tcp_cipher_open_by(tcp_cipher *cipher, const tcp_cipher_way *way, const unsigned char *key);
void tcp_cipher_close(tcp_cipher *cipher);

/* Packets: a length of 4 bytes, and so many bytes and a tag, encrypted. */
#define TCP_PACKET_MAX   (UINT32_C(32) << 10)
#define TCP_PACKET_EXTRA (4 + TCP_CIPHER_TAG)

/* Writes size + TCP_PACKET_EXTRA bytes. false: the library failed, and nothing may be sent. */
bool tcp_packet_seal(tcp_cipher *cipher, const void *data, uint32_t size, void *ret_packet);

/* The whole size of the packet that begins so; 0: it is none. */
size_t tcp_packet_size(const void *bytes);

/* Decrypts a whole packet to `ret_data`, which lies elsewhere. false: it is not genuine. */
bool tcp_packet_open(tcp_cipher *cipher, const void *packet, size_t packet_size, void *ret_data);

#endif
