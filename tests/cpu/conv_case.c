/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/conv_case.h"

#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 16 };

int64_t conv_product(int rank, const int64_t *dims)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    return count;
}

static void to_coordinates(int64_t index, int rank, const int64_t *dims, int64_t *ret_at)
{
    for (int i = rank - 1; i >= 0; i--) {
        ret_at[i] = index % dims[i];
        index /= dims[i];
    }
}

/* The element of a dimension that output o reads at position k; -1 if it is outside. */
static int64_t element_of(const conv_case *c, int axis, int64_t o, int64_t k)
{
    for (int64_t i = 0; i < c->input[axis]; i++) {
        const int64_t reached = k * c->dilation[axis] - c->pads[axis];
        if (c->is_transposed ? i * c->stride[axis] + reached == o
                             : o * c->stride[axis] + reached == i)
            return i;
    }
    return -1;
}

/* The input's spatial index that output `o` reads at position `k`; -1 if it is outside. */
static int64_t source_of(const conv_case *c, int64_t o, int64_t k)
{
    int64_t outputs[MOST_RANK], positions[MOST_RANK], index = 0;
    to_coordinates(o, c->rank, c->output, outputs);
    to_coordinates(k, c->rank, c->kernel, positions);
    for (int i = 0; i < c->rank; i++) {
        const int64_t element = element_of(c, i, outputs[i], positions[i]);
        if (element < 0)
            return -1;
        index = index * c->input[i] + element;
    }
    return index;
}

/* --- tensors in double ----------------------------------------------------------------------- */

static conv_numbers new_numbers(mls_dtype dtype, int64_t count, uint64_t seed)
{
    conv_numbers n = {dtype, count, calloc((size_t) count + 1, sizeof(double))};
    ck_assert_ptr_nonnull(n.values);
    char element[8];
    for (int64_t i = 0; i < count; i++) {
        op_float_set(dtype, element, 0, (double) (op_random(&seed) % 20001) / 10000 - 1);
        n.values[i] = op_float(dtype, element, 0);
    }
    return n;
}

/* In the dtype; [batch, channels, plane] or, blocked, with NaN for channels that there are not. */
static void *stored(const conv_numbers *n, bool is_blocked, int64_t batch, int64_t channels)
{
    const int64_t plane = batch > 0 && channels > 0 ? n->count / batch / channels : 0;
    const int64_t blocks = (channels + BLOCK - 1) / BLOCK;
    const int64_t count = is_blocked ? batch * blocks * BLOCK * plane : n->count;
    char *data = calloc((size_t) count + 1, mls_dtype_size(n->dtype));
    ck_assert_ptr_nonnull(data);
    for (int64_t i = 0; i < count; i++) {
        int64_t from = i;
        if (is_blocked) {
            const int64_t lane = i % BLOCK, at = i / BLOCK % plane;
            const int64_t block = i / BLOCK / plane % blocks, image = i / BLOCK / plane / blocks;
            const int64_t channel = block * BLOCK + lane;
            from = channel < channels ? (image * channels + channel) * plane + at : -1;
        }
        op_float_set(n->dtype, data, i, from < 0 ? (double) NAN : n->values[from]);
    }
    return data;
}

/* --- the reference --------------------------------------------------------------------------- */

static double weight_of(const conv_case *c, const conv_operands *o, int64_t group, int64_t filter,
                        int64_t channel, int64_t k)
{
    const int64_t row = c->is_transposed ? (group * c->channels + channel) * c->filters + filter
                                         : (group * c->filters + filter) * c->channels + channel;
    return o->w.values[row * conv_product(c->rank, c->kernel) + k];
}

/* source_of() for every output and position; by output. The caller frees it. */
static int64_t *new_sources(const conv_case *c)
{
    const int64_t outputs = conv_product(c->rank, c->output);
    const int64_t positions = conv_product(c->rank, c->kernel);
    int64_t *sources = malloc((size_t) (outputs * positions + 1) * sizeof *sources);
    ck_assert_ptr_nonnull(sources);
    for (int64_t i = 0; i < outputs * positions; i++)
        sources[i] = source_of(c, i / positions, i % positions);
    return sources;
}

/*
 * A sum in the promised order, in the precision that the dtype has, over the channels of x;
 * *ret_near: the same in double. sources: of each position.
 */
