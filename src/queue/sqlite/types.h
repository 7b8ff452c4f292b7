/* SPDX-License-Identifier: Apache-2.0 */
/* What an open sqlite queue is made of: lanes, rows, claimers, operations, the store. */
#ifndef MLS_QUEUE_SQLITE_TYPES_H
#define MLS_QUEUE_SQLITE_TYPES_H

#include "base/context.h"
#include "base/sketch.h"
#include "base/thread.h"
#include "base/vec.h"
#include "queue/durable/ends.h"
#include "queue/durable/rules.h"
#include "queue/durable/schedules.h"
#include "queue/durable/served.h"
#include "queue/durable/shares.h"
#include "queue/sqlite/statements.h"

#include <mlscale/ext/queue_driver.h>

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>

#define MLS__SQL_INLINE_BYTES   256  /* of a payload in the job's own row; more: a blob's row */
#define MLS__SQL_BLOB_BYTES     8192 /* more: a segment file */
#define MLS__SQL_HASH_BYTES     32
#define MLS__SQL_MOST_LANES     4095
#define MLS__SQL_SYNC_NS        UINT64_C(100000000) /* how long an unsynced commit may stay so */
#define MLS__SQL_LOOK_NS        UINT64_C(40000000)  /* between two looks for dead processes */
#define MLS__SQL_DEFAULT_DEATHS 3
#define MLS__SQL_MESSAGE_BYTES  512
#define MLS__SQL_BUCKETS        256

/* Whether a number of the file is one that a queue writes: it may be added to. */
#define MLS__SQL_IS_POSSIBLE(number) ((number) > -(INT64_MAX >> 2) && (number) < INT64_MAX >> 2)

typedef struct mls__sql_store mls__sql_store;
typedef struct mls__sql_op mls__sql_op;
typedef struct mls__sql_lane mls__sql_lane;
typedef struct mls__sql_claimer mls__sql_claimer;
typedef struct mls__sql_hold mls__sql_hold;
typedef struct mls__sql_page mls__sql_page;
typedef struct mls__sql_cost mls__sql_cost;

/* What attempts took. Stored as it is. */
typedef struct mls__sql_costs {
    mls__sketch wall, cpu, memory;
} mls__sql_costs;

/* What others may wait for; bits. */
#define MLS__SQL_NEWS_READY    1u /* a job is ready, or a timer was set */
#define MLS__SQL_NEWS_ENDED    2u
#define MLS__SQL_NEWS_CANCEL   4u  /* a running job shall stop */
#define MLS__SQL_NEWS_DEATH    8u  /* a process may have died: ours alone */
#define MLS__SQL_NEWS_SCHEDULE 16u /* a schedule was set */

/* Where bytes are. The values are stored. */
#define MLS__SQL_AT_NONE    0
#define MLS__SQL_AT_ROW     1
#define MLS__SQL_AT_BLOB    2
#define MLS__SQL_AT_SEGMENT 3

typedef struct mls__sql_bytes {
    int32_t at;
    const void *data; /* the bytes; of a segment its hash; of a stored blob NULL */
    int64_t size;
} mls__sql_bytes;

/* What is counted by lane: the jobs by state (from MLS_JOB_SCHEDULED on), then sums. */
enum {
    MLS__SQL_SUBMITTED = MLS_JOB_CANCELLED,
    MLS__SQL_CLAIMED,
    MLS__SQL_SUCCEEDED,
    MLS__SQL_DEAD,
    MLS__SQL_CANCELLED,
    MLS__SQL_RETRIED,
    MLS__SQL_RELEASED,
    MLS__SQL_STALE,
    MLS__SQL_WAITING_NS,
    MLS__SQL_RUNNING_NS,
    MLS__SQL_ESCALATED,
    MLS__SQL_COUNTERS
};

/*
 * A queue and type; jobs with a batch key, of other needs, and of tenants that rules name, have
 * lanes of their own.
 */
