/* SPDX-License-Identifier: Apache-2.0 */
/* Which ops a graph has, and the whole of it in words. */
#include "fuzz/generate/graph.h"

#include <stdio.h>
#include <string.h>

static void op_name(const mls__node_proto *node, char *name, size_t size)
{
    const bool has_domain = node->domain && node->domain[0];
    snprintf(name, size, "%s%s%s", has_domain ? node->domain : "", has_domain ? ":" : "",
             node->op_type);
}

void gen_each_op(const gen *g, void *arg, void (*each)(void *arg, const char *op))
{
    char name[96];
    const mls__graph_proto *graph = onnx_build_model(g->build)->graph;
    for (size_t i = 0; i < graph->n_node; i++) {
        op_name(graph->node[i], name, sizeof name);
        each(arg, name);
    }
}

static void print_value(const gen *g, const char *name)
{
    fprintf(stderr, " %s", name[0] ? name : "-");
    for (size_t i = 0; i < g->count; i++) {
        const gen_value *v = &g->values[i];
        if (strcmp(v->name, name) != 0)
            continue;
        fprintf(stderr, ":%s[", mls_dtype_name((mls_dtype) v->dtype));
        for (int k = 0; k < v->rank; k++)
            fprintf(stderr, "%s%lld", k ? "," : "", (long long) v->dims[k]);
        fputs("]", stderr);
    }
}

void gen_print(const gen *g)
{
    char name[96];
    const mls__graph_proto *graph = onnx_build_model(g->build)->graph;
    for (size_t i = 0; i < graph->n_node; i++) {
        const mls__node_proto *node = graph->node[i];
        op_name(node, name, sizeof name);
        fprintf(stderr, "  %s", name);
        for (size_t k = 0; k < node->n_input; k++)
            print_value(g, node->input[k]);
        fputs(" ->", stderr);
        for (size_t k = 0; k < node->n_output; k++)
            print_value(g, node->output[k]);
        for (size_t k = 0; k < node->n_attribute; k++)
            fprintf(stderr, " %s", node->attribute[k]->name);
        fputc('\n', stderr);
    }
}
