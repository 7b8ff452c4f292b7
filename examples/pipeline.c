/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that composes its own pipeline, on one thread, in its own event loop: a model scores
 * the lines of standard input in batches; when all have ended, a report is made of them.
 *
 *   cc pipeline.c $(pkg-config --cflags --libs mlscale) -o pipeline
 *   tail -n +2 data/features.csv | ./pipeline models/volatility_mlp.onnx [URL]
 */
#include <mlscale.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FEATURES = 11, BATCH = 64, MOST_ROWS = 20000 };

typedef struct pipeline {
    mls_queue *queue;
    mls_worker *worker;
    mls_session *session;
    uint64_t ids[MOST_ROWS]; /* of the jobs that score */
    size_t count;
    bool is_read, is_over;
} pipeline;

/* The payload of a "score" job is a line as it came. */
static bool parse_row(const mls_job *job, float row[FEATURES])
{
    char text[512];
    size_t size;
    const char *line = mls_job_payload(job, &size);
    snprintf(text, sizeof text, "%.*s", (int) size, line);
    char *at = text, *end;
    for (int i = 0; i < FEATURES; i++, at = end + 1) {
        row[i] = strtof(at, &end);
        if (end == at || *end != (i < FEATURES - 1 ? ',' : '\0'))
            return false;
    }
    return true;
}

/* One run of the model. When that fails, halves of the batch are tried: a bad line fails alone. */
static mls_status score_batch(void *user, mls_job *const *jobs, size_t count)
{
    pipeline *p = user;
    float rows[BATCH][FEATURES];
    for (size_t i = 0; i < count; i++)
        if (!parse_row(jobs[i], rows[i]))
            return MLS_EINVAL;
    mls_status status = mls_session_set_dim(p->session, "batch", (int64_t) count);
    if (!status)
        status = mls_session_bind_input_data(p->session, 0, rows, count * sizeof rows[0]);
    status = status ? status : mls_session_run(p->session);
    const float *scores = mls_session_output_data(p->session, 0);
    for (size_t i = 0; !status && i < count; i++)
        status = mls_job_set_result(jobs[i], &scores[i], sizeof scores[i]);
    return status;
}

/* Runs when all "score" jobs have ended, well or not. */
static mls_status report(void *user, mls_job *job)
{
    pipeline *p = user;
    size_t scored = 0;
    double sum = 0;
    for (size_t i = 0; i < p->count; i++) {
        mls_job *row = NULL;
        const void *score;
        if (!mls_queue_get(p->queue, p->ids[i], &row) && !mls_job_result(row, &score, NULL)) {
            sum += *(const float *) score;
            scored++;
        }
        mls_job_free(row);
    }
    printf("%zu of %zu rows scored, mean log variance %.4f\n", scored, p->count,
           scored ? sum / (double) scored : 0);
    p->is_over = true;
    return mls_job_set_result(job, &sum, sizeof sum);
}

/* Whether that failed: the library's message says why. */
static bool start_worker(pipeline *p)
{
    mls_worker_options options = MLS_WORKER_OPTIONS_INIT;
    mls_handler scorer = MLS_HANDLER_INIT, reporter = MLS_HANDLER_INIT;
    options.flags = MLS_WORKER_POLLED;
    scorer.type = "score";
    reporter.type = "report";
    scorer.user = reporter.user = p;
    scorer.run_batch = score_batch;
    scorer.batch_max = BATCH;
    scorer.batch_wait_ms = 2;
    reporter.run = report;
    return mls_worker_create(p->queue, &options, &p->worker) ||
           mls_worker_add_handler(p->worker, &scorer) ||
           mls_worker_add_handler(p->worker, &reporter) || mls_worker_start(p->worker);
}

/* A job for one more line, or, behind the last, the one that waits for all of them. */
static mls_status submit_next(pipeline *p)
{
    char line[512];
    mls_job_options job = MLS_JOB_OPTIONS_INIT;
    p->is_read = p->count == MOST_ROWS || !fgets(line, sizeof line, stdin);
    job.type = p->is_read ? "report" : "score";
    job.payload = line;
    job.payload_bytes = p->is_read ? 0 : strcspn(line, "\n");
    job.flags = MLS_JOB_DEPENDS_ANY_END;
    job.depends_on = p->ids;
    job.depends_on_count = p->is_read ? p->count : 0;
    return mls_queue_submit(p->queue, &job, p->is_read ? NULL : &p->ids[p->count++]);
}

static mls_status run_loop(pipeline *p)
{
    struct pollfd fds[2] = {{STDIN_FILENO, POLLIN, 0}, {-1, POLLIN, 0}};
    mls_status status = mls_worker_fd(p->worker, &fds[1].fd);
    setvbuf(stdin, NULL, _IONBF, 0); /* poll() must see what was not read */
    while (!status && !p->is_over && poll(fds, 2, -1) > 0) {
        if (fds[1].revents)
            status = mls_worker_poll(p->worker, 0, 1000, NULL);
        if (!status && fds[0].revents)
            status = submit_next(p);
        fds[0].fd = p->is_read ? -1 : STDIN_FILENO;
    }
    return status;
}

int main(int argc, char **argv)
{
    static pipeline p;
    mls_context *context = NULL;
    mls_model *model = NULL;
    const int failed = mls_context_create(NULL, &context) ||
                       mls_model_load(context, argc > 1 ? argv[1] : "model.onnx", NULL, &model) ||
                       mls_session_create(model, NULL, &p.session) ||
                       mls_queue_open(context, argc > 2 ? argv[2] : "memory:", NULL, &p.queue) ||
                       start_worker(&p) || run_loop(&p);
    if (failed)
        fprintf(stderr, "%s\n", mls_error_message());
    mls_worker_free(p.worker);
    mls_queue_close(p.queue);
    mls_session_free(p.session);
    mls_model_free(model);
    mls_context_free(context);
    return failed;
}
