/* SPDX-License-Identifier: Apache-2.0 */
/* What transports of several kinds do alike. Compiled into each that is a module. */
#ifndef MLS_TRANSPORT_SHARED_SHARED_H
#define MLS_TRANSPORT_SHARED_SHARED_H

#include <mlscale/ext/transport.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MLS__MISSING_TEXT 128

/*
 * Of who meets others: `subset` is what a split makes a link of, and NULL where a link connects.
 * Whether there is nothing left to wait for, and until when to wait before that is asked again.
 */
bool mls__subset_is_over(const mls_transport_subset *subset);
uint64_t mls__subset_look_ns(const mls_transport_subset *subset, uint64_t until_ns);

/*
 * " 2, 3 and others": those of `ranks` of whom has_come() says no; of a subset, by their numbers
 * in the link that it is of.
 */
void mls__missing_text(uint32_t ranks, const mls_transport_subset *subset,
                       bool (*has_come)(const void *user, uint32_t rank), const void *user,
                       char ret_text[MLS__MISSING_TEXT]);

/*
 * For how long a rank looks before it sleeps: who looks while it waits takes a core from those
 * that it waits for, unless the process has one for each of `ranks`.
 */
uint64_t mls__spin_ns(uint32_t spin_us, uint32_t ranks);

/* Tells a message the head of the one that it met, of at most MLS_TRANSPORT_HEAD_MAX bytes. */
void mls__message_show_head(mls_transport_message *message, const void *head, size_t size);

/* Says when a rank was known to be alive, where the caller has a place for that. */
void mls__peer_heard(mls_transport_peer *peer, uint64_t heard_ns);

#endif
