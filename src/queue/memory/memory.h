/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the memory driver.
 *
 * A submit takes no lock: it takes a free record (a stack of indices), fills it and
 * pushes it onto the inbox (a stack that is only ever emptied as a whole). Common claims
 * and ends take none either: windows.c. All else happens under one mutex, by a visit:
 * whoever enters first takes in what lies in the outbox and the inbox, in the order it
 * came, and lets the timers go off that are due, so that under the mutex the store is
 * always up to date and everything there is plain sequential code. Memory of ended jobs
 * is given back after leaving, since that may call the host.
 *
 * Who sleeps and who wakes. A claim that finds nothing counts itself as a sleeper,
 * looks once more into the inbox, and sleeps; a submit pushes, and then looks for
 * sleepers. Both orders are sequentially consistent, so at least one sees the other.
 * Records and those who wait for room do the same, and ends and those who wait for them;
 * but who waits for room looks into the outbox by itself, a thousand times a second.
 */
#ifndef MLS_QUEUE_MEMORY_MEMORY_H
#define MLS_QUEUE_MEMORY_MEMORY_H

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
    bool is_gone, has_extras, takes_room, has_given;
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
    mls__mem_filler *fillers;
    mls__mem_rule *rule_list;
    mls__mem_schedule *schedule_list;
    mls__mem_group *groups;
    mls__mem_cost *costs;
    mls__vec runs; /* of mls_queue_run: kept for the next time */
    uint64_t rules_changes;
    bool rules_were_set;  /* ever */
    bool rules_watch;     /* there are some: they are counted as a watcher */
    bool has_tenants;     /* some have lanes of their own */
    bool has_needs;       /* some lane's jobs need something */
    mls__mem_heap due;    /* scheduled jobs */
    mls__mem_heap cron;   /* schedules */
    mls__mem_heap expiry; /* deadlines of ready jobs, retention of ended ones */
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

/* visit.c: entering, leaving, sleeping. */
void mls__mem_enter(mls__mem_store *store, mls__mem_visit *visit);
/* The same, and leaves the windows as they are: what lies there is in no list. */
void mls__mem_enter_lightly(mls__mem_store *store, mls__mem_visit *visit);
void mls__mem_leave(mls__mem_visit *visit);
/* Leaves, sleeps until `cond` or `until_ns`, and enters; wakes without reason are possible. */
void mls__mem_sleep(mls__mem_visit *visit, mls__cond *cond, uint64_t until_ns);
/* Frees `bytes` after leaving. May leave and enter in between. */
void mls__mem_discard(mls__mem_visit *visit, mls_queue_bytes bytes);
/* `a` and `b` as bounds of a sleep: the earlier. */
uint64_t mls__mem_earlier(uint64_t a, uint64_t b);

/* records.c: the slab. */
/*
 * `count` free records, linked by next, or NULL when there are not that many. More
 * than one only under the mutex, so that nobody is misled by those held for a moment.
 */
mls__mem_job *mls__mem_take_records(mls__mem_store *store, size_t count);
/* Gives back records that were never submitted; linked by next. */
void mls__mem_return_records(mls__mem_store *store, mls__mem_job *first);
/* Makes more, within the capacity; under the mutex. MLS_EFULL, MLS_ENOMEM. */
mls_status mls__mem_grow(mls__mem_store *store);
/* The record of a job that can be found, or NULL. */
mls__mem_job *mls__mem_find(const mls__mem_store *store, uint64_t id);
mls__mem_job *mls__mem_at(const mls__mem_store *store, uint32_t index);
/* Gives back what the records (linked by next) own, and them; not under the mutex. */
void mls__mem_bury(mls__mem_store *store, mls__mem_job *first);
/* Gives back what a record owns. */
void mls__mem_empty(mls__mem_store *store, mls__mem_job *job);
/* The payload, for discarding; the record has none any more. */
mls_queue_bytes mls__mem_take_payload(mls__mem_store *store, mls__mem_job *job);
/* Frees a block of the context's (`user`) allocator: an mls_bytes_free_fn. */
void mls__mem_release_block(void *user, void *data, size_t size_bytes);

/* views.c: what handles show. */
mls_status mls__mem_view_create(mls__mem_store *store, mls__mem_hold **ret_hold);
void mls__mem_view_free(mls__mem_store *store, mls__mem_hold *hold);
/* Shows the record through `hold`, and pins it. */
void mls__mem_show(mls__mem_visit *visit, mls__mem_job *job, mls__mem_hold *hold,
                   mls_queue_job *ret_job);
void mls__mem_unpin(mls__mem_visit *visit, mls__mem_job *job);
/* The wall clock's time of the visit. */
int64_t mls__mem_wall_ms(mls__mem_visit *visit);

