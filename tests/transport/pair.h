/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links over TCP without a loop or a listener: their one connection is an end of a pair of sockets,
 * and what comes is read when the test says so.
 */
#ifndef MLS_TESTS_TRANSPORT_PAIR_H
#define MLS_TESTS_TRANSPORT_PAIR_H

#include "transport/tcp/tcp.h"

typedef struct pair_end {
    tcp_link *link;
    tcp_conn *conn;
} pair_end;

/* Rank `rank` of `ranks`, to which `fd` is the peer. The program ends where that fails. */
pair_end pair_open(int fd, uint32_t rank, uint32_t ranks, uint32_t peer);
/* Reads and writes as much as goes. false: the peer said nonsense, or is gone. */
bool pair_visit(const pair_end *end);
void pair_close(pair_end *end);

#endif
