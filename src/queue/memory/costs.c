/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What jobs of a type cost, of those that state the same need of memory: noted under the mutex
 * as their claims end, of those only of which it was measured, and made when the first one is.
 */
#include "queue/memory/memory.h"

#include <string.h>

struct mls__mem_cost {
    mls__mem_cost *next;
    int64_t memory_bytes;
    mls__sketch wall, cpu, memory;
    bool is_known; /* the p95s are those of the sketches */
    uint64_t wall_p95_ns;
    int64_t memory_p95;
    char type[];
};

mls__mem_cost *mls__mem_cost_find(const mls__mem_store *store, const char *type,
                                  int64_t memory_bytes)
{
    mls__mem_cost *cost = store->costs;
    while (cost && (cost->memory_bytes != memory_bytes || strcmp(cost->type, type) != 0))
        cost = cost->next;
    return cost;
}

/* Where it belongs among the others: by type, then by memory. */
static mls__mem_cost **find_place(mls__mem_store *store, const mls__mem_lane *like)
{
    mls__mem_cost **link = &store->costs;
    for (; *link; link = &(*link)->next) {
        const int order = strcmp((*link)->type, like->type);
        if (order > 0 || (order == 0 && (*link)->memory_bytes > like->needs.memory_bytes))
            break;
    }
    return link;
}

static mls__mem_cost *create(mls__mem_store *store, const mls__mem_lane *like)
{
    const size_t size = strlen(like->type) + 1; /* bounded */
    mls__mem_cost *cost = mls__alloc_array(&store->context->allocator, 1, sizeof *cost + size);
    if (!cost)
        return NULL;
    memcpy(cost->type, like->type, size);
    cost->memory_bytes = like->needs.memory_bytes;
    mls__mem_cost **link = find_place(store, like);
    cost->next = *link;
    *link = cost;
    for (uint32_t i = 0; i < store->lane_count; i++) {
        mls__mem_lane *lane = store->lanes[i];
        if (lane->needs.memory_bytes == cost->memory_bytes && strcmp(lane->type, cost->type) == 0)
            lane->cost = cost;
    }
    return cost;
}

void mls__mem_costs_free(mls__mem_store *store)
{
    for (mls__mem_cost *cost = store->costs, *next; cost; cost = next) {
        next = cost->next;
        mls__free(&store->context->allocator, cost);
    }
}

/* From its first sample on, jobs that stated no memory take what was seen. */
static void note_memory(mls__mem_visit *visit, mls__mem_cost *cost, uint64_t peak_bytes)
{
    mls__mem_store *store = visit->store;
    if (!cost->memory.total)
        for (uint32_t i = 0; i < store->lane_count; i++)
            store->lanes[i]->takes_room |= store->lanes[i]->cost == cost;
    mls__sketch_add(&cost->memory, peak_bytes);
    store->has_needs = true;
    mls__mem_windows_recall(visit); /* they were laid out of what took none */
}

void mls__mem_cost_note(mls__mem_visit *visit, const mls__mem_lane *lane, const mls_queue_end *end)
{
    mls__mem_store *store = visit->store;
    mls__mem_cost *cost = lane->cost ? lane->cost : create(store, lane);
    if (!cost)
        return; /* there is no memory for it */
    mls__sketch_add(&cost->wall, end->wall_ns);
    mls__sketch_add(&cost->cpu, end->cpu_ns);
    if (end->peak_bytes)
        note_memory(visit, cost, end->peak_bytes);
    cost->is_known = false;
}

static void know(mls__mem_cost *cost)
{
    if (cost->is_known)
        return;
    const uint64_t memory_p95 = mls__sketch_quantile(&cost->memory, 95);
    cost->memory_p95 =
        memory_p95 < MLS_MEMORY_BYTES_MAX ? (int64_t) memory_p95 : MLS_MEMORY_BYTES_MAX;
    cost->wall_p95_ns = mls__sketch_quantile(&cost->wall, 95);
    cost->is_known = true;
}

int64_t mls__mem_cost_memory(const mls__mem_store *store, const mls__mem_lane *lane,
                             int64_t capacity)
{
    mls__mem_cost *cost = lane->cost;
    if (!cost)
        return lane->needs.memory_bytes;
    know(cost);
    return store->rules->packed_memory(lane->needs.memory_bytes, cost->memory.total,
                                       cost->memory_p95, capacity);
}

uint64_t mls__mem_cost_time(const mls__mem_store *store, const mls__mem_lane *lane)
{
    mls__mem_cost *cost = lane->cost;
    if (!cost)
        return 0;
    know(cost);
    return store->rules->expected_ns(cost->wall.total, cost->wall_p95_ns);
}

static mls_quantiles quantiles_of(const mls__sketch *sketch)
{
    return (mls_quantiles){mls__sketch_quantile(sketch, 50), mls__sketch_quantile(sketch, 95),
                           sketch->most};
}

mls_status mls__mem_visit_costs(void *self, mls_queue_cost_fn show, void *user)
{
    mls__mem_store *store = self;
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    for (const mls__mem_cost *cost = store->costs; cost; cost = cost->next) {
        const mls_queue_cost shown = {.size = sizeof shown,
                                      .type = cost->type,
                                      .memory_bytes = cost->memory_bytes,
                                      .samples = cost->wall.total,
                                      .wall_ns = quantiles_of(&cost->wall),
                                      .cpu_ns = quantiles_of(&cost->cpu),
                                      .peak_bytes = quantiles_of(&cost->memory)};
        show(user, &shown);
    }
    mls__mem_leave(&visit);
    return MLS_OK;
}
