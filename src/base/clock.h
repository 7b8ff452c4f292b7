/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks. Durations never come from the wall clock, which can be set. */
#ifndef MLS_BASE_CLOCK_H
#define MLS_BASE_CLOCK_H

#include <stdint.h>

/* Nanoseconds since some start; never goes back. */
uint64_t mls__clock_monotonic_ns(void);

/* The same, up to a tick of the system behind (1 to 10 milliseconds), in a quarter of the time. */
uint64_t mls__clock_coarse_ns(void);

/* The same, and counts on while the machine sleeps. Starts anew with each boot. */
uint64_t mls__clock_boot_ns(void);

/* Processor time of the calling thread. A system call. */
uint64_t mls__clock_thread_ns(void);

/* Milliseconds since 1970-01-01 UTC, as the system's clock is set. */
int64_t mls__clock_wall_ms(void);

#endif
