/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures the memory queue: jobs a second from submit through a worker's handler,
 * the time of a hand-off, and of a round trip to a result. Then the sqlite queue, on a
 * disk and in memory, beside the time that the place takes to sync: what is durable
 * waits for that, and what many do at once waits for it together.
 *
 * usage: queue [SECONDS [FOLDER...]]     how long each row runs, 1 unless given; where the
 *                                        sqlite rows are, /var/tmp and /dev/shm unless given
 */
#include <mlscale.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_PRODUCERS 16
#define SAMPLES       20000
#define BULK          64 /* jobs of a submit that brings several */

static void check(mls_status status, const char *what)
{
    if (status == MLS_OK)
        return;
    fprintf(stderr, "bench/queue: %s: %s\n", what, mls_error_message());
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * UINT64_C(1000000000) + (uint64_t) now.tv_nsec;
}

/* What all threads used: tells more than the clock where cores are shared. */
static uint64_t cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t) used.tv_sec * UINT64_C(1000000000) + (uint64_t) used.tv_nsec;
}

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

static mls_status count_job(void *user, mls_job *job)
{
    bench *b = user;
    (void) job;
    atomic_fetch_add_explicit(&b->handled, 1, memory_order_relaxed);
    return MLS_OK;
}

static mls_status stamp_job(void *user, mls_job *job)
{
    bench *b = user;
    (void) job;
    b->handed_ns = now_ns();
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
        check(mls_queue_submit(b->queue, &options, NULL), "submit");
    }
    return NULL;
}

static mls_worker *start_worker(bench *b, const setup *s, mls_status (*run)(void *, mls_job *))
{
    mls_worker *worker;
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    options.slots = s->slots;
    options.prefetch = s->prefetch;
    options.spin_us = s->spin_us;
    check(mls_worker_create(b->queue, &options, &worker), "worker");
    mls_handler handler = MLS_HANDLER_INIT;
    handler.type = "count";
    handler.user = b;
    handler.run = run;
    check(mls_worker_add_handler(worker, &handler), "handler");
    check(mls_worker_start(worker), "start");
    return worker;
}

static void sleep_for(double seconds)
{
    const struct timespec pause = {(time_t) seconds,
                                   (long) ((seconds - (double) (time_t) seconds) * 1e9)};
    nanosleep(&pause, NULL);
}

static void measure_rate(mls_context *context, const setup *s, double seconds)
{
    bench b = {0};
    pthread_t threads[MAX_PRODUCERS];
    check(mls_queue_open(context, "memory:?capacity=4096", NULL, &b.queue), "open");
    mls_worker *worker = start_worker(&b, s, count_job);
    const uint64_t begin = now_ns(), begin_cpu = cpu_ns();
    for (int i = 0; i < s->producers; i++)
        pthread_create(&threads[i], NULL, produce, &b);
    sleep_for(seconds);
    atomic_store(&b.stop, true);
    for (int i = 0; i < s->producers; i++)
        pthread_join(threads[i], NULL);
    check(mls_worker_stop(worker, MLS_WORKER_DRAIN, -1), "stop");
    const double took = (double) (now_ns() - begin) / 1e9;
    const uint64_t handled = atomic_load(&b.handled);
    const double cpu = (double) (cpu_ns() - begin_cpu) / (double) handled;
    printf("%-36s %8.2f million jobs/s %8.0f ns of CPU each\n", s->name,
           (double) handled / took / 1e6, cpu);
    mls_worker_free(worker);
    mls_queue_close(b.queue);
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return x < y ? -1 : x > y;
}

static void print_times(const char *name, uint64_t *times, size_t count)
{
    qsort(times, count, sizeof *times, compare);
    printf("%-36s %8.2f us p50 %10.2f us p99\n", name, (double) times[count / 2] / 1e3,
           (double) times[count * 99 / 100] / 1e3);
}

