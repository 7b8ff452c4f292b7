/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes as in docs/benchmarks.md; the numbers in them do not matter. */
#include "models.h"

#include <stdio.h>
#include <stdlib.h>

float model_random(void)
{
    /* xorshift64 (Marsaglia, 2003) */
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (float) ((double) (state >> 11) / 4503599627370496.0 - 1.0);
}

onnx_build *model_adds(int count)
{
    char from[16] = "x", to[16], constant[16], inputs[40];
    onnx_build *b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "1,1");
    for (int i = 0; i < count; i++) {
        const float value = model_random();
        snprintf(constant, sizeof constant, "c%d", i);
        snprintf(to, sizeof to, "y%d", i);
        snprintf(inputs, sizeof inputs, "%s %s", from, constant);
        onnx_build_floats(b, constant, "1", &value);
        onnx_build_node(b, "Add", inputs, to);
        snprintf(from, sizeof from, "%s", to);
    }
    onnx_build_output(b, from, MLS_FLOAT32, "1,1");
    return b;
}

static float *random_floats(onnx_build *b, size_t count, float scale)
{
    float *values = onnx_build_alloc(b, count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = scale * model_random();
    return values;
}

static void add_layer(onnx_build *b, int layer, int width_in, int width_out, bool has_relu)
{
    char shape[40], w[16], c[16], in[16], inputs[60], out[16], act[16];
    snprintf(w, sizeof w, "w%d", layer);
    snprintf(c, sizeof c, "c%d", layer);
    snprintf(in, sizeof in, layer ? "h%d" : "x", layer);
    snprintf(out, sizeof out, has_relu ? "z%d" : "y", layer);
    snprintf(act, sizeof act, "h%d", layer + 1);
    snprintf(shape, sizeof shape, "%d,%d", width_out, width_in);
    onnx_build_floats(b, w, shape, random_floats(b, (size_t) width_in * (size_t) width_out, 0.2f));
    snprintf(shape, sizeof shape, "%d", width_out);
    onnx_build_floats(b, c, shape, random_floats(b, (size_t) width_out, 0.2f));
    snprintf(inputs, sizeof inputs, "%s %s %s", in, w, c);
    onnx_node_int(onnx_build_node(b, "Gemm", inputs, out), "transB", 1);
    if (has_relu)
        onnx_build_node(b, "Relu", out, act);
}

onnx_build *model_mlp(const int *widths)
{
    char shape[40];
    onnx_build *b = onnx_build_create(17);
    snprintf(shape, sizeof shape, "N,%d", widths[0]);
    onnx_build_input(b, "x", MLS_FLOAT32, shape);
    int layer = 0;
    for (; widths[layer + 1]; layer++)
        add_layer(b, layer, widths[layer], widths[layer + 1], widths[layer + 2] != 0);
    snprintf(shape, sizeof shape, "N,%d", widths[layer]);
    onnx_build_output(b, "y", MLS_FLOAT32, shape);
    return b;
}
