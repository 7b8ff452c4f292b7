/* SPDX-License-Identifier: Apache-2.0 */
/* In place of the C library's, which programs may do. */
#include "queue/virtual_clock.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define START_MS  INT64_C(4102444800000) /* the year 2100 */
#define STEADY_MS INT64_C(1000000000000) /* after a boot, by then: some 30 years */

static _Atomic int64_t passed_ms = -1; /* since the start; -1: not started */
static _Atomic int64_t set_by_ms;      /* the wall clock alone */
static void (*other)(int64_t wall_ms);

int64_t virtual_clock_ms(void)
{
    return START_MS + passed_ms + set_by_ms;
}

static void tell_other(void)
{
    if (other)
        other(virtual_clock_ms());
}

void virtual_clock_start(void)
{
    passed_ms = 0;
    tell_other();
}

void virtual_clock_stop(void)
{
    passed_ms = -1;
}

void virtual_clock_tell(void (*tell)(int64_t wall_ms))
{
    other = tell;
    tell_other();
}

void virtual_clock_advance(int64_t ms)
{
    passed_ms += ms;
    tell_other();
}

void virtual_clock_set(int64_t by_ms)
{
    set_by_ms += by_ms;
    tell_other();
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
    const int64_t ms = passed_ms;
    const int64_t start_ms = id == CLOCK_REALTIME ? START_MS + set_by_ms : STEADY_MS;
    if (ms < 0 || (id != CLOCK_REALTIME && id != CLOCK_MONOTONIC && id != CLOCK_BOOTTIME))
        return (int) syscall(SYS_clock_gettime, id, ret);
    ret->tv_sec = (time_t) ((start_ms + ms) / 1000);
    ret->tv_nsec = (long) ((start_ms + ms) % 1000 * 1000000);
    return 0;
}
