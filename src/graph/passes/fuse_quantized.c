/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops between DequantizeLinear and QuantizeLinear become ops on the quantized elements: Conv
 * becomes QLinearConv, MatMul QLinearMatMul, Gemm QGemm, and Add, Mul and GlobalAveragePool theirs
 * of com.microsoft. A Relu or Clip before QuantizeLinear goes where the range of the quantized
 * type bounds the values alike.
 *
 * Add and Mul keep their bytes. The others sum exactly, in integers, what the pieces sum in
 * float32 with a rounding at each step: where a value lies next to a tie, the element may be one
 * step of the quantized type away, never more as long as the float32 sum is off by less than half
 * a step.
 */
#include "graph/passes/passes.h"

#include "base/error.h"
#include "graph/passes/matching.h"
#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

/* What a bias's scale may be off from the product of the other two, relatively. */
#define SCALE_TOLERANCE 0x1p-20f

enum { MOST_INPUTS = 9 };

/* A QuantizeLinear or DequantizeLinear whose scales and zero points are constants. */
typedef struct quantizer {
    uint32_t data; /* the quantized elements that a DequantizeLinear reads */
    uint32_t scale, zero;
    const mls_tensor *scales, *zeros; /* zeros is NULL where there are none */
    int32_t dtype;                    /* of the quantized elements */
    int64_t axis;                     /* as written */
} quantizer;

/* An op to be replaced. */
typedef struct match {
    mls__node *op, *bound, *last; /* bound: a Relu or Clip, or NULL; last: QuantizeLinear */
    quantizer y;
} match;

/* The op that takes its place. */
typedef struct replacement {
    const char *domain, *type;
    uint32_t inputs[MOST_INPUTS];
    size_t input_count;
    bool keeps_attrs;
} replacement;

/* --- values ---------------------------------------------------------------------------------- */

static bool is_quantizer(const mls__node *node, const char *type)
{
    return node && node->schema && strcmp(node->type, type) == 0 &&
           (node->domain[0] == '\0' || strcmp(node->domain, "com.microsoft") == 0);
}

static uint32_t origin(const mls__links *links, uint32_t value);

static int32_t dtype_of(const mls__links *links, uint32_t value)
{
    const mls__value *v = mls__graph_value(links->graph, value);
    if (v->constant)
        return v->constant->dtype;
    /* Dead ones, too: the op that took its place gives the same dtype. */
    const size_t index = value < links->value_count ? links->giver[value] : SIZE_MAX;
    const mls__node *giver = index == SIZE_MAX ? NULL : mls__graph_node(links->graph, index);
    if (is_quantizer(giver, "QuantizeLinear") && mls__node_input(giver, 2) != MLS__NO_VALUE)
        return dtype_of(links, origin(links, giver->inputs[2]));
    return v->dtype;
}

/* Whether a node gives what it is given: exporters cast quantized elements to their own dtype. */
static bool is_copy(const mls__links *links, const mls__node *node)
{
    if (!node || !node->input_count || node->inputs[0] == MLS__NO_VALUE)
        return false;
    if (mls__node_is(node, "Identity"))
        return true;
    return mls__node_is(node, "Cast") &&
           mls__node_int(node, "to", 0) == dtype_of(links, node->inputs[0]);
}

/* The value that this one is a copy of. */
static uint32_t origin(const mls__links *links, uint32_t value)
{
    const mls__node *giver = mls__giver(links, value);
    while (is_copy(links, giver)) {
        value = giver->inputs[0];
        giver = mls__giver(links, value);
    }
    return value;
}

static const mls_tensor *constant_of(const mls__links *links, uint32_t value)
{
    return value == MLS__NO_VALUE ? NULL : mls__graph_value(links->graph, value)->constant;
}

static bool is_byte(int32_t dtype)
{
    return dtype == MLS_INT8 || dtype == MLS_UINT8;
}

