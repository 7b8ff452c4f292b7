/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each chunk is a job with a unique key. Results stay in the queue until the whole output
 * is on the disk, so at any moment a chunk is to be scored, being scored, or scored once:
 * a second start writes the file anew from what is there, and has only the rest scored.
 */
#include "score_run.h"

#include "at_once.h"
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEEP_S INT64_C(604800) /* a week, for who comes back to it */

/* FNV-1a. */
static void add_bytes(uint64_t *hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        *hash = (*hash ^ bytes[i]) * UINT64_C(0x100000001b3);
}

static void add_text(uint64_t *hash, const char *text)
{
    add_bytes(hash, text ? text : "", text ? strlen(text) + 1 : 0);
}

/* A file as it is now: where it is, its size, and when it was written. */
static int add_file(uint64_t *hash, const char *path)
{
    struct stat info;
    char *whole = realpath(path, NULL);
    if (!whole || stat(whole, &info) != 0) {
        free(whole);
        return failure("cannot read '%s': %s", path, strerror(errno));
    }
    const int64_t facts[] = {info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
    add_text(hash, whole);
    add_bytes(hash, facts, sizeof facts);
    free(whole);
    return EXIT_GOOD;
}

static int add_output(uint64_t *hash, const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int) (slash - path) + 1 : 2,
             slash ? path : "./");
    char *whole = realpath(folder, NULL);
    if (!whole)
        return failure("cannot write '%s': %s", path, strerror(errno));
    add_text(hash, whole);
    add_text(hash, slash ? slash + 1 : path);
    free(whole);
    return EXIT_GOOD;
}

static int name_run(const arguments *args, score_run *run)
{
    static const char *const texts[] = {"columns", "batch", "numerics", "skip-bad-rows",
                                        "empty-as-nan"};
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        add_text(&hash, arguments_has(args, texts[i]) ? "given" : "not");
        add_text(&hash, arguments_get(args, texts[i]));
    }
    int code = add_file(&hash, arguments_operand(args, 0));
    if (!code)
        code = add_file(&hash, arguments_get(args, "input"));
    if (!code)
        code = add_output(&hash, run->output);
    snprintf(run->name, sizeof run->name, "score-%016" PRIx64, hash);
    return code;
}

/* What is open by `fd` is still what has that name: whoever had the lock may have renamed it. */
static bool is_named(int fd, const char *path)
{
    struct stat mine, there;
    return fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_dev == there.st_dev &&
           mine.st_ino == there.st_ino;
}

static int refuse_lock(const score_run *run, int error)
{
    if (error == EWOULDBLOCK)
        return failure("another 'mlscale score' is writing '%s' (it holds '%s'): wait for its end, "
                       "or name another --output",
                       run->output, run->path);
    return failure("cannot lock '%s', so that no other run writes it too: %s", run->path,
                   strerror(error));
}

/*
 * Two runs in one file would leave neither's rows, so a run owns its file until its process has
 * ended, in whichever way: the lock is of the kernel. Nothing is cut off before it is held.
 */
static int lock_output(score_run *run)
{
    for (;;) {
        const int fd = open(run->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0)
            return failure("cannot write '%s': %s", run->path, strerror(errno));
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            const int error = errno;
            close(fd);
            return refuse_lock(run, error);
        }
        if (is_named(fd, run->path)) {
            run->lock = fd;
            return EXIT_GOOD;
        }
        close(fd);
    }
}

int score_run_open(const arguments *args, score_run *ret_run)
{
    score_run run = {.lock = -1, .output = arguments_get(args, "output")};
    const char *ending = run.output ? strrchr(run.output, '.') : NULL;
    if (!run.output)
        return usage_error(args, "--queue needs --output: what is there is how it goes on");
    if ((size_t) snprintf(run.path, sizeof run.path, "%s.part%s", run.output,
                          ending && strcmp(ending, ".npy") == 0 ? ".npy" : "") >= sizeof run.path)
        return usage_error(args, "--output: the path is too long");
    int code = name_run(args, &run);
    if (!code)
        code = lock_output(&run);
    if (!code)
        *ret_run = run;
    return code;
}

/* What nothing was written to says nothing to who looks for a run's leavings. */
static void remove_unused(const score_run *run)
{
    struct stat info;
    if (is_named(run->lock, run->path) && fstat(run->lock, &info) == 0 && info.st_size == 0)
        unlink(run->path);
}

void score_run_close(score_run *run)
{
    remove_unused(run);
    close(run->lock);
    free(run->ids);
}

mls_status score_run_submit(score_run *run, mls_queue *queue, mls_job_options *job,
                            uint64_t *ret_id)
{
    char key[64];
    if (run->count == run->room) {
        const size_t room = 2 * run->room + 1024;
        uint64_t *larger = realloc(run->ids, room * sizeof *larger);
        if (!larger)
            return MLS_ENOMEM;
        run->ids = larger;
        run->room = room;
    }
    snprintf(key, sizeof key, "%s/%zu", run->name, run->count);
    job->type = run->name;
    job->key = key;
    job->flags |= MLS_JOB_JOIN;
    job->retention_ms = KEEP_S * 1000;
    job->deadline_ms = (time(NULL) + KEEP_S) * 1000; /* of a run that nobody goes on with */
    job->ack = MLS_ACK_RAM; /* a submit that is lost is made again; results are not lost */
    const mls_status status = mls_queue_submit(queue, job, ret_id);
    if (!status)
        run->ids[run->count++] = *ret_id;
    return status;
}

/* The bytes of a file, or the names in a folder, are on the disk. */
static bool sync_path(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return good;
}

static bool sync_folder(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int) (slash - path) + 1 : 1,
             slash ? path : ".");
    return sync_path(folder);
}

/* One that stays goes at the end of its time. */
static int forget_chunk(void *user, uint64_t id)
{
    mls_queue_forget(user, id);
    return EXIT_GOOD;
}

bool score_run_finish(score_run *run, mls_queue *queue)
{
    if (!sync_path(run->path) || rename(run->path, run->output) != 0 || !sync_folder(run->output)) {
        failure("cannot write '%s': %s", run->output, strerror(errno));
        return false;
    }
    at_once(run->ids, run->count, forget_chunk, queue);
    return true;
}
