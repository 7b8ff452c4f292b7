/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test shares: the main function's body and a context that counts memory. */
#ifndef MLS_TESTS_SUPPORT_TEST_H
#define MLS_TESTS_SUPPORT_TEST_H

#include <check.h>
#include <stdbool.h>
#include <sys/types.h>

#include <mlscale.h>

/* Whether a sanitizer that brings its own allocator is at work. */
#if defined(__has_feature)
#define MLS_TEST_THREAD_SANITIZED __has_feature(thread_sanitizer)
#define MLS_TEST_SANITIZED        (__has_feature(address_sanitizer) || MLS_TEST_THREAD_SANITIZED)
#elif defined(__SANITIZE_THREAD__)
#define MLS_TEST_THREAD_SANITIZED 1
#define MLS_TEST_SANITIZED        1
#elif defined(__SANITIZE_ADDRESS__)
#define MLS_TEST_THREAD_SANITIZED 0
#define MLS_TEST_SANITIZED        1
#else
#define MLS_TEST_THREAD_SANITIZED 0
#define MLS_TEST_SANITIZED        0
#endif

/*
 * Whether each behaviour shall be seen once, with the best instruction set and few rounds: with
 * MLS_TEST_QUICK in the environment, where the same code was tested before, and under
 * ThreadSanitizer, which looks at threads.
 */
bool mls_test_is_quick(void);

/*
 * Where a test's random numbers begin: MLS_TEST_SEED of the environment, so that ./dev torture
 * goes other ways each time and one that failed can be gone again, or `usual`.
 */
uint64_t mls_test_seed(uint64_t usual);

/* A case of the suite, with begin() and end() around each of its tests; NULL is nothing. */
TCase *mls_test_case(Suite *suite, const char *name, void (*begin)(void), void (*end)(void));

/* Runs the suite, prints TAP, returns main's exit code. Frees the suite. */
int mls_test_run(Suite *suite);

/* ck_assert_msg() for inner loops: Check's own writes to the parent process at every success. */
#define mls_test_expect(condition, ...)                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

/* Fails the test with the library's message unless `call` gives MLS_OK. */
#define ck_assert_ok(call)                                                                         \
    do {                                                                                           \
        const mls_status status_ = (call);                                                         \
        ck_assert_msg(status_ == MLS_OK, "%s: %s: %s", #call, mls_status_name(status_),            \
                      mls_error_message());                                                        \
    } while (0)

/* Fails unless `call` gives `code` and the message contains `words`. */
#define ck_assert_fails(call, code, words)                                                         \
    do {                                                                                           \
        const mls_status status_ = (call);                                                         \
        ck_assert_msg(status_ == (code), "%s: got %s (%s), expected %s", #call,                    \
                      mls_status_name(status_), mls_error_message(), #code);                       \
        ck_assert_msg(strstr(mls_error_message(), (words)) != NULL,                                \
                      "%s: the message '%s' lacks '%s'", #call, mls_error_message(), (words));     \
    } while (0)

/*
 * An allocator that counts its blocks and can refuse one: the `fail_at`-th call
 * (from 1) gives NULL; 0 never does. Thread-safe.
 */
typedef struct mls_test_heap mls_test_heap;
mls_test_heap *mls_test_heap_create(void);
void mls_test_heap_fail_at(mls_test_heap *heap, size_t fail_at);
size_t mls_test_heap_calls(const mls_test_heap *heap); /* since the last fail_at */
size_t mls_test_heap_live(const mls_test_heap *heap);  /* blocks not freed */
void mls_test_heap_free(mls_test_heap *heap);

/* Options for a context on that allocator, and such a context. */
mls_context_options mls_test_heap_options(mls_test_heap *heap);
mls_status mls_test_heap_context(mls_test_heap *heap, mls_context **ret_context);

/*
 * Calls body(context, arg) again and again, each time with a new context: with its
 * first allocation refused, then its second, and so on until it runs without one
 * refused. Each time but the last it must give MLS_ENOMEM, the last time MLS_OK. It
 * frees what it made: no block may be left once the context is freed.
 */
void mls_test_each_allocation(mls_status (*body)(mls_context *context, void *arg), void *arg);

/*
 * Returns once a child that stops itself has done so: one that is told to go on before would stay
 * stopped for ever.
 */
void mls_test_await_stop(pid_t child);

/* The next number of a sequence that `state`, the seed, decides: the same on every machine. */
uint64_t mls_test_random(uint64_t *state);
/* One of 0 to count - 1. */
size_t mls_test_random_below(uint64_t *state, size_t count);

#endif
