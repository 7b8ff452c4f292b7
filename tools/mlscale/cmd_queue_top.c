/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mlscale queue top: what happens in a queue, again and again. A frame is two looks at the
 * counts, some time apart, and the jobs that run now. On a terminal frames replace one
 * another; as JSON each is a line.
 */
#include "cmd_queue.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define MOST_ROWS  1000
#define HEAD_LINES 8 /* of a frame, above the jobs */
#define NO_BOUND   INT32_MAX

typedef struct look {
    mls_queue_stats stats;
    int64_t at_ns;
} look;

typedef struct viewer {
    char name[200]; /* the queue's URL */
    queue_tool tool;
    mls_queue_filter filter;
    int64_t interval_ms;
    int64_t rows;
    bool is_json, is_once, is_live; /* live: replaces what it showed, on a terminal */
    int columns, lines;             /* of it */
    look before, now;
    bool has_before;
} viewer;

static volatile sig_atomic_t shall_end;

/* --- what is shown --- */

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Gives an exit code. */
static int take_look(viewer *v)
{
    v->has_before = v->now.at_ns != 0;
    v->before = v->now;
    v->now.stats = (mls_queue_stats) MLS_QUEUE_STATS_INIT;
    v->now.at_ns = monotonic_ns();
    return mls_queue_get_stats(v->tool.queue, &v->filter, &v->now.stats) ? library_failure(NULL)
                                                                         : EXIT_GOOD;
}

/* How much a sum grew since the look before. */
static double growth(const viewer *v, size_t offset)
{
    return (double) queue_sum_of(&v->now.stats, offset) -
           (double) queue_sum_of(&v->before.stats, offset);
}

static double rate_of(const viewer *v, size_t index)
{
    const double seconds = (double) (v->now.at_ns - v->before.at_ns) / 1e9;
    return growth(v, queue_sums[index].offset) / (seconds > 0 ? seconds : 1);
}

/* Of the claims since the look before; 0 for none. */
static double mean_ms(const viewer *v, size_t offset)
{
    const double claims = growth(v, offsetof(mls_queue_stats, claimed));
    return claims > 0 ? growth(v, offset) / claims / 1e6 : 0;
}

/* --- as text --- */

/* Up to `most` columns of what may come from anyone: nothing in it moves the cursor. */
static void put_text(const char *given, int most)
{
    const unsigned char *text = (const unsigned char *) given;
    for (int column = 0; *text && column < most; column++) {
        const size_t skipped = control_at(text);
        putchar(skipped ? '?' : *text);
        text += skipped ? skipped : 1;
        for (; !skipped && (*text & 0xc0) == 0x80; text++) /* the rest of a character */
            putchar(*text);
    }
}

static void put_line(const viewer *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void put_line(const viewer *v, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    put_text(text, v->columns);
    fputs(v->is_live ? "\033[K\n" : "\n", stdout);
}

static void put_counts(const viewer *v)
{
    char text[512] = "";
    for (int32_t state = MLS_JOB_SCHEDULED; state <= MLS_JOB_CANCELLED; state++) {
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s %" PRIu64, used ? "  " : "",
                 mls_job_state_name(state), v->now.stats.jobs[state]);
    }
    put_line(v, "%s", text);
}

static void put_rates(const viewer *v)
{
    char text[512] = "";
    for (size_t i = 0; i < QUEUE_RATES; i++) {
        const size_t used = strlen(text);
        if (v->has_before)
            snprintf(text + used, sizeof text - used, "%s%s %.1f", used ? "  " : "",
                     queue_sums[i].name, rate_of(v, i));
        else
            snprintf(text + used, sizeof text - used, "%s%s -", used ? "  " : "",
                     queue_sums[i].name);
    }
    put_line(v, "%s", text);
    if (v->has_before)
        put_line(v, "mean of a claim: waiting %.3f ms, running %.3f ms",
                 mean_ms(v, offsetof(mls_queue_stats, waiting_ns)),
                 mean_ms(v, offsetof(mls_queue_stats, running_ns)));
    else
        put_line(v, "mean of a claim: -");
}

