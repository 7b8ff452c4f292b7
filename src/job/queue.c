/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a queue by URL, and the operations that name a job by its id. */
#include "job/queue.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/options.h"
#include "base/thread.h"
#include "job/backfill.h"
#include "job/costs.h"
#include "job/job.h"
#include "job/lifecycle.h"
#include "job/resources.h"
#include "job/rules.h"
#include "job/schedules.h"
#include "job/url.h"
#include "plugin/drivers.h"

#include <string.h>

#define DEFAULT_PAYLOAD_BYTES (UINT64_C(64) << 20)

static const struct {
    uint64_t capability;
    const char *name;
} capability_names[] = {
    {MLS_QUEUE_CAN_ACK_ASYNC, "asynchronous acknowledgement"},
    {MLS_QUEUE_CAN_ACK_DURABLE, "durable acknowledgement"},
    {MLS_QUEUE_CAN_SHARE, "sharing between processes"},
    {MLS_QUEUE_CAN_PRIORITIES, "priorities"},
    {MLS_QUEUE_CAN_SCHEDULES, "schedules"},
    {MLS_QUEUE_CAN_RETRIES, "retries"},
    {MLS_QUEUE_CAN_KEYS, "unique keys"},
    {MLS_QUEUE_CAN_DEADLINES, "deadlines"},
    {MLS_QUEUE_CAN_CANCEL, "cancellation"},
    {MLS_QUEUE_CAN_PROGRESS, "progress"},
    {MLS_QUEUE_CAN_BATCHES, "batches"},
    {MLS_QUEUE_CAN_NAMED_QUEUES, "named queues"},
    {MLS_QUEUE_CAN_DEPENDENCIES, "dependencies"},
    {MLS_QUEUE_CAN_LEASES, "leases"},
    {MLS_QUEUE_CAN_FAIRNESS, "fairness between tenants"},
    {MLS_QUEUE_CAN_LIMITS, "limits of rate and concurrency"},
    {MLS_QUEUE_CAN_PAUSE, "pausing"},
    {MLS_QUEUE_CAN_CRON, "cron schedules"},
    {MLS_QUEUE_CAN_LIST, "listing"},
    {MLS_QUEUE_CAN_RESOURCES, "resources"},
};

mls_status mls__queue_need(const mls_queue *queue, uint64_t needed, const char *what)
{
    const uint64_t missing = needed & ~queue->ops->capabilities;
    if (!missing)
        return MLS_OK;
    for (size_t i = 0; i < sizeof capability_names / sizeof capability_names[0]; i++)
        if (missing & capability_names[i].capability)
            return mls__error(MLS_EUNSUPPORTED, "%s: queue driver '%s' does not have %s", what,
                              queue->ops->plugin.name, capability_names[i].name);
    return mls__error(MLS_EUNSUPPORTED, "%s: queue driver '%s' does not have capability 0x%llx",
                      what, queue->ops->plugin.name, (unsigned long long) missing);
}

mls_status mls__queue_check_fork(const mls_queue *queue)
{
    if (queue->fork_generation == mls__fork_generation())
        return MLS_OK;
    return mls__error(MLS_EFORKED, "the queue was opened before fork(): open one in the child");
}

uint64_t mls__queue_until(int64_t timeout_ms)
{
    if (timeout_ms == 0)
        return 0;
    /* Past 100 years the sum could overflow; nobody waits to see the difference. */
    if (timeout_ms < 0 || timeout_ms > INT64_C(3155760000000))
        return MLS__FOREVER;
    return mls__clock_monotonic_ns() + (uint64_t) timeout_ms * UINT64_C(1000000);
}

static mls_status read_options(const mls_queue_options *given, mls_queue_options *ret_options)
{
    mls_queue_options options = MLS_QUEUE_OPTIONS_INIT;
    const mls_status status =
        mls__options_read("mls_queue_options", given, sizeof options, sizeof options, &options);
    if (status)
        return status;
    if (options.retention_ms < MLS_RETENTION_DEFAULT)
        return mls__error(MLS_EINVAL,
                          "mls_queue_options.retention_ms is %lld; 0 and more are milliseconds",
                          (long long) options.retention_ms);
    if (options.max_payload_bytes == 0)
        options.max_payload_bytes = DEFAULT_PAYLOAD_BYTES;
    *ret_options = options;
    return MLS_OK;
}

