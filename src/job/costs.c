/* SPDX-License-Identifier: Apache-2.0 */
/* What attempts took: sketches of times and of memory. */
#include "job/costs.h"

#include <string.h>

void mls__costs_note(void *costs, uint64_t wall_ns, uint64_t cpu_ns, uint64_t peak_bytes)
{
    mls__costs *c = costs;
    mls__sketch_add(&c->wall, wall_ns);
    mls__sketch_add(&c->cpu, cpu_ns);
    if (peak_bytes)
        mls__sketch_add(&c->memory, peak_bytes);
}

/* Of what a store has: it may be damaged. */
static bool is_sound(mls__sketch *sketch)
{
    uint64_t total = 0;
    for (size_t i = 0; i < MLS__SKETCH_BUCKETS; i++) {
        if (sketch->counts[i] > MLS__SKETCH_RECENT)
            return false;
        total += sketch->counts[i];
    }
    sketch->total = (uint32_t) total;
    return total <= MLS__SKETCH_RECENT;
}

bool mls__costs_merge(void *costs, const void *stored, size_t stored_bytes)
{
    mls__costs *c = costs, kept;
    if (stored_bytes != sizeof kept)
        return false;
    memcpy(&kept, stored, sizeof kept);
    if (!is_sound(&kept.wall) || !is_sound(&kept.cpu) || !is_sound(&kept.memory))
        return false;
    mls__sketch_merge(&c->wall, &kept.wall);
    mls__sketch_merge(&c->cpu, &kept.cpu);
    mls__sketch_merge(&c->memory, &kept.memory);
    return true;
}

static mls_quantiles quantiles_of(const mls__sketch *sketch)
{
    return (mls_quantiles){mls__sketch_quantile(sketch, 50), mls__sketch_quantile(sketch, 95),
                           sketch->most};
}

uint64_t mls__costs_show(const void *costs, mls_queue_cost *ret_cost)
{
    const mls__costs *c = costs;
    ret_cost->samples = c->wall.total;
    ret_cost->wall_ns = quantiles_of(&c->wall);
    ret_cost->cpu_ns = quantiles_of(&c->cpu);
    ret_cost->peak_bytes = quantiles_of(&c->memory);
    return c->memory.total;
}
