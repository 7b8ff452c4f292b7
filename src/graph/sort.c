/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topological order by Kahn's algorithm ("Topological sorting of large networks",
 * 1962), taking the ready node that came first, so that a sorted graph stays as it is.
 * Exporters do write unsorted graphs, although ONNX forbids it.
 */
#include "graph/graph.h"

#include "base/error.h"

#include <string.h>

/* Working memory: everything is indexed by value or node. */
typedef struct sorter {
    const mls__graph *graph;
    uint32_t *producer;   /* of a value: the node, or MLS__NO_VALUE */
    uint32_t *waiting;    /* of a node: inputs that are not there yet */
    uint32_t *first_user; /* of a value: where its users begin in `users` */
    uint32_t *users;      /* nodes, grouped by the value they read */
    uint64_t *heap;       /* ready nodes, the first in the file on top */
    size_t heap_count;
} sorter;

static const char *node_text(const mls__node *node)
{
    return node->name[0] ? node->name : node->type;
}

static mls_status note_producers(sorter *s)
{
    const mls__graph *graph = s->graph;
    memset(s->producer, 0xff, graph->values.count * sizeof *s->producer);
    for (size_t i = 0; i < graph->nodes.count; i++) {
        const mls__node *node = mls__graph_node(graph, i);
        for (size_t k = 0; k < node->output_count; k++) {
            const uint32_t v = node->outputs[k];
            if (v == MLS__NO_VALUE)
                continue;
            if (s->producer[v] != MLS__NO_VALUE || mls__graph_value(graph, v)->constant)
                return mls__error(MLS_EFORMAT,
                                  "value '%.200s' is given twice, also by node '%.200s'",
                                  mls__graph_value(graph, v)->name, node_text(node));
            s->producer[v] = (uint32_t) i;
        }
    }
    return MLS_OK;
}

static mls_status check_inputs_unproduced(const sorter *s)
{
    for (size_t i = 0; i < s->graph->inputs.count; i++) {
        const uint32_t v = mls__graph_input(s->graph, i);
        if (s->producer[v] != MLS__NO_VALUE)
            return mls__error(MLS_EFORMAT,
                              "input '%.200s' of the graph is also given by node '%.200s'",
                              mls__graph_value(s->graph, v)->name,
                              node_text(mls__graph_node(s->graph, s->producer[v])));
    }
    return MLS_OK;
}

static bool *mark_given(const mls__graph *graph)
{
    bool *given = mls__alloc_array(graph->allocator, graph->values.count, sizeof *given);
    for (size_t i = 0; given && i < graph->inputs.count; i++)
        given[mls__graph_input(graph, i)] = true;
    return given;
}

static mls_status check_given(const sorter *s, const bool *given, uint32_t v, const char *reader)
{
    const mls__value *value = mls__graph_value(s->graph, v);
    if (s->producer[v] != MLS__NO_VALUE || value->constant || given[v])
        return MLS_OK;
    return mls__error(MLS_EFORMAT,
                      "%.200s needs value '%.200s', which no node, input or initializer gives",
                      reader, value->name);
}

/* Every value that is read must come from somewhere. */
static mls_status check_readers(const sorter *s)
{
    const mls__graph *graph = s->graph;
    bool *given = mark_given(graph);
    if (!given)
        return mls__error_nomem(graph->values.count);
    mls_status status = MLS_OK;
    for (size_t i = 0; !status && i < graph->nodes.count; i++) {
        const mls__node *node = mls__graph_node(graph, i);
        for (size_t k = 0; !status && k < node->input_count; k++)
            if (node->inputs[k] != MLS__NO_VALUE)
                status = check_given(s, given, node->inputs[k], node_text(node));
    }
    for (size_t i = 0; !status && i < graph->outputs.count; i++)
        status = check_given(s, given, mls__graph_output(graph, i), "the graph's output");
    mls__free(graph->allocator, given);
    return status;
}

/* Groups the readers of each value by counting, as a counting sort does. */
static void note_users(sorter *s)
{
    const mls__graph *graph = s->graph;
    for (size_t i = 0; i < graph->nodes.count; i++) {
        const mls__node *node = mls__graph_node(graph, i);
        for (size_t k = 0; k < node->input_count; k++) {
            const uint32_t v = node->inputs[k];
            if (v != MLS__NO_VALUE && s->producer[v] != MLS__NO_VALUE) {
                s->first_user[v + 1]++;
                s->waiting[i]++;
            }
        }
    }
    for (size_t v = 0; v < graph->values.count; v++)
        s->first_user[v + 1] += s->first_user[v];
}

static void fill_users(sorter *s, uint32_t *next)
{
    const mls__graph *graph = s->graph;
    memcpy(next, s->first_user, graph->values.count * sizeof *next);
    for (size_t i = 0; i < graph->nodes.count; i++) {
        const mls__node *node = mls__graph_node(graph, i);
        for (size_t k = 0; k < node->input_count; k++) {
            const uint32_t v = node->inputs[k];
            if (v != MLS__NO_VALUE && s->producer[v] != MLS__NO_VALUE)
                s->users[next[v]++] = (uint32_t) i;
        }
    }
}

