/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that are runs of a model: alone, and as the rows of one run. */
#include "job/fixture.h"
#include "support/folder.h"
#include "support/onnx_build.h"

#include <stdio.h>
#include <string.h>

static mls_queue *queue;
static mls_context *context;

static void setup(void)
{
    queue = fixture_queue("memory:");
    ck_assert_ok(mls_context_create(NULL, &context));
}

static void teardown(void)
{
    mls_queue_close(queue);
    mls_context_free(context);
}

static void save(onnx_build *b, const char *name)
{
    size_t size;
    const uint8_t *bytes = onnx_build_bytes(b, &size);
    FILE *file = fopen(mls_test_folder_path(name), "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    onnx_build_free(b);
}

/* Each row of the output is the sum of those up to it: so it tells which were in one run. */
static void save_sums(void)
{
    onnx_build *b = onnx_build_create(14);
    onnx_build_input(b, "x", MLS_FLOAT32, "N,M");
    onnx_build_ints(b, "axis", "", (int64_t[]){0});
    onnx_build_node(b, "CumSum", "x axis", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "N,M");
    save(b, "sums.onnx");
}

/* Of two inputs, of which rows of one are single numbers; rows that do not exist fail. */
static void save_table(void)
{
    onnx_build *b = onnx_build_create(14);
    onnx_build_input(b, "row", MLS_INT64, "N");
    onnx_build_input(b, "plus", MLS_FLOAT32, "?,2"); /* as many models have it */
    onnx_build_floats(b, "table", "2,2", (float[]){1, 2, 3, 4});
    onnx_build_node(b, "Gather", "table row", "picked");
    onnx_build_node(b, "Add", "picked plus", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "N,2");
    save(b, "table.onnx");
}

static mls_status start(const char *model, const char *run, mls_worker **ret_worker,
                        mls_job_types **ret_types)
{
    char text[500];
    snprintf(text, sizeof text,
             "job-types: [{name: m, handler: {score: %s}, batch: {size: 16, wait: 1m%s}}]",
             mls_test_folder_path(model), run);
    ck_assert_ok(mls_job_types_parse(context, "t.yaml", text, strlen(text), ret_types));
    ck_assert_ok(mls_worker_create(queue, NULL, ret_worker));
    return mls_worker_add_types(*ret_worker, *ret_types, NULL);
}

static uint64_t submit(const char *payload)
{
    mls_job_options options = fixture_options("m", payload);
    options.batch_key = "m";
    return fixture_submit(queue, &options);
}

/* All that is there, in one batch: a queue that is drained waits for no more. */
static void run_all(const char *model, const char *run)
{
    mls_job_types *types;
    mls_worker *worker;
    ck_assert_ok(start(model, run, &worker, &types));
    ck_assert_ok(mls_worker_start(worker));
    ck_assert_ok(mls_worker_stop(worker, MLS_WORKER_DRAIN, -1));
    mls_worker_free(worker);
    mls_job_types_free(types);
}

static void expect(uint64_t id, const char *result)
{
    const void *data;
    size_t size;
    mls_job *job = fixture_wait(queue, id);
    ck_assert_msg(mls_job_result(job, &data, &size) == MLS_OK, "%s: %s", result,
                  fixture_info(job).error_message);
    ck_assert_msg(size == strlen(result) && memcmp(data, result, size) == 0, "%.*s is not %s",
                  (int) size, (const char *) data, result);
    mls_job_free(job);
}

static void expect_failure(uint64_t id, const char *words)
{
    mls_job *job = fixture_wait(queue, id);
    const mls_job_info info = fixture_info(job);
    ck_assert_int_eq(info.state, MLS_JOB_DEAD);
    ck_assert_msg(strstr(info.error_message, words) != NULL, "'%s' lacks '%s'", info.error_message,
                  words);
    mls_job_free(job);
}

START_TEST(jobs_are_rows_of_one_run)
{
    save_sums();
    const uint64_t one = submit("{\"x\": [[1, 2]]}");
    const uint64_t uneven = submit("{\"x\": [[1], [1, 2]]}");
    const uint64_t two = submit("{\"x\": [[10, 20], [100, 200]]}");
    const uint64_t narrow = submit("{\"x\": [[5]]}");
    const uint64_t empty = submit("{\"x\": []}");
    const uint64_t last = submit("{\"x\": [[1000, 2000]]}");
    const uint64_t alike = submit("{\"x\": [[6]]}");
    run_all("sums.onnx", ", run: joined");
    expect(one, "{\"y\":[[1.0,2.0]]}");
    expect(two, "{\"y\":[[11.0,22.0],[111.0,222.0]]}");
    expect(last, "{\"y\":[[1111.0,2222.0]]}");
    expect(narrow, "{\"y\":[[5.0]]}");
    expect(alike, "{\"y\":[[11.0]]}");
    expect_failure(uneven, "lists of equal length");
    expect_failure(empty, "x");
}
END_TEST

START_TEST(unless_told_jobs_run_alone)
{
    static const char *const runs[] = {"", ", run: each"};
    save_sums();
    const uint64_t one = submit("{\"x\": [[1, 2]]}");
    const uint64_t two = submit("{\"x\": [[10, 20], [100, 200]]}");
    run_all("sums.onnx", runs[_i]);
    expect(one, "{\"y\":[[1.0,2.0]]}");
    expect(two, "{\"y\":[[10.0,20.0],[110.0,220.0]]}");
}
END_TEST

/* What one has wrong with it is told of that one. */
START_TEST(a_run_that_fails_fails_only_who_is_wrong)
{
    save_table();
    const uint64_t one = submit("{\"row\": [0], \"plus\": [[10, 10]]}");
    const uint64_t wrong = submit("{\"row\": [7], \"plus\": [[10, 10]]}");
    const uint64_t uneven = submit("{\"row\": [0, 1], \"plus\": [[10, 10]]}");
    const uint64_t two = submit("{\"row\": [1, 0], \"plus\": [[20, 20], [30, 30]]}");
    run_all("table.onnx", ", run: joined");
    expect(one, "{\"y\":[[11.0,12.0]]}");
    expect(two, "{\"y\":[[23.0,24.0],[31.0,32.0]]}");
    expect_failure(wrong, "7");
    mls_job_free(fixture_wait(queue, uneven)); /* alone: what the model makes of it */
}
END_TEST

START_TEST(models_must_have_rows)
{
    mls_job_types *types;
    mls_worker *worker;
    onnx_build *b = onnx_build_create(13);
    onnx_build_input(b, "x", MLS_FLOAT32, "N,M");
    onnx_node *sum = onnx_build_node(b, "ReduceSum", "x", "y");
    onnx_node_int(sum, "keepdims", 0);
    onnx_build_output(b, "y", MLS_FLOAT32, "");
    save(b, "sum.onnx");
    ck_assert_fails(start("sum.onnx", ", run: joined", &worker, &types), MLS_EINVAL,
                    "that of 'y' is not 'N'");
    ck_assert_ptr_nonnull(strstr(mls_error_message(), "t.yaml:1:"));
    mls_worker_free(worker);
    mls_job_types_free(types);
    b = onnx_build_create(13);
    onnx_build_input(b, "x", MLS_FLOAT32, "4");
    onnx_build_node(b, "Relu", "x", "y");
    onnx_build_output(b, "y", MLS_FLOAT32, "4");
    save(b, "fixed.onnx");
    ck_assert_fails(start("fixed.onnx", ", run: joined", &worker, &types), MLS_EINVAL,
                    "that of 'x' is not");
    mls_worker_free(worker);
    mls_job_types_free(types);
}
END_TEST

/* The place is that of the input's name in the file. */
START_TEST(inputs_are_those_of_the_model)
{
    mls_job_types *types;
    mls_worker *worker;
    char text[500], place[100];
    save_sums();
    const int column =
        snprintf(text, sizeof text, "job-types: [{name: m, handler: {score: %s, inputs: {",
                 mls_test_folder_path("sums.onnx"));
    snprintf(text + column, sizeof text - (size_t) column, "x: a, z: b}}}]");
    snprintf(place, sizeof place, "t.yaml:1:%d: type 'm': the model has no input 'z'",
             column + (int) strlen("x: a, ") + 1);
    ck_assert_ok(mls_job_types_parse(context, "t.yaml", text, strlen(text), &types));
    ck_assert_ok(mls_worker_create(queue, NULL, &worker));
    ck_assert_fails(mls_worker_add_types(worker, types, NULL), MLS_EINVAL, place);
    mls_worker_free(worker);
    mls_job_types_free(types);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("job_types/score");
    TCase *tests = tcase_create("score");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, jobs_are_rows_of_one_run);
    tcase_add_loop_test(tests, unless_told_jobs_run_alone, 0, 2);
    tcase_add_test(tests, a_run_that_fails_fails_only_who_is_wrong);
    tcase_add_test(tests, models_must_have_rows);
    tcase_add_test(tests, inputs_are_those_of_the_model);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
