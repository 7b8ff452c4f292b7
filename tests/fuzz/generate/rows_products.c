/* SPDX-License-Identifier: Apache-2.0 */
/* Products of matrices, of floats. */
#include "fuzz/generate/pattern.h"

#include <string.h>

/* T: whether the second operand is transposed, which the pattern of its dims follows. */
static void gemm(gen *g, const gen_row *row)
{
    static const char *const second[] = {"t[K,M] ?t[M]", "t[M,K] ?t[N,M]", "T[K,M] ?T[N,1]",
                                         "t[K,M] ?t[1]"};
    const int32_t dtype = gen_dtype(g);
    const size_t way = gen_below(g, 4);
    const bool is_first = gen_chance(g, 4);
    gen_take_patterns(g, is_first ? "T[K,N]" : "T[N,K]", NULL);
    gen_take_patterns(g, second[way], NULL);
    onnx_node *node = gen_node(g, row->op, row->flags, 1, &dtype);
    if (is_first)
        onnx_node_int(node, "transA", 1);
    if (way == 1)
        onnx_node_int(node, "transB", 1);
    gen_attrs(g, node, "?alpha:-2.0,2.0 ?beta:-1.0,1.0");
}

/* A stack of matrices by one of the same height, by one matrix, or by a vector. */
static void matmul(gen *g, const gen_row *row)
{
    static const char *const patterns[] = {
        "T[N,K] t[K,M]", "T[N,K] T[K,M]",   "T[N,S,K] t[K,M]",     "T[N,S,K] T[N,K,M]",
        "T[K] T[K,M]",   "T[N,C,S,K] t[K]", "T[N,C,S,K] T[C,K,M]", "T[S,K] T[N,C,K,S]",
    };
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, patterns[gen_below(g, row->attrs ? 4 : 8)], NULL);
    gen_attrs(g, gen_node(g, row->op, row->flags, 1, &dtype), row->attrs ? row->attrs : "");
}

static void einsum(gen *g, const gen_row *row)
{
    static const char *const forms[][2] = {
        {"T[N,K] T[K,M]", "ik,kj->ij"},
        {"T[N,S,K] T[N,D,K]", "bik,bjk->bij"},
        {"T[N,C,S,K] t[K,M]", "abck,kd->abcd"},
        {"T[K,K]", "ii->i"},
        {"T[N,C,S]", "abc->ca"},
        {"T[N,K] T[K]", "ij,j"},
        {"T[N,S,K] T[N,S,K]", "bsk,bsk->bs"},
        {"T[N,S,C,K] T[N,D,C,K]", "bihd,bjhd->bhij"},
    };
    const int32_t dtype = gen_dtype(g);
    const size_t form = gen_below(g, 8);
    gen_take_patterns(g, forms[form][0], NULL);
    onnx_node_string(gen_node(g, row->op, row->flags, 1, &dtype), "equation", forms[form][1]);
}

const gen_row gen_rows_products[] = {
    {.op = "Gemm", .dtypes = GEN_FLOATS, .flags = GEN_ROUNDS, .make = gemm},
    {.op = "MatMul", .dtypes = GEN_FLOATS | GEN_LONGS, .flags = GEN_ROUNDS, .make = matmul},
    {.op = "MatMul", .dtypes = GEN_F32, .flags = GEN_ROUNDS, .make = matmul},
    {.op = "Einsum", .dtypes = GEN_WIDE, .flags = GEN_ROUNDS, .make = einsum},
    {.op = "com.microsoft:FusedMatMul",
     .dtypes = GEN_F32,
     .attrs = "?alpha:-2.0,2.0",
     .flags = GEN_ROUNDS,
     .make = matmul},
    {.op = "com.microsoft:TransposeMatMul",
     .dtypes = GEN_F32,
     .attrs = "?alpha:-2.0,2.0",
     .flags = GEN_ROUNDS,
     .make = matmul},
    {.op = "com.microsoft:FusedMatMulActivation",
     .dtypes = GEN_F32,
     .attrs = "activation:Relu|Tanh|Sigmoid",
     .flags = GEN_ROUNDS,
     .make = matmul},
    {.op = NULL},
};
