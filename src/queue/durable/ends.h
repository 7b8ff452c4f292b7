/* SPDX-License-Identifier: Apache-2.0 */
/* The ends of claims, once they were judged in a transaction. */
#ifndef MLS_QUEUE_DURABLE_ENDS_H
#define MLS_QUEUE_DURABLE_ENDS_H

#include "queue/durable/holds.h"

/* Committed: the claims are no more, and who asks is told. */
void mls__ends_publish(mls__holds *holds, mls_queue_end *const *ends, size_t count);
/* Rolled back: none was judged. */
void mls__ends_abandon(mls_queue_end *const *ends, size_t count);
/* On the caller's thread, once committed: gives back what was taken over, and drops handles. */
void mls__ends_settle(void *self, void (*drop)(void *self, mls_queue_job *shown),
                      mls_queue_end *const *ends, size_t count);

#endif
