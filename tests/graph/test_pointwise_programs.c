/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of elementwise ops at random: fused ones give the bytes of the single ops, on every
 * instruction set, with every number of threads and rows.
 */
#include "support/onnx_build.h"
#include "support/test.h"

#include "base/isa.h"
#include "graph/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ROWS         67
#define NODES        14

/* Inputs by their shapes behind the batch, or all of them; the first has all dims. */
static const struct {
    const char *name;
    bool has_batch;
    int dims[2]; /* 0: all of the width, -1: one */
} inputs[] = {
    {"full", true, {6, 0}},   {"other", true, {6, 0}},     {"row", false, {-1, 0}},
    {"rows", false, {6, 0}},  {"channel", false, {6, -1}}, {"one", false, {-1, -1}},
    {"item", true, {-1, -1}}, {"columns", true, {6, -1}},  {"lines", true, {-1, 0}},
};

static mls_model *model;

static const char *const float_unary[] = {
    "Neg",  "Abs",  "Sqrt",     "Exp",        "Tanh",        "Sigmoid", "Relu",      "LeakyRelu",
    "Elu",  "Erf",  "Floor",    "Round",      "Sin",         "Log",     "HardSwish", "Softplus",
    "Sign", "Gelu", "Softsign", "Reciprocal", "HardSigmoid", "Ceil",    "Mish",      "Celu",
};
static const char *const float_binary[] = {"Add", "Sub", "Mul", "Div", "Min", "Max", "PRelu"};
static const char *const integer_unary[] = {"Neg", "Abs", "Sign"};
static const char *const integer_binary[] = {"Add", "Sub", "Mul", "Min", "Max"};
static const char *const comparisons[] = {"Less", "Greater", "Equal", "LessOrEqual"};

typedef struct random_model {
    onnx_build *build;
    uint64_t seed;
    int32_t dtype;
    int numbers, flags; /* values there are: v0, v1, ... and bools w0, w1, ... */
} random_model;

static const char *pick(random_model *m, const char *const *names, size_t count)
{
    return names[mls_test_random_below(&m->seed, count)];
}

/* A value: a late one more often than not, so that chains are long. */
static void pick_number(random_model *m, char text[16])
{
    const int inputs_count = (int) COUNT(inputs);
    int index = (int) mls_test_random_below(&m->seed, (size_t) m->numbers);
    if (m->numbers > inputs_count && mls_test_random_below(&m->seed, 3))
        index = m->numbers - 1;
    if (index < inputs_count)
        snprintf(text, 16, "%s", inputs[index].name);
    else
        snprintf(text, 16, "v%d", index);
}

static void add_node(random_model *m, const char *op, const char *operands)
{
    char name[16];
    snprintf(name, sizeof name, "v%d", m->numbers++);
    onnx_build_node(m->build, op, operands, name);
}

static void add_random(random_model *m)
{
    char x[16], y[16], operands[64], name[16];
    const bool is_float = m->dtype != MLS_INT32;
    const size_t kind = mls_test_random_below(&m->seed, 10);
    pick_number(m, x);
    pick_number(m, y);
    if (kind < 3) {
        add_node(m,
                 is_float ? pick(m, float_unary, COUNT(float_unary) - (m->dtype != MLS_FLOAT32))
                          : pick(m, integer_unary, COUNT(integer_unary)),
                 x);
    } else if (kind < 7) {
        snprintf(operands, sizeof operands, "full %s", y);
        const char *op = is_float ? pick(m, float_binary, COUNT(float_binary))
                                  : pick(m, integer_binary, COUNT(integer_binary));
        if (strcmp(op, "PRelu") != 0)
            snprintf(operands, sizeof operands, "%s %s", x, y);
        add_node(m, op, operands);
    } else if (kind < 8) {
        snprintf(operands, sizeof operands, "%s low high", x);
        add_node(m, "Clip", operands);
    } else if (kind < 9 || !m->flags) {
        snprintf(operands, sizeof operands, "%s %s", x, y);
        snprintf(name, sizeof name, "w%d", m->flags++);
        onnx_build_node(m->build, pick(m, comparisons, COUNT(comparisons)), operands, name);
    } else {
        snprintf(operands, sizeof operands, "w%d %s %s", m->flags - 1, x, y);
        add_node(m, "Where", operands);
    }
}

