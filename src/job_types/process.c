/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child calls what is safe after a fork of a process with threads, and nothing else.
 * It stays unreaped until its group was killed, so that the group's number cannot have
 * become another's.
 */
#include "job_types/process.h"

#include "job_types/cgroup.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS      20   /* between two looks at what should_stop says */
#define ERRORS_BYTES 600  /* of standard error that are kept, the last ones */
#define STEP_BYTES   4096 /* the output grows by this and then doubles */

typedef struct process {
    const mls__process_request *request;
    mls__process_result *result;
    pid_t pid;
    int in, out, err; /* our ends of its pipes; -1: closed */
    size_t written, room;
    char errors[ERRORS_BYTES + 1];
    size_t errors_size;
    int64_t started_ms, told_ms; /* told_ms: when it was asked to end; 0: it was not */
    const char *reason;          /* why it was */
    bool was_killed;
    mls__cgroup group;
    mls__kept *kept; /* its line with the keeper, or NULL */
} process;

static int64_t now_ms(void)
{
    return (int64_t) (mls__clock_monotonic_ns() / 1000000);
}

/* --- the child --- */

static void limit(int resource, int64_t most)
{
    const struct rlimit bound = {(rlim_t) most, (rlim_t) most};
    if (most)
        setrlimit(resource, &bound);
}

void mls__process_reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Becomes the program, or tells the parent by `report` why not. */
static _Noreturn void become(const process *p, const int ends[3], int report, pid_t parent)
{
    const mls__process_request *request = p->request;
    const mls__type_limits *limits = request->limits;
    setpgid(0, 0);
    mls__kept_set(p->kept, getpid());
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* not to outlive a worker that was killed */
    if (getppid() != parent)
        _exit(127);
    mls__process_reset_signals();
    const bool is_grouped = p->group.procs >= 0 && write(p->group.procs, "0", 1) == 1;
    if (!is_grouped || !p->group.bounds_memory)
        limit(RLIMIT_AS, limits->memory);
    limit(RLIMIT_CPU, (limits->cpu_ms + 999) / 1000);
    int failed = 0;
    for (int i = 0; i < 3; i++)
        failed |= dup2(ends[i], i) < 0;
    if (!failed && (!request->directory || chdir(request->directory) == 0))
        execvpe(request->words[0], request->words, request->environment);
    const int error = errno;
    const ssize_t told = write(report, &error, sizeof error);
    _exit(told == sizeof error ? 127 : 126);
}

/* --- pipes --- */

static void close_end(int *end)
{
    if (*end >= 0)
        close(*end);
    *end = -1;
}

static void close_pipes(int pipes[4][2])
{
    for (int i = 0; i < 4; i++) {
        close_end(&pipes[i][0]);
        close_end(&pipes[i][1]);
    }
}

/* Standard input, output and error, and the report on exec. Above 2, so that dup2 is simple. */
static bool open_pipes(int pipes[4][2])
{
    for (int i = 0; i < 8; i++)
        pipes[i / 2][i % 2] = -1;
    for (int i = 0; i < 4; i++) {
        if (pipe2(pipes[i], O_CLOEXEC) != 0)
            return false;
        for (int end = 0; end < 2; end++) {
            const int low = pipes[i][end];
            if (low > 2)
                continue;
            pipes[i][end] = fcntl(low, F_DUPFD_CLOEXEC, 3);
            close(low);
            if (pipes[i][end] < 0)
                return false;
        }
    }
    return true;
}

static void set_failure(process *p, const char *what, int error)
{
    snprintf(p->result->failure, sizeof p->result->failure, "%s: %s", what, strerror(error));
}

static bool start(process *p)
{
    const mls__process_request *request = p->request;
    int pipes[4][2], error = 0;
    if (!open_pipes(pipes)) {
        set_failure(p, "cannot make pipes", errno);
        close_pipes(pipes);
        return false;
    }
    const int ends[3] = {pipes[0][0], pipes[1][1], pipes[2][1]};
    const pid_t parent = getpid();
    p->pid = fork();
    if (p->pid == 0)
        become(p, ends, pipes[3][1], parent);
    if (p->pid < 0) {
        set_failure(p, "cannot fork", errno);
        close_pipes(pipes);
        return false;
    }
    setpgid(p->pid, p->pid); /* both do, whoever comes first */
    p->in = pipes[0][1];
    p->out = pipes[1][0];
    p->err = pipes[2][0];
    pipes[0][1] = pipes[1][0] = pipes[2][0] = -1;
    close_end(&pipes[3][1]);
    const bool failed = read(pipes[3][0], &error, sizeof error) == sizeof error;
    close_pipes(pipes);
    if (failed) {
        waitpid(p->pid, NULL, 0);
        snprintf(p->result->failure, sizeof p->result->failure, "cannot run '%s'%s%s: %s",
                 request->words[0], request->directory ? " in " : "",
                 request->directory ? request->directory : "", strerror(error));
        return false;
    }
    const int ours[3] = {p->in, p->out, p->err};
    for (int i = 0; i < 3; i++)
        fcntl(ours[i], F_SETFL, O_NONBLOCK);
    return true;
}