static int put_job(void *user, mls_queue *queue, const mls_job *job)
{
    const viewer *v = user;
    mls_job_info info = MLS_JOB_INFO_INIT;
    (void) queue;
    if (mls_job_get_info(job, &info))
        return library_failure(NULL);
    const double seconds =
        info.claimed_ms ? (double) time(NULL) - (double) info.claimed_ms / 1000 : 0;
    put_line(v, "%12" PRIu64 "  %-24.24s %-16.16s %-20.20s %7" PRIu32 " %9.0f %4.0f%%  %s", info.id,
             info.type, info.queue, info.owner, info.attempt, seconds > 0 ? seconds : 0,
             info.progress * 100, info.progress_note);
    return EXIT_GOOD;
}

static job_filter running_filter(const viewer *v)
{
    job_filter filter = {v->filter, NULL};
    filter.listed.states = MLS_QUEUE_STATE(MLS_JOB_RUNNING) | MLS_QUEUE_STATE(MLS_JOB_STOPPING);
    return filter;
}

static void read_size(viewer *v)
{
    struct winsize size;
    v->columns = v->lines = NO_BOUND;
    if (v->is_live && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
        v->columns = size.ws_col;
        v->lines = size.ws_row;
    }
}

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The URL without options and password: a screen has many readers. */
static void read_name(viewer *v, const char *url)
{
    const char *user = strstr(url, "://");
    const size_t length = strcspn(url, "?");
    const char *at = user ? memchr(user, '@', strcspn(user, "?")) : NULL;
    const char *colon = at ? memchr(user + 3, ':', (size_t) (at - user) - 3) : NULL;
    if (colon)
        snprintf(v->name, sizeof v->name, "%.*s:***%.*s", (int) (colon - url), url,
                 (int) (length - (size_t) (at - url)), at);
    else
        snprintf(v->name, sizeof v->name, "%.*s", (int) length, url);
}

static int show_text(viewer *v)
{
    char now[32];
    read_size(v);
    if (v->is_live)
        fputs("\033[H", stdout);
    put_line(v, "%s  %s", v->name, time_text(wall_ms(), now, sizeof now));
    put_line(v, "jobs");
    put_counts(v);
    put_line(v, "in a second");
    put_rates(v);
    put_line(v, "%12s  %-24s %-16s %-20s %7s %9s %5s  %s", "RUNNING", "TYPE", "QUEUE", "OWNER",
             "ATTEMPT", "SECONDS", "DONE", "NOTE");
    const int64_t room = v->lines > HEAD_LINES ? v->lines - HEAD_LINES : 0;
    const job_filter filter = running_filter(v);
    const int code = jobs_visit(v->tool.queue, &filter, 0,
                                (uint64_t) (v->rows < room ? v->rows : room), put_job, v);
    if (v->is_live)
        fputs("\033[J", stdout);
    return code;
}

/* --- as JSON --- */

static int add_job(void *user, mls_queue *queue, const mls_job *job)
{
    (void) queue;
    json_array_append_new(user, job_json(job, false));
    return EXIT_GOOD;
}

static int show_json(const viewer *v)
{
    json_t *counts = json_object(), *speeds = json_object(), *running = json_array();
    for (int32_t state = MLS_JOB_SCHEDULED; state <= MLS_JOB_CANCELLED; state++)
        json_object_set_new(counts, mls_job_state_name(state),
                            json_integer((json_int_t) v->now.stats.jobs[state]));
    for (size_t i = 0; i < QUEUE_RATES; i++)
        json_object_set_new(speeds, queue_sums[i].name,
                            v->has_before ? json_real(rate_of(v, i)) : json_null());
    const job_filter filter = running_filter(v);
    const int code = jobs_visit(v->tool.queue, &filter, 0, (uint64_t) v->rows, add_job, running);
    json_t *frame = json_pack("{s:I, s:o, s:o, s:o}", "time_ms", (json_int_t) wall_ms(), "jobs",
                              counts, "in_a_second", speeds, "running", running);
    if (!code)
        json_dumpf(frame, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(frame);
    putchar('\n');
    return code;
}

/* --- the terminal --- */

static void note_signal(int which)
{
    (void) which;
    shall_end = 1;
}

/* They interrupt waiting, and nothing else. */
static void catch_signals(sigset_t *ret_waiting)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = note_signal};
    sigset_t blocked;
    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        sigaction(ends[i], &action, NULL);
        sigaddset(&blocked, ends[i]);
    }
    pthread_sigmask(SIG_BLOCK, &blocked, ret_waiting);
}

