/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mls_queue: jobs waiting for who runs them, behind one interface from a ring in
 * memory to a database server.
 *
 * A queue is opened by URL; the scheme names the driver:
 *   memory:              in this process, bounded, gone with it. Options after '?',
 *                        separated by '&': capacity=N (jobs of any state that it
 *                        holds, 65536 unless given).
 *   sqlite:PATH          in a file of this machine, which stays, shared by all
 *                        processes that open it. Beside it lie PATH-wal, PATH-shm,
 *                        PATH-lock and, for payloads and results past 8 KiB,
 *                        PATH-segments. Options after '?', separated by '&': poison=K
 *                        (a job during which K processes died is dead, 3 unless given),
 *                        init=1 (make the store if there is none, as without it),
 *                        init=0 (do not: MLS_ENOTFOUND).
 *                        Retention is a day unless given.
 *   postgres://USER@HOST/DATABASE
 *                        in a database of a PostgreSQL server (14 or later), shared by all
 *                        hosts that reach it. A module, loaded when it is first asked for;
 *                        MLSCALE_DRIVERS in the environment names another folder to look
 *                        for it. Options: schema=NAME (where its tables are, "mlscale"
 *                        unless given), init=1 (makes them if they are not there; without
 *                        it that is MLS_ENOTFOUND), poison=K as above, patience=S (seconds
 *                        that a call waits for a server that is away, and others for a
 *                        process that they cannot see die; 10 unless given), and those of libpq.
 * A driver publishes what it can do as flags. What is asked of it and not among
 * them is refused, at open (mls_queue_options.require) or at the call.
 *
 * All functions may be called from any thread. Claimers, workers and job handles
 * keep their queue open, so things may be freed in any order. In a child of fork()
 * a queue of the parent fails with MLS_EFORKED, and closing it there only forgets it.
 *
 * Timeouts are in milliseconds: 0 does not wait, negative waits forever.
 *
 * What sqlite: promises. Submits of MLS_ACK_DURABLE (which is its default), ends of
 * claims, cancels, requeues and forgets are synced to the disk before they return; what
 * many threads do at once is synced together. Submits of MLS_ACK_ASYNC, claims, releases
 * and progress are written, and safe from the end of the process, when they return, and
 * from power loss 100 ms later. A submit of MLS_ACK_RAM of one job without a key and with
 * up to 8 KiB returns before it is written; any other is as MLS_ACK_ASYNC. Jobs of a
 * process that died are ready again within 100 ms, without having used up an attempt.
 * Other processes learn of ready and ended jobs at once. The wall clock decides run_at,
 * deadlines, pauses before retries, and retention; no lease depends on a clock. Never
 * remove PATH-lock while a process has the queue open, and keep the file on a local disk.
 * Opening refuses a file that is none of its own or damaged (MLS_EFORMAT), and one of a
 * newer library (MLS_EUNSUPPORTED); an older one is brought up to date. A disk that is
 * full or fails is MLS_EIO: nothing of the call took effect. What is damaged later is
 * MLS_EFORMAT; a job whose payload is, is dead with that error.
 * A claim's spin_us has no effect, and a submit finds room always.
 *
 * What postgres: promises. As sqlite:, by the server's disk and its clock: durable submits,
 * claims and ends are committed with synchronous_commit on, others with it off, which the
 * server makes up for within three times its wal_writer_delay. Jobs of a process that died
 * are ready again within 100 ms while anyone on its host waits for jobs, and to other hosts
 * after the patience; deaths count towards poison=K, but not those of processes that are seen
 * to live on without a connection. When the connection is lost, calls are tried again for as
 * long as the patience, exactly once in effect, and then fail with MLS_EIO; who comes back in
 * that time goes on with the jobs that it runs. What a claim that failed so had been given is
 * ready again with the next connection. A call that comes while others are tried waits for
 * them first, so for up to twice the patience. Stopping and closing wait for no server that is
 * known to be away: claims that wait for jobs return, but for one that may have been given some,
 * which returns when that is known; and a worker still says how its jobs ended, by calls like any
 * other. A queue that closes tries once more to reach the server, for libpq's connect_timeout (10 s
 * unless given) at most to connect; what it cannot give back then goes to others after the
 * patience. What the server is at is waited for, by stopping and closing too: where its machine
 * falls silent meanwhile that is known after 10 s (unless the URL sets libpq's tcp_user_timeout and
 * keepalives). One that hangs while its connection stands, as one that is suspended, is taken for
 * away when it has said nothing for as long as the patience (a second at least) and answers no new
 * connection within the connect_timeout either; one that does, if only to refuse, is busy, and is
 * waited for without a limit, but by a queue that closes. Keys and names are UTF-8.
 * Each open queue holds one connection. Messages never show a URL's password, but other
 * users may see it in a program's arguments: libpq's ~/.pgpass or PGPASSWORD are better.
 */
