/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/op_numbers.h"

#include "cpu/op_values.h"

#include "op/op.h"
#include "tensor/shape.h"

#include <math.h>
#include <stdlib.h>

op_numbers op_numbers_make(mls_dtype dtype, int rank, const int64_t *dims)
{
    op_numbers n = {.dtype = dtype, .rank = rank, .count = 1};
    for (int i = 0; i < rank; i++) {
        n.dims[i] = dims[i];
        n.count *= dims[i];
    }
    n.values = calloc((size_t) n.count + 1, sizeof *n.values);
    n.data = calloc((size_t) n.count + 1, mls_dtype_size(dtype));
    ck_assert(n.values && n.data);
    return n;
}

op_numbers op_numbers_random(mls_dtype dtype, int rank, const int64_t *dims, double low,
                             double width, uint64_t seed)
{
    op_numbers n = op_numbers_make(dtype, rank, dims);
    for (int64_t i = 0; i < n.count; i++) {
        const double part = (double) (op_random(&seed) % 2049) / 2048;
        op_float_set(dtype, n.data, i, low + width * part);
        n.values[i] = op_float(dtype, n.data, i);
    }
    return n;
}

void op_numbers_free(op_numbers *numbers)
{
    free(numbers->values);
    free(numbers->data);
}

void op_numbers_give(op_test *test, const op_numbers *numbers)
{
    if (numbers && numbers->data)
        op_test_input(test, numbers->dtype, numbers->rank, numbers->dims, numbers->data);
    else
        op_test_left_out(test);
}

void op_numbers_expect_near(const op_test *test, size_t index, const double *values, double bound)
{
    const mls_arg *arg = op_test_output(test, index);
    const void *data = op_test_data(test, index);
    const int64_t count = mls__arg_count(arg);
    for (int64_t i = 0; i < count; i++) {
        const double has = op_float((mls_dtype) arg->dtype, data, i);
        if (!(has == values[i] || fabs(has - values[i]) <= bound * (1 + fabs(values[i]))))
            ck_abort_msg("output %zu, element %d: %.17g, expected %.17g", index, (int) i, has,
                         values[i]);
    }
}

void op_numbers_expect(const op_test *test, size_t index, const op_numbers *expected, double bound)
{
    const mls_arg *arg = op_test_output(test, index);
    ck_assert_int_eq(arg->dtype, expected->dtype);
    ck_assert(mls__shape_equal(arg->rank, arg->dims, expected->rank, expected->dims));
    op_numbers_expect_near(test, index, expected->values, bound);
}
