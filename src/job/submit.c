/* SPDX-License-Identifier: Apache-2.0 */
/* Checks everything that is submitted, so that a driver gets only what it can store. */
#include "job/queue.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/options.h"
#include "job/resources.h"

#include <stdbool.h>
#include <string.h>

/* About 100 years: times beyond are mistakes, and sums of them could overflow. */
#define LONGEST_MS    INT64_C(3155760000000)
#define MOST_ATTEMPTS 1000000
#define KNOWN_FLAGS   (MLS_JOB_JOIN | MLS_JOB_DEPENDS_ANY_END)

static bool is_name_byte(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == ':' || c == '/' || c == '-';
}

mls_status mls__queue_check_name(const char *what, const char *text)
{
    const size_t length = strnlen(text, MLS_JOB_NAME_MAX + 1);
    if (length == 0 || length > MLS_JOB_NAME_MAX)
        return mls__error(MLS_EINVAL, "%s has %s bytes; 1 to %d are possible", what,
                          length ? "too many" : "no", MLS_JOB_NAME_MAX);
    for (size_t i = 0; i < length; i++)
        if (!is_name_byte((unsigned char) text[i]))
            return mls__error(MLS_EINVAL,
                              "%s has byte 0x%02x at %zu; use letters, digits and "
                              "\"._:/-\"",
                              what, (unsigned char) text[i], i);
    return MLS_OK;
}

mls_status mls__queue_check_text(const char *what, const char *text, size_t limit)
{
    const size_t length = strnlen(text, limit + 1);
    if (length > limit)
        return mls__error(MLS_EINVAL, "%s is longer than %zu bytes", what, limit);
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char) text[i];
        if (c < 0x20 || c == 0x7f)
            return mls__error(MLS_EINVAL, "%s has control character 0x%02x at %zu", what, c, i);
    }
    return MLS_OK;
}

static mls_status check_range(const char *field, int64_t value, int64_t least, int64_t most)
{
    if (value >= least && value <= most)
        return MLS_OK;
    return mls__error(MLS_EINVAL, "mls_job_options.%s is %lld; %lld to %lld is possible", field,
                      (long long) value, (long long) least, (long long) most);
}

static mls_status check_numbers(const mls_job_options *o)
{
    const struct {
        const char *field;
        int64_t value, least, most;
    } ranges[] = {
        {"priority", o->priority, MLS_PRIORITY_LOWEST, MLS_PRIORITY_HIGHEST},
        {"ack", o->ack, MLS_ACK_DEFAULT, MLS_ACK_DURABLE},
        {"run_at_ms", o->run_at_ms, 0, 2 * LONGEST_MS},
        {"delay_ms", o->delay_ms, 0, LONGEST_MS},
        {"deadline_ms", o->deadline_ms, 0, 2 * LONGEST_MS},
        {"max_attempts", o->max_attempts, 1, MOST_ATTEMPTS},
        {"jitter_percent", o->jitter_percent, 0, 100},
        {"retention_ms", o->retention_ms, MLS_RETENTION_DEFAULT, LONGEST_MS},
        {"needs.cpu_milli", o->needs.cpu_milli, 0, MLS_CPU_MILLI_MAX},
        {"needs.memory_bytes", o->needs.memory_bytes, 0, MLS_MEMORY_BYTES_MAX},
        {"needs.gpus", o->needs.gpus, 0, MLS_GPUS_MAX},
    };
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < sizeof ranges / sizeof ranges[0]; i++)
        status = check_range(ranges[i].field, ranges[i].value, ranges[i].least, ranges[i].most);
    return status;
}

static mls_status check_strings(const mls_job_options *o)
{
    mls_status status = mls__queue_check_name("mls_job_options.type", o->type);
    if (!status)
        status = mls__queue_check_name("mls_job_options.queue", o->queue);
    if (!status)
        status = mls__queue_check_text("mls_job_options.tenant", o->tenant, MLS_JOB_KEY_MAX);
    if (!status)
        status = mls__queue_check_text("mls_job_options.key", o->key, MLS_JOB_KEY_MAX);
    if (!status)
        status = mls__queue_check_text("mls_job_options.batch_key", o->batch_key, MLS_JOB_KEY_MAX);
    return status;
}

