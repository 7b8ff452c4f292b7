/* SPDX-License-Identifier: Apache-2.0 */
/* What a memory queue is made of: jobs, lists of them, who claims, the store. */
#ifndef MLS_QUEUE_MEMORY_TYPES_H
#define MLS_QUEUE_MEMORY_TYPES_H

#include "base/context.h"
#include "base/sketch.h"
#include "base/thread.h"
#include "base/vec.h"

#include <mlscale/ext/queue_driver.h>

#include <stdatomic.h>
#include <stdbool.h>

#define MLS__MEM_PRIORITIES   (MLS_PRIORITY_HIGHEST + 1)
#define MLS__MEM_STATES       16
#define MLS__MEM_LANES        1024 /* pairs of queue and type */
#define MLS__MEM_LANE_SLOTS   2048
#define MLS__MEM_LANE_WORDS   (MLS__MEM_LANES / 64)
#define MLS__MEM_INDEX_BITS   24
#define MLS__MEM_MAX_CAPACITY ((UINT32_C(1) << MLS__MEM_INDEX_BITS) - 1)
#define MLS__MEM_CHUNK        256 /* records allocated at once */
#define MLS__MEM_INLINE       64  /* bytes of a payload that need no block of their own */
#define MLS__MEM_WAIT_CONDS   16
#define MLS__MEM_TRASH        16
#define MLS__MEM_WINDOW       64   /* jobs that can be claimed without the mutex, */
#define MLS__MEM_WINDOW_CLAIM 8    /* and so many at once */
#define MLS__MEM_IDLE_SHARES  1024 /* of tenants without jobs that are kept */

typedef struct mls__mem_store mls__mem_store;
typedef struct mls__mem_job mls__mem_job;
typedef struct mls__mem_lane mls__mem_lane;
typedef struct mls__mem_claimer mls__mem_claimer;
typedef struct mls__mem_heap mls__mem_heap;
typedef struct mls__mem_node mls__mem_node;
typedef struct mls__mem_group mls__mem_group;
typedef struct mls__mem_share mls__mem_share;
typedef struct mls__mem_flow mls__mem_flow;
typedef struct mls__mem_rule mls__mem_rule;
typedef struct mls__mem_cost mls__mem_cost;
typedef struct mls__mem_schedule mls__mem_schedule;

/* What an mls_queue_job holds: the record, kept by a pin; for snapshots a view of texts. */
typedef struct mls__mem_hold {
    mls__mem_job *job;
    bool is_view;
} mls__mem_hold;

/* Bits of mls__mem_job.claim below the epoch. */
#define MLS__MEM_CLAIM_RUNS   UINT64_C(1)
#define MLS__MEM_CLAIM_CANCEL UINT64_C(2)
#define MLS__MEM_EPOCH_SHIFT  2

/* One dependency: in the list of its parent until that ends, or the child stops waiting. */
typedef struct mls__mem_edge mls__mem_edge;
struct mls__mem_edge {
    mls__mem_edge *next, **link; /* link is NULL outside of a list */
    mls__mem_job *child;
    uint64_t parent_id;
    int32_t parent_state; /* how it ended */
};

/* All dependencies of a job, and what it is told when one of them goes wrong. */
typedef struct mls__mem_edges {
    uint64_t flags; /* of the submit */
    size_t waiting; /* for so many parents */
    size_t count;
    char message[96];
    mls__mem_edge at[];
} mls__mem_edges;

/* A place in a heap: what has the smallest key, and then the smallest tie, is on top. */
struct mls__mem_node {
    mls__mem_heap *heap; /* NULL: in none */
    mls__mem_node *child, *next, *prev;
    uint64_t key, tie;
};

struct mls__mem_heap {
    mls__mem_node *root;
};

/*
 * A record. The submitter's alone until it is in the inbox; under the mutex from
 * then on until it is free again. The fields of a plain job lie in front, in the
 * order in which a cache line at a time is touched; the others are zero in a free
 * record and are cleared only where they were used.
 */
