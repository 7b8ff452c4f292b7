/* SPDX-License-Identifier: Apache-2.0 */
/* What the measures of queues share. A failure of the library ends the program with a message. */
#ifndef MLS_BENCH_QUEUE_H
#define MLS_BENCH_QUEUE_H

#include <mlscale.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_PRODUCERS 16
#define BENCH_BULK      64 /* jobs of a submit that brings several */

typedef struct setup {
    const char *name;
    int producers;
    uint32_t slots, prefetch, spin_us;
} setup;

typedef struct bench {
    mls_queue *queue;
    atomic_uint_fast64_t handled;
    atomic_bool stop;
    uint64_t handed_ns; /* what the handler of the latency rows saw */
    atomic_bool seen;
} bench;

void bench_check(mls_status status, const char *what);

uint64_t bench_now_ns(void);
uint64_t bench_cpu_ns(void); /* of all threads: tells more than the clock where cores are shared */
void bench_sleep(double seconds);

/* A worker of the bench's queue whose jobs are run by `run`; and what only counts them. */
mls_worker *bench_start_worker(bench *b, const setup *s, mls_status (*run)(void *, mls_job *));
mls_status bench_count_job(void *user, mls_job *job);

/* A line with the median and the 99th percentile. Sorts the times. */
void bench_print_times(const char *name, uint64_t *times, size_t count);

/* The rows of the queue in memory. */
void bench_memory(mls_context *context, double seconds);

/*
 * The rows of the queue at `url`, which is made for it and is gone afterwards, beside the
 * time to sync where `place` is, the path of a file; NULL: known of files only.
 */
void bench_durable(mls_context *context, const char *url, const char *place, double seconds);

/* Those of a server that is started for it in /var/tmp and in /dev/shm, if there is one. */
void bench_servers(double seconds);

#endif
