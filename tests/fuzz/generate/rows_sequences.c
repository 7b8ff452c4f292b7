/* SPDX-License-Identifier: Apache-2.0 */
/* Recurrent layers, attention, windows over time. */
#include "fuzz/generate/pattern.h"

#include <string.h>

/* One or two directions, over [time, batch, features] or [batch, time, features]. */
static void recurrent(gen *g, const gen_row *row)
{
    static const char *const directions[] = {"forward", "reverse", "bidirectional"};
    const int32_t dtype = gen_dtype(g);
    const int64_t gates = strcmp(row->op, "LSTM") == 0 ? 4 : strcmp(row->op, "GRU") == 0 ? 3 : 1;
    const size_t direction = gen_below(g, 3);
    const int64_t count = direction == 2 ? 2 : 1, hidden = gen_between(g, 1, 18);
    const bool has_cell = gates == 4, is_batch_first = gen_chance(g, 4);
    gen_take_patterns(g, is_batch_first ? "T[N,S,K]" : "T[S,N,K]", NULL);
    const int64_t batch = gen_letter(g, 'N'), steps = gen_letter(g, 'S'),
                  inputs = gen_letter(g, 'K');
    const int64_t w[] = {count, gates * hidden, inputs}, r[] = {count, gates * hidden, hidden},
                  b[] = {count, 2 * gates * hidden}, p[] = {count, 3 * hidden};
    const int64_t first[] = {is_batch_first ? batch : count, is_batch_first ? count : batch,
                             hidden};
    gen_take_name(g, gen_constant(g, dtype, 3, w, -0.5, 0.5));
    gen_take_name(g, gen_constant(g, dtype, 3, r, -0.5, 0.5));
    gen_take_name(g, gen_chance(g, 3) ? NULL : gen_constant(g, dtype, 2, b, -0.5, 0.5));
    if (gen_chance(g, 2)) {
        gen_take_name(
            g, gen_chance(g, 2) ? NULL : gen_constant(g, MLS_INT32, 1, &batch, 1, (double) steps));
        gen_take_name(g, gen_chance(g, 2) ? NULL : gen_constant(g, dtype, 3, first, -1, 1));
        if (has_cell) {
            gen_take_name(g, gen_constant(g, dtype, 3, first, -1, 1));
            gen_take_name(g, gen_chance(g, 2) ? NULL : gen_constant(g, dtype, 2, p, -1, 1));
        }
    }
    const int32_t dtypes[] = {dtype, dtype, has_cell ? dtype : 0};
    onnx_node *node = gen_node(g, row->op, row->flags, has_cell ? 3 : 2, dtypes);
    onnx_node_int(node, "hidden_size", hidden);
    onnx_node_string(node, "direction", directions[direction]);
    if (is_batch_first)
        onnx_node_int(node, "layout", 1);
    if (gen_chance(g, 4))
        onnx_node_float(node, "clip", 0.7f);
    gen_attrs(g, node, row->attrs ? row->attrs : "");
}

/* Heads that are a dim of their own, or lie in the last one. */
static void attention(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    const bool has_dim = gen_chance(g, 2);
    const int64_t heads = gen_between(g, 1, 3), shared = gen_chance(g, 3) ? heads : 1;
    gen_set_letter(g, 'H', heads);
    gen_set_letter(g, 'G', heads / shared);
    gen_set_letter(g, 'D', gen_between(g, 1, 17));
    gen_set_letter(g, 'E', gen_chance(g, 2) ? gen_letter(g, 'D') : gen_between(g, 1, 9));
    if (has_dim) {
        gen_take_patterns(g, "T[N,H,S,D] T[N,G,L,D] T[N,G,L,E]", NULL);
    } else {
        gen_set_letter(g, 'P', heads * gen_letter(g, 'D'));
        gen_set_letter(g, 'Q', heads / shared * gen_letter(g, 'D'));
        gen_set_letter(g, 'R', heads / shared * gen_letter(g, 'E'));
        gen_take_patterns(g, "T[N,S,P] T[N,L,Q] T[N,L,R]", NULL);
    }
    if (gen_chance(g, 2))
        gen_take_patterns(g, gen_chance(g, 2) ? "T[S,L]" : "B[S,L]", NULL);
    onnx_node *node = gen_node(g, row->op, row->flags, 1, &dtype);
    if (!has_dim) {
        onnx_node_int(node, "q_num_heads", heads);
        onnx_node_int(node, "kv_num_heads", heads / shared);
    }
    gen_attrs(g, node, "?is_causal:0,1 ?scale:0.1,1.0 ?softcap:0.0,2.0");
}

