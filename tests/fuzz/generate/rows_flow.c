/* SPDX-License-Identifier: Apache-2.0 */
/* Control flow, sequences, optionals, and what makes values of nothing. */
#include "fuzz/generate/pattern.h"

#include <stdio.h>

static const int32_t float32 = MLS_FLOAT32, int64 = MLS_INT64, boolean = MLS_BOOL;

/* A few cheap ops from `from` to `to` within a body. */
static void chain(gen *g, onnx_build *body, const char *from, const char *to)
{
    static const char *const ops[] = {"Relu", "Tanh", "Neg", "Abs", "Sigmoid", "Identity"};
    char last[32], name[32];
    snprintf(last, sizeof last, "%s", from);
    for (int more = (int) gen_below(g, 4); more; more--) {
        snprintf(name, sizeof name, "%s_%d", to, more);
        onnx_build_node(body, ops[gen_below(g, 6)], last, name);
        snprintf(last, sizeof last, "%s", name);
    }
    onnx_build_node(body, ops[gen_below(g, 6)], last, to);
}

/* Both branches read what is outside. */
static void branches(gen *g, const gen_row *row)
{
    static const char *const names[] = {"then_branch", "else_branch"};
    gen_take_patterns(g, "F[*]", NULL);
    const gen_value *x = gen_first(g);
    gen_drop(g);
    gen_take(g, gen_input(g, MLS_BOOL, 0, NULL));
    gen_read_outside(g, x);
    onnx_node *node = gen_node(g, row->op, 0, 1, &float32);
    for (size_t i = 0; i < 2; i++) {
        onnx_build *body = onnx_build_create(24);
        chain(g, body, x->name, i ? "no" : "yes");
        onnx_build_output(body, i ? "no" : "yes", MLS_FLOAT32, NULL);
        onnx_node_body(node, names[i], body);
    }
}

/* A value that each round changes and adds to what is outside, and one that is kept of each. */
static void loop(gen *g, const gen_row *row)
{
    static const int32_t dtypes[] = {MLS_FLOAT32, MLS_FLOAT32};
    const int64_t rounds = gen_between(g, 1, 4);
    gen_take_patterns(g, "F[+]", NULL);
    const gen_value *x = gen_first(g);
    gen_drop(g);
    gen_take_name(g, gen_table(g, MLS_INT64, 0, NULL, &rounds));
    gen_take_name(g, NULL);
    gen_take(g, x);
    gen_read_outside(g, x);
    onnx_node *node = gen_node(g, row->op, 0, 2, dtypes);
    onnx_build *body = onnx_build_create(24);
    onnx_build_input(body, "round", MLS_INT64, "");
    onnx_build_input(body, "goes_on", MLS_BOOL, "");
    onnx_build_input(body, "carried", MLS_FLOAT32, NULL);
    onnx_build_node(body, "Identity", "goes_on", "still");
    chain(g, body, "carried", "changed");
    char inputs[48];
    snprintf(inputs, sizeof inputs, "changed %s", x->name);
    onnx_build_node(body, gen_chance(g, 2) ? "Sub" : "Max", inputs, "next");
    chain(g, body, "next", "kept");
    onnx_build_output(body, "still", MLS_BOOL, "");
    onnx_build_output(body, "next", MLS_FLOAT32, NULL);
    onnx_build_output(body, "kept", MLS_FLOAT32, NULL);
    onnx_node_body(node, "body", body);
}

/* A sum over time, and a value of each step. */
static void scan(gen *g, const gen_row *row)
{
    static const int32_t dtypes[] = {MLS_FLOAT32, MLS_FLOAT32};
    gen_take_patterns(g, "F[S,C]", NULL);
    const gen_value *x = gen_first(g);
    gen_drop(g);
    gen_take_name(g, gen_constant(g, MLS_FLOAT32, 1, &x->dims[1], -1, 1));
    gen_take(g, x);
    onnx_node *node = gen_node(g, row->op, 0, 2, dtypes);
    onnx_node_int(node, "num_scan_inputs", 1);
    if (gen_chance(g, 2))
        onnx_node_ints(node, "scan_input_directions", 1, (const int64_t[]){1});
    onnx_build *body = onnx_build_create(24);
    onnx_build_input(body, "state", MLS_FLOAT32, NULL);
    onnx_build_input(body, "step", MLS_FLOAT32, NULL);
    onnx_build_node(body, "Add", "state step", "sum");
    chain(g, body, "sum", "next");
    chain(g, body, "step", "seen");
    onnx_build_output(body, "next", MLS_FLOAT32, NULL);
    onnx_build_output(body, "seen", MLS_FLOAT32, NULL);
    onnx_node_body(node, "body", body);
}

