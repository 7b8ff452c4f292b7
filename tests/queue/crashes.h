/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crash rounds: submitters and workers of one queue are killed at random, and judged by
 * what they said: every job that a submit was answered for ended, once, with the result of
 * the claim that said so. Jobs fail and are tried again, wait for others, and have keys that
 * nobody else gets; workers report late, of claims that were taken from them, and are refused.
 */
#ifndef MLS_TESTS_QUEUE_CRASHES_H
#define MLS_TESTS_QUEUE_CRASHES_H

/* How many rounds: MLS_TEST_CRASHES of the environment, or fewer than usual for who is slow. */
int crashes_rounds(int usual);

/* The URL must not count deaths. `disaster`, which may be NULL, is called after each kill. */
void crashes_run(const char *url, int rounds, void (*disaster)(int round));

/* For a disaster: until all processes have opened the queue. */
void crashes_await_all(void);

/*
 * For a disaster too: calls take_away(how), which takes the queue's server away and brings it back.
 * Processes that cannot open the queue meanwhile wait until it returns.
 */
void crashes_take_away(void (*take_away)(int how), int how);

#endif