struct mls__mem_job {
    _Alignas(64) mls__mem_job *next; /* inbox, a lane's ready list, the dying */
    mls__mem_job *prev;
    mls__mem_lane *lane;
    uint64_t id;            /* 0 while nobody may find it */
    _Atomic uint64_t claim; /* epoch and MLS__MEM_CLAIM_* */
    uint64_t order;         /* among the ready */
    const void *payload;
    size_t payload_bytes;

    uint64_t submitted_ns, ready_ns, claimed_ns;
    int64_t retention_ms;
    char *strings; /* tenant, key and batch key, each with a NUL; NULL: all empty */
    uint8_t state, priority, jitter_percent;
    bool is_gone, has_extras, has_given;
    atomic_bool takes_room; /* who ends the claim looks without the mutex */
    uint32_t attempt, max_attempts;
    uint32_t pins;    /* handles that show it */
    uint32_t waiters; /* that sleep until it has ended */

    uint32_t backoff_ms, backoff_max_ms;
    uint64_t new_id; /* becomes id when it is taken in */
    uint64_t waiting_ns, running_ns;
    mls__mem_claimer *owner; /* a reference */
    mls__mem_hold hold;
    _Atomic uint64_t taken_ns; /* out of a window */
    uint64_t done_ns;          /* its end is in the outbox, since then, */
    mls__mem_job *done_next;   /* above this one */
    uint32_t index;            /* in the slab */
    _Atomic uint32_t free_next;

    unsigned char bytes[MLS__MEM_INLINE];

    /* Extras */
    mls__mem_node timer;                   /* by nanoseconds */
    mls__mem_flow *flow;                   /* of a job with a tenant: a reference */
    mls__mem_job *flow_next, *flow_prev;   /* among the ready ones of the flow */
    mls__mem_job *chain_next, *chain_prev; /* ready jobs with a batch key, by its hash */
    mls__mem_edge *children;               /* that wait for this one */
    mls__mem_edges *parents;               /* NULL: it has none */
    mls__mem_job *key_next;
    uint64_t key_hash, batch_hash;
    const char *key, *batch_key; /* into strings */
    int64_t run_at_ms, deadline_ms;
    uint64_t due_ns, deadline_ns; /* the same by the monotonic clock; 0: none */
    uint64_t ended_ns;
    mls_bytes_free_fn payload_free; /* NULL: a copy, in `bytes` or a block */
    void *payload_user;
    mls_queue_bytes given;              /* if has_given, by an end in the outbox */
    mls_resources taken;                /* of its claimer's capacity, while it runs, */
    uint64_t ends_ns;                   /* which it is expected to do until then; 0: not known */
    mls__mem_job *run_next, **run_link; /* among those that take some of it */
    mls_queue_bytes result;
    mls_queue_bytes error_text;
    char *note;
    double progress;
    int32_t error;
    uint32_t escalations;
};

typedef struct mls__mem_chunk {
    _Atomic(mls__mem_job *) records;
} mls__mem_chunk;

/* A list of ready jobs, and what is kept by queue and type. */
typedef struct mls__mem_list {
    mls__mem_job *first, *last;
} mls__mem_list;

/* What a tenant gets of a named queue and priority. "" is a tenant too. */
struct mls__mem_share {
    mls__mem_group *group;
    uint64_t pass, turn;    /* whose is the smallest is next; turns are as orders of jobs */
    uint64_t step;          /* by which a claim moves it on, */
    uint64_t rules_changes; /* as of these rules */
    mls__mem_flow *ready;   /* its flows with ready jobs; NULL: it is idle */
    uint32_t priority;
    /* The rest is under the lock of shares; not of a share of no tenant. */
    uint32_t refs;                 /* flows */
    mls__mem_share *next;          /* in the bucket of its names */
    mls__mem_share *older, *newer; /* among those without flows */
    uint64_t hash;
    const char *tenant; /* behind the share */
};

