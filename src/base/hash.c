/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash for tables whose keys come from files, peers and users. */
#include "base/hash.h"

#include <string.h>
#include <sys/random.h>

void mls__hash_seed(uint64_t seed[2], const void *fallback)
{
    const size_t bytes = 2 * sizeof seed[0];
    /* Without entropy tables still work; only the protection is weaker. */
    if (getrandom(seed, bytes, GRND_NONBLOCK) == (ssize_t) bytes)
        return;
    seed[0] = (uint64_t) (uintptr_t) fallback;
    seed[1] = 0;
}

typedef struct sip {
    uint64_t v0, v1, v2, v3;
} sip;

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32) + s->v3;
    s->v2 += s->v1;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static void sip_word(sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

uint64_t mls__hash_bytes(const uint64_t seed[2], const void *bytes, size_t size)
{
    const unsigned char *data = bytes;
    sip s = {
        seed[0] ^ UINT64_C(0x736f6d6570736575),
        seed[1] ^ UINT64_C(0x646f72616e646f6d),
        seed[0] ^ UINT64_C(0x6c7967656e657261),
        seed[1] ^ UINT64_C(0x7465646279746573),
    };
    uint64_t word;
    size_t left = size;
    for (; left >= sizeof word; left -= sizeof word, data += sizeof word) {
        memcpy(&word, data, sizeof word);
        sip_word(&s, word);
    }
    word = 0;
    memcpy(&word, data, left);
    sip_word(&s, word | (uint64_t) size << 56);
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