static void heap_push(sorter *s, uint64_t node)
{
    size_t at = s->heap_count++;
    for (; at && s->heap[(at - 1) / 2] > node; at = (at - 1) / 2)
        s->heap[at] = s->heap[(at - 1) / 2];
    s->heap[at] = node;
}

static size_t heap_pop(sorter *s)
{
    const uint64_t top = s->heap[0];
    const uint64_t last = s->heap[--s->heap_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < s->heap_count; at = child) {
        if (child + 1 < s->heap_count && s->heap[child + 1] < s->heap[child])
            child++;
        if (s->heap[child] >= last)
            break;
        s->heap[at] = s->heap[child];
    }
    s->heap[at] = last;
    return (size_t) top;
}

static void release_users(sorter *s, const mls__node *node)
{
    for (size_t k = 0; k < node->output_count; k++) {
        const uint32_t v = node->outputs[k];
        if (v == MLS__NO_VALUE)
            continue;
        for (uint32_t u = s->first_user[v]; u < s->first_user[v + 1]; u++)
            if (--s->waiting[s->users[u]] == 0)
                heap_push(s, s->users[u]);
    }
}

static mls_status cycle_error(const sorter *s)
{
    for (size_t i = 0; i < s->graph->nodes.count; i++)
        if (s->waiting[i])
            return mls__error(
                MLS_EFORMAT, "the graph has a cycle: node '%.200s' (%.64s) needs its own result",
                mls__graph_node(s->graph, i)->name, mls__graph_node(s->graph, i)->type);
    return mls__error(MLS_EINTERNAL, "sorting lost a node");
}

/* Replaces the graph's nodes by the same ones in order. */
static mls_status order_nodes(sorter *s, mls__graph *graph)
{
    mls__vec sorted;
    mls__vec_init(&sorted, graph->allocator, sizeof(mls__node));
    for (size_t i = 0; i < graph->nodes.count; i++)
        if (!s->waiting[i])
            heap_push(s, i);
    while (s->heap_count) {
        const mls__node *node = mls__graph_node(graph, heap_pop(s));
        mls__node *slot = mls__vec_push(&sorted);
        if (!slot) {
            mls__vec_clear(&sorted);
            return mls__error_nomem(sizeof *slot);
        }
        *slot = *node;
        release_users(s, node);
    }
    if (sorted.count != graph->nodes.count) {
        mls__vec_clear(&sorted);
        return cycle_error(s);
    }
    mls__vec_clear(&graph->nodes);
    graph->nodes = sorted;
    return MLS_OK;
}

static mls_status run_sort(sorter *s, mls__graph *graph, uint32_t *scratch)
{
    mls_status status = note_producers(s);
    if (!status)
        status = check_inputs_unproduced(s);
    if (!status)
        status = check_readers(s);
    if (status)
        return status;
    note_users(s);
    fill_users(s, scratch);
    return order_nodes(s, graph);
}

static size_t count_reads(const mls__graph *graph)
{
    size_t reads = 0;
    for (size_t i = 0; i < graph->nodes.count; i++)
        reads += mls__graph_node(graph, i)->input_count;
    return reads;
}

/* Nodes that a pass removed go for good. */
static void drop_dead(mls__graph *graph)
{
    size_t kept = 0;
    for (size_t i = 0; i < graph->nodes.count; i++)
        if (!mls__graph_node(graph, i)->is_dead)
            *mls__graph_node(graph, kept++) = *mls__graph_node(graph, i);
    graph->nodes.count = kept;
}

mls_status mls__graph_sort(mls__graph *graph)
{
    drop_dead(graph);
    const size_t values = graph->values.count, nodes = graph->nodes.count;
    mls__arena arena;
    mls__arena_init(&arena, graph->allocator);
    sorter s = {
        .graph = graph,
        .producer = mls__arena_array(&arena, values, sizeof(uint32_t)),
        .waiting = mls__arena_array(&arena, nodes, sizeof(uint32_t)),
        .first_user = mls__arena_array(&arena, values + 1, sizeof(uint32_t)),
        .users = mls__arena_array(&arena, count_reads(graph), sizeof(uint32_t)),
        .heap = mls__arena_array(&arena, nodes, sizeof(uint64_t)),
    };
    uint32_t *scratch = mls__arena_array(&arena, values, sizeof *scratch);
    mls_status status;
    if (s.producer && s.waiting && s.first_user && s.users && s.heap && scratch)
        status = run_sort(&s, graph, scratch);
    else
        status = mls__error(MLS_ENOMEM, "out of memory while sorting %zu nodes", nodes);
    mls__arena_clear(&arena);
    return status;
}
