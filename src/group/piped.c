/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reductions by messages, stride by stride: the parts of the next strides are on their way while
 * a rank finishes one, and so are the results of those before. Two strides of parts are kept, so
 * that what a rank takes of others stays in a processor's caches, and needs no memory that grows
 * with the tensor.
 *
 * Between two ranks messages meet in the order of their posts, which follows from the call alone:
 * the parts of the first two strides, then by turns the results of a stride and the parts of the
 * second one behind it.
 */
#include "group/reduce.h"

#include <string.h>

/* Of a rank, and of all of them. */
#define STRIDE_BYTES    ((size_t) 512 * 1024)
#define STRIDES_BYTES   ((size_t) 4096 * 1024)
#define STRIDE_ELEMENTS ((size_t) 64)
/* Strides whose parts are on their way. */
#define DEPTH 2

/* What was posted for a stride. */
typedef struct batch {
    mls_transport_message *messages; /* two a rank */
    uint32_t count;
} batch;

typedef struct piped {
    mls_group *group;
    mls__call *call;
    const mls__reduce_plan *plan;
    const unsigned char *source;
    unsigned char *results; /* of those who want them all; else this rank's slice */
    bool has_sums, spreads;
    size_t stride;  /* elements of each slice */
    size_t strides; /* of the longest slice */
    batch parts[DEPTH], spread[DEPTH];
    unsigned char *taken[DEPTH]; /* parts of the others, rank behind rank */
    unsigned char *sums[DEPTH];  /* this rank's parts for each rank, if it has sums */
} piped;

/* --- where what lies ------------------------------------------------------------------------- */

/* Elements of a slice in a stride; of what lies behind it, none. */
static size_t elements_of(const piped *p, uint32_t slice, size_t step)
{
    const size_t count = mls__reduce_slice_count(p->plan, slice), at = step * p->stride;
    if (at >= count)
        return 0;
    return count - at < p->stride ? count - at : p->stride;
}

static size_t first_of(const piped *p, uint32_t slice, size_t step)
{
    return mls__reduce_slice_first(p->plan, slice) + step * p->stride;
}

static size_t place_bytes(const piped *p, uint32_t rank)
{
    return mls__round_up(p->stride * mls__reduce_element_bytes(p->group, p->plan, rank),
                         MLS__ALIGN);
}

/* Of the ranks before this one. */
static size_t places_bytes(const piped *p, uint32_t rank)
{
    size_t before = 0;
    for (uint32_t i = 0; i < rank; i++)
        before += place_bytes(p, i);
    return before;
}

static unsigned char *taken_of(const piped *p, uint32_t rank, size_t step)
{
    return p->taken[step % DEPTH] + places_bytes(p, rank);
}

static unsigned char *sums_for(const piped *p, uint32_t rank, size_t step)
{
    return p->sums[step % DEPTH] + rank * place_bytes(p, p->plan->rank);
}

/* This rank's results of a stride. */
static unsigned char *result_of(const piped *p, size_t step)
{
    const bool has_all = p->plan->wants && !p->plan->family->source_is_all;
    return p->results + (has_all ? first_of(p, p->plan->rank, step) : step * p->stride) *
                            p->plan->reduction.size;
}

/* --- messages -------------------------------------------------------------------------------- */

static mls_status post(const piped *p, batch *to, uint32_t kind, uint32_t peer, void *data,
                       size_t size_bytes)
{
    if (!size_bytes)
        return MLS_OK;
    mls_transport_message *message = &to->messages[to->count];
    mls__message_fill(p->call, kind, peer, data, size_bytes, message);
    const mls_status status = p->group->transport.ops->post(p->group->link, message);
    if (!status)
        to->count++;
    return status;
}

/* Those of a batch have ended, and it has none. */
static mls_status settle(const piped *p, batch *of)
{
    const mls_status status = mls__messages_wait(p->group, p->call, of->messages, of->count);
    if (!status)
        of->count = 0;
    return status;
}

static void retract(const piped *p, const batch *of)
{
    for (uint32_t i = 0; i < of->count; i++)
        p->group->transport.ops->retract(p->group->link, &of->messages[i]);
}

