/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that compute element by element. */
#include "fuzz/generate/pattern.h"

static void cast(gen *g, const gen_row *row)
{
    static const int32_t to[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_BFLOAT16,
                                 MLS_INT8,    MLS_UINT8,   MLS_INT32,   MLS_INT64,
                                 MLS_BOOL,    MLS_INT16,   MLS_UINT16,  MLS_UINT64};
    gen_take_patterns(g, row->inputs, NULL);
    const int32_t dtype = to[gen_below(g, 12)];
    onnx_node_int(gen_node(g, row->op, row->flags, 1, &dtype), "to", dtype);
}

static void cast_like(gen *g, const gen_row *row)
{
    static const int32_t to[] = {MLS_FLOAT32, MLS_FLOAT64, MLS_INT32, MLS_UINT8, MLS_BOOL};
    const int32_t dtype = to[gen_below(g, 5)];
    gen_take_patterns(g, row->inputs, NULL);
    gen_take_name(g, gen_constant(g, dtype, 1, (const int64_t[]){1}, 0, 1));
    gen_node(g, row->op, row->flags, 1, &dtype);
}

/* To one of the same size; not from floats, since a NaN's bits are the machine's. */
static void bit_cast(gen *g, const gen_row *row)
{
    static const int32_t pairs[][2] = {{MLS_INT32, MLS_FLOAT32},
                                       {MLS_INT64, MLS_FLOAT64},
                                       {MLS_INT8, MLS_UINT8},
                                       {MLS_INT16, MLS_FLOAT16}};
    const int32_t *pair = pairs[gen_below(g, 4)];
    gen_set_dtype(g, pair[0]);
    gen_take_patterns(g, row->inputs, NULL);
    onnx_node_int(gen_node(g, row->op, row->flags, 1, &pair[1]), "to", pair[1]);
}

/* Lower and upper bound, which may be left out, as scalars. */
static void clip(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, row->inputs, NULL);
    if (gen_chance(g, 2)) {
        gen_take_name(g, gen_chance(g, 3) ? NULL : gen_constant(g, dtype, 0, NULL, 0, 0));
        gen_take_name(g, gen_constant(g, dtype, 0, NULL, 1, 6));
    } else if (gen_chance(g, 2)) {
        gen_take_name(g, gen_constant(g, dtype, 0, NULL, 0, 1));
    }
    gen_node(g, row->op, row->flags, 1, &dtype);
}

static void prelu(gen *g, const gen_row *row)
{
    const int32_t dtype = gen_dtype(g);
    gen_take_patterns(g, "T[N,C,*] t[^]", NULL);
    gen_node(g, row->op, row->flags, 1, &dtype);
}

#define UNARY(op, flags)                                                                           \
    {                                                                                              \
        op, GEN_FLOATS, "T[*]", "T", NULL, flags, NULL, NULL, NULL                                 \
    }
#define BINARY(op, dtypes, output, flags)                                                          \
    {                                                                                              \
        op, dtypes, "T[*] T[^]", output, NULL, flags, NULL, NULL, NULL                             \
    }

