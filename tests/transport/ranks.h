/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks of groups over TCP as threads of a test, a context each, and sockets that are none. */
#ifndef MLS_TESTS_TRANSPORT_RANKS_H
#define MLS_TESTS_TRANSPORT_RANKS_H

#include "support/port.h"
#include "support/test.h"

/* Makes rank `rank` of `size`, with a minute of time. `token` may be NULL. */
mls_status tcp_rank(mls_context *context, const char *url, uint32_t rank, uint32_t size,
                    const char *token, mls_group **ret_group);

/* A rank on a thread of its own: meets, adds up once, and then calls body(group), if there is one.
 */
typedef struct tcp_rank_thread {
    const char *url, *token;
    uint32_t rank, size;
    void (*body)(mls_group *group);
    pthread_t thread;
} tcp_rank_thread;
void tcp_rank_start(tcp_rank_thread *rank);
void tcp_rank_join(tcp_rank_thread *rank);

/* All `size` ranks of a group, with the body; returns when they have ended. */
void tcp_ranks_run(const char *url, uint32_t size, const char *token, void (*body)(mls_group *));

/* Adds up 100 and 100000 numbers over all ranks and looks at the sums. */
mls_status tcp_try_sums(mls_group *group);

/* A socket that is connected to a port of this host, once somebody listens there. */
int tcp_dial(int port);

/* Reads until the other end closes; gives how many bytes came. */
size_t tcp_drain(int fd);

#endif
