/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a queue: an open driver, and what its jobs need around it. */
#ifndef MLS_JOB_QUEUE_H
#define MLS_JOB_QUEUE_H

#include "base/context.h"
#include "base/refcount.h"

#include <mlscale/ext/queue_driver.h>

struct mls_queue {
    mls__refcount refs;
    mls_context *context;
    const mls_queue_driver *ops;
    void *self;
    mls_queue_host host;
    uint64_t max_payload_bytes;
    int64_t retention_ms;
    uint64_t seed;
    uint64_t fork_generation;
};

struct mls_claimer {
    mls_queue *queue;
    void *self; /* the driver's */
    char name[];
};

void mls__queue_ref(mls_queue *queue);
void mls__queue_unref(mls_queue *queue);

/* MLS_EFORKED in a child of the process that opened the queue. */
mls_status mls__queue_check_fork(const mls_queue *queue);

/* MLS_EUNSUPPORTED naming the first of `needed` that the driver lacks; `what` needs it. */
mls_status mls__queue_need(const mls_queue *queue, uint64_t needed, const char *what);

/* The monotonic time `timeout_ms` from now, as drivers want it. */
uint64_t mls__queue_until(int64_t timeout_ms);

/*
 * Whether `text` can be a type or a queue's name: 1 to MLS_JOB_NAME_MAX letters,
 * digits and "._:/-". MLS_EINVAL names `what`.
 */
mls_status mls__queue_check_name(const char *what, const char *text);

/* Whether `text` can be a key or tenant: `limit` bytes at most, no control characters. */
mls_status mls__queue_check_text(const char *what, const char *text, size_t limit);

/* Reads a filter; NULL is that of everything. */
mls_status mls__queue_read_filter(const mls_queue_filter *given, mls_queue_filter *ret_filter);

/*
 * Reads and checks a submit. `ret_options` gets the options with nothing left to
 * resolve; `ret_item` points to it. `index` is its place in a submit of several jobs. Errors:
 * MLS_EINVAL, MLS_EUNSUPPORTED, MLS_ELIMIT.
 */
mls_status mls__queue_check_submit(const mls_queue *queue, const mls_job_options *given,
                                   size_t index, mls_job_options *ret_options,
                                   mls_queue_item *ret_item);

#endif
