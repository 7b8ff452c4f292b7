/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FusedConvMaxPool with attributes at random and with shapes that cut the work in every way,
 * against the largest of each window of a convolution that was worked out output by output.
 */
#include "cpu/conv_case.h"
#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct pool_case {
    conv_case conv;
    int64_t kernel[2], stride[2], dilation[2], pads[4], ceil_mode;
    int64_t output[2];
    bool is_fast; /* numbers are integers then */
} pool_case;

static int64_t pick(uint64_t *seed, int64_t low, int64_t high)
{
    return low + (int64_t) (op_random(seed) % (uint64_t) (high - low + 1));
}

/* --- the reference --------------------------------------------------------------------------- */

/* Sets the outputs of both; false when there are none, or too much work for a test. */
static bool set_outputs(pool_case *p)
{
    conv_case *c = &p->conv;
    for (int i = 0; i < c->rank; i++) {
        const int64_t span = (p->kernel[i] - 1) * p->dilation[i] + 1;
        const int64_t room = c->input[i] + c->pads[i] + c->pads[c->rank + i] -
                             (c->kernel[i] - 1) * c->dilation[i] - 1;
        c->output[i] = room < 0 ? 0 : room / c->stride[i] + 1;
        const int64_t padded = c->output[i] + p->pads[i] + p->pads[c->rank + i];
        if (c->output[i] < 1 || p->pads[i] >= span || p->pads[c->rank + i] >= span || padded < span)
            return false;
        p->output[i] = (padded - span) / p->stride[i] + 1;
        if (p->ceil_mode && (padded - span) % p->stride[i] &&
            p->output[i] * p->stride[i] < c->output[i] + p->pads[i])
            p->output[i]++;
    }
    return c->batch * c->filters * c->channels * conv_product(c->rank, c->kernel) *
               conv_product(c->rank, c->output) <
           1200000;
}

/* The largest of a plane's window that begins at `at`, of two dimensions. */
static double largest(const double *plane, const int64_t *dims, const int64_t *at,
                      const int64_t *kernel, const int64_t *dilation)
{
    double value = -INFINITY;
    for (int64_t i = 0; i < kernel[0]; i++)
        for (int64_t j = 0; j < kernel[1]; j++) {
            const int64_t row = at[0] + i * dilation[0], column = at[1] + j * dilation[1];
            if (row >= 0 && row < dims[0] && column >= 0 && column < dims[1])
                value = fmax(value, plane[row * dims[1] + column]);
        }
    return value;
}

/* A row is a plane of one. */
static void to_plane(int rank, int64_t one, const int64_t *from, int64_t *ret_two)
{
    ret_two[0] = rank == 2 ? from[0] : one;
    ret_two[1] = from[rank - 1];
}

static conv_numbers pooled(const pool_case *p, const conv_numbers *y)
{
    const int rank = p->conv.rank;
    const int64_t own = conv_product(rank, p->output), plane = conv_product(rank, p->conv.output);
    const int64_t planes = p->conv.batch * p->conv.filters;
    int64_t dims[2], outputs[2], kernel[2], stride[2], dilation[2], before[2];
    conv_numbers n = {y->dtype, planes * own, calloc((size_t) (planes * own), sizeof(double))};
    ck_assert_ptr_nonnull(n.values);
    to_plane(rank, 1, p->conv.output, dims);
    to_plane(rank, 1, p->output, outputs);
    to_plane(rank, 1, p->kernel, kernel);
    to_plane(rank, 1, p->stride, stride);
    to_plane(rank, 1, p->dilation, dilation);
    to_plane(rank, 0, p->pads, before);
    for (int64_t i = 0; i < n.count; i++) {
        const int64_t o = i % own;
        const int64_t at[] = {o / outputs[1] * stride[0] - before[0],
                              o % outputs[1] * stride[1] - before[1]};
        n.values[i] = largest(y->values + i / own * plane, dims, at, kernel, dilation);
    }
    return n;
}

/* --- the op ---------------------------------------------------------------------------------- */

static op_test *new_test(const pool_case *p)
{
    const size_t rank = (size_t) p->conv.rank;
    op_test *test = op_test_create("mlscale", "FusedConvMaxPool");
    conv_add_attributes(test, &p->conv);
    op_test_ints(test, "pool_kernel_shape", rank, p->kernel);
    op_test_ints(test, "pool_strides", rank, p->stride);
    op_test_ints(test, "pool_dilations", rank, p->dilation);
    op_test_ints(test, "pool_pads", 2 * rank, p->pads);
    op_test_int(test, "pool_ceil_mode", p->ceil_mode);
    if (p->is_fast)
        op_test_fast(test);
    return test;
}

