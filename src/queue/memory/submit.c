/* SPDX-License-Identifier: Apache-2.0 */
/* Submitting: fills records and pushes them, without the mutex where nothing needs it. */
#include "queue/memory/memory.h"

#include "base/clock.h"
#include "base/error.h"

#include <string.h>

#define ROOM_PAUSE_NS UINT64_C(1000000)

static mls_status error_full(const mls__mem_store *store, size_t count, uint64_t until_ns)
{
    return mls__error(MLS_EFULL,
                      "no room for %zu more job%s%s: the queue holds %u, those kept after their "
                      "end among them; forget these, shorten their retention or raise "
                      "memory:?capacity=",
                      count, count == 1 ? "" : "s", until_ns ? " came in time" : "",
                      store->capacity);
}

/* Under the mutex: makes records, or waits until others gave some back. */
static mls_status find_room(mls__mem_visit *visit, size_t count, uint64_t until_ns,
                            mls__mem_job **ret_first)
{
    mls__mem_store *store = visit->store;
    for (;;) {
        mls__mem_job *first = mls__mem_take_records(store, count);
        if (first) {
            *ret_first = first;
            return MLS_OK;
        }
        const mls_status grown = mls__mem_grow(store);
        if (grown == MLS_ENOMEM)
            return grown;
        if (grown == MLS_OK)
            continue;
        if (visit->dying) { /* records that leaving makes free */
            mls__mem_leave(visit);
            mls__mem_enter(store, visit);
            continue;
        }
        if (visit->now_ns >= until_ns)
            return error_full(store, count, until_ns);
        /* Ends that make room may lie in the outbox: a while, since they come in groups so. */
        const uint64_t look_ns = mls__mem_earlier(until_ns, visit->now_ns + ROOM_PAUSE_NS);
        mls__mem_sleep(visit, &store->room, mls__mem_earlier(look_ns, mls__mem_next_timer(store)));
    }
}

static mls_status take_under_mutex(mls__mem_store *store, size_t count, uint64_t until_ns,
                                   mls__mem_job **ret_first)
{
    if (count > store->capacity)
        return error_full(store, count, 0);
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    /* From here on whoever frees a record sees us, and finds the mutex taken or us asleep. */
    atomic_fetch_add_explicit(&store->room_waiters, 1, memory_order_seq_cst);
    const mls_status status = find_room(&visit, count, until_ns, ret_first);
    atomic_fetch_sub_explicit(&store->room_waiters, 1, memory_order_relaxed);
    mls__mem_leave(&visit);
    return status;
}

static mls_status take_records(mls__mem_store *store, size_t count, uint64_t until_ns,
                               mls__mem_job **ret_first)
{
    mls__mem_job *first = count == 1 ? mls__mem_take_records(store, 1) : NULL;
    if (!first)
        return take_under_mutex(store, count, until_ns, ret_first);
    *ret_first = first;
    return MLS_OK;
}

static mls_status find_lane(mls__mem_store *store, const mls_job_options *options,
                            mls__mem_lane **ret_lane)
{
    mls__mem_lane *lane =
        mls__mem_find_lane(store, options->queue, options->type, "", &options->needs);
    if (lane) {
        *ret_lane = lane;
        return MLS_OK;
    }
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    const mls_status status =
        mls__mem_make_lanes(store, options->queue, options->type, &options->needs, ret_lane);
    mls__mem_leave(&visit);
    return status;
}

static mls_status fill_strings(mls__mem_store *store, const mls_job_options *options,
                               mls__mem_job *job)
{
    const char *const texts[] = {options->tenant, options->key, options->batch_key};
    size_t sizes[3], total = 0;
    for (size_t i = 0; i < 3; i++) {
        sizes[i] = strlen(texts[i]) + 1;
        total += sizes[i]; /* each is bounded by MLS_JOB_KEY_MAX */
    }
    if (total == 3)
        return MLS_OK;
    job->strings = mls__alloc(&store->context->allocator, total);
    if (!job->strings)
        return mls__error_nomem(total);
    char *at = job->strings;
    for (size_t i = 0; i < 3; at += sizes[i++])
        memcpy(at, texts[i], sizes[i]);
    job->has_extras = true;
    job->key = job->strings + sizes[0];
    job->batch_key = job->key + sizes[1];
    return MLS_OK;
}

static mls_status fill_payload(mls__mem_store *store, const mls_job_options *options,
                               mls__mem_job *job)
{
    job->payload_bytes = options->payload_bytes;
    job->payload = options->payload;
    if (!options->payload)
        return MLS_OK;
    if (options->payload_free) {
        job->has_extras = true;
        job->payload_free = options->payload_free;
        job->payload_user = options->payload_user;
        return MLS_OK;
    }
    void *copy = job->bytes;
    if (options->payload_bytes > sizeof job->bytes)
        copy = mls__alloc(&store->context->allocator, options->payload_bytes);
    job->payload = copy;
    if (!copy)
        return mls__error_nomem(options->payload_bytes);
    if (options->payload_bytes)
        memcpy(copy, options->payload, options->payload_bytes);
    return MLS_OK;
}

