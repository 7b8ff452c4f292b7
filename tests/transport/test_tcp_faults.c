/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that are killed, stopped or just leave: each call of the others ends, and they go on.
 */
#include "transport/ranks.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RANKS = 3 };

static char url[64];
static int ready[2]; /* a byte of each rank that has met */
static int told[2];  /* a byte for each rank, once another one is stopped */
static const char *token;

static void setup(void)
{
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d/faults", mls_test_free_port());
    ck_assert_int_eq(pipe(ready), 0);
    ck_assert_int_eq(pipe(told), 0);
}

static void teardown(void)
{
    close(ready[0]);
    close(told[0]);
    close(told[1]);
}

/* Runs body(group) in a child for each rank. */
static void start(pid_t *children, void (*body)(mls_group *group))
{
    for (uint32_t i = 0; i < RANKS; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i])
            continue;
        mls_context *context;
        mls_group *group;
        ck_assert_ok(mls_context_create(NULL, &context));
        ck_assert_ok(tcp_rank(context, url, i, RANKS, token, &group));
        ck_assert_ok(tcp_try_sums(group));
        ck_assert_int_eq(write(ready[1], "r", 1), 1);
        body(group);
        mls_group_free(group);
        mls_context_free(context);
        _exit(0);
    }
    close(ready[1]); /* so that reading ends when they all have failed */
    for (int i = 0; i < RANKS; i++) {
        char byte;
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    }
}

static void expect_good_end(pid_t child)
{
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%#x", (unsigned) status);
}

static mls_status sum_until_failure(mls_group *group)
{
    mls_status status;
    while ((status = tcp_try_sums(group)) == MLS_OK)
        ;
    return status;
}

/* One that does not come is waited for until the first of the others has no time left. */
static void go_on_without(mls_group *group, int64_t timeout_ms)
{
    mls_group *smaller;
    mls_group_options options = MLS_GROUP_OPTIONS_INIT;
    options.timeout_ms = timeout_ms;
    ck_assert_ok(mls_group_shrink(group, &options, &smaller));
    ck_assert_uint_eq(mls_group_size(smaller), RANKS - 1);
    ck_assert_ok(tcp_try_sums(smaller));
    ck_assert_ok(mls_group_barrier(smaller, NULL, NULL));
    mls_group_free(smaller);
}

/* --- killed ---------------------------------------------------------------------------------- */

static void outlive_death(mls_group *group)
{
    const mls_status status = sum_until_failure(group);
    ck_assert_msg(status == MLS_EPEER, "%s", mls_error_message());
    ck_assert_msg(strstr(mls_error_message(), "is dead") != NULL, "%s", mls_error_message());
    go_on_without(group, 60000);
}

static void kill_rank(int rank)
{
    pid_t children[RANKS];
    int status;
    start(children, outlive_death);
    ck_assert_int_eq(kill(children[rank], SIGKILL), 0);
    waitpid(children[rank], &status, 0);
    for (int i = 0; i < RANKS; i++)
        if (i != rank)
            expect_good_end(children[i]);
}

START_TEST(killed_ranks_are_known_at_once)
{
    token = _i % 2 ? "secret" : NULL;
    kill_rank(_i);
}
END_TEST

/* --- stopped --------------------------------------------------------------------------------- */

static uint32_t stopped;

static void await_stop_of_another(void)
{
    char byte;
    ck_assert_int_eq(read(told[0], &byte, 1), 1);
}

/* Tells the others once the rank has stopped itself, and lets it go on once they have said so. */
static void pass_stop(const pid_t *children, int rank)
{
    char bytes[RANKS - 1] = {0};
    mls_test_await_stop(children[rank]);
    ck_assert_int_eq(write(told[1], bytes, sizeof bytes), sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        ck_assert_int_eq(read(ready[0], bytes, 1), 1);
    ck_assert_int_eq(kill(children[rank], SIGCONT), 0);
}

/* Stays in its call, and learns later that the others went on. */
static void be_stopped(mls_group *group)
{
    mls_work *work;
    mls_group *smaller;
    close(ready[1]); /* whose end says that the others have failed */
    ck_assert_ok(mls_group_barrier(group, NULL, &work));
    raise(SIGSTOP);
    mls_work_wait(work, -1);
    mls_work_free(work);
    ck_assert_fails(mls_group_shrink(group, NULL, &smaller), MLS_EPEER, "came late");
}

static void outlive_stop(mls_group *group)
{
    mls_group_call call = MLS_GROUP_CALL_INIT;
    mls_status status;
    if (mls_group_rank(group) == stopped) {
        be_stopped(group);
        return;
    }
    call.timeout_ms = 300;
    await_stop_of_another();
    while ((status = mls_group_barrier(group, &call, NULL)) == MLS_OK)
        ;
    ck_assert_fails(status, MLS_EDEADLINE, " and last did");
    go_on_without(group, mls_group_rank(group) == 2 ? 4000 : 60000);
    ck_assert_int_eq(write(ready[1], "w", 1), 1);
}

static void stop_rank(int rank)
{
    pid_t children[RANKS];
    token = NULL;
    stopped = (uint32_t) rank;
    start(children, outlive_stop);
    pass_stop(children, rank);
    for (int i = 0; i < RANKS; i++)
        expect_good_end(children[i]);
}

/* Rank 0, too, which would have to say who is left. */
START_TEST(stopped_ranks_are_left_behind)
{
    stop_rank(_i);
}
END_TEST

/* --- forked ---------------------------------------------------------------------------------- */

static int held[2]; /* ends the children of ranks, by its end */

/* Its child has all that it has, and stays. */
static void die_with_a_child(mls_group *group)
{
    char byte;
    if (mls_group_rank(group) != 0) {
        outlive_death(group);
        return;
    }
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        close(held[1]);
        (void) !read(held[0], &byte, 1);
        _exit(0);
    }
    raise(SIGKILL);
}

