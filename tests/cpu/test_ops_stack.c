/* SPDX-License-Identifier: Apache-2.0 */
/* ConvStack: the bytes of its stages apart, with images that are large and small; bad programs. */
#include "cpu/op_harness.h"
#include "cpu/op_values.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_STAGES = 5, BLOCK = 16 };

typedef struct stage {
    const char *type;
    int64_t filters, groups; /* of a convolution */
    int64_t kernel[2], stride[2], dilation[2], pads[4];
    const char *activation;
    bool has_bias, has_residual, is_variable;
    mls_dtype half; /* of weights and bias, between images that are wide; 0: all is float32 */
    int64_t ceil_mode, counts_padding; /* of a pool */
} stage;

typedef struct stack_case {
    int64_t batch, channels, height, width;
    bool is_plain; /* what the first stage reads */
    int64_t planned_batch, planned_height;
    int count;
    stage stages[MOST_STAGES];
} stack_case;

typedef struct operand {
    int rank;
    int64_t dims[5];
    float *data;
} operand;

static int64_t count_of(const operand *o)
{
    int64_t count = 1;
    for (int i = 0; i < o->rank; i++)
        count *= o->dims[i];
    return count;
}

static operand make(int rank, const int64_t *dims, uint64_t seed)
{
    operand o = {.rank = rank};
    memcpy(o.dims, dims, (size_t) rank * sizeof *dims);
    const int64_t count = count_of(&o);
    o.data = malloc((size_t) count * sizeof *o.data);
    for (int64_t i = 0; i < count; i++)
        o.data[i] = (float) mls_test_random_below(&seed, 2001) / 1000 - 1;
    return o;
}

static bool is_conv(const stage *s)
{
    return strcmp(s->type, "FusedConv") == 0;
}

/* --- building -------------------------------------------------------------------------------- */

static int64_t count_attributes(const stage *s)
{
    if (!is_conv(s))
        return 6 + s->counts_padding;
    return 7 + (s->activation != NULL) + 2 * (s->half != 0);
}

static void add_attributes(op_test *t, const stage *s, int64_t channels, bool is_x_blocked)
{
    op_test_ints(t, "kernel_shape", 2, s->kernel);
    op_test_ints(t, "strides", 2, s->stride);
    op_test_ints(t, "dilations", 2, s->dilation);
    op_test_ints(t, "pads", 4, s->pads);
    if (is_conv(s)) {
        op_test_int(t, "group", s->groups);
        op_test_int(t, "x_blocked", is_x_blocked);
        op_test_int(t, "y_blocked", 1);
        if (s->activation)
            op_test_string(t, "activation", s->activation);
        if (s->half) {
            op_test_int(t, "x_wide", 1);
            op_test_int(t, "y_wide", 1);
        }
        return;
    }
    op_test_int(t, "ceil_mode", s->ceil_mode);
    op_test_int(t, "channels", channels);
    if (s->counts_padding)
        op_test_int(t, "count_include_pad", 1);
}

/* A constant in the stage's dtype. */
static void add_constant(op_test *t, const stage *s, const operand *o)
{
    const int64_t count = count_of(o);
    if (!s->half) {
        op_test_constant(t, MLS_FLOAT32, o->rank, o->dims, o->data);
        return;
    }
    uint16_t *data = malloc((size_t) count * sizeof *data);
    for (int64_t i = 0; i < count; i++)
        op_float_set(s->half, data, i, (double) o->data[i]);
    op_test_constant(t, s->half, o->rank, o->dims, data);
    free(data);
}

/* Weights, bias and residual; gives their number. */
static int64_t add_inputs(op_test *t, const stage *s, const operand *operands)
{
    if (!is_conv(s))
        return 0;
    const operand *w = &operands[0], *b = &operands[1], *z = &operands[2];
    if (s->is_variable)
        op_test_input(t, MLS_FLOAT32, w->rank, w->dims, w->data);
    else
        add_constant(t, s, w);
    if (s->has_bias)
        add_constant(t, s, b);
    else if (s->has_residual)
        op_test_left_out(t);
    if (s->has_residual)
        op_test_input(t, MLS_FLOAT32, z->rank, z->dims, z->data);
    return 1 + (s->has_bias || s->has_residual) + s->has_residual;
}

