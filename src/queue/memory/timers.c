/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairing heaps (Fredman, Sedgewick, Sleator, Tarjan 1986): the smallest on top, the
 * earliest timer or the tenant whose turn it is, and no memory beyond the links in the
 * records, so that adding cannot fail. A node's prev is its left sibling, or for a first
 * child its parent.
 */
#include "queue/memory/memory.h"

#include <stddef.h>

static bool is_before(const mls__mem_node *a, const mls__mem_node *b)
{
    return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

static mls__mem_node *meld(mls__mem_node *a, mls__mem_node *b)
{
    if (!a || !b)
        return a ? a : b;
    if (is_before(b, a)) {
        mls__mem_node *later = a;
        a = b;
        b = later;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    a->child = b;
    return a;
}

static void make_root(mls__mem_node *node)
{
    node->next = node->prev = NULL;
}

/* One heap of a list of siblings: melds them in pairs, then the pairs from the right. */
static mls__mem_node *meld_siblings(mls__mem_node *first)
{
    mls__mem_node *pairs = NULL; /* linked by next, the last one first */
    while (first) {
        mls__mem_node *second = first->next;
        mls__mem_node *rest = second ? second->next : NULL;
        make_root(first);
        if (second)
            make_root(second);
        mls__mem_node *pair = meld(first, second);
        pair->next = pairs;
        pairs = pair;
        first = rest;
    }
    mls__mem_node *all = NULL;
    while (pairs) {
        mls__mem_node *next = pairs->next;
        make_root(pairs);
        all = meld(all, pairs);
        pairs = next;
    }
    return all;
}

void mls__mem_heap_add(mls__mem_heap *heap, mls__mem_node *node)
{
    node->heap = heap;
    node->child = NULL;
    make_root(node);
    heap->root = meld(heap->root, node);
}

static void detach(const mls__mem_node *node)
{
    if (node->prev->child == node)
        node->prev->child = node->next;
    else
        node->prev->next = node->next;
    if (node->next)
        node->next->prev = node->prev;
}

void mls__mem_heap_remove(mls__mem_node *node)
{
    mls__mem_heap *heap = node->heap;
    mls__mem_node *below = meld_siblings(node->child);
    if (heap->root == node) {
        heap->root = below;
    } else {
        detach(node);
        heap->root = meld(heap->root, below);
    }
    node->heap = NULL;
}

void mls__mem_timer_set(mls__mem_heap *heap, mls__mem_job *job, uint64_t at_ns)
{
    job->has_extras = true;
    job->timer.key = at_ns;
    mls__mem_heap_add(heap, &job->timer);
}

void mls__mem_timer_clear(mls__mem_job *job)
{
    if (job->has_extras && job->timer.heap)
        mls__mem_heap_remove(&job->timer);
}

mls__mem_job *mls__mem_timer_first(const mls__mem_heap *heap)
{
    char *node = (char *) heap->root;
    return node ? (mls__mem_job *) (void *) (node - offsetof(mls__mem_job, timer)) : NULL;
}

static uint64_t next_of(const mls__mem_heap *heap)
{
    return heap->root ? heap->root->key : MLS__FOREVER;
}

uint64_t mls__mem_next_due(const mls__mem_store *store)
{
    return mls__mem_earlier(mls__mem_earlier(next_of(&store->due), next_of(&store->deadlines)),
                            next_of(&store->cron));
}

uint64_t mls__mem_next_timer(const mls__mem_store *store)
{
    return mls__mem_earlier(mls__mem_earlier(next_of(&store->due), next_of(&store->deadlines)),
                            next_of(&store->expiry));
}
