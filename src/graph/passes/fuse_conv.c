/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A convolution takes what follows it: a bias, then an image of the same shape that is added (the
 * residual), then an activation. The bytes of a float32 result do not change: each was rounded once
 * apart, and is fused. 16-bit floats are rounded once instead.
 */
#include "graph/passes/passes.h"

#include "base/error.h"
#include "graph/passes/images.h"
#include "graph/passes/matching.h"
#include "tensor/tensor.h"

#include <string.h>

/* Activations, and the attributes that become activation_alpha and activation_beta. */
static const struct activation {
    const char *type, *alpha, *beta;
} activations[] = {
    {"Relu", NULL, NULL},         {"Sigmoid", NULL, NULL},  {"Tanh", NULL, NULL},
    {"LeakyRelu", "alpha", NULL}, {"Elu", "alpha", NULL},   {"Selu", "alpha", "gamma"},
    {"Softplus", NULL, NULL},     {"Softsign", NULL, NULL}, {"HardSigmoid", "alpha", "beta"},
    {"HardSwish", NULL, NULL},    {"Mish", NULL, NULL},     {"Swish", "alpha", NULL},
    {"Clip", "min", "max"},
};

static const struct activation *find_activation(const mls__node *node)
{
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++)
        if (mls__node_is(node, activations[i].type))
            return &activations[i];
    return NULL;
}

typedef struct fuser {
    mls__graph *graph;
    mls__links links;
    mls__images images;
} fuser;

/* A convolution and what it takes; any of the nodes behind it may be missing. */
typedef struct match {
    mls__node *conv, *bias_add, *residual_add, *activation;
    uint32_t bias, residual;
} match;

/* --- matching -------------------------------------------------------------------------------- */

static bool is_conv(const fuser *f, const mls__node *node)
{
    const bool is_type = mls__node_is(node, "Conv") || mls__node_is(node, "ConvTranspose");
    return is_type && !node->is_dead && node->schema &&
           mls__is_known_weight(f->graph, mls__node_input(node, 1), 0);
}

/* Whether a constant adds one number to each of an image's channels. */
static bool is_bias(const mls_tensor *tensor, const mls__image *image)
{
    if (!tensor || tensor->count != image->channels || tensor->rank > image->rank + 2)
        return false;
    const int channels = tensor->rank - image->rank - 1;
    return channels >= 0 && tensor->dims[channels] == image->channels;
}

/* What an Add adds to `value`; MLS__NO_VALUE for a value added to itself. */
static uint32_t other_input(const mls__node *add, uint32_t value)
{
    if (add->input_count != 2 || add->inputs[0] == add->inputs[1])
        return MLS__NO_VALUE;
    return add->inputs[add->inputs[0] == value];
}

static mls__node *match_bias(const fuser *f, match *m, mls__node *last)
{
    const mls__image *image = mls__images_get(&f->images, last->outputs[0]);
    mls__node *next = mls__only_reader(&f->links, last);
    m->bias = mls__node_input(m->conv, 2);
    if (m->bias != MLS__NO_VALUE || !image || !next || !mls__node_adds(next))
        return last;
    for (size_t k = 0; k < 2; k++)
        if (is_bias(mls__node_constant(f->graph, next, k, MLS_FLOAT32), image)) {
            m->bias = next->inputs[k];
            m->bias_add = next;
            return next;
        }
    return last;
}

static mls__node *match_residual(const fuser *f, match *m, mls__node *last)
{
    const mls__image *image = mls__images_get(&f->images, last->outputs[0]);
    mls__node *next = mls__only_reader(&f->links, last);
    if (!image || !next || !mls__node_adds(next))
        return last;
    const uint32_t other = other_input(next, last->outputs[0]);
    const mls__image *added = other == MLS__NO_VALUE ? NULL : mls__images_get(&f->images, other);
    if (!added || !mls__image_equal(image, added))
        return last;
    m->residual = other;
    m->residual_add = next;
    return next;
}

/* Whether both bounds of a Clip, if given, are constants. */
static bool has_known_bounds(const fuser *f, const mls__node *clip)
{
    for (size_t k = 1; k < 3; k++) {
        const mls_tensor *bound = mls__node_constant(f->graph, clip, k, MLS_FLOAT32);
        if (mls__node_input(clip, k) != MLS__NO_VALUE && (!bound || bound->count != 1))
            return false;
    }
    return true;
}

static match find_match(const fuser *f, mls__node *conv)
{
    match m = {.conv = conv, .bias = MLS__NO_VALUE, .residual = MLS__NO_VALUE};
    mls__node *last = match_bias(f, &m, conv);
    last = match_residual(f, &m, last);
    mls__node *next = mls__only_reader(&f->links, last);
    if (next && find_activation(next) && next->inputs[0] == last->outputs[0] &&
        (!mls__node_is(next, "Clip") || has_known_bounds(f, next)))
        m.activation = next;
    return m;
}