static void add_inputs(random_model *m, int width)
{
    for (size_t i = 0; i < COUNT(inputs); i++) {
        char shape[48] = "";
        if (inputs[i].has_batch)
            strcat(shape, "batch,");
        for (int k = 0; k < 2; k++) {
            const int dim = inputs[i].dims[k] < 0 ? 1
                            : inputs[i].dims[k]   ? inputs[i].dims[k]
                                                  : width;
            snprintf(shape + strlen(shape), sizeof shape - strlen(shape), k ? ",%d" : "%d", dim);
        }
        onnx_build_input(m->build, inputs[i].name, m->dtype, shape);
    }
    m->numbers = (int) COUNT(inputs);
}

static void add_bounds(random_model *m)
{
    static const uint8_t bounds[4][2][8] = {
        {{0, 0, 0x80, 0xbf}, {0, 0, 0, 0x40}},                         /* -1, 2 */
        {{0, 0, 0, 0, 0, 0, 0xf0, 0xbf}, {0, 0, 0, 0, 0, 0, 0, 0x40}}, /* float64 */
        {{0, 0xbc}, {0, 0x40}},                                        /* float16 */
        {{0xff, 0xff, 0xff, 0xff}, {2}},                               /* int32 */
    };
    const int row = m->dtype == MLS_FLOAT32   ? 0
                    : m->dtype == MLS_FLOAT64 ? 1
                    : m->dtype == MLS_FLOAT16 ? 2
                                              : 3;
    const size_t size = mls_dtype_size((mls_dtype) m->dtype);
    onnx_build_raw(m->build, "low", m->dtype, "", bounds[row][0], size);
    onnx_build_raw(m->build, "high", m->dtype, "", bounds[row][1], size);
}

/* The last value is an output, and one in the middle; the shape of the first is everybody's. */
static onnx_build *random_program(uint64_t seed, int32_t dtype, int width)
{
    random_model m = {.build = onnx_build_create(20), .seed = seed, .dtype = dtype};
    char last[32];
    add_inputs(&m, width);
    add_bounds(&m);
    for (int i = 0; i < NODES; i++)
        add_random(&m);
    snprintf(last, sizeof last, "full v%d", m.numbers - 1);
    onnx_build_node(m.build, "Add", m.numbers > (int) COUNT(inputs) ? last : "full row", "y");
    onnx_build_output(m.build, "y", dtype, NULL);
    if (seed % 3 == 0) {
        snprintf(last, sizeof last, "v%d", (int) COUNT(inputs));
        onnx_build_output(m.build, last, dtype, NULL);
    }
    return m.build;
}

static void fill(mls_session *session, int32_t dtype)
{
    static const float odd[] = {0, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, 3e38f, 88.5f};
    uint64_t seed = 99;
    for (size_t i = 0; i < COUNT(inputs); i++) {
        mls_dtype unused;
        int rank;
        const int64_t *dims;
        ck_assert_ok(mls_session_input_shape(session, i, &unused, &rank, &dims));
        int64_t count = 1;
        for (int k = 0; k < rank; k++)
            count *= dims[k];
        void *data = mls_session_input_data(session, i);
        for (int64_t k = 0; k < count; k++) {
            const size_t number = mls_test_random_below(&seed, 4001);
            const float value = number < COUNT(odd) ? odd[number] : (float) number / 500.0f - 4.0f;
            if (dtype == MLS_FLOAT32)
                ((float *) data)[k] = value;
            else if (dtype == MLS_FLOAT64)
                ((double *) data)[k] = (double) value;
            else if (dtype == MLS_FLOAT16)
                ((uint16_t *) data)[k] = (uint16_t) (number * 16);
            else
                ((int32_t *) data)[k] = (int32_t) number - 2000;
        }
    }
}

