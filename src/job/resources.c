/* SPDX-License-Identifier: Apache-2.0 */
/* What jobs need and claimers have, and showing who offers what. */
#include "job/resources.h"

#include "base/error.h"
#include "base/vec.h"
#include "job/queue.h"

/* The policy */

bool mls__resources_are_any(const mls_resources *r)
{
    return r->cpu_milli || r->memory_bytes || r->gpus;
}

mls_status mls__resources_check(const char *what, const mls_resources *r)
{
    const struct {
        const char *name;
        int64_t value, most;
    } ranges[] = {
        {"cpu_milli", r->cpu_milli, MLS_CPU_MILLI_MAX},
        {"memory_bytes", r->memory_bytes, MLS_MEMORY_BYTES_MAX},
        {"gpus", r->gpus, MLS_GPUS_MAX},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (ranges[i].value < 0 || ranges[i].value > ranges[i].most)
            return mls__error(MLS_EINVAL, "%s.%s is %lld; 0 to %lld is possible", what,
                              ranges[i].name, (long long) ranges[i].value,
                              (long long) ranges[i].most);
    return MLS_OK;
}

/* Sums of what is bounded by the most of each, times the jobs of a claimer: they fit. */
static bool fits(int64_t capacity, int64_t used, int64_t aside, int64_t need)
{
    return need == 0 || used + aside + need <= capacity;
}

bool mls__resources_have_room(const mls_resources *capacity, const mls_resources *used,
                              const mls_resources *aside, const mls_resources *needs)
{
    return fits(capacity->cpu_milli, used->cpu_milli, aside->cpu_milli, needs->cpu_milli) &&
           fits(capacity->memory_bytes, used->memory_bytes, aside->memory_bytes,
                needs->memory_bytes) &&
           fits(capacity->gpus, used->gpus, aside->gpus, needs->gpus);
}

#define ENOUGH_SAMPLES 32

int64_t mls__resources_packed_memory(int64_t stated, uint64_t samples, int64_t p95,
                                     int64_t capacity)
{
    if (samples < (stated ? ENOUGH_SAMPLES : 1))
        return stated;
    return p95 < capacity ? p95 : capacity;
}

/* Looking */

mls_status mls_queue_visit_costs(mls_queue *queue, mls_queue_cost_fn visit, void *user)
{
    if (!queue || !visit)
        return mls__error_null(__func__, "queue and visit");
    const mls_status status = mls__queue_check_fork(queue);
    if (status)
        return status;
    if (!MLS_HAS_OP(queue->ops, mls_queue_driver, visit_costs))
        return mls__error(MLS_EUNSUPPORTED, "queue driver '%s' does not keep what jobs took",
                          queue->ops->plugin.name);
    return queue->ops->visit_costs(queue->self, visit, user);
}

/* What a driver showed, copied: it may have been on another thread, and under its locks. */
typedef struct collection {
    const mls__allocator *allocator;
    mls__vec offers;
    bool has_failed;
} collection;

static void collect(void *user, const mls_queue_offer *offer)
{
    collection *all = user;
    mls_queue_offer *copy = mls__vec_push(&all->offers);
    if (!copy) {
        all->has_failed = true;
        return;
    }
    *copy = *offer;
    copy->name = mls__alloc_string(all->allocator, offer->name);
    all->has_failed |= !copy->name;
}

mls_status mls_queue_visit_offers(mls_queue *queue, mls_queue_offer_fn visit, void *user)
{
    if (!queue || !visit)
        return mls__error_null(__func__, "queue and visit");
    mls_status status = mls__queue_check_fork(queue);
    if (!status)
        status = mls__queue_need(queue, MLS_QUEUE_CAN_RESOURCES, __func__);
    if (!status && !MLS_HAS_OP(queue->ops, mls_queue_driver, visit_offers))
        status = mls__error(MLS_EUNSUPPORTED,
                            "queue driver '%s' says that it keeps resources, and cannot",
                            queue->ops->plugin.name);
    if (status)
        return status;
    collection all = {.allocator = &queue->context->allocator};
    mls__vec_init(&all.offers, all.allocator, sizeof(mls_queue_offer));
    status = queue->ops->visit_offers(queue->self, collect, &all);
    if (!status && all.has_failed)
        status = mls__error_nomem(all.offers.count);
    for (size_t i = 0; !status && i < all.offers.count; i++)
        visit(user, mls__vec_at(&all.offers, i));
    for (size_t i = 0; i < all.offers.count; i++) {
        const mls_queue_offer *offer = mls__vec_at(&all.offers, i);
        mls__free(all.allocator, (void *) (uintptr_t) offer->name);
    }
    mls__vec_clear(&all.offers);
    return status;
}
