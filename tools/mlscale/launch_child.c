/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a rank, or the ssh of an agent. Between fork() and exec only what is safe there
 * for a process of one thread, which this one is.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

static struct rlimit files_before;
static struct sigaction pipe_before;

void launch_children_prepare(void)
{
    struct rlimit files;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    int fd;
    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
        ; /* whoever started this had closed it */
    close(fd);
    sigaction(SIGPIPE, &ignore, &pipe_before);
#ifdef __linux__
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* what a rank leaves behind is waited for here */
#endif
    getrlimit(RLIMIT_NOFILE, &files_before);
    files = files_before;
    files.rlim_cur = files.rlim_max; /* two pipes a rank */
    setrlimit(RLIMIT_NOFILE, &files);
}

/* --- in the child --- */

static void restore_signals(void)
{
    sigset_t none;
    struct sigaction action;
    const struct sigaction usual = {.sa_handler = SIG_DFL};
    for (int i = 1; i < NSIG; i++)
        if (sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaction(i, &usual, NULL);
    sigaction(SIGPIPE, &pipe_before, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setrlimit(RLIMIT_NOFILE, &files_before);
}

/* The first rank reads what launch would, unless that is a terminal: ranks are in its background.
 */
static int open_input(const launch_child *child, const launch_plan *plan)
{
    if (child->rank == 0 && !plan->is_agent && !isatty(STDIN_FILENO))
        return STDIN_FILENO;
    return open("/dev/null", O_RDONLY);
}

static void set_number(const char *name, uint32_t value)
{
    char text[16];
    snprintf(text, sizeof text, "%u", value);
    setenv(name, text, 1);
}

static void exec_rank(const launch_child *child, const launch_plan *plan)
{
    set_number("MLSCALE_RANK", child->rank);
    set_number("MLSCALE_SIZE", plan->size);
    setenv("MLSCALE_GROUP", plan->url, 1);
    setenv("MLSCALE_GROUP_TOKEN", plan->token, 1);
    execvp(plan->argv[0], plan->argv);
}

static void exec_agent(const launch_child *child, const char *remote)
{
    execlp("ssh", "ssh", "-o", "BatchMode=yes", "-T", "--", child->host->name, remote, "launch",
           "--agent", (char *) NULL);
}

enum { OUTPUT, ERRORS, CONTROL, REPORT, PIPES };

/* Gives an errno to the parent, unless it becomes the program. */
static void become(const launch_child *child, const launch_plan *plan, const char *remote,
                   int pipes[PIPES][2], pid_t parent)
{
    int input = pipes[CONTROL][0];
    setpgid(0, 0);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing outlives a launch that is killed */
#endif
    if (getppid() != parent)
        _exit(127);
    if (!child->host)
        input = open_input(child, plan);
    if (input < 0 || dup2(input, STDIN_FILENO) < 0 || dup2(pipes[OUTPUT][1], STDOUT_FILENO) < 0 ||
        dup2(pipes[ERRORS][1], STDERR_FILENO) < 0)
        return;
    restore_signals();
    if (child->host)
        exec_agent(child, remote);
    else
        exec_rank(child, plan);
}

/* --- in the parent --- */

static void close_pipes(int pipes[PIPES][2], int end)
{
    for (int i = 0; i < PIPES; i++)
        if (pipes[i][end] >= 0)
            close(pipes[i][end]);
}

static int open_pipes(int pipes[PIPES][2])
{
    for (int i = 0; i < PIPES; i++)
        pipes[i][0] = pipes[i][1] = -1;
    for (int i = 0; i < PIPES; i++)
        if (pipe2(pipes[i], O_CLOEXEC) != 0)
            return errno;
    return 0;
}

/* With all signals blocked, so that a handler of this process does not run in the child. */
static pid_t fork_blocked(launch_child *child, const launch_plan *plan, const char *remote,
                          int pipes[PIPES][2])
{
    sigset_t all, before;
    const pid_t parent = getpid();
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t pid = fork();
    if (pid == 0) {
        become(child, plan, remote, pipes, parent);
        const int fault = errno;
        _exit(write(pipes[REPORT][1], &fault, sizeof fault) > 0 ? 127 : 126);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

static void keep(launch_child *child, const launch_plan *plan, int pipes[PIPES][2])
{
    child->out.fd = pipes[OUTPUT][0];
    child->err.fd = pipes[ERRORS][0];
    child->control = child->host ? pipes[CONTROL][1] : -1;
    const int kept[] = {child->out.fd, child->err.fd, pipes[CONTROL][1]};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        fcntl(kept[i], F_SETFL, O_NONBLOCK);
    if (!child->host)
        close(pipes[CONTROL][1]);
    if (!child->host && plan->has_prefix) {
        snprintf(child->out.prefix, sizeof child->out.prefix, "[%u]", child->rank);
        memcpy(child->err.prefix, child->out.prefix, sizeof child->err.prefix);
    }
}

#define LETTERS_ROOM 64 /* of signals that are not told yet */

static bool write_letter(launch_child *child, const launch_plan *plan)
{
    child->letters =
        child->host ? launch_plan_write(plan, child->host, &child->letters_used) : NULL;
    if (!child->host)
        return true;
    char *grown =
        child->letters ? realloc(child->letters, child->letters_used + LETTERS_ROOM) : NULL;
    if (!grown)
        return false;
    child->letters = grown;
    child->letters_size = child->letters_used + LETTERS_ROOM;
    return true;
}

int launch_child_start(launch_child *child, const launch_plan *plan, const char *remote)
{
    int pipes[PIPES][2], fault = open_pipes(pipes);
    if (!fault && !write_letter(child, plan))
        fault = ENOMEM;
    const pid_t pid = fault ? -1 : fork_blocked(child, plan, remote, pipes);
    if (!fault && pid < 0)
        fault = errno;
    if (fault) {
        close_pipes(pipes, 0);
        close_pipes(pipes, 1);
        return fault;
    }
    setpgid(pid, pid); /* so does the child: whoever is first */
    child->pid = pid;
    keep(child, plan, pipes);
    close(pipes[OUTPUT][1]);
    close(pipes[ERRORS][1]);
    close(pipes[CONTROL][0]);
    close(pipes[REPORT][1]);
    ssize_t got;
    while ((got = read(pipes[REPORT][0], &fault, sizeof fault)) < 0 && errno == EINTR)
        ;
    close(pipes[REPORT][0]);
    if (got != (ssize_t) sizeof fault)
        return 0;
    waitpid(pid, NULL, 0);
    launch_child_free(child);
    child->pid = 0;
    return fault;
}

void launch_child_signal(launch_child *child, int signal_number)
{
    if (!child->pid || child->is_gone)
        return;
    if (!child->host)
        kill(-child->pid, signal_number);
    if (child->control < 0)
        return;
    child->letters_used -= child->letters_sent;
    memmove(child->letters, child->letters + child->letters_sent, child->letters_used);
    child->letters_sent = 0;
    if (child->letters_used < child->letters_size) /* else it does not read: it will be killed */
        child->letters[child->letters_used++] = (char) signal_number;
}

void launch_child_tell(launch_child *child)
{
    const ssize_t told = write(child->control, child->letters + child->letters_sent,
                               child->letters_used - child->letters_sent);
    if (told > 0) {
        child->letters_sent += (size_t) told;
    } else if (told < 0 && errno != EAGAIN && errno != EINTR) {
        close(child->control); /* it ends, and says why */
        child->control = -1;
    }
}

void launch_child_free(launch_child *child)
{
    if (child->pid) {
        launch_stream_close(&child->out);
        launch_stream_close(&child->err);
    }
    if (child->control >= 0)
        close(child->control);
    child->control = -1;
    free(child->letters);
    child->letters = NULL;
}
