/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reductions of what only its own process can read, where a part of a rank's memory can be read
 * by all: each rank brings its parts there, stride by stride, to its stage. A round later the
 * others read them, finish their slice of the stride, and show the result in the next round,
 * together with the next stride of their parts. Two halves of a stage are used by turns: what a
 * rank wrote two rounds ago was read before the others gave the record of the last one.
 *
 * Of few bytes a stage stays in the caches. Of many, what goes there goes past them where that is
 * sooner, as is found by trying: where two cores share no cache, a line that one of them has to
 * fetch from the cache of the other, and that this one then has to get back, takes twice as long as
 * both of their ways to memory and back; where they share one, half as long.
 */
#include "group/reduce.h"

#include "base/clock.h"
#include "group/stream.h"

#include <string.h>

#define STAGE_BYTES ((size_t) 1 << 20)
#define HALF_BYTES  (STAGE_BYTES / 2)

/* Strides begin at multiples of this, so that no two of them share a cache line. */
#define STRIDE_ELEMENTS ((size_t) 64)
/* What is reduced in less than this is not worth a round. */
#define STRIDE_LEAST_BYTES ((size_t) 2048)
/* Results are made in so many elements at a time, which the nearest cache holds. */
#define MADE_ELEMENTS ((size_t) 1024)

typedef struct staged {
    mls_group *group;
    mls__call *call;
    const mls__reduce_plan *plan;
    const unsigned char *source;
    unsigned char *target;
    void *made;      /* results on their way to a stage and a target */
    bool spreads;    /* results are shown to others; else each rank keeps its own */
    bool streams;    /* what goes to a target goes past the caches */
    bool shows_past; /* and so does what goes to a stage, in the step at present */
    size_t stride;   /* elements of each slice */
    size_t strides;  /* of the longest slice */
} staged;

/* --- where what lies ------------------------------------------------------------------------- */

/* A half begins with a stride of results; behind it is one of parts for each rank. */
static size_t stride_bytes(const mls_group *group, const mls__reduce_plan *plan, uint32_t rank)
{
    return plan->reduction.size + plan->ranks * mls__reduce_element_bytes(group, plan, rank);
}

static bool does_stream(const mls__reduce_plan *plan)
{
    return plan->count * plan->reduction.size >= MLS__STREAM_BYTES;
}

/*
 * Elements that fit for all ranks; a stride is no longer than what lets an abort wait. Half of the
 * stage is as much as the caches of a core hold besides sources and targets.
 */
static size_t longest_stride(const mls_group *group, const mls__reduce_plan *plan)
{
    size_t most = 0;
    for (uint32_t i = 0; i < plan->ranks; i++) {
        const size_t bytes = stride_bytes(group, plan, i);
        most = bytes > most ? bytes : most;
    }
    const size_t half = does_stream(plan) ? HALF_BYTES : HALF_BYTES / 2;
    const size_t fit = half / most, pauses = MLS__STRIDE_BYTES / plan->reduction.size;
    return (fit < pauses ? fit : pauses) / STRIDE_ELEMENTS * STRIDE_ELEMENTS;
}

static unsigned char *half_of(const staged *s, size_t step)
{
    return s->group->stage + step % 2 * HALF_BYTES;
}

/* The parts of `rank` for rank `to`, in a half of its stage. */
static size_t parts_offset(const staged *s, uint32_t rank, uint32_t to)
{
    const size_t bytes = mls__reduce_element_bytes(s->group, s->plan, rank);
    return s->stride * (s->plan->reduction.size + to * bytes);
}

/* Elements of a slice in a stride; of what lies behind it, none. */
static size_t elements_of(const staged *s, uint32_t slice, size_t step)
{
    const size_t count = mls__reduce_slice_count(s->plan, slice);
    const size_t at = step * s->stride;
    if (step >= s->strides || at >= count)
        return 0;
    return count - at < s->stride ? count - at : s->stride;
}

static size_t first_of(const staged *s, uint32_t slice, size_t step)
{
    return mls__reduce_slice_first(s->plan, slice) + step * s->stride;
}