static mls_status check_payload(const mls_queue *queue, const mls_job_options *o)
{
    if (!o->payload && (o->payload_bytes || o->payload_free))
        return mls__error(MLS_EINVAL, "mls_job_options.payload is NULL; payload_bytes and "
                                      "payload_free must be 0 too");
    if (o->payload_bytes > queue->max_payload_bytes)
        return mls__error(MLS_ELIMIT, "a payload of %zu bytes is past the queue's %llu",
                          o->payload_bytes, (unsigned long long) queue->max_payload_bytes);
    return MLS_OK;
}

/* What of the options needs more than a plain queue. */
static mls_status check_capabilities(const mls_queue *queue, const mls_job_options *o)
{
    const struct {
        bool asked;
        uint64_t capability;
        const char *what;
    } needs[] = {
        {o->ack == MLS_ACK_ASYNC, MLS_QUEUE_CAN_ACK_ASYNC, "mls_job_options.ack"},
        {o->ack == MLS_ACK_DURABLE, MLS_QUEUE_CAN_ACK_DURABLE, "mls_job_options.ack"},
        {o->priority != MLS_PRIORITY_DEFAULT, MLS_QUEUE_CAN_PRIORITIES, "mls_job_options.priority"},
        {o->run_at_ms || o->delay_ms, MLS_QUEUE_CAN_SCHEDULES, "mls_job_options.run_at_ms"},
        {o->max_attempts > 1, MLS_QUEUE_CAN_RETRIES, "mls_job_options.max_attempts"},
        {o->key[0], MLS_QUEUE_CAN_KEYS, "mls_job_options.key"},
        {o->deadline_ms, MLS_QUEUE_CAN_DEADLINES, "mls_job_options.deadline_ms"},
        {o->batch_key[0], MLS_QUEUE_CAN_BATCHES, "mls_job_options.batch_key"},
        {strcmp(o->queue, "default") != 0, MLS_QUEUE_CAN_NAMED_QUEUES, "mls_job_options.queue"},
        {o->depends_on_count, MLS_QUEUE_CAN_DEPENDENCIES, "mls_job_options.depends_on"},
        {mls__resources_are_any(&o->needs), MLS_QUEUE_CAN_RESOURCES, "mls_job_options.needs"},
    };
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        const mls_status status =
            needs[i].asked ? mls__queue_need(queue, needs[i].capability, needs[i].what) : MLS_OK;
        if (status)
            return status;
    }
    return MLS_OK;
}

/* Jobs of the same submit are named by an index, which must be in front of the job's own. */
static mls_status check_parents(const mls_job_options *o, size_t index)
{
    for (size_t i = 0; i < o->depends_on_count; i++) {
        const uint64_t parent = o->depends_on[i];
        if (parent < MLS_JOB_SIBLING(0) || parent < MLS_JOB_SIBLING(index))
            continue;
        return mls__error(MLS_EINVAL,
                          "mls_job_options.depends_on[%zu] is MLS_JOB_SIBLING(%llu), in job %zu "
                          "of its submit: only jobs in front of it are possible",
                          i, (unsigned long long) (parent - MLS_JOB_SIBLING(0)), index);
    }
    return MLS_OK;
}

static void place(const mls_job_options *o, mls_queue_item *item)
{
    item->state = o->depends_on_count ? MLS_JOB_BLOCKED : MLS_JOB_READY;
    if (!o->run_at_ms && !o->delay_ms)
        return;
    const int64_t now_ms = mls__clock_wall_ms();
    const int64_t delayed_ms = now_ms + o->delay_ms;
    item->due_ms = o->run_at_ms > delayed_ms ? o->run_at_ms : delayed_ms;
    if (item->due_ms > now_ms && item->state == MLS_JOB_READY)
        item->state = MLS_JOB_SCHEDULED;
}