struct mls__sql_lane {
    mls__sql_lane *next; /* in the bucket of its names */
    int64_t id;
    bool is_keyed, is_dirty, takes_room;
    mls_resources needs;               /* of each of its jobs */
    mls__sql_cost *cost;               /* of its jobs */
    int64_t deltas[MLS__SQL_COUNTERS]; /* since the transaction began */
    const char *type;                  /* into names */
    const char *tenant;                /* likewise; "": all that have no lane of their own */
    char names[];                      /* queue, type, tenant */
};

/* A job as it is stored. Pointers are into the statement that read it, or to what was bound. */
typedef struct mls__sql_row {
    int64_t id;
    mls__sql_lane *lane;
    int32_t state, priority;
    int64_t rank, epoch, attempt, max_attempts, deaths;
    int64_t backoff_ms, backoff_max_ms, jitter_percent, retention_ms;
    int64_t submitted_ms, run_at_ms, deadline_ms, claimed_ms, ended_ms;
    int64_t since_ns; /* boot time: ready since, or running since */
    int64_t waiting_ns, running_ns;
    int64_t timer_ms; /* wall clock; 0: none */
    int64_t member, claimer;
    const char *owner, *key, *tenant, *batch_key; /* key, batch_key: NULL is none */
    mls__sql_bytes payload, result;
    int32_t error;
    const char *error_text, *note;
    double progress;
    int64_t escalations;
    mls__sql_lane *next_lane; /* into which the end of its claim moves it; NULL: it stays */
} mls__sql_row;

/* What a handle shows: a copy in one block. Claims are also found by id while they live. */
struct mls__sql_hold {
    mls__hold base;                             /* first: they share an address */
    void *payload_block, *result_block;         /* read from segments */
    bool payload_in_segment, result_in_segment; /* still to be read; the hashes are: */
    unsigned char payload_hash[MLS__SQL_HASH_BYTES], result_hash[MLS__SQL_HASH_BYTES];
};

struct mls__sql_claimer {
    mls__sql_claimer *next; /* the open ones */
    int64_t id;             /* unique in this process */
    bool is_draining, is_stopped;
    bool has_capacity, has_aside;
    bool is_offered;                     /* what it has is in the file */
    bool was_offered;                    /* perhaps it is */
    mls__sql_op *offer_end;              /* to take that back with, once; NULL: it was */
    mls_resources capacity, used, aside; /* aside: for a large job that waits, */
    uint64_t start_ns;                   /* which is expected to begin then, by the boot clock */
    int64_t patience_ns;
    int64_t pool; /* of those that have one capacity together; 0: alone */
    uint64_t lanes_generation;
    unsigned char serves[MLS__SQL_MOST_LANES + 1]; /* by lane's id: 0 unknown, 1 yes, 2 no */
    mls__served served;                            /* into names */
    char names[];
};

/* Phases of an operation. */
enum { MLS__SQL_QUEUED, MLS__SQL_PARKED, MLS__SQL_DONE };

/*
 * What kinds of operations do. `run` works inside the transaction and returns how the
 * operation went, MLS_OK too when it parks (op->parks). `publish` makes known in memory
 * what was committed; it is called after each commit in which the operation was there,
 * parked or not, and perhaps twice after one. `abandon` takes back what was done in memory
 * since the last of them, after a rollback. `expire` gives a parked one the answer that its
 * time is over.
 */
typedef struct mls__sql_kind {
    mls_status (*run)(mls__sql_store *store, mls__sql_op *op);
    void (*publish)(mls__sql_store *store, mls__sql_op *op);
    void (*abandon)(mls__sql_store *store, mls__sql_op *op);
    void (*expire)(mls__sql_op *op);
    void (*end)(mls__sql_store *store, mls__sql_op *op); /* nobody waits for its answer */
    bool no_transaction;
} mls__sql_kind;

struct mls__sql_op {
    mls__sql_op *next;
    const mls__sql_kind *kind;
    _Atomic uint32_t phase;
    bool must_sync; /* its answer promises that power loss takes nothing back */
    bool parks;     /* set by run: to be looked at again */
    bool is_served; /* a parked one has its answer */
    bool again;     /* a segment that it names is gone: write it and come again */
    mls_status status;
    uint64_t until_ns;
    char message[MLS__SQL_MESSAGE_BYTES];
};