static void measure_handoff(mls_context *context, const setup *s, size_t samples)
{
    static uint64_t times[SAMPLES];
    bench b = {0};
    check(mls_queue_open(context, "memory:", NULL, &b.queue), "open");
    mls_worker *worker = start_worker(&b, s, stamp_job);
    mls_job_options options = MLS_JOB_OPTIONS_INIT;
    options.type = "count";
    options.retention_ms = 0;
    for (size_t i = 0; i < samples; i++) {
        atomic_store(&b.seen, false);
        const struct timespec pause = {0, 30000};
        nanosleep(&pause, NULL);
        const uint64_t begin = now_ns();
        check(mls_queue_submit(b.queue, &options, NULL), "submit");
        while (!atomic_load_explicit(&b.seen, memory_order_acquire))
            ;
        times[i] = b.handed_ns - begin;
    }
    print_times(s->name, times, samples);
    mls_worker_free(worker);
    mls_queue_close(b.queue);
}

static void measure_round_trip(mls_context *context, const setup *s, size_t samples)
{
    static uint64_t times[SAMPLES];
    bench b = {0};
    check(mls_queue_open(context, "memory:", NULL, &b.queue), "open");
    mls_worker *worker = start_worker(&b, s, count_job);
    mls_job_options options = MLS_JOB_OPTIONS_INIT;
    options.type = "count";
    for (size_t i = 0; i < samples; i++) {
        uint64_t id;
        const uint64_t begin = now_ns();
        check(mls_queue_submit(b.queue, &options, &id), "submit");
        check(mls_queue_wait(b.queue, id, -1, NULL), "wait");
        times[i] = now_ns() - begin;
        check(mls_queue_forget(b.queue, id), "forget");
    }
    print_times(s->name, times, samples);
    mls_worker_free(worker);
    mls_queue_close(b.queue);
}

/* The sqlite queue */

typedef struct producer {
    bench *b;
    size_t bulk;
    uint64_t submitted;
} producer;

static void *produce_bulks(void *user)
{
    producer *p = user;
    mls_job_options jobs[BULK];
    for (size_t i = 0; i < BULK; i++) {
        jobs[i] = (mls_job_options) MLS_JOB_OPTIONS_INIT;
        jobs[i].type = "count";
        jobs[i].payload = &p->submitted;
        jobs[i].payload_bytes = sizeof p->submitted;
        jobs[i].retention_ms = 0;
    }
    while (!atomic_load_explicit(&p->b->stop, memory_order_relaxed)) {
        check(mls_queue_submit_many(p->b->queue, jobs, p->bulk, NULL), "submit");
        p->submitted += p->bulk;
    }
    return NULL;
}

/* Submits until the time is over; how many. */
static uint64_t run_producers(bench *b, size_t bulk, double seconds)
{
    pthread_t threads[MAX_PRODUCERS];
    producer producers[MAX_PRODUCERS];
    uint64_t submitted = 0;
    for (int i = 0; i < MAX_PRODUCERS; i++) {
        producers[i] = (producer){b, bulk, 0};
        pthread_create(&threads[i], NULL, produce_bulks, &producers[i]);
    }
    sleep_for(seconds);
    atomic_store(&b->stop, true);
    for (int i = 0; i < MAX_PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
        submitted += producers[i].submitted;
    }
    return submitted;
}

static void remove_store(const char *folder)
{
    static const char *const names[] = {"", "-wal", "-shm", "-lock"};
    char path[500];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/mls-bench.db%s", folder, names[i]);
        unlink(path);
    }
}

static mls_queue *open_sqlite(mls_context *context, const char *folder)
{
    char url[500];
    mls_queue *queue;
    remove_store(folder);
    snprintf(url, sizeof url, "sqlite:%s/mls-bench.db", folder);
    check(mls_queue_open(context, url, NULL, &queue), "open");
    return queue;
}