static double sum_of(const conv_case *c, const conv_operands *o, const double *x, int64_t group,
                     int64_t filter, const int64_t *sources, double *ret_near)
{
    const int64_t positions = conv_product(c->rank, c->kernel),
                  plane = conv_product(c->rank, c->input);
    double sum = 0, near = 0;
    for (int64_t block = 0; block < c->channels; block += BLOCK)
        for (int64_t k = 0; k < positions; k++)
            for (int64_t i = block; sources[k] >= 0 && i < c->channels && i < block + BLOCK; i++) {
                const double a = x[i * plane + sources[k]];
                const double b = weight_of(c, o, group, filter, i, k);
                near += a * b;
                sum = c->dtype == MLS_FLOAT64 ? fma(a, b, sum)
                                              : (double) fmaf((float) a, (float) b, (float) sum);
            }
    *ret_near = near;
    return sum;
}

static double rounded(const conv_case *c, double value)
{
    return c->dtype == MLS_FLOAT64 ? value : (double) (float) value;
}

static double activated(const conv_case *c, double value)
{
    if (!c->activation)
        return value;
    if (strcmp(c->activation, "Relu") == 0)
        return value > 0 ? value : 0;
    return value < 0 ? rounded(c, value * (double) 0.25f) : value; /* LeakyRelu */
}

void conv_fill_reference(const conv_case *c, conv_operands *o)
{
    const int64_t plane = conv_product(c->rank, c->output), filters = c->groups * c->filters;
    const int64_t channels_size = c->channels * conv_product(c->rank, c->input);
    int64_t *sources = new_sources(c);
    for (int64_t i = 0; i < o->y.count; i++) {
        const int64_t filter = i / plane % filters, image = i / plane / filters;
        const int64_t group = filter / c->filters;
        const double *x = o->x.values + (image * c->groups + group) * channels_size;
        double near;
        double value = sum_of(c, o, x, group, filter % c->filters,
                              sources + i % plane * conv_product(c->rank, c->kernel), &near);
        mls_test_expect(fabs(value - near) <= 1e-3 + 1e-3 * fabs(near),
                        "element %lld sums to %.9g, in double to %.9g", (long long) i, value, near);
        if (c->has_bias)
            value = rounded(c, value + o->b.values[filter]);
        if (c->has_residual)
            value = rounded(c, value + o->z.values[i]);
        o->y.values[i] = activated(c, value);
    }
    free(sources);
}

/* --- the op ---------------------------------------------------------------------------------- */

void conv_set_dims(bool is_blocked, int64_t batch, int64_t channels, int rank,
                   const int64_t *spatial, int *ret_rank, int64_t *ret_dims)
{
    ret_dims[0] = batch;
    ret_dims[1] = is_blocked ? (channels + BLOCK - 1) / BLOCK : channels;
    memcpy(ret_dims + 2, spatial, (size_t) rank * sizeof *spatial);
    ret_dims[rank + 2] = BLOCK;
    *ret_rank = rank + 2 + is_blocked;
}

void conv_add_operand(op_test *test, const conv_case *c, const conv_numbers *n, bool is_blocked,
                      int64_t channels, const int64_t *spatial)
{
    int64_t dims[MOST_RANK + 3];
    int rank;
    void *data = stored(n, is_blocked, c->batch, channels);
    conv_set_dims(is_blocked, c->batch, channels, c->rank, spatial, &rank, dims);
    op_test_input(test, n->dtype, rank, dims, data);
    free(data);
}

void conv_add_weights(op_test *test, const conv_case *c, const conv_operands *o)
{
    int64_t dims[MOST_RANK + 2] = {c->groups * c->filters, c->channels};
    if (c->is_transposed) {
        dims[0] = c->groups * c->channels;
        dims[1] = c->filters;
    }
    memcpy(dims + 2, c->kernel, sizeof c->kernel);
    void *data = stored(&o->w, false, 1, 1);
    (c->is_constant ? op_test_constant : op_test_input)(test, c->dtype, c->rank + 2, dims, data);
    free(data);
    if (!c->has_bias && !c->has_residual)
        return;
    data = stored(&o->b, false, 1, 1);
    if (c->has_bias)
        op_test_input(test, c->dtype, 1, (int64_t[]){c->groups * c->filters}, data);
    else
        op_test_left_out(test);
    free(data);
}