static bool read_quantizer(const mls__links *links, const mls__node *node, quantizer *ret_q)
{
    const uint32_t zero = mls__node_input(node, 2);
    if (mls__node_input(node, 0) == MLS__NO_VALUE || mls__node_input(node, 1) == MLS__NO_VALUE)
        return false;
    quantizer q = {.data = origin(links, node->inputs[0]),
                   .scale = origin(links, node->inputs[1]),
                   .zero = zero == MLS__NO_VALUE ? zero : origin(links, zero),
                   .axis = mls__node_int(node, "axis", 1)};
    q.scales = constant_of(links, q.scale);
    q.zeros = constant_of(links, q.zero);
    if (!q.scales || q.scales->dtype != MLS_FLOAT32 || mls__node_int(node, "block_size", 0))
        return false;
    if (zero != MLS__NO_VALUE && (!q.zeros || q.zeros->count != q.scales->count))
        return false;
    q.dtype = q.zeros ? q.zeros->dtype : dtype_of(links, q.data);
    *ret_q = q;
    return true;
}

/* The DequantizeLinear that gives a value. */
static bool read_dequantizer(const mls__links *links, uint32_t value, quantizer *ret_q)
{
    if (value == MLS__NO_VALUE)
        return false;
    const mls__node *giver = mls__giver(links, origin(links, value));
    return is_quantizer(giver, "DequantizeLinear") && read_quantizer(links, giver, ret_q);
}

/* Bytes with one scale for all. */
static bool read_operand(const mls__links *links, uint32_t value, quantizer *ret_q)
{
    return read_dequantizer(links, value, ret_q) && ret_q->scales->count == 1 &&
           is_byte(ret_q->dtype);
}

/* Constant bytes with one scale for all, or one for each index of `axis`. */
static bool read_weights(const mls__links *links, uint32_t value, int rank, int axis,
                         quantizer *ret_q)
{
    quantizer q;
    if (!read_dequantizer(links, value, &q) || !is_byte(q.dtype))
        return false;
    const mls_tensor *weights = constant_of(links, q.data);
    if (!weights || (rank && weights->rank != rank))
        return false;
    const int64_t own = q.axis < 0 ? q.axis + weights->rank : q.axis;
    if (q.scales->count != 1 && (q.scales->rank != 1 || own != axis))
        return false;
    *ret_q = q;
    return true;
}

static bool is_zero(const mls_tensor *zeros)
{
    const int32_t *elements = zeros ? zeros->data : NULL;
    for (int64_t i = 0; zeros && i < zeros->count; i++)
        if (elements[i])
            return false;
    return true;
}

/* A constant int32 bias whose scales are the products of the operands'. */
static bool read_bias(const mls__links *links, uint32_t value, const quantizer *x,
                      const quantizer *w, uint32_t *ret_bias)
{
    quantizer q;
    *ret_bias = MLS__NO_VALUE;
    if (value == MLS__NO_VALUE)
        return true;
    if (!read_dequantizer(links, value, &q) || q.dtype != MLS_INT32 || !is_zero(q.zeros))
        return false;
    const mls_tensor *bias = constant_of(links, q.data);
    if (!bias || bias->rank != 1 || (q.scales->count != 1 && q.scales->count != bias->count))
        return false;
    const float *given = q.scales->data, *x_scale = x->scales->data, *w_scales = w->scales->data;
    if (w->scales->count != 1 && w->scales->count != bias->count)
        return false;
    for (int64_t i = 0; i < bias->count; i++) {
        const float expected = *x_scale * w_scales[w->scales->count > 1 ? i : 0];
        const float scale = given[q.scales->count > 1 ? i : 0];
        if (!(fabsf(scale - expected) <= SCALE_TOLERANCE * fabsf(expected)))
            return false;
    }
    *ret_bias = q.data;
    return true;
}

/* --- bounds ---------------------------------------------------------------------------------- */

static float lowest_of(int32_t dtype)
{
    return dtype == MLS_INT8 ? -128 : 0;
}

/* What QuantizeLinear makes of a value. */
static float code_of(const quantizer *q, float value)
{
    const float zero =
        q->dtype == MLS_INT8 ? *(const int8_t *) q->zeros->data : *(const uint8_t *) q->zeros->data;
    const float lowest = lowest_of(q->dtype);
    const float code = rintf(value / *(const float *) q->scales->data) + zero;
    return fminf(fmaxf(code, lowest), lowest + 255);
}

