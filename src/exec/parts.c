/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts: what a Concat reads may lie in its output from the start, where it goes, so that nothing
 * is copied. That takes an output whose inputs follow each other whole in memory, and of each input
 * that nothing else settles its place. The memory of several inputs may be one: a Concat that reads
 * what another one joined, and more, as dense blocks of convolutions do, takes that whole.
 */
#include "exec/plan.h"

#include "base/alloc.h"

/* Parts of parts go so deep: the way from a slot to its memory is walked at every look. */
#define MAX_DEPTH 128

uint32_t mls__plan_root(const mls__plan *plan, uint32_t slot)
{
    while (plan->slots[slot].root != slot)
        slot = plan->slots[slot].root;
    return slot;
}

/* From the memory of `root` to that of a slot that shares it. */
static size_t offset_in(const mls__plan *plan, uint32_t slot, uint32_t root)
{
    size_t offset = 0;
    for (; slot != root; slot = plan->slots[slot].root)
        offset += plan->slots[slot].within;
    return offset;
}

size_t mls__plan_offset(const mls__plan *plan, uint32_t slot)
{
    return offset_in(plan, slot, mls__plan_root(plan, slot));
}

/* Whether the step's inputs lie one behind the other in its output. */
static bool is_row(const mls__step *step)
{
    int axis;
    const mls_arg *y = step->outputs;
    return !mls__op_axis(&step->op, mls__op_int(&step->op, "axis", 0), y->rank, &axis) &&
           mls__arg_span(y, 0, axis) == 1;
}

static bool joins(const mls__plan *plan, const mls__step *step)
{
    return step->mode == MLS__STEP_RUN && (step->schema->flags & MLS__OP_JOIN) &&
           (plan->backend.ops->flags & MLS_BACKEND_JOINS) && is_row(step);
}

/* --- at planning ----------------------------------------------------------------------------- */

/*
 * Whether the memory of `root`, which begins at input `first`, is what that one and those behind it
 * are. Whoever looks for this at each input whose offset is 0 looks at none twice.
 */
static bool is_fit(const mls__plan *plan, const mls__step *step, uint32_t root, size_t first)
{
    const size_t end = plan->slots[root].capacity;
    size_t begin = 0;
    for (size_t k = first; k < step->op.input_count && begin < end; k++) {
        const uint32_t v = step->input_values[k];
        const size_t bytes = mls__arg_bytes(&step->inputs[k]);
        if (bytes && (mls__plan_root(plan, v) != root || begin != offset_in(plan, v, root)))
            return false;
        begin += bytes;
    }
    return begin == end;
}

static bool can_join(const mls__plan *plan, const mls__step *step, size_t input, size_t begin)
{
    size_t aligned;
    const uint32_t v = step->input_values[input], root = mls__plan_root(plan, v);
    const mls__slot *own = &plan->slots[root];
    return own->kind == MLS__SLOT_COMPUTED && !own->is_pinned && own->capacity &&
           own->depth < MAX_DEPTH && root != step->output_values[0] &&
           mls__plan_offset(plan, v) == 0 && mls__align_size(begin, &aligned) && aligned == begin &&
           is_fit(plan, step, root, input);
}

static void join(mls__plan *plan, uint32_t whole, uint32_t root, size_t base, size_t input)
{
    mls__slot *part = &plan->slots[root], *y = &plan->slots[whole];
    part->root = whole;
    part->within = base;
    part->part = (uint32_t) input;
    part->is_part = true;
    if (y->depth <= part->depth)
        y->depth = part->depth + 1;
    y->first = part->first < y->first ? part->first : y->first;
    y->last = part->last > y->last ? part->last : y->last;
}

void mls__plan_join(mls__plan *plan)
{
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const mls__step *step = &plan->steps[i];
        size_t begin = 0;
        for (size_t k = 0; joins(plan, step) && k < step->op.input_count; k++) {
            const uint32_t v = step->input_values[k];
            if (can_join(plan, step, k, begin))
                join(plan, step->output_values[0], mls__plan_root(plan, v), begin, k);
            begin += mls__arg_bytes(&step->inputs[k]);
        }
    }
}

/* --- at smaller dims ------------------------------------------------------------------------- */

/* The part of `whole` that a slot is, or lies in; MLS__NO_VALUE: none. */
static uint32_t part_of(const mls__plan *plan, uint32_t slot, uint32_t whole)
{
    while (plan->slots[slot].root != slot && plan->slots[slot].root != whole)
        slot = plan->slots[slot].root;
    return plan->slots[slot].root == whole && plan->slots[slot].is_part ? slot : MLS__NO_VALUE;
}

mls_status mls__plan_follow_parts(mls__plan *plan, const mls__step *step, bool *has_moved)
{
    size_t begin = 0;
    bool is_lost = false;
    const bool is_empty = !mls__arg_bytes(step->outputs);
    if (!(step->schema->flags & MLS__OP_JOIN))
        return MLS_OK;
    for (size_t k = 0; k < step->op.input_count; k++) {
        const uint32_t v = step->input_values[k];
        const uint32_t part = part_of(plan, v, step->output_values[0]);
        if (part != MLS__NO_VALUE && plan->slots[part].part == k) {
            const size_t within = begin - offset_in(plan, v, part);
            *has_moved = *has_moved || within != plan->slots[part].within;
            plan->slots[part].within = within;
            is_lost = is_lost || !(is_empty || is_row(step));
        }
        begin += mls__arg_bytes(&step->inputs[k]);
    }
    plan->no_parts = plan->no_parts || is_lost;
    return is_lost ? mls__op_error(&step->op, MLS_ELIMIT, "cannot have its inputs in its output")
                   : MLS_OK;
}
