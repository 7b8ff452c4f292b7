/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mlscale score: a model over all rows of a file, through a job queue.
 *
 * The main thread reads chunks of rows, submits each as a job, and writes the results
 * in the order in which it submitted them; a bounded window of jobs keeps memory
 * constant. A worker's slots score (scorer.h), each with a session of its own.
 */
#include "commands.h"
#include "common.h"
#include "histogram.h"
#include "score_run.h"
#include "scorer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const option_spec options[] = {
    {"input", "FILE",
     "rows to score: .csv (with or without a line of names), .npy,\nor - for CSV on standard "
     "input"},
    {"output", "FILE", "where the scores go: .csv or .npy (default: CSV on standard\noutput)"},
    {"columns", "A,B,C",
     "the columns that the model takes, in its order: names, or\n"
     "numbers from 1 for a file without names (default: all)"},
    {"workers", "N", "threads that score (default 1)"},
    {"batch", "N", "rows in a job (default 256)"},
    {"queue", "URL",
     "keep the jobs in a queue that stays, such as sqlite:PATH:\n"
     "killed and started again, the command goes on where it was"},
    SESSION_NUMERICS,
    {"skip-bad-rows", NULL, "skip and count rows that are wrong instead of stopping"},
    {"empty-as-nan", NULL, "read an empty field of a float column as a missing value"},
    {"quiet", NULL, "no progress and no report"},
    {"json", NULL, "the report as JSON, and no progress"},
    {NULL, NULL, NULL},
};

typedef struct report {
    int64_t rows;
    int64_t found;      /* of these: an earlier start of the run scored them */
    int64_t started_ms; /* by the wall clock, as the times of jobs */
    uint64_t waiting_ns, running_ns, jobs;
    histogram running;
} report;

/* Jobs under way, the oldest first: a ring. */
typedef struct window {
    uint64_t *ids;
    row_chunk *where;
    size_t capacity, first, count;
} window;

typedef struct pipeline {
    scorer *scorer;
    row_source *source;
    score_sink *sink;
    mls_queue *queue;
    score_run *run; /* NULL: all is in memory */
    window window;
    report report;
    bool is_quiet, has_progress;
    uint64_t started_ns, shown_ns;
} pipeline;

static void show_progress(pipeline *p, bool is_last)
{
    const uint64_t now = now_ns();
    if (!p->has_progress || (!is_last && now - p->shown_ns < 100000000))
        return;
    p->shown_ns = now;
    const double seconds = (double) (now - p->started_ns) / 1e9;
    const double rate = seconds > 0 ? (double) p->report.rows / seconds : 0;
    const double done = is_last ? 1 : row_source_progress(p->source);
    char bar[31] = "";
    for (int i = 0; i < 30 && done >= 0; i++)
        bar[i] = i < (int) (done * 30) ? '#' : '.';
    fprintf(stderr, "\r%s %3.0f%%  %" PRId64 " rows  %.0f rows/s ", bar, done < 0 ? 0 : done * 100,
            p->report.rows, rate);
    if (is_last)
        fputc('\n', stderr);
}

static void note_job(report *r, const mls_job *job, int64_t rows)
{
    mls_job_info info = MLS_JOB_INFO_INIT;
    r->rows += rows;
    r->jobs++;
    if (mls_job_get_info(job, &info))
        return;
    r->found += info.ended_ms < r->started_ms ? rows : 0;
    r->waiting_ns += info.waiting_ns;
    r->running_ns += info.running_ns;
    histogram_add(&r->running, info.running_ns);
}

static bool write_result(pipeline *p, const mls_job *job, const row_chunk *where)
{
    const void *scores;
    size_t size;
    const size_t expected = scorer_result_bytes(p->scorer, where->count);
    if (mls_job_result(job, &scores, &size)) {
        failure("rows of lines %" PRIu64 " to %" PRIu64 " failed: %s", where->first_line,
                where->last_line, mls_error_message());
        return false;
    }
    if (size != expected) {
        failure("rows of lines %" PRIu64 " to %" PRIu64 ": the result of job %" PRIu64
                " has %zu bytes, but their scores have %zu: forget the job and start again",
                where->first_line, where->last_line, mls_job_id(job), size, expected);
        return false;
    }
    const bool good = score_sink_write(p->sink, scores, where->count);
    if (!p->run)
        scorer_free_strings(p->scorer, scores, where->count);
    note_job(&p->report, job, where->count);
    return good;
}

/* Waits for the oldest job and writes its scores. */
static bool finish_oldest(pipeline *p)
{
    window *w = &p->window;
    const uint64_t id = w->ids[w->first];
    const row_chunk where = w->where[w->first];
    mls_job *job;
    w->first = (w->first + 1) % w->capacity;
    w->count--;
    if (mls_queue_wait(p->queue, id, -1, &job)) {
        library_failure(NULL);
        return false;
    }
    const bool good = write_result(p, job, &where);
    /* A run's results are kept until its file is whole; what failed is tried again then. */
    if (!p->run || mls_job_state(job) != MLS_JOB_SUCCEEDED)
        mls_queue_forget(p->queue, id);
    mls_job_free(job);
    show_progress(p, false);
    return good;
}