/* The stage by itself. The residual is made once its dims are known. */
static operand run_stage(const stage *s, const operand *x, int64_t channels, bool is_plain,
                         operand *operands)
{
    op_test *t = op_test_create("mlscale", s->type);
    op_test_input(t, MLS_FLOAT32, x->rank, x->dims, x->data);
    add_attributes(t, s, channels, !is_plain);
    if (is_conv(s)) {
        stage alone = *s;
        const int64_t w[] = {s->filters, channels / s->groups, s->kernel[0], s->kernel[1]};
        operands[0] = make(4, w, 11);
        operands[1] = make(1, w, 12);
        alone.has_residual = false;
        op_test *shape = op_test_create("mlscale", s->type);
        op_test_input(shape, MLS_FLOAT32, x->rank, x->dims, x->data);
        add_attributes(shape, s, channels, !is_plain);
        add_inputs(shape, &alone, operands);
        ck_assert_ok(op_test_infer(shape));
        operands[2] = make(5, op_test_output(shape, 0)->dims, 13);
        op_test_free(shape);
        add_inputs(t, s, operands);
    }
    ck_assert_ok(op_test_run(t));
    operand y = make(5, op_test_output(t, 0)->dims, 0);
    memcpy(y.data, op_test_data(t, 0), (size_t) count_of(&y) * sizeof *y.data);
    op_test_free(t);
    return y;
}

static void plan_larger(op_test *t, const stack_case *c, const operand *x)
{
    int64_t dims[5];
    memcpy(dims, x->dims, sizeof dims);
    dims[0] = c->planned_batch ? c->planned_batch : dims[0];
    dims[2] = c->planned_height ? c->planned_height : dims[2];
    if (c->planned_batch || c->planned_height)
        op_test_planned(t, x->rank, dims, NULL);
}

static void check_case(const stack_case *c)
{
    const char *types[MOST_STAGES];
    int64_t program[2 * MOST_STAGES], channels[MOST_STAGES + 1] = {c->channels};
    operand images[MOST_STAGES + 1], operands[MOST_STAGES][3] = {0};
    const int64_t plain[] = {c->batch, c->channels, c->height, c->width};
    const int64_t blocked[] = {c->batch, (c->channels + BLOCK - 1) / BLOCK, c->height, c->width,
                               BLOCK};
    images[0] = c->is_plain ? make(4, plain, 5) : make(5, blocked, 5);
    for (int i = 0; i < c->count; i++) {
        const stage *s = &c->stages[i];
        types[i] = s->type;
        images[i + 1] = run_stage(s, &images[i], channels[i], c->is_plain && !i, operands[i]);
        channels[i + 1] = is_conv(s) ? s->filters : channels[i];
        program[2 * i] = count_attributes(s);
        program[2 * i + 1] =
            is_conv(s) ? 1 + (s->has_bias || s->has_residual) + s->has_residual : 0;
    }
    op_test *t = op_test_create("mlscale", "ConvStack");
    op_test_strings(t, "stages", (size_t) c->count, types);
    op_test_ints(t, "program", 2 * (size_t) c->count, program);
    op_test_input(t, MLS_FLOAT32, images[0].rank, images[0].dims, images[0].data);
    plan_larger(t, c, &images[0]);
    for (int i = 0; i < c->count; i++) {
        add_attributes(t, &c->stages[i], channels[i], i || !c->is_plain);
        add_inputs(t, &c->stages[i], operands[i]);
    }
    ck_assert_ok(op_test_run(t));
    op_test_expect(t, 0, MLS_FLOAT32, 5, images[c->count].dims, images[c->count].data);
    op_test_free(t);
    for (int i = 0; i <= c->count; i++)
        free(images[i].data);
    for (int i = 0; i < c->count; i++)
        for (int k = 0; k < 3; k++)
            free(operands[i][k].data);
}

/* --- cases ----------------------------------------------------------------------------------- */

#define ONES                                                                                       \
    {                                                                                              \
        1, 1                                                                                       \
    }