static void rotary(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[N,C,S,2D]", NULL);
    const int64_t table[] = {gen_letter(g, 'N'), gen_letter(g, 'S'), gen_letter(g, 'D')};
    gen_take_name(g, gen_constant(g, dtype, 3, table, -1, 1));
    gen_take_name(g, gen_constant(g, dtype, 3, table, -1, 1));
    gen_attrs(g, gen_node(g, row->op, 0, 1, &dtype), "?interleaved:0,1");
}

static void dft(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    const bool is_complex = gen_chance(g, 2);
    gen_take_patterns(g, is_complex ? "T[N,L,2]" : "T[N,L,1]", NULL);
    if (gen_chance(g, 2)) {
        const int64_t length = gen_between(g, 1, 20);
        gen_take_name(g, gen_table(g, MLS_INT64, 0, NULL, &length));
    }
    onnx_node *node = gen_node(g, row->op, row->flags, 1, &dtype);
    gen_attrs(g, node, is_complex ? "?inverse:0,1" : "?onesided:0,1");
}

static void stft(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    const int64_t length = gen_between(g, 2, 9), step = gen_between(g, 1, 4);
    gen_set_letter(g, 'L', length + gen_between(g, 0, 12));
    gen_take_patterns(g, "T[N,L,1]", NULL);
    gen_take_name(g, gen_table(g, MLS_INT64, 0, NULL, &step));
    gen_take_name(g, gen_constant(g, dtype, 1, &length, 0, 1));
    gen_attrs(g, gen_node(g, row->op, row->flags, 1, &dtype), "?onesided:0,1");
}

static void window(gen *g, const gen_row *row)
{
    static const int32_t dtype = MLS_FLOAT32;
    const int64_t length = gen_between(g, 1, 30);
    gen_take_name(g, gen_table(g, MLS_INT64, 0, NULL, &length));
    gen_attrs(g, gen_node(g, row->op, 0, 1, &dtype), "?periodic:0,1");
}

static void mel(gen *g, const gen_row *row)
{
    static const int32_t dtype = MLS_FLOAT32;
    const int64_t bins = gen_between(g, 1, 8), length = gen_between(g, 8, 32), rate = 8000;
    gen_take_name(g, gen_table(g, MLS_INT64, 0, NULL, &bins));
    gen_take_name(g, gen_table(g, MLS_INT64, 0, NULL, &length));
    gen_take_name(g, gen_table(g, MLS_INT64, 0, NULL, &rate));
    gen_take_name(g, gen_constant(g, MLS_FLOAT32, 0, NULL, 0, 200));
    gen_take_name(g, gen_constant(g, MLS_FLOAT32, 0, NULL, 3000, 4000));
    gen_node(g, row->op, 0, 1, &dtype);
}

static void linear_attention(gen *g, const gen_row *row)
{
    const int32_t dtypes[] = {gen_dtype(g), gen_dtype(g)};
    gen_set_letter(g, 'H', gen_between(g, 1, 3));
    gen_set_letter(g, 'P', gen_letter(g, 'H') * gen_between(g, 1, 9));
    gen_take_patterns(g, "T[N,S,P] T[N,S,P] T[N,S,P]", NULL);
    gen_attrs(g, gen_node(g, row->op, row->flags, 2, dtypes),
              "q_num_heads:*H kv_num_heads:*H update_rule:linear");
}

const gen_row gen_rows_sequences[] = {
    {.op = "LSTM", .dtypes = GEN_WIDE, .attrs = "?input_forget:0,1", .make = recurrent},
    {.op = "GRU", .dtypes = GEN_WIDE, .attrs = "?linear_before_reset:0,1", .make = recurrent},
    {.op = "RNN", .dtypes = GEN_WIDE, .make = recurrent},
    {.op = "Attention", .dtypes = GEN_HALVES, .flags = GEN_ROUNDS | GEN_JUMPS, .make = attention},
    {.op = "RotaryEmbedding", .dtypes = GEN_HALVES, .make = rotary},
    {.op = "LinearAttention", .dtypes = GEN_F32, .flags = GEN_JUMPS, .make = linear_attention},
    {.op = "CausalConvWithState",
     .dtypes = GEN_F32,
     .inputs = "T[N,C,S] t[C,1,Z] ?t[C]",
     .outputs = "TT",
     .attrs = "?activation:none|silu"},
    {.op = "DFT", .dtypes = GEN_WIDE, .make = dft},
    {.op = "STFT", .dtypes = GEN_WIDE, .make = stft},
    {.op = "HannWindow", .dtypes = 0, .make = window},
    {.op = "HammingWindow", .dtypes = 0, .make = window},
    {.op = "BlackmanWindow", .dtypes = 0, .make = window},
    {.op = "MelWeightMatrix", .dtypes = 0, .make = mel},
    {.op = NULL},
};
