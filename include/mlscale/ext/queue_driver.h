/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queue drivers: where jobs are stored.
 *
 * A driver stores jobs and moves them between states; it decides nothing. The
 * library checks what is submitted, works out what follows a failure (another
 * attempt and when, or death), and gives the driver the state machine as a
 * function, next_state(); whatever it refuses must not happen. What a driver owes:
 *
 * - Every operation is atomic: a submit of several jobs, or the ends of a batch,
 *   take effect together or not at all.
 * - A claim adds one to the job's epoch. An end is accepted only from the epoch of
 *   the present claim while the job is running; else it is MLS_ESTALE.
 * - Claims take the highest priority first, then the longest ready. With
 *   MLS_QUEUE_CAN_FAIRNESS, of the named queue of that one the tenants take turns
 *   (mls_queue_weigh()): each (queue, priority, tenant) has a pass, and of those with jobs
 *   that may be claimed the smallest is next, which moves on by weight_step(). The pass of
 *   the last one taken so is the time of its queue and priority; no pass is used that is
 *   less, but that time, and what is behind it need not be kept.
 * - Jobs that a claim or a snapshot (mls_queue_job) shows stay as shown, memory and
 *   all, until drop().
 * - Operations may be called from any thread. Those that wait sleep; a claim spins
 *   first when it is told to. Times "until_ns" are of the monotonic clock: 0 does
 *   not wait, UINT64_MAX waits forever.
 * - No operation is called in a child of fork(), close included: the library
 *   refuses before, and forgets the instance there.
 *
 * Elements of arrays are given by pointer, so that their structs can grow at the
 * end: `size` says what the other side was compiled with.
 */
#ifndef MLSCALE_EXT_QUEUE_DRIVER_H
#define MLSCALE_EXT_QUEUE_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mlscale/ext/plugin.h>
#include <mlscale/job.h>
#include <mlscale/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What can happen to a job. */
#define MLS_JOB_ON_DUE     1 /* run_at, or the pause before a retry, is over */
#define MLS_JOB_ON_UNBLOCK 2 /* the jobs that it depends on have ended, and it is due */
#define MLS_JOB_ON_CLAIM   3
#define MLS_JOB_ON_SUCCEED 4  /* the claim's end: with a result */
#define MLS_JOB_ON_RETRY   5  /* the claim's end: failed, to be run again after a pause */
#define MLS_JOB_ON_BURY    6  /* the claim's end: failed for good */
#define MLS_JOB_ON_RELEASE 7  /* the claim's end: given back; the attempt is not counted */
#define MLS_JOB_ON_LOSE    8  /* the claimer died */
#define MLS_JOB_ON_POISON  9  /* the same, once too often for this job */
#define MLS_JOB_ON_CANCEL  10 /* a request; a running job goes on, as stopping */
#define MLS_JOB_ON_EXPIRE  11 /* the deadline passed before a claim */
#define MLS_JOB_ON_REQUEUE 12
#define MLS_JOB_ON_FORGET  13 /* the end of retention, or a request */
#define MLS_JOB_ON_DEFER   14 /* the jobs that it depends on have ended, before it is due */
#define MLS_JOB_ON_ESCALATE                                                                        \
    15                    /* the claim's end: it needs more memory; the attempt is not counted */
#define MLS_JOB_EVENTS 16 /* one past the last */

/* What next_state() gives besides a state of mlscale/job.h. */
#define MLS_JOB_REFUSED 0  /* must not happen in this state */
#define MLS_JOB_GONE    15 /* the record is dropped */

/* A running job, as the library plans by it. */
typedef struct mls_queue_run {
    uint64_t ends_ns; /* when it is expected to end; 0: that is not known */
    mls_resources takes;
} mls_queue_run; /* never grows */

/*
 * A checked submit: options that the capabilities allow, strings never NULL and
 * within limits, retention resolved. `state` is where the job starts: scheduled,
 * blocked or ready.
 */
typedef struct mls_queue_item {
    size_t size;
    const mls_job_options *options;
    int32_t state;
    int32_t reserved;
    int64_t due_ms; /* wall clock, for MLS_JOB_SCHEDULED: run_at and delay, the later */
} mls_queue_item;