const gen_row gen_rows_elementwise[] = {
    BINARY("Add", GEN_NUMBERS, "T", 0),
    BINARY("Sub", GEN_NUMBERS, "T", 0),
    BINARY("Mul", GEN_NUMBERS, "T", 0),
    BINARY("Div", GEN_NUMBERS, "T", GEN_JUMPS),
    BINARY("Equal", GEN_PLAIN, "B", GEN_JUMPS),
    BINARY("Less", GEN_NUMBERS, "B", GEN_JUMPS),
    BINARY("LessOrEqual", GEN_NUMBERS, "B", GEN_JUMPS),
    BINARY("Greater", GEN_NUMBERS, "B", GEN_JUMPS),
    BINARY("GreaterOrEqual", GEN_NUMBERS, "B", GEN_JUMPS),
    BINARY("And", GEN_BIT(MLS_BOOL), "B", 0),
    BINARY("Or", GEN_BIT(MLS_BOOL), "B", 0),
    BINARY("Xor", GEN_BIT(MLS_BOOL), "B", 0),
    BINARY("BitwiseAnd", GEN_INTS, "T", 0),
    BINARY("BitwiseOr", GEN_INTS, "T", 0),
    BINARY("BitwiseXor", GEN_INTS, "T", 0),
    {.op = "Pow",
     .dtypes = GEN_FLOATS | GEN_LONGS,
     .inputs = "P[*] T[^]",
     .outputs = "T",
     .flags = GEN_JUMPS},
    {.op = "Mod", .dtypes = GEN_INTS, .inputs = "T[*] P[^]", .outputs = "T", .flags = GEN_JUMPS},
    {.op = "Mod",
     .dtypes = GEN_FLOATS,
     .inputs = "T[*] P[^]",
     .outputs = "T",
     .attrs = "fmod:1,1",
     .flags = GEN_JUMPS},
    {.op = "BitShift",
     .dtypes = GEN_UNSIGNED,
     .inputs = "T[*] p[^]",
     .outputs = "T",
     .attrs = "direction:LEFT|RIGHT"},
    {.op = "PRelu", .dtypes = GEN_FLOATS, .make = prelu},
    {.op = "Min", .dtypes = GEN_NUMBERS, .inputs = "T[*] T[^] ?T[^]", .outputs = "T"},
    {.op = "Max", .dtypes = GEN_NUMBERS, .inputs = "T[*] T[^]", .outputs = "T"},
    {.op = "Sum", .dtypes = GEN_FLOATS, .inputs = "T[*] T[^] T[^]", .outputs = "T"},
    {.op = "Mean", .dtypes = GEN_FLOATS, .inputs = "T[*] T[^]", .outputs = "T"},
    {.op = "Where", .dtypes = GEN_ALL, .inputs = "B[*] T[^] T[^]", .outputs = "T"},
    {.op = "Not", .dtypes = GEN_BIT(MLS_BOOL), .inputs = "T[*]", .outputs = "T"},
    {.op = "BitwiseNot", .dtypes = GEN_INTS, .inputs = "T[*]", .outputs = "T"},
    {.op = "Neg", .dtypes = GEN_FLOATS | GEN_SIGNED, .inputs = "T[*]", .outputs = "T"},
    {.op = "Abs", .dtypes = GEN_NUMBERS, .inputs = "T[*]", .outputs = "T"},
    {.op = "Sign", .dtypes = GEN_NUMBERS, .inputs = "T[*]", .outputs = "T", .flags = GEN_JUMPS},
    {.op = "Relu", .dtypes = GEN_FLOATS | GEN_SIGNED, .inputs = "T[*]", .outputs = "T"},
    UNARY("Sqrt", GEN_ROUNDS | GEN_JUMPS),
    UNARY("Exp", GEN_JUMPS),
    UNARY("Log", GEN_JUMPS),
    UNARY("Reciprocal", GEN_JUMPS),
    UNARY("Floor", GEN_JUMPS),
    UNARY("Ceil", GEN_JUMPS),
    UNARY("Round", GEN_JUMPS),
    UNARY("Erf", GEN_ROUNDS),
    UNARY("Sigmoid", 0),
    UNARY("Tanh", GEN_ROUNDS),
    UNARY("Sin", 0),
    UNARY("Cos", 0),
    UNARY("Tan", GEN_JUMPS),
    UNARY("Asin", GEN_JUMPS),
    UNARY("Acos", GEN_JUMPS),
    UNARY("Atan", 0),
    UNARY("Sinh", GEN_JUMPS),
    UNARY("Cosh", GEN_JUMPS),
    UNARY("Asinh", 0),
    UNARY("Acosh", GEN_JUMPS),
    UNARY("Atanh", GEN_JUMPS),
    UNARY("Gelu", 0),
    UNARY("Mish", 0),
    UNARY("HardSwish", 0),
    UNARY("Softplus", GEN_ROUNDS),
    UNARY("Softsign", 0),
    {.op = "Gelu",
     .dtypes = GEN_FLOATS,
     .inputs = "T[*]",
     .outputs = "T",
     .attrs = "approximate:none|tanh"},
    {.op = "LeakyRelu",
     .dtypes = GEN_FLOATS,
     .inputs = "T[*]",
     .outputs = "T",
     .attrs = "?alpha:-1.0,1.0"},
    {.op = "ThresholdedRelu",
     .dtypes = GEN_FLOATS,
     .inputs = "T[*]",
     .outputs = "T",
     .attrs = "?alpha:-1.0,1.0",
     .flags = GEN_JUMPS},
    {.op = "Elu",
     .dtypes = GEN_FLOATS,
     .inputs = "T[*]",
     .outputs = "T",
     .attrs = "?alpha:0.0,2.0"},
    {.op = "Celu", .dtypes = GEN_F32, .inputs = "T[*]", .outputs = "T", .attrs = "?alpha:0.5,2.0"},
    {.op = "Selu",
     .dtypes = GEN_FLOATS,
     .inputs = "T[*]",
     .outputs = "T",
     .attrs = "?alpha:0.5,2.0 ?gamma:0.5,2.0"},
    {.op = "Swish",
     .dtypes = GEN_FLOATS,
     .inputs = "T[*]",
     .outputs = "T",
     .attrs = "?alpha:0.5,2.0"},
    {.op = "HardSigmoid",
     .dtypes = GEN_FLOATS,
     .inputs = "T[*]",
     .outputs = "T",
     .attrs = "?alpha:0.1,1.0 ?beta:0.1,1.0",
     .flags = GEN_ROUNDS},
    {.op = "Shrink",
     .dtypes = GEN_NUMBERS,
     .inputs = "T[*]",
     .outputs = "T",
     .attrs = "?bias:0.0,1.0 ?lambd:0.1,1.0",
     .flags = GEN_JUMPS},
    {.op = "IsNaN", .dtypes = GEN_FLOATS, .inputs = "T[*]", .outputs = "B", .flags = GEN_JUMPS},
    {.op = "IsInf",
     .dtypes = GEN_FLOATS,
     .inputs = "T[*]",
     .outputs = "B",
     .attrs = "?detect_negative:0,1 ?detect_positive:0,1",
     .flags = GEN_JUMPS},
    {.op = "Clip",
     .dtypes = GEN_FLOATS | GEN_LONGS,
     .inputs = "T[*]",
     .flags = GEN_ROUNDS,
     .make = clip},
    {.op = "Cast", .dtypes = GEN_PLAIN, .inputs = "T[*]", .flags = GEN_JUMPS, .make = cast},
    {.op = "CastLike",
     .dtypes = GEN_PLAIN,
     .inputs = "T[*]",
     .flags = GEN_JUMPS,
     .make = cast_like},
    {.op = "BitCast", .dtypes = 0, .inputs = "T[*]", .flags = GEN_JUMPS, .make = bit_cast},
    {.op = NULL},
};