/* --- a step ---------------------------------------------------------------------------------- */

/* What `to` gets of this rank's parts; a send only reads. */
static void *parts_for(const piped *p, uint32_t to, size_t step)
{
    const size_t first = first_of(p, to, step);
    if (!p->has_sums)
        return (void *) (uintptr_t) (p->source + first * mls__reduce_element_bytes(
                                                             p->group, p->plan, p->plan->rank));
    unsigned char *sums = sums_for(p, to, step);
    mls__reduce_own(p->group, p->plan, p->source, first, elements_of(p, to, step), sums);
    return sums;
}

/* Receives first, so that what comes finds its place. */
static mls_status post_parts(piped *p, size_t step)
{
    const mls__reduce_plan *plan = p->plan;
    const size_t own_bytes = mls__reduce_element_bytes(p->group, plan, plan->rank);
    const size_t count = elements_of(p, plan->rank, step);
    batch *to = &p->parts[step % DEPTH];
    mls_status status = MLS_OK;
    for (uint32_t k = 1; !status && k < plan->ranks; k++) {
        const uint32_t peer = (plan->rank + k) % plan->ranks;
        status = post(p, to, MLS_MESSAGE_RECEIVE, peer, taken_of(p, peer, step),
                      count * mls__reduce_element_bytes(p->group, plan, peer));
    }
    for (uint32_t k = 1; !status && k < plan->ranks; k++) {
        const uint32_t peer = (plan->rank + k) % plan->ranks;
        const size_t elements = elements_of(p, peer, step);
        if (elements && own_bytes)
            status =
                post(p, to, MLS_MESSAGE_SEND, peer, parts_for(p, peer, step), elements * own_bytes);
    }
    return status;
}

/* From who finished a slice to who wants it. */
static mls_status post_results(piped *p, size_t step)
{
    const mls__reduce_plan *plan = p->plan;
    const size_t size = plan->reduction.size;
    batch *to = &p->spread[step % DEPTH];
    mls_status status = settle(p, to);
    for (uint32_t k = 1; !status && plan->wants && k < plan->ranks; k++) {
        const uint32_t peer = (plan->rank + k) % plan->ranks;
        status = post(p, to, MLS_MESSAGE_RECEIVE, peer, p->results + first_of(p, peer, step) * size,
                      elements_of(p, peer, step) * size);
    }
    for (uint32_t k = 1; !status && k < plan->ranks; k++) {
        const uint32_t peer = (plan->rank + k) % plan->ranks;
        if (!plan->family->to_root || peer == p->call->header.root)
            status = post(p, to, MLS_MESSAGE_SEND, peer, result_of(p, step),
                          elements_of(p, plan->rank, step) * size);
    }
    return status;
}

/* Elements from `at` on of this rank's slice of a stride, which has `count`. */
static void set_leaves(const piped *p, size_t step, size_t count, size_t at)
{
    const mls__reduce_plan *plan = p->plan;
    for (uint32_t i = 0; i < plan->ranks; i++)
        if (i != plan->rank)
            mls__reduce_set_leaves(p->group, plan, i, taken_of(p, i, step), count, at);
        else if (p->has_sums)
            mls__reduce_set_leaves(p->group, plan, i, sums_for(p, i, step), count, at);
        else
            mls__reduce_set_leaves(p->group, plan, i, p->source, count, first_of(p, i, step) + at);
}

/* The host's function may take its time. */
static mls_status finish(const piped *p, size_t step)
{
    const size_t size = p->plan->reduction.size, most = MLS__STRIDE_BYTES / size;
    const size_t count = elements_of(p, p->plan->rank, step);
    mls_status status = MLS_OK;
    for (size_t at = 0; !status && at < count; at += most) {
        const size_t left = count - at;
        set_leaves(p, step, count, at);
        mls__reduce_finish(p->group, p->plan, left < most ? left : most,
                           result_of(p, step) + at * size);
        if (left > most)
            status = mls__reading_pause(p->group, p->call);
    }
    return status;
}