mls_status mls__queue_check_submit(const mls_queue *queue, const mls_job_options *given,
                                   size_t index, mls_job_options *ret_options,
                                   mls_queue_item *ret_item)
{
    mls_job_options o = MLS_JOB_OPTIONS_INIT;
    mls_status status = mls__options_read("mls_job_options", given, sizeof o, sizeof o, &o);
    if (status)
        return status;
    if (o.flags & ~KNOWN_FLAGS)
        return mls__error(MLS_EINVAL, "mls_job_options.flags has unknown bits: 0x%llx",
                          (unsigned long long) (o.flags & ~KNOWN_FLAGS));
    if (!o.type)
        return mls__error(MLS_EINVAL, "mls_job_options.type is NULL; name the job's type");
    if (!o.depends_on && o.depends_on_count)
        return mls__error(MLS_EINVAL, "mls_job_options.depends_on is NULL, but its count is %zu",
                          o.depends_on_count);
    o.queue = o.queue ? o.queue : "default";
    o.tenant = o.tenant ? o.tenant : "";
    o.key = o.key ? o.key : "";
    o.batch_key = o.batch_key ? o.batch_key : "";
    status = check_numbers(&o);
    if (!status)
        status = check_strings(&o);
    if (!status)
        status = check_payload(queue, &o);
    if (!status)
        status = check_capabilities(queue, &o);
    if (!status)
        status = check_parents(&o, index);
    if (status)
        return status;
    if (o.retention_ms == MLS_RETENTION_DEFAULT)
        o.retention_ms = queue->retention_ms;
    *ret_options = o;
    *ret_item = (mls_queue_item){.size = sizeof *ret_item, .options = ret_options};
    place(ret_options, ret_item);
    return MLS_OK;
}

mls_status mls_queue_submit(mls_queue *queue, const mls_job_options *given, uint64_t *ret_id)
{
    if (!queue || !given)
        return mls__error_null(__func__, "queue and options");
    mls_job_options options;
    mls_queue_item item;
    mls_status status = mls__queue_check_fork(queue);
    if (!status)
        status = mls__queue_check_submit(queue, given, 0, &options, &item);
    if (status)
        return status;
    uint64_t id;
    const mls_queue_item *const items[] = {&item};
    status =
        queue->ops->submit(queue->self, items, 1, mls__queue_until(options.room_timeout_ms), &id);
    if (status)
        return status;
    if (ret_id)
        *ret_id = id;
    return MLS_OK;
}

/* What a submit of several jobs needs, in one block. */
typedef struct bulk {
    mls_job_options options;
    mls_queue_item item;
} bulk;

/* The caller's struct at `index`; its array is as wide as it was compiled. */
static const mls_job_options *given_at(const mls_job_options *jobs, size_t index)
{
    return (const mls_job_options *) (const void *) ((const unsigned char *) jobs +
                                                     index * jobs->size);
}

static mls_status check_bulk(const mls_queue *queue, const mls_job_options *jobs, size_t count,
                             bulk *bulks, const mls_queue_item **items, int64_t *ret_timeout_ms)
{
    int64_t longest_ms = 0;
    for (size_t i = 0; i < count; i++) {
        const mls_job_options *given = given_at(jobs, i);
        if (given->size != jobs->size)
            return mls__error(MLS_EINVAL, "job %zu: mls_job_options.size is %zu, but %zu in job 0",
                              i, given->size, jobs->size);
        const mls_status status =
            mls__queue_check_submit(queue, given, i, &bulks[i].options, &bulks[i].item);
        if (status)
            return mls__error_at(status, "job %zu", i);
        items[i] = &bulks[i].item;
        const int64_t timeout_ms = bulks[i].options.room_timeout_ms;
        if (longest_ms >= 0 && (timeout_ms < 0 || timeout_ms > longest_ms))
            longest_ms = timeout_ms;
    }
    *ret_timeout_ms = longest_ms;
    return MLS_OK;
}

mls_status mls_queue_submit_many(mls_queue *queue, const mls_job_options *jobs, size_t count,
                                 uint64_t *ret_ids)
{
    if (!queue || (!jobs && count))
        return mls__error_null(__func__, "queue and jobs");
    mls_status status = mls__queue_check_fork(queue);
    if (status || count == 0)
        return status;
    const mls__allocator *allocator = &queue->context->allocator;
    bulk *bulks = mls__alloc_array(allocator, count, sizeof *bulks);
    const mls_queue_item **items = mls__alloc_array(allocator, count, sizeof *items);
    uint64_t *ids = mls__alloc_array(allocator, count, sizeof *ids);
    int64_t timeout_ms = 0;
    if (!bulks || !items || !ids)
        status = mls__error_nomem(count);
    if (!status)
        status = check_bulk(queue, jobs, count, bulks, items, &timeout_ms);
    if (!status)
        status = queue->ops->submit(queue->self, items, count, mls__queue_until(timeout_ms), ids);
    if (!status && ret_ids)
        memcpy(ret_ids, ids, count * sizeof *ids);
    mls__free(allocator, ids);
    mls__free(allocator, items);
    mls__free(allocator, bulks);
    return status;
}