static void free_payload(void *user, void *data, size_t size_bytes)
{
    (void) user;
    (void) size_bytes;
    free(data);
}

static bool submit_chunk(pipeline *p, chunk *payload, size_t bytes)
{
    window *w = &p->window;
    mls_job_options job = MLS_JOB_OPTIONS_INIT;
    job.type = SCORE_JOB;
    job.payload = payload;
    job.payload_bytes = bytes;
    job.payload_free = free_payload;
    const size_t at = (w->first + w->count) % w->capacity;
    w->where[at] = payload->where;
    if (p->run ? score_run_submit(p->run, p->queue, &job, &w->ids[at])
               : mls_queue_submit(p->queue, &job, &w->ids[at])) {
        library_failure(NULL);
        free(payload);
        return false;
    }
    w->count++;
    return true;
}

/* Reads and submits one chunk. false at an error; *ret_is_end at the end of the rows. */
static bool feed(pipeline *p, bool *ret_is_end)
{
    const scorer *s = p->scorer;
    const size_t bytes = scorer_chunk_bytes(s);
    chunk *payload = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!payload) {
        failure("out of memory: a job of %" PRId64 " rows takes %zu bytes", s->batch, bytes);
        return false;
    }
    if (p->run)
        memset(payload, 0, bytes); /* all of it is stored, a last chunk's unused end too */
    row_chunk where;
    const bool good = row_source_next(p->source, payload + 1, s->batch, &where);
    *ret_is_end = where.count < s->batch;
    payload->where = where;
    if (where.count == 0) {
        free(payload);
        return good;
    }
    /* At a bad row, those before it are still scored. */
    return submit_chunk(p, payload, bytes) && good;
}

static bool score_all(pipeline *p)
{
    bool good = true, is_end = false;
    while (good && !is_end) {
        if (p->window.count == p->window.capacity)
            good = finish_oldest(p);
        if (good)
            good = feed(p, &is_end);
    }
    while (p->window.count)
        good = finish_oldest(p) && good;
    return good;
}

static double rows_a_second(const report *r, double seconds)
{
    return seconds > 0 ? (double) (r->rows - r->found) / seconds : 0;
}

static void print_report(const pipeline *p, double seconds)
{
    const report *r = &p->report;
    const double jobs = r->jobs ? (double) r->jobs : 1;
    fprintf(stderr, "rows              %" PRId64 "\n", r->rows);
    if (r->found)
        fprintf(stderr, "rows found        %" PRId64 ", scored by an earlier start\n", r->found);
    fprintf(stderr, "rows per second   %.0f\n", rows_a_second(r, seconds));
    fprintf(stderr, "batches           %" PRIu64 " of up to %" PRId64 " rows\n", r->jobs,
            p->scorer->batch);
    fprintf(stderr, "time per batch    p50 %.1f us, p99 %.1f us\n",
            histogram_percentile(&r->running, 0.5) / 1e3,
            histogram_percentile(&r->running, 0.99) / 1e3);
    fprintf(stderr, "mean per batch    waiting %.1f us, running %.1f us\n",
            (double) r->waiting_ns / jobs / 1e3, (double) r->running_ns / jobs / 1e3);
    if (row_source_skipped(p->source))
        fprintf(stderr, "rows skipped      %" PRIu64 "\n", row_source_skipped(p->source));
}

/* On a line of its own. Times are of batches. */
static void print_report_json(const pipeline *p, double seconds)
{
    const report *r = &p->report;
    json_t *object = json_pack(
        "{s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:f, s:f, s:I, s:I}", "rows", (json_int_t) r->rows,
        "found", (json_int_t) r->found, "skipped", (json_int_t) row_source_skipped(p->source),
        "seconds", seconds, "rows_per_second", rows_a_second(r, seconds), "batches",
        (json_int_t) r->jobs, "batch_rows", (json_int_t) p->scorer->batch, "p50_ns",
        histogram_percentile(&r->running, 0.5), "p99_ns", histogram_percentile(&r->running, 0.99),
        "waiting_ns", (json_int_t) r->waiting_ns, "running_ns", (json_int_t) r->running_ns);
    json_dumpf(object, stderr, JSON_COMPACT);
    json_decref(object);
    fputc('\n', stderr);
}

static int run_pipeline(pipeline *p, const arguments *args)
{
    const bool is_json = arguments_has(args, "json");
    struct timespec wall;
    p->is_quiet = arguments_has(args, "quiet");
    p->has_progress = !p->is_quiet && !is_json && isatty(STDERR_FILENO);
    p->started_ns = now_ns();
    clock_gettime(CLOCK_REALTIME, &wall);
    p->report.started_ms = (int64_t) wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    bool good = score_all(p);
    show_progress(p, true);
    good = score_sink_close(p->sink) && good;
    p->sink = NULL;
    if (good && p->run)
        good = score_run_finish(p->run, p->queue);
    const double seconds = (double) (now_ns() - p->started_ns) / 1e9;
    if (!p->is_quiet)
        (is_json ? print_report_json : print_report)(p, seconds);
    return good ? EXIT_GOOD : EXIT_FAILED;
}

