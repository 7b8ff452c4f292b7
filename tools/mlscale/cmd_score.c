/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mlscale score: a model over all rows of a file, through a job queue.
 *
 * The main thread reads chunks of rows, submits each as a job, and writes the results
 * in the order in which it submitted them; a bounded window of jobs keeps memory
 * constant. A worker's slots score, each with a session of its own.
 */
#include "commands.h"
#include "common.h"
#include "histogram.h"
#include "rows.h"
#include "scores.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOB_TYPE "score"

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
    {"skip-bad-rows", NULL, "skip and count rows that are wrong instead of stopping"},
    {"empty-as-nan", NULL, "read an empty field of a float column as a missing value"},
    {"quiet", NULL, "no progress and no report"},
    {NULL, NULL, NULL},
};

/* What all slots share; nobody writes to it while they run. */
typedef struct scorer {
    mls_context *context;
    mls_model *model;
    row_layout layout;
    score_group *groups;
    size_t group_count;
    int64_t batch; /* rows in a full chunk */
} scorer;

/* A job's payload: this, then the rows as row_source_next() laid them out. */
typedef struct chunk {
    row_chunk where;
    uint64_t padding[5]; /* rows begin at a multiple of 64 bytes */
} chunk;

typedef struct report {
    int64_t rows;
    uint64_t waiting_ns, running_ns, jobs;
    histogram running;
} report;

/* --- the slots --- */

/* The name by which a session knows the first dimension of an input; NULL if it is fixed. */
static const char *row_dimension(const mls_model *model, size_t input, char *text, size_t size)
{
    mls_model_value value = MLS_MODEL_VALUE_INIT;
    mls_model_input(model, input, &value);
    if (value.dims[0] >= 0)
        return NULL;
    if (value.dim_names[0])
        return value.dim_names[0];
    snprintf(text, size, "%s:0", value.name);
    return text;
}

static mls_status set_rows(const scorer *s, mls_session *session, int64_t rows)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < s->layout.group_count; i++) {
        char text[300];
        const char *name = row_dimension(s->model, i, text, sizeof text);
        if (name)
            status = mls_session_set_dim(session, name, rows);
    }
    return status;
}

/* What a slot keeps between jobs. */
typedef struct score_slot {
    const scorer *scorer;
    mls_session *session;
} score_slot;

static void slot_close(void *user, void *slot)
{
    score_slot *mine = slot;
    (void) user;
    mls_session_free(mine->session);
    free(mine);
}

static mls_status slot_open(void *user, uint32_t slot_index, void **ret_slot)
{
    const scorer *s = user;
    score_slot *slot = calloc(1, sizeof *slot);
    (void) slot_index;
    if (!slot)
        return MLS_ENOMEM;
    slot->scorer = s;
    mls_status status = mls_session_create(s->model, NULL, &slot->session);
    if (!status)
        status = set_rows(s, slot->session, s->layout.one_by_one ? 1 : s->batch);
    if (!status)
        status = mls_session_plan(slot->session);
    if (status) {
        slot_close(user, slot);
        return status;
    }
    *ret_slot = slot;
    return MLS_OK;
}

/* Bytes of one row of the scores, strings as mls_string. */
static size_t score_row_bytes(const scorer *s)
{
    size_t bytes = 0;
    for (size_t g = 0; g < s->group_count; g++)
        bytes += (size_t) s->groups[g].width * mls_dtype_size(s->groups[g].dtype);
    return bytes;
}

static mls_status bind_rows(const scorer *s, mls_session *session, const unsigned char *rows,
                            int64_t capacity, int64_t first, int64_t count)
{
    mls_status status = MLS_OK;
    for (size_t g = 0; !status && g < s->layout.group_count; g++) {
        const row_group *group = &s->layout.groups[g];
        const size_t row_bytes = (size_t) group->width * mls_dtype_size(group->dtype);
        status = mls_session_bind_input_data(
            session, g, rows + group->offset * (size_t) capacity + (size_t) first * row_bytes,
            (size_t) count * row_bytes);
    }
    return status;
}

/* The bytes of strings are the session's until its next run: copies, which main frees. */
static mls_status copy_strings(mls_string *target, const mls_string *source, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *bytes = malloc(source[i].size + 1);
        if (!bytes)
            return MLS_ENOMEM;
        if (source[i].size)
            memcpy(bytes, source[i].data, source[i].size);
        target[i] = (mls_string){bytes, source[i].size};
    }
    return MLS_OK;
}

