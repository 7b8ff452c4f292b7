/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance suite of transports: what groups promise, through the public interface,
 * with the ranks as threads of the test, or as processes. A transport's test is a main() that hands
 * over the URL at which ranks meet: conformance_transport_run("transport/inproc", "inproc:test",
 * NULL).
 */
#ifndef MLS_TESTS_CONFORMANCE_TRANSPORT_SUITE_H
#define MLS_TESTS_CONFORMANCE_TRANSPORT_SUITE_H

#include "support/test.h"

#include <pthread.h>

/* `on_context` is called with each new context, for drivers that only a test registers. */
int conformance_transport_run(const char *name, const char *url,
                              void (*on_context)(mls_context *context));

/* With tests of the transport's own; `add` may be NULL. */
int conformance_transport_run_with(const char *name, const char *url,
                                   void (*on_context)(mls_context *context),
                                   void (*add)(TCase *tests));

/* The same with a process for each rank, where the URL's transport reaches others. */
int conformance_transport_run_processes(const char *name, const char *url);

/* What becomes of calls by others; what they give; what the transport's own tests are. */
enum { CONFORMANCE_ALL, CONFORMANCE_VALUES, CONFORMANCE_OWN };

/*
 * Where ranks are processes, all of which run the suite: which one this is, and how the first
 * `count` of them wait for each other. Tests that need other processes, or ranks of one process,
 * are left out then.
 */
typedef struct conformance_place {
    uint32_t rank, size;
    void (*meet)(uint32_t count);
    int from; /* of the parts below, in their order, those from here on */
} conformance_place;

extern const conformance_place *the_place; /* NULL: ranks are threads */

/* There: bit n is set once a test had n ranks. */
uint32_t conformance_sizes(void);

/* Made for each test, and in each process. */
extern mls_context *the_context;
extern const char *the_url;

/* The token of groups whose options say none; NULL, unless a test sets it before it runs the suite.
 */
extern const char *the_token;
/* The rank whose process a test ends by SIGKILL; UINT32_MAX: none. */
extern uint32_t the_killed;
/* Whether ranks are processes; else they are threads of the test. */
bool conformance_has_processes(void);

/* A rank of a group, on its own thread or in its own process. */
typedef struct ranked {
    mls_group *group; /* freed by the suite, unless the body sets it to NULL */
    uint32_t rank, size;
    const void *arg;
} ranked;

/*
 * Calls body(rank) on a thread for each rank of a group, or for this process's own, if there are
 * so many; `options` may be NULL.
 */
void conformance_ranks(uint32_t size, const mls_group_options *options, void (*body)(ranked *rank),
                       const void *arg);

/* Where so many ranks of the test wait for each other. */
pthread_barrier_t *conformance_meeting(unsigned count);
void conformance_meet(pthread_barrier_t *meeting);

/* A call with a name and a deadline; 0 is a generous one. */
mls_group_call conformance_call(const char *name, int64_t timeout_ms);

/* A tensor of one dimension, and one over memory. */
mls_tensor *conformance_tensor(mls_dtype dtype, int64_t count);
mls_tensor *conformance_view(mls_dtype dtype, int64_t count, void *data);

/* Who has tensors of mls_group_create_tensor(), and which rank then does. */
enum { ARENA_OF_NONE, ARENA_OF_ALL, ARENA_OF_ODD_RANKS };
bool conformance_has_arena(const ranked *r, int whose);

/* What MLS_REDUCE_* makes of two integers: written anew, since the library is held against it. */
int64_t conformance_join(uint32_t op, int64_t a, int64_t b);

/* The parts of the suite. */
void conformance_add_reductions(TCase *tests);
void conformance_add_long_reductions(TCase *tests);
void conformance_add_moves(TCase *tests);
void conformance_add_failures(TCase *tests);
void conformance_add_handles(TCase *tests);
void conformance_add_regroup(TCase *tests);
void conformance_add_splits(TCase *tests);
void conformance_add_races(TCase *tests);

#endif
