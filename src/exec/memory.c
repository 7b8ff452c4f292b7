/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places every buffer of a run in one block. Buffers whose lifetimes do not meet share
 * memory: the largest is placed first, each into the lowest gap that fits (Pisarchyk
 * and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020). An op
 * that may write over its input does so when nobody reads that input later. Inputs that are joined
 * lie in what they become (parts.c).
 */
#include "exec/plan.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* A buffer to be placed; lifetimes are positions in plan->steps, both ends included. */
typedef struct item {
    size_t bytes, *offset;
    uint32_t first, last;
} item;

typedef struct layout {
    item *items;   /* the largest first */
    item **placed; /* by offset */
    size_t count, placed_count;
    size_t total;
} layout;

static void extend(mls__plan *plan, uint32_t slot, uint32_t step)
{
    mls__slot *root = &plan->slots[mls__plan_root(plan, slot)];
    if (root->last < step)
        root->last = step;
}

static void note_lifetimes(mls__plan *plan)
{
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const mls__step *step = &plan->steps[i];
        for (size_t k = 0; k < step->op.output_count; k++) {
            const uint32_t v = step->output_values[k];
            if (v != MLS__NO_VALUE && plan->slots[v].root == v)
                plan->slots[v].first = plan->slots[v].last = i;
        }
        for (size_t k = 0; k < step->op.input_count; k++)
            if (step->input_values[k] != MLS__NO_VALUE)
                extend(plan, step->input_values[k], i);
    }
}

static bool can_alias(const mls__plan *plan, const mls__step *step, size_t input)
{
    return plan->backend.ops->can_alias(plan->backend.self, &step->op, input, 0);
}

/*
 * Whether another input of the step reads the same memory in another shape, or in this one when
 * the kernel may have written there (the updates of a ScatterElements that are its data, too).
 */
static bool is_read_otherwise(const mls__plan *plan, const mls__step *step, size_t input)
{
    const uint32_t value = step->input_values[input], root = mls__plan_root(plan, value);
    for (size_t k = 0; k < step->op.input_count; k++) {
        const uint32_t other = step->input_values[k];
        if (k == input || other == MLS__NO_VALUE || mls__plan_root(plan, other) != root)
            continue;
        if (other != value || !can_alias(plan, step, k))
            return true;
    }
    return false;
}

/* The input is all that is in its memory, and nobody reads that later. */
static bool can_take(const mls__plan *plan, uint32_t at, const mls__step *step, size_t input)
{
    if (step->input_values[input] == MLS__NO_VALUE)
        return false;
    const mls__slot *root = &plan->slots[mls__plan_root(plan, step->input_values[input])];
    return root->kind == MLS__SLOT_COMPUTED && !root->is_pinned && root->last == at &&
           root->capacity == plan->slots[step->output_values[0]].capacity &&
           !is_read_otherwise(plan, step, input) && can_alias(plan, step, input);
}

/* `out` takes the memory of `root`; or, where it is a part of something else, `root` takes its. */
static void share(mls__plan *plan, uint32_t out, uint32_t root)
{
    mls__slot *own = &plan->slots[out], *other = &plan->slots[root];
    if (own->root != out) {
        mls__slot *whole = &plan->slots[mls__plan_root(plan, out)];
        whole->first = other->first < whole->first ? other->first : whole->first;
        other->root = out;
        return;
    }
    own->root = root;
    other->last = own->last;
    other->is_pinned = own->is_pinned;
}

/* Whether the step is the first to write its output: none of its inputs lies there (parts.c). */
static bool begins(const mls__plan *plan, uint32_t at, uint32_t out)
{
    return plan->slots[out].root != out || plan->slots[out].first == at;
}

static void alias_step(mls__plan *plan, uint32_t at, mls__step *step)
{
    const uint32_t out = step->op.output_count ? step->output_values[0] : MLS__NO_VALUE;
    if (step->mode != MLS__STEP_RUN || out == MLS__NO_VALUE || !begins(plan, at, out))
        return;
    for (size_t k = 0; k < step->op.input_count; k++) {
        if (!can_take(plan, at, step, k))
            continue;
        share(plan, out, mls__plan_root(plan, step->input_values[k]));
        step->alias_input = k;
        return;
    }
}

static void alias_steps(mls__plan *plan)
{
    if (plan->no_alias || (plan->flags & MLS_SESSION_NO_REUSE) ||
        !MLS_HAS_OP(plan->backend.ops, mls_backend, can_alias))
        return;
    for (uint32_t i = 0; i < plan->step_count; i++)
        alias_step(plan, i, &plan->steps[i]);
}

static bool has_memory(const mls__plan *plan, uint32_t slot)
{
    const uint8_t kind = plan->slots[slot].kind;
    return plan->slots[slot].root == slot &&
           (kind == MLS__SLOT_INPUT || kind == MLS__SLOT_COMPUTED);
}

