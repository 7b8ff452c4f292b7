/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a queue must do, written as plainly as it can be: an array of all jobs that there ever
 * were, and loops over all of them. Nothing here is taken from the library, its table of states
 * included; it is the other opinion that a driver is compared with.
 */
#ifndef MLS_TESTS_QUEUE_MODEL_H
#define MLS_TESTS_QUEUE_MODEL_H

#include <stdbool.h>

#include <mlscale.h>

enum {
    MODEL_PARENTS = 3,
    MODEL_RULES = 32,
    MODEL_RACES = 60, /* pairs of tenants, of all named queues and priorities */
    MODEL_GONE = 15,
    MODEL_STATES = 16
};

/* Why a job became ready, for those that did so at the same time. */
typedef enum model_arrival { MODEL_SUBMITTED, MODEL_DUE, MODEL_OTHERWISE } model_arrival;

typedef struct model_job {
    uint64_t id, epoch;
    int32_t state; /* MLS_JOB_*, or MODEL_GONE */
    /* Cancelled with a parent and past its own deadline at one look: which was first? */
    bool may_be_either;
    const char *type, *queue, *tenant; /* static */
    char key[8];
    int32_t priority;
    uint64_t flags;
    int64_t run_at_ms, deadline_ms, retention_ms, ended_ms;
    uint32_t attempt, max_attempts, backoff_ms, backoff_max_ms, deaths;
    uint64_t parents[MODEL_PARENTS];
    bool has_waited[MODEL_PARENTS]; /* for that parent: it has ended */
    size_t parent_count;
    int32_t error;
    /* Since when it is ready: a step of the simulation, and what is known within it. */
    uint64_t ready_step;
    model_arrival arrival;
    int64_t arrival_order;
} model_job;

typedef struct model_rule {
    const char *queue, *type, *tenant; /* static, NULL: any */
    bool is_paused;
    uint32_t max_running, rate_jobs, burst, weight;
    int64_t rate_ms;
    int64_t level_ns, level_at_ms; /* of the bucket, in time that tokens take to come */
} model_rule;

/*
 * Two tenants of a named queue and priority, while claims could take jobs of both all the time:
 * by how much one is in front, in jobs over weight and in whole numbers, and was at most.
 */
typedef struct model_race {
    const char *queue;
    int32_t priority;
    const char *a, *b;
    int64_t lead, least, most;
} model_race;

/* Who claims, and what: NULL is any. */
typedef struct model_claimer {
    const char *type, *queue;
} model_claimer;

typedef struct model {
    model_job *jobs;
    size_t count, capacity;
    model_rule rules[MODEL_RULES];
    size_t rule_count;
    int64_t now_ms;
    uint64_t step;
    bool is_fair; /* the driver shares between tenants */
    model_race races[MODEL_RACES];
    size_t race_count;
    uint64_t submitted, claimed, ended[MODEL_STATES], retried, released;
    uint64_t either_gone;       /* ended and gone, and nobody knows which end it was */
    uint64_t stale, stale_gone; /* reports refused of jobs that are there, and gone */
} model;

model_job *model_find(const model *m, uint64_t id); /* NULL: not there, or gone */
model_job *model_find_key(const model *m, const char *key);
bool model_has_ended(const model_job *job);

/* How a submit of all these jobs must end: MLS_OK, MLS_EEXIST or MLS_ENOTFOUND. */
mls_status model_judge(const model *m, const mls_job_options *jobs, size_t count);

/* They were submitted, and given these ids. */
void model_submit(model *m, const mls_job_options *jobs, size_t count, const uint64_t *ids);

/* It is `now_ms`: what is due, and what is too late. */
void model_tick(model *m, int64_t now_ms);
/* When that happens next; 0: never. */
int64_t model_next_time(const model *m);
/* Whether a store may have forgotten the job by now, as the model does in a tick or two. */
bool model_may_be_gone(const model *m, const model_job *job);

/* Whether no rule holds the job back, and the claimer is for it. */
bool model_may_claim(const model *m, const model_claimer *claimer, const model_job *job);
/* Whether a claim by the claimer may take the job now: none that it may claim goes first. */
bool model_is_next(const model *m, const model_claimer *claimer, const model_job *job);
void model_claim(model *m, const model_claimer *claimer, model_job *job);

/* Whether both jobs are of one named queue and priority, which tenants share. */
bool model_is_share(const model_job *a, const model_job *b);
/* A claim by the claimer is about to take the job. */
void model_race_claim(model *m, const model_claimer *claimer, const model_job *job);
/* Ends the races of tenants that have no job to claim. */
void model_races_look(model *m);
/* Whether each tenant got its share: the bound of mls_queue_weigh(). */
bool model_is_fair(const model *m);

/* Ends of the present claim. */
void model_succeed(model *m, model_job *job);
void model_fail(model *m, model_job *job, int32_t error, bool is_final);
void model_release(model *m, model_job *job);
void model_lose(model *m, model_job *job, uint32_t poison);

/* What anybody may ask; the status that it must give. */
mls_status model_cancel(model *m, uint64_t id);
mls_status model_requeue(model *m, uint64_t id);
mls_status model_forget(model *m, uint64_t id);

/* The rule of exactly these, made if there is none; and after it was set, which may drop it. */
model_rule *model_rule_of(model *m, const char *queue, const char *type, const char *tenant);
void model_rule_limit(model *m, model_rule *rule, uint32_t max_running, uint32_t rate_jobs,
                      int64_t rate_ms, uint32_t burst);
void model_rules_drop_empty(model *m);
uint32_t model_running(const model *m, const model_rule *rule);

#endif
