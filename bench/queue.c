/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures queues: the one in memory, and durable ones beside the time that the place takes to
 * sync: what is durable waits for that, and what many do at once waits for it together.
 *
 * usage: queue [SECONDS [URL...]]     how long each row runs, 1 unless given; with URLs only
 *                                     these queues, which must not be there yet
 */
#include "queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void bench_check(mls_status status, const char *what)
{
    if (status == MLS_OK)
        return;
    fprintf(stderr, "bench/queue: %s: %s\n", what, mls_error_message());
    exit(1);
}

uint64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * UINT64_C(1000000000) + (uint64_t) now.tv_nsec;
}

uint64_t bench_cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t) used.tv_sec * UINT64_C(1000000000) + (uint64_t) used.tv_nsec;
}

mls_status bench_count_job(void *user, mls_job *job)
{
    bench *b = user;
    (void) job;
    atomic_fetch_add_explicit(&b->handled, 1, memory_order_relaxed);
    return MLS_OK;
}

mls_worker *bench_start_worker(bench *b, const setup *s, mls_status (*run)(void *, mls_job *))
{
    mls_worker *worker;
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.slots = s->slots;
    options.prefetch = s->prefetch;
    options.spin_us = s->spin_us;
    bench_check(mls_worker_create(b->queue, &options, &worker), "worker");
    mls_handler handler = MLS_HANDLER_INIT;
    handler.type = "count";
    handler.user = b;
    handler.run = run;
    bench_check(mls_worker_add_handler(worker, &handler), "handler");
    bench_check(mls_worker_start(worker), "start");
    return worker;
}

void bench_sleep(double seconds)
{
    const struct timespec pause = {(time_t) seconds,
                                   (long) ((seconds - (double) (time_t) seconds) * 1e9)};
    nanosleep(&pause, NULL);
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return x < y ? -1 : x > y;
}

void bench_print_times(const char *name, uint64_t *times, size_t count)
{
    qsort(times, count, sizeof *times, compare);
    printf("%-36s %8.2f us p50 %10.2f us p99\n", name, (double) times[count / 2] / 1e3,
           (double) times[count * 99 / 100] / 1e3);
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? atof(argv[1]) : 1;
    mls_context *context;
    bench_check(mls_context_create(NULL, &context), "context");
    if (argc < 3) {
        bench_memory(context, seconds);
        bench_durable(context, "sqlite:/var/tmp/mls-bench.db", NULL, seconds);
        bench_durable(context, "sqlite:/dev/shm/mls-bench.db", NULL, seconds);
        bench_servers(seconds);
    }
    for (int i = 2; i < argc; i++)
        bench_durable(context, argv[i], NULL, seconds);
    mls_context_free(context);
    return 0;
}