static const gen_value *sequence(gen *g, const char *op)
{
    gen_node(g, op, 0, 1, &float32);
    gen_make_sequence(g, 0);
    return gen_result(g, 0);
}

static const char *place(gen *g, int64_t least, int64_t most)
{
    const int64_t at = gen_between(g, least, most);
    return gen_table(g, MLS_INT64, 0, NULL, &at);
}

/* Two or three of the same dims in a sequence, one put in, one taken out, and then what reads it.
 */
static void sequences(gen *g, const gen_row *row)
{
    (void) row;
    gen_take_patterns(g, "F[+] F[=] F[=]", NULL);
    const gen_value *x = gen_first(g), *s = sequence(g, "SequenceConstruct");
    int64_t count = 3;
    if (gen_chance(g, 2)) {
        gen_take(g, s);
        gen_take(g, x);
        gen_take_name(g, place(g, -count, count));
        s = sequence(g, "SequenceInsert");
        count++;
    }
    if (gen_chance(g, 2)) {
        gen_take(g, s);
        gen_take_name(g, place(g, -count, count - 1));
        s = sequence(g, "SequenceErase");
        count--;
    }
    gen_take(g, s);
    gen_node(g, "SequenceLength", 0, 1, &int64);
    gen_result(g, 0);
    gen_take(g, s);
    gen_take_name(g, place(g, -count, count - 1));
    gen_node(g, "SequenceAt", 0, 1, &float32);
    gen_result(g, 0);
    gen_take(g, s);
    onnx_node *node = gen_node(g, "ConcatFromSequence", 0, 1, &float32);
    onnx_node_int(node, "axis", 0);
    gen_attrs(g, node, "?new_axis:0,1");
}

/* Cut in pieces, each of which a body changes. */
static void mapped(gen *g, const gen_row *row)
{
    gen_take_patterns(g, "F[S,C]", NULL);
    onnx_node *node = gen_node(g, "SplitToSequence", 0, 1, &float32);
    gen_make_sequence(g, 0);
    gen_attrs(g, node, "?keepdims:0,1");
    gen_take(g, gen_result(g, 0));
    node = gen_node(g, row->op, 0, 1, &float32);
    gen_make_sequence(g, 0);
    onnx_build *body = onnx_build_create(24);
    onnx_build_input(body, "item", MLS_FLOAT32, NULL);
    chain(g, body, "item", "other");
    onnx_build_output(body, "other", MLS_FLOAT32, NULL);
    onnx_node_body(node, "body", body);
}

static void empty(gen *g, const gen_row *row)
{
    onnx_node_int(gen_node(g, row->op, 0, 1, &float32), "dtype", MLS_FLOAT32);
    gen_make_sequence(g, 0);
    const gen_value *s = gen_result(g, 0);
    gen_take(g, s);
    gen_take(g, gen_input(g, MLS_FLOAT32, 1, (const int64_t[]){3}));
    sequence(g, "SequenceInsert");
}

static void optional(gen *g, const gen_row *row)
{
    gen_take_patterns(g, "F[*]", NULL);
    gen_node(g, row->op, 0, 1, &float32);
    gen_hide(g, 0);
    const gen_value *held = gen_result(g, 0);
    gen_take(g, held);
    gen_node(g, "OptionalHasElement", 0, 1, &boolean);
    gen_result(g, 0);
    gen_take(g, held);
    gen_node(g, "OptionalGetElement", 0, 1, &float32);
}

static void constant(gen *g, const gen_row *row)
{
    onnx_node *node = gen_node(g, row->op, 0, 1, &float32);
    onnx_node_floats(node, "value_floats", 3, (const float[]){1, -2, 0.5f});
}