#ifndef MLSCALE_QUEUE_H
#define MLSCALE_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include <mlscale/context.h>
#include <mlscale/job.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mls_queue mls_queue;
typedef struct mls_claimer mls_claimer;

/* Capabilities of a driver. The values never change. */
#define MLS_QUEUE_CAN_ACK_ASYNC    (UINT64_C(1) << 0) /* MLS_ACK_ASYNC */
#define MLS_QUEUE_CAN_ACK_DURABLE  (UINT64_C(1) << 1) /* MLS_ACK_DURABLE */
#define MLS_QUEUE_CAN_SHARE        (UINT64_C(1) << 2) /* several processes, one store */
#define MLS_QUEUE_CAN_PRIORITIES   (UINT64_C(1) << 3)
#define MLS_QUEUE_CAN_SCHEDULES    (UINT64_C(1) << 4) /* run_at, delay */
#define MLS_QUEUE_CAN_RETRIES      (UINT64_C(1) << 5)
#define MLS_QUEUE_CAN_KEYS         (UINT64_C(1) << 6)
#define MLS_QUEUE_CAN_DEADLINES    (UINT64_C(1) << 7)
#define MLS_QUEUE_CAN_CANCEL       (UINT64_C(1) << 8)
#define MLS_QUEUE_CAN_PROGRESS     (UINT64_C(1) << 9)
#define MLS_QUEUE_CAN_BATCHES      (UINT64_C(1) << 10) /* claims by batch key */
#define MLS_QUEUE_CAN_NAMED_QUEUES (UINT64_C(1) << 11)
#define MLS_QUEUE_CAN_DEPENDENCIES (UINT64_C(1) << 12)
#define MLS_QUEUE_CAN_LEASES       (UINT64_C(1) << 13) /* notices the death of a worker */
#define MLS_QUEUE_CAN_FAIRNESS     (UINT64_C(1) << 14) /* shares between tenants, always */
#define MLS_QUEUE_CAN_LIMITS       (UINT64_C(1) << 15) /* of rate and concurrency */
#define MLS_QUEUE_CAN_PAUSE        (UINT64_C(1) << 16)
#define MLS_QUEUE_CAN_CRON         (UINT64_C(1) << 17) /* mls_queue_schedule() */
#define MLS_QUEUE_CAN_LIST         (UINT64_C(1) << 18)
#define MLS_QUEUE_CAN_RESOURCES    (UINT64_C(1) << 19) /* needs of jobs, capacity of claimers */

typedef struct mls_queue_options {
    size_t size;      /* sizeof(mls_queue_options) */
    uint64_t require; /* MLS_QUEUE_CAN_*: open fails unless the driver has them all */
    /* Bounds one payload or result; 0 is 64 MiB. */
    uint64_t max_payload_bytes;
    /*
     * For jobs that say MLS_RETENTION_DEFAULT; that itself: memory's minute, sqlite's day.
     * More than a century is a century.
     */
    int64_t retention_ms;
    /* Draws the jitter of retries; 0 takes one from the system. */
    uint64_t seed;
} mls_queue_options;