static void fill_queue(mls_queue *queue, const mls_queue_options *options)
{
    const mls_queue_driver *ops = queue->ops;
    queue->host = (mls_queue_host){
        .size = sizeof(mls_queue_host),
        .next_state = mls__job_next_state,
        .after_parent = mls__job_after_parent,
        .rule_covers = mls__rule_covers,
        .rule_holds_until = mls__rule_holds_until,
        .rule_note_claim = mls__rule_note_claim,
        .rule_note_end = mls__rule_note_end,
        .rule_set = mls__rule_set,
        .rule_is_empty = mls__rule_is_empty,
        .has_room = mls__resources_have_room,
        .packed_memory = mls__resources_packed_memory,
        .expected_ns = mls__backfill_expected_ns,
        .expected_start_ns = mls__backfill_start_ns,
        .rule_weight = mls__rule_weight,
        .weight_step = mls__weight_step,
        .schedule_copy = mls__schedule_copy,
        .schedule_advance = mls__schedule_advance,
        .schedule_fire = mls__schedule_fire,
        .costs_bytes = sizeof(mls__costs),
        .costs_note = mls__costs_note,
        .costs_merge = mls__costs_merge,
        .costs_show = mls__costs_show,
    };
    queue->max_payload_bytes = options->max_payload_bytes;
    if (ops->max_payload_bytes && ops->max_payload_bytes < options->max_payload_bytes)
        queue->max_payload_bytes = ops->max_payload_bytes;
    const int64_t forever_ms = INT64_C(3155760000000); /* a century: drivers add it to the time */
    queue->retention_ms =
        options->retention_ms == MLS_RETENTION_DEFAULT ? ops->retention_ms : options->retention_ms;
    if (queue->retention_ms > forever_ms)
        queue->retention_ms = forever_ms;
    queue->seed = options->seed;
    if (!queue->seed) {
        uint64_t seed[2];
        mls__hash_seed(seed, queue);
        queue->seed = seed[0] | 1;
    }
    queue->fork_generation = mls__fork_generation();
}

/* Opens the driver's instance for the part of the URL behind "scheme:". */
static mls_status open_driver(mls_queue *queue, const char *config)
{
    const mls_queue_driver *ops = queue->ops;
    const mls_plugin_host *host = mls__drivers_host(queue->context->drivers);
    mls_status status = ops->plugin.open(host, config, &queue->self);
    if (status)
        return status;
    status = ops->bind(queue->self, &queue->host);
    if (status)
        ops->plugin.close(queue->self);
    return status;
}

static mls_status create_queue(mls_context *context, const mls_queue_driver *ops,
                               const char *config, const mls_queue_options *options,
                               mls_queue **ret_queue)
{
    mls_queue *queue = mls__alloc_array(&context->allocator, 1, sizeof *queue);
    if (!queue)
        return mls__error_nomem(sizeof *queue);
    mls__refcount_init(&queue->refs);
    queue->context = context;
    queue->ops = ops;
    fill_queue(queue, options);
    mls_status status = mls__queue_need(queue, options->require, "mls_queue_options.require");
    if (!status)
        status = open_driver(queue, config);
    if (status) {
        mls__free(&context->allocator, queue);
        return status;
    }
    mls__context_ref(context);
    *ret_queue = queue;
    return MLS_OK;
}

mls_status mls_queue_open(mls_context *context, const char *url, const mls_queue_options *given,
                          mls_queue **ret_queue)
{
    if (!context || !url || !ret_queue)
        return mls__error_null(__func__, "context, url and ret_queue");
    mls_queue_options options;
    mls_status status = read_options(given, &options);
    if (status)
        return status;
    char shown[MLS__URL_SHOWN];
    mls__url_show(url, shown, sizeof shown);
    const char *colon = strchr(url, ':');
    if (!colon || colon == url)
        return mls__error(MLS_EINVAL, "queue URL '%s' has no scheme: a file is \"sqlite:PATH\"",
                          shown);
    const mls_plugin *plugin;
    status = mls__drivers_find_scheme(context->drivers, MLS_PLUGIN_QUEUE_DRIVER, url,
                                      (size_t) (colon - url), &plugin);
    if (status)
        return status;
    status = create_queue(context, (const mls_queue_driver *) (const void *) plugin, colon + 1,
                          &options, ret_queue);
    return status ? mls__error_at(status, "queue '%s'", shown) : MLS_OK;
}

void mls__queue_ref(mls_queue *queue)
{
    mls__refcount_take(&queue->refs);
}

void mls__queue_unref(mls_queue *queue)
{
    if (!mls__refcount_drop(&queue->refs))
        return;
    /* In a forked child the driver's locks and lists are in no known state: leave them. */
    if (queue->fork_generation == mls__fork_generation())
        queue->ops->plugin.close(queue->self);
    mls_context *context = queue->context;
    mls__free(&context->allocator, queue);
    mls__context_unref(context);
}

void mls_queue_close(mls_queue *queue)
{
    if (queue)
        mls__queue_unref(queue);
}

uint64_t mls_queue_capabilities(const mls_queue *queue)
{
    return queue ? queue->ops->capabilities : 0;
}

mls_status mls_queue_get(mls_queue *queue, uint64_t id, mls_job **ret_job)
{
    if (!queue || !ret_job)
        return mls__error_null(__func__, "queue and ret_job");
    mls_job *job;
    mls_status status = mls__queue_check_fork(queue);
    if (!status)
        status = mls__job_create(queue, "", &job);
    if (status)
        return status;
    status = queue->ops->get(queue->self, id, &job->shown);
    return mls__job_open_snapshot(job, status, ret_job);
}

