/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/product_matrix.h"

#include "cpu/op_values.h"

#include <stdlib.h>

matrix matrix_empty(mls_dtype dtype, int rank, const int64_t *dims)
{
    matrix m = {.dtype = dtype, .rank = rank, .count = 1};
    for (int i = 0; i < rank; i++) {
        m.dims[i] = dims[i];
        m.count *= dims[i];
    }
    m.values = calloc((size_t) m.count + 1, sizeof *m.values);
    m.data = calloc((size_t) m.count + 1, mls_dtype_size(dtype));
    ck_assert(m.values && m.data);
    return m;
}

void matrix_free(matrix m)
{
    free(m.values);
    free(m.data);
}

void matrix_store(const matrix *m)
{
    for (int64_t i = 0; i < m->count; i++) {
        if (op_is_float(m->dtype))
            op_float_set(m->dtype, m->data, i, m->values[i]);
        else
            op_integer_set(m->dtype, m->data, i, (int64_t) m->values[i]);
    }
}

matrix matrix_random(mls_dtype dtype, int rank, const int64_t *dims, uint64_t seed)
{
    const matrix m = matrix_empty(dtype, rank, dims);
    for (int64_t i = 0; i < m.count; i++)
        m.values[i] = (double) (op_random(&seed) % 5) - 2;
    matrix_store(&m);
    return m;
}

void matrix_give(op_test *test, const matrix *m, bool is_constant)
{
    (is_constant ? op_test_constant : op_test_input)(test, m->dtype, m->rank, m->dims, m->data);
}

void matrix_expect(op_test *test, const matrix *y)
{
    matrix_store(y);
    ck_assert_ok(op_test_run(test));
    op_test_expect(test, 0, y->dtype, y->rank, y->dims, y->data);
}
