/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of kernels share: bits of floats, random patterns, cheap checks. */
#ifndef MLS_TESTS_CPU_CPU_TEST_H
#define MLS_TESTS_CPU_CPU_TEST_H

#include "support/test.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*
 * Like ck_assert and ck_assert_msg. Those report to the parent process each time, also when all is
 * well, which is too slow for millions of elements.
 */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)
#define EXPECT_MSG(condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

static inline uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Equal bits, or NaN both. */
static inline bool same(float a, float b)
{
    return bits_of(a) == bits_of(b) || (isnan(a) && isnan(b));
}

/* Marsaglia's xorshift; the state is not 0. */
static inline uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

#endif
