/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A way to the tests' server that can lose what the server says: a socket of its own, and a
 * thread that hands on what comes, for one client at a time.
 */
#ifndef MLS_TESTS_QUEUE_POSTGRES_PROXY_H
#define MLS_TESTS_QUEUE_POSTGRES_PROXY_H

#include <stdbool.h>

/* The URL of a new queue by this way. Static storage. */
const char *proxy_start(void);
void proxy_stop(void);

/*
 * The next COMMIT of a client that has said `words` is carried out, and its answer is lost with the
 * connection. From then on the server cannot be reached, until it is let back.
 */
void proxy_lose_commit(const char *words);
void proxy_let_back(void);
/*
 * The connection is cut when a client says `words`, which the server does not hear, or at the
 * COMMIT behind them. goes: from then on it cannot be reached, either.
 */
void proxy_cut_at(const char *words, bool goes);
void proxy_cut_commit(const char *words, bool goes);

/* Who comes from now on while another is there is told that the server is full: a refusal, too. */
void proxy_speak_to_others(void);

/* How many a client asked for; how many times it came while the server could not be reached. */
int proxy_commits(void);
int proxy_refusals(void);
/* Until one came so that was not awaited yet. */
void proxy_await_refusal(void);

#endif
