/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets by OpenSSL's libcrypto: a context for each direction has the key, and each packet gives
 * it a nonce. It writes what it decrypts before it knows that it is genuine: what is not is wiped.
 */
#include "config.h"

#include "transport/tcp/cipher.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { READS, SEALS };

static bool open_context(tcp_cipher *cipher)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (!context)
        return false;
    if (EVP_CipherInit_ex(context, EVP_chacha20_poly1305(), NULL, cipher->key, NULL, SEALS) != 1) {
        EVP_CIPHER_CTX_free(context);
        return false;
    }
    cipher->state = context;
    return true;
}

static void close_context(tcp_cipher *cipher)
{
    EVP_CIPHER_CTX_free(cipher->state);
}

/* A packet is short, so that its lengths are an int's. */
static bool run(EVP_CIPHER_CTX *context, int does, const tcp_cipher_words *words,
                const unsigned char *from, size_t size, unsigned char *to)
{
    int written;
    return EVP_CipherInit_ex(context, NULL, NULL, NULL, words->nonce, does) == 1 &&
           EVP_CipherUpdate(context, NULL, &written, words->head, (int) words->head_bytes) == 1 &&
           EVP_CipherUpdate(context, to, &written, from, (int) size) == 1;
}

static bool seal(tcp_cipher *cipher, const tcp_cipher_words *words, const unsigned char *data,
                 size_t size, unsigned char *ret_sealed)
{
    EVP_CIPHER_CTX *context = cipher->state;
    int written;
    return run(context, SEALS, words, data, size, ret_sealed) &&
           EVP_CipherFinal_ex(context, ret_sealed + size, &written) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TCP_CIPHER_TAG, ret_sealed + size) ==
               1;
}

static bool unseal(tcp_cipher *cipher, const tcp_cipher_words *words, const unsigned char *sealed,
                   size_t size, unsigned char *ret_data)
{
    EVP_CIPHER_CTX *context = cipher->state;
    /* It is only read. */
    void *tag = (void *) (uintptr_t) (sealed + size);
    unsigned char none[TCP_CIPHER_TAG];
    int written;
    if (run(context, READS, words, sealed, size, ret_data) &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TCP_CIPHER_TAG, tag) == 1 &&
        EVP_CipherFinal_ex(context, none, &written) == 1)
        return true;
    OPENSSL_cleanse(ret_data, size);
    return false;
}

const tcp_cipher_way tcp_cipher_libcrypto = {"libcrypto", open_context, close_context, seal,
                                             unseal};
