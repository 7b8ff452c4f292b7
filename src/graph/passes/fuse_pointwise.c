/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains of ops that work element by element become one FusedPointwise, which runs all of them
 * tile by tile, so that what lies between them never goes to memory. The bytes of the result do not
 * change: each piece computes what it did.
 *
 * A node joins the one that reads it if nobody else needs its result. So what is fused is a tree,
 * or has branches that meet again; it has one output, and no path leaves it and comes back. What is
 * known before the run stays apart, to be computed once.
 */
#include "graph/passes/passes.h"

#include "base/error.h"
#include "graph/passes/matching.h"
#include "op/pointwise.h"

#include <string.h>

/* Who reads a value: nobody yet, the node that a chain ends with, or this. */
#define NOBODY    UINT32_MAX
#define ELSEWHERE (UINT32_MAX - 1)

/* A node of the graph as a piece. */
typedef struct member {
    uint32_t next;  /* the chain's next one, or NOBODY */
    uint32_t first; /* of the node that the chain ends with: the first one, or NOBODY */
    int count;      /* and how many there are */
    int inputs;     /* and how many values they read from outside, at most */
    int index;      /* among the pieces */
} member;

typedef struct fuser {
    mls__graph *graph;
    bool *is_known;    /* of each value: before the run */
    uint32_t *readers; /* of each value */
    member *members;   /* of each node */
} fuser;

/* --- what is known --------------------------------------------------------------------------- */

static bool is_node_known(const fuser *f, const mls__node *node)
{
    if (!node->schema || node->body_count || (node->schema->flags & MLS__OP_LATE))
        return false;
    if (node->schema->flags & MLS__OP_FROM_DIMS)
        return true;
    for (size_t k = 0; k < node->input_count; k++)
        if (node->inputs[k] != MLS__NO_VALUE && !f->is_known[node->inputs[k]])
            return false;
    return true;
}

static void note_known(fuser *f)
{
    for (size_t v = 0; v < f->graph->values.count; v++)
        f->is_known[v] = mls__graph_value(f->graph, (uint32_t) v)->constant != NULL;
    for (size_t i = 0; i < f->graph->nodes.count; i++) {
        const mls__node *node = mls__graph_node(f->graph, i);
        if (node->is_dead || !is_node_known(f, node))
            continue;
        for (size_t k = 0; k < node->output_count; k++)
            if (node->outputs[k] != MLS__NO_VALUE)
                f->is_known[node->outputs[k]] = true;
    }
}

/* --- chains ---------------------------------------------------------------------------------- */

static bool has_fit_operands(const mls__node *node, const mls__pointwise_op *op)
{
    if (node->input_count < op->min_operands || node->input_count > op->max_operands)
        return false;
    for (size_t k = 0; k < op->min_operands; k++)
        if (node->inputs[k] == MLS__NO_VALUE)
            return false;
    return true;
}

static bool is_piece(const fuser *f, const mls__node *node)
{
    if (node->domain[0] || node->body_count || !node->schema || node->output_count != 1 ||
        node->outputs[0] == MLS__NO_VALUE || f->is_known[node->outputs[0]])
        return false;
    const mls__pointwise_op *op = mls__pointwise_find((mls_string){node->type, strlen(node->type)});
    return op && has_fit_operands(node, op);
}

static int count_operands(const mls__node *node)
{
    int count = 0;
    for (size_t k = 0; k < node->input_count; k++)
        count += node->inputs[k] != MLS__NO_VALUE;
    return count;
}

/* The node that this one's chain ends with. */
static uint32_t join(fuser *f, uint32_t index)
{
    const mls__node *node = mls__graph_node(f->graph, index);
    const uint32_t reader = f->readers[node->outputs[0]];
    const int operands = count_operands(node);
    member *own = &f->members[index];
    if (reader < ELSEWHERE) {
        member *end = &f->members[reader];
        if (end->count < MLS__POINTWISE_PIECES &&
            end->inputs - 1 + operands <= MLS__POINTWISE_INPUTS) {
            own->next = end->first;
            end->first = index;
            end->count++;
            end->inputs += operands - 1;
            return reader;
        }
    }
    own->first = index;
    own->count = 1;
    own->inputs = operands;
    return index;
}

/* From the end, so that all who read a value have been seen. */
static void find_chains(fuser *f)
{
    for (size_t v = 0; v < f->graph->values.count; v++)
        f->readers[v] = NOBODY;
    for (size_t i = 0; i < f->graph->outputs.count; i++)
        f->readers[mls__graph_output(f->graph, i)] = ELSEWHERE;
    for (uint32_t i = (uint32_t) f->graph->nodes.count; i-- > 0;) {
        const mls__node *node = mls__graph_node(f->graph, i);
        f->members[i].next = f->members[i].first = NOBODY;
        if (node->is_dead)
            continue;
        const uint32_t end = is_piece(f, node) ? join(f, i) : ELSEWHERE;
        for (size_t k = 0; k < node->input_count; k++) {
            uint32_t *reader =
                node->inputs[k] == MLS__NO_VALUE ? NULL : &f->readers[node->inputs[k]];
            if (reader)
                *reader = *reader == NOBODY || *reader == end ? end : ELSEWHERE;
        }
    }
}

/* --- fusing ---------------------------------------------------------------------------------- */

/* A chain as it becomes a node. */
typedef struct builder {
    size_t input_count, number_count, attr_count;
    uint32_t inputs[MLS__POINTWISE_INPUTS];
    mls_string *types;
    int64_t *numbers;
    mls_attr *attrs;
} builder;

