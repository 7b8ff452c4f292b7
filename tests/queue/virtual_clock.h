/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clock that only moves when it is told to. The test's program has a clock_gettime() of its
 * own: until virtual_clock_start() it is the system's.
 */
#ifndef MLS_TESTS_QUEUE_VIRTUAL_CLOCK_H
#define MLS_TESTS_QUEUE_VIRTUAL_CLOCK_H

#include <stdint.h>

/*
 * All clocks stand from now on. They show times far ahead of the system's, which sleeping threads
 * go by: so who sleeps until some time sleeps until it is woken.
 */
void virtual_clock_start(void);

/* Tells another clock, of whoever goes by one of its own, whenever the wall clock moved. */
void virtual_clock_tell(void (*tell)(int64_t wall_ms));

/* They are the system's again: who measures how long a test took wants that. */
void virtual_clock_stop(void);

/* Milliseconds since 1970. */
int64_t virtual_clock_ms(void);

void virtual_clock_advance(int64_t ms);

/* Sets the wall clock alone, by so much forward or back. */
void virtual_clock_set(int64_t by_ms);

#endif
