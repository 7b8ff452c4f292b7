/* SPDX-License-Identifier: Apache-2.0 */
/* Shards of random numbers of each dtype, and what comes of them by the order that is promised. */
#ifndef MLS_TESTS_CONFORMANCE_TRANSPORT_REDUCED_H
#define MLS_TESTS_CONFORMANCE_TRANSPORT_REDUCED_H

#include "support/test.h"

enum { REDUCED_ELEMENTS = 2100, REDUCED_DTYPES = 6 };
extern const mls_dtype reduced_dtypes[REDUCED_DTYPES];

/* Before the two behind it: for so many shards. */
void reduced_prepare(uint32_t shards);

/* REDUCED_ELEMENTS of the dtype of that number: those of a shard, and by MLS_REDUCE_* the result.
 */
const unsigned char *reduced_shard(size_t d, uint32_t shard);
const unsigned char *reduced_result(size_t d, uint32_t op);

#endif
