/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeping, waking, and finding out who died.
 *
 * A sleeper reads its bell before it looks for what it waits for; who brings that rings after
 * it has brought it. So the bell has changed if the sleeper saw nothing, and the kernel lets
 * nobody sleep on a bell that has. A count of sleepers saves the call of the kernel where
 * nobody sleeps.
 */
#include "transport/shm/shm.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WATCH_NS      UINT64_C(100000000)
#define LOOKS_A_CLOCK 64
#define POLLED        64
#define PATIENCE_NS   UINT64_C(5000)

/* --- bells ----------------------------------------------------------------------------------- */

void shm_ring(const shm_link *link, uint32_t rank)
{
    shm_seat *seat = shm_seat_of(link, rank);
    atomic_fetch_add(&seat->bell, 1);
    if (atomic_load(&seat->sleepers))
        syscall(SYS_futex, &seat->bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void shm_ring_all(const shm_link *link)
{
    for (uint32_t i = 0; i < link->size; i++)
        shm_ring(link, i);
}

uint32_t shm_bell(const shm_link *link)
{
    return atomic_load(&shm_seat_of(link, link->rank)->bell);
}

void shm_lose_patience(uint64_t looked_ns)
{
    if (looked_ns > PATIENCE_NS)
        sched_yield();
}

bool shm_is_rung_soon(const shm_link *link, uint32_t seen, uint64_t until_ns)
{
    const uint64_t begin = link->spin_ns ? mls__clock_monotonic_ns() : 0;
    uint64_t now = begin;
    while (now - begin < link->spin_ns && now < until_ns) {
        for (int i = 0; i < LOOKS_A_CLOCK; i++) {
            if (shm_bell(link) != seen)
                return true;
            mls__thread_pause();
        }
        now = mls__clock_monotonic_ns();
        shm_lose_patience(now - begin);
    }
    return false;
}

/* Until rung or `until_ns`. */
static void sleep_on_bell(const shm_link *link, uint32_t seen, uint64_t until_ns)
{
    shm_seat *seat = shm_seat_of(link, link->rank);
    const struct timespec until = {
        .tv_sec = (time_t) (until_ns / UINT64_C(1000000000)),
        .tv_nsec = (long) (until_ns % UINT64_C(1000000000)),
    };
    atomic_fetch_add(&seat->sleepers, 1);
    syscall(SYS_futex, &seat->bell, FUTEX_WAIT_BITSET, seen, &until, NULL, FUTEX_BITSET_MATCH_ANY);
    atomic_fetch_sub(&seat->sleepers, 1);
}

bool shm_sleep(shm_link *link, uint32_t seen, uint64_t until_ns)
{
    uint64_t now = mls__clock_monotonic_ns();
    if (now < until_ns) {
        const uint64_t turn_ns = now + WATCH_NS;
        sleep_on_bell(link, seen, until_ns < turn_ns ? until_ns : turn_ns);
        now = mls__clock_monotonic_ns();
    }
    const bool in_time = now < until_ns;
    /* Who only looks, again and again, pays for this ten times a second, too. */
    if (!in_time && until_ns)
        shm_watch(link);
    else
        shm_watch_soon(link, now);
    return in_time;
}

/* --- the dead -------------------------------------------------------------------------------- */

/* First the sum, so that whoever sees the fate, or the other way round, looks for it. */
void shm_fate_set(const shm_link *link, uint32_t rank, uint32_t fate)
{
    uint32_t alive = SHM_ALIVE;
    atomic_fetch_add(&link->room->gone, 1);
    atomic_compare_exchange_strong(&shm_seat_of(link, rank)->fate, &alive, fate);
    shm_ring_all(link);
}

uint32_t shm_fate_of(const shm_link *link, uint32_t rank)
{
    const uint32_t fate = atomic_load(&shm_seat_of(link, rank)->fate);
    return fate > SHM_DEAD ? SHM_DEAD : fate;
}

static mls_status watch_rank(shm_link *link, uint32_t rank)
{
    const int32_t pid = atomic_load(&shm_seat_of(link, rank)->pid);
    link->lanes[rank].mapping = shm_seat_of(link, rank)->mapping;
    if (pid == (int32_t) getpid())
        return MLS_OK;
    const int watch = pid > 0 ? (int) syscall(SYS_pidfd_open, pid, 0) : -1;
    if (watch < 0 && (pid <= 0 || errno == ESRCH)) {
        shm_fate_set(link, rank, SHM_DEAD);
        return MLS_OK;
    }
    if (watch < 0)
        return link->hub->host->error(MLS_EIO, "cannot watch process %d of rank %u: %s", (int) pid,
                                      rank, strerror(errno));
    link->lanes[rank].watch = watch; /* closed by exec, as all of them */
    return MLS_OK;
}

mls_status shm_watch_begin(shm_link *link)
{
    const mls_plugin_host *host = link->hub->host;
    const size_t size = link->size * sizeof *link->lanes;
    link->lanes = host->alloc(host->context, size);
    if (!link->lanes)
        return host->error(MLS_ENOMEM, "out of memory: the allocator refused %zu bytes", size);
    for (uint32_t i = 0; i < link->size; i++)
        link->lanes[i] = (shm_lane){.watch = -1};
    mls_status status = MLS_OK;
    for (uint32_t i = 0; !status && i < link->size; i++)
        status = watch_rank(link, i);
    return status;
}

void shm_watch_end(shm_link *link)
{
    const mls_plugin_host *host = link->hub->host;
    for (uint32_t i = 0; link->lanes && i < link->size; i++)
        if (link->lanes[i].watch >= 0)
            close(link->lanes[i].watch);
    host->free(host->context, link->lanes);
    link->lanes = NULL;
}

static void watch_some(const shm_link *link, struct pollfd *polled, const uint32_t *ranks,
                       uint32_t count)
{
    if (!count || poll(polled, count, 0) <= 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        if (polled[i].revents & POLLIN)
            shm_fate_set(link, ranks[i], SHM_DEAD);
}

void shm_watch(shm_link *link)
{
    struct pollfd polled[POLLED];
    uint32_t ranks[POLLED], count = 0;
    atomic_store(&link->watched_ns, mls__clock_monotonic_ns());
    for (uint32_t i = 0; i < link->size; i++) {
        if (link->lanes[i].watch < 0 || shm_fate_of(link, i) != SHM_ALIVE)
            continue;
        ranks[count] = i;
        polled[count++] = (struct pollfd){.fd = link->lanes[i].watch, .events = POLLIN};
        if (count == POLLED) {
            watch_some(link, polled, ranks, count);
            count = 0;
        }
    }
    watch_some(link, polled, ranks, count);
}

void shm_watch_soon(shm_link *link, uint64_t now_ns)
{
    const uint64_t watched_ns = atomic_load(&link->watched_ns);
    if (now_ns >= watched_ns + WATCH_NS)
        shm_watch(link);
}

/* --- cores ----------------------------------------------------------------------------------- */

void shm_introduce(const shm_memory *memory, uint32_t rank)
{
    cpu_set_t set;
    shm_memory_seat(memory, rank)->mapping = (uint64_t) (uintptr_t) memory->base;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    _Static_assert(sizeof set == sizeof(uint64_t) * SHM_CPU_WORDS, "a word for 64 processors");
    memcpy(shm_memory_seat(memory, rank)->cpus, &set, sizeof set);
}

/*
 * Who looks while it waits takes a core from those that it waits for, unless each has one.
 * Ranks may be bound to one core each, so those of all count.
 */
uint64_t shm_spin_ns(const shm_link *link, uint32_t spin_us)
{
    uint32_t cores = 0;
    for (size_t k = 0; k < SHM_CPU_WORDS; k++) {
        uint64_t word = 0;
        for (uint32_t i = 0; i < link->size; i++)
            word |= shm_seat_of(link, i)->cpus[k];
        cores += (uint32_t) __builtin_popcountll(word);
    }
    return cores < link->size ? 0 : spin_us * UINT64_C(1000);
}