/* Scores rows [first, first + count) of a chunk into the chunk's result. */
static mls_status score_part(const scorer *s, mls_session *session, const unsigned char *rows,
                             const row_chunk *where, int64_t first, int64_t count,
                             unsigned char *result)
{
    mls_status status = bind_rows(s, session, rows, s->batch, first, count);
    if (!status)
        status = mls_session_run(session);
    for (size_t g = 0; !status && g < s->group_count; g++) {
        const size_t row_bytes = (size_t) s->groups[g].width * mls_dtype_size(s->groups[g].dtype);
        const void *scores = mls_session_output_data(session, g);
        void *target = result + (size_t) first * row_bytes;
        if (s->groups[g].dtype == MLS_STRING)
            status = copy_strings(target, scores, (size_t) (count * s->groups[g].width));
        else
            memcpy(target, scores, (size_t) count * row_bytes);
        result += (size_t) where->count * row_bytes;
    }
    return status;
}

static mls_status run_chunk(void *slot, mls_job *job)
{
    const score_slot *mine = slot;
    const scorer *s = mine->scorer;
    const chunk *payload = mls_job_payload(job, NULL);
    const unsigned char *rows = (const unsigned char *) (payload + 1);
    const int64_t count = payload->where.count;
    const int64_t step = s->layout.one_by_one ? 1 : count;
    void *result;
    mls_status status = mls_job_alloc_result(job, score_row_bytes(s) * (size_t) count, &result);
    if (!status)
        status = set_rows(s, mine->session, step);
    for (int64_t first = 0; !status && first < count; first += step)
        status = score_part(s, mine->session, rows, &payload->where, first, step, result);
    return status;
}

/* --- the outputs --- */

static bool read_group(const scorer *s, mls_session *session, size_t index, score_group *group)
{
    const int64_t rows = s->layout.one_by_one ? 1 : s->batch;
    mls_model_value value = MLS_MODEL_VALUE_INIT;
    int rank;
    const int64_t *dims;
    mls_model_output(s->model, index, &value);
    if (mls_session_output_shape(session, index, &group->dtype, &rank, &dims)) {
        library_failure(NULL);
        return false;
    }
    group->name = value.name;
    group->width = 1;
    for (int i = 1; i < rank; i++)
        group->width *= dims[i];
    if (rank >= 1 && dims[0] == rows)
        return true;
    failure("output '%s' does not have a row for each row of the input; 'mlscale run' runs any "
            "model",
            value.name);
    return false;
}

/* The outputs' dtypes and widths, as a session for full chunks has them. */
static bool read_groups(scorer *s)
{
    void *slot;
    s->group_count = mls_model_output_count(s->model);
    s->groups = calloc(s->group_count + 1, sizeof *s->groups);
    if (!s->groups || slot_open(s, 0, &slot)) {
        library_failure(NULL);
        return false;
    }
    bool good = true;
    for (size_t g = 0; good && g < s->group_count; g++)
        good = read_group(s, ((score_slot *) slot)->session, g, &s->groups[g]);
    slot_close(s, slot);
    return good;
}

/* --- the main thread --- */

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

static void free_strings(const scorer *s, const void *scores, int64_t rows)
{
    const unsigned char *data = scores;
    for (size_t g = 0; g < s->group_count; g++) {
        const size_t count = (size_t) (rows * s->groups[g].width);
        const mls_string *strings = (const void *) data;
        for (size_t i = 0; s->groups[g].dtype == MLS_STRING && i < count; i++)
            free((void *) (uintptr_t) strings[i].data);
        data += count * mls_dtype_size(s->groups[g].dtype);
    }
}

static void note_job(report *r, const mls_job *job, int64_t rows)
{
    mls_job_info info = MLS_JOB_INFO_INIT;
    r->rows += rows;
    r->jobs++;
    if (mls_job_get_info(job, &info))
        return;
    r->waiting_ns += info.waiting_ns;
    r->running_ns += info.running_ns;
    histogram_add(&r->running, info.running_ns);
}