/* The jobs of one share that have one type: those that are ready, in their order. */
struct mls__mem_flow {
    mls__mem_share *share;
    mls__mem_node node; /* in the heap of the lane in which its jobs are, while some are ready */
    mls__mem_flow *next_ready, **link_ready; /* in the list of its share */
    mls__mem_list ready[2];                  /* [1]: those with a batch key */
    /* The rest is under the lock of shares. */
    uint32_t refs;       /* jobs */
    mls__mem_flow *next; /* in the bucket of its lane and tenant */
    const mls__mem_lane *lane;
    uint64_t hash;
};

/* A named queue: between its tenants is shared, if a job ever had one. */
struct mls__mem_group {
    mls__mem_group *next;
    const char *queue; /* of a lane of it */
    bool is_shared;
    uint32_t ready_shares[MLS__MEM_PRIORITIES];
    uint64_t now[MLS__MEM_PRIORITIES];         /* the pass of the last share that had its turn */
    mls__mem_share plain[MLS__MEM_PRIORITIES]; /* those of no tenant */
};

struct mls__mem_lane {
    uint32_t index;
    bool has_rules;                              /* some cover it */
    bool takes_room;                             /* its jobs need something */
    mls_resources needs;                         /* that each of its jobs stated */
    mls__mem_cost *cost;                         /* of its jobs; NULL: none was measured */
    uint32_t levels[4];                          /* bit p: ready[..][p] is not empty */
    mls__mem_list ready[4][MLS__MEM_PRIORITIES]; /* by MLS__MEM_IS_* */
    mls__mem_group *group;
    mls__mem_heap flows[MLS__MEM_PRIORITIES]; /* with ready jobs */
    mls__mem_flow plain[MLS__MEM_PRIORITIES]; /* the flow of those without a tenant */
    mls_queue_stats stats;
    const char *type;   /* into names */
    const char *tenant; /* "": all that have no lane of their own, for no rule names them */
    char names[];       /* queue, type, tenant */
};

/* Bits of the index of a lane's list. */
#define MLS__MEM_IS_KEYED 1 /* jobs with a batch key, */
#define MLS__MEM_IS_OWNED 2 /* and with a tenant */

struct mls__mem_rule {
    mls__mem_rule *next;
    mls_queue_rule rule;                 /* its names are below */
    uint64_t lanes[MLS__MEM_LANE_WORDS]; /* that it covers */
    char names[];
};

/* See windows.c. */
typedef struct mls__mem_window {
    _Alignas(64) _Atomic uint64_t word; /* generation, end, next */
    _Atomic uint64_t until_ns;
    _Atomic uint32_t changes; /* of the store, as of which it was laid out */
    _Atomic(mls__mem_job *) jobs[MLS__MEM_WINDOW];
    /* Under the mutex. */
    uint64_t generation;
    size_t size, settled;
    uint32_t priority; /* of all its jobs */
    bool is_open;
} mls__mem_window;

struct mls__mem_claimer {
    mls__mem_window window;
    mls__mem_claimer *next;              /* the open ones */
    uint64_t lanes[MLS__MEM_LANE_WORDS]; /* that it serves */
    mls__cond any;                       /* claims of whatever it serves wait here, */
    mls__cond batch;                     /* and fillers here */
    uint32_t any_waiting, batch_waiting;
    uint32_t refs; /* open, and the records that name it */
    bool is_draining, is_stopped;
    bool has_capacity, has_aside;
    mls_resources capacity, used, aside; /* aside: for a large job that waits, */
    uint64_t start_ns;                   /* which is expected to begin then */
    mls__mem_job *runs;                  /* what uses it */
    uint64_t pool;                       /* of those that have one capacity together; 0: alone */
    uint64_t patience_ns;
    uint64_t spin_ns;
    char *names; /* its own, then types, then queues, each with a NUL */
    size_t type_count, queue_count;
};