#define MLS_QUEUE_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(mls_queue_options), 0, 0, MLS_RETENTION_DEFAULT, 0                                  \
    }

/*
 * Opens the queue at `url`; `options` may be NULL.
 * Errors: MLS_EINVAL (URL, options), MLS_ENOTFOUND (no such driver: the message
 * lists those there are), MLS_EUNSUPPORTED (lacks what is required: the message
 * names it), MLS_EIO, MLS_ENOMEM.
 */
MLS_API mls_status mls_queue_open(mls_context *context, const char *url,
                                  const mls_queue_options *options, mls_queue **ret_queue);

/*
 * Drops the caller's hold; the last claimer, worker or job handle ends it. What a
 * memory queue then still holds is dropped. NULL is fine.
 */
MLS_API void mls_queue_close(mls_queue *queue);

/* MLS_QUEUE_CAN_* of the queue's driver. */
MLS_API uint64_t mls_queue_capabilities(const mls_queue *queue);

/*
 * Submits a job; from then on it takes effect exactly once, as far as its `ack`
 * promises. Submitting to a memory queue without a key or tenant takes no lock.
 * Errors: MLS_EINVAL (options: the message names the field), MLS_EUNSUPPORTED (a
 * capability), MLS_EEXIST (the key is taken), MLS_EFULL (no room, and none came in
 * time), MLS_ELIMIT (payload size; number of types), MLS_ENOTFOUND (depends_on),
 * MLS_EIO, MLS_EFORKED, MLS_ENOMEM.
 */
MLS_API mls_status mls_queue_submit(mls_queue *queue, const mls_job_options *options,
                                    uint64_t *ret_id);

/*
 * Submits all of `count` jobs or none, in one step (for durable drivers: one
 * commit). `jobs` is an array of structs of one size. `ret_ids` has `count` ids and
 * may be NULL. The longest of their room_timeout_ms counts. Errors: as above, with
 * the index of the job in the message.
 */
MLS_API mls_status mls_queue_submit_many(mls_queue *queue, const mls_job_options *jobs,
                                         size_t count, uint64_t *ret_ids);

/*
 * A snapshot of a job. Errors: MLS_ENOTFOUND (no such id, or its retention is
 * over), MLS_EIO, MLS_EFORKED, MLS_ENOMEM.
 */
MLS_API mls_status mls_queue_get(mls_queue *queue, uint64_t id, mls_job **ret_job);

/*
 * Waits until a job has ended, whichever way, and gives a snapshot: see
 * mls_job_result(). `ret_job` may be NULL. Errors: MLS_ETIMEDOUT, MLS_ENOTFOUND (as
 * above), MLS_EIO, MLS_EFORKED, MLS_ENOMEM.
 */
MLS_API mls_status mls_queue_wait(mls_queue *queue, uint64_t id, int64_t timeout_ms,
                                  mls_job **ret_job);

/*
 * Cancels a job: at once when it waits; when it runs, its handler is told
 * (mls_job_stop_reasons()) and the job ends as the handler does.
 * Errors: MLS_EUNSUPPORTED, MLS_ENOTFOUND, MLS_ESTATE (ended), MLS_EIO, MLS_EFORKED.
 */
MLS_API mls_status mls_queue_cancel(mls_queue *queue, uint64_t id);

/*
 * Makes a dead or cancelled job ready again, with all its attempts and no deadline.
 * Errors: MLS_ENOTFOUND, MLS_ESTATE (neither), MLS_EIO, MLS_EFORKED.
 */
MLS_API mls_status mls_queue_requeue(mls_queue *queue, uint64_t id);

/*
 * Drops an ended job before its retention is over: who has read a result makes
 * room with it. Errors: MLS_ENOTFOUND, MLS_ESTATE (not ended), MLS_EIO, MLS_EFORKED.
 */
