/* SPDX-License-Identifier: Apache-2.0 */
/* Weights in files beside the model: inside its directory, inside the file, and nowhere else. */
#include "support/onnx_build.h"
#include "support/test.h"

#include "graph/model.h"
#include "onnx/external.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_ENTRIES 4

static char folder[] = "/tmp/mls-test-external-XXXXXX";
static mls_context *context;
static onnx_build *b;
static mls_model *model;
static unsigned char weights[4096];

static char *path_of(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return onnx_build_text(b, path);
}

static void write_file(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(path_of(name), "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_ok(mls_context_create(NULL, &context));
    b = onnx_build_create(13);
    model = NULL;
    for (size_t i = 0; i < sizeof weights; i++)
        weights[i] = (unsigned char) (i * 11 + i / 256);
    write_file("w.bin", weights, sizeof weights);
    ck_assert_int_eq(mkdir(path_of("sub"), 0700), 0);
    write_file("sub/w.bin", weights, sizeof weights);
    ck_assert_int_eq(symlink("w.bin", path_of("link")), 0);
}

static void teardown(void)
{
    static const char *const names[] = {"link", "sub/w.bin", "w.bin", "model.onnx"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(path_of(names[i]));
    rmdir(path_of("sub"));
    rmdir(folder);
    mls_model_free(model);
    onnx_build_free(b);
    mls_context_free(context);
}

static void add_entry(mls__tensor_proto *proto, const char *key, const char *value)
{
    mls__entry_proto *entry = onnx_build_alloc(b, sizeof *entry);
    mls__onnx__string_string_entry_proto__init(entry);
    entry->key = onnx_build_text(b, key);
    entry->value = onnx_build_text(b, value);
    ck_assert_uint_lt(proto->n_external_data, MAX_ENTRIES);
    if (!proto->external_data)
        proto->external_data = onnx_build_alloc(b, MAX_ENTRIES * sizeof entry);
    proto->external_data[proto->n_external_data++] = entry;
}

/* An initializer "w" that is the model's only output. NULL entries are left out. */
static void begin(int32_t dtype, const char *shape, const char *location, const char *offset,
                  const char *length)
{
    mls__graph_proto *graph = onnx_build_model(b)->graph;
    graph->n_initializer = graph->n_output = 0;
    mls__tensor_proto *proto = onnx_build_raw(b, "w", dtype, shape, NULL, 0);
    proto->has_data_location = 1;
    proto->data_location = MLS__LOCATION_EXTERNAL;
    if (location)
        add_entry(proto, "location", location);
    if (offset)
        add_entry(proto, "offset", offset);
    if (length)
        add_entry(proto, "length", length);
    onnx_build_output(b, "w", dtype, NULL);
}

static mls_status load(void)
{
    size_t size;
    const uint8_t *bytes = onnx_build_bytes(b, &size);
    write_file("model.onnx", bytes, size);
    mls_model_free(model);
    model = NULL;
    return mls_model_load(context, path_of("model.onnx"), NULL, &model);
}

static const void *loaded_data(void)
{
    ck_assert_ok(load());
    const uint32_t output = mls__graph_output(&model->graph, 0);
    return mls_tensor_data(mls__graph_value(&model->graph, output)->constant);
}

START_TEST(reads_the_range)
{
    begin(MLS_FLOAT32, "2,3", "w.bin", "64", "24");
    ck_assert_mem_eq(loaded_data(), weights + 64, 24);
    begin(MLS_FLOAT32, "2,3", "w.bin", NULL, NULL);
    ck_assert_mem_eq(loaded_data(), weights, 24);
    begin(MLS_FLOAT32, "1024", "sub/w.bin", "0", "4096");
    ck_assert_mem_eq(loaded_data(), weights, sizeof weights);
    begin(MLS_FLOAT32, "0", "w.bin", "4096", "0");
    ck_assert_ptr_null(loaded_data());
}
END_TEST

START_TEST(odd_offsets_are_aligned)
{
    begin(MLS_INT64, "3", "w.bin", "13", "24");
    const void *data = loaded_data();
    ck_assert_mem_eq(data, weights + 13, 24);
    ck_assert_uint_eq((uintptr_t) data % 8, 0);
}
END_TEST

START_TEST(packed_and_bool_are_unpacked)
{
    write_file("w.bin", "\x81\x02", 2);
    begin(MLS_INT4, "3", "w.bin", NULL, NULL);
    ck_assert_mem_eq(loaded_data(), ((int8_t[]){1, -8, 2}), 3);
    begin(MLS_BOOL, "2", "w.bin", NULL, NULL);
    ck_assert_mem_eq(loaded_data(), "\1\1", 2);
}
END_TEST

START_TEST(mapped_weights_outlive_their_file)
{
    begin(MLS_FLOAT32, "1024", "w.bin", NULL, NULL);
    const void *data = loaded_data();
    unlink(path_of("w.bin"));
    ck_assert_mem_eq(data, weights, sizeof weights);
}
END_TEST

START_TEST(paths_stay_inside)
{
    static const char *const bad[] = {
        "/etc/passwd", "../w.bin", "sub/../w.bin", "sub/../../x", "..", "link", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        begin(MLS_FLOAT32, "1", bad[i], NULL, NULL);
        ck_assert_fails(load(), MLS_EFORMAT, "tensor 'w'");
    }
    begin(MLS_FLOAT32, "1", path_of("w.bin"), NULL, NULL);
    ck_assert_fails(load(), MLS_EFORMAT, "not a relative path");
    begin(MLS_FLOAT32, "1", "none.bin", NULL, NULL);
    ck_assert_fails(load(), MLS_ENOTFOUND, "none.bin");
    begin(MLS_FLOAT32, "1", "sub", NULL, NULL);
    ck_assert_fails(load(), MLS_EINVAL, "regular file");
}
END_TEST

START_TEST(ranges_stay_inside)
{
    static const struct {
        const char *shape, *offset, *length, *words;
    } cases[] = {
        {"2", "4092", NULL, "past its end at 4096"},
        {"2", "4096", NULL, "past its end"},
        {"2", "18446744073709551615", NULL, "past its end"},
        {"0", "4097", NULL, "past its end"},
        {"2", "18446744073709551616", NULL, "is not a number"},
        {"2", "99999999999999999999999", NULL, "is not a number"},
        {"2", "-4", NULL, "is not a number"},
        {"2", "0x10", NULL, "is not a number"},
        {"2", "", NULL, "offset is empty"},
        {"2", "0", "7", "length is 7, the dims make 8"},
        {"2", "0", "4096", "length is 4096"},
        {"1000000000000", NULL, NULL, "past its end"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(MLS_FLOAT32, cases[i].shape, "w.bin", cases[i].offset, cases[i].length);
        ck_assert_fails(load(), MLS_EFORMAT, cases[i].words);
    }
    begin(MLS_FLOAT32, "1", NULL, "0", NULL);
    ck_assert_fails(load(), MLS_EFORMAT, "no entry 'location'");
    begin(MLS_STRING, "1", "w.bin", "0", NULL);
    ck_assert_fails(load(), MLS_EFORMAT, "string_data");
}
END_TEST

START_TEST(models_in_memory_need_a_directory)
{
    begin(MLS_FLOAT32, "6", "w.bin", NULL, NULL);
    size_t size;
    const uint8_t *bytes = onnx_build_bytes(b, &size);
    ck_assert_fails(mls_model_load_memory(context, bytes, size, NULL, &model), MLS_EFORMAT,
                    "give external_data_dir");
    mls_model_options options = MLS_MODEL_OPTIONS_INIT;
    options.external_data_dir = folder;
    ck_assert_ok(mls_model_load_memory(context, bytes, size, &options, &model));
}
END_TEST

static mls_status load_in(mls_context *limited, void *arg)
{
    mls_model *loaded;
    const mls_status status = mls_model_load(limited, arg, NULL, &loaded);
    if (status == MLS_OK)
        mls_model_free(loaded);
    return status;
}

/* The struct lies on stacks: whatever was there before must not say how tensors are read. */
START_TEST(starts_from_any_memory)
{
    mls__external external;
    memset(&external, 1, sizeof external);
    mls__external_init(&external, context, "here");
    ck_assert(!external.is_read_again);
    ck_assert_str_eq(external.directory, "here");
    ck_assert_uint_eq(external.files.count, 0);
    mls__external_clear(&external);
}
END_TEST

START_TEST(every_allocation_refused)
{
    begin(MLS_FLOAT32, "6", "w.bin", NULL, NULL);
    ck_assert_ok(load());
    mls_test_each_allocation(load_in, path_of("model.onnx"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx/external");
    TCase *tests = tcase_create("external");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, reads_the_range);
    tcase_add_test(tests, odd_offsets_are_aligned);
    tcase_add_test(tests, packed_and_bool_are_unpacked);
    tcase_add_test(tests, mapped_weights_outlive_their_file);
    tcase_add_test(tests, paths_stay_inside);
    tcase_add_test(tests, ranges_stay_inside);
    tcase_add_test(tests, models_in_memory_need_a_directory);
    tcase_add_test(tests, starts_from_any_memory);
    tcase_add_test(tests, every_allocation_refused);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
