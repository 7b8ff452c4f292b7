/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mlscale launch, inside: ranks are children of this process, each in a process group of its
 * own; those of another host are children of an agent there, which is this command again, at
 * the end of one ssh, and is told the plan and signals by its standard input.
 *
 * One thread waits for everything in one poll(): signals, ends of children, output, agents. No
 * write waits for a reader, and no buffer grows.
 */
#ifndef MLSCALE_TOOL_LAUNCH_H
#define MLSCALE_TOOL_LAUNCH_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LAUNCH_RANKS_MAX 1024
#define LAUNCH_TOKEN     64 /* hexadecimal digits */
#define LAUNCH_FOREVER   UINT64_MAX

/* --- hosts: launch_hosts.c --- */

typedef struct launch_host {
    char name[256];
    uint32_t slots;
    uint32_t first, count; /* its ranks */
    bool is_here;
} launch_host;

typedef struct launch_hosts {
    launch_host *hosts;
    size_t count;
} launch_hosts;

/* Lines "HOST [slots=N]". Gives an exit code, after a message. */
int launch_hosts_read(const char *path, launch_hosts *ret_hosts);

/* Hands out ranks in the order of the file; those without any are dropped. `ranks` 0: all slots. */
int launch_hosts_fill(launch_hosts *hosts, uint32_t ranks, uint32_t *ret_ranks);

/* The name without "user@". */
const char *launch_host_address(const launch_host *host);

/* --- the plan: launch_plan.c --- */

typedef struct launch_plan {
    uint32_t size;         /* ranks in all */
    uint32_t first, count; /* those that this process starts */
    char url[512];
    char token[LAUNCH_TOKEN + 1];
    int64_t stop_ms;
    bool has_prefix, is_agent;
    char directory[4096]; /* "": where it is */
    char **argv;          /* ended by NULL */
    char *text;           /* of an agent's argv */
} launch_plan;

/* `digits` random hexadecimal digits and a NUL. false after a message. */
bool launch_random(char *ret_text, size_t digits);

/* How the ranks meet. */
typedef struct launch_meeting {
    const char *transport; /* NULL: what fits the hosts; "shm" or "tcp" */
    int64_t port;          /* 0: any */
    bool is_open;          /* not encrypted */
} launch_meeting;

/* Whether they meet by shm: what is said of ports and encryption is then said of nothing. */
bool launch_meets_by_shm(const launch_meeting *meeting, const launch_hosts *hosts);

/* The URL of the plan. Gives an exit code. */
int launch_url(const launch_meeting *meeting, const launch_hosts *hosts, launch_plan *plan);

/* What an agent is told for the ranks of `host`, to be freed. NULL: out of memory. */
char *launch_plan_write(const launch_plan *plan, const launch_host *host, size_t *ret_size);

/* The other side, from standard input. Gives an exit code, after a message. */
int launch_plan_read(launch_plan *ret_plan);

/* --- output: launch_output.c --- */

#define LAUNCH_LINE_MAX 16384 /* a longer line is cut */
#define LAUNCH_PREFIX   16

/* Where lines go: standard output or error. */
typedef struct launch_sink {
    int fd;
    bool is_broken; /* nobody reads it any more */
    size_t used;
    char data[4 * LAUNCH_LINE_MAX];
} launch_sink;

typedef struct launch_stream {
    int fd; /* -1: at its end */
    launch_sink *sink;
    char prefix[LAUNCH_PREFIX];
    bool is_cut; /* what comes next goes on with a line */
    size_t used;
    char data[LAUNCH_LINE_MAX + LAUNCH_PREFIX];
} launch_stream;

/* Reads what is there; at the end, or at a fault, the stream is closed. */
void launch_stream_read(launch_stream *stream);
/* Hands over whole lines while there is room. */
void launch_stream_pass(launch_stream *stream);
void launch_stream_close(launch_stream *stream);
bool launch_stream_is_full(const launch_stream *stream);

/* Writes what can be written without waiting, after poll() said so. */
void launch_sink_write(launch_sink *sink);

/* --- children: launch_child.c --- */

typedef struct launch_child {
    pid_t pid;               /* and its process group; 0: never started */
    const launch_host *host; /* of an agent; NULL: a rank */
    uint32_t rank;
    bool has_ended, is_gone; /* the process; its whole group */
    int status;              /* as of waitpid() */
    uint64_t kill_at_ns;     /* LAUNCH_FOREVER: it may go on */
    bool was_killed;
    launch_stream out, err;
    int control;   /* an agent's standard input, or -1 */
    char *letters; /* what it is still to be told */
    size_t letters_size, letters_used, letters_sent;
} launch_child;

/* What a child gets back of what launch changed for itself. */
void launch_children_prepare(void);

/* Starts one. Gives 0, or an errno after which the child is not there. */
int launch_child_start(launch_child *child, const launch_plan *plan, const char *remote);

/* To the whole group; to an agent, which hands it on. */
void launch_child_signal(launch_child *child, int signal_number);
/* Writes to an agent what can be written without waiting. */
void launch_child_tell(launch_child *child);
void launch_child_free(launch_child *child);

/* --- the loop: launch_run.c --- */

/*
 * Starts the children (of a plan, `hosts` being those of agents) and looks after them. Gives
 * the exit code, or ends by the signal that ended the ranks.
 */
int launch_run(const launch_plan *plan, const launch_hosts *hosts, const char *remote);

#endif
