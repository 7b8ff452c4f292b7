/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of a launched program, whole and malformed. */
#include "support/test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static const char *const variables[] = {
    "MLSCALE_RANK",        "MLSCALE_SIZE",         "MLSCALE_GROUP",
    "MLSCALE_GROUP_TOKEN", "OMPI_COMM_WORLD_RANK", "PMI_RANK",
    "SLURM_PROCID",        "OMPI_COMM_WORLD_SIZE", "PMI_SIZE",
    "SLURM_NTASKS",        "SLURM_STEP_NUM_TASKS",
};

static mls_context *context;

static void setup(void)
{
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
    ck_assert_ok(mls_context_create(NULL, &context));
}

static void teardown(void)
{
    mls_context_free(context);
}

/* NULL: not set. */
static void set(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

static void set_own(const char *rank, const char *size, const char *url, const char *token)
{
    set("MLSCALE_RANK", rank);
    set("MLSCALE_SIZE", size);
    set("MLSCALE_GROUP", url);
    set("MLSCALE_GROUP_TOKEN", token);
}

START_TEST(a_program_alone_is_a_group_of_one)
{
    mls_group *groups[2];
    set("SLURM_PROCID", "0"); /* a batch script has no tasks of a step */
    set("SLURM_NTASKS", "4");
    for (size_t i = 0; i < 2; i++)
        ck_assert_ok(mls_group_create_launched(context, NULL, &groups[i]));
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(mls_group_size(groups[i]), 1);
        ck_assert_ok(mls_group_barrier(groups[i], NULL, NULL));
        mls_group_free(groups[i]);
    }
}
END_TEST

/* As the environment's other rank, given by hand. */
static void *join_other(void *arg)
{
    mls_group *group;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    unsigned char token[32];
    for (unsigned i = 0; i < 32; i++)
        token[i] = (unsigned char) (0x11 * (i % 16));
    options.token = arg ? arg : token;
    options.token_bytes = arg ? strlen(arg) : sizeof token;
    options.timeout_ms = 60000;
    ck_assert_ok(mls_group_create(context, "inproc:launched", 0, 2, &options, &group));
    ck_assert_ok(mls_group_barrier(group, NULL, NULL));
    mls_group_free(group);
    return NULL;
}

START_TEST(rank_size_url_and_token_are_read)
{
    char own[] = "a token of the host's";
    set_own("1", "2", "inproc:launched", TOKEN);
    for (int given = 0; given < 2; given++) {
        mls_group *group;
        pthread_t thread;
        mls_group_options options = MLS_GROUP_OPTIONS_INIT;
        options.timeout_ms = 60000;
        options.token = given ? own : NULL;
        options.token_bytes = given ? strlen(own) : 0;
        pthread_create(&thread, NULL, join_other, given ? own : NULL);
        ck_assert_ok(mls_group_create_launched(context, &options, &group));
        ck_assert_uint_eq(mls_group_rank(group), 1);
        ck_assert_uint_eq(mls_group_size(group), 2);
        ck_assert_ok(mls_group_barrier(group, NULL, NULL));
        pthread_join(thread, NULL);
        mls_group_free(group);
    }
}
END_TEST

START_TEST(what_is_malformed_is_named)
{
    static const struct {
        const char *rank, *size, *url, *token, *words;
    } bad[] = {
        {"0", NULL, "inproc:a", NULL, "MLSCALE_GROUP is set and MLSCALE_SIZE is not"},
        {NULL, "1", NULL, NULL, "MLSCALE_SIZE is set and MLSCALE_GROUP is not"},
        {"", "1", "inproc:a", NULL, "MLSCALE_RANK is ''; it is a whole number from 0 to 1023"},
        {"-1", "1", "inproc:a", NULL, "MLSCALE_RANK is '-1'"},
        {" 0", "1", "inproc:a", NULL, "MLSCALE_RANK is ' 0'"},
        {"0x", "1", "inproc:a", NULL, "MLSCALE_RANK is '0x'"},
        {"0", "0", "inproc:a", NULL, "MLSCALE_SIZE is '0'; it is a whole number from 1 to 1024"},
        {"0", "1025", "inproc:a", NULL, "MLSCALE_SIZE is '1025'"},
        {"0", "18446744073709551617", "inproc:a", NULL, "MLSCALE_SIZE is '18446744073709551617'"},
        {"4", "4", "inproc:a", NULL, "MLSCALE_RANK is 4, and MLSCALE_SIZE 4; ranks are 0 to 3"},
        {"0", "1", "", NULL, "MLSCALE_GROUP is ''; it is a URL"},
        {"0", "1", "inproc", NULL, "MLSCALE_GROUP is 'inproc'"},
        {"0", "1", "inproc:a", "", "MLSCALE_GROUP_TOKEN is not what it should be"},
        {"0", "1", "inproc:a", "secret", "64 hexadecimal digits"},
        {"0", "1", "inproc:a", TOKEN "0", "64 hexadecimal digits"},
        {"0", "1", "inproc:a", "g0112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF",
         "64 hexadecimal"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        mls_group *group;
        set_own(bad[i].rank, bad[i].size, bad[i].url, bad[i].token);
        ck_assert_fails(mls_group_create_launched(context, NULL, &group), MLS_EINVAL, bad[i].words);
        ck_assert(!bad[i].token || !*bad[i].token ||
                  !strstr(mls_error_message(), bad[i].token)); /* it may be a secret */
    }
}
END_TEST

/* Those meet by MPI. Without that transport, the message says which one is wanted. */
START_TEST(launchers_of_mpi_are_known)
{
    static const char *const pairs[][2] = {
        {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
        {"PMI_RANK", "PMI_SIZE"},
        {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        mls_group *group;
        char words[128];
        set(pairs[i][0], "5");
        set(pairs[i][1], "5");
        snprintf(words, sizeof words, "%s is 5, and %s 5; ranks are 0 to 4", pairs[i][0],
                 pairs[i][1]);
        ck_assert_fails(mls_group_create_launched(context, NULL, &group), MLS_EINVAL, words);
        set(pairs[i][0], "two");
        snprintf(words, sizeof words, "%s is 'two'", pairs[i][0]);
        ck_assert_fails(mls_group_create_launched(context, NULL, &group), MLS_EINVAL, words);
        set_own("0", "1", "inproc:first", NULL); /* goes before */
        ck_assert_ok(mls_group_create_launched(context, NULL, &group));
        mls_group_free(group);
        set_own(NULL, NULL, NULL, NULL);
        set(pairs[i][0], NULL);
        set(pairs[i][1], NULL);
    }
}
END_TEST

START_TEST(arguments_are_checked)
{
    mls_group *group;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.timeout_ms = 0;
    ck_assert_fails(mls_group_create_launched(NULL, NULL, &group), MLS_EINVAL, "context");
    ck_assert_fails(mls_group_create_launched(context, NULL, NULL), MLS_EINVAL, "ret_group");
    ck_assert_fails(mls_group_create_launched(context, &options, &group), MLS_EINVAL, "timeout_ms");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group/launched");
    TCase *tests = mls_test_case(suite, "launched", setup, teardown);
    tcase_add_test(tests, a_program_alone_is_a_group_of_one);
    tcase_add_test(tests, rank_size_url_and_token_are_read);
    tcase_add_test(tests, what_is_malformed_is_named);
    tcase_add_test(tests, launchers_of_mpi_are_known);
    tcase_add_test(tests, arguments_are_checked);
    return mls_test_run(suite);
}