/* The member that gives a value that only the chain reads; NULL: it comes from outside. */
static const member *find_giver(const fuser *f, uint32_t end, uint32_t value)
{
    for (uint32_t i = f->members[end].first; i != NOBODY; i = f->members[i].next)
        if (i != end && mls__graph_node(f->graph, i)->outputs[0] == value)
            return &f->members[i];
    return NULL;
}

static size_t find_input(const builder *b, uint32_t value)
{
    size_t k = 0;
    while (k < b->input_count && b->inputs[k] != value)
        k++;
    return k;
}

/* Numbers the pieces and what they read from outside. */
static void collect(fuser *f, uint32_t end, builder *b)
{
    int index = 0;
    for (uint32_t i = f->members[end].first; i != NOBODY; i = f->members[i].next) {
        const mls__node *node = mls__graph_node(f->graph, i);
        f->members[i].index = index++;
        b->attr_count += node->attr_count;
        b->number_count += 2 + node->input_count;
        for (size_t k = 0; k < node->input_count; k++) {
            const uint32_t value = node->inputs[k];
            const bool is_outer = value != MLS__NO_VALUE && !find_giver(f, end, value);
            if (is_outer && find_input(b, value) == b->input_count)
                b->inputs[b->input_count++] = value;
        }
    }
}

static int64_t number_of(const fuser *f, uint32_t end, const builder *b, uint32_t value)
{
    if (value == MLS__NO_VALUE)
        return MLS__POINTWISE_NONE;
    const member *giver = find_giver(f, end, value);
    return (int64_t) (giver ? b->input_count + (size_t) giver->index : find_input(b, value));
}

static void write_program(const fuser *f, uint32_t end, builder *b)
{
    int64_t *number = b->numbers;
    mls_string *type = b->types;
    mls_attr *attr = b->attrs;
    *attr++ = (mls_attr){.name = "pieces",
                         .type = MLS_ATTR_STRINGS,
                         .count = (size_t) f->members[end].count,
                         .strings = b->types};
    *attr++ = (mls_attr){
        .name = "program", .type = MLS_ATTR_INTS, .count = b->number_count, .ints = b->numbers};
    for (uint32_t i = f->members[end].first; i != NOBODY; i = f->members[i].next) {
        const mls__node *node = mls__graph_node(f->graph, i);
        *type++ = (mls_string){node->type, strlen(node->type)};
        *number++ = (int64_t) node->attr_count;
        *number++ = (int64_t) node->input_count;
        for (size_t k = 0; k < node->input_count; k++)
            *number++ = number_of(f, end, b, node->inputs[k]);
        if (node->attr_count)
            memcpy(attr, node->attrs, node->attr_count * sizeof *attr);
        attr += node->attr_count;
    }
}

/* The last node becomes the whole, and the others die. */
static mls_status fuse(fuser *f, uint32_t end)
{
    mls__arena *arena = &f->graph->arena;
    builder b = {.attr_count = 2};
    collect(f, end, &b);
    uint32_t *inputs = mls__arena_array(arena, b.input_count, sizeof *inputs);
    b.types = mls__arena_array(arena, (size_t) f->members[end].count, sizeof *b.types);
    b.numbers = mls__arena_array(arena, b.number_count, sizeof *b.numbers);
    b.attrs = mls__arena_array(arena, b.attr_count, sizeof *b.attrs);
    if (!inputs || !b.types || !b.numbers || !b.attrs)
        return mls__error_nomem(b.attr_count * sizeof *b.attrs);
    memcpy(inputs, b.inputs, b.input_count * sizeof *inputs);
    write_program(f, end, &b);
    for (uint32_t i = f->members[end].first; i != NOBODY; i = f->members[i].next)
        mls__graph_node(f->graph, i)->is_dead = i != end;
    mls__node *node = mls__graph_node(f->graph, end);
    node->domain = MLS__DOMAIN_FUSED;
    node->type = MLS__POINTWISE_TYPE;
    node->schema = mls__op_schema_find(node->domain, node->type);
    node->inputs = inputs;
    node->input_count = node->own_input_count = b.input_count;
    node->attrs = b.attrs;
    node->attr_count = b.attr_count;
    return MLS_OK;
}

static mls_status fuse_all(fuser *f, bool *ret_changed)
{
    mls_status status = MLS_OK;
    note_known(f);
    find_chains(f);
    for (uint32_t i = 0; i < f->graph->nodes.count && !status; i++)
        if (f->members[i].count > 1) {
            status = fuse(f, i);
            *ret_changed = true;
        }
    return status;
}

mls_status mls__pass_fuse_pointwise(mls__graph *graph, bool *ret_changed)
{
    const mls__allocator *allocator = graph->allocator;
    const size_t values = graph->values.count, nodes = graph->nodes.count;
    fuser f = {
        .graph = graph,
        .is_known = mls__alloc_array(allocator, values, sizeof *f.is_known),
        .readers = mls__alloc_array(allocator, values, sizeof *f.readers),
        .members = mls__alloc_array(allocator, nodes, sizeof *f.members),
    };
    const mls_status status = f.is_known && f.readers && f.members
                                  ? fuse_all(&f, ret_changed)
                                  : mls__error_nomem(nodes * sizeof *f.members);
    mls__free(allocator, f.is_known);
    mls__free(allocator, f.readers);
    mls__free(allocator, f.members);
    return status;
}