MLS_API mls_status mls_queue_forget(mls_queue *queue, uint64_t id);

/*
 * Waits until every job has ended: none is blocked, scheduled, ready or running.
 * Errors: MLS_ETIMEDOUT, MLS_EIO, MLS_EFORKED.
 */
MLS_API mls_status mls_queue_drain(mls_queue *queue, int64_t timeout_ms);

/* Which jobs; NULL is any. */
typedef struct mls_queue_filter {
    size_t size; /* sizeof(mls_queue_filter) */
    const char *queue;
    const char *type;
    /* MLS_QUEUE_STATE() of those states; 0 is any. Of mls_queue_list() only. */
    uint32_t states;
    uint32_t reserved; /* 0 */
} mls_queue_filter;

#define MLS_QUEUE_STATE(state) (UINT32_C(1) << (state))

#define MLS_QUEUE_FILTER_INIT                                                                      \
    {                                                                                              \
        sizeof(mls_queue_filter), NULL, NULL, 0, 0                                                 \
    }

/*
 * Counts. `jobs` is what the store holds now, by state; all other figures are sums
 * since the queue was opened (memory) or made (durable drivers, which may lag).
 */
typedef struct mls_queue_stats {
    size_t size;       /* sizeof(mls_queue_stats), set by the caller */
    uint64_t jobs[16]; /* by MLS_JOB_*; [0] is all of them */
    uint64_t capacity; /* jobs that the store can hold; 0: no bound */
    uint64_t submitted;
    uint64_t claimed;   /* claims */
    uint64_t succeeded; /* jobs that ended so */
    uint64_t dead;
    uint64_t cancelled;
    uint64_t retried;    /* failures followed by another attempt */
    uint64_t released;   /* claims given back */
    uint64_t stale;      /* reports refused, their claim being lost */
    uint64_t waiting_ns; /* of all claims: from ready to claimed */
    uint64_t running_ns; /* of all claims that ended: from claimed to the end */
    uint64_t escalated;  /* claims that ran out of memory, and their jobs were given more */
} mls_queue_stats;

