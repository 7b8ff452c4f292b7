/* SPDX-License-Identifier: Apache-2.0 */
/* A context that gives out little memory, and time for a run: a model that wants more is refused.
 */
#ifndef MLS_TESTS_FUZZ_LIMITS_H
#define MLS_TESTS_FUZZ_LIMITS_H

#include <mlscale.h>

#include <stdatomic.h>

/* Several threads may take of it. */
typedef struct fuzz_heap {
    atomic_size_t bytes, blocks;
} fuzz_heap;

/* On the instruction set of that name, or the machine's (NULL). Aborts when there is none. */
mls_context *fuzz_context(fuzz_heap *heap, const char *isa);

/* Frees it; aborts when a block is left. */
void fuzz_context_free(mls_context *context, const fuzz_heap *heap);

/* A session of a model that loads; NULL when it does not. Dynamic dims are 2. */
mls_session *fuzz_session(mls_context *context, const uint8_t *data, size_t size, uint64_t flags);

/* Fills the inputs from the bytes and runs, for a few milliseconds at most. */
mls_status fuzz_run(mls_session *session, const uint8_t *data, size_t size);

/* What the outputs are after a run; any NaN is any other. */
uint64_t fuzz_digest(mls_session *session);

#endif
