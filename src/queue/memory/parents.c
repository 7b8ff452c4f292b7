/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dependencies: each blocked job has an edge in the list of every parent that has not
 * ended. The end of a job takes its list off; then its children move one after another,
 * not inside one another, so that a chain of any length needs no stack.
 */
#include "queue/memory/memory.h"

#include "base/error.h"

#include <stdio.h>

mls_status mls__mem_parents_fill(mls__mem_store *store, const mls_queue_item *item,
                                 mls__mem_job *job)
{
    const size_t count = item->options->depends_on_count;
    if (!count)
        return MLS_OK;
    mls__mem_edges *edges = NULL;
    if (count <= (SIZE_MAX - sizeof *edges) / sizeof edges->at[0])
        edges = mls__alloc_array(&store->context->allocator, 1,
                                 sizeof *edges + count * sizeof edges->at[0]);
    if (!edges)
        return mls__error_nomem(count);
    edges->flags = item->options->flags;
    edges->count = count;
    job->parents = edges;
    job->has_extras = true;
    return MLS_OK;
}

static mls_status check_item(mls__mem_store *store, const mls_job_options *options)
{
    if (options->flags & MLS_JOB_JOIN && options->key[0] && mls__mem_key_find(store, options->key))
        return MLS_OK; /* nothing of it will be kept */
    for (size_t i = 0; i < options->depends_on_count; i++) {
        const uint64_t id = options->depends_on[i];
        if (id < MLS_JOB_SIBLING(0) && !mls__mem_find(store, id))
            return mls__error(MLS_ENOTFOUND,
                              "depends_on[%zu]: there is no job %llu, or it was forgotten after "
                              "its end",
                              i, (unsigned long long) id);
    }
    return MLS_OK;
}

mls_status mls__mem_parents_check(mls__mem_store *store, const mls_queue_item *const *items,
                                  size_t count)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < count; i++)
        status = check_item(store, items[i]->options);
    return status;
}

static void hang(mls__mem_job *parent, mls__mem_edge *edge)
{
    parent->has_extras = true;
    edge->next = parent->children;
    edge->link = &parent->children;
    if (edge->next)
        edge->next->link = &edge->next;
    parent->children = edge;
}

static void unhang(mls__mem_edge *edge)
{
    if (!edge->link)
        return;
    *edge->link = edge->next;
    if (edge->next)
        edge->next->link = edge->link;
    edge->link = NULL;
}

static void cancel(mls__mem_visit *visit, mls__mem_job *child, uint64_t parent_id,
                   int32_t parent_state)
{
    mls__mem_edges *edges = child->parents;
    const int length =
        snprintf(edges->message, sizeof edges->message, "job %llu, which it depends on, is %s",
                 (unsigned long long) parent_id, mls_job_state_name(parent_state));
    child->error = MLS_ECANCELLED;
    child->error_text = (mls_queue_bytes){edges->message, (size_t) length + 1, NULL, NULL};
    mls__mem_move(visit, child, MLS_JOB_ON_CANCEL);
}

static void unblock(mls__mem_visit *visit, mls__mem_job *child)
{
    const bool is_due = child->due_ns <= visit->now_ns;
    mls__mem_move(visit, child, is_due ? MLS_JOB_ON_UNBLOCK : MLS_JOB_ON_DEFER);
}

/* A parent of a blocked child has ended. */
static void tell(mls__mem_visit *visit, mls__mem_job *child, uint64_t parent_id,
                 int32_t parent_state)
{
    const int32_t event = visit->store->rules->after_parent(parent_state, child->parents->flags);
    if (event == MLS_JOB_ON_CANCEL)
        cancel(visit, child, parent_id, parent_state);
    else if (--child->parents->waiting == 0)
        unblock(visit, child);
}

void mls__mem_parents_begin(mls__mem_visit *visit, mls__mem_job *job,
                            const mls_job_options *options, const uint64_t *ids)
{
    mls__mem_edges *edges = job->parents;
    edges->waiting = edges->count;
    for (size_t i = 0; i < edges->count && job->state == MLS_JOB_BLOCKED; i++) {
        const uint64_t given = options->depends_on[i];
        const uint64_t id = given < MLS_JOB_SIBLING(0) ? given : ids[given - MLS_JOB_SIBLING(0)];
        mls__mem_job *parent = mls__mem_find(visit->store, id);
        /* All are there but for jobs of this submit, cancelled with it and not kept. */
        const int32_t state = parent ? parent->state : MLS_JOB_CANCELLED;
        edges->at[i] = (mls__mem_edge){.child = job, .parent_id = id};
        if (parent && !mls__mem_has_ended(visit->store, parent))
            hang(parent, &edges->at[i]);
        else
            tell(visit, job, id, state);
    }
}

void mls__mem_parents_leave(mls__mem_job *job)
{
    for (size_t i = 0; i < job->parents->count; i++)
        unhang(&job->parents->at[i]);
}

/*
 * Puts the children of an ended job behind those that others left to be told: the one
 * that was hung up last lies in front, and is told last.
 */
static void take_children(mls__mem_store *store, mls__mem_job *job)
{
    mls__mem_edge *first = NULL, *newest = job->children;
    mls__mem_edge **end = newest ? &newest->next : NULL;
    while (newest) {
        mls__mem_edge *older = newest->next;
        newest->link = NULL;
        newest->parent_state = job->state;
        newest->next = first;
        first = newest;
        newest = older;
    }
    job->children = NULL;
    if (!store->told)
        store->told_end = &store->told;
    *store->told_end = first;
    store->told_end = end;
}

void mls__mem_parents_end(mls__mem_visit *visit, mls__mem_job *job)
{
    mls__mem_store *store = visit->store;
    take_children(store, job);
    if (store->is_telling)
        return;
    store->is_telling = true;
    while (store->told) {
        const mls__mem_edge *edge = store->told;
        store->told = edge->next;
        if (edge->child->state == MLS_JOB_BLOCKED)
            tell(visit, edge->child, edge->parent_id, edge->parent_state);
    }
    store->is_telling = false;
}
