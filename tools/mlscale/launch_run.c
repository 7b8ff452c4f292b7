/* SPDX-License-Identifier: Apache-2.0 */
/* Looks after the children until all have ended, and ends them when one fails. */
#include "launch.h"
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)
/* How often it is seen whether a process group whose first process has ended is gone. */
#define LOOK_NS (SECOND_NS / 50)

typedef struct run {
    const launch_plan *plan;
    launch_child *children;
    size_t count;
    launch_sink *out, *err;
    struct pollfd *polls;
    bool is_ending;    /* all were told to end, since one failed */
    bool is_watched;   /* an agent, whose launch has not gone */
    int told;          /* the last signal from outside that ends programs */
    int code, ends_by; /* of the first failure; ends_by is a signal */
} run;

/* The handler's pipe. */
static int signal_pipe[2];

static void note_signal(int number)
{
    const int kept = errno;
    const char letter = (char) number;
    if (write(signal_pipe[1], &letter, 1) < 0)
        errno = 0; /* it is full of what is not read yet */
    errno = kept;
}

/* Those that this process was started to ignore stay ignored. */
static bool catch_signals(void)
{
    static const int caught[] = {SIGCHLD, SIGINT,  SIGTERM, SIGHUP, SIGQUIT,
                                 SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT};
    struct sigaction action = {.sa_handler = note_signal}, before;
    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return false;
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) {
        sigaction(caught[i], NULL, &before);
        if (before.sa_handler != SIG_IGN || caught[i] == SIGCHLD)
            sigaction(caught[i], &action, NULL);
    }
    return true;
}

/* A line of its own to standard error, behind what is there. */
static void say(run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(run *r, const char *format, ...)
{
    char text[1024], line[1200];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    const int length = snprintf(line, sizeof line, "mlscale launch: %s\n", text);
    if (length <= 0 || r->err->is_broken || sizeof r->err->data - r->err->used < (size_t) length)
        return;
    memcpy(r->err->data + r->err->used, line, (size_t) length);
    r->err->used += (size_t) length;
}

/* --- ending ---------------------------------------------------------------------------------- */

static void signal_all(run *r, int number)
{
    for (size_t i = 0; i < r->count; i++)
        launch_child_signal(&r->children[i], number);
}

/* Those that are there then are killed. */
static void kill_later(run *r, uint64_t at_ns)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->children[i].kill_at_ns > at_ns)
            r->children[i].kill_at_ns = at_ns;
}

static uint64_t stop_ns(const run *r)
{
    return now_ns() + (uint64_t) r->plan->stop_ms * (SECOND_NS / 1000);
}

static void end_all(run *r)
{
    if (r->is_ending)
        return;
    r->is_ending = true;
    signal_all(r, SIGTERM);
    signal_all(r, SIGCONT);
    kill_later(r, stop_ns(r));
}

/* An agent is told to kill its ranks; if it is there long after that, it is killed itself. */
static void kill_late(run *r)
{
    const uint64_t now = now_ns();
    size_t killed = 0;
    for (size_t i = 0; i < r->count; i++) {
        launch_child *child = &r->children[i];
        if (child->is_gone || now < child->kill_at_ns)
            continue;
        killed += !child->was_killed && !child->has_ended;
        if (child->host && !child->was_killed)
            launch_child_signal(child, SIGKILL);
        else
            kill(-child->pid, SIGKILL);
        child->was_killed = true;
        child->kill_at_ns = now + (child->host ? 5 * SECOND_NS : SECOND_NS);
    }
    if (killed)
        say(r, "%zu %s did not end within %g s, and %s killed", killed,
            r->plan->is_agent || !r->children[0].host ? "ranks" : "of them",
            (double) r->plan->stop_ms / 1e3, killed > 1 ? "were" : "was");
}

/* --- children -------------------------------------------------------------------------------- */

static int code_of(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static const char *name_of(const run *r, const launch_child *child, char *text, size_t size)
{
    char own[256] = "";
    if (child->host && child->host->count == 1)
        snprintf(text, size, "host %s with rank %u", child->host->name, child->rank);
    else if (child->host)
        snprintf(text, size, "host %s with ranks %u to %u", child->host->name, child->rank,
                 child->rank + child->host->count - 1);
    else if (r->plan->is_agent && gethostname(own, sizeof own - 1) == 0)
        snprintf(text, size, "rank %u (process %ld on %s)", child->rank, (long) child->pid, own);
    else
        snprintf(text, size, "rank %u (process %ld)", child->rank, (long) child->pid);
    return text;
}

static const char *end_of(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, size, "ended with exit code %d", WEXITSTATUS(status));
    return text;
}

