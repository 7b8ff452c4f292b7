/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the `nccl:` transport uses of CUDA and NCCL, on the host's memory and for threads of one
 * process: streams whose work is done when they are looked at, communicators that need all their
 * ranks, and counts of what was not given back or not called as it must be. Sums are by the
 * library's tree, so that the conformance suite holds.
 */
#ifndef MLS_TESTS_CONFORMANCE_TRANSPORT_FAKE_NCCL_H
#define MLS_TESTS_CONFORMANCE_TRANSPORT_FAKE_NCCL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

/* A function of CUDA or NCCL, of whose headers there are none. */
#define DEFINE(result, name, ...)                                                                  \
    EXPORT result name(__VA_ARGS__);                                                               \
    result name(__VA_ARGS__)

enum { MAX_RANKS = 8, SLOTS = 4, NOT_READY = 600, IN_PROGRESS = 7, INVALID = 4 };
enum { INT8 = 0, INT32 = 2, INT64 = 4, FLOAT32 = 7, FLOAT64 = 8 };
enum { SUM, PROD, MAX, MIN, AVG };
enum { ALLREDUCE, REDUCE, REDUCE_SCATTER, BROADCAST, ALLGATHER, EXCHANGE };

typedef struct unique_id {
    char bytes[128];
} unique_id;

typedef struct part {
    const unsigned char *source; /* of a send */
    unsigned char *target;       /* of a receive */
    size_t bytes;
    int peer;
} part;

typedef struct request {
    int kind, type, op, root;
    const unsigned char *source;
    unsigned char *target;
    size_t count;
    part parts[2 * MAX_RANKS];
    int part_count;
} request;

/* A collective of a group: those of different ranks with one number meet here. */
typedef struct slot {
    uint64_t number;
    int arrived;
    bool is_done;
    request requests[MAX_RANKS];
} slot;

typedef struct group {
    struct group *next;
    unique_id id;
    int size, joined, members;
    slot slots[SLOTS];
} group;

typedef struct comm {
    group *group;
    int rank;
    uint64_t next_number;
} comm;

typedef struct task {
    struct task *next;
    void *to; /* a copy */
    const void *from;
    size_t size;
    comm *comm; /* a collective */
    uint64_t number;
    request request;
    bool is_there;
} task;

typedef struct stream {
    task *first, **end;
} stream;

/* Of all groups; guarded by its mutex, as what other ranks of a group see is. */
extern struct fake {
    pthread_mutex_t mutex;
    int live, faults, collectives, aborts;
    bool is_stalled;
} fake;

void fake_count(int *counter, int change);

/* For calls that need a context of the calling thread's: without one it is a fault. */
bool fake_has_context(void);

/* Puts a copy at the end of what the stream has to do. */
void fake_add_task(stream *to, const task *given);

size_t fake_size_of(int type);

/* Whether a task that is the next of its stream is done now. */
bool fake_has_ended_locked(task *t);

#endif