/* Shows a job that was just taken out of a window to who took it. */
void mls__mem_show_taken(mls__mem_visit *times, mls__mem_job *job, mls_queue_job *ret_job);

/* windows.c: claims and ends without the mutex. */
void mls__mem_windows_create(mls__mem_store *store);
void mls__mem_window_create(mls__mem_claimer *claimer);
/* Lays out what the claimer would claim next, if it may be claimed so. */
void mls__mem_window_open(mls__mem_visit *visit, mls__mem_claimer *claimer);
/* Settles what was taken, and puts back the rest. */
void mls__mem_window_recall(mls__mem_visit *visit, mls__mem_claimer *claimer);
void mls__mem_windows_recall(mls__mem_visit *visit);
/* Whether a job that comes may have to go before what is in a window, or is not so simple. */
bool mls__mem_closes_windows(const mls__mem_store *store, bool has_extras, uint32_t priority);
/* Settles what was taken of all windows, and lets the ends take effect that are in the outbox. */
void mls__mem_take_ends(mls__mem_visit *visit);
/* Not under the mutex: takes so many jobs out of the window, or none. */
bool mls__mem_window_has(mls__mem_claimer *claimer, size_t count);
bool mls__mem_window_take(mls__mem_store *store, mls__mem_claimer *claimer, uint64_t now_ns,
                          size_t count, mls_queue_job *const *jobs);
/*
 * Not under the mutex: ends the claims if that takes no more than the outbox; false: nothing
 * was done. Those that were refused have no status yet.
 */
bool mls__mem_end_plainly(mls__mem_store *store, mls_queue_end *const *ends, size_t count,
                          uint64_t now_ns, size_t *ret_refused);

/* lanes.c: who is next. */
mls__mem_lane *mls__mem_find_lane(mls__mem_store *store, const char *queue, const char *type,
                                  const char *tenant, const mls_resources *needs);
/* Finds or makes it; under the mutex. MLS_ELIMIT, MLS_ENOMEM. */
mls_status mls__mem_make_lane(mls__mem_store *store, const char *queue, const char *type,
                              const char *tenant, const mls_resources *needs,
                              mls__mem_lane **ret_lane);
/* The same for a submit, with the lanes of tenants that rules name. */
mls_status mls__mem_make_lanes(mls__mem_store *store, const char *queue, const char *type,
                               const mls_resources *needs, mls__mem_lane **ret_lane);
/* The ready job of the lane that goes first; NULL: none. */
mls__mem_job *mls__mem_lane_first(const mls__mem_lane *lane);
/* Fills in which lanes a new claimer serves. */
void mls__mem_match_lanes(const mls__mem_store *store, mls__mem_claimer *claimer);
void mls__mem_link_ready(mls__mem_store *store, mls__mem_job *job);
void mls__mem_unlink_ready(mls__mem_store *store, mls__mem_job *job);
/* Links a job without extras in front of its list. */
void mls__mem_link_first(mls__mem_store *store, mls__mem_job *job);
/* The next job for the claimer, or the next that runs with `like`; NULL: none. */
mls__mem_job *mls__mem_pick(const mls__mem_visit *visit, mls__mem_claimer *claimer);
mls__mem_job *mls__mem_pick_like(const mls__mem_visit *visit, mls__mem_claimer *claimer,
                                 const mls__mem_job *like);
/* Whether the two may be run in one batch. */
bool mls__mem_is_like(const mls__mem_job *a, const mls__mem_job *b);

/* shares.c: whose turn it is. */
mls_status mls__mem_shares_create(mls__mem_store *store);
void mls__mem_shares_free(mls__mem_store *store);
/* The named queue of a new lane, which is made if there is none. */
mls_status mls__mem_group_of(mls__mem_store *store, mls__mem_lane *lane);
/* The flow of a tenant's jobs, of the lane that has no tenant: not under the mutex. */
mls_status mls__mem_flow_take(mls__mem_store *store, const mls__mem_lane *lane, uint32_t priority,
                              const char *tenant, mls__mem_flow **ret_flow);
void mls__mem_flow_drop(mls__mem_store *store, mls__mem_flow *flow);
/* A job of a tenant begins: from now on its queue is shared. */
void mls__mem_share_begin(mls__mem_visit *visit, const mls__mem_job *job);
/* A job of a shared queue is in the lists of its lane, or not any more. */
void mls__mem_share_link(mls__mem_job *job);
void mls__mem_share_unlink(mls__mem_job *job);
/* Whose turn it is of the claimer's lanes, where `first` would be next without tenants. */
mls__mem_job *mls__mem_share_pick(const mls__mem_visit *visit, const mls__mem_claimer *claimer,
                                  mls__mem_job *first);
