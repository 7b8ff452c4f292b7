/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the postgres driver, a module that is loaded when it is asked for.
 *
 * One thread of each open queue, the committer, owns the connection. Every operation of
 * every other thread is an mls__pg_op on that thread's stack: it goes through the inbox to
 * the committer, which runs all that came together in one transaction of the server, and
 * it is answered when that is committed. What cannot be answered yet (a claim that found
 * nothing, a wait for a job's end) is parked, and looked at again in the transaction in
 * which something happened that may concern it. Inside an operation statements work on
 * sets of rows, so that a batch costs as many round trips as one job.
 *
 * Each queue that is open is a member: a row, and an advisory lock of its session, which
 * the server releases when the process dies or loses its connection (members.c). The row also names
 * the member's last transaction, so that after a lost connection it is known whether that was
 * committed.
 *
 * A module sees the library's public headers only; no symbol of it is linked, and what it
 * shares with the other durable driver is compiled into both (queue/durable).
 */
#ifndef MLS_QUEUE_POSTGRES_POSTGRES_H
#define MLS_QUEUE_POSTGRES_POSTGRES_H

#include "queue/durable/ends.h"
#include "queue/durable/rules.h"
#include "queue/durable/served.h"
#include "queue/durable/shares.h"

#include <mlscale/ext/queue_driver.h>

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define MLS__PG_MESSAGE_BYTES  512
#define MLS__PG_BUCKETS        256
#define MLS__PG_ID_BLOCK       1024 /* ids that one nextval() gives; in the schema too */
#define MLS__PG_DEFAULT_DEATHS 3
#define MLS__PG_SCHEMA_MAX     40
#define MLS__PG_FOREVER        UINT64_MAX
#define MLS__PG_PROCESS_SIZE   128

typedef struct mls__pg_store mls__pg_store;
typedef struct mls__pg_op mls__pg_op;
typedef struct mls__pg_lane mls__pg_lane;
typedef struct mls__pg_hold mls__pg_hold;

/* What other members may wait for; bits, and letters in notifications. */
#define MLS__PG_NEWS_READY  1u /* a job is ready */
#define MLS__PG_NEWS_ENDED  2u
#define MLS__PG_NEWS_CANCEL 4u /* a running job shall stop */
#define MLS__PG_NEWS_MEMBER 8u /* one came or went */

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
    bool still_waits; /* for other parents than those that just ended */
    bool has_left;    /* it was blocked: what it waits for no longer matters */
} mls__pg_row;

/* What a handle shows: a copy in one block. Claims are also found by id while they live. */
struct mls__pg_hold {
    mls__hold base; /* first: they share an address */
    int64_t member; /* of a claim: whose it is; 0: a snapshot */
};

typedef struct mls__pg_claimer {
    int64_t id;
    bool is_draining, is_stopped;
    mls__served served; /* into names */
    char names[];
} mls__pg_claimer;

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

