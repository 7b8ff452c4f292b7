/* SPDX-License-Identifier: Apache-2.0 */
/* What an open postgres queue is made of: lanes, rows, claimers, operations, the store. */
#ifndef MLS_QUEUE_POSTGRES_TYPES_H
#define MLS_QUEUE_POSTGRES_TYPES_H

#include "queue/durable/ends.h"
#include "queue/durable/rules.h"
#include "queue/durable/schedules.h"
#include "queue/durable/served.h"
#include "queue/durable/shares.h"
#include "queue/postgres/statements.h"

#include <mlscale/ext/queue_driver.h>

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define MLS__PG_MESSAGE_BYTES  512
#define MLS__PG_BUCKETS        256
#define MLS__PG_ID_BLOCK       1024 /* ids that one nextval() gives; in the schema too */
#define MLS__PG_DEFAULT_DEATHS 3
#define MLS__PG_PATIENCE_NS    UINT64_C(10000000000)
#define MLS__PG_SCHEMA_MAX     40
#define MLS__PG_FOREVER        UINT64_MAX
#define MLS__PG_PROCESS_SIZE   128

typedef struct mls__pg_store mls__pg_store;
typedef struct mls__pg_op mls__pg_op;
typedef struct mls__pg_lane mls__pg_lane;
typedef struct mls__pg_hold mls__pg_hold;
typedef struct mls__pg_cost mls__pg_cost;

/* What other members may wait for; bits, and letters in notifications. */
#define MLS__PG_NEWS_READY    1u /* a job is ready */
#define MLS__PG_NEWS_ENDED    2u
#define MLS__PG_NEWS_CANCEL   4u  /* a running job shall stop */
#define MLS__PG_NEWS_MEMBER   8u  /* one came or went */
#define MLS__PG_NEWS_SCHEDULE 16u /* one was set, or is due */
#define MLS__PG_NEWS_AGAIN    32u /* for us alone: claims are to go on looking */

/* What is counted by lane: the jobs by state (from MLS_JOB_SCHEDULED on), then sums. */
enum {
    MLS__PG_SUBMITTED = MLS_JOB_CANCELLED,
    MLS__PG_CLAIMED,
    MLS__PG_SUCCEEDED,
    MLS__PG_DEAD,
    MLS__PG_CANCELLED,
    MLS__PG_RETRIED,
    MLS__PG_RELEASED,
    MLS__PG_STALE,
    MLS__PG_WAITING_US,
    MLS__PG_RUNNING_US,
    MLS__PG_ESCALATED, /* since version 6: older rows have none */
    MLS__PG_COUNTERS
};

/* A queue and type: what is counted of them since the transaction began. */
struct mls__pg_lane {
    mls__pg_lane *next; /* in the bucket of its names */
    bool is_dirty;
    int64_t deltas[MLS__PG_COUNTERS];
    const char *type; /* into names */
    char names[];     /* queue, type */
};

/* The columns of a job that are numbers, in the order in which statements read them. */
enum {
    MLS__PG_ID,
    MLS__PG_STATE,
    MLS__PG_PRIORITY,
    MLS__PG_RANK,
    MLS__PG_EPOCH,
    MLS__PG_ATTEMPT,
    MLS__PG_MAX_ATTEMPTS,
    MLS__PG_DEATHS,
    MLS__PG_BACKOFF,
    MLS__PG_BACKOFF_MAX,
    MLS__PG_JITTER,
    MLS__PG_RETENTION,
    MLS__PG_SUBMITTED_AT,
    MLS__PG_RUN_AT,
    MLS__PG_DEADLINE,
    MLS__PG_CLAIMED_AT,
    MLS__PG_ENDED_AT,
    MLS__PG_SINCE, /* microseconds since 1970: ready since, or running since */
    MLS__PG_WAITED,
    MLS__PG_RAN,
    MLS__PG_TIMER,  /* 0: none */
    MLS__PG_MEMBER, /* 0: none */
    MLS__PG_CLAIMER,
    MLS__PG_ERROR,
    MLS__PG_CHILDREN, /* 0: no job ever waited for it */
    MLS__PG_CPU,
    MLS__PG_MEMORY,
    MLS__PG_GPUS,
    MLS__PG_ESCALATIONS,
    MLS__PG_NUMBERS
};

/* And those that are texts; a key of "" is none. */
enum {
    MLS__PG_QUEUE,
    MLS__PG_TYPE,
    MLS__PG_TENANT,
    MLS__PG_KEY,
    MLS__PG_BATCH_KEY,
    MLS__PG_OWNER,
    MLS__PG_ERROR_TEXT,
    MLS__PG_NOTE,
    MLS__PG_TEXTS
};

typedef struct mls__pg_bytes {
    const void *data; /* NULL: none */
    size_t size;
} mls__pg_bytes;

/* A job's row. Texts are borrowed from the result that it was read from. */
typedef struct mls__pg_row {
    int64_t numbers[MLS__PG_NUMBERS];
    const char *texts[MLS__PG_TEXTS];
    double progress;
    mls__pg_lane *lane;
    mls__pg_bytes result; /* set by an end, to be stored */
    bool is_changed, is_gone, has_ended, is_awaited;
    bool is_escalated; /* it needs more memory than it stated */
    bool still_waits;  /* for other parents than those that just ended */
    bool has_left;     /* it was blocked: what it waits for no longer matters */
} mls__pg_row;