/* The submit of a schedule's firing, as the library fills it in. */
typedef struct mls_queue_firing {
    mls_queue_item item;
    mls_job_options options;
    char key[MLS_JOB_KEY_MAX + 1];
} mls_queue_firing; /* never grows */

/* What the library lends to a queue driver, besides mls_plugin_host. */
typedef struct mls_queue_host {
    size_t size;
    /* The state after `event` (MLS_JOB_ON_*) in `state`, from the one table. */
    int32_t (*next_state)(int32_t state, int32_t event);
    /*
     * What the end of a parent in `parent_state` means for a job submitted with
     * `child_flags`: MLS_JOB_ON_UNBLOCK (it waits for it no longer), MLS_JOB_ON_CANCEL (it is
     * cancelled), or MLS_JOB_REFUSED (the parent has not ended).
     */
    int32_t (*after_parent)(int32_t parent_state, uint64_t child_flags);
    /*
     * Whether a rule is of jobs of this named queue, type and tenant. `tenant` may be "" for
     * all that no rule names.
     */
    bool (*rule_covers)(const mls_queue_rule *rule, const char *queue, const char *type,
                        const char *tenant);
    /*
     * Until when a rule holds back the jobs that it covers, by the clock of `now_ms`: 0, it
     * does not; INT64_MAX, until something changes.
     */
    int64_t (*rule_holds_until)(const mls_queue_rule *rule, int64_t now_ms);
    /* Notes in a rule that a job that it covers is claimed, or that its claim ended. */
    void (*rule_note_claim)(mls_queue_rule *rule, int64_t now_ms);
    void (*rule_note_end)(mls_queue_rule *rule);
    /* Takes over `parts` (MLS_RULE_*) of another rule. */
    void (*rule_set)(mls_queue_rule *rule, const mls_queue_rule *given, uint64_t parts);
    /* Whether a rule says nothing, and need not be kept. */
    bool (*rule_is_empty)(const mls_queue_rule *rule);
    /*
     * Whether a job of these needs fits into `capacity` beside what is used of it and, of what
     * it needs itself, beside what is set aside.
     */
    bool (*has_room)(const mls_resources *capacity, const mls_resources *used,
                     const mls_resources *aside, const mls_resources *needs);
    /*
     * What a rule says of the weight of a tenant in a named queue: 0 is nothing. Of all rules
     * the largest counts, since what is said of one queue is larger than what is of all.
     */
    uint32_t (*rule_weight)(const mls_queue_rule *rule, const char *queue, const char *tenant);
    /* By how much a claim moves on the pass of a tenant of that weight. */
    uint32_t (*weight_step)(uint32_t weight);
    /*
     * The memory that a job takes of `capacity`: of what was stated, and of the p95 of so many
     * samples of what jobs that stated the same took.
     */
    int64_t (*packed_memory)(int64_t stated, uint64_t samples, int64_t p95, int64_t capacity);
    /*
     * What an attempt is expected to take, of so many samples of what such jobs took and their
     * p95: 0, that is not known.
     */
    uint64_t (*expected_ns)(uint64_t samples, uint64_t p95_ns);
    /*
     * When a job for which room is set aside is expected to find it, by any clock: never before
     * `now_ns`. Until then it may be passed by jobs that fit, are expected to end by that time,
     * and begin now. `runs`, which it sorts, is all that is used of the capacity.
     */
    uint64_t (*expected_start_ns)(const mls_resources *capacity, const mls_resources *needs,
                                  mls_queue_run *runs, size_t count, uint64_t now_ns);
    /*
     * A copy of a schedule with all it points to, in one block, which mls_plugin_host's free()
     * gives back. NULL: no memory.
     */
    mls_schedule *(*schedule_copy)(const mls_plugin_host *host, const mls_schedule *schedule);
    /*
     * What a schedule does that is due: fills ret_due_ms, of room for MLS_MISSED_MOST, with the
     * instants of which it fires at `now_ms`, the earliest first, and sets its next_ms and last_ms
     * to what they are then. Reads the zone's file. Errors: MLS_EINVAL (the
     * schedule cannot go on); MLS_ENOTFOUND and MLS_EFORMAT (the zone, here and now), MLS_EIO,
     * MLS_ENOMEM: it is tried again later, and others fire meanwhile.
     */
    mls_status (*schedule_advance)(const mls_plugin_host *host, mls_schedule *schedule,
                                   int64_t now_ms, int64_t *ret_due_ms, size_t *ret_count);
    /* The submit of one of these, which joins a job that has its key; it points into both. */
    void (*schedule_fire)(const mls_schedule *schedule, int64_t due_ms,
                          mls_queue_firing *ret_firing);
    /*
     * What attempts took, as bytes that a driver keeps: costs_bytes of them, all 0 at first, in
     * memory aligned for numbers. costs_note: adds what an end says (mls_queue_end). costs_merge:
     * adds what a store has; false, and nothing, when that is damaged. costs_show: fills in
     * samples and quantiles, and returns how many samples there are of memory.
     */
    size_t costs_bytes;
    void (*costs_note)(void *costs, uint64_t wall_ns, uint64_t cpu_ns, uint64_t peak_bytes);
    bool (*costs_merge)(void *costs, const void *stored, size_t stored_bytes);
    uint64_t (*costs_show)(const void *costs, mls_queue_cost *ret_cost);
} mls_queue_host;

