/* SPDX-License-Identifier: Apache-2.0 */
/* Shares of tenants: whether any two got theirs, looked at whenever claims could take of both. */
#include "queue/model.h"

#include <stdlib.h>
#include <string.h>

static const model_claimer anyone = {NULL, NULL};

static int64_t weight_of(const model *m, const char *queue, const char *tenant)
{
    uint32_t weight = 0;
    for (size_t i = 0; i < m->rule_count; i++) {
        const model_rule *rule = &m->rules[i];
        if (!rule->weight || strcmp(rule->tenant, tenant) != 0)
            continue;
        if (rule->queue ? strcmp(rule->queue, queue) == 0 : !weight)
            weight = rule->weight;
    }
    return weight ? weight : MLS_WEIGHT_DEFAULT;
}

static bool has_job(const model *m, const model_claimer *claimer, const model_race *race,
                    const char *tenant)
{
    for (size_t i = 0; i < m->count; i++) {
        const model_job *job = &m->jobs[i];
        if (job->priority == race->priority && strcmp(job->queue, race->queue) == 0 &&
            strcmp(job->tenant, tenant) == 0 && model_may_claim(m, claimer, job))
            return true;
    }
    return false;
}

static void end_unless_both(model *m, const model_claimer *claimer, model_race *race)
{
    if (!has_job(m, claimer, race, race->a) || !has_job(m, claimer, race, race->b))
        race->lead = race->least = race->most = 0;
}

void model_races_look(model *m)
{
    for (size_t i = 0; i < m->race_count; i++)
        end_unless_both(m, &anyone, &m->races[i]);
}

bool model_is_fair(const model *m)
{
    for (size_t i = 0; i < m->race_count; i++) {
        const model_race *race = &m->races[i];
        const int64_t bound =
            weight_of(m, race->queue, race->a) + weight_of(m, race->queue, race->b);
        if (race->most - race->least > bound)
            return false;
    }
    return true;
}

static void step_race(const model *m, model_race *race, const char *tenant)
{
    if (strcmp(race->a, tenant) == 0)
        race->lead += weight_of(m, race->queue, race->b);
    else if (strcmp(race->b, tenant) == 0)
        race->lead -= weight_of(m, race->queue, race->a);
    race->least = race->lead < race->least ? race->lead : race->least;
    race->most = race->lead > race->most ? race->lead : race->most;
}

static bool has_race(const model *m, const model_job *a, const model_job *b)
{
    for (size_t i = 0; i < m->race_count; i++) {
        const model_race *race = &m->races[i];
        if (race->priority == a->priority && strcmp(race->queue, a->queue) == 0 &&
            strcmp(race->a, a->tenant) == 0 && strcmp(race->b, b->tenant) == 0)
            return true;
    }
    return false;
}

/* A pair for each tenant that has ever had a job beside the job's own. */
static void begin_races(model *m, const model_job *job)
{
    for (size_t i = 0; i < m->count; i++) {
        const model_job *other = &m->jobs[i];
        const bool is_behind = strcmp(job->tenant, other->tenant) > 0;
        const model_job *a = is_behind ? other : job, *b = is_behind ? job : other;
        if (!model_is_share(job, other) || strcmp(a->tenant, b->tenant) == 0 || has_race(m, a, b))
            continue;
        if (m->race_count == MODEL_RACES)
            abort();
        m->races[m->race_count++] = (model_race){
            .queue = a->queue, .priority = a->priority, .a = a->tenant, .b = b->tenant};
    }
}

void model_race_claim(model *m, const model_claimer *claimer, const model_job *job)
{
    begin_races(m, job);
    for (size_t i = 0; i < m->race_count; i++) {
        model_race *race = &m->races[i];
        if (race->priority != job->priority || strcmp(race->queue, job->queue) != 0)
            continue;
        end_unless_both(m, claimer, race);
        if (has_job(m, claimer, race, race->a) && has_job(m, claimer, race, race->b))
            step_race(m, race, job->tenant);
    }
}
