/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of a test: a fork, two pipes and an end. */
#include "queue/processes.h"

#include "support/folder.h"
#include "support/test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Only the pipes are the child's. What it inherits besides, such as the file in which the test's
 * runner finds messages, leads nowhere: that of a dying child would tear others apart.
 */
static void leave_parent(int up, int down)
{
    enum { MOST_FILES = 256 };
    const int nowhere = open("/dev/null", O_RDWR);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int fd = 3; fd < MOST_FILES; fd++)
        if (fd != up && fd != down && fd != nowhere && fcntl(fd, F_GETFD) >= 0)
            dup2(nowhere, fd);
    close(nowhere);
}

child child_start(child_fn body, uint64_t arg)
{
    int up[2], down[2];
    mls_test_folder();       /* made before the fork, it is the parent's, */
    mls_test_folder_share(); /* and the child's too */
    ck_assert_int_eq(pipe(up), 0);
    ck_assert_int_eq(pipe(down), 0);
    /* Small, so that nobody runs far ahead of who listens. */
    ck_assert_int_ge(fcntl(up[1], F_SETPIPE_SZ, 4096), 0);
    const pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(up[0]);
        close(down[1]);
        leave_parent(up[1], down[0]);
        body(up[1], down[0], arg);
        _exit(0);
    }
    close(up[1]);
    close(down[0]);
    return (child){pid, up[0], down[1]};
}

void child_say(int fd, char word)
{
    if (write(fd, &word, 1) != 1)
        _exit(3);
}

void child_hear(int fd, char word)
{
    char got = 0;
    ck_assert_int_eq(read(fd, &got, 1), 1);
    ck_assert_int_eq(got, word);
}

void child_join(child *c)
{
    int status;
    close(c->from);
    close(c->to);
    ck_assert_int_eq(waitpid(c->pid, &status, 0), c->pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void child_kill(child *c)
{
    int status;
    kill(c->pid, SIGKILL);
    ck_assert_int_eq(waitpid(c->pid, &status, 0), c->pid);
    close(c->from);
    close(c->to);
}
