/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake's bytes, by libsodium; see handshake.h for what they are. */
#include "transport/tcp/handshake.h"

#include <sodium.h>
#include <string.h>

static const unsigned char magic[8] = {'m', 'l', 's', 'c', 'a', 'l', 'e', 1};

/* Where things are. */
enum { HELLO_GROUP = 8, HELLO_PUBLIC = 40, HELLO_FLAGS = 72, HELLO_MAC = 80 };
enum { REPLY_WHY = 8, REPLY_PUBLIC = 16, REPLY_MAC = 48 };

#define FLAG_ENCRYPTS 1

static void mac(const unsigned char key[32], const void *bytes, size_t size,
                unsigned char ret_mac[32])
{
    crypto_generichash(ret_mac, 32, bytes, size, key, 32);
}

static bool same_mac(const unsigned char key[32], const void *bytes, size_t size,
                     const unsigned char *found)
{
    unsigned char right[32];
    mac(key, bytes, size, right);
    return sodium_memcmp(right, found, sizeof right) == 0;
}

/* What is hashed begins with a word for its purpose, so that no two are mistaken for each other. */
static void hash_words(const char *purpose, const char *kind, const void *data, size_t size,
                       unsigned char ret_hash[32])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 32);
    crypto_generichash_update(&state, (const unsigned char *) purpose, strlen(purpose) + 1);
    crypto_generichash_update(&state, (const unsigned char *) kind, strlen(kind) + 1);
    if (size)
        crypto_generichash_update(&state, data, size);
    crypto_generichash_final(&state, ret_hash, 32);
}

void tcp_token_key(const void *token, size_t size, unsigned char ret_key[32])
{
    hash_words("mlscale tcp 1", "token", token, size, ret_key);
}

void tcp_group_key(const char *kind, const void *name, size_t size, unsigned char ret_key[32])
{
    hash_words("mlscale tcp 1 group", kind, name, size, ret_key);
}

void tcp_keypair_make(tcp_keypair *ret_pair)
{
    randombytes_buf(ret_pair->secret, sizeof ret_pair->secret);
    crypto_scalarmult_base(ret_pair->public, ret_pair->secret);
}

/* --- HELLO ----------------------------------------------------------------------------------- */

void tcp_hello_write(const tcp_hello *hello, const unsigned char token[32], void *ret_bytes)
{
    unsigned char *bytes = ret_bytes;
    memset(bytes, 0, TCP_HELLO_BYTES);
    memcpy(bytes, magic, sizeof magic);
    memcpy(bytes + HELLO_GROUP, hello->group, 32);
    memcpy(bytes + HELLO_PUBLIC, hello->public, 32);
    bytes[HELLO_FLAGS] = hello->encrypts ? FLAG_ENCRYPTS : 0;
    mac(token, bytes, HELLO_MAC, bytes + HELLO_MAC);
}

bool tcp_hello_read(const void *data, tcp_hello *ret_hello)
{
    const unsigned char *bytes = data;
    if (memcmp(bytes, magic, sizeof magic) != 0 || bytes[HELLO_FLAGS] > FLAG_ENCRYPTS ||
        !sodium_is_zero(bytes + HELLO_FLAGS + 1, HELLO_MAC - HELLO_FLAGS - 1))
        return false;
    memcpy(ret_hello->group, bytes + HELLO_GROUP, 32);
    memcpy(ret_hello->public, bytes + HELLO_PUBLIC, 32);
    ret_hello->encrypts = bytes[HELLO_FLAGS] == FLAG_ENCRYPTS;
    return true;
}

bool tcp_hello_is_from(const void *bytes, const unsigned char token[32])
{
    return same_mac(token, bytes, HELLO_MAC, (const unsigned char *) bytes + HELLO_MAC);
}

/* --- REPLY and CONFIRM ----------------------------------------------------------------------- */

static void derive(const unsigned char root[32], const char *purpose, unsigned char ret_key[32])
{
    mac(root, purpose, strlen(purpose), ret_key);
}

/* From the token, what the two keys agree on, HELLO, and REPLY but for its mac. */
static bool agree(const tcp_keypair *own, const unsigned char other[32],
                  const unsigned char token[32], const unsigned char *hello,
                  const unsigned char *reply, tcp_secrets *ret_secrets)
{
    unsigned char shared[32], root[32], epoch[32];
    crypto_generichash_state state;
    if (crypto_scalarmult(shared, own->secret, other) != 0)
        return false;
    crypto_generichash_init(&state, token, 32, 32);
    crypto_generichash_update(&state, shared, sizeof shared);
    crypto_generichash_update(&state, hello, TCP_HELLO_BYTES);
    crypto_generichash_update(&state, reply, REPLY_MAC);
    crypto_generichash_final(&state, root, sizeof root);
    sodium_memzero(&state, sizeof state);
    derive(root, "to listener", ret_secrets->to_listener);
    derive(root, "to connector", ret_secrets->to_connector);
    derive(root, "reply", ret_secrets->reply);
    derive(root, "confirm", ret_secrets->confirm);
    derive(root, "epoch", epoch);
    memcpy(&ret_secrets->epoch, epoch, sizeof ret_secrets->epoch);
    sodium_memzero(shared, sizeof shared);
    sodium_memzero(root, sizeof root);
    sodium_memzero(epoch, sizeof epoch);
    return true;
}

void tcp_refusal_write(uint32_t why, void *ret_bytes)
{
    unsigned char *bytes = ret_bytes;
    memset(bytes, 0, TCP_REPLY_BYTES);
    memcpy(bytes, magic, sizeof magic);
    memcpy(bytes + REPLY_WHY, &why, sizeof why);
}

bool tcp_reply_write(const void *hello, const tcp_keypair *pair, const unsigned char token[32],
                     void *ret_bytes, tcp_secrets *ret_secrets)
{
    unsigned char *bytes = ret_bytes;
    tcp_refusal_write(TCP_REFUSED_NOT, bytes);
    memcpy(bytes + REPLY_PUBLIC, pair->public, 32);
    if (!agree(pair, (const unsigned char *) hello + HELLO_PUBLIC, token, hello, bytes,
               ret_secrets))
        return false;
    mac(ret_secrets->reply, bytes, REPLY_MAC, bytes + REPLY_MAC);
    return true;
}

uint32_t tcp_reply_read(const void *hello, const void *reply, const tcp_keypair *pair,
                        const unsigned char token[32], tcp_secrets *ret_secrets)
{
    const unsigned char *bytes = reply;
    uint32_t why;
    memcpy(&why, bytes + REPLY_WHY, sizeof why);
    if (memcmp(bytes, magic, sizeof magic) != 0 || why >= TCP_REFUSALS)
        return TCP_REFUSALS;
    if (why)
        return why;
    if (!agree(pair, bytes + REPLY_PUBLIC, token, hello, bytes, ret_secrets) ||
        !same_mac(ret_secrets->reply, bytes, REPLY_MAC, bytes + REPLY_MAC))
        return TCP_REFUSALS;
    return TCP_REFUSED_NOT;
}

void tcp_confirm_write(const tcp_secrets *secrets, void *ret_bytes)
{
    mac(secrets->confirm, magic, sizeof magic, ret_bytes);
}

bool tcp_confirm_is_right(const tcp_secrets *secrets, const void *bytes)
{
    return same_mac(secrets->confirm, magic, sizeof magic, bytes);
}
