/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite of transports: what groups promise, through the public interface,
 * with the ranks as threads of the test. A transport's test is a main() that hands over the
 * URL at which ranks meet: conformance_transport_run("transport/inproc", "inproc:test", NULL).
 */
#ifndef MLS_TESTS_CONFORMANCE_TRANSPORT_SUITE_H
#define MLS_TESTS_CONFORMANCE_TRANSPORT_SUITE_H

#include "support/test.h"

/* `on_context` is called with each new context, for drivers that only a test registers. */
int conformance_transport_run(const char *name, const char *url,
                              void (*on_context)(mls_context *context));

/* Made for each test. */
extern mls_context *the_context;
extern const char *the_url;

/* A rank of a group, on its own thread. */
typedef struct ranked {
    mls_group *group; /* freed by the suite, unless the body sets it to NULL */
    uint32_t rank, size;
    const void *arg;
} ranked;

/* Calls body(rank) on a thread for each rank of a group; `options` may be NULL. */
void conformance_ranks(uint32_t size, const mls_group_options *options, void (*body)(ranked *rank),
                       const void *arg);

/* A call with a name and a deadline; 0 is a generous one. */
mls_group_call conformance_call(const char *name, int64_t timeout_ms);

/* A tensor of one dimension, and one over memory. */
mls_tensor *conformance_tensor(mls_dtype dtype, int64_t count);
mls_tensor *conformance_view(mls_dtype dtype, int64_t count, void *data);

/* The parts of the suite. */
void conformance_add_reductions(TCase *tests);
void conformance_add_moves(TCase *tests);
void conformance_add_failures(TCase *tests);
void conformance_add_handles(TCase *tests);
void conformance_add_regroup(TCase *tests);

#endif
