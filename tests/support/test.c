/* SPDX-License-Identifier: Apache-2.0 */
/* One runner for all suites, and an allocator that can be told to fail. */
#include "support/test.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>

/*
 * Read by the sanitizers when the program starts: an allocation that is too large gives
 * NULL, as it does without them, since tests ask for such.
 */
MLS_API const char *__asan_default_options(void);
MLS_API const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

/* For tests that do not say otherwise: who hangs ends, who waits on a slow machine does not. */
__attribute__((constructor)) static void set_timeout(void)
{
    setenv("CK_DEFAULT_TIMEOUT", "300", 0); /* seconds; read when a case is created */
}

bool mls_test_is_quick(void)
{
    return MLS_TEST_THREAD_SANITIZED || getenv("MLS_TEST_QUICK");
}

uint64_t mls_test_seed(uint64_t usual)
{
    const char *wanted = getenv("MLS_TEST_SEED");
    return wanted ? strtoull(wanted, NULL, 10) : usual;
}

TCase *mls_test_case(Suite *suite, const char *name, void (*begin)(void), void (*end)(void))
{
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, begin, end);
    suite_add_tcase(suite, tests);
    return tests;
}

int mls_test_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_SILENT);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

struct mls_test_heap {
    atomic_size_t calls, live;
    atomic_size_t fail_at;
};

mls_test_heap *mls_test_heap_create(void)
{
    return calloc(1, sizeof(mls_test_heap));
}

void mls_test_heap_fail_at(mls_test_heap *heap, size_t fail_at)
{
    heap->calls = 0;
    heap->fail_at = fail_at;
}

size_t mls_test_heap_calls(const mls_test_heap *heap)
{
    return heap->calls;
}

size_t mls_test_heap_live(const mls_test_heap *heap)
{
    return heap->live;
}

void mls_test_heap_free(mls_test_heap *heap)
{
    free(heap);
}

static void *heap_alloc(void *user, size_t size, size_t alignment)
{
    mls_test_heap *heap = user;
    if (++heap->calls == heap->fail_at)
        return NULL;
    void *block = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (block)
        heap->live++;
    return block;
}

static void heap_release(void *user, void *block)
{
    mls_test_heap *heap = user;
    heap->live--;
    free(block);
}

mls_context_options mls_test_heap_options(mls_test_heap *heap)
{
    mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
    options.alloc = heap_alloc;
    options.free = heap_release;
    options.alloc_user = heap;
    return options;
}

mls_status mls_test_heap_context(mls_test_heap *heap, mls_context **ret_context)
{
    const mls_context_options options = mls_test_heap_options(heap);
    return mls_context_create(&options, ret_context);
}

/* Whether the `n`-th allocation was refused; without it, all is tested. */
static int refuse_one(mls_test_heap *heap, size_t n,
                      mls_status (*body)(mls_context *context, void *arg), void *arg)
{
    mls_context *context;
    ck_assert_ok(mls_test_heap_context(heap, &context));
    mls_test_heap_fail_at(heap, n);
    const mls_status status = body(context, arg);
    const int was_refused = mls_test_heap_calls(heap) >= n;
    mls_test_heap_fail_at(heap, 0);
    ck_assert_msg(status == (was_refused ? MLS_ENOMEM : MLS_OK),
                  "allocation %zu refused: got %s (%s)", n, mls_status_name(status),
                  mls_error_message());
    mls_context_free(context);
    ck_assert_msg(mls_test_heap_live(heap) == 0, "allocation %zu refused: leaks", n);
    return was_refused;
}

void mls_test_each_allocation(mls_status (*body)(mls_context *context, void *arg), void *arg)
{
    mls_test_heap *heap = mls_test_heap_create();
    size_t n = 1;
    ck_assert_ptr_nonnull(heap);
    while (refuse_one(heap, n, body, arg))
        n++;
    ck_assert_msg(n > 1, "nothing was allocated: there is nothing to test");
    mls_test_heap_free(heap);
}

void mls_test_await_stop(pid_t child)
{
    int status;
    ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
    ck_assert_msg(WIFSTOPPED(status), "it ended with %#x instead", (unsigned) status);
}

uint64_t mls_test_random(uint64_t *state)
{
    /* splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

size_t mls_test_random_below(uint64_t *state, size_t count)
{
    return (size_t) (mls_test_random(state) % count);
}
