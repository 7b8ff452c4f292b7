/* SPDX-License-Identifier: Apache-2.0 */
/* A hash that whoever chooses the data cannot steer, as long as the seed is secret. */
#ifndef MLS_BASE_HASH_H
#define MLS_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Fills `seed` from the system; where it has no entropy yet, from `fallback`. */
void mls__hash_seed(uint64_t seed[2], const void *fallback);

/* SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012). */
uint64_t mls__hash_bytes(const uint64_t seed[2], const void *data, size_t size);

#endif
