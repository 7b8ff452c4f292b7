/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions, what sorts and scans along an axis, and norms. */
#include "fuzz/generate/pattern.h"

/* Some of the axes, or all. */
static void reduce(gen *g, const gen_row *row)
{
    int64_t axes[GEN_RANK];
    const int32_t dtype = gen_dtype(g);
    size_t count = 0;
    gen_take_patterns(g, "T[+]", NULL);
    const int rank = gen_first(g)->rank;
    for (int i = 0; i < rank; i++)
        if (gen_chance(g, 2))
            axes[count++] = gen_chance(g, 3) ? i - rank : i;
    if (count)
        gen_take_name(g, gen_ints(g, MLS_INT64, count, axes));
    onnx_node *node = gen_node(g, row->op, row->flags, 1, &dtype);
    gen_attrs(g, node, "?keepdims:0,1");
    if (gen_chance(g, 8) && !count)
        onnx_node_int(node, "noop_with_empty_axes", 1);
}

static void top_k(gen *g, const gen_row *row)
{
    const int32_t dtypes[] = {gen_dtype(g), MLS_INT64};
    gen_take_patterns(g, "T[+]", gen_bind_axis);
    const int64_t k = gen_between(g, 1, gen_letter(g, 'X')), axis = gen_letter(g, 'a');
    gen_take_name(g, gen_ints(g, MLS_INT64, 1, &k));
    onnx_node *node = gen_node(g, row->op, GEN_JUMPS, 2, dtypes);
    onnx_node_int(node, "axis", axis);
    gen_attrs(g, node, "?largest:0,1");
}

static void cum_sum(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[+]", gen_bind_axis);
    const int64_t axis = gen_letter(g, 'a');
    gen_take_name(g, gen_table(g, MLS_INT64, 0, NULL, &axis));
    gen_attrs(g, gen_node(g, row->op, row->flags, 1, &dtype), "?exclusive:0,1 ?reverse:0,1");
}

/* The scale and bias of what lies from the axis on. */
static void layer_norm(gen *g, const gen_row *row)
{
    const int32_t dtypes[] = {gen_dtype(g), 0, 0};
    gen_take_patterns(g, "T[+]", NULL);
    const gen_value first = *gen_first(g);
    const int64_t axis = gen_between(g, 0, first.rank - 1);
    const int rank = first.rank - (int) axis;
    const bool has_bias = row->outputs && gen_chance(g, 2);
    gen_take_name(g, gen_constant(g, dtypes[0], rank, first.dims + axis, 0.5, 2));
    if (has_bias)
        gen_take_name(g, gen_constant(g, dtypes[0], rank, first.dims + axis, -1, 1));
    onnx_node *node = gen_node(g, row->op, row->flags, 1, dtypes);
    onnx_node_int(node, "axis", gen_chance(g, 2) ? axis : axis - first.rank);
    gen_attrs(g, node, "?epsilon:0.001,0.1");
}

static void mean_variance(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[N,C,H,W]", NULL);
    onnx_node *node = gen_node(g, row->op, row->flags, 1, &dtype);
    if (gen_chance(g, 2))
        onnx_node_ints(node, "axes", 2, (const int64_t[]){2, 3});
}

/* Groups that divide the channels. */
static void bind_groups(gen *g)
{
    const int64_t channels = gen_letter(g, 'C');
    int64_t groups = gen_between(g, 1, channels);
    while (channels % groups)
        groups--;
    gen_set_letter(g, 'G', groups);
}

#define REDUCE(op, dtypes, flags)                                                                  \
    {                                                                                              \
        op, dtypes, NULL, NULL, NULL, flags, NULL, NULL, reduce                                    \
    }
#define ALONG(op, flags)                                                                           \
    {                                                                                              \
        op, GEN_FLOATS, "T[+]", "T", "?axis:axis", flags, NULL, NULL, NULL                         \
    }

