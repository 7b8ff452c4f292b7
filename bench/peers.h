/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison's results, between the program that measures them and the tables. */
#ifndef MLS_BENCH_PEERS_H
#define MLS_BENCH_PEERS_H

#include "cases.h"

enum { PEERS_ENGINES_MOST = 4, PEERS_THREADS_MOST = 2 };

/* A measured case; engine 0 is ours, and what an engine did not do is 0. */
typedef struct peers_row {
    const bench_case *what;
    const engine *engines[PEERS_ENGINES_MOST];
    size_t engine_count;
    double ns[PEERS_ENGINES_MOST][PEERS_THREADS_MOST]; /* with 1 thread, with 2 */
    double p50[PEERS_ENGINES_MOST], p99[PEERS_ENGINES_MOST];
    double creation[PEERS_ENGINES_MOST];
    double flops;                   /* of a run */
    double target_us, target_ratio; /* of ours; the ratio to a peer; 0: none */
} peers_row;

/* peers_tables.c: Markdown on standard output. `limit` is the machine's FLOP/s by threads. */
void peers_print(const peers_row *rows, size_t count, const double *limit);

#endif
