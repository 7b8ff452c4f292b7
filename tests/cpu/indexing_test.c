/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/indexing_test.h"

#include "cpu/op_values.h"

#include <math.h>
#include <stdlib.h>

int64_t *indexing_integers(int64_t count)
{
    int64_t *values = malloc(((size_t) count + 1) * sizeof *values);
    ck_assert_ptr_nonnull(values);
    return values;
}

void indexing_give(op_test *t, bool is_wide, int rank, const int64_t *dims, const int64_t *indices)
{
    const int64_t count = count_of(rank, dims);
    int32_t *narrow = malloc(((size_t) count + 1) * sizeof *narrow);
    for (int64_t i = 0; i < count; i++)
        narrow[i] = (int32_t) indices[i];
    op_test_input(t, is_wide ? MLS_INT64 : MLS_INT32, rank, dims,
                  is_wide ? (const void *) indices : narrow);
    free(narrow);
}

void indexing_reduce(mls_dtype dtype, int reduction, void *data, int64_t i, const void *updates,
                     int64_t j)
{
    if (op_is_float(dtype)) {
        const double u = op_float(dtype, data, i), v = op_float(dtype, updates, j);
        const bool is_nan = isnan(u) || isnan(v);
        const double results[] = {v, u + v, u * v, is_nan ? NAN : fmin(u, v),
                                  is_nan ? NAN : fmax(u, v)};
        op_float_set(dtype, data, i, results[reduction]);
        return;
    }
    const int64_t u = op_integer(dtype, data, i), v = op_integer(dtype, updates, j);
    const bool is_less = dtype == MLS_UINT64 ? (uint64_t) u < (uint64_t) v : u < v;
    const bool is_bool = dtype == MLS_BOOL;
    const int64_t sum = (int64_t) ((uint64_t) u + (uint64_t) v);
    const int64_t product = (int64_t) ((uint64_t) u * (uint64_t) v);
    const int64_t results[] = {v, is_bool ? sum != 0 : sum, product, is_less ? u : v,
                               is_less ? v : u};
    op_integer_set(dtype, data, i, results[reduction]);
}

void *indexing_numbers(random_state *random, mls_dtype dtype, int64_t count)
{
    void *data = malloc(((size_t) count + 1) * 8);
    for (int64_t i = 0; i < count; i++) {
        const int64_t value = random_in(random, dtype == MLS_BOOL ? 0 : -100, 1);
        if (!op_is_float(dtype))
            op_integer_set(dtype, data, i, value);
        else
            op_float_set(dtype, data, i,
                         value == 1    ? NAN
                         : value == -1 ? (double) -INFINITY
                                       : (double) value / 8);
    }
    return data;
}