const gen_row gen_rows_reductions[] = {
    REDUCE("ReduceSum", GEN_FLOATS | GEN_LONGS, 0),
    REDUCE("ReduceMean", GEN_FLOATS | GEN_LONGS, GEN_ROUNDS),
    REDUCE("ReduceProd", GEN_FLOATS | GEN_LONGS, GEN_JUMPS),
    REDUCE("ReduceL1", GEN_FLOATS | GEN_LONGS, 0),
    REDUCE("ReduceL2", GEN_FLOATS, GEN_JUMPS),
    REDUCE("ReduceSumSquare", GEN_FLOATS | GEN_LONGS, GEN_JUMPS),
    REDUCE("ReduceLogSum", GEN_FLOATS, GEN_JUMPS),
    REDUCE("ReduceLogSumExp", GEN_FLOATS, GEN_JUMPS),
    REDUCE("ReduceMax", GEN_FLOATS | GEN_LONGS | GEN_BIT(MLS_INT8) | GEN_BIT(MLS_UINT8), 0),
    REDUCE("ReduceMin", GEN_FLOATS | GEN_LONGS | GEN_BIT(MLS_INT8) | GEN_BIT(MLS_UINT8), 0),
    {.op = "ArgMax",
     .dtypes = GEN_FLOATS | GEN_INTS,
     .inputs = "T[+]",
     .outputs = "I",
     .attrs = "?axis:axis ?keepdims:0,1 ?select_last_index:0,1",
     .flags = GEN_JUMPS},
    {.op = "ArgMin",
     .dtypes = GEN_FLOATS | GEN_INTS,
     .inputs = "T[+]",
     .outputs = "I",
     .attrs = "?axis:axis ?keepdims:0,1 ?select_last_index:0,1",
     .flags = GEN_JUMPS},
    {.op = "TopK", .dtypes = GEN_FLOATS | GEN_LONGS, .make = top_k},
    {.op = "CumSum", .dtypes = GEN_FLOATS | GEN_LONGS, .make = cum_sum},
    {.op = "CumProd", .dtypes = GEN_FLOATS | GEN_LONGS, .flags = GEN_JUMPS, .make = cum_sum},
    ALONG("Softmax", GEN_ROUNDS),
    ALONG("LogSoftmax", 0),
    ALONG("Hardmax", GEN_JUMPS),
    {.op = "LpNormalization",
     .dtypes = GEN_FLOATS,
     .inputs = "T[+]",
     .outputs = "T",
     .attrs = "?axis:axis ?p:1,2",
     .flags = GEN_JUMPS},
    {.op = "LayerNormalization",
     .dtypes = GEN_FLOATS,
     .outputs = "bias",
     .flags = GEN_ROUNDS | GEN_JUMPS,
     .make = layer_norm},
    {.op = "RMSNormalization",
     .dtypes = GEN_FLOATS,
     .flags = GEN_ROUNDS | GEN_JUMPS,
     .make = layer_norm},
    {.op = "SimplifiedLayerNormalization",
     .dtypes = GEN_FLOATS,
     .flags = GEN_ROUNDS | GEN_JUMPS,
     .make = layer_norm},
    {.op = "BatchNormalization",
     .dtypes = GEN_FLOATS,
     .inputs = "T[N,C,*] t[C] t[C] t[C] p[C]",
     .outputs = "T",
     .attrs = "?epsilon:0.001,0.1",
     .flags = GEN_ROUNDS},
    {.op = "InstanceNormalization",
     .dtypes = GEN_FLOATS,
     .inputs = "T[N,C,H,W] t[C] t[C]",
     .outputs = "T",
     .attrs = "?epsilon:0.001,0.1",
     .flags = GEN_ROUNDS | GEN_JUMPS},
    {.op = "GroupNormalization",
     .dtypes = GEN_FLOATS,
     .inputs = "T[N,C,H,W] t[C] t[C]",
     .outputs = "T",
     .attrs = "num_groups:*G ?epsilon:0.001,0.1",
     .flags = GEN_ROUNDS | GEN_JUMPS,
     .bind = bind_groups},
    {.op = "LRN",
     .dtypes = GEN_FLOATS,
     .inputs = "T[N,C,H,W]",
     .outputs = "T",
     .attrs = "size:1,5 ?alpha:0.0,0.5 ?beta:0.1,1.0 ?bias:0.5,2.0"},
    {.op = "MeanVarianceNormalization",
     .dtypes = GEN_FLOATS,
     .flags = GEN_ROUNDS | GEN_JUMPS,
     .make = mean_variance},
    {.op = "Det", .dtypes = GEN_WIDE, .inputs = "T[N,K,K]", .outputs = "T", .flags = GEN_JUMPS},
    {.op = "NegativeLogLikelihoodLoss",
     .dtypes = GEN_WIDE,
     .inputs = "T[N,C,D] I<C[N,D] ?t[C]",
     .outputs = "T",
     .attrs = "reduction:none|sum|mean",
     .flags = GEN_JUMPS},
    {.op = "SoftmaxCrossEntropyLoss",
     .dtypes = GEN_WIDE,
     .inputs = "T[N,C,D] I<C[N,D] ?p[C]",
     .outputs = "T-T",
     .attrs = "reduction:none|sum|mean",
     .flags = GEN_JUMPS},
    {.op = NULL},
};