enum {
    MLS__PG_TAKE_IDS,
    MLS__PG_JOB_ADD,
    MLS__PG_JOB_BY_KEY,
    MLS__PG_JOBS_LOCK,
    MLS__PG_JOBS_DUE,
    MLS__PG_JOBS_OF_MEMBER,
    MLS__PG_JOBS_SAVE,
    MLS__PG_JOBS_DELETE,
    MLS__PG_JOB_VIEW,
    MLS__PG_JOBS_ENDED,
    MLS__PG_RESULT_ADD,
    MLS__PG_NEXT_TIMER,
    MLS__PG_CLAIM_ANY,
    MLS__PG_CLAIM_SOME,
    MLS__PG_CLAIM_LIKE,
    MLS__PG_STOPPING,
    MLS__PG_PROGRESS,
    MLS__PG_LIST,
    MLS__PG_COUNT,
    MLS__PG_SUM,
    MLS__PG_ALIVE,
    MLS__PG_MEMBER_ADD,
    MLS__PG_MEMBER_FIND,
    MLS__PG_MEMBER_LOCK,
    MLS__PG_MEMBER_RESUME,
    MLS__PG_MEMBER_DELETE,
    MLS__PG_MEMBER_COUNT,
    MLS__PG_MEMBERS_AWAY,
    MLS__PG_MEMBER_MARK,
    MLS__PG_MEMBER_LAST,
    MLS__PG_WAIT_ADD,
    MLS__PG_WAIT_DELETE,
    MLS__PG_WAITS_FIND,
    MLS__PG_PARENTS_LOCK,
    MLS__PG_EDGES_ADD,
    MLS__PG_EDGES_OF,
    MLS__PG_EDGES_END,
    MLS__PG_EDGES_LEAVE,
    MLS__PG_RULES_LOCK,
    MLS__PG_RULES,
    MLS__PG_RULE_SAVE,
    MLS__PG_RULE_DELETE,
    MLS__PG_CLAIM_PASSING_LIKE,
    MLS__PG_CLAIM_PICKED,
    MLS__PG_HEADS,
    MLS__PG_TURNS_SAVE,
    MLS__PG_SHARES_SAVE,
    MLS__PG_SHARES_SWEEP,
    MLS__PG_SHARES_MARK,
    MLS__PG_SHARE_CHARGE,
    MLS__PG_STATEMENTS
};

/* The rules that there are, as a transaction's begin finds them; they stay so until its end. */
enum { MLS__PG_RULES_NONE, MLS__PG_RULES_PAUSE, MLS__PG_RULES_LIMIT };

/* How a transaction begins. */
enum {
    MLS__PG_BARE, /* the tables may not be there */
    MLS__PG_SHARED,
    MLS__PG_EXCLUSIVE /* alone, to set rules */
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
    bool is_writing, must_sync;
    bool is_ready_news; /* a job became ready since parked claims were looked at */
    bool found_none;    /* a claim of anything found no more */
    unsigned news;
} mls__pg_txn;

struct mls__pg_store {
    const mls_plugin_host *host;
    const mls_queue_host *rules;
    int64_t most_deaths;
    char schema[MLS__PG_SCHEMA_MAX + 1];
    bool may_create;
    char *url;

    pthread_mutex_t mutex; /* guards the inbox and phases; a leaf */
    mls__pg_list inbox;
    bool is_closing;
    mls__holds holds;
    int wake_fd;
    _Atomic int64_t next_claimer;
    _Atomic int64_t member; /* who we are; changes when we were taken for dead */

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
    int64_t next_timer_us;   /* server's clock; 0: none known */
    int64_t clock_offset_us; /* the server's clock less the monotonic one */
    uint64_t polled_ns, looked_ns, parked_until_ns;
    char process[MLS__PG_PROCESS_SIZE]; /* the member's */
    mls__pg_absence *away;              /* members whose lock was free at the last look */
    size_t away_count;
    int64_t member_count;
    unsigned news_left;
    bool is_failing;
    char failure[MLS__PG_MESSAGE_BYTES];
    mls__pg_list claims, fillers, waits, drains;
    mls__pg_list returns; /* to be tried again */
    mls__kept_rules kept; /* in a transaction that claims */
    mls__pg_lane *lanes[MLS__PG_BUCKETS];
};

/* driver.c */
void *mls__pg_alloc(mls__pg_store *store, size_t size); /* zeroed */
void mls__pg_free(mls__pg_store *store, void *ptr);
uint64_t mls__pg_clock_ns(void);

/* url.c: what the part of a URL behind "postgres:" says. */
mls_status mls__pg_read_url(mls__pg_store *store, const char *config);

/* schema.c */
/* Makes the tables or brings older ones up to date. The transaction is the caller's. */
mls_status mls__pg_schema_open(mls__pg_store *store);

/* connect.c */
mls_status mls__pg_connect(mls__pg_store *store);
void mls__pg_disconnect(mls__pg_store *store);