#define POINTS(n)                                                                                  \
    .type = "FusedConv", .filters = n, .groups = 1, .kernel = ONES, .stride = ONES, .dilation = ONES
#define DEEP(n, size, step, pad)                                                                   \
    .type = "FusedConv", .filters = n, .groups = n, .kernel = {size, size},                        \
    .stride = {step, step}, .dilation = ONES, .pads = {pad, pad, pad, pad}
#define WIDE(n, size, step, pad)                                                                   \
    .type = "FusedConv", .filters = n, .groups = 1, .kernel = {size, size},                        \
    .stride = {step, step}, .dilation = ONES, .pads = {pad, pad, pad, pad}

/* Images of 384 KiB and more are large. */
static const stack_case cases[] = {
    /* The first layers of a network. */
    {.batch = 1,
     .channels = 3,
     .height = 164,
     .width = 162,
     .is_plain = true,
     .count = 4,
     .stages = {{WIDE(16, 3, 2, 1), .has_bias = true, .activation = "Relu"},
                {POINTS(16), .has_bias = true},
                {DEEP(16, 3, 1, 1), .activation = "Relu"},
                {.type = "BlockedMaxPool", .kernel = {2, 2}, .stride = {2, 2}, .dilation = ONES}}},
    /* Blocks that are not whole, a stride, other activations, a residual at the end. */
    {.batch = 2,
     .channels = 20,
     .height = 61,
     .width = 57,
     .count = 3,
     .stages = {{POINTS(40), .has_bias = true, .activation = "HardSwish"},
                {DEEP(40, 5, 2, 2), .has_bias = true, .activation = "Sigmoid"},
                {POINTS(20), .has_residual = true}}},
    /* A residual in between ends a group; whole kernels next to each other. */
    {.batch = 1,
     .channels = 16,
     .height = 90,
     .width = 90,
     .count = 4,
     .stages = {{WIDE(16, 3, 1, 1)},
                {WIDE(16, 3, 1, 0), .has_bias = true, .has_residual = true},
                {WIDE(16, 1, 2, 0), .activation = "Relu"},
                {DEEP(16, 3, 1, 1)}}},
    /* Pools with padding, dilation and windows beyond the end. */
    {.batch = 1,
     .channels = 36,
     .height = 70,
     .width = 73,
     .count = 4,
     .stages = {{POINTS(36), .activation = "Relu"},
                {.type = "BlockedAveragePool",
                 .kernel = {3, 2},
                 .stride = {1, 1},
                 .dilation = ONES,
                 .pads = {1, 1, 1, 0},
                 .counts_padding = 1},
                {.type = "BlockedMaxPool",
                 .kernel = {3, 2},
                 .stride = {1, 2},
                 .dilation = {2, 1},
                 .pads = {1, 0, 1, 0},
                 .ceil_mode = 1},
                {.type = "BlockedMaxPool",
                 .kernel = {3, 3},
                 .stride = {2, 2},
                 .dilation = ONES,
                 .pads = {0, 1, 0, 1},
                 .ceil_mode = 1}}},
    /* Dilated filters, wider steps than kernels, weights that only a run tells. */
    {.batch = 1,
     .channels = 16,
     .height = 96,
     .width = 80,
     .count = 4,
     .stages = {{POINTS(16)},
                {.type = "FusedConv",
                 .filters = 16,
                 .groups = 16,
                 .kernel = {3, 3},
                 .stride = ONES,
                 .dilation = {3, 2},
                 .pads = {3, 2, 3, 2}},
                {WIDE(24, 1, 3, 0)},
                {POINTS(24), .is_variable = true}}},
    /* Few filters, in a block that is mostly empty: their lines go round in a ring. */
    {.batch = 1,
     .channels = 16,
     .height = 150,
     .width = 170,
     .count = 3,
     .stages = {{WIDE(8, 3, 1, 1), .activation = "Relu"},
                {WIDE(8, 3, 1, 1), .has_bias = true},
                {WIDE(20, 3, 2, 1)}}},
    /* Rounded to 16 bits by each stage: by itself, and behind an activation. */
    {.batch = 1,
     .channels = 16,
     .height = 90,
     .width = 80,
     .count = 3,
     .stages = {{POINTS(16), .half = MLS_FLOAT16, .has_bias = true, .activation = "Relu"},
                {DEEP(16, 3, 1, 1), .half = MLS_FLOAT16, .activation = "HardSwish"},
                {POINTS(16), .half = MLS_FLOAT16, .has_residual = true}}},
    {.batch = 1,
     .channels = 3,
     .height = 80,
     .width = 90,
     .is_plain = true,
     .count = 3,
     .stages = {{WIDE(16, 3, 1, 1), .half = MLS_BFLOAT16, .activation = "HardSwish"},
                {DEEP(16, 3, 2, 1), .half = MLS_BFLOAT16, .has_bias = true},
                {POINTS(16), .half = MLS_BFLOAT16}}},
    /* Followed to smaller images, and fewer. */
    {.batch = 1,
     .channels = 17,
     .height = 50,
     .width = 90,
     .planned_batch = 3,
     .planned_height = 81,
     .count = 3,
     .stages = {{POINTS(32), .has_bias = true, .activation = "Relu"},
                {DEEP(32, 3, 1, 1), .has_bias = true},
                {POINTS(18)}}},
    /* Small images, each stage by itself. */
    {.batch = 2,
     .channels = 20,
     .height = 9,
     .width = 7,
     .count = 3,
     .stages = {{POINTS(30), .has_bias = true}, {DEEP(30, 3, 1, 1)}, {POINTS(10)}}},
    /* Nothing, by fewer images than were planned. */
    {.batch = 1,
     .channels = 16,
     .height = 1,
     .width = 100,
     .planned_height = 100,
     .count = 2,
     .stages = {{POINTS(16)}, {DEEP(16, 3, 1, 1)}}},
};

