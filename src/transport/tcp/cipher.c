/* SPDX-License-Identifier: Apache-2.0 */
/* Packets, and what seals them: libcrypto where it is there, else libsodium. */
#include "config.h"

#include "transport/tcp/cipher.h"

#include <sodium.h>
#include <string.h>

enum { LENGTH_BYTES = 4 };

/* --- libsodium ------------------------------------------------------------------------------- */

_Static_assert(TCP_CIPHER_TAG == crypto_aead_chacha20poly1305_ietf_ABYTES &&
                   TCP_CIPHER_KEY == crypto_aead_chacha20poly1305_ietf_KEYBYTES,
               "both libraries mean the same cipher");

static bool keep_nothing(tcp_cipher *cipher)
{
    cipher->state = NULL;
    return true;
}

static void free_nothing(tcp_cipher *cipher)
{
    (void) cipher;
}

static bool seal(tcp_cipher *cipher, const tcp_cipher_words *words, const unsigned char *data,
                 size_t size, unsigned char *ret_sealed)
{
    return crypto_aead_chacha20poly1305_ietf_encrypt(ret_sealed, NULL, data, size, words->head,
                                                     words->head_bytes, NULL, words->nonce,
                                                     cipher->key) == 0;
}

static bool unseal(tcp_cipher *cipher, const tcp_cipher_words *words, const unsigned char *sealed,
                   size_t size, unsigned char *ret_data)
{
    return crypto_aead_chacha20poly1305_ietf_decrypt(
               ret_data, NULL, NULL, sealed, size + TCP_CIPHER_TAG, words->head, words->head_bytes,
               words->nonce, cipher->key) == 0;
}

const tcp_cipher_way tcp_cipher_libsodium = {"libsodium", keep_nothing, free_nothing, seal, unseal};

/* --- the cipher of a direction --------------------------------------------------------------- */

bool tcp_cipher_open_by(tcp_cipher *cipher, const tcp_cipher_way *way, const unsigned char *key)
{
    *cipher = (tcp_cipher){.way = way};
    memcpy(cipher->key, key, sizeof cipher->key);
    if (way->open(cipher))
        return true;
    sodium_memzero(cipher, sizeof *cipher);
    return false;
}

void tcp_cipher_open(tcp_cipher *cipher, const unsigned char *key)
{
#ifdef MLS_OPENSSL
    if (tcp_cipher_open_by(cipher, &tcp_cipher_libcrypto, key))
        return;
#endif
    tcp_cipher_open_by(cipher, &tcp_cipher_libsodium, key);
}

void tcp_cipher_close(tcp_cipher *cipher)
{
    if (cipher->way)
        cipher->way->close(cipher);
    sodium_memzero(cipher, sizeof *cipher);
}

/* --- packets --------------------------------------------------------------------------------- */

/* A counter never comes again: 2^64 packets are more than can be sent. */
static tcp_cipher_words next_words(tcp_cipher *cipher, const unsigned char *packet)
{
    const uint64_t count = cipher->count++;
    tcp_cipher_words words = {.head = packet, .head_bytes = LENGTH_BYTES};
    memcpy(words.nonce + sizeof words.nonce - sizeof count, &count, sizeof count);
    return words;
}

bool tcp_packet_seal(tcp_cipher *cipher, const void *data, uint32_t size, void *ret_packet)
{
    unsigned char *packet = ret_packet;
    const tcp_cipher_words words = next_words(cipher, packet);
    memcpy(packet, &size, LENGTH_BYTES);
    return cipher->way->seal(cipher, &words, data, size, packet + LENGTH_BYTES);
}

size_t tcp_packet_size(const void *bytes)
{
    uint32_t size;
    memcpy(&size, bytes, LENGTH_BYTES);
    return size && size <= TCP_PACKET_MAX ? (size_t) size + TCP_PACKET_EXTRA : 0;
}

bool tcp_packet_open(tcp_cipher *cipher, const void *data, size_t packet_size, void *ret_data)
{
    const unsigned char *packet = data;
    const tcp_cipher_words words = next_words(cipher, packet);
    return cipher->way->unseal(cipher, &words, packet + LENGTH_BYTES,
                               packet_size - TCP_PACKET_EXTRA, ret_data);
}