/* --- while it runs --- */

/* The group's number is its own until the first process of it is waited for. */
static void kill_all(const process *p)
{
    mls__cgroup_kill(&p->group);
    kill(-p->pid, SIGKILL);
}

static void tell(process *p, const char *reason)
{
    if (p->told_ms)
        return;
    p->reason = reason;
    p->told_ms = now_ms();
    kill(-p->pid, SIGTERM);
}

static void feed(process *p)
{
    const mls__process_request *r = p->request;
    const ssize_t wrote =
        write(p->in, (const char *) r->input + p->written, r->input_size - p->written);
    if (wrote > 0)
        p->written += (size_t) wrote;
    else if (wrote < 0 && errno != EAGAIN && errno != EINTR)
        p->written = r->input_size; /* it closed its input: that is its business */
    if (p->written == r->input_size)
        close_end(&p->in);
}

static bool make_room(process *p)
{
    mls__process_result *result = p->result;
    if (p->room > result->output_size)
        return true;
    const size_t room = 2 * p->room + STEP_BYTES;
    char *larger = mls__alloc(p->request->allocator, room);
    if (!larger)
        return false;
    if (result->output_size)
        memcpy(larger, result->output, result->output_size);
    mls__free(p->request->allocator, result->output);
    result->output = larger;
    p->room = room;
    return true;
}

/* false: nothing more comes now. */
static bool drain_output(process *p)
{
    mls__process_result *result = p->result;
    const size_t most = (size_t) p->request->limits->output;
    if (!make_room(p)) {
        tell(p, "there is no memory for what it writes");
        close_end(&p->out);
        return false;
    }
    const ssize_t got =
        read(p->out, result->output + result->output_size, p->room - result->output_size);
    if (got < 0)
        return errno == EINTR;
    if (got == 0)
        close_end(&p->out);
    result->output_size += (size_t) got;
    if (result->output_size > most) {
        result->output_size = most;
        tell(p, "it wrote more than limits.output");
        close_end(&p->out);
    }
    return p->out >= 0;
}

/* The last bytes are kept. */
static bool drain_errors(process *p)
{
    char bytes[ERRORS_BYTES];
    const ssize_t got = read(p->err, bytes, sizeof bytes);
    if (got < 0)
        return errno == EINTR;
    if (got == 0) {
        close_end(&p->err);
        return false;
    }
    const size_t size = (size_t) got;
    const size_t keep = p->errors_size + size > ERRORS_BYTES ? ERRORS_BYTES - size : p->errors_size;
    memmove(p->errors, p->errors + p->errors_size - keep, keep);
    memcpy(p->errors + keep, bytes, size);
    p->errors_size = keep + size;
    return true;
}

static bool has_ended(const process *p)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t) p->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid == p->pid;
}

static void look_at_clock(process *p)
{
    const mls__type_limits *limits = p->request->limits;
    const int64_t now = now_ms();
    const char *reason = p->request->should_stop(p->request->user);
    if (reason)
        tell(p, reason);
    if (limits->time_ms && now - p->started_ms >= limits->time_ms)
        tell(p, "it took longer than limits.time");
    if (p->told_ms && !p->was_killed && now - p->told_ms >= limits->grace_ms) {
        p->was_killed = true;
        kill_all(p);
    }
}

static void exchange(process *p)
{
    struct pollfd ends[] = {
        {p->in, POLLOUT, 0}, {p->out, POLLIN, 0}, {p->err, POLLIN, 0}}; /* -1 is left out */
    if (poll(ends, 3, TICK_MS) <= 0)
        return;
    if (ends[0].revents)
        feed(p);
    if (ends[1].revents)
        drain_output(p);
    if (ends[2].revents)
        drain_errors(p);
}

