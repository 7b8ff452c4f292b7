/* SPDX-License-Identifier: Apache-2.0 */
/* How long to look for what MPI cannot wake anybody for: less and less often. */
#include "transport/mpi/link.h"

#include <sched.h>
#include <time.h>

#define YIELDS         50
#define FIRST_SLEEP_NS 20000
#define LAST_SLEEP_NS  1000000

uint64_t wire_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * UINT64_C(1000000000) + (uint64_t) now.tv_nsec;
}

wire_patience wire_patience_begin(uint64_t spin_ns)
{
    return (wire_patience){spin_ns, spin_ns ? wire_now_ns() + spin_ns : 0,
                           atomic_load(&wire_the_world.events), 0};
}

/* Leaves the core to others at once, then sleeps, each time half as long again. */
bool wire_rest(wire_patience *patience, uint64_t until_ns)
{
    const uint64_t now = wire_now_ns();
    if (now >= until_ns)
        return false;
    if (atomic_load(&wire_the_world.events) != patience->events)
        *patience = wire_patience_begin(patience->spin_ns);
    if (now < patience->spin_until_ns)
        return true;
    if (patience->rests++ < YIELDS) {
        sched_yield();
        return true;
    }
    uint64_t sleep_ns = FIRST_SLEEP_NS;
    for (uint32_t i = YIELDS; i < patience->rests && sleep_ns < LAST_SLEEP_NS; i++)
        sleep_ns += sleep_ns / 2;
    if (sleep_ns > until_ns - now)
        sleep_ns = until_ns - now;
    nanosleep(&(struct timespec){0, (long) sleep_ns}, NULL);
    return true;
}