/* Parts of a rule that are set. */
#define MLS_RULE_PAUSE  UINT64_C(1) /* is_paused */
#define MLS_RULE_LIMITS UINT64_C(2) /* max_running, rate_jobs, rate_ms, burst */
#define MLS_RULE_WEIGHT UINT64_C(4) /* weight; with MLS_QUEUE_CAN_FAIRNESS */

/*
 * A job as a driver shows it. The library sets size, info and info->size; the
 * driver fills *info, whose pointers are good until drop(), and hold. In claims
 * the library fills info->owner.
 */
typedef struct mls_queue_job {
    size_t size;
    void *hold; /* the driver's; for finish(), signals(), progress() and drop() */
    mls_job_info *info;
} mls_queue_job;

/* Memory on its way to the driver. `release` gives it back; NULL: static, or none. */
typedef struct mls_queue_bytes {
    void *data;
    size_t size_bytes;
    mls_bytes_free_fn release;
    void *user;
} mls_queue_bytes; /* never grows */

/* What to claim. */
#define MLS_CLAIM_SAME_BATCH UINT64_C(1) /* jobs of the first one's type, queue and batch key */

typedef struct mls_queue_claim {
    size_t size;
    uint64_t flags;
    size_t max_count;
    uint64_t until_ns;
    /*
     * Not NULL: jobs that share type, queue and batch key with this claim, to fill its
     * batch. It waits until there are max_count of them, and then takes what there
     * is; such jobs go to it rather than to other claims that wait.
     */
    const mls_queue_job *like;
} mls_queue_claim;

#define MLS_END_DROP UINT64_C(1) /* drop() the job too, once judged */

/*
 * The end of a claim. The driver takes `data` over when the end took effect
 * (status MLS_OK); else it stays the library's.
 */
typedef struct mls_queue_end {
    size_t size;
    uint64_t flags;
    mls_queue_job *job; /* the claim */
    int32_t event;      /* MLS_JOB_ON_SUCCEED, _RETRY, _BURY, _RELEASE, _ESCALATE */
    int32_t error;      /* mls_status, for _RETRY, _BURY and _ESCALATE */
    int64_t delay_ms;   /* for _RETRY */
    /*
     * For _SUCCEED the result. For _RETRY, _BURY and _ESCALATE the error's message: at most
     * MLS_JOB_ERROR_MAX bytes and a NUL, which size_bytes counts; or nothing.
     */
    mls_queue_bytes data;
    int32_t status;       /* MLS_EEMPTY at first; the driver sets MLS_OK or MLS_ESTALE */
    int32_t state;        /* set with MLS_OK: the job's state after it */
    int64_t memory_bytes; /* for _ESCALATE: that it needs from now on */
    /* What the attempt took: wall_ns 0, that was not measured; peak_bytes 0, nor was that. */
    uint64_t wall_ns, cpu_ns, peak_bytes;
} mls_queue_end;