/* What a handle shows: a copy in one block. Claims are also found by id while they live. */
struct mls__pg_hold {
    mls__hold base; /* first: they share an address */
    int64_t member; /* of a claim: whose it is; 0: a snapshot */
};

/* What jobs of a group are expected to take of a claimer. */
typedef struct mls__pg_weight {
    mls_resources takes; /* of memory what was seen */
    uint64_t takes_ns;   /* 0: not known */
} mls__pg_weight;

/* Ready jobs of one priority, queue, tenant and type that need the same. Names are borrowed. */
typedef struct mls__pg_group {
    int64_t priority;
    const char *queue, *tenant, *type;
    mls_resources needs;
    int64_t since_us; /* that its first job waits */
    mls__pg_weight weight;
    bool fits, is_spent; /* nothing more is to be had of it */
} mls__pg_group;

/* A job that waits past a claimer's patience, and would fit alone; since_us of 0: none. */
typedef struct mls__pg_crowded {
    mls_resources takes;
    int64_t since_us;
} mls__pg_crowded;

/* How far a claimer walked through the groups, where there are more than a claim looks at. */
typedef struct mls__pg_trail {
    bool is_within;  /* it goes on behind that group, else it begins with the first one */
    bool found_some; /* jobs since then, of that priority or higher ones */
    int64_t lowest;
    int64_t priority;
    char queue[MLS_JOB_NAME_MAX + 1], tenant[MLS_JOB_KEY_MAX + 1], type[MLS_JOB_NAME_MAX + 1];
    mls_resources needs;
    uint64_t began, seen;        /* its moments: this walk's, the last one's that saw all in vain */
    uint64_t missed;             /* when a claim last found nothing on it */
    mls__pg_crowded before, now; /* on the walk before, and on this one so far */
} mls__pg_trail;

typedef struct mls__pg_claimer mls__pg_claimer;
struct mls__pg_claimer {
    int64_t id;
    int64_t pool;                 /* of those that have one capacity together; 0: alone */
    mls__pg_claimer *next_pooled; /* of all pools */
    bool is_draining, is_stopped, has_capacity;
    mls_resources capacity;
    int64_t patience_us;
    int64_t offered;  /* what it has is in the row of that member's; 0: of none */
    bool was_offered; /* perhaps it is */
    mls__pg_trail trail;
    mls__served served; /* into names */
    char names[];
};

/* A member whose lock is free: its process has died, or has lost its connection. */
typedef struct mls__pg_absence {
    int64_t member, came_us;
    uint64_t since_ns; /* for how long we see it so */
} mls__pg_absence;

enum { MLS__PG_QUEUED, MLS__PG_PARKED, MLS__PG_DONE };

/*
 * What kinds of operations do. `run` works inside the transaction and returns how the
 * operation went, MLS_OK too when it parks (op->parks); it may be run again when the
 * transaction could not be kept. `publish` makes known in memory what was committed.
 * `abandon` takes back what was done in memory since, after a rollback. `expire` gives a
 * parked one the answer that its time is over.
 */
typedef struct mls__pg_kind {
    mls_status (*run)(mls__pg_store *store, mls__pg_op *op);
    void (*publish)(mls__pg_store *store, mls__pg_op *op);
    void (*abandon)(mls__pg_store *store, mls__pg_op *op);
    void (*expire)(mls__pg_op *op);
    void (*end)(mls__pg_store *store, mls__pg_op *op); /* nobody waits for it: it is ours */
    /* One to which the server could add nothing any more: `run` answers it without. */
    bool (*is_void)(const mls__pg_op *op);
    bool no_transaction;
    bool is_exclusive; /* nobody else is in a transaction meanwhile */
    bool claims;       /* it asks rules */
    bool gathers;      /* it does not look at jobs: what was gathered can stay for a while */
} mls__pg_kind;

struct mls__pg_op {
    mls__pg_op *next;
    const mls__pg_kind *kind;
    pthread_cond_t changed;
    int phase;      /* guarded by the store's mutex */
    bool is_async;  /* power loss may take it back for a while */
    bool shares;    /* of a tenant: from the first of them on, tenants take turns */
    bool needs;     /* of a job that needs something: likewise, what it has room for counts */
    bool parks;     /* set by run: to be looked at again */
    bool is_parked; /* since an earlier transaction */
    bool is_served; /* a parked one has its answer */
    mls_status status;
    uint64_t until_ns;
    char message[MLS__PG_MESSAGE_BYTES];
};

typedef struct mls__pg_list {
    mls__pg_op *first, **last;
} mls__pg_list;

/* Those that run in one transaction, and what is looked at with them. */
typedef struct mls__pg_ops {
    mls__pg_op **ops;
    size_t count;
    unsigned news; /* MLS__PG_NEWS_* */
} mls__pg_ops;

