/* SPDX-License-Identifier: Apache-2.0 */
/* Who claims, and what of: a name, and lists of types and queues, of which an empty one is all. */
#ifndef MLS_QUEUE_DURABLE_SERVED_H
#define MLS_QUEUE_DURABLE_SERVED_H

#include <mlscale/queue.h>

#include <stdbool.h>

typedef struct mls__served {
    size_t type_count, queue_count;
    const char *name, *types, *queues; /* lists: one behind the other, each with a NUL */
} mls__served;

/* The bytes of all names. */
size_t mls__served_size(const mls_claimer_options *options);
/* Copies them to `block`, of that size. */
mls__served mls__served_copy(const mls_claimer_options *options, char *block);
bool mls__served_has(const mls__served *served, const char *queue, const char *type);
/* Whether it is less than all. */
bool mls__served_is_picky(const mls__served *served);

#endif
