/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A convolution takes the zeros that a Pad before it has put around images as pads of its own. No
 * byte of a result changes, but for the sign of a zero, and where weights are not finite: a
 * convolution passes over its padding.
 */
#include "graph/passes/passes.h"

#include "base/error.h"
#include "graph/passes/matching.h"
#include "tensor/tensor.h"

#include <string.h>

/* The sum of both is far from what overflows. */
#define MOST_PAD (INT64_C(1) << 30)

static bool is_text(const mls_attr *attr, const char *text)
{
    return attr->type == MLS_ATTR_STRING && attr->strings[0].size == strlen(text) &&
           memcmp(attr->strings[0].data, text, strlen(text)) == 0;
}

/* Whether what a Pad puts there is zero. */
static bool pads_zeros(const mls__graph *graph, const mls__node *pad)
{
    const mls_attr *mode = mls__node_attr(pad, "mode");
    const mls_tensor *value = mls__node_constant(graph, pad, 2, MLS_FLOAT32);
    if (mode && !is_text(mode, "constant"))
        return false;
    if (mls__node_input(pad, 2) == MLS__NO_VALUE)
        return true;
    return value && value->count == 1 && *(const float *) value->data == 0;
}

/* The pads of a Pad of so many spatial dimensions, none but those padded; NULL if it is another. */
static const int64_t *pads_of(const mls__graph *graph, const mls__node *pad, int rank)
{
    const mls_tensor *pads = mls__node_constant(graph, pad, 1, MLS_INT64);
    if (!mls__node_is(pad, "Pad") || !pads || mls__node_input(pad, 3) != MLS__NO_VALUE ||
        pads->count != 2 * (rank + 2) || !pads_zeros(graph, pad))
        return NULL;
    const int64_t *values = pads->data;
    for (int i = 0; i < rank + 2; i++) {
        const int64_t before = values[i], after = values[rank + 2 + i];
        const int64_t most = i < 2 ? 0 : MOST_PAD;
        if (before < 0 || after < 0 || before > most || after > most)
            return NULL;
    }
    return values;
}

/* The spatial dimensions of a Conv whose pads, if any, are given by numbers; 0 if it is another. */
static int rank_of(const mls__graph *graph, const mls__node *conv)
{
    const uint32_t w = mls__node_input(conv, 1);
    const mls_attr *mode = mls__node_attr(conv, "auto_pad");
    const mls_attr *pads = mls__node_attr(conv, "pads");
    if (!mls__node_is(conv, "Conv") || !conv->schema || !mls__is_known_float(graph, w, 0) ||
        (mode && !is_text(mode, "NOTSET")))
        return 0;
    const int rank = mls__graph_value(graph, w)->rank - 2;
    if (pads && (pads->type != MLS_ATTR_INTS || pads->count != 2 * (size_t) rank))
        return 0;
    for (size_t i = 0; pads && i < pads->count; i++)
        if (pads->ints[i] < 0 || pads->ints[i] > MOST_PAD)
            return 0;
    return rank > 0 ? rank : 0;
}

/* The attributes of `conv` with `added` on top of its pads. */
static mls_status set_pads(mls__graph *graph, mls__node *conv, int rank, const int64_t *added)
{
    const mls_attr *own = mls__node_attr(conv, "pads");
    const size_t count = conv->attr_count;
    mls_attr *attrs = mls__arena_array(&graph->arena, count + 1, sizeof *attrs);
    int64_t *pads = mls__arena_array(&graph->arena, 2 * (size_t) rank, sizeof *pads);
    if (!attrs || !pads)
        return mls__error_nomem((count + 1) * sizeof *attrs);
    for (int i = 0; i < rank; i++) {
        pads[i] = added[2 + i] + (own ? own->ints[i] : 0);
        pads[rank + i] = added[rank + 4 + i] + (own ? own->ints[rank + i] : 0);
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (&conv->attrs[i] != own)
            attrs[kept++] = conv->attrs[i];
    attrs[kept++] =
        (mls_attr){.name = "pads", .type = MLS_ATTR_INTS, .count = 2 * (size_t) rank, .ints = pads};
    conv->attrs = attrs;
    conv->attr_count = kept;
    return MLS_OK;
}

static mls_status visit(mls__graph *graph, const mls__links *links, mls__node *conv,
                        bool *ret_changed)
{
    const int rank = rank_of(graph, conv);
    mls__node *pad = rank ? mls__giver(links, conv->inputs[0]) : NULL;
    const int64_t *pads = pad ? pads_of(graph, pad, rank) : NULL;
    if (!pads || mls__only_reader(links, pad) != conv)
        return MLS_OK;
    const mls_status status = set_pads(graph, conv, rank, pads);
    conv->inputs[0] = pad->inputs[0];
    pad->is_dead = true;
    *ret_changed = true;
    return status;
}

mls_status mls__pass_fold_pad(mls__graph *graph, bool *ret_changed)
{
    return mls__visit_nodes(graph, visit, ret_changed);
}
