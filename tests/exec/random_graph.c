/* SPDX-License-Identifier: Apache-2.0 */
/* Every value keeps the batch as its first dimension, so that nodes may mix any of them. */
#include "exec/random_graph.h"

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 8

typedef struct maker {
    onnx_build *build;
    uint64_t state;
    int values; /* v0 .. v(values-1) are [batch, WIDTH]; the first are inputs */
} maker;

static void node2(maker *m, const char *op, int a, int b)
{
    char inputs[32], output[16];
    snprintf(inputs, sizeof inputs, "v%d v%d", a, b);
    snprintf(output, sizeof output, "v%d", m->values++);
    onnx_build_node(m->build, op, inputs, output);
}

static void node1(maker *m, const char *op, int a)
{
    char input[16], output[16];
    snprintf(input, sizeof input, "v%d", a);
    snprintf(output, sizeof output, "v%d", m->values++);
    onnx_build_node(m->build, op, input, output);
}

/* [batch, 8] -> [batch, 2, 4] -> [batch, 4, 2] -> [batch, 8]: views around a copy. */
static void shuffle(maker *m, int a)
{
    char input[32], output[16];
    const int t = m->values;
    snprintf(input, sizeof input, "v%d wide", a);
    snprintf(output, sizeof output, "r%d", t);
    onnx_build_node(m->build, "Reshape", input, output);
    snprintf(input, sizeof input, "r%d", t);
    snprintf(output, sizeof output, "t%d", t);
    onnx_node_ints(onnx_build_node(m->build, "Transpose", input, output), "perm", 3,
                   (const int64_t[]){0, 2, 1});
    snprintf(input, sizeof input, "t%d flat", t);
    snprintf(output, sizeof output, "v%d", m->values++);
    onnx_build_node(m->build, "Reshape", input, output);
}

/* [batch, 8] twice -> [batch, 16] -> two halves, of which one is kept and one goes on. */
static void join_and_split(maker *m, int a, int b)
{
    char inputs[32], outputs[48], joined[16];
    const int t = m->values;
    snprintf(inputs, sizeof inputs, "v%d v%d", a, b);
    snprintf(joined, sizeof joined, "j%d", t);
    onnx_node_int(onnx_build_node(m->build, "Concat", inputs, joined), "axis", 1);
    snprintf(outputs, sizeof outputs, "v%d v%d", t, t + 1);
    m->values += 2;
    onnx_node_int(onnx_build_node(m->build, "Split", joined, outputs), "axis", 1);
}

/* [batch, 8] two or three times -> [all of them, 8], which is read, and split again. */
static void join_rows(maker *m, int a, int b)
{
    char inputs[48], outputs[48], joined[16], name[16];
    const int t = m->values, c = (int) mls_test_random_below(&m->state, (uint64_t) t);
    const bool are_three = mls_test_random_below(&m->state, 2);
    snprintf(inputs, sizeof inputs, are_three ? "v%d v%d v%d" : "v%d v%d", a, b, c);
    snprintf(joined, sizeof joined, "j%d", t);
    onnx_node_int(onnx_build_node(m->build, "Concat", inputs, joined), "axis", 0);
    snprintf(name, sizeof name, "r%d", t);
    onnx_build_node(m->build, "Neg", joined, name);
    snprintf(outputs, sizeof outputs, are_three ? "v%d v%d v%d" : "v%d v%d", t, t + 1, t + 2);
    m->values += 2 + are_three;
    onnx_node_int(onnx_build_node(m->build, "Split", name, outputs), "axis", 0);
}

static void add_node(maker *m)
{
    static const char *const binary[] = {"Add", "Sub", "Mul", "Max", "Min"};
    static const char *const unary[] = {"Relu", "Neg", "Abs", "Identity", "Tanh"};
    const size_t known = (size_t) m->values;
    const int a = (int) mls_test_random_below(&m->state, known),
              b = (int) mls_test_random_below(&m->state, known);
    switch (mls_test_random_below(&m->state, 7)) {
    case 0:
    case 1:
        node2(m, binary[mls_test_random_below(&m->state, 5)], a, b);
        break;
    case 2:
    case 3:
        node1(m, unary[mls_test_random_below(&m->state, 5)], a);
        break;
    case 4:
        shuffle(m, a);
        break;
    case 5:
        join_rows(m, a, b);
        break;
    default:
        join_and_split(m, a, b);
        break;
    }
}

static void add_outputs(maker *m)
{
    char name[16];
    const int last = m->values - 1;
    snprintf(name, sizeof name, "v%d", last);
    onnx_build_output(m->build, name, MLS_FLOAT32, "batch,8");
    for (int i = 0; i < last; i++) {
        if (mls_test_random_below(&m->state, 5))
            continue;
        snprintf(name, sizeof name, "v%d", i);
        onnx_build_output(m->build, name, MLS_FLOAT32, "batch,8");
    }
}

onnx_build *random_graph(uint64_t seed, int inputs, int nodes)
{
    char name[16];
    maker m = {.build = onnx_build_create(17), .state = seed};
    onnx_build_ints(m.build, "wide", "3", (const int64_t[]){-1, 2, 4});
    onnx_build_ints(m.build, "flat", "2", (const int64_t[]){-1, WIDTH});
    for (; m.values < inputs; m.values++) {
        snprintf(name, sizeof name, "v%d", m.values);
        onnx_build_input(m.build, name, MLS_FLOAT32, "batch,8");
    }
    for (int i = 0; i < nodes; i++)
        add_node(&m);
    add_outputs(&m);
    return m.build;
}