/* The same among the jobs of a lane without a batch key. */
mls__mem_job *mls__mem_share_pick_like(mls__mem_job *first);
/* The job was picked by turn. */
void mls__mem_share_turn(const mls__mem_job *job);
/* A ready job is claimed: its share gets that. */
void mls__mem_share_charge(mls__mem_store *store, const mls__mem_job *job);

/* timers.c: heaps, of which most are by time. */
void mls__mem_heap_add(mls__mem_heap *heap, mls__mem_node *node);
void mls__mem_heap_remove(mls__mem_node *node);
void mls__mem_timer_set(mls__mem_heap *heap, mls__mem_job *job, uint64_t at_ns);
void mls__mem_timer_clear(mls__mem_job *job);
/* The job whose timer goes off first, or NULL. */
mls__mem_job *mls__mem_timer_first(const mls__mem_heap *heap);
/* When the next one goes off, or MLS__FOREVER. */
uint64_t mls__mem_next_due(const mls__mem_store *store);   /* of scheduled jobs, schedules */
uint64_t mls__mem_next_timer(const mls__mem_store *store); /* of any */

/* keys.c: unique keys. */
mls_status mls__mem_keys_create(mls__mem_store *store);
void mls__mem_keys_free(mls__mem_store *store);
mls__mem_job *mls__mem_key_find(const mls__mem_store *store, const char *key);
void mls__mem_key_add(mls__mem_store *store, mls__mem_job *job);
void mls__mem_key_remove(mls__mem_store *store, mls__mem_job *job);

/* rules.c: what holds back ready jobs. */
/* The lane of a job that begins: its tenant's own, if a rule names that. */
mls__mem_lane *mls__mem_lane_of_tenant(mls__mem_store *store, mls__mem_job *job);
/* To another lane of the same queue and type. A ready one is not in a list meanwhile. */
void mls__mem_change_lane(mls__mem_job *job, mls__mem_lane *to);
/* A job of a lane that has rules is claimed, or its claim ends. */
void mls__mem_rules_claim(mls__mem_visit *visit, const mls__mem_lane *lane);
void mls__mem_rules_end(mls__mem_visit *visit, const mls__mem_lane *lane);
/* When one of the rules that hold back jobs lets pass by itself, or MLS__FOREVER. */
uint64_t mls__mem_rules_next(const mls__mem_visit *visit);
/* Whether a rule holds back the jobs of a lane that has some. */
bool mls__mem_is_held(const mls__mem_visit *visit, const mls__mem_lane *lane);
/* Finds out which rules cover a new lane. */
void mls__mem_match_rules(mls__mem_store *store, mls__mem_lane *lane);
void mls__mem_rules_free(mls__mem_store *store);

/* schedules.c: jobs that the queue submits by itself. */
/* Lets those fire that are due. */
void mls__mem_schedules_tick(mls__mem_visit *visit);
void mls__mem_schedules_free(mls__mem_store *store);
mls_status mls__mem_set_schedule(void *self, const mls_schedule *schedule);
mls_status mls__mem_remove_schedule(void *self, const char *name);
mls_status mls__mem_visit_schedules(void *self, mls_schedule_fn visit, void *user);

/* room.c: what jobs need and claimers have. */
/* Before others are looked at: room for a large job that waits too long. */
void mls__mem_set_aside(const mls__mem_visit *visit, mls__mem_claimer *claimer);
bool mls__mem_has_room(const mls__mem_visit *visit, const mls__mem_claimer *claimer,
                       const mls__mem_lane *lane);
/* A job is claimed, or its claim ends. */
void mls__mem_room_take(const mls__mem_visit *visit, mls__mem_claimer *claimer, mls__mem_job *job);
void mls__mem_room_give(mls__mem_store *store, mls__mem_job *job);
/* A job that needs something is ready no longer: room may have been set aside for it. */
void mls__mem_room_left(mls__mem_store *store);

/* costs.c: what jobs took. */
mls__mem_cost *mls__mem_cost_find(const mls__mem_store *store, const char *type,
                                  int64_t memory_bytes);
void mls__mem_costs_free(mls__mem_store *store);
/* The claim of a job of that lane ended; what it took was measured. */
void mls__mem_cost_note(mls__mem_store *store, const mls__mem_lane *lane, const mls_queue_end *end);
/* The memory that a job of the lane takes of `capacity`. */
int64_t mls__mem_cost_memory(const mls__mem_store *store, const mls__mem_lane *lane,
                             int64_t capacity);