/* connection.c */
void mls__pg_reset_txn(mls__pg_store *store);
/* Fails the transaction; the first failure counts. */
mls_status mls__pg_fail(mls__pg_store *store, mls_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What can be done about an SQLSTATE; NULL: nothing known. */
const char *mls__pg_help(const char *code);
/* Fails it with what the server said. `result` may be NULL, and is cleared. */
mls_status mls__pg_fail_result(mls__pg_store *store, PGresult *result, const char *what);
/* Statements as text, without parameters; NULL: failed. */
PGresult *mls__pg_execute(mls__pg_store *store, const char *sql);
bool mls__pg_do(mls__pg_store *store, const char *sql);
/* A prepared one, whose parameters are cleared; NULL: failed. */
PGresult *mls__pg_run(mls__pg_store *store, int statement, mls__pg_parameters *parameters);
bool mls__pg_run_none(mls__pg_store *store, int statement, mls__pg_parameters *parameters);
/* COPY ... FROM STDIN (FORMAT binary) of a buffer, whose header and end it adds. */
bool mls__pg_copy(mls__pg_store *store, const char *sql, const mls__pg_buffer *rows);
mls_status mls__pg_begin(mls__pg_store *store, int how);
mls_status mls__pg_commit(mls__pg_store *store);
void mls__pg_rollback(mls__pg_store *store);
const char *mls__pg_statement_text(int statement);

/* fields.c */
void mls__pg_put_int16(mls__pg_store *store, mls__pg_buffer *buffer, int16_t value);
void mls__pg_put_number(mls__pg_store *store, mls__pg_buffer *buffer, int64_t value);
void mls__pg_put_bytes(mls__pg_store *store, mls__pg_buffer *buffer, const void *data, size_t size);
void mls__pg_put_text(mls__pg_store *store, mls__pg_buffer *buffer, const char *text);
void mls__pg_put_null(mls__pg_store *store, mls__pg_buffer *buffer);
void mls__pg_buffer_clear(mls__pg_store *store, mls__pg_buffer *buffer);
void mls__pg_add_number(mls__pg_parameters *parameters, int64_t value);
void mls__pg_add_double(mls__pg_parameters *parameters, double value);
void mls__pg_add_text(mls__pg_parameters *parameters, const char *text);
void mls__pg_add_bytes(mls__pg_parameters *parameters, mls__pg_bytes bytes); /* or NULL */
/* The texts are `count` strings one behind the other; "" of none is NULL. */
void mls__pg_add_names(mls__pg_store *store, mls__pg_parameters *parameters, const char *names,
                       size_t count);
/* An array: begin it, put `count` elements of the kind, end it. */
mls__pg_buffer *mls__pg_begin_array(mls__pg_store *store, mls__pg_parameters *parameters,
                                    bool is_text, size_t count);
void mls__pg_add_numbers(mls__pg_store *store, mls__pg_parameters *parameters,
                         const int64_t *values, size_t count);
void mls__pg_parameters_clear(mls__pg_store *store, mls__pg_parameters *parameters);
int64_t mls__pg_number(const PGresult *result, int row, int column);
double mls__pg_double(const PGresult *result, int row, int column);
mls__pg_bytes mls__pg_bytes_at(const PGresult *result, int row, int column);
/* A copy of `text` into `to` in which what is no UTF-8 is '?'. */
void mls__pg_clean(char *to, size_t size, const char *text);

/* rows.c */
#define MLS__PG_PROGRESS_COLUMN (MLS__PG_NUMBERS + MLS__PG_TEXTS)
#define MLS__PG_EXTRA_COLUMN    (MLS__PG_PROGRESS_COLUMN + 1)
/* Reads a row that a statement with all columns gave. false: the transaction failed. */
bool mls__pg_row_read(mls__pg_store *store, const PGresult *result, int at, mls__pg_row *ret_row);
/* All rows of a result, in one block that the caller frees; NULL: failed. */
mls__pg_row *mls__pg_rows_read(mls__pg_store *store, const PGresult *result);
/* Runs a statement that locks rows; they live as long as *ret_result. false: failed. */
bool mls__pg_rows_lock(mls__pg_store *store, int statement, mls__pg_parameters *parameters,
                       PGresult **ret_result, mls__pg_row **ret_rows, size_t *ret_count);
void mls__pg_rows_free(mls__pg_store *store, PGresult *result, mls__pg_row *rows);
/* The row of that id among some in the order of ids; NULL: it is not there. */
mls__pg_row *mls__pg_row_find(mls__pg_row *rows, size_t count, uint64_t id);
/* Writes what became of them, and gives those that wait for their ends the answer. */
bool mls__pg_rows_store(mls__pg_store *store, mls__pg_row *rows, size_t count);
/* And moves the jobs that depend on them. */
bool mls__pg_rows_save(mls__pg_store *store, mls__pg_row *rows, size_t count);

/* lanes.c */
mls__pg_lane *mls__pg_lane_of(mls__pg_store *store, const char *queue, const char *type);
void mls__pg_lane_add(mls__pg_lane *lane, int counter, int64_t more);
bool mls__pg_lanes_save(mls__pg_store *store);
void mls__pg_lanes_clear(mls__pg_store *store);
void mls__pg_lanes_free(mls__pg_store *store);

/* states.c */
int32_t mls__pg_next(const mls__pg_store *store, int64_t state, int32_t event);
bool mls__pg_has_ended(const mls__pg_store *store, int64_t state);
int64_t mls__pg_now_ms(const mls__pg_store *store);
const char *mls__pg_state_name(int64_t state);
/* A new row: its timer, rank and counts. */
void mls__pg_begin_row(mls__pg_store *store, mls__pg_row *row);
void mls__pg_set_timer(mls__pg_store *store, int64_t timer_ms);
/* Behind all that there were: the server's time, moved on where several share it. */
int64_t mls__pg_next_rank(mls__pg_store *store);
/* Moves it in memory; mls__pg_rows_save() writes it. false: the transaction failed. */
bool mls__pg_move(mls__pg_store *store, mls__pg_row *row, int32_t event);
/* The same for a claimed one, which is not any more. */
bool mls__pg_end_claim(mls__pg_store *store, mls__pg_row *row, int32_t event);
/* What is due. */
bool mls__pg_tick(mls__pg_store *store);

/* inbox.c: the way to the committer, and back */
/* Hands an operation over, and waits until it is done or parked. */
void mls__pg_post(mls__pg_store *store, mls__pg_op *op);
/* The same for one that nobody waits for. */
void mls__pg_push(mls__pg_store *store, mls__pg_op *op);
/* Until it is done; its status, with the message for the calling thread. */
mls_status mls__pg_await(mls__pg_store *store, mls__pg_op *op);
mls_status mls__pg_call(mls__pg_store *store, mls__pg_op *op);
mls_status mls__pg_status_of(mls__pg_store *store, const mls__pg_op *op);
mls_status mls__pg_set_status(mls__pg_op *op, mls_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void mls__pg_wake(mls__pg_store *store);
/* Moves what lies in the inbox to the end of `queue`. */
void mls__pg_take_in(mls__pg_store *store, mls__pg_list *queue);
/* The same for any list. */
void mls__pg_list_move(mls__pg_list *from, mls__pg_list *to);
/* Those that do not park are done; from here on they may be gone. */
void mls__pg_answer(mls__pg_store *store, mls__pg_op **ops, size_t count);
void mls__pg_finish_parked(mls__pg_store *store, mls__pg_op *op);
void mls__pg_list_init(mls__pg_list *list);
void mls__pg_list_add(mls__pg_list *list, mls__pg_op *op);

/* group.c: transactions */
#define MLS__PG_RECONNECT_PAUSE_MS 50
/* Runs operations, answers them, and looks at what `news` says. */
void mls__pg_run_group(mls__pg_store *store, mls__pg_op **ops, size_t count, unsigned news);
/* Of the thread that has the connection, before there is a committer, and behind it. */
mls_status mls__pg_run_alone(mls__pg_store *store, mls__pg_op *op);

/* committer.c */
mls_status mls__pg_committer_start(mls__pg_store *store);
void mls__pg_committer_stop(mls__pg_store *store);

/* submit.c */
/* The job that has the key; 0: none any more; -1: failed. */
int64_t mls__pg_find_key(mls__pg_store *store, const char *key);
/* Sends what was gathered; and forgets it, after a rollback. */
bool mls__pg_submit_flush(mls__pg_store *store);
void mls__pg_submit_forget(mls__pg_store *store);

/* family.c: submits of jobs that depend on others */
typedef struct mls__pg_family mls__pg_family;
/*
 * Looks up, and locks, what jobs of a submit depend on; NULL, with a status for the
 * operation in *ret_status, when that cannot be.
 */
mls__pg_family *mls__pg_family_begin(mls__pg_store *store, mls__pg_op *op,
                                     const mls_queue_item *const *items, size_t count,
                                     uint64_t *ids, mls_status *ret_status);
/* How a job begins: sets the row's state. false: the transaction failed. */
bool mls__pg_family_judge(mls__pg_store *store, mls__pg_family *family, size_t index,
                          mls__pg_row *row);
/* The job was added, and has its id. false: the transaction failed. */
bool mls__pg_family_add(mls__pg_store *store, mls__pg_family *family, size_t index,
                        const mls__pg_row *row);
/* All jobs are in their table: writes what they wait for. false: the transaction failed. */
bool mls__pg_family_end(mls__pg_store *store, mls__pg_family *family);
void mls__pg_family_free(mls__pg_store *store, mls__pg_family *family);

/* parents.c: what ends mean to those that depend on them */
#define MLS__PG_CANCEL_TEXT 96
/* A parent's end cancels the row; `text`, its error, is to live as long. */
bool mls__pg_cancel_child(mls__pg_store *store, mls__pg_row *row, int64_t parent,
                          int64_t parent_state, char text[MLS__PG_CANCEL_TEXT]);
bool mls__pg_is_due(const mls__pg_store *store, const mls__pg_row *row);
/* Jobs ended, which is stored: moves those that wait for them. false: the transaction failed. */
bool mls__pg_parents_end(mls__pg_store *store, const mls__pg_row *rows, size_t count);
/* Jobs are blocked no longer. */
bool mls__pg_parents_leave(mls__pg_store *store, const mls__pg_row *rows, size_t count);

/* rules.c: what holds back ready jobs */
/* Reads them for a transaction that claims; where there are limits, others wait with theirs. */
bool mls__pg_rules_load(mls__pg_store *store);
/* A job is claimed, or its claim ends. */
void mls__pg_rules_claim(mls__pg_store *store, const mls__pg_row *row);
void mls__pg_rules_end(mls__pg_store *store, const mls__pg_row *row);
/* Adds those that hold back jobs now: queues, types and tenants, "" for any. */
void mls__pg_add_holding(mls__pg_store *store, mls__pg_parameters *parameters);
/* Saves what claims changed in them, and sets the timer of the next that lets pass. */
bool mls__pg_rules_save(mls__pg_store *store);
mls_status mls__pg_set_rule(void *self, const mls_queue_rule *rule, uint64_t parts);
mls_status mls__pg_visit_rules(void *self, mls_queue_rule_fn visit, void *user);

/* turns.c: which jobs are next where rules hold back some or tenants share */
#define MLS__PG_MOST_PICKS 256
/*
 * Ids of at most `most` ready jobs in the order in which they are to be claimed, which is
 * noted; there may be more than those. With `like` of jobs like that, which has no batch
 * key. false: the transaction failed.
 */
bool mls__pg_turns_pick(mls__pg_store *store, const mls__served *served, const mls_queue_job *like,
                        size_t most, int64_t *ret_ids, size_t *ret_count);
/* So many jobs of that queue, priority and tenant were claimed though it was not their turn. */
bool mls__pg_turns_charge(mls__pg_store *store, const mls_job_info *info, size_t count);
/* The first job with a tenant is submitted. */
bool mls__pg_turns_begin(mls__pg_store *store);

/* process.c */
/* Of this process, and of one member of it. */
void mls__pg_process_name(char name[MLS__PG_PROCESS_SIZE]);
/* Whether it has ended, as far as can be seen: nothing is known of other machines' processes. */
bool mls__pg_process_is_dead(const char *name);

/* members.c */
mls_status mls__pg_join(mls__pg_store *store);
void mls__pg_leave(mls__pg_store *store);
/* After a new connection: as who we were, or else anew. */
bool mls__pg_resume(mls__pg_store *store);
/* Whether the last transaction that wrote was committed: 1, 0, -1: not to be known. */
int mls__pg_was_committed(mls__pg_store *store);
/* Gives back what members ran that died. */
bool mls__pg_reap(mls__pg_store *store);
/* From now on it counts anew for how long members are away. */
void mls__pg_forget_away(mls__pg_store *store);
/* Notes in the transaction which it is. */
bool mls__pg_mark(mls__pg_store *store);
/* Tells others what happened in one that was committed. */
void mls__pg_tell(mls__pg_store *store);
uint64_t mls__pg_look_interval_ns(const mls__pg_store *store);

/* ends.c */
typedef struct mls__pg_ends {
    mls_queue_end *const *ends;
    size_t count;
} mls__pg_ends;
mls_status mls__pg_ends_run(mls__pg_store *store, const mls__pg_ends *ends);

/* returns.c */
/* Gives back the job of a claim that nobody ends. */
void mls__pg_return(mls__pg_store *store, const mls__pg_hold *hold);
void mls__pg_returns_free(mls__pg_store *store);

/* claim.c, watch.c, change.c: what is parked */
bool mls__pg_claims_serve(mls__pg_store *store);
void mls__pg_claims_stop(mls__pg_store *store, const mls__pg_claimer *claimer);
bool mls__pg_is_awaited(const mls__pg_store *store, int64_t id);
bool mls__pg_waits_serve(mls__pg_store *store, const mls__pg_row *row);
bool mls__pg_waits_look(mls__pg_store *store);
bool mls__pg_drains_serve(mls__pg_store *store);
bool mls__pg_cancels_look(mls__pg_store *store);

/* views.c */
/* A copy of the row for a handle; NULL: no memory. */
mls__pg_hold *mls__pg_show(mls__pg_store *store, const mls__pg_row *row, mls__pg_bytes payload,
                           mls__pg_bytes result, mls_job_info *info);

/* The operations of the driver's table. */
mls_status mls__pg_submit(void *self, const mls_queue_item *const *items, size_t count,
                          uint64_t until_ns, uint64_t *ret_ids);
mls_status mls__pg_claimer_open(void *self, const mls_claimer_options *options, void **ret_claimer);
void mls__pg_claimer_stop(void *self, void *claimer, uint32_t flags);
mls_status mls__pg_claimer_surrender(void *self, void *claimer, size_t *ret_count);
void mls__pg_claimer_close(void *self, void *claimer);
mls_status mls__pg_claim(void *self, void *claimer, const mls_queue_claim *request,
                         mls_queue_end *const *ends, size_t end_count, mls_queue_job *const *jobs,
                         size_t *ret_count);
mls_status mls__pg_finish(void *self, mls_queue_end *const *ends, size_t count);
uint32_t mls__pg_signals(void *self, const mls_queue_job *shown);
mls_status mls__pg_progress(void *self, const mls_queue_job *shown, double progress,
                            const char *note);
void mls__pg_drop(void *self, mls_queue_job *shown);
mls_status mls__pg_get(void *self, uint64_t id, mls_queue_job *ret_job);
mls_status mls__pg_wait(void *self, uint64_t id, uint64_t until_ns, mls_queue_job *ret_job);
mls_status mls__pg_change(void *self, uint64_t id, int32_t event);
mls_status mls__pg_drain(void *self, uint64_t until_ns);
mls_status mls__pg_list_ids(void *self, const mls_queue_filter *filter, uint64_t after_id,
                            size_t max_count, uint64_t *ret_ids, size_t *ret_count);
mls_status mls__pg_stats(void *self, const mls_queue_filter *filter, mls_queue_stats *ret_stats);

#endif