mls_status mls_queue_wait(mls_queue *queue, uint64_t id, int64_t timeout_ms, mls_job **ret_job)
{
    if (!queue)
        return mls__error_null(__func__, "queue");
    mls_job *job;
    mls_status status = mls__queue_check_fork(queue);
    if (!status)
        status = mls__job_create(queue, "", &job);
    if (status)
        return status;
    status = queue->ops->wait(queue->self, id, mls__queue_until(timeout_ms), &job->shown);
    status = mls__job_open_snapshot(job, status, &job);
    if (status)
        return status;
    if (ret_job)
        *ret_job = job;
    else
        mls_job_free(job);
    return MLS_OK;
}

/* `may` says of which jobs that is possible. */
static mls_status change(mls_queue *queue, uint64_t id, int32_t event, const char *may)
{
    mls_status status = mls__queue_check_fork(queue);
    if (!status)
        status = queue->ops->change(queue->self, id, event);
    return status == MLS_ESTATE ? mls__error_at(status, "%s", may) : status;
}

mls_status mls_queue_cancel(mls_queue *queue, uint64_t id)
{
    if (!queue)
        return mls__error_null(__func__, "queue");
    mls_status status = mls__queue_check_fork(queue);
    if (!status)
        status = mls__queue_need(queue, MLS_QUEUE_CAN_CANCEL, "mls_queue_cancel");
    return status ? status
                  : change(queue, id, MLS_JOB_ON_CANCEL,
                           "only jobs that have not ended can be cancelled");
}

mls_status mls_queue_requeue(mls_queue *queue, uint64_t id)
{
    if (!queue)
        return mls__error_null(__func__, "queue");
    return change(queue, id, MLS_JOB_ON_REQUEUE,
                  "only dead and cancelled jobs can be made ready again");
}

mls_status mls_queue_forget(mls_queue *queue, uint64_t id)
{
    if (!queue)
        return mls__error_null(__func__, "queue");
    return change(queue, id, MLS_JOB_ON_FORGET, "only jobs that have ended can be forgotten");
}

mls_status mls_queue_drain(mls_queue *queue, int64_t timeout_ms)
{
    if (!queue)
        return mls__error_null(__func__, "queue");
    const mls_status status = mls__queue_check_fork(queue);
    return status ? status : queue->ops->drain(queue->self, mls__queue_until(timeout_ms));
}

/* `states`, the first field of a later version, ends what was the struct at first. */
mls_status mls__queue_read_filter(const mls_queue_filter *given, mls_queue_filter *ret_filter)
{
    const uint32_t known = MLS_QUEUE_STATE(MLS__JOB_STATES) - MLS_QUEUE_STATE(MLS_JOB_SCHEDULED);
    mls_queue_filter filter = MLS_QUEUE_FILTER_INIT;
    const mls_status status = mls__options_read(
        "mls_queue_filter", given, offsetof(mls_queue_filter, states), sizeof filter, &filter);
    if (status)
        return status;
    if (filter.reserved || (filter.states & ~known))
        return mls__error(MLS_EINVAL,
                          "mls_queue_filter.states is 0x%x; bits are MLS_QUEUE_STATE(MLS_JOB_*), "
                          "and reserved is 0",
                          filter.states);
    *ret_filter = filter;
    return MLS_OK;
}

mls_status mls_queue_get_stats(mls_queue *queue, const mls_queue_filter *given,
                               mls_queue_stats *ret_stats)
{
    if (!queue || !ret_stats)
        return mls__error_null(__func__, "queue and ret_stats");
    mls_queue_filter filter;
    mls_status status = mls__queue_read_filter(given, &filter);
    if (!status && filter.states)
        status = mls__error(MLS_EINVAL, "mls_queue_filter.states is of mls_queue_list() only: "
                                        "stats count by state anyway");
    if (!status)
        status = mls__queue_check_fork(queue);
    if (status)
        return status;
    mls_queue_stats stats = MLS_QUEUE_STATS_INIT;
    status = queue->ops->stats(queue->self, &filter, &stats);
    if (status)
        return status;
    return mls__options_write("mls_queue_stats", &stats, sizeof stats, sizeof stats, ret_stats);
}

mls_status mls_queue_list(mls_queue *queue, const mls_queue_filter *given, uint64_t after_id,
                          size_t max_count, uint64_t *ret_ids, size_t *ret_count)
{
    if (!queue || !ret_ids || !ret_count)
        return mls__error_null(__func__, "queue, ret_ids and ret_count");
    if (!max_count)
        return mls__error(MLS_EINVAL, "mls_queue_list: max_count is 0; at least 1 is possible");
    mls_queue_filter filter;
    mls_status status = mls__queue_read_filter(given, &filter);
    if (!status)
        status = mls__queue_check_fork(queue);
    if (!status)
        status = mls__queue_need(queue, MLS_QUEUE_CAN_LIST, "mls_queue_list");
    if (status)
        return status;
    if (!MLS_HAS_OP(queue->ops, mls_queue_driver, list))
        return mls__error(MLS_EUNSUPPORTED, "queue driver '%s' says that it lists, and cannot",
                          queue->ops->plugin.name);
    return queue->ops->list(queue->self, &filter, after_id, max_count, ret_ids, ret_count);
}
