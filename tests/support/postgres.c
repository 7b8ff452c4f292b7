/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs are run, not linked. The server is told by the kernel when who started it
 * died, and ends at once then; its folder is removed by an exit handler.
 *
 * Nothing here is asked again and again. The server writes into a file of its folder how far
 * its start is, which inotify tells; and all of its processes hold the end of a pipe, so that
 * its other end tells when the last of them is gone.
 */
#include "support/postgres.h"

#include "base/clock.h"
#include "support/folder.h"

#include <glob.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#define NOBODY      65534
#define PATIENCE_MS 60000

static char programs[256]; /* their folder */
static char folder[256];
static pid_t server, starter, held_writer;
static int life = -1;   /* at its end when no process of the server is left */
static int change = -1; /* readable when a file of the data folder was written */
static unsigned urls;

static bool find_programs(void)
{
    glob_t found;
    const char *pattern = "/usr/lib/postgresql/*/bin/initdb";
    if (glob(pattern, 0, NULL, &found) != 0)
        return false;
    /* The last one: newer versions are behind. */
    snprintf(programs, sizeof programs, "%.*s",
             (int) (strlen(found.gl_pathv[found.gl_pathc - 1]) - strlen("/initdb")),
             found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return true;
}

/* In the child: no rights, no output, no life of its own. Nothing comes back from it. */
static void run(const char *program, const char *const *args)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", programs, program);
    if (getuid() == 0 && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (chdir(folder))
        _exit(125);
    const int log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log, 1);
    dup2(log, 2);
    setenv("LC_ALL", "C", 1);
    execv(path, (char *const *) (uintptr_t) args);
    _exit(127);
}

static pid_t start(const char *program, const char *const *args)
{
    const pid_t child = fork();
    if (child == 0)
        run(program, args);
    return child;
}

static bool run_to_end(const char *program, const char *const *args)
{
    int status;
    const pid_t child = start(program, args);
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

/* Whether the server takes connections: it says so in the last line of a file with its process. */
static bool is_ready(void)
{
    char path[300], line[300];
    int pid = 0;
    bool says_ready = false;
    snprintf(path, sizeof path, "%s/data/postmaster.pid", folder);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    if (fscanf(file, "%d", &pid) != 1)
        pid = 0;
    while (fgets(line, sizeof line, file))
        says_ready = strncmp(line, "ready", strlen("ready")) == 0;
    fclose(file);
    return pid == server && says_ready;
}

/* Until a file was written, or the server has ended, which is false. */
static bool await_change(void)
{
    char events[4096];
    struct pollfd polls[] = {{.fd = change, .events = POLLIN}, {.fd = life}};
    if (poll(polls, 2, PATIENCE_MS) <= 0 || polls[1].revents)
        return false;
    return read(change, events, sizeof events) > 0;
}

static bool start_server(void)
{
    /* Its shared memory lies in its folder, which is removed. */
    const char *const args[] = {"postgres",
                                "-Ddata",
                                "-k",
                                folder,
                                "-clisten_addresses=",
                                "-cmax_connections=64",
                                "-cshared_buffers=128MB",
                                "-cmax_wal_size=1GB",
                                "-cautovacuum_naptime=1s",
                                "-cmax_prepared_transactions=4", /* which hold what they locked */
                                "-cdynamic_shared_memory_type=mmap",
                                NULL};
    int ends[2];
    if (pipe(ends))
        return false;
    server = start("postgres", args);
    close(ends[1]);
    life = ends[0];
    while (server > 0 && !is_ready())
        if (!await_change())
            return false;
    return server > 0;
}

/* Those that it has started. */
static void signal_children(int signal)
{
    char path[64];
    int child;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int) server, (int) server);
    FILE *file = fopen(path, "r");
    if (!file)
        return;
    while (fscanf(file, "%d", &child) == 1)
        kill(child, signal);
    fclose(file);
}

/* Its other processes see that it is gone; until they are too, no new one can start. */
static void end_server(int signal)
{
    if (server <= 0)
        return;
    kill(server, signal);
    waitpid(server, NULL, 0);
    server = 0;
    if (held_writer > 0)
        kill(held_writer, SIGKILL); /* being stopped, it does not see that */
    held_writer = 0;
    poll(&(struct pollfd){.fd = life}, 1, PATIENCE_MS);
    close(life);
}

static void end_at_exit(void)
{
    if (getpid() != starter)
        return;
    mls_test_postgres_resume(); /* a test may have failed meanwhile */
    end_server(SIGQUIT);
}

static void give_up(const char *what)
{
    fprintf(stderr, "the private PostgreSQL server fails: %s; see %s/log\n", what, folder);
    abort();
}

