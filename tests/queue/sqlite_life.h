/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A life of some jobs in a sqlite queue, of which each call may fail or be the last: what was
 * acknowledged is noted, and looked for in the store afterwards.
 */
#ifndef MLS_TESTS_QUEUE_SQLITE_LIFE_H
#define MLS_TESTS_QUEUE_SQLITE_LIFE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Those from LIFE_BULK on are one submit. */
enum {
    LIFE_SMALL,
    LIFE_LARGE,   /* with a segment for its payload, and one for its result, which is forgotten */
    LIFE_RETRIED, /* fails once; with a segment */
    LIFE_KEYED,   /* submitted twice */
    LIFE_CHILD,   /* of LIFE_SMALL; with a segment */
    LIFE_CANCELLED,
    LIFE_BULK,
    LIFE_BULK_LARGE, /* of the same bytes as LIFE_LARGE, which are one file */
    LIFE_BURIED,
    LIFE_JOBS
};

/* Of job i, what was acknowledged; written to report_fd as soon as it is true. */
typedef struct sqlite_life {
    uint64_t ids[LIFE_JOBS];
    bool submitted[LIFE_JOBS];
    bool ended[LIFE_JOBS];
    bool failed; /* LIFE_RETRIED, once */
    bool cancelled;
    bool was_to_be_forgotten, forgotten; /* LIFE_LARGE */
    int report_fd;                       /* 0: to nobody */
} sqlite_life;

/* The queue at sqlite_file_url(), from its first file on. */
void sqlite_life_run(sqlite_life *life);

/* Nothing failed in it. */
bool sqlite_life_is_whole(const sqlite_life *life);

/* The store afterwards, when nothing fails any more: all that was acknowledged is so. */
void sqlite_life_check(const sqlite_life *life);

/* Removes its files. */
void sqlite_life_remove(void);

#endif
