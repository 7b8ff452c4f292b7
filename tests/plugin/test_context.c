/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: options, allocator, log sink, and that nothing is shared between two of them. */
#include "support/test.h"

#include "base/context.h"
#include "base/isa.h"

#include "config.h"

#include <stdlib.h>
#include <string.h>

START_TEST(defaults_will_do)
{
    mls_context *a, *b;
    mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
    ck_assert_uint_eq(options.size, sizeof options);
    ck_assert_ok(mls_context_create(NULL, &a));
    ck_assert_ok(mls_context_create(&options, &b));
    ck_assert_str_eq(mls_context_isa(a), mls_context_isa(b));
    ck_assert(mls__isa_is_supported(mls_context_isa(a)));
    mls_context_free(a);
    mls_context_free(b);
    mls_context_free(NULL);
    ck_assert_str_eq(mls_version(), PACKAGE_VERSION);
}
END_TEST

START_TEST(instruction_set_is_the_option)
{
    mls_context *context = NULL;
    mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
    setenv("MLS_ISA", "nonsense", 1);
    ck_assert_fails(mls_context_create(NULL, &context), MLS_EINVAL, "nonsense");
    options.isa = "portable";
    ck_assert_ok(mls_context_create(&options, &context));
    ck_assert_str_eq(mls_context_isa(context), "portable");
    mls_context_free(context);
    context = NULL;
    options.isa = "mmx";
    ck_assert_fails(mls_context_create(&options, &context), MLS_EINVAL, "'mmx'");
    ck_assert_ptr_null(context);
}
END_TEST

static void *refuse(void *user, size_t size, size_t alignment)
{
    (void) size;
    (void) alignment;
    ++*(int *) user;
    return NULL;
}

static void never_free(void *user, void *ptr)
{
    (void) user;
    ck_abort_msg("free(%p) of what was never given", ptr);
}

START_TEST(options_are_checked)
{
    mls_context *context = NULL;
    mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
    int calls = 0;
    options.size = 3;
    ck_assert_fails(mls_context_create(&options, &context), MLS_EINVAL, "mls_context_options.size");
    options = (mls_context_options) MLS_CONTEXT_OPTIONS_INIT;
    options.alloc = refuse;
    options.alloc_user = &calls;
    ck_assert_fails(mls_context_create(&options, &context), MLS_EINVAL, "both alloc and free");
    options.alloc = NULL;
    options.free = never_free;
    ck_assert_fails(mls_context_create(&options, &context), MLS_EINVAL, "both alloc and free");
    ck_assert_int_eq(calls, 0);
    options.alloc = refuse;
    ck_assert_fails(mls_context_create(&options, &context), MLS_ENOMEM, "out of memory");
    ck_assert_int_eq(calls, 1);
    ck_assert_ptr_null(context);
    ck_assert_fails(mls_context_create(NULL, NULL), MLS_EINVAL, "ret_context must not be NULL");
    ck_assert_ptr_null(mls_context_isa(NULL));
}
END_TEST

typedef struct sink {
    int level;
    char line[2048];
    int lines;
} sink;

static void keep_line(void *user, int level, const char *message)
{
    sink *s = user;
    s->level = level;
    s->lines++;
    strncpy(s->line, message, sizeof s->line - 1);
}

START_TEST(log_goes_to_the_sink)
{
    sink s = {0};
    char text[3000];
    mls_context *context, *silent;
    mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
    options.log = keep_line;
    options.log_user = &s;
    ck_assert_ok(mls_context_create(&options, &context));
    ck_assert_ok(mls_context_create(NULL, &silent));
    mls__log(context, MLS_LOG_WARNING, "%d of %s", 3, "four");
    ck_assert_int_eq(s.level, MLS_LOG_WARNING);
    ck_assert_str_eq(s.line, "3 of four");
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    mls__log(context, MLS_LOG_DEBUG, "%s", text);
    ck_assert_uint_eq(strlen(s.line), 1023);
    ck_assert_int_eq(s.lines, 2);
    mls__log(silent, MLS_LOG_INFO, "to nobody");
    ck_assert_int_eq(s.lines, 2);
    mls_context_free(context);
    mls_context_free(silent);
}
END_TEST

/* The heap counts its blocks, so whatever bypassed it or was mixed up would show. */
START_TEST(memory_is_the_context_s_own)
{
    mls_test_heap *heaps[2] = {mls_test_heap_create(), mls_test_heap_create()};
    mls_context *contexts[2];
    mls_tensor *tensors[2];
    const int64_t dims[] = {10};
    for (int i = 0; i < 2; i++) {
        ck_assert_ok(mls_test_heap_context(heaps[i], &contexts[i]));
        ck_assert_ok(mls_tensor_create(contexts[i], MLS_INT8, 1, dims, &tensors[i]));
    }
    mls_context_free(contexts[0]);
    mls_tensor_free(tensors[0]);
    ck_assert_uint_eq(mls_test_heap_live(heaps[0]), 0);
    ck_assert_uint_gt(mls_test_heap_live(heaps[1]), 0);
    mls_tensor_free(tensors[1]);
    mls_context_free(contexts[1]);
    ck_assert_uint_eq(mls_test_heap_live(heaps[1]), 0);
    mls_test_heap_free(heaps[0]);
    mls_test_heap_free(heaps[1]);
}
END_TEST

static mls_status create_context(mls_context *tested, void *arg)
{
    mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
    mls_context *context = NULL;
    (void) arg;
    options.alloc = tested->allocator.alloc;
    options.free = tested->allocator.free;
    options.alloc_user = tested->allocator.user;
    const mls_status status = mls_context_create(&options, &context);
    ck_assert_int_eq(context == NULL, status != MLS_OK);
    mls_context_free(context);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    mls_test_each_allocation(create_context, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plugin/context");
    TCase *tests = tcase_create("context");
    tcase_add_test(tests, defaults_will_do);
    tcase_add_test(tests, instruction_set_is_the_option);
    tcase_add_test(tests, options_are_checked);
    tcase_add_test(tests, log_goes_to_the_sink);
    tcase_add_test(tests, memory_is_the_context_s_own);
    tcase_add_test(tests, each_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