/* A claim that waits for more jobs of its batch: they are handed to it directly. */
typedef struct mls__mem_filler {
    struct mls__mem_filler *next;
    mls__mem_claimer *claimer;
    const mls__mem_job *like;
    mls_queue_job *const *jobs;
    size_t count, max_count;
} mls__mem_filler;

struct mls__mem_store {
    mls_context *context;
    const mls_plugin_host *host;
    const mls_queue_host *rules;
    uint32_t capacity;

    _Alignas(64) _Atomic(mls__mem_job *) inbox;
    _Alignas(64) _Atomic(mls__mem_job *) outbox;
    _Alignas(64) _Atomic uint64_t free_head; /* 0 or index + 1, and a count against ABA */
    _Alignas(64) atomic_uint sleepers;       /* claims that sleep or are about to */
    atomic_uint room_waiters;                /* submits that wait for a record */
    atomic_uint watchers;                    /* who must learn of ends at once */
    atomic_uint changes;                     /* moves when a submit closes windows */
    _Atomic uint32_t window_floor;           /* the lowest priority in one */
    atomic_uint ready_events;                /* moves when a job becomes ready; for spinning */

    /* Written under the mutex, read without. */
    _Alignas(64) _Atomic(mls__mem_lane *) lane_slots[MLS__MEM_LANE_SLOTS];
    mls__mem_chunk *chunks;

    /* Under the mutex. */
    _Alignas(64) pthread_mutex_t mutex;
    mls__cond room;                       /* a record became free */
    mls__cond drained;                    /* no job is alive, or a timer was set */
    mls__cond ended[MLS__MEM_WAIT_CONDS]; /* a job of this index ended */
    uint32_t created;                     /* records there are */
    uint32_t lane_count;
    mls__mem_lane *lanes[MLS__MEM_LANES];
    uint64_t active[MLS__MEM_LANE_WORDS]; /* lanes with ready jobs */
    mls__mem_claimer *claimers;
    uint64_t pools;
    mls__mem_filler *fillers;
    mls__mem_rule *rule_list;
    mls__mem_schedule *schedule_list;
    mls__mem_group *groups;
    mls__mem_cost *costs;
    mls__vec runs; /* of mls_queue_run: kept for the next time */
    uint64_t rules_changes;
    bool rules_were_set;     /* ever */
    bool rules_watch;        /* there are some: they are counted as a watcher */
    bool has_tenants;        /* some have lanes of their own */
    bool has_needs;          /* some lane's jobs need something */
    mls__mem_heap due;       /* scheduled jobs */
    mls__mem_heap deadlines; /* ready and blocked ones */
    mls__mem_heap expiry;    /* ended ones */
    mls__mem_heap cron;      /* schedules */
    uint64_t order;
    uint64_t alive;                  /* jobs that have not ended */
    mls__mem_edge *told, **told_end; /* children of ended jobs that have not moved yet */
    bool is_telling;
    uint32_t drain_waiters;
    uint64_t seed[2];
    size_t buckets; /* a power of two */
    mls__mem_job **keys;
    mls__mem_list *batches;

    /* shares.c: what tenants there are, under a lock of their own, which is a leaf. */
    pthread_mutex_t shares_mutex;
    mls__mem_flow **flows; /* buckets */
    mls__mem_share **shares;
    mls__mem_share *idle_oldest, *idle_newest; /* without flows */
    uint32_t idle_count;
};

/* A stay under the mutex. */
typedef struct mls__mem_visit {
    mls__mem_store *store;
    uint64_t now_ns;
    uint32_t changes;    /* of the store, before it took in the inbox */
    int64_t wall_ms;     /* the wall clock's time of now_ns, 0 until somebody asks */
    mls__mem_job *dying; /* records to free after leaving */
    mls_queue_bytes trash[MLS__MEM_TRASH];
    size_t trash_count;
} mls__mem_visit;

#endif