static void add_item(layout *l, const mls__plan *plan, size_t bytes, size_t *offset, uint32_t first,
                     uint32_t last, bool is_pinned)
{
    if (is_pinned || (plan->flags & MLS_SESSION_NO_REUSE)) {
        first = 0;
        last = UINT32_MAX;
    }
    l->items[l->count++] = (item){bytes, offset, first, last};
}

/* Strings that a kernel makes live in its workspace, as long as anybody may read them. */
static bool makes_strings(const mls__step *step)
{
    for (size_t k = 0; k < step->op.output_count; k++)
        if (step->outputs[k].dtype == MLS_STRING)
            return true;
    return false;
}

static void collect_items(layout *l, mls__plan *plan)
{
    for (uint32_t v = 0; v < plan->slot_count; v++) {
        mls__slot *slot = &plan->slots[v];
        /* An input keeps its contents from run to run, and so does an output. */
        if (has_memory(plan, v) && slot->capacity)
            add_item(l, plan, slot->capacity, &slot->offset, slot->first, slot->last,
                     slot->is_pinned || slot->kind == MLS__SLOT_INPUT);
    }
    for (uint32_t i = 0; i < plan->step_count; i++) {
        mls__step *step = &plan->steps[i];
        if (step->mode == MLS__STEP_RUN && step->kernel->workspace_bytes)
            add_item(l, plan, step->kernel->workspace_bytes, &step->workspace_offset, i, i,
                     makes_strings(step));
    }
}

static void add_aligned(size_t bytes, size_t *total)
{
    if (!mls__align_size(bytes, &bytes) || !mls__add_size(*total, bytes, total))
        *total = SIZE_MAX;
}

size_t mls__plan_unshared_bytes(const mls__plan *plan)
{
    size_t total = 0;
    for (uint32_t v = 0; v < plan->slot_count; v++)
        if (has_memory(plan, v) || plan->slots[v].is_part)
            add_aligned(plan->slots[v].capacity, &total);
    for (size_t i = 0; i < plan->run_count; i++) {
        const mls__step *step = plan->run_steps[i].step;
        add_aligned(step->kernel->workspace_bytes, &total);
        if (step->alias_input != MLS__NO_VALUE)
            add_aligned(plan->slots[step->output_values[0]].capacity, &total);
    }
    return total;
}

/* The largest first; of equals the first to be used, so that the order is always the same. */
static int compare_items(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static bool place_item(layout *l, item *new_item)
{
    size_t bytes, at = 0, position = 0, end;
    if (!mls__align_size(new_item->bytes, &bytes))
        return false;
    for (size_t i = 0; i < l->placed_count; i++) {
        const item *other = l->placed[i];
        if (other->last < new_item->first || new_item->last < other->first)
            continue;
        if (*other->offset >= at && *other->offset - at >= bytes)
            break;
        const size_t other_end = *other->offset + other->bytes;
        if (other_end > at && !mls__align_size(other_end, &at))
            return false;
    }
    if (!mls__add_size(at, bytes, &end) || end > PTRDIFF_MAX)
        return false;
    *new_item->offset = at;
    if (end > l->total)
        l->total = end;
    while (position < l->placed_count && *l->placed[position]->offset <= at)
        position++;
    memmove(&l->placed[position + 1], &l->placed[position],
            (l->placed_count - position) * sizeof *l->placed);
    l->placed[position] = new_item;
    l->placed_count++;
    return true;
}

static mls_status place_items(mls__plan *plan, layout *l)
{
    collect_items(l, plan);
    qsort(l->items, l->count, sizeof *l->items, compare_items);
    for (size_t i = 0; i < l->count; i++)
        if (!place_item(l, &l->items[i]))
            return mls__error(MLS_ELIMIT, "the plan needs more memory than can be addressed");
    plan->block_bytes = l->total;
    plan->block = mls__alloc_array(&plan->model->context->allocator, l->total, 1);
    return plan->block ? MLS_OK : mls__error_nomem(l->total);
}

/* What is empty has an address too (that of the block), so that kernels may compute with it. */
static void set_addresses(mls__plan *plan)
{
    for (uint32_t v = 0; v < plan->slot_count; v++)
        if (has_memory(plan, v))
            plan->slots[v].data = plan->block + plan->slots[v].offset;
    for (uint32_t v = 0; v < plan->slot_count; v++) {
        const uint32_t root = mls__plan_root(plan, v);
        if (!plan->slots[root].data)
            plan->slots[root].data = plan->block;
        if (root != v)
            plan->slots[v].data = (char *) plan->slots[root].data + mls__plan_offset(plan, v);
    }
}

static void set_buffers(mls__plan *plan, const mls__step *step)
{
    const size_t inputs = step->op.input_count;
    for (size_t k = 0; k < inputs; k++)
        if (step->input_values[k] != MLS__NO_VALUE)
            step->buffers[k] = plan->slots[step->input_values[k]].data;
    for (size_t k = 0; k < step->op.output_count; k++)
        if (step->output_values[k] != MLS__NO_VALUE)
            step->buffers[inputs + k] = plan->slots[step->output_values[k]].data;
}

static mls_status run_nothing(const mls_kernel *kernel, const mls_kernel_call *call)
{
    (void) kernel;
    (void) call;
    return MLS_OK;
}

mls__step_run mls__plan_step_run(const mls__step *step)
{
    for (size_t k = 0; k < step->op.output_count; k++)
        if (step->output_values[k] != MLS__NO_VALUE && mls__arg_bytes(&step->outputs[k]))
            return step->kernel->run;
    return run_nothing;
}

static mls_status set_run_steps(mls__plan *plan)
{
    plan->run_steps = mls__arena_array(&plan->arena, plan->step_count, sizeof *plan->run_steps);
    if (!plan->run_steps)
        return mls__error_nomem(plan->step_count * sizeof *plan->run_steps);
    for (size_t i = 0; i < plan->step_count; i++) {
        mls__step *step = &plan->steps[i];
        if (step->mode != MLS__STEP_RUN)
            continue;
        set_buffers(plan, step);
        plan->run_steps[plan->run_count++] = (mls__run_step){
            .run = mls__plan_step_run(step),
            .kernel = step->kernel,
            .call = {.buffers = step->buffers,
                     .workspace = plan->block + step->workspace_offset,
                     .parallel_for = mls__executor_parallel_for,
                     .executor = &plan->share},
            .step = step,
        };
    }
    return MLS_OK;
}

static uint32_t buffer_slot(const mls__step *step, size_t buffer)
{
    const size_t inputs = step->op.input_count;
    return buffer < inputs ? step->input_values[buffer] : step->output_values[buffer - inputs];
}

/* Calls for every buffer of the run that lies in `root`; counts only when fixups is NULL. */
static size_t collect_fixups(const mls__plan *plan, uint32_t root, mls__fixup *fixups)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->run_count; i++) {
        const mls__step *step = plan->run_steps[i].step;
        for (size_t b = 0; b < step->op.input_count + step->op.output_count; b++) {
            const uint32_t slot = buffer_slot(step, b);
            if (slot == MLS__NO_VALUE || mls__plan_root(plan, slot) != root)
                continue;
            if (fixups)
                fixups[count] = (mls__fixup){&step->buffers[b], mls__plan_offset(plan, slot)};
            count++;
        }
    }
    return count;
}

