/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash rounds: submitters and workers of one queue are killed at random, and judged by
 * what they said: every job that a submit was answered for ended, once, with the result of
 * the claim that said so.
 */
#ifndef MLS_TESTS_QUEUE_CRASHES_H
#define MLS_TESTS_QUEUE_CRASHES_H

/* How many rounds: MLS_TEST_CRASHES of the environment, or fewer than usual for who is slow. */
int crashes_rounds(int usual);

/* The URL must not count deaths. `disaster`, which may be NULL, is called after each kill. */
void crashes_run(const char *url, int rounds, void (*disaster)(int round));

#endif