/* The bytes of all outputs, any NaN as one. */
static size_t read_outputs(mls_session *session, unsigned char **ret_bytes)
{
    size_t total = 0;
    *ret_bytes = NULL;
    for (size_t i = 0; i < mls_model_output_count(model); i++) {
        mls_dtype dtype;
        int rank;
        const int64_t *dims;
        ck_assert_ok(mls_session_output_shape(session, i, &dtype, &rank, &dims));
        size_t size = mls_dtype_size(dtype);
        for (int k = 0; k < rank; k++)
            size *= (size_t) dims[k];
        *ret_bytes = realloc(*ret_bytes, total + size + 1);
        unsigned char *bytes = *ret_bytes + total;
        memcpy(bytes, mls_session_output_data(session, i), size);
        for (size_t k = 0; dtype == MLS_FLOAT32 && k < size; k += 4)
            if (isnan(*(float *) (void *) (bytes + k)))
                memset(bytes + k, 0xff, 4);
        for (size_t k = 0; dtype == MLS_FLOAT64 && k < size; k += 8)
            if (isnan(*(double *) (void *) (bytes + k)))
                memset(bytes + k, 0xff, 8);
        total += size;
    }
    return total;
}

static mls_session *open_session(uint64_t flags, uint32_t threads)
{
    mls_session_options options = MLS_SESSION_OPTIONS_INIT;
    const mls_dim_value batch = {"batch", ROWS};
    mls_session *session;
    options.threads = threads;
    options.flags = flags;
    options.dims = &batch;
    options.dim_count = 1;
    ck_assert_ok(mls_session_create(model, &options, &session));
    return session;
}

static void compare_rows(mls_session *pieces, mls_session *fused, int32_t dtype, int64_t rows,
                         const char *label)
{
    unsigned char *expected, *got;
    ck_assert_ok(mls_session_set_dim(pieces, "batch", rows));
    ck_assert_ok(mls_session_set_dim(fused, "batch", rows));
    fill(pieces, dtype);
    fill(fused, dtype);
    ck_assert_ok(mls_session_run(pieces));
    ck_assert_ok(mls_session_run(fused));
    const size_t size = read_outputs(pieces, &expected);
    ck_assert_uint_eq(read_outputs(fused, &got), size);
    for (size_t i = 0; i < size; i++)
        if (got[i] != expected[i])
            ck_abort_msg("%s, batch %d: byte %zu of %zu differs", label, (int) rows, i, size);
    free(expected);
    free(got);
}

/* One program on one instruction set. */
static void check_program(uint64_t seed, int32_t dtype, int width, const char *isa)
{
    static const int64_t batches[] = {67, 1, 2, 3, 16, 17, 66};
    const size_t batch_count = width > 100 ? 3 : COUNT(batches);
    mls_context_options options = MLS_CONTEXT_OPTIONS_INIT;
    mls_context *own;
    options.isa = isa;
    if (mls_context_create(&options, &own))
        return; /* not this machine's */
    onnx_build *build = random_program(seed, dtype, width);
    ck_assert_ok(onnx_build_load(build, own, 0, &model));
    onnx_build_free(build);
    ck_assert_uint_lt(model->optimized.nodes.count, model->graph.nodes.count);
    for (uint32_t threads = 1; threads <= 4; threads += 3) {
        char label[96];
        mls_session *pieces = open_session(MLS_SESSION_NO_OPTIMIZE, 1);
        mls_session *fused = open_session(0, threads);
        snprintf(label, sizeof label, "seed %d, dtype %d, width %d, %s, %u threads", (int) seed,
                 (int) dtype, width, isa, threads);
        for (size_t i = 0; i < batch_count; i++)
            compare_rows(pieces, fused, dtype, batches[i], label);
        mls_session_free(pieces);
        mls_session_free(fused);
    }
    mls_model_free(model);
    model = NULL;
    mls_context_free(own);
}

START_TEST(random_programs)
{
    static const char *const isas[] = {"portable", "avx2",       "avx2vnni",
                                       "avx512",   "avx512vnni", "neon"};
    static const int32_t dtypes[] = {MLS_FLOAT32, MLS_FLOAT32, MLS_FLOAT64, MLS_FLOAT16, MLS_INT32};
    static const int widths[] = {35, 300, 5, 130};
    for (uint64_t seed = 1; seed <= 20; seed++)
        for (size_t i = 0; i < COUNT(isas); i++)
            check_program(seed, dtypes[seed % COUNT(dtypes)], widths[seed % COUNT(widths)],
                          isas[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("graph/pointwise_programs");
    TCase *tests = tcase_create("pointwise_programs");
    tcase_add_test(tests, random_programs);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
