/* SPDX-License-Identifier: Apache-2.0 */
/* mlscale bench: how long a run of a model takes, and where the time goes. */
#include "commands.h"
#include "common.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Latencies kept for percentiles; a longer run keeps the last ones. */
#define SAMPLES_MOST 1000000

static const option_spec options[] = {
    {"batch", "N", "set the first dynamic dimension of the first input to N\n(default 1)"},
    {"dim", "NAME=N", "set dynamic dimension NAME to N (default 1); may be\nrepeated"},
    {"input", "NAME=FILE", "read an input from an .npy or .pb file instead of random\nnumbers"},
    SESSION_THREADS,
    SESSION_NUMERICS,
    {"seconds", "S", "measure this long (default 2)"},
    {"json", NULL, "print JSON instead of text"},
    {NULL, NULL, NULL},
};

typedef struct report {
    uint64_t runs;
    double seconds;
    double p50_us, p99_us, p999_us;
    int64_t batch;
} report;

/* The same numbers every time: xorshift64 (Marsaglia, 2003). */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static mls_status fill_input(mls_session *session, size_t index)
{
    mls_dtype dtype;
    int rank;
    const int64_t *dims;
    const mls_status status = mls_session_input_shape(session, index, &dtype, &rank, &dims);
    if (status || dtype == MLS_STRING)
        return status;
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    unsigned char *data = mls_session_input_data(session, index);
    uint64_t state = 88172645463325252u + index;
    for (int64_t i = 0; data && i < count; i++) {
        const double unit = (double) (next_random(&state) >> 11) / 9007199254740992.0;
        if (dtype == MLS_FLOAT32)
            ((float *) (void *) data)[i] = (float) unit;
        else if (dtype == MLS_FLOAT64)
            ((double *) (void *) data)[i] = unit;
        /* Other types stay 0: small integers are often indices. */
    }
    return MLS_OK;
}

static int compare_u64(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

/* The smallest sample that at least the given share is not above. */
static double percentile_us(const uint64_t *sorted, size_t count, double share)
{
    size_t rank = (size_t) (share * (double) count);
    if (rank >= count)
        rank = count - 1;
    return (double) sorted[rank] / 1e3;
}

static int measure(mls_session *session, double seconds, report *ret_report)
{
    uint64_t *samples = malloc(SAMPLES_MOST * sizeof *samples);
    if (!samples)
        return failure("out of memory");
    for (int i = 0; i < 10; i++)
        if (mls_session_run(session)) {
            free(samples);
            return library_failure(NULL);
        }
    const uint64_t start = now_ns(), end = start + (uint64_t) (seconds * 1e9);
    uint64_t before = start, runs = 0;
    while (before < end || !runs) {
        if (mls_session_run(session)) {
            free(samples);
            return library_failure(NULL);
        }
        const uint64_t after = now_ns();
        samples[runs++ % SAMPLES_MOST] = after - before;
        before = after;
    }
    const size_t kept = runs < SAMPLES_MOST ? (size_t) runs : SAMPLES_MOST;
    qsort(samples, kept, sizeof *samples, compare_u64);
    ret_report->runs = runs;
    ret_report->seconds = (double) (before - start) / 1e9;
    ret_report->p50_us = percentile_us(samples, kept, 0.5);
    ret_report->p99_us = percentile_us(samples, kept, 0.99);
    ret_report->p999_us = percentile_us(samples, kept, 0.999);
    free(samples);
    return EXIT_GOOD;
}

/* Time by op, summed over steps, of a session that measures itself. */
typedef struct op_time {
    const char *op;
    uint64_t ns, steps;
} op_time;

static int compare_times(const void *a, const void *b)
{
    const op_time *x = a, *y = b;
    return (x->ns < y->ns) - (x->ns > y->ns);
}

static size_t sum_times(const mls_session *session, op_time *times)
{
    size_t count = 0;
    for (size_t i = 0; i < mls_session_step_count(session); i++) {
        mls_step_info info = MLS_STEP_INFO_INIT;
        size_t at = 0;
        if (mls_session_step_info(session, i, &info))
            continue;
        while (at < count && strcmp(times[at].op, info.op) != 0)
            at++;
        if (at == count)
            times[count++] = (op_time){info.op, 0, 0};
        times[at].ns += info.time_ns;
        times[at].steps++;
    }
    qsort(times, count, sizeof *times, compare_times);
    return count;
}

static void print_text(const report *r, const op_time *times, size_t count)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += times[i].ns;
    printf("batch %" PRId64 ", %" PRIu64 " runs in %.2f s\n", r->batch, r->runs, r->seconds);
    printf("p50 %.2f us   p99 %.2f us   p99.9 %.2f us   %.0f rows/s\n", r->p50_us, r->p99_us,
           r->p999_us, (double) r->runs * (double) r->batch / r->seconds);
    printf("\n%-28s %6s %7s\n", "op", "steps", "time");
    for (size_t i = 0; i < count; i++)
        printf("%-28s %6" PRIu64 " %6.1f%%\n", times[i].op, times[i].steps,
               total ? 100.0 * (double) times[i].ns / (double) total : 0.0);
}