/* Until it ends; one that only closed its pipes is waited for by ticks. */
static void attend(process *p)
{
    if (!p->request->input_size)
        close_end(&p->in);
    while (!has_ended(p)) {
        look_at_clock(p);
        exchange(p);
    }
    kill_all(p); /* what it left behind */
    mls__kept_set(p->kept, 0);
    while (p->out >= 0 && drain_output(p))
        continue;
    while (p->err >= 0 && drain_errors(p))
        continue;
}

/* --- its end --- */

/* What programs of many kinds write when they cannot have memory. */
static bool tells_of_memory(const char *errors)
{
    static const char *const texts[] = {
        "Cannot allocate memory", "bad_alloc",    "MemoryError", "OutOfMemory",
        "out of memory",          "Out of memory"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strstr(errors, texts[i]))
            return true;
    return false;
}

/*
 * Without a control group nobody counts: an address space that is at its limit shows as
 * whatever the program makes of it.
 */
static bool ran_out(const process *p, int status)
{
    if (p->reason || !p->request->limits->memory)
        return false;
    if (mls__cgroup_ran_out(&p->group))
        return true;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return true; /* not by us: by a system that is short of memory */
    if (WIFEXITED(status) && WEXITSTATUS(status) == ENOMEM)
        return true;
    return (WIFSIGNALED(status) || WEXITSTATUS(status)) && tells_of_memory(p->errors);
}

/* `status` is NULL when somebody else in this process was told how it ended. */
static void explain(process *p, const int *status)
{
    char what[128] = "";
    p->errors[p->errors_size] = '\0';
    if (p->reason)
        snprintf(what, sizeof what, "%s", p->reason);
    else if (mls__cgroup_ran_out(&p->group))
        snprintf(what, sizeof what, "it used more than limits.memory");
    else if (!status)
        snprintf(what, sizeof what,
                 "how it ended is not known: the host ignores SIGCHLD, or waits "
                 "for children that are not its own");
    else if (WIFSIGNALED(*status))
        snprintf(what, sizeof what, "it was killed by signal %d (%s)", WTERMSIG(*status),
                 strsignal(WTERMSIG(*status)));
    else if (WEXITSTATUS(*status))
        snprintf(what, sizeof what, "it ended with exit status %d", WEXITSTATUS(*status));
    if (*what)
        snprintf(p->result->failure, sizeof p->result->failure, "%s%s%s", what,
                 p->errors_size ? ": " : "", p->errors);
}

static uint64_t ns_of(const struct timeval *time)
{
    return (uint64_t) time->tv_sec * UINT64_C(1000000000) + (uint64_t) time->tv_usec * 1000;
}

/* The largest of its processes, and the time of those that were waited for. */
static void note_cost(const struct rusage *usage, uint64_t wall_ns, mls__process_result *result)
{
    result->wall_ns = wall_ns ? wall_ns : 1;
    result->cpu_ns = ns_of(&usage->ru_utime) + ns_of(&usage->ru_stime);
    result->peak_bytes = (uint64_t) usage->ru_maxrss * 1024;
}

void mls__process_run(const mls__process_request *request, mls__process_result *ret_result)
{
    process p = {.request = request, .result = ret_result, .in = -1, .out = -1, .err = -1};
    int status = 0;
    memset(ret_result, 0, sizeof *ret_result);
    p.started_ms = now_ms();
    const uint64_t begin_ns = mls__clock_monotonic_ns();
    struct rusage usage;
    mls__cgroup_open(request->limits, &p.group);
    p.kept = mls__keeper_add(request->keeper, p.group.folder >= 0 ? p.group.path : "", NULL);
    if (!start(&p)) {
        mls__cgroup_close(&p.group);
        mls__kept_drop(p.kept);
        return;
    }
    attend(&p);
    const bool is_known = wait4(p.pid, &status, 0, &usage) == p.pid;
    if (is_known)
        note_cost(&usage, mls__clock_monotonic_ns() - begin_ns, ret_result);
    close_end(&p.in);
    close_end(&p.out);
    close_end(&p.err);
    explain(&p, is_known ? &status : NULL);
    ret_result->was_ended = p.told_ms != 0;
    ret_result->ran_out = is_known && ran_out(&p, status);
    mls__cgroup_close(&p.group);
    mls__kept_drop(p.kept);
}
