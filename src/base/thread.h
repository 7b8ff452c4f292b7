/* SPDX-License-Identifier: Apache-2.0 */
/* Mutexes, conditions and threads over POSIX, and the note that a process was forked. */
#ifndef MLS_BASE_THREAD_H
#define MLS_BASE_THREAD_H

#include <mlscale/status.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* No deadline, for mls__cond_wait_until(). */
#define MLS__FOREVER UINT64_MAX

/* A condition whose timeouts follow the monotonic clock. */
typedef struct mls__cond {
    pthread_cond_t cond;
} mls__cond;

mls_status mls__mutex_init(pthread_mutex_t *mutex);
mls_status mls__cond_init(mls__cond *cond);
void mls__cond_destroy(mls__cond *cond);

/*
 * Waits, `mutex` held, until signalled or until mls__clock_monotonic_ns() reaches
 * `deadline_ns`. false: the time passed. Wakes without reason are possible.
 */
bool mls__cond_wait_until(mls__cond *cond, pthread_mutex_t *mutex, uint64_t deadline_ns);

/* `name` (at most 15 bytes) is what tools such as top show. The host's signals are blocked. */
mls_status mls__thread_create(pthread_t *ret_thread, const char *name, void *(*body)(void *),
                              void *arg);

/* Between two looks at what another thread changes: leaves the core to its other thread. */
static inline void mls__thread_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/*
 * Changes in the child of a fork. An object that owns threads notes it when it
 * is made, and fails with MLS_EFORKED when it no longer agrees.
 */
uint64_t mls__fork_generation(void);

#endif