/* A bound of a Clip: input `k`, or the attribute that it was; false where it is not known. */
static bool read_bound(const mls__links *links, const mls__node *clip, size_t k, const char *name,
                       float *ret_bound)
{
    const uint32_t value = mls__node_input(clip, k);
    const mls_attr *attr = mls__node_attr(clip, name);
    if (attr && attr->type == MLS_ATTR_FLOAT)
        *ret_bound = attr->f;
    if (value == MLS__NO_VALUE)
        return true;
    const mls_tensor *bound = constant_of(links, origin(links, value));
    if (!bound || bound->dtype != MLS_FLOAT32 || bound->count != 1)
        return false;
    *ret_bound = *(const float *) bound->data;
    return true;
}

/* Whether quantizing bounds the values as the node does: its bounds have the outermost codes. */
static bool is_bound(const mls__links *links, const mls__node *node, const quantizer *y)
{
    float low = -INFINITY, high = INFINITY;
    if (mls__node_is(node, "Relu"))
        low = 0;
    else if (!mls__node_is(node, "Clip") || !read_bound(links, node, 1, "min", &low) ||
             !read_bound(links, node, 2, "max", &high))
        return false;
    const float lowest = lowest_of(y->dtype);
    return code_of(y, low) == lowest && code_of(y, high) == lowest + 255;
}

/* --- ops ------------------------------------------------------------------------------------- */

static void put(replacement *r, const quantizer *q)
{
    const uint32_t values[] = {q->data, q->scale, q->zero};
    for (size_t i = 0; i < 3; i++)
        r->inputs[r->input_count++] = values[i];
}

static void put_y(replacement *r, const quantizer *y)
{
    r->inputs[r->input_count++] = y->scale;
    r->inputs[r->input_count++] = y->zero;
}

static bool replace_conv(const mls__links *links, const match *m, replacement *ret_r)
{
    quantizer x, w;
    uint32_t bias;
    if (!read_operand(links, m->op->inputs[0], &x) ||
        !read_weights(links, m->op->inputs[1], 0, 0, &w) ||
        !read_bias(links, mls__node_input(m->op, 2), &x, &w, &bias))
        return false;
    *ret_r = (replacement){.domain = "", .type = "QLinearConv", .keeps_attrs = true};
    put(ret_r, &x);
    put(ret_r, &w);
    put_y(ret_r, &m->y);
    if (bias != MLS__NO_VALUE)
        ret_r->inputs[ret_r->input_count++] = bias;
    return true;
}

static bool replace_matmul(const mls__links *links, const match *m, replacement *ret_r)
{
    quantizer a, b;
    if (!read_operand(links, m->op->inputs[0], &a) ||
        (!read_operand(links, m->op->inputs[1], &b) &&
         !read_weights(links, m->op->inputs[1], 2, 1, &b)))
        return false;
    *ret_r = (replacement){.domain = "", .type = "QLinearMatMul"};
    put(ret_r, &a);
    put(ret_r, &b);
    put_y(ret_r, &m->y);
    return true;
}

static bool is_one(const mls__node *node, const char *name)
{
    const mls_attr *attr = mls__node_attr(node, name);
    return !attr || (attr->type == MLS_ATTR_FLOAT && attr->f == 1);
}

static bool replace_gemm(const mls__links *links, const match *m, replacement *ret_r)
{
    const int axis = mls__node_int(m->op, "transB", 0) ? 0 : 1;
    quantizer a, b;
    uint32_t bias;
    if (!is_one(m->op, "alpha") || !is_one(m->op, "beta") ||
        !read_operand(links, m->op->inputs[0], &a) ||
        !read_weights(links, m->op->inputs[1], 2, axis, &b) ||
        !read_bias(links, mls__node_input(m->op, 2), &a, &b, &bias))
        return false;
    *ret_r = (replacement){.domain = "com.microsoft", .type = "QGemm", .keeps_attrs = true};
    put(ret_r, &a);
    put(ret_r, &b);
    ret_r->inputs[ret_r->input_count++] = bias;
    put_y(ret_r, &m->y);
    return true;
}

static bool replace_binary(const mls__links *links, const match *m, replacement *ret_r)
{
    quantizer a, b;
    if (m->op->input_count != 2 || !read_operand(links, m->op->inputs[0], &a) ||
        !read_operand(links, m->op->inputs[1], &b) || a.dtype != b.dtype || a.dtype != m->y.dtype)
        return false;
    *ret_r = (replacement){.domain = "com.microsoft",
                           .type = mls__node_is(m->op, "Add") ? "QLinearAdd" : "QLinearMul"};
    put(ret_r, &a);
    put(ret_r, &b);
    put_y(ret_r, &m->y);
    return true;
}