/* How long one is expected to run; 0: not known. */
uint64_t mls__mem_cost_time(const mls__mem_store *store, const mls__mem_lane *lane);

/* parents.c: dependencies. */
/* Makes the edges of a job that is submitted; they hang nowhere yet. */
mls_status mls__mem_parents_fill(mls__mem_store *store, const mls_queue_item *item,
                                 mls__mem_job *job);
/* MLS_ENOTFOUND: a parent of the items, `ids` being theirs by index, is not known. */
mls_status mls__mem_parents_check(mls__mem_store *store, const mls_queue_item *const *items,
                                  size_t count);
/* A blocked job began: hangs it to its parents, or moves it on if they have ended. */
void mls__mem_parents_begin(mls__mem_visit *visit, mls__mem_job *job,
                            const mls_job_options *options, const uint64_t *ids);
/* A job is blocked no longer. */
void mls__mem_parents_leave(mls__mem_job *job);
/* A job ended: moves those that wait for it. */
void mls__mem_parents_end(mls__mem_visit *visit, mls__mem_job *job);

/* states.c: what happens to jobs. */
/* A submitted job begins to live. */
void mls__mem_begin(mls__mem_visit *visit, mls__mem_job *job);
/* Whether `event` may happen; then it has, and the job is where its new state belongs. */
bool mls__mem_move(mls__mem_visit *visit, mls__mem_job *job, int32_t event);
bool mls__mem_has_ended(const mls__mem_store *store, const mls__mem_job *job);
/* Lets all timers go off that are due. */
void mls__mem_tick(mls__mem_visit *visit);
/* The record of a job that is gone and that no handle shows goes back to the slab. */
void mls__mem_die(mls__mem_visit *visit, mls__mem_job *job);

/* The operations. */
mls_status mls__mem_submit(void *self, const mls_queue_item *const *items, size_t count,
                           uint64_t until_ns, uint64_t *ret_ids);
/* Submits a ready job into a lane of no tenant, under the mutex; one with its key does too. */
mls_status mls__mem_submit_now(mls__mem_visit *visit, mls__mem_lane *lane,
                               const mls_queue_item *item);
mls_status mls__mem_claimer_open(void *self, const mls_claimer_options *options,
                                 void **ret_claimer);
void mls__mem_claimer_stop(void *self, void *claimer, uint32_t flags);
mls_status mls__mem_claimer_surrender(void *self, void *claimer, size_t *ret_count);
void mls__mem_claimer_close(void *self, void *claimer);
void mls__mem_claimer_unref(mls__mem_store *store, mls__mem_claimer *claimer);
void mls__mem_wake_claimers(mls__mem_store *store, const mls__mem_lane *lane);
void mls__mem_rearm_claimers(mls__mem_store *store);
/* Hands a ready job to a claim that fills such a batch; false: there is none. */
bool mls__mem_deliver(mls__mem_visit *visit, mls__mem_job *job);
/* What ends, loses or gives back the present claim. */
void mls__mem_end_claim(mls__mem_visit *visit, mls__mem_job *job, int32_t event);
mls_status mls__mem_claim(void *self, void *claimer, const mls_queue_claim *request,
                          mls_queue_end *const *ends, size_t end_count, mls_queue_job *const *jobs,
                          size_t *ret_count);
mls_status mls__mem_finish(void *self, mls_queue_end *const *ends, size_t count);
uint32_t mls__mem_signals(void *self, const mls_queue_job *job);
mls_status mls__mem_progress(void *self, const mls_queue_job *job, double progress,
                             const char *note);
void mls__mem_drop(void *self, mls_queue_job *job);
mls_status mls__mem_get(void *self, uint64_t id, mls_queue_job *ret_job);
mls_status mls__mem_wait(void *self, uint64_t id, uint64_t until_ns, mls_queue_job *ret_job);
mls_status mls__mem_change(void *self, uint64_t id, int32_t event);
mls_status mls__mem_drain(void *self, uint64_t until_ns);
mls_status mls__mem_stats(void *self, const mls_queue_filter *filter, mls_queue_stats *ret_stats);
mls_status mls__mem_set_rule(void *self, const mls_queue_rule *rule, uint64_t parts);
mls_status mls__mem_visit_rules(void *self, mls_queue_rule_fn visit, void *user);
mls_status mls__mem_visit_offers(void *self, mls_queue_offer_fn visit, void *user);
mls_status mls__mem_visit_costs(void *self, mls_queue_cost_fn visit, void *user);
mls_status mls__mem_list_jobs(void *self, const mls_queue_filter *filter, uint64_t after_id,
                              size_t max_count, uint64_t *ret_ids, size_t *ret_count);

#endif
