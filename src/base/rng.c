/* SPDX-License-Identifier: Apache-2.0 */
/* The constants are the paper's. */
#include "base/rng.h"

#define ROUNDS 10

static mls__rng_block one_round(mls__rng_block x, const uint32_t key[2])
{
    const uint64_t a = UINT64_C(0xD2511F53) * x.words[0], b = UINT64_C(0xCD9E8D57) * x.words[2];
    return (mls__rng_block){{(uint32_t) (b >> 32) ^ x.words[1] ^ key[0], (uint32_t) b,
                             (uint32_t) (a >> 32) ^ x.words[3] ^ key[1], (uint32_t) a}};
}

mls__rng_block mls__rng_at(mls__rng rng, mls__rng_block counter)
{
    for (int i = 0; i < ROUNDS; i++) {
        counter = one_round(counter, rng.key);
        rng.key[0] += UINT32_C(0x9E3779B9);
        rng.key[1] += UINT32_C(0xBB67AE85);
    }
    return counter;
}

/* The upper 53 of 64 bits. */
static double uniform_of(uint32_t low, uint32_t high)
{
    const uint64_t bits = (uint64_t) high << 32 | low;
    return (double) (bits >> 11) * 0x1p-53;
}

void mls__rng_uniform(mls__rng rng, uint64_t first, double *ret_numbers, int64_t n)
{
    mls__rng_block block = {{0}};
    for (int64_t i = 0; i < n; i++) {
        const uint64_t at = first + (uint64_t) i, index = at / 2;
        if (i == 0 || at % 2 == 0)
            block =
                mls__rng_at(rng, (mls__rng_block){{(uint32_t) index, (uint32_t) (index >> 32)}});
        ret_numbers[i] = at % 2 ? uniform_of(block.words[2], block.words[3])
                                : uniform_of(block.words[0], block.words[1]);
    }
}
