/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that a test starts, listens to and kills. */
#ifndef MLS_TESTS_QUEUE_PROCESSES_H
#define MLS_TESTS_QUEUE_PROCESSES_H

#include <stdint.h>
#include <sys/types.h>

/* A process that talks through a pipe: each line of its life is one byte. */
typedef struct child {
    pid_t pid;
    int from; /* what it says */
    int to;   /* what it waits for */
} child;

/* Its body. A failed assertion there ends the child with a status of its own. */
typedef void (*child_fn)(int up, int down, uint64_t arg);

child child_start(child_fn body, uint64_t arg);

/* A word to the other side, and one that must be the next from there. */
void child_say(int fd, char word);
void child_hear(int fd, char word);

/* It ends by itself, and well; or is killed, wherever it is. */
void child_join(child *c);
void child_kill(child *c);

#endif