#define MLS_QUEUE_STATS_INIT                                                                       \
    {                                                                                              \
        sizeof(mls_queue_stats), {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0, 0, 0, 0, 0,  \
            0, 0, 0, 0, 0, 0, 0                                                                    \
    }

/* `filter` may be NULL. Errors: MLS_EINVAL (sizes, states), MLS_EIO, MLS_EFORKED. */
MLS_API mls_status mls_queue_get_stats(mls_queue *queue, const mls_queue_filter *filter,
                                       mls_queue_stats *ret_stats);

/*
 * Lists the ids of jobs, the smallest first: up to `max_count` of those above `after_id`.
 * Begin with 0 and go on with the last id until *ret_count is less than max_count. Jobs
 * that come or go meanwhile may be missed or found gone. `filter` may be NULL.
 * Errors: MLS_EINVAL, MLS_EUNSUPPORTED (needs MLS_QUEUE_CAN_LIST), MLS_EIO, MLS_EFORKED,
 * MLS_ENOMEM.
 */
MLS_API mls_status mls_queue_list(mls_queue *queue, const mls_queue_filter *filter,
                                  uint64_t after_id, size_t max_count, uint64_t *ret_ids,
                                  size_t *ret_count);

/*
 * Pauses jobs of a named queue, a type, both, or with NULL for `which` all there are: what
 * is submitted waits, and is not claimed; what runs goes on. A claim of what is paused
 * waits as if there were nothing, and finds it when it is resumed; deadlines count.
 * A pause is of exactly the queue and type given, whether there are such jobs or not, and
 * stays until these are resumed: a job may be claimed when no pause holds it. Durable
 * drivers keep pauses. Pausing or resuming twice is as once.
 * Errors: MLS_EINVAL, MLS_EUNSUPPORTED (needs MLS_QUEUE_CAN_PAUSE), MLS_EIO, MLS_EFORKED,
 * MLS_ENOMEM.
 */
MLS_API mls_status mls_queue_pause(mls_queue *queue, const mls_queue_filter *which);
MLS_API mls_status mls_queue_resume(mls_queue *queue, const mls_queue_filter *which);

/*
 * What holds back jobs of a named queue, type or tenant, or of several of these at once; a
 * job may be claimed when every rule that covers it lets it pass. Others go in front of
 * one that is held back, whatever their priority.
 *
 * Limits. At most max_running jobs that the rule covers are claimed at a time, those that a
 * worker holds ready included. And they are claimed at a rate of at most rate_jobs in each
 * rate_ms: a bucket of `burst` tokens, full at first, gains them evenly, and each claim takes
 * one, those of retries and of jobs that were given back included; nothing is put back. So at
 * most burst + rate_jobs claims fall into any rate_ms. Time is the wall clock's in durable
 * drivers; one that is set back by more than a bucket takes to fill
 * fills it. Durable drivers keep all that.
 *
 * Jobs of a tenant that a rule named in a memory or sqlite queue share batches with each
 * other only.
 */
typedef struct mls_queue_rule {
    size_t size;       /* sizeof(mls_queue_rule) */
    const char *queue; /* of which jobs; NULL: any */
    const char *type;
    const char *tenant;   /* not "" */
    uint32_t is_paused;   /* of mls_queue_pause() only */
    uint32_t max_running; /* 0: any number */
    uint32_t rate_jobs;   /* 0: any rate */
    uint32_t burst;       /* 1 and more; 0 is rate_jobs */
    int64_t rate_ms;      /* 1 and more, when there are rate_jobs; at most a day */
    uint32_t running;     /* shown: the jobs that it covers and that are claimed */
    uint32_t reserved;    /* 0 */
    int64_t bucket_ns;    /* of drivers: when the bucket is full again, by their clock */
    uint32_t weight;      /* of mls_queue_weigh() only */
    uint32_t reserved2;   /* 0 */
} mls_queue_rule;

#define MLS_QUEUE_RULE_INIT                                                                        \
    {                                                                                              \
        sizeof(mls_queue_rule), NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                     \
    }

/*
 * Sets the limits (max_running, rate_jobs, rate_ms, burst) of exactly the rule's queue, type
 * and tenant; without any they are taken back. Other fields are not read. What is claimed
 * already goes on. The bucket is full when its rate or burst was changed.
 * Errors: MLS_EINVAL, MLS_EUNSUPPORTED (needs MLS_QUEUE_CAN_LIMITS), MLS_ELIMIT (a memory or
 * sqlite queue has no more types, of which each such tenant has its own), MLS_EIO,
 * MLS_EFORKED, MLS_ENOMEM.
 */
MLS_API mls_status mls_queue_limit(mls_queue *queue, const mls_queue_rule *limits);

/*
 * Shares between tenants. Of the ready jobs of one named queue and priority, claims take by
 * tenant in turn, and of a tenant the longest ready; "" is a tenant too. A tenant with a
 * weight gets so many turns where one without has MLS_WEIGHT_DEFAULT. It is start-time fair
 * queuing: a tenant that is idle for a while saves up no turns, and one that asks alone gets
 * all there is. So while jobs of the tenants a and b are ready all the time, and claims take
 * of both, then of the claims in that time, with `jobs` those of a tenant and w its weight,
 *     |jobs_a / w_a - jobs_b / w_b| <= 1 / w_a + 1 / w_b,
 * whatever others do: between equals the difference is at most two. Batches count job by
 * job; those that fill one are taken as they are ready, so that n of them add n to the jobs
 * of the bound. Claims of one queue that take different types of it do not look at all
 * tenants alike: then only tenants that the same of them take of share by these weights.
 * Durable drivers keep whose turn it is, for all processes together.
 *
 * Sets the weight, 1 to MLS_WEIGHT_MAX, of exactly the rule's tenant in its queue, NULL being
 * all that have none of their own for the tenant; 0 takes it back. `type` must be NULL, and
 * other fields are not read. Errors: as mls_queue_limit(), but needs MLS_QUEUE_CAN_FAIRNESS.
 */
#define MLS_WEIGHT_DEFAULT 100
#define MLS_WEIGHT_MAX     10000
MLS_API mls_status mls_queue_weigh(mls_queue *queue, const mls_queue_rule *weight);

/*
 * Calls visit(user, rule) for each rule that there is at that moment, by queue, type and
 * tenant, those of any first. A rule is good until `visit` returns.
 * Errors: MLS_EUNSUPPORTED (needs MLS_QUEUE_CAN_PAUSE or MLS_QUEUE_CAN_LIMITS), MLS_EIO,
 * MLS_EFORKED, MLS_ENOMEM.
 */
typedef void (*mls_queue_rule_fn)(void *user, const mls_queue_rule *rule);
MLS_API mls_status mls_queue_visit_rules(mls_queue *queue, mls_queue_rule_fn visit, void *user);

/* A claimer, in any process, that has claimed or tried to and was not stopped: what it offers. */
typedef struct mls_queue_offer {
    size_t size;
    const char *name;       /* its own, or its worker's */
    mls_resources capacity; /* INT64_MAX: no bound */
} mls_queue_offer;

/*
 * Calls visit(user, offer) for each such claimer, in any order. An offer is good until
 * `visit` returns. A job that needs more than each of them offers stays ready.
 * Errors: MLS_EUNSUPPORTED (needs MLS_QUEUE_CAN_RESOURCES), MLS_EIO, MLS_EFORKED, MLS_ENOMEM.
 */
typedef void (*mls_queue_offer_fn)(void *user, const mls_queue_offer *offer);
MLS_API mls_status mls_queue_visit_offers(mls_queue *queue, mls_queue_offer_fn visit, void *user);

typedef struct mls_quantiles {
    uint64_t p50, p95; /* at most an eighth too large, never too small */
    uint64_t most;
} mls_quantiles; /* never grows */

/*
 * What attempts of a type's jobs took that stated the same need of memory: a sample of those
 * that workers ran, of the last thousands. CPU time is the thread's, or of a program with its
 * children; memory, the largest at a time, is of programs only (0: none was seen).
 */
typedef struct mls_queue_cost {
    size_t size;
    const char *type;
    int64_t memory_bytes; /* mls_job_info.needs.memory_bytes of the jobs */
    uint64_t samples;
    mls_quantiles wall_ns, cpu_ns, peak_bytes;
} mls_queue_cost;

/*
 * Calls visit(user, cost) for each that is known, by type and memory. A cost is good until
 * `visit` returns. What other processes saw may come a second late, and some may never come.
 *
 * A claimer with a capacity goes by what was observed, too: jobs of which no need of memory was
 * stated take the p95 of what such jobs took, and so do others once that was seen of 32; but no
 * more than the whole capacity, so that what fits by its statement runs at least alone. And
 * while it sets room aside for a large job, it lets those pass of which 32 were seen and whose p95
 * of time ends before that job is expected to begin.
 * Errors: MLS_EUNSUPPORTED (the driver keeps none), MLS_EIO, MLS_EFORKED, MLS_ENOMEM.
 */
typedef void (*mls_queue_cost_fn)(void *user, const mls_queue_cost *cost);
MLS_API mls_status mls_queue_visit_costs(mls_queue *queue, mls_queue_cost_fn visit, void *user);

/*
 * Schedules: jobs that a queue submits by itself, as a line of cron says.
 *
 * A line has five fields: minute (0 to 59), hour (0 to 23), day of the month (1 to 31), month (1 to
 * 12, or jan to dec), day of the week (0 to 7, both ends Sunday, or sun to sat). A field is '*' or
 * a list, by commas, of numbers and ranges (9-17); '*' and ranges may have a step (5-59/15). When
 * neither of the two fields of days begins with '*' a day matches that is of either; else one that
 * is of both. @hourly, @daily, @weekly, @monthly and @yearly are lines too. A line of which no day
 * ever comes is refused.
 *
 * The times are of a zone of the IANA database ("Europe/Berlin"). Where its clocks are changed:
 * - A line whose hour begins with '*' is about time that passes: it fires whenever the clock shows
 *   a time that matches, so in both of an hour that comes twice, and not for one that is skipped.
 * - Any other fires once for each time of a day: the first time that it comes, and at the first
 *   instant behind the gap if it is skipped; those of several skipped minutes are one.
 *
 * Each firing submits one job, whose key is "cron:NAME@MS" and whose run_at_ms is MS, the instant
 * it is of. A firing takes place exactly once however many processes have the queue open, killed or
 * not: its job, and that it took place, are stored in one step. A clock that is set back repeats
 * none: the next firing is as far away as it was by the calendar. So one that showed a time years
 * ahead, if only for a moment, may leave a next_ms that is years ahead: take the schedule back, and
 * set it anew. Durable drivers fire while any process has the queue open; one in memory while
 * somebody waits for jobs, and with each call that looks at the store.
 *
 * A process that finds a zone's file missing or damaged, or has no memory, says so in the log, and
 * tries again within a minute; the schedule stays due, also for other processes.
 *
 * Firings that are found over, since nobody had the queue open, or the clock was set forward, go by
 * `missed`. The latest of them is not one when it is less than MLS_SCHEDULE_LATE_MS late.
 */
#define MLS_MISSED_SKIP 0 /* they do not take place */
#define MLS_MISSED_ONCE 1 /* the latest takes place, for all of them */
#define MLS_MISSED_ALL  2 /* each takes place, of more than MLS_MISSED_MOST the latest */

#define MLS_MISSED_MOST          100
#define MLS_SCHEDULE_LATE_MS     60000
#define MLS_SCHEDULE_CRON_MAX    255  /* bytes of a line */
#define MLS_SCHEDULE_ZONE_MAX    63   /* of a zone's name */
#define MLS_SCHEDULE_SOURCE_MAX  1023 /* of a source */
#define MLS_SCHEDULE_PAYLOAD_MAX 8192 /* of its job's payload */

typedef struct mls_schedule {
    size_t size;      /* sizeof(mls_schedule) */
    const char *name; /* unique in the queue, as a type's */
    const char *cron;
    const char *zone; /* NULL is "UTC", which needs no database of zones */
    const char
        *source;       /* who set it, for people and for who takes back what is its own; NULL: "" */
    uint32_t missed;   /* MLS_MISSED_* */
    uint32_t reserved; /* 0 */
    /*
     * What is submitted: without key, flags, times (run_at_ms, delay_ms, deadline_ms),
     * depends_on and payload_free. `ack` and room_timeout_ms count for nothing.
     */
    const mls_job_options *job;
    int64_t next_ms; /* shown: when it fires next; INT64_MAX: not any more */
    int64_t last_ms; /* shown: of its last firing; 0: there was none */
} mls_schedule;

#define MLS_SCHEDULE_INIT                                                                          \
    {                                                                                              \
        sizeof(mls_schedule), NULL, NULL, NULL, NULL, MLS_MISSED_SKIP, 0, NULL, 0, 0               \
    }

/*
 * Sets the schedule of that name. One of the same line and zone goes on as it was: what was missed
 * is still missed, and a host may set its schedules at each start. Another one begins now.
 * Errors: MLS_EINVAL (the message says where in the line), MLS_ENOTFOUND (the zone), MLS_EFORMAT
 * (its file), MLS_ELIMIT (the payload; types), MLS_EUNSUPPORTED (needs MLS_QUEUE_CAN_CRON),
 * MLS_EIO, MLS_EFORKED, MLS_ENOMEM.
 */
MLS_API mls_status mls_queue_schedule(mls_queue *queue, const mls_schedule *schedule);

/* Ends the schedule of that name; jobs that it submitted stay. Errors: MLS_ENOTFOUND, as above. */
MLS_API mls_status mls_queue_unschedule(mls_queue *queue, const char *name);

/* Calls visit(user, schedule) for each, by name. One is good until `visit` returns. */
typedef void (*mls_schedule_fn)(void *user, const mls_schedule *schedule);
MLS_API mls_status mls_queue_visit_schedules(mls_queue *queue, mls_schedule_fn visit, void *user);

/*
 * A claimer takes jobs off a queue for a loop of the host's own; mls_worker
 * (mlscale/worker.h) is such a loop with threads and handlers.
 */
typedef struct mls_claimer_options {
    size_t size; /* sizeof(mls_claimer_options) */
    /* For people and mls_job_info.owner; NULL is "". At most MLS_JOB_NAME_MAX bytes. */
    const char *name;
    /* The types that it takes; none given: all. */
    const char *const *types;
    size_t type_count;
    /* The named queues that it serves; none given: all. */
    const char *const *queues;
    size_t queue_count;
    /* How long a claim spins before it sleeps: a hand-off of 1 us for a busy core. */
    uint32_t spin_us;
    uint32_t reserved; /* 0 */
    /*
     * What all jobs together may need that it has claimed and that have not ended; NULL:
     * there is no bound. Needs MLS_QUEUE_CAN_RESOURCES.
     */
    const mls_resources *capacity;
    /*
     * So that small jobs do not keep a large one waiting for ever: when a job that would fit
     * the whole capacity, and does not fit what is left of it, has been ready for this long,
     * its room is set aside; of what it lacks no other job is given any until it is claimed
     * (here or elsewhere). The one that waits longest counts. 0 is 10 seconds.
     */
    uint32_t patience_ms;
    uint32_t reserved2; /* 0 */
} mls_claimer_options;

#define MLS_CLAIMER_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(mls_claimer_options), NULL, NULL, 0, NULL, 0, 0, 0, NULL, 0, 0                      \
    }