static void constant_of_shape(gen *g, const gen_row *row)
{
    static const float value = 1.5f;
    const int64_t dims[] = {gen_between(g, 1, 4), gen_between(g, 1, 9)};
    gen_take_name(g, gen_ints(g, MLS_INT64, 2, dims));
    onnx_node *node = gen_node(g, row->op, 0, 1, &float32);
    onnx_node_tensor(node, "value",
                     onnx_build_tensor(gen_build(g), "", MLS_FLOAT32, "1", &value, sizeof value));
}

static void range(gen *g, const gen_row *row)
{
    const int64_t limit = gen_between(g, 3, 20), step = gen_between(g, 1, 3), start = 1;
    gen_take_name(g, gen_table(g, MLS_INT64, 0, NULL, &start));
    gen_take_name(g, gen_table(g, MLS_INT64, 0, NULL, &limit));
    gen_take_name(g, gen_table(g, MLS_INT64, 0, NULL, &step));
    gen_node(g, row->op, 0, 1, &int64);
}

static void random_of_shape(gen *g, const gen_row *row)
{
    const int64_t dims[] = {gen_between(g, 1, 4), gen_between(g, 1, 9)};
    onnx_node *node = gen_node(g, row->op, 0, 1, &float32);
    onnx_node_ints(node, "shape", 2, dims);
    gen_attrs(g, node, row->attrs);
}

static void multinomial(gen *g, const gen_row *row)
{
    static const int32_t int32 = MLS_INT32;
    gen_take(g, gen_input_between(g, MLS_FLOAT32, 2, (const int64_t[]){2, 5}, -2, 2));
    gen_attrs(g, gen_node(g, row->op, GEN_JUMPS, 1, &int32), "sample_size:1,5 seed:0.0,9.0");
}

static void non_max(gen *g, const gen_row *row)
{
    const int64_t boxes = gen_between(g, 1, 9), most = gen_between(g, 1, 4);
    gen_take(g, gen_input_between(g, MLS_FLOAT32, 3, (const int64_t[]){2, boxes, 4}, 0, 1));
    gen_take(g, gen_input_between(g, MLS_FLOAT32, 3, (const int64_t[]){2, 3, boxes}, 0, 1));
    gen_take_name(g, gen_ints(g, MLS_INT64, 1, &most));
    gen_take_name(g, gen_constant(g, MLS_FLOAT32, 1, (const int64_t[]){1}, 0.3, 0.7));
    gen_attrs(g, gen_node(g, row->op, GEN_JUMPS, 1, &int64), "?center_point_box:0,1");
}

const gen_row gen_rows_flow[] = {
    {.op = "If", .make = branches},
    {.op = "Loop", .make = loop},
    {.op = "Scan", .make = scan},
    {.op = "SequenceConstruct", .make = sequences},
    {.op = "SequenceMap", .make = mapped},
    {.op = "SequenceEmpty", .make = empty},
    {.op = "Optional", .make = optional},
    {.op = "Constant", .make = constant},
    {.op = "ConstantOfShape", .make = constant_of_shape},
    {.op = "Range", .make = range},
    {.op = "RandomNormal",
     .attrs = "?mean:-1.0,1.0 ?scale:0.5,2.0 seed:0.0,9.0",
     .make = random_of_shape},
    {.op = "RandomUniform",
     .attrs = "?low:-1.0,0.0 ?high:0.5,2.0 seed:0.0,9.0",
     .make = random_of_shape},
    {.op = "RandomNormalLike",
     .dtypes = GEN_WIDE,
     .inputs = "T[*]",
     .outputs = "T",
     .attrs = "seed:0.0,9.0"},
    {.op = "RandomUniformLike",
     .dtypes = GEN_WIDE,
     .inputs = "T[*]",
     .outputs = "T",
     .attrs = "?seed:0.0,9.0"},
    {.op = "Bernoulli",
     .inputs = "F[*]",
     .outputs = "F",
     .attrs = "seed:0.0,9.0",
     .flags = GEN_JUMPS},
    {.op = "Multinomial", .make = multinomial},
    {.op = "NonMaxSuppression", .make = non_max},
    {.op = NULL},
};