static bool write_result(pipeline *p, const mls_job *job, const row_chunk *where)
{
    const void *scores;
    if (mls_job_result(job, &scores, NULL)) {
        failure("rows of lines %" PRIu64 " to %" PRIu64 " failed: %s", where->first_line,
                where->last_line, mls_error_message());
        return false;
    }
    const bool good = score_sink_write(p->sink, scores, where->count);
    free_strings(p->scorer, scores, where->count);
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
    mls_job_free(job);
    mls_queue_forget(p->queue, id);
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
    job.type = JOB_TYPE;
    job.payload = payload;
    job.payload_bytes = bytes;
    job.payload_free = free_payload;
    const size_t at = (w->first + w->count) % w->capacity;
    w->where[at] = payload->where;
    if (mls_queue_submit(p->queue, &job, &w->ids[at])) {
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
    const size_t bytes = sizeof(chunk) + s->layout.row_bytes * (size_t) s->batch;
    chunk *payload = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!payload) {
        failure("out of memory: a job of %" PRId64 " rows takes %zu bytes", s->batch, bytes);
        return false;
    }
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

static void print_report(const pipeline *p)
{
    const report *r = &p->report;
    const double seconds = (double) (now_ns() - p->started_ns) / 1e9;
    const double jobs = r->jobs ? (double) r->jobs : 1;
    fprintf(stderr, "rows              %" PRId64 "\n", r->rows);
    fprintf(stderr, "rows per second   %.0f\n", seconds > 0 ? (double) r->rows / seconds : 0);
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

static int run_pipeline(pipeline *p, const arguments *args)
{
    p->is_quiet = arguments_has(args, "quiet");
    p->has_progress = !p->is_quiet && isatty(STDERR_FILENO);
    p->started_ns = now_ns();
    bool good = score_all(p);
    show_progress(p, true);
    good = score_sink_close(p->sink) && good;
    p->sink = NULL;
    if (!p->is_quiet)
        print_report(p);
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
static int start_worker(pipeline *p, uint32_t slots, mls_worker **ret_worker)
{
    mls_worker *worker;
    mls_worker_options worker_options = MLS_WORKER_OPTIONS_INIT;
    mls_handler handler = MLS_HANDLER_INIT;
    worker_options.name = "mlscale score";
    worker_options.slots = slots;
    handler.type = JOB_TYPE;
    handler.user = p->scorer;
    handler.slot_open = slot_open;
    handler.slot_close = slot_close;
    handler.run = run_chunk;
    if (mls_queue_open(p->scorer->context, "memory:", NULL, &p->queue))
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

static int score_rows(const arguments *args, scorer *s, row_source *source, uint32_t workers)
{
    pipeline p = {.scorer = s, .source = source};
    mls_worker *worker = NULL;
    int code = open_window(&p.window, 4 * (size_t) workers);
    if (!code)
        code = start_worker(&p, workers, &worker);
    if (!code) {
        p.sink = score_sink_open(arguments_get(args, "output"), s->groups, s->group_count);
        code = p.sink ? run_pipeline(&p, args) : EXIT_FAILED;
    }
    mls_worker_free(worker);
    mls_queue_close(p.queue);
    free(p.window.ids);
    free(p.window.where);
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
    if (read_groups(s)) {
        row_source *source =
            row_source_open(s->context, arguments_get(args, "input"), &s->layout, &row);
        if (source)
            code = score_rows(args, s, source, workers);
        row_source_close(source);
    }
    free(s->groups);
    row_layout_free(&s->layout);
    return code;
}

static int score(const arguments *args)
{
    int64_t workers;
    scorer s = {0};
    if (!arguments_has(args, "input"))
        return usage_error(args, "--input is missing");
    if (!arguments_int(args, "workers", 1, MLS_SLOTS_MAX, 1, &workers) ||
        !arguments_int(args, "batch", 1, 1 << 24, 256, &s.batch))
        return EXIT_USAGE;
    if (mls_context_create(NULL, &s.context))
        return library_failure(NULL);
    int code = EXIT_FAILED;
    if (mls_model_load(s.context, arguments_operand(args, 0), NULL, &s.model)) {
        library_failure(NULL);
    } else {
        code = score_model(args, &s, (uint32_t) workers);
        mls_model_free(s.model);
    }
    mls_context_free(s.context);
    return code;
}

const command command_score = {
    .name = "score",
    .operands = "MODEL",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "score the rows of a file with a model, through a job queue",
    .details = "The scores are in the order of the rows. Each input of the model takes its\n"
               "columns in turn. A bad row is reported with file, line and column; the rows\n"
               "before it are scored. The report goes to standard error.",
    .options = options,
    .run = score,
};
