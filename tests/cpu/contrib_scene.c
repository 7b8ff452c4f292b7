/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/contrib_scene.h"

#include "cpu/op_numbers.h"
#include "cpu/op_values.h"

#include "op/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FILTER = -10000 };

heads heads_make(int64_t batch, int64_t count, int64_t rows, int64_t size)
{
    heads h = {batch, count, rows, size, NULL};
    h.values = calloc((size_t) (batch * count * rows * size) + 1, sizeof *h.values);
    ck_assert_ptr_nonnull(h.values);
    return h;
}

double *heads_at(const heads *h, int64_t batch, int64_t head, int64_t row)
{
    return h->values + ((batch * h->heads + head) * h->rows + row) * h->size;
}

double *contrib_random(int64_t count, uint64_t seed)
{
    double *values = calloc((size_t) count + 1, sizeof *values);
    ck_assert_ptr_nonnull(values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (double) (op_random(&seed) % 33) / 16 - 1;
    return values;
}

void contrib_give(op_test *test, mls_dtype dtype, int rank, const int64_t *dims,
                  const double *values, bool is_constant)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    void *data = calloc((size_t) count + 1, sizeof(double));
    ck_assert_ptr_nonnull(data);
    for (int64_t i = 0; i < count; i++)
        op_float_set(dtype, data, i, values[i]);
    (is_constant ? op_test_constant : op_test_input)(test, dtype, rank, dims, data);
    free(data);
}

static int64_t mask_dims(const scene *s, int64_t dims[4])
{
    const int64_t batch = s->q.batch, queries = s->q.rows, keys = s->k.rows;
    const int64_t all[PADDINGS][5] = {
        {0},
        {1, batch},
        {1, 3 * batch + 2},
        {1, 2 * batch},
        {2, batch, keys},
        {3, batch, queries, keys},
        {4, batch, 1, keys + 2, keys + 2},
    };
    memcpy(dims, all[s->padding] + 1, 4 * sizeof *dims);
    return all[s->padding][0];
}

/* The first key stays: with padding alone, rounding to float32 would show next to FILTER. */
void scene_add_mask(op_test *test, scene *s)
{
    int64_t dims[4], count = 1;
    uint64_t seed = 77;
    const int64_t rank = mask_dims(s, dims), keys = s->k.rows;
    if (rank == 0) {
        op_test_left_out(test);
        return;
    }
    for (int64_t i = 0; i < rank; i++)
        count *= dims[i];
    s->mask = calloc((size_t) count, sizeof *s->mask);
    ck_assert_ptr_nonnull(s->mask);
    for (int64_t i = 0; i < count; i++)
        s->mask[i] = s->padding >= KEYS
                         ? (int32_t) (i % dims[rank - 1] == 0 || op_random(&seed) % 3 != 0)
                     : i >= s->q.batch ? 1
                                       : (int32_t) (2 + (keys > 2 ? i % (keys - 1) : 0));
    op_test_input(test, MLS_INT32, (int) rank, dims, s->mask);
}

static bool is_padding(const scene *s, int64_t b, int64_t query, int64_t key)
{
    const int64_t keys = s->k.rows, most = keys + 2;
    switch (s->padding) {
    case ENDS:
    case CUMULATED:
        return key >= s->mask[b];
    case RANGES:
        return key >= s->mask[b] || key < s->mask[s->q.batch + b];
    case KEYS:
        return !s->mask[b * keys + key];
    case ROWS:
        return !s->mask[(b * s->q.rows + query) * keys + key];
    case SQUARE:
        return !s->mask[(b * most + s->past + query) * most + key];
    default:
        return false;
    }
}

static double score(const scene *s, int64_t b, int64_t head, int64_t query, int64_t key)
{
    double sum = 0;
    if (s->is_causal && key > query + s->past)
        return -INFINITY;
    for (int64_t i = 0; i < s->q.size; i++)
        sum += heads_at(&s->q, b, head, query)[i] * heads_at(&s->k, b, head, key)[i];
    sum = sum * s->scale + (is_padding(s, b, query, key) ? FILTER : 0);
    if (s->bias)
        sum += s->bias[(((b % s->bias_batch) * s->bias_heads + head % s->bias_heads) * s->q.rows +
                        query) *
                           s->k.rows +
                       key];
    return sum;
}

/* y[batch][query][head][size] */
static void fill_reference(const scene *s, double *y)
{
    double x[64];
    for (int64_t i = 0; i < s->q.batch * s->q.rows * s->q.heads; i++) {
        const int64_t head = i % s->q.heads, query = i / s->q.heads % s->q.rows;
        const int64_t b = i / s->q.heads / s->q.rows;
        double most = -INFINITY, sum = 0;
        for (int64_t j = 0; j < s->k.rows; j++)
            most = fmax(most, x[j] = score(s, b, head, query, j));
        for (int64_t j = 0; j < s->k.rows; j++)
            sum += x[j] = exp(x[j] - most);
        for (int64_t e = 0; e < s->v.size; e++) {
            double *out = &y[i * s->v.size + e];
            *out = 0;
            for (int64_t j = 0; j < s->k.rows; j++)
                *out += x[j] / sum * heads_at(&s->v, b, head, j)[e];
        }
    }
}

void contrib_expect(const op_test *test, size_t index, mls_dtype dtype, const double *expected,
                    int64_t count)
{
    const double bound = dtype == MLS_FLOAT32 ? 4e-6 : dtype == MLS_FLOAT16 ? 4e-3 : 3e-2;
    ck_assert_int_eq(mls__arg_count(op_test_output(test, index)), count);
    ck_assert_int_eq(op_test_output(test, index)->dtype, dtype);
    op_numbers_expect_near(test, index, expected, bound);
}

void scene_expect(const op_test *test, mls_dtype dtype, const scene *s)
{
    const int64_t count = s->q.batch * s->q.heads * s->q.rows * s->v.size;
    double *y = calloc((size_t) count + 1, sizeof *y);
    ck_assert_ptr_nonnull(y);
    fill_reference(s, y);
    contrib_expect(test, 0, dtype, y, count);
    free(y);
}

void scene_free(scene *s)
{
    free(s->q.values);
    free(s->k.values);
    free(s->v.values);
    free(s->mask);
}