START_TEST(gives_the_bytes_of_its_stages)
{
    check_case(&cases[_i]);
}
END_TEST

/* --- programs that are none ------------------------------------------------------------------ */

static const struct {
    const char *stages[2];
    int64_t program[4];
    size_t numbers;
} bad[] = {
    {{"Conv", "BlockedMaxPool"}, {0, 1, 0, 0}, 4},         /* no such stage */
    {{"FusedConv", "BlockedMaxPool"}, {0, 1, 0}, 3},       /* too few numbers */
    {{"FusedConv", "FusedConv"}, {0, 1, 0, 2}, 4},         /* more inputs than there are */
    {{"FusedConv", "FusedConv"}, {0, 1, 0, 0}, 4},         /* one without weights */
    {{"FusedConv", "FusedConv"}, {1, 1, 0, 1}, 4},         /* more attributes */
    {{"FusedConv", "FusedConv"}, {-1, 1, 1, 1}, 4},        /* fewer than none */
    {{"FusedConv", "BlockedMaxPool"}, {0, 1, 0, 1}, 4},    /* a pool with weights */
    {{"FusedConv", "FusedConv"}, {0, INT64_MIN, 0, 1}, 4}, /* nor is this a number of inputs */
};

START_TEST(bad_programs_are_refused)
{
    const float w[256] = {0}, x[256] = {0};
    op_test *t = op_test_create("mlscale", "ConvStack");
    op_test_strings(t, "stages", 2, bad[_i].stages);
    op_test_ints(t, "program", bad[_i].numbers, bad[_i].program);
    op_test_input(t, MLS_FLOAT32, OP_DIMS(1, 16, 4, 4), x);
    op_test_constant(t, MLS_FLOAT32, OP_DIMS(16, 16, 1, 1), w);
    op_test_constant(t, MLS_FLOAT32, OP_DIMS(16, 16, 1, 1), w);
    ck_assert_int_eq(op_test_infer(t), MLS_EINVAL);
    op_test_free(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpu/ops_stack");
    TCase *tests = tcase_create("stack");
    tcase_add_loop_test(tests, gives_the_bytes_of_its_stages, 0, sizeof cases / sizeof cases[0]);
    tcase_add_loop_test(tests, bad_programs_are_refused, 0, sizeof bad / sizeof bad[0]);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
