/* SPDX-License-Identifier: Apache-2.0 */
/* A gate that threads wait at, so that a test decides what happens at once. */
#ifndef MLS_TESTS_JOB_GATE_H
#define MLS_TESTS_JOB_GATE_H

#include <pthread.h>
#include <stdbool.h>

typedef struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int arrived; /* so far */
    bool is_open;
} gate;

#define GATE_INIT                                                                                  \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false                              \
    }

/* Arrives, and waits until the gate is open. */
static inline void gate_pass(gate *g)
{
    pthread_mutex_lock(&g->mutex);
    g->arrived++;
    pthread_cond_broadcast(&g->changed);
    while (!g->is_open)
        pthread_cond_wait(&g->changed, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
}

/* Waits until so many have arrived. */
static inline void gate_await(gate *g, int arrived)
{
    pthread_mutex_lock(&g->mutex);
    while (g->arrived < arrived)
        pthread_cond_wait(&g->changed, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
}

static inline void gate_open(gate *g)
{
    pthread_mutex_lock(&g->mutex);
    g->is_open = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
}

#endif