static int print_report(const arguments *args, const report *r, const op_time *times, size_t count)
{
    if (!arguments_has(args, "json")) {
        print_text(r, times, count);
        return EXIT_GOOD;
    }
    json_t *ops = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(ops, json_pack("{s:s, s:I, s:I}", "op", times[i].op, "steps",
                                             (json_int_t) times[i].steps, "time_ns",
                                             (json_int_t) times[i].ns));
    return print_json(json_pack("{s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:o}", "batch",
                                (json_int_t) r->batch, "runs", (json_int_t) r->runs, "seconds",
                                r->seconds, "p50_us", r->p50_us, "p99_us", r->p99_us, "p99_9_us",
                                r->p999_us, "rows_per_second",
                                (double) r->runs * (double) r->batch / r->seconds, "ops", ops));
}

static int open_session(const arguments *args, mls_context *context, mls_model *model,
                        const dim_options *dims, uint64_t flags, mls_session **ret_session)
{
    mls_session *session;
    mls_session_options session_options = MLS_SESSION_OPTIONS_INIT;
    if (!session_options_read(args, &session_options))
        return EXIT_USAGE;
    session_options.flags = flags;
    session_options.dims = dims->dims;
    session_options.dim_count = dims->count;
    if (mls_session_create(model, &session_options, &session))
        return library_failure(NULL);
    int code = bind_inputs(args, context, model, session);
    if (!code && mls_session_plan(session))
        code = library_failure(NULL);
    for (size_t i = 0; !code && i < mls_model_input_count(model); i++)
        if (fill_input(session, i))
            code = library_failure(NULL);
    if (code)
        mls_session_free(session);
    else
        *ret_session = session;
    return code;
}

/* Runs with profiling on, for a tenth of the time, and prints everything. */
static int profile_and_print(const arguments *args, mls_context *context, mls_model *model,
                             const dim_options *dims, double seconds, const report *r)
{
    mls_session *session;
    report ignored;
    int code = open_session(args, context, model, dims, MLS_SESSION_PROFILE, &session);
    if (code)
        return code;
    op_time *times = NULL;
    code = measure(session, seconds / 10, &ignored);
    if (!code) {
        /* Not before: what control flow reaches is planned by the runs. */
        times = calloc(mls_session_step_count(session) + 1, sizeof *times);
        code = times ? EXIT_GOOD : failure("out of memory");
    }
    if (!code)
        code = print_report(args, r, times, sum_times(session, times));
    free(times);
    mls_session_free(session);
    return code;
}

/* The first dynamic dimension of the first input is what people call the batch. */
static int set_batch(const arguments *args, const mls_model *model, dim_options *dims,
                     int64_t *ret_batch)
{
    static char unnamed[320];
    mls_model_value value = MLS_MODEL_VALUE_INIT;
    if (!arguments_int(args, "batch", 0, INT32_MAX, 1, ret_batch))
        return EXIT_USAGE;
    if (!arguments_has(args, "batch"))
        return EXIT_GOOD;
    if (mls_model_input(model, 0, &value))
        return library_failure("--batch");
    for (int i = 0; i < value.rank; i++) {
        if (value.dims[i] >= 0)
            continue;
        snprintf(unnamed, sizeof unnamed, "%s:%d", value.name, i);
        dims->dims[dims->count++] =
            (mls_dim_value){value.dim_names[i] ? value.dim_names[i] : unnamed, *ret_batch};
        return EXIT_GOOD;
    }
    return failure("--batch: input '%s' has no dynamic dimension", value.name);
}

static int bench_model(const arguments *args, mls_context *context, mls_model *model,
                       dim_options *dims)
{
    report r = {0};
    double seconds;
    mls_session *session;
    if (!arguments_double(args, "seconds", 0.001, 2.0, &seconds))
        return EXIT_USAGE;
    int code = set_batch(args, model, dims, &r.batch);
    if (!code)
        code = open_session(args, context, model, dims, 0, &session);
    if (code)
        return code;
    code = measure(session, seconds, &r);
    mls_session_free(session);
    return code ? code : profile_and_print(args, context, model, dims, seconds, &r);
}

static int bench(const arguments *args)
{
    mls_context *context;
    mls_model *model;
    dim_options dims;
    if (!dim_options_read(args, 1, &dims))
        return EXIT_USAGE;
    int code = model_open(arguments_operand(args, 0), 0, &context, &model);
    if (!code) {
        code = bench_model(args, context, model, &dims);
        model_close(context, model);
    }
    dim_options_free(&dims);
    return code;
}

static const command *const groups[] = {&command_bench_group, NULL};

const command command_bench = {
    .name = "bench",
    .operands = "MODEL",
    .min_operands = 1,
    .max_operands = 1,
    .summary = "measure how long a run takes, and by op",
    .details = "Inputs are random numbers in [0, 1), zeros where a model wants integers.\n"
               "Steps in the body of a loop are there once, with the time of all iterations;\n"
               "If, Loop and Scan have the time that the steps of their bodies do not take.\n"
               "'mlscale bench group' measures collectives instead.",
    .options = options,
    .run = bench,
    .group = groups,
};