/* Everybody who can reach the socket is trusted, but for one role. */
static bool write_access_rules(void)
{
    char path[300];
    snprintf(path, sizeof path, "%s/data/pg_hba.conf", folder);
    FILE *file = fopen(path, "w");
    if (!file)
        return false;
    fputs("local all locked scram-sha-256\nlocal all all trust\n", file);
    return fclose(file) == 0;
}

static bool make_cluster(void)
{
    const char *const args[] = {"initdb", "-D", "data", "-U",   "mls",        "-A",
                                "trust",  "-N", "-E",   "UTF8", "--locale=C", NULL};
    snprintf(folder, sizeof folder, "%s/pg", mls_test_folder());
    mls_test_folder_share();
    return chmod(mls_test_folder(), 0755) == 0 && mkdir(folder, 0700) == 0 &&
           (getuid() != 0 || chown(folder, NOBODY, NOBODY) == 0) && run_to_end("initdb", args) &&
           write_access_rules();
}

/* What is written into the data folder; its files are, and are not put in place of others. */
static bool watch_cluster(void)
{
    char path[300];
    snprintf(path, sizeof path, "%s/data", folder);
    change = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return change >= 0 && inotify_add_watch(change, path, IN_MODIFY | IN_CLOSE_WRITE) >= 0;
}

bool mls_test_postgres_start(void)
{
    if (server)
        return true;
    if (!find_programs())
        return false;
    if (!make_cluster())
        give_up("initdb");
    if (!watch_cluster())
        give_up("inotify");
    starter = getpid();
    atexit(end_at_exit);
    mls_test_postgres_restart();
    mls_test_postgres_sql("CREATE ROLE locked LOGIN PASSWORD 'key'");
    return true;
}

const char *mls_test_postgres_url(void)
{
    static char url[600];
    char socket[400];
    size_t size = 0;
    for (const char *at = folder; *at; at++) /* in place of a host '/' is written so */
        size +=
            (size_t) snprintf(socket + size, sizeof socket - size, *at == '/' ? "%%2F" : "%c", *at);
    /* By the time, since the numbers of processes come again within one run of a program. */
    snprintf(url, sizeof url,
             "postgres://mls@%s/postgres?connect_timeout=60&schema=q%llx_%d_%u&init=1", socket,
             (unsigned long long) mls__clock_monotonic_ns(), (int) getpid(), ++urls);
    return url;
}

/* The first SIGKILL leaves the others: they see that and end by themselves. */
void mls_test_postgres_kill(int signal)
{
    end_server(signal);
}

/* First what would start others. */
void mls_test_postgres_suspend(void)
{
    if (kill(server, SIGSTOP))
        give_up("it does not stop");
    signal_children(SIGSTOP);
}

void mls_test_postgres_resume(void)
{
    if (server <= 0)
        return;
    signal_children(SIGCONT);
    kill(server, SIGCONT);
}

void mls_test_postgres_hold_writes(void)
{
    char path[300], sql[500];
    snprintf(path, sizeof path, "%s/writer", folder);
    snprintf(sql, sizeof sql,
             "COPY (SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter') TO '%s'",
             path);
    mls_test_postgres_sql(sql);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%d", &held_writer) != 1 || kill(held_writer, SIGSTOP))
        give_up(sql);
    fclose(file);
}

/* In a file of the test's folder; another takes its place, so that it is read whole. */
void mls_test_postgres_set_clock(int64_t wall_ms)
{
    char path[300], next[310];
    snprintf(path, sizeof path, "%s/clock", mls_test_folder());
    snprintf(next, sizeof next, "%s.next", path);
    FILE *file = fopen(next, "w");
    if (!file)
        give_up(next);
    fprintf(file, "%lld", (long long) wall_ms * 1000);
    if (fclose(file) || chmod(next, 0644) || rename(next, path))
        give_up(path);
}

void mls_test_postgres_hold_clock(const char *url)
{
    char sql[600];
    const char *schema = strstr(url, "schema=") + strlen("schema=");
    snprintf(sql, sizeof sql,
             "CREATE OR REPLACE FUNCTION %.*s.now_us() RETURNS int8 LANGUAGE sql AS"
             " 'SELECT pg_read_file(''%s/clock'')::int8'",
             (int) strcspn(schema, "&"), schema, mls_test_folder());
    mls_test_postgres_sql(sql);
}

void mls_test_postgres_restart(void)
{
    if (!start_server())
        give_up("it does not start");
}

void mls_test_postgres_sql(const char *sql)
{
    const char *const args[] = {
        "psql", "-qX", "-vON_ERROR_STOP=1", "-h", folder, "-U", "mls", "postgres", "-c", sql, NULL};
    if (!run_to_end("psql", args))
        give_up(sql);
}

int mls_test_postgres_skip(void)
{
    puts("1..0 # SKIP there is no PostgreSQL server to start");
    return 0;
}
