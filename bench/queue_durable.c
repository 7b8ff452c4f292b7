/* SPDX-License-Identifier: Apache-2.0 */
/* Durable queues: what many producers submit, and the whole life of a job. */
#include "queue.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SYNCS 100

typedef struct producer {
    bench *b;
    size_t bulk;
    uint64_t submitted;
} producer;

static void *produce_bulks(void *user)
{
    producer *p = user;
    mls_job_options jobs[BENCH_BULK];
    for (size_t i = 0; i < BENCH_BULK; i++) {
        jobs[i] = (mls_job_options) MLS_JOB_OPTIONS_INIT;
        jobs[i].type = "count";
        jobs[i].payload = &p->submitted;
        jobs[i].payload_bytes = sizeof p->submitted;
        jobs[i].retention_ms = 0;
    }
    while (!atomic_load_explicit(&p->b->stop, memory_order_relaxed)) {
        bench_check(mls_queue_submit_many(p->b->queue, jobs, p->bulk, NULL), "submit");
        p->submitted += p->bulk;
    }
    return NULL;
}

/* Submits until the time is over; how many. */
static uint64_t run_producers(bench *b, size_t bulk, double seconds)
{
    pthread_t threads[BENCH_PRODUCERS];
    producer producers[BENCH_PRODUCERS];
    uint64_t submitted = 0;
    for (int i = 0; i < BENCH_PRODUCERS; i++) {
        producers[i] = (producer){b, bulk, 0};
        pthread_create(&threads[i], NULL, produce_bulks, &producers[i]);
    }
    bench_sleep(seconds);
    atomic_store(&b->stop, true);
    for (int i = 0; i < BENCH_PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
        submitted += producers[i].submitted;
    }
    return submitted;
}

/* The files of a sqlite queue. A server's store is its owner's to remove, and new for each row. */
static void remove_store(const char *url)
{
    static const char *const endings[] = {"", "-wal", "-shm", "-lock"};
    char path[500];
    if (strncmp(url, "sqlite:", 7) != 0)
        return;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        snprintf(path, sizeof path, "%s%s", url + 7, endings[i]);
        unlink(path);
    }
}

static mls_status open_store(mls_context *context, const char *url, mls_queue **ret_queue)
{
    static int stores;
    char own[1000];
    if (strncmp(url, "postgres:", 9) != 0)
        return mls_queue_open(context, url, NULL, ret_queue);
    snprintf(own, sizeof own, "%s%cschema=bench_%d_%d&init=1", url, strchr(url, '?') ? '&' : '?',
             (int) getpid(), ++stores);
    return mls_queue_open(context, own, NULL, ret_queue);
}

static void measure_durable(mls_context *context, const char *url, size_t bulk, bool lives,
                            double seconds)
{
    static const setup four_slots = {"", 0, 4, 256, 0};
    bench b = {0};
    remove_store(url);
    bench_check(open_store(context, url, &b.queue), "open");
    mls_worker *worker = lives ? bench_start_worker(&b, &four_slots, bench_count_job) : NULL;
    const uint64_t begin = bench_now_ns(), begin_cpu = bench_cpu_ns();
    const double jobs = (double) run_producers(&b, bulk, seconds);
    if (lives)
        bench_check(mls_worker_stop(worker, MLS_WORKER_DRAIN, -1), "stop");
    const double rate = jobs / ((double) (bench_now_ns() - begin) / 1e9);
    const double cpu = (double) (bench_cpu_ns() - begin_cpu) / jobs;
    printf("  %-42s %10.0f jobs/s %8.0f ns of CPU each\n",
           lives      ? bulk > 1 ? "whole life, 16 producers of 64, 4 slots"
                                 : "whole life, 16 producers, 4 slots"
           : bulk > 1 ? "durable submit, 16 producers of 64"
                      : "durable submit, 16 producers",
           rate, cpu);
    mls_worker_free(worker);
    mls_queue_close(b.queue);
    remove_store(url);
}

/* What the disk takes where `place` is. */
static void measure_sync(const char *place)
{
    static uint64_t times[SYNCS];
    char path[500], block[4096];
    snprintf(path, sizeof path, "%s.sync", place);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    memset(block, 1, sizeof block);
    for (size_t i = 0; i < SYNCS; i++) {
        const uint64_t begin = bench_now_ns();
        if (pwrite(fd, block, sizeof block, (off_t) (i * sizeof block)) < 0 || fdatasync(fd))
            perror(path);
        times[i] = bench_now_ns() - begin;
    }
    close(fd);
    unlink(path);
    bench_print_times("  write 4 KiB and fdatasync", times, SYNCS);
}

void bench_durable(mls_context *context, const char *url, const char *place, double seconds)
{
    mls_queue *queue;
    remove_store(url);
    if (open_store(context, url, &queue) != MLS_OK) {
        printf("%s: %s\n", url, mls_error_message());
        return;
    }
    mls_queue_close(queue);
    printf("%.*s\n", (int) strcspn(url, "?"), url);
    if (!place && strncmp(url, "sqlite:", 7) == 0)
        place = url + 7;
    if (place)
        measure_sync(place);
    measure_durable(context, url, 1, false, seconds);
    measure_durable(context, url, BENCH_BULK, false, seconds);
    measure_durable(context, url, 1, true, seconds);
    measure_durable(context, url, BENCH_BULK, true, seconds);
}
