/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The payloads of two jobs that are runs of a model, parted by the first byte 0: each is run alone,
 * then both as the rows of one run. They end the same way, with a result or with what is wrong.
 * The byte before them chooses the dtype.
 */
#include "fuzz/fuzz.h"
#include "job_types/score.h"
#include "support/onnx_build.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS = 2 };

static const int32_t dtypes[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_INT64, MLS_INT32, MLS_BOOL};
#define DTYPES (sizeof dtypes / sizeof dtypes[0])

static mls_context *context;
static mls_queue *queue;
static mls_claimer *claimer;
static mls__type types[DTYPES];
static void *slots[DTYPES];

static void must(bool is_true)
{
    if (!is_true)
        abort();
}

/* x: rows of two, k: one number a row. */
static mls_model *make_model(int32_t dtype)
{
    mls_model *model;
    onnx_build *build = onnx_build_create(13);
    onnx_build_input(build, "x", dtype, "N,2");
    onnx_build_input(build, "k", MLS_INT64, "N");
    onnx_build_node(build, "Identity", "x", "y");
    onnx_build_node(build, "Identity", "k", "l");
    onnx_build_output(build, "y", dtype, "N,2");
    onnx_build_output(build, "l", MLS_INT64, "N");
    must(onnx_build_load(build, context, 0, &model) == MLS_OK);
    onnx_build_free(build);
    return model;
}

static void open_all(void)
{
    must(mls_context_create(NULL, &context) == MLS_OK);
    must(mls_queue_open(context, "memory:", NULL, &queue) == MLS_OK);
    must(mls_claimer_open(queue, NULL, &claimer) == MLS_OK);
    for (size_t i = 0; i < DTYPES; i++) {
        types[i] = (mls__type){.name = "t", .context = context, .batch.size = JOBS};
        types[i].limits.time_ms = 60000;
        types[i].loaded = make_model(dtypes[i]);
        must(mls__score_check_rows(types[i].loaded) == MLS_OK);
        must(mls__type_open_model(&types[i], 0, &slots[i]) == MLS_OK);
    }
}

typedef struct payload {
    const uint8_t *data;
    size_t size;
} payload;

static void claim(const payload *payloads, mls_job *jobs[JOBS])
{
    size_t count;
    for (size_t i = 0; i < JOBS; i++) {
        mls_job_options options = MLS_JOB_OPTIONS_INIT;
        options.type = "t";
        options.ack = MLS_ACK_RAM;
        options.payload = payloads[i].data;
        options.payload_bytes = payloads[i].size;
        must(mls_queue_submit(queue, &options, NULL) == MLS_OK);
        must(mls_claimer_claim(claimer, 0, 1, &jobs[i], &count) == MLS_OK);
    }
}

/* Completes what has not failed. The result, which is JSON, or the error, as text to be freed. */
static char *end_of(mls_job *job)
{
    const uint64_t id = mls_job_id(job);
    const void *data;
    size_t size;
    mls_job *ended;
    const mls_status status = mls_job_complete(job);
    must(status == MLS_OK || status == MLS_ESTATE);
    mls_job_free(job);
    must(mls_queue_get(queue, id, &ended) == MLS_OK);
    char *text;
    if (mls_job_result(ended, &data, &size) == MLS_OK) {
        json_t *result = json_loadb(data, size, 0, NULL);
        must(json_is_object(result));
        json_decref(result);
        text = strndup(data, size);
    } else {
        must(mls_job_state(ended) == MLS_JOB_DEAD);
        text = strdup(mls_error_message());
    }
    must(text && *text);
    mls_job_free(ended);
    must(mls_queue_forget(queue, id) == MLS_OK);
    return text;
}

static void run_all(size_t which, const payload *payloads)
{
    mls_job *alone[JOBS], *joined[JOBS];
    claim(payloads, alone);
    for (size_t i = 0; i < JOBS; i++)
        mls__type_run_model(slots[which], alone[i]);
    claim(payloads, joined);
    mls__type_run_joined(slots[which], joined, JOBS);
    for (size_t i = 0; i < JOBS; i++) {
        char *a = end_of(alone[i]), *b = end_of(joined[i]);
        must(strcmp(a, b) == 0 || strstr(a, "job ") != NULL);
        free(a);
        free(b);
    }
}

/* The first is ended by a byte 0, which is no part of JSON, or by the end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!context)
        open_all();
    if (size < 1)
        return 0;
    const uint8_t *rest = data + 1, *zero = memchr(rest, 0, size - 1);
    const size_t first = zero ? (size_t) (zero - rest) : size - 1;
    const payload payloads[JOBS] = {{rest, first},
                                    {zero ? zero + 1 : rest, zero ? size - 2 - first : first}};
    run_all(data[0] % DTYPES, payloads);
    return 0;
}