typedef struct mls_queue_driver {
    mls_plugin plugin;
    uint64_t capabilities;      /* MLS_QUEUE_CAN_* */
    uint64_t max_payload_bytes; /* that it can store; 0: no bound of its own */
    int64_t retention_ms;       /* its default */

    /* All operations up to stats are mandatory; those behind are read by MLS_HAS_OP. */

    /* Called once, after open and before all else. `host` lives as long as the instance. */
    mls_status (*bind)(void *self, const mls_queue_host *host);

    /*
     * All or none. Waits for room until `until_ns`. Payloads with payload_free are
     * taken over on success; others are copied. With MLS_JOB_JOIN and a taken key
     * the id is that of the job that has it, and a payload handed over is freed.
     * With MLS_QUEUE_CAN_DEPENDENCIES: a job in MLS_JOB_BLOCKED waits for its depends_on,
     * of which MLS_JOB_SIBLING() is below its own index. Those that have ended count by
     * after_parent(); one that is not known is MLS_ENOTFOUND, unless the job joins another.
     * When all are done it is, from the start, what it would be then (ready, scheduled by
     * due_ms, or cancelled). The end of a job moves its children in the same step.
     * Errors: MLS_EEXIST, MLS_EFULL, MLS_ELIMIT, MLS_ENOTFOUND, MLS_EIO, MLS_ENOMEM.
     */
    mls_status (*submit)(void *self, const mls_queue_item *const *jobs, size_t count,
                         uint64_t until_ns, uint64_t *ret_ids);

    /*
     * Who claims: strings never NULL. Durable drivers hang the lease on it.
     * stop: claims that wait, and all later ones, return MLS_ECANCELLED; with
     *   MLS_CLAIMER_DRAIN only when no job is ready, and none waits any more.
     * surrender: gives back (MLS_JOB_ON_RELEASE) all jobs that its claims still run,
     *   whose claims are lost with it, and counts them.
     * close: no claim of it waits any more; its jobs may still be ended.
     */
    mls_status (*claimer_open)(void *self, const mls_claimer_options *options, void **ret_claimer);
    void (*claimer_stop)(void *self, void *claimer, uint32_t flags);
    mls_status (*claimer_surrender)(void *self, void *claimer, size_t *ret_count);
    void (*claimer_close)(void *self, void *claimer);

    /*
     * Ends `end_count` claims as finish() does and then claims, both in one
     * transaction where that can be: a worker's loop is this one call. When ending
     * fails nothing is claimed; whether an end was judged its status says.
     * Errors: MLS_EEMPTY (until_ns 0), MLS_ETIMEDOUT, MLS_ECANCELLED, MLS_EIO,
     * MLS_ENOMEM.
     */
    mls_status (*claim)(void *self, void *claimer, const mls_queue_claim *request,
                        mls_queue_end *const *ends, size_t end_count, mls_queue_job *const *jobs,
                        size_t *ret_count);

    /*
     * Ends claims. Returns MLS_OK when each was judged, its status saying how.
     * Errors: MLS_EIO, MLS_ENOMEM: none took effect, and the jobs are still claimed.
     */
    mls_status (*finish)(void *self, mls_queue_end *const *ends, size_t count);

    /* MLS_STOP_CANCELLED and MLS_STOP_LOST of a claim. Never waits. */
    uint32_t (*signals)(void *self, const mls_queue_job *job);

    /* `note` is never NULL. Errors: MLS_EUNSUPPORTED, MLS_ESTALE, MLS_EIO, MLS_ENOMEM. */
    mls_status (*progress)(void *self, const mls_queue_job *job, double progress, const char *note);

    /*
     * Gives back what get or wait showed, or a claim that nobody ends: its job goes back to
     * the queue, at the latest when the lease ends.
     */
    void (*drop)(void *self, mls_queue_job *job);

    /* Errors: MLS_ENOTFOUND, MLS_EIO, MLS_ENOMEM. */
    mls_status (*get)(void *self, uint64_t id, mls_queue_job *ret_job);

    /*
     * Waits for the job's end and shows it, even when it is kept no longer than
     * that. Errors: MLS_ETIMEDOUT, MLS_ENOTFOUND, MLS_EIO, MLS_ENOMEM.
     */
    mls_status (*wait)(void *self, uint64_t id, uint64_t until_ns, mls_queue_job *ret_job);

    /* One of MLS_JOB_ON_CANCEL, _REQUEUE, _FORGET. Errors: MLS_ENOTFOUND, MLS_ESTATE, MLS_EIO. */
    mls_status (*change)(void *self, uint64_t id, int32_t event);

    /* Waits until every job has ended. Errors: MLS_ETIMEDOUT, MLS_EIO. */
    mls_status (*drain)(void *self, uint64_t until_ns);

    /* `ret_stats` is zero but for size. `filter` is never NULL. Errors: MLS_EIO. */
    mls_status (*stats)(void *self, const mls_queue_filter *filter, mls_queue_stats *ret_stats);

    /*
     * Optional: MLS_QUEUE_CAN_LIST. The ids above `after_id` of jobs that `filter` lets
     * pass, the smallest first, at most `max_count`, which is not 0. `filter` is never
     * NULL; its states are 0 for any. Errors: MLS_EIO, MLS_ENOMEM.
     */
    mls_status (*list)(void *self, const mls_queue_filter *filter, uint64_t after_id,
                       size_t max_count, uint64_t *ret_ids, size_t *ret_count);

    /*
     * Optional: MLS_QUEUE_CAN_PAUSE, MLS_QUEUE_CAN_LIMITS. Rules hold back ready jobs from claims,
     * those that fill a batch included: each that covers a job must let it pass. set_rule: sets
     * `parts` (MLS_RULE_*) of the rule of exactly that queue, type and tenant; a rule that is empty
     * then is dropped, one that is new counts what is running. Claims that wait learn of it, in
     * other processes too, and of the time when a rule lets pass. visit_rules: shows each rule, in
     * any order, on any thread and perhaps under locks: `visit` calls nothing of the driver. What
     * it shows is good until it returns. Errors: MLS_ELIMIT, MLS_EIO, MLS_ENOMEM.
     */
    mls_status (*set_rule)(void *self, const mls_queue_rule *rule, uint64_t parts);
    mls_status (*visit_rules)(void *self, mls_queue_rule_fn visit, void *user);

    /*
     * Optional: MLS_QUEUE_CAN_RESOURCES. Claims of a claimer with a capacity take a job only when
     * has_room() for it, and those that wait learn when ends of its claims make room. The patience
     * of such a claimer is resolved. visit_offers: shows each open claimer that was not
     * stopped, or only drains, as visit_rules does.
     */
    mls_status (*visit_offers)(void *self, mls_queue_offer_fn visit, void *user);

    /*
     * Optional: keeps what ends say that attempts took, and packs by packed_memory(). Statistics:
     * written late, and dropped rather than failing anything.
     */
    mls_status (*visit_costs)(void *self, mls_queue_cost_fn visit, void *user);

    /*
     * Optional: MLS_QUEUE_CAN_CRON. set_schedule: stores a checked schedule, no string or job of
     * which is NULL, in the place of the one of its name; that one's next_ms and last_ms stay when
     * line and zone are the same. When next_ms has come the driver submits what
     * schedule_advance() says and stores its next_ms and last_ms, in one step. A schedule that
     * cannot go on is kept with a next_ms of INT64_MAX. remove_schedule: MLS_ENOTFOUND.
     * visit_schedules: in any order, as visit_rules does. Errors: MLS_ELIMIT, MLS_EIO, MLS_ENOMEM.
     */
    mls_status (*set_schedule)(void *self, const mls_schedule *schedule);
    mls_status (*remove_schedule)(void *self, const char *name);
    mls_status (*visit_schedules)(void *self, mls_schedule_fn visit, void *user);

    /*
     * Optional, for MLS_QUEUE_CAN_RESOURCES: a claimer that takes the place of another. Both are
     * open, and have one capacity together from now on: what claims of either run counts for both,
     * and an end makes room for both. More may join, one after another.
     */
    void (*claimer_pool)(void *self, void *claimer, void *with);
} mls_queue_driver;

#ifdef __cplusplus
}
#endif
#endif
