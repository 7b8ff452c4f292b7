/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parallel loops over the library's own threads, or the host's.
 *
 * A context has one executor. Its threads start when a session first asks for
 * more than the caller's, and are joined when the context goes. The calling
 * thread always takes part, and never waits for one that has not begun, so a loop
 * ends even when every thread is busy. Several callers may have loops at once.
 */
#ifndef MLS_BASE_EXECUTOR_H
#define MLS_BASE_EXECUTOR_H

#include "base/alloc.h"

#include <mlscale/context.h>

typedef struct mls__executor mls__executor;

/*
 * `parallel_for` may be NULL: threads of our own, which spin for `spin_us` before they sleep
 * (mls_context_options).
 */
mls_status mls__executor_create(const mls__allocator *allocator, mls_parallel_for_fn parallel_for,
                                void *parallel_user, uint32_t spin_us,
                                mls__executor **ret_executor);

/* Joins the threads. No loop may be running. In a forked child there is nothing to join. */
void mls__executor_free(mls__executor *executor);

/*
 * Makes sure that `threads` (the caller's among them) can work on a loop.
 * Errors: MLS_EIO (thread), MLS_ELIMIT, MLS_EFORKED.
 */
mls_status mls__executor_reserve(mls__executor *executor, uint32_t threads);

/* A share of the executor: what a session holds. */
typedef struct mls__executor_share {
    mls__executor *executor;
    uint32_t threads;
} mls__executor_share;

/*
 * Calls task(arg, i) for every i below count on at most share->threads threads;
 * `share` is an mls__executor_share. Matches mls_kernel_call.parallel_for.
 */
void mls__executor_parallel_for(void *share, size_t count, mls_task_fn task, void *arg);

#endif
