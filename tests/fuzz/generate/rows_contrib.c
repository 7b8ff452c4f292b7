/* SPDX-License-Identifier: Apache-2.0 */
/* The ops of com.microsoft that exported transformers carry. */
#include "fuzz/generate/pattern.h"

#define MS "com.microsoft:"

/* H heads, P values in all of them. */
static void bind_heads(gen *g)
{
    const int64_t size = gen_letter(g, 'P');
    int64_t heads = gen_between(g, 1, 4);
    while (size % heads)
        heads--;
    gen_set_letter(g, 'H', heads);
}

/* Ids of words, a table of them, one of positions, and a norm. */
static void embed(gen *g, const gen_row *row)
{
    const int32_t dtypes[] = {MLS_FLOAT32, MLS_INT32};
    const int64_t words = gen_between(g, 1, 20);
    gen_set_letter(g, 'V', words);
    gen_take(g, gen_input_between(g, MLS_INT32, 2, (const int64_t[]){2, 5}, 0, (double) words - 1));
    gen_take_name(g, NULL);
    gen_take_patterns(g, "f[V,D] f[9,D]", NULL);
    gen_take_name(g, NULL);
    gen_take_patterns(g, "f[D] f[D]", NULL);
    gen_node(g, row->op, row->flags, 2, dtypes);
}

static void rotary(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[N,C,S,2D]", NULL);
    const int64_t table[] = {40, gen_letter(g, 'D')}, place = gen_between(g, 0, 9);
    gen_take_name(g, gen_ints(g, MLS_INT64, 1, &place));
    gen_take_name(g, gen_constant(g, dtype, 2, table, -1, 1));
    gen_take_name(g, gen_constant(g, dtype, 2, table, -1, 1));
    gen_attrs(g, gen_node(g, row->op, 0, 1, &dtype), "?interleaved:0,1");
}

/* One step or a prompt, without what came before. */
static void group_query(gen *g, const gen_row *row)
{
    const int32_t dtypes[] = {MLS_FLOAT32, MLS_FLOAT32, MLS_FLOAT32};
    const int64_t heads = gen_between(g, 1, 4), shared = gen_chance(g, 2) ? heads : 1,
                  size = 8 * gen_between(g, 1, 2), batch = gen_between(g, 1, 3),
                  steps = gen_between(g, 1, 6);
    const int64_t q[] = {batch, steps, heads * size}, k[] = {batch, steps, heads / shared * size},
                  lengths[] = {steps - 1, steps - 1, steps - 1};
    gen_take(g, gen_input(g, MLS_FLOAT32, 3, q));
    gen_take(g, gen_input(g, MLS_FLOAT32, 3, k));
    gen_take(g, gen_input(g, MLS_FLOAT32, 3, k));
    gen_take_name(g, NULL);
    gen_take_name(g, NULL);
    gen_take_name(g, gen_ints(g, MLS_INT32, (size_t) batch, lengths));
    gen_take_name(g, gen_table(g, MLS_INT32, 0, NULL, &steps));
    onnx_node *node = gen_node(g, row->op, row->flags, 3, dtypes);
    onnx_node_int(node, "num_heads", heads);
    onnx_node_int(node, "kv_num_heads", heads / shared);
}

const gen_row gen_rows_contrib[] = {
    {.op = MS "Gelu", .dtypes = GEN_F32, .inputs = "T[*]", .outputs = "T"},
    {.op = MS "QuickGelu",
     .dtypes = GEN_F32,
     .inputs = "T[*]",
     .outputs = "T",
     .attrs = "?alpha:0.5,2.0"},
    {.op = MS "BiasGelu", .dtypes = GEN_F32, .inputs = "T[N,S,D] t[D]", .outputs = "T"},
    {.op = MS "FastGelu", .dtypes = GEN_F32, .inputs = "T[N,S,D] ?t[D]", .outputs = "T"},
    {.op = MS "SkipLayerNormalization",
     .dtypes = GEN_F32,
     .inputs = "T[N,S,D] T[N,S,D] t[D] ?t[D] ?t[D]",
     .outputs = "T",
     .attrs = "?epsilon:0.001,0.1",
     .flags = GEN_JUMPS},
    {.op = MS "SkipSimplifiedLayerNormalization",
     .dtypes = GEN_F32,
     .inputs = "T[N,S,D] T[N,S,D] t[D] ?t[D]",
     .outputs = "T",
     .attrs = "?epsilon:0.001,0.1",
     .flags = GEN_JUMPS},
    {.op = MS "EmbedLayerNormalization", .dtypes = 0, .flags = GEN_JUMPS, .make = embed},
    {.op = MS "MultiHeadAttention",
     .dtypes = GEN_F32,
     .inputs = "T[N,S,P] T[N,L,P] T[N,L,P]",
     .outputs = "T",
     .attrs = "num_heads:*H ?scale:0.1,1.0",
     .flags = GEN_JUMPS,
     .bind = bind_heads},
    {.op = MS "GroupQueryAttention", .dtypes = 0, .flags = GEN_JUMPS, .make = group_query},
    {.op = MS "RotaryEmbedding", .dtypes = GEN_F32, .make = rotary},
    {.op = NULL},
};