/* --- fusing ---------------------------------------------------------------------------------- */

/* A parameter of an activation, from an attribute or (Clip) from input k. */
static bool find_parameter(const fuser *f, const mls__node *node, const char *name, size_t k,
                           float *ret_value)
{
    const mls_attr *attr = name ? mls__node_attr(node, name) : NULL;
    const mls_tensor *bound =
        mls__node_is(node, "Clip") ? mls__node_constant(f->graph, node, k, MLS_FLOAT32) : NULL;
    if (bound)
        memcpy(ret_value, bound->data, sizeof *ret_value);
    else if (attr && attr->type == MLS_ATTR_FLOAT)
        *ret_value = attr->f;
    return bound || (attr && attr->type == MLS_ATTR_FLOAT);
}

static mls_status set_activation(const fuser *f, mls__node *fused, const mls__node *activation)
{
    const struct activation *row = find_activation(activation);
    const size_t count = fused->attr_count;
    mls_attr *attrs = mls__arena_array(&f->graph->arena, count + 3, sizeof *attrs);
    mls_string *name = mls__arena_alloc(&f->graph->arena, sizeof *name);
    if (!attrs || !name)
        return mls__error_nomem((count + 3) * sizeof *attrs);
    if (count)
        memcpy(attrs, fused->attrs, count * sizeof *attrs);
    *name = (mls_string){row->type, strlen(row->type)};
    mls_attr *next = attrs + count;
    *next++ =
        (mls_attr){.name = "activation", .type = MLS_ATTR_STRING, .count = 1, .strings = name};
    float value;
    if (find_parameter(f, activation, row->alpha, 1, &value))
        *next++ =
            (mls_attr){.name = "activation_alpha", .type = MLS_ATTR_FLOAT, .count = 1, .f = value};
    if (find_parameter(f, activation, row->beta, 2, &value))
        *next++ =
            (mls_attr){.name = "activation_beta", .type = MLS_ATTR_FLOAT, .count = 1, .f = value};
    fused->attrs = attrs;
    fused->attr_count = (size_t) (next - attrs);
    return MLS_OK;
}

static void kill_nodes(const match *m)
{
    mls__node *const nodes[] = {m->conv, m->bias_add, m->residual_add, m->activation};
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
        if (nodes[i])
            nodes[i]->is_dead = true;
}

static mls_status fuse(fuser *f, const match *m)
{
    const mls__node *last = m->activation     ? m->activation
                            : m->residual_add ? m->residual_add
                            : m->bias_add     ? m->bias_add
                                              : m->conv;
    const mls__node conv = *m->conv; /* the nodes move when one is added */
    const mls__node activation = m->activation ? *m->activation : conv;
    const uint32_t out = last->outputs[0];
    const uint32_t inputs[] = {conv.inputs[0], conv.inputs[1], m->bias, m->residual};
    const size_t count = m->residual != MLS__NO_VALUE ? 4 : m->bias != MLS__NO_VALUE ? 3 : 2;
    const char *type = mls__node_is(&conv, "Conv") ? "FusedConv" : "FusedConvTranspose";
    kill_nodes(m);
    mls__node *fused;
    const mls_status status =
        mls__graph_add_node(f->graph, MLS__DOMAIN_FUSED, type, count, 1, &fused);
    if (status)
        return status;
    fused->name = conv.name;
    memcpy(fused->inputs, inputs, count * sizeof *inputs);
    fused->outputs[0] = out;
    fused->attrs = conv.attrs;
    fused->attr_count = conv.attr_count;
    return m->activation ? set_activation(f, fused, &activation) : MLS_OK;
}

static mls_status fuse_all(fuser *f, bool *ret_changed)
{
    mls_status status = MLS_OK;
    const size_t count = f->graph->nodes.count;
    for (size_t i = 0; !status && i < count; i++) {
        mls__node *node = mls__graph_node(f->graph, i);
        if (!is_conv(f, node))
            continue;
        const match m = find_match(f, node);
        status = fuse(f, &m);
        *ret_changed = true;
    }
    return status;
}

mls_status mls__pass_fuse_conv(mls__graph *graph, bool *ret_changed)
{
    fuser f = {.graph = graph};
    mls_status status = mls__links_find(graph, &f.links);
    if (status)
        return status;
    status = mls__images_find(graph, &f.images);
    if (!status) {
        status = fuse_all(&f, ret_changed);
        mls__images_free(&f.images);
    }
    mls__links_free(&f.links);
    return status;
}