static void copy(bool streams, void *to, const void *from, size_t size_bytes)
{
    if (streams)
        mls__stream_copy(to, from, size_bytes);
    else
        memcpy(to, from, size_bytes);
}

/* --- a step ---------------------------------------------------------------------------------- */

/* Of what lies in one piece, others get copies; sums of shards are made for this rank, too. */
static void bring_parts(const staged *s, size_t step)
{
    const mls__reduce_plan *plan = s->plan;
    const bool has_sums = mls__reduce_has_sums(s->group, plan->rank);
    const size_t bytes = mls__reduce_element_bytes(s->group, plan, plan->rank);
    mls__reduce_plan showing = *plan;
    showing.reduction.streams = s->shows_past;
    for (uint32_t k = 1; k <= plan->ranks; k++) {
        const uint32_t to = (plan->rank + k) % plan->ranks;
        const size_t count = elements_of(s, to, step), first = first_of(s, to, step);
        unsigned char *place = half_of(s, step) + parts_offset(s, plan->rank, to);
        if (has_sums)
            mls__reduce_own(s->group, &showing, s->source, first, count, place);
        else if (count > 0 && bytes > 0 && to != plan->rank)
            copy(s->shows_past, place, s->source + first * bytes, count * bytes);
    }
}

/*
 * Shows the half of this step, and finds those of the others: they stay as they are until all give
 * the record of the next step, or call, so that whoever has this round can end it.
 */
static mls_status show_half(const staged *s, size_t step)
{
    mls_group *group = s->group;
    mls__stream_end();
    mls_status status = mls__round(group, s->call, (uint32_t) step + 1, half_of(s, step), 0);
    for (uint32_t i = 0; !status && i < s->plan->ranks; i++) {
        group->take[i] = (mls__piece){0, HALF_BYTES, NULL, NULL};
        status = mls__find(group, i, &group->take[i]);
    }
    return status;
}

/* Elements of the stride from `at` on. */
static void set_leaves(const staged *s, size_t step, size_t count, size_t at)
{
    const mls__reduce_plan *plan = s->plan;
    for (uint32_t i = 0; i < plan->ranks; i++) {
        const unsigned char *half = s->group->take[i].found;
        const bool lies = i == plan->rank && !mls__reduce_has_sums(s->group, i);
        if (lies)
            mls__reduce_set_leaves(s->group, plan, i, s->source, count, first_of(s, i, step) + at);
        else
            mls__reduce_set_leaves(s->group, plan, i, half + parts_offset(s, i, plan->rank), count,
                                   at);
    }
}

/*
 * This rank's slice of the stride: to where it is shown in the next round, and to the target. The
 * two come from one place in the nearest cache, since what went past the caches is far away.
 */
static void finish_shown(const staged *s, size_t step, size_t count)
{
    const mls__reduce_plan *plan = s->plan;
    const size_t size = plan->reduction.size;
    unsigned char *shown = half_of(s, step + 1);
    for (size_t at = 0; at < count; at += MADE_ELEMENTS) {
        const size_t made = count - at < MADE_ELEMENTS ? count - at : MADE_ELEMENTS;
        set_leaves(s, step, count, at);
        mls__reduce_finish(s->group, plan, made, s->made);
        copy(s->shows_past, shown + at * size, s->made, made * size);
        if (plan->wants)
            copy(s->streams, s->target + (first_of(s, plan->rank, step) + at) * size, s->made,
                 made * size);
    }
}

static void finish(const staged *s, size_t step)
{
    const mls__reduce_plan *plan = s->plan;
    const size_t count = elements_of(s, plan->rank, step);
    if (!count)
        return;
    if (s->spreads) {
        finish_shown(s, step, count);
        return;
    }
    set_leaves(s, step, count, 0);
    mls__reduce_finish(s->group, plan, count, s->target + step * s->stride * plan->reduction.size);
}