static void measure_durable(mls_context *context, const char *folder, size_t bulk, bool lives,
                            double seconds)
{
    static const setup four_slots = {"", 0, 4, 256, 0};
    bench b = {.queue = open_sqlite(context, folder)};
    mls_worker *worker = lives ? start_worker(&b, &four_slots, count_job) : NULL;
    const uint64_t begin = now_ns(), begin_cpu = cpu_ns();
    const double jobs = (double) run_producers(&b, bulk, seconds);
    if (lives)
        check(mls_worker_stop(worker, MLS_WORKER_DRAIN, -1), "stop");
    const double rate = jobs / ((double) (now_ns() - begin) / 1e9);
    const double cpu = (double) (cpu_ns() - begin_cpu) / jobs;
    printf("  %-42s %10.0f jobs/s %8.0f ns of CPU each\n",
           lives      ? bulk > 1 ? "whole life, 16 producers of 64, 4 slots"
                                 : "whole life, 16 producers, 4 slots"
           : bulk > 1 ? "durable submit, 16 producers of 64"
                      : "durable submit, 16 producers",
           rate, cpu);
    mls_worker_free(worker);
    mls_queue_close(b.queue);
    remove_store(folder);
}

static void measure_sync(const char *folder)
{
    static uint64_t times[100];
    char path[500], block[4096];
    snprintf(path, sizeof path, "%s/mls-bench.sync", folder);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    memset(block, 1, sizeof block);
    for (size_t i = 0; i < 100; i++) {
        const uint64_t begin = now_ns();
        if (pwrite(fd, block, sizeof block, (off_t) (i * sizeof block)) < 0 || fdatasync(fd))
            perror(path);
        times[i] = now_ns() - begin;
    }
    close(fd);
    unlink(path);
    printf("sqlite in %s\n", folder);
    print_times("  write 4 KiB and fdatasync", times, 100);
}

static void measure_sqlite(mls_context *context, const char *folder, double seconds)
{
    mls_queue *queue;
    char url[500];
    snprintf(url, sizeof url, "sqlite:%s/mls-bench.db", folder);
    if (mls_queue_open(context, url, NULL, &queue) != MLS_OK) {
        printf("sqlite in %s: %s\n", folder, mls_error_message());
        return;
    }
    mls_queue_close(queue);
    measure_sync(folder);
    measure_durable(context, folder, 1, false, seconds);
    measure_durable(context, folder, BULK, false, seconds);
    measure_durable(context, folder, 1, true, seconds);
    measure_durable(context, folder, BULK, true, seconds);
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? atof(argv[1]) : 1;
    static const setup rates[] = {
        {"1 producer, 1 slot", 1, 1, 1, 0},
        {"1 producer, 1 slot, spinning", 1, 1, 1, 50},
        {"1 producer, 1 slot, prefetch 16", 1, 1, 16, 0},
        {"1 producer, 1 slot, prefetch 64", 1, 1, 64, 0},
        {"1 producer, 2 slots, prefetch 16", 1, 2, 16, 0},
        {"4 producers, 4 slots, prefetch 16", 4, 4, 16, 0},
    };
    static const setup spins = {"hand-off, spinning", 1, 1, 1, 1000};
    static const setup sleeps = {"hand-off, sleeping", 1, 1, 1, 0};
    static const setup trips = {"submit, run, wait, sleeping", 1, 1, 1, 0};
    static const setup trips_spin = {"submit, run, wait, worker spinning", 1, 1, 1, 1000};
    mls_context *context;
    check(mls_context_create(NULL, &context), "context");
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        measure_rate(context, &rates[i], seconds);
    measure_handoff(context, &spins, 2000);
    measure_handoff(context, &sleeps, 2000);
    measure_round_trip(context, &trips, 2000);
    measure_round_trip(context, &trips_spin, 2000);
    static const char *const folders[] = {"/var/tmp", "/dev/shm"};
    for (int i = 2; i < argc; i++)
        measure_sqlite(context, argv[i], seconds);
    for (int i = 0; argc < 3 && i < 2; i++)
        measure_sqlite(context, folders[i], seconds);
    mls_context_free(context);
    return 0;
}
