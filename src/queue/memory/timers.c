/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairing heaps (Fredman, Sedgewick, Sleator, Tarjan 1986): the earliest timer on
 * top, no memory beyond the links in the records, so that setting one cannot fail.
 * A node's prev is its left sibling, or for a first child its parent.
 */
#include "queue/memory/memory.h"

static mls__mem_job *meld(mls__mem_job *a, mls__mem_job *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->timer_ns < a->timer_ns) {
        mls__mem_job *later = a;
        a = b;
        b = later;
    }
    b->timer_prev = a;
    b->timer_next = a->timer_child;
    if (b->timer_next)
        b->timer_next->timer_prev = b;
    a->timer_child = b;
    return a;
}

static void make_root(mls__mem_job *job)
{
    job->timer_next = job->timer_prev = NULL;
}

/* One heap of a list of siblings: melds them in pairs, then the pairs from the right. */
static mls__mem_job *meld_siblings(mls__mem_job *first)
{
    mls__mem_job *pairs = NULL; /* linked by timer_next, the last one first */
    while (first) {
        mls__mem_job *second = first->timer_next;
        mls__mem_job *rest = second ? second->timer_next : NULL;
        make_root(first);
        if (second)
            make_root(second);
        mls__mem_job *pair = meld(first, second);
        pair->timer_next = pairs;
        pairs = pair;
        first = rest;
    }
    mls__mem_job *all = NULL;
    while (pairs) {
        mls__mem_job *next = pairs->timer_next;
        make_root(pairs);
        all = meld(all, pairs);
        pairs = next;
    }
    return all;
}

void mls__mem_timer_set(mls__mem_heap *heap, mls__mem_job *job, uint64_t at_ns)
{
    job->has_extras = true;
    job->heap = heap;
    job->timer_ns = at_ns;
    job->timer_child = NULL;
    make_root(job);
    heap->root = meld(heap->root, job);
}

static void detach(const mls__mem_job *job)
{
    if (job->timer_prev->timer_child == job)
        job->timer_prev->timer_child = job->timer_next;
    else
        job->timer_prev->timer_next = job->timer_next;
    if (job->timer_next)
        job->timer_next->timer_prev = job->timer_prev;
}

void mls__mem_timer_clear(mls__mem_job *job)
{
    if (!job->has_extras || !job->heap)
        return;
    mls__mem_heap *heap = job->heap;
    mls__mem_job *below = meld_siblings(job->timer_child);
    if (heap->root == job) {
        heap->root = below;
    } else {
        detach(job);
        heap->root = meld(heap->root, below);
    }
    job->heap = NULL;
}

static uint64_t next_of(const mls__mem_heap *heap)
{
    return heap->root ? heap->root->timer_ns : MLS__FOREVER;
}

uint64_t mls__mem_next_due(const mls__mem_store *store)
{
    return next_of(&store->due);
}

uint64_t mls__mem_next_timer(const mls__mem_store *store)
{
    return mls__mem_earlier(next_of(&store->due), next_of(&store->expiry));
}