/* The monotonic time of a wall clock time; never 0. */
static uint64_t monotonic(uint64_t now_ns, int64_t now_ms, int64_t at_ms)
{
    return at_ms <= now_ms ? now_ns : now_ns + (uint64_t) (at_ms - now_ms) * UINT64_C(1000000);
}

static void fill_times(const mls_queue_item *item, mls__mem_job *job)
{
    const mls_job_options *options = item->options;
    job->submitted_ns = mls__clock_monotonic_ns();
    job->claimed_ns = 0;
    job->waiting_ns = job->running_ns = 0;
    job->retention_ms = options->retention_ms;
    if (!item->due_ms && !options->deadline_ms)
        return;
    const int64_t now_ms = mls__clock_wall_ms();
    job->has_extras = true;
    job->run_at_ms = item->due_ms;
    job->due_ns = item->due_ms ? monotonic(job->submitted_ns, now_ms, item->due_ms) : 0;
    job->deadline_ms = options->deadline_ms;
    job->deadline_ns =
        options->deadline_ms ? monotonic(job->submitted_ns, now_ms, options->deadline_ms) : 0;
}

/* Of a job whose lane is known. */
static mls_status fill_in_lane(mls__mem_store *store, const mls_queue_item *item, mls__mem_job *job)
{
    const mls_job_options *options = item->options;
    mls_status status = fill_strings(store, options, job);
    if (!status && options->tenant[0])
        status = mls__mem_flow_take(store, job->lane, (uint32_t) options->priority, options->tenant,
                                    &job->flow);
    if (!status)
        status = fill_payload(store, options, job);
    if (!status)
        status = mls__mem_parents_fill(store, item, job);
    if (status)
        return status;
    fill_times(item, job);
    job->state = (uint8_t) item->state;
    job->priority = (uint8_t) options->priority;
    job->attempt = 0;
    job->max_attempts = options->max_attempts;
    job->backoff_ms = options->backoff_ms;
    job->backoff_max_ms = options->backoff_max_ms;
    job->jitter_percent = (uint8_t) options->jitter_percent;
    atomic_store_explicit(&job->claim, 0, memory_order_relaxed);
    job->new_id += UINT64_C(1) << MLS__MEM_INDEX_BITS;
    return MLS_OK;
}

static mls_status fill(mls__mem_store *store, const mls_queue_item *item, mls__mem_job *job)
{
    const mls_status status = find_lane(store, item->options, &job->lane);
    return status ? status : fill_in_lane(store, item, job);
}

/* A failed submit leaves what was handed over with the caller. */
static void give_up(mls__mem_store *store, mls__mem_job *first)
{
    for (mls__mem_job *job = first; job; job = job->next) {
        if (job->payload_free)
            job->payload = NULL;
        mls__mem_empty(store, job);
    }
    mls__mem_bury(store, first);
}

/* Pushes jobs in order: the last of them comes to lie on top. */
static void push_inbox(mls__mem_store *store, mls__mem_job *first)
{
    mls__mem_job *top = NULL;
    mls__mem_job *bottom = first;
    bool has_extras = false;
    uint32_t priority = 0;
    while (first) {
        has_extras |= first->has_extras;
        priority = first->priority > priority ? first->priority : priority;
        mls__mem_job *next = first->next;
        first->next = top;
        top = first;
        first = next;
    }
    mls__mem_job *below = atomic_load_explicit(&store->inbox, memory_order_relaxed);
    do {
        bottom->next = below;
    } while (!atomic_compare_exchange_weak_explicit(&store->inbox, &below, top,
                                                    memory_order_seq_cst, memory_order_relaxed));
    if (mls__mem_closes_windows(store, has_extras, priority))
        atomic_fetch_add_explicit(&store->changes, 1, memory_order_seq_cst);
    if (!atomic_load_explicit(&store->sleepers, memory_order_seq_cst))
        return;
    mls__mem_visit visit;
    mls__mem_enter_lightly(store, &visit); /* takes them in, which wakes whom they concern */
    mls__mem_leave(&visit);
}

/* Which of the keys are taken: by a job in the store, or by one before it in `items`. */
static mls_status check_keys(mls__mem_store *store, const mls_queue_item *const *items,
                             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const mls_job_options *options = items[i]->options;
        if (!options->key[0] || options->flags & MLS_JOB_JOIN)
            continue;
        const mls__mem_job *holder = mls__mem_key_find(store, options->key);
        if (holder)
            return mls__error(MLS_EEXIST, "key '%s' is taken by job %llu", options->key,
                              (unsigned long long) holder->id);
        for (size_t j = 0; j < i; j++)
            if (strcmp(options->key, items[j]->options->key) == 0)
                return mls__error(MLS_EEXIST, "key '%s' is taken by the job before it",
                                  options->key);
    }
    return MLS_OK;
}