/* Another screen, no cursor, and keys at once; and back. */
static void open_screen(struct termios *ret_before, bool *ret_has_keys)
{
    *ret_has_keys = tcgetattr(STDIN_FILENO, ret_before) == 0;
    if (*ret_has_keys) {
        struct termios raw = *ret_before;
        raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    fputs("\033[?1049h\033[?25l", stdout);
}

static void close_screen(const struct termios *before, bool has_keys)
{
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    if (has_keys)
        tcsetattr(STDIN_FILENO, TCSANOW, before);
}

/* Until the next frame. false: it shall end. */
static bool wait_for_next(const viewer *v, const sigset_t *waiting, bool has_keys)
{
    const int64_t end_ns = monotonic_ns() + v->interval_ms * 1000000;
    struct pollfd keys = {has_keys ? STDIN_FILENO : -1, POLLIN, 0};
    for (;;) {
        const int64_t left_ns = end_ns - monotonic_ns();
        if (shall_end || left_ns <= 0)
            return !shall_end;
        const struct timespec left = {left_ns / 1000000000, left_ns % 1000000000};
        char key;
        if (ppoll(&keys, 1, &left, waiting) <= 0)
            continue;
        if (read(STDIN_FILENO, &key, 1) <= 0)
            keys.fd = -1;
        else if (key == 'q')
            return false;
    }
}

static int run_view(viewer *v)
{
    struct termios before;
    bool has_keys = false;
    sigset_t waiting;
    int code = EXIT_GOOD;
    catch_signals(&waiting);
    if (v->is_live)
        open_screen(&before, &has_keys);
    do {
        code = take_look(v);
        if (!code)
            code = v->is_json ? show_json(v) : show_text(v);
        fflush(stdout);
    } while (!code && !v->is_once && wait_for_next(v, &waiting, has_keys));
    if (v->is_live) {
        close_screen(&before, has_keys);
        if (code) /* what was said is gone with the screen */
            library_failure(NULL);
    }
    return code;
}

static int top(const arguments *args)
{
    viewer v = {.filter = MLS_QUEUE_FILTER_INIT};
    const bool is_terminal = isatty(STDOUT_FILENO);
    if (!arguments_int(args, "interval", 100, 3600000, 2000, &v.interval_ms) ||
        !arguments_int(args, "rows", 0, MOST_ROWS, 50, &v.rows))
        return EXIT_USAGE;
    v.filter.type = arguments_get(args, "type");
    v.filter.queue = arguments_get(args, "in-queue");
    v.is_json = arguments_has(args, "json");
    v.is_once = arguments_has(args, "once") || (!v.is_json && !is_terminal);
    v.is_live = is_terminal && !v.is_json && !v.is_once;
    int code = queue_tool_open(args, QUEUE_IS_THERE, &v.tool);
    if (code)
        return code;
    read_name(&v, arguments_get(args, "queue"));
    code = run_view(&v);
    queue_tool_close(&v.tool);
    return code;
}

static const option_spec options[] = {
    QUEUE_OPTION,
    {"interval", "MS", "time between two looks, 100 to 3600000 (default 2000)"},
    {"rows", "N", "running jobs that are shown, at most 1000 (default 50)"},
    {"type", "TYPE", "jobs of this type only"},
    {"in-queue", "NAME", "jobs of this named queue only"},
    {"once", NULL, "look once and end"},
    {"json", NULL, "print a JSON object a look, each on a line"},
    {NULL, NULL, NULL},
};

const command command_queue_top = {
    .name = "queue top",
    .operands = "--queue URL",
    .summary = "watch a queue: jobs by state, what happens in a second, what runs",
    .details = "The key q and the usual signals end it. What is not a terminal gets one look, and\n"
               "as JSON one after another, unless --once is given.",
    .options = options,
    .run = top,
};