static mls_status set_port(mls__plan *plan, mls__port *port)
{
    const uint32_t root = mls__plan_root(plan, port->slot);
    port->fixup_count = collect_fixups(plan, root, NULL);
    port->fixups = mls__arena_array(&plan->arena, port->fixup_count, sizeof *port->fixups);
    if (!port->fixups)
        return mls__error_nomem(port->fixup_count * sizeof *port->fixups);
    collect_fixups(plan, root, port->fixups);
    for (size_t i = 0; i < port->fixup_count; i++)
        port->has_parts = port->has_parts || port->fixups[i].offset;
    port->own = plan->slots[root].data;
    return MLS_OK;
}

static mls_status set_ports(mls__plan *plan)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < plan->graph->inputs.count; i++)
        status = set_port(plan, &plan->inputs[i]);
    for (size_t i = 0; !status && i < plan->graph->outputs.count; i++)
        status = set_port(plan, &plan->outputs[i]);
    return status;
}

void mls__plan_address(mls__plan *plan)
{
    set_addresses(plan);
    for (size_t i = 0; i < plan->run_count; i++)
        set_buffers(plan, plan->run_steps[i].step);
    for (size_t i = 0; i < plan->graph->outputs.count; i++) {
        const mls__port *port = &plan->outputs[i];
        if (port->has_parts)
            collect_fixups(plan, mls__plan_root(plan, port->slot), port->fixups);
    }
}

mls_status mls__plan_place(mls__plan *plan)
{
    const mls__allocator *allocator = &plan->model->context->allocator;
    const size_t most = plan->slot_count + plan->step_count;
    layout l = {
        .items = mls__alloc_array(allocator, most, sizeof(item)),
        .placed = mls__alloc_array(allocator, most, sizeof(item *)),
    };
    mls_status status = MLS_OK;
    note_lifetimes(plan);
    if (!plan->no_parts && !(plan->flags & MLS_SESSION_NO_REUSE))
        mls__plan_join(plan);
    alias_steps(plan);
    if (!l.items || !l.placed)
        status = mls__error_nomem(most * sizeof(item));
    if (!status)
        status = place_items(plan, &l);
    mls__free(allocator, l.items);
    mls__free(allocator, l.placed);
    if (status)
        return status;
    set_addresses(plan);
    status = set_run_steps(plan);
    return status ? status : set_ports(plan);
}
