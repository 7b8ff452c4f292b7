/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the simulation share: the queue, its model, and who claims of it. */
#ifndef MLS_TESTS_QUEUE_SIMULATION_H
#define MLS_TESTS_QUEUE_SIMULATION_H

#include "job/fixture.h"
#include "queue/model.h"

enum { STEPS = 400, CLAIMERS = 3, HELD = 12, BULK = 4 };

/* A claim of ours; stale once its claimer was told to give everything back. */
typedef struct held {
    mls_job *handle;
    uint64_t id;
    size_t claimer;
    bool is_stale;
} held;

extern const model_claimer claimer_kinds[CLAIMERS];
extern const char *the_url;
extern mls_queue *the_queue;
extern mls_claimer *the_claimers[CLAIMERS];
extern model the_model;
extern held holds[HELD];
extern size_t held_count;

/* Random: a number below `count`, whether something of so many percent happens, a job or NULL. */
size_t sim_below(size_t count);
bool sim_chance(size_t percent);
model_job *sim_any_job(void);

void sim_open_claimer(size_t index);
void sim_open(void);
void sim_close(void);

/* Steps: a random one; those that are asked for by name; how to end a claim, in percent. */
void sim_step(void);
void sim_choose_weights(void);
void sim_claim(void);
void sim_end_held(size_t at, size_t how);
void sim_crash(void);

/* The queue to the model, and their sums once all has ended. */
void sim_compare(void);
void sim_compare_sums(void);

#endif