/* A list of parked operations. */
typedef struct mls__sql_list {
    mls__sql_op *first, **last;
} mls__sql_list;

/* Counters that the file keeps for all. */
typedef struct mls__sql_meta {
    int64_t next_id, next_rank, next_member;
    int64_t edges;  /* dependencies of blocked jobs: none, and nobody looks for them */
    int64_t rules;  /* likewise: what holds back ready jobs */
    int64_t shares; /* whether a job ever had a tenant */
    int64_t schedules;
} mls__sql_meta;

/* The transaction at present. */
typedef struct mls__sql_txn {
    mls_status status; /* of the first statement that failed: nothing of it can be kept */
    char message[MLS__SQL_MESSAGE_BYTES];
    int64_t now_ms;  /* wall clock */
    int64_t boot_ns; /* boot-time clock */
    mls__sql_meta meta;
    bool meta_is_dirty, is_synced, has_garbage, has_reserved;
    unsigned news;      /* MLS__SQL_NEWS_*: what happened, for other processes */
    bool is_ready_news; /* a job became ready since parked claims were looked at */
    bool has_more_due;  /* timers than one look lets go off */
    bool is_telling;    /* children of ended jobs are being moved */
} mls__sql_txn;

struct mls__sql_store {
    mls_context *context;
    const mls_plugin_host *host;
    const mls_queue_host *rules;
    int64_t most_deaths;
    char *path; /* of the database, without symbolic links */

    /* lockfile.c */
    int lock_fd;
    int slot;
    mls__sql_page *page;
    mls__sql_store *next_open; /* in the list that a fork walks */

    int segments_fd; /* the folder, or -1 until it is needed */
    pthread_mutex_t segments_mutex;
    atomic_uint temporaries;
    _Atomic int64_t next_claimer;

    /* later.c: ids that are ours, and the start of the block after them. */
    pthread_mutex_t ids_mutex;
    uint64_t next_id, end_id, spare_ids;
    atomic_bool wants_ids;
    atomic_uint later_count;

    _Alignas(64) _Atomic(mls__sql_op *) inbox;
    _Alignas(64) _Atomic uint32_t groups; /* moves when one was answered; threads wait on it */
    atomic_bool is_closing;

    mls__holds holds;

    /* The committer's. */
    pthread_t thread;
    sqlite3 *db;
    sqlite3_stmt *statements[MLS__SQL_STATEMENTS];
    int sync_level;       /* of PRAGMA synchronous */
    uint64_t unsynced_ns; /* monotonic: when the first commit came that is not synced; 0: none */
    bool is_suspect;      /* a sync failed: only a checkpoint makes sure of what is there */
    bool has_garbage;     /* segments may be unnamed */
    int wal_pages;
    mls__sql_txn txn;
    int64_t member;
    int64_t next_timer_ms;    /* the earliest in the file; 0: none */
    int64_t next_schedule_ms; /* likewise */
    mls__schedule_pauses schedule_pauses;
    uint64_t parked_until_ns, looked_ns;
    unsigned wants;     /* as others were told */
    unsigned news_left; /* to be looked at: of a transaction that failed, or told too late */
    bool is_failing;
    bool is_running; /* the thread */
    mls__sql_list claims, fillers, waits, drains;
    mls__sql_list retries;         /* that failed, and that nobody waits for */
    uint64_t retry_ns, give_up_ns; /* when they come again; and, in closing, do so no more */
    mls__sql_claimer *claimers;    /* that are open */
    mls__sql_cost *costs;          /* of types */
    bool costs_are_dirty;          /* there are some that are not in the file */
    uint64_t costs_saved_ns;
    bool room_is_stale;   /* what is used of them must be counted anew */
    mls__vec runs;        /* of mls_queue_run: kept for the next time */
    mls__kept_rules kept; /* as in the file, read anew in each transaction */
    mls__sql_lane *lanes[MLS__SQL_BUCKETS];
    mls__sql_lane **lanes_by_id;
    size_t lanes_by_id_count;
    uint64_t lanes_generation;
    bool lanes_are_dirty;
};

#endif
