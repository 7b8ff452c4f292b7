/* SPDX-License-Identifier: Apache-2.0 */
#include "at_once.h"

#include "options.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 64 /* they wait for a disk or a server, not for a processor */

typedef struct crowd {
    const uint64_t *ids;
    size_t count;
    id_fn act;
    void *user;
    atomic_size_t next;
    atomic_int code;
} crowd;

static void *take_ids(void *user)
{
    crowd *c = user;
    while (atomic_load(&c->code) == EXIT_GOOD) {
        const size_t at = atomic_fetch_add(&c->next, 1);
        if (at >= c->count)
            break;
        const int code = c->act(c->user, c->ids[at]);
        if (code)
            atomic_store(&c->code, code);
    }
    return NULL;
}

int at_once(const uint64_t *ids, size_t count, id_fn act, void *user)
{
    crowd c = {.ids = ids, .count = count, .act = act, .user = user};
    pthread_t threads[THREADS];
    size_t started = 0;
    /* This thread is one of them, so that without any other it takes longer, and no more. */
    while (started + 1 < count && started < THREADS - 1 &&
           pthread_create(&threads[started], NULL, take_ids, &c) == 0)
        started++;
    take_ids(&c);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return atomic_load(&c.code);
}
