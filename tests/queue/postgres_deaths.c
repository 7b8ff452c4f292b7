/* SPDX-License-Identifier: Apache-2.0 */
/* Of whom it is thought that he died, and of whom not. */
#include "job/fixture.h"
#include "queue/postgres_losses.h"
#include "queue/postgres_tables.h"
#include "support/postgres.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Its jobs go to others, but it is seen to live: they did not kill it. */
START_TEST(who_was_away_for_long_did_not_die)
{
    char url[700];
    mls_queue *cut = fixture_queue(guests_url(url, "&patience=1&poison=1"));
    mls_queue *queue = fixture_queue(tables_url());
    mls_claimer *waits = fixture_claimer(queue, NULL), *runs = fixture_claimer(cut, NULL);
    const uint64_t id = fixture_submit_type(queue, "t");
    mls_job *lost = fixture_claim(runs);
    guests_cut();
    mls_job *job = fixture_claim(waits);
    ck_assert_uint_eq(mls_job_id(job), id);
    ck_assert_uint_eq(fixture_info(job).deaths, 0);
    mls_test_postgres_sql("ALTER ROLE visitor LOGIN");
    ck_assert_ok(mls_job_complete(job));
    ck_assert_fails(mls_job_complete(lost), MLS_ESTALE, "");
    mls_job_free(job);
    mls_job_free(lost);
    mls_claimer_close(waits);
    mls_claimer_close(runs);
    mls_queue_close(cut);
    mls_queue_close(queue);
}
END_TEST

static int told[2]; /* a pipe */

/* Holds a job until the process is killed. */
static void *claim_and_stay(void *user)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
    mls_claimer *claimer = fixture_claimer(fixture_queue(user), NULL);
    mls_job *job;
    size_t count;
    if (mls_claimer_claim(claimer, 10000, 1, &job, &count) != MLS_OK || write(told[1], "", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

/* Until the kernel says that the first thread of the process has ended. */
static void await_first_thread(pid_t process)
{
    char path[40], line[400] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int) process);
    while (!strstr(line, ") Z ")) {
        FILE *file = fopen(path, "r");
        ck_assert_ptr_nonnull(file);
        if (!fgets(line, sizeof line, file))
            line[0] = '\0';
        fclose(file);
        sched_yield();
    }
}

static pid_t start_without_first_thread(char *url)
{
    pthread_t thread;
    const pid_t child = fork();
    if (child)
        return child;
    if (pthread_create(&thread, NULL, claim_and_stay, url))
        _exit(1);
    pthread_exit(NULL);
}

/* While its connection is cut, and before it is given up. */
START_TEST(a_process_lives_on_without_its_first_thread)
{
    char url[700], byte;
    mls_job *none;
    size_t count;
    guests_url(url, "&patience=3600");
    mls_queue *queue = fixture_queue(tables_url());
    fixture_submit_type(queue, "t");
    mls_queue_close(queue);
    ck_assert_int_eq(pipe(told), 0);
    const pid_t child = start_without_first_thread(url);
    close(told[1]);
    ck_assert_int_eq(read(told[0], &byte, 1), 1);
    close(told[0]);
    await_first_thread(child);
    queue = fixture_queue(tables_url());
    mls_claimer *claimer = fixture_claimer(queue, NULL);
    guests_cut();
    ck_assert_fails(mls_claimer_claim(claimer, 200, 1, &none, &count), MLS_ETIMEDOUT, "");
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    mls_job *job = fixture_claim(claimer);
    ck_assert_uint_eq(fixture_info(job).deaths, 1);
    ck_assert_ok(mls_job_complete(job));
    mls_job_free(job);
    mls_test_postgres_sql("ALTER ROLE visitor LOGIN");
    mls_claimer_close(claimer);
    mls_queue_close(queue);
}
END_TEST

static int end[2]; /* another: closed when it is over */

static void open_until_the_end(void)
{
    char byte;
    mls_queue *queue = fixture_queue(tables_url());
    close(end[1]);
    if (write(told[1], "", 1) != 1 || read(end[0], &byte, 1) != 0)
        _exit(1);
    mls_queue_close(queue);
    _exit(0);
}

/* In a space of processes of its own, whose /proc is the one outside: 2 when there can be none. */
static void open_elsewhere(void)
{
    int status;
    if (unshare(CLONE_NEWPID))
        _exit(2);
    const pid_t child = fork();
    if (child == 0)
        open_until_the_end();
    close(end[1]);
    if (child < 0 || waitpid(child, &status, 0) != child)
        _exit(1);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* Numbers of processes that count elsewhere say nothing. */
START_TEST(a_foreign_proc_is_not_believed)
{
    char byte;
    int status;
    tables_use(mls_test_postgres_url(), "");
    mls_queue_close(fixture_queue(tables_url()));
    ck_assert_int_eq(pipe(told) | pipe(end), 0);
    const pid_t child = fork();
    if (child == 0)
        open_elsewhere();
    close(told[1]);
    close(end[0]);
    const bool is_open = read(told[0], &byte, 1) == 1;
    close(told[0]);
    if (is_open)
        tables_expect("(SELECT process LIKE '- %' FROM members)");
    close(end[1]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(WEXITSTATUS(status), is_open ? 0 : 2);
}
END_TEST

void postgres_deaths_add(TCase *tests)
{
    tcase_add_test(tests, who_was_away_for_long_did_not_die);
    tcase_add_test(tests, a_process_lives_on_without_its_first_thread);
    tcase_add_test(tests, a_foreign_proc_is_not_believed);
}
