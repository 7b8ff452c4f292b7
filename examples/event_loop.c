/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host with an event loop of its own, libuv's, runs jobs between its other events: no
 * handler runs on another thread, and the loop sleeps while there is nothing to do.
 *
 *   cc event_loop.c $(pkg-config --cflags --libs mlscale libuv) -o event_loop
 *   ./event_loop [URL] [JOBS]
 */
#include <mlscale.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

typedef struct host {
    uv_loop_t *loop;
    uv_poll_t readable;
    uv_timer_t clock; /* stands for everything else that the host does */
    mls_worker *worker;
    long wanted, done, ticks;
} host;

static mls_status count_job(void *user, mls_job *job)
{
    host *h = user;
    size_t size;
    const long *number = mls_job_payload(job, &size);
    if (size != sizeof *number)
        return mls_job_fail(job, MLS_EINVAL, "this payload is not a number", MLS_FAIL_FINAL);
    const long square = *number * *number;
    h->done++;
    return mls_job_set_result(job, &square, sizeof square);
}

/* Up to 16 jobs or half a millisecond at a time: the loop's other events get their turn. */
static void on_readable(uv_poll_t *handle, int status, int events)
{
    host *h = handle->data;
    (void) events;
    if (status < 0 || mls_worker_poll(h->worker, 16, 500, NULL))
        fprintf(stderr, "%s\n", status < 0 ? uv_strerror(status) : mls_error_message());
    if (status < 0 || h->done == h->wanted)
        uv_stop(h->loop);
}

static void on_tick(uv_timer_t *handle)
{
    host *h = handle->data;
    h->ticks++;
}

static mls_status start_worker(mls_queue *queue, host *h)
{
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    mls_handler handler = MLS_HANDLER_INIT;
    options.flags = MLS_WORKER_POLLED;
    options.prefetch = 16;
    handler.type = "square";
    handler.user = h;
    handler.run = count_job;
    mls_status status = mls_worker_create(queue, &options, &h->worker);
    if (!status)
        status = mls_worker_add_handler(h->worker, &handler);
    return status ? status : mls_worker_start(h->worker);
}

static mls_status submit_jobs(mls_queue *queue, long count)
{
    mls_status status = MLS_OK;
    for (long i = 0; !status && i < count; i++) {
        mls_job_options job = MLS_JOB_OPTIONS_INIT;
        job.type = "square";
        job.payload = &i;
        job.payload_bytes = sizeof i;
        status = mls_queue_submit(queue, &job, NULL);
    }
    return status;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void) arg;
    uv_close(handle, NULL);
}

static mls_status run_loop(host *h)
{
    int fd;
    const mls_status status = mls_worker_fd(h->worker, &fd);
    if (status)
        return status;
    h->readable.data = h->clock.data = h;
    uv_poll_init(h->loop, &h->readable, fd);
    uv_poll_start(&h->readable, UV_READABLE, on_readable);
    uv_timer_init(h->loop, &h->clock);
    uv_timer_start(&h->clock, on_tick, 0, 1);
    if (h->wanted)
        uv_run(h->loop, UV_RUN_DEFAULT);
    uv_walk(h->loop, close_handle, NULL); /* before the worker, whose descriptor it watches */
    uv_run(h->loop, UV_RUN_DEFAULT);
    return mls_worker_stop(h->worker, 0, 10000);
}

int main(int argc, char **argv)
{
    uv_loop_t loop;
    host h = {.loop = &loop, .wanted = argc > 2 ? atol(argv[2]) : 1000};
    mls_context *context = NULL;
    mls_queue *queue = NULL;
    uv_loop_init(&loop);
    const int failed = mls_context_create(NULL, &context) ||
                       mls_queue_open(context, argc > 1 ? argv[1] : "memory:", NULL, &queue) ||
                       start_worker(queue, &h) || submit_jobs(queue, h.wanted) || run_loop(&h);
    if (failed)
        fprintf(stderr, "%s\n", mls_error_message());
    else
        printf("%ld jobs were run by the loop's thread\n", h.done);
    mls_worker_free(h.worker);
    mls_queue_close(queue);
    mls_context_free(context);
    uv_loop_close(&loop);
    return failed;
}