/* The sums for this rank itself go nowhere. */
static void make_own_sums(const piped *p, size_t step)
{
    if (p->has_sums && elements_of(p, p->plan->rank, step))
        parts_for(p, p->plan->rank, step);
}

static mls_status run_step(piped *p, size_t step)
{
    mls_status status = settle(p, &p->parts[step % DEPTH]);
    if (status)
        return status;
    make_own_sums(p, step);
    status = finish(p, step);
    if (!status && p->spreads)
        status = post_results(p, step);
    if (!status && step + DEPTH < p->strides)
        status = post_parts(p, step + DEPTH);
    return status;
}

/* --- the whole ------------------------------------------------------------------------------- */

/* As many strides as it takes, all but the last ones of one length. */
static void choose_strides(piped *p)
{
    size_t longest = 0, bytes = p->plan->reduction.size;
    for (uint32_t i = 0; i < p->plan->ranks; i++) {
        const size_t count = mls__reduce_slice_count(p->plan, i);
        const size_t each = mls__reduce_element_bytes(p->group, p->plan, i);
        longest = count > longest ? count : longest;
        bytes = each > bytes ? each : bytes;
    }
    const size_t share = STRIDES_BYTES / p->plan->ranks;
    const size_t fits = (share < STRIDE_BYTES ? share : STRIDE_BYTES) / bytes;
    const size_t most = fits > STRIDE_ELEMENTS ? fits : STRIDE_ELEMENTS;
    p->strides = (longest + most - 1) / most;
    p->stride = p->strides ? (longest + p->strides - 1) / p->strides : 0;
    p->stride = mls__round_up(p->stride, STRIDE_ELEMENTS);
}

/* Messages, and places for what they bring. */
static mls_status get_places(piped *p)
{
    const uint32_t ranks = p->plan->ranks;
    const size_t messages_bytes =
        mls__round_up(2 * ranks * sizeof(mls_transport_message), MLS__ALIGN);
    const size_t taken_bytes = places_bytes(p, ranks);
    const size_t sums_bytes = p->has_sums ? ranks * place_bytes(p, p->plan->rank) : 0;
    void *data;
    const mls_status status =
        mls__scratch_get(p->group, MLS__SCRATCH_TAKEN,
                         DEPTH * (2 * messages_bytes + taken_bytes + sums_bytes), &data);
    if (status)
        return status;
    unsigned char *at = data;
    for (int i = 0; i < DEPTH; i++) {
        p->parts[i].messages = (void *) at;
        p->spread[i].messages = (void *) (at + messages_bytes);
        p->taken[i] = at + 2 * messages_bytes;
        p->sums[i] = p->taken[i] + taken_bytes;
        at = p->sums[i] + sums_bytes;
    }
    return MLS_OK;
}

static mls_status run(piped *p)
{
    mls_status status = MLS_OK;
    for (size_t step = 0; !status && step < DEPTH && step < p->strides; step++)
        status = post_parts(p, step);
    for (size_t step = 0; !status && step < p->strides; step++)
        status = run_step(p, step);
    for (int i = 0; !status && i < DEPTH; i++)
        status = settle(p, &p->spread[i]);
    return status;
}

/* Fewer strides gain nothing: what is exchanged as a whole then is in the caches, too. */
bool mls__piped_suits(mls_group *group, const mls__reduce_plan *plan)
{
    piped p = {.group = group, .plan = plan};
    choose_strides(&p);
    return !group->has_reading && p.strides > DEPTH;
}

mls_status mls__piped_reduce(mls_group *group, mls__call *call, const mls__reduce_plan *plan,
                             const void *source, void *results)
{
    piped p = {
        .group = group,
        .call = call,
        .plan = plan,
        .source = source,
        .results = results,
        .has_sums = mls__reduce_has_sums(group, plan->rank),
        .spreads = !plan->family->source_is_all,
    };
    choose_strides(&p);
    mls_status status = get_places(&p);
    if (status)
        return status;
    call->header.phase = 0;
    call->header.address = 0;
    status = run(&p);
    for (int i = 0; status && i < DEPTH; i++) {
        retract(&p, &p.parts[i]);
        retract(&p, &p.spread[i]);
    }
    return status;
}