/* Rank 0, at whose port others can listen then. */
START_TEST(children_keep_nothing)
{
    pid_t children[RANKS];
    int status;
    mls_context *context;
    mls_group *group;
    token = NULL;
    ck_assert_int_eq(pipe(held), 0);
    start(children, die_with_a_child);
    ck_assert_int_eq(waitpid(children[0], &status, 0), children[0]);
    for (int i = 1; i < RANKS; i++)
        expect_good_end(children[i]);
    ck_assert_ok(mls_context_create(NULL, &context));
    ck_assert_ok(tcp_rank(context, url, 0, 1, NULL, &group));
    mls_group_free(group);
    mls_context_free(context);
    close(held[0]);
    close(held[1]);
}
END_TEST

/* --- ended ----------------------------------------------------------------------------------- */

/* Without a word: the process ends with its group. */
static void outlive_end(mls_group *group)
{
    if (mls_group_rank(group) == 1)
        _exit(0);
    outlive_death(group);
}

START_TEST(ended_processes_are_dead)
{
    pid_t children[RANKS];
    token = NULL;
    start(children, outlive_end);
    for (int i = 0; i < RANKS; i++)
        expect_good_end(children[i]);
}
END_TEST

/* A message on its way is as long as a stopped rank takes it; its sender takes it back. */
static void take_back(mls_group *group)
{
    mls_context *context;
    mls_tensor *tensor;
    mls_work *work;
    const int64_t count = 16 << 20; /* more than sockets keep */
    mls_group_call call = MLS_GROUP_CALL_INIT;
    call.timeout_ms = 300;
    ck_assert_ok(mls_context_create(NULL, &context));
    ck_assert_ok(mls_tensor_create(context, MLS_FLOAT32, 1, &count, &tensor));
    memset(mls_tensor_data(tensor), 0, (size_t) count * 4);
    if (mls_group_rank(group) == 0) {
        await_stop_of_another();
        ck_assert_fails(mls_group_send(group, tensor, 1, &call, NULL), MLS_EDEADLINE,
                        "has not received it");
    } else if (mls_group_rank(group) == 1) {
        close(ready[1]);
        ck_assert_ok(mls_group_receive(group, tensor, 0, NULL, &work));
        raise(SIGSTOP);
        ck_assert_fails(mls_work_wait(work, 1), MLS_ETIMEDOUT, "not ended");
        ck_assert_ok(mls_work_cancel(work));
        mls_work_free(work);
    }
    mls_tensor_free(tensor);
    mls_context_free(context);
    if (mls_group_rank(group) != 1)
        ck_assert_int_eq(write(ready[1], "b", 1), 1);
    ck_assert_ok(mls_group_barrier(group, NULL, NULL));
    ck_assert_ok(tcp_try_sums(group));
}

START_TEST(messages_are_taken_back)
{
    pid_t children[RANKS];
    token = _i ? "secret" : NULL;
    start(children, take_back);
    pass_stop(children, 1);
    for (int i = 0; i < RANKS; i++)
        expect_good_end(children[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transport/tcp_faults");
    TCase *tests = mls_test_case(suite, "faults", setup, teardown);
    tcase_add_loop_test(tests, killed_ranks_are_known_at_once, 0, RANKS);
    tcase_add_loop_test(tests, stopped_ranks_are_left_behind, 0, 2);
    tcase_add_test(tests, children_keep_nothing);
    tcase_add_test(tests, ended_processes_are_dead);
    tcase_add_loop_test(tests, messages_are_taken_back, 0, 2);
    return mls_test_run(suite);
}
