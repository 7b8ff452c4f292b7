/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts a graph into few segments: takes every node that can run and that a plan takes, until
 * none is left; then the host and late ops that can run; and so on.
 */
#include "exec/flow/partition.h"

#include "base/error.h"

#include <string.h>

typedef struct cutter {
    const mls__graph *graph;
    mls__partition *partition;
    const mls__host_op **hosts; /* of each node; NULL: a backend's */
    uint8_t *kinds;             /* of each value */
    bool *is_there;             /* of each value: given by a node that is in a part */
    bool *is_done;              /* of each node */
    uint32_t *chosen;           /* nodes of the segment at hand */
} cutter;

static uint8_t body_kind(const mls__body *body, size_t output)
{
    if (output >= body->graph->outputs.count)
        return MLS_VALUE_TENSOR;
    return mls__graph_value(body->graph, mls__graph_output(body->graph, output))->kind;
}

/* If gives what its bodies give; Loop and Scan what theirs do, conditions aside. */
static uint8_t output_kind(const mls__node *node, const mls__host_op *host, size_t output)
{
    if (node->body_count == 0)
        return output == 0 ? host->output_kind : MLS_VALUE_TENSOR;
    const size_t before = strcmp(node->type, "Loop") == 0 ? 1 : 0;
    if (strcmp(node->type, "SequenceMap") == 0)
        return MLS_VALUE_SEQUENCE;
    return body_kind(&node->bodies[0], output + before);
}

/* Identity hands on whatever it is given; of tensors it is a backend's. */
static bool is_other_identity(const cutter *c, const mls__node *node)
{
    return strcmp(node->type, "Identity") == 0 && node->domain[0] == '\0' &&
           c->kinds[node->inputs[0]] != MLS_VALUE_TENSOR;
}

static mls_status note_hosts(cutter *c)
{
    for (uint32_t v = 0; v < c->graph->values.count; v++)
        c->kinds[v] = mls__graph_value(c->graph, v)->kind;
    for (size_t i = 0; i < c->graph->nodes.count; i++) {
        const mls__node *node = mls__graph_node(c->graph, i);
        const bool is_identity = is_other_identity(c, node);
        if (!(node->schema->flags & MLS__OP_HOST) && !is_identity)
            continue;
        c->hosts[i] = mls__host_op_find(node->domain, node->type);
        if (!c->hosts[i])
            return mls__error(MLS_EUNSUPPORTED, "node '%.200s': nothing runs op %.64s", node->name,
                              node->type);
        for (size_t k = 0; k < node->output_count; k++)
            if (node->outputs[k] != MLS__NO_VALUE)
                c->kinds[node->outputs[k]] =
                    is_identity ? c->kinds[node->inputs[0]] : output_kind(node, c->hosts[i], k);
    }
    return MLS_OK;
}

static bool can_run(const cutter *c, const mls__node *node)
{
    for (size_t k = 0; k < node->input_count; k++)
        if (node->inputs[k] != MLS__NO_VALUE && !c->is_there[node->inputs[k]])
            return false;
    return true;
}

static bool is_planned(const cutter *c, size_t i)
{
    return !c->hosts[i] && !(mls__graph_node(c->graph, i)->schema->flags & MLS__OP_LATE);
}

static void mark_done(cutter *c, size_t i)
{
    const mls__node *node = mls__graph_node(c->graph, i);
    c->is_done[i] = true;
    for (size_t k = 0; k < node->output_count; k++)
        if (node->outputs[k] != MLS__NO_VALUE)
            c->is_there[node->outputs[k]] = true;
}

static mls_status add_part(cutter *c, const mls__host_op *host, const uint32_t *nodes, size_t count)
{
    mls__part *part = &c->partition->parts[c->partition->count];
    part->host = host;
    part->nodes = mls__arena_array(&c->partition->arena, count, sizeof *nodes);
    if (!part->nodes)
        return mls__error_nomem(count * sizeof *nodes);
    memcpy(part->nodes, nodes, count * sizeof *nodes);
    part->count = count;
    c->partition->count++;
    return MLS_OK;
}

/* One walk finds all, since the graph is sorted. */
static mls_status take_segment(cutter *c, size_t *ret_taken)
{
    size_t count = 0;
    for (size_t i = 0; i < c->graph->nodes.count; i++)
        if (!c->is_done[i] && is_planned(c, i) && can_run(c, mls__graph_node(c->graph, i))) {
            c->chosen[count++] = (uint32_t) i;
            mark_done(c, i);
        }
    *ret_taken += count;
    return count ? add_part(c, NULL, c->chosen, count) : MLS_OK;
}

static mls_status take_others(cutter *c, size_t *ret_taken)
{
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < c->graph->nodes.count; i++) {
        const uint32_t node = (uint32_t) i;
        if (c->is_done[i] || is_planned(c, i) || !can_run(c, mls__graph_node(c->graph, i)))
            continue;
        status = add_part(c, c->hosts[i], &node, 1);
        mark_done(c, i);
        ++*ret_taken;
    }
    return status;
}

static mls_status cut(cutter *c)
{
    mls_status status = note_hosts(c);
    for (uint32_t v = 0; v < c->graph->values.count; v++)
        c->is_there[v] = mls__graph_value(c->graph, v)->constant != NULL;
    for (size_t i = 0; i < c->graph->inputs.count; i++)
        c->is_there[mls__graph_input(c->graph, i)] = true;
    for (size_t done = 0; !status && done < c->graph->nodes.count;) {
        const size_t before = done;
        status = take_segment(c, &done);
        if (!status)
            status = take_others(c, &done);
        if (!status && done == before)
            return mls__error(MLS_EINTERNAL, "a sorted graph has nodes that cannot run");
    }
    return status;
}

mls_status mls__partition_make(const mls__graph *graph, mls__partition *ret_partition)
{
    const size_t nodes = graph->nodes.count, values = graph->values.count;
    mls__arena scratch;
    mls__arena_init(&scratch, graph->allocator);
    *ret_partition = (mls__partition){0};
    mls__arena_init(&ret_partition->arena, graph->allocator);
    ret_partition->parts =
        mls__arena_array(&ret_partition->arena, nodes, sizeof *ret_partition->parts);
    cutter c = {
        .graph = graph,
        .partition = ret_partition,
        .hosts = mls__arena_array(&scratch, nodes, sizeof *c.hosts),
        .kinds = mls__arena_array(&scratch, values, sizeof *c.kinds),
        .is_there = mls__arena_array(&scratch, values, sizeof *c.is_there),
        .is_done = mls__arena_array(&scratch, nodes, sizeof *c.is_done),
        .chosen = mls__arena_array(&scratch, nodes, sizeof *c.chosen),
    };
    mls_status status;
    if (ret_partition->parts && c.hosts && c.kinds && c.is_there && c.is_done && c.chosen)
        status = cut(&c);
    else
        status = mls__error_nomem(nodes * sizeof *c.hosts);
    mls__arena_clear(&scratch);
    if (status)
        mls__partition_clear(ret_partition);
    return status;
}

void mls__partition_clear(mls__partition *partition)
{
    mls__arena_clear(&partition->arena);
}