static bool replace_pool(const mls__links *links, const match *m, replacement *ret_r)
{
    quantizer x;
    if (!read_operand(links, m->op->inputs[0], &x) || x.dtype != m->y.dtype)
        return false;
    *ret_r = (replacement){.domain = "com.microsoft", .type = "QLinearGlobalAveragePool"};
    put(ret_r, &x);
    put_y(ret_r, &m->y);
    return true;
}

static const struct {
    const char *type;
    bool (*replace)(const mls__links *links, const match *m, replacement *ret_r);
} ops[] = {
    {"Conv", replace_conv},  {"MatMul", replace_matmul}, {"Gemm", replace_gemm},
    {"Add", replace_binary}, {"Mul", replace_binary},    {"GlobalAveragePool", replace_pool},
};

static bool find_replacement(const mls__links *links, const match *m, replacement *ret_r)
{
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (mls__node_is(m->op, ops[i].type))
            return m->op->schema && ops[i].replace(links, m, ret_r);
    return false;
}

/* --- the graph ------------------------------------------------------------------------------- */

/* The node that gives input 0 of `node`, if nothing else reads it. */
static mls__node *only_giver(const mls__links *links, const mls__node *node)
{
    mls__node *giver = node->input_count && node->inputs[0] != MLS__NO_VALUE
                           ? mls__giver(links, node->inputs[0])
                           : NULL;
    return giver && mls__only_reader(links, giver) == node ? giver : NULL;
}

static bool find_match(const mls__links *links, mls__node *last, match *ret_match)
{
    match m = {.last = last};
    if (last->is_dead || !is_quantizer(last, "QuantizeLinear") ||
        !read_quantizer(links, last, &m.y) || m.y.scales->count != 1 || !m.y.zeros ||
        !is_byte(m.y.dtype))
        return false;
    m.op = only_giver(links, last);
    if (m.op && is_bound(links, m.op, &m.y)) {
        m.bound = m.op;
        m.op = only_giver(links, m.bound);
    }
    *ret_match = m;
    return m.op != NULL;
}

/* Those of the op that its replacement has too: QGemm has no beta, which is 1. */
static mls_status keep_attrs(mls__graph *graph, mls__node *node, const mls__node *op)
{
    mls_attr *attrs = mls__arena_array(&graph->arena, op->attr_count, sizeof *attrs);
    mls__attr_form form;
    if (!attrs)
        return mls__error_nomem(op->attr_count * sizeof *attrs);
    for (size_t i = 0; i < op->attr_count; i++)
        if (mls__attr_form_find(node->schema->attrs, op->attrs[i].name, &form))
            attrs[node->attr_count++] = op->attrs[i];
    node->attrs = attrs;
    return MLS_OK;
}

static mls_status apply(mls__graph *graph, const match *m, const replacement *r)
{
    const mls__node op = *m->op; /* the nodes move when one is added */
    const uint32_t output = m->last->outputs[0];
    m->op->is_dead = m->last->is_dead = true;
    if (m->bound)
        m->bound->is_dead = true;
    mls__node *node;
    const mls_status status =
        mls__graph_add_node(graph, r->domain, r->type, r->input_count, 1, &node);
    if (status)
        return status;
    node->name = op.name;
    memcpy(node->inputs, r->inputs, r->input_count * sizeof *r->inputs);
    node->outputs[0] = output;
    return r->keeps_attrs ? keep_attrs(graph, node, &op) : MLS_OK;
}

static mls_status visit(mls__graph *graph, const mls__links *links, mls__node *node,
                        bool *ret_changed)
{
    match m;
    replacement r;
    if (!find_match(links, node, &m) || !find_replacement(links, &m, &r))
        return MLS_OK;
    *ret_changed = true;
    return apply(graph, &m, &r);
}

mls_status mls__pass_fuse_quantized(mls__graph *graph, bool *ret_changed)
{
    return mls__visit_nodes(graph, visit, ret_changed);
}