/* What the others finished of the stride before. */
static void take_results(const staged *s, size_t step)
{
    const mls__reduce_plan *plan = s->plan;
    const size_t size = plan->reduction.size;
    for (uint32_t k = 1; k < plan->ranks; k++) {
        const uint32_t from = (plan->rank + k) % plan->ranks;
        const size_t count = elements_of(s, from, step - 1);
        if (count)
            copy(s->streams, s->target + first_of(s, from, step - 1) * size,
                 s->group->take[from].found, count * size);
    }
}

static mls_status run_step(const staged *s, size_t step)
{
    if (step < s->strides)
        bring_parts(s, step);
    const mls_status status = show_half(s, step);
    if (status)
        return status;
    finish(s, step);
    if (step && s->spreads && s->plan->wants)
        take_results(s, step);
    return MLS_OK;
}

/* --- the whole ------------------------------------------------------------------------------- */

static bool has_stage(mls_group *group)
{
    void *stage;
    const mls_transport *ops = group->transport.ops;
    if (!group->stage && !ops->allocate(group->link, STAGE_BYTES, &stage))
        group->stage = stage;
    return group->stage != NULL;
}

static bool has_place(mls_group *group, const mls__reduce_plan *plan)
{
    void *made;
    return !mls__scratch_get(group, MLS__SCRATCH_MADE, MADE_ELEMENTS * plan->reduction.size, &made);
}

bool mls__staged_suits(mls_group *group, const mls__reduce_plan *plan, const void *source,
                       const void *target)
{
    const bool lies = !mls__reduce_has_sums(group, plan->rank);
    const bool shows_results =
        plan->family->source_is_all || (!plan->family->to_root && mls__shows(group, target));
    return plan->ranks > 1 && group->has_arenas &&
           !(lies && mls__shows(group, source) && shows_results) &&
           longest_stride(group, plan) * plan->reduction.size >= STRIDE_LEAST_BYTES &&
           has_stage(group) && has_place(group, plan);
}

/* As many strides as it takes, all but the last ones of one length. */
static void choose_strides(staged *s)
{
    const size_t most = longest_stride(s->group, s->plan);
    size_t longest = 0;
    for (uint32_t i = 0; i < s->plan->ranks; i++) {
        const size_t count = mls__reduce_slice_count(s->plan, i);
        longest = count > longest ? count : longest;
    }
    s->strides = (longest + most - 1) / most;
    s->stride = (longest + s->strides - 1) / s->strides;
    s->stride = (s->stride + STRIDE_ELEMENTS - 1) / STRIDE_ELEMENTS * STRIDE_ELEMENTS;
}

static size_t steps_of(const staged *s)
{
    return s->strides + s->spreads;
}

static mls_status run(const staged *s)
{
    mls_status status = MLS_OK;
    for (size_t step = 0; !status && step < steps_of(s); step++)
        status = run_step(s, step);
    return status;
}

/* The last stride may be shorter than the others. */
static mls_status run_long(staged *s)
{
    mls__choice *ways = &s->group->stage_ways;
    mls_status status = MLS_OK;
    mls__choice_begin(ways, s->strides - 1, mls__clock_monotonic_ns());
    for (size_t step = 0; !status && step < steps_of(s); step++) {
        s->shows_past = !mls__choice_is_second(ways, step);
        status = run_step(s, step);
        mls__choice_note(ways, step, mls__clock_monotonic_ns());
    }
    if (!status)
        mls__choice_end(ways);
    return status;
}

mls_status mls__staged_reduce(mls_group *group, mls__call *call, const mls__reduce_plan *plan,
                              const void *source, void *target)
{
    staged s = {
        .group = group,
        .call = call,
        .plan = plan,
        .source = source,
        .target = target,
        .made = group->scratch[MLS__SCRATCH_MADE].data,
        .spreads = !plan->family->source_is_all,
        .streams = does_stream(plan),
    };
    choose_strides(&s);
    const mls_status status = s.streams ? run_long(&s) : run(&s);
    if (s.streams)
        mls__stream_end();
    return status;
}