/* Bytes that grow: arrays and rows in the server's binary form. */
typedef struct mls__pg_buffer {
    char *data;
    size_t size, room;
    bool has_failed; /* no memory: nothing in it can be used */
} mls__pg_buffer;

/* The parameters of a statement, in binary form. */
#define MLS__PG_MOST_PARAMETERS 24
typedef struct mls__pg_parameters {
    int count;
    bool has_failed;
    const char *values[MLS__PG_MOST_PARAMETERS];
    int lengths[MLS__PG_MOST_PARAMETERS], formats[MLS__PG_MOST_PARAMETERS];
    unsigned char numbers[MLS__PG_MOST_PARAMETERS][8];
    mls__pg_buffer arrays[MLS__PG_MOST_PARAMETERS];
} mls__pg_parameters;

/* The rules that there are, as a transaction's begin finds them; they stay so until its end. */
enum { MLS__PG_RULES_NONE, MLS__PG_RULES_PAUSE, MLS__PG_RULES_LIMIT };

/* How a transaction begins. */
enum {
    MLS__PG_BARE, /* the tables may not be there */
    MLS__PG_SHARED,
    MLS__PG_EXCLUSIVE /* alone: to set rules, and for the first job that needs something */
};

/* How a transaction came to nothing. */
enum {
    MLS__PG_FAILED,   /* for a reason of its own */
    MLS__PG_CLASHED,  /* with another transaction: it may be tried again */
    MLS__PG_LOST,     /* with the connection */
    MLS__PG_UNDECIDED /* with the connection, while it was being committed: never tried again */
};

typedef struct mls__pg_txn {
    mls_status status; /* of the first statement that failed: nothing of it can be kept */
    int failure;
    char message[MLS__PG_MESSAGE_BYTES];
    int64_t now_us; /* the server's */
    int rules;      /* MLS__PG_RULES_*: which there are */
    bool shares;    /* there was a job with a tenant once */
    bool room;      /* and one that needed something, or was seen to take memory */
    bool is_writing, must_sync;
    bool is_ready_news; /* a job became ready since parked claims were looked at */
    bool found_none;    /* a claim of anything found no more */
    bool passed_over;   /* a claim found only jobs that others have locked */
    bool is_more;       /* a claim has not seen all yet */
    unsigned news;
} mls__pg_txn;

struct mls__pg_store {
    const mls_plugin_host *host;
    const mls_queue_host *rules;
    int64_t most_deaths;
    uint64_t patience_ns; /* with a server that is away, or a member */
    char schema[MLS__PG_SCHEMA_MAX + 1];
    bool may_create;
    char *url;

    pthread_mutex_t mutex; /* guards the inbox and phases; a leaf */
    mls__pg_list inbox;
    bool is_closing;
    mls__holds holds;
    int wake_fd;
    _Atomic int64_t next_claimer;
    atomic_int bounded_claimers; /* that have a capacity */
    _Atomic int64_t member;      /* who we are; changes when we were taken for dead */

    /* The committer's. */
    pthread_t thread;
    bool is_running;
    PGconn *connection;
    bool is_prepared[MLS__PG_STATEMENTS];
    mls__pg_txn txn;
    int64_t last_txn; /* counts those that wrote */
    int64_t next_id, ids_left;
    mls__pg_buffer jobs, payloads; /* submitted in this transaction, and not yet sent */
    int64_t last_rank;
    size_t group_count;       /* of ready jobs, at the last look at their turns */
    int64_t next_timer_us;    /* server's clock; 0: none known */
    int64_t next_schedule_ms; /* likewise, and as of the last transaction */
    mls__schedule_pauses pauses;
    int64_t look_schedule_ms; /* while there are pauses: not before */
    int64_t clock_offset_us;  /* the server's clock less the monotonic one */
    uint64_t polled_ns, looked_ns, parked_until_ns;
    uint64_t again_ns; /* when to look again for what claims did not see; 0: they did */
    uint64_t moment;   /* counts transactions, and what made jobs ready in them */
    char process[MLS__PG_PROCESS_SIZE]; /* the member's */
    mls__pg_absence *away;              /* members whose lock was free at the last look */
    size_t away_count;
    int64_t member_count, neighbours, place; /* neighbours: on this machine, us too, in places */
    unsigned news_left;
    mls__pg_list queue; /* taken in, and in no group yet */
    mls__pg_ops *group; /* while the server is away: to be run again then; NULL: none */
    bool is_deciding;   /* while it is away: what was committed may have served who is parked */
    bool is_failing;
    bool is_doubtful; /* what was lost while it was committed may have claimed jobs for us */
    char failure[MLS__PG_MESSAGE_BYTES];
    mls__pg_list claims, fillers, waits, drains;
    mls__pg_list returns;    /* to be tried again */
    mls__kept_rules kept;    /* in a transaction that claims */
    mls__pg_claimer *pooled; /* claimers that are open and in a pool */
    bool has_aside;          /* a claim that waits set room aside */
    mls__pg_cost *costs;     /* of types, since they were written down */
    bool costs_are_dirty;
    uint64_t costs_saved_ns;
    mls__pg_lane *lanes[MLS__PG_BUCKETS];
};

#endif
