/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the model that tests of convolutions' passes grow, and runs it both ways. */
#include "graph/conv_model.h"

#include "graph/graph_nodes.h"
#include "graph/model.h"
#include "graph/take_floats.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static mls_context *context;
static mls_model *model;
static onnx_build *b;
static uint64_t seed;

static float number(void)
{
    return (float) (mls_test_random(&seed) % 2001) / 1000 - 1;
}

void add_constant(const char *name, const char *shape, size_t count, float low)
{
    float *data = calloc(count, sizeof *data);
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < count; i++)
        data[i] = low < 0 ? number() : fabsf(number()) + 0.5f;
    onnx_build_floats(b, name, shape, data);
    free(data);
}

onnx_build *conv_model_begin(void)
{
    seed = 7;
    ck_assert_ok(mls_context_create(NULL, &context));
    b = onnx_build_create(17);
    onnx_build_input(b, "x", MLS_FLOAT32, "batch,20,9,height");
    add_constant("w", "20,20,3,3", 3600, -1);
    add_constant("w1", "20,20,1,1", 400, -1);
    add_constant("bias", "20", 20, -1);
    return b;
}

void conv_model_end(void)
{
    onnx_build_free(b);
    mls_model_free(model);
    mls_context_free(context);
}

onnx_node *add_conv(const char *inputs, const char *output)
{
    onnx_node *conv = onnx_build_node(b, "Conv", inputs, output);
    onnx_node_ints(conv, "pads", 4, (int64_t[]){1, 1, 1, 1});
    return conv;
}

void optimize(void)
{
    ck_assert_ok(onnx_build_load(b, context, 0, &model));
    ck_assert(model->has_optimized);
}

size_t count_nodes(const char *type)
{
    return graph_nodes(&model->optimized, type);
}

size_t count_stacks(void)
{
    size_t count = 0;
    for (size_t i = 0; i < model->optimized.nodes.count; i++)
        count += strcmp(mls__graph_node(&model->optimized, i)->type, MLS__STACK_TYPE) == 0;
    return count;
}

static size_t count_set_of(const mls__node *node, const char *attribute)
{
    size_t count = 0;
    for (size_t k = 0; !node->is_dead && k < node->attr_count; k++)
        count += strcmp(node->attrs[k].name, attribute) == 0 && node->attrs[k].i == 1;
    return count;
}

size_t count_set(const char *attribute)
{
    size_t count = 0;
    for (size_t i = 0; i < model->optimized.nodes.count; i++)
        count += count_set_of(mls__graph_node(&model->optimized, i), attribute);
    return count;
}

/* The first output for an input at random, of so many elements. */
static float *run(uint64_t flags, size_t *ret_count)
{
    const mls_dim_value dims[] = {{"batch", 2}, {"height", 11}};
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    options.flags = flags;
    options.dims = dims;
    options.dim_count = 2;
    mls_session *session;
    ck_assert_ok(mls_session_create(model, &options, &session));
    float *x = mls_session_input_data(session, 0);
    seed = 99;
    for (int i = 0; i < 2 * 20 * 9 * 11; i++)
        x[i] = number();
    return take_floats(session, ret_count);
}

void expect_equal(double bound)
{
    size_t count, same_count;
    float *plain = run(MLS_SESSION_NO_OPTIMIZE, &same_count);
    float *fast = run(0, &count);
    ck_assert_uint_eq(count, same_count);
    for (size_t i = 0; i < count; i++) {
        if (bound == 0)
            ck_assert_msg(memcmp(&plain[i], &fast[i], sizeof *fast) == 0, "%zu: %a, not %a", i,
                          (double) fast[i], (double) plain[i]);
        ck_assert_double_le(fabs((double) plain[i] - (double) fast[i]),
                            bound * (1 + fabs((double) plain[i])));
    }
    free(plain);
    free(fast);
}
