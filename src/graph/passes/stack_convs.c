/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions and pools of blocked images, each of which alone reads what the one before it gives,
 * become one ConvStack. A backend may then run them some rows at a time, so that what lies between
 * them stays in its caches. The bytes of the result do not change: each stage computes what it did.
 *
 * What else a stage reads (its weights, a residual) comes from outside of the stack, since nobody
 * else reads what lies between: so no path leaves it and comes back.
 */
#include "graph/passes/passes.h"

#include "base/error.h"
#include "graph/passes/matching.h"
#include "op/stack.h"

#include <string.h>

static bool is_conv(const mls__node *node)
{
    return strcmp(node->type, "FusedConv") == 0;
}

/* The first stage's image may be plain; all that is between is in blocks. */
static bool is_stage(const mls__node *node, bool is_first)
{
    if (strcmp(node->domain, MLS__DOMAIN_FUSED) != 0 ||
        !mls__stack_takes((mls_string){node->type, strlen(node->type)}))
        return false;
    return !is_conv(node) || (mls__node_int(node, "y_blocked", 0) != 0 &&
                              (is_first || mls__node_int(node, "x_blocked", 0) != 0));
}

/* The stage behind this one, or NULL. */
static mls__node *next_stage(const mls__links *links, const mls__node *node)
{
    mls__node *next = mls__only_reader(links, node);
    return next && is_stage(next, false) && next->inputs[0] == node->outputs[0] ? next : NULL;
}

/* Whether a stack begins earlier, and takes this node too. */
static bool is_taken(const mls__links *links, const mls__node *node)
{
    const mls__node *before = mls__giver(links, node->inputs[0]);
    return before && is_stage(before, true) && next_stage(links, before) == node;
}

/* A stack as it becomes a node. */
typedef struct builder {
    size_t count, input_count, attr_count;
    mls__node *stages[MLS__STACK_STAGES];
    uint32_t *inputs;
    mls_string *types;
    int64_t *numbers;
    mls_attr *attrs;
} builder;

static mls__node *collect(const mls__links *links, mls__node *first, builder *b)
{
    mls__node *node = first;
    *b = (builder){.input_count = 1, .attr_count = 2};
    for (; node && b->count < MLS__STACK_STAGES; node = next_stage(links, node)) {
        b->stages[b->count++] = node;
        b->input_count += node->input_count - 1;
        b->attr_count += node->attr_count;
    }
    return node;
}

static void write_program(builder *b)
{
    uint32_t *input = b->inputs;
    mls_attr *attr = b->attrs;
    *input++ = b->stages[0]->inputs[0];
    *attr++ = (mls_attr){
        .name = "stages", .type = MLS_ATTR_STRINGS, .count = b->count, .strings = b->types};
    *attr++ = (mls_attr){
        .name = "program", .type = MLS_ATTR_INTS, .count = 2 * b->count, .ints = b->numbers};
    for (size_t i = 0; i < b->count; i++) {
        const mls__node *node = b->stages[i];
        b->types[i] = (mls_string){node->type, strlen(node->type)};
        b->numbers[2 * i] = (int64_t) node->attr_count;
        b->numbers[2 * i + 1] = (int64_t) node->input_count - 1;
        for (size_t k = 1; k < node->input_count; k++)
            *input++ = node->inputs[k];
        if (node->attr_count)
            memcpy(attr, node->attrs, node->attr_count * sizeof *attr);
        attr += node->attr_count;
    }
}

/* The last node becomes the whole, and the others die. */
static mls_status fuse(mls__graph *graph, builder *b)
{
    mls__arena *arena = &graph->arena;
    b->inputs = mls__arena_array(arena, b->input_count, sizeof *b->inputs);
    b->types = mls__arena_array(arena, b->count, sizeof *b->types);
    b->numbers = mls__arena_array(arena, 2 * b->count, sizeof *b->numbers);
    b->attrs = mls__arena_array(arena, b->attr_count, sizeof *b->attrs);
    if (!b->inputs || !b->types || !b->numbers || !b->attrs)
        return mls__error_nomem(b->attr_count * sizeof *b->attrs);
    write_program(b);
    for (size_t i = 0; i + 1 < b->count; i++)
        b->stages[i]->is_dead = true;
    mls__node *node = b->stages[b->count - 1];
    node->type = MLS__STACK_TYPE;
    node->schema = mls__op_schema_find(node->domain, node->type);
    node->inputs = b->inputs;
    node->input_count = node->own_input_count = b->input_count;
    node->attrs = b->attrs;
    node->attr_count = b->attr_count;
    return MLS_OK;
}

/* A long row of stages becomes several stacks. */
static mls_status stack_from(mls__graph *graph, const mls__links *links, mls__node *node,
                             bool *ret_changed)
{
    mls_status status = MLS_OK;
    builder b;
    if (!is_stage(node, true) || is_taken(links, node))
        return MLS_OK;
    for (mls__node *next = node; next && !status;) {
        next = collect(links, next, &b);
        if (b.count < 2)
            continue;
        status = fuse(graph, &b);
        *ret_changed = true;
    }
    return status;
}

mls_status mls__pass_stack_convs(mls__graph *graph, bool *ret_changed)
{
    return mls__visit_nodes(graph, stack_from, ret_changed);
}