/* The first one counts; what comes after it is what it brought about. */
static void fail(run *r, const launch_child *child)
{
    char name[400], end[200];
    if (r->code)
        return;
    r->code = code_of(child->status);
    if (r->told && r->code == 128 + r->told) {
        r->ends_by = r->told; /* as it was told to */
        return;
    }
    say(r, "%s %s%s", name_of(r, child, name, sizeof name), end_of(child->status, end, sizeof end),
        r->is_ending || r->count == 1 ? "" : "; the others are told to end");
    end_all(r);
}

/* Its number belongs to its group until it is waited for: what is left there is told to end. */
static void end_child(run *r, launch_child *child)
{
    kill(-child->pid, SIGTERM);
    waitpid(child->pid, &child->status, 0);
    child->has_ended = true;
    const uint64_t at_ns = stop_ns(r);
    child->kill_at_ns = child->kill_at_ns < at_ns ? child->kill_at_ns : at_ns;
    if (child->status)
        fail(r, child);
}

static void reap(run *r)
{
    for (size_t i = 0; i < r->count; i++) {
        launch_child *child = &r->children[i];
        siginfo_t info = {0};
        if (child->pid && !child->has_ended &&
            waitid(P_PID, (id_t) child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid == child->pid)
            end_child(r, child);
    }
}

/* Who has left its group may hold the pipes for ever: what is in them now is the end. */
static void close_streams(launch_child *child)
{
    launch_stream *streams[] = {&child->out, &child->err};
    for (size_t i = 0; i < 2; i++) {
        const size_t before = streams[i]->used;
        if (streams[i]->fd < 0 || launch_stream_is_full(streams[i]))
            continue;
        launch_stream_read(streams[i]);
        if (streams[i]->used == before)
            launch_stream_close(streams[i]);
    }
}

static void look_after(run *r)
{
    for (size_t i = 0; i < r->count; i++) {
        launch_child *child = &r->children[i];
        while (child->has_ended && !child->is_gone && waitpid(-child->pid, NULL, WNOHANG) > 0)
            ; /* what it left behind */
        if (child->has_ended && !child->is_gone)
            child->is_gone = kill(-child->pid, 0) != 0;
        if (child->is_gone)
            close_streams(child);
    }
    kill_late(r);
}

/* --- signals --------------------------------------------------------------------------------- */

static void on_signal(run *r, int number)
{
    const bool is_last = number == SIGINT || number == SIGTERM;
    if (number == SIGCHLD) {
        reap(r);
        return;
    }
    if (number == SIGKILL) { /* of an agent, by its launch */
        kill_later(r, now_ns());
        return;
    }
    signal_all(r, number);
    if (number == SIGTSTP && !r->plan->is_agent)
        raise(SIGSTOP); /* until SIGCONT, which comes here, too */
    if (is_last)        /* the second time it is meant */
        kill_later(r, r->told == number ? now_ns() : stop_ns(r));
    if (is_last || number == SIGHUP || number == SIGQUIT)
        r->told = number;
}

static void read_signals(run *r)
{
    unsigned char letters[64];
    const ssize_t got = read(signal_pipe[0], letters, sizeof letters);
    for (ssize_t i = 0; i < got; i++)
        on_signal(r, letters[i]);
}

/* An agent's launch tells signals by bytes, and is gone at the end of them. */
static void read_orders(run *r)
{
    unsigned char letters[64];
    const ssize_t got = read(STDIN_FILENO, letters, sizeof letters);
    for (ssize_t i = 0; i < got; i++)
        if (letters[i] > 0 && letters[i] < NSIG && letters[i] != SIGCHLD)
            on_signal(r, letters[i]);
    if (got > 0 || (got < 0 && errno == EINTR))
        return;
    r->is_watched = false;
    end_all(r);
}

/* --- the loop -------------------------------------------------------------------------------- */

static bool has_ended(const run *r)
{
    for (size_t i = 0; i < r->count; i++) {
        const launch_child *child = &r->children[i];
        if (!child->is_gone || child->out.fd >= 0 || child->err.fd >= 0 || child->out.used ||
            child->err.used)
            return false;
    }
    return !r->out->used && !r->err->used;
}

static int poll_timeout_ms(const run *r)
{
    const uint64_t now = now_ns();
    uint64_t next = LAUNCH_FOREVER;
    for (size_t i = 0; i < r->count; i++) {
        const launch_child *child = &r->children[i];
        uint64_t at = child->is_gone ? LAUNCH_FOREVER : child->kill_at_ns;
        if ((child->has_ended && !child->is_gone && at > now + LOOK_NS) ||
            (child->is_gone && (child->out.fd >= 0 || child->err.fd >= 0)))
            at = now + LOOK_NS;
        next = at < next ? at : next;
    }
    if (next == LAUNCH_FOREVER)
        return -1;
    return next <= now ? 0 : (int) ((next - now) / 1000000 % INT32_MAX) + 1;
}

static void watch(struct pollfd *at, int fd, bool is_wanted, short events)
{
    *at = (struct pollfd){.fd = is_wanted ? fd : -1, .events = events};
}

/* In the order in which serve() goes through them. */
static nfds_t prepare(run *r)
{
    nfds_t n = 0;
    watch(&r->polls[n++], signal_pipe[0], true, POLLIN);
    watch(&r->polls[n++], STDIN_FILENO, r->is_watched, POLLIN);
    watch(&r->polls[n++], r->out->fd, r->out->used > 0, POLLOUT);
    watch(&r->polls[n++], r->err->fd, r->err->used > 0, POLLOUT);
    for (size_t i = 0; i < r->count; i++) {
        const launch_child *child = &r->children[i];
        watch(&r->polls[n++], child->out.fd, !launch_stream_is_full(&child->out), POLLIN);
        watch(&r->polls[n++], child->err.fd, !launch_stream_is_full(&child->err), POLLIN);
        watch(&r->polls[n++], child->control,
              child->host && child->letters_used > child->letters_sent, POLLOUT);
    }
    return n;
}

static void serve(run *r)
{
    const struct pollfd *at = r->polls + 4;
    if (r->polls[2].revents)
        launch_sink_write(r->out);
    if (r->polls[3].revents)
        launch_sink_write(r->err);
    for (size_t i = 0; i < r->count; i++, at += 3) {
        launch_child *child = &r->children[i];
        if (at[0].revents)
            launch_stream_read(&child->out);
        if (at[1].revents)
            launch_stream_read(&child->err);
        if (at[2].revents)
            launch_child_tell(child);
    }
    if (r->polls[0].revents)
        read_signals(r);
    if (r->polls[1].revents)
        read_orders(r);
}

/* Nobody reads on: as if this process had written itself. */
static void check_sinks(run *r)
{
    if (!r->out->is_broken || r->code)
        return;
    r->code = 128 + SIGPIPE;
    end_all(r);
}

static void loop(run *r)
{
    for (;;) {
        for (size_t i = 0; i < r->count; i++) {
            launch_stream_pass(&r->children[i].out);
            launch_stream_pass(&r->children[i].err);
        }
        if (has_ended(r))
            return;
        const nfds_t n = prepare(r);
        if (poll(r->polls, n, poll_timeout_ms(r)) > 0)
            serve(r);
        check_sinks(r);
        look_after(r);
    }
}

/* --- starting -------------------------------------------------------------------------------- */

static void add(run *r, const launch_host *host, uint32_t rank)
{
    launch_child *child = &r->children[r->count++];
    child->host = host;
    child->rank = rank;
    child->kill_at_ns = LAUNCH_FOREVER;
    child->control = child->out.fd = child->err.fd = -1;
    child->out.sink = r->out;
    child->err.sink = r->err;
}

static void add_all(run *r, const launch_hosts *hosts)
{
    for (uint32_t i = 0; !hosts->count && i < r->plan->count; i++)
        add(r, NULL, r->plan->first + i);
    for (size_t h = 0; h < hosts->count; h++) {
        const launch_host *host = &hosts->hosts[h];
        if (!host->is_here)
            add(r, host, host->first);
        for (uint32_t i = 0; host->is_here && i < host->count; i++)
            add(r, NULL, host->first + i);
    }
}

static void start_all(run *r, const char *remote)
{
    for (size_t i = 0; i < r->count; i++) {
        launch_child *child = &r->children[i];
        const int fault = r->code ? ECANCELED : launch_child_start(child, r->plan, remote);
        if (!fault)
            continue;
        child->has_ended = child->is_gone = true;
        if (r->code)
            continue;
        r->code = fault == ENOENT ? 127 : 126;
        say(r, "cannot start '%.400s': %s", child->host ? "ssh" : r->plan->argv[0],
            strerror(fault));
        end_all(r);
    }
}

int launch_run(const launch_plan *plan, const launch_hosts *hosts, const char *remote)
{
    run r = {.plan = plan, .is_watched = plan->is_agent};
    r.children = calloc(plan->count, sizeof *r.children);
    r.polls = calloc(4 + 3 * (size_t) plan->count, sizeof *r.polls);
    r.out = calloc(1, sizeof *r.out);
    r.err = calloc(1, sizeof *r.err);
    launch_children_prepare(); /* before any other file is opened: it may have to fill 0 to 2 */
    if (!r.children || !r.polls || !r.out || !r.err || !catch_signals()) {
        r.code = failure("out of memory, or of files");
    } else {
        r.out->fd = STDOUT_FILENO;
        r.err->fd = STDERR_FILENO;
        add_all(&r, hosts);
        start_all(&r, remote);
        loop(&r);
    }
    for (size_t i = 0; i < r.count; i++)
        launch_child_free(&r.children[i]);
    free(r.children);
    free(r.polls);
    free(r.out);
    free(r.err);
    if (r.ends_by && !plan->is_agent) { /* a shell sees why */
        signal(r.ends_by, SIG_DFL);
        raise(r.ends_by);
    }
    return r.code;
}
