/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a model on each instruction set, and once with memory of its own for each value: what any
 * two of them give must be the same bytes.
 */
#include "fuzz/fuzz.h"
#include "fuzz/limits.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static const struct variant {
    const char *isa;
    uint64_t flags;
} variants[] = {{"portable", 0}, {NULL, 0}, {NULL, MLS_SESSION_NO_REUSE}};

/* false: it did not run, be it for want of memory or time. */
static bool run_variant(const struct variant *v, const uint8_t *data, size_t size,
                        uint64_t *ret_digest)
{
    fuzz_heap heap = {0};
    mls_context *context = fuzz_context(&heap, v->isa);
    mls_session *session = fuzz_session(context, data, size, v->flags);
    const bool is_run = session && fuzz_run(session, data, size) == MLS_OK;
    if (is_run)
        *ret_digest = fuzz_digest(session);
    mls_session_free(session);
    fuzz_context_free(context, &heap);
    return is_run;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t first, other;
    if (!run_variant(&variants[0], data, size, &first))
        return 0;
    for (size_t i = 1; i < sizeof variants / sizeof variants[0]; i++)
        if (run_variant(&variants[i], data, size, &other) && other != first) {
            fprintf(stderr, "variant %zu gives other bytes than portable\n", i);
            abort();
        }
    return 0;
}
