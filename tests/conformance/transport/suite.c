/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the parts of the suite together for one transport. */
#include "conformance/transport/suite.h"

#include <pthread.h>

mls_context *the_context;
const char *the_url;

static void (*prepare)(mls_context *context);

static void setup(void)
{
    ck_assert_ok(mls_context_create(NULL, &the_context));
    if (prepare)
        prepare(the_context);
}

static void teardown(void)
{
    mls_context_free(the_context);
}

int conformance_transport_run(const char *name, const char *url,
                              void (*on_context)(mls_context *context))
{
    static const struct {
        const char *name;
        void (*add)(TCase *tests);
    } parts[] = {
        {"reductions", conformance_add_reductions}, {"moves", conformance_add_moves},
        {"failures", conformance_add_failures},     {"handles", conformance_add_handles},
        {"regroup", conformance_add_regroup},
    };
    the_url = url;
    prepare = on_context;
    Suite *suite = suite_create(name);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        TCase *tests = tcase_create(parts[i].name);
        tcase_set_timeout(tests, 120);
        tcase_add_checked_fixture(tests, setup, teardown);
        parts[i].add(tests);
        suite_add_tcase(suite, tests);
    }
    return mls_test_run(suite);
}

typedef struct started {
    pthread_t thread;
    ranked rank;
    const mls_group_options *options;
    void (*body)(ranked *rank);
} started;

static void *run_rank(void *arg)
{
    started *s = arg;
    ck_assert_ok(mls_group_create(the_context, the_url, s->rank.rank, s->rank.size, s->options,
                                  &s->rank.group));
    s->body(&s->rank);
    mls_group_free(s->rank.group);
    return NULL;
}

void conformance_ranks(uint32_t size, const mls_group_options *options, void (*body)(ranked *rank),
                       const void *arg)
{
    started ranks[8];
    for (uint32_t i = 0; i < size; i++) {
        ranks[i] = (started){.rank = {NULL, i, size, arg}, .options = options, .body = body};
        ck_assert_int_eq(pthread_create(&ranks[i].thread, NULL, run_rank, &ranks[i]), 0);
    }
    for (uint32_t i = 0; i < size; i++)
        pthread_join(ranks[i].thread, NULL);
}

mls_group_call conformance_call(const char *name, int64_t timeout_ms)
{
    mls_group_call call = MLS_GROUP_CALL_INIT;
    call.name = name;
    call.timeout_ms = timeout_ms;
    return call;
}

mls_tensor *conformance_tensor(mls_dtype dtype, int64_t count)
{
    mls_tensor *tensor;
    ck_assert_ok(mls_tensor_create(the_context, dtype, 1, &count, &tensor));
    return tensor;
}

mls_tensor *conformance_view(mls_dtype dtype, int64_t count, void *data)
{
    mls_tensor *tensor;
    ck_assert_ok(mls_tensor_wrap(the_context, dtype, 1, &count, NULL, data, NULL, NULL, &tensor));
    return tensor;
}