/* `options` may be NULL. Errors: MLS_EINVAL, MLS_ELIMIT, MLS_EIO, MLS_EFORKED, MLS_ENOMEM. */
MLS_API mls_status mls_claimer_open(mls_queue *queue, const mls_claimer_options *options,
                                    mls_claimer **ret_claimer);

/*
 * Ends the claimer; jobs that it still runs may be ended afterwards. No claim may
 * be waiting (mls_claimer_stop() makes them return). NULL is fine.
 */
MLS_API void mls_claimer_close(mls_claimer *claimer);

/*
 * Claims up to `max_count` ready jobs, the highest priority first, then by tenant in turn
 * where the driver has MLS_QUEUE_CAN_FAIRNESS (see mls_queue_weigh()), then the longest
 * ready, and waits for the first. Free each with mls_job_free().
 * Errors: MLS_EEMPTY (timeout 0), MLS_ETIMEDOUT, MLS_ECANCELLED
 * (mls_claimer_stop()), MLS_EIO, MLS_EFORKED, MLS_ENOMEM.
 */
MLS_API mls_status mls_claimer_claim(mls_claimer *claimer, int64_t timeout_ms, size_t max_count,
                                     mls_job **ret_jobs, size_t *ret_count);

/* Still claim what is ready, without waiting. */
#define MLS_CLAIMER_DRAIN UINT32_C(1)

/*
 * Makes waiting and later claims return MLS_ECANCELLED, with MLS_CLAIMER_DRAIN only
 * when no job is ready. From any thread. Cannot be taken back.
 */
MLS_API void mls_claimer_stop(mls_claimer *claimer, uint32_t flags);

#ifdef __cplusplus
}
#endif
#endif