/* Begins the job, or joins the one that has its key. The id is that of which it is. */
static uint64_t begin_checked(mls__mem_visit *visit, mls__mem_job *job,
                              const mls_job_options *options, const uint64_t *ids)
{
    const bool is_keyed = options->key[0] != '\0';
    const mls__mem_job *holder = is_keyed ? mls__mem_key_find(visit->store, job->key) : NULL;
    if (holder) {
        job->next = visit->dying;
        visit->dying = job;
        return holder->id;
    }
    if (is_keyed)
        mls__mem_key_add(visit->store, job);
    const uint64_t id = job->new_id;
    mls__mem_begin(visit, job);
    if (job->state == MLS_JOB_BLOCKED)
        mls__mem_parents_begin(visit, job, options, ids);
    return id;
}

/* Whether each job would only join another; then ret_ids has the others. */
static bool join_all(mls__mem_store *store, const mls_queue_item *const *items, size_t count,
                     uint64_t *ret_ids)
{
    for (size_t i = 0; i < count; i++) {
        const mls_job_options *options = items[i]->options;
        const mls__mem_job *holder =
            options->key[0] ? mls__mem_key_find(store, options->key) : NULL;
        if (!holder || !(options->flags & MLS_JOB_JOIN))
            return false;
        ret_ids[i] = holder->id;
    }
    return true;
}

static void free_payloads(const mls_queue_item *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const mls_job_options *o = items[i]->options;
        if (o->payload_free)
            o->payload_free(o->payload_user, (void *) (uintptr_t) o->payload, o->payload_bytes);
    }
}

/* What the keys alone decide, before room is looked for. */
static mls_status try_keys(mls__mem_store *store, const mls_queue_item *const *items, size_t count,
                           uint64_t *ret_ids, bool *ret_joined)
{
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    const mls_status status = check_keys(store, items, count);
    *ret_joined = !status && join_all(store, items, count, ret_ids);
    mls__mem_leave(&visit);
    if (*ret_joined)
        free_payloads(items, count);
    return status;
}

static mls_status begin_all(mls__mem_store *store, const mls_queue_item *const *items, size_t count,
                            mls__mem_job *first, uint64_t *ret_ids)
{
    mls__mem_visit visit;
    mls__mem_enter(store, &visit);
    mls_status status = check_keys(store, items, count);
    if (!status)
        status = mls__mem_parents_check(store, items, count);
    for (size_t i = 0; !status && i < count; i++) {
        mls__mem_job *next = first->next;
        ret_ids[i] = begin_checked(&visit, first, items[i]->options, ret_ids);
        first = next;
    }
    mls__mem_leave(&visit);
    return status;
}

/* Whether the store must be asked before they can begin. */
static bool must_check(const mls_queue_item *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (items[i]->options->key[0] || items[i]->options->depends_on_count)
            return true;
    return false;
}

static mls_status fill_all(mls__mem_store *store, const mls_queue_item *const *items, size_t count,
                           mls__mem_job *first, uint64_t *ret_ids)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < count; i++, first = first->next) {
        status = fill(store, items[i], first);
        ret_ids[i] = first->new_id;
    }
    return status;
}

mls_status mls__mem_submit(void *self, const mls_queue_item *const *items, size_t count,
                           uint64_t until_ns, uint64_t *ret_ids)
{
    mls__mem_store *store = self;
    mls__mem_job *first;
    bool joined = false;
    const bool is_checked = must_check(items, count);
    mls_status status = MLS_OK;
    if (is_checked)
        status = try_keys(store, items, count, ret_ids, &joined);
    if (!status && !joined)
        status = take_records(store, count, until_ns, &first);
    if (status || joined)
        return status;
    status = fill_all(store, items, count, first, ret_ids);
    if (!status && is_checked)
        status = begin_all(store, items, count, first, ret_ids);
    if (status)
        give_up(store, first);
    else if (!is_checked)
        push_inbox(store, first);
    return status;
}

/* A record without waiting; NULL: there is no room. */
static mls__mem_job *take_now(mls__mem_store *store)
{
    mls__mem_job *job = mls__mem_take_records(store, 1);
    return job || mls__mem_grow(store) ? job : mls__mem_take_records(store, 1);
}

mls_status mls__mem_submit_now(mls__mem_visit *visit, mls__mem_lane *lane,
                               const mls_queue_item *item)
{
    mls__mem_store *store = visit->store;
    if (mls__mem_key_find(store, item->options->key))
        return MLS_OK;
    mls__mem_job *job = take_now(store);
    if (!job)
        return error_full(store, 1, 0);
    job->lane = lane;
    const mls_status status = fill_in_lane(store, item, job);
    if (status) {
        job->next = visit->dying;
        visit->dying = job;
        return status;
    }
    mls__mem_key_add(store, job);
    mls__mem_begin(visit, job);
    return MLS_OK;
}