static int open_window(window *w, size_t capacity)
{
    w->capacity = capacity;
    w->ids = calloc(capacity, sizeof *w->ids);
    w->where = calloc(capacity, sizeof *w->where);
    return w->ids && w->where ? EXIT_GOOD : failure("out of memory");
}

/* A started worker over the pipeline's queue. */
static int start_worker(pipeline *p, const char *url, uint32_t slots, mls_worker **ret_worker)
{
    mls_worker *worker;
    mls_worker_options worker_options = MLS_WORKER_OPTIONS_INIT;
    mls_handler handler = scorer_handler(p->scorer);
    mls_queue_options queue_options = MLS_QUEUE_OPTIONS_INIT;
    worker_options.name = "mlscale score";
    worker_options.slots = slots;
    if (p->run) {
        handler.type = p->run->name;
        queue_options.require = MLS_QUEUE_CAN_SHARE | MLS_QUEUE_CAN_KEYS | MLS_QUEUE_CAN_LEASES |
                                MLS_QUEUE_CAN_DEADLINES;
    }
    if (mls_queue_open(p->scorer->context, url, &queue_options, &p->queue))
        return library_failure(NULL);
    if (mls_worker_create(p->queue, &worker_options, &worker))
        return library_failure(NULL);
    if (mls_worker_add_handler(worker, &handler) || mls_worker_start(worker)) {
        library_failure(NULL);
        mls_worker_free(worker);
        return EXIT_FAILED;
    }
    *ret_worker = worker;
    return EXIT_GOOD;
}

static int score_rows(const arguments *args, scorer *s, row_source *source, uint32_t workers,
                      score_run *run)
{
    pipeline p = {.scorer = s, .source = source, .run = run};
    const char *path = run ? run->path : arguments_get(args, "output");
    mls_worker *worker = NULL;
    int code = open_window(&p.window, 4 * (size_t) workers);
    if (!code)
        code = start_worker(&p, run ? arguments_get(args, "queue") : "memory:", workers, &worker);
    if (!code) {
        p.sink = score_sink_open(path, s->groups, s->group_count);
        code = p.sink ? run_pipeline(&p, args) : EXIT_FAILED;
    }
    mls_worker_free(worker);
    mls_queue_close(p.queue);
    free(p.window.ids);
    free(p.window.where);
    return code;
}

/* Strings of a result are of the process that made it. */
static int score_with_run(const arguments *args, scorer *s, row_source *source, uint32_t workers)
{
    score_run run;
    if (!arguments_has(args, "queue"))
        return score_rows(args, s, source, workers, NULL);
    for (size_t g = 0; g < s->group_count; g++)
        if (s->groups[g].dtype == MLS_STRING)
            return failure("output '%s' is of strings, which --queue does not keep: score without",
                           s->groups[g].name);
    int code = score_run_open(args, &run);
    if (code)
        return code;
    code = score_rows(args, s, source, workers, &run);
    score_run_close(&run);
    return code;
}

static int score_model(const arguments *args, scorer *s, uint32_t workers)
{
    const row_options row = {
        .columns = arguments_get(args, "columns"),
        .skip_bad = arguments_has(args, "skip-bad-rows"),
        .empty_is_nan = arguments_has(args, "empty-as-nan"),
    };
    if (!row_layout_read(s->model, &s->layout))
        return EXIT_FAILED;
    int code = EXIT_FAILED;
    if (scorer_read_groups(s)) {
        row_source *source =
            row_source_open(s->context, arguments_get(args, "input"), &s->layout, &row);
        if (source)
            code = score_with_run(args, s, source, workers);
        row_source_close(source);
    }
    free(s->groups);
    row_layout_free(&s->layout);
    return code;
}

static int score(const arguments *args)
{
    int64_t workers;
    scorer s = {.session_options = MLS_SESSION_OPTIONS_INIT};
    if (!arguments_has(args, "input"))
        return usage_error(args, "--input is missing");
    if (arguments_has(args, "queue") && strcmp(arguments_get(args, "input"), "-") == 0)
        return usage_error(args, "--queue needs a file for --input, which can be read again");
    if (!arguments_int(args, "workers", 1, MLS_SLOTS_MAX, 1, &workers) ||
        !arguments_int(args, "batch", 1, 1 << 24, 256, &s.batch) ||
        !session_options_read(args, &s.session_options))
        return EXIT_USAGE;
    int code = model_open(arguments_operand(args, 0), 0, &s.context, &s.model);
    if (code)
        return code;
    code = score_model(args, &s, (uint32_t) workers);
    model_close(s.context, s.model);
    return code;
}

const command command_score = {
    .name = "score",
    .operands = "MODEL",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "score the rows of a file with a model, through a job queue",
    .details =
        "The scores are in the order of the rows. Each input of the model takes its\n"
        "columns in turn. A bad row is reported with file, line and column; the rows\n"
        "before it are scored. The report goes to standard error. With --queue the file has\n"
        "its name when it is whole, and only chunks that were not scored yet are.",
    .options = options,
    .run = score,
};