static void to_integers(conv_numbers *n)
{
    for (int64_t i = 0; i < n->count; i++)
        n->values[i] = rint(3 * n->values[i]);
}

/* Planned for `more` elements of each dimension. */
static void check(const pool_case *p, int64_t more)
{
    const conv_case *c = &p->conv;
    conv_operands o = conv_operands_make(c);
    if (p->is_fast)
        to_integers(&o.x), to_integers(&o.w), to_integers(&o.b);
    conv_fill_reference(c, &o);
    op_test *test = new_test(p);
    conv_add_operand(test, c, &o.x, c->is_x_blocked, c->channels, c->input);
    if (more) {
        int64_t dims[MOST_RANK + 3], input[MOST_RANK];
        int rank;
        for (int i = 0; i < c->rank; i++)
            input[i] = c->input[i] + more;
        conv_set_dims(c->is_x_blocked, c->batch, c->channels, c->rank, input, &rank, dims);
        op_test_planned(test, rank, dims, NULL);
    }
    conv_add_weights(test, c, &o);
    ck_assert_ok(op_test_run(test));
    conv_case expected = *c;
    memcpy(expected.output, p->output, sizeof p->output);
    conv_numbers y = pooled(p, &o.y);
    conv_expect(test, &expected, &y);
    op_test_free(test);
    free(y.values);
    conv_operands_free(o);
}

/* --- cases at random ------------------------------------------------------------------------- */

static pool_case random_case(uint64_t seed)
{
    static const mls_dtype dtypes[] = {MLS_FLOAT32, MLS_FLOAT32, MLS_FLOAT16, MLS_BFLOAT16};
    static const char *const activations[] = {NULL, "Relu", "LeakyRelu"};
    pool_case p;
    do {
        p = (pool_case){.conv = {.domain = "mlscale",
                                 .type = "FusedConvMaxPool",
                                 .dtype = dtypes[pick(&seed, 0, 3)],
                                 .is_y_blocked = true,
                                 .groups = 1,
                                 .seed = seed}};
        conv_case *c = &p.conv;
        c->rank = (int) pick(&seed, 1, 2);
        c->is_x_blocked = pick(&seed, 0, 1);
        c->is_x_wide = c->dtype != MLS_FLOAT32 && pick(&seed, 0, 1);
        c->is_y_wide = c->dtype != MLS_FLOAT32 && pick(&seed, 0, 1);
        c->is_constant = pick(&seed, 0, 1);
        c->has_bias = pick(&seed, 0, 1);
        c->activation = activations[pick(&seed, 0, 2)];
        c->batch = pick(&seed, 1, 2);
        c->channels = pick(&seed, 0, 2) ? pick(&seed, 1, 4) : pick(&seed, 5, 20);
        c->filters = pick(&seed, 8, 40);
        for (int i = 0; i < c->rank; i++) {
            c->input[i] = pick(&seed, 1, 25);
            c->kernel[i] = pick(&seed, 1, 3);
            c->stride[i] = pick(&seed, 1, 2);
            c->dilation[i] = 1;
            c->pads[i] = c->pads[c->rank + i] = pick(&seed, 0, 1);
            p.kernel[i] = pick(&seed, 1, 4);
            p.stride[i] = pick(&seed, 1, pick(&seed, 2, 5));
            p.dilation[i] = pick(&seed, 1, 4) < 4 ? 1 : 2;
            p.pads[i] = pick(&seed, 0, 2);
            p.pads[c->rank + i] = pick(&seed, 0, 2);
        }
        p.ceil_mode = pick(&seed, 0, 1);
    } while (!set_outputs(&p));
    return p;
}

START_TEST(test_random)
{
    for (uint64_t i = 0; i < 5; i++) {
        const pool_case p = random_case((uint64_t) _i * 5 + i);
        check(&p, _i % 3 == 2 ? (int64_t) i + 1 : 0);
    }
}
END_TEST

/* --- given shapes ---------------------------------------------------------------------------- */

#define PAIRS   .kernel = {2, 2}, .stride = {2, 2}
#define THREES  .kernel = {3, 3}, .stride = {2, 2}, .pads = {1, 1, 1, 1}
#define SQUARES .kernel = {3, 3}, .pads = {1, 1, 1, 1}

/*
 * Pieces of wide rows, of planes and of one row; bands of shared rows and steps of kept ones;
 * several groups of panels; weights that take several passes; axes of one element; a window larger
 * than a chunk, and one that sees nothing.
 */