void conv_add_attributes(op_test *test, const conv_case *c)
{
    const size_t rank = (size_t) c->rank;
    op_test_int(test, "group", c->groups);
    op_test_ints(test, "kernel_shape", rank, c->kernel);
    op_test_ints(test, "strides", rank, c->stride);
    op_test_ints(test, "dilations", rank, c->dilation);
    op_test_ints(test, "pads", 2 * rank, c->pads);
    if (c->is_transposed)
        op_test_ints(test, "output_padding", rank, c->extra);
    if (c->is_x_blocked)
        op_test_int(test, "x_blocked", 1);
    if (c->is_y_blocked)
        op_test_int(test, "y_blocked", 1);
    if (c->is_x_wide)
        op_test_int(test, "x_wide", 1);
    if (c->is_y_wide)
        op_test_int(test, "y_wide", 1);
    if (c->activation)
        op_test_string(test, "activation", c->activation);
    if (c->activation && c->domain[0] == 'c')
        op_test_floats(test, "activation_params", 1, (float[]){0.25f});
    else if (c->activation)
        op_test_float(test, "activation_alpha", 0.25f);
}

void conv_expect(const op_test *test, const conv_case *c, const conv_numbers *y)
{
    const int64_t filters = c->groups * c->filters, blocks = (filters + BLOCK - 1) / BLOCK;
    const int64_t plane = conv_product(c->rank, c->output);
    int64_t dims[MOST_RANK + 3];
    int rank;
    conv_set_dims(c->is_y_blocked, c->batch, filters, c->rank, c->output, &rank, dims);
    const mls_arg *output = op_test_output(test, 0);
    ck_assert_int_eq(output->rank, rank);
    ck_assert_int_eq(output->dtype, c->is_y_wide ? MLS_FLOAT32 : c->dtype);
    ck_assert_mem_eq(output->dims, dims, (size_t) rank * sizeof *dims);
    for (int64_t i = 0; i < y->count; i++) {
        const int64_t channel = i / plane % filters, image = i / plane / filters;
        const int64_t blocked =
            ((image * blocks + channel / BLOCK) * plane + i % plane) * BLOCK + channel % BLOCK;
        const int64_t at = c->is_y_blocked ? blocked : i;
        double expected;
        char element[8];
        op_float_set(c->dtype, element, 0, y->values[i]);
        expected = op_float(c->dtype, element, 0);
        const double got = op_float((mls_dtype) output->dtype, op_test_data(test, 0), at);
        mls_test_expect(memcmp(&got, &expected, sizeof got) == 0 || (got == 0 && expected == 0),
                        "element %lld is %.9g, expected %.9g", (long long) i, got, expected);
    }
}

static op_test *new_test(const conv_case *c, const conv_operands *o)
{
    op_test *test = op_test_create(c->domain, c->type);
    conv_add_attributes(test, c);
    conv_add_operand(test, c, &o->x, c->is_x_blocked, c->groups * c->channels, c->input);
    conv_add_weights(test, c, o);
    if (c->has_residual)
        conv_add_operand(test, c, &o->z, c->is_y_blocked, c->groups * c->filters, c->output);
    return test;
}

conv_operands conv_operands_make(const conv_case *c)
{
    const int64_t y = c->batch * c->groups * c->filters * conv_product(c->rank, c->output);
    const int64_t weights = c->groups * c->filters * c->channels * conv_product(c->rank, c->kernel);
    const int64_t x = c->batch * c->groups * c->channels * conv_product(c->rank, c->input);
    conv_operands o = {
        .x = new_numbers(c->dtype, x, c->seed + 1),
        .w = new_numbers(c->dtype, weights, c->seed + 2),
        .b = new_numbers(c->dtype, c->groups * c->filters, c->seed + 3),
        .z = new_numbers(c->dtype, c->has_residual ? y : 0, c->seed + 4),
        .y = new_numbers(c->dtype, y, 0),
    };
    if (c->is_x_wide)
        o.x.dtype = MLS_FLOAT32;
    if (c->is_y_wide)
        o.z.dtype = MLS_FLOAT32;
    return o;
}

void conv_operands_free(conv_operands o)
{
    free(o.x.values), free(o.w.values), free(o.b.values), free(o.z.values), free(o.y.values);
}

void conv_check(const conv_case *c)
{
    conv_operands o = conv_operands_make(c);
    conv_fill_reference(c, &o);
    op_test *test = new_test(c, &o);
    ck_assert_ok(op_test_run(test));
    conv_expect(test, c, &o.y);
    op_test_free(test);
    conv_operands_free(o);
}
