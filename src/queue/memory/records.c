/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slab of records: chunks that are made when they are needed and stay until the
 * queue is closed, so that a record's memory may be read at any time. The free ones
 * form a stack of indices whose head counts every change: a head that was taken and
 * put back in between is not mistaken for an unchanged one.
 */
#include "queue/memory/memory.h"

#include "base/error.h"

#define INDEX_MASK MLS__MEM_MAX_CAPACITY

mls__mem_job *mls__mem_at(const mls__mem_store *store, uint32_t index)
{
    mls__mem_job *chunk =
        atomic_load_explicit(&store->chunks[index / MLS__MEM_CHUNK].records, memory_order_acquire);
    return &chunk[index % MLS__MEM_CHUNK];
}

/* A head that differs from `old` and has `top` (0 or index + 1) in front. */
static uint64_t next_head(uint64_t old, uint32_t top)
{
    return ((old >> MLS__MEM_INDEX_BITS) + 1) << MLS__MEM_INDEX_BITS | top;
}

static mls__mem_job *pop_free(mls__mem_store *store)
{
    /* Sequentially consistent with who counts itself as waiting for room before. */
    uint64_t head = atomic_load_explicit(&store->free_head, memory_order_seq_cst);
    for (;;) {
        const uint32_t top = (uint32_t) (head & INDEX_MASK);
        if (!top)
            return NULL;
        mls__mem_job *job = mls__mem_at(store, top - 1);
        const uint32_t below = atomic_load_explicit(&job->free_next, memory_order_relaxed);
        if (atomic_compare_exchange_weak_explicit(&store->free_head, &head, next_head(head, below),
                                                  memory_order_acquire, memory_order_acquire))
            return job;
    }
}

/* Pushes a chain that is linked by free_next already. */
static void push_free(mls__mem_store *store, const mls__mem_job *first, mls__mem_job *last)
{
    uint64_t head = atomic_load_explicit(&store->free_head, memory_order_relaxed);
    do {
        atomic_store_explicit(&last->free_next, (uint32_t) (head & INDEX_MASK),
                              memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(&store->free_head, &head,
                                                    next_head(head, first->index + 1),
                                                    memory_order_seq_cst, memory_order_relaxed));
}

void mls__mem_return_records(mls__mem_store *store, mls__mem_job *first)
{
    if (!first)
        return;
    mls__mem_job *last = first;
    for (; last->next; last = last->next)
        atomic_store_explicit(&last->free_next, last->next->index + 1, memory_order_relaxed);
    push_free(store, first, last);
}

mls__mem_job *mls__mem_take_records(mls__mem_store *store, size_t count)
{
    mls__mem_job *first = NULL;
    for (size_t i = 0; i < count; i++) {
        mls__mem_job *job = pop_free(store);
        if (!job) {
            mls__mem_return_records(store, first);
            return NULL;
        }
        job->next = first;
        first = job;
    }
    return first;
}

mls_status mls__mem_grow(mls__mem_store *store)
{
    const uint32_t left = store->capacity - store->created;
    if (!left)
        return MLS_EFULL;
    const uint32_t count = left < MLS__MEM_CHUNK ? left : MLS__MEM_CHUNK;
    mls__mem_job *chunk = mls__alloc_array(&store->context->allocator, count, sizeof *chunk);
    if (!chunk)
        return mls__error_nomem(count * sizeof *chunk);
    for (uint32_t i = 0; i < count; i++) {
        chunk[i].index = store->created + i;
        chunk[i].hold.job = &chunk[i];
        chunk[i].next = i + 1 < count ? &chunk[i + 1] : NULL;
        /* The first of a record's ids; zero is none. */
        chunk[i].new_id = chunk[i].index;
    }
    atomic_store_explicit(&store->chunks[store->created / MLS__MEM_CHUNK].records, chunk,
                          memory_order_release);
    store->created += count;
    mls__mem_return_records(store, chunk);
    return MLS_OK;
}

mls__mem_job *mls__mem_find(const mls__mem_store *store, uint64_t id)
{
    const uint64_t index = id & INDEX_MASK;
    if (index >= store->created)
        return NULL;
    mls__mem_job *job = mls__mem_at(store, (uint32_t) index);
    return id && job->id == id && !job->is_gone ? job : NULL;
}

mls_queue_bytes mls__mem_take_payload(mls__mem_store *store, mls__mem_job *job)
{
    mls_queue_bytes bytes = {0};
    if (job->payload && job->payload != job->bytes) {
        /* It was handed over to be given back, or is a copy of ours: no longer const. */
        bytes = (mls_queue_bytes){(void *) (uintptr_t) job->payload, job->payload_bytes,
                                  job->payload_free, job->payload_user};
        if (!bytes.release) {
            bytes.release = mls__mem_release_block;
            bytes.user = store->context;
        }
    }
    job->payload = NULL;
    job->payload_bytes = 0;
    return bytes;
}

void mls__mem_release_block(void *user, void *data, size_t size_bytes)
{
    (void) size_bytes;
    mls_context *context = user;
    mls__free(&context->allocator, data);
}

static void release(const mls_queue_bytes *bytes)
{
    if (bytes->release)
        bytes->release(bytes->user, bytes->data, bytes->size_bytes);
}

static void empty_extras(mls__mem_store *store, mls__mem_job *job)
{
    release(&job->result);
    release(&job->error_text);
    mls__free(&store->context->allocator, job->note);
    job->result = job->error_text = (mls_queue_bytes){0};
    job->note = NULL;
    job->progress = 0;
    job->error = MLS_OK;
    job->escalations = 0;
    mls__free(&store->context->allocator, job->parents);
    job->parents = NULL;
    job->flow = NULL;
    job->key = job->batch_key = NULL;
    job->run_at_ms = job->deadline_ms = 0;
    job->due_ns = job->deadline_ns = job->ended_ns = 0;
    job->payload_free = NULL;
    job->payload_user = NULL;
    job->has_extras = false;
}

void mls__mem_empty(mls__mem_store *store, mls__mem_job *job)
{
    const mls_queue_bytes payload = mls__mem_take_payload(store, job);
    release(&payload);
    if (job->has_extras && job->flow)
        mls__mem_flow_drop(store, job->flow);
    mls__free(&store->context->allocator, job->strings);
    job->strings = NULL;
    if (job->has_extras)
        empty_extras(store, job);
}

void mls__mem_bury(mls__mem_store *store, mls__mem_job *first)
{
    for (mls__mem_job *job = first; job; job = job->next)
        mls__mem_empty(store, job);
    mls__mem_return_records(store, first);
    if (!atomic_load_explicit(&store->room_waiters, memory_order_seq_cst))
        return;
    pthread_mutex_lock(&store->mutex);
    pthread_cond_broadcast(&store->room.cond);
    pthread_mutex_unlock(&store->mutex);
}