static const pool_case cases[] = {
    {.conv = {.rank = 2, .channels = 1, .filters = 9, .input = {5, 1300}, SQUARES}, PAIRS},
    {.conv = {.rank = 2, .channels = 1, .filters = 9, .input = {5, 1301}, SQUARES}, THREES},
    {.conv = {.rank = 1, .channels = 1, .filters = 20, .input = {2000}, .kernel = {5}},
     .kernel = {4},
     .stride = {3}},
    {.conv = {.rank = 2, .channels = 3, .filters = 70, .input = {70, 9}, SQUARES}, THREES},
    {.conv = {.rank = 2, .channels = 2, .filters = 17, .input = {130, 12}, SQUARES}, THREES},
    {.conv = {.rank = 2, .channels = 70, .filters = 20, .input = {6, 9}, SQUARES}, PAIRS},
    {.conv = {.rank = 2, .channels = 20, .filters = 16, .input = {90, 1}, .kernel = {5, 1}},
     .kernel = {3, 1},
     .stride = {2, 1}},
    {.conv = {.rank = 2, .channels = 20, .filters = 16, .input = {1, 90}, .kernel = {1, 5}},
     .kernel = {1, 3},
     .stride = {1, 2}},
    {.conv = {.rank = 2, .channels = 1, .filters = 8, .input = {4, 700}, .kernel = {1, 1}},
     .kernel = {2, 600},
     .stride = {2, 50}},
    {.conv = {.rank = 2, .channels = 1, .filters = 8, .input = {1, 1}, .kernel = {1, 1}},
     .kernel = {2, 2},
     .stride = {1, 1},
     .dilation = {2, 2},
     .pads = {1, 1, 1, 1}},
};

static pool_case given_case(int index)
{
    pool_case p = cases[index];
    p.conv.domain = "mlscale";
    p.conv.type = "FusedConvMaxPool";
    p.conv.dtype = MLS_FLOAT32;
    p.conv.is_y_blocked = p.conv.is_constant = p.conv.has_bias = true;
    p.conv.batch = p.conv.groups = 1;
    p.conv.activation = "Relu";
    for (int i = 0; i < 2; i++) {
        p.conv.stride[i] = p.conv.dilation[i] = 1;
        p.dilation[i] = p.dilation[i] ? p.dilation[i] : 1;
    }
    ck_assert(set_outputs(&p));
    return p;
}

START_TEST(test_given)
{
    pool_case p = given_case(_i);
    for (int is_blocked = 0; is_blocked < 2; is_blocked++) {
        p.conv.is_x_blocked = is_blocked;
        check(&p, 0);
    }
}
END_TEST

/* Smaller dims than planned are cut otherwise, and never need more. */
START_TEST(test_smaller)
{
    pool_case p = given_case(_i);
    const int64_t step = MLS_TEST_SANITIZED || mls_test_is_quick() ? 72 : 8;
    for (int64_t more = 1; more < 1000; more = step * more + 1)
        if (p.conv.rank == 1 || p.conv.input[1] > 1)
            check(&p, more);
}
END_TEST

START_TEST(test_fast)
{
    pool_case p = given_case(_i);
    p.is_fast = p.conv.is_x_blocked = true;
    check(&p, 0);
}
END_TEST

/* --- errors ---------------------------------------------------------------------------------- */

static void expect_error(int64_t group, int64_t is_blocked, int64_t kernel, const char *words)
{
    const float zeros[512] = {0};
    op_test *test = op_test_create("mlscale", "FusedConvMaxPool");
    op_test_int(test, "group", group);
    op_test_int(test, "y_blocked", is_blocked);
    op_test_ints(test, "pool_kernel_shape", 1, &kernel);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(1, 2, 5), zeros);
    op_test_input(test, MLS_FLOAT32, OP_DIMS(16, 2 / group, 3), zeros);
    ck_assert_fails(op_test_infer(test), strstr(words, "spans") ? MLS_ESHAPE : MLS_EINVAL, words);
    op_test_free(test);
}

START_TEST(test_errors)
{
    expect_error(2, 1, 2, "one group");
    expect_error(1, 0, 2, "in blocks");
    expect_error(1, 1, 4, "spans 4 elements");
    expect_error(1, 1, 0, "kernel_shape has 0");
}
END_TEST

int main(void)
{
    enum { COUNT = sizeof cases / sizeof cases[0] };
    Suite *suite = suite_create("ops_conv_pooled");
    TCase *tests = tcase_create("pooled");
    tcase_add_loop_test(tests, test_random, 0, 30);
    tcase_add_loop_test(tests, test_given, 0, COUNT);
    tcase_add_loop_test(tests, test_smaller, 0, COUNT);
    tcase_add_loop_test(tests, test_fast, 0, COUNT);
    tcase_add_test(tests, test_errors);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
