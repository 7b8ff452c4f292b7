/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue in memory: jobs a second from submit through a worker's handler, the time of a
 * hand-off, and of a round trip to a result.
 */
#include "queue.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define SAMPLES 20000

static mls_status stamp_job(void *user, mls_job *job)
{
    bench *b = user;
    (void) job;
    b->handed_ns = bench_now_ns();
    atomic_store_explicit(&b->seen, true, memory_order_release);
    return MLS_OK;
}

static void *produce(void *user)
{
    bench *b = user;
    uint64_t payload = 0;
    mls_job_options options = MLS_JOB_OPTIONS_INIT;
    options.type = "count";
    options.payload = &payload;
    options.payload_bytes = sizeof payload;
    options.retention_ms = 0;
    options.room_timeout_ms = -1;
    while (!atomic_load_explicit(&b->stop, memory_order_relaxed)) {
        payload++;
        bench_check(mls_queue_submit(b->queue, &options, NULL), "submit");
    }
    return NULL;
}

static void measure_rate(mls_context *context, const setup *s, double seconds)
{
    bench b = {0};
    pthread_t threads[BENCH_PRODUCERS];
    bench_check(mls_queue_open(context, "memory:?capacity=4096", NULL, &b.queue), "open");
    mls_worker *worker = bench_start_worker(&b, s, bench_count_job);
    const uint64_t begin = bench_now_ns(), begin_cpu = bench_cpu_ns();
    for (int i = 0; i < s->producers; i++)
        pthread_create(&threads[i], NULL, produce, &b);
    bench_sleep(seconds);
    atomic_store(&b.stop, true);
    for (int i = 0; i < s->producers; i++)
        pthread_join(threads[i], NULL);
    bench_check(mls_worker_stop(worker, MLS_WORKER_DRAIN, -1), "stop");
    const double took = (double) (bench_now_ns() - begin) / 1e9;
    const uint64_t handled = atomic_load(&b.handled);
    const double cpu = (double) (bench_cpu_ns() - begin_cpu) / (double) handled;
    printf("%-36s %8.2f million jobs/s %8.0f ns of CPU each\n", s->name,
           (double) handled / took / 1e6, cpu);
    mls_worker_free(worker);
    mls_queue_close(b.queue);
}

static void measure_handoff(mls_context *context, const setup *s, size_t samples)
{
    static uint64_t times[SAMPLES];
    bench b = {0};
    bench_check(mls_queue_open(context, "memory:", NULL, &b.queue), "open");
    mls_worker *worker = bench_start_worker(&b, s, stamp_job);
    mls_job_options options = MLS_JOB_OPTIONS_INIT;
    options.type = "count";
    options.retention_ms = 0;
    for (size_t i = 0; i < samples; i++) {
        atomic_store(&b.seen, false);
        const struct timespec pause = {0, 30000};
        nanosleep(&pause, NULL);
        const uint64_t begin = bench_now_ns();
        bench_check(mls_queue_submit(b.queue, &options, NULL), "submit");
        while (!atomic_load_explicit(&b.seen, memory_order_acquire))
            ;
        times[i] = b.handed_ns - begin;
    }
    bench_print_times(s->name, times, samples);
    mls_worker_free(worker);
    mls_queue_close(b.queue);
}

static void measure_round_trip(mls_context *context, const setup *s, size_t samples)
{
    static uint64_t times[SAMPLES];
    bench b = {0};
    bench_check(mls_queue_open(context, "memory:", NULL, &b.queue), "open");
    mls_worker *worker = bench_start_worker(&b, s, bench_count_job);
    mls_job_options options = MLS_JOB_OPTIONS_INIT;
    options.type = "count";
    for (size_t i = 0; i < samples; i++) {
        uint64_t id;
        const uint64_t begin = bench_now_ns();
        bench_check(mls_queue_submit(b.queue, &options, &id), "submit");
        bench_check(mls_queue_wait(b.queue, id, -1, NULL), "wait");
        times[i] = bench_now_ns() - begin;
        bench_check(mls_queue_forget(b.queue, id), "forget");
    }
    bench_print_times(s->name, times, samples);
    mls_worker_free(worker);
    mls_queue_close(b.queue);
}

void bench_memory(mls_context *context, double seconds)
{
    static const setup rates[] = {
        {"1 producer, 1 slot", 1, 1, 1, 0},
        {"1 producer, 1 slot, spinning", 1, 1, 1, 50},
        {"1 producer, 2 slots", 1, 2, 1, 0},
        {"4 producers, 1 slot", 4, 1, 1, 0},
        {"1 producer, 1 slot, prefetch 16", 1, 1, 16, 0},
        {"1 producer, 1 slot, prefetch 64", 1, 1, 64, 0},
        {"1 producer, 2 slots, prefetch 16", 1, 2, 16, 0},
        {"4 producers, 4 slots, prefetch 16", 4, 4, 16, 0},
    };
    static const setup spins = {"hand-off, spinning", 1, 1, 1, 1000};
    static const setup sleeps = {"hand-off, sleeping", 1, 1, 1, 0};
    static const setup trips = {"submit, run, wait, sleeping", 1, 1, 1, 0};
    static const setup trips_spin = {"submit, run, wait, worker spinning", 1, 1, 1, 1000};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        measure_rate(context, &rates[i], seconds);
    measure_handoff(context, &spins, 2000);
    measure_handoff(context, &sleeps, 2000);
    measure_round_trip(context, &trips, 2000);
    measure_round_trip(context, &trips_spin, 2000);
}
