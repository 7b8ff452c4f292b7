/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broken files: every prefix, thousands of flipped bits, parts put in twice or taken
 * out, and every allocation refused. Always a clear error, or a model that holds
 * together; run under AddressSanitizer it also shows that no byte outside is read.
 */
#include "support/onnx_samples.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#define FLIPS 4000 /* for each sample */

static mls_context *context;

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &context));
}

static void teardown(void)
{
    mls_context_free(context);
}

/* xorshift64*: the same flips on every machine. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* Reads what a user would: nothing in a model may be out of its place. */
static size_t look_at(const mls_model *model)
{
    size_t seen = 0;
    mls_model_value value = MLS_MODEL_VALUE_INIT;
    const char *a, *b, *c;
    for (size_t i = 0; mls_model_input(model, i, &value) == MLS_OK; i++)
        for (int32_t k = 0; k < value.rank; k++)
            seen += (size_t) value.dims[k] + (value.dim_names[k] ? strlen(value.dim_names[k]) : 0);
    for (size_t i = 0; mls_model_output(model, i, &value) == MLS_OK; i++)
        seen += strlen(value.name);
    for (size_t i = 0; mls_model_unsupported(model, i, &a, &b, &c) == MLS_OK; i++)
        seen += strlen(a) + strlen(b) + strlen(c);
    for (size_t i = 0; mls_model_metadata(model, i, &a, &b) == MLS_OK; i++)
        seen += strlen(a) + strlen(b);
    return seen;
}

/* Loads from a block of exactly that size, so that a sanitizer sees a byte too many. */
static mls_status try_bytes(const uint8_t *bytes, size_t size)
{
    mls_model *model;
    mls_model_options options = MLS_MODEL_OPTIONS_INIT;
    options.flags = MLS_MODEL_ALLOW_UNSUPPORTED;
    uint8_t *exact = malloc(size ? size : 1);
    ck_assert_ptr_nonnull(exact);
    memcpy(exact, bytes, size);
    const mls_status status = mls_model_load_memory(context, exact, size, &options, &model);
    free(exact);
    if (status == MLS_OK) {
        look_at(model);
        mls_model_free(model);
        return status;
    }
    const char *message = mls_error_message();
    ck_assert_msg(status == MLS_EFORMAT || status == MLS_ELIMIT, "%s: %s", mls_status_name(status),
                  message);
    ck_assert_msg(message[0] != '\0' && strlen(message) > 10, "too short: '%s'", message);
    return status;
}

START_TEST(samples_load)
{
    onnx_build *b = onnx_sample_build(&onnx_samples[_i]);
    size_t size;
    const uint8_t *bytes = onnx_build_bytes(b, &size);
    ck_assert_msg(try_bytes(bytes, size) == MLS_OK, "%s: %s", onnx_samples[_i].name,
                  mls_error_message());
    onnx_build_free(b);
}
END_TEST

START_TEST(every_prefix)
{
    onnx_build *b = onnx_sample_build(&onnx_samples[_i]);
    size_t size, failed = 0;
    const uint8_t *bytes = onnx_build_bytes(b, &size);
    for (size_t i = 0; i < size; i++)
        failed += try_bytes(bytes, i) != MLS_OK;
    /* All but those that end between two of the outermost fields. */
    ck_assert_uint_gt(failed, size * 9 / 10);
    onnx_build_free(b);
}
END_TEST

START_TEST(flipped_bits)
{
    onnx_build *b = onnx_sample_build(&onnx_samples[_i]);
    size_t size, failed = 0;
    const uint8_t *good = onnx_build_bytes(b, &size);
    uint8_t *bytes = onnx_build_alloc(b, size);
    uint64_t state = 88172645463325252u + (uint64_t) _i;
    for (int i = 0; i < FLIPS; i++) {
        memcpy(bytes, good, size);
        const uint64_t flips = 1 + next_random(&state) % 4;
        for (uint64_t k = 0; k < flips; k++)
            bytes[next_random(&state) % size] ^= (uint8_t) (1u << next_random(&state) % 8);
        failed += try_bytes(bytes, size) != MLS_OK;
    }
    ck_assert_uint_gt(failed, FLIPS / 10);
    ck_assert_uint_lt(failed, FLIPS);
    onnx_build_free(b);
}
END_TEST

START_TEST(moved_parts)
{
    onnx_build *b = onnx_sample_build(&onnx_samples[_i]);
    size_t size;
    const uint8_t *good = onnx_build_bytes(b, &size);
    uint8_t *bytes = onnx_build_alloc(b, 2 * size);
    uint64_t state = 1181783497276652981u + (uint64_t) _i;
    for (int i = 0; i < FLIPS / 4; i++) {
        const size_t from = next_random(&state) % size, to = next_random(&state) % size;
        const size_t length = next_random(&state) % (size - from) + 1;
        memcpy(bytes, good, to);
        memcpy(bytes + to, good + from, length);
        memcpy(bytes + to + length, good + to, size - to);
        try_bytes(bytes, size + length);
        memcpy(bytes, good, from);
        memcpy(bytes + from, good + from + length, size - from - length);
        try_bytes(bytes, size - length);
    }
    onnx_build_free(b);
}
END_TEST

static mls_status load_sample(mls_context *limited, void *arg)
{
    mls_model *model;
    mls_model_options options = MLS_MODEL_OPTIONS_INIT;
    options.flags = MLS_MODEL_ALLOW_UNSUPPORTED;
    size_t size;
    const uint8_t *bytes = onnx_build_bytes(arg, &size);
    const mls_status status = mls_model_load_memory(limited, bytes, size, &options, &model);
    if (status == MLS_OK)
        mls_model_free(model);
    return status;
}

START_TEST(every_allocation_refused)
{
    onnx_build *b = onnx_sample_build(&onnx_samples[_i]);
    mls_test_each_allocation(load_sample, b);
    onnx_build_free(b);
}
END_TEST

/* A file of a few bytes cannot make the reader take gigabytes or minutes. */
START_TEST(small_files_stay_cheap)
{
    static uint8_t bytes[1 << 20];
    /* A graph of nothing but empty nodes: each is refused as soon as it is read. */
    size_t size = 0;
    bytes[size++] = 0x08;
    bytes[size++] = 0x08;
    bytes[size++] = 0x3a;
    const size_t inner = sizeof bytes - 16;
    bytes[size++] = (uint8_t) (inner | 0x80);
    bytes[size++] = (uint8_t) (inner >> 7 | 0x80);
    bytes[size++] = (uint8_t) (inner >> 14);
    for (size_t i = 0; i < inner; i += 2)
        bytes[size + i] = 0x0a;
    const mls_status status = try_bytes(bytes, size + inner);
    ck_assert_int_eq(status, MLS_EFORMAT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx/bad_input");
    TCase *tests = tcase_create("bad_input");
    int samples = 0;
    while (onnx_samples[samples].name)
        samples++;
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, samples_load, 0, samples);
    tcase_add_loop_test(tests, every_prefix, 0, samples);
    tcase_add_loop_test(tests, flipped_bits, 0, samples);
    tcase_add_loop_test(tests, moved_parts, 0, samples);
    tcase_add_loop_test(tests, every_allocation_refused, 0, samples);
    tcase_add_test(tests, small_files_stay_cheap);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
