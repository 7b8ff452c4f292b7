/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every model that lies about can be looked at: those of ../shared/data (or
 * MLS_TEST_DATA) and of Debian's libonnx-testdata. What is not there is skipped.
 */
#include "support/test.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEBIAN_DATA "/usr/share/libonnx-testdata"

static mls_context *context;
static size_t loaded;

/* Models that are wrong, and what is to be said of them. */
static const struct expected {
    const char *path, *words;
    mls_status status;
} expected[] = {
    {"tiny_gpt2_beamsearch_contrib.onnx", "does not import an opset of its domain 'com.microsoft'",
     MLS_EFORMAT},
};

static const struct expected *find_expected(const char *path)
{
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        if (strstr(path, expected[i].path))
            return &expected[i];
    return NULL;
}

static void check_numbers(const mls_model *model, const char *path)
{
    ck_assert_msg(mls_model_opset_count(model) > 0, "%s: no opset", path);
    ck_assert_msg(mls_model_output_count(model) > 0, "%s: no output", path);
    for (size_t i = 0; i < mls_model_input_count(model); i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        ck_assert_ok(mls_model_input(model, i, &value));
        ck_assert_msg(value.name[0] != '\0', "%s: input %zu has no name", path, i);
    }
    for (size_t i = 0; i < mls_model_unsupported_count(model); i++) {
        const char *op, *node, *reason;
        ck_assert_ok(mls_model_unsupported(model, i, &op, &node, &reason));
        ck_assert_msg(op[0] && reason[0], "%s: no reason", path);
    }
}

static int look_at(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void) info;
    (void) ftw;
    const char *dot = strrchr(path, '.');
    if (type != FTW_F || !dot || strcmp(dot, ".onnx") != 0)
        return 0;
    mls_model *model = NULL;
    mls_model_options options = MLS_MODEL_OPTIONS_INIT;
    options.flags = MLS_MODEL_ALLOW_UNSUPPORTED;
    const mls_status status = mls_model_load(context, path, &options, &model);
    const struct expected *e = find_expected(path);
    if (e) {
        ck_assert_int_eq(status, e->status);
        ck_assert_ptr_nonnull(strstr(mls_error_message(), e->words));
        return 0;
    }
    ck_assert_msg(status == MLS_OK, "%s", mls_error_message());
    check_numbers(model, path);
    mls_model_free(model);
    loaded++;
    return 0;
}

static void look_into(const char *directory)
{
    ck_assert_ok(mls_context_create(NULL, &context));
    loaded = 0;
    nftw(directory, look_at, 16, FTW_PHYS);
    mls_context_free(context);
    if (loaded)
        printf("# looked at %zu models in %s\n", loaded, directory);
    else
        printf("# skipped: there are no models in %s\n", directory);
}

START_TEST(shared_models)
{
    char directory[4096];
    const char *data = getenv("MLS_TEST_DATA"), *top = getenv("abs_top_srcdir");
    if (data)
        snprintf(directory, sizeof directory, "%s", data);
    else
        snprintf(directory, sizeof directory, "%s/../shared/data", top ? top : ".");
    look_into(directory);
}
END_TEST

START_TEST(debian_test_data)
{
    look_into(DEBIAN_DATA);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx/models");
    TCase *tests = tcase_create("models");
    tcase_add_test(tests, shared_models);
    tcase_add_test(tests, debian_test_data);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
